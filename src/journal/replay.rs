//! Takes over what dead processes left: boot directories whose lock is free.
//!
//! Each segment counts up to its last whole frame. Zeroes behind it are the rest of a preallocated file and are cut off;
//! anything else is a torn tail (of a power loss), which is reported and kept. A `started` without `settled` anywhere in
//! the directory becomes one row of status `unknown`, however often it was copied forward. Its `settled` may have been shipped and
//! deleted with its segment while a segment with its `started` had to stay: then the store knows the id already and
//! ignores the row.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::{SpendRecord, StartedRecord};

use super::disk::Disk;
use super::is_segment;
use super::lock::BootLock;
use super::record::{self, Record};
use super::scanner::Scanner;
use super::segment::Segment;

/// A dead process's directory. Its lock is held until it is removed or this value is dropped.
#[derive(Debug)]
pub(super) struct Adopted {
    pub(super) lock: BootLock,
    /// In the order they were written, per writer; sealed.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Rows for requests that never settled, in order of id. As many as were under way when the process died.
    pub(super) unknown: Vec<SpendRecord>,
}

/// Adopts every directory in `root` that nobody owns, oldest boot first.
///
/// Precondition: this process's own directory is locked.
pub(super) fn adopt_all(root: &Path, disk: &Arc<dyn Disk>) -> io::Result<Vec<Adopted>> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let is_boot_dir = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<RequestId>().is_ok());
        if is_boot_dir {
            dirs.push(entry.path());
        }
    }
    dirs.sort();
    let mut adopted = Vec::new();
    for dir in dirs {
        if let Some(lock) = BootLock::adopt_dir(&dir)? {
            adopted.push(adopt(&dir, lock, disk)?);
        }
    }
    Ok(adopted)
}

fn adopt(dir: &Path, lock: BootLock, disk: &Arc<dyn Disk>) -> io::Result<Adopted> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if is_segment(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut requests = Requests::default();
    let mut segments = Vec::with_capacity(paths.len());
    for path in paths {
        let (len, capacity) = replay(&path, &mut requests)?;
        let segment = Segment::adopted(path, len, capacity, Arc::clone(disk))?;
        segments.push(Arc::new(segment));
    }
    let unknown: Vec<SpendRecord> = requests.open.into_values().map(record::unknown).collect();
    log::info!(
        directory:% = dir.display(), segments = segments.len(), unsettled = unknown.len();
        "adopted the journal of a process that ended without shipping it"
    );
    Ok(Adopted {
        lock,
        segments,
        unknown,
    })
}

/// Notes the records of one segment, cuts off what was never written, and answers where its whole frames end and how long
/// it is then.
fn replay(path: &Path, requests: &mut Requests) -> io::Result<(u64, u64)> {
    let file_len = fs::metadata(path)?.len();
    let mut scanner = Scanner::open(path, 0, file_len)?;
    while scanner.advance()? {
        match record::decode(scanner.payload()) {
            Some(Record::Started(started)) => requests.started(started),
            Some(Record::Settled(settled)) => requests.settled(settled.id),
            None => log::error!(
                segment:% = path.display(), behind = scanner.offset();
                "a journal record cannot be read and is left out: a newer version may have written it"
            ),
        }
    }
    let len = scanner.offset();
    if len == file_len {
        return Ok((len, file_len));
    }
    if scanner.rest_is_zero()? {
        let cut = OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(len));
        // It only takes room.
        return Ok((len, if cut.is_ok() { len } else { file_len }));
    }
    log::warn!(
        segment:% = path.display(), kept_bytes = len, torn_bytes = file_len - len;
        "the end of a journal segment is torn: what is behind the last whole record is left out"
    );
    Ok((len, file_len))
}

/// Which requests of a directory are open. The records of one request may come in either order, because they may be in
/// different writers' segments, and its `started` may come again.
#[derive(Debug, Default)]
struct Requests {
    open: BTreeMap<RequestId, StartedRecord>,
    settled_first: HashSet<RequestId>,
}

// === impl Requests ===

impl Requests {
    fn started(&mut self, started: StartedRecord) {
        if !self.settled_first.contains(&started.id) {
            self.open.insert(started.id, started);
        }
    }

    fn settled(&mut self, id: RequestId) {
        if self.open.remove(&id).is_none() {
            self.settled_first.insert(id);
        }
    }
}
