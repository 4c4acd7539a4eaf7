//! Bounds the nesting of JSON before any parser sees it.
//!
//! It counts and never recurses, so a hundred thousand open brackets cost one pass. It does not check syntax: on
//! broken JSON the answer is merely some answer, and the parser behind it reports the real problem.

use memchr::{memchr2, memchr2_iter};

/// Whether arrays and objects are nested deeper than `max` levels.
pub(super) fn exceeds(bytes: &[u8], max: usize) -> bool {
    // Nearly every body: fewer opening brackets than allowed levels, so the depth need not be known. Brackets inside
    // strings only make this estimate too high.
    memchr2_iter(b'[', b'{', bytes).nth(max).is_some() && nests_deeper_than(bytes, max)
}

fn nests_deeper_than(bytes: &[u8], max: usize) -> bool {
    let mut rest = bytes;
    let mut depth = 0_usize;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if depth > max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => rest = after_string(tail),
            _ => {}
        }
    }
    false
}

/// What follows the string whose opening quote was just read.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        let escape = rest.get(at) == Some(&b'\\');
        let skip = at.saturating_add(if escape { 2 } else { 1 });
        rest = rest.get(skip..).unwrap_or_default();
        if !escape {
            return rest;
        }
    }
    &[]
}
