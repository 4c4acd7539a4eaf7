//! The shape that `messages` must have before anything is sent: a non-empty array of objects with a `role`.
//!
//! What is inside a message is not judged: providers know more of it than the gateway.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::request::BadRequest;

/// Checks the messages of an `OpenAI` chat: objects with a string `role`.
///
/// # Errors
/// [`BadRequest`] naming the first message at fault.
pub(super) fn check_chat(messages: &str) -> Result<(), BadRequest> {
    let bad = |param: &str, problem: &str| {
        let message = format!("Invalid request format: '{param}' {problem}");
        Err(BadRequest::new(param, message))
    };
    if !messages.starts_with('[') {
        let problem =
            "must be an array of objects such as {\"role\": \"user\", \"content\": \"Hello\"}.";
        return bad("messages", problem);
    }
    let Findings { count, first_bad } = find(messages, |message| match message {
        Message::Other => Some(("", "must be an object with 'role' and 'content'.")),
        Message::Object {
            role: Role::Missing,
            ..
        } => Some((".role", "is missing; write one such as \"user\".")),
        Message::Object {
            role: Role::NotAString,
            ..
        } => Some((".role", "must be a string such as \"user\".")),
        Message::Object { .. } => None,
    })?;
    match first_bad {
        Some((at, (field, problem))) => bad(&format!("messages[{at}]{field}"), problem),
        None if count == 0 => bad("messages", "is empty; send at least one message."),
        None => Ok(()),
    }
}

/// Checks the messages of an Anthropic request: objects with a known `role` and a `content`; in its words and paths.
///
/// # Errors
/// [`BadRequest`] naming the first message at fault.
pub(super) fn check_turns(messages: &str) -> Result<(), BadRequest> {
    let bad =
        |param: &str, problem: &str| Err(BadRequest::new(param, format!("{param}: {problem}")));
    if !messages.starts_with('[') {
        return bad("messages", "Input should be an array");
    }
    let Findings { count, first_bad } = find(messages, |message| match message {
        Message::Other => Some(("", "Input should be an object")),
        Message::Object {
            role: Role::Missing,
            ..
        } => Some((".role", "Field required")),
        Message::Object {
            role: Role::NotAString | Role::Unknown,
            ..
        } => Some((".role", "Input should be 'user' or 'assistant'")),
        Message::Object { content: false, .. } => Some((".content", "Field required")),
        Message::Object { .. } => None,
    })?;
    match first_bad {
        Some((at, (field, problem))) => bad(&format!("messages.{at}{field}"), problem),
        None if count == 0 => bad("messages", "at least one message is required"),
        None => Ok(()),
    }
}

/// A field below the message, and what is wrong with it.
type Problem = (&'static str, &'static str);

struct Findings {
    count: usize,
    first_bad: Option<(usize, Problem)>,
}

/// Judges message by message; nothing is allocated for one.
fn find(
    messages: &str,
    judge: impl Fn(Message) -> Option<Problem>,
) -> Result<Findings, BadRequest> {
    let mut reader = serde_json::Deserializer::from_str(messages);
    // Syntax was checked with the whole body, so an error here cannot come from it; it is still not ignored.
    reader.deserialize_seq(Judge(judge)).map_err(|err| {
        BadRequest::new(
            "messages",
            format!("Invalid request format: 'messages': {err}"),
        )
    })
}

struct Judge<F>(F);

impl<'de, F: Fn(Message) -> Option<Problem>> Visitor<'de> for Judge<F> {
    type Value = Findings;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Findings, A::Error> {
        let mut findings = Findings {
            count: 0,
            first_bad: None,
        };
        while let Some(message) = seq.next_element::<Message>()? {
            if findings.first_bad.is_none() {
                findings.first_bad = (self.0)(message).map(|problem| (findings.count, problem));
            }
            findings.count = findings.count.saturating_add(1);
        }
        Ok(findings)
    }
}

/// What the checks must know of a message.
#[derive(Debug, Clone, Copy)]
enum Message {
    Object { role: Role, content: bool },
    Other,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    /// `user`, `assistant` or `system`.
    Turn,
    /// Another string.
    Unknown,
    NotAString,
    Missing,
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('{') {
            return Ok(Self::Other);
        }
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        reader.deserialize_map(Fields).map_err(D::Error::custom)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Message;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let mut role = Role::Missing;
        let mut content = false;
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Role => role = Role::of(map.next_value()?),
                Key::Content => content = map.next_value::<&RawValue>()?.get() != "null",
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Message::Object { role, content })
    }
}

impl Role {
    fn of(role: &RawValue) -> Self {
        match role.get() {
            "\"user\"" | "\"assistant\"" | "\"system\"" => Self::Turn,
            other if other.starts_with('"') => Self::Unknown,
            _ => Self::NotAString,
        }
    }
}

/// A member's name, as far as it matters; read without allocating.
enum Key {
    Role,
    Content,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "role" => Key::Role,
                    "content" => Key::Content,
                    _ => Key::Other,
                })
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}
