//! Batches from one process to another and back: over the Unix socket that the product uses, and beside it
//! through a ring of slots in shared memory, of which only small messages go over the socket.
//!
//! `cargo run --release -p gristmill-benchmarks --bin transport`

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use gristmill_wire::{Decoder, Encoder, Frame, FrameReader, Kind, Message};
use ring::{Ring, SLOTS};
use socket2::SockRef;

#[path = "../ring.rs"]
mod ring;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const MIB: usize = 1 << 20;
const LIMIT: usize = 1 << 30;
/// Batches one way, and there and back, in one sample.
const ONE_WAY: u64 = 4096;
/// The socket as it is made, with another buffer (SO_SNDBUF, in KiB), and shared memory.
const WAYS: [&str; 4] = ["socket", "socket-1024", "socket-4096", "shared"];
/// Different batches.
const MEMORY: usize = 64;
const ROUND_TRIPS: usize = 20_000;
const SAMPLES: usize = 7;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("--child") => child(&args[1..]),
        _ => compare(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A batch of so many bytes in two columns.
fn batch(bytes: usize) -> Result<RecordBatch> {
    let rows = (bytes / 16) as i64;
    let column = |times: i64| Arc::new(Int64Array::from_iter_values((0..rows).map(|n| n * times)));
    Ok(RecordBatch::try_from_iter([("a", column(1) as ArrayRef), ("b", column(3) as ArrayRef)])?)
}

fn compare() -> Result<()> {
    println!("one way, batches of 1 MiB, decoded on the other side");
    for work in ["decode", "sum"] {
        for way in WAYS {
            let mut samples = Vec::new();
            for _ in 0..SAMPLES {
                samples.push(one_way(way, work)?);
            }
            samples.sort_by(f64::total_cmp);
            let (least, middle, most) = (samples[0], samples[SAMPLES / 2], samples[SAMPLES - 1]);
            println!("  {way:12} {work:8} {middle:6.2} GB/s ({least:.2} to {most:.2})");
        }
    }
    println!("there and back, batches of 64 KiB, decoded on both sides");
    for way in WAYS {
        let mut samples = there_and_back(way)?;
        samples.sort_unstable();
        let at = |share: f64| samples[(samples.len() as f64 * share) as usize].as_secs_f64() * 1e6;
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        println!("  {way:12} p50 {p50:6.1} us   p99 {p99:6.1} us   p99.9 {p999:6.1} us");
    }
    Ok(())
}

/// Gigabytes a second to a child that does some work with them.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn one_way(way: &str, work: &str) -> Result<f64> {
    let (mut peer, mut process) = start(way, work)?;
    let rows = batch(16)?;
    // More than a cache holds, as in a real run.
    let messages = (0..MEMORY).map(|_| Ok(Message::Batch(1, batch(MIB)?)));
    let messages = messages.collect::<Result<Vec<_>>>()?;
    peer.encoder.sends(&rows.schema())?;
    peer.say(&Message::Credit(ONE_WAY))?;
    let mut messages = messages.iter().cycle().take(ONE_WAY as usize - 1);
    peer.say(&Message::Batch(1, rows))?;
    let start = Instant::now();
    messages.try_for_each(|message| peer.say(message))?;
    // The child answers when it has seen all.
    peer.hear()?;
    let rate = (ONE_WAY - 1) as f64 * MIB as f64 / start.elapsed().as_secs_f64() / 1e9;
    drop(peer);
    process.wait()?;
    Ok(rate)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn there_and_back(way: &str) -> Result<Vec<Duration>> {
    let (mut peer, mut process) = start(way, "echo")?;
    let rows = batch(64 << 10)?;
    let message = Message::Batch(1, rows.clone());
    peer.encoder.sends(&rows.schema())?;
    peer.decoder.expects(&rows.schema())?;
    let mut samples = Vec::with_capacity(ROUND_TRIPS);
    for round in 0..ROUND_TRIPS + 100 {
        let start = Instant::now();
        peer.say(&message)?;
        peer.hear()?;
        if round >= 100 {
            samples.push(start.elapsed());
        }
    }
    drop(peer);
    process.wait()?;
    Ok(samples)
}

fn start(way: &str, work: &str) -> Result<(Peer, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    if let Some(kib) = way.strip_prefix("socket-") {
        for socket in [&ours, &theirs] {
            SockRef::from(socket).set_send_buffer_size(kib.parse::<usize>()? << 10)?;
        }
    }
    let ring = if way == "shared" { Some(Ring::create()?) } else { None };
    let mut command = Command::new("/proc/self/exe");
    command.args(["--child", way, work]).stdin(OwnedFd::from(theirs));
    if let Some(ring) = &ring {
        command.stdout(ring.file()?);
    } else {
        command.stdout(Stdio::null());
    }
    let process = command.spawn()?;
    Ok((Peer::new(ours, ring, 0), process))
}

/// The other process: decodes, and adds up or sends back what came.
fn child(args: &[String]) -> Result<()> {
    let [way, work] = args else { return Err("--child WAY WORK".into()) };
    let stdin = io::stdin();
    let socket = UnixStream::from(std::os::fd::AsFd::as_fd(&stdin).try_clone_to_owned()?);
    let ring = if way == "shared" { Some(Ring::open()?) } else { None };
    let schema = batch(16)?.schema();
    let mut peer = Peer::new(socket, ring, SLOTS);
    peer.encoder.sends(&schema)?;
    peer.decoder.expects(&schema)?;
    let (mut left, mut sum) = (0, 0_i64);
    while let Some(message) = peer.hear()? {
        match message {
            Message::Credit(count) => left = count,
            Message::Batch(..) if work == "echo" => peer.say(&message)?,
            Message::Batch(_, rows) => {
                if work == "sum" {
                    for column in rows.columns() {
                        let values = column.as_primitive::<Int64Type>().values().iter();
                        sum = values.fold(sum, |sum, value| sum.wrapping_add(*value));
                    }
                }
                drop(rows);
                left -= 1;
                if left == 0 {
                    peer.say(&Message::Credit(sum as u64))?;
                }
            }
            other => return Err(format!("{other:?} was not expected").into()),
        }
    }
    Ok(())
}

/// One end: as the product has it, with a ring besides.
struct Peer {
    socket: UnixStream,
    reader: FrameReader,
    encoder: Encoder,
    decoder: Decoder,
    ring: Option<Ring>,
    /// Slots of its own: these are free.
    free: Vec<usize>,
    taken: Option<usize>,
}

/// In shared memory, a batch is a frame without payload: flag 128, and slot and length as its number.
/// A slot that is free again is such a frame with flag 64.
const IN_SLOT: u8 = 128;
const FREE: u8 = 64;

impl Peer {
    fn new(socket: UnixStream, ring: Option<Ring>, first: usize) -> Self {
        let reader = FrameReader::new(LIMIT);
        let free = (first..first + SLOTS).collect();
        let (encoder, decoder) = (Encoder::new(), Decoder::new());
        Self { socket, reader, encoder, decoder, ring, free, taken: None }
    }

    fn say(&mut self, message: &Message) -> Result<()> {
        let mut out = self.encoder.encode(message)?;
        if matches!(message, Message::Batch(..)) && self.ring.is_some() {
            while self.free.is_empty() {
                let frame = self.frame()?.ok_or("the other side is gone")?;
                self.free.push(frame.number as usize);
            }
            let slot = self.free.pop().ok_or("no slot")?;
            let ring = self.ring.as_mut().ok_or("no ring")?;
            let len = ring.write(slot, &out.slices());
            return self.small(IN_SLOT, (slot as u64) << 32 | len as u64);
        }
        while !out.is_empty() {
            match self.socket.write_vectored(&out.slices()) {
                Ok(written) => out.advance(written),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn small(&mut self, flags: u8, number: u64) -> Result<()> {
        let mut header = [0; gristmill_wire::HEADER];
        header[4] = Kind::Batch as u8;
        header[5] = flags;
        header[8..].copy_from_slice(&number.to_le_bytes());
        Ok(self.socket.write_all(&header)?)
    }

    fn frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.reader.next()? {
                return Ok(Some(frame));
            }
            match self.socket.read(self.reader.space()) {
                Ok(0) => return Ok(None),
                Ok(bytes) => self.reader.advance(bytes),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // It ended without having read all.
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The next message. The one before it, and all columns of it, must be gone.
    fn hear(&mut self) -> Result<Option<Message>> {
        if let Some(slot) = self.taken.take() {
            self.small(FREE, slot as u64)?;
        }
        loop {
            let Some(mut frame) = self.frame()? else { return Ok(None) };
            match (frame.flags.0, &self.ring) {
                (FREE, _) => {
                    self.free.push(frame.number as usize);
                    continue;
                }
                (IN_SLOT, Some(ring)) => {
                    let (slot, len) = ((frame.number >> 32) as usize, frame.number as u32 as usize);
                    frame.payload = ring.read(slot, len);
                    self.taken = Some(slot);
                }
                _ => {}
            }
            return Ok(self.decoder.decode(frame)?);
        }
    }
}
