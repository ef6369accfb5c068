//! A host of a later minor, whose tables have more at their ends, works with a plugin that was built for
//! 1.0, and with one that was built for today's.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::ffi::c_void;
use std::path::Path;

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

fn host() -> Later<Host> {
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
        handle: std::ptr::null(),
        retain: nothing,
        release: nothing,
        wake: nothing,
        now,
        wall,
        redact,
    })
}

fn output(out: &mut Vec<ArrowArray>) -> Later<Output> {
    unsafe extern "C" fn emit(
        handle: *mut c_void,
        _: u32,
        batch: *mut ArrowArray,
        _: *mut Failure,
    ) -> i32 {
        // SAFETY: the handle is the list below, and the plugin gives the array away.
        unsafe { (*handle.cast::<Vec<ArrowArray>>()).push(ArrowArray::from_raw(batch)) };
        OK
    }
    unsafe extern "C" fn reject(
        _: *mut c_void,
        _: *mut ArrowArray,
        _: *mut ArrowSchema,
        _: Text,
        _: *mut Failure,
    ) -> i32 {
        OK
    }
    let handle = (&raw mut *out).cast();
    Later::new(|struct_size| Output { struct_size, handle, emit, reject })
}

/// A failure with more at its end, which no plugin of today may touch.
fn failure(buffer: &mut FailureBuffer) -> Later<Failure> {
    // SAFETY: the buffer is there.
    let today = unsafe { read_table(buffer.ready()) }.unwrap();
    Later::new(|struct_size| Failure { struct_size, ..today })
}

/// Lets a later host plan, open and run a kind, and gives what came out.
fn run(kind: &Kind) -> RecordBatch {
    let input = input();
    let schema = export_schema(&input.schema()).unwrap();
    let (options, host, mut kept) = (options(), host(), 0);
    let plan = planner(&mut kept);
    let mut buffer = FailureBuffer::new();
    let mut failure = failure(&mut buffer);
    let mut emitted = Vec::new();
    let out = output(&mut emitted);
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
        let taken = kind.process.unwrap()(stage, &raw mut array, &raw const out.today, failed);
        assert_eq!(taken, OK, "{}", buffer.error());
        kind.close.unwrap()(stage);
    }
    assert_eq!((kept, failure.number), (1, 7));
    // SAFETY: the fixture hands its input on.
    unsafe { import_batch(emitted.remove(0), &input.schema(), true) }.unwrap()
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
        BuildContext, Error, Output, Planned, Result, Role, Stage, StageSpec, Transform,
    };

    pub struct Pass;

    impl StageSpec for Pass {
        type Options = serde_json::Value;

        const KIND: &'static str = "pass";
        const SUMMARY: &'static str = "Hands its input on.";
        const ROLE: Role = Role::Transform;
        const EXAMPLE: &'static str = "type: pass";
        const INPUT: &'static str = "any";
        const OUTPUT: &'static str = "the same";

        fn plan(_: &Self::Options, input: Option<&SchemaRef>) -> Result<Planned> {
            Ok(Planned::emits(input.cloned().ok_or_else(|| Error::schema("no input"))?))
        }

        fn build(_: Self::Options, _: BuildContext) -> Result<Stage> {
            Ok(Stage::transform(Self))
        }
    }

    impl Transform for Pass {
        fn process(
            &mut self,
            rows: gristmill_stage::arrow_array::RecordBatch,
            out: &mut dyn Output,
        ) -> Result<()> {
            out.emit(rows)
        }
    }
}

/// A plugin in Rust reads the tables of the host as far as it knows them.
#[test]
fn a_later_host_runs_a_plugin_of_today() {
    assert_eq!(run(&gristmill_abi::private::kind::<pass::Pass>()), input());
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
