//! Paths to members inside a body, as operators write them: `tools[*].function.strict`.

use std::fmt;

/// A path to an object member: names joined by dots, `[*]` for every element of an array, `[2]` for one.
///
/// The last step is always a name, because a path says which member to remove.
///
/// ```
/// use trunkline_wire::json::MemberPath;
/// assert!(MemberPath::parse("tools[*].function.strict").is_some());
/// assert!(MemberPath::parse("tools[*]").is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPath {
    first: String,
    rest: Vec<Step>,
}

/// One step below the first name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    EveryElement,
    Element(usize),
}

impl MemberPath {
    /// Reads a path; nothing when it is empty, malformed or ends in an element instead of a name.
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, mut elements) = match part.split_once('[') {
                None => (part, None),
                Some((name, elements)) => (name, Some(elements)),
            };
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Member(name.to_owned()));
            while let Some(text) = elements {
                let (element, rest) = text.split_once(']')?;
                steps.push(match element {
                    "*" => Step::EveryElement,
                    number => Step::Element(number.parse().ok()?),
                });
                elements = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix('[')?),
                };
            }
        }
        if !matches!(steps.last(), Some(Step::Member(_))) {
            return None;
        }
        let mut steps = steps.into_iter();
        match steps.next() {
            Some(Step::Member(first)) => Some(Self {
                first,
                rest: steps.collect(),
            }),
            _ => None,
        }
    }

    /// The top-level member the path begins with.
    pub fn first(&self) -> &str {
        &self.first
    }

    pub(super) fn rest(&self) -> &[Step] {
        &self.rest
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.first)?;
        for step in &self.rest {
            match step {
                Step::Member(name) => write!(formatter, ".{name}")?,
                Step::EveryElement => formatter.write_str("[*]")?,
                Step::Element(at) => write!(formatter, "[{at}]")?,
            }
        }
        Ok(())
    }
}
