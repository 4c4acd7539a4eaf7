//! What was taken, what was not, and why: counts, sums, and a few names for each reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use trunkline_actors::money::Usd;

use super::{Refused, Remark};
use crate::storage::{LitellmTable, Outcome, Taken};

/// Names that stand for all rows with the same reason.
const EXAMPLES: usize = 5;
/// Reasons of a kind; further ones are counted together.
const REASONS: usize = 50;
/// Longest name that is shown, in characters.
const LABEL: usize = 80;

/// The whole of it.
#[derive(Debug)]
pub struct Report {
    /// By what was read, in that order.
    pub kinds: BTreeMap<LitellmTable, KindReport>,
    /// Deployments and credentials are not stored.
    entries_in_a_file: bool,
}

/// One kind of row.
#[derive(Debug)]
pub struct KindReport {
    /// Which.
    pub table: LitellmTable,
    /// The table is not there.
    pub absent: bool,
    /// Not for the database: for a piece of a config file.
    pub is_for_a_file: bool,
    /// Columns that this version of LiteLLM does not have.
    pub missing: Vec<String>,
    /// Rows that were read.
    pub found: u64,
    /// Rows that came; models that can be read.
    pub new: u64,
    /// Rows that came before and are other ones by now.
    pub updated: u64,
    /// Rows that are here as they are there.
    pub unchanged: u64,
    /// Rows that were left as they are here, and why.
    pub kept: BTreeMap<&'static str, Tally>,
    /// Rows that cannot be had here, and why.
    pub not_taken: BTreeMap<String, Tally>,
    /// Rows that are LiteLLM's own.
    pub left_out: BTreeMap<String, Tally>,
    /// What is to be known of rows that were taken.
    pub remarks: BTreeMap<String, Tally>,
    /// What had been spent there in windows that run: by how much the books here changed.
    pub spent: Usd,
}

/// How many rows, and a few of them.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many.
    pub rows: u64,
    /// Names of the first ones.
    pub examples: Vec<String>,
}

// === impl Report ===

impl Report {
    pub(super) fn new(entries_in_a_file: bool) -> Self {
        Self {
            kinds: BTreeMap::new(),
            entries_in_a_file,
        }
    }

    pub(super) fn begin(&mut self, table: LitellmTable, absent: bool, missing: Vec<String>) {
        let kind = self.of(table);
        kind.absent = absent;
        kind.missing = if absent { Vec::new() } else { missing };
    }

    /// The report of that table.
    pub(super) fn of(&mut self, table: LitellmTable) -> &mut KindReport {
        let is_entry = matches!(table, LitellmTable::Models | LitellmTable::Credentials);
        let is_for_a_file = self.entries_in_a_file && is_entry;
        self.kinds
            .entry(table)
            .or_insert_with(|| KindReport::of(table, is_for_a_file))
    }

    /// Whether every row that is not LiteLLM's own was taken, now or before.
    pub fn is_whole(&self) -> bool {
        self.kinds.values().all(|kind| kind.not_taken.is_empty())
    }

    /// Whether anything was changed here.
    pub fn changed(&self) -> bool {
        let mut rows = self.kinds.values().filter(|kind| !kind.is_for_a_file);
        rows.any(|kind| kind.new + kind.updated > 0 || !kind.spent.is_zero())
    }

    /// `{"kinds": [{"name", "table", "absent", "missing_columns", "found", "new", "updated", "unchanged", "kept", "not_taken",
    /// "left_out", "spent", "remarks": [{"what", "rows", "examples"}]}]}`; amounts are decimal texts in USD.
    pub fn to_json(&self) -> Value {
        let kinds: Vec<Value> = self.kinds.values().map(KindReport::to_json).collect();
        json!({"changed": self.changed(), "kinds": kinds})
    }
}

// === impl KindReport ===

impl KindReport {
    fn of(table: LitellmTable, is_for_a_file: bool) -> Self {
        Self {
            table,
            absent: false,
            is_for_a_file,
            missing: Vec::new(),
            found: 0,
            new: 0,
            updated: 0,
            unchanged: 0,
            kept: BTreeMap::new(),
            not_taken: BTreeMap::new(),
            left_out: BTreeMap::new(),
            remarks: BTreeMap::new(),
            spent: Usd::ZERO,
        }
    }

    pub(super) fn refused(&mut self, refused: &Refused, label: &str) {
        match refused {
            Refused::Because(reason) => count(&mut self.not_taken, reason.clone(), label),
            Refused::LeftOut(reason) => count(&mut self.left_out, (*reason).to_owned(), label),
        }
    }

    pub(super) fn remark(&mut self, remark: String, label: &str) {
        count(&mut self.remarks, remark, label);
    }

    pub(super) fn outcome(&mut self, outcome: &Outcome, remarks: &BTreeSet<Remark>, label: &str) {
        self.spent += outcome.opened;
        let kept = match outcome.taken {
            Taken::New => {
                self.new += 1;
                None
            }
            Taken::Updated => {
                self.updated += 1;
                None
            }
            Taken::Same => {
                self.unchanged += 1;
                None
            }
            Taken::KeptOwn => Some(
                "was here before and did not come from an import: it stays, and what it spent there is not counted",
            ),
            Taken::KeptChanged => Some(
                "was changed here since the last import: it stays, and what it spent there since is not counted",
            ),
            Taken::KeptDeleted => Some("was deleted here since the last import"),
        };
        if let Some(reason) = kept {
            self.kept.entry(reason).or_default().add(label);
            return;
        }
        for remark in remarks {
            self.remark(remark.to_string(), label);
        }
        if outcome.alias_lost {
            let what = "its alias belongs to another key: it has none here";
            self.remark(what.to_owned(), label);
        }
    }

    fn to_json(&self) -> Value {
        let sum = |tallies: &mut dyn Iterator<Item = &Tally>| -> u64 {
            tallies.map(|tally| tally.rows).sum()
        };
        let list = |tallies: &BTreeMap<String, Tally>| -> Vec<Value> {
            let list = tallies.iter();
            list.map(|(what, tally)| tally.to_json(what)).collect()
        };
        let kept: Vec<Value> = self
            .kept
            .iter()
            .map(|(what, tally)| tally.to_json(what))
            .collect();
        json!({
            "name": self.table.name(),
            "table": self.table.table(),
            "absent": self.absent,
            "missing_columns": self.missing,
            "found": self.found,
            "new": self.new,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "kept": sum(&mut self.kept.values()),
            "not_taken": sum(&mut self.not_taken.values()),
            "left_out": sum(&mut self.left_out.values()),
            "spent": self.spent.to_string(),
            "reasons": {
                "kept": kept,
                "not_taken": list(&self.not_taken),
                "left_out": list(&self.left_out),
            },
            "remarks": list(&self.remarks),
        })
    }
}

fn count(tallies: &mut BTreeMap<String, Tally>, what: String, label: &str) {
    let what = if tallies.len() >= REASONS && !tallies.contains_key(&what) {
        "other reasons".to_owned()
    } else {
        what
    };
    tallies.entry(what).or_default().add(label);
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, label: &str) {
        self.rows += 1;
        if self.examples.len() < EXAMPLES {
            let shown = label.chars().filter(|letter| !letter.is_control());
            self.examples.push(shown.take(LABEL).collect());
        }
    }

    fn to_json(&self, what: &str) -> Value {
        json!({"what": what, "rows": self.rows, "examples": self.examples})
    }
}
