//! What the kernel tells of a process, from `/proc`.

use std::fs;
use std::time::Duration;

use gristmill_wire::Heartbeat;
use rustix::param::clock_ticks_per_second;

/// Processor time of a process, also of one that has ended and was not waited for.
pub(crate) fn cpu(pid: &str) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what counts comes after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second().max(1) as f64))
}

/// What this process knows of itself.
pub(crate) fn own() -> Heartbeat {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanos = u64::try_from(cpu.tv_nsec).unwrap_or(0);
    let cpu = u64::try_from(cpu.tv_sec).unwrap_or(0) * 1_000_000_000 + nanos;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_ascii_whitespace().next());
        number.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    Heartbeat { cpu, memory: bytes("VmRSS:"), peak_memory: bytes("VmHWM:"), call: 0 }
}
