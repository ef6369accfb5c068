//! Snapshots of a stage that is driven in step: that of its child, and what the child has sent meanwhile.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use gristmill_stage::{Cause, Snapshot, State};

use super::ledger::Outcome;
use super::plugin::none;

/// Parts of a snapshot with rows that the child has sent, and that have not come out here.
const WAITING: &str = "waiting here/";
/// A part of the snapshot of a stage whose child is at its end: it has nothing more to say.
const FINISHED: &str = "finished here";

/// The snapshot of the child with what has come out of it and not of the stage.
pub(super) fn put_together<'a>(
    child: &Snapshot,
    waiting: impl Iterator<Item = &'a Outcome>,
    finished: bool,
) -> Snapshot {
    let mut more: Vec<(String, RecordBatch)> = Vec::new();
    for outcome in waiting {
        more.push(match outcome {
            Outcome::Emit(port, rows) => (format!("{WAITING}{port}"), rows.clone()),
            Outcome::Reject(rows, cause, reason) => {
                (format!("{WAITING}rejected/{}/{reason}", cause.name()), rows.clone())
            }
        });
    }
    if finished {
        more.push((FINISHED.to_owned(), RecordBatch::new_empty(none())));
    }
    if more.is_empty() {
        return child.clone();
    }
    let (version, mut parts) = match child {
        Snapshot::State(State { version, parts }) => (*version, parts.clone()),
        Snapshot::Stateless => (0, Vec::new()),
    };
    parts.extend(more);
    Snapshot::parts(version, parts)
}

/// Rows that wait with the class and the sentence for which they were rejected.
fn rejected(rows: &RecordBatch, why: &str) -> Outcome {
    let (class, reason) = why.split_once('/').unwrap_or_default();
    let cause = Cause::ALL.into_iter().find(|cause| cause.name() == class);
    Outcome::Reject(rows.clone(), cause.unwrap_or_default(), reason.to_owned())
}

/// The snapshot for a child, what is still to come out, and whether that is all.
pub(super) fn taken_apart(snapshot: &Snapshot) -> (Snapshot, VecDeque<Vec<Outcome>>, bool) {
    let Snapshot::State(State { version, parts }) = snapshot else {
        return (Snapshot::Stateless, VecDeque::new(), false);
    };
    let (mut own, mut waiting, mut finished) = (Vec::new(), VecDeque::new(), false);
    for (name, rows) in parts {
        let how = match name.strip_prefix(WAITING) {
            Some(how) => how,
            None if name == FINISHED => {
                finished = true;
                continue;
            }
            None => {
                own.push((name.clone(), rows.clone()));
                continue;
            }
        };
        waiting.push_back(vec![match how.strip_prefix("rejected/") {
            Some(why) => rejected(rows, why),
            None => Outcome::Emit(how.parse().unwrap_or_default(), rows.clone()),
        }]);
    }
    match own.is_empty() && *version == 0 {
        true => (Snapshot::Stateless, waiting, finished),
        false => (Snapshot::parts(*version, own), waiting, finished),
    }
}
