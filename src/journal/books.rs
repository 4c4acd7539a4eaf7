//! What the writers, the reader and the syncing thread share: this boot's directory, its segments, and how much room the
//! journal takes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::JournalError;

use super::disk::Disk;
use super::lane::Lane;
use super::lock::BootLock;
use super::segment::Segment;
use super::{JournalOptions, JournalStatus};

/// The journal says that it fills up from this share of its limit on, in percent,
const ALARM_ABOVE: u64 = 80;
/// and that it does not any more from this one down.
const ALARM_BELOW: u64 = 70;

/// See the module.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) options: JournalOptions,
    pub(super) dir: PathBuf,
    pub(super) lock: BootLock,
    pub(super) disk: Arc<dyn Disk>,
    /// Segments of this boot with records in them, oldest first per writer. Writers add, the reader removes.
    segments: Mutex<Vec<Arc<Segment>>>,
    /// One per writer.
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// What all segments take, adopted and empty ones too.
    bytes: AtomicU64,
    filling: AtomicBool,
    closed: AtomicBool,
}

// === impl Books ===

impl Books {
    pub(super) fn new(
        options: JournalOptions,
        dir: PathBuf,
        lock: BootLock,
        disk: Arc<dyn Disk>,
    ) -> Self {
        Self {
            options,
            dir,
            lock,
            disk,
            segments: Mutex::default(),
            lanes: Mutex::default(),
            bytes: AtomicU64::new(0),
            filling: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// A copy of the list, so that its lock is not held during file work.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments_lock().clone()
    }

    pub(super) fn segments_lock(&self) -> MutexGuard<'_, Vec<Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_lane(&self) -> Arc<Lane> {
        let mut lanes = self.lanes();
        let lane = Arc::new(Lane::new(lanes.len()));
        lanes.push(Arc::clone(&lane));
        lane
    }

    /// Takes no more records and seals what there is.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let lanes = self.lanes().clone();
        for lane in lanes {
            lane.close(self);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Appends the `settled` of a request that ends on the writer of `here`.
    ///
    /// Precondition: no lane is locked by the caller.
    pub(super) fn settled(
        &self,
        here: &Arc<Lane>,
        id: RequestId,
        frame: &[u8],
    ) -> Result<(), JournalError> {
        if here.settled(self, id, frame)? {
            return Ok(());
        }
        let lanes = self.lanes().clone();
        for lane in lanes.iter().filter(|lane| !Arc::ptr_eq(lane, here)) {
            if lane.settled(self, id, frame)? {
                return Ok(());
            }
        }
        here.settled_alone(self, frame)
    }

    /// Makes an empty segment, if there is room for one.
    pub(super) fn make_segment(
        &self,
        name: &str,
        number: u64,
    ) -> Result<Arc<Segment>, JournalError> {
        let capacity = self.options.segment_bytes;
        self.bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |bytes| {
                let more = bytes.saturating_add(capacity);
                (more <= self.options.max_bytes).then_some(more)
            })
            .map_err(|_full| JournalError::NoRoom)?;
        let path = self.dir.join(name);
        let made = Segment::create(path, number, capacity, Arc::clone(&self.disk));
        if made.is_err() {
            self.bytes.fetch_sub(capacity, Ordering::AcqRel);
        }
        let segment = made.map_err(|source| JournalError::Io {
            operation: "make a segment",
            source,
        })?;
        self.watch();
        Ok(Arc::new(segment))
    }

    /// Segments that earlier processes left count as well.
    pub(super) fn count_adopted(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.watch();
    }

    /// Segments of so many bytes are gone.
    pub(super) fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.watch();
    }

    pub(super) fn status(&self) -> JournalStatus {
        JournalStatus {
            bytes: self.bytes.load(Ordering::Acquire),
            max_bytes: self.options.max_bytes,
            is_filling: self.filling.load(Ordering::Relaxed),
        }
    }

    /// Says once that the journal fills up, and once that it does not any more.
    fn watch(&self) {
        let (bytes, limit) = (
            self.bytes.load(Ordering::Acquire),
            self.options.max_bytes.max(1),
        );
        let percent = bytes.saturating_mul(100) / limit;
        if percent >= ALARM_ABOVE && !self.filling.swap(true, Ordering::Relaxed) {
            log::warn!(
                bytes, limit;
                "the journal is filling up: rows wait for the database, or very many requests are under way"
            );
        } else if percent <= ALARM_BELOW && self.filling.swap(false, Ordering::Relaxed) {
            log::info!(bytes, limit; "the journal has room again");
        }
    }
}
