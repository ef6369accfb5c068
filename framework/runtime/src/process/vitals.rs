//! What is known of the child processes of one worker, the dead ones included.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gristmill_stage::Reading;
use gristmill_stage::reading::Series;
use gristmill_wire::Heartbeat;

use super::DeathClass;

/// The child processes of one worker, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Vitals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The present one.
    pid: Option<u32>,
    deaths: [u64; DeathClass::ALL.len()],
    /// Processor time of those that are gone.
    past_cpu: Duration,
    cpu: Duration,
    memory: u64,
    peak_memory: u64,
    /// What the stage has told of its work: in the present child, and in those that are gone.
    readings: Vec<Series>,
    past_readings: Vec<Series>,
    /// How long it took until another child was at work; the latest of them.
    restarts: VecDeque<Duration>,
}

/// So many restarts are remembered.
const REMEMBERED: usize = 1024;

/// The child processes of a stage, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessStatus {
    /// How many died and were replaced, by class; only those that happened.
    pub deaths: Vec<(DeathClass, u64)>,
    /// Processor time of all.
    pub cpu: Duration,
    /// Bytes resident now, in all.
    pub memory: u64,
    /// The most bytes that one of them ever had resident.
    pub peak_memory: u64,
    /// Of a hundred restarts, 99 had another child at work in this time after a death was noticed.
    pub restart_p99: Duration,
}

impl ProcessStatus {
    /// How many died in this way.
    pub fn died_of(&self, class: DeathClass) -> u64 {
        let found = self.deaths.iter().find(|(known, _)| *known == class);
        found.map_or(0, |(_, count)| *count)
    }

    /// How many died and were replaced.
    pub fn restarts(&self) -> u64 {
        self.deaths.iter().map(|(_, count)| count).sum()
    }
}

impl Vitals {
    /// Those of a worker of a stage that has these readings.
    pub(crate) fn new(readings: &[Reading]) -> Self {
        let none = || Series::none(readings);
        let known = Known { readings: none(), past_readings: none(), ..Known::default() };
        Self(Mutex::new(known))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child was started.
    pub(crate) fn started(&self, pid: u32) {
        self.lock().pid = Some(pid);
    }

    /// The process that is there now, if one is.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.lock().pid
    }

    /// All that is known.
    pub(crate) fn sum(&self) -> ProcessStatus {
        let mut sum = ProcessStatus::default();
        self.add_to(&mut sum);
        sum
    }

    /// The present child tells of itself.
    pub(crate) fn beat(&self, beat: &Heartbeat) {
        let mut known = self.lock();
        known.cpu = Duration::from_nanos(beat.cpu);
        known.memory = beat.memory;
        known.peak_memory = known.peak_memory.max(beat.peak_memory);
        for told in &beat.readings {
            let found = known.readings.iter_mut().find_map(|s| Some((told.figure(s)?, s)));
            if let Some((figure, series)) = found {
                series.figure = figure;
            }
        }
    }

    /// The present child is gone, having used so much processor time, if that is known.
    pub(crate) fn gone(&self, cpu: Option<Duration>) {
        let mut known = self.lock();
        let cpu = cpu.map_or(known.cpu, |cpu| cpu.max(known.cpu));
        known.past_cpu += cpu;
        (known.cpu, known.memory) = (Duration::ZERO, 0);
        known.pid = None;
        let Known { readings, past_readings, .. } = &mut *known;
        for (now, past) in readings.iter_mut().zip(past_readings) {
            if now.accumulates() {
                past.add(&now.figure);
            }
            *now = now.zero();
        }
    }

    /// It went by dying.
    pub(crate) fn died(&self, class: DeathClass) {
        if let Some(index) = DeathClass::ALL.iter().position(|known| *known == class) {
            self.lock().deaths[index] += 1;
        }
    }

    /// Processor time of all.
    pub(crate) fn cpu(&self) -> Duration {
        let known = self.lock();
        known.past_cpu + known.cpu
    }

    /// Another is at work, so long after the death was noticed.
    pub(crate) fn restarted(&self, took: Duration) {
        let mut known = self.lock();
        if known.restarts.len() == REMEMBERED {
            known.restarts.pop_front();
        }
        known.restarts.push_back(took);
    }

    /// What the stage has told of its work, in all child processes.
    pub(crate) fn readings(&self) -> Vec<Series> {
        let known = self.lock();
        let mut all = known.readings.clone();
        all.iter_mut().zip(&known.past_readings).for_each(|(now, past)| now.add(&past.figure));
        all
    }

    /// Adds what is known to a sum.
    pub(crate) fn add_to(&self, sum: &mut ProcessStatus) {
        let known = self.lock();
        let mut restarts: Vec<Duration> = known.restarts.iter().copied().collect();
        restarts.sort_unstable();
        let p99 = restarts.get((restarts.len() * 99 / 100).min(restarts.len().saturating_sub(1)));
        sum.restart_p99 = sum.restart_p99.max(p99.copied().unwrap_or_default());
        for (class, count) in DeathClass::ALL.into_iter().zip(known.deaths) {
            match sum.deaths.iter_mut().find(|(known, _)| *known == class) {
                Some((_, sum)) => *sum += count,
                None if count > 0 => sum.deaths.push((class, count)),
                None => {}
            }
        }
        sum.cpu += known.past_cpu + known.cpu;
        sum.memory += known.memory;
        sum.peak_memory = sum.peak_memory.max(known.peak_memory);
    }
}
