//! What does not load is told why.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Place;
use gristmill_loader::{Loader, Wanted};

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_that_are_no_plugin() {
    for (bytes, said) in [
        (&b""[..], "is empty"),
        (b"#!/bin/sh\n", "is a script"),
        (b"MZ\x90", "for Windows"),
        (b"\xcf\xfa\xed\xfe", "for macOS"),
        (b"!<arch>\n", "is a static library"),
        (b"hello", "is no library"),
        (b"\x7fELF\x01", "was built for"),
    ] {
        let place = Place::new();
        place.write("lib.so", bytes);
        let error = place.refused();
        assert!(error.message().contains(said), "{error}");
        assert!(error.message().contains("lib.so"), "{error}");
        assert_eq!(error.option_path(), Some("path"));
    }
}

#[test]
fn libraries_that_are_no_plugin() {
    for (args, said) in [
        (&["-DENTRY=other"][..], "exports no `gristmill_plugin`"),
        (&["-DSECOND"], "holds several plugins: `gristmill_plugin`, `gristmill_plugin_second`"),
        (
            &["-DMAJOR=2", "-DMINOR=3"],
            "was built for version 2.3 of the plugin interface, this program has 1.x",
        ),
        (&["-DMAGIC=7"], "gives a table that is none of a plugin"),
        (&["-DNULL_TABLE"], "gives no table of its kinds"),
        (&["-DNO_KINDS"], "is a plugin without kinds"),
        (&["-DKINDS=100000"], "has a broken list of kinds"),
        (&["-DTWO"], "has two kinds named `pass`"),
        (&["-DNO_PROCESS"], "the kind `pass` has no `process`"),
        (&["-DSHORT"], "a kind has a table of 16 bytes, which is too short"),
        (&["-DNAME=\"a b\""], "`a b` is no name of a kind"),
        (&["-DNAME=\"\""], "`` is no name of a kind"),
        (&["-DNAME=\"\\xff\""], "the name of a kind is not UTF-8"),
        (&["-DSCHEMA=\"[\""], "the options of `pass` have no JSON Schema"),
        (&["-DSCHEMA=\"[]\""], "the options of `pass` have no JSON Schema"),
        (&["-DREADINGS=\"[\""], "the kind `pass`: its readings are no declarations"),
        (
            &[r#"-DREADINGS="[{\"name\":\"x\",\"measure\":\"countr\",\"help\":\"\"}]""#],
            "unknown variant `countr`, expected one of `counter`, `gauge`, `lowest`, `histogram`",
        ),
        (
            &[r#"-DREADINGS="[{\"name\":\"In flight\",\"measure\":\"gauge\",\"help\":\"\"}]""#],
            "the kind `pass`: the reading `In flight` has a name that is not of letters",
        ),
        (&["-DUNDEFINED"], "needs `nobody_has_this`, which no library of it has"),
        (&["object"], "is no shared library"),
    ] {
        let place = Place::new();
        match args {
            ["object"] => {
                let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/pass.c");
                let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../abi/include");
                let status = Command::new("cc")
                    .arg("-c")
                    .arg(format!("-I{}", include.display()))
                    .arg("-o")
                    .args([&place.path().join("lib.so"), &source])
                    .status();
                assert!(status.unwrap().success());
            }
            args => {
                place.compile(args);
            }
        }
        let error = place.refused();
        assert!(error.message().contains(said), "{args:?}: {error}");
    }
}

#[test]
fn a_library_for_another_machine() {
    let place = Place::new();
    let mut bytes = std::fs::read(place.compile(&[])).unwrap();
    bytes[18] = 183;
    place.write("lib.so", bytes);
    let error = place.refused();
    assert!(
        error.message().contains("was built for aarch64 (64 bits), this program for"),
        "{error}"
    );
}

#[test]
fn a_library_that_is_cut_off() {
    let place = Place::new();
    let bytes = std::fs::read(place.compile(&[])).unwrap();
    for length in [64, 100, bytes.len() / 4, bytes.len() / 2] {
        place.write("lib.so", &bytes[..length]);
        let error = place.refused();
        assert!(error.message().contains("lib.so"), "{length}: {error}");
    }
}

#[test]
fn a_library_that_it_needs_is_missing() {
    let place = Place::new();
    let needed = place.path().join("libneeded.so");
    place.write("needed.c", "int needed(void) { return 1; }");
    let mut made = Command::new("cc");
    let made =
        made.args(["-shared", "-fPIC", "-o"]).args([&needed, &place.path().join("needed.c")]);
    assert!(made.status().unwrap().success());
    let folder = format!("-L{}", place.path().display());
    place.compile(&["-Wl,--no-as-needed", &folder, "-lneeded"]);
    std::fs::remove_file(needed).unwrap();
    let error = place.refused();
    assert!(
        error.message().contains("needs the library libneeded.so, which is not there"),
        "{error}"
    );
    assert!(error.help_text().unwrap().contains("LD_LIBRARY_PATH"));
}

#[test]
fn files_that_others_can_write() {
    let place = Place::new();
    let library = place.compile(&[]);
    for (bits, said) in [(0o775, "mode 775"), (0o757, "mode 757")] {
        mode(&library, bits);
        let error = place.refused();
        assert!(error.message().contains("can be written by others"), "{error}");
        assert!(error.message().contains(said), "{error}");
    }
    mode(&library, 0o755);
    mode(place.path(), 0o777);
    assert!(place.refused().message().contains("can be written by others"));
    // Where nobody can replace the file of another.
    mode(place.path(), 0o1777);
    place.open("lib.so").unwrap();
}

#[test]
fn folders_and_links() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("lib.so")).unwrap();
    assert!(place.refused().message().contains("is a folder"));
    let place = Place::new();
    let other = Place::new();
    let library = other.compile(&[]);
    std::os::unix::fs::symlink(&library, place.path().join("lib.so")).unwrap();
    let opened = place.open("lib.so").unwrap();
    assert_eq!(opened.path(), library.canonicalize().unwrap());
    mode(other.path(), 0o777);
    assert!(place.refused().message().contains("can be written by others"));
}

#[test]
fn names_are_searched_for() {
    let (first, second, beside) = (Place::new(), Place::new(), Place::new());
    let library = second.compile(&[]);
    std::fs::rename(&library, second.path().join("libacme.so")).unwrap();
    let search: Vec<PathBuf> = vec![first.path().to_owned(), second.path().to_owned()];
    let open = |path: &str| {
        let wanted = Wanted { path, folder: beside.path(), sha256: None };
        Loader::new(search.clone()).open(wanted)
    };
    for name in ["acme", "libacme.so"] {
        assert!(open(name).unwrap().path().ends_with("libacme.so"));
    }
    let error = open("other").unwrap_err();
    assert_eq!(error.message(), "there is no plugin `other`");
    let help = error.help_text().unwrap();
    assert!(
        help.contains(first.path().to_str().unwrap()) && help.contains("libother.so"),
        "{help}"
    );
    beside.write("libother.so", "");
    assert!(open("other").unwrap_err().help_text().unwrap().contains("write `./libother.so`"));
    let none = Loader::default().open(Wanted { path: "acme", folder: first.path(), sha256: None });
    assert!(none.unwrap_err().help_text().unwrap().contains("GRISTMILL_PLUGIN_PATH"));
}

#[test]
fn a_pin_is_that_of_the_file() {
    let place = Place::new();
    place.compile(&[]);
    let sha256 = place.open("lib.so").unwrap().sha256().to_owned();
    assert_eq!(sha256.len(), 64);
    let open = |pin: &str| {
        let wanted = Wanted { path: "./lib.so", folder: place.path(), sha256: Some(pin) };
        Loader::default().open(wanted)
    };
    open(&sha256).unwrap();
    let error = open(&"0".repeat(64)).unwrap_err();
    assert_eq!(error.option_path(), Some("sha256"));
    assert!(error.help_text().unwrap().contains(&sha256), "{error}");
}
