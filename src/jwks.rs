//! Fetches the keys that identity providers sign their tokens with: at the start, every `public_key_ttl`, and when a token has
//! a key that nobody knows. While they cannot be had, those that were fetched last go on being used
//! (`public_key_stale_ttl`).

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::spawn;
use actix_rt::task::JoinHandle;
use log::{info, warn};
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::auth::{KeySet, SigningKeys};
use crate::dispatch::{FetchError, Fetcher};

/// Key sets have a few kilobytes.
const MOST_BYTES: usize = 1 << 20;
/// Between two tries that failed: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Neither unknown keys nor a short `public_key_ttl` make anybody fetch more often than this.
const PAUSE: Duration = Duration::from_secs(5);

/// The running jobs, one for each address; they end with this.
pub struct Jwks(Vec<JoinHandle<()>>);

/// Fetches the keys of one provider. Each has a job of its own: one that is away takes no other one's keys along.
struct Job {
    provider: usize,
    keys_at: Url,
    every: Duration,
    keys: Arc<SigningKeys>,
    fetcher: Rc<Fetcher>,
}

/// The one member of a discovery document that is needed. Source: `OpenID` Connect Discovery 1.0, section 3.
#[derive(Deserialize)]
struct Discovery {
    jwks_uri: Url,
}

/// Why no keys came.
#[derive(Debug, thiserror::Error)]
enum NoKeys {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("the answer is neither a key set nor a discovery document")]
    NoSet,
    #[error("the key set has no key that can be used here")]
    Empty,
}

// === impl Jwks ===

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").finish_non_exhaustive()
    }
}

impl Jwks {
    /// Starts the jobs on this thread. `keys` are of as many providers as `keys_at` has addresses.
    pub fn start(
        keys_at: Vec<Url>,
        every: Duration,
        keys: &Arc<SigningKeys>,
        fetcher: Fetcher,
    ) -> Self {
        let fetcher = Rc::new(fetcher);
        let job = |(provider, keys_at)| Job {
            provider,
            keys_at,
            every,
            keys: Arc::clone(keys),
            fetcher: Rc::clone(&fetcher),
        };
        let jobs = keys_at.into_iter().enumerate().map(job);
        Self(jobs.map(|job| spawn(job.for_ever())).collect())
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        for job in &self.0 {
            job.abort();
        }
    }
}

// === impl Job ===

impl Job {
    async fn for_ever(self) {
        let mut wanted = self.keys.wanted();
        let mut pause = BACKOFF.0;
        let mut failing = false;
        let url = self.keys_at.as_str();
        loop {
            match self.fetch().await {
                Ok(keys) => {
                    if failing {
                        info!(url; "the keys of the identity provider can be fetched again");
                    }
                    failing = false;
                    pause = BACKOFF.0;
                    self.keys.replace(self.provider, keys);
                    // A shorter `public_key_ttl` asks the provider no more often either.
                    sleep(PAUSE).await;
                    let rest = self.every.saturating_sub(PAUSE);
                    timeout(rest, wanted.changed()).await.ok();
                }
                Err(err) => {
                    if !failing {
                        warn!(err:% = err, url; "the keys of the identity provider cannot be fetched; this is tried again");
                    }
                    failing = true;
                    sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, NoKeys> {
        let body = self.fetcher.get(&self.keys_at, MOST_BYTES).await?;
        let keys = if let Some(keys) = KeySet::read(&body) {
            keys
        } else {
            let found: Discovery =
                serde_json::from_slice(&body).map_err(|_neither| NoKeys::NoSet)?;
            let body = self.fetcher.get(&found.jwks_uri, MOST_BYTES).await?;
            KeySet::read(&body).ok_or(NoKeys::NoSet)?
        };
        if keys.is_empty() {
            return Err(NoKeys::Empty);
        }
        Ok(keys)
    }
}
