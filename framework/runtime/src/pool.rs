//! Pools: threads that pooled workers share, and beside them the threads for their async work.
//!
//! A pool has two runtimes. Stages run as tasks on the first; requests and timers on the second,
//! which is made when a stage first asks for it. So a call that computes for a while never keeps an
//! answer from being read: the operating system shares the processors between the two.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use gristmill_config::PoolPlan;
use gristmill_stage::{Error, Result};
use rustix::process::{Pid, setpriority_process};
use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::occupied::Occupied;

/// Threads that pooled workers share.
pub struct Pool {
    stages: Option<Runtime>,
    handle: Handle,
    io: Arc<Io>,
    busy: Arc<Occupied>,
}

/// The runtime for async work, made at first use.
pub struct Io {
    plan: PoolPlan,
    runtime: Mutex<Option<Runtime>>,
}

impl Pool {
    /// Starts the threads of a pool.
    ///
    /// # Errors
    /// When the machine gives no threads, or not the asked processors or niceness.
    pub fn start(plan: &PoolPlan) -> Result<Self> {
        check(plan)?;
        let stages = runtime(plan, "stage")?;
        let handle = stages.handle().clone();
        let io = Arc::new(Io { plan: plan.clone(), runtime: Mutex::new(None) });
        Ok(Self { stages: Some(stages), handle, io, busy: Arc::default() })
    }

    /// Runs a worker on the threads for stages.
    pub fn spawn(&self, worker: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(worker);
    }

    /// How long its threads for stages were at work.
    pub fn occupied(&self) -> &Arc<Occupied> {
        &self.busy
    }

    /// Where their async work runs.
    pub fn io(&self) -> &Arc<Io> {
        &self.io
    }
}

impl Drop for Pool {
    /// Ends all threads without waiting for what a stage may still have in flight.
    fn drop(&mut self) {
        if let Some(stages) = self.stages.take() {
            stages.shutdown_background();
        }
        // Taken out of its place, as a stage that hangs may still hold on to the place.
        let io = self.io.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(io) = io {
            io.shutdown_background();
        }
    }
}

impl Io {
    /// The runtime.
    ///
    /// # Errors
    /// When the machine gives no threads.
    pub fn handle(&self) -> Result<Handle> {
        let mut place = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Some(runtime) => Ok(runtime.handle().clone()),
            None => {
                let runtime = runtime(&self.plan, "io")?;
                Ok(place.insert(runtime).handle().clone())
            }
        }
    }
}

fn runtime(plan: &PoolPlan, part: &str) -> Result<Runtime> {
    let settings = plan.clone();
    Builder::new_multi_thread()
        .worker_threads(plan.threads)
        .thread_name(format!("{}-{part}", plan.name))
        .enable_all()
        .on_thread_start(move || {
            // Checked when the pool was started, so it is not expected to fail for one thread.
            if let Err(error) = apply(&settings) {
                tracing::warn!(pool = settings.name, %error, "a thread runs without its settings");
            }
        })
        .build()
        .map_err(|e| Error::io(format!("pool `{}` cannot start: {e}", plan.name)))
}

/// Tries the settings on a thread of its own.
fn check(plan: &PoolPlan) -> Result<()> {
    if plan.cpus.is_empty() && plan.nice.is_none() {
        return Ok(());
    }
    let settings = plan.clone();
    let tried = std::thread::spawn(move || apply(&settings)).join();
    match tried {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::io(format!(
            "pool `{}` cannot have cpus {:?} and nice {:?}: {error}",
            plan.name, plan.cpus, plan.nice
        ))),
        Err(_) => Err(Error::internal("the check of a pool panicked")),
    }
}

/// Gives the calling thread the processors and the niceness of its pool.
fn apply(plan: &PoolPlan) -> rustix::io::Result<()> {
    if !plan.cpus.is_empty() {
        let mut set = CpuSet::new();
        for &cpu in &plan.cpus {
            if cpu >= CpuSet::MAX_CPU {
                return Err(rustix::io::Errno::INVAL);
            }
            set.set(cpu);
        }
        sched_setaffinity(Some(gettid()), &set)?;
    }
    if let Some(nice) = plan.nice {
        // On Linux a thread has a niceness of its own, under its thread id.
        let thread: Pid = gettid();
        setpriority_process(Some(thread), nice)?;
    }
    Ok(())
}
