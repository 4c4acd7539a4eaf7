//! Cuts secrets out of texts that the gateway did not write, above all a provider's error message, which may echo the key.

use std::borrow::Cow;

/// What stands in a secret's place.
pub const MASK: &str = "[REDACTED]";

/// Shortest run behind `sk-` that is taken for a key: shorter ones are words (`sk-proj`), not secrets.
const MIN_KEY_TAIL: usize = 8;

/// Replaces every occurrence of `secrets` and everything that looks like a key (`sk-…`, `Bearer …`) in `text`.
pub fn redact<'t>(text: &'t str, secrets: &[&str]) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if text.contains(*secret) {
            text = Cow::Owned(text.replace(*secret, MASK));
        }
    }
    for marker in ["sk-", "Bearer "] {
        if text.contains(marker) {
            text = Cow::Owned(mask_after(&text, marker));
        }
    }
    text
}

fn mask_after(text: &str, marker: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(marker);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.')))
            .unwrap_or(part.len());
        let (tail, rest) = part.split_at(end);
        if tail.len() >= MIN_KEY_TAIL {
            out.push_str(MASK);
        } else {
            out.push_str(marker);
            out.push_str(tail);
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_echoed_by_a_provider_is_cut_out() {
        let cases = [
            (
                "Incorrect API key provided: sk-abcdefgh12345678. You can",
                "Incorrect API key provided: [REDACTED] You can",
            ),
            ("masked sk-abc*****************xyz!", "masked [REDACTED]!"),
            ("no key here, sk- alone", "no key here, sk- alone"),
            (
                "Authorization: Bearer abcdefghijk",
                "Authorization: [REDACTED]",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(redact(text, &[]), want, "{text}");
        }
        assert_eq!(
            redact("the gsk_odd one", &["gsk_odd"]),
            "the [REDACTED] one"
        );
    }
}
