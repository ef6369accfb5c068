//! Stdin, pipes and terminals: bytes that come when they come, and are never waited for in a call.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use gristmill_stage::{BuildContext, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::runtime::Handle;

/// Where a worker waits for bytes beside its calls, and what it is called again by.
#[derive(Clone)]
pub(crate) struct Waiting {
    runtime: Handle,
    waker: Waker,
    stopped: Arc<AtomicBool>,
}

impl Waiting {
    /// Asks for the runtime, so it must be made while the stage is built.
    pub(crate) fn new(context: &BuildContext) -> Result<Self> {
        let stopped = Arc::default();
        Ok(Self { runtime: context.runtime()?, waker: context.waker().clone(), stopped })
    }

    /// Nothing more is taken out of a pipe. What was taken still comes out of whatever holds it, also
    /// of what undoes a compression.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// An input whose reads fail with [`ErrorKind::WouldBlock`] while there is nothing to read; the
/// stage is woken when there is. Nothing is taken out of it but by a read, so what nobody reads
/// stays in the pipe for the next reader.
pub(crate) struct Pipe {
    file: Arc<File>,
    waiting: Waiting,
    watch: Option<Watch>,
}

/// A wait for bytes under way; to drop it ends it.
struct Watch {
    over: Arc<AtomicBool>,
    _end: PipeWriter,
}

impl Pipe {
    /// The input of the process.
    pub(crate) fn stdin(waiting: Waiting) -> io::Result<Self> {
        // A copy: the mode of stdin is shared with other processes and stays as it is.
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self { file: Arc::new(file), waiting, watch: None })
    }

    /// A named pipe or a device.
    pub(crate) fn open(path: &Path, waiting: Waiting) -> io::Result<Self> {
        // Otherwise it would wait here for somebody who writes.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        Ok(Self { file: Arc::new(file), waiting, watch: None })
    }

    /// Waits on a thread for blocking work. It is only told that there is something; the bytes are
    /// left where they are.
    fn watch(&self) -> io::Result<Watch> {
        let (ended, end) = io::pipe()?;
        let over = Arc::new(AtomicBool::new(false));
        let watch = Watch { over: Arc::clone(&over), _end: end };
        let (file, waker) = (Arc::clone(&self.file), self.waiting.waker.clone());
        self.waiting.runtime.spawn_blocking(move || {
            // The second is closed by whoever drops the watch.
            let mut either =
                [PollFd::new(&*file, PollFlags::IN), PollFd::new(&ended, PollFlags::empty())];
            while poll(&mut either, None) == Err(Errno::INTR) {}
            over.store(true, Ordering::Release);
            waker.wake();
        });
        Ok(watch)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waiting.stopped.load(Ordering::Relaxed) {
            return Err(ErrorKind::WouldBlock.into());
        }
        if is_ready(&self.file)? {
            self.watch = None;
            // May still find nothing, when another process was faster.
            match (&*self.file).read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
        if self.watch.as_ref().is_none_or(|watch| watch.over.load(Ordering::Acquire)) {
            self.watch = Some(self.watch()?);
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

/// Whether a read returns at once: there are bytes, or it is the end.
fn is_ready(file: &File) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&now)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
