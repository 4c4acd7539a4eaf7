//! The top level, `model_list`, `credential_list` and Trunkline's own section.

use super::Area::{Access, Guardrails, Observability, Providers};
use super::Kind::{
    Any, Bytes, List, Map, Path, PerMinute, Seconds, Span, Switch, Text, Texts, Whole,
};
use super::{Key, Others, Section, on, planned};

/// Shortens a row: a whole section that waits.
const fn later(
    area: super::Area,
    name: &'static str,
    kind: super::Kind,
    meaning: &'static str,
) -> Key {
    planned(area, name, kind, "", meaning)
}

pub(super) const TOP: Section = Section {
    path: "",
    others: Others::Unknown,
    keys: &[
        on(
            "model_list",
            List,
            "providers whose key is set",
            "deployments",
        ),
        on("router_settings", Map, "", "retries, fallbacks, cooldowns"),
        on(
            "litellm_settings",
            Map,
            "",
            "what is sent, callbacks, caching",
        ),
        on("general_settings", Map, "", "master key, database, access"),
        on("trunkline", Map, "", "settings that LiteLLM does not have"),
        on(
            "environment_variables",
            Map,
            "",
            "variables set over those of the process before anything else is read; values may be `os.environ/NAME`",
        ),
        on(
            "include",
            Texts,
            "",
            "further files, relative to this one; lists are appended to this file's, other sections replace it",
        ),
        on(
            "credential_list",
            List,
            "",
            "parameters that deployments take by name",
        ),
        on("user_config", List, "", "users, as in the tutorial"),
        on(
            "fallback_mapping",
            Map,
            "",
            "`group: [groups]`; as `router_settings.fallbacks`",
        ),
        on(
            "rate_limit_config",
            Map,
            "",
            "where replicas share limits; as `router_settings.redis_*`",
        ),
        later(
            super::Area::Caching,
            "cache_settings",
            Map,
            "as `litellm_settings.cache_params`",
        ),
        later(
            Observability,
            "logging",
            List,
            "where requests are reported",
        ),
        on("x-*", Any, "", "ignored: a place for YAML anchors"),
        later(
            Observability,
            "callback_settings",
            Map,
            "settings of callbacks by name",
        ),
        later(
            Providers,
            "assistant_settings",
            Map,
            "where assistants are served",
        ),
        later(
            Providers,
            "finetune_settings",
            List,
            "where fine-tuning is served",
        ),
        later(Providers, "files_settings", List, "where files are served"),
        later(
            Providers,
            "default_vertex_config",
            Map,
            "Vertex AI for pass-through",
        ),
        later(Providers, "vector_store_registry", List, "vector stores"),
        later(Providers, "search_tools", List, "web search"),
        later(Access, "mcp_servers", Map, "MCP servers"),
        later(
            Guardrails,
            "guardrails",
            List,
            "checks of prompts and answers",
        ),
        later(Guardrails, "prompts", List, "stored prompts"),
    ],
};

pub(super) const MODEL_LIST: Section = Section {
    path: "model_list",
    others: Others::Unknown,
    keys: &[
        on("model_name", Text, "required", "the group; may hold `*`"),
        on(
            "litellm_params",
            Map,
            "required",
            "how the deployment is called",
        ),
        on("model_info", Map, "", "what is known of it"),
        on("rpm", PerMinute, "", "as in `litellm_params`, which wins"),
        on("tpm", PerMinute, "", "as in `litellm_params`, which wins"),
    ],
};

pub(super) const CREDENTIALS: Section = Section {
    path: "credential_list",
    others: Others::Unknown,
    keys: &[
        on(
            "credential_name",
            Text,
            "required",
            "what `litellm_credential_name` says",
        ),
        on(
            "credential_values",
            Map,
            "required",
            "parameters for deployments that do not say them",
        ),
        on("credential_info", Map, "", "notes; kept for nobody"),
    ],
};

pub(super) const TRUNKLINE: Section = Section {
    path: "trunkline",
    others: Others::Unknown,
    keys: &[
        on(
            "data_dir",
            Path,
            "the database's directory, else `./data`",
            "journal and default database",
        ),
        on("workers", Whole, "one per core", "HTTP workers"),
        on("max_body_bytes", Bytes, "33554432", "largest request body"),
        on(
            "shutdown_timeout_secs",
            Seconds,
            "30",
            "how long running requests may finish",
        ),
        on(
            "stale_keys_secs",
            Seconds,
            "3600",
            "how much longer a known key is believed while the database fails; 0: not at all",
        ),
        on("timeouts", Map, "", "timers of one call"),
        on(
            "model_prices",
            Map,
            "",
            "list prices that count over the built-in ones: `provider/model:` with the price keys of `litellm_params` below, and `mode`, `max_input_tokens`, `max_output_tokens`",
        ),
        on(
            "model_prices_file",
            Path,
            "",
            "a LiteLLM price map, relative to the config file; its entries count over the built-in ones",
        ),
        on(
            "client_gone",
            Map,
            "",
            "what happens to an answer whose client has left",
        ),
        on("receipts", Map, "", "what answers say of their cost"),
        on(
            "journal",
            Map,
            "",
            "how requests are kept until the database has them",
        ),
        on(
            "transcripts",
            Map,
            "",
            "how what is asked and answered is kept, where `general_settings.store_prompts_in_spend_logs` is on",
        ),
        on(
            "health_checks",
            Text,
            "models",
            "how deployments are checked in the background: `models` asks the provider for its list of models, which costs nothing; `call` calls the model with the shortest request, on the books",
        ),
        on("fleet", Map, "", "what replicas share"),
        on(
            "queue",
            Map,
            "",
            "how requests wait that a rate limit refuses, in place of a 429 at once",
        ),
    ],
};

pub(super) const QUEUE: Section = Section {
    path: "trunkline.queue",
    others: Others::Unknown,
    keys: &[
        on(
            "max_wait_secs",
            Seconds,
            "0",
            "how long a request waits for its turn, in order of arrival, before the 429; 0: there is no queue. Who cannot be served in that time is refused at once",
        ),
        on(
            "max_waiting",
            Whole,
            "1000",
            "requests that wait at the same time; further ones are refused at once",
        ),
        on(
            "max_waiting_per_subject",
            Whole,
            "100",
            "the same for the limits of one key, team or whoever else has them",
        ),
    ],
};

pub(super) const FLEET: Section = Section {
    path: "trunkline.fleet",
    others: Others::Unknown,
    keys: &[
        on(
            "namespace",
            Text,
            "trunkline",
            "what our keys in Redis begin with: the same for all replicas, another for every other fleet on that server",
        ),
        on(
            "deadline_secs",
            Seconds,
            "0.025",
            "how long a request waits for Redis; without an answer it gets what this replica's share of the limits allows",
        ),
    ],
};

pub(super) const CLIENT_GONE: Section = Section {
    path: "trunkline.client_gone",
    others: Others::Unknown,
    keys: &[
        on(
            "policy",
            Text,
            "cancel",
            "`cancel` leaves the provider at once and charges what was delivered; `drain` reads on and charges what it reports",
        ),
        on(
            "drain_secs",
            Seconds,
            "60",
            "how long one answer is read on",
        ),
        on(
            "drain_bytes",
            Bytes,
            "8388608",
            "how much of one stream is read on",
        ),
        on(
            "drain_requests",
            Whole,
            "64",
            "how many answers at the same time; further ones are left",
        ),
    ],
};

pub(super) const RECEIPTS: Section = Section {
    path: "trunkline.receipts",
    others: Others::Unknown,
    keys: &[
        on(
            "headers",
            Switch,
            "true",
            "`x-trunkline-usage`, `x-trunkline-price-version`, `x-trunkline-budget-remaining`",
        ),
        on(
            "stream_comment",
            Switch,
            "true",
            "a comment before the last event of a stream: cost, usage, price version, what is left of the budget; clients do not see comments",
        ),
    ],
};

pub(super) const JOURNAL: Section = Section {
    path: "trunkline.journal",
    others: Others::Unknown,
    keys: &[
        on(
            "fsync",
            Text,
            "interval",
            "what a power loss may cost (a killed process costs nothing): `interval` the last `fsync_interval_secs`; `always` nothing, each request waits for the disk twice, before a provider is called and before the end of its answer; `never` what the operating system has not written yet",
        ),
        on(
            "fsync_interval_secs",
            Seconds,
            "0.1",
            "how often `interval` syncs",
        ),
        on(
            "max_bytes",
            Bytes,
            "1073741824",
            "what it may take of the disk; at least 1 MiB. The log warns at 80 %",
        ),
        on(
            "when_full",
            Text,
            "refuse",
            "requests that it has no room for: `refuse` answers 503; `unrecorded` serves them, on no books and against no stored budget, and counts them in `trunkline_unrecorded_requests_total`",
        ),
    ],
};

pub(super) const TRANSCRIPTS: Section = Section {
    path: "trunkline.transcripts",
    others: Others::Unknown,
    keys: &[
        on(
            "retention",
            Span,
            "`30d`",
            "how long they are kept, a day at least",
        ),
        on(
            "max_text_chars",
            Whole,
            "`MAX_STRING_LENGTH_PROMPT_IN_DB`, else 2048",
            "a longer text within a request or an answer is kept as its beginning and end",
        ),
        on(
            "max_body_bytes",
            Bytes,
            "1048576",
            "a request or an answer that is larger even so is kept as its beginning and end",
        ),
        on(
            "buffer_bytes",
            Bytes,
            "134217728",
            "memory for what is under way; beyond it nothing is kept, which `trunkline_transcripts_total` counts",
        ),
    ],
};

pub(super) const TIMEOUTS: Section = Section {
    path: "trunkline.timeouts",
    others: Others::Unknown,
    keys: &[
        on("connect", Seconds, "10", "name, TCP, TLS"),
        on(
            "first_byte",
            Seconds,
            "600",
            "until the headers of the answer",
        ),
        on(
            "first_content",
            Seconds,
            "600",
            "until the first content of a stream",
        ),
        on("idle", Seconds, "120", "between two pieces of a stream"),
        on("total", Seconds, "6000", "the whole attempt"),
        on(
            "request",
            Seconds,
            "6000",
            "the whole request, every retry and fallback included",
        ),
        on(
            "header_wait",
            Seconds,
            "45",
            "until a waiting client of a stream gets its status",
        ),
    ],
};
