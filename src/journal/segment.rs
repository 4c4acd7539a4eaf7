//! One segment file: made at its full size, appended to by one writer, read back by the reader, deleted when nothing
//! needs it.
//!
//! A segment counts what keeps it alive: bytes not shipped yet, and `started` records whose `settled` has not come and
//! that no later segment has a copy of. It knows frames, not records. Behind the last frame there are zeroes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::disk::Disk;
use super::frame::MAX_FRAME_BYTES;

/// One file of frames.
///
/// Who writes what: the counters that grow with the file (`len`, `dirty`), `sealed` and `open` by whoever holds its lane's
/// lock; `suspect` by that one and the syncing thread; `shipped` by the reader, under its lock.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    disk: Arc<dyn Disk>,
    /// Its place in its lane's order, from 0.
    number: u64,
    /// What it takes of the journal's limit: the file's size.
    capacity: u64,
    /// Bytes that hold whole frames. What is behind them, if not zero, is the rest of a failed append.
    len: AtomicU64,
    dirty: AtomicBool,
    /// The file's name is on the disk too.
    named: AtomicBool,
    /// It could not be written or synced: the next record goes elsewhere.
    suspect: AtomicBool,
    sealed: AtomicBool,
    /// `started` records in this file that are not settled yet, nor copied to a later file.
    open: AtomicU64,
    shipped: AtomicU64,
}

// === impl Segment ===

impl Segment {
    /// Makes a new, empty segment of `capacity` bytes. Nothing is left of it when that fails.
    pub(super) fn create(
        path: PathBuf,
        number: u64,
        capacity: u64,
        disk: Arc<dyn Disk>,
    ) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        if let Err(err) = disk.preallocate(&file, capacity) {
            fs::remove_file(&path).ok();
            return Err(err);
        }
        Ok(Self::new(path, file, disk, number, capacity, 0, false))
    }

    /// A segment that a dead process left; `len` is where its whole frames end, `capacity` how long it is.
    pub(super) fn adopted(
        path: PathBuf,
        len: u64,
        capacity: u64,
        disk: Arc<dyn Disk>,
    ) -> io::Result<Self> {
        let file = File::open(&path)?;
        Ok(Self::new(path, file, disk, 0, capacity, len, true))
    }

    fn new(
        path: PathBuf,
        file: File,
        disk: Arc<dyn Disk>,
        number: u64,
        capacity: u64,
        len: u64,
        sealed: bool,
    ) -> Self {
        Self {
            path,
            file,
            disk,
            number,
            capacity,
            len: AtomicU64::new(len),
            dirty: AtomicBool::new(false),
            named: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            sealed: AtomicBool::new(sealed),
            open: AtomicU64::new(0),
            shipped: AtomicU64::new(0),
        }
    }

    /// Appends one frame by one `pwrite(2)`; answers where it lies.
    ///
    /// Precondition: the caller holds the lane's lock, and the frame fits.
    ///
    /// What a failed write left behind is overwritten by the next frame, and is no frame if there is none: no frame's
    /// header can lie within the text of another.
    pub(super) fn append(&self, frame: &[u8]) -> io::Result<u64> {
        let offset = self.len();
        self.disk.write_at(&self.file, frame, offset)?;
        // Release: who reads this length may read the bytes below it.
        self.len
            .store(offset + frame.len() as u64, Ordering::Release);
        self.dirty.store(true, Ordering::Release);
        Ok(offset)
    }

    /// Reads bytes back that [`Segment::append`] wrote.
    pub(super) fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
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
        self.disk.sync(&self.file)?;
        if !self.named.load(Ordering::Acquire)
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

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Bytes that can be appended.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.len())
    }

    /// Records of whatever size that can be appended for sure, `bytes` once taken off.
    pub(super) fn slots_after(&self, bytes: u64) -> u64 {
        self.free().saturating_sub(bytes) / MAX_FRAME_BYTES as u64
    }

    /// No frame is appended any more.
    ///
    /// Precondition: the caller holds the lane's lock, or an append could come after it.
    pub(super) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Nothing more should be appended: the disk failed here.
    pub(super) fn distrust(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// Whether the writer should go on in another file.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Acquire)
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
