//! Hears of changes that other gateways made: a connection of its own that listens, and a look at how many changes there were.
//!
//! The triggers of migration 13 notify, and count in a sequence. A notification is lost with the connection, and never arrives
//! behind a pooler that hands connections on; the count tells in both cases that something was missed, but not what.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{debug, warn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Connection};
use trunkline_actors::ids::KeyId;

use super::Postgres;
use super::address::Address;
use super::pool::said;
use crate::storage::{Change, ChangeFeed, HearChange};

/// How often changes are counted.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries to connect.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long a statement may take. Nothing else tells of a server that is gone without a word.
const ANSWER: Duration = Duration::from_secs(10);
/// Notifications that wait to be heard; beyond it they are only known to have been there.
const WAITING: usize = 1024;

const LISTEN: &str = "LISTEN trunkline_changes";
/// A sequence that was never used begins with the same value as after its first use.
const COUNT: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM trunkline.changes";

impl ChangeFeed for Postgres {
    fn follow(&self, heard: HearChange) {
        let follower = Follower {
            address: Arc::clone(&self.address),
            heard,
            count: None,
            was_said: false,
        };
        self.connections.thread().spawn(follower.for_ever());
    }
}

struct Follower {
    address: Arc<Address>,
    heard: HearChange,
    /// Changes that were counted last; `None` before the first look.
    count: Option<i64>,
    /// That this outage was warned of.
    was_said: bool,
}

/// What the connection tells the follower.
struct Told {
    words: Receiver<String>,
    /// More words came than there was room for.
    missed: Arc<AtomicBool>,
}

// === impl Follower ===

impl Follower {
    async fn for_ever(mut self) {
        loop {
            let reason = match self.listen().await {
                Ok(()) => "the connection is lost".to_owned(),
                Err(reason) => reason,
            };
            // The pool says what keeps it from the database; this is about changes alone.
            if self.was_said {
                debug!(reason; "changes of keys cannot be listened for");
            } else {
                warn!(reason; "changes that other replicas make to keys are seen late until the database answers");
                self.was_said = true;
            }
            sleep(RECONNECT).await;
        }
    }

    /// Until the connection is lost. The error says why it is of no use.
    async fn listen(&mut self) -> Result<(), String> {
        let connecting = self.address.config.connect(self.address.tls.clone());
        let (client, connection) = within(self.address.connect, connecting).await?;
        let (words, waiting) = mpsc::channel(WAITING);
        let missed = Arc::new(AtomicBool::new(false));
        let told = Told {
            words: waiting,
            missed: Arc::clone(&missed),
        };
        let reading = tokio::spawn(read_on(connection, words, missed));
        let heard = self.hear(&client, told).await;
        reading.abort();
        heard
    }

    async fn hear(&mut self, client: &Client, mut told: Told) -> Result<(), String> {
        within(ANSWER, client.batch_execute(LISTEN)).await?;
        self.was_said = false;
        // What was changed before it listened was not told, and no count tells what a lost connection would have.
        (self.heard)(Change::Unknown);
        let (mut was_told, mut again) = (false, false);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                word = told.words.recv() => {
                    let Some(word) = word else { return Ok(()) };
                    was_told = true;
                    (self.heard)(read(&word));
                }
                _ = looks.tick() => {
                    let count = within(ANSWER, client.query_one(COUNT, &[])).await?;
                    let count: i64 = count.try_get(0).map_err(|err| said(err).to_string())?;
                    let missed = told.missed.swap(false, Ordering::Relaxed);
                    let is_news = self.count.replace(count) != Some(count) && !was_told;
                    // Once more a second later: what was counted may not have been committed yet.
                    if is_news || again || missed {
                        (self.heard)(Change::Unknown);
                    }
                    (was_told, again) = (false, is_news);
                }
            }
        }
    }
}

/// Drives the connection, which answers come through as well: it must not wait for the follower, who may be waiting for one.
async fn read_on<S, T>(
    mut connection: Connection<S, T>,
    words: Sender<String>,
    missed: Arc<AtomicBool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(told) = message {
            match words.try_send(told.payload().to_owned()) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => missed.store(true, Ordering::Relaxed),
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }
}

async fn within<T>(
    deadline: Duration,
    question: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match timeout(deadline, question).await {
        Ok(answer) => answer.map_err(|err| said(err).to_string()),
        Err(_elapsed) => Err("no answer in time".to_owned()),
    }
}

/// What the triggers say.
fn read(word: &str) -> Change {
    match word.split_once(' ') {
        Some(("key", id)) => Change::Key(KeyId::new(id)),
        None if word == "tenants" => Change::Tenants,
        None if word == "entries" => Change::Entries,
        None if word == "settings" => Change::Settings,
        _ => Change::Unknown,
    }
}
