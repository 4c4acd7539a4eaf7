//! The append-only books on disk: what lets a killed process lose no request that reached a provider.
//!
//! ```text
//! <data dir>/journal/<boot id>/lock                      held as long as the process lives
//!                             /0000-0000000003.segment   writer 0's fourth file: frames of records
//! ```
//!
//! A worker appends `started` before it calls a provider and `settled` before it lets the client see the end of the
//! answer ([`JournalWriter`]). The spend ledger ships `settled` records to the store and releases them after the commit
//! ([`JournalReader`]); a released segment is deleted. A process that starts adopts the directories of dead ones.
//! Every record may be shipped more than once; the store takes each id once.
//!
//! `inspect` reads all of it from outside. `frame` is the bytes, `record` their meaning, `segment` one file, `lock` the ownership, `replay` the adoption.
//! Not here: when to ship (`actors::spend_ledger`) and what to do when the journal is full (`dispatch`: a 503).

mod frame;
mod inspect;
mod lock;
mod reader;
mod record;
mod replay;
mod segment;
mod sync;
mod writer;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::{JournalReader, JournalWriter};

pub use self::inspect::{Inspection, inspect};

use self::lock::BootLock;
use self::reader::Reader;
use self::sync::SyncThread;
use self::writer::{Books, Writer};

/// When appended records are forced to the disk. A killed process loses nothing either way: only a power loss does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// This long after an append at the latest.
    Interval(Duration),
    /// When the operating system likes.
    Never,
}

/// Sizes and promises of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalOptions {
    /// A segment is followed by the next one at this size. Default 8 MiB.
    pub segment_bytes: u64,
    /// No request is started beyond this size, all directories together. Default 1 GiB.
    pub max_bytes: u64,
    /// Default: an interval of 100 ms.
    pub fsync: FsyncPolicy,
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
    writers: Mutex<Vec<Arc<Writer>>>,
    reader: Arc<Reader>,
    // Declared last: the thread ends after everything else was dropped.
    _sync: Option<SyncThread>,
}

// === impl Journal ===

impl Journal {
    /// Makes this boot's directory below `data_dir/journal` and adopts those of dead processes. Reads all that they left:
    /// call it from a thread that may block.
    ///
    /// # Errors
    /// [`JournalOpenError`] says what is wrong with the directory.
    pub fn open(data_dir: &Path, options: JournalOptions) -> Result<Self, JournalOpenError> {
        let root = data_dir.join("journal");
        let unusable = |source| JournalOpenError::Directory {
            path: root.clone(),
            source,
        };
        fs::create_dir_all(&root).map_err(unusable)?;
        let boot = RequestId::generate(UnixMs::now().0, rand::random());
        let (dir, lock) = BootLock::create_dir(&root, &boot.to_string()).map_err(unusable)?;
        let adopted = replay::adopt_all(&root).map_err(|source| JournalOpenError::Adopt {
            path: root.clone(),
            source,
        })?;
        let fsync = options.fsync;
        let books = Arc::new(Books::new(options, dir, lock));
        let sync = match fsync {
            FsyncPolicy::Never => None,
            FsyncPolicy::Interval(every) => Some(
                SyncThread::start(Arc::clone(&books), every).map_err(JournalOpenError::Thread)?,
            ),
        };
        Ok(Self {
            reader: Arc::new(Reader::new(Arc::clone(&books), adopted)),
            books,
            writers: Mutex::default(),
            _sync: sync,
        })
    }

    /// A writer with files of its own: one per worker thread. It makes its first file with its first record.
    pub fn writer(&self) -> Arc<dyn JournalWriter> {
        let mut writers = self.writers();
        let writer = Arc::new(Writer::new(Arc::clone(&self.books), writers.len()));
        writers.push(Arc::clone(&writer));
        writer
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
        for writer in self.writers().iter() {
            writer.seal();
        }
        if !self.reader.sweep()? {
            return Ok(false);
        }
        self.books.lock.remove_dir()?;
        Ok(true)
    }

    fn writers(&self) -> MutexGuard<'_, Vec<Arc<Writer>>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl JournalOptions ===

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            max_bytes: 1 << 30,
            fsync: FsyncPolicy::Interval(Duration::from_millis(100)),
        }
    }
}
