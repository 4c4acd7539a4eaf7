//! The thread that makes appended records survive a power loss, some time after they were appended.
//!
//! A killed process loses nothing without it: the pages are the operating system's by then. `fsync` takes about a
//! millisecond, so no worker makes one. With `always` a request waits until a sync that began after its append is done;
//! all that wait at that moment share it.

use std::future::Future;
use std::io;
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use trunkline_actors::ports::JournalError;

use super::FsyncPolicy;
use super::books::Books;

/// Syncs until it is dropped, and once more then.
#[derive(Debug)]
pub(super) struct SyncThread {
    commit: Arc<GroupCommit>,
    thread: Option<JoinHandle<()>>,
}

/// Where requests wait for the thread.
#[derive(Debug, Default)]
pub(super) struct GroupCommit {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// At most one entry for each request that is being served.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<oneshot::Sender<Result<(), io::ErrorKind>>>,
    stopped: bool,
}

// === impl SyncThread ===

impl SyncThread {
    /// Syncs when somebody waits, and every `every` in any case.
    pub(super) fn start(books: Arc<Books>, every: Duration) -> io::Result<Self> {
        let commit = Arc::new(GroupCommit::default());
        let shared = Arc::clone(&commit);
        let thread = Builder::new()
            .name("journal-sync".to_owned())
            .spawn(move || {
                let mut healthy = true;
                loop {
                    let (waiting, stopped) = shared.next(every);
                    let synced = sync(&books, &mut healthy);
                    for waiter in waiting {
                        // Whoever left does not need to know.
                        waiter.send(synced).ok();
                    }
                    if stopped {
                        return;
                    }
                }
            })?;
        Ok(Self {
            commit,
            thread: Some(thread),
        })
    }

    pub(super) fn commit(&self) -> Arc<GroupCommit> {
        Arc::clone(&self.commit)
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        self.commit.lock().stopped = true;
        self.commit.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the journal's syncing thread panicked");
        }
    }
}

// === impl GroupCommit ===

impl GroupCommit {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when everything that was appended before this call survives a power loss. Dropping it is harmless.
    pub(super) fn wait(&self) -> impl Future<Output = Result<(), JournalError>> + use<> {
        let (done, wait) = oneshot::channel();
        {
            let mut queue = self.lock();
            // Nobody would answer any more: the sender is dropped, and the wait ends at once.
            if !queue.stopped {
                queue.waiting.push(done);
            }
        }
        self.wake.notify_one();
        async move {
            match wait.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(kind)) => Err(JournalError::Io {
                    operation: "make a record survive a power loss",
                    source: kind.into(),
                }),
                Err(_stopped) => Err(JournalError::Closed),
            }
        }
    }

    /// Those who wait, as soon as there are any; nobody after `every`.
    fn next(&self, every: Duration) -> (Vec<oneshot::Sender<Result<(), io::ErrorKind>>>, bool) {
        let idle = |queue: &mut Queue| queue.waiting.is_empty() && !queue.stopped;
        let (mut queue, _timed_out) = self
            .wake
            .wait_timeout_while(self.lock(), every, idle)
            .unwrap_or_else(PoisonError::into_inner);
        (take(&mut queue.waiting), queue.stopped)
    }
}

/// Says once that syncing fails and once that it works again, not ten times a second.
fn sync(books: &Books, healthy: &mut bool) -> Result<(), io::ErrorKind> {
    let mut result = Ok(());
    for segment in books.segments() {
        match segment.sync() {
            Ok(()) => {}
            // Shipped and deleted in the meantime: there is nothing left to keep.
            Err(_) if !segment.path().exists() => {}
            Err(err) => {
                if *healthy {
                    log::error!(err:% = err; "the journal cannot be synced: a power loss would lose records");
                }
                *healthy = false;
                result = Err(err.kind());
                // The operating system may have dropped the pages, and report success the next time.
                if books.options.fsync == FsyncPolicy::Always {
                    segment.distrust();
                }
            }
        }
    }
    if result.is_ok() && !*healthy {
        *healthy = true;
        log::info!("the journal can be synced to the disk again");
    }
    result
}
