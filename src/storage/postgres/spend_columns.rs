//! What goes into the books, by column: the shape in which a batch is sent, as one JSON array, and read by the types of the
//! table. Money goes as text, which is exact.

use jiff::civil::Date;
use serde::Serialize;
use trunkline_actors::ids::{DeploymentId, KeyId, OrganisationId, RequestId, TeamId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, Pieces, SpendRecord};

use super::convert::date;
use crate::storage::books::{Counts, Sum, day, integer, status, tokens};

/// One row of `spend_logs`, by column.
#[derive(Debug, Serialize)]
pub(super) struct RowColumns<'a> {
    day: Date,
    pub(super) id: String,
    request_id: Option<&'a str>,
    call_type: &'a str,
    status: &'static str,
    key_id: Option<&'a str>,
    key_alias: Option<&'a str>,
    user_id: Option<&'a str>,
    end_user: Option<&'a str>,
    model_group: &'a str,
    model: &'a str,
    deployment: Option<&'a str>,
    provider: &'a str,
    api_base: Option<&'a str>,
    stream: bool,
    started_at: i64,
    first_content_at: Option<i64>,
    ended_at: i64,
    input_uncached: i64,
    cache_read: i64,
    cache_write_5m: i64,
    cache_write_1h: i64,
    audio_input: i64,
    image_input: i64,
    output_text: i64,
    reasoning: i64,
    audio_output: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    total_tokens: i64,
    usage_estimated: bool,
    cost: Option<Usd>,
    price_version: Option<&'a str>,
    cache_hit: bool,
    attempts: u32,
    error_code: Option<&'a str>,
    tags: &'a [String],
    team_id: Option<&'a str>,
    organization_id: Option<&'a str>,
    client_ip: Option<&'a str>,
    pieces: Option<&'a Pieces>,
    service_tier: Option<&'a str>,
    price_id: Option<&'a str>,
    adjusts: Option<RequestId>,
    budgets: &'a [BudgetKey],
}

/// One line of a roll-up, by column.
#[derive(Debug, Serialize)]
pub(super) struct LineColumns<'a, K> {
    #[serde(flatten)]
    key: &'a K,
    requests: i64,
    successful: i64,
    failed: i64,
    unpriced: i64,
    cache_hits: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    duration_ms: i64,
    spend: Usd,
}

/// One line of `prices`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct PriceColumns<'a> {
    id: &'a str,
    sheet: &'a str,
}

/// One line of `balances`, by column.
#[derive(Debug, Serialize)]
pub(super) struct BalanceColumns<'a> {
    subject_kind: &'static str,
    subject_id: &'a str,
    budget_id: &'a str,
    generation: i64,
    window_start: i64,
    charged: Usd,
    unpriced: i64,
    seeded: Usd,
    seeded_unpriced: i64,
}

// === impl RowColumns ===

impl<'a> RowColumns<'a> {
    pub(super) fn of(row: &'a SpendRecord, cost: Option<Usd>) -> Self {
        let usage = &row.usage;
        Self {
            day: date(day(row.id.unix_ms())),
            id: row.id.to_string(),
            request_id: row.provider_request_id.as_deref(),
            call_type: &row.call_type,
            status: status(row.status),
            key_id: row.key.as_ref().map(KeyId::as_str),
            key_alias: row.key_alias.as_deref(),
            user_id: row.user.as_ref().map(UserId::as_str),
            end_user: row.end_user.as_deref(),
            model_group: row.model_group.as_str(),
            model: &row.model,
            deployment: row.deployment.as_ref().map(DeploymentId::as_str),
            provider: &row.provider,
            api_base: row.api_base.as_deref(),
            stream: row.stream,
            started_at: integer(row.started_at.0),
            first_content_at: row.first_content_at.map(|at| integer(at.0)),
            ended_at: integer(row.ended_at.0),
            input_uncached: tokens(usage.input_uncached),
            cache_read: tokens(usage.cache_read),
            cache_write_5m: tokens(usage.cache_write_5m),
            cache_write_1h: tokens(usage.cache_write_1h),
            audio_input: tokens(usage.audio_input),
            image_input: tokens(usage.image_input),
            output_text: tokens(usage.output_text),
            reasoning: tokens(usage.reasoning),
            audio_output: tokens(usage.audio_output),
            prompt_tokens: tokens(usage.prompt_tokens),
            completion_tokens: tokens(usage.completion_tokens),
            total_tokens: tokens(usage.total_tokens),
            usage_estimated: row.usage_estimated,
            cost,
            price_version: row.price_version.as_deref(),
            cache_hit: row.cache_hit,
            attempts: row.attempts,
            error_code: row.error_code.as_deref(),
            tags: &row.tags,
            team_id: row.team.as_ref().map(TeamId::as_str),
            organization_id: row.organisation.as_ref().map(OrganisationId::as_str),
            client_ip: row.client_ip.as_deref(),
            pieces: row.pieces.as_ref(),
            service_tier: row.service_tier.as_deref(),
            price_id: row.price_id.as_deref(),
            adjusts: row.adjusts,
            budgets: &row.budgets,
        }
    }
}

// === impl LineColumns ===

impl<'a, K> LineColumns<'a, K> {
    pub(super) fn of(key: &'a K, counts: &Counts) -> Self {
        Self {
            key,
            requests: counts.requests,
            successful: counts.successful,
            failed: counts.failed,
            unpriced: counts.sum.unpriced,
            cache_hits: counts.cache_hits,
            prompt_tokens: counts.prompt_tokens,
            completion_tokens: counts.completion_tokens,
            cache_read_tokens: counts.cache_read_tokens,
            cache_write_tokens: counts.cache_write_tokens,
            duration_ms: counts.duration_ms,
            spend: counts.sum.spend,
        }
    }
}

// === impl PriceColumns ===

impl<'a> PriceColumns<'a> {
    /// The price that the row was made with, where the row says what it is.
    pub(super) fn of(row: &'a SpendRecord) -> Option<Self> {
        Some(Self {
            id: row.price_id.as_deref()?,
            sheet: row.price_sheet.as_deref()?,
        })
    }
}

// === impl BalanceColumns ===

impl<'a> BalanceColumns<'a> {
    pub(super) fn of(key: &'a BudgetKey, charge: Sum, seed: Sum) -> Self {
        Self {
            subject_kind: key.subject.kind.as_str(),
            subject_id: &key.subject.id,
            budget_id: key.budget.as_str(),
            generation: integer(key.generation),
            window_start: integer(key.window_start.0),
            charged: charge.spend + seed.spend,
            unpriced: charge.unpriced.saturating_add(seed.unpriced),
            seeded: seed.spend,
            seeded_unpriced: seed.unpriced,
        }
    }
}
