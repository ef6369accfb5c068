//! What the bytes of a file say of it, so that a library that does not load can be told why.

use gristmill_abi::ENTRY;
use gristmill_stage::{Error, Result};
use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_RISCV, EM_X86_64, ET_DYN, FileHeader64};
use object::read::elf::{ElfFile, FileHeader};
use object::{Endianness, Object, ObjectSymbol};

/// The function by which a library is a plugin.
///
/// # Errors
/// Why it is none, or not one for this machine.
pub(crate) fn entry(bytes: &[u8]) -> Result<String> {
    let wrong = |what: String| Error::option("path", format!("{{file}} {what}"));
    let (class, machine) = match bytes {
        [0x7f, b'E', b'L', b'F', class, ..] => (*class, bytes.get(18..20)),
        _ => return Err(wrong(foreign(bytes)).help("a plugin is a shared library, lib….so")),
    };
    let machine = machine.and_then(|two| two.try_into().ok()).map_or(0, u16::from_le_bytes);
    if class != 2 || machine != own_machine() {
        let bits = if class == 1 { "32" } else { "64" };
        let (theirs, ours) = (machine_name(machine), std::env::consts::ARCH);
        return Err(wrong(format!(
            "was built for {theirs} ({bits} bits), this program for {ours}"
        ))
        .help(format!("build the plugin for {ours}")));
    }
    let broken = |e: object::Error| wrong(format!("is a broken library: {e}"));
    let file = ElfFile::<FileHeader64<Endianness>>::parse(bytes).map_err(broken)?;
    if file.elf_header().e_type(file.endian()) != ET_DYN {
        return Err(wrong("is no shared library".to_owned())
            .help("link it as one: `crate-type = [\"cdylib\"]` in Rust, `cc -shared -fPIC` in C"));
    }
    let prefix = format!("{ENTRY}_");
    let names = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
    let names = names.filter_map(|symbol| symbol.name().ok());
    let mut names: Vec<&str> =
        names.filter(|name| *name == ENTRY || name.starts_with(&prefix)).collect();
    names.sort_unstable();
    names.dedup();
    match names[..] {
        [name] => Ok(name.to_owned()),
        [] => Err(wrong(format!("is a library, but no plugin: it exports no `{ENTRY}`")).help(
            "a plugin in Rust has `gristmill_abi::export_stages!(…)` in its `lib.rs`, one in C \
             exports `gristmill_plugin`",
        )),
        ref several => {
            let names = several.join("`, `");
            Err(wrong(format!("holds several plugins: `{names}`"))
                .help("a library is one plugin: name all kinds in one `export_stages!`"))
        }
    }
}

/// What a file is that is no library of this system.
fn foreign(bytes: &[u8]) -> String {
    let what = match bytes {
        [] => "is empty",
        [b'M', b'Z', ..] => "is a program or library for Windows",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            "is a program or library for macOS"
        }
        [b'!', b'<', b'a', b'r', b'c', b'h', ..] => "is a static library",
        [b'#', b'!', ..] => "is a script",
        _ => "is no library",
    };
    what.to_owned()
}

fn own_machine() -> u16 {
    match std::env::consts::ARCH {
        "x86_64" => EM_X86_64.0,
        "aarch64" => EM_AARCH64.0,
        "riscv64" => EM_RISCV.0,
        _ => 0,
    }
}

fn machine_name(machine: u16) -> String {
    let known = [
        (EM_X86_64.0, "x86_64"),
        (EM_AARCH64.0, "aarch64"),
        (EM_RISCV.0, "riscv"),
        (EM_386.0, "x86"),
        (EM_ARM.0, "arm"),
    ];
    let found = known.into_iter().find(|(number, _)| *number == machine);
    found.map_or_else(|| format!("machine {machine}"), |(_, name)| name.to_owned())
}
