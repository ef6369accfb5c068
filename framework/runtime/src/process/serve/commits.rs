//! When a child commits. What it puts out reaches the next stage only with a commit, so commits should
//! be many; a commit takes a snapshot, and where that is dear, they should be few.

use std::time::Duration;

/// A snapshot that takes less is not worth saving.
const CHEAP: Duration = Duration::from_micros(20);
/// Of the time of a stage, snapshots may take one part in so many.
const SHARE: u32 = 10;

/// What there is to commit, and what commits have cost.
#[derive(Debug, Default)]
pub(super) struct Commits {
    cost: Duration,
    last: Duration,
    /// Rows were put out or rejected since the last commit.
    came: bool,
    /// Batches were taken since.
    took: bool,
    asked: Option<Asked>,
}

/// A commit that the run demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) epoch: u64,
    /// Only when nothing that was taken in is under way.
    pub(super) drained: bool,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Commit, in answer to this barrier, or 0.
    Now(u64),
    /// Commit at this time, if nothing else happens.
    At(Duration),
    /// There is nothing to commit, or it must wait.
    No,
}

impl Commits {
    pub(super) fn came(&mut self) {
        self.came = true;
    }

    pub(super) fn took(&mut self) {
        self.took = true;
    }

    pub(super) fn asked(&mut self, asked: Asked) {
        self.asked = Some(asked);
    }

    /// `idle`: nothing that was taken in is under way. `short`: the run will take no more before
    /// there is a commit.
    pub(super) fn due(&self, idle: bool, short: bool) -> Due {
        match self.asked {
            Some(Asked { epoch, drained }) if !drained || idle => return Due::Now(epoch),
            Some(_) if !short => return Due::No,
            _ => {}
        }
        let cheap = self.cost < CHEAP;
        if self.came && (short || cheap) || self.took && cheap {
            return Due::Now(0);
        }
        match self.came {
            true => Due::At(self.last + self.cost * SHARE),
            false => Due::No,
        }
    }

    /// A commit was made at this time, and took so long.
    pub(super) fn made(&mut self, epoch: u64, at: Duration, cost: Duration) {
        (self.last, self.cost) = (at, cost);
        (self.came, self.took) = (false, false);
        self.asked.take_if(|asked| asked.epoch == epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_costs_nothing_is_committed_at_once() {
        let mut commits = Commits::default();
        assert_eq!(commits.due(true, false), Due::No);
        commits.took();
        assert_eq!(commits.due(true, false), Due::Now(0));
    }

    #[test]
    fn dear_snapshots_are_taken_rarely_and_never_for_nothing() {
        let mut commits = Commits::default();
        commits.made(0, 100 * MS, 5 * MS);
        commits.took();
        assert_eq!(commits.due(true, false), Due::No);
        commits.came();
        assert_eq!(commits.due(true, false), Due::At(150 * MS));
        assert_eq!(commits.due(true, true), Due::Now(0));
    }

    #[test]
    fn a_drained_barrier_waits_and_holds_others_back() {
        let mut commits = Commits::default();
        commits.asked(Asked { epoch: 7, drained: true });
        commits.came();
        assert_eq!(commits.due(false, false), Due::No);
        assert_eq!(commits.due(true, false), Due::Now(7));
        commits.made(7, MS, MS);
        assert_eq!(commits.due(true, false), Due::No);
    }
}
