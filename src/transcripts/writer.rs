//! Takes transcripts out of the queue, a few at a time, makes them fit and stores them.
//!
//! While the database is away the batch at hand waits for it and the queue fills up; what no room is left for is not kept.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_rt::spawn;
use actix_rt::task::{JoinHandle, spawn_blocking};
use log::{info, warn};
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};

use super::room::Claim;
use super::{Draft, Queue, text};
use crate::config::TranscriptSettings;
use crate::storage::{TranscriptRow, TranscriptStore};

/// Transcripts of one transaction.
const MOST_AT_ONCE: usize = 64;
/// Their bytes, before they are made to fit.
const MOST_BYTES: usize = 8 << 20;
/// The first of a batch waits this long for others: a transaction of many costs little more than one of one.
const GATHER: Duration = Duration::from_millis(250);
/// Between two tries while the database is away: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The running job.
pub struct Writer {
    stop: Sender<()>,
    running: JoinHandle<()>,
}

/// What the job needs.
struct Job {
    queue: Queue,
    store: Arc<dyn TranscriptStore>,
}

// === impl Writer ===

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the job on this thread.
    pub fn start(queue: Queue, store: Arc<dyn TranscriptStore>) -> Self {
        let (stop, stop_asked_for) = oneshot::channel();
        let job = Job { queue, store };
        Self {
            stop,
            running: spawn(job.run(stop_asked_for)),
        }
    }

    /// Stores what is in the queue, for so long at most. Nothing more must be put into it.
    pub async fn stop(self, within: Duration) {
        // An error is a job that has ended already.
        self.stop.send(()).ok();
        let mut running = self.running;
        match timeout(within, &mut running).await {
            Ok(Ok(())) => {}
            Ok(Err(_panicked)) => warn!("the writer of transcripts ended with a panic"),
            Err(_elapsed) => {
                running.abort();
                warn!("the last transcripts are not kept: the database did not take them in time");
            }
        }
    }
}

// === impl Job ===

impl Job {
    async fn run(mut self, mut stop_asked_for: Receiver<()>) {
        let mut is_stopping = false;
        loop {
            let first = if is_stopping {
                self.queue.drafts.recv().await
            } else {
                tokio::select! {
                    first = self.queue.drafts.recv() => first,
                    _ = &mut stop_asked_for => {
                        is_stopping = true;
                        self.queue.drafts.close();
                        continue;
                    }
                }
            };
            let Some(first) = first else { return };
            if !is_stopping {
                // A stop is not kept waiting by this.
                is_stopping = timeout(GATHER, &mut stop_asked_for).await.is_ok();
                if is_stopping {
                    self.queue.drafts.close();
                }
            }
            let batch = self.batch(first);
            self.store(batch).await;
        }
    }

    fn batch(&mut self, first: Draft) -> Vec<Draft> {
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        while bytes < MOST_BYTES
            && batch.len() < MOST_AT_ONCE
            && let Ok(next) = self.queue.drafts.try_recv()
        {
            bytes += next.bytes();
            batch.push(next);
        }
        batch
    }

    async fn store(&self, batch: Vec<Draft>) {
        let settings = self.queue.settings;
        // Parsing megabytes takes milliseconds, and others run on this thread.
        let fitted = spawn_blocking(move || fitted(batch, &settings)).await;
        let Ok((rows, _claims)) = fitted else {
            warn!("transcripts are not kept: making them fit ended with a panic");
            return;
        };
        let mut pause = BACKOFF.0;
        while let Err(err) = self.store.keep(Arc::clone(&rows)).await {
            if !self.queue.waiting.swap(true, Ordering::Relaxed) {
                warn!(err:% = err; "the database takes no transcripts: they wait, and those that no room is left for are not kept");
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
        if self.queue.waiting.swap(false, Ordering::Relaxed) {
            info!("the database takes transcripts again");
        }
        self.queue.kept.inc_by(rows.len() as u64);
    }
}

/// The rows, and the room that is theirs until they are stored.
fn fitted(batch: Vec<Draft>, settings: &TranscriptSettings) -> (Arc<[TranscriptRow]>, Vec<Claim>) {
    let fitted = batch.into_iter().map(|mut draft| {
        let row = text::row(&mut draft, settings);
        (row, draft.claim)
    });
    let (rows, claims): (Vec<_>, Vec<_>) = fitted.unzip();
    (rows.into(), claims)
}
