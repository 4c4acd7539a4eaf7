//! Every key that a config file may hold, as data: what it is, and what becomes of it here.
//!
//! Source: the compatibility contract, "configuration", and the tutorial's dialect. The table is rendered into
//! `docs/configuration.md`, tests hold it against the structs in `src/config/raw/mod.rs`, and what a file says is looked up
//! in `src/config/support.rs`.

mod environment;
mod general;
mod jwt;
mod litellm;
mod model_info;
mod own;
mod params;
mod prices;
mod redis;
mod render;
mod router;
#[cfg(test)]
mod tests;
mod tutorial;

pub use render::markdown;

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As written in its section. A `*` at one end stands for a family of keys.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What counts without it, as written; empty for nothing.
    pub default: &'static str,
    /// What becomes of it.
    pub status: Status,
    /// What it is for, in one line.
    pub meaning: &'static str,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what it says.
    Supported,
    /// Understood, without effect in this version; said at start.
    Planned(Area),
    /// Without effect for good, for this reason; said at start.
    Ignored(&'static str),
    /// An error; this is what to write instead.
    Refused(&'static str),
}

/// Which part of the gateway a planned key waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Keys, users, teams, sign-in.
    Access,
    /// Budgets and their periods.
    Budgets,
    /// Response caching.
    Caching,
    /// Databases and several processes on one state.
    Fleet,
    /// Moderation of prompts and answers.
    Guardrails,
    /// Calls that find out how a provider is.
    Health,
    /// Rate limits and queues.
    Limits,
    /// Logs, metrics, callbacks, alerts.
    Observability,
    /// Provider formats and what goes to a provider.
    Providers,
    /// Retries, cooldowns, choice of a deployment.
    Routing,
}

/// What a key holds, with the unit where it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Any,
    /// A size.
    Bytes,
    /// A list of mappings.
    List,
    /// A mapping.
    Map,
    /// A size.
    Megabytes,
    /// A number without a unit.
    Number,
    /// A file or folder.
    Path,
    /// A count in a minute.
    PerMinute,
    /// A time.
    Seconds,
    /// A text that is never shown.
    Secret,
    /// A length of time as text: `30s`, `12h`, `30d`, `1mo`.
    Span,
    /// True or false.
    Switch,
    /// A text.
    Text,
    /// One text or several.
    TextOrTexts,
    /// A list of texts.
    Texts,
    /// A count of tokens.
    Tokens,
    /// An address.
    Url,
    /// An amount.
    Usd,
    /// A price.
    UsdPerToken,
    /// A count.
    Whole,
}

/// A mapping of the file and the keys it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Keys with dots between, without list indices: `model_list.litellm_params`; empty for the top level.
    pub path: &'static str,
    /// What becomes of other keys.
    pub others: Others,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// What becomes of a key that the table does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// A warning.
    Unknown,
    /// It goes into the provider's request.
    Sent,
    /// It is kept and shown by `/model/info`.
    Kept,
}

/// Every section of a file.
pub const SECTIONS: &[Section] = &[
    own::TOP,
    own::MODEL_LIST,
    params::PARAMS,
    model_info::INFO,
    router::OWN_ALLOWED_FAILS_POLICY,
    router::ROUTER,
    router::STRATEGY_ARGS,
    router::RETRY_POLICY,
    router::ALLOWED_FAILS_POLICY,
    litellm::LITELLM,
    litellm::CACHE_PARAMS,
    litellm::PRIORITY_SETTINGS,
    general::GENERAL,
    redis::COORDINATION_REDIS,
    jwt::JWT,
    own::CREDENTIALS,
    own::TRUNKLINE,
    own::TIMEOUTS,
    own::CLIENT_GONE,
    own::RECEIPTS,
    own::JOURNAL,
    own::TRANSCRIPTS,
    own::FLEET,
    own::QUEUE,
    tutorial::USERS,
    tutorial::RATE_LIMITS,
    tutorial::CACHE_SETTINGS,
    tutorial::LOGGING,
];

/// The variables of the process.
pub const ENVIRONMENT: &[Key] = environment::VARIABLES;

/// The section at `path` (dotted, without list indices).
pub fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.path == path)
}

/// The key at `path` (dotted, without list indices), if the table holds it.
pub fn key(path: &str) -> Option<&'static Key> {
    match path.rsplit_once('.') {
        Some((above, name)) => section(above)?.key(name),
        None => section("")?.key(path),
    }
}

impl Section {
    /// The key called `name`: itself, else the family it belongs to.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        let exact = self.keys.iter().find(|key| key.name == name);
        exact.or_else(|| self.keys.iter().find(|key| key.covers(name)))
    }
}

impl Key {
    const fn new(name: &'static str, kind: Kind, default: &'static str, status: Status) -> Self {
        Self {
            name,
            kind,
            default,
            status,
            meaning: "",
        }
    }

    const fn means(mut self, meaning: &'static str) -> Self {
        self.meaning = meaning;
        self
    }

    /// Whether `name` is this key or one of this family.
    pub fn covers(&self, name: &str) -> bool {
        match (self.name.strip_prefix('*'), self.name.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (None, Some(start)) => name.starts_with(start),
            (None, None) => self.name == name,
        }
    }
}

impl Area {
    /// The word for it in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Budgets => "budgets",
            Self::Caching => "caching",
            Self::Fleet => "fleet",
            Self::Guardrails => "guardrails",
            Self::Health => "health",
            Self::Limits => "limits",
            Self::Observability => "observability",
            Self::Providers => "providers",
            Self::Routing => "routing",
        }
    }
}

impl Kind {
    /// Type and unit, for the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bytes => "whole number, bytes",
            Self::List => "list of mappings",
            Self::Map => "mapping",
            Self::Megabytes => "number, MB",
            Self::Number => "number",
            Self::Path => "path",
            Self::PerMinute => "whole number, per minute",
            Self::Seconds => "number, seconds",
            Self::Secret => "text, secret",
            Self::Span => "text such as `30d`",
            Self::Switch => "boolean",
            Self::Text => "text",
            Self::TextOrTexts => "text or list of text",
            Self::Texts => "list of text",
            Self::Tokens => "whole number, tokens",
            Self::Url => "URL",
            Self::Usd => "number, USD",
            Self::UsdPerToken => "number, USD per token",
            Self::Whole => "whole number",
        }
    }

    /// Whether it is a text, whatever it looks like: `on` and `010` are then no switch and no number.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Self::Path
                | Self::Secret
                | Self::Span
                | Self::Text
                | Self::TextOrTexts
                | Self::Texts
                | Self::Url
        )
    }
}

/// `own` rows, then the price keys.
#[expect(
    clippy::indexing_slicing,
    reason = "at compile time, where it is an error"
)]
const fn with_prices<const N: usize>(own: &[Key]) -> [Key; N] {
    let mut rows = [own[0]; N];
    let mut at = 0;
    while at < N {
        rows[at] = if at < own.len() {
            own[at]
        } else {
            prices::PRICES[at - own.len()]
        };
        at += 1;
    }
    rows
}

/// A key that does what it says.
const fn on(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key::new(name, kind, default, Status::Supported).means(meaning)
}

/// A key that waits for `area`.
const fn planned(
    area: Area,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key::new(name, kind, default, Status::Planned(area)).means(meaning)
}

/// A key without effect for good.
const fn ignored(name: &'static str, kind: Kind, reason: &'static str) -> Key {
    Key::new(name, kind, "", Status::Ignored(reason))
}

/// A key that is an error.
const fn refused(name: &'static str, kind: Kind, instead: &'static str) -> Key {
    Key::new(name, kind, "", Status::Refused(instead))
}
