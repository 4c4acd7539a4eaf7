//! One writer's segments and the requests that started in them.
//!
//! ```text
//! sealed ─ sealed ─ [current] ─ [spare] ─ [spare]
//!                       ▲ appended to      empty: made when the requests under way could need them
//! ```
//!
//! The room account: the current segment and the spares always take one record of the largest size for each open request,
//! so settling never asks the disk for anything. A `started` that would break this makes a spare first, and is refused
//! when it cannot. A segment too full for one more record is left; what is lost at its end was never counted.
//!
//! At a rotation the `started` records that are still open in the oldest segment are copied forward, a bounded number at a
//! time and never from the segment just left, so that one slow request does not keep a whole segment.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::JournalError;

use super::books::Books;
use super::segment::Segment;

/// `started` records that are copied forward at one rotation: about half a millisecond's work.
const COPIES_PER_ROTATION: usize = 256;

/// See the module. A request settles where it started, because its room is there, whichever writer it ends on.
#[derive(Debug)]
pub(super) struct Lane {
    index: usize,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    /// The current segment, then the spares.
    segments: VecDeque<Arc<Segment>>,
    next_number: u64,
    open: HashMap<RequestId, Place>,
}

/// Where an open request's `started` lies.
#[derive(Debug)]
struct Place {
    segment: Arc<Segment>,
    offset: u64,
    frame_bytes: usize,
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            files: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        // A panic between two statements here leaves nothing half done that `Segment` does not account for.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a `started`, its settlement's room reserved.
    pub(super) fn started(
        &self,
        books: &Books,
        id: RequestId,
        frame: &[u8],
    ) -> Result<(), JournalError> {
        let mut files = self.lock();
        if books.is_closed() {
            return Err(JournalError::Closed);
        }
        let reserved = files.open.len() as u64 + 1;
        let bytes = frame.len() as u64;
        while !files.takes(bytes, reserved) {
            self.add_spare(books, &mut files)?;
        }
        files.prepare(books, bytes)?;
        let (segment, offset) = files.append(frame).map_err(|source| JournalError::Io {
            operation: "note that a request started",
            source,
        })?;
        segment.note_started();
        let place = Place {
            segment,
            offset,
            frame_bytes: frame.len(),
        };
        if let Some(earlier) = files.open.insert(id, place) {
            earlier.segment.note_settled();
        }
        Ok(())
    }

    /// Appends the `settled` of a request that started here; false: it did not, and nothing is written.
    pub(super) fn settled(
        &self,
        books: &Books,
        id: RequestId,
        frame: &[u8],
    ) -> Result<bool, JournalError> {
        let mut files = self.lock();
        let Some(others) = (files.open.len() as u64).checked_sub(1) else {
            return Ok(false);
        };
        if !files.open.contains_key(&id) {
            return Ok(false);
        }
        self.append_settled(books, &mut files, frame, others)?;
        if let Some(place) = files.open.remove(&id) {
            place.segment.note_settled();
        }
        files.give_back_spares(books);
        Ok(true)
    }

    /// Appends the `settled` of a request that was let in without a `started`. Nothing is reserved for it.
    pub(super) fn settled_alone(&self, books: &Books, frame: &[u8]) -> Result<(), JournalError> {
        let mut files = self.lock();
        let reserved = files.open.len() as u64;
        self.append_settled(books, &mut files, frame, reserved)
    }

    /// When the write itself fails, as it can on a broken disk, the next segment is tried once.
    fn append_settled(
        &self,
        books: &Books,
        files: &mut Files,
        frame: &[u8],
        reserved: u64,
    ) -> Result<(), JournalError> {
        if books.is_closed() {
            return Err(JournalError::Closed);
        }
        let bytes = frame.len() as u64;
        let mut retried = false;
        loop {
            while !files.takes(bytes, reserved) {
                self.add_spare(books, files)?;
            }
            files.prepare(books, bytes)?;
            match files.append(frame) {
                Ok(_) => return Ok(()),
                Err(_) if !retried => {
                    retried = true;
                    files.leave_current();
                }
                Err(source) => {
                    return Err(JournalError::Io {
                        operation: "note that a request settled",
                        source,
                    });
                }
            }
        }
    }

    /// Ends the current segment, so that it can be deleted once it is shipped, and removes the spares.
    ///
    /// Precondition: the books are closed.
    pub(super) fn close(&self, books: &Books) {
        let mut files = self.lock();
        let mut segments = files.segments.drain(..);
        if let Some(current) = segments.next() {
            current.seal();
        }
        for spare in segments {
            remove_spare(books, &spare);
        }
    }

    fn add_spare(&self, books: &Books, files: &mut Files) -> Result<(), JournalError> {
        let number = files.next_number;
        let name = segment_name(self.index, number);
        let spare = books.make_segment(&name, number)?;
        files.next_number += 1;
        if files.segments.is_empty() {
            // Locked within a lane's lock, here and in `Files::prepare`, never the other way round.
            books.segments_lock().push(Arc::clone(&spare));
        }
        files.segments.push_back(spare);
        Ok(())
    }
}

// === impl Files ===

impl Files {
    /// Whether a record of so many bytes leaves room for `reserved` records of the largest size.
    fn takes(&self, bytes: u64, reserved: u64) -> bool {
        let Some(current) = self.segments.front() else {
            return false;
        };
        let stays = !current.is_suspect() && current.free() >= bytes;
        // Where the record goes, and which spares are left then.
        let (first, left) = if stays { (0, 1) } else { (1, 2) };
        let Some(target) = self.segments.get(first) else {
            return false;
        };
        let spares = self.segments.iter().skip(left);
        let slots: u64 = spares.map(|spare| spare.slots_after(0)).sum();
        slots + target.slots_after(bytes) >= reserved
    }

    /// Goes on in the next segment if the current one cannot take so many bytes.
    ///
    /// Precondition: [`Files::takes`] said yes.
    fn prepare(&mut self, books: &Books, bytes: u64) -> Result<(), JournalError> {
        let Some(current) = self.segments.front() else {
            return Err(JournalError::NoRoom);
        };
        if !current.is_suspect() && current.free() >= bytes {
            return Ok(());
        }
        current.seal();
        self.segments.pop_front();
        let Some(next) = self.segments.front() else {
            return Err(JournalError::NoRoom);
        };
        books.segments_lock().push(Arc::clone(next));
        self.copy_forward(bytes);
        Ok(())
    }

    fn append(&self, frame: &[u8]) -> io::Result<(Arc<Segment>, u64)> {
        let Some(current) = self.segments.front() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let offset = current.append(frame)?;
        Ok((Arc::clone(current), offset))
    }

    /// The current segment could not be written: the next record goes elsewhere, unless nothing is in it.
    fn leave_current(&mut self) {
        if let Some(current) = self.segments.front()
            && current.len() > 0
        {
            current.distrust();
        }
    }

    /// Copies the oldest open `started` records into the current segment, as far as that touches no reserved room and
    /// leaves `bytes` for the record at hand.
    fn copy_forward(&mut self, bytes: u64) {
        let reserved = self.open.len() as u64 + 1;
        let Some(current) = self.segments.front().map(Arc::clone) else {
            return;
        };
        let slots: u64 = self
            .segments
            .iter()
            .skip(1)
            .map(|spare| spare.slots_after(0))
            .sum();
        // One segment at a time, or copies of copies could keep the oldest waiting.
        let numbers = self.open.values().map(|place| place.segment.number());
        let Some(oldest) = numbers.min() else {
            return;
        };
        // The segment that was just left mostly holds requests that end soon.
        if oldest + 1 >= current.number() {
            return;
        }
        let old = self
            .open
            .values_mut()
            .filter(|place| place.segment.number() == oldest);
        for place in old.take(COPIES_PER_ROTATION) {
            let with_record = bytes + place.frame_bytes as u64;
            if current.free() < with_record || slots + current.slots_after(with_record) < reserved {
                return;
            }
            let copied = place
                .segment
                .read_at(place.offset, place.frame_bytes)
                .and_then(|frame| current.append(&frame));
            let Ok(offset) = copied else {
                // The original is still there; the disk's trouble shows with the next record.
                return;
            };
            current.note_started();
            place.segment.note_settled();
            place.segment = Arc::clone(&current);
            place.offset = offset;
        }
    }

    /// Removes spares that requests under way cannot need any more. Half a segment is kept over, or a spare would be
    /// made and removed with every request.
    fn give_back_spares(&mut self, books: &Books) {
        while self.segments.len() > 1
            && let Some(last) = self.segments.back()
        {
            let all: u64 = self
                .segments
                .iter()
                .map(|segment| segment.slots_after(0))
                .sum();
            let spare = last.slots_after(0);
            if all - spare < self.open.len() as u64 + spare / 2 {
                return;
            }
            remove_spare(books, last);
            self.segments.pop_back();
        }
    }
}

fn remove_spare(books: &Books, spare: &Segment) {
    match spare.delete() {
        Ok(()) => books.give_back(spare.capacity()),
        Err(err) => log::warn!(err:% = err; "an empty journal segment cannot be removed"),
    }
}

/// Sorts by writer, then by age.
fn segment_name(lane: usize, number: u64) -> String {
    format!("{lane:04}-{number:010}.{}", super::SEGMENT_EXTENSION)
}
