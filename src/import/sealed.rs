//! Opens what LiteLLM encrypts before it stores it: with the SHA-256 of its salt key, in `NaCl`'s secret box
//! (`XSalsa20` and Poly1305) by default, in AES-256-GCM behind `v2:gcm:` where that is chosen; as base64. Both say whether
//! the key is right.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, Nonce, XSalsa20Poly1305};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce as GcmNonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use crate::config::Secret;

const AES_PREFIX: &str = "v2:gcm:";
/// The secret box: a nonce before it, a tag in it.
const BOX_NONCE: usize = 24;
const BOX_TAG: usize = 16;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// A stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opened {
    /// It was never encrypted.
    Plain,
    /// What it says.
    Text(Secret),
    /// It is encrypted, and this is not the key, or there is none.
    Locked,
}

/// Opens a text, with the salt key if there is one.
pub(super) fn open(text: &str, salt: Option<&Secret>) -> Opened {
    let gcm = text.strip_prefix(AES_PREFIX);
    let encoded = gcm.unwrap_or(text);
    let decoded = URL_SAFE
        .decode(encoded)
        .or_else(|_other| STANDARD.decode(encoded));
    let sealed = match decoded {
        Ok(sealed) if gcm.is_some() || sealed.len() >= BOX_NONCE + BOX_TAG => sealed,
        _ if gcm.is_some() => return Opened::Locked,
        _ => return Opened::Plain,
    };
    let Some(salt) = salt else {
        return Opened::Locked;
    };
    let key: [u8; 32] = Sha256::digest(salt.expose().as_bytes()).into();
    let plain = if gcm.is_some() {
        open_gcm(sealed, &key)
    } else {
        open_box(&sealed, &key)
    };
    let text = plain.and_then(|plain| String::from_utf8(plain).ok());
    text.map_or(Opened::Locked, |text| Opened::Text(Secret::new(text)))
}

fn open_box(sealed: &[u8], key: &[u8; 32]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<BOX_NONCE>()?;
    let cipher = XSalsa20Poly1305::new(key.into());
    cipher.decrypt(&Nonce::from(*nonce), sealed).ok()
}

fn open_gcm(mut sealed: Vec<u8>, key: &[u8; 32]) -> Option<Vec<u8>> {
    let (nonce, _) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let nonce = GcmNonce::assume_unique_for_key(*nonce);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut rest = sealed.split_off(NONCE_LEN);
    let length = key
        .open_in_place(nonce, Aad::empty(), &mut rest)
        .ok()?
        .len();
    rest.truncate(length);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `NaCl`'s reference binding for Python: nonce 1, 2, …, 24, key SHA-256 of "sk-salt".
    const BOXED: &str =
        "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYNCQiYaMQCWCnXJMcoGCjLO9H_YDRzNkx6e0PJPDGlQ==";
    const GCM: &str = "v2:gcm:AQIDBAUGBwgJCgsMm9bMxrLLCEc780VvKtmZ7GUBVK4mAY0rA_XuwcUEjg==";

    fn salt(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn both_ciphers_are_opened_with_the_right_key_only() {
        for sealed in [BOXED, GCM] {
            let right = open(sealed, Some(&salt("sk-salt")));
            assert_eq!(
                right,
                Opened::Text(Secret::new("sk-provider-key")),
                "{sealed}"
            );
            assert_eq!(open(sealed, Some(&salt("sk-other"))), Opened::Locked);
            assert_eq!(open(sealed, None), Opened::Locked);
        }
    }

    #[test]
    fn a_text_that_cannot_be_encrypted_is_plain() {
        for text in [
            "gpt-4o",
            "openai/gpt-4o",
            "https://host/v1",
            "",
            "us-east-1",
        ] {
            assert_eq!(open(text, Some(&salt("sk-salt"))), Opened::Plain, "{text}");
        }
        assert_eq!(open("v2:gcm:AAAA", Some(&salt("sk-salt"))), Opened::Locked);
    }
}
