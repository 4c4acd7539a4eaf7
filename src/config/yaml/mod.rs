//! YAML as a config file needs it: a tree that keeps every repeated key and the source text of every number, a
//! locator from key path to line and column, and a typed reader with the habits of YAML 1.1.
//!
//! The parser underneath reports marks in its errors only. So positions are found on demand: [`locate()`] walks to the
//! wanted key and makes the parser fail there. A file is parsed again for each message, never for a good config.

mod locate;
mod node;
mod old;
mod path;
mod read;
mod typed;

pub(super) use locate::locate;
pub(super) use node::{Mapping, Node};
pub(super) use old::{Surprise, read_old_scalars};
pub(super) use path::{KeyPath, Segment};
pub(super) use read::{Duplicate, MOST_BYTES, Read, read};
pub(super) use typed::typed;
