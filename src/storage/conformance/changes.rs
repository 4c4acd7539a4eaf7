//! Keys, tenants and their changes: all together or not at all, and in the log.

use futures_util::future::join_all;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId, UserId};

use super::{NOON, insert_key, insert_tenant};
use crate::storage::{
    Chain, ChangeFilter, ChangedBy, KeyFilter, KeyPage, KeyRow, KeyScope, Rotation, StorageError,
    Store, TenantFilter, TenantKind, TenantPage, TenantRow, TenantScope, Write,
};

/// A key that names nobody.
fn key(id: &str, alias: Option<&str>) -> KeyRow {
    KeyRow {
        team: None,
        budget_id: None,
        ..super::key(id, alias)
    }
}

/// A tenant that names nobody.
fn tenant(kind: TenantKind, id: &str) -> TenantRow {
    TenantRow {
        organisation: None,
        ..super::tenant(kind, id)
    }
}

pub(super) async fn memberships_are_found_by_user(store: &Store) {
    for id in ["a:ann", "b:ann", "b:ben", "c:joann"] {
        let row = tenant(TenantKind::TeamMember, id);
        insert_tenant(store, row).await.unwrap();
    }
    let other = tenant(TenantKind::OrganisationMember, "o:ann");
    insert_tenant(store, other).await.unwrap();
    let of = async |kind, user: &str| {
        let rows = store.tenants.memberships(kind, UserId::from(user)).await;
        let ids = rows.unwrap().into_iter().map(|row| row.id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(of(TenantKind::TeamMember, "ann").await, ["a:ann", "b:ann"]);
    assert_eq!(of(TenantKind::OrganisationMember, "ann").await, ["o:ann"]);
    assert!(of(TenantKind::TeamMember, "nobody").await.is_empty());
    let ids = vec!["b:ben".to_owned(), "zz".to_owned(), "a:ann".to_owned()];
    let rows = store.tenants.by_ids(TenantKind::TeamMember, ids).await;
    let ids: Vec<String> = rows.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["a:ann", "b:ben"]);
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

async fn store_keys_of_teams(store: &Store) {
    for id in ["o1", "o2"] {
        let row = tenant(TenantKind::Organisation, id);
        insert_tenant(store, row).await.unwrap();
    }
    for (id, organisation) in [("t1", Some("o1")), ("t2", None)] {
        let mut team = tenant(TenantKind::Team, id);
        team.organisation = organisation.map(OrganisationId::from);
        insert_tenant(store, team).await.unwrap();
    }
    for (id, user, team, organisation, blocked) in [
        ("k1", Some("ann"), Some("t1"), None, false),
        ("k2", Some("ann"), Some("t2"), Some("o2"), true),
        ("k3", Some("ben"), None, Some("o2"), false),
        ("k4", None, Some("t1"), Some("o2"), false),
    ] {
        let row = KeyRow {
            user: user.map(UserId::from),
            team: team.map(TeamId::from),
            organisation: organisation.map(OrganisationId::from),
            blocked,
            expires_at: (id == "k3").then_some(UnixMs(NOON)),
            rotation: Rotation {
                due_at: (id > "k2").then_some(UnixMs(if id == "k3" { NOON } else { NOON + 1 })),
                ..Rotation::default()
            },
            ..key(id, (id == "k1").then_some("mine"))
        };
        insert_key(store, row).await.unwrap();
    }
}

/// Filters, and the keys that fit them.
fn filters() -> Vec<(KeyFilter, Vec<&'static str>)> {
    let all = KeyFilter::default;
    let scope = KeyScope::default;
    vec![
        (all(), vec!["k1", "k2", "k3", "k4"]),
        (
            KeyFilter {
                user: Some("ann".into()),
                ..all()
            },
            vec!["k1", "k2"],
        ),
        (
            KeyFilter {
                alias: Some("mine".to_owned()),
                ..all()
            },
            vec!["k1"],
        ),
        (
            KeyFilter {
                has_alias: true,
                ..all()
            },
            vec!["k1"],
        ),
        (
            KeyFilter {
                blocked: Some(true),
                ..all()
            },
            vec!["k2"],
        ),
        // A team's organisation counts before the key's.
        (
            KeyFilter {
                organisation: Some("o1".into()),
                ..all()
            },
            vec!["k1", "k4"],
        ),
        (
            KeyFilter {
                organisation: Some("o2".into()),
                ..all()
            },
            vec!["k2", "k3"],
        ),
        (
            KeyFilter {
                expired: Some((UnixMs(NOON), true)),
                ..all()
            },
            vec!["k3"],
        ),
        (
            KeyFilter {
                expired: Some((UnixMs(NOON), false)),
                ..all()
            },
            vec!["k1", "k2", "k4"],
        ),
        (
            KeyFilter {
                reach: Some(scope()),
                ..all()
            },
            vec![],
        ),
        (
            KeyFilter {
                reach: Some(KeyScope {
                    user: Some("ann".into()),
                    within: Some("t1".into()),
                    ..scope()
                }),
                ..all()
            },
            vec!["k1"],
        ),
        (
            KeyFilter {
                scope: Some(KeyScope {
                    teams: texts(&["t1", "t2"]),
                    ..scope()
                }),
                reach: Some(KeyScope {
                    id: Some("k3".into()),
                    organisations: texts(&["o1"]),
                    ..scope()
                }),
                ..all()
            },
            vec!["k1", "k4"],
        ),
    ]
}

pub(super) async fn lists_hold_what_fits_every_filter(store: &Store) {
    store_keys_of_teams(store).await;
    let due = KeyFilter {
        rotation_due: Some(UnixMs(NOON)),
        ..KeyFilter::default()
    };
    for (filter, wanted) in filters().into_iter().chain([(due, vec!["k3"])]) {
        let rows = store
            .keys
            .list(KeyPage::of(filter.clone(), 10))
            .await
            .unwrap();
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, wanted, "{filter:?}");
        let count = store.keys.count(filter.clone()).await.unwrap();
        assert_eq!(count, wanted.len() as u64, "{filter:?}");
    }
    let page = KeyPage {
        skip: 1,
        ..KeyPage::of(KeyFilter::default(), 2)
    };
    let rows = store.keys.list(page).await.unwrap();
    assert_eq!(rows[0].id.as_str(), "k2");
    let filter = TenantFilter {
        scope: Some(TenantScope {
            ids: texts(&["t2"]),
            organisations: texts(&["o1"]),
        }),
        alias: Some("the alias".to_owned()),
        ..TenantFilter::default()
    };
    let count = store.tenants.count(TenantKind::Team, filter.clone()).await;
    assert_eq!(count.unwrap(), 2);
    let page = TenantPage {
        filter,
        skip: 1,
        ..TenantPage::of(TenantKind::Team, 5)
    };
    let rows = store.tenants.list(page).await.unwrap();
    assert_eq!(rows.len(), 1);
}

fn by() -> ChangedBy {
    ChangedBy::program("test")
}

fn insert(row: KeyRow) -> Write {
    Write::InsertKey(Box::new(row))
}

async fn apply(store: &Store, writes: Vec<Write>) -> Result<(), StorageError> {
    store.changes.apply(by(), writes).await
}

pub(super) async fn changes_are_made_together_or_not_at_all(store: &Store) {
    let team = tenant(TenantKind::Team, "t");
    let both = vec![
        Write::InsertTenant(Box::new(team.clone())),
        insert(key("k1", Some("mine"))),
    ];
    apply(store, both).await.unwrap();
    let failing = vec![
        Write::DeleteTenant(TenantKind::Team, "t".to_owned()),
        insert(key("k2", Some("mine"))),
    ];
    let failed = apply(store, failing).await;
    assert!(matches!(failed, Err(StorageError::AlreadyExists { .. })));
    let found = store.tenants.by_id(TenantKind::Team, "t".to_owned()).await;
    assert_eq!(found.unwrap(), Some(team));
    let missing = vec![Write::UpdateKey(Box::new(key("k3", None)))];
    let missing = apply(store, missing).await;
    assert!(matches!(missing, Err(StorageError::Missing { .. })));
    let head = store.change_log.head().await.unwrap();
    assert_eq!(head.seq, 2, "what failed is not in the log");
}

pub(super) async fn a_key_is_found_by_its_secrets_alone(store: &Store) {
    let found = async |secret: &str, now: u64| {
        let found = store.keys.by_secret(KeyId::from(secret), UnixMs(now)).await;
        found.unwrap().map(|found| (found.row.id, found.until))
    };
    let row = key("first", None);
    let keys = vec![insert(row.clone()), insert(key("other", None))];
    apply(store, keys).await.unwrap();
    let id = row.id.clone();
    assert_eq!(found("first", 5).await, Some((id.clone(), None)));
    let rotate = async |secret: &str, until: Option<u64>| {
        let write = Write::RotateKey {
            row: Box::new(row.clone()),
            secret: KeyId::from(secret),
            until: until.map(UnixMs),
        };
        apply(store, vec![write]).await
    };
    rotate("second", Some(10)).await.unwrap();
    assert_eq!(found("second", 50).await, Some((id.clone(), None)));
    assert_eq!(
        found("first", 9).await,
        Some((id.clone(), Some(UnixMs(10))))
    );
    assert_eq!(found("first", 10).await, None);
    rotate("third", None).await.unwrap();
    assert_eq!(found("first", 5).await, None);
    assert_eq!(found("second", 5).await, None);
    assert_eq!(found("third", 5).await, Some((id.clone(), None)));
    // The secret of one key is not that of another.
    let taken = rotate("other", None).await;
    assert!(matches!(taken, Err(StorageError::AlreadyExists { .. })));
    let taken = apply(store, vec![insert(key("third", None))]).await;
    assert!(matches!(taken, Err(StorageError::AlreadyExists { .. })));
    apply(store, vec![Write::DeleteKey(id)]).await.unwrap();
    assert_eq!(found("third", 5).await, None);
    apply(store, vec![insert(key("third", None))])
        .await
        .unwrap();
}

pub(super) async fn a_budget_that_is_in_use_stays(store: &Store) {
    let budget = || Write::DeleteTenant(TenantKind::Budget, "shared".to_owned());
    let row = tenant(TenantKind::Budget, "shared");
    let user = KeyRow {
        budget_id: Some("shared".to_owned()),
        ..key("k", None)
    };
    let both = vec![Write::InsertTenant(Box::new(row)), insert(user)];
    apply(store, both).await.unwrap();
    let refused = apply(store, vec![budget()]).await;
    assert!(matches!(refused, Err(StorageError::InUse { .. })));
    let key = Write::DeleteKey(KeyId::from("k"));
    apply(store, vec![key, budget()]).await.unwrap();
    let left = store.tenants.any(TenantKind::Budget).await.unwrap();
    assert!(!left);
}

pub(super) async fn who_is_named_must_be_there(store: &Store) {
    let missing = |done: Result<(), StorageError>, what: &str| match done {
        Err(StorageError::Missing { what: named, .. }) => assert_eq!(named, what),
        other => panic!("{what}: {other:?}"),
    };
    let plain = key("k", None);
    for (row, what) in [
        (
            KeyRow {
                team: Some("t".into()),
                ..plain.clone()
            },
            "team",
        ),
        (
            KeyRow {
                organisation: Some("o".into()),
                ..plain.clone()
            },
            "organization",
        ),
        (
            KeyRow {
                budget_id: Some("b".to_owned()),
                ..plain.clone()
            },
            "budget",
        ),
    ] {
        missing(apply(store, vec![insert(row)]).await, what);
    }
    let team = TenantRow {
        organisation: Some("o".into()),
        ..tenant(TenantKind::Team, "t")
    };
    let insert_team = || Write::InsertTenant(Box::new(team.clone()));
    missing(apply(store, vec![insert_team()]).await, "organization");
    let organisation = tenant(TenantKind::Organisation, "o");
    let in_order = vec![Write::InsertTenant(Box::new(organisation)), insert_team()];
    apply(store, in_order).await.unwrap();
    let gone = Write::DeleteTenant(TenantKind::Organisation, "o".to_owned());
    apply(store, vec![gone]).await.unwrap();
    // What was named before is no new claim.
    let blocked = TenantRow {
        blocked: true,
        ..team.clone()
    };
    let put = Write::PutTenant(Box::new(blocked));
    apply(store, vec![put]).await.unwrap();
}

pub(super) async fn every_change_is_in_the_log_in_order(store: &Store) {
    let names: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
    // At once: they take turns.
    let changes = names
        .iter()
        .map(|name| apply(store, vec![insert(key(name, None))]));
    for done in join_all(changes).await {
        done.unwrap();
    }
    let put = || vec![Write::PutTenant(Box::new(tenant(TenantKind::Tag, "x")))];
    apply(store, put()).await.unwrap();
    apply(store, put()).await.unwrap();
    let mut chain = Chain::default();
    let lines = store.change_log.behind(0, 100).await.unwrap();
    assert_eq!(lines.len(), 9, "what changes nothing has no line");
    for line in &lines {
        assert_eq!(chain.push(line), None);
    }
    let head = store.change_log.head().await.unwrap();
    assert_eq!(chain.check_head(&head), None);
    let filter = ChangeFilter {
        table_name: Some("LiteLLM_TagTable".to_owned()),
        ..ChangeFilter::default()
    };
    let count = store.change_log.count(filter.clone()).await;
    assert_eq!(count.unwrap(), 1);
    let page = store.change_log.page(filter, 0, 10).await.unwrap();
    assert_eq!(page[0], lines[8]);
    let page = store.change_log.page(ChangeFilter::default(), 2, 3).await;
    let numbers: Vec<u64> = page.unwrap().iter().map(|line| line.seq).collect();
    assert_eq!(numbers, [7, 6, 5]);
}

pub(super) async fn what_others_changed_meanwhile_is_not_undone(store: &Store) {
    insert_key(store, key("k", None)).await.unwrap();
    let of_team = || tenant(TenantKind::Tag, "x");
    insert_tenant(store, of_team()).await.unwrap();
    let read = store.keys.by_id(KeyId::from("k")).await.unwrap().unwrap();
    let tag = store.tenants.by_id(TenantKind::Tag, "x".to_owned());
    let tag = tag.await.unwrap().unwrap();

    let later = UnixMs(read.updated_at.0 + 5);
    let blocked = KeyRow {
        blocked: true,
        updated_at: later,
        ..read.clone()
    };
    let blocked_tag = TenantRow {
        blocked: true,
        updated_at: later,
        ..tag.clone()
    };
    let writes = vec![
        Write::UpdateKey(Box::new(blocked.clone())),
        Write::PutTenant(Box::new(blocked_tag)),
    ];
    apply(store, writes).await.unwrap();

    let renamed = KeyRow {
        alias: Some("mine".to_owned()),
        updated_at: UnixMs(later.0 + 1),
        ..read
    };
    let rotated = Write::RotateKey {
        row: Box::new(renamed.clone()),
        secret: KeyId::from("secret-2"),
        until: None,
    };
    for write in [
        Write::UpdateKey(Box::new(renamed)),
        rotated,
        Write::PutTenant(Box::new(tag)),
    ] {
        let refused = apply(store, vec![write]).await;
        assert!(
            matches!(refused, Err(StorageError::Changed { .. })),
            "{refused:?}"
        );
    }
    let kept = store.keys.by_id(KeyId::from("k")).await.unwrap();
    assert_eq!(kept, Some(blocked));
}

pub(super) async fn what_others_deleted_meanwhile_is_not_made_again(store: &Store) {
    let made = || tenant(TenantKind::Tag, "x");
    insert_tenant(store, made()).await.unwrap();
    let stored = async || {
        let found = store.tenants.by_id(TenantKind::Tag, "x".to_owned());
        found.await.unwrap()
    };
    let read = stored().await.unwrap();
    let gone = Write::DeleteTenant(TenantKind::Tag, "x".to_owned());
    apply(store, vec![gone]).await.unwrap();
    let put = Write::PutTenant(Box::new(read));
    let refused = apply(store, vec![put]).await;
    assert!(
        matches!(refused, Err(StorageError::Changed { what: "tag", .. })),
        "{refused:?}"
    );
    assert_eq!(stored().await, None);
    // Who makes one knows of none that was read.
    let put = Write::PutTenant(Box::new(made()));
    apply(store, vec![put]).await.unwrap();
    assert_eq!(stored().await, Some(made()));
}
