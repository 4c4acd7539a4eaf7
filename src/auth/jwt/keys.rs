//! The keys that tokens are signed with, as their identity provider publishes them.
//!
//! ```json
//! {"keys": [{"kty": "RSA", "kid": "2026-11", "alg": "RS256", "use": "sig", "n": "…", "e": "AQAB"}]}
//! ```
//!
//! Source: RFC 7517, sections 4 and 5. Whoever checks tokens reads them without a lock; one task fetches them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use trunkline_actors::clock::{Clock, Millis};

/// Keys of one provider, at most: each token without a name for its key is tried with all of them.
const MOST_KEYS: usize = 64;
/// A token with a key that nobody knows makes the keys be fetched again, but not more often than this.
const NOT_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// How long a request waits for that.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keys and who wants newer ones.
pub struct SigningKeys {
    current: ArcSwap<Fetched>,
    wanted: Notify,
    fetched: watch::Sender<u64>,
    /// How long they are used after they were fetched.
    life: Duration,
    clock: Clock,
}

/// Keys by name.
#[derive(Default)]
pub struct KeySet(Vec<SigningKey>);

struct SigningKey {
    id: Option<String>,
    /// What it may be used for, where it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

#[derive(Default)]
struct Fetched {
    keys: KeySet,
    at: Option<Millis>,
}

// === impl SigningKeys ===

impl SigningKeys {
    /// None yet. `life` is how long keys are used after they were fetched.
    pub fn new(life: Duration, clock: Clock) -> Self {
        Self {
            current: ArcSwap::default(),
            wanted: Notify::new(),
            fetched: watch::Sender::new(0),
            life,
            clock,
        }
    }

    /// Takes over what was fetched.
    pub fn replace(&self, keys: KeySet) {
        let at = Some(self.clock.now());
        self.current.store(Arc::new(Fetched { keys, at }));
        self.fetched.send_modify(|count| *count += 1);
    }

    /// Waits until somebody has a token whose key is not there.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// There are keys that may still be used.
    pub fn are_there(&self) -> bool {
        self.age().is_some_and(|age| age < self.life)
    }

    /// Runs `check` over the keys, and once more over newer ones where it finds none that fits.
    pub(super) async fn find<T>(&self, check: impl Fn(&KeySet) -> Option<T>) -> Lookup<T> {
        if let Some(found) = self.look(&check) {
            return Lookup::Found(found);
        }
        if self.age().is_none_or(|age| age >= NOT_AGAIN_WITHIN) {
            let mut fetched = self.fetched.subscribe();
            self.wanted.notify_one();
            // Whoever fetches may be gone, or take long: then it is as if nothing newer had come.
            timeout(PATIENCE, fetched.changed()).await.ok();
        }
        match self.look(&check) {
            Some(found) => Lookup::Found(found),
            None if self.are_there() => Lookup::NoSuchKey,
            None => Lookup::NoKeys,
        }
    }

    fn look<T>(&self, check: impl Fn(&KeySet) -> Option<T>) -> Option<T> {
        if !self.are_there() {
            return None;
        }
        check(&self.current.load().keys)
    }

    fn age(&self) -> Option<Duration> {
        let at = self.current.load().at?;
        Some(self.clock.now().since(at))
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys")
            .field("count", &self.current.load().keys.0.len())
            .finish_non_exhaustive()
    }
}

/// What came of looking for a key.
pub(super) enum Lookup<T> {
    Found(T),
    NoSuchKey,
    NoKeys,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a key set; keys of kinds that are not known here, and keys for encryption, are left out. `None`: it is none.
    pub fn read(json: &[u8]) -> Option<Self> {
        let set: JwkSet = serde_json::from_slice(json).ok()?;
        let keys = set.keys.iter().filter_map(SigningKey::of);
        Some(Self(keys.take(MOST_KEYS).collect()))
    }

    /// Adds those of another provider.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.truncate(MOST_KEYS);
    }

    /// No key is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that a token with this head may be signed with: by name, or all where it names none.
    pub(super) fn of<'k>(
        &'k self,
        id: Option<&'k str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'k DecodingKey> {
        let fits = move |key: &&SigningKey| {
            id.is_none_or(|id| key.id.as_deref() == Some(id))
                && key.algorithm.is_none_or(|own| own == algorithm)
                && key.key.family() == algorithm.family()
        };
        self.0.iter().filter(fits).map(|key| &key.key)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.0.len()).finish()
    }
}

// === impl SigningKey ===

impl SigningKey {
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if matches!(common.public_key_use, Some(PublicKeyUse::Encryption)) {
            return None;
        }
        // Their names are spelled alike; those for encryption have no counterpart.
        let named = common.key_algorithm.map(|name| format!("{name:?}").parse());
        let algorithm = match named {
            None => None,
            Some(Ok(algorithm)) => Some(algorithm),
            Some(Err(_of_another_kind)) => return None,
        };
        Some(Self {
            id: common.key_id.clone(),
            algorithm,
            key: DecodingKey::from_jwk(jwk).ok()?,
        })
    }
}
