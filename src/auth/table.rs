//! The in-process key table: key text → identity, without a database on the hot path.
//!
//! What a miss reads is in `open`. Who writes what: a miss inserts, an expired entry is replaced, nobody else writes. A miss loads once however many
//! requests wait for it (single flight); a key that does not exist, or a token that names nobody here, is remembered for
//! [`UNKNOWN_TTL`], so that guessing cannot become a load on the database. A known key is re-read after [`KeyTerms::ttl`], which is how changes made by another
//! process are seen. While the store fails it goes on being served as it was read last, for [`KeyTerms::stale`]: an outage of the
//! database is none of the gateway. Its expiry, limits and budget hold; that it was blocked or changed meanwhile is seen when the
//! store is back.

mod open;

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use jiff::Timestamp;
use tokio::time::timeout;
use trunkline_actors::clock::{Clock, Millis, UnixMs};
use trunkline_actors::ids::KeyId;

use super::credential::Credential;
use super::error::AuthError;
use super::freshness::Freshness;
use super::identity::{Identity, KeyEntry};
use super::jwt::{SigningKeys, TokenCaller, TokenFault, looks_like_one};
use super::key::{self, KeyDigest};
use super::outage::{DATABASE_IS_BACK, Outage};
use super::payer::PayerReader;
use super::session::Sessions;
use crate::config::{JwtSettings, Secret};
use crate::loading::Loading;
use crate::storage::Store;

/// How long a request with a known key waits for a store that may be failing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long "no such key", "no such user" and "no such team" are remembered.
const UNKNOWN_TTL: Duration = Duration::from_secs(2);
/// Entries kept of each kind; about 1 KiB each.
const CAPACITY: usize = 100_000;

/// What the config says of virtual keys.
#[derive(Debug, Clone, Copy)]
pub struct KeyTerms {
    /// How long a key's row is used before it is read again: LiteLLM's `user_api_key_cache_ttl`.
    pub ttl: Duration,
    /// How much longer it is used while the store fails: `trunkline.stale_keys_secs`. Zero: not at all.
    pub stale: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct KeyTable {
    master: Option<KeyDigest>,
    /// Reads what an identity provider made in place of keys.
    tokens: Option<TokenCaller>,
    freshness: Freshness,
    /// See [`KeyTerms::stale`].
    stale: Duration,
    /// The store's: keys are read from nowhere else.
    outage: Outage,
    /// That of what tokens are checked with, and of whatever takes too long on their way.
    token_outage: Outage,
    store: Store,
    payers: PayerReader,
    sessions: Option<Arc<Sessions>>,
    clock: Clock,
    /// By what was shown: a key's secret of the moment is its id, former ones are not.
    known: DashMap<KeyId, Arc<KeyEntry>>,
    /// Secrets that were shown and are not the id of their key, by that id. Never cut down like `known`: a secret that is
    /// not listed here would outlive the block of its key. It has no more of them than the store.
    other_secrets: DashMap<KeyId, HashSet<KeyId>>,
    /// Refused when last read.
    unknown: DashMap<KeyId, (Refusal, Millis)>,
    loading: Loading<KeyId, Read>,
    /// How often something was forgotten: what was read before a change must not be known after it.
    forgotten: AtomicU64,
}

/// What the store, or a token and the store, say of a caller.
type Loaded = Result<Arc<KeyEntry>, Refusal>;

/// With how often something had been forgotten when the reading began.
type Read = (Loaded, u64);

/// Nobody is let in by that, however often it is read.
#[derive(Debug, Clone)]
enum Refusal {
    NoSuchKey,
    Token(TokenFault),
}

impl KeyTable {
    /// An empty table over `store`.
    pub fn new(
        master: Option<&Secret>,
        tokens: Option<(JwtSettings, Arc<SigningKeys>)>,
        terms: KeyTerms,
        store: Store,
        payers: PayerReader,
        clock: Clock,
    ) -> Self {
        Self {
            master: master.map(|master| KeyDigest::of(master.expose())),
            tokens: tokens.map(|(settings, keys)| TokenCaller::new(settings, keys)),
            freshness: Freshness::of(terms.ttl),
            stale: terms.stale,
            outage: Outage::saying(
                "keys are served from memory: the database does not confirm them",
                DATABASE_IS_BACK,
            ),
            token_outage: Outage::saying(
                "tokens are served from memory: they cannot be checked anew",
                "tokens can be checked again",
            ),
            store,
            payers,
            sessions: None,
            clock,
            known: DashMap::new(),
            other_secrets: DashMap::new(),
            unknown: DashMap::new(),
            loading: Loading::default(),
            forgotten: AtomicU64::new(0),
        }
    }

    /// Takes sessions of people who signed in besides keys.
    #[must_use]
    pub fn with_sessions(mut self, sessions: Option<Arc<Sessions>>) -> Self {
        self.sessions = sessions;
        self
    }

    /// Whether the gateway asks for keys at all.
    pub fn has_master_key(&self) -> bool {
        self.master.is_some()
    }

    /// Answers from memory when that is possible: `None` means [`identify`](Self::identify) must ask the store.
    pub fn identify_cached(&self, credential: &Credential) -> Option<Result<Identity, AuthError>> {
        match self.find(credential) {
            Ok(Found::Done(identity)) => Some(Ok(identity)),
            Ok(Found::Nothing { .. }) => None,
            Err(err) => Some(Err(err)),
        }
    }

    /// Identifies the caller, reading the store on a miss.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub async fn identify(&self, credential: &Credential) -> Result<Identity, AuthError> {
        match self.find(credential)? {
            Found::Done(identity) => Ok(identity),
            Found::Nothing { text, id, by } => {
                // On the heap: what follows hands them on from future to future, and each would hold a copy.
                let loaded = match by {
                    By::Token(tokens) => {
                        let reading = Box::pin(self.read_token(tokens, text, &id));
                        self.load_or_keep(&id, reading, &self.token_outage).await?
                    }
                    By::Session(sessions) => {
                        let reading = Box::pin(self.read_session(sessions, text, &id));
                        self.load_or_keep(&id, reading, &self.outage).await?
                    }
                    By::Key => {
                        let reading = Box::pin(self.read_key(&id));
                        self.load_or_keep(&id, reading, &self.outage).await?
                    }
                };
                match loaded {
                    Ok(entry) => admit(entry),
                    Err(refusal) => self.refused(refusal, text, &id),
                }
            }
        }
    }

    /// The identity provider's keys are there; `None`: there is none.
    pub fn has_signing_keys(&self) -> Option<bool> {
        self.tokens.as_ref().map(TokenCaller::has_keys)
    }

    /// Forgets what is known of a key, by whichever of its secrets it was asked for, after it was made or changed by this
    /// process.
    pub fn forget(&self, id: &KeyId) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        let is_its = |_: &KeyId, entry: &Arc<KeyEntry>| entry.row.id == *id;
        self.known.remove_if(id, is_its);
        if let Some((_, secrets)) = self.other_secrets.remove(id) {
            for secret in &secrets {
                self.known.remove_if(secret, is_its);
            }
        }
        self.unknown.remove(id);
    }

    /// Forgets every key, after somebody was changed whom keys belong to. What a key has spent is not forgotten.
    pub fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.known.clear();
        self.other_secrets.clear();
        // A token that named nobody may name somebody now.
        self.unknown.clear();
    }

    /// Has every key read again, after somebody else may have changed any. While the store fails they are kept all the same.
    pub fn expire_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.freshness.expire(self.clock.now());
        self.unknown.clear();
    }

    /// Keys are served that the store could not confirm. That an identity provider does not answer is none of that: see
    /// [`has_signing_keys`](Self::has_signing_keys).
    pub fn is_weakened(&self) -> bool {
        self.outage.is_on()
    }

    /// The store was found to answer: keys are read from it again.
    pub fn store_answers(&self) {
        self.outage.over();
    }

    /// Looks at what needs no store: the key is hashed once, for the comparison and the table alike.
    fn find<'c>(&'c self, credential: &'c Credential) -> Result<Found<'c>, AuthError> {
        let text = match (credential, &self.master) {
            (Credential::Absent, Some(_)) => return Err(AuthError::NoKey),
            (Credential::Absent, None) => return Ok(Found::Done(Identity::Open)),
            (Credential::Key(text), _) => text.expose(),
        };
        let digest = KeyDigest::of(text);
        if self.master.is_some_and(|master| master.same(&digest)) {
            return Ok(Found::Done(Identity::Master));
        }
        let Some(by) = self.by(text) else {
            return if self.has_master_key() {
                Err(AuthError::NotVirtualKey {
                    received: key::masked(text),
                })
            } else {
                Ok(Found::Done(Identity::Open))
            };
        };
        let id = digest.id();
        let now = self.clock.now();
        let known = self.known.get(&id).map(|entry| Arc::clone(&entry));
        if let Some(entry) = known.filter(|entry| entry.is_current()) {
            let age = now.since(entry.loaded_at);
            let is_fresh = self.freshness.is_fresh(entry.loaded_at, now);
            let is_token = matches!(by, By::Token(_));
            let pauses = self.outage.pauses(now) || (is_token && self.token_outage.pauses(now));
            let will_do = is_fresh || (self.may_keep(age) && pauses);
            if will_do {
                return admit(entry).map(Found::Done);
            }
            return Ok(Found::Nothing { text, id, by });
        }
        let unknown = self.unknown.get(&id).map(|unknown| unknown.clone());
        match unknown {
            Some((refusal, at)) if now.since(at) < UNKNOWN_TTL => {
                self.refused(refusal, text, &id).map(Found::Done)
            }
            _ => Ok(Found::Nothing { text, id, by }),
        }
    }

    /// What a text is read as; `None`: it is nothing that lets anybody in.
    fn by(&self, text: &str) -> Option<By<'_>> {
        if text.starts_with(key::PREFIX) {
            return Some(By::Key);
        }
        let sessions = self.sessions.as_deref();
        if let Some(sessions) = sessions.filter(|sessions| sessions.is_one(text)) {
            return Some(By::Session(sessions));
        }
        let tokens = self.tokens.as_ref().filter(|_| looks_like_one(text));
        tokens.map(By::Token)
    }

    fn refused(&self, refusal: Refusal, text: &str, id: &KeyId) -> Result<Identity, AuthError> {
        match refusal {
            Refusal::Token(fault) => Err(fault.into()),
            Refusal::NoSuchKey if self.has_master_key() => Err(AuthError::Unknown {
                received: key::short_name(text),
                hash: id.as_str().to_owned(),
            }),
            Refusal::NoSuchKey => Ok(Identity::Open),
        }
    }

    /// An entry of that age may be served while the store fails.
    fn may_keep(&self, age: Duration) -> bool {
        let life = self.freshness.ttl().saturating_add(self.stale);
        !self.stale.is_zero() && age < life
    }

    /// Reads the key or token; if that fails, what is known of it will do. What takes too long is noted as that `outage`.
    async fn load_or_keep(
        &self,
        id: &KeyId,
        reading: impl Future<Output = Result<Read, AuthError>>,
        outage: &Outage,
    ) -> Result<Loaded, AuthError> {
        let known = self.known.get(id).map(|entry| Arc::clone(&entry));
        let kept = known.filter(|entry| {
            entry.is_current() && self.may_keep(self.clock.now().since(entry.loaded_at))
        });
        let loading = self.load(id, reading);
        let Some(kept) = kept else {
            return loading.await;
        };
        let failure = match timeout(PATIENCE, loading).await {
            Ok(Ok(loaded)) => return Ok(loaded),
            Ok(Err(err)) => Some(err),
            Err(_elapsed) => None,
        };
        // Where it is the store that failed, keys will fare no better than tokens.
        let is_the_stores = matches!(failure, Some(AuthError::Store(_) | AuthError::Seed(_)));
        let outage = if is_the_stores { &self.outage } else { outage };
        outage.failed(failure.as_ref(), self.clock.now());
        Ok(Ok(kept))
    }

    /// Reads once for all that want the same, and remembers what comes of it.
    async fn load(
        &self,
        id: &KeyId,
        reading: impl Future<Output = Result<Read, AuthError>>,
    ) -> Result<Loaded, AuthError> {
        let (loaded, forgotten) = self.loading.run(id, reading).await?;
        match &loaded {
            Ok(entry) => {
                self.unknown.remove(id);
                self.know(id, entry, forgotten);
            }
            Err(refusal) => {
                self.known.remove(id);
                if refusal.costs_reads() {
                    make_room(&self.unknown);
                    let refused = (refusal.clone(), self.clock.now());
                    self.unknown.insert(id.clone(), refused);
                    // What was changed after the reading began may have been changed before the line above too.
                    if self.forgotten.load(Ordering::Acquire) != forgotten {
                        self.unknown.remove(id);
                    }
                }
            }
        }
        Ok(loaded)
    }

    /// Serves the entry from memory from now on, unless something was changed since it was opened. What was changed before that,
    /// opening has noticed: such an entry is expired already.
    fn know(&self, id: &KeyId, entry: &Arc<KeyEntry>, forgotten: u64) {
        make_room(&self.known);
        self.known.insert(id.clone(), Arc::clone(entry));
        // Before the look at what was forgotten: whoever forgets from here on finds the secret.
        let key = &entry.row.id;
        if key != id {
            let mut others = self.other_secrets.entry(key.clone()).or_default();
            others.insert(id.clone());
        }
        let is_current = self.forgotten.load(Ordering::Acquire) == forgotten;
        let is_fresh = self.freshness.is_fresh(entry.loaded_at, self.clock.now());
        if !is_current && is_fresh {
            self.known.remove(id);
        }
    }
}

enum Found<'c> {
    Done(Identity),
    /// It is to be read.
    Nothing {
        text: &'c str,
        id: KeyId,
        by: By<'c>,
    },
}

/// What a text is read as.
#[derive(Clone, Copy)]
enum By<'t> {
    Key,
    Token(&'t TokenCaller),
    Session(&'t Sessions),
}

// === impl Refusal ===

impl Refusal {
    /// Finding it out again would be a load on the database; what a token's text alone tells is found out from that.
    fn costs_reads(&self) -> bool {
        match self {
            Self::NoSuchKey => true,
            Self::Token(fault) => {
                matches!(
                    fault,
                    TokenFault::UnknownUser
                        | TokenFault::UnknownTeam
                        | TokenFault::UnknownOrganisation
                        | TokenFault::NoTeam
                )
            }
        }
    }
}

/// The checks that hold for every use of a known key.
fn admit(entry: Arc<KeyEntry>) -> Result<Identity, AuthError> {
    if entry.row.blocked {
        return Err(AuthError::Blocked);
    }
    if let (true, Some(team)) = (entry.team_is_blocked, &entry.row.team) {
        return Err(AuthError::TeamBlocked(team.as_str().to_owned()));
    }
    if let Some(missing) = &entry.missing {
        return Err(AuthError::OwnerMissing(missing.clone()));
    }
    let now = UnixMs::now();
    match entry.row.expires_at {
        Some(expires) if expires <= now => Err(AuthError::Expired {
            expired_at: shown(expires),
            now: shown(now),
        }),
        _ => Ok(Identity::Key(entry)),
    }
}

/// Makes room in a full table by dropping a tenth of it, whichever comes first: what is still wanted is read again.
pub(super) fn make_room<K: Eq + Hash, V>(table: &DashMap<K, V>) {
    if table.len() < CAPACITY {
        return;
    }
    let mut surplus = CAPACITY / 10;
    table.retain(|_, _| {
        let drop = surplus > 0;
        surplus -= usize::from(drop);
        !drop
    });
}

fn shown(at: UnixMs) -> String {
    i64::try_from(at.0)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| at.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
