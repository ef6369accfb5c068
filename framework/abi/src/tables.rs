//! The tables. `include/gristmill.h` is their description, for every language; a test holds the two
//! together. New fields go to the end of a table, and [`MINOR`] grows.

use std::ffi::c_void;

pub use arrow_data::ffi::FFI_ArrowArray as ArrowArray;
pub use arrow_schema::ffi::FFI_ArrowSchema as ArrowSchema;

pub use crate::numbers::{FAILED, NEVER, OK, cause, next, role};
pub use crate::text::{Buffer, MOST_WRITTEN, Text, Writer};

/// What every plugin begins with: "gristmil" in ASCII.
pub const MAGIC: u64 = u64::from_be_bytes(*b"gristmil");
/// Version of the tables: both sides must have the same.
pub const MAJOR: u32 = 1;
/// Version of the tables: grows with every field that is added.
pub const MINOR: u32 = 1;
/// The function that a plugin exports, or the beginning of its name, with `_` and a name of its own.
pub const ENTRY: &str = "gristmill_plugin";

/// Signature of the function that a plugin exports.
pub type Entry = unsafe extern "C" fn() -> *const Plugin;

/// A library with kinds of stages.
#[repr(C)]
#[derive(Debug)]
pub struct Plugin {
    /// [`MAGIC`].
    pub magic: u64,
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// [`MAJOR`].
    pub major: u32,
    /// [`MINOR`].
    pub minor: u32,
    /// Name and version of the plugin.
    pub software: Text,
    /// The kinds.
    pub kinds: *const *const Kind,
    /// How many.
    pub kind_count: usize,
}

// SAFETY: a plugin's table is constant, and so is all that it points to.
unsafe impl Sync for Plugin {}

/// A kind of stage.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// See [`role`].
    pub role: i32,
    /// Zero.
    pub reserved: i32,
    /// The word after `type:`.
    pub name: Text,
    /// What it does, in one line.
    pub summary: Text,
    /// A stage of this kind in YAML.
    pub example: Text,
    /// The columns it takes, in words.
    pub input: Text,
    /// The columns it emits, in words.
    pub output: Text,
    /// Writes the JSON Schema of the options.
    pub options_schema: Option<unsafe extern "C" fn(out: *const Writer)>,
    /// Checks options against the input, which is null for a source, and says what comes out.
    pub plan: Option<
        unsafe extern "C" fn(
            options: *const Options,
            input: *const ArrowSchema,
            plan: *const Plan,
            failure: *mut Failure,
        ) -> i32,
    >,
    /// Makes one worker.
    pub open: Option<
        unsafe extern "C" fn(
            options: *const Options,
            context: *const Context,
            stage: *mut *mut c_void,
            failure: *mut Failure,
        ) -> i32,
    >,
    /// Frees a worker.
    pub close: Option<unsafe extern "C" fn(stage: *mut c_void)>,
    /// A batch has come. Its owner is the stage from now on.
    pub process: Option<
        unsafe extern "C" fn(
            stage: *mut c_void,
            batch: *mut ArrowArray,
            out: *const Output,
            failure: *mut Failure,
        ) -> i32,
    >,
    /// The time has come, or the stage was woken.
    pub wake: Option<Act>,
    /// The input has ended.
    pub finish: Option<Act>,
    /// Whether it takes input now; if missing, it does.
    pub ready: Option<unsafe extern "C" fn(stage: *mut c_void) -> i32>,
    /// Whether it needs no more input; if missing, it does.
    pub done: Option<unsafe extern "C" fn(stage: *mut c_void) -> i32>,
    /// Whether rows will come out without further input; if missing, they will not.
    pub holding: Option<unsafe extern "C" fn(stage: *mut c_void) -> i32>,
    /// When to wake it, in nanoseconds of the run, or [`NEVER`].
    pub wake_at: Option<unsafe extern "C" fn(stage: *mut c_void) -> u64>,
    /// A source emits its next rows.
    pub poll: Option<
        unsafe extern "C" fn(
            stage: *mut c_void,
            out: *const Output,
            next: *mut Next,
            failure: *mut Failure,
        ) -> i32,
    >,
    /// The run is to end: writes whether the source must be polled until it is done.
    pub stop: Option<
        unsafe extern "C" fn(stage: *mut c_void, poll_on: *mut i32, failure: *mut Failure) -> i32,
    >,
    /// Writes what another worker needs to go on from here.
    pub snapshot: Option<
        unsafe extern "C" fn(
            stage: *mut c_void,
            state: *const StateWriter,
            failure: *mut Failure,
        ) -> i32,
    >,
    /// The snapshot of this epoch is durable.
    pub committed:
        Option<unsafe extern "C" fn(stage: *mut c_void, epoch: u64, failure: *mut Failure) -> i32>,
    /// Writes its readings as a JSON list of [`Declared`](gristmill_stage::reading::Declared). Since 1.1.
    pub readings: Option<unsafe extern "C" fn(out: *const Writer)>,
}

/// A call in which a stage may put rows out.
pub type Act =
    unsafe extern "C" fn(stage: *mut c_void, out: *const Output, failure: *mut Failure) -> i32;

// SAFETY: a kind's table is constant, and so is all that it points to.
unsafe impl Sync for Kind {}

/// Why a call failed: buffers of the caller that the callee fills.
#[repr(C)]
#[derive(Debug)]
pub struct Failure {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// The class of the error, see [`number_of`](crate::number_of).
    pub kind: i32,
    /// 1 if `option` says which option is to blame; its path may be empty, for the whole of `with`.
    pub has_option: i32,
    /// The sentence for people.
    pub message: Buffer,
    /// The path of the option that is to blame.
    pub option: Buffer,
    /// The input column that is to blame.
    pub column: Buffer,
    /// What would be right.
    pub help: Buffer,
}

/// The options of a stage.
#[repr(C)]
#[derive(Debug)]
pub struct Options {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// All of them as JSON.
    pub json: Text,
    /// The first argument of what follows.
    pub handle: *const c_void,
    /// Reads a text at a path: 1 if it is there, 0 if not, -1 if it is something else.
    pub text: unsafe extern "C" fn(handle: *const c_void, path: Text, value: *mut Text) -> i32,
    /// Reads a whole number.
    pub integer: unsafe extern "C" fn(handle: *const c_void, path: Text, value: *mut i64) -> i32,
    /// Reads a number.
    pub number: unsafe extern "C" fn(handle: *const c_void, path: Text, value: *mut f64) -> i32,
    /// Reads a boolean, as 0 or 1.
    pub boolean: unsafe extern "C" fn(handle: *const c_void, path: Text, value: *mut i32) -> i32,
}

/// Takes what a kind plans. The first wrong thing that it is given fails the plan.
#[repr(C)]
#[derive(Debug)]
pub struct Plan {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// The first argument of what follows.
    pub handle: *mut c_void,
    /// All columns of the input come out, at this place among the columns.
    pub keep_input: unsafe extern "C" fn(handle: *mut c_void),
    /// A column comes out, with its type as a format string of the Arrow C Data Interface.
    pub column: unsafe extern "C" fn(handle: *mut c_void, name: Text, format: Text, nullable: i32),
    /// The columns of this schema come out. It is taken over.
    pub schema: unsafe extern "C" fn(handle: *mut c_void, schema: *mut ArrowSchema),
    /// All else about the plan as JSON, see [`Details`](crate::Details).
    pub details: unsafe extern "C" fn(handle: *mut c_void, json: Text),
}

/// What one worker is told when it is opened.
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// The name of the stage in the pipeline.
    pub stage: Text,
    /// Which worker this is, from 0.
    pub instance: u64,
    /// How many there are.
    pub instances: u64,
    /// Columns of the batches that come; null for a source.
    pub input: *const ArrowSchema,
    /// Columns of the batches to emit.
    pub output: *const ArrowSchema,
    /// Rows in an emitted batch, at the most.
    pub batch_rows: u64,
    /// Bytes in an emitted batch, about.
    pub batch_bytes: u64,
    /// Whether output must come in the order of the input.
    pub ordered: i32,
    /// Whether another run may go on from its snapshots.
    pub resumable: i32,
    /// Comparisons of output columns as a JSON list.
    pub hints: Text,
    /// Addresses that exist only during this run, as a JSON object.
    pub origins: Text,
    /// The snapshot to go on from; null if there is none.
    pub restored: *const Restored,
    /// The run.
    pub host: *const Host,
}

/// The run, as a stage sees it. All calls may come from any thread.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// The first argument of what follows.
    pub handle: *const c_void,
    /// Keeps the table alive beyond the stage, once more.
    pub retain: unsafe extern "C" fn(handle: *const c_void),
    /// Lets go of it.
    pub release: unsafe extern "C" fn(handle: *const c_void),
    /// Wakes the stage: its `wake` or `poll` is called soon.
    pub wake: unsafe extern "C" fn(handle: *const c_void),
    /// Nanoseconds since the run began.
    pub now: unsafe extern "C" fn(handle: *const c_void) -> u64,
    /// Nanoseconds since 1970.
    pub wall: unsafe extern "C" fn(handle: *const c_void) -> i64,
    /// Writes a text without the secrets of the pipeline.
    pub redact: unsafe extern "C" fn(handle: *const c_void, text: Text, out: *const Writer),
    /// The number of a reading, or of one value of its label, for the calls that follow; -1 if there is
    /// none. Since 1.1, as are they.
    pub reading:
        Option<unsafe extern "C" fn(handle: *const c_void, name: Text, value: Text) -> i64>,
    /// A counter grows.
    pub add: Option<unsafe extern "C" fn(handle: *const c_void, reading: i64, more: u64)>,
    /// A gauge is this from now on.
    pub set: Option<SetReading>,
    /// A gauge is so much more from now on, or less.
    pub change: Option<SetReading>,
    /// A histogram takes a value.
    pub record: Option<SetReading>,
}

/// A call that says something of a reading.
pub type SetReading = unsafe extern "C" fn(handle: *const c_void, reading: i64, value: f64);

/// Where a stage puts its rows during a call.
#[repr(C)]
#[derive(Debug)]
pub struct Output {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// The first argument of what follows.
    pub handle: *mut c_void,
    /// Hands on a batch of the planned schema, by one of the outputs. It is taken over in any case.
    pub emit: unsafe extern "C" fn(
        handle: *mut c_void,
        port: u32,
        batch: *mut ArrowArray,
        failure: *mut Failure,
    ) -> i32,
    /// Sends rows to the dead letters. A schema of null means that of the input. Both are taken over
    /// in any case.
    pub reject: unsafe extern "C" fn(
        handle: *mut c_void,
        rows: *mut ArrowArray,
        schema: *mut ArrowSchema,
        reason: Text,
        failure: *mut Failure,
    ) -> i32,
    /// The same with the class of the reason, see [`cause`]. Since 1.1.
    pub reject_as: Option<
        unsafe extern "C" fn(
            handle: *mut c_void,
            rows: *mut ArrowArray,
            schema: *mut ArrowSchema,
            cause: i32,
            reason: Text,
            failure: *mut Failure,
        ) -> i32,
    >,
}

/// When a source wants to be polled again.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Next {
    /// See [`next`].
    pub when: i32,
    /// Zero.
    pub reserved: i32,
    /// The time, in nanoseconds of the run.
    pub at: u64,
}

/// Takes a snapshot. A stage that calls nothing of it has no state.
#[repr(C)]
#[derive(Debug)]
pub struct StateWriter {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// The first argument of what follows.
    pub handle: *mut c_void,
    /// The version of the layout; the state may have no parts.
    pub version: unsafe extern "C" fn(handle: *mut c_void, version: u32),
    /// Adds a named batch. Schema and rows are taken over.
    pub part: unsafe extern "C" fn(
        handle: *mut c_void,
        name: Text,
        schema: *mut ArrowSchema,
        rows: *mut ArrowArray,
    ),
    /// The state is one text.
    pub value: unsafe extern "C" fn(handle: *mut c_void, version: u32, value: Text),
}

/// A snapshot to go on from.
#[repr(C)]
#[derive(Debug)]
pub struct Restored {
    /// Size of this table in bytes.
    pub struct_size: usize,
    /// The version of its layout.
    pub version: u32,
    /// 1 if it is one text, which then stands in `value`.
    pub has_value: i32,
    /// The text.
    pub value: Text,
    /// The parts. A stage may move the rows out.
    pub parts: *mut Part,
    /// How many.
    pub part_count: usize,
}

/// A named batch of a snapshot.
#[repr(C)]
#[derive(Debug)]
pub struct Part {
    /// Its name.
    pub name: Text,
    /// Its columns.
    pub schema: ArrowSchema,
    /// Its rows.
    pub rows: ArrowArray,
}
