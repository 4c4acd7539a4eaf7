//! The price of a deployment with what the books keep of it, made once and not for each request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::warn;
use trunkline_actors::ports::SpendRecord;

use crate::cost::{Price, Sheet};

/// A record with its price sheet is at most so long, as JSON, which is longer than its frame: those end at 4 KiB, and what lies
/// beyond is cut out of it.
const MOST_BYTES: usize = 4000;
/// Longer sheets leave no room for the record.
const MOST_SHEET_BYTES: usize = 2800;
/// Models of one wildcard deployment whose price is remembered.
const MOST_REMEMBERED: usize = 256;

/// See the module.
#[derive(Debug)]
pub struct Priced {
    pub(super) price: Arc<Price>,
    pub(super) sheet: Sheet,
    /// The version of the price list, and as JSON.
    list_version: String,
    pub(super) version: String,
    /// A record of this process brought the sheet to the books.
    kept: AtomicBool,
}

/// Prices of what a wildcard stood for, by the provider's model name.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<String, Arc<Priced>>>);

// === impl Priced ===

impl Priced {
    pub(super) fn new(price: Arc<Price>, version: &str) -> Self {
        let sheet = Sheet::new(&price, version);
        if sheet.text.len() > MOST_SHEET_BYTES {
            warn!(
                price_id = &*sheet.id, bytes = sheet.text.len();
                "a price has so many figures that the books cannot keep them: what is made with it cannot be explained later"
            );
        }
        Self {
            list_version: version.to_owned(),
            version: serde_json::Value::from(version).to_string(),
            sheet,
            price,
            kept: AtomicBool::new(false),
        }
    }

    /// The price itself.
    pub fn price(&self) -> &Arc<Price> {
        &self.price
    }

    /// The version of the price list.
    pub(super) fn list_version(&self) -> &str {
        &self.list_version
    }

    /// Names the price on a record, and brings the sheet to the books with one of the first that have room for it.
    /// [`kept`](Self::kept) must be called when the record is on the journal.
    pub(super) fn note_on(&self, record: &mut SpendRecord) {
        record.price_id = Some(Arc::clone(&self.sheet.id));
        if self.kept.load(Ordering::Relaxed) || self.sheet.text.len() > MOST_SHEET_BYTES {
            return;
        }
        record.price_sheet = Some(Arc::clone(&self.sheet.text));
        let length = serde_json::to_vec(record).map(|json| json.len());
        if length.is_ok_and(|length| length > MOST_BYTES) {
            // This one has long names: the next will do.
            record.price_sheet = None;
        }
    }

    /// That record is on the journal, and so will be on the books.
    pub(super) fn kept(&self, record: &SpendRecord) {
        if record.price_sheet.is_some() {
            self.kept.store(true, Ordering::Relaxed);
        }
    }
}

// === impl Remembered ===

impl Remembered {
    /// The price of that model, worked out the first time.
    pub(super) fn get(
        &self,
        model: &str,
        look_up: impl FnOnce() -> Option<Priced>,
    ) -> Option<Arc<Priced>> {
        if let Some(known) = self.lock().get(model) {
            return Some(Arc::clone(known));
        }
        // Not under the lock. What has no price is looked up each time: clients may name anything.
        let priced = Arc::new(look_up()?);
        let mut known = self.lock();
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(model.to_owned(), Arc::clone(&priced));
        Some(priced)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Priced>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use trunkline_actors::ids::{ModelGroup, RequestId};
    use trunkline_actors::ports::StartedRecord;

    use super::*;
    use crate::cost::PriceBook;

    fn record(tags: Vec<String>) -> SpendRecord {
        SpendRecord::of(StartedRecord {
            tags,
            estimated_prompt_tokens: 1,
            ..StartedRecord::new(
                RequestId::generate(1, 1),
                ModelGroup::new("m"),
                "acompletion",
            )
        })
    }

    #[test]
    fn a_sheet_goes_with_the_first_record_that_has_room_and_with_no_other() {
        let book = PriceBook::built_in();
        let price = Arc::clone(&book.lookup("openai", "gpt-4o").unwrap().price);
        let priced = Priced::new(price, book.version());

        let mut long = record(vec!["x".repeat(250); 15]);
        priced.note_on(&mut long);
        assert_eq!(long.price_id, Some(Arc::clone(&priced.sheet.id)));
        assert_eq!(long.price_sheet, None, "no room");
        priced.kept(&long);

        let mut lost = record(Vec::new());
        priced.note_on(&mut lost);
        assert!(lost.price_sheet.is_some(), "not on the journal yet");

        let mut first = record(Vec::new());
        priced.note_on(&mut first);
        assert_eq!(first.price_sheet, Some(Arc::clone(&priced.sheet.text)));
        priced.kept(&first);

        let mut next = record(Vec::new());
        priced.note_on(&mut next);
        assert_eq!(next.price_sheet, None);
        assert_eq!(next.price_id, first.price_id);
    }

    #[test]
    fn the_price_of_a_model_behind_a_wildcard_is_worked_out_once() {
        let book = PriceBook::built_in();
        let known = Remembered::default();
        let mut looked = 0;
        for _ in 0..3 {
            let found = known.get("gpt-4o", || {
                looked += 1;
                let price = Arc::clone(&book.lookup("openai", "gpt-4o")?.price);
                Some(Priced::new(price, "1"))
            });
            assert!(found.is_some());
        }
        assert_eq!(looked, 1);
        assert!(known.get("nobody-knows", || None).is_none());
        for model in 0..1000 {
            let free = || Some(Priced::new(Arc::new(Price::free()), "1"));
            known.get(&model.to_string(), free);
        }
        assert!(known.lock().len() <= MOST_REMEMBERED);
    }
}
