//! Price sheets, read from the books once each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cost::{Sheet, SheetContents};
use crate::storage::{LedgerAudit, StorageError};

/// More prices than a gateway ever has; beyond that they are read again.
const MOST: usize = 10_000;

/// Sheets that were asked for.
#[derive(Debug, Default)]
pub struct Sheets {
    known: HashMap<Arc<str>, Found>,
}

/// What the books have under an id.
#[derive(Debug, Clone)]
pub enum Found {
    /// A price.
    Sheet(Arc<SheetContents>),
    /// Nothing.
    Missing,
    /// A text that says something else than when it got its id, or that this version cannot read.
    Broken(String),
}

impl Sheets {
    /// The sheet with that id.
    ///
    /// # Errors
    /// The database's.
    pub async fn get(
        &mut self,
        books: &dyn LedgerAudit,
        id: &Arc<str>,
    ) -> Result<Found, StorageError> {
        if let Some(found) = self.known.get(id) {
            return Ok(found.clone());
        }
        let found = match books.price(id.to_string()).await? {
            None => Found::Missing,
            Some(text) => read(id, &text),
        };
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(Arc::clone(id), found.clone());
        Ok(found)
    }
}

fn read(id: &str, text: &str) -> Found {
    let contents = match Sheet::read(text) {
        Ok(contents) => contents,
        Err(err) => return Found::Broken(err.to_string()),
    };
    let again = Sheet::new(&contents.price, &contents.version);
    if *again.id == *id {
        Found::Sheet(Arc::new(contents))
    } else {
        Found::Broken("its text is not the one that its id was made of".to_owned())
    }
}
