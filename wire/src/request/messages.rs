//! The shape that `messages` must have before anything is sent: a non-empty array of objects with a `role`.
//!
//! What is inside a message is not judged: providers know more of it than the gateway.

use crate::json::{elements, members};
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
    });
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
    });
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

/// Judges message by message. Their syntax was checked with the whole body.
fn find(messages: &str, judge: impl Fn(Message) -> Option<Problem>) -> Findings {
    let mut findings = Findings {
        count: 0,
        first_bad: None,
    };
    for message in elements(messages) {
        if findings.first_bad.is_none() {
            let problem = judge(Message::of(message.get()));
            findings.first_bad = problem.map(|problem| (findings.count, problem));
        }
        findings.count = findings.count.saturating_add(1);
    }
    findings
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

impl Message {
    fn of(message: &str) -> Self {
        if !message.starts_with('{') {
            return Self::Other;
        }
        let mut role = Role::Missing;
        let mut content = false;
        for (name, value) in members(message) {
            match name.as_ref() {
                "role" => role = Role::of(value.get()),
                "content" => content = value.get() != "null",
                _ => {}
            }
        }
        Self::Object { role, content }
    }
}

impl Role {
    fn of(role: &str) -> Self {
        match role {
            "\"user\"" | "\"assistant\"" | "\"system\"" => Self::Turn,
            other if other.starts_with('"') => Self::Unknown,
            _ => Self::NotAString,
        }
    }
}
