//! What the kernel tells of a process, from `/proc`.

use std::fs;
use std::time::Duration;

use gristmill_wire::Heartbeat;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Processor time of a process, also of one that has ended and was not waited for.
pub(crate) fn cpu(pid: &str) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what counts comes after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second().max(1) as f64))
}

/// Time that the threads of a process were ready to run and had no processor, those apart that have
/// ended. Unknown where the kernel does not count it.
pub(crate) fn delayed(pid: &str) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of = |thread: fs::DirEntry| {
        let counted = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        counted.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some(Duration::from_nanos(threads.flatten().filter_map(of).sum()))
}

/// Processor time of all programs of the machine.
pub(crate) fn machine() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks = stat.lines().next()?.split_ascii_whitespace().skip(1);
    let ticks: Vec<u64> = ticks.map_while(|ticks| ticks.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|&at| ticks.get(at)).sum();
    Some(Duration::from_secs_f64(busy as f64 / clock_ticks_per_second().max(1) as f64))
}

/// What `/proc` says of the program that runs.
pub(crate) struct Program {
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
    /// Seconds since 1970.
    pub(crate) started: Option<f64>,
    pub(crate) files: Option<usize>,
    /// None if there is no limit.
    pub(crate) files_limit: Option<u64>,
}

impl Program {
    /// This very program, now.
    pub(crate) fn of_this() -> Self {
        let own = own();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            cpu: Duration::from_nanos(own.cpu),
            memory: own.memory,
            started: started(),
            // The folder that is read is open for that long.
            files: fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1)),
            files_limit: limit.current,
        }
    }
}

/// The kernel counts in ticks from when it started itself.
fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let kernel = fs::read_to_string("/proc/stat").ok()?;
    let boot = kernel.lines().find_map(|line| line.strip_prefix("btime "))?.trim();
    let boot: f64 = boot.parse().ok()?;
    Some(boot + ticks as f64 / clock_ticks_per_second().max(1) as f64)
}

/// Nanoseconds of processor time that the calling thread has used.
pub(crate) fn thread_cpu() -> u64 {
    nanos(ClockId::ThreadCPUTime)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + nanos
}

/// What this process knows of itself.
pub(crate) fn own() -> Heartbeat {
    let cpu = nanos(ClockId::ProcessCPUTime);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_ascii_whitespace().next());
        number.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    Heartbeat { cpu, memory: bytes("VmRSS:"), peak_memory: bytes("VmHWM:"), ..Heartbeat::default() }
}
