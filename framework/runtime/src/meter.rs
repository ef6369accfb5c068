//! What one worker did, counted from outside: no stage counts itself.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gristmill_stage::reading::{Figure, Series};
use gristmill_stage::{Cause, Clock, ErrorKind, Reading, Readings, Readout};
use hdrhistogram::Histogram;

use crate::process::Vitals;
use crate::status::Ending;
use crate::trace::SpanContext;

/// What a worker does with its time. The three shares sum to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// In a call of the stage, or waiting for work that the stage itself has under way.
    Busy = 0,
    /// Ready for input that is not there.
    Waiting = 1,
    /// Has output for which there is no room.
    Blocked = 2,
}

/// Seconds of the three activities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSplit {
    /// In calls of the stage, or waiting for work that the stage itself has under way.
    pub busy: Duration,
    /// Ready for input that was not there.
    pub waiting: Duration,
    /// With output for which there was no room.
    pub blocked: Duration,
}

impl TimeSplit {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.busy + self.waiting + self.blocked
    }

    /// The shares of busy, waiting and blocked; they sum to one, or are zero before the start.
    pub fn shares(&self) -> [f64; 3] {
        let total = self.total().as_secs_f64();
        if total == 0.0 {
            return [0.0; 3];
        }
        [self.busy, self.waiting, self.blocked].map(|part| part.as_secs_f64() / total)
    }
}

/// Rows, batches and bytes in one direction.
#[derive(Debug, Default)]
pub struct Flow {
    rows: AtomicU64,
    batches: AtomicU64,
    bytes: AtomicU64,
}

/// Rows, batches and bytes that went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Batches.
    pub batches: u64,
    /// Bytes of Arrow buffers.
    pub bytes: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.batches += other.batches;
        self.bytes += other.bytes;
    }
}

impl Flow {
    fn add(&self, rows: usize, bytes: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn read(&self) -> Amount {
        Amount {
            rows: self.rows.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// How long calls take: 10 µs to 10 s, about three bounds to a decade.
const DURATION: Reading = Reading::histogram("duration", &BOUNDS, "");
pub(crate) const BOUNDS: [f64; 19] = [
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

/// Counts one worker.
pub struct Meter {
    clock: Arc<dyn Clock>,
    taken: Flow,
    emitted: Flow,
    rejected: [AtomicU64; Cause::ALL.len()],
    /// Nanoseconds of processor time in this process.
    cpu: AtomicU64,
    ending: AtomicU8,
    errors: [AtomicU64; ErrorKind::ALL.len()],
    times: Mutex<Times>,
    calls: Mutex<Histogram<u32>>,
    durations: Readings,
    duration: Readout,
    /// Its child processes, if it has some.
    vitals: Option<Arc<Vitals>>,
    /// What the stage tells of its work, if it runs in this process.
    readings: Arc<Readings>,
    /// The latest call of a trace that is recorded, for each of the [`BOUNDS`] and beyond.
    exemplars: Mutex<Exemplars>,
}

/// A call that stands for others: what a histogram knows only the number of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// How long it took, in seconds.
    pub value: f64,
    /// Its span.
    pub of: SpanContext,
    /// When it had returned.
    pub at: SystemTime,
}

/// One for each of the [`BOUNDS`] and beyond, or none at all.
pub(crate) type Exemplars = Vec<Option<Exemplar>>;

/// Where the time went. Behind one lock, so that a reader never sees it half changed.
#[derive(Debug, Default)]
struct Times {
    spent: [Duration; 3],
    /// What the worker does now, and since when; nothing before its start and after its end.
    now: Option<(Activity, Duration)>,
}

impl Times {
    fn turn_to(&mut self, activity: Option<Activity>, now: Duration) {
        if let Some((before, since)) = self.now {
            self.spent[before as usize] += now.saturating_sub(since);
        }
        self.now = activity.map(|activity| (activity, now));
    }
}

impl Meter {
    /// A meter that stands at zero; no time counts before the first `enter`.
    pub fn new(
        clock: Arc<dyn Clock>,
        vitals: Option<Arc<Vitals>>,
        readings: Arc<Readings>,
    ) -> Self {
        let durations = Readings::new(&[DURATION]);
        #[expect(clippy::expect_used, reason = "2 significant figures are within 0 to 5")]
        let calls = Histogram::new(2).expect("valid precision");
        Self {
            clock,
            taken: Flow::default(),
            emitted: Flow::default(),
            rejected: std::array::from_fn(|_| AtomicU64::new(0)),
            cpu: AtomicU64::new(0),
            ending: AtomicU8::new(Ending::Open as u8),
            errors: std::array::from_fn(|_| AtomicU64::new(0)),
            times: Mutex::default(),
            calls: Mutex::new(calls),
            duration: durations.readout(DURATION.name).unwrap_or_default(),
            durations,
            vitals,
            readings,
            exemplars: Mutex::default(),
        }
    }

    /// Its child processes, if it has some.
    pub fn vitals(&self) -> Option<&Vitals> {
        self.vitals.as_deref()
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker begins something else; with the first call it starts. Returns the time.
    pub fn enter(&self, activity: Activity) -> Duration {
        let now = self.clock.now();
        self.lock().turn_to(Some(activity), now);
        now
    }

    /// The worker has come to its end.
    pub fn end(&self) {
        let now = self.clock.now();
        self.lock().turn_to(None, now);
    }

    /// The worker begins to publish, or has come to its end by itself.
    pub fn comes_to(&self, ending: Ending) {
        self.ending.store(ending as u8, Ordering::SeqCst);
    }

    /// How far the worker is on its way to the end.
    pub fn ending(&self) -> Ending {
        let at = self.ending.load(Ordering::SeqCst);
        [Ending::Closing, Ending::Complete]
            .into_iter()
            .find(|ending| *ending as u8 == at)
            .unwrap_or(Ending::Open)
    }

    /// A batch was taken in.
    pub fn took(&self, rows: usize, bytes: usize) {
        self.taken.add(rows, bytes);
    }

    /// A batch was handed on.
    pub fn emitted(&self, rows: usize, bytes: usize) {
        self.emitted.add(rows, bytes);
    }

    /// Rows were rejected.
    pub fn rejected(&self, rows: usize, cause: Cause) {
        if let Some(index) = Cause::ALL.iter().position(|known| *known == cause) {
            self.rejected[index].fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    /// The stage returned an error.
    pub fn failed(&self, kind: ErrorKind) {
        if let Some(index) = ErrorKind::ALL.iter().position(|k| *k == kind) {
            self.errors[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call with a batch (for a source: a poll) took this long, and was this span, if it is recorded.
    pub fn called(&self, took: Duration, trace: Option<SpanContext>) {
        if let Some(of) = trace {
            self.exemplify(took.as_secs_f64(), of);
        }
        // Only the worker records, so the lock is free but for a reader now and then.
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // Cannot fail: the histogram grows as far as it needs.
        let _ = calls.record(nanos(took));
        drop(calls);
        self.duration.record(took.as_secs_f64());
    }

    fn exemplify(&self, value: f64, of: SpanContext) {
        let at = self.clock.wall();
        let place = BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(BOUNDS.len());
        let mut exemplars = self.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
        exemplars.resize(BOUNDS.len() + 1, None);
        exemplars[place] = Some(Exemplar { value, of, at });
    }

    /// Calls that stand for others of about their length.
    pub(crate) fn exemplars(&self) -> Exemplars {
        self.exemplars.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What came in so far.
    pub fn taken(&self) -> Amount {
        self.taken.read()
    }

    /// What went out so far.
    pub fn sent(&self) -> Amount {
        self.emitted.read()
    }

    /// Rows rejected so far, by the class of the reason.
    pub fn rejects(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        let counts = self.rejected.iter().map(|count| count.load(Ordering::Relaxed));
        Cause::ALL.into_iter().zip(counts)
    }

    /// The worker has used so many more nanoseconds of processor time in this process.
    pub(crate) fn used_cpu(&self, nanos: u64) {
        self.cpu.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Processor time so far, that of its child processes included.
    pub fn cpu(&self) -> Duration {
        let own = Duration::from_nanos(self.cpu.load(Ordering::Relaxed));
        own + self.vitals().map(Vitals::cpu).unwrap_or_default()
    }

    /// How often calls took so long, by [`BOUNDS`].
    pub(crate) fn durations(&self) -> Option<Figure> {
        self.durations.read().pop().map(|series| series.figure)
    }

    /// What the stage tells of its work.
    pub(crate) fn readings(&self) -> Vec<Series> {
        match self.vitals() {
            Some(vitals) => vitals.readings(),
            None => self.readings.read(),
        }
    }

    /// Errors so far, by kind.
    pub fn errors(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL
            .into_iter()
            .zip(&self.errors)
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }

    /// The time so far, what the worker is in the middle of included.
    pub fn times(&self) -> TimeSplit {
        let times = self.lock();
        let mut spent = times.spent;
        if let Some((activity, since)) = times.now {
            spent[activity as usize] += self.clock.now().saturating_sub(since);
        }
        let [busy, waiting, blocked] = spent;
        TimeSplit { busy, waiting, blocked }
    }

    /// Adds the durations of the calls to `sum`.
    pub fn add_calls_to(&self, sum: &mut Histogram<u64>) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for value in calls.iter_recorded() {
            let _ = sum.record_n(value.value_iterated_to(), value.count_since_last_iteration());
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
