//! Hears of changes that other gateways made: a connection of its own that listens, and a look at how many changes there were.
//!
//! The triggers of migration 13 notify, and count in a sequence. A notification is lost with the connection, and never arrives
//! behind a pooler that hands connections on; the count tells in both cases that something was missed, but not what.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, warn};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};
use trunkline_actors::ids::KeyId;

use super::Postgres;
use super::address::Address;
use super::pool::said;
use crate::storage::{Change, ChangeFeed, HearChange};

/// How often changes are counted.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries to connect.
const RECONNECT: Duration = Duration::from_secs(1);
/// Notifications that wait to be heard; the connection waits beyond it.
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
        };
        self.connections.thread().spawn(follower.for_ever());
    }
}

struct Follower {
    address: Arc<Address>,
    heard: HearChange,
    /// Changes that were counted last; `None` before the first look.
    count: Option<i64>,
}

// === impl Follower ===

impl Follower {
    async fn for_ever(mut self) {
        let mut was_said = false;
        loop {
            let failed = self.listen().await;
            // The pool says what keeps it from the database; this is about changes alone.
            if was_said {
                debug!(reason = failed; "changes of keys cannot be listened for");
            } else {
                warn!(reason = failed; "changes that other replicas make to keys are seen late until the database answers");
                was_said = true;
            }
            sleep(RECONNECT).await;
        }
    }

    /// Until the connection is lost; answers why.
    async fn listen(&mut self) -> String {
        let connecting = self.address.config.connect(self.address.tls.clone());
        let (client, mut connection) = match timeout(self.address.connect, connecting).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(err)) => return said(err).to_string(),
            Err(_elapsed) => return "no answer in time".to_owned(),
        };
        let (words, waiting) = mpsc::channel(WAITING);
        let reading = tokio::spawn(async move {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(told))) => {
                        if words.send(told.payload().to_owned()).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                }
            }
        });
        let failed = self.hear(&client, waiting).await;
        reading.abort();
        failed.map_or_else(
            |err| said(err).to_string(),
            |()| "the connection is lost".to_owned(),
        )
    }

    async fn hear(
        &mut self,
        client: &Client,
        mut words: Receiver<String>,
    ) -> Result<(), tokio_postgres::Error> {
        client.batch_execute(LISTEN).await?;
        // What was changed before it listened was not told, and no count tells what a lost connection would have.
        (self.heard)(Change::Unknown);
        let (mut was_told, mut again) = (false, false);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                word = words.recv() => {
                    let Some(word) = word else { return Ok(()) };
                    was_told = true;
                    (self.heard)(read(&word));
                }
                _ = looks.tick() => {
                    let count: i64 = client.query_one(COUNT, &[]).await?.try_get(0)?;
                    let is_news = self.count.replace(count) != Some(count) && !was_told;
                    // Once more a second later: what was counted may not have been committed yet.
                    if is_news || again {
                        (self.heard)(Change::Unknown);
                    }
                    (was_told, again) = (false, is_news);
                }
            }
        }
    }
}

/// What the triggers say.
fn read(word: &str) -> Change {
    match word.split_once(' ') {
        Some(("key", id)) => Change::Key(KeyId::new(id)),
        None if word == "tenants" => Change::Tenants,
        _ => Change::Unknown,
    }
}
