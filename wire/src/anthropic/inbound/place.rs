//! Taking members out of an object, and saying where in the body one is wrong.

use std::fmt;

use serde_json::{Map, Value};

use crate::request::BadRequest;

/// A place in the body: a list of steps from the top, kept on the stack and only written out for an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Element(usize),
}

/// An object whose members are taken out one by one; `null` is absent.
#[derive(Debug)]
pub(super) struct Members<'a> {
    members: Map<String, Value>,
    place: Place<'a>,
}

// === impl Place ===

impl<'a> Place<'a> {
    pub(super) const ROOT: Place<'static> = Place {
        parent: None,
        step: Step::Root,
    };

    pub(super) fn member(&'a self, name: &'a str) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Member(name),
        }
    }

    pub(super) fn element(&'a self, at: usize) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Element(at),
        }
    }

    /// A 400 about this place, in Anthropic's words: `messages.0.role: Field required`.
    pub(super) fn error(&self, problem: impl fmt::Display) -> BadRequest {
        let path = self.to_string();
        let message = format!("{path}: {problem}");
        BadRequest::new(path, message)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below_root = |place: &&Place<'_>| !matches!(place.step, Step::Root);
        if let Some(parent) = self.parent.filter(below_root) {
            write!(formatter, "{parent}.")?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Member(name) => formatter.write_str(name),
            Step::Element(at) => write!(formatter, "{at}"),
        }
    }
}

// === impl Members ===

impl<'a> Members<'a> {
    pub(super) fn new(members: Map<String, Value>, place: Place<'a>) -> Self {
        Self { members, place }
    }

    /// # Errors
    /// [`BadRequest`] when `value` is not an object.
    pub(super) fn of(value: Value, place: Place<'a>) -> Result<Self, BadRequest> {
        match value {
            Value::Object(members) => Ok(Self::new(members, place)),
            _ => Err(place.error("Input should be an object")),
        }
    }

    pub(super) fn place(&self) -> Place<'a> {
        self.place
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }

    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.members.insert(name.to_owned(), value);
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "Input should be a valid string")),
        }
    }

    pub(super) fn required_string(&mut self, name: &str) -> Result<String, BadRequest> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "Input should be true or false")),
        }
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, BadRequest> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let problem = "Input should be a non-negative integer such as 1024";
        let count = value.as_u64().ok_or_else(|| self.wrong(name, problem))?;
        Ok(Some(count))
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(elements)) => Ok(Some(elements)),
            Some(_) => Err(self.wrong(name, "Input should be an array")),
        }
    }

    pub(super) fn required_list(&mut self, name: &str) -> Result<Vec<Value>, BadRequest> {
        self.list(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn strings(&mut self, name: &str) -> Result<Option<Vec<Value>>, BadRequest> {
        let list = self.list(name)?;
        if list.iter().flatten().all(Value::is_string) {
            return Ok(list);
        }
        Err(self.wrong(name, "Input should be an array of strings"))
    }

    pub(super) fn required(&mut self, name: &str) -> Result<Value, BadRequest> {
        self.take(name).ok_or_else(|| self.missing(name))
    }

    /// What nobody took.
    pub(super) fn into_rest(self) -> Map<String, Value> {
        self.members
    }

    pub(super) fn missing(&self, name: &str) -> BadRequest {
        self.wrong(name, "Field required")
    }

    pub(super) fn wrong(&self, name: &str, problem: impl fmt::Display) -> BadRequest {
        self.place.member(name).error(problem)
    }
}
