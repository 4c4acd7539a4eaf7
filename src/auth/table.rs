//! The in-process key table: key text → identity, without a database on the hot path.
//!
//! Who writes what: a miss inserts, an expired entry is replaced, nobody else writes. A miss loads once however many
//! requests wait for it (single flight); a key that does not exist is remembered for [`UNKNOWN_TTL`], so that guessing
//! cannot become a load on the database. A known key is re-read after [`KeyTerms::ttl`], which is how changes made by another
//! process are seen. While the store fails it goes on being served as it was read last, for [`KeyTerms::stale`]: an outage of the
//! database is none of the gateway. Its expiry, limits and budget hold; that it was blocked or changed meanwhile is seen when the
//! store is back.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use trunkline_actors::clock::{Clock, Millis, UnixMs};
use trunkline_actors::ids::KeyId;

use super::credential::Credential;
use super::error::AuthError;
use super::freshness::Freshness;
use super::identity::{Identity, KeyEntry, Token};
use super::jwt::{self, SigningKeys, TokenCaller, TokenFault, looks_like_one};
use super::key::{self, KeyDigest};
use super::key_rules::{IN_OTHER_HANDS, KeyRules};
use super::outage::Outage;
use super::payer::PayerReader;
use super::role::Role;
use crate::config::{JwtSettings, Secret};
use crate::storage::{FoundKey, KeyRow, Store};

/// How long a request with a known key waits for a store that may be failing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long "no such key" is remembered.
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
    outage: Outage,
    store: Store,
    payers: PayerReader,
    clock: Clock,
    known: DashMap<KeyId, Arc<KeyEntry>>,
    unknown: DashMap<KeyId, Millis>,
    loading: DashMap<KeyId, Cell>,
    /// How often something was forgotten: what was read before a change must not be known after it.
    forgotten: AtomicU64,
}

/// `None`: no such key.
type Loaded = Option<Arc<KeyEntry>>;

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
            ),
            store,
            payers,
            clock,
            known: DashMap::new(),
            unknown: DashMap::new(),
            loading: DashMap::new(),
            forgotten: AtomicU64::new(0),
        }
    }

    /// Whether the gateway asks for keys at all.
    pub fn has_master_key(&self) -> bool {
        self.master.is_some()
    }

    /// Answers from memory when that is possible: `None` means [`identify`](Self::identify) must ask the store.
    pub fn identify_cached(&self, credential: &Credential) -> Option<Result<Identity, AuthError>> {
        match self.find(credential) {
            Ok(Found::Done(identity)) => Some(Ok(identity)),
            Ok(Found::Lookup { .. } | Found::Token { .. }) => None,
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
            Found::Lookup { text, id } => match self.load_or_keep(&id, self.load(&id)).await? {
                Some(entry) => admit(entry),
                None => self.no_such_key(text, &id),
            },
            Found::Token { text, id, tokens } => {
                let loading = self.load_token(tokens, text, &id);
                match self.load_or_keep(&id, loading).await? {
                    Some(entry) => admit(entry),
                    None => Err(AuthError::NoKey),
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
        self.known.retain(|_, entry| entry.row.id != *id);
        self.unknown.remove(id);
    }

    /// Forgets every key, after somebody was changed whom keys belong to. What a key has spent is not forgotten.
    pub fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.known.clear();
    }

    /// Has every key read again, after somebody else may have changed any. While the store fails they are kept all the same.
    pub fn expire_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.freshness.expire(self.clock.now());
        self.unknown.clear();
    }

    /// Keys are served that the store could not confirm.
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
        let tokens = self.tokens.as_ref().filter(|_| looks_like_one(text));
        if tokens.is_none() && !text.starts_with(key::PREFIX) {
            return if self.has_master_key() {
                Err(AuthError::NotVirtualKey {
                    received: key::masked(text),
                })
            } else {
                Ok(Found::Done(Identity::Open))
            };
        }
        let id = digest.id();
        let now = self.clock.now();
        let known = self.known.get(&id).map(|entry| Arc::clone(&entry));
        if let Some(entry) = known.filter(|entry| entry.is_current()) {
            let age = now.since(entry.loaded_at);
            let is_fresh = self.freshness.is_fresh(entry.loaded_at, now);
            let will_do = is_fresh || (self.may_keep(age) && self.outage.pauses(now));
            if will_do {
                return admit(entry).map(Found::Done);
            }
            return Ok(Found::lookup(text, id, tokens));
        }
        if tokens.is_some() {
            return Ok(Found::lookup(text, id, tokens));
        }
        match self.unknown.get(&id).map(|at| *at) {
            Some(at) if now.since(at) < UNKNOWN_TTL => self.no_such_key(text, &id).map(Found::Done),
            _ => Ok(Found::Lookup { text, id }),
        }
    }

    fn no_such_key(&self, text: &str, id: &KeyId) -> Result<Identity, AuthError> {
        if self.has_master_key() {
            Err(AuthError::Unknown {
                received: key::short_name(text),
                hash: id.as_str().to_owned(),
            })
        } else {
            Ok(Identity::Open)
        }
    }

    /// An entry of that age may be served while the store fails.
    fn may_keep(&self, age: Duration) -> bool {
        let life = self.freshness.ttl().saturating_add(self.stale);
        !self.stale.is_zero() && age < life
    }

    /// Reads the key or token; if that fails, what is known of it will do.
    async fn load_or_keep(
        &self,
        id: &KeyId,
        loading: impl Future<Output = Result<Loaded, AuthError>>,
    ) -> Result<Loaded, AuthError> {
        let known = self.known.get(id).map(|entry| Arc::clone(&entry));
        let kept = known.filter(|entry| {
            entry.is_current() && self.may_keep(self.clock.now().since(entry.loaded_at))
        });
        let Some(kept) = kept else {
            return loading.await;
        };
        let failure = match timeout(PATIENCE, loading).await {
            Ok(Ok(loaded)) => return Ok(loaded),
            // That is no outage: the token does not hold any more, or not here.
            Ok(Err(AuthError::Token(fault))) if fault != TokenFault::NoKeys => {
                self.known.remove(id);
                return Err(fault.into());
            }
            Ok(Err(err)) => Some(err),
            Err(_elapsed) => None,
        };
        self.outage.failed(failure.as_ref(), self.clock.now());
        Ok(Some(kept))
    }

    async fn load(&self, id: &KeyId) -> Result<Loaded, AuthError> {
        let loading = Loading::join(&self.loading, id);
        let loaded = loading
            .cell
            .get_or_try_init(|| async {
                let forgotten = self.forgotten.load(Ordering::Acquire);
                let loaded = match self.store.keys.by_secret(id.clone(), UnixMs::now()).await? {
                    Some(found) => Some(Arc::new(self.open(found, forgotten).await?)),
                    None => None,
                };
                Ok::<_, AuthError>((loaded, forgotten))
            })
            .await
            .cloned();
        let (loaded, forgotten) = loaded?;
        self.outage.over();
        if let Some(entry) = &loaded {
            self.unknown.remove(id);
            self.know(id, entry, forgotten);
        } else {
            self.known.remove(id);
            if self.forgotten.load(Ordering::Acquire) == forgotten {
                make_room(&self.unknown);
                self.unknown.insert(id.clone(), self.clock.now());
            }
        }
        Ok(loaded)
    }

    /// Checks a token, and opens what it names.
    async fn load_token(
        &self,
        tokens: &TokenCaller,
        text: &str,
        id: &KeyId,
    ) -> Result<Loaded, AuthError> {
        let now = UnixMs::now();
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let named = tokens.read(text, now).await?;
        let row = jwt::row(tokens, &named, id.clone(), &self.store, now).await?;
        let token = Token {
            customer: named.customer,
        };
        let mut entry = self.open(FoundKey { row, until: None }, forgotten).await?;
        if named.is_admin {
            entry.role = Role::ProxyAdmin;
        }
        entry.token = Some(token);
        self.outage.over();
        let entry = Arc::new(entry);
        self.know(id, &entry, forgotten);
        Ok(Some(entry))
    }

    /// Serves the entry from memory from now on, unless something was changed since it was opened. What was changed before that,
    /// opening has noticed: such an entry is expired already.
    fn know(&self, id: &KeyId, entry: &Arc<KeyEntry>, forgotten: u64) {
        make_room(&self.known);
        self.known.insert(id.clone(), Arc::clone(entry));
        let is_current = self.forgotten.load(Ordering::Acquire) == forgotten;
        let is_fresh = self.freshness.is_fresh(entry.loaded_at, self.clock.now());
        if !is_current && is_fresh {
            self.known.remove(id);
        }
    }

    /// Opens the row's handles. If somebody changed something meanwhile, maybe this, it is good for this once, and for as long as
    /// the store fails.
    async fn open(
        &self,
        FoundKey { row, until }: FoundKey,
        forgotten: u64,
    ) -> Result<KeyEntry, AuthError> {
        // Before it is read whom the key belongs to: a change meanwhile is seen at the next reading.
        let mut loaded_at = self.clock.now();
        let payers = self.payers.of_key(&row).await?;
        if self.forgotten.load(Ordering::Acquire) != forgotten {
            let ttl = u64::try_from(self.freshness.ttl().as_millis()).unwrap_or(u64::MAX);
            loaded_at = Millis(loaded_at.0.saturating_sub(ttl));
        }
        Ok(KeyEntry {
            charges: payers.charges,
            organisation: payers.organisation,
            team_is_blocked: payers.team_is_blocked,
            missing: payers.missing,
            aliases: payers.aliases,
            role: role_of(&row, payers.role.as_deref()),
            manages: payers.manages,
            rules: KeyRules::of(&row.settings),
            models: payers.models,
            row,
            secret_until: until,
            token: None,
            loaded_at,
        })
    }
}

enum Found<'c> {
    Done(Identity),
    Lookup {
        text: &'c str,
        id: KeyId,
    },
    Token {
        text: &'c str,
        id: KeyId,
        tokens: &'c TokenCaller,
    },
}

// === impl Found ===

impl<'c> Found<'c> {
    fn lookup(text: &'c str, id: KeyId, tokens: Option<&'c TokenCaller>) -> Self {
        match tokens {
            Some(tokens) => Self::Token { text, id, tokens },
            None => Self::Lookup { text, id },
        }
    }
}

/// With how often something had been forgotten when the reading began.
type Cell = Arc<OnceCell<(Loaded, u64)>>;

/// One of those who wait for a key to be read. The last one to leave, served or cancelled, takes the cell away: clients
/// that send made-up keys and hang up leave nothing behind.
struct Loading<'t> {
    waiting: &'t DashMap<KeyId, Cell>,
    id: &'t KeyId,
    cell: Cell,
}

// === impl Loading ===

impl<'t> Loading<'t> {
    fn join(waiting: &'t DashMap<KeyId, Cell>, id: &'t KeyId) -> Self {
        let cell = Arc::clone(&waiting.entry(id.clone()).or_default());
        Self { waiting, id, cell }
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        // Under the shard's lock nobody can join: two are the table's and our own.
        self.waiting.remove_if(self.id, |_, cell| {
            Arc::ptr_eq(cell, &self.cell) && Arc::strong_count(cell) <= 2
        });
    }
}

/// The role that a key acts with: its user's. Keys of a team are made by whoever manages the team.
fn role_of(row: &KeyRow, of_user: Option<&str>) -> Role {
    let role = Role::of(of_user);
    let is_marked = row.settings.get(IN_OTHER_HANDS).is_some();
    if row.team.is_some() || is_marked {
        role.in_other_hands()
    } else {
        role
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
mod tests {
    use super::*;

    #[test]
    fn the_last_to_wait_for_a_key_takes_its_cell_away() {
        let waiting = DashMap::new();
        let id = KeyId::new("k");
        let first = Loading::join(&waiting, &id);
        let second = Loading::join(&waiting, &id);
        assert!(Arc::ptr_eq(&first.cell, &second.cell));

        drop(first);
        assert_eq!(waiting.len(), 1);
        drop(second);
        assert!(waiting.is_empty());
    }
}
