//! `gristmill.h` says the same as the tables in Rust: a C compiler is asked for every size and offset.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

use std::fmt::Write;
use std::mem::offset_of;
use std::process::Command;

use gristmill_abi as abi;

/// A field of a table: its name in C, its offset in Rust.
type Field = (&'static str, usize);

macro_rules! table {
    ($type:ty as $name:literal: $($field:ident),+ $(,)?) => {
        ($name, size_of::<$type>(), vec![$((stringify!($field), offset_of!($type, $field))),+])
    };
}

fn tables() -> Vec<(&'static str, usize, Vec<Field>)> {
    vec![
        table!(abi::ArrowArray as "ArrowArray": length, null_count, offset, n_buffers, n_children,
            buffers, children, dictionary, release, private_data),
        table!(abi::Plugin as "GristmillPlugin": magic, struct_size, major, minor, software, kinds,
            kind_count),
        table!(abi::Kind as "GristmillKind": struct_size, role, reserved, name, summary, example,
            input, output, options_schema, plan, open, close, process, wake, finish, ready, done,
            holding, wake_at, poll, stop, snapshot, committed, readings),
        table!(abi::Failure as "GristmillFailure": struct_size, kind, has_option, message, option,
            column, help),
        table!(abi::Options as "GristmillOptions": struct_size, json, handle, text, integer, number,
            boolean),
        table!(abi::Plan as "GristmillPlan": struct_size, handle, keep_input, column, schema, details),
        table!(abi::Context as "GristmillContext": struct_size, stage, instance, instances, input,
            output, batch_rows, batch_bytes, ordered, resumable, hints, origins, restored, host),
        table!(abi::Host as "GristmillHost": struct_size, handle, retain, release, wake, now, wall,
            redact, reading, add, set, change, record),
        table!(abi::Output as "GristmillOutput": struct_size, handle, emit, reject,
            reject_as),
        table!(abi::Next as "GristmillNext": when, reserved, at),
        table!(abi::StateWriter as "GristmillStateWriter": struct_size, handle, version, part, value),
        table!(abi::Restored as "GristmillRestored": struct_size, version, has_value, value, parts,
            part_count),
        table!(abi::Part as "GristmillPart": name, schema, rows),
        // Their fields are private.
        ("GristmillText", size_of::<abi::Text>(), vec![("data", 0), ("size", 8)]),
        (
            "GristmillBuffer",
            size_of::<abi::Buffer>(),
            vec![("data", 0), ("capacity", 8), ("size", 16)],
        ),
        ("GristmillWriter", size_of::<abi::Writer>(), vec![("handle", 0), ("write", 8)]),
        ("ArrowSchema", size_of::<abi::ArrowSchema>(), vec![("format", 0), ("release", 56)]),
    ]
}

fn constants() -> Vec<(&'static str, u64)> {
    let number = |kind| abi::number_of(kind) as u64;
    use gristmill_stage::ErrorKind as Kind;
    vec![
        ("GRISTMILL_MAGIC", abi::MAGIC),
        ("GRISTMILL_MAJOR", abi::MAJOR.into()),
        ("GRISTMILL_MINOR", abi::MINOR.into()),
        ("GRISTMILL_OK", abi::OK as u64),
        ("GRISTMILL_FAILED", abi::FAILED as u64),
        ("GRISTMILL_NEVER", abi::NEVER),
        ("GRISTMILL_SOURCE", abi::role::SOURCE as u64),
        ("GRISTMILL_TRANSFORM", abi::role::TRANSFORM as u64),
        ("GRISTMILL_SINK", abi::role::SINK as u64),
        ("GRISTMILL_NEXT_NOW", abi::next::NOW as u64),
        ("GRISTMILL_NEXT_AT", abi::next::AT as u64),
        ("GRISTMILL_NEXT_WAIT", abi::next::WAIT as u64),
        ("GRISTMILL_NEXT_DONE", abi::next::DONE as u64),
        ("GRISTMILL_CAUSE_DATA", abi::cause::DATA as u64),
        ("GRISTMILL_CAUSE_IO", abi::cause::IO as u64),
        ("GRISTMILL_CAUSE_LATE", abi::cause::LATE as u64),
        ("GRISTMILL_CAUSE_REFUSED", abi::cause::REFUSED as u64),
        ("GRISTMILL_ERROR_OPTIONS", number(Kind::Options)),
        ("GRISTMILL_ERROR_SCHEMA", number(Kind::Schema)),
        ("GRISTMILL_ERROR_DATA", number(Kind::Data)),
        ("GRISTMILL_ERROR_IO", number(Kind::Io)),
        ("GRISTMILL_ERROR_CLOSED", number(Kind::Closed)),
        ("GRISTMILL_ERROR_RESTORE", number(Kind::Restore)),
        ("GRISTMILL_ERROR_PANIC", number(Kind::Panic)),
        ("GRISTMILL_ERROR_INTERNAL", number(Kind::Internal)),
    ]
}

/// The classes by which rows are rejected have the numbers of the contract.
#[test]
fn causes_are_those_of_the_contract() {
    use gristmill_stage::Cause;
    let known = [abi::cause::DATA, abi::cause::IO, abi::cause::LATE, abi::cause::REFUSED];
    let said = known.map(|number| Cause::said(number as u64));
    assert_eq!(said, [Cause::Data, Cause::Io, Cause::Late, Cause::Refused]);
    assert_eq!(said.map(|cause| cause as i32), known);
    // That children died is not for a stage to say.
    assert_eq!(Cause::said(Cause::Died as u64), Cause::Data);
}

/// A program that prints all of that as C sees it, in the same order.
fn program() -> String {
    let mut text = "#include <stdio.h>\n#include \"gristmill.h\"\nint main(void) {\n".to_owned();
    let mut print = |name: &str, value: &str| {
        writeln!(text, "  printf(\"{name} %llu\\n\", (unsigned long long)({value}));").unwrap();
    };
    for (table, _, fields) in tables() {
        print(table, &format!("sizeof(struct {table})"));
        for (field, _) in fields {
            print(&format!("{table}.{field}"), &format!("offsetof(struct {table}, {field})"));
        }
    }
    constants().iter().for_each(|(name, _)| print(name, name));
    text + "  return 0;\n}\n"
}

#[test]
fn sizes_offsets_and_numbers_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (source, program_file) = (folder.path().join("layout.c"), folder.path().join("layout"));
    std::fs::write(folder.path().join("gristmill.h"), abi::HEADER).unwrap();
    std::fs::write(&source, program()).unwrap();
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
        .args([&program_file, &source])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(&program_file).output().unwrap();
    let mut expected = String::new();
    for (table, size, fields) in tables() {
        writeln!(expected, "{table} {size}").unwrap();
        for (field, offset) in fields {
            writeln!(expected, "{table}.{field} {offset}").unwrap();
        }
    }
    for (name, value) in constants() {
        writeln!(expected, "{name} {value}").unwrap();
    }
    assert_eq!(String::from_utf8_lossy(&printed.stdout), expected);
}

/// Every field of the header is one that the test above asks for.
#[test]
fn no_field_of_the_header_is_forgotten() {
    let known: Vec<_> = tables();
    for (table, _, fields) in known.iter().filter(|(table, ..)| table.starts_with("Grist")) {
        let start = abi::HEADER.find(&format!("struct {table} {{\n")).expect(table);
        let body = &abi::HEADER[start..];
        let body = &body[..body.find("\n};").unwrap()];
        let mut code = String::new();
        let mut rest = body;
        while let Some(at) = rest.find("/*") {
            code.push_str(&rest[..at]);
            rest = &rest[at..][rest[at..].find("*/").unwrap() + 2..];
        }
        code.push_str(rest);
        let declared = code.matches(';').count();
        assert_eq!(declared, fields.len(), "{table}: {code}");
    }
}

/// What every later minor asks for at least is what 1.0 had. The header of 1.0 never changes.
#[test]
fn the_first_sizes_are_those_of_the_frozen_header() {
    use abi::Grows;
    let sizes = [
        ("GristmillPlugin", abi::Plugin::FIRST),
        ("GristmillKind", abi::Kind::FIRST),
        ("GristmillFailure", abi::Failure::FIRST),
        ("GristmillOptions", abi::Options::FIRST),
        ("GristmillPlan", abi::Plan::FIRST),
        ("GristmillContext", abi::Context::FIRST),
        ("GristmillHost", abi::Host::FIRST),
        ("GristmillOutput", abi::Output::FIRST),
        ("GristmillStateWriter", abi::StateWriter::FIRST),
        ("GristmillRestored", abi::Restored::FIRST),
    ];
    let mut source = "#include <gristmill.h>\n".to_owned();
    for (table, size) in sizes {
        writeln!(source, "_Static_assert(sizeof(struct {table}) == {size}, \"{table}\");").unwrap();
    }
    let fixed = [
        ("GristmillText", size_of::<abi::Text>()),
        ("GristmillBuffer", size_of::<abi::Buffer>()),
        ("GristmillWriter", size_of::<abi::Writer>()),
        ("GristmillNext", size_of::<abi::Next>()),
        ("GristmillPart", size_of::<abi::Part>()),
    ];
    for (table, size) in fixed {
        writeln!(source, "_Static_assert(sizeof(struct {table}) == {size}, \"{table}\");").unwrap();
    }
    compile(&source, "../loader/tests/c/frozen-1.0");
}

/// The macro for fields that came later.
#[test]
fn whether_a_table_has_a_field_can_be_asked() {
    let source = "#include <gristmill.h>\n\
         int has(const struct GristmillHost *host) { return GRISTMILL_HAS(host, record); }\n\
         int main(void) {\n\
           struct GristmillHost host = {0};\n\
           host.struct_size = sizeof host;\n\
           if (!has(&host)) return 1;\n\
           host.struct_size -= 1;\n\
           return has(&host) ? 2 : 0;\n\
         }\n";
    let (_folder, program) = compile(source, "include");
    assert!(Command::new(program).status().unwrap().success());
}

/// Compiles a program, or, without `main`, an object, against a header in a folder of this crate.
fn compile(source: &str, include: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (file, program) = (folder.path().join("asked.c"), folder.path().join("asked"));
    std::fs::write(&file, source).unwrap();
    let include = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(include);
    let mut cc = Command::new("cc");
    if !source.contains("int main") {
        cc.arg("-c");
    }
    let compiled = cc
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
        .args([&program, &file])
        .arg(format!("-I{}", include.display()))
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    (folder, program)
}
