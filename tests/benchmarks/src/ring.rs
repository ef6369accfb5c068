//! Slots in memory that two processes share. The only place of the benchmarks with `unsafe`.
#![expect(unsafe_code, reason = "the standard library maps no memory")]

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::Buffer;
use gristmill_wire::HEADER;

/// Slots for each direction.
pub const SLOTS: usize = 16;
/// Room for a batch with what belongs to it.
const SLOT: usize = (1 << 20) + (64 << 10);
const LEN: usize = 2 * SLOTS * SLOT;

/// The mapped memory.
struct Map(NonNull<u8>);

// SAFETY: it is plain memory; who may use which slot is settled by messages over the socket.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl std::panic::RefUnwindSafe for Map {}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the region was mapped with this length, and nothing points into it any more: each
        // buffer holds the map.
        unsafe { libc::munmap(self.0.as_ptr().cast(), LEN) };
    }
}

/// Slots for both directions.
pub struct Ring {
    file: File,
    map: Arc<Map>,
}

impl Ring {
    /// New memory.
    pub fn create() -> io::Result<Self> {
        // SAFETY: the name is a string that ends with a zero.
        let fd = unsafe { libc::memfd_create(c"transport".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(LEN as u64)?;
        Self::map(file)
    }

    /// The memory that stdout stands for.
    pub fn open() -> io::Result<Self> {
        Self::map(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    fn map(file: File) -> io::Result<Self> {
        let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let fd = file.as_raw_fd();
        // SAFETY: a new mapping at a place of the kernel's choice; it touches no other memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), LEN, access, shared, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(ErrorKind::OutOfMemory)?;
        Ok(Self { file, map: Arc::new(Map(start)) })
    }

    /// For the other process.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Copies a frame without its header into a slot that is free; returns its length.
    pub fn write(&mut self, slot: usize, pieces: &[IoSlice<'_>]) -> usize {
        let mut at = 0;
        let mut skip = HEADER;
        for piece in pieces {
            let part = &piece[skip.min(piece.len())..];
            skip -= skip.min(piece.len());
            assert!(slot < 2 * SLOTS && at + part.len() <= SLOT, "a slot is too small");
            // SAFETY: the target is inside of the mapping, which was just checked, and the other
            // process has given the slot back, so nobody else looks at it.
            unsafe {
                let to = self.map.0.as_ptr().add(slot * SLOT + at);
                std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
            }
            at += part.len();
        }
        at
    }

    /// The bytes of a slot that the other process has filled, without a copy.
    pub fn read(&self, slot: usize, len: usize) -> Buffer {
        assert!(slot < 2 * SLOTS && len <= SLOT, "there is no such slot");
        // SAFETY: the range is inside of the mapping, which the buffer keeps alive; the other process
        // does not write to it before it is given back.
        unsafe {
            let start = self.map.0.add(slot * SLOT);
            Buffer::from_custom_allocation(start, len, self.map.clone())
        }
    }
}
