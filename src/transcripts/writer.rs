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
/// The first of a batch waits this long for others, unless they are there already: a transaction of many costs little more
/// than one of one.
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
        // The batch before left some behind: waiting for others would only make the queue longer.
        let mut was_full = false;
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
            if !is_stopping && !was_full {
                // A stop is not kept waiting by this.
                is_stopping = timeout(GATHER, &mut stop_asked_for).await.is_ok();
                if is_stopping {
                    self.queue.drafts.close();
                }
            }
            let batch;
            (batch, was_full) = self.batch(first);
            self.store(batch).await;
        }
    }

    /// What is there, and whether it is all that fits into a batch.
    fn batch(&mut self, first: Draft) -> (Vec<Draft>, bool) {
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        while bytes < MOST_BYTES && batch.len() < MOST_AT_ONCE {
            let Ok(next) = self.queue.drafts.try_recv() else {
                return (batch, false);
            };
            bytes += next.bytes();
            batch.push(next);
        }
        (batch, true)
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
    use tokio::task::LocalSet;
    use tokio::time::Instant;
    use trunkline_actors::ids::RequestId;
    use trunkline_actors::ports::BoxFuture;
    use trunkline_wire::request::Endpoint;

    use super::*;
    use crate::storage::StorageError;
    use crate::telemetry::metrics::TranscriptCounters;
    use crate::transcripts::Transcripts;

    /// Says how many it is given at a time.
    struct Told(UnboundedSender<usize>);

    impl TranscriptStore for Told {
        fn keep(&self, rows: Arc<[TranscriptRow]>) -> BoxFuture<'_, Result<(), StorageError>> {
            self.0.send(rows.len()).unwrap();
            Box::pin(async { Ok(()) })
        }

        fn by_id(
            &self,
            _id: RequestId,
        ) -> BoxFuture<'_, Result<Option<TranscriptRow>, StorageError>> {
            Box::pin(async { Ok(None) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_there_already_are_not_waited_for() {
        let settings = TranscriptSettings::default();
        let (transcripts, queue) = Transcripts::new(settings, TranscriptCounters::default());
        for n in 0..10 * MOST_AT_ONCE as u128 {
            let id = RequestId::generate(1, n);
            let request = Bytes::from_static(b"{}");
            let draft = transcripts.begin(id, Endpoint::ChatCompletions, &request);
            transcripts.keep(draft.unwrap());
        }
        let (tell, mut told) = unbounded_channel();
        let begin = Instant::now();
        let batches = async {
            let _writer = Writer::start(queue, Arc::new(Told(tell)));
            let mut batches = Vec::new();
            while batches.iter().sum::<usize>() < 10 * MOST_AT_ONCE {
                batches.push(told.recv().await.unwrap());
            }
            batches
        };
        let batches = LocalSet::new().run_until(batches).await;
        assert_eq!(batches, [MOST_AT_ONCE; 10]);
        assert!(begin.elapsed() < 2 * GATHER, "{:?}", begin.elapsed());
    }
}
