//! Parameters of deployments and credentials as they lie in a database, ours or LiteLLM's: what may be secret is encrypted with
//! the SHA-256 of the salt key.
//!
//! LiteLLM writes `NaCl`'s secret box (`XSalsa20` and Poly1305) by default, and AES-256-GCM behind `v2:gcm:` where that is chosen;
//! as base64. Both are opened, and say whether the key is right; the second is written.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, Nonce, XSalsa20Poly1305};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce as GcmNonce, UnboundKey};
use ring::hmac;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::config::{Secret, VARIABLE, looks_secret};
use crate::telemetry::redact::MASK;

/// What our own sealed texts begin with.
pub(crate) const SEALED: &str = "v2:gcm:";
/// Parameters whose texts are no secrets, and tell an operator and the change log what a deployment is. Every other text is
/// taken for one.
const PLAIN: &[&str] = &[
    "model",
    "custom_llm_provider",
    "api_base",
    "base_url",
    "api_version",
    "litellm_credential_name",
    "organization",
    "base_model",
    "tags",
    "budget_duration",
    "region_name",
    "aws_region_name",
    "vertex_project",
    "vertex_location",
    "stream_resume",
];
/// The secret box: a nonce before it, a tag in it.
const BOX_NONCE: usize = 24;
const BOX_TAG: usize = 16;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// It is encrypted, and this is not the key, or there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Locked;

/// A stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Opened {
    /// It was never encrypted.
    Plain,
    /// What it says.
    Text(Secret),
    /// It is encrypted, and this is not the key, or there is none.
    Locked,
}

/// Opens every text, however deep it lies.
///
/// # Errors
/// [`Locked`], for one that the key does not open; the members are then of no use.
pub(crate) fn open_all(
    members: &mut Map<String, Value>,
    salt: Option<&Secret>,
) -> Result<(), Locked> {
    members
        .values_mut()
        .try_for_each(|value| open_value(value, salt))
}

fn open_value(value: &mut Value, salt: Option<&Secret>) -> Result<(), Locked> {
    match value {
        Value::String(text) => match open(text, salt) {
            Opened::Plain => {}
            Opened::Text(plain) => plain.expose().clone_into(text),
            Opened::Locked => return Err(Locked),
        },
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| open_value(item, salt))?,
        Value::Object(members) => open_all(members, salt)?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// Encrypts every text that may be secret, however deep it lies. References to variables stay as they are. `None`: the cipher
/// failed, and nothing may be stored.
pub(crate) fn seal_all(members: &Map<String, Value>, salt: &Secret) -> Option<Map<String, Value>> {
    Sealer { salt, place: None }.members(members)
}

/// The same, but a text is encrypted alike whenever it stands at the same place, so that sealing it once more changes nothing.
/// `place` is unique: two places with the same text do not look equal.
pub(crate) fn seal_all_at(
    place: &str,
    members: &Map<String, Value>,
    salt: &Secret,
) -> Option<Map<String, Value>> {
    let place = Some(place);
    Sealer { salt, place }.members(members)
}

#[derive(Clone, Copy)]
struct Sealer<'a> {
    salt: &'a Secret,
    /// Nonces follow from where a text stands and what it says; else from chance.
    place: Option<&'a str>,
}

// === impl Sealer ===

impl Sealer<'_> {
    fn members(self, members: &Map<String, Value>) -> Option<Map<String, Value>> {
        let sealed = members.iter().map(|(name, value)| {
            let is_plain = PLAIN.contains(&name.as_str());
            Some((name.clone(), self.value(name, value, is_plain)?))
        });
        sealed.collect()
    }

    fn value(self, name: &str, value: &Value, is_plain: bool) -> Option<Value> {
        Some(match value {
            Value::String(text) => {
                let stays = !may_be_secret(text, is_plain);
                // What would be read as encrypted is encrypted, or it could not be read at all.
                if stays && open(text, None) == Opened::Plain {
                    value.clone()
                } else {
                    Value::String(self.text(name, text)?)
                }
            }
            Value::Array(items) => {
                let items = items.iter().map(|item| self.value(name, item, is_plain));
                Value::Array(items.collect::<Option<_>>()?)
            }
            Value::Object(members) => Value::Object(self.members(members)?),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn text(self, name: &str, text: &str) -> Option<String> {
        let nonce = self.nonce(name, text)?;
        let mut sealed = text.as_bytes().to_vec();
        gcm(&key_of(self.salt))?
            .seal_in_place_append_tag(
                GcmNonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .ok()?;
        let whole = [nonce.as_slice(), &sealed].concat();
        Some(format!("{SEALED}{}", URL_SAFE.encode(whole)))
    }

    /// A nonce that is made of the text and its place comes twice for the same text at the same place only, as the synthetic one
    /// of RFC 5297.
    fn nonce(self, name: &str, text: &str) -> Option<[u8; NONCE_LEN]> {
        let Some(place) = self.place else {
            return Some(rand::random());
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key_of(self.salt));
        let mut context = hmac::Context::with_key(&key);
        for part in ["trunkline nonces, first version", place, name, text] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.sign().as_ref().first_chunk().copied()
    }
}

/// A text of a parameter that is known to be plain, or not.
fn may_be_secret(text: &str, is_plain: bool) -> bool {
    let looks_so = !is_plain || text.split_whitespace().any(looks_secret);
    looks_so && !text.starts_with(VARIABLE)
}

/// Parameters as they may be shown, be they sealed or not.
pub(crate) fn shown(members: &Map<String, Value>) -> Map<String, Value> {
    let shown = members.iter().map(|(name, value)| {
        let is_plain = PLAIN.contains(&name.as_str());
        (name.clone(), shown_value(value, is_plain))
    });
    shown.collect()
}

fn shown_value(value: &Value, is_plain: bool) -> Value {
    match value {
        Value::String(text) if may_be_secret(text, is_plain) || text.starts_with(SEALED) => {
            Value::from(MASK)
        }
        Value::Array(items) => items
            .iter()
            .map(|item| shown_value(item, is_plain))
            .collect(),
        Value::Object(members) => Value::Object(shown(members)),
        other => other.clone(),
    }
}

/// The first parameter that holds what an answer shows instead of a secret, however deep it lies.
pub(crate) fn placeholder(members: &Map<String, Value>) -> Option<&str> {
    let mut members = members.iter();
    let (name, _) = members.find(|(_, value)| is_placeholder(value))?;
    Some(name)
}

fn is_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => text == MASK || text.starts_with(SEALED),
        Value::Array(items) => items.iter().any(is_placeholder),
        Value::Object(members) => placeholder(members).is_some(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn key_of(salt: &Secret) -> [u8; 32] {
    Sha256::digest(salt.expose().as_bytes()).into()
}

fn gcm(key: &[u8; 32]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?))
}

/// Opens a text, with the salt key if there is one.
fn open(text: &str, salt: Option<&Secret>) -> Opened {
    let gcm = text.strip_prefix(SEALED);
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
    let key = key_of(salt);
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
    let key = gcm(key)?;
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
    use serde_json::json;

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

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            _ => panic!("{value} is no object"),
        }
    }

    #[test]
    fn what_may_be_secret_is_sealed_and_comes_back_with_the_right_key_only() {
        let long = "m".repeat(80);
        let params = object(
            json!({"model": "openai/gpt-4o", "api_base": "https://host/v1", "api_key": "hush", "rpm": 5,
            "extra_headers": {"x-team": "hush"}, "list": ["hush", 1], "temperature": null, "custom": "hush",
            "base_url": "https://me:hush@host/v1", "organization": "sk-hush-0123456789", "base_model": long,
            "api_version": "v2:gcm:AAAA", "key_of": "os.environ/HUSH"}),
        );
        let sealed = seal_all(&params, &salt("sk-salt")).unwrap();
        let text = Value::from(sealed.clone()).to_string();
        assert!(!text.contains("hush"), "{text}");
        for (name, shown) in [
            ("model", "openai/gpt-4o"),
            ("api_base", "https://host/v1"),
            ("key_of", "os.environ/HUSH"),
        ] {
            assert_eq!(sealed[name], shown);
        }
        let mut opened = sealed.clone();
        assert_eq!(open_all(&mut opened, Some(&salt("sk-salt"))), Ok(()));
        assert_eq!(opened, params);
        for other in [Some(salt("sk-other")), None] {
            assert_eq!(open_all(&mut sealed.clone(), other.as_ref()), Err(Locked));
        }
        let again = seal_all(&params, &salt("sk-salt")).unwrap();
        assert_ne!(
            again["api_key"], sealed["api_key"],
            "equal secrets do not look equal"
        );
    }

    #[test]
    fn what_stands_at_a_place_is_sealed_alike_and_nowhere_else() {
        let params = object(json!({"api_key": "hush", "extra_headers": {"x-key": "hush"}}));
        let salt = salt("sk-salt");
        let sealed = seal_all_at("model 1", &params, &salt).unwrap();
        assert_eq!(seal_all_at("model 1", &params, &salt), Some(sealed.clone()));
        let elsewhere = seal_all_at("model 2", &params, &salt).unwrap();
        let mut texts = [
            &sealed["api_key"],
            &sealed["extra_headers"]["x-key"],
            &elsewhere["api_key"],
            &elsewhere["extra_headers"]["x-key"],
        ]
        .map(Value::to_string);
        texts.sort();
        assert!(texts.windows(2).all(|two| two[0] != two[1]), "{texts:?}");
        let mut opened = sealed;
        assert_eq!(open_all(&mut opened, Some(&salt)), Ok(()));
        assert_eq!(opened, params);
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
