//! The body as it is put together: members in order, each set once, a later value in place of an earlier one.

use bytes::Bytes;
use serde::Serialize;

use crate::json::push_string;

/// Top-level members, values as JSON text.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<(String, Vec<u8>)>);

// === impl Body ===

impl Body {
    pub(super) fn set(&mut self, key: &str, value: &impl Serialize) {
        // Values of this crate are always writable: their keys are strings.
        let Ok(value) = serde_json::to_vec(value) else {
            return;
        };
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, earlier)) => *earlier = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub(super) fn set_some(&mut self, key: &str, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    pub(super) fn set_list(&mut self, key: &str, list: &[impl Serialize]) {
        if !list.is_empty() {
            self.set(key, &list);
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    pub(super) fn finish(self) -> Bytes {
        let room = self.0.iter().map(|(key, value)| {
            let punctuation = 4;
            key.len()
                .saturating_add(value.len())
                .saturating_add(punctuation)
        });
        let mut out = Vec::with_capacity(room.fold(2, usize::saturating_add));
        for (key, value) in self.0 {
            out.push(if out.is_empty() { b'{' } else { b',' });
            push_string(&mut out, &key);
            out.push(b':');
            out.extend_from_slice(&value);
        }
        out.push(b'}');
        out.into()
    }
}
