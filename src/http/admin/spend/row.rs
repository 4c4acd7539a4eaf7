//! What a row of the books looks like to LiteLLM's users. Contract: `observability` §3.
//!
//! ```json
//! {"request_id":"chatcmpl-1","call_type":"acompletion","api_key":"…","spend":0.0125,"total_tokens":18,"prompt_tokens":11,
//!  "completion_tokens":7,"startTime":"2026-11-23T04:00:00Z","model":"gpt-5","user":"u1","status":"success","metadata":{…},…}
//! ```
//!
//! `id` is ours: the id of the row, which `trunkline` and the journal know it by. `request_id` is the answer's, or `id` where
//! no provider gave one. `spend` is null where the cost is unknown, which is not free.

use serde::Serialize;
use trunkline_actors::ids::{DeploymentId, KeyId, OrganisationId, RequestId, TeamId, UserId};
use trunkline_actors::ports::{Pieces, SpendRecord, SpendStatus, UsageParts};

use super::csv::Cell;
use super::transcript::{NOTHING, Said};
use crate::http::admin::PlainUsd;
use crate::http::time::iso;

/// A row.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    id: RequestId,
    request_id: String,
    call_type: &'a str,
    api_key: &'a str,
    spend: Option<PlainUsd>,
    total_tokens: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    #[serde(rename = "startTime")]
    start_time: Option<String>,
    #[serde(rename = "endTime")]
    end_time: Option<String>,
    #[serde(rename = "completionStartTime")]
    completion_start_time: Option<String>,
    request_duration_ms: u64,
    model: &'a str,
    model_id: &'a str,
    model_group: &'a str,
    custom_llm_provider: &'a str,
    api_base: &'a str,
    user: &'a str,
    metadata: Metadata<'a>,
    cache_hit: &'static str,
    request_tags: &'a [String],
    team_id: Option<&'a str>,
    organization_id: Option<&'a str>,
    end_user: Option<&'a str>,
    requester_ip_address: Option<&'a str>,
    status: &'static str,
    #[serde(flatten)]
    said: &'a Said,
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    user_api_key: &'a str,
    user_api_key_alias: Option<&'a str>,
    user_api_key_user_id: Option<&'a str>,
    user_api_key_team_id: Option<&'a str>,
    user_api_key_org_id: Option<&'a str>,
    user_api_key_end_user_id: Option<&'a str>,
    /// As on the books: `success`, `failure`, `unknown`, `adjustment`.
    status: &'static str,
    error_information: Option<ErrorInformation<'a>>,
    usage_object: &'a UsageParts,
    pieces: Option<&'a Pieces>,
    usage_estimated: bool,
    attempted_retries: u32,
    stream: bool,
    service_tier: Option<&'a str>,
    price_version: Option<&'a str>,
    price_id: Option<&'a str>,
    adjusts: Option<RequestId>,
}

#[derive(Debug, Serialize)]
struct ErrorInformation<'a> {
    error_code: &'a str,
}

// === impl Row ===

impl<'a> Row<'a> {
    pub(super) fn of(row: &'a SpendRecord) -> Self {
        let user = row.user.as_ref().map(UserId::as_str);
        let team = row.team.as_ref().map(TeamId::as_str);
        let organisation = row.organisation.as_ref().map(OrganisationId::as_str);
        let key = row.key.as_ref().map_or("", KeyId::as_str);
        let end_user = row.end_user.as_deref();
        Self {
            id: row.id,
            request_id: row
                .provider_request_id
                .clone()
                .unwrap_or_else(|| row.id.to_string()),
            call_type: &row.call_type,
            api_key: key,
            spend: row.cost.map(PlainUsd),
            total_tokens: row.usage.total_tokens,
            prompt_tokens: row.usage.prompt_tokens,
            completion_tokens: row.usage.completion_tokens,
            start_time: iso(row.started_at),
            end_time: iso(row.ended_at),
            completion_start_time: row.first_content_at.and_then(iso),
            request_duration_ms: row.ended_at.0.saturating_sub(row.started_at.0),
            model: &row.model,
            model_id: row.deployment.as_ref().map_or("", DeploymentId::as_str),
            model_group: row.model_group.as_str(),
            custom_llm_provider: &row.provider,
            api_base: row.api_base.as_deref().unwrap_or_default(),
            user: user.unwrap_or_default(),
            metadata: Metadata {
                user_api_key: key,
                user_api_key_alias: row.key_alias.as_deref(),
                user_api_key_user_id: user,
                user_api_key_team_id: team,
                user_api_key_org_id: organisation,
                user_api_key_end_user_id: end_user,
                status: word(row.status),
                error_information: row
                    .error_code
                    .as_deref()
                    .map(|error_code| ErrorInformation { error_code }),
                usage_object: &row.usage,
                pieces: row.pieces.as_ref(),
                usage_estimated: row.usage_estimated,
                attempted_retries: row.attempts.saturating_sub(1),
                stream: row.stream,
                service_tier: row.service_tier.as_deref(),
                price_version: row.price_version.as_deref(),
                price_id: row.price_id.as_deref(),
                adjusts: row.adjusts,
            },
            cache_hit: if row.cache_hit { "True" } else { "False" },
            request_tags: &row.tags,
            team_id: team,
            organization_id: organisation,
            end_user,
            requester_ip_address: row.client_ip.as_deref(),
            // LiteLLM knows these two.
            status: match row.status {
                SpendStatus::Success | SpendStatus::Adjustment => "success",
                SpendStatus::Failure | SpendStatus::Unknown => "failure",
            },
            said: &NOTHING,
        }
    }

    /// With what was said.
    pub(super) fn saying(self, said: Option<&'a Said>) -> Self {
        Self {
            said: said.unwrap_or(self.said),
            ..self
        }
    }

    /// The columns of a row in a table.
    pub(super) const COLUMNS: &'static [&'static str] = &[
        "startTime",
        "endTime",
        "request_id",
        "status",
        "spend",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "model_group",
        "model",
        "custom_llm_provider",
        "api_key",
        "key_alias",
        "user",
        "team_id",
        "organization_id",
        "end_user",
        "request_tags",
        "call_type",
        "cache_hit",
        "request_duration_ms",
        "id",
    ];

    /// The cells, one for each column.
    pub(super) fn cells(&self) -> Vec<Cell> {
        vec![
            self.start_time.clone().into(),
            self.end_time.clone().into(),
            self.request_id.as_str().into(),
            self.metadata.status.into(),
            self.spend.into(),
            self.prompt_tokens.into(),
            self.completion_tokens.into(),
            self.total_tokens.into(),
            self.model_group.into(),
            self.model.into(),
            self.custom_llm_provider.into(),
            self.api_key.into(),
            self.metadata.user_api_key_alias.into(),
            self.user.into(),
            self.team_id.into(),
            self.organization_id.into(),
            self.end_user.into(),
            self.request_tags.join(" ").into(),
            self.call_type.into(),
            self.cache_hit.into(),
            self.request_duration_ms.into(),
            self.id.to_string().into(),
        ]
    }
}

fn word(status: SpendStatus) -> &'static str {
    match status {
        SpendStatus::Success => "success",
        SpendStatus::Failure => "failure",
        SpendStatus::Unknown => "unknown",
        SpendStatus::Adjustment => "adjustment",
    }
}
