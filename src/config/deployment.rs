//! One entry of `model_list` as one deployment (or several: a list of organisations, or `*`).

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::connection::{self, Connection};
use super::env::Env;
use super::env_refs::Missing;
use super::error::NoticeKind;
use super::health;
use super::keys;
use super::model::{DeploymentConfig, ModelInfo, RoutingHint, TeamModel};
use super::prices;
use super::raw::{RawEntry, RawInfo, RawParams};
use super::report::Report;
use super::routing;
use super::section;
use super::support::Within;
use super::targets::targets;
use super::yaml::{KeyPath, Node};

/// What an entry is read against.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) env: &'a dyn Env,
    pub(super) missing: &'a [Missing],
    /// Whether a bare name is one of OpenAI's catalogue.
    pub(super) known_openai: &'a dyn Fn(&str) -> bool,
}

/// Where an upstream would be if a mocked deployment had one; `.invalid` never resolves.
const MOCK_BASE: &str = "http://mock.invalid/v1";

/// Reads the entry at `path`. `written` is the same entry before `os.environ/` was resolved.
pub(super) fn read(
    node: &Node,
    written: &Node,
    path: &KeyPath,
    context: Context<'_>,
    report: &mut Report<'_>,
) -> Vec<DeploymentConfig> {
    if !matches!(node, Node::Map(_)) {
        let what = format!("expected a mapping, found {}", node.describe());
        report.problem(
            path,
            what,
            "write `model_name:` and `litellm_params:` under one `-`",
        );
        return Vec::new();
    }
    let entry: RawEntry = section::read(node, path, report);
    let params_path = path.key("litellm_params");
    let info_path = path.key("model_info");
    let empty = Node::Null;
    let params_node = node.get("litellm_params").unwrap_or(&empty);
    let info_node = node.get("model_info").unwrap_or(&empty);
    let mut defaults = Map::new();
    let params: RawParams =
        section::read_with(params_node, &params_path, Within::Live, report, |tail| {
            keep_unknown(params_node, tail, &mut defaults);
        });
    let mut rest = Map::new();
    let info: RawInfo = section::read_with(info_node, &info_path, Within::Live, report, |tail| {
        if let (Some(key), Some(value)) = (tail.last_key(), info_node.at(tail)) {
            rest.insert(key.to_owned(), value.to_json());
        }
    });
    let price = prices::read(params_node, &params_path, report)
        .or(&prices::read(info_node, &info_path, report));

    let model_name = required(
        entry.model_name.as_deref(),
        path,
        "model_name",
        "gpt-4o",
        report,
    );
    let model = required(
        params.model.as_deref(),
        &params_path,
        "model",
        "openai/gpt-4o",
        report,
    );
    let (Some(model_name), Some(model)) = (model_name, model) else {
        return Vec::new();
    };
    check_numbers(&params, &params_path, report);
    section::seconds_above_zero(
        info.health_check_timeout,
        &info_path.key("health_check_timeout"),
        report,
    );
    let budget = routing::budget(
        params.max_budget.as_deref(),
        &params_path.key("max_budget"),
        params.budget_duration.as_deref(),
        &params_path.key("budget_duration"),
        report,
    );

    let mock = params.mock_response.0.clone();
    let targets = targets(
        &model,
        &params,
        mock.is_some(),
        &params_path,
        context,
        report,
    );
    let single = targets.len() == 1;
    let team = team_model(&info, &model_name, &model, &info_path, report);
    let group = team.as_ref().map_or(model_name, TeamModel::group);
    let organisations = organisations(&params, &params_path, report);
    let extra_body = extra_body(params_node, &params_path, report);
    let routing_hint = match info.mode.as_deref().map(str::trim) {
        Some("fallback") => Some(RoutingHint::Fallback),
        Some("loadbalance") => Some(RoutingHint::LoadBalance),
        _ => None,
    };
    let stream_resume = stream_resume(&params, &params_path, report);
    let mut deployments = Vec::new();
    for (provider, upstream_model) in targets {
        let connection = if mock.is_some() {
            connection::fixed(MOCK_BASE)
        } else {
            connection::of(provider, &params, &params_path, context, report)
        };
        let Some(Connection {
            api_base,
            api_key,
            extra_headers,
        }) = connection
        else {
            continue;
        };
        for organization in &organisations {
            let name = if single {
                group.clone()
            } else {
                format!("{}/*", provider.name)
            };
            deployments.push(DeploymentConfig {
                id: match &info.id {
                    Some(id) if single && organisations.len() == 1 => id.clone(),
                    _ => stable_id(&[
                        &name,
                        provider.name,
                        organization.as_deref().unwrap_or_default(),
                        info.id.as_deref().unwrap_or_default(),
                        &written
                            .get("litellm_params")
                            .map(Node::to_json)
                            .unwrap_or_default()
                            .to_string(),
                    ]),
                },
                model_name: name,
                provider,
                upstream_model: upstream_model.clone(),
                api_key: api_key.clone(),
                api_base: api_base.clone(),
                organization: organization.clone().or_else(|| {
                    (provider.name == "openai")
                        .then(|| context.env.var("OPENAI_ORGANIZATION"))
                        .flatten()
                }),
                extra_headers: extra_headers.clone(),
                extra_body: extra_body.clone(),
                defaults: defaults.clone(),
                timeout_secs: params.timeout,
                stream_timeout_secs: params.stream_timeout,
                weight: params.weight,
                rpm: params.rpm.or(entry.rpm),
                tpm: params.tpm.or(entry.tpm),
                order: params.order,
                max_parallel_requests: params.max_parallel_requests,
                cooldown_time_secs: params.cooldown_time.or(info.cooldown_time),
                num_retries: params.num_retries,
                allowed_fails: info.allowed_fails,
                allowed_fails_policy: (&info.allowed_fails_policy).into(),
                tags: params.tags.clone(),
                blocked: info.blocked.unwrap_or(false),
                team: team.clone(),
                stored_as: None,
                budget: budget.clone(),
                stream_resume,
                drop_params: params.drop_params,
                additional_drop_params: params.additional_drop_params.clone(),
                allowed_openai_params: params.allowed_openai_params.clone(),
                prices: price.clone(),
                mock_response: mock.clone(),
                model_info: ModelInfo {
                    mode: info.mode.clone().filter(|_| routing_hint.is_none()),
                    routing_hint,
                    base_model: info
                        .base_model
                        .clone()
                        .or_else(|| params.base_model.clone()),
                    access_groups: info.access_groups.clone(),
                    max_tokens: info.max_tokens,
                    max_input_tokens: info.max_input_tokens,
                    max_output_tokens: info.max_output_tokens,
                    checks: health::of_deployment(&info, provider.name),
                    rest: rest.clone(),
                },
            });
        }
    }
    deployments
}

/// SHA-256 (hex) over `parts`, each ended by a byte that no part holds.
pub(super) fn stable_id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

/// Says that the entry is left out.
pub(super) fn skip(report: &mut Report<'_>, path: &KeyPath, what: &str, fix: &str) {
    report.notice(
        NoticeKind::SkippedDeployment,
        path,
        format!("this deployment is left out: {what}; {fix}"),
    );
}

/// A parameter that the gateway does not know goes into the provider's body.
fn keep_unknown(params: &Node, tail: &KeyPath, defaults: &mut Map<String, Value>) {
    let (Some(name), Some(value)) = (tail.last_key(), params.at(tail)) else {
        return;
    };
    // Null means "not given", as an unset variable does.
    if *value != Node::Null && keys::key(&format!("model_list.litellm_params.{name}")).is_none() {
        defaults.insert(name.to_owned(), value.to_json());
    }
}

fn required(
    value: Option<&str>,
    path: &KeyPath,
    key: &str,
    sample: &str,
    report: &mut Report<'_>,
) -> Option<String> {
    match value.map(str::trim) {
        Some("") | None => {
            report.problem(
                &path.key(key),
                "is missing",
                format!("write `{key}: {sample}`"),
            );
            None
        }
        Some(text) if text.chars().any(char::is_control) => {
            report.problem(
                &path.key(key),
                "holds a control character",
                format!("write `{key}: {sample}`"),
            );
            None
        }
        Some(text) => Some(text.to_owned()),
    }
}

/// Whose it is.
fn team_model(
    info: &RawInfo,
    model_name: &str,
    model: &str,
    path: &KeyPath,
    report: &mut Report<'_>,
) -> Option<TeamModel> {
    let said = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim)?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let team = TeamModel {
        team_id: said(&info.team_id)?,
        public_name: said(&info.team_public_model_name).unwrap_or_else(|| model_name.to_owned()),
    };
    if team.public_name.contains('*') || model.contains('*') {
        report.problem(
            &path.key("team_id"),
            "is a team's, and stands for many models",
            "write one entry for each model of the team",
        );
    }
    let texts = [&team.team_id, &team.public_name];
    if texts.iter().any(|text| text.chars().any(char::is_control)) {
        report.problem(
            &path.key("team_id"),
            "or the team's name for the model holds a control character",
            "write both in one line",
        );
    }
    Some(team)
}

/// One deployment each.
fn organisations(
    params: &RawParams,
    path: &KeyPath,
    report: &mut Report<'_>,
) -> Vec<Option<String>> {
    let names = &params.organization.0;
    if names.iter().any(|name| !connection::is_header_value(name)) {
        report.problem(
            &path.key("organization"),
            "holds a character that no header can carry",
            "write the organisation's id, such as `org-…`",
        );
    }
    if names.is_empty() {
        return vec![None];
    }
    names.iter().cloned().map(Some).collect()
}

fn check_numbers(params: &RawParams, path: &KeyPath, report: &mut Report<'_>) {
    for (key, value) in [
        ("timeout", params.timeout),
        ("stream_timeout", params.stream_timeout),
    ] {
        section::seconds_above_zero(value, &path.key(key), report);
    }
    for (key, value) in [
        ("weight", params.weight),
        ("cooldown_time", params.cooldown_time),
    ] {
        if value.is_some_and(|value| value < 0.0) {
            report.problem(&path.key(key), "is below zero", "write 0 or more");
        }
    }
    if params.max_parallel_requests == Some(0) {
        report.problem(
            &path.key("max_parallel_requests"),
            "would admit nothing",
            "write 1 or more, or remove the key",
        );
    }
}

fn stream_resume(params: &RawParams, path: &KeyPath, report: &mut Report<'_>) -> bool {
    match params.stream_resume.as_deref() {
        None => false,
        Some("prefill") => true,
        Some(word) => {
            report.problem(
                &path.key("stream_resume"),
                format!("`{word}` is no way to resume a stream"),
                "write `prefill`, or remove the key",
            );
            false
        }
    }
}

/// `extra_body` as written.
fn extra_body(params: &Node, path: &KeyPath, report: &mut Report<'_>) -> Map<String, Value> {
    let value = match params.get("extra_body") {
        None | Some(Node::Null) => return Map::new(),
        Some(node @ Node::Map(_)) => node.to_json(),
        Some(other) => {
            let what = format!("expected a mapping, found {}", other.describe());
            report.problem(
                &path.key("extra_body"),
                what,
                "write `key: value` lines, indented",
            );
            return Map::new();
        }
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
