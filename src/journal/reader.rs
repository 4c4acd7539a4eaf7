//! The ledger's end of the journal: settled records in, one batch at a time, and nothing forgotten before the store has it.
//!
//! Records are read back from the files; none waits in memory. Adopted directories come first, then this boot's segments.
//! A segment of this boot is deleted when it is sealed, wholly shipped, and each request that started in it has settled or
//! has a copy of its `started` in a later segment (see `lane`). Adopted segments stay until the `unknown` rows made of them
//! are in the store.
//!
//! Other processes on the same data directory may die while this one lives: now and then the reader looks for directories
//! that nobody owns any more and adopts them, as the start does.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use trunkline_actors::ports::{
    JournalBatch, JournalError, JournalPosition, JournalReader, SpendRecord,
};

use super::FsyncPolicy;
use super::books::Books;
use super::record;
use super::replay::{self, Adopted};
use super::scanner::Scanner;
use super::segment::Segment;

/// Reads for the one ledger of the process.
#[derive(Debug)]
pub(super) struct Reader {
    books: Arc<Books>,
    /// Where all boots have their directories.
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    adopted: Vec<Adopted>,
    /// When directories without an owner were last looked for.
    looked_at: Instant,
    /// The last batch that was handed out. Only its position can be released: an older batch is part of it.
    handed: Option<Handed>,
    last_position: u64,
}

/// What may be forgotten when a batch is in the store.
#[derive(Debug, Default)]
struct Handed {
    position: JournalPosition,
    /// Segments with the offset up to which the batch read them.
    segments: Vec<(Arc<Segment>, u64)>,
    /// `unknown` rows that it took, per adopted directory, in order.
    unknown: Vec<usize>,
}

// === impl Reader ===

impl Reader {
    /// A reader that has adopted what earlier processes left in `root`.
    pub(super) fn new(books: Arc<Books>, root: PathBuf, adopted: Vec<Adopted>) -> Self {
        count(&books, &adopted);
        Self {
            books,
            root,
            state: Mutex::new(State {
                adopted,
                looked_at: Instant::now(),
                handed: None,
                last_position: 0,
            }),
        }
    }

    /// Deletes what nobody needs any more. True when nothing of this boot is left.
    pub(super) fn sweep(&self) -> io::Result<bool> {
        self.sweep_locked(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever a panic left half done is read again: the store ignores what it has.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adopts the directories of processes that died since the last look.
    fn look_for_the_dead(&self, state: &mut State) {
        if state.looked_at.elapsed() < self.books.options.adopt_every {
            return;
        }
        state.looked_at = Instant::now();
        match replay::adopt_all(&self.root, &self.books.disk) {
            Ok(adopted) => {
                count(&self.books, &adopted);
                state.adopted.extend(adopted);
            }
            // What could be read until then is free again, and the next look finds it.
            Err(err) => log::warn!(
                err:% = err;
                "the journal directories of other processes cannot be looked through; this is tried again"
            ),
        }
    }

    fn sweep_locked(&self, state: &mut State) -> io::Result<bool> {
        for dir in &mut state.adopted {
            // The `started` records behind the `unknown` rows lie in these segments: were one deleted and the process
            // killed before those rows are in the store, nobody would know of the requests any more.
            if dir.unknown.is_empty() {
                self.delete_done(&mut dir.segments)?;
            }
        }
        // The batch under way counts directories by their place in the list.
        let may_remove = state.handed.is_none();
        state.adopted.retain(|dir| {
            let needed = !may_remove || !dir.segments.is_empty() || !dir.unknown.is_empty();
            if !needed && let Err(err) = dir.lock.remove_dir() {
                log::warn!(err:% = err; "an adopted journal directory is empty but cannot be removed");
            }
            needed
        });
        let mut done: Vec<Arc<Segment>> = self
            .books
            .segments_lock()
            .extract_if(.., |segment| segment.is_done())
            .collect();
        let deleted = if done.is_empty() {
            Ok(())
        } else {
            self.sync_copies()
                .and_then(|()| self.delete_done(&mut done))
        };
        let mut live = self.books.segments_lock();
        // Those that are still there are tried again.
        live.splice(0..0, done);
        deleted.map(|()| live.is_empty())
    }

    /// What is left of a request whose `started` is about to be deleted, a copy or its `settled`, lies in segments that may
    /// not be on the disk yet.
    fn sync_copies(&self) -> io::Result<()> {
        if self.books.options.fsync == FsyncPolicy::Never {
            return Ok(());
        }
        let segments = self.books.segments();
        let synced = segments.iter().try_for_each(|segment| segment.sync());
        match (synced, self.books.options.fsync) {
            (Err(err), FsyncPolicy::Always) => Err(err),
            // The syncing thread has said it, and keeping more files does not help.
            _ => Ok(()),
        }
    }

    fn delete_done(&self, segments: &mut Vec<Arc<Segment>>) -> io::Result<()> {
        let mut failed = Ok(());
        segments.retain(|segment| {
            if !segment.is_done() {
                return true;
            }
            match segment.delete() {
                Ok(()) => {
                    self.books.give_back(segment.capacity());
                    false
                }
                Err(err) => {
                    failed = Err(err);
                    true
                }
            }
        });
        failed
    }

    fn collect(&self, state: &State, max: usize) -> io::Result<(Vec<SpendRecord>, Handed)> {
        let mut records = Vec::new();
        let mut handed = Handed::default();
        for dir in &state.adopted {
            for segment in &dir.segments {
                collect_segment(segment, max, &mut records, &mut handed)?;
            }
            let unknown = dir.unknown.iter().take(max - records.len());
            handed.unknown.push(unknown.len());
            records.extend(unknown.cloned());
        }
        for segment in self.books.segments() {
            collect_segment(&segment, max, &mut records, &mut handed)?;
        }
        Ok((records, handed))
    }
}

impl JournalReader for Reader {
    fn next_batch(&self, max: usize) -> Result<JournalBatch, JournalError> {
        let mut state = self.lock();
        self.look_for_the_dead(&mut state);
        let (records, mut handed) = self
            .collect(&state, max)
            .map_err(|source| io_error("read records back", source))?;
        state.last_position += 1;
        handed.position = JournalPosition(state.last_position);
        let up_to = handed.position;
        if records.is_empty() {
            // Only `started` records, if anything: no commit will come that could release them.
            handed.apply(&mut state);
            state.handed = None;
            self.sweep_locked(&mut state)
                .map_err(|source| io_error("delete a shipped segment", source))?;
        } else {
            state.handed = Some(handed);
        }
        Ok(JournalBatch { records, up_to })
    }

    fn release(&self, up_to: JournalPosition) -> Result<(), JournalError> {
        let mut state = self.lock();
        if let Some(handed) = state.handed.take_if(|handed| handed.position == up_to) {
            handed.apply(&mut state);
        }
        self.sweep_locked(&mut state)
            .map(drop)
            .map_err(|source| io_error("delete a shipped segment", source))
    }
}

// === impl Handed ===

impl Handed {
    fn apply(self, state: &mut State) {
        for (segment, offset) in self.segments {
            segment.set_shipped(offset);
        }
        for (dir, taken) in state.adopted.iter_mut().zip(self.unknown) {
            dir.unknown.drain(..taken);
        }
    }
}

/// Adds settled records of `segment` until there are `max`.
fn collect_segment(
    segment: &Arc<Segment>,
    max: usize,
    records: &mut Vec<SpendRecord>,
    handed: &mut Handed,
) -> io::Result<()> {
    let (from, limit) = (segment.shipped(), segment.len());
    if from == limit || records.len() >= max {
        return Ok(());
    }
    let mut scanner = Scanner::open(segment.path(), from, limit)?;
    while records.len() < max && scanner.advance()? {
        // Every second frame is a `started`, which nobody wants here.
        records.extend(record::decode_settled(scanner.payload()));
    }
    // Frames below `limit` were checked when they were written or replayed. If the disk has changed them since, what lies
    // behind cannot be read: it is not marked as shipped, so that the file stays as evidence.
    if records.len() < max && scanner.offset() < limit {
        log::error!(
            segment:% = segment.path().display(), offset = scanner.offset();
            "a journal segment was damaged after it was written"
        );
    }
    handed
        .segments
        .push((Arc::clone(segment), scanner.offset()));
    Ok(())
}

fn count(books: &Books, adopted: &[Adopted]) {
    let segments = adopted.iter().flat_map(|dir| &dir.segments);
    books.count_adopted(segments.map(|segment| segment.capacity()).sum());
}

fn io_error(operation: &'static str, source: io::Error) -> JournalError {
    JournalError::Io { operation, source }
}
