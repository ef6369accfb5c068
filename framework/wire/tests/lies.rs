//! A few bytes cannot ask for much memory, whatever they say of themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod said;

use std::fs;
use std::path::PathBuf;

use allocation_counter::measure;
use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamEncoder;
use arrow_ipc::{
    BodyCompressionBuilder, Buffer, CompressionType, DictionaryBatchBuilder, FieldBuilder,
    FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder, SchemaBuilder,
    Struct_Builder, Type,
};
use arrow_schema::{DataType, Field, Schema};
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use gristmill_wire::{Kind, Limits, Message, Side};

use said::{bytes_of, hear, many_types, messages, rows, runs};

const MIB: u64 = 1 << 20;
/// What the reader of frames has in any case.
const CHUNK: u64 = 64 << 10;

/// A frame around a payload.
fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend([kind as u8, 0, 0, 0]);
    bytes.extend([0; 8]);
    bytes.extend(payload);
    bytes
}

/// A message of the Arrow IPC format, and `body` bytes after it.
fn message(
    mut builder: FlatBufferBuilder<'_>,
    kind: MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    (announced, body): (i64, usize),
) -> Vec<u8> {
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_header(header);
    message.add_bodyLength(announced);
    let root = message.finish();
    builder.finish(root, None);
    let metadata = builder.finished_data();
    let size = metadata.len().next_multiple_of(8);
    let mut bytes = vec![0xFF; 4];
    bytes.extend(u32::try_from(size).unwrap().to_le_bytes());
    bytes.extend(metadata);
    bytes.resize(8 + size + body, 0);
    bytes
}

/// Rows as one lies about them: their number, for each column a node and two buffers, compression.
struct Lie {
    rows: i64,
    columns: usize,
    buffer: Buffer,
    codec: Option<CompressionType>,
    announced: i64,
    body: usize,
    delta: Option<bool>,
}

impl Default for Lie {
    fn default() -> Self {
        let (announced, body) = (64, 64);
        let buffer = Buffer::new(0, 64);
        Self { rows: 8, columns: 1, buffer, codec: None, announced, body, delta: None }
    }
}

impl Lie {
    fn bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let nodes = vec![FieldNode::new(self.rows, 0); self.columns];
        let nodes = builder.create_vector(&nodes);
        let buffers = [Buffer::new(0, 0), self.buffer].repeat(self.columns);
        let buffers = builder.create_vector(&buffers);
        let compression = self.codec.map(|codec| {
            let mut compression = BodyCompressionBuilder::new(&mut builder);
            compression.add_codec(codec);
            compression.finish()
        });
        let mut batch = RecordBatchBuilder::new(&mut builder);
        batch.add_length(self.rows);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        if let Some(compression) = compression {
            batch.add_compression(compression);
        }
        let batch = batch.finish();
        let body = (self.announced, self.body);
        let Some(delta) = self.delta else {
            return message(builder, MessageHeader::RecordBatch, batch.as_union_value(), body);
        };
        let mut dictionary = DictionaryBatchBuilder::new(&mut builder);
        dictionary.add_data(batch);
        dictionary.add_isDelta(delta);
        let dictionary = dictionary.finish().as_union_value();
        message(builder, MessageHeader::DictionaryBatch, dictionary, body)
    }

    /// What is said of it, and how much memory it took.
    fn told(&self) -> (String, u64) {
        let fields = (0..self.columns).map(|i| Field::new(format!("{i}"), DataType::Int64, true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let mut bytes = bytes_of(&[Message::Schema(Side::Input, schema.clone().into())], &schema);
        bytes.extend(frame(Kind::Batch, &self.bytes()));
        told(&bytes)
    }
}

/// Why these bytes are refused, and the most memory that this took.
fn told(bytes: &[u8]) -> (String, u64) {
    let mut error = None;
    let used = measure(|| error = hear(bytes, &[1 << 16], Limits::default().frame as usize).err());
    (error.expect("nothing was wrong with them"), used.bytes_max)
}

#[test]
fn an_honest_batch_is_no_lie() {
    let lie = Lie::default();
    let schema = Schema::new(vec![Field::new("0", DataType::Int64, true)]);
    let mut bytes = bytes_of(&[Message::Schema(Side::Input, schema.clone().into())], &schema);
    bytes.extend(frame(Kind::Batch, &lie.bytes()));
    let heard = hear(&bytes, &[1 << 16], 1 << 30).unwrap();
    assert!(matches!(&heard[1], Message::Batch(0, rows) if rows.num_rows() == 8));
}

#[test]
fn lengths_that_lie_take_no_memory() {
    let lies = [
        ("shorter than it says", Lie { announced: i64::MAX, ..Lie::default() }),
        ("shorter than it says", Lie { announced: -1, ..Lie::default() }),
        ("no number of rows", Lie { rows: i64::MAX, ..Lie::default() }),
        ("no number of rows", Lie { rows: -1, ..Lie::default() }),
        ("beyond it", Lie { buffer: Buffer::new(0, i64::MAX), ..Lie::default() }),
        ("larger than it is", Lie { columns: 2, ..Lie::default() }),
        ("beyond it", Lie { buffer: Buffer::new(i64::MAX, 64), ..Lie::default() }),
        ("beyond it", Lie { buffer: Buffer::new(-1, 8), ..Lie::default() }),
        ("beyond it", Lie { buffer: Buffer::new(0, -64), ..Lie::default() }),
        ("it is compressed", Lie { codec: Some(CompressionType::LZ4_FRAME), ..Lie::default() }),
        ("it is compressed", Lie { codec: Some(CompressionType::ZSTD), ..Lie::default() }),
        ("dictionaries are sent whole", Lie { delta: Some(true), ..Lie::default() }),
        ("holds one batch", Lie { delta: Some(false), ..Lie::default() }),
    ];
    for (wrong, lie) in lies {
        let (error, used) = lie.told();
        assert!(error.contains(wrong), "{error}, and not: {wrong}");
        assert!(used < CHUNK + 64 * 1024, "{wrong}: {used} bytes");
    }
}

#[test]
fn columns_that_share_bytes_are_not_copied() {
    // Unaligned, so that each would get a copy of its own.
    let buffer = Buffer::new(1, 1 << 20);
    let body = (1 << 20) + 8;
    let lie = Lie {
        rows: 1 << 17,
        columns: 1000,
        buffer,
        body,
        announced: body as i64,
        ..Lie::default()
    };
    let (error, used) = lie.told();
    assert!(error.contains("its columns are larger than it is"), "{error}");
    assert!(used < 4 * MIB, "{used} bytes");
}

/// A schema of structs, each of which has the one below it as `times` fields.
fn nested(levels: usize, times: usize) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let mut below = None;
    for level in 0..levels {
        let children = below.map_or(vec![], |field| vec![field; times]);
        let children = builder.create_vector(&children);
        let kind = Struct_Builder::new(&mut builder).finish();
        let name = builder.create_string(&level.to_string());
        let mut field = FieldBuilder::new(&mut builder);
        field.add_name(name);
        field.add_type_type(Type::Struct_);
        field.add_type_(kind.as_union_value());
        field.add_children(children);
        below = Some(field.finish());
    }
    let fields = builder.create_vector(&below.into_iter().collect::<Vec<_>>());
    let mut schema = SchemaBuilder::new(&mut builder);
    schema.add_fields(fields);
    let schema = schema.finish().as_union_value();
    message(builder, MessageHeader::Schema, schema, (0, 0))
}

#[test]
fn nesting_takes_neither_memory_nor_the_stack() {
    assert!(hear(&frame(Kind::Schema, &nested(8, 1)), &[1 << 16], 1 << 30).is_ok());
    // A few hundred bytes that would become a hundred thousand fields.
    let (error, used) = told(&frame(Kind::Schema, &nested(6, 10)));
    assert!(error.contains("cannot be read") && used < MIB, "{used} bytes: {error}");
    let (error, used) = told(&frame(Kind::Schema, &nested(100_000, 1)));
    assert!(error.contains("cannot be read") && used < 64 * MIB, "{used} bytes: {error}");

    let deep = "[".repeat(1 << 20);
    let (error, used) = told(&frame(Kind::Log, deep.as_bytes()));
    assert!(error.contains("frame `log` cannot be read") && used < 4 * MIB, "{used}: {error}");
}

#[test]
fn what_is_announced_is_not_taken_for_what_comes() {
    let most = Limits::default().frame;
    for kind in [Kind::Batch, Kind::Part, Kind::Reject] {
        let mut bytes = frame(kind, &[]);
        bytes[..4].copy_from_slice(&u32::try_from(most).unwrap().to_le_bytes());
        let (error, used) = told(&bytes);
        assert!(error == "amid a frame" && used < 17 * MIB, "{used} bytes: {error}");
    }
}

#[test]
fn words_are_short() {
    // JSON becomes larger when it is read, so it has a limit of its own.
    let mut bytes = frame(Kind::Open, &[]);
    bytes[..4].copy_from_slice(&(17_u32 << 20).to_le_bytes());
    let (error, _) = told(&bytes);
    assert!(error.contains("larger than the limit of 16777216"), "{error}");
    let zeros = format!("{{\"options\":[{}0]}}", "0,".repeat(1 << 19));
    let (error, used) = told(&frame(Kind::Open, zeros.as_bytes()));
    assert!(error.contains("missing field"), "{error}");
    assert!(used < 128 * MIB, "{used} bytes of {} ", zeros.len());
}

#[test]
fn many_small_parts_take_what_they_are() {
    let rows = rows(&[Some(1)], &[String::new()]);
    let part = {
        let mut payload = vec![0; 64];
        let mut encoder = StreamEncoder::try_new(&rows.schema()).unwrap();
        let mut all = encoder.encode(&rows).unwrap();
        all.extend(encoder.finish().unwrap());
        all.iter().for_each(|bytes| payload.extend_from_slice(bytes));
        frame(Kind::Part, &payload)
    };
    let bytes = part.repeat(1000);
    let used = measure(|| drop(hear(&bytes, &[1 << 16], 1 << 20).unwrap()));
    assert!(used.bytes_max < 6 * bytes.len() as u64, "{used:?} of {}", bytes.len());
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/frames")
}

/// What the fuzzer begins with: the first byte says in which pieces it comes.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let small = rows(&[Some(1), None], &["a".to_owned()]);
    let none = RecordBatch::new_empty(Schema::empty().into());
    let batch = |rows: RecordBatch| {
        let said = [Message::Schema(Side::Input, rows.schema()), Message::Batch(1, rows.clone())];
        bytes_of(&said, &rows.schema())
    };
    let seed = |bytes: Vec<u8>| [vec![255], bytes].concat();
    vec![
        ("seed-all", seed(bytes_of(&messages(std::slice::from_ref(&small)), &small.schema()))),
        ("seed-batch", seed(batch(small))),
        ("seed-types", seed(batch(many_types()))),
        ("seed-runs", seed(batch(runs()))),
        ("seed-empty", seed(batch(none))),
        ("seed-compressed", {
            let codec = Some(CompressionType::LZ4_FRAME);
            seed(frame(Kind::Batch, &Lie { codec, ..Lie::default() }.bytes()))
        }),
        ("seed-shared", seed(frame(Kind::Schema, &nested(12, 10)))),
    ]
}

/// Writes the seeds anew: `cargo test -p gristmill-wire --test lies -- --ignored`.
#[test]
#[ignore = "changes the tree"]
fn write_the_seeds() {
    fs::create_dir_all(corpus()).unwrap();
    for (name, bytes) in seeds() {
        fs::write(corpus().join(name), bytes).unwrap();
    }
}

/// What the fuzzer has found interesting, without the fuzzer and its compiler.
/// Panics of the format's reader are caught; to print them takes more memory than they do.
fn hush() {
    let shout = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/arrow-")) {
            shout(panic);
        }
    }));
}

#[test]
fn the_corpus_does_no_harm() {
    hush();
    let mut inputs = 0;
    for entry in fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let (piece, bytes) = bytes.split_first().unwrap();
        let pieces = [usize::from(*piece).pow(2) + 1];
        let used = measure(|| drop(hear(bytes, &pieces, 1 << 20)));
        // A frame that was announced, and something for each byte that came.
        let most = CHUNK + 2 * MIB + 128 * bytes.len() as u64;
        assert!(used.bytes_max < most, "{}: {} bytes", path.display(), used.bytes_max);
        inputs += 1;
    }
    assert!(inputs >= seeds().len(), "{inputs} inputs are not the corpus");
}
