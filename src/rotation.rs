//! Tells of keys whose secret is to be replaced: now and then, those that are due are counted, by a gauge and a line in the log.
//!
//! No secret is replaced by itself. The new one would have to reach whoever uses the key, and this gateway has no secret manager
//! to put it into: a key that rotates unseen is an outage at the end of its grace period. So the date is a duty of people and
//! their tools, who call `/key/regenerate` with a grace period, and this says whether they did. It changes nothing, so every
//! replica may do it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::spawn;
use actix_rt::task::JoinHandle;
use log::{info, warn};
use tokio::time::sleep;
use trunkline_actors::clock::UnixMs;

use crate::dispatch::Shared;
use crate::storage::{KeyFilter, KeyPage, KeyRow, KeyStore, StorageError};

/// Keys that a line of the log names.
const MOST_NAMED: u32 = 10;
/// The first look is not at the start, when everything else begins.
const FIRST_AFTER: Duration = Duration::from_secs(10);

/// The running job; it ends with this.
pub struct RotationWatch(JoinHandle<()>);

// === impl RotationWatch ===

impl fmt::Debug for RotationWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotationWatch").finish_non_exhaustive()
    }
}

impl RotationWatch {
    /// Starts the job on this thread.
    pub fn start(every: Duration, keys: Arc<dyn KeyStore>, shared: Arc<Shared>) -> Self {
        Self(spawn(async move {
            sleep(FIRST_AFTER.min(every)).await;
            let mut before = 0;
            loop {
                match look(&*keys, UnixMs::now()).await {
                    Ok((due, names)) => {
                        shared.metrics.keys_rotation_due(due);
                        told(before, due, &names);
                        before = due;
                    }
                    Err(err) => {
                        warn!(err:% = err; "it is not known which keys are to be regenerated; the next look says");
                    }
                }
                sleep(every).await;
            }
        }))
    }
}

impl Drop for RotationWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keys that can still be used and whose secret was to be replaced by `now`.
pub fn overdue(now: UnixMs) -> KeyFilter {
    KeyFilter {
        blocked: Some(false),
        expired: Some((now, false)),
        rotation_due: Some(now),
        ..KeyFilter::default()
    }
}

/// How many are due, and the names of the first of them.
async fn look(keys: &dyn KeyStore, now: UnixMs) -> Result<(u64, Vec<String>), StorageError> {
    let due = keys.count(overdue(now)).await?;
    if due == 0 {
        return Ok((0, Vec::new()));
    }
    let first = keys.list(KeyPage::of(overdue(now), MOST_NAMED)).await?;
    Ok((due, first.into_iter().map(name).collect()))
}

/// What people know it by.
fn name(row: KeyRow) -> String {
    row.alias.unwrap_or(row.key_name)
}

fn told(before: u64, due: u64, names: &[String]) {
    if due > 0 {
        warn!(
            keys = due, names:? = names;
            "keys are past the end of their rotation_interval: give each another secret with POST /key/regenerate and a grace_period"
        );
    } else if before > 0 {
        info!("every key that was to be regenerated was");
    }
}
