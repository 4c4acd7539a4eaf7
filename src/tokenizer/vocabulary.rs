//! The vocabularies, loaded on first use.
//!
//! `tiktoken-rs` has them as data in the binary (5.3 MB for both) and builds its tables from that.

use std::fmt::Display;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use log::error;
use tiktoken_rs::CoreBPE;

static CL100K_IS_LOADED: AtomicBool = AtomicBool::new(false);
static O200K_IS_LOADED: AtomicBool = AtomicBool::new(false);

static CL100K: LazyLock<Option<CoreBPE>> =
    LazyLock::new(|| keep(tiktoken_rs::cl100k_base(), &CL100K_IS_LOADED));
static O200K: LazyLock<Option<CoreBPE>> =
    LazyLock::new(|| keep(tiktoken_rs::o200k_base(), &O200K_IS_LOADED));

/// One of OpenAI's vocabularies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// `cl100k_base`: GPT-4, GPT-3.5, embeddings.
    Cl100k,
    /// `o200k_base`: GPT-4o and later.
    O200k,
}

fn keep<E: Display>(loaded: Result<CoreBPE, E>, is_loaded: &AtomicBool) -> Option<CoreBPE> {
    is_loaded.store(true, Ordering::Relaxed);
    loaded
        .inspect_err(
            |err| error!(err:% = err; "a vocabulary cannot be loaded; its counts are estimates"),
        )
        .ok()
}

// === impl Vocabulary ===

impl Vocabulary {
    /// Its name in OpenAI's documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cl100k => "cl100k_base",
            Self::O200k => "o200k_base",
        }
    }

    /// Whether it is in memory, so that a count does not first load it.
    pub(super) fn is_loaded(self) -> bool {
        match self {
            Self::Cl100k => &CL100K_IS_LOADED,
            Self::O200k => &O200K_IS_LOADED,
        }
        .load(Ordering::Relaxed)
    }

    /// Tokens of a text that is short enough (`meter::WINDOW`); the library's time and stack grow with a word's length.
    pub(super) fn count(self, text: &str) -> usize {
        let table = match self {
            Self::Cl100k => &CL100K,
            Self::O200k => &O200K,
        };
        match table.as_ref() {
            Some(table) => table.count_ordinary(text),
            // The data is part of the binary, so this is a defect; still no reason to fail a request.
            None => text.len().div_ceil(4),
        }
    }
}
