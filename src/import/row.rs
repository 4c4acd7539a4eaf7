//! A row of LiteLLM's tables: its columns by name, as written, so that money never passes through a float.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::money::Usd;

use super::Refused;
use crate::auth::terms;

/// The columns that are there and hold something.
#[derive(Debug)]
pub(super) struct SourceRow<'a>(BTreeMap<String, &'a RawValue>);

// === impl SourceRow ===

impl<'a> SourceRow<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Refused> {
        let columns: BTreeMap<String, &RawValue> =
            serde_json::from_str(text).map_err(|_broken| Refused::column("the row"))?;
        Ok(Self(columns))
    }

    /// A column as written; `None` where it is absent or NULL.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        let text = self.0.get(name)?.get();
        (text != "null").then_some(text)
    }

    /// A column of some type.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, Refused> {
        let Some(text) = self.raw(name) else {
            return Ok(None);
        };
        if let Ok(value) = serde_json::from_str(text) {
            return Ok(Some(value));
        }
        // Some versions wrote JSON into JSON columns as a text.
        let inner: Option<String> = serde_json::from_str(text).ok();
        match inner.map(|inner| serde_json::from_str(&inner)) {
            Some(Ok(value)) => Ok(Some(value)),
            _ => Err(Refused::column(name)),
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Refused> {
        Ok(self
            .get::<String>(name)?
            .filter(|text| !text.trim().is_empty()))
    }

    /// An id or name that the books can hold.
    pub(super) fn name(&self, name: &'static str) -> Result<Option<String>, Refused> {
        let text = self.text(name)?;
        if let Some(text) = &text {
            terms::name(name, text).map_err(|err| Refused::because(&err))?;
        }
        Ok(text)
    }

    /// An id that must be there.
    pub(super) fn id(&self, name: &'static str) -> Result<String, Refused> {
        self.name(name)?.ok_or_else(|| Refused::column(name))
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<String>, Refused> {
        Ok(self.get(name)?.unwrap_or_default())
    }

    /// An object.
    pub(super) fn object(&self, name: &'static str) -> Result<Map<String, Value>, Refused> {
        Ok(self.get(name)?.unwrap_or_default())
    }

    /// An amount in USD, every digit as the server wrote it.
    pub(super) fn usd(&self, name: &'static str) -> Result<Option<Usd>, Refused> {
        let Some(text) = self.raw(name) else {
            return Ok(None);
        };
        let amount = terms::usd(name, text).map_err(|err| Refused::because(&err))?;
        Ok(Some(amount))
    }

    /// A number that is never negative. Some columns are floats in some versions.
    pub(super) fn count(&self, name: &'static str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.raw(name) else {
            return Ok(None);
        };
        let whole = text.strip_suffix(".0").unwrap_or(text);
        whole
            .parse()
            .map(Some)
            .map_err(|_no_number| Refused::column(name))
    }

    /// A time; without a zone it is UTC.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<UnixMs>, Refused> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => time(&text).map(Some).ok_or_else(|| Refused::column(name)),
        }
    }
}

/// A time as the server writes it in JSON, or as LiteLLM does in its own.
pub(super) fn time(text: &str) -> Option<UnixMs> {
    let at: Timestamp = text.parse().ok().or_else(|| {
        let at: DateTime = text.parse().ok()?;
        Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(at.as_millisecond()).ok().map(UnixMs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_the_server_writes_them() {
        let text = r#"{"spend": 1.2345678901234567e-05, "at": "2026-11-23T07:09:32.125", "zoned": "2026-11-23T08:09:32+01:00",
            "json": "{\"a\": 1}", "none": null, "empty": " ", "many": 12.0, "nan": "NaN", "minus": -1}"#;
        let row = SourceRow::parse(text).unwrap();
        assert_eq!(
            row.usd("spend").unwrap().unwrap().to_string(),
            "0.000012345679"
        );
        assert_eq!(row.time("at").unwrap(), Some(UnixMs(1_795_417_772_125)));
        assert_eq!(row.time("zoned").unwrap(), Some(UnixMs(1_795_417_772_000)));
        assert_eq!(row.object("json").unwrap()["a"], 1);
        assert_eq!(row.text("none").unwrap(), None);
        assert_eq!(row.text("empty").unwrap(), None);
        assert_eq!(row.count("many").unwrap(), Some(12));
        assert!(row.usd("nan").is_err());
        assert!(row.usd("minus").is_err());
        assert!(row.count("minus").is_err());
    }
}
