//! One segment file: appended to by one writer, read back by the reader, deleted when nothing needs it.
//!
//! A segment counts what keeps it alive: bytes not shipped yet, and `started` records whose `settled` has not come. It
//! knows frames, not records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::frame::{self, HEADER_BYTES, MAX_FRAME_BYTES, Parsed};

/// How much of a segment is read at a time.
const CHUNK_BYTES: usize = 64 * MAX_FRAME_BYTES;

/// One file of frames.
///
/// Who writes what: the counters that grow with the file (`len`, `dirty`) by its one writer, under that writer's lock;
/// `open` by any writer; `sealed` once; `shipped` by the reader, under its lock.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    /// Bytes that hold whole frames. Bytes behind it, if any, are the rest of a failed append.
    len: AtomicU64,
    dirty: AtomicBool,
    /// The file's name is on the disk too.
    named: AtomicBool,
    sealed: AtomicBool,
    /// `started` records in this file that are not settled yet.
    open: AtomicU64,
    shipped: AtomicU64,
}

/// Reads frames from one place to another, a chunk at a time.
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

// === impl Segment ===

impl Segment {
    /// Makes a new, empty segment to append to.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self::new(path, file, 0, false))
    }

    /// A segment that a dead process left; `len` is where its whole frames end.
    pub(super) fn adopted(path: PathBuf, len: u64) -> io::Result<Self> {
        let file = File::open(&path)?;
        Ok(Self::new(path, file, len, true))
    }

    /// A segment over a file that a test prepared.
    #[cfg(test)]
    pub(super) fn over_file(file: File) -> Self {
        Self::new(PathBuf::new(), file, 0, false)
    }

    fn new(path: PathBuf, file: File, len: u64, sealed: bool) -> Self {
        Self {
            path,
            file,
            len: AtomicU64::new(len),
            dirty: AtomicBool::new(false),
            named: AtomicBool::new(false),
            sealed: AtomicBool::new(sealed),
            open: AtomicU64::new(0),
            shipped: AtomicU64::new(0),
        }
    }

    /// Appends one frame by one `write(2)`.
    ///
    /// Precondition: the caller is the segment's one writer and holds its lock.
    ///
    /// A failed write (disk full) is cut off again, or later frames would lie behind garbage. When even that fails the
    /// segment is sealed: `is_sealed` tells the writer to go on in another file.
    pub(super) fn append(&self, frame: &[u8]) -> io::Result<()> {
        let len = self.len();
        if let Err(err) = (&self.file).write_all(frame) {
            if self.file.set_len(len).is_err() {
                self.seal();
            }
            return Err(err);
        }
        // Release: who reads this length may read the bytes below it.
        self.len.store(len + frame.len() as u64, Ordering::Release);
        self.dirty.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes what was appended so far survive a power loss. Does nothing when nothing was appended since the last time.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.dirty.swap(false, Ordering::AcqRel)
            && let Err(err) = self.sync_now()
        {
            self.dirty.store(true, Ordering::Release);
            return Err(err);
        }
        Ok(())
    }

    fn sync_now(&self) -> io::Result<()> {
        self.file.sync_data()?;
        // A directory can be opened, and has to be synced, on Unix only.
        if cfg!(unix)
            && !self.named.load(Ordering::Acquire)
            && let Some(dir) = self.path.parent()
        {
            File::open(dir)?.sync_all()?;
            self.named.store(true, Ordering::Release);
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// No frame is appended any more.
    pub(super) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub(super) fn note_started(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn note_settled(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Where the reader goes on: everything below is in the store.
    pub(super) fn shipped(&self) -> u64 {
        self.shipped.load(Ordering::Acquire)
    }

    /// Moves [`Segment::shipped`] on to `offset`.
    pub(super) fn set_shipped(&self, offset: u64) {
        self.shipped.fetch_max(offset, Ordering::AcqRel);
    }

    /// Whether neither the store nor a replay needs the file any more.
    pub(super) fn is_done(&self) -> bool {
        self.is_sealed() && self.open.load(Ordering::Acquire) == 0 && self.shipped() == self.len()
    }

    pub(super) fn delete(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }
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

    fn read_chunk(&mut self) -> io::Result<bool> {
        self.chunk.drain(..self.next_at);
        self.next_at = 0;
        let wanted = (self.limit - self.read_to).min(CHUNK_BYTES as u64);
        let read = (&mut self.file).take(wanted).read_to_end(&mut self.chunk)?;
        self.read_to += read as u64;
        Ok(read > 0)
    }
}
