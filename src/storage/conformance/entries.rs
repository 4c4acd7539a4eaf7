//! Stored deployments and credentials, and what is told of changes.

use serde_json::{Map, Value, json};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::KeyId;

use super::{NOON, Told, insert_key, key, tenant};
use crate::storage::{
    AsRead, Change, ChangeFilter, ChangedBy, EntryKind, EntryRow, StorageError, Store, TenantKind,
    Write,
};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => panic!("{value} is no object"),
    }
}

pub(in crate::storage) fn entry(kind: EntryKind, id: &str) -> EntryRow {
    EntryRow {
        kind,
        id: id.to_owned(),
        name: Some("gpt-4o".to_owned()),
        params: object(
            json!({"model": "openai/gpt-4o", "api_key": "v2:gcm:abcd", "z": [1, {"a": null}], "a": 0.000_002_5}),
        ),
        info: object(json!({"mode": "chat", "password": "hush"})),
        blocked: false,
        created_at: UnixMs(NOON),
        created_by: Some("alice".to_owned()),
        updated_at: UnixMs(NOON),
        updated_by: Some("alice".to_owned()),
        as_read: AsRead::default(),
    }
}

async fn apply(store: &Store, write: Write) -> Result<(), StorageError> {
    let by = ChangedBy::program("test");
    store.changes.apply(by, vec![write]).await
}

async fn insert(store: &Store, row: &EntryRow) -> Result<(), StorageError> {
    apply(store, Write::InsertEntry(Box::new(row.clone()))).await
}

pub(super) async fn an_entry_comes_back_as_it_was_stored(store: &Store) {
    let later = EntryRow {
        created_at: UnixMs(NOON + 1),
        name: None,
        blocked: true,
        created_by: None,
        updated_by: None,
        ..entry(EntryKind::Model, "a")
    };
    let first = entry(EntryKind::Model, "b");
    let credential = entry(EntryKind::Credential, "a");
    for row in [&later, &first, &credential] {
        insert(store, row).await.unwrap();
    }
    let found = store.entries.by_id(EntryKind::Model, "a".to_owned()).await;
    assert_eq!(found.unwrap(), Some(later.clone()));
    let nobody = store.entries.by_id(EntryKind::Credential, "b".to_owned());
    assert_eq!(nobody.await.unwrap(), None);
    let all = store.entries.all().await.unwrap();
    assert_eq!(all, [credential, first, later]);
    let order: Vec<&String> = all[0].params.keys().collect();
    assert_eq!(order, ["model", "api_key", "z", "a"], "as it was written");
}

pub(super) async fn an_entry_is_made_once_and_changed_but_for_its_beginning(store: &Store) {
    let row = entry(EntryKind::Model, "a");
    insert(store, &row).await.unwrap();
    let again = insert(store, &row).await;
    assert!(
        matches!(
            again,
            Err(StorageError::AlreadyExists { what: "model", .. })
        ),
        "{again:?}"
    );

    let read = store
        .entries
        .by_id(row.kind, "a".to_owned())
        .await
        .unwrap()
        .unwrap();
    let changed = EntryRow {
        blocked: true,
        created_at: UnixMs(1),
        created_by: Some("mallory".to_owned()),
        updated_at: UnixMs(NOON + 5),
        updated_by: Some("ben".to_owned()),
        ..read.clone()
    };
    apply(store, Write::UpdateEntry(Box::new(changed.clone())))
        .await
        .unwrap();
    let stored = store
        .entries
        .by_id(row.kind, "a".to_owned())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        stored,
        EntryRow {
            created_at: row.created_at,
            created_by: row.created_by.clone(),
            ..changed
        }
    );
    // Who read it before that must not undo it.
    let stale = EntryRow {
        blocked: false,
        ..read
    };
    let refused = apply(store, Write::UpdateEntry(Box::new(stale))).await;
    assert!(
        matches!(refused, Err(StorageError::Changed { .. })),
        "{refused:?}"
    );

    apply(store, Write::DeleteEntry(row.kind, "a".to_owned()))
        .await
        .unwrap();
    assert!(store.entries.all().await.unwrap().is_empty());
    let gone = apply(store, Write::UpdateEntry(Box::new(row))).await;
    assert!(
        matches!(gone, Err(StorageError::Missing { what: "model", .. })),
        "{gone:?}"
    );
}

pub(super) async fn the_log_withholds_what_is_encrypted(store: &Store) {
    let mut row = entry(EntryKind::Credential, "a");
    insert(store, &row).await.unwrap();
    row.params
        .insert("api_key".to_owned(), json!("v2:gcm:other"));
    apply(store, Write::UpdateEntry(Box::new(row.clone())))
        .await
        .unwrap();
    // Nothing changed: no line.
    apply(store, Write::UpdateEntry(Box::new(row)))
        .await
        .unwrap();
    apply(
        store,
        Write::DeleteEntry(EntryKind::Credential, "nobody".to_owned()),
    )
    .await
    .unwrap();
    let lines = store
        .change_log
        .page(ChangeFilter::default(), 0, 10)
        .await
        .unwrap();
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| (line.action.as_str(), line.table_name.as_str()))
        .collect();
    let table = "LiteLLM_CredentialsTable";
    assert_eq!(told, [("updated", table), ("created", table)]);
    let text = format!("{lines:?}");
    assert!(!text.contains("gcm") && !text.contains("hush"), "{text}");
    assert!(text.contains("openai/gpt-4o"), "{text}");
}

pub(super) async fn changes_are_told_to_whoever_follows(store: &Store) {
    let mut told = Told::by(store);
    told.of(Change::Unknown).await;
    insert(store, &entry(EntryKind::Model, "a")).await.unwrap();
    told.of(Change::Entries).await;
    let row = super::KeyRow {
        team: None,
        organisation: None,
        budget_id: None,
        ..key("key-a", None)
    };
    insert_key(store, row).await.unwrap();
    told.of(Change::Key(KeyId::from("key-a"))).await;
    let row = super::TenantRow {
        organisation: None,
        budget_id: None,
        ..tenant(TenantKind::Team, "t")
    };
    apply(store, Write::InsertTenant(Box::new(row)))
        .await
        .unwrap();
    told.of(Change::Tenants).await;
    apply(store, Write::DeleteEntry(EntryKind::Model, "a".to_owned()))
        .await
        .unwrap();
    told.of(Change::Entries).await;
}
