//! Tells of changes that people made in the same file, through this gateway or another process: each has its line in the
//! change log, so the log's end is looked at, and behind what is known only what is new is read.

use std::sync::Weak;
use std::time::Duration;

use log::warn;
use rusqlite::{Connection, params};
use tokio::time::{MissedTickBehavior, interval};
use trunkline_actors::ids::KeyId;

use super::Sqlite;
use super::changes::head;
use super::pool::WorkError;
use crate::storage::books::integer;
use crate::storage::change_log::told_of;
use crate::storage::{Change, ChangeFeed, HearChange, StorageError};

/// How often the end of the log is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Changes that are told one by one; of more it is only told that there were some.
const MOST: u32 = 256;

impl ChangeFeed for Sqlite {
    fn follow(&self, heard: HearChange) {
        tokio::spawn(for_ever(Weak::clone(&self.own), heard));
    }
}

/// Ends with the store.
async fn for_ever(store: Weak<Sqlite>, heard: HearChange) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut known, mut was_said) = (None, false);
    loop {
        looks.tick().await;
        let Some(store) = store.upgrade().filter(|store| store.connections.are_open()) else {
            return;
        };
        match store.behind(known).await {
            Ok((seq, changes)) => {
                // What was there before the first look was read by whoever starts to follow afterwards; not so what came
                // between the two.
                let changes = known.map_or_else(|| vec![Change::Unknown], |_| changes);
                known = Some(seq);
                was_said = false;
                changes.into_iter().for_each(&heard);
            }
            Err(err) if !was_said => {
                warn!(err:% = err; "changes that other processes make are seen late until the database answers");
                was_said = true;
            }
            Err(_again) => {}
        }
    }
}

impl Sqlite {
    /// The number of the log's last line, and what the lines behind the known one are about.
    async fn behind(&self, known: Option<u64>) -> Result<(u64, Vec<Change>), StorageError> {
        let reading = self
            .connections
            .read("follow the change log", move |connection| {
                let seq = head(connection)?.seq;
                let known = known.unwrap_or(seq);
                if seq == known {
                    return Ok((seq, Vec::new()));
                }
                Ok((seq, new_lines(connection, known)?))
            });
        reading.await
    }
}

fn new_lines(connection: &Connection, known: u64) -> Result<Vec<Change>, WorkError> {
    let mut statement = connection.prepare_cached(
        "SELECT table_name, object_id FROM audit_log WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let lines = statement.query_map(params![integer(known), MOST + 1], |row| {
        let table: String = row.get(0)?;
        Ok(told_of(&table, KeyId::from(row.get::<_, String>(1)?)))
    })?;
    let mut changes: Vec<Change> = lines.collect::<Result<_, _>>()?;
    if changes.len() > MOST as usize {
        return Ok(vec![Change::Unknown]);
    }
    // One word for any number of them.
    changes.dedup();
    Ok(changes)
}
