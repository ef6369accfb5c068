//! A host of a later minor, whose tables have more at their ends, works with a plugin that was built for
//! 1.0, and with one that was built for today's.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::ffi::c_void;
use std::path::Path;
use std::sync::Mutex;

use common::Place;
use gristmill_abi::{
    ArrowArray, ArrowSchema, Context, Entry, Failure, FailureBuffer, Grows, Host, Kind, MAGIC, OK,
    Options, Output, Plan, Plugin, Text, Writer, export_batch, export_schema, import_batch,
    read_table,
};
use gristmill_stage::arrow_array::RecordBatch;
use gristmill_testkit::rows;
use libloading::os::unix::{Library, RTLD_NOW};

/// A table as a later minor has it.
#[repr(C)]
struct Later<T> {
    today: T,
    call: Option<unsafe extern "C" fn(handle: *const c_void)>,
    text: Text,
    number: u64,
}

// SAFETY: what came later may be zero.
unsafe impl<T: Grows> Grows for Later<T> {
    const FIRST: usize = T::FIRST;

    unsafe fn told(table: *const Self) -> usize {
        // SAFETY: it begins with the table of today.
        unsafe { T::told(table.cast()) }
    }
}

impl<T> Later<T> {
    /// A table of a later host. A plugin that believed it to end where it does today would be wrong.
    fn new(make: impl FnOnce(usize) -> T) -> Self {
        unsafe extern "C" fn never(_: *const c_void) {
            panic!("it does not know of this");
        }
        let today = make(size_of::<Self>());
        Self { today, call: Some(never), text: Text::new("more"), number: 7 }
    }
}

fn input() -> RecordBatch {
    rows!([{ "n": 1, "t": "a" }, { "n": null, "t": null }, { "n": 3, "t": "c" }])
}

/// The table of a library, as a later host reads it.
fn opened(library: &Path) -> (Later<Plugin>, Later<Kind>) {
    // SAFETY: the library is the fixture, which does nothing when it is loaded.
    let handle = unsafe { Library::open(Some(library), RTLD_NOW) }.unwrap();
    // SAFETY: it is the function that a plugin exports.
    let entry = unsafe { *handle.get::<Entry>("gristmill_plugin").unwrap() };
    let _ = handle.into_raw();
    // SAFETY: the tables stay.
    unsafe {
        let plugin = read_table(entry().cast::<Later<Plugin>>()).unwrap();
        let kind = read_table((*plugin.today.kinds).cast::<Later<Kind>>()).unwrap();
        (plugin, kind)
    }
}

fn options() -> Later<Options> {
    unsafe extern "C" fn missing<T>(_: *const c_void, _: Text, _: *mut T) -> i32 {
        0
    }
    Later::new(|struct_size| Options {
        struct_size,
        json: Text::new("{}"),
        handle: std::ptr::null(),
        text: missing,
        integer: missing,
        number: missing,
        boolean: missing,
    })
}

fn planner(kept: &mut u32) -> Later<Plan> {
    unsafe extern "C" fn keep_input(handle: *mut c_void) {
        // SAFETY: the handle is the number below.
        unsafe { *handle.cast::<u32>() += 1 };
    }
    unsafe extern "C" fn column(_: *mut c_void, _: Text, _: Text, _: i32) {}
    unsafe extern "C" fn schema(handle: *mut c_void, schema: *mut ArrowSchema) {
        // SAFETY: the plugin gives the schema away, and the handle is as above.
        unsafe {
            drop(ArrowSchema::from_raw(schema));
            keep_input(handle);
        }
    }
    unsafe extern "C" fn details(_: *mut c_void, _: Text) {}
    let handle = (&raw mut *kept).cast();
    Later::new(|struct_size| Plan { struct_size, handle, keep_input, column, schema, details })
}

/// What was said of readings, in words.
type Said = Mutex<Vec<String>>;

fn host(said: &Said) -> Later<Host> {
    /// Notes what is said.
    ///
    /// # Safety
    /// The handle must be that of the table below.
    unsafe fn note(handle: *const c_void, words: String) {
        // SAFETY: by the contract of this function.
        unsafe { &*handle.cast::<Said>() }.lock().unwrap().push(words);
    }
    unsafe extern "C" fn reading(handle: *const c_void, name: Text, value: Text) -> i64 {
        // SAFETY: the texts are there, and the handle is that of the table.
        unsafe {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            let known = ["rows", "held"].iter().position(|one| *one == name);
            note(handle, format!("reading {name} {value}"));
            known.map_or(-1, |place| place as i64)
        }
    }
    unsafe extern "C" fn add(handle: *const c_void, reading: i64, more: u64) {
        // SAFETY: the handle is that of the table.
        unsafe { note(handle, format!("add {reading} {more}")) }
    }
    unsafe extern "C" fn set(handle: *const c_void, reading: i64, value: f64) {
        // SAFETY: the handle is that of the table.
        unsafe { note(handle, format!("set {reading} {value}")) }
    }
    unsafe extern "C" fn change(handle: *const c_void, reading: i64, by: f64) {
        // SAFETY: the handle is that of the table.
        unsafe { note(handle, format!("change {reading} {by}")) }
    }
    unsafe extern "C" fn record(handle: *const c_void, reading: i64, value: f64) {
        // SAFETY: the handle is that of the table.
        unsafe { note(handle, format!("record {reading} {value}")) }
    }
    unsafe extern "C" fn nothing(_: *const c_void) {}
    unsafe extern "C" fn now(_: *const c_void) -> u64 {
        0
    }
    unsafe extern "C" fn wall(_: *const c_void) -> i64 {
        0
    }
    unsafe extern "C" fn redact(_: *const c_void, _: Text, _: *const Writer) {}
    Later::new(|struct_size| Host {
        struct_size,
        handle: (&raw const *said).cast(),
        retain: nothing,
        release: nothing,
        wake: nothing,
        now,
        wall,
        redact,
        reading: Some(reading),
        add: Some(add),
        set: Some(set),
        change: Some(change),
        record: Some(record),
    })
}

/// What a stage has put out.
#[derive(Default)]
struct Taken {
    emitted: Vec<ArrowArray>,
    /// The class and the reason of each rejection; no class where none was said.
    rejected: Vec<(Option<i32>, String)>,
}

fn output(taken: &mut Taken) -> Later<Output> {
    unsafe extern "C" fn emit(
        handle: *mut c_void,
        _: u32,
        batch: *mut ArrowArray,
        _: *mut Failure,
    ) -> i32 {
        // SAFETY: the handle is that of the table below, and the plugin gives the array away.
        unsafe { (*handle.cast::<Taken>()).emitted.push(ArrowArray::from_raw(batch)) };
        OK
    }
    unsafe fn take(
        handle: *mut c_void,
        rows: *mut ArrowArray,
        cause: Option<i32>,
        reason: Text,
    ) -> i32 {
        // SAFETY: the handle is that of the table below, and the plugin gives the rows away.
        unsafe {
            drop(ArrowArray::from_raw(rows));
            (*handle.cast::<Taken>()).rejected.push((cause, reason.to_string_lossy()));
        }
        OK
    }
    unsafe extern "C" fn reject(
        handle: *mut c_void,
        rows: *mut ArrowArray,
        _: *mut ArrowSchema,
        reason: Text,
        _: *mut Failure,
    ) -> i32 {
        // SAFETY: the call is that of the table below.
        unsafe { take(handle, rows, None, reason) }
    }
    unsafe extern "C" fn reject_as(
        handle: *mut c_void,
        rows: *mut ArrowArray,
        _: *mut ArrowSchema,
        cause: i32,
        reason: Text,
        _: *mut Failure,
    ) -> i32 {
        // SAFETY: the call is that of the table below.
        unsafe { take(handle, rows, Some(cause), reason) }
    }
    let (handle, reject_as) = ((&raw mut *taken).cast(), Some(reject_as as _));
    Later::new(|struct_size| Output { struct_size, handle, emit, reject, reject_as })
}

/// A failure with more at its end, which no plugin of today may touch.
fn failure(buffer: &mut FailureBuffer) -> Later<Failure> {
    // SAFETY: the buffer is there.
    let today = unsafe { read_table(buffer.ready()) }.unwrap();
    Later::new(|struct_size| Failure { struct_size, ..today })
}

/// Lets a later host plan, open and run a kind, and gives what came out.
fn run(kind: &Kind) -> RecordBatch {
    let mut came = run_in(kind, Age::Later);
    // SAFETY: the fixtures hand their input on.
    unsafe { import_batch(came.taken.emitted.remove(0), &input().schema(), true) }.unwrap()
}

/// How old a host is.
#[derive(Clone, Copy, PartialEq)]
enum Age {
    /// Its tables have more than those of today.
    Later,
    /// Its tables end where those of 1.0 did, and what stands behind them is none of theirs.
    First,
}

/// What came of a run.
struct Came {
    taken: Taken,
    said: Vec<String>,
}

/// Lets a host plan, open and run a kind.
fn run_in(kind: &Kind, age: Age) -> Came {
    let input = input();
    let schema = export_schema(&input.schema()).unwrap();
    let said = Said::default();
    let (options, mut host, mut kept) = (options(), host(&said), 0);
    let plan = planner(&mut kept);
    let mut buffer = FailureBuffer::new();
    let mut failure = failure(&mut buffer);
    let mut taken = Taken::default();
    let mut out = output(&mut taken);
    if age == Age::First {
        (host.today.struct_size, out.today.struct_size) = (Host::FIRST, Output::FIRST);
    }
    let context = Later::new(|struct_size| Context {
        struct_size,
        stage: Text::new("later"),
        instance: 0,
        instances: 1,
        input: &raw const schema,
        output: &raw const schema,
        batch_rows: 8192,
        batch_bytes: 1 << 20,
        ordered: 0,
        resumable: 0,
        hints: Text::new("[]"),
        origins: Text::new("{}"),
        restored: std::ptr::null(),
        host: &raw const host.today,
    });
    let mut stage = std::ptr::null_mut();
    let mut array = export_batch(input.clone());
    let (options, failed) = (&raw const options.today, &raw mut failure.today);
    // SAFETY: all tables live until the stage is closed.
    unsafe {
        assert_eq!(
            kind.plan.unwrap()(options, &raw const schema, &raw const plan.today, failed),
            OK
        );
        let opened = kind.open.unwrap()(options, &raw const context.today, &raw mut stage, failed);
        assert_eq!(opened, OK, "{}", buffer.error());
        let done = kind.process.unwrap()(stage, &raw mut array, &raw const out.today, failed);
        assert_eq!(done, OK, "{}", buffer.error());
        kind.close.unwrap()(stage);
    }
    assert_eq!((kept, failure.number), (1, 7));
    Came { taken, said: said.into_inner().unwrap() }
}

/// The header and the plugin of 1.0 as they were.
#[test]
fn a_later_host_runs_the_plugin_of_the_oldest_minor() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/frozen-1.0");
    let place = Place::new();
    let library = place.compile_with(&frozen.join("pass.c"), &frozen, &[]);
    let (plugin, kind) = opened(&library);
    assert_eq!((plugin.today.magic, plugin.today.struct_size), (MAGIC, Plugin::FIRST));
    assert_eq!(kind.today.struct_size, Kind::FIRST);
    // What it does not have is missing, whatever stands behind its tables.
    assert!(plugin.call.is_none() && kind.call.is_none());
    assert_eq!((plugin.number, kind.number), (0, 0));
    assert_eq!(run(&kind.today), input());
}

mod pass {
    use gristmill_stage::arrow_schema::SchemaRef;
    use gristmill_stage::{
        BuildContext, Cause, Error, Output, Planned, Reading, Readout, Result, Role, Stage,
        StageSpec, Transform,
    };

    /// Hands its input on, counts it, and rejects it as well.
    pub struct Pass {
        rows: Readout,
        held: Readout,
    }

    impl StageSpec for Pass {
        type Options = serde_json::Value;

        const KIND: &'static str = "pass";
        const SUMMARY: &'static str = "Hands its input on.";
        const ROLE: Role = Role::Transform;
        const EXAMPLE: &'static str = "type: pass";
        const INPUT: &'static str = "any";
        const OUTPUT: &'static str = "the same";
        const READINGS: &'static [Reading] =
            &[Reading::counter("rows", "Rows."), Reading::gauge("held", "What is held.")];

        fn plan(_: &Self::Options, input: Option<&SchemaRef>) -> Result<Planned> {
            Ok(Planned::emits(input.cloned().ok_or_else(|| Error::schema("no input"))?))
        }

        fn build(_: Self::Options, context: BuildContext) -> Result<Stage> {
            let (rows, held) = (context.reading("rows")?, context.reading("held")?);
            Ok(Stage::transform(Self { rows, held }))
        }
    }

    impl Transform for Pass {
        fn process(
            &mut self,
            rows: gristmill_stage::arrow_array::RecordBatch,
            out: &mut dyn Output,
        ) -> Result<()> {
            let _held = self.held.hold();
            self.rows.add(rows.num_rows() as u64);
            out.reject_as(rows.slice(0, 1), Cause::Late, "too late")?;
            out.emit(rows)
        }
    }
}

/// A plugin in Rust reads the tables of the host as far as it knows them.
#[test]
fn a_later_host_runs_a_plugin_of_today() {
    assert_eq!(run(&gristmill_abi::private::kind::<pass::Pass>()), input());
}

/// What the kinds below declare.
const DECLARED: &str = "-DREADINGS=\"[]\"";

#[test]
fn a_host_hears_of_readings_and_classes() {
    let kind = gristmill_abi::private::kind::<pass::Pass>();
    let Came { taken, said } = run_in(&kind, Age::Later);
    let words = ["reading rows ", "reading held ", "change 1 1", "add 0 3", "change 1 -1"];
    assert_eq!(said, words);
    assert_eq!(taken.rejected, [(Some(2), "too late".to_owned())]);
    let place = Place::new();
    let (_, kind) = opened(&place.compile(&[DECLARED, "-DREJECTS_AS=GRISTMILL_CAUSE_REFUSED"]));
    let Came { taken, said } = run_in(&kind.today, Age::Later);
    let asked = ["reading rows ", "reading held ", "reading side left", "reading took "];
    assert_eq!(said[..4], asked);
    assert_eq!(said[4..], ["add 0 3", "set 1 7", "change 1 -2"]);
    assert_eq!(taken.rejected, [(Some(3), "not today".to_owned())]);
}

/// It has no calls for what came in 1.1: a plugin does without.
#[test]
fn a_host_of_the_oldest_minor_runs_plugins_of_today() {
    let kind = gristmill_abi::private::kind::<pass::Pass>();
    let Came { taken, said } = run_in(&kind, Age::First);
    assert_eq!((said.len(), taken.emitted.len()), (0, 1));
    assert_eq!(taken.rejected, [(None, "too late".to_owned())]);
    let place = Place::new();
    let (_, kind) = opened(&place.compile(&[DECLARED, "-DREJECTS_AS=GRISTMILL_CAUSE_REFUSED"]));
    let Came { taken, said } = run_in(&kind.today, Age::First);
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(taken.rejected, [(None, "not today".to_owned())]);
}

/// Tables of a host that has more are taken; of one that has less than 1.0, they are not.
#[test]
fn a_host_with_less_than_the_oldest_minor_is_refused() {
    let kind = gristmill_abi::private::kind::<pass::Pass>();
    let mut options = options();
    options.today.struct_size = Options::FIRST - 1;
    let mut kept = 0;
    let plan = planner(&mut kept);
    let schema = export_schema(&input().schema()).unwrap();
    let mut failure = FailureBuffer::new();
    let options = &raw const options.today;
    // SAFETY: all tables live until the call returns.
    let code = unsafe {
        kind.plan.unwrap()(options, &raw const schema, &raw const plan.today, failure.ready())
    };
    assert_ne!(code, OK);
    let said = failure.error().to_string();
    let short = format!("a table of {} bytes, which is too short", Options::FIRST - 1);
    assert!(said.contains(&short), "{said}");
}
