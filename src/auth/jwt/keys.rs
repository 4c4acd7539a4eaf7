//! The keys that tokens are signed with, as their identity provider publishes them.
//!
//! ```json
//! {"keys": [{"kty": "RSA", "kid": "2026-11", "alg": "RS256", "use": "sig", "n": "…", "e": "AQAB"}]}
//! ```
//!
//! Source: RFC 7517, sections 4 and 5. Whoever checks tokens reads them without a lock; one task for each provider fetches them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::watch;
use tokio::time::timeout;
use trunkline_actors::clock::{Clock, Millis};

/// Keys of one provider, at most: each token without a name for its key is tried with all of them.
const MOST_KEYS: usize = 64;
/// A token with a key that nobody knows makes the keys be fetched again, but not more often than this.
const NOT_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// How long a request waits for that.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keys of every provider and who wants newer ones.
pub struct SigningKeys {
    /// By provider; `None`: never fetched.
    current: ArcSwap<Vec<Option<Published>>>,
    wanted: watch::Sender<()>,
    fetched: watch::Sender<()>,
    /// How long they are used after they were fetched.
    life: Duration,
    clock: Clock,
}

/// Keys of one provider, by name.
pub struct KeySet(Vec<SigningKey>);

struct SigningKey {
    id: Option<String>,
    /// What it may be used for, where it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// What one provider published last.
#[derive(Clone)]
struct Published {
    keys: Arc<KeySet>,
    at: Millis,
}

// === impl SigningKeys ===

impl SigningKeys {
    /// None yet, of so many providers. `life` is how long keys are used after they were fetched.
    pub fn new(providers: usize, life: Duration, clock: Clock) -> Self {
        Self {
            current: ArcSwap::from_pointee(vec![None; providers]),
            wanted: watch::Sender::new(()),
            fetched: watch::Sender::new(()),
            life,
            clock,
        }
    }

    /// Takes over what was fetched from a provider. Those of the others stay, each as old as it is.
    pub fn replace(&self, provider: usize, keys: KeySet) {
        let published = Published {
            keys: Arc::new(keys),
            at: self.clock.now(),
        };
        // Each provider has a writer of its own: none of them may take back what another has just written.
        self.current.rcu(|current| {
            let mut all = Vec::clone(current);
            if let Some(place) = all.get_mut(provider) {
                *place = Some(published.clone());
            }
            all
        });
        self.fetched.send_replace(());
    }

    /// Changes whenever somebody has a token whose key is not there.
    pub fn wanted(&self) -> watch::Receiver<()> {
        self.wanted.subscribe()
    }

    /// There are keys of every provider that may still be used.
    pub fn are_there(&self) -> bool {
        self.are_within(self.life, &(0..usize::MAX))
    }

    /// Runs `check` over the keys of those providers, and once more over newer ones where it finds none that fits.
    pub(super) async fn find<T>(
        &self,
        of: Range<usize>,
        check: impl Fn(&[Arc<KeySet>]) -> Option<T>,
    ) -> Lookup<T> {
        let of = &of;
        if let Some(found) = self.look(of, &check) {
            return Lookup::Found(found);
        }
        let mut fetched = self.fetched.subscribe();
        if !self.are_within(NOT_AGAIN_WITHIN, of) {
            self.wanted.send_replace(());
            // The key may be of the provider that answers last.
            let newer = async {
                while fetched.changed().await.is_ok() && !self.are_within(NOT_AGAIN_WITHIN, of) {
                    if self.look(of, &check).is_some() {
                        return;
                    }
                }
            };
            // Whoever fetches may be gone, or take long: then it is as if nothing newer had come.
            timeout(PATIENCE, newer).await.ok();
        }
        match self.look(of, &check) {
            Some(found) => Lookup::Found(found),
            None if self.are_within(self.life, of) => Lookup::NoSuchKey,
            // The key may be one of theirs.
            None => Lookup::NoKeys,
        }
    }

    fn look<T>(&self, of: &Range<usize>, check: impl Fn(&[Arc<KeySet>]) -> Option<T>) -> Option<T> {
        let now = self.clock.now();
        let current = self.current.load();
        let usable = among(&current, of).flatten();
        let usable = usable.filter(|published| now.since(published.at) < self.life);
        let usable: Vec<_> = usable
            .map(|published| Arc::clone(&published.keys))
            .collect();
        check(&usable)
    }

    /// Those of each of these providers were fetched no longer ago than that.
    fn are_within(&self, age: Duration, of: &Range<usize>) -> bool {
        let now = self.clock.now();
        let current = self.current.load();
        among(&current, of).all(|published| {
            let published = published.as_ref();
            published.is_some_and(|published| now.since(published.at) < age)
        })
    }
}

/// Those of these providers that there are.
fn among<'p>(
    all: &'p [Option<Published>],
    of: &Range<usize>,
) -> impl Iterator<Item = &'p Option<Published>> {
    all.iter().take(of.end).skip(of.start)
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys")
            .field("providers", &self.current.load().len())
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

#[cfg(test)]
mod tests {
    use tokio::join;
    use tokio::time::{advance, sleep};

    use super::*;

    const LIFE: Duration = Duration::from_mins(1);

    fn keys(names: &[&str]) -> KeySet {
        let key = |name: &&str| {
            format!(
                r#"{{"kty": "OKP", "crv": "Ed25519", "kid": "{name}", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
            )
        };
        let keys: Vec<String> = names.iter().map(key).collect();
        let set = format!(r#"{{"keys": [{}]}}"#, keys.join(", "));
        KeySet::read(set.as_bytes()).expect("a key set")
    }

    fn find(name: &str) -> impl Fn(&[Arc<KeySet>]) -> Option<()> {
        move |keys| {
            let mut found = keys
                .iter()
                .flat_map(|keys| keys.of(Some(name), Algorithm::EdDSA));
            found.next().map(|_key| ())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_of_one_provider_age_without_those_of_another() {
        let all = SigningKeys::new(2, LIFE, Clock::start());
        all.replace(0, keys(&["a"]));
        assert!(
            all.look(&(0..2), find("a")).is_some(),
            "the other is not waited for"
        );
        assert!(!all.are_there());
        assert!(matches!(all.find(0..2, find("b")).await, Lookup::NoKeys));

        all.replace(1, keys(&["b"]));
        assert!(all.look(&(0..2), find("a")).is_some() && all.look(&(0..2), find("b")).is_some());
        assert!(matches!(all.find(0..2, find("c")).await, Lookup::NoSuchKey));

        advance(LIFE / 2).await;
        all.replace(0, keys(&["a2"]));
        assert!(all.look(&(0..2), find("a")).is_none() && all.look(&(0..2), find("a2")).is_some());
        advance(LIFE / 2).await;
        assert!(all.look(&(0..2), find("a2")).is_some());
        assert!(
            all.look(&(0..2), find("b")).is_none(),
            "nobody fetched it since"
        );
        assert!(!all.are_there());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_wants_a_key_waits_for_the_provider_that_answers_last() {
        let all = Arc::new(SigningKeys::new(2, LIFE, Clock::start()));
        let mut wanted = all.wanted();
        let providers = async {
            wanted.changed().await.expect("it is wanted");
            all.replace(0, keys(&["a"]));
            sleep(Duration::from_millis(100)).await;
            all.replace(1, keys(&["b"]));
        };
        let (found, ()) = join!(all.find(0..2, find("b")), providers);
        assert!(matches!(found, Lookup::Found(())));
    }
}
