//! Edits over one object that leave every other byte alone.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memrchr};
use smallvec::SmallVec;

use super::path::Step;
use super::{MemberPath, Object, array, push_string, quoted, string};

/// Pending edits over an [`Object`]; [`Splice::finish`] writes the result in one pass.
///
/// Values handed in are JSON text and are not checked: the caller made them.
///
/// ```
/// use trunkline_wire::json::{Object, Splice};
/// let object = Object::parse(br#"{ "model":"a", "seed": 1e0 }"#)?;
/// let mut splice = Splice::new(&object);
/// splice.set("model", &b"\"b\""[..]);
/// assert_eq!(splice.finish(), &br#"{ "model":"b", "seed": 1e0 }"#[..]);
/// # Ok::<(), trunkline_wire::json::JsonError>(())
/// ```
#[derive(Debug)]
pub struct Splice<'a> {
    object: &'a Object<'a>,
    edits: SmallVec<[(usize, Edit<'a>); 4]>,
    appended: SmallVec<[NewMember<'a>; 2]>,
}

/// A member to append: its name, not yet quoted, and its value as JSON text.
type NewMember<'a> = (Cow<'a, str>, Cow<'a, [u8]>);

#[derive(Debug, Default)]
struct Edit<'a> {
    removed: bool,
    key: Option<Cow<'a, str>>,
    value: Option<Cow<'a, [u8]>>,
}

impl<'a> Splice<'a> {
    /// Begins with no edits.
    pub fn new(object: &'a Object<'a>) -> Self {
        Self {
            object,
            edits: SmallVec::new(),
            appended: SmallVec::new(),
        }
    }

    /// Replaces the value of `key` where it stands, or appends the member at the end.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, [u8]>>) {
        let (key, value) = (key.into(), value.into());
        if let Some(at) = self.live_position(&key) {
            self.edit(at, |edit| edit.value = Some(value));
        } else if let Some((_, appended)) = self.appended.iter_mut().find(|(name, _)| *name == key)
        {
            *appended = value;
        } else {
            self.appended.push((key, value));
        }
    }

    /// Sets `inner` inside the object at `key`, making that object when it is absent or not an object.
    pub fn set_within(&mut self, key: &'a str, inner: &str, value: &[u8]) {
        let current = self
            .current(key)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let nested = current
            .as_deref()
            .and_then(|text| Object::parse_str(text).ok())
            .map(|object| {
                let mut splice = Splice::new(&object);
                splice.set(inner, value);
                splice.write()
            });
        let text = nested.unwrap_or_else(|| {
            let mut text = vec![b'{'];
            push_string(&mut text, inner);
            text.push(b':');
            text.extend_from_slice(value);
            text.push(b'}');
            text
        });
        self.set(key, text);
    }

    /// Removes a member; says whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        if let Some(at) = self.live_position(key) {
            self.edit(at, |edit| edit.removed = true);
            return true;
        }
        let before = self.appended.len();
        self.appended.retain(|(name, _)| name != key);
        self.appended.len() < before
    }

    /// Gives the member `from` the name `to` in its place. Any other member called `to` is removed.
    pub fn rename(&mut self, from: &str, to: impl Into<Cow<'a, str>>) -> bool {
        let to = to.into();
        let Some(at) = self.live_position(from) else {
            return false;
        };
        if from != to {
            self.remove(&to);
            self.edit(at, |edit| edit.key = Some(to));
        }
        true
    }

    /// Removes every member that `path` matches; says whether there was one.
    pub fn remove_path(&mut self, path: &MemberPath) -> bool {
        if path.rest().is_empty() {
            return self.remove(path.first());
        }
        let Some(at) = self.live_position(path.first()) else {
            return false;
        };
        let edited = self
            .edits
            .iter()
            .find(|(edited, _)| *edited == at)
            .and_then(|(_, edit)| edit.value.as_deref());
        let text = match (edited, self.object.value(at)) {
            (Some(edited), _) => String::from_utf8_lossy(edited),
            (None, Some(value)) => Cow::Borrowed(value.get()),
            (None, None) => return false,
        };
        let Some(shorter) = without(&text, path.rest()) else {
            return false;
        };
        self.edit(at, |edit| edit.value = Some(Cow::Owned(shorter)));
        true
    }

    /// Whether the member will be in the result.
    pub fn contains(&self, key: &str) -> bool {
        self.current(key).is_some()
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.appended.is_empty()
    }

    /// The object with all edits done; untouched bytes are as they were.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.write())
    }

    pub(crate) fn write(self) -> Vec<u8> {
        let source = self.object.source.as_bytes();
        let mut out = Output {
            source,
            copied: 0,
            bytes: Vec::with_capacity(self.capacity()),
        };
        let mut end_of_previous = memchr(b'{', source).map_or(0, |at| at.saturating_add(1));
        let mut kept_any = false;
        for at in 0..self.object.len() {
            let Some(value) = self.object.span(at) else {
                continue;
            };
            let lead = end_of_previous..value.start;
            end_of_previous = value.end;
            let edit = self.edits.iter().find(|(edited, _)| *edited == at);
            let edit = edit.map(|(_, edit)| edit);
            if edit.is_some_and(|edit| edit.removed) {
                // Takes the comma in front along; whitespace behind stays.
                out.skip(lead.start..value.end);
                continue;
            }
            if !kept_any && at > 0 {
                out.skip(lead.start..after_comma(source, &lead));
            }
            kept_any = true;
            let Some(edit) = edit else { continue };
            if let (Some(key), Some(span)) = (edit.key.as_deref(), key_span(source, &lead)) {
                out.skip(span);
                push_string(&mut out.bytes, key);
            }
            if let Some(text) = edit.value.as_deref() {
                out.skip(value);
                out.bytes.extend_from_slice(text);
            }
        }
        if !self.appended.is_empty() {
            out.skip(end_of_previous..end_of_previous);
        }
        for (key, value) in &self.appended {
            if kept_any {
                out.bytes.push(b',');
            }
            kept_any = true;
            push_string(&mut out.bytes, key);
            out.bytes.push(b':');
            out.bytes.extend_from_slice(value);
        }
        out.skip(source.len()..source.len());
        out.bytes
    }

    fn capacity(&self) -> usize {
        let edited = self.edits.iter().map(|(_, edit)| {
            let key = edit.key.as_ref().map_or(0, |key| key.len());
            key.saturating_add(edit.value.as_ref().map_or(0, |value| value.len()))
        });
        let appended = self
            .appended
            .iter()
            .map(|(key, value)| key.len().saturating_add(value.len()).saturating_add(4));
        edited
            .chain(appended)
            .fold(self.object.source.len(), usize::saturating_add)
    }

    /// What the member's value is with the edits so far.
    pub(crate) fn current(&self, key: &str) -> Option<&[u8]> {
        if let Some(at) = self.live_position(key) {
            let edited = self.edits.iter().find(|(edited, _)| *edited == at);
            let edited = edited.and_then(|(_, edit)| edit.value.as_deref());
            return edited.or_else(|| self.object.value(at).map(|value| value.get().as_bytes()));
        }
        self.appended
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_ref())
    }

    /// The source member that has this name with the edits so far.
    fn live_position(&self, key: &str) -> Option<usize> {
        let renamed = self
            .edits
            .iter()
            .find(|(_, edit)| !edit.removed && edit.key.as_deref() == Some(key));
        if let Some((at, _)) = renamed {
            return Some(*at);
        }
        let at = self.object.position(key)?;
        let gone = self
            .edits
            .iter()
            .any(|(edited, edit)| *edited == at && (edit.removed || edit.key.is_some()));
        (!gone).then_some(at)
    }

    fn edit(&mut self, at: usize, change: impl FnOnce(&mut Edit<'a>)) {
        if let Some((_, edit)) = self.edits.iter_mut().find(|(edited, _)| *edited == at) {
            change(edit);
        } else {
            let mut edit = Edit::default();
            change(&mut edit);
            self.edits.push((at, edit));
        }
    }
}

/// The object with the string `text` as its member `key`; nothing when it has no such member, or already that one.
pub(crate) fn restamped(object: &Object<'_>, key: &str, text: &str) -> Option<Bytes> {
    if string(object.get(key)?).as_deref() == Some(text) {
        return None;
    }
    let mut splice = Splice::new(object);
    splice.set(key, quoted(text));
    Some(splice.finish())
}

/// Copies the source in order, leaving spans out.
struct Output<'s> {
    source: &'s [u8],
    copied: usize,
    bytes: Vec<u8>,
}

impl Output<'_> {
    /// Copies up to `span` and goes on behind it.
    fn skip(&mut self, span: Range<usize>) {
        if let Some(bytes) = self.source.get(self.copied..span.start) {
            self.bytes.extend_from_slice(bytes);
        }
        self.copied = self.copied.max(span.end);
    }
}

/// Behind the comma of `lead`, the text between two values: `, "key": `.
fn after_comma(source: &[u8], lead: &Range<usize>) -> usize {
    let text = source.get(lead.clone()).unwrap_or_default();
    memchr(b',', text).map_or(lead.start, |at| {
        lead.start.saturating_add(at).saturating_add(1)
    })
}

/// The quoted key in `lead`. Only the key can hold quotes there, so the outermost two are its own.
fn key_span(source: &[u8], lead: &Range<usize>) -> Option<Range<usize>> {
    let text = source.get(lead.clone())?;
    let start = lead.start.checked_add(memchr(b'"', text)?)?;
    let end = lead
        .start
        .checked_add(memrchr(b'"', text)?)?
        .checked_add(1)?;
    Some(start..end)
}

/// `text` without the members that `steps` lead to; nothing when there are none. Recurses once per step of the path,
/// which the operator wrote, not per level of the body.
fn without(text: &str, steps: &[Step]) -> Option<Vec<u8>> {
    let (step, deeper) = steps.split_first()?;
    match step {
        Step::Member(name) => {
            let object = Object::parse_str(text).ok()?;
            let mut splice = Splice::new(&object);
            if deeper.is_empty() {
                if !splice.remove(name) {
                    return None;
                }
            } else {
                let shorter = without(object.get(name)?.get(), deeper)?;
                splice.set(name.as_str(), shorter);
            }
            Some(splice.write())
        }
        Step::EveryElement => without_in_elements(text, deeper, None),
        Step::Element(only) => without_in_elements(text, deeper, Some(*only)),
    }
}

fn without_in_elements(text: &str, deeper: &[Step], only: Option<usize>) -> Option<Vec<u8>> {
    let mut out = Output {
        source: text.as_bytes(),
        copied: 0,
        bytes: Vec::with_capacity(text.len()),
    };
    let mut changed = false;
    for (at, (element, span)) in array::elements(text)?.into_iter().enumerate() {
        if only.is_some_and(|only| only != at) {
            continue;
        }
        if let Some(shorter) = without(element, deeper) {
            out.skip(span);
            out.bytes.extend_from_slice(&shorter);
            changed = true;
        }
    }
    out.skip(text.len()..text.len());
    changed.then_some(out.bytes)
}
