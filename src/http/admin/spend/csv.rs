//! Answers for spreadsheets: `?format=csv` or `Accept: text/csv`. Source: RFC 4180, read 2026-11-23.
//!
//! Names come from clients. A cell that begins as a formula does (`=`, `+`, `-`, `@`, tab, carriage return) would be run by
//! the program that opens the file, so an apostrophe is put before it; numbers are ours and stay as they are.

use actix_web::HttpResponse;
use actix_web::http::header::{ACCEPT, CONTENT_DISPOSITION};
use serde::Serialize;

use crate::http::admin::PlainUsd;
use crate::http::admin::query::wrong;
use crate::http::error::ApiError;
use crate::http::extract::Call;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Text that others chose.
    Text(String),
    /// A number of ours.
    Number(String),
    /// Nothing.
    Empty,
}

/// The answer as it was asked for. `file` is the name of the file, `lines` have a cell for each of `columns`.
pub(super) fn answer(
    call: &Call,
    file: &str,
    json: &impl Serialize,
    columns: &[&str],
    lines: impl IntoIterator<Item = Vec<Cell>>,
) -> Result<HttpResponse, ApiError> {
    if !is_wanted(call)? {
        return Ok(HttpResponse::Ok().json(json));
    }
    let mut text = String::new();
    push(&mut text, columns.iter().map(|&name| Cell::from(name)));
    for line in lines {
        push(&mut text, line);
    }
    let disposition = format!("attachment; filename=\"{file}.csv\"");
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, disposition))
        .body(text))
}

fn is_wanted(call: &Call) -> Result<bool, ApiError> {
    match call.query("format").as_deref() {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(wrong("format", "'format' must be json or csv.")),
        None => Ok(call
            .header(ACCEPT.as_str())
            .is_some_and(|accept| accept.starts_with("text/csv"))),
    }
}

fn push(text: &mut String, cells: impl IntoIterator<Item = Cell>) {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match cell {
            Cell::Empty => {}
            Cell::Number(number) => text.push_str(&number),
            Cell::Text(value) => push_text(text, &value),
        }
    }
    text.push_str("\r\n");
}

fn push_text(text: &mut String, value: &str) {
    let is_formula = value.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let is_quoted = value.contains([',', '"', '\r', '\n', ';']);
    if is_quoted {
        text.push('"');
    }
    if is_formula {
        text.push('\'');
    }
    if is_quoted {
        text.push_str(&value.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(value);
    }
}

// === impl Cell ===

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<PlainUsd> for Cell {
    fn from(amount: PlainUsd) -> Self {
        Self::Number(amount.0.to_string())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (cell, want) in [
            (Cell::from("plain"), "plain"),
            (Cell::from("a,b"), "\"a,b\""),
            (Cell::from("say \"hi\""), "\"say \"\"hi\"\"\""),
            (Cell::from("two\nlines"), "\"two\nlines\""),
            (Cell::from("=1+1"), "'=1+1"),
            (
                Cell::from("=HYPERLINK(\"x\",1)"),
                "\"'=HYPERLINK(\"\"x\"\",1)\"",
            ),
            (Cell::from("@cmd"), "'@cmd"),
            (Cell::from("+49"), "'+49"),
            (Cell::from("-x"), "'-x"),
            (Cell::from("\t=1"), "'\t=1"),
            (Cell::Number("-0.5".to_owned()), "-0.5"),
            (Cell::Empty, ""),
        ] {
            let mut text = String::new();
            push(&mut text, [cell.clone(), Cell::from(7)]);
            assert_eq!(text, format!("{want},7\r\n"), "{cell:?}");
        }
    }
}
