//! Golden runner: every folder below `fixtures/wire/<provider dialect>/<endpoint>/` is a case, adding a folder adds a test.
//! The endpoint says which dialect the client speaks.
//!
//! | file | meaning |
//! | --- | --- |
//! | `SOURCE` | where the bodies come from: reference section and date |
//! | `case.json` | optional; see [`Case`] |
//! | `request.json` | the client's body |
//! | `upstream_request.json` | what the provider must get |
//! | `upstream_response.json` or `.sse` | what the provider answers |
//! | `response.json` or `.sse` | what the client must get |
//! | `usage.json` | the parts that must be on the books |
//! | `error.json` | instead of a response: how the failure must be classified |
//!
//! `themes.json` has the themes that every provider's folder must show, or the reason for a hole.
//!
//! Bodies are compared byte by byte, more strictly than as JSON values: same-dialect traffic promises to keep every byte
//! it has no reason to touch. `TRUNKLINE_BLESS=1` rewrites the expected files; a file that no case reads is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy spares only functions marked as tests; a broken fixture should stop the run at its line"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use trunkline_wire::exchange::{self, AnswerOptions, Dialect, EncodeOptions, MaxTokensField};
use trunkline_wire::relay::Relay;
use trunkline_wire::tool_names::ToolNames;
use trunkline_wire::{Endpoint, RequestPeek, UpstreamError, Usage};

/// Unix seconds that a case takes for now.
const CREATED: u64 = 1_760_000_000;

/// `case.json`: what the deployment and the provider's status line say. All members are optional.
struct Case {
    folder: PathBuf,
    dialect: Dialect,
    endpoint: Endpoint,
    settings: Map<String, Value>,
    /// Tools that were sent under other names.
    renamed: ToolNames,
    read: BTreeSet<String>,
    problems: Vec<String>,
}

/// The outcome for the client.
struct Outcome {
    response: Option<Vec<u8>>,
    usage: Option<Usage>,
    error: Option<UpstreamError>,
}

#[test]
fn every_golden_case_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    let mut cases = 0;
    let mut report = String::new();
    for provider in folders(&root) {
        for endpoint in folders(&provider) {
            for folder in folders(&endpoint) {
                cases += 1;
                for problem in Case::open(&folder).run() {
                    let name = folder.strip_prefix(&root).unwrap().display();
                    writeln!(report, "{name}: {problem}").unwrap();
                }
            }
        }
    }
    assert!(cases > 0, "no cases below {}", root.display());
    assert!(
        report.is_empty(),
        "golden cases differ (TRUNKLINE_BLESS=1 rewrites):\n{report}"
    );
}

/// `themes.json` says of each theme which case shows it with each provider's dialect, or why none does: a new provider's
/// folder has to fill every line.
#[test]
fn every_theme_has_a_case_with_every_provider_or_a_reason_for_the_hole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    let themes = fs::read(root.join("themes.json")).unwrap();
    let themes: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>> =
        serde_json::from_slice(&themes).unwrap();
    let mut problems = Vec::new();
    for provider in folders(&root) {
        let name = provider.file_name().unwrap().to_str().unwrap();
        for (endpoint, themes) in &themes {
            for (theme, shown) in themes {
                let place = format!("{endpoint}, {theme}, {name}");
                match shown.get(name) {
                    Some(Value::String(case)) if provider.join(endpoint).join(case).is_dir() => {}
                    Some(Value::Object(hole)) if hole.get("hole").is_some_and(says_something) => {}
                    Some(other) => problems.push(format!("{place}: no such case: {other}")),
                    None => problems.push(format!("{place}: neither a case nor a reason")),
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn says_something(reason: &Value) -> bool {
    reason.as_str().is_some_and(|reason| !reason.is_empty())
}

impl Case {
    fn open(folder: &Path) -> Self {
        let mut above = folder
            .ancestors()
            .skip(1)
            .map(|path| path.file_name().unwrap());
        let (endpoint, provider) = (above.next().unwrap(), above.next().unwrap());
        let dialect = match provider.to_str().unwrap() {
            "openai" => Dialect::OpenAi,
            "anthropic" => Dialect::Anthropic,
            other => panic!("no dialect is called {other}"),
        };
        let endpoint = match endpoint.to_str().unwrap() {
            "chat" => Endpoint::ChatCompletions,
            "completions" => Endpoint::Completions,
            "embeddings" => Endpoint::Embeddings,
            "messages" => Endpoint::Messages,
            "count_tokens" => Endpoint::CountTokens,
            other => panic!("no endpoint is called {other}"),
        };
        let mut case = Self {
            folder: folder.to_owned(),
            dialect,
            endpoint,
            settings: Map::new(),
            renamed: ToolNames::default(),
            read: BTreeSet::new(),
            problems: Vec::new(),
        };
        if let Some(text) = case.input("case.json") {
            case.settings = serde_json::from_slice(&text).unwrap();
        }
        case
    }

    fn run(mut self) -> Vec<String> {
        if self.input("SOURCE").is_none_or(|text| text.is_empty()) {
            self.problems.push("SOURCE is missing".to_owned());
        }
        let request = self.input("request.json").unwrap_or_default();
        let peek = match RequestPeek::parse(self.endpoint, &request) {
            Ok(peek) => peek,
            Err(err) => {
                self.problems
                    .push(format!("request.json is refused: {err}"));
                return self.problems;
            }
        };
        let sent = self.encode(request, &peek);
        self.expect("upstream_request.json", Some(sent));

        let answer = self.input("upstream_response.json");
        let stream = self.input("upstream_response.sse");
        let suffix = if stream.is_some() { "sse" } else { "json" };
        let outcome = match (answer, stream) {
            (Some(answer), None) => Some(self.answer(answer, &peek)),
            (None, Some(stream)) => Some(self.stream(&stream, &peek)),
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.problems
                    .push("answers both whole and as a stream".to_owned());
                None
            }
        };
        if let Some(outcome) = outcome {
            self.expect(&format!("response.{suffix}"), outcome.response);
            self.expect(
                "usage.json",
                outcome.usage.map(|usage| pretty(&usage_json(&usage))),
            );
            self.expect(
                "error.json",
                outcome.error.map(|err| pretty(&error_json(&err))),
            );
        }
        self.expect_no_other_files();
        self.problems
    }

    fn encode(&mut self, request: Vec<u8>, peek: &RequestPeek) -> Vec<u8> {
        let object = |key: &str| match self.settings.get(key) {
            Some(Value::Object(object)) => object.clone(),
            _ => Map::new(),
        };
        let strings = |key: &str| match self.settings.get(key) {
            Some(list) => serde_json::from_value(list.clone()).unwrap(),
            None => Vec::<String>::new(),
        };
        let (defaults, extra_body) = (object("defaults"), object("extra_body"));
        let additional_drop_params = strings("additional_drop_params");
        let allowed_openai_params = strings("allowed_openai_params");
        let options = EncodeOptions {
            upstream_model: self.text(
                "upstream_model",
                match self.dialect {
                    Dialect::Anthropic => "claude-sonnet-4-5",
                    _ => "gpt-4o-mini",
                },
            ),
            endpoint: self.endpoint,
            max_tokens_field: match self.text("max_tokens_field", "") {
                "max_tokens" => MaxTokensField::MaxTokens,
                "max_completion_tokens" => MaxTokensField::MaxCompletionTokens,
                _ => MaxTokensField::Keep,
            },
            max_output_tokens: self
                .settings
                .get("max_output_tokens")
                .and_then(Value::as_u64),
            drop_params: self.settings.get("drop_params") == Some(&Value::Bool(true)),
            additional_drop_params: &additional_drop_params,
            allowed_openai_params: &allowed_openai_params,
            defaults: &defaults,
            extra_body: &extra_body,
            api_version: None,
            provider: self.text(
                "provider",
                match self.dialect {
                    Dialect::Anthropic => "anthropic",
                    _ => "openai",
                },
            ),
        };
        match exchange::encode(self.dialect, &request.into(), peek, &options) {
            Ok(encoded) => {
                self.expect_setting("dropped", &Value::from(encoded.dropped));
                self.renamed = encoded.renamed;
                self.expect_setting("betas", &Value::from(encoded.betas));
                encoded.body.to_vec()
            }
            Err(err) => pretty(&json!({"refused": {"param": err.param, "message": err.message}})),
        }
    }

    fn expect_setting(&mut self, name: &str, actual: &Value) {
        let expected = self.settings.get(name).cloned().unwrap_or(json!([]));
        if *actual != expected {
            self.problems
                .push(format!("{name} {actual}, expected {expected}"));
        }
    }

    fn answer_options(&self, peek: &RequestPeek) -> AnswerOptions {
        AnswerOptions {
            endpoint: self.endpoint,
            requested_model: peek.model.clone(),
            include_usage: peek.include_usage,
            choices: peek.n,
            created: CREATED,
            renamed: self.renamed.clone(),
        }
    }

    fn answer(&self, answer: Vec<u8>, peek: &RequestPeek) -> Outcome {
        let status = self
            .settings
            .get("status")
            .and_then(Value::as_u64)
            .unwrap_or(200);
        let status = u16::try_from(status).unwrap();
        let decoded = if status == 200 {
            exchange::decode(self.dialect, answer.into(), &self.answer_options(peek))
        } else {
            let retry_after = self.settings.get("retry_after").and_then(Value::as_str);
            let content_type = Some(self.text("content_type", "application/json"));
            let dialect = self.dialect;
            Err(exchange::classify(
                dialect,
                status,
                content_type,
                retry_after,
                &answer,
            ))
        };
        match decoded {
            Ok(decoded) => Outcome {
                response: Some(decoded.body.to_vec()),
                usage: decoded.usage,
                error: None,
            },
            Err(err) => Outcome {
                response: None,
                usage: None,
                error: Some(err),
            },
        }
    }

    fn stream(&self, stream: &[u8], peek: &RequestPeek) -> Outcome {
        let mut relay = Relay::new(self.dialect, self.answer_options(peek));
        let mut response = Vec::new();
        let mut error = None;
        // Small odd pieces: a golden stream is a test of the decoder too.
        for piece in stream.chunks(7) {
            relay.push(piece.to_vec().into());
            error = error.or_else(|| drain(&mut relay, &mut response));
        }
        error = error.or_else(|| relay.finish().err());
        error = error.or_else(|| drain(&mut relay, &mut response));
        Outcome {
            response: Some(response),
            usage: relay.usage().copied(),
            error,
        }
    }

    fn text<'c>(&'c self, key: &str, default: &'c str) -> &'c str {
        self.settings
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or(default)
    }

    /// A file of the case, without the newline that editors leave at the end of JSON.
    fn input(&mut self, name: &str) -> Option<Vec<u8>> {
        self.read.insert(name.to_owned());
        fs::read(self.folder.join(name))
            .ok()
            .map(|bytes| trimmed(name, &bytes))
    }

    fn expect(&mut self, name: &str, actual: Option<Vec<u8>>) {
        let expected = self.input(name);
        if expected == actual {
            return;
        }
        let path = self.folder.join(name);
        if env::var_os("TRUNKLINE_BLESS").is_some() {
            match actual {
                Some(mut actual) => {
                    if is_json(name) {
                        actual.push(b'\n');
                    }
                    fs::write(&path, actual).unwrap();
                }
                None => fs::remove_file(&path).unwrap(),
            }
            return;
        }
        let show = |bytes: Option<Vec<u8>>| {
            bytes.map_or("nothing".to_owned(), |bytes| {
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let (expected, actual) = (show(expected), show(actual));
        self.problems.push(format!(
            "{name} differs\n--- expected\n{expected}\n--- actual\n{actual}"
        ));
    }

    fn expect_no_other_files(&mut self) {
        for entry in fs::read_dir(&self.folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !self.read.contains(&name) {
                self.problems.push(format!("{name} is read by nothing"));
            }
        }
    }
}

fn drain(relay: &mut Relay, response: &mut Vec<u8>) -> Option<UpstreamError> {
    loop {
        match relay.next_frame() {
            Ok(Some(frame)) => response.extend_from_slice(&frame.bytes),
            Ok(None) => return None,
            Err(err) => return Some(err),
        }
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn is_json(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "json")
}

fn trimmed(name: &str, bytes: &[u8]) -> Vec<u8> {
    if is_json(name) {
        bytes.trim_ascii_end().to_vec()
    } else {
        bytes.to_vec()
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap()
}

/// Only the parts that are present: absent and zero differ.
fn usage_json(usage: &Usage) -> Value {
    let parts = [
        ("input_uncached", usage.input_uncached),
        ("cache_read", usage.cache_read),
        ("cache_write_5m", usage.cache_write_5m),
        ("cache_write_1h", usage.cache_write_1h),
        ("audio_input", usage.audio_input),
        ("image_input", usage.image_input),
        ("output_text", usage.output_text),
        ("reasoning", usage.reasoning),
        ("audio_output", usage.audio_output),
        ("prompt_tokens", Some(usage.prompt_tokens())),
        ("completion_tokens", Some(usage.completion_tokens())),
    ];
    let present = parts
        .into_iter()
        .filter_map(|(name, tokens)| Some((name.to_owned(), json!(tokens?))));
    Value::Object(present.collect())
}

fn error_json(err: &UpstreamError) -> Value {
    json!({
        "kind": err.kind.as_str(),
        "client_status": err.client_status(),
        "client_type": err.client_type(),
        "message": err.message,
        "code": err.code,
        "param": err.param,
        "retry_after_secs": err.retry_after_secs,
    })
}
