//! What is configured, told to administrators and their viewers: which settings there are, from the table of keys, and what the
//! running config says of them, secrets removed. Contract: LiteLLM 1.106.2's `/config/list`, `/config/field/info`,
//! `/get/config/callbacks`, `/router/settings` and `/router/fields`. Nothing is changed here: `editable` is never true.
//!
//! ```json
//! [{"field_name":"max_parallel_requests","field_type":"Integer","field_description":"…","field_value":10,"stored_in_db":false,
//!   "field_default_value":null,"premium_field":false,"nested_fields":null,"source":"config","editable":false}]
//! {"field_name":"max_parallel_requests","field_value":10,"source":"config","editable":false}
//! ```

use std::time::Duration;

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};
use trunkline_actors::supervisor::RoutingTable;

use super::allowed_ips;
use crate::app::App;
use crate::catalogue::FallbackType;
use crate::config::keys::{self, Key, Kind, Status};
use crate::config::{RouterSettings, RoutingStrategy, ShownSettings};
use crate::http::error::{ApiError, Code};
use crate::http::extract::{Call, Caller, View};

const GENERAL: &str = "general_settings";
const ROUTER: &str = "router_settings";
const LITELLM: &str = "litellm_settings";

/// `GET /config/list`.
pub(crate) async fn list(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    if call.query("config_type").as_deref() != Some(GENERAL) {
        return Err(ApiError::new(
            Code::Unprocessable,
            "'config_type' must be 'general_settings'. Send ?config_type=general_settings.",
        )
        .param("config_type"));
    }
    let fields: Vec<Value> = settings(GENERAL)
        .map(|key| {
            let (value, source) = general(call.app(), key);
            json!({
                "field_name": key.name,
                "field_type": field_type(key.kind),
                "field_description": key.meaning,
                "field_value": value,
                "stored_in_db": match source {
                    "config" => Some(false),
                    "db" => Some(true),
                    _ => None,
                },
                "field_default_value": default_of(key),
                "premium_field": false,
                "nested_fields": null,
                "field_options": null,
                "field_tab": null,
                "source": source,
                "editable": false,
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(fields))
}

/// `GET /config/field/info`.
pub(crate) async fn field(_caller: Caller<View>, call: Call) -> Result<HttpResponse, ApiError> {
    let wrong = |message: String| ApiError::new(Code::BadRequest, message).param("field_name");
    let name = call.query("field_name").unwrap_or_default();
    let key = settings(GENERAL)
        .find(|key| key.name == name)
        .ok_or_else(|| {
            wrong(format!("Invalid field={name} passed in. GET /config/list?config_type=general_settings names them."))
        })?;
    let (value, source) = general(call.app(), key);
    if value.is_null() {
        return Err(wrong(format!(
            "Field name={name} is not set. Its default counts: {}.",
            default_of(key)
        )));
    }
    Ok(HttpResponse::Ok().json(json!({
        "field_name": name,
        "field_value": value,
        "source": source,
        "editable": false,
    })))
}

/// `GET /get/config/callbacks`. `acted_on` says whether this version reports anything there.
pub(crate) async fn callbacks(_caller: Caller<View>, call: Call) -> HttpResponse {
    let app = call.app();
    let mut callbacks = Vec::new();
    for (name, kind) in [
        ("success_callback", "success"),
        ("failure_callback", "failure"),
        ("callbacks", "success_and_failure"),
    ] {
        let is_acted_on = is_supported(LITELLM, name);
        for callback in texts(app.config.shown.written(LITELLM, name)) {
            callbacks.push(
                json!({"name": callback, "variables": {}, "type": kind, "acted_on": is_acted_on}),
            );
        }
    }
    let alerting = texts(app.config.shown.written(GENERAL, "alerting"));
    let is_acted_on = is_supported(GENERAL, "alerting");
    let alerts: Vec<Value> = alerting
        .iter()
        .map(|name| json!({"name": name, "variables": {}, "acted_on": is_acted_on}))
        .collect();
    HttpResponse::Ok().json(json!({
        "status": "success",
        "callbacks": callbacks,
        "alerts": alerts,
        "active_alerting_destinations": if is_acted_on { alerting } else { Vec::new() },
        "router_settings": current(app),
        "available_callbacks": {},
    }))
}

/// `GET /router/settings`.
pub(crate) async fn router(_caller: Caller<View>, call: Call) -> HttpResponse {
    let app = call.app();
    let current = current(app);
    let mut sources = Map::new();
    let mut fields = Vec::new();
    for key in settings(ROUTER) {
        let (written, source) = found(&app.config.shown, ROUTER, key);
        let value = current.get(key.name).cloned().unwrap_or(written);
        if current.contains_key(key.name) {
            let source = if is_stored(app, key.name) {
                "db"
            } else {
                source
            };
            sources.insert(key.name.to_owned(), source.into());
        }
        fields.push(router_field(key, &value));
    }
    HttpResponse::Ok().json(json!({
        "fields": fields,
        "current_values": current,
        "routing_strategy_descriptions": strategy_descriptions(),
        "routing_group_strategies": strategies(),
        "source": sources,
    }))
}

/// `GET /router/fields`: the same without what is configured.
pub(crate) async fn router_fields(_caller: Caller<View>, _call: Call) -> HttpResponse {
    let fields: Vec<Value> = settings(ROUTER)
        .map(|key| router_field(key, &Value::Null))
        .collect();
    HttpResponse::Ok().json(json!({
        "fields": fields,
        "routing_strategy_descriptions": strategy_descriptions(),
        "routing_group_strategies": strategies(),
    }))
}

/// Whether the database has something to say of a setting of routing.
fn is_stored(app: &App, name: &str) -> bool {
    let settings = app.catalogue.settings();
    FallbackType::ALL
        .into_iter()
        .any(|kind| kind.key() == name && !settings.fallbacks(kind).is_empty())
}

fn router_field(key: &Key, value: &Value) -> Value {
    let options = (key.name == "routing_strategy").then(strategies);
    json!({
        "field_name": key.name,
        "field_type": field_type(key.kind),
        "field_value": value,
        "field_description": key.meaning,
        "field_default": default_of(key),
        "options": options,
        "ui_field_name": title(key.name),
        "link": null,
    })
}

fn strategies() -> [&'static str; RoutingStrategy::ALL.len()] {
    RoutingStrategy::ALL.map(RoutingStrategy::as_str)
}

fn strategy_descriptions() -> Map<String, Value> {
    RoutingStrategy::ALL
        .iter()
        .map(|strategy| (strategy.to_string(), Value::from(strategy.meaning())))
        .collect()
}

/// The keys of a section that do something.
fn settings(section: &str) -> impl Iterator<Item = &'static Key> + use<> {
    let keys = keys::section(section).map_or(&[][..], |section| section.keys);
    keys.iter()
        .filter(|key| key.status == Status::Supported && !key.name.contains('*'))
}

fn is_supported(section: &str, name: &str) -> bool {
    settings(section).any(|key| key.name == name)
}

/// What is said of a key of `general_settings`, and where.
fn general(app: &App, key: &Key) -> (Value, &'static str) {
    let settings = app.catalogue.settings();
    let stored = settings.allowed_ips();
    if key.name == "allowed_ips" && !stored.is_empty() {
        return (json!(allowed_ips::all(app, stored)), "db");
    }
    found(&app.config.shown, GENERAL, key)
}

/// What is said of a key by the config, and where.
fn found(shown: &ShownSettings, section: &str, key: &Key) -> (Value, &'static str) {
    if let Some(value) = shown.written(section, key.name) {
        return (value.clone(), "config");
    }
    let by_variable = shown.by_variable(key.name).filter(|_| section == GENERAL);
    match by_variable {
        Some(value) => (value.clone(), "env"),
        None if default_of(key).is_null() => (Value::Null, "unset"),
        None => (Value::Null, "default"),
    }
}

/// As a value where it is one; else in words.
fn default_of(key: &Key) -> Value {
    if key.default.is_empty() {
        return Value::Null;
    }
    let as_value = serde_json::from_str(key.default);
    as_value.unwrap_or_else(|_words| key.default.trim_matches('`').into())
}

fn field_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "Boolean",
        Kind::Whole | Kind::PerMinute | Kind::Tokens | Kind::Bytes => "Integer",
        Kind::Number | Kind::Seconds | Kind::Megabytes | Kind::Usd | Kind::UsdPerToken => "Float",
        Kind::List | Kind::Texts | Kind::TextOrTexts => "List",
        Kind::Map => "TypedDictionary",
        Kind::Any | Kind::Path | Kind::Secret | Kind::Span | Kind::Text | Kind::Url => "String",
    }
}

/// `num_retries` as `Num Retries`.
fn title(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// One text or several.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => {
            let texts = items.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// What routing goes by.
fn current(app: &App) -> Map<String, Value> {
    let router = app.catalogue.settings().over(&app.config.router);
    values(&router, &app.shared.routing.load())
}

fn values(router: &RouterSettings, table: &RoutingTable) -> Map<String, Value> {
    let lists = |lists: &[(String, Vec<String>)]| -> Value {
        lists
            .iter()
            .map(|(group, targets)| json!({ group.as_str(): targets }))
            .collect()
    };
    let aliases: Map<String, Value> = router
        .model_group_alias
        .iter()
        .map(|(alias, group)| (alias.clone(), json!(group)))
        .collect();
    let budgets: Map<String, Value> = router
        .provider_budgets
        .iter()
        .map(|(provider, budget)| {
            let limit = budget.limit.normalize().to_string();
            let told = json!({"budget_limit": limit, "time_period": budget.written_period});
            (provider.clone(), told)
        })
        .collect();
    let secs = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let values = json!({
        "routing_strategy": table.strategy().as_str(),
        "num_retries": router.num_retries,
        "retry_after": router.retry_after.as_secs_f64(),
        "timeout": secs(router.timeout),
        "stream_timeout": secs(router.stream_timeout),
        "fallbacks": lists(&router.fallbacks),
        "context_window_fallbacks": router.context_window_fallbacks.as_deref().map(lists),
        "content_policy_fallbacks": router.content_policy_fallbacks.as_deref().map(lists),
        "default_fallbacks": router.default_fallbacks,
        "max_fallbacks": router.max_fallbacks,
        "allowed_fails": router.allowed_fails,
        "cooldown_time": router.cooldown_time.as_secs_f64(),
        "disable_cooldowns": router.disable_cooldowns,
        "model_group_alias": aliases,
        "enable_tag_filtering": router.enable_tag_filtering,
        "tag_filtering_match_any": router.tag_filtering_match_any,
        "enable_pre_call_checks": router.enable_pre_call_checks,
        "default_max_parallel_requests": router.default_max_parallel_requests,
        "provider_budget_config": budgets,
    });
    match values {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}
