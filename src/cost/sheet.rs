//! A price as text: what the books keep, so that any cost on them can be worked out again.
//!
//! ```text
//! trunkline-price 1
//! list "2026-11-22"
//! input 0.000003
//! input>200k 0.000006
//! output/batch 0.0000075
//! discount 0.05
//! ```
//!
//! One line each: the layout, the version of the price list, every figure in USD for one of its part, and the operator's
//! terms (`discount`, `margin`, `fixed`) where there are any. Figures have the names of the price book; the digits are kept
//! as they are, so that a cost comes out the same to the last one.

use std::fmt::Write as _;
use std::sync::Arc;

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::book_file::name;
use super::price::{Figure, Price};
use super::terms::Terms;

const LAYOUT: &str = "trunkline-price 1";
/// Bytes of the digest that an id shows, as two hexadecimal digits each.
const ID_BYTES: usize = 8;

/// A price as it is kept, under a name made of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// The beginning of the text's SHA-256, in hexadecimal digits.
    pub id: Arc<str>,
    /// See the module.
    pub text: Arc<str>,
}

/// What a sheet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetContents {
    /// Version of the price list.
    pub version: String,
    /// Figures and terms.
    pub price: Price,
}

/// A line of a sheet that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line} of a price sheet cannot be read: {text:?}")]
pub struct SheetError {
    /// From 1.
    pub line: usize,
    /// What is there.
    pub text: String,
}

// === impl Sheet ===

impl Sheet {
    /// Writes down `price`, which is of that version of the list.
    pub fn new(price: &Price, version: &str) -> Self {
        let mut text = String::with_capacity(64 + 24 * price.figures().len());
        text.push_str(LAYOUT);
        // Quoted as JSON does: an operator's own list may be called anything.
        let version = serde_json::Value::from(version);
        // Writing to a string cannot fail.
        write!(text, "\nlist {version}").ok();
        for figure in price.figures() {
            let (part, when) = (figure.part.name(), figure.when);
            write!(text, "\n{part}{when} {}", figure.usd).ok();
        }
        if let Some(terms) = price.terms() {
            for (name, value) in [
                ("discount", terms.discount),
                ("margin", terms.margin),
                ("fixed", terms.fixed),
            ] {
                write!(text, "\n{name} {value}").ok();
            }
        }
        Self {
            id: digest(&text),
            text: text.into(),
        }
    }

    /// Reads a sheet's text.
    ///
    /// # Errors
    /// For a line that is none of those in the module's description, as a newer version may write.
    pub fn read(text: &str) -> Result<SheetContents, SheetError> {
        let mut lines = text.lines().enumerate();
        let mut figures = Vec::new();
        let mut version = None;
        let mut terms = None;
        if lines.next().map(|(_, line)| line) != Some(LAYOUT) {
            return Err(SheetError::at(0, text));
        }
        for (at, line) in lines {
            let wrong = || SheetError::at(at, line);
            let (key, value) = line.split_once(' ').ok_or_else(wrong)?;
            if key == "list" {
                let text: String = serde_json::from_str(value).map_err(|_no_text| wrong())?;
                version = Some(text);
                continue;
            }
            let value: Decimal = value.parse().map_err(|_no_number| wrong())?;
            let own: &mut Terms = match key {
                "discount" | "margin" | "fixed" => terms.get_or_insert_default(),
                figure => {
                    let (part, when) = name(figure).ok_or_else(wrong)?;
                    figures.push(Figure {
                        part,
                        when,
                        usd: value,
                    });
                    continue;
                }
            };
            match key {
                "discount" => own.discount = value,
                "margin" => own.margin = value,
                _ => own.fixed = value,
            }
        }
        let price = Price::new(figures);
        Ok(SheetContents {
            version: version.ok_or_else(|| SheetError::at(1, ""))?,
            price: match terms {
                Some(terms) => price.under(&terms),
                None => price,
            },
        })
    }
}

// === impl SheetError ===

impl SheetError {
    fn at(index: usize, text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        Self {
            line: index + 1,
            text: line.chars().take(80).collect(),
        }
    }
}

fn digest(text: &str) -> Arc<str> {
    let digest = Sha256::digest(text.as_bytes());
    let start = digest.get(..ID_BYTES).unwrap_or_default();
    hex::encode(start).into()
}
