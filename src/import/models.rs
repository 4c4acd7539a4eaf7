//! Deployments and credentials that were made through LiteLLM's API, as a piece of a config file: for gateways that are to serve
//! what a file says.
//!
//! Whatever may be secret becomes a variable, `os.environ/NAME`, so that the piece can be shown around; the values go into a
//! file of their own, if one is wanted at all. Both are texts here, and written by the command.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Refused;
use super::entries::{info_of, opened};
use super::report::KindReport;
use super::row::SourceRow;
use crate::config::{Secret, VARIABLE, looks_secret, names_secret};

/// Longest name of a variable that is made from a model's name.
const LONGEST_NAME: usize = 100;

/// What the command writes.
#[derive(Debug, Default)]
pub struct ModelFiles {
    /// YAML with `model_list` and `credential_list`; `None` where there is nothing to write.
    pub config: Option<String>,
    /// Which variables it wants, and what they hold.
    pub variables: BTreeMap<String, Secret>,
}

/// Collects them.
#[derive(Debug)]
pub(super) struct Models<'a> {
    salt: Option<&'a Secret>,
    models: Vec<Value>,
    credentials: Vec<Value>,
    variables: BTreeMap<String, Secret>,
    /// Which variable holds a value, by the value: one that many models share is one variable.
    names: HashMap<String, String>,
}

#[derive(Serialize)]
struct Piece<'a> {
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    credential_list: &'a [Value],
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    model_list: &'a [Value],
}

// === impl Models ===

impl<'a> Models<'a> {
    pub(super) fn new(salt: Option<&'a Secret>) -> Self {
        Self {
            salt,
            models: Vec::new(),
            credentials: Vec::new(),
            variables: BTreeMap::new(),
            names: HashMap::new(),
        }
    }

    pub(super) fn models(&mut self, rows: &[String], report: &mut KindReport) {
        let read = each(rows, report, "model_name", |text| self.model(text));
        self.models.extend(read);
    }

    pub(super) fn credentials(&mut self, rows: &[String], report: &mut KindReport) {
        let read = each(rows, report, "credential_name", |text| {
            self.credential(text)
        });
        self.credentials.extend(read);
    }

    fn model(&mut self, text: &str) -> Result<Value, Refused> {
        let row = SourceRow::parse(text)?;
        let name = row.id("model_name")?;
        if row.get("blocked")?.unwrap_or_default() {
            return Err(Refused::LeftOut("is blocked"));
        }
        let params = opened(&row, "litellm_params", self.salt)?;
        let params = self.without_secrets(&name, params);
        let mut info = info_of(&row)?;
        if let Some(id) = row.text("model_id")? {
            info.insert("id".to_owned(), id.into());
        }
        Ok(json!({"model_name": name, "litellm_params": params, "model_info": info}))
    }

    fn credential(&mut self, text: &str) -> Result<Value, Refused> {
        let row = SourceRow::parse(text)?;
        let name = row.id("credential_name")?;
        let values = opened(&row, "credential_values", self.salt)?;
        let values = self.without_secrets(&name, values);
        Ok(json!({"credential_name": name, "credential_values": values}))
    }

    fn without_secrets(
        &mut self,
        owner: &str,
        mut members: Map<String, Value>,
    ) -> Map<String, Value> {
        for (name, value) in &mut members {
            let is_secret = names_secret(name);
            self.hide(&format!("{owner}_{name}"), is_secret, value);
        }
        members
    }

    fn hide(&mut self, name: &str, is_secret: bool, value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with(VARIABLE) => {}
            Value::String(text) => {
                if is_secret || text.split_whitespace().any(looks_secret) {
                    let variable = self.variable(name, text);
                    *text = format!("{VARIABLE}{variable}");
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter_mut().enumerate() {
                    self.hide(&format!("{name}_{place}"), is_secret, item);
                }
            }
            Value::Object(members) => {
                for (member, item) in members {
                    let is_secret = is_secret || names_secret(member);
                    self.hide(&format!("{name}_{member}"), is_secret, item);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The variable that holds a value.
    fn variable(&mut self, name: &str, value: &str) -> String {
        if let Some(known) = self.names.get(value) {
            return known.clone();
        }
        let letters = name.chars().take(LONGEST_NAME).map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_uppercase()
            } else {
                '_'
            }
        });
        let mut plain: String = letters.collect();
        if plain.starts_with(|first: char| first.is_ascii_digit()) {
            plain.insert(0, '_');
        }
        let mut free = plain.clone();
        let mut count = 1;
        while self.variables.contains_key(&free) {
            count += 1;
            free = format!("{plain}_{count}");
        }
        self.variables.insert(free.clone(), Secret::new(value));
        self.names.insert(value.to_owned(), free.clone());
        free
    }

    /// The texts to be written.
    pub(super) fn files(self) -> ModelFiles {
        if self.models.is_empty() && self.credentials.is_empty() {
            return ModelFiles::default();
        }
        let piece = Piece {
            credential_list: &self.credentials,
            model_list: &self.models,
        };
        ModelFiles {
            // Fails only for what JSON cannot hold either.
            config: serde_yaml::to_string(&piece).ok(),
            variables: self.variables,
        }
    }
}

/// Reads rows one by one. `name` is the column that they are called by.
fn each(
    rows: &[String],
    report: &mut KindReport,
    name: &'static str,
    mut read: impl FnMut(&str) -> Result<Value, Refused>,
) -> Vec<Value> {
    let mut found = Vec::with_capacity(rows.len());
    for text in rows {
        report.found += 1;
        match read(text) {
            Ok(value) => {
                report.new += 1;
                found.push(value);
            }
            Err(refused) => report.refused(&refused, &label(text, name)),
        }
    }
    found
}

fn label(text: &str, name: &'static str) -> String {
    let row = SourceRow::parse(text).ok();
    let name = row.and_then(|row| row.text(name).ok().flatten());
    name.unwrap_or_else(|| "?".to_owned())
}

// === impl ModelFiles ===

impl ModelFiles {
    /// The variables as a file that a shell or systemd reads: `NAME='value'`.
    pub fn environment(&self) -> String {
        let lines = self.variables.iter().map(|(name, value)| {
            let value = value.expose().replace('\'', "'\\''");
            format!("{name}='{value}'\n")
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::LitellmTable;

    #[test]
    fn secrets_become_variables_and_equal_ones_one_variable() {
        let mut models = Models::new(None);
        let mut reports = super::super::Report::new(true);
        let rows = [
            json!({"model_id": "1", "model_name": "gpt-4o", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k'1",
                "rpm": 5, "timeout": null, "extra_headers": {"Authorization": "Bearer k2"}}, "model_info": {"mode": "chat"}}),
            json!({"model_id": "2", "model_name": "mini", "litellm_params": {"model": "openai/mini", "api_key": "k'1"}}),
            json!({"model_id": "3", "model_name": "gpt-4o", "litellm_params": {"model": "azure/gpt-4o", "api_key": "os.environ/AZ"}}),
        ]
        .map(|row| row.to_string());
        models.models(&rows, reports.of(LitellmTable::Models));
        let files = models.files();
        let config: Value = serde_yaml::from_str(files.config.as_deref().unwrap()).unwrap();
        let params = |n: usize| &config["model_list"][n]["litellm_params"];
        assert_eq!(params(0)["api_key"], "os.environ/GPT_4O_API_KEY");
        assert_eq!(params(1)["api_key"], "os.environ/GPT_4O_API_KEY");
        assert_eq!(params(2)["api_key"], "os.environ/AZ");
        assert_eq!(params(0)["model"], "openai/gpt-4o");
        assert_eq!(params(0)["rpm"], 5);
        assert!(params(0).get("timeout").is_none());
        assert_eq!(
            params(0)["extra_headers"]["Authorization"],
            "os.environ/GPT_4O_EXTRA_HEADERS_AUTHORIZATION"
        );
        assert_eq!(
            config["model_list"][0]["model_info"],
            json!({"mode": "chat", "id": "1"})
        );
        assert_eq!(
            files.environment(),
            "GPT_4O_API_KEY='k'\\''1'\nGPT_4O_EXTRA_HEADERS_AUTHORIZATION='Bearer k2'\n"
        );
    }
}
