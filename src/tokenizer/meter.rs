//! Adds up tokens, in bounded time whatever the text.
//!
//! The library splits text into words with a backtracking regular expression and merges each word's bytes; both grow faster than a
//! word does, and a megabyte of spaces overflows the expression's stack, which is a panic there. So it gets text in windows.

use super::Tokenizer;

/// Bytes of text that one count looks at; the rest counts at the rate of what came before. It is the text of a million
/// tokens, the largest context window that OpenAI offers.
pub const MAX_COUNTED_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that the library gets at once. Longer words than this, or runs of white space, are cut: at most a token or two more
/// for each cut.
const WINDOW: usize = 4096;

/// The sum so far.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) tokenizer: Tokenizer,
    tokens: usize,
    /// Of text that was counted, for the rate.
    text_tokens: usize,
    text_bytes: usize,
    limit: usize,
}

// === impl Meter ===

impl Meter {
    /// Counts on until more than `limit`.
    pub(super) fn new(tokenizer: Tokenizer, limit: usize) -> Self {
        Self {
            tokenizer,
            tokens: 0,
            text_tokens: 0,
            text_bytes: 0,
            limit,
        }
    }

    /// The sum. Once over the limit it says no more than that.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether the limit is passed.
    pub(super) fn is_over(&self) -> bool {
        self.tokens > self.limit
    }

    /// Adds what is no text.
    pub(super) fn add(&mut self, tokens: usize) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Adds a text's tokens.
    pub(super) fn text(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() && !self.is_over() {
            if self.text_bytes >= MAX_COUNTED_BYTES {
                self.add(self.estimate(rest.len()));
                return;
            }
            let (window, after) = rest.split_at(cut(rest));
            let tokens = self.tokenizer.vocabulary.count(window);
            self.add(tokens);
            self.text_tokens += tokens;
            self.text_bytes += window.len();
            rest = after;
        }
    }

    /// Tokens of so many bytes more, at the rate so far.
    fn estimate(&self, bytes: usize) -> usize {
        let product = self.text_tokens as u128 * bytes as u128;
        usize::try_from(product.div_ceil(self.text_bytes.max(1) as u128)).unwrap_or(usize::MAX)
    }
}

/// Where the first window of a text ends: never within a character, and if possible where both vocabularies end a word anyway,
/// so that the cut changes no count. That is before a space that follows something other than white space: a space is
/// only ever the first letter of a word, or part of a run of white space.
fn cut(text: &str) -> usize {
    if text.len() <= WINDOW {
        return text.len();
    }
    let end = (0..=WINDOW)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    let window = text.split_at(end).0;
    window
        .rmatch_indices(' ')
        .map(|(at, _)| at)
        .find(|at| {
            let before = window.split_at(*at).0.chars().next_back();
            before.is_some_and(|letter| !letter.is_whitespace())
        })
        .unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_before_a_word_if_it_can_and_between_characters_always() {
        let words = "word ".repeat(2000);
        let at = cut(&words);
        assert!(
            at <= WINDOW && words.split_at(at).1.starts_with(" word"),
            "{at}"
        );
        let word = "\u{5b57}".repeat(3000);
        assert_eq!(cut(&word), WINDOW - WINDOW % 3);
        assert_eq!(cut(&" ".repeat(5000)), WINDOW);
        assert_eq!(cut("short"), 5);
    }
}
