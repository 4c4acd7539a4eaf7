//! The append-only books on disk: what lets a killed process lose no request that reached a provider.
//!
//! ```text
//! <data dir>/journal/<boot id>/lock                      held as long as the process lives
//!                             /0000-0000000003.segment   writer 0's fourth file: frames of records, then zeroes
//! ```
//!
//! A worker appends `started` before it calls a provider and `settled` before it lets the client see the end of the
//! answer ([`JournalWriter`]). Segments are made at their full size, and a `started` reserves the room of its `settled` in
//! them: a disk or a journal that is full shows at admission, never at settlement. The spend ledger ships `settled`
//! records to the store and releases them after the commit ([`JournalReader`]); a released segment is deleted. A process
//! adopts the directories of dead ones, when it starts and now and then. Every record may be shipped more than once; the
//! store takes each id once.
//!
//! `inspect` reads all of it from outside. `frame` is the bytes, `record` their meaning, `segment` one file and `scanner` its reading, `lane` one writer's files
//! with their room, `books` what all share, `disk` what can fail, `sync` the promise for a power loss, `lock` the ownership,
//! `replay` the adoption. Not here: when to ship (`actors::spend_ledger`) and what to do when the journal is full
//! (`dispatch`).

mod books;
mod disk;
mod frame;
mod inspect;
mod lane;
mod layout;
mod lock;
mod reader;
mod record;
mod replay;
mod scanner;
mod segment;
mod sync;
mod writer;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::{JournalReader, JournalWriter};

pub use self::inspect::{Inspection, inspect};

use self::books::Books;
use self::disk::{Disk, OsDisk};
use self::frame::MAX_FRAME_BYTES;
use self::lock::BootLock;
use self::reader::Reader;
use self::sync::SyncThread;
use self::writer::Writer;

const SEGMENT_EXTENSION: &str = "segment";
/// Smaller segments would hold next to nothing beside what they reserve.
const MIN_SEGMENT_BYTES: u64 = 8 * MAX_FRAME_BYTES as u64;
/// Larger ones would take long to make.
const MAX_SEGMENT_BYTES: u64 = 8 << 20;
/// How often something that nobody waits for is synced with [`FsyncPolicy::Always`].
const IDLE_SYNC: Duration = Duration::from_millis(100);

/// When appended records are forced to the disk. A killed process loses nothing either way: only a power loss does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// At once; [`JournalWriter::synced`] waits for it.
    Always,
    /// This long after an append at the latest.
    Interval(Duration),
    /// When the operating system likes.
    Never,
}

/// Sizes and promises of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalOptions {
    /// Size of a segment. Default 8 MiB; see [`JournalOptions::sized`].
    pub segment_bytes: u64,
    /// No segment is made beyond this size, all directories together. Default 1 GiB.
    pub max_bytes: u64,
    /// Default: an interval of 100 ms.
    pub fsync: FsyncPolicy,
    /// How often directories of dead processes are looked for. Default one minute.
    pub adopt_every: Duration,
}

/// How much room the journal takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalStatus {
    /// All its segments, whatever they hold.
    pub bytes: u64,
    /// What they may take.
    pub max_bytes: u64,
    /// It passed 80 % of that and has not come down to 70 % since.
    pub is_filling: bool,
}

/// The journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalOpenError {
    /// Its directory cannot be made, locked or listed.
    #[error("cannot use the journal directory {}: it must be on a local disk and writable", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A dead process's records cannot be read.
    #[error("cannot take over the records that earlier processes left in {}", path.display())]
    Adopt {
        /// The directory of all boots.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The syncing thread cannot be started.
    #[error("cannot start the journal's syncing thread")]
    Thread(#[source] io::Error),
}

/// This process's journal.
///
/// ```text
/// open ── writer() per worker, reader() for the ledger ── serve ── drain the ledger ── close
/// ```
///
/// Dropped without [`close`](Journal::close), or killed, it leaves its directory to the next process.
#[derive(Debug)]
pub struct Journal {
    books: Arc<Books>,
    reader: Arc<Reader>,
    sync: Option<SyncThread>,
}

// === impl Journal ===

impl Journal {
    /// Makes this boot's directory below `data_dir/journal` and adopts those of dead processes. Reads all that they left:
    /// call it from a thread that may block.
    ///
    /// # Errors
    /// [`JournalOpenError`] says what is wrong with the directory.
    pub fn open(data_dir: &Path, options: JournalOptions) -> Result<Self, JournalOpenError> {
        Self::open_on(Arc::new(OsDisk::default()), data_dir, options)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        options: JournalOptions,
    ) -> Result<Self, JournalOpenError> {
        let root = data_dir.join("journal");
        let unusable = |source| JournalOpenError::Directory {
            path: root.clone(),
            source,
        };
        fs::create_dir_all(&root).map_err(unusable)?;
        let boot = RequestId::generate(UnixMs::now().0, rand::random());
        let (dir, lock) = BootLock::create_dir(&root, &boot.to_string()).map_err(unusable)?;
        let adopted =
            replay::adopt_all(&root, &disk).map_err(|source| JournalOpenError::Adopt {
                path: root.clone(),
                source,
            })?;
        let fsync = options.fsync;
        let books = Arc::new(Books::new(options, dir, lock, disk));
        let every = match fsync {
            FsyncPolicy::Never => None,
            FsyncPolicy::Interval(every) => Some(every),
            FsyncPolicy::Always => Some(IDLE_SYNC),
        };
        let sync = every
            .map(|every| SyncThread::start(Arc::clone(&books), every))
            .transpose()
            .map_err(JournalOpenError::Thread)?;
        Ok(Self {
            reader: Arc::new(Reader::new(Arc::clone(&books), root, adopted)),
            books,
            sync,
        })
    }

    /// A writer with files of its own: one per worker thread. It makes its first file with its first record.
    pub fn writer(&self) -> Arc<dyn JournalWriter> {
        let waits = self.books.options.fsync == FsyncPolicy::Always;
        let sync = self.sync.as_ref().filter(|_| waits);
        Arc::new(Writer::new(
            Arc::clone(&self.books),
            sync.map(SyncThread::commit),
        ))
    }

    /// How much room is taken.
    pub fn status(&self) -> JournalStatus {
        self.books.status()
    }

    /// The reader, for the one ledger of the process.
    pub fn reader(&self) -> Arc<dyn JournalReader> {
        Arc::clone(&self.reader) as _
    }

    /// Takes no more records, and removes the directory when everything in it is settled and shipped. False when
    /// something is left: the next process will adopt it.
    ///
    /// # Errors
    /// The file system's.
    pub fn close(&self) -> io::Result<bool> {
        self.books.close();
        if !self.reader.sweep()? {
            return Ok(false);
        }
        self.books.lock.remove_dir()?;
        Ok(true)
    }
}

// === impl JournalOptions ===

impl JournalOptions {
    /// The smallest limit with which so many writers can work at the same time.
    pub fn min_bytes(writers: usize) -> u64 {
        4 * MIN_SEGMENT_BYTES * writers as u64
    }

    /// A journal of at most `max_bytes`, shared by so many writers. Each has room for several segments, or one that fills
    /// up could take what another one needs.
    pub fn sized(max_bytes: u64, writers: usize) -> Self {
        let share = max_bytes / (8 * writers.max(1) as u64);
        Self {
            segment_bytes: share.clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES),
            max_bytes,
            ..Self::default()
        }
    }
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: MAX_SEGMENT_BYTES,
            max_bytes: 1 << 30,
            fsync: FsyncPolicy::Interval(Duration::from_millis(100)),
            adopt_every: Duration::from_mins(1),
        }
    }
}

/// Whether a file of a boot directory is a segment.
fn is_segment(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == SEGMENT_EXTENSION)
}
