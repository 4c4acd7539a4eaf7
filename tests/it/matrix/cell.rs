//! One cell of the matrix: how it is set up, what is seen of it, what is expected.

use serde_json::{Value, json};

use super::Providers;
use super::fault::{Dialect, Fate, Fault, SAID};
use crate::support::config::{Deployment, MASTER_KEY};
use crate::support::gateway::{Gateway, chat_request_body};
use crate::support::http::{Answer, Request, text_of};
use crate::support::reply::Gate;

/// Who may answer beside the deployment with the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Nobody,
    /// Another deployment of the group.
    Second,
    /// A fallback group.
    Spare,
}

#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// Names the cell, its model group, and its customer on the books.
    pub(super) name: String,
    pub(super) fault: Fault,
    client: Dialect,
    pub(super) provider: Dialect,
    stream: bool,
    pub(super) others: Others,
    /// Opened when the client has its answer.
    pub(super) late: Gate,
}

/// What is checked of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    status: u16,
    text: String,
    end: End,
    /// Calls that the provider of the fault saw, and the well one.
    pub(super) calls: (usize, usize),
    /// `x-litellm-attempted-retries` and `-fallbacks`.
    attempted: Option<(String, String)>,
    /// `x-litellm-model-id`.
    answered_by: Option<String>,
    retry_after: Option<String>,
    /// Status, attempts and deployment of each row on the books.
    pub(super) rows: Vec<(String, u32, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// JSON that is no error.
    Whole,
    /// JSON with this error's type and code.
    Error(String),
    /// `[DONE]`, `message_stop`.
    Terminal,
    /// An event with this error's type and code.
    ErrorEvent(String),
    /// None of these.
    Nothing,
}

// === impl Cell ===

impl Cell {
    pub(super) fn new(
        (fault_name, fault): (&str, Fault),
        (client, provider): (Dialect, Dialect),
        stream: bool,
        others: Others,
    ) -> Self {
        let how = if stream { "stream" } else { "whole" };
        let name = format!("{client:?}-{provider:?}-{fault_name}-{how}-{others:?}").to_lowercase();
        Self {
            name,
            fault,
            client,
            provider,
            stream,
            others,
            late: Gate::closed(),
        }
    }

    pub(super) fn bad(&self) -> String {
        format!("{}-bad", self.name)
    }

    pub(super) fn well(&self) -> String {
        format!("{}-well", self.name)
    }

    pub(super) fn deployments(&self, providers: &Providers) -> Vec<Deployment> {
        let base = match self.fault {
            Fault::Refuses => "http://127.0.0.1:1/v1".to_owned(),
            Fault::SlowConnect => providers.full.base_url(),
            _ => providers.scripted.base_url(),
        };
        let provider = match self.provider {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
        };
        let at = |group: &str, base: &str, id: &str, weight: u32| {
            Deployment::at(group, base)
                .param(&format!("model: {provider}/{id}"))
                .param(&format!("weight: {weight}"))
                .id(id)
        };
        let mut bad = at(&self.name, &base, &self.bad(), 1_000_000);
        if let Some(secs) = self.fault.timer() {
            bad = bad
                .param(&format!("timeout: {secs}"))
                .param(&format!("stream_timeout: {secs}"));
        }
        let well_base = providers.scripted.base_url();
        match self.others {
            Others::Nobody => vec![bad],
            Others::Second => vec![bad, at(&self.name, &well_base, &self.well(), 1)],
            Others::Spare => vec![bad, at(&self.spare(), &well_base, &self.well(), 1)],
        }
    }

    pub(super) fn spare(&self) -> String {
        format!("{}-spare", self.name)
    }

    fn request(&self) -> Request {
        let mut body = chat_request_body(&self.name);
        body["stream"] = json!(self.stream);
        let path = match self.client {
            Dialect::OpenAi => "/v1/chat/completions",
            Dialect::Anthropic => "/v1/messages",
        };
        Request::post(path, &body)
            .bearer(MASTER_KEY)
            .header("x-litellm-customer-id", &self.name)
    }

    /// Sends the request; the calls and the rows are counted when all is over.
    pub(super) fn seen(&self, gateway: &Gateway) -> Facts {
        let answer = gateway.send(&self.request());
        self.late.open();
        let header = |name| answer.header(name).map(str::to_owned);
        let retries = header("x-litellm-attempted-retries");
        let fallbacks = header("x-litellm-attempted-fallbacks");
        let (text, end) = read(&answer);
        Facts {
            status: answer.status,
            text,
            end,
            calls: (0, 0),
            attempted: retries.zip(fallbacks),
            answered_by: header("x-litellm-model-id"),
            retry_after: header("retry-after"),
            rows: Vec::new(),
        }
    }

    /// With one retry allowed: the deployment with the fault is asked first, and again if there is no other.
    pub(super) fn expected(&self) -> Facts {
        let reached = |calls| if self.fault.is_reached() { calls } else { 0 };
        let answered = |retries: u32, fallbacks: u32, by: String, attempts, row: &str| Facts {
            status: 200,
            text: "well".to_owned(),
            end: if self.stream {
                End::Terminal
            } else {
                End::Whole
            },
            calls: (reached(1), 1),
            attempted: Some((retries.to_string(), fallbacks.to_string())),
            answered_by: Some(by.clone()),
            retry_after: None,
            rows: vec![(row.to_owned(), attempts, by)],
        };
        let fate = self.fault.fate(self.provider, self.client, self.stream);
        match (fate, self.others) {
            (Fate::Answered, _) => Facts {
                text: SAID.concat(),
                calls: (1, 0),
                ..answered(0, 0, self.bad(), 1, "success")
            },
            (Fate::Breaks(status), _) => Facts {
                text: SAID.concat(),
                end: End::ErrorEvent(self.client.error_words(status)),
                calls: (1, 0),
                ..answered(0, 0, self.bad(), 1, "failure")
            },
            (Fate::Fails(_), Others::Second) => answered(1, 0, self.well(), 2, "success"),
            (Fate::Fails(_), Others::Spare) => Facts {
                calls: (reached(2), 1),
                ..answered(0, 1, self.well(), 3, "success")
            },
            (Fate::Fails(status), Others::Nobody) => Facts {
                status,
                text: String::new(),
                end: End::Error(self.client.error_words(status)),
                calls: (reached(2), 0),
                attempted: None,
                answered_by: None,
                retry_after: (self.fault == Fault::RateLimitedFor1s).then(|| "1".to_owned()),
                rows: vec![("failure".to_owned(), 2, self.bad())],
            },
        }
    }
}

/// The text that the client reads, and how the answer ends.
fn read(answer: &Answer) -> (String, End) {
    let is_stream = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    let words = |error: &Value| {
        format!(
            "{} {}",
            error["type"].as_str().unwrap_or("?"),
            error["code"]
        )
    };
    if !is_stream {
        let body = answer.json();
        if body["error"].is_object() {
            return (String::new(), End::Error(words(&body["error"])));
        }
        let openai = &body["choices"][0]["message"]["content"];
        let text = openai.as_str().or(body["content"][0]["text"].as_str());
        return (text.unwrap_or_default().to_owned(), End::Whole);
    }
    let events = answer.events();
    let text = events.iter().map(|data| {
        let anthropic = serde_json::from_str::<Value>(data).unwrap_or_default();
        let text = anthropic["delta"]["text"].as_str().map(str::to_owned);
        text.unwrap_or_else(|| text_of(data))
    });
    let last = events.last().map_or("", String::as_str);
    let event: Value = serde_json::from_str(last).unwrap_or_default();
    let terminals = events
        .iter()
        .filter(|data| *data == "[DONE]" || data.contains("\"message_stop\""));
    let end = match (terminals.count(), &event["error"]) {
        (0, error) if error.is_object() => End::ErrorEvent(words(error)),
        (1, _) if last == "[DONE]" || event["type"] == "message_stop" => End::Terminal,
        _ => End::Nothing,
    };
    (text.collect(), end)
}
