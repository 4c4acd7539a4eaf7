//! Keys and tenants as rows.

use std::time::Duration;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, UserId};

use super::{DAY, NOON, apply, insert_key, insert_tenant, key, tenant, update_key};
use crate::storage::{
    KeyFilter, KeyPage, KeyRow, StorageError, Store, TenantFilter, TenantKind, TenantPage,
    TenantRow, Terms, Write,
};

pub(super) async fn it_answers(store: &Store) {
    store.lifecycle.ping(Duration::from_secs(5)).await.unwrap();
}

pub(super) async fn a_key_comes_back_as_it_was_stored(store: &Store) {
    let row = key("key-a", Some("mine"));
    insert_key(store, row.clone()).await.unwrap();
    assert_eq!(store.keys.by_id(row.id.clone()).await.unwrap(), Some(row));
    let other = store.keys.by_id(KeyId::from("key-b")).await.unwrap();
    assert_eq!(other, None);
}

pub(super) async fn a_taken_key_or_alias_is_refused(store: &Store) {
    insert_key(store, key("key-a", Some("mine"))).await.unwrap();
    insert_key(store, key("key-b", None)).await.unwrap();
    insert_key(store, key("key-c", None)).await.unwrap();
    let cases = [
        (key("key-a", None), "virtual key"),
        (key("key-d", Some("mine")), "key alias"),
    ];
    for (row, taken) in cases {
        match insert_key(store, row).await {
            Err(StorageError::AlreadyExists { what, .. }) => assert_eq!(what, taken),
            other => panic!("{taken}: {other:?}"),
        }
    }
}

pub(super) async fn keys_are_listed_page_by_page(store: &Store) {
    for n in 0..5 {
        let mut row = key(&format!("key-{n}"), None);
        row.user = (n != 2).then(|| UserId::from("user-a"));
        insert_key(store, row).await.unwrap();
    }
    let cases = [
        (None, None, 3, vec!["key-0", "key-1", "key-2"]),
        (None, Some("key-2"), 3, vec!["key-3", "key-4"]),
        (Some("user-a"), Some("key-0"), 2, vec!["key-1", "key-3"]),
        (Some("user-b"), None, 2, vec![]),
    ];
    for (user, after, limit, expected) in cases {
        let filter = KeyFilter {
            user: user.map(UserId::from),
            ..KeyFilter::default()
        };
        let page = KeyPage {
            after: after.map(KeyId::from),
            ..KeyPage::of(filter, limit)
        };
        let listed = store.keys.list(page).await.unwrap();
        let ids: Vec<&str> = listed.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, expected, "{user:?} {after:?}");
    }
    // From page to page, whether the last one is full or not, comes every key once.
    for limit in 1..=6 {
        let mut all = Vec::new();
        let mut next = Some(KeyPage::of(KeyFilter::default(), limit));
        while let Some(page) = next {
            let rows = store.keys.list(page.clone()).await.unwrap();
            next = page.next(&rows);
            all.extend(rows.into_iter().map(|row| row.id.as_str().to_owned()));
        }
        let expected: Vec<String> = (0..5).map(|n| format!("key-{n}")).collect();
        assert_eq!(all, expected, "{limit} a page");
    }
}

pub(super) async fn a_key_is_changed_but_for_its_beginning(store: &Store) {
    let before = key("key-a", Some("mine"));
    insert_key(store, before.clone()).await.unwrap();
    insert_key(store, key("key-b", Some("taken")))
        .await
        .unwrap();
    let changed = KeyRow {
        team: None,
        models: Vec::new(),
        terms: Terms::default(),
        blocked: false,
        created_at: UnixMs(1),
        updated_at: UnixMs(NOON + 1),
        ..before.clone()
    };
    update_key(store, changed.clone()).await.unwrap();
    let wanted = KeyRow {
        created_at: before.created_at,
        ..changed.clone()
    };
    let found = store.keys.by_id(before.id).await.unwrap();
    assert_eq!(found, Some(wanted));
    let taken = KeyRow {
        alias: Some("taken".to_owned()),
        ..changed.clone()
    };
    let refused = update_key(store, taken).await;
    assert!(matches!(refused, Err(StorageError::AlreadyExists { .. })));
    let unknown = KeyRow {
        id: KeyId::from("key-c"),
        ..changed
    };
    let missing = update_key(store, unknown).await;
    assert!(matches!(missing, Err(StorageError::Missing { .. })));
}

pub(super) async fn a_tenant_comes_back_as_it_was_stored(store: &Store) {
    let row = tenant(TenantKind::Team, "a");
    insert_tenant(store, row.clone()).await.unwrap();
    let again = insert_tenant(store, row.clone()).await;
    assert!(matches!(
        again,
        Err(StorageError::AlreadyExists { what: "team", .. })
    ));
    let found = |kind, id: &str| store.tenants.by_id(kind, id.to_owned());
    assert_eq!(found(TenantKind::Team, "a").await.unwrap(), Some(row));
    assert_eq!(found(TenantKind::Tag, "a").await.unwrap(), None);
    assert!(store.tenants.any(TenantKind::Team).await.unwrap());
    assert!(!store.tenants.any(TenantKind::Tag).await.unwrap());
}

pub(super) async fn a_tenant_is_made_once_and_changed_but_for_its_beginning(store: &Store) {
    let first = tenant(TenantKind::User, "user-a");
    let second = TenantRow {
        email: Some("a@example.com".to_owned()),
        terms: Terms::default(),
        created_at: UnixMs(NOON + DAY),
        created_by: None,
        updated_at: UnixMs(NOON + DAY),
        ..first.clone()
    };
    let stored = async || {
        let found = store.tenants.by_id(TenantKind::User, "user-a".to_owned());
        found.await.unwrap()
    };
    let ensure = |row: &TenantRow| Write::EnsureTenant(Box::new(row.clone()));
    apply(store, ensure(&first)).await.unwrap();
    apply(store, ensure(&second)).await.unwrap();
    assert_eq!(stored().await, Some(first.clone()));
    let put = Write::PutTenant(Box::new(second.clone()));
    apply(store, put).await.unwrap();
    let wanted = TenantRow {
        created_at: first.created_at,
        created_by: first.created_by,
        ..second
    };
    assert_eq!(stored().await, Some(wanted));
}

pub(super) async fn tenants_are_listed_page_by_page_and_deleted(store: &Store) {
    for id in ["a", "a:1", "a:2", "ab:1", "b:1"] {
        let mut row = tenant(TenantKind::TeamMember, id);
        row.organisation = (id != "a:2").then(|| OrganisationId::from("org-a"));
        insert_tenant(store, row).await.unwrap();
    }
    let list = async |prefix: &str, after: Option<&str>, organisation: Option<&str>, limit| {
        let filter = TenantFilter {
            organisation: organisation.map(OrganisationId::from),
            prefix: prefix.to_owned(),
            ..TenantFilter::default()
        };
        let page = TenantPage {
            filter,
            after: after.map(str::to_owned),
            ..TenantPage::of(TenantKind::TeamMember, limit)
        };
        let rows = store.tenants.list(page).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, None, 3).await, ["a", "a:1", "a:2"]);
    assert_eq!(list("", Some("a:2"), None, 3).await, ["ab:1", "b:1"]);
    assert_eq!(list("a:", None, None, 9).await, ["a:1", "a:2"]);
    assert_eq!(list("a:", None, Some("org-a"), 9).await, ["a:1"]);
    for id in ["a:1", "nobody"] {
        let gone = Write::DeleteTenant(TenantKind::TeamMember, id.to_owned());
        apply(store, gone).await.unwrap();
    }
    assert_eq!(list("a:", None, None, 9).await, ["a:2"]);
}
