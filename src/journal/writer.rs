//! One worker's end of the journal: appends records, keeps the room account, rotates segments.
//!
//! An append is one synchronous `write(2)` under a lock that only this worker takes, so that even `Drop` can settle.
//! Durability against power loss is `sync`'s business, not the writer's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::{JournalError, JournalWriter, SpendRecord, StartedRecord};

use super::JournalOptions;
use super::frame::{self, MAX_FRAME_BYTES};
use super::lock::BootLock;
use super::record;
use super::segment::Segment;

/// What the writers, the reader and the syncing thread share: this boot's directory.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) options: JournalOptions,
    pub(super) dir: PathBuf,
    pub(super) lock: BootLock,
    /// Segments of this boot, oldest first per writer. Writers add, the reader removes.
    pub(super) segments: Mutex<Vec<Arc<Segment>>>,
    /// Bytes in segments, adopted ones too.
    pub(super) bytes: AtomicU64,
    /// Requests that started and did not settle, with the segment that holds their `started`. A request settles on
    /// whichever worker it ends on.
    open: DashMap<RequestId, Arc<Segment>>,
    open_count: AtomicU64,
    closed: AtomicBool,
}

/// Appends for one worker.
#[derive(Debug)]
pub(super) struct Writer {
    books: Arc<Books>,
    number: usize,
    file: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    segment: Option<Arc<Segment>>,
    next_number: u64,
}

// === impl Books ===

impl Books {
    pub(super) fn new(options: JournalOptions, dir: PathBuf, lock: BootLock) -> Self {
        Self {
            options,
            dir,
            lock,
            segments: Mutex::default(),
            bytes: AtomicU64::new(0),
            open: DashMap::new(),
            open_count: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// A copy of the list, so that its lock is not held during file work.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether `frame_bytes` more leave room to settle what has started, the new request included.
    fn has_room(&self, frame_bytes: u64) -> bool {
        let reserved = (self.open_count.load(Ordering::Acquire) + 1) * MAX_FRAME_BYTES as u64;
        let used = self.bytes.load(Ordering::Acquire);
        used.saturating_add(frame_bytes).saturating_add(reserved) <= self.options.max_bytes
    }

    fn note_started(&self, id: RequestId, segment: &Arc<Segment>) {
        segment.note_started();
        match self.open.insert(id, Arc::clone(segment)) {
            None => {
                self.open_count.fetch_add(1, Ordering::AcqRel);
            }
            Some(earlier) => earlier.note_settled(),
        }
    }

    fn note_settled(&self, id: RequestId) {
        if let Some((_, segment)) = self.open.remove(&id) {
            self.open_count.fetch_sub(1, Ordering::AcqRel);
            segment.note_settled();
        }
    }
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(books: Arc<Books>, number: usize) -> Self {
        Self {
            books,
            number,
            file: Mutex::default(),
        }
    }

    /// Ends the current segment, so that it can be deleted once it is shipped. After `Books::close` nothing follows.
    pub(super) fn seal(&self) {
        if let Some(segment) = self.lock().segment.take() {
            segment.seal();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // A panic between two statements here leaves nothing half done that `Segment` does not account for.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends and, still under the lock, lets `note` account for the record: a segment is sealed under the same lock,
    /// so it is never deleted between the two.
    fn append(
        &self,
        operation: &'static str,
        frame: &[u8],
        note: impl FnOnce(&Arc<Segment>),
    ) -> Result<(), JournalError> {
        let mut current = self.lock();
        if self.books.is_closed() {
            return Err(JournalError::Closed);
        }
        let segment = self
            .segment_for(&mut current, frame.len() as u64)
            .and_then(|segment| segment.append(frame).map(|()| segment))
            .map_err(|source| JournalError::Io { operation, source })?;
        self.books
            .bytes
            .fetch_add(frame.len() as u64, Ordering::AcqRel);
        note(&segment);
        Ok(())
    }

    fn segment_for(&self, current: &mut Current, bytes: u64) -> io::Result<Arc<Segment>> {
        if let Some(segment) = &current.segment {
            let fits = segment.len() + bytes <= self.books.options.segment_bytes;
            if !segment.is_sealed() && (fits || segment.len() == 0) {
                return Ok(Arc::clone(segment));
            }
        }
        let name = segment_name(self.number, current.next_number);
        let next = Arc::new(Segment::create(self.books.dir.join(name))?);
        current.next_number += 1;
        if let Some(full) = current.segment.replace(Arc::clone(&next)) {
            full.seal();
        }
        self.books
            .segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&next));
        Ok(next)
    }
}

impl JournalWriter for Writer {
    fn started(&self, started: &StartedRecord) -> Result<(), JournalError> {
        let frame = frame::encode(&record::started(started)?);
        if !self.books.has_room(frame.len() as u64) {
            return Err(JournalError::NoRoom);
        }
        self.append("note that a request started", &frame, |segment| {
            self.books.note_started(started.id, segment);
        })
    }

    fn settled(&self, settled: &SpendRecord) -> Result<(), JournalError> {
        let frame = frame::encode(&record::settled(settled)?);
        self.append("note that a request settled", &frame, |_| {
            self.books.note_settled(settled.id);
        })
    }
}

const SEGMENT_EXTENSION: &str = "segment";

/// Sorts by writer, then by age.
fn segment_name(writer: usize, number: u64) -> String {
    format!("{writer:04}-{number:010}.{SEGMENT_EXTENSION}")
}

/// Whether a file of a boot directory is a segment.
pub(super) fn is_segment(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == SEGMENT_EXTENSION)
}
