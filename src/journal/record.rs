//! What a frame's payload holds: one type byte, then the record in its `layout`.
//!
//! A record that is too large is not refused: what clients and providers wrote into it is cut until it fits.

use trunkline_actors::ports::{JournalError, SpendRecord, StartedRecord, UsageParts};

use super::frame::MAX_PAYLOAD_BYTES;
use super::layout;

// 1 and 2 were other layouts.
const STARTED: u8 = 3;
const SETTLED: u8 = 4;

/// Characters that are left of each free text, and tags and budgets that are left, at each attempt to make a record fit.
/// The last one does unless the operator's own names are kilobytes long.
const CUTS: [Cut; 3] = [
    Cut {
        chars: 256,
        tags: 8,
        budgets: usize::MAX,
    },
    Cut {
        chars: 64,
        tags: 0,
        budgets: usize::MAX,
    },
    Cut {
        chars: 16,
        tags: 0,
        budgets: 4,
    },
];

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time on the stack; a box would be an allocation per record"
)]
pub(super) enum Record {
    Started(StartedRecord),
    Settled(SpendRecord),
}

#[derive(Clone, Copy)]
struct Cut {
    chars: usize,
    tags: usize,
    budgets: usize,
}

/// The payload of a `started` record.
pub(super) fn started(record: &StartedRecord) -> Result<Vec<u8>, JournalError> {
    fit(STARTED, record, layout::write_started, |cut| {
        let mut record = record.clone();
        cut.shorten(&mut record.call_type);
        record
            .end_user
            .iter_mut()
            .for_each(|text| cut.shorten(text));
        record.tags.truncate(cut.tags);
        record.tags.iter_mut().for_each(|tag| cut.shorten(tag));
        record.budgets.truncate(cut.budgets);
        record
    })
}

/// The payload of a `settled` record.
pub(super) fn settled(record: &SpendRecord) -> Result<Vec<u8>, JournalError> {
    fit(SETTLED, record, layout::write_settled, |cut| {
        let mut record = record.clone();
        record.tags.truncate(cut.tags);
        record.budgets.truncate(cut.budgets);
        let optional = [
            &mut record.provider_request_id,
            &mut record.key_alias,
            &mut record.end_user,
            &mut record.api_base,
            &mut record.price_version,
            &mut record.error_code,
        ];
        let texts = [
            &mut record.call_type,
            &mut record.model,
            &mut record.provider,
        ];
        for text in optional.into_iter().flatten().chain(texts) {
            cut.shorten(text);
        }
        record.tags.iter_mut().for_each(|tag| cut.shorten(tag));
        record
    })
}

/// Reads a payload; `None` for one that this version does not know, which a newer version may have written.
pub(super) fn decode(payload: &[u8]) -> Option<Record> {
    match payload.split_first()? {
        (&STARTED, fields) => layout::read_started(fields).map(Record::Started),
        _ => decode_settled(payload).map(Record::Settled),
    }
}

/// The row for a request whose process died before it settled: it may have reached the provider, so it is charged its
/// estimated input.
pub(super) fn unknown(started: StartedRecord) -> SpendRecord {
    let prompt_tokens = started.estimated_prompt_tokens;
    SpendRecord {
        model: started.model_group.as_str().to_owned(),
        usage: UsageParts {
            input_uncached: prompt_tokens,
            prompt_tokens,
            total_tokens: prompt_tokens,
            ..UsageParts::default()
        },
        usage_estimated: true,
        cost: started.estimated_input_cost,
        attempts: 1,
        ..SpendRecord::of(started)
    }
}

/// Reads a payload if it is a `settled` record; any other costs a look at its first byte.
pub(super) fn decode_settled(payload: &[u8]) -> Option<SpendRecord> {
    match payload.split_first()? {
        (&SETTLED, fields) => layout::read_settled(fields),
        _ => None,
    }
}

fn fit<T>(
    kind: u8,
    record: &T,
    write: fn(&T, &mut Vec<u8>) -> Result<(), JournalError>,
    shortened: impl Fn(Cut) -> T,
) -> Result<Vec<u8>, JournalError> {
    let mut payload = vec![kind];
    write(record, &mut payload)?;
    for cut in CUTS {
        if payload.len() <= MAX_PAYLOAD_BYTES {
            break;
        }
        payload.truncate(1);
        write(&shortened(cut), &mut payload)?;
    }
    if payload.len() <= MAX_PAYLOAD_BYTES {
        return Ok(payload);
    }
    // Keys, users and groups are never cut: they say whose money it is. The operator makes those names.
    Err(JournalError::Record {
        reason: format!("its names take more than {MAX_PAYLOAD_BYTES} bytes"),
    })
}

// === impl Cut ===

impl Cut {
    fn shorten(self, text: &mut String) {
        if let Some((end, _)) = text.char_indices().nth(self.chars) {
            text.truncate(end);
        }
    }
}
