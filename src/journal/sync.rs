//! The thread that makes appended records survive a power loss, some time after they were appended.
//!
//! A killed process loses nothing without it: the pages are the operating system's by then. `fsync` takes about a
//! millisecond, so no worker waits for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::writer::Books;

/// Syncs until it is dropped, and once more then.
#[derive(Debug)]
pub(super) struct SyncThread {
    /// Closing the channel stops the thread; nothing is sent.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === impl SyncThread ===

impl SyncThread {
    pub(super) fn start(books: Arc<Books>, every: Duration) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = Builder::new()
            .name("journal-sync".to_owned())
            .spawn(move || {
                let mut healthy = true;
                while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    sync(&books, &mut healthy);
                }
                sync(&books, &mut healthy);
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the journal's syncing thread panicked");
        }
    }
}

/// Says once that syncing fails and once that it works again, not ten times a second.
fn sync(books: &Books, healthy: &mut bool) {
    for segment in books.segments() {
        match segment.sync() {
            Ok(()) if *healthy => {}
            Ok(()) => {
                *healthy = true;
                log::info!("the journal can be synced to the disk again");
            }
            // Shipped and deleted in the meantime: there is nothing left to keep.
            Err(_) if !segment.path().exists() => {}
            Err(err) => {
                if *healthy {
                    log::error!(err:% = err; "the journal cannot be synced: a power loss would lose records");
                }
                *healthy = false;
                return;
            }
        }
    }
}
