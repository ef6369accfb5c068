//! A run: starts a plan, can be watched and stopped, and ends with a report.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gristmill_config::{Mode, Plan, StagePlan};
use gristmill_stage::{Clock, Error, Origins, Registry, SystemClock};

use crate::assembly::{Built, Queues, Shared};
use crate::board::Board;
use crate::control::{Control, Failure};
use crate::cpu::{on_own_thread, on_shared_thread};
use crate::latch::{Latch, Released};
use crate::letters::{self, LetterBox, Writer};
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::process::WorkerCommand;
use crate::server::{Place, Server, Taps, Token};
use crate::status::{Ending, Outcome, Report, StageStatus};
use crate::tap::Tap;
use crate::trace::Tracing;
use crate::turns::Turns;
use crate::view::{Description, EndView, Observer, RunView};
use crate::worker::build_failure;

/// What a run is given besides its plan.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Addresses that exist only during this run, such as the demo site.
    pub origins: Origins,
    /// Where to serve `/metrics`, `/healthz`, `/readyz` and the live page; nowhere if not given.
    pub metrics: Option<SocketAddr>,
    /// What those who look at the run must say, `/metrics` and its like apart. Without it, one is made up where
    /// others than this machine can reach it.
    pub token: Option<Token>,
    /// What those who look at the run may want to read.
    pub description: Description,
    /// How to start a child process for stages with `mode: process`; without it there can be none.
    pub worker: Option<WorkerCommand>,
    /// Which lines child processes are to log, by the name of the stage: a level, and after commas others for
    /// parts of the program (`warn,hyper=off`). A stage that is not here is left its own choice.
    pub log: BTreeMap<String, String>,
    /// Which traces are recorded, and where their spans go; without it there are none.
    pub tracing: Option<Tracing>,
}

/// A run under way.
pub struct Run {
    plan: Arc<Plan>,
    board: Arc<Board>,
    observer: Arc<Observer>,
    control: Arc<Control>,
    latch: Arc<Latch>,
    letters: Option<LetterBox>,
    threads: Vec<JoinHandle<()>>,
    writer: Option<Writer>,
    pools: Vec<Pool>,
    server: Option<Server>,
    clock: Arc<dyn Clock>,
}

/// Stops a run from elsewhere, such as a signal handler.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Control>);

impl Stopper {
    /// Sources stop; what was read is worked through and published.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Everything stops where it is; nothing more is published.
    pub fn abort(&self) {
        self.0.abort();
    }
}

impl Run {
    /// Builds all stages, and when all are built, starts them.
    ///
    /// # Errors
    /// When a stage cannot be built, or the machine lacks what the plan asks for. Nothing runs then.
    pub fn start(plan: Plan, registry: &Registry, options: RunOptions) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let control = Arc::new(Control::default());
        let own = |error| build_failure("", 0, error);
        let pools =
            plan.pools.iter().map(Pool::start).collect::<Result<Vec<_>, _>>().map_err(own)?;
        let (letters, writer) =
            letters::start(&plan.rejected, plan.secrets.clone(), clock.clone(), control.clone())
                .map_err(own)?;
        let queues = Queues::new(&plan);
        let taps: Vec<Arc<Tap>> = plan.stages.iter().map(|_| Arc::default()).collect();
        let shared = Shared {
            plan: &plan,
            registry,
            queues: &queues,
            taps: &taps,
            pools: &pools,
            clock: clock.clone(),
            origins: Arc::new(options.origins),
            control: control.clone(),
            letters: letters.clone(),
            worker: options.worker,
            log: &options.log,
            tracing: options.tracing.clone(),
        };
        let built = build_all(&shared)?;
        let meters = built.iter().map(|s| s.iter().map(|b| b.worker.meter.clone()).collect());
        let meters: Vec<Vec<_>> = meters.collect();
        let plan = Arc::new(plan);
        let spans = options.tracing.as_ref().map(|tracing| tracing.told().clone());
        let board = Arc::new(Board { plan: plan.clone(), meters, queues, taps, spans });
        let observer = Arc::new(Observer::new(
            board.clone(),
            control.clone(),
            letters.latest(),
            clock.clone(),
            options.description,
            pools.iter().map(|pool| pool.occupied().clone()).collect(),
        ));
        let mut run = Self {
            plan,
            board,
            observer,
            latch: Latch::new(built.iter().map(Vec::len).sum()),
            control,
            letters: Some(letters),
            threads: Vec::new(),
            writer: Some(writer),
            pools,
            server: None,
            clock,
        };
        if let Some(addr) = options.metrics {
            let io = run.pools[0].io().handle().map_err(own)?;
            let place = Place { addr, token: options.token };
            let taps = Taps::new(run.board.clone(), registry.clone(), run.clock.clone());
            let server = Server::start(place, &io, run.metrics(), run.observer.clone(), taps);
            let server = server.map_err(own)?;
            run.server = Some(server);
        }
        // The time before the first batch says nothing of the stages.
        run.observer.sample();
        run.launch(built)?;
        Ok(run)
    }

    fn launch(&mut self, built: Vec<Vec<Built>>) -> Result<(), Failure> {
        for (stage, workers) in built.into_iter().enumerate() {
            let StagePlan { mode, pool, blocks, .. } = self.plan.stages[stage];
            for built in workers {
                let latch = self.latch.clone();
                match mode {
                    Mode::Pooled if !blocks => {
                        let pool = &self.pools[pool];
                        let worker = on_shared_thread(built.worker, pool.occupied().join());
                        pool.spawn(async move {
                            let _released = Released::when_dropped(latch);
                            worker.await;
                        });
                    }
                    // What may wait for something outside gets a thread in every mode.
                    Mode::Pooled | Mode::Threaded | Mode::Process => {
                        let (name, instance) = (built.worker.stage.clone(), built.worker.instance);
                        let thread = self.thread(built, latch);
                        match thread {
                            Ok(thread) => self.threads.push(thread),
                            Err(error) => {
                                self.control.abort();
                                return Err(build_failure(&name, instance, error));
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts the thread of a threaded worker.
    fn thread(&self, built: Built, latch: Arc<Latch>) -> Result<JoinHandle<()>, Error> {
        let Built { worker, runtime } = built;
        let timers = self.pools[0].io().handle()?;
        std::thread::Builder::new()
            .name(format!("{}-{}", worker.stage, worker.instance))
            .spawn(move || {
                let _released = Released::when_dropped(latch);
                let worker = on_own_thread(worker);
                match runtime.get() {
                    // Two levels: the stage's tasks and the worker itself share this thread.
                    Some(own) => own.block_on(worker),
                    None => {
                        let _timers = timers.enter();
                        pollster::block_on(worker);
                    }
                }
            })
            .map_err(|e| Error::io(format!("the machine gives no thread: {e}")))
    }

    /// What the first stages have done so far, without the times of their calls: cheap enough to
    /// draw it again and again.
    pub fn progress(&self, stages: usize) -> Vec<StageStatus> {
        let count = self.plan.stages.len().min(stages);
        (0..count).map(|id| self.board.stage(id, false)).collect()
    }

    /// How many stages there are.
    pub fn stages(&self) -> usize {
        self.plan.stages.len()
    }

    /// What the stages have done so far, in the order of the plan.
    pub fn status(&self) -> Vec<StageStatus> {
        self.board.status()
    }

    /// The run as it is now, for those who look at it. Its rates look back over the times at which
    /// this was called, ten seconds at the most.
    pub fn view(&self) -> RunView {
        let view = self.observer.view();
        self.observer.sample();
        view
    }

    /// Rows rejected so far in all stages.
    pub fn rejected(&self) -> u64 {
        self.letters.as_ref().map_or(0, LetterBox::count)
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.clock.now()
    }

    /// The metrics of the run, for those who send them on. They can be read also when the run is over.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.board.clone())
    }

    /// The address of the metrics, when they are served.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::addr)
    }

    /// The address of the live page, when it is served. A token that was made up is in it: it is for the
    /// one who started the run, and for no log.
    pub fn page(&self) -> Option<String> {
        self.server.as_ref().map(Server::page)
    }

    /// A handle to stop the run.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.control.clone())
    }

    /// Waits for the end, for this long at the most. True when the run is over.
    pub fn wait_for(&self, time: Duration) -> bool {
        self.latch.wait(Some(time))
    }

    /// Whether it is broken off, by a failure or by [`Stopper::abort`].
    pub fn is_aborted(&self) -> bool {
        self.control.is_aborted()
    }

    /// The sinks that are publishing now.
    pub fn publishing(&self) -> Vec<&str> {
        let stages = self.plan.stages.iter().zip(&self.board.meters);
        let closing = stages
            .filter(|(_, meters)| meters.iter().any(|meter| meter.ending() == Ending::Closing));
        closing.map(|(stage, _)| stage.name.as_str()).collect()
    }

    /// Waits for the end.
    pub fn wait(self) -> Report {
        self.latch.wait(None);
        self.into_report()
    }

    /// Breaks the run off if it is not over, does not wait for stages that do not return, and
    /// reports what there is.
    pub fn into_report(mut self) -> Report {
        let over = self.latch.wait(Some(Duration::ZERO));
        if !over {
            self.control.abort();
        }
        let took = self.clock.now();
        let stages = self.board.status();
        let rejected = self.letters.take().map_or(0, |letters| letters.count());
        if over {
            for thread in self.threads.drain(..) {
                // A worker's panic was caught and is in the report.
                let _ = thread.join();
            }
            if let Some(Err(error)) = self.writer.take().map(|writer| writer.finish(&self.control))
            {
                self.control.fail(build_failure("", 0, error));
            }
        }
        let outcome = match self.control.failure() {
            Some(failure) => Outcome::Failed(failure.redacted(&self.plan.secrets)),
            None if !over || self.control.is_cut_off() => Outcome::Aborted,
            None if self.control.is_stopping() => Outcome::Stopped,
            None => Outcome::Done,
        };
        if let Some(server) = self.server.take() {
            let error = match &outcome {
                Outcome::Failed(failure) => Some(failure.to_string()),
                _ => None,
            };
            let (view, outcome) = (self.observer.view(), outcome.name().to_owned());
            server.finish(&EndView { outcome, error, took: took.as_secs_f64(), view });
        }
        Report { outcome, took, stages, rejected, rejected_path: self.plan.rejected.path.clone() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // First of all: stages that are cut off must not look like stages at their end.
        if !self.latch.wait(Some(Duration::ZERO)) {
            self.control.abort();
        }
    }
}

/// Builds every worker of every stage.
fn build_all(shared: &Shared<'_>) -> Result<Vec<Vec<Built>>, Failure> {
    let plan = shared.plan;
    (0..plan.stages.len())
        .map(|stage| {
            let workers = plan.stages[stage].workers;
            // One worker keeps the order by itself.
            let ordered = plan.stages[stage].ordered && workers > 1;
            let turns = ordered.then(|| Arc::new(Turns::default()));
            (0..workers)
                .map(|instance| {
                    shared
                        .build(stage, instance, turns.clone())
                        .map_err(|error| build_failure(&plan.stages[stage].name, instance, error))
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
