//! Thinking without a signature, in the turns of a conversation.
//!
//! Another provider's reasoning reaches Anthropic's clients as thinking with an empty signature, and they send it back.
//! Anthropic refuses what it did not sign itself, so a conversation that comes to one of its models goes on without it.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;

use crate::json::{Object, Raw, Splice};

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    signature: Option<Cow<'a, str>>,
}

/// The value of `messages` without such blocks, and without turns that hold nothing else; nothing when there are none.
pub(super) fn left_out(messages: &[u8]) -> Option<Vec<u8>> {
    // Most conversations have none, and are not looked at further.
    memmem::find(messages, b"\"thinking\"")?;
    let turns: Vec<Raw<'_>> = serde_json::from_slice(messages).ok()?;
    let mut kept: Vec<Cow<'_, [u8]>> = Vec::with_capacity(turns.len());
    let mut changed = false;
    for turn in turns {
        let object = Object::parse_str(turn.get()).ok();
        let shorter = object
            .as_ref()
            .and_then(|turn| Some((turn, signed(turn.get("content")?)?)));
        let Some((object, blocks)) = shorter else {
            kept.push(Cow::Borrowed(turn.get().as_bytes()));
            continue;
        };
        changed = true;
        if !blocks.is_empty() {
            let mut splice = Splice::new(object);
            splice.set("content", list(&blocks));
            kept.push(Cow::Owned(splice.write()));
        }
    }
    changed.then(|| list(&kept))
}

/// The blocks of `content` that may stay, when not all of them may.
fn signed(content: Raw<'_>) -> Option<Vec<&[u8]>> {
    let blocks: Vec<Raw<'_>> = serde_json::from_str(content.get()).ok()?;
    let all = blocks.len();
    let kept: Vec<&[u8]> = blocks
        .into_iter()
        .filter(|block| !is_unsigned(*block))
        .map(|block| block.get().as_bytes())
        .collect();
    (kept.len() < all).then_some(kept)
}

fn is_unsigned(block: Raw<'_>) -> bool {
    let block: Result<Block<'_>, _> = serde_json::from_str(block.get());
    block.is_ok_and(|block| {
        block.kind == "thinking" && block.signature.is_none_or(|signature| signature.is_empty())
    })
}

fn list(elements: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(element.as_ref());
    }
    out.push(b']');
    out
}
