//! Reads a segment's frames back, a chunk at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::frame::{self, HEADER_BYTES, MAX_FRAME_BYTES, Parsed};

/// How much of a segment is read at a time.
const CHUNK_BYTES: usize = 64 * MAX_FRAME_BYTES;

/// Reads frames from one place to another.
#[derive(Debug)]
pub(super) struct Scanner {
    file: File,
    chunk: Vec<u8>,
    /// The current frame in `chunk`, and where the next one starts.
    frame_at: usize,
    next_at: usize,
    /// Where `next_at` lies in the file.
    offset: u64,
    /// Where the chunk ends in the file.
    read_to: u64,
    limit: u64,
}

// === impl Scanner ===

impl Scanner {
    /// Frames of `path` that lie between the offsets `from` and `limit`.
    pub(super) fn open(path: &Path, from: u64, limit: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Self {
            file,
            chunk: Vec::new(),
            frame_at: 0,
            next_at: 0,
            offset: from,
            read_to: from,
            limit,
        })
    }

    /// Goes to the next frame; false at the limit, and at the first bytes that are not a whole frame.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        loop {
            let rest = self.chunk.get(self.next_at..).unwrap_or_default();
            match frame::parse(rest) {
                Parsed::Frame(payload) => {
                    let size = HEADER_BYTES + payload.len();
                    self.frame_at = self.next_at;
                    self.next_at += size;
                    self.offset += size as u64;
                    return Ok(true);
                }
                Parsed::Incomplete if self.read_to < self.limit => {
                    if !self.read_chunk()? {
                        return Ok(false);
                    }
                }
                Parsed::Incomplete | Parsed::Damaged => return Ok(false),
            }
        }
    }

    /// The payload of the frame that [`Scanner::advance`] went to.
    pub(super) fn payload(&self) -> &[u8] {
        self.chunk
            .get(self.frame_at + HEADER_BYTES..self.next_at)
            .unwrap_or_default()
    }

    /// Where the frame after the current one starts.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether nothing but zeroes follows, as in a preallocated segment behind its last frame. Ends the scan.
    pub(super) fn rest_is_zero(mut self) -> io::Result<bool> {
        loop {
            let rest = self.chunk.get(self.next_at..).unwrap_or_default();
            if rest.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            self.next_at = self.chunk.len();
            if self.read_to >= self.limit || !self.read_chunk()? {
                return Ok(true);
            }
        }
    }

    fn read_chunk(&mut self) -> io::Result<bool> {
        self.chunk.drain(..self.next_at);
        self.next_at = 0;
        let wanted = (self.limit - self.read_to).min(CHUNK_BYTES as u64);
        let read = (&mut self.file).take(wanted).read_to_end(&mut self.chunk)?;
        self.read_to += read as u64;
        Ok(read > 0)
    }
}
