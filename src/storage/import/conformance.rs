//! What every store does with what an import brings; the suite runs it.

use trunkline_actors::ids::{KeyId, Subject};

use super::*;
use crate::storage::conformance::{
    NOON, delete_tenant, entry, insert_key, key, row, update_key, window,
};
use crate::storage::{EntryKind, Store, TenantKind};

fn arrival(spent: i64, alias: &str) -> Arrival {
    let mut row = key("key-a", Some(alias));
    row.terms.reset_at = 0;
    let subject = Subject::from(&row.id);
    Arrival {
        row: ImportedRow::Key(Box::new(row)),
        openings: vec![(window(subject, 0, 0), Usd::from_pico(spent))],
    }
}

async fn take(store: &Store, rows: Vec<Arrival>, dry_run: bool) -> Vec<(Taken, i64)> {
    let arrivals = Arrivals {
        rows,
        overwrite: false,
        dry_run,
    };
    let outcomes = store.imports.take(arrivals).await.unwrap();
    let opened = |one: &Outcome| one.opened.to_pico().unwrap();
    outcomes
        .iter()
        .map(|one| (one.taken, opened(one)))
        .collect()
}

pub(in crate::storage) async fn what_an_import_brings_counts_once(store: &Store) {
    let lifetime = window(Subject::from(&KeyId::from("key-a")), 0, 0);
    let charged = || async { store.ledger.charged(lifetime.clone()).await.unwrap() };
    let id = || KeyId::from("key-a");

    let said = take(store, vec![arrival(500, "a")], true).await;
    assert_eq!(said, [(Taken::New, 500)]);
    assert_eq!(store.keys.by_id(id()).await.unwrap(), None);
    assert_eq!(charged().await, Usd::ZERO);

    let said = take(store, vec![arrival(500, "a")], false).await;
    assert_eq!(said, [(Taken::New, 500)]);
    let said = take(store, vec![arrival(500, "a")], false).await;
    assert_eq!(said, [(Taken::Same, 0)]);
    assert_eq!(charged().await, Usd::from_pico(500));

    let mut spent = row(NOON, 1, Some(10));
    spent.budgets = vec![lifetime.clone()];
    store.ledger.insert(vec![spent]).await.unwrap();
    assert_eq!(charged().await, Usd::from_pico(510));

    // More was spent elsewhere meanwhile, and the key was given another name there.
    let said = take(store, vec![arrival(700, "b")], false).await;
    assert_eq!(said, [(Taken::Updated, 200)]);
    assert_eq!(charged().await, Usd::from_pico(710));

    let stored = store.keys.by_id(id()).await.unwrap().unwrap();
    assert_eq!(stored.alias.as_deref(), Some("b"));
    let blocked = KeyRow {
        blocked: !stored.blocked,
        ..stored
    };
    update_key(store, blocked).await.unwrap();
    let said = take(store, vec![arrival(900, "c")], false).await;
    assert_eq!(said, [(Taken::KeptChanged, 0)]);
    assert_eq!(charged().await, Usd::from_pico(710));
}

pub(in crate::storage) async fn an_import_takes_all_kinds_of_a_batch(store: &Store) {
    let rows: Vec<Arrival> = [TenantKind::Team, TenantKind::User, TenantKind::Budget]
        .into_iter()
        .map(|kind| Arrival {
            row: ImportedRow::Tenant(Box::new(TenantRow::new(kind, "x", UnixMs(NOON)))),
            openings: Vec::new(),
        })
        .chain([arrival(0, "a")])
        .chain(
            [EntryKind::Model, EntryKind::Credential].map(|kind| Arrival {
                row: ImportedRow::Entry(Box::new(entry(kind, "x"))),
                openings: Vec::new(),
            }),
        )
        .collect();
    let said = take(store, rows.clone(), false).await;
    assert_eq!(said, [(Taken::New, 0); 6]);
    let said = take(store, rows, false).await;
    assert_eq!(said, [(Taken::Same, 0); 6]);

    delete_tenant(store, TenantKind::User, "x").await.unwrap();
    let user = TenantRow::new(TenantKind::User, "x", UnixMs(NOON));
    let row = Arrival {
        row: ImportedRow::Tenant(Box::new(user)),
        openings: Vec::new(),
    };
    let said = take(store, vec![row], false).await;
    assert_eq!(said, [(Taken::KeptDeleted, 0)]);
}

pub(in crate::storage) async fn an_alias_that_another_key_has_is_left_to_it(store: &Store) {
    insert_key(store, key("key-z", Some("ops"))).await.unwrap();
    for known in [Taken::New, Taken::Same] {
        let arrivals = Arrivals {
            rows: vec![arrival(0, "ops")],
            ..Arrivals::default()
        };
        let outcomes = store.imports.take(arrivals).await.unwrap();
        assert_eq!((outcomes[0].taken, outcomes[0].alias_lost), (known, true));
    }
    let taken = store.keys.by_id(KeyId::from("key-a")).await.unwrap();
    assert_eq!(taken.unwrap().alias, None);
}
