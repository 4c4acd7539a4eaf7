//! The change log: who changed which key or tenant, when, from what to what. Contract: LiteLLM's `/audit`.
//!
//! Each line is hashed with that of the line before, so that one that is changed, taken out or put in is noticed by whoever
//! walks along the chain ([`Chain`]). Who can write the whole table can of course write another chain: keep the last hash
//! elsewhere, and compare.
//!
//! What a line says of a key or tenant is in [`change_values`](super::change_values): no secret among it.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, RequestId};
use trunkline_actors::ports::BoxFuture;

use super::change_values::{
    CREDENTIALS, KEYS, MODELS, SETTINGS, entry_table, entry_value, key_value, setting_value,
    table_name, tenant_value, text,
};
use super::{ChangedBy, EntryRow, KeyRow, SettingRow, StorageError, TenantRow};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its number; the first is 1, and there are no gaps.
    pub seq: u64,
    /// Its id, a ULID.
    pub id: String,
    /// When.
    pub updated_at: UnixMs,
    /// Who, as it says.
    pub changed_by: Option<String>,
    /// With which key.
    pub changed_by_key: Option<String>,
    /// `created`, `updated`, `deleted`, `blocked`, `unblocked`, `rotated`.
    pub action: String,
    /// LiteLLM's name of the table.
    pub table_name: String,
    /// Of which key or tenant.
    pub object_id: String,
    /// What it was, as JSON in one spelling.
    pub before_value: Option<String>,
    /// What it is now, likewise.
    pub updated_values: Option<String>,
    /// SHA-256 over the line before's and this one, lower-case hex.
    pub hash: String,
}

/// The last line that there should be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeHead {
    /// Its number; 0 without any.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeFilter {
    /// By this user.
    pub changed_by: Option<String>,
    /// With this key.
    pub changed_by_key: Option<String>,
    /// Of this sort.
    pub action: Option<String>,
    /// Of this table.
    pub table_name: Option<String>,
    /// Of this object.
    pub object_id: Option<String>,
    /// With this id.
    pub id: Option<String>,
    /// At this time or later.
    pub since: Option<UnixMs>,
    /// Before this time.
    pub until: Option<UnixMs>,
}

/// Reads the change log.
pub trait ChangeLog: Send + Sync {
    /// Lines, the newest first, without the first `skip` of them; at most `limit`.
    ///
    /// # Errors
    /// The database's.
    fn page(
        &self,
        filter: ChangeFilter,
        skip: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ChangeRecord>, StorageError>>;

    /// How many lines there are.
    ///
    /// # Errors
    /// The database's.
    fn count(&self, filter: ChangeFilter) -> BoxFuture<'_, Result<u64, StorageError>>;

    /// Lines behind that number, in order; at most `limit`.
    ///
    /// # Errors
    /// The database's.
    fn behind(
        &self,
        seq: u64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ChangeRecord>, StorageError>>;

    /// The last line that there should be. Asked before the lines are walked over: others may add some meanwhile.
    ///
    /// # Errors
    /// The database's.
    fn head(&self) -> BoxFuture<'_, Result<ChangeHead, StorageError>>;
}

/// What changed, before it has its place in the log.
#[derive(Debug)]
pub(super) struct Change {
    action: &'static str,
    table: &'static str,
    object: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// Walks along the log, and tells of what does not fit.
#[derive(Debug, Default)]
pub struct Chain {
    last: ChangeHead,
}

// === impl Change ===

impl Change {
    /// Of a key. `None` where nothing changed.
    pub(super) fn of_key(before: Option<&KeyRow>, after: Option<&KeyRow>) -> Option<Self> {
        let object = before.or(after)?.id.as_str().to_owned();
        let blocked = [before, after].map(|row| row.map(|row| row.blocked));
        let values = [before, after].map(|row| row.map(key_value));
        Self::between(values, blocked, KEYS, object)
    }

    /// Of a key's secret, and perhaps more of it.
    pub(super) fn of_secret(before: &KeyRow, after: &KeyRow) -> Self {
        Self {
            action: "rotated",
            table: KEYS,
            object: before.id.as_str().to_owned(),
            before: Some(key_value(before)),
            after: Some(key_value(after)),
        }
    }

    /// Of a tenant. `None` where nothing changed.
    pub(super) fn of_tenant(before: Option<&TenantRow>, after: Option<&TenantRow>) -> Option<Self> {
        let row = before.or(after)?;
        let blocked = [before, after].map(|row| row.map(|row| row.blocked));
        let values = [before, after].map(|row| row.map(tenant_value));
        Self::between(values, blocked, table_name(row.kind), row.id.clone())
    }

    /// Of a deployment or credential. `None` where nothing changed.
    pub(super) fn of_entry(before: Option<&EntryRow>, after: Option<&EntryRow>) -> Option<Self> {
        let row = before.or(after)?;
        let blocked = [before, after].map(|row| row.map(|row| row.blocked));
        let values = [before, after].map(|row| row.map(entry_value));
        Self::between(values, blocked, entry_table(row.kind), row.id.clone())
    }

    /// Of a setting. `None` where nothing changed.
    pub(super) fn of_setting(before: Option<&SettingRow>, after: &SettingRow) -> Option<Self> {
        let values = [before, Some(after)].map(|row| row.map(setting_value));
        Self::between(values, [None; 2], SETTINGS, after.name.clone())
    }

    /// From one state of a row to the next; `None` where they are the same.
    fn between(
        [before, after]: [Option<Value>; 2],
        blocked: [Option<bool>; 2],
        table: &'static str,
        object: String,
    ) -> Option<Self> {
        Some(Self {
            action: action(before.as_ref(), after.as_ref(), blocked)?,
            table,
            object,
            before,
            after,
        })
    }

    /// The line behind `head`.
    pub(super) fn record(self, head: &ChangeHead, by: &ChangedBy, now: UnixMs) -> ChangeRecord {
        let mut record = ChangeRecord {
            seq: head.seq + 1,
            id: RequestId::generate(now.0, rand::random()).to_string(),
            updated_at: now,
            changed_by: by.user.clone(),
            changed_by_key: by.key.clone(),
            action: self.action.to_owned(),
            table_name: self.table.to_owned(),
            object_id: self.object,
            before_value: self.before.map(text),
            updated_values: self.after.map(text),
            hash: String::new(),
        };
        record.hash = record.hash_behind(&head.hash);
        record
    }
}

// === impl ChangeRecord ===

impl ChangeRecord {
    /// The hash that it has behind a line with that hash.
    fn hash_behind(&self, last: &str) -> String {
        // An array has one spelling.
        let line = json!([
            last,
            self.seq,
            self.id,
            self.updated_at.0,
            self.changed_by,
            self.changed_by_key,
            self.action,
            self.table_name,
            self.object_id,
            self.before_value,
            self.updated_values,
        ]);
        hex::encode(Sha256::digest(line.to_string().as_bytes()))
    }

    /// What the head says after it.
    pub(super) fn head(&self) -> ChangeHead {
        ChangeHead {
            seq: self.seq,
            hash: self.hash.clone(),
        }
    }
}

// === impl Chain ===

impl Chain {
    /// Takes the next line. Says what is wrong, if it does not fit.
    pub fn push(&mut self, record: &ChangeRecord) -> Option<String> {
        let (seq, id) = (record.seq, &record.id);
        let expected = self.last.seq + 1;
        let fits = record.hash == record.hash_behind(&self.last.hash);
        self.last = record.head();
        if seq != expected {
            return Some(format!(
                "line {seq} ({id}) stands where line {expected} should be: lines are missing"
            ));
        }
        (!fits).then(|| {
            format!("line {seq} ({id}) is not what was written, or the line before it is not")
        })
    }

    /// The number of the last line taken.
    pub fn last(&self) -> u64 {
        self.last.seq
    }

    /// Compares with what the head said before the walk: lines that were added meanwhile are no fault.
    pub fn check_head(&self, head: &ChangeHead) -> Option<String> {
        if self.last.seq < head.seq {
            return Some(format!(
                "the log ends at line {}, but {} were written: the last ones are missing",
                self.last.seq, head.seq
            ));
        }
        (self.last.seq == head.seq && self.last.hash != head.hash)
            .then(|| format!("line {} is not the one that was written last", head.seq))
    }
}

/// What a line about `object` tells those who keep it in memory.
pub(super) fn told_of(table: &str, object: KeyId) -> super::Change {
    match table {
        KEYS => super::Change::Key(object),
        MODELS | CREDENTIALS => super::Change::Entries,
        SETTINGS => super::Change::Settings,
        _ => super::Change::Tenants,
    }
}

fn action(
    before: Option<&Value>,
    after: Option<&Value>,
    blocked: [Option<bool>; 2],
) -> Option<&'static str> {
    Some(match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => "created",
        (Some(_), None) => "deleted",
        (Some(before), Some(after)) if before == after => return None,
        (Some(_), Some(_)) => match blocked {
            [Some(false), Some(true)] => "blocked",
            [Some(true), Some(false)] => "unblocked",
            _ => "updated",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::TenantKind;
    use super::*;

    fn tenant(alias: &str) -> TenantRow {
        TenantRow {
            alias: Some(alias.to_owned()),
            ..TenantRow::new(TenantKind::Team, "t", UnixMs(1))
        }
    }

    fn log(aliases: &[&str]) -> Vec<ChangeRecord> {
        let mut head = ChangeHead::default();
        let mut before = None;
        let mut records = Vec::new();
        for alias in aliases {
            let after = tenant(alias);
            let change = Change::of_tenant(before.as_ref(), Some(&after)).unwrap();
            let record = change.record(&head, &ChangedBy::program("test"), UnixMs(5));
            head = record.head();
            records.push(record);
            before = Some(after);
        }
        records
    }

    fn faults(records: &[ChangeRecord], head: &ChangeHead) -> usize {
        let mut chain = Chain::default();
        let wrong = records
            .iter()
            .filter_map(|record| chain.push(record))
            .count();
        wrong + usize::from(chain.check_head(head).is_some())
    }

    #[test]
    fn a_line_that_is_changed_taken_out_put_in_or_cut_off_is_noticed() {
        let log = log(&["a", "b", "c", "d"]);
        let head = log[3].head();
        assert_eq!(faults(&log, &head), 0);
        assert_eq!(faults(&log, &log[2].head()), 0, "one came during the walk");

        let mut changed = log.clone();
        changed[1].updated_values = Some("{}".to_owned());
        assert_eq!(faults(&changed, &head), 1);
        let mut hashed_again = changed.clone();
        hashed_again[1].hash = hashed_again[1].hash_behind(&log[0].hash);
        assert_eq!(faults(&hashed_again, &head), 1, "the next one does not fit");

        let mut without = log.clone();
        without.remove(1);
        assert!(faults(&without, &head) > 0);
        let mut with = log.clone();
        with.insert(2, log[1].clone());
        assert!(faults(&with, &head) > 0);
        assert_eq!(faults(&log[..3], &head), 1, "the last one is cut off");
        let mut by_other = log.clone();
        by_other[3].changed_by = Some("mallory".to_owned());
        assert_eq!(faults(&by_other, &head), 1);
    }

    #[test]
    fn a_line_has_the_hash_that_it_always_had() {
        let now = json!({"b": [{"z": 1, "a": null}], "a": {"d": "é", "c": 2}});
        let record = ChangeRecord {
            seq: 7,
            id: "01J9Z5V0000000000000000000".to_owned(),
            updated_at: UnixMs(5),
            changed_by: Some("alice".to_owned()),
            changed_by_key: None,
            action: "updated".to_owned(),
            table_name: "LiteLLM_TeamTable".to_owned(),
            object_id: "t".to_owned(),
            before_value: None,
            updated_values: Some(text(now)),
            hash: String::new(),
        };
        assert_eq!(
            record.hash_behind("before"),
            "27606e43214783809fda5e4b2ee93bb006e19b6bd76475df54c6dd3c19417183"
        );
    }

    #[test]
    fn nothing_changed_is_no_line() {
        let row = tenant("a");
        assert!(Change::of_tenant(Some(&row), Some(&row)).is_none());
        let blocked = TenantRow {
            blocked: true,
            ..row.clone()
        };
        let change = Change::of_tenant(Some(&row), Some(&blocked)).unwrap();
        assert_eq!(change.action, "blocked");
    }
}
