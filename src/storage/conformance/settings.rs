//! Stored settings, their lines in the log, and what is told of them.

use serde_json::json;
use trunkline_actors::clock::UnixMs;

use super::{NOON, Told};
use crate::storage::{
    AsRead, Change, ChangeFilter, ChangedBy, SettingRow, StorageError, Store, Write,
};

fn setting(name: &str) -> SettingRow {
    SettingRow {
        name: name.to_owned(),
        value: json!({"z": ["b", "a"], "a": [], "figure": 0.000_002_5, "none": null}),
        updated_at: UnixMs(NOON),
        updated_by: Some("alice".to_owned()),
        as_read: AsRead::default(),
    }
}

async fn put(store: &Store, row: &SettingRow) -> Result<(), StorageError> {
    let write = Write::PutSetting(Box::new(row.clone()));
    let by = ChangedBy::program("test");
    store.changes.apply(by, vec![write]).await
}

pub(super) async fn a_setting_comes_back_as_it_was_stored_and_is_told_of(store: &Store) {
    let mut told = Told::by(store);
    told.of(Change::Unknown).await;
    assert!(store.settings.all().await.unwrap().is_empty());
    let (first, second) = (setting("a.b"), setting("a.c"));
    put(store, &second).await.unwrap();
    told.of(Change::Settings).await;
    put(store, &first).await.unwrap();
    let stored = store.settings.all().await.unwrap();
    assert_eq!(stored, [first, second]);

    let changed = SettingRow {
        value: json!([]),
        updated_at: UnixMs(NOON + 5),
        updated_by: None,
        ..stored[0].clone()
    };
    put(store, &changed).await.unwrap();
    assert_eq!(store.settings.all().await.unwrap()[0], changed);
    let filter = ChangeFilter {
        table_name: Some("LiteLLM_Config".to_owned()),
        object_id: Some("a.b".to_owned()),
        ..ChangeFilter::default()
    };
    let lines = store.change_log.page(filter, 0, 10).await.unwrap();
    let actions: Vec<&str> = lines.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(actions, ["updated", "created"]);
    assert_eq!(
        lines[0].updated_values.as_deref(),
        Some(r#"{"param_name":"a.b","param_value":[]}"#)
    );
}

pub(super) async fn who_did_not_know_of_a_setting_does_not_undo_it(store: &Store) {
    let row = setting("a.b");
    put(store, &row).await.unwrap();
    let read = store.settings.all().await.unwrap().remove(0);
    let later = SettingRow {
        value: json!(1),
        updated_at: UnixMs(NOON + 5),
        ..read.clone()
    };
    put(store, &later).await.unwrap();
    // One was read before the change, the other was made by who had found none.
    for stale in [read, row] {
        let refused = put(store, &stale).await;
        assert!(
            matches!(
                refused,
                Err(StorageError::Changed {
                    what: "setting",
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(store.settings.all().await.unwrap(), [later]);
}
