//! What an answer says of its cost: headers where it is whole, a comment before the last event where it is a stream.
//!
//! ```text
//! x-trunkline-request-id: 01JD…
//! x-trunkline-usage: input=12;cache_read=3;output=40
//! x-trunkline-price-version: 2026-11-22
//! x-trunkline-budget-remaining: api_key;remaining=1.25
//!
//! : trunkline {"id":"01JD…","cost":0.00045,"usage":{"input":12,"output":40},"estimated":false,"price_version":"2026-11-22",
//!              "price_id":"9f2c…","remaining_budget":{"subject":"api_key","remaining":1.25}}
//! ```
//!
//! Clients do not see comments: the rules of server-sent events have them ignored. What is not known is left out of the
//! headers and null in the comment. Sums are decimals from end to end.

use std::fmt::{self, Write as _};

use awc::http::header::HeaderName;
use bytes::Bytes;
use itoa::Buffer;
use trunkline_actors::ids::RequestId;
use trunkline_actors::spend_ledger::Balance;
use trunkline_wire::usage::Usage;

use super::headers::HeaderWriter;
use super::settle::Settled;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-trunkline-request-id");
const USAGE: HeaderName = HeaderName::from_static("x-trunkline-usage");
const PRICE_VERSION: HeaderName = HeaderName::from_static("x-trunkline-price-version");
const BUDGET_REMAINING: HeaderName = HeaderName::from_static("x-trunkline-budget-remaining");

/// Adds the headers; `settled` is known for whole answers only, `tightest` is the budget with the least left in it.
pub(super) fn headers(
    id: RequestId,
    settled: Option<&Settled>,
    tightest: Option<&Balance>,
    out: &mut HeaderWriter,
) {
    // Writing to a string cannot fail.
    out.add(REQUEST_ID, |text| write!(text, "{id}").unwrap_or_default());
    if let Some(settled) = settled {
        if settled.usage_estimated || parts(&settled.usage).next().is_some() {
            out.add(USAGE, |text| {
                usage(text, &settled.usage);
                if settled.usage_estimated {
                    text.push_str(";estimated");
                }
            });
        }
        if let Some(priced) = &settled.priced {
            out.add(PRICE_VERSION, |text| text.push_str(priced.list_version()));
        }
    }
    if let Some(balance) = tightest {
        out.add(BUDGET_REMAINING, |text| {
            text.push_str(balance.key().subject.kind.as_str());
            let budget = balance.key().budget.as_str();
            if !budget.is_empty() {
                text.extend([";budget=", budget]);
            }
            text.push_str(";remaining=");
            let remaining = balance.snapshot().remaining();
            remaining.write_to(text).unwrap_or_default();
        });
    }
}

/// The comment and behind it `last`, the last event of the stream.
pub(super) fn comment(
    id: RequestId,
    settled: &Settled,
    tightest: Option<&Balance>,
    last: &[u8],
) -> Bytes {
    let mut text = String::with_capacity(512);
    comment_text(&mut text, id, settled, tightest).unwrap_or_default();
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(last);
    Bytes::from(bytes)
}

fn comment_text(
    text: &mut String,
    id: RequestId,
    settled: &Settled,
    tightest: Option<&Balance>,
) -> fmt::Result {
    write!(text, ": trunkline {{\"id\":\"{id}\",\"cost\":")?;
    match &settled.cost {
        Some(cost) => write!(text, "{}", cost.total)?,
        None => text.push_str("null"),
    }
    text.push_str(",\"usage\":{");
    let mut between = "";
    for (name, tokens) in parts(&settled.usage) {
        write!(text, "{between}\"{name}\":{tokens}")?;
        between = ",";
    }
    write!(text, "}},\"estimated\":{}", settled.usage_estimated)?;
    match &settled.priced {
        Some(priced) => write!(
            text,
            ",\"price_version\":{},\"price_id\":\"{}\"",
            priced.version, priced.sheet.id
        )?,
        None => text.push_str(",\"price_version\":null,\"price_id\":null"),
    }
    let Some(balance) = tightest else {
        text.push_str(",\"remaining_budget\":null}\n\n");
        return Ok(());
    };
    let key = balance.key();
    let kind = key.subject.kind;
    write!(text, ",\"remaining_budget\":{{\"subject\":\"{kind}\"")?;
    if !key.budget.is_own() {
        let budget = serde_json::Value::from(key.budget.as_str());
        write!(text, ",\"budget\":{budget}")?;
    }
    let remaining = balance.snapshot().remaining();
    write!(text, ",\"remaining\":{remaining}}}}}\n\n")
}

/// `input=12;output=40`: the parts that were used.
fn usage(text: &mut String, usage: &Usage) {
    let mut between = "";
    for (name, tokens) in parts(usage) {
        text.extend([between, name, "=", Buffer::new().format(tokens)]);
        between = ";";
    }
}

/// The parts that were used, under the names that prices have for them.
fn parts(usage: &Usage) -> impl Iterator<Item = (&'static str, u64)> {
    [
        ("input", usage.input_uncached),
        ("cache_read", usage.cache_read),
        ("cache_write_5m", usage.cache_write_5m),
        ("cache_write_1h", usage.cache_write_1h),
        ("audio_input", usage.audio_input),
        ("image_input", usage.image_input),
        ("output", usage.output_text),
        ("reasoning", usage.reasoning),
        ("audio_output", usage.audio_output),
    ]
    .into_iter()
    .filter_map(|(name, tokens)| Some((name, tokens?)))
    .filter(|(_, tokens)| *tokens > 0)
}
