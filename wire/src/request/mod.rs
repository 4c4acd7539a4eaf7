//! What the gateway must know of an inbound body, and the 400s for bodies that nobody could serve.
//!
//! The body is read once and borrowed; only the members that decide something are looked at. Validation is lenient on
//! purpose: a string `temperature` is the provider's to refuse (contract, `endpoints.md` §11). What the gateway acts on
//! itself must be right, because a wrong value would otherwise be ignored in silence.

mod messages;
mod read;
#[cfg(test)]
mod tests;

use crate::json::{JsonError, Object, Raw};

/// The most choices one request may ask for (`OpenAI`, "Create chat completion", `n`).
pub const MAX_CHOICES: u64 = 128;

/// The endpoints whose bodies are understood; each one names the dialect of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /chat/completions`.
    ChatCompletions,
    /// `POST /completions`.
    Completions,
    /// `POST /embeddings`.
    Embeddings,
    /// Anthropic's `POST /messages`.
    Messages,
    /// Anthropic's `POST /messages/count_tokens`.
    CountTokens,
}

/// A request that nobody could serve; becomes a 400 in the error shape of the client's dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// The field at fault, for `error.param`.
    pub param: Option<String>,
    /// Names the field and says what to write instead.
    pub message: String,
    /// The HTTP status, 400.
    pub status: u16,
}

/// The members of a body that decide something.
///
/// Source: `OpenAI` API reference, "Create chat completion", "Create completion", "Create embeddings", 2026-11-22;
/// Anthropic API reference, "Create a message", 2026-11-23; and the gateway's own fields of the contract, `endpoints.md` §1.1.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a member of the body, and none depends on another"
)]
pub struct RequestPeek {
    /// `model`; absent when the path names it.
    pub model: Option<String>,
    /// `stream`.
    pub stream: bool,
    /// `stream_options.include_usage`: the client asked for the usage chunk. Anthropic's clients always get theirs.
    pub include_usage: bool,
    /// `max_completion_tokens`, else `max_tokens`.
    pub max_tokens: Option<u64>,
    /// `n`, 1 when absent.
    pub n: u64,
    /// `user`, or Anthropic's `metadata.user_id`, when it is a string.
    pub user: Option<String>,
    /// `service_tier`, when it is a string.
    pub service_tier: Option<String>,
    /// Bytes of `messages` (with Anthropic's `system` and `tools`), `prompt` or `input` as they are spelled, for estimates.
    pub input_bytes: usize,
    /// `metadata.tags` (Anthropic's clients: `litellm_metadata.tags`), then `tags`.
    pub tags: Vec<String>,
    /// `num_retries`.
    pub num_retries: Option<u32>,
    /// `timeout`, else `request_timeout`, in seconds.
    pub timeout_secs: Option<f64>,
    /// `stream_timeout`, in seconds.
    pub stream_timeout_secs: Option<f64>,
    /// `fallbacks`: model groups to try next.
    pub fallbacks: Option<Vec<String>>,
    /// `disable_fallbacks`.
    pub disable_fallbacks: bool,
    /// `drop_params`.
    pub drop_params: Option<bool>,
    /// `turn_off_message_logging`, or `no-log`: what is asked and answered shall not be kept.
    pub off_the_record: bool,
}

// === impl Endpoint ===

impl Endpoint {
    /// The path below the API base.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
        }
    }

    /// `LiteLLM`'s name for a call of this kind, as it stands in its spend logs.
    pub fn call_type(self) -> &'static str {
        match self {
            Self::ChatCompletions => "acompletion",
            Self::Completions => "atext_completion",
            Self::Embeddings => "aembedding",
            Self::Messages => "anthropic_messages",
            Self::CountTokens => "acount_tokens",
        }
    }

    /// Whether its client speaks Anthropic's dialect.
    pub fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountTokens)
    }

    /// The member that holds what the model reads.
    pub fn input_field(self) -> &'static str {
        match self {
            Self::ChatCompletions | Self::Messages | Self::CountTokens => "messages",
            Self::Completions => "prompt",
            Self::Embeddings => "input",
        }
    }
}

// === impl BadRequest ===

impl BadRequest {
    /// A 400 about one field.
    pub fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            message: message.into(),
            status: 400,
        }
    }

    fn missing(endpoint: Endpoint) -> Self {
        let (path, field) = (endpoint.path(), endpoint.input_field());
        if endpoint.is_anthropic() {
            return Self::new(field, format!("{field}: Field required"));
        }
        Self::new(
            field,
            format!("{path}: Missing required parameter: '{field}'."),
        )
    }
}

impl From<JsonError> for BadRequest {
    fn from(err: JsonError) -> Self {
        Self::new("request_body", format!("Invalid JSON payload: {err}"))
    }
}

// === impl RequestPeek ===

impl RequestPeek {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BadRequest`] for broken JSON, for a missing or misshapen `messages`, `prompt` or `input`, and for wrong values
    /// of fields that the gateway acts on.
    pub fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Self, BadRequest> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(BadRequest::missing(endpoint));
        }
        let object = Object::parse(body)?;
        let mut peek = Self {
            n: 1,
            ..Self::default()
        };
        let mut own_tags = Vec::new();
        let mut request_timeout = None;
        for (key, value) in object.members() {
            match key {
                "model" => peek.model = read::model(value)?,
                "service_tier" => peek.service_tier = read::string(value),
                "stream" => peek.stream = read::boolean(key, value)?.unwrap_or(false),
                "max_tokens" => peek.max_tokens = read::count(key, value)?,
                "tags" => own_tags = read::strings(value).unwrap_or_default(),
                "num_retries" => peek.num_retries = read::retries(value)?,
                "timeout" => peek.timeout_secs = read::seconds(key, value)?,
                "request_timeout" => request_timeout = read::seconds(key, value)?,
                "stream_timeout" => peek.stream_timeout_secs = read::seconds(key, value)?,
                "fallbacks" => peek.fallbacks = read::fallbacks(value)?,
                "disable_fallbacks" => {
                    peek.disable_fallbacks = read::boolean(key, value)?.unwrap_or(false);
                }
                "drop_params" => peek.drop_params = read::boolean(key, value)?,
                "turn_off_message_logging" | "no-log" => {
                    peek.off_the_record |= read::boolean(key, value)?.unwrap_or(false);
                }
                _ => {}
            }
        }
        peek.timeout_secs = peek.timeout_secs.or(request_timeout);
        if endpoint.is_anthropic() {
            peek.of_messages(endpoint, &object)?;
        } else {
            peek.of_openai(endpoint, &object)?;
        }
        peek.tags.append(&mut own_tags);
        Ok(peek)
    }

    /// What only `OpenAI`'s bodies have.
    fn of_openai(&mut self, endpoint: Endpoint, object: &Object<'_>) -> Result<(), BadRequest> {
        let mut max_completion_tokens = None;
        for (key, value) in object.members() {
            match key {
                "stream_options" => self.include_usage = read::include_usage(value)?,
                "max_completion_tokens" => max_completion_tokens = read::count(key, value)?,
                "n" => self.n = read::choices(value)?,
                "user" => self.user = read::string(value),
                "metadata" => self.tags = read::metadata_tags(value),
                _ => {}
            }
        }
        self.max_tokens = max_completion_tokens.or(self.max_tokens);
        self.input_bytes = check_input(endpoint, object.get(endpoint.input_field()))?;
        Ok(())
    }

    /// What only Anthropic's bodies have. `metadata` is theirs there, so the gateway's tags are in `litellm_metadata`.
    fn of_messages(&mut self, endpoint: Endpoint, object: &Object<'_>) -> Result<(), BadRequest> {
        let present = |key| object.get(key).filter(|value| value.get() != "null");
        if self.max_tokens.is_none() && endpoint == Endpoint::Messages {
            return Err(BadRequest::new("max_tokens", "max_tokens: Field required"));
        }
        let messages = check_input(endpoint, object.get("messages"))?;
        let others = ["system", "tools"].into_iter().filter_map(present);
        self.input_bytes = others
            .map(|value| value.get().len())
            .fold(messages, usize::saturating_add);
        self.include_usage = true;
        self.user = present("metadata").and_then(read::user_id);
        self.tags = present("litellm_metadata")
            .map(read::metadata_tags)
            .unwrap_or_default();
        Ok(())
    }
}

fn check_input(endpoint: Endpoint, input: Option<Raw<'_>>) -> Result<usize, BadRequest> {
    let input = input
        .map(Raw::get)
        .filter(|text| *text != "null")
        .ok_or_else(|| BadRequest::missing(endpoint))?;
    if endpoint == Endpoint::ChatCompletions {
        messages::check_chat(input)?;
    } else if endpoint.is_anthropic() {
        messages::check_turns(input)?;
    } else if !input.starts_with(['"', '[']) {
        let field = endpoint.input_field();
        return Err(BadRequest::new(
            field,
            format!("'{field}' must be a string or an array."),
        ));
    }
    Ok(input.len())
}
