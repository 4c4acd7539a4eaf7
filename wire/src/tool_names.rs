//! Tool names that a provider does not take, sent under others and given back in the answer.
//!
//! A name that must change gets a checksum of its original at its end, so the same tool has the same name in every turn
//! (prompt caches need that) and two tools never become one.

use std::borrow::Cow;

use crate::chat::ChatResponse;
use crate::event::ChatEvent;

/// What names a provider takes.
#[derive(Debug, Clone, Copy)]
pub struct NameRules {
    /// The most bytes; at least 16.
    pub max_bytes: usize,
    /// Which ASCII characters may occur, letters and digits aside.
    pub punctuation: &'static [u8],
    /// Names that the translator needs for itself.
    pub reserved: &'static [&'static str],
}

/// The tools of one request that were renamed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolNames {
    /// As it was sent, and as the client calls it.
    pairs: Vec<(String, String)>,
}

// === impl ToolNames ===

impl ToolNames {
    /// The name to send for a client's `name`; remembered when it differs.
    pub fn sent<'n>(&mut self, name: &'n str, rules: &NameRules) -> Cow<'n, str> {
        if rules.take(name) {
            return Cow::Borrowed(name);
        }
        let sent = rules.fitted(name);
        if self.original(&sent).is_none() {
            self.pairs.push((sent.clone(), name.to_owned()));
        }
        Cow::Owned(sent)
    }

    /// The client's name of a tool that was renamed.
    pub fn original(&self, sent: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(renamed, _)| renamed == sent)
            .map(|(_, original)| original.as_str())
    }

    /// Gives the calls of an answer the client's names back.
    pub fn restore(&self, answer: &mut ChatResponse) {
        if self.pairs.is_empty() {
            return;
        }
        let calls = answer
            .choices
            .iter_mut()
            .flat_map(|choice| choice.message.tool_calls.iter_mut().flatten());
        for function in calls.filter_map(|call| call.function.as_mut()) {
            if let Some(name) = &mut function.name {
                self.restore_name(name);
            }
        }
    }

    /// Gives a call in a stream the client's name back.
    pub fn restore_event(&self, event: &mut ChatEvent) {
        if let ChatEvent::ToolCall { name, .. } = event {
            self.restore_name(name);
        }
    }

    fn restore_name(&self, name: &mut String) {
        if let Some(original) = self.original(name) {
            original.clone_into(name);
        }
    }
}

// === impl NameRules ===

impl NameRules {
    fn take(&self, name: &str) -> bool {
        (1..=self.max_bytes).contains(&name.len())
            && name.bytes().all(|byte| self.takes(byte))
            && !self.reserved.contains(&name)
    }

    fn takes(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || self.punctuation.contains(&byte)
    }

    /// `get.weather` → `get_weather_` and eight hexadecimal digits.
    fn fitted(&self, name: &str) -> String {
        let checksum = format!("_{:08x}", checksum(name.as_bytes()));
        let room = self.max_bytes.saturating_sub(checksum.len());
        let mut fitted: String = name
            .chars()
            .map(|letter| match u8::try_from(letter) {
                Ok(byte) if self.takes(byte) => letter,
                _ => '_',
            })
            .take(room)
            .collect();
        fitted.push_str(&checksum);
        fitted
    }
}

/// FNV-1a, 32 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv): short, stable, and no secret depends on it.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: NameRules = NameRules {
        max_bytes: 64,
        punctuation: b"_-",
        reserved: &["mine"],
    };

    #[test]
    fn a_name_that_fits_is_sent_as_it_is() {
        let mut names = ToolNames::default();
        assert_eq!(names.sent("get_weather-2", &RULES), "get_weather-2");
        assert_eq!(names, ToolNames::default());
    }

    #[test]
    fn names_that_differ_only_in_what_cannot_be_sent_stay_apart() {
        let mut names = ToolNames::default();
        let dotted = names.sent("get.weather", &RULES).into_owned();
        let spaced = names.sent("get weather", &RULES).into_owned();
        assert_ne!(dotted, spaced);
        assert_eq!(names.original(&dotted), Some("get.weather"));
        assert_eq!(names.original(&spaced), Some("get weather"));
    }

    #[test]
    fn a_reserved_name_is_sent_under_another() {
        let mut names = ToolNames::default();
        let sent = names.sent("mine", &RULES).into_owned();
        assert_ne!(sent, "mine");
        assert_eq!(names.original(&sent), Some("mine"));
    }

    proptest! {
        #[test]
        fn every_name_becomes_one_that_fits_and_comes_back(name in ".{0,100}") {
            let mut names = ToolNames::default();
            let sent = names.sent(&name, &RULES).into_owned();
            prop_assert!(RULES.take(&sent), "{sent:?}");
            prop_assert_eq!(names.original(&sent).unwrap_or(&sent), name.as_str());
            prop_assert_eq!(names.sent(&name, &RULES).into_owned(), sent);
        }
    }
}
