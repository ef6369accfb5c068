//! How long texts of a plugin may be. They come into tables, messages and files; a plugin that is broken, or
//! means ill, must not fill the memory with them.

use gristmill_abi::Text;
use gristmill_stage::{Error, Result};

/// Bytes of a name, such as that of a column.
const NAME: usize = 1 << 10;
/// Bytes of what people read: a summary, an example, a reason.
const WORDS: usize = 16 << 10;
/// Bytes of JSON, and of a value that a stage keeps.
const DATA: usize = 16 << 20;

/// A text for people; what is too long is cut.
///
/// # Safety
/// The text must be there.
pub(crate) unsafe fn words(text: Text) -> String {
    // SAFETY: by the contract of this function.
    unsafe { text.to_string_cut(WORDS) }
}

/// A name. To cut it would make another of it.
///
/// # Safety
/// The text must be there.
pub(crate) unsafe fn name(text: Text, what: &str) -> Result<String> {
    // SAFETY: by the contract of this function.
    unsafe { whole(text, NAME, what) }
}

/// The same of a name that is here already.
pub(crate) fn name_of(name: &str, what: &str) -> Result<()> {
    // SAFETY: the text is there.
    unsafe { self::name(Text::new(name), what) }.map(drop)
}

/// Data of the plugin.
///
/// # Safety
/// The text must be there.
pub(crate) unsafe fn data(text: Text, what: &str) -> Result<String> {
    // SAFETY: by the contract of this function.
    unsafe { whole(text, DATA, what) }
}

unsafe fn whole(text: Text, most: usize, what: &str) -> Result<String> {
    let size = text.size();
    if size > most {
        return Err(Error::internal(format!(
            "the plugin gives {what} of {size} bytes; more than {most} are not taken"
        )));
    }
    // SAFETY: by the contract of the function that calls this.
    Ok(unsafe { text.to_string_lossy() })
}
