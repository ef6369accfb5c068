//! Which sessions are open, and which of them a row belongs to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use arrow_array::PrimitiveArray;
use arrow_array::types::Int64Type;
use hashbrown::HashMap;

use super::partials::Place;
use super::window::{Late, Window};

/// Rows of one group with less than the gap between them.
#[derive(Debug)]
pub(crate) struct Session {
    /// The number of its group.
    pub(crate) group: usize,
    /// The time of its first row, and of its last.
    pub(crate) start: i64,
    pub(crate) last: i64,
    /// Where its states are.
    pub(crate) places: Vec<Place>,
}

/// The sessions of all groups. Those of one group do not overlap.
#[derive(Debug)]
pub(crate) struct Sessions {
    gap: i64,
    next: u64,
    all: HashMap<u64, Session>,
    /// The open ones by group and start.
    starts: BTreeMap<(usize, i64), u64>,
    /// When each would have ended as it was once: an entry for each open one, and some of such as
    /// are parts of others by now.
    ends: BinaryHeap<Reverse<(i64, u64)>>,
    /// What has become of sessions that turned out to be parts of others, since the last
    /// [`settle`](Self::settle).
    joined: HashMap<u64, u64>,
    /// Those that have closed, and were not taken out yet.
    closed: Vec<u64>,
}

/// Which rows of a batch belong where.
#[derive(Debug, Default)]
pub(crate) struct Dealt {
    /// Rows with their sessions.
    pub(crate) rows: Vec<(u32, u64)>,
    /// Rows that came too late.
    pub(crate) late: Vec<u32>,
    /// How many came too late and count all the same.
    pub(crate) merged: usize,
    /// Rows without a time.
    pub(crate) timeless: Vec<u32>,
    /// Rows with a time so far off that their session has no bounds.
    pub(crate) far: Vec<u32>,
}

impl Sessions {
    /// No sessions yet.
    pub(crate) fn new(gap: i64) -> Self {
        Self {
            gap,
            next: 0,
            all: HashMap::new(),
            starts: BTreeMap::new(),
            ends: BinaryHeap::new(),
            joined: HashMap::new(),
            closed: Vec::new(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Where a session ends.
    pub(crate) fn end(&self, session: &Session) -> i64 {
        session.last.saturating_add(self.gap)
    }

    /// Those that are open, the oldest first.
    pub(crate) fn open(&self) -> Vec<&Session> {
        let mut open: Vec<(&u64, &Session)> = self.all.iter().collect();
        open.sort_unstable_by_key(|(number, _)| **number);
        open.into_iter().map(|(_, session)| session).collect()
    }

    /// Deals rows, whose groups these are, out to sessions. What is late or closed is so by the rows
    /// before, row by row, so that it does not matter which rows come as one batch. `latest` is the
    /// greatest time so far.
    pub(crate) fn deal(
        &mut self,
        window: &Window,
        times: &PrimitiveArray<Int64Type>,
        groups: &[usize],
        latest: &mut Option<i64>,
    ) -> Dealt {
        let mut dealt = Dealt::default();
        for ((row, time), group) in (0..).zip(times.iter()).zip(groups) {
            let Some(time) = time else {
                dealt.timeless.push(row);
                continue;
            };
            if window.is_far(time, self.gap) {
                dealt.far.push(row);
                continue;
            }
            let watermark = latest.map_or(i64::MIN, |latest| window.watermark(latest));
            *latest = Some(latest.map_or(time, |latest| latest.max(time)));
            self.close(watermark);
            let found = match self.find(*group, time) {
                None if time + self.gap <= watermark => {
                    if window.late == Late::Reject {
                        dealt.late.push(row);
                        continue;
                    }
                    dealt.merged += 1;
                    self.add(*group, watermark - self.gap + 1)
                }
                Some(found) => found,
                None => self.add(*group, time),
            };
            dealt.rows.push((row, found));
        }
        dealt
    }

    /// The open session that takes a row of that time.
    fn find(&mut self, group: usize, time: i64) -> Option<u64> {
        let mut near = self.starts.range((group, i64::MIN)..(group, time + self.gap)).rev();
        let (&(_, start), &number) = near.next()?;
        if start > time {
            // It begins earlier now, and may reach to another.
            return Some(self.add(group, time));
        }
        let session = self.all.get_mut(&number)?;
        if session.last.saturating_add(self.gap) <= time {
            return None;
        }
        session.last = session.last.max(time);
        Some(number)
    }

    /// Makes a session of a row.
    fn add(&mut self, group: usize, time: i64) -> u64 {
        self.insert(Session { group, start: time, last: time, places: Vec::new() })
    }

    /// Adds a session, which becomes one with all that it overlaps.
    pub(crate) fn insert(&mut self, mut own: Session) -> u64 {
        let group = own.group;
        let (before, end) = (own.start, self.end(&own));
        let near = self.starts.range((group, i64::MIN)..(group, end)).rev();
        let overlap = near.map_while(|(_, number)| {
            let other = self.all.get(number)?;
            (self.end(other) > before).then_some(*number)
        });
        let overlap: Vec<u64> = overlap.collect();
        let number = match overlap.iter().min() {
            // Its end is looked at again when it would have come.
            Some(oldest) => *oldest,
            None => {
                self.next += 1;
                self.ends.push(Reverse((end, self.next)));
                self.next
            }
        };
        for other in overlap {
            if let Some(session) = self.all.remove(&other) {
                self.starts.remove(&(group, session.start));
                own.start = own.start.min(session.start);
                own.last = own.last.max(session.last);
                own.places.extend(session.places);
            }
            if other != number {
                self.joined.insert(other, number);
            }
        }
        // As they came in: there are functions that ask for the first or the last.
        own.places.sort_unstable();
        self.starts.insert((group, own.start), number);
        self.all.insert(number, own);
        number
    }

    /// Closes all that end at `watermark` or before: no row belongs to them any more.
    pub(crate) fn close(&mut self, watermark: i64) {
        while let Some(&Reverse((end, number))) = self.ends.peek()
            && end <= watermark
        {
            self.ends.pop();
            let Some(session) = self.all.get(&number) else { continue };
            let now = self.end(session);
            if now > watermark {
                self.ends.push(Reverse((now, number)));
            } else if self.starts.remove(&(session.group, session.start)).is_some() {
                self.closed.push(number);
            }
        }
    }

    /// The session that has the rows of one that was dealt out.
    pub(crate) fn settled(&self, mut number: u64) -> u64 {
        while let Some(into) = self.joined.get(&number) {
            number = *into;
        }
        number
    }

    /// Adds to the places of a session, open or closed.
    pub(crate) fn place(&mut self, number: u64, place: Place) {
        if let Some(session) = self.all.get_mut(&number) {
            session.places.push(place);
        }
    }

    /// Takes out those that have closed. Numbers of sessions before are then void.
    pub(crate) fn take_closed(&mut self) -> Vec<Session> {
        self.joined.clear();
        let closed = std::mem::take(&mut self.closed);
        closed.into_iter().filter_map(|number| self.all.remove(&number)).collect()
    }

    /// Says of each [open](Self::open) session in turn, what the number of its group is now, and that
    /// its states are in a row of `part`.
    pub(crate) fn renumber(&mut self, groups: &[usize], part: u64) {
        let mut order: Vec<u64> = self.all.keys().copied().collect();
        order.sort_unstable();
        self.starts.clear();
        for ((row, number), group) in (0..).zip(order).zip(groups) {
            if let Some(session) = self.all.get_mut(&number) {
                session.group = *group;
                session.places = vec![Place { part, row }];
                self.starts.insert((*group, session.start), number);
            }
        }
    }
}
