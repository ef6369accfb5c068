//! Processor time and memory of this process and its children.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Processor time so far: of this process with all its threads, to the nanosecond, and of children
/// that have ended, in ticks of the system.
pub fn cpu() -> Duration {
    let own = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(own).unwrap_or_default() + children_cpu().unwrap_or_default()
}

fn children_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, can hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).ok()?)
}

/// The most memory that child processes had. Sampled, because afterwards the system knows that of
/// the largest child only.
#[derive(Debug, Default)]
pub struct Peaks(BTreeMap<u32, u64>);

impl Peaks {
    /// Looks at the children that there are now, and at theirs.
    pub fn sample(&mut self) {
        let mut open = vec![std::process::id()];
        while let Some(process) = open.pop() {
            for child in children(process) {
                let peak = high_water(child).unwrap_or(0);
                let known = self.0.entry(child).or_default();
                *known = peak.max(*known);
                open.push(child);
            }
        }
    }

    /// That of this process and those of its children, added up.
    pub fn total(&self) -> u64 {
        let children: u64 = self.0.values().sum();
        high_water(std::process::id()).unwrap_or(0) + children
    }
}

/// The processes that a process has started; none where the system does not tell.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| {
        // A thread or a process can end at any time.
        fs::read_to_string(thread.path().join("children")).ok()
    });
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

fn high_water(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// How many tasks have wanted to run at once, on the average of the last minute.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn children_count() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut peaks = Peaks::default();
        peaks.sample();
        assert!(peaks.0[&child.id()] > 0);
        assert!(peaks.total() > high_water(std::process::id()).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();

        let before = children_cpu().unwrap();
        let count = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        Command::new("sh").args(["-c", count]).status().unwrap();
        assert!(children_cpu().unwrap() > before);
        assert!(cpu() > children_cpu().unwrap());
    }
}
