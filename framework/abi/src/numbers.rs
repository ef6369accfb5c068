//! Numbers that stand for words in the tables.

/// Roles of a kind.
pub mod role {
    /// Starts data.
    pub const SOURCE: i32 = 1;
    /// Has input and output.
    pub const TRANSFORM: i32 = 2;
    /// Only takes.
    pub const SINK: i32 = 3;
}

/// When a source wants to be polled again.
pub mod next {
    /// As soon as there is room.
    pub const NOW: i32 = 0;
    /// At a time.
    pub const AT: i32 = 1;
    /// When it is woken.
    pub const WAIT: i32 = 2;
    /// Never.
    pub const DONE: i32 = 3;
}

/// Classes of the reasons for which rows are rejected; another number counts as the data.
pub mod cause {
    /// Something in the row is missing, or not as it must be.
    pub const DATA: i32 = 0;
    /// Something outside has failed.
    pub const IO: i32 = 1;
    /// It came too late.
    pub const LATE: i32 = 2;
    /// Whoever should take it has refused it.
    pub const REFUSED: i32 = 3;
}

/// What a call that can fail returns when it did not.
pub const OK: i32 = 0;
/// What it returns when it did; the [`Failure`](crate::Failure) says why.
pub const FAILED: i32 = 1;
/// A time that does not come.
pub const NEVER: u64 = u64::MAX;
