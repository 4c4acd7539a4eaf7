//! Virtual keys: how one is made, hashed and shortened for display.
//!
//! A key is `sk-` and 256 random bits. Only its SHA-256 (lower-case hex of the whole text, LiteLLM's form, so that keys
//! from a LiteLLM table keep working) is ever stored; a random key of that size needs no slow hash.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use trunkline_actors::ids::KeyId;

use crate::config::Secret;

/// Every virtual key starts so.
pub const PREFIX: &str = "sk-";

/// Makes a new key. The caller shows it once and forgets it.
pub fn generate() -> Secret {
    let random: [u8; 32] = rand::random();
    Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// SHA-256 of a presented key: what it is compared and looked up by.
#[derive(Clone, Copy)]
pub struct KeyDigest([u8; 32]);

/// The id of a key: SHA-256 of its text, lower-case hex.
pub fn id_of(key: &str) -> KeyId {
    KeyDigest::of(key).id()
}

/// The id of a key that is named by its text or by its id.
pub fn id_of_named(named: &str) -> KeyId {
    if named.starts_with(PREFIX) {
        id_of(named)
    } else {
        KeyId::new(named)
    }
}

/// `sk-...` and the last four characters: what lists and errors show.
pub fn short_name(key: &str) -> String {
    let mut tail: Vec<char> = key.chars().rev().take(4).collect();
    tail.reverse();
    format!("sk-...{}", String::from_iter(tail))
}

/// First and last four characters of something that is not a key, for the error that says so. Short texts are hidden whole.
pub fn masked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < 12 {
        return "****".to_owned();
    }
    let head: String = chars.iter().take(4).collect();
    let tail: String = chars.iter().skip(chars.len() - 4).collect();
    format!("{head}****{tail}")
}

// === impl KeyDigest ===

impl KeyDigest {
    /// Hashes the text.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        let mut text = [0; 64];
        // The sizes fit, so it cannot fail; `hex::encode` would collect the characters one by one.
        hex::encode_to_slice(self.0, &mut text).ok();
        KeyId::new(str::from_utf8(&text).unwrap_or_default())
    }

    /// Compares without telling by its timing where the texts differ, nor their lengths.
    pub fn same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hashed_as_litellm_hashes_them() {
        // sha256("sk-1234"), the value LiteLLM stores for it.
        assert_eq!(
            id_of("sk-1234").as_str(),
            "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"
        );
    }

    #[test]
    fn generated_keys_are_long_distinct_and_shown_only_by_their_tail() {
        let (one, two) = (generate(), generate());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.expose().len(), 3 + 43);
        let short = short_name(one.expose());
        assert_eq!(short.len(), 10);
        assert!(one.expose().ends_with(short.trim_start_matches("sk-...")));
        assert_eq!(masked("hunter2"), "****");
        assert_eq!(masked("not-a-key-at-all"), "not-****-all");
    }

    #[test]
    fn comparison_is_exact() {
        let master = KeyDigest::of("sk-1234");
        assert!(KeyDigest::of("sk-1234").same(&master));
        assert!(!KeyDigest::of("sk-12345").same(&master));
        assert!(!KeyDigest::of("").same(&master));
    }
}
