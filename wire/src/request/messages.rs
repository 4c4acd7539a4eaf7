//! The shape that `messages` must have before anything is sent: a non-empty array of objects with a string `role`.
//!
//! Roles and contents are not judged: providers know more of them than the gateway.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::request::BadRequest;

/// # Errors
/// [`BadRequest`] naming the first message at fault.
pub(super) fn check(messages: &str) -> Result<(), BadRequest> {
    if !messages.starts_with('[') {
        return Err(BadRequest::new(
            "messages",
            "Invalid request format: 'messages' must be an array of objects such as {\"role\": \"user\", \"content\": \"Hello\"}.",
        ));
    }
    // Syntax was checked with the whole body, so an error here cannot come from it; it is still not ignored.
    let Verdicts { count, first_bad } = serde_json::from_str(messages).map_err(|err| {
        BadRequest::new(
            "messages",
            format!("Invalid request format: 'messages': {err}"),
        )
    })?;
    if let Some((at, verdict)) = first_bad {
        let (field, problem) = match verdict {
            Verdict::NotAnObject => ("", "must be an object with 'role' and 'content'"),
            Verdict::NoRole => (".role", "is missing; write one such as \"user\""),
            Verdict::RoleNotAString => (".role", "must be a string such as \"user\""),
            Verdict::Good => ("", "is malformed"),
        };
        let param = format!("messages[{at}]{field}");
        let message = format!("Invalid request format: '{param}' {problem}.");
        return Err(BadRequest::new(param, message));
    }
    if count == 0 {
        return Err(BadRequest::new(
            "messages",
            "Invalid request format: 'messages' is empty; send at least one message.",
        ));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    NotAnObject,
    NoRole,
    RoleNotAString,
}

/// How many messages there are and which one is wrong first; nothing is allocated per message.
struct Verdicts {
    count: usize,
    first_bad: Option<(usize, Verdict)>,
}

impl<'de> Deserialize<'de> for Verdicts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VerdictsVisitor;

        impl<'de> Visitor<'de> for VerdictsVisitor {
            type Value = Verdicts;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut verdicts = Verdicts {
                    count: 0,
                    first_bad: None,
                };
                while let Some(verdict) = seq.next_element::<Verdict>()? {
                    if verdict != Verdict::Good && verdicts.first_bad.is_none() {
                        verdicts.first_bad = Some((verdicts.count, verdict));
                    }
                    verdicts.count = verdicts.count.saturating_add(1);
                }
                Ok(verdicts)
            }
        }

        deserializer.deserialize_seq(VerdictsVisitor)
    }
}

impl<'de> Deserialize<'de> for Verdict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VerdictVisitor;

        impl<'de> Visitor<'de> for VerdictVisitor {
            type Value = Verdict;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Verdict, A::Error> {
                let mut verdict = Verdict::NoRole;
                while let Some(is_role) = map.next_key::<IsRole>()? {
                    if is_role.0 {
                        let role: &RawValue = map.next_value()?;
                        verdict = if role.get().starts_with('"') {
                            Verdict::Good
                        } else {
                            Verdict::RoleNotAString
                        };
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(verdict)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Verdict, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Verdict::NotAnObject)
            }

            fn visit_str<E>(self, _: &str) -> Result<Verdict, E> {
                Ok(Verdict::NotAnObject)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Verdict, E> {
                Ok(Verdict::NotAnObject)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Verdict, E> {
                Ok(Verdict::NotAnObject)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Verdict, E> {
                Ok(Verdict::NotAnObject)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Verdict, E> {
                Ok(Verdict::NotAnObject)
            }

            fn visit_unit<E>(self) -> Result<Verdict, E> {
                Ok(Verdict::NotAnObject)
            }
        }

        deserializer.deserialize_any(VerdictVisitor)
    }
}

struct IsRole(bool);

impl<'de> Deserialize<'de> for IsRole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsRoleVisitor;

        impl Visitor<'_> for IsRoleVisitor {
            type Value = IsRole;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<IsRole, E> {
                Ok(IsRole(key == "role"))
            }
        }

        deserializer.deserialize_str(IsRoleVisitor)
    }
}
