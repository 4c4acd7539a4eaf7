//! Records as bytes: CBOR with a number for each field.
//!
//! Records outlive the binary that wrote them. So a number is never given to another field, a field that is left out must
//! have a default, and one that this version does not know is skipped.
//!
//! ```text
//! {0: h'0199…', 2: "acompletion", 3: 0, 10: "gpt-4o", …, 17: [10, 0, …], 21: h'…', 30: [{0: "api_key", 1: "88dc…"}]}
//! ```

use std::sync::Arc;

use minicbor::{Decode, Encode, bytes};
use rust_decimal::Decimal;
use serde_json::json;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{
    DeploymentId, KeyId, ModelGroup, OrganisationId, RequestId, Subject, SubjectKind, TeamId,
    UserId,
};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{
    BudgetKey, BudgetName, JournalError, SpendRecord, SpendStatus, StartedRecord, UsageParts,
};

/// Most records have less.
const USUAL_BYTES: usize = 768;

/// [`StartedRecord`].
#[derive(Encode, Decode)]
#[cbor(map)]
struct Started<'a> {
    #[cbor(n(0), with = "bytes")]
    id: [u8; 16],
    #[n(1)]
    started_at: u64,
    #[n(2)]
    key: Option<&'a str>,
    #[n(3)]
    user: Option<&'a str>,
    #[n(4)]
    team: Option<&'a str>,
    #[n(5)]
    organisation: Option<&'a str>,
    #[n(6)]
    end_user: Option<&'a str>,
    #[b(7)]
    #[cbor(skip_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    #[n(8)]
    model_group: &'a str,
    #[n(9)]
    estimated_prompt_tokens: u64,
    #[cbor(n(10), with = "bytes")]
    estimated_input_cost: Option<[u8; 16]>,
    #[n(11)]
    call_type: &'a str,
    #[n(12)]
    stream: bool,
    #[b(13)]
    #[cbor(skip_if = "Vec::is_empty")]
    budgets: Vec<Window<'a>>,
}

/// [`SpendRecord`].
#[derive(Encode, Decode)]
#[cbor(map)]
struct Settled<'a> {
    #[cbor(n(0), with = "bytes")]
    id: [u8; 16],
    #[n(1)]
    provider_request_id: Option<&'a str>,
    #[n(2)]
    call_type: &'a str,
    #[n(3)]
    status: u8,
    #[n(4)]
    key: Option<&'a str>,
    #[n(5)]
    key_alias: Option<&'a str>,
    #[n(6)]
    user: Option<&'a str>,
    #[n(7)]
    team: Option<&'a str>,
    #[n(8)]
    organisation: Option<&'a str>,
    #[n(9)]
    end_user: Option<&'a str>,
    #[n(10)]
    model_group: &'a str,
    #[n(11)]
    model: &'a str,
    #[n(12)]
    deployment: Option<&'a str>,
    #[n(13)]
    provider: &'a str,
    #[n(14)]
    api_base: Option<&'a str>,
    #[n(15)]
    stream: bool,
    #[n(16)]
    started_at: u64,
    #[n(17)]
    usage: [u64; 12],
    #[n(18)]
    first_content_at: Option<u64>,
    #[n(19)]
    ended_at: u64,
    /// JSON, as in the books: few requests have any.
    #[n(20)]
    pieces: Option<String>,
    #[cbor(n(21), with = "bytes")]
    cost: Option<[u8; 16]>,
    #[n(22)]
    price_version: Option<&'a str>,
    #[n(23)]
    price_id: Option<&'a str>,
    #[n(24)]
    price_sheet: Option<&'a str>,
    #[cbor(n(25), with = "bytes")]
    adjusts: Option<[u8; 16]>,
    #[n(26)]
    attempts: u32,
    #[n(27)]
    error_code: Option<&'a str>,
    #[n(28)]
    service_tier: Option<&'a str>,
    #[b(29)]
    #[cbor(skip_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    #[b(30)]
    #[cbor(skip_if = "Vec::is_empty")]
    budgets: Vec<Window<'a>>,
    #[cbor(n(31), default)]
    usage_estimated: bool,
    #[cbor(n(32), default)]
    cache_hit: bool,
    #[n(33)]
    client_ip: Option<&'a str>,
}

/// [`BudgetKey`].
#[derive(Encode, Decode)]
#[cbor(map)]
struct Window<'a> {
    #[n(0)]
    kind: &'a str,
    #[n(1)]
    id: &'a str,
    #[n(2)]
    budget: &'a str,
    #[cbor(n(3), default)]
    generation: u64,
    #[cbor(n(4), default)]
    start: u64,
}

/// A `started` record as bytes, behind those in `out`.
pub(super) fn write_started(record: &StartedRecord, out: &mut Vec<u8>) -> Result<(), JournalError> {
    let fields = Started {
        id: record.id.to_bytes(),
        started_at: record.started_at.0,
        key: record.key.as_ref().map(KeyId::as_str),
        user: record.user.as_ref().map(UserId::as_str),
        team: record.team.as_ref().map(TeamId::as_str),
        organisation: record.organisation.as_ref().map(OrganisationId::as_str),
        end_user: record.end_user.as_deref(),
        tags: record.tags.iter().map(String::as_str).collect(),
        model_group: record.model_group.as_str(),
        estimated_prompt_tokens: record.estimated_prompt_tokens,
        estimated_input_cost: record.estimated_input_cost.map(amount),
        call_type: &record.call_type,
        stream: record.stream,
        budgets: record.budgets.iter().map(Window::of).collect(),
    };
    write(&fields, out)
}

/// A `settled` record as bytes, behind those in `out`.
pub(super) fn write_settled(record: &SpendRecord, out: &mut Vec<u8>) -> Result<(), JournalError> {
    let fields = Settled {
        id: record.id.to_bytes(),
        provider_request_id: record.provider_request_id.as_deref(),
        call_type: &record.call_type,
        status: code(record.status),
        key: record.key.as_ref().map(KeyId::as_str),
        key_alias: record.key_alias.as_deref(),
        user: record.user.as_ref().map(UserId::as_str),
        team: record.team.as_ref().map(TeamId::as_str),
        organisation: record.organisation.as_ref().map(OrganisationId::as_str),
        end_user: record.end_user.as_deref(),
        model_group: record.model_group.as_str(),
        model: &record.model,
        deployment: record.deployment.as_ref().map(DeploymentId::as_str),
        provider: &record.provider,
        api_base: record.api_base.as_deref(),
        stream: record.stream,
        started_at: record.started_at.0,
        usage: parts(&record.usage),
        first_content_at: record.first_content_at.map(|at| at.0),
        ended_at: record.ended_at.0,
        pieces: record
            .pieces
            .as_ref()
            .map(|pieces| json!(pieces).to_string()),
        cost: record.cost.map(amount),
        price_version: record.price_version.as_deref(),
        price_id: record.price_id.as_deref(),
        price_sheet: record.price_sheet.as_deref(),
        adjusts: record.adjusts.map(RequestId::to_bytes),
        attempts: record.attempts,
        error_code: record.error_code.as_deref(),
        service_tier: record.service_tier.as_deref(),
        tags: record.tags.iter().map(String::as_str).collect(),
        budgets: record.budgets.iter().map(Window::of).collect(),
        usage_estimated: record.usage_estimated,
        cache_hit: record.cache_hit,
        client_ip: record.client_ip.as_deref(),
    };
    write(&fields, out)
}

/// Reads a `started` record; `None` for one that cannot be read.
pub(super) fn read_started(bytes: &[u8]) -> Option<StartedRecord> {
    let fields: Started<'_> = minicbor::decode(bytes).ok()?;
    Some(StartedRecord {
        id: RequestId::from_bytes(fields.id),
        started_at: UnixMs(fields.started_at),
        key: fields.key.map(KeyId::from),
        user: fields.user.map(UserId::from),
        team: fields.team.map(TeamId::from),
        organisation: fields.organisation.map(OrganisationId::from),
        end_user: fields.end_user.map(str::to_owned),
        tags: owned(&fields.tags),
        model_group: ModelGroup::from(fields.model_group),
        estimated_prompt_tokens: fields.estimated_prompt_tokens,
        estimated_input_cost: fields.estimated_input_cost.map(usd),
        call_type: fields.call_type.to_owned(),
        stream: fields.stream,
        budgets: windows(fields.budgets)?,
    })
}

/// Reads a `settled` record; `None` for one that cannot be read.
pub(super) fn read_settled(bytes: &[u8]) -> Option<SpendRecord> {
    let fields: Settled<'_> = minicbor::decode(bytes).ok()?;
    Some(SpendRecord {
        id: RequestId::from_bytes(fields.id),
        provider_request_id: fields.provider_request_id.map(str::to_owned),
        call_type: fields.call_type.to_owned(),
        status: status(fields.status)?,
        key: fields.key.map(KeyId::from),
        key_alias: fields.key_alias.map(str::to_owned),
        user: fields.user.map(UserId::from),
        team: fields.team.map(TeamId::from),
        organisation: fields.organisation.map(OrganisationId::from),
        end_user: fields.end_user.map(str::to_owned),
        client_ip: fields.client_ip.map(str::to_owned),
        model_group: ModelGroup::from(fields.model_group),
        model: fields.model.to_owned(),
        deployment: fields.deployment.map(DeploymentId::from),
        provider: fields.provider.to_owned(),
        api_base: fields.api_base.map(str::to_owned),
        stream: fields.stream,
        started_at: UnixMs(fields.started_at),
        first_content_at: fields.first_content_at.map(UnixMs),
        ended_at: UnixMs(fields.ended_at),
        usage: usage(fields.usage),
        pieces: fields
            .pieces
            .and_then(|json| serde_json::from_str(&json).ok()),
        service_tier: fields.service_tier.map(str::to_owned),
        usage_estimated: fields.usage_estimated,
        cost: fields.cost.map(usd),
        price_version: fields.price_version.map(str::to_owned),
        price_id: fields.price_id.map(Arc::from),
        price_sheet: fields.price_sheet.map(Arc::from),
        adjusts: fields.adjusts.map(RequestId::from_bytes),
        cache_hit: fields.cache_hit,
        attempts: fields.attempts,
        error_code: fields.error_code.map(str::to_owned),
        tags: owned(&fields.tags),
        budgets: windows(fields.budgets)?,
    })
}

fn write(fields: &impl Encode<()>, out: &mut Vec<u8>) -> Result<(), JournalError> {
    out.reserve(USUAL_BYTES);
    minicbor::encode(fields, out).map_err(|err| JournalError::Record {
        reason: err.to_string(),
    })
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn windows(fields: Vec<Window<'_>>) -> Option<Vec<BudgetKey>> {
    fields.into_iter().map(Window::key).collect()
}

/// The decimal's own bytes.
fn amount(usd: Usd) -> [u8; 16] {
    usd.as_decimal().serialize()
}

fn usd(amount: [u8; 16]) -> Usd {
    Usd::rounded(Decimal::deserialize(amount))
}

fn parts(usage: &UsageParts) -> [u64; 12] {
    [
        usage.input_uncached,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.audio_input,
        usage.image_input,
        usage.output_text,
        usage.reasoning,
        usage.audio_output,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
    ]
}

fn usage(parts: [u64; 12]) -> UsageParts {
    let mut usage = UsageParts::default();
    [
        usage.input_uncached,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.audio_input,
        usage.image_input,
        usage.output_text,
        usage.reasoning,
        usage.audio_output,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
    ] = parts;
    usage
}

fn code(status: SpendStatus) -> u8 {
    match status {
        SpendStatus::Success => 0,
        SpendStatus::Failure => 1,
        SpendStatus::Unknown => 2,
        SpendStatus::Adjustment => 3,
    }
}

fn status(code: u8) -> Option<SpendStatus> {
    match code {
        0 => Some(SpendStatus::Success),
        1 => Some(SpendStatus::Failure),
        2 => Some(SpendStatus::Unknown),
        3 => Some(SpendStatus::Adjustment),
        _ => None,
    }
}

// === impl Window ===

impl<'a> Window<'a> {
    fn of(key: &'a BudgetKey) -> Self {
        Self {
            kind: key.subject.kind.as_str(),
            id: &key.subject.id,
            budget: key.budget.as_str(),
            generation: key.generation,
            start: key.window_start.0,
        }
    }

    fn key(self) -> Option<BudgetKey> {
        Some(BudgetKey {
            subject: Subject::new(SubjectKind::named(self.kind)?, self.id),
            budget: BudgetName::new(self.budget),
            generation: self.generation,
            window_start: UnixMs(self.start),
        })
    }
}

#[cfg(test)]
mod tests {
    use trunkline_actors::ports::Pieces;

    use super::*;

    fn started() -> StartedRecord {
        StartedRecord {
            key: Some(KeyId::from("k")),
            user: Some(UserId::from("u")),
            team: Some(TeamId::from("t")),
            organisation: Some(OrganisationId::from("o")),
            end_user: Some("e".to_owned()),
            tags: vec!["a".to_owned(), "b".to_owned()],
            estimated_prompt_tokens: 300,
            estimated_input_cost: Some(Usd::from_pico(1_234_567)),
            stream: true,
            budgets: vec![BudgetKey {
                subject: Subject::new(SubjectKind::Team, "t"),
                budget: BudgetName::window("1d"),
                generation: 7,
                window_start: UnixMs(1_764_000_000_000),
            }],
            ..StartedRecord::new(
                RequestId::generate(1_764_000_000_000, 5),
                ModelGroup::new("g"),
                "acompletion",
            )
        }
    }

    fn settled(status: SpendStatus) -> SpendRecord {
        let id = RequestId::generate(1_764_000_000_000, 5);
        let text = |text: &str| Some(text.to_owned());
        SpendRecord {
            provider_request_id: text("p"),
            status,
            key_alias: text("alias"),
            client_ip: text("192.0.2.1"),
            model: "m".to_owned(),
            deployment: Some(DeploymentId::from("d")),
            provider: "openai".to_owned(),
            api_base: text("https://api.openai.com/v1"),
            first_content_at: Some(UnixMs(1_764_000_000_100)),
            ended_at: UnixMs(1_764_000_000_200),
            usage: usage([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, u64::MAX]),
            pieces: Some(Pieces {
                images_out: 2,
                seconds_in: Decimal::new(15, 1),
                ..Pieces::default()
            }),
            service_tier: text("flex"),
            usage_estimated: true,
            cost: Some(Usd::ZERO - Usd::from_pico(8_765_432)),
            price_version: text("2026-11-22"),
            price_id: Some(Arc::from("price")),
            price_sheet: Some(Arc::from("sheet")),
            adjusts: Some(id),
            cache_hit: true,
            attempts: 3,
            error_code: text("timeout"),
            ..SpendRecord::of(started())
        }
    }

    fn bytes_of<T>(record: &T, write: fn(&T, &mut Vec<u8>) -> Result<(), JournalError>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(record, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_record_with_everything_comes_back_and_so_does_one_with_nothing() {
        let plain = StartedRecord::new(
            RequestId::generate(1, 1),
            ModelGroup::new("g"),
            "aembedding",
        );
        for record in [started(), plain.clone()] {
            let bytes = bytes_of(&record, write_started);
            assert_eq!(read_started(&bytes), Some(record));
        }
        let statuses = [
            SpendStatus::Success,
            SpendStatus::Failure,
            SpendStatus::Unknown,
            SpendStatus::Adjustment,
        ];
        let all = statuses.map(settled);
        for record in all.into_iter().chain([SpendRecord::of(plain)]) {
            let bytes = bytes_of(&record, write_settled);
            assert_eq!(read_settled(&bytes), Some(record));
        }
    }

    // A journal outlives the binary: these bytes must be read for as long as there is one, whatever is written by then.
    #[test]
    fn what_the_first_version_wrote_is_read() {
        let (first_started, first_settled) = (
            include_str!("../../tests/fixtures/journal/started.hex"),
            include_str!("../../tests/fixtures/journal/settled.hex"),
        );
        let read = |text: &str| hex::decode(text.trim()).unwrap();
        assert_eq!(read_started(&read(first_started)), Some(started()));
        let record = settled(SpendStatus::Success);
        assert_eq!(read_settled(&read(first_settled)), Some(record));
    }

    #[test]
    fn a_field_that_only_a_later_version_knows_is_skipped() {
        let mut bytes = bytes_of(&started(), write_started);
        // A map of up to 23 fields has its length in the first byte; one more, of number 23: a text.
        assert_eq!(bytes[0], 0xa0 + 14);
        bytes[0] += 1;
        bytes.extend([23, 0x61, b'x']);
        assert_eq!(read_started(&bytes), Some(started()));
        assert_eq!(read_started(&bytes[..20]), None, "cut off");
    }
}
