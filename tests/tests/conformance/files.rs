//! Cases of `read`, `write` and `lookup`.

use std::path::Path;

use arrow_array::RecordBatch;
use gristmill_stage::BatchTarget;
use gristmill_testkit::conformance::Settings;
use gristmill_testkit::{Harness, rows};
use serde_json::{Value, json};

use crate::case::{Case, World};

pub fn cases(world: &World) -> Vec<Case> {
    let mut cases = reads(world);
    cases.extend(columns(world));
    cases.extend(writes(world));
    cases.extend(other_files(world));
    cases.extend(lookups(world));
    cases
}

fn lookups(world: &World) -> Vec<Case> {
    let table = world.file("cities.csv", "id,name,land\n1,Basel,CH\n2,Köln,DE\n3,Lyon,FR\n");
    let row =
        |n: i64| json!({ "n": n, "city": if n % 9 == 8 { json!(null) } else { json!(n % 5) } });
    let input = gristmill_testkit::table(&Value::Array((0..40).map(row).collect())).unwrap();
    let case = |title, missing: &str| {
        let on = json!({ "city": "id" });
        let options = json!({ "table": { "path": table }, "on": on, "missing": missing });
        let settings = Settings::new().ordered().seeds(8);
        Case::new("lookup", title, options).on(&input).with(settings)
    };
    let by_text =
        json!({ "table": { "path": table }, "on": ["name"], "take": { "where": "land" } });
    let names =
        rows!([{ "name": "Lyon" }, { "name": null }, { "name": "Lyo" }, { "name": "Köln" }]);
    vec![
        // Of 40 rows, 24 have a city of the table; three of those have null instead.
        case("nulls for what is missing", "null").gives(40, 0),
        case("rejects what is missing", "reject").gives(21, 19),
        case("drops what is missing", "drop").gives(21, 0),
        Case::new("lookup", "by texts", by_text)
            .on(&names)
            .with(Settings::new().seeds(8))
            .gives(4, 0),
    ]
}

fn reads(world: &World) -> Vec<Case> {
    let mut jsonl: String = (0..40)
        .map(|n| match n % 10 {
            3 => format!("{{ \"n\": {n}, \"s\": null }}\n\n"),
            5 => format!("{{ \"n\": {n}, \"l\": [{n}, null], \"o\": {{ \"x\": {n}.5 }} }}\r\n"),
            7 => format!("{{ \"n\": {n}, \"s\": \"cut\n"),
            _ => format!("{{ \"n\": {n}, \"s\": \"ü {n}\" }}\n"),
        })
        .collect();
    jsonl.push_str("{ \"n\": 99 } { \"n\": 100 }\n{ \"n\": 101 }");
    let jsonl = world.file("in.jsonl", jsonl);
    for part in 1..=4 {
        let line = |n: i32| match n % 6 {
            1 => format!("{n},\"two\r\nlines, \"\"{n}\"\"\",{n}.25,true\r\n"),
            4 => format!("{n},,not a number,false\n"),
            _ => format!("{n},{part},,\n"),
        };
        let lines: String = (0..20).map(line).collect();
        world.file(&format!("part-{part}.csv"), format!("id,text,price,flag\n{lines}"));
    }
    let open = world.file("open.csv", "a;b\n1;\"x\"\n2;\"never closed\n3;y\n");
    let lines = (0..30).map(|n| format!("{n} {}\n", "x".repeat(n))).collect::<String>();
    let lines = world.file("in.log", lines + "no end");
    let tabs = world.file("in.tsv", "1\ta\t2026-01-02\n2\t\t\n3\tc\tno day\n4\td\te\tf\n");
    let columns = json!({ "price": "float64", "id": "int64", "text": "string", "flag": "boolean" });
    let case =
        |title, options| Case::new("read", title, options).with(Settings::new().ordered().seeds(8));
    vec![
        case("JSON lines whose columns are told", json!({ "path": jsonl })).gives(37, 5),
        case(
            "JSON lines with declared columns",
            json!({ "path": jsonl, "columns": { "o": "json", "n": "string", "gone": "date" } }),
        )
        .gives(37, 5),
        case(
            "CSV in several files",
            json!({ "path": world.path("part-*.csv"), "columns": columns }),
        )
        .gives(68, 12),
        case(
            "JSON lines in pieces",
            json!({ "path": jsonl, "columns": { "n": "int64", "l": "json" }, "split": "50B" }),
        )
        .gives(37, 5),
        case(
            "CSV in pieces",
            json!({ "path": world.path("part-*.csv"), "columns": columns, "split": "70B" }),
        )
        .gives(68, 12),
        case("CSV with an open quote", json!({ "path": open, "delimiter": ";" })).gives(1, 1),
        case(
            "TSV without a header",
            json!({
                "path": tabs,
                "header": false,
                "columns": { "n": "int64", "s": "string", "day": "date" },
            }),
        )
        .gives(2, 2),
        // 22 is the first line of more than 24 bytes; its line end does not count.
        case("lines, some too long", json!({ "path": lines, "max_line": "24B", "split": "64B" }))
            .gives(23, 8),
        case("no lines", json!({ "path": world.file("empty.txt", "") })).gives(0, 0),
    ]
}

/// Reads of what `write` has written.
fn columns(world: &World) -> Vec<Case> {
    let settings = || Settings::new().seeds(8).batch(BatchTarget { rows: 4, bytes: 1 << 20 });
    let written = |name: &str, options: Value| {
        let mut options = options;
        options["path"] = json!(world.path(name));
        let kind = crate::registry().get("write").unwrap().clone();
        let schema = table().schema();
        let mut sink = Harness::new().build(kind.as_ref(), &options, Some(&schema)).unwrap();
        sink.run_transform([table()]).unwrap();
        world.path(name)
    };
    let parquet = written("in.parquet", json!({ "row_group": 7 }));
    let arrow = written("in.arrow", json!({ "compression": "lz4" }));
    let gzip = written("in.jsonl.gz", json!({}));
    let zstd = written("in.csv.zst", json!({ "columns": ["n", "x"] }));
    (1..=4).for_each(|n| drop(written(&format!("many-{n}.parquet"), json!({ "row_group": 11 }))));
    let case = |title, options| Case::new("read", title, options);
    vec![
        case("Parquet in row groups", json!({ "path": parquet })).gives(30, 0).with(settings()),
        case("Parquet in several files", json!({ "path": world.path("many-*.parquet") }))
            .gives(120, 0)
            .with(settings()),
        case("Arrow IPC", json!({ "path": arrow })).gives(30, 0).with(settings()).alone(),
        case("gzip", json!({ "path": gzip })).gives(30, 0).with(settings().ordered()).alone(),
        case("Zstandard", json!({ "path": zstd })).gives(30, 0).with(settings().ordered()).alone(),
    ]
}

/// Writes whose files are read again, and are gone afterwards.
fn other_files(world: &World) -> Vec<Case> {
    let case = |title, name: &str, files: &str, mut options: Value| {
        options["path"] = json!(world.path(name));
        let (files, name) = (world.path(files), name.to_owned());
        let settings = Settings::new().seeds(6).effect(move || rows(&name, &files));
        Case::new("write", title, options).on(&table()).with(settings)
    };
    let parted = json!({ "partition_by": ["s"], "columns": ["n", "x"], "open_files": 3 });
    let with = |more: Value| {
        let mut options = parted.clone();
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    let group = json!({ "row_group": 7 });
    vec![
        case("Parquet", "out.parquet", "out.parquet", group).gives(30, 0),
        case("Arrow IPC", "out.arrow", "out.arrow", json!({ "compression": "zstd" })).gives(30, 0),
        case("gzip", "out.jsonl.gz", "out.jsonl.gz", json!({})).gives(30, 0),
        case("Zstandard", "zstd.csv.zst", "zstd.csv.zst", json!({ "columns": ["n", "x"] }))
            .gives(30, 0),
        case("folders by value", "by/o.jsonl", "by/s=*/*", with(json!({}))).gives(30, 0),
        case(
            "folders by value, in files of Parquet that roll",
            "roll/o.parquet",
            "roll/s=*/*",
            with(json!({ "roll": { "rows": 4 }, "row_group": 3 })),
        )
        .gives(30, 0),
        case(
            "files that roll",
            "files/o.csv.gz",
            "files/*",
            json!({ "roll": { "rows": 7 }, "columns": ["n", "x"] }),
        )
        .gives(30, 0),
    ]
}

/// The rows of these files, which are then removed. A file aside that is left over is an error.
fn rows(name: &str, files: &Path) -> Result<Vec<Value>, String> {
    let wrong = |e: gristmill_stage::Error| format!("{name}: {e}");
    let folder = files.parent().unwrap();
    let folder = if folder.ends_with("s=*") { folder.parent().unwrap() } else { folder };
    let kind = crate::registry().get("read").unwrap().clone();
    let text = name.ends_with(".gz") || name.ends_with(".zst") || name.ends_with(".jsonl");
    let mut options = json!({ "path": files });
    if text {
        options["columns"] = json!({ "n": "int64", "x": "float64" });
    }
    let mut source = Harness::new().build(kind.as_ref(), &options, None).map_err(wrong)?;
    source.run_source().map_err(wrong)?;
    let found = gristmill_testkit::json_rows(&source.into_collected().batches).map_err(wrong)?;
    let aside = |folder: &Path| {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).find(|name| name.contains(".tmp-"))
    };
    match name.contains('/') {
        true => std::fs::remove_dir_all(folder),
        false => std::fs::remove_file(files),
    }
    .map_err(|e| e.to_string())?;
    let left = if folder.exists() { aside(folder) } else { None };
    match left {
        Some(left) => Err(format!("{left} is left")),
        None => Ok(found),
    }
}

fn table() -> RecordBatch {
    let list: Vec<Value> = (0..30)
        .map(|n| match n % 5 {
            0 => json!({ "n": n, "s": null, "x": 0.1, "l": [n, null], "o": { "b": true } }),
            1 => json!({ "n": null, "s": "a,\"b\"\nc\t", "x": null, "l": [], "o": null }),
            2 => json!({ "n": n, "s": "", "x": 1e300, "l": null, "o": { "b": null } }),
            _ => json!({ "n": -n, "s": format!("ü{n}"), "x": n, "l": [1], "o": { "b": false } }),
        })
        .collect();
    gristmill_testkit::table(&Value::Array(list)).unwrap()
}

/// The lines of the file, which is as before afterwards, so that a run that writes nothing is seen.
fn lines(path: &Path, before: Option<&str>) -> Result<Vec<Value>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    match before {
        Some(before) => std::fs::write(path, before),
        None => std::fs::remove_file(path),
    }
    .map_err(|e| e.to_string())?;
    Ok(text.split_inclusive('\n').map(|line| json!({ "line": line })).collect())
}

fn writes(world: &World) -> Vec<Case> {
    let case = |title, name: &str, before: Option<&'static str>, mut options: Value| {
        let path = world.path(name);
        if let Some(before) = before {
            world.file(name, before);
        }
        options["path"] = json!(path);
        let settings = Settings::new().ordered().seeds(6).effect(move || lines(&path, before));
        (Case::new("write", title, options).on(&table()), settings)
    };
    let no_rows = Settings::input_schema;
    let done = |(case, settings): (Case, Settings)| case.with(settings);
    let mut cases = vec![
        done(case("JSON lines", "out.jsonl", None, json!({}))).gives(30, 0),
        done(case("over a file", "over.jsonl", Some("old\n"), json!({ "columns": ["s", "n"] })))
            .gives(30, 0),
        // Six texts hold a line end.
        done(case("CSV", "out.csv", None, json!({}))).gives(37, 0),
        done(case(
            "TSV of some columns",
            "out.tsv",
            None,
            json!({ "columns": ["o", "s"], "header": false }),
        ))
        .gives(36, 0),
        done(case(
            "added to a file",
            "more.csv",
            Some("n\n7\n"),
            json!({ "append": true, "columns": ["n"] }),
        ))
        .gives(32, 0),
        done(case(
            "added to no file",
            "new.csv",
            None,
            json!({ "append": true, "columns": ["n"] }),
        ))
        .gives(31, 0),
    ];
    let empty = rows!(table().schema() => []);
    for (name, rows) in [("empty.csv", 1), ("empty.jsonl", 0)] {
        let (case, settings) = case("no rows", name, None, json!({}));
        cases.push(case.on(&empty).with(no_rows(settings, empty.schema())).gives(rows, 0));
    }
    cases
}
