//! Libraries made by a C compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gristmill_loader::{Library, Loader, Wanted};
use gristmill_stage::{Error, Kind, Result};
use tempfile::TempDir;

/// A folder with libraries in it.
pub struct Place(TempDir);

#[allow(dead_code, reason = "each test file uses its part")]
impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Makes `lib.so` of the fixture, with these arguments of the compiler.
    pub fn compile(&self, args: &[&str]) -> PathBuf {
        let c = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c");
        self.compile_with(&c.join("pass.c"), &c.join("../../../abi/include"), args)
    }

    pub fn compile_with(&self, source: &Path, include: &Path, args: &[&str]) -> PathBuf {
        let library = self.path().join("lib.so");
        let compiled = Command::new("cc")
            .args(["-std=gnu11", "-shared", "-fPIC", "-o"])
            .args([&library, source])
            .arg(format!("-I{}", include.display()))
            .args(args)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        library
    }

    pub fn open(&self, name: &str) -> Result<Arc<Library>> {
        let path = format!("./{name}");
        let wanted = Wanted { path: &path, folder: self.path(), sha256: None };
        Loader::default().open(wanted)
    }

    /// What is said of `lib.so`.
    pub fn refused(&self) -> Error {
        self.open("lib.so").expect_err("it loads")
    }
}

/// The only kind of the fixture, made with these words defined.
#[allow(dead_code, reason = "each test file uses its part")]
pub fn kind(place: &Place, args: &[&str]) -> Arc<dyn Kind> {
    place.compile(args);
    let library = place.open("lib.so").unwrap_or_else(|error| panic!("{error}"));
    library.kinds(None).remove(0)
}
