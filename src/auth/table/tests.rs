//! The key table over a store that counts what it is asked.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use actix_rt::Arbiter;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::yield_now;
use tokio::time::sleep;
use trunkline_actors::ids::UserId;
use trunkline_actors::ports::BoxFuture;
use trunkline_actors::spend_ledger::{self, LedgerSettings};
use url::Url;

use super::*;
use crate::auth::{BudgetRules, KeySet, NewKey};
use crate::config::BudgetSettings;
use crate::journal::{Journal, JournalOptions};
use crate::storage::{
    FoundKey, KeyFilter, KeyPage, KeyRow, KeyStore, StorageError, TenantFilter, TenantKind,
    TenantPage, TenantRow, TenantStore, open_sqlite,
};

/// Keys by the hashes of their secrets, and users.
#[derive(Debug, Default)]
struct Shelf {
    keys: Mutex<HashMap<KeyId, KeyRow>>,
    users: Mutex<Vec<String>>,
    reads: AtomicUsize,
}

impl Shelf {
    fn put(&self, secret: &str, row: &KeyRow) {
        let mut keys = self.keys.lock().unwrap();
        keys.insert(key::id_of(secret), row.clone());
    }

    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }

    fn users(&self, ids: &[String]) -> Vec<TenantRow> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let users = self.users.lock().unwrap();
        let found = users.iter().filter(|user| ids.contains(*user));
        found
            .map(|user| TenantRow::user(&UserId::new(user.as_str()), UnixMs(0)))
            .collect()
    }
}

impl KeyStore for Shelf {
    fn by_id(&self, _id: KeyId) -> BoxFuture<'_, Result<Option<KeyRow>, StorageError>> {
        Box::pin(async { Ok(None) })
    }

    fn by_secret(
        &self,
        hash: KeyId,
        _now: UnixMs,
    ) -> BoxFuture<'_, Result<Option<FoundKey>, StorageError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
            let row = self.keys.lock().unwrap().get(&hash).cloned();
            Ok(row.map(|row| FoundKey { row, until: None }))
        })
    }

    fn count(&self, _filter: KeyFilter) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(async { Ok(0) })
    }

    fn list(&self, _page: KeyPage) -> BoxFuture<'_, Result<Vec<KeyRow>, StorageError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl TenantStore for Shelf {
    fn by_id(
        &self,
        kind: TenantKind,
        id: String,
    ) -> BoxFuture<'_, Result<Option<TenantRow>, StorageError>> {
        Box::pin(async move { Ok(self.by_ids(kind, vec![id]).await?.pop()) })
    }

    fn by_ids(
        &self,
        _kind: TenantKind,
        ids: Vec<String>,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(async move {
            yield_now().await;
            Ok(self.users(&ids))
        })
    }

    fn memberships(
        &self,
        _kind: TenantKind,
        _user: UserId,
    ) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn count(
        &self,
        _kind: TenantKind,
        _filter: TenantFilter,
    ) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(async { Ok(0) })
    }

    fn list(&self, _page: TenantPage) -> BoxFuture<'_, Result<Vec<TenantRow>, StorageError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn any(&self, _kind: TenantKind) -> BoxFuture<'_, Result<bool, StorageError>> {
        Box::pin(async { Ok(false) })
    }
}

struct Scene {
    shelf: Arc<Shelf>,
    table: KeyTable,
    _data: TempDir,
}

const TERMS: KeyTerms = KeyTerms {
    ttl: Duration::from_mins(1),
    stale: Duration::from_hours(1),
};

/// `life` is how long the keys that tokens are checked with are used.
async fn scene(terms: KeyTerms, life: Duration) -> Scene {
    let data = TempDir::new().unwrap();
    let shelf = Arc::new(Shelf::default());
    let whole = open_sqlite(&data.path().join("trunkline.db"))
        .await
        .unwrap();
    let keys: Arc<dyn KeyStore> = Arc::<Shelf>::clone(&shelf);
    let tenants: Arc<dyn TenantStore> = Arc::<Shelf>::clone(&shelf);
    let store = Store {
        keys,
        tenants,
        ..whole
    };
    let clock = Clock::start();
    let journal = Journal::open(data.path(), JournalOptions::default()).unwrap();
    let ledger = spend_ledger::start(
        &Arbiter::current(),
        LedgerSettings::default(),
        journal.reader(),
        Arc::clone(&store.ledger),
        clock,
    );
    let rules = BudgetRules::of(&BudgetSettings::default());
    let payers = PayerReader::new(store.clone(), ledger, rules, None);
    let signing_keys = SigningKeys::new(1, life, clock);
    signing_keys.replace(0, KeySet::read(&fixture("keys.json")).unwrap());
    let settings = JwtSettings {
        keys_at: vec![Url::parse("https://idp.example/keys").unwrap()],
        ..JwtSettings::default()
    };
    let tokens = (settings, Arc::new(signing_keys));
    let master = Secret::new("sk-the-master-key");
    Scene {
        table: KeyTable::new(Some(&master), Some(tokens), terms, store, payers, clock),
        shelf,
        _data: data,
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokens");
    fs::read(folder.join(name)).unwrap()
}

fn credential(text: &str) -> Credential {
    Credential::Key(Secret::new(text))
}

/// A token that holds, of that user.
fn token(user: &str) -> Credential {
    let claims = json!({"sub": user, "exp": UnixMs::now().0 / 1000 + 600});
    let key = EncodingKey::from_ed_der(&fixture("ed25519.der"));
    let token = encode(&Header::new(Algorithm::EdDSA), &claims, &key).unwrap();
    credential(&token)
}

#[actix_rt::test]
async fn a_token_that_many_show_at_once_is_read_once() {
    let Scene { shelf, table, .. } = &scene(TERMS, Duration::from_hours(1)).await;
    shelf.users.lock().unwrap().push("ann".to_owned());
    let token = token("ann");
    assert!(table.identify(&token).await.is_ok());
    let alone = shelf.reads();

    table.forget_all();
    let many = join_all((0..20).map(|_| table.identify(&token))).await;
    assert!(many.iter().all(Result::is_ok), "{many:?}");
    assert_eq!(shelf.reads(), alone);
    assert!(table.identify(&token).await.is_ok());
    assert_eq!(shelf.reads(), 0);
}

#[actix_rt::test]
async fn a_token_of_nobody_is_remembered_until_somebody_is_made() {
    let Scene { shelf, table, .. } = &scene(TERMS, Duration::from_hours(1)).await;
    let token = token("eve");
    let refused = |answer: Result<Identity, AuthError>| {
        matches!(answer, Err(AuthError::Token(TokenFault::UnknownUser)))
    };
    let many = join_all((0..20).map(|_| table.identify(&token))).await;
    assert!(many.into_iter().all(refused));
    assert_eq!(shelf.reads(), 1);
    assert!(refused(table.identify(&token).await));
    assert_eq!(shelf.reads(), 0, "asked a moment ago");

    shelf.users.lock().unwrap().push("eve".to_owned());
    table.forget_all();
    assert!(table.identify(&token).await.is_ok());
}

#[actix_rt::test]
async fn an_identity_provider_that_is_away_is_no_outage_of_the_database() {
    let terms = KeyTerms {
        ttl: Duration::ZERO,
        ..TERMS
    };
    // The provider's keys are over in a moment, and nobody fetches newer ones.
    let Scene { shelf, table, .. } = &scene(terms, Duration::from_millis(300)).await;
    shelf.users.lock().unwrap().push("ann".to_owned());
    let made = NewKey::default().make(UnixMs::now()).unwrap();
    shelf.put(made.secret.expose(), &made.row);
    let (token, key) = (token("ann"), Credential::Key(made.secret));
    assert!(table.identify(&token).await.is_ok());
    assert!(table.identify(&key).await.is_ok());
    sleep(Duration::from_millis(400)).await;

    assert!(table.identify(&token).await.is_ok(), "it is kept");
    assert!(!table.is_weakened());
    assert!(
        table.identify_cached(&token).is_some(),
        "and not tried again at once"
    );
    assert!(table.identify_cached(&key).is_none(), "keys are confirmed");
    assert!(table.identify(&key).await.is_ok());
}

#[actix_rt::test]
async fn a_key_that_changes_is_forgotten_under_each_of_its_secrets_and_no_other_key_is() {
    let Scene { shelf, table, .. } = &scene(TERMS, Duration::from_hours(1)).await;
    let made = |secret: &str| {
        let new = NewKey {
            secret: Some(Secret::new(secret)),
            ..NewKey::default()
        };
        new.make(UnixMs::now()).unwrap().row
    };
    let mut row = made("sk-first");
    let secrets = ["sk-first", "sk-second", "sk-third"];
    for secret in secrets {
        shelf.put(secret, &row);
    }
    shelf.put("sk-other", &made("sk-other"));
    for secret in secrets.iter().chain(&["sk-other"]) {
        assert!(table.identify(&credential(secret)).await.is_ok());
    }

    row.blocked = true;
    for secret in secrets {
        shelf.put(secret, &row);
    }
    table.forget(&row.id);
    shelf.reads();
    for secret in secrets {
        let answer = table.identify(&credential(secret)).await;
        assert!(matches!(answer, Err(AuthError::Blocked)), "{secret}");
    }
    assert_eq!(shelf.reads(), 3);
    assert!(table.identify(&credential("sk-other")).await.is_ok());
    assert_eq!(shelf.reads(), 0, "the other one stays known");

    // Also where its secret of the moment is not known, and after everything was forgotten.
    table.forget_all();
    assert!(table.other_secrets.is_empty());
    assert!(table.identify(&credential("sk-third")).await.is_err());
    table.forget(&row.id);
    assert!(table.known.is_empty());
}
