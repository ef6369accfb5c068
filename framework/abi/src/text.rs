//! Texts that cross: borrowed, buffered by the caller, or written piece by piece.

use std::ffi::c_void;
use std::fmt;

/// A borrowed text: UTF-8 without a zero at its end. Null with length 0 is the empty text.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    size: usize,
}

// SAFETY: it only points; whoever reads it needs `unsafe` and vouches for what is there.
unsafe impl Send for Text {}
// SAFETY: as above.
unsafe impl Sync for Text {}

impl Text {
    /// A text that lives as long as `text`.
    pub const fn new(text: &str) -> Self {
        Self { data: text.as_ptr(), size: text.len() }
    }

    /// The text; none if it is not UTF-8.
    ///
    /// # Safety
    /// The text that it was made from must still be there, and stay for `'a`.
    pub unsafe fn get<'a>(self) -> Option<&'a str> {
        // SAFETY: by the contract of this function.
        std::str::from_utf8(unsafe { self.bytes() }).ok()
    }

    /// The text, with marks for what is not UTF-8.
    ///
    /// # Safety
    /// The text that it was made from must still be there.
    pub unsafe fn to_string_lossy(self) -> String {
        // SAFETY: by the contract of this function.
        String::from_utf8_lossy(unsafe { self.bytes() }).into_owned()
    }

    /// As [`to_string_lossy`](Self::to_string_lossy), but no more than about `most` bytes of it; `…` says
    /// that there was more.
    ///
    /// # Safety
    /// The text that it was made from must still be there.
    pub unsafe fn to_string_cut(self, most: usize) -> String {
        let kept = Self { data: self.data, size: self.size.min(most) };
        // SAFETY: by the contract of this function; it is the beginning of the text.
        let mut text = unsafe { kept.to_string_lossy() };
        if kept.size < self.size {
            // A character that was cut in two is none.
            text.truncate(text.trim_end_matches('\u{fffd}').len());
            text.push('…');
        }
        text
    }

    /// How many bytes it has.
    pub const fn size(self) -> usize {
        self.size
    }

    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() || self.size > isize::MAX as usize {
            return &[];
        }
        // SAFETY: whoever made it vouches for so many bytes.
        unsafe { std::slice::from_raw_parts(self.data, self.size) }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it points to may be gone.
        f.debug_struct("Text").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Memory of the caller that the callee writes a text into.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    data: *mut u8,
    capacity: usize,
    size: usize,
}

impl Buffer {
    /// A buffer over memory that outlives it.
    pub(crate) fn over(memory: &mut [u8]) -> Self {
        Self { data: memory.as_mut_ptr(), capacity: memory.len(), size: 0 }
    }

    /// Makes it empty.
    pub(crate) fn clear(&mut self) {
        self.size = 0;
    }

    /// Puts a text in; what finds no room is left out, and `…` says so.
    ///
    /// # Safety
    /// The memory must be there.
    pub(crate) unsafe fn put(&mut self, text: &str) {
        let fitting = |most: usize| text.floor_char_boundary(most.min(text.len()));
        let (end, mark) = match text.len() <= self.capacity {
            true => (text.len(), ""),
            false => (fitting(self.capacity.saturating_sub(3)), "…"),
        };
        let mark = if end + mark.len() <= self.capacity { mark } else { "" };
        self.size = 0;
        for part in [&text[..end], mark] {
            if self.data.is_null() || part.is_empty() {
                continue;
            }
            // SAFETY: together the parts are no longer than the memory, by the lines above.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), self.data.add(self.size), part.len());
            }
            self.size += part.len();
        }
    }

    /// The text in it; none if it is empty.
    ///
    /// # Safety
    /// The memory must be there.
    pub(crate) unsafe fn take(&self) -> Option<String> {
        // The callee may be wrong about what it has written.
        let text = Text { data: self.data, size: self.size.min(self.capacity) };
        // SAFETY: so many bytes of the memory have been written or are zero.
        Some(unsafe { text.to_string_lossy() }).filter(|text| !text.is_empty())
    }
}

/// More than so many bytes no [`Writer`] takes: what comes after them is left out.
pub const MOST_WRITTEN: usize = 16 << 20;

/// Takes a text of any length.
#[repr(C)]
#[derive(Debug)]
pub struct Writer {
    handle: *mut c_void,
    write: unsafe extern "C" fn(handle: *mut c_void, text: Text),
}

impl Writer {
    /// The text that `call` writes, up to [`MOST_WRITTEN`] bytes.
    pub fn collect(call: impl FnOnce(*const Self)) -> Vec<u8> {
        unsafe extern "C" fn write(handle: *mut c_void, text: Text) {
            // SAFETY: the handle is the vector below, which nobody else uses meanwhile.
            let out = unsafe { &mut *handle.cast::<Vec<u8>>() };
            let room = MOST_WRITTEN - out.len().min(MOST_WRITTEN);
            let text = Text { data: text.data, size: text.size.min(room) };
            // SAFETY: the text is there during the call.
            out.extend_from_slice(unsafe { text.bytes() });
        }
        let mut out = Vec::new();
        let writer = Self { handle: (&raw mut out).cast(), write };
        call(&raw const writer);
        out
    }

    /// Writes a text.
    ///
    /// # Safety
    /// The writer must be one of a call that is going on.
    pub unsafe fn put(&self, text: &str) {
        // SAFETY: by the contract of this function.
        unsafe { (self.write)(self.handle, Text::new(text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_left_out() {
        let mut memory = [0; 8];
        for (text, kept) in [
            ("", None),
            ("short", Some("short")),
            ("12345678", Some("12345678")),
            ("ääääää", Some("ää…")),
        ] {
            let mut buffer = Buffer::over(&mut memory);
            // SAFETY: the memory is there.
            unsafe { buffer.put(text) };
            // SAFETY: the memory is there.
            assert_eq!(unsafe { buffer.take() }.as_deref(), kept);
        }
        let mut tiny = [0; 2];
        let mut buffer = Buffer::over(&mut tiny);
        // SAFETY: the memory is there.
        unsafe { buffer.put("abc") };
        // SAFETY: the memory is there.
        assert_eq!(unsafe { buffer.take() }, None);
    }

    #[test]
    fn a_size_that_lies_reads_nothing_beyond() {
        let mut memory = *b"abc";
        let mut buffer = Buffer::over(&mut memory);
        buffer.size = usize::MAX;
        // SAFETY: the memory is there.
        assert_eq!(unsafe { buffer.take() }.as_deref(), Some("abc"));
    }

    #[test]
    fn long_texts_are_cut() {
        for (text, most, kept) in
            [("short", 5, "short"), ("longer", 5, "longe…"), ("ääää", 5, "ää…"), ("", 0, "")]
        {
            // SAFETY: the text is there.
            assert_eq!(unsafe { Text::new(text).to_string_cut(most) }, kept);
        }
        let endless = "x".repeat(1 << 20);
        let text = Writer::collect(|writer| {
            // SAFETY: the call is going on.
            (0..20).for_each(|_| unsafe { (*writer).put(&endless) });
        });
        assert_eq!(text.len(), MOST_WRITTEN);
    }

    #[test]
    fn a_writer_collects() {
        let text = Writer::collect(|writer| {
            // SAFETY: the call is going on.
            unsafe { (*writer).put("a") };
            // SAFETY: the call is going on.
            unsafe { (*writer).put("b") };
        });
        assert_eq!(text, b"ab");
    }
}
