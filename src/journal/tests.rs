//! The journal as its users see it. A killed process is one that is dropped without `close`: the files are the same,
//! because an append is a finished `pwrite(2)` either way.

mod adoption;
mod copies;
mod damage;
mod histories;
mod power;
mod room;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;
use trunkline_actors::ids::{KeyId, ModelGroup, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{JournalError, SpendRecord, SpendStatus, StartedRecord};

use super::*;

fn id(n: u64) -> RequestId {
    RequestId::generate(1_790_000_000_000 + n, u128::from(n))
}

fn started(n: u64) -> StartedRecord {
    started_as(id(n))
}

fn started_as(id: RequestId) -> StartedRecord {
    StartedRecord {
        key: Some(KeyId::from("a-key")),
        user: Some(UserId::from("a-user")),
        estimated_prompt_tokens: 10,
        estimated_input_cost: Some(Usd::from_pico(7)),
        stream: true,
        // As long as some: a segment of the tests holds some ten requests.
        tags: vec!["tag".repeat(90)],
        ..StartedRecord::new(id, ModelGroup::from("gpt"), "acompletion")
    }
}

fn settled(n: u64) -> SpendRecord {
    settled_as(id(n))
}

fn settled_as(id: RequestId) -> SpendRecord {
    SpendRecord {
        status: SpendStatus::Success,
        usage_estimated: false,
        cost: Some(Usd::from_pico(100)),
        provider: "openai".to_owned(),
        ..record::unknown(started_as(id))
    }
}

/// Segments that are full after some ten requests.
fn small() -> JournalOptions {
    JournalOptions {
        segment_bytes: 2 * MAX_FRAME_BYTES as u64,
        max_bytes: 1 << 20,
        fsync: FsyncPolicy::Never,
        ..JournalOptions::default()
    }
}

fn open(data_dir: &TempDir) -> Journal {
    Journal::open(data_dir.path(), small()).unwrap()
}

fn boot_dirs(data_dir: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.path().join("journal")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| is_segment(path))
        .collect();
    paths.sort();
    paths
}

/// Where the records of a segment end and its zeroes begin.
fn written_bytes(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1)
}

/// Writes behind the last record of a segment.
fn write_behind(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let at = written_bytes(path) as u64;
    file.write_all_at(bytes, at).unwrap();
}

/// Ships everything, `max` at a time, and answers the ids in the order they came.
fn drain(journal: &Journal, max: usize) -> Vec<SpendRecord> {
    let reader = journal.reader();
    let mut all = Vec::new();
    loop {
        let batch = reader.next_batch(max).unwrap();
        if batch.records.is_empty() {
            return all;
        }
        assert!(batch.records.len() <= max);
        all.extend(batch.records);
        reader.release(batch.up_to).unwrap();
    }
}

fn ids(records: &[SpendRecord]) -> Vec<RequestId> {
    records.iter().map(|record| record.id).collect()
}

#[test]
fn settled_records_come_back_in_order_and_nothing_is_left() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let writer = journal.writer();
    for n in 0..60 {
        writer.started(&started(n)).unwrap();
        writer.settled(&settled(n)).unwrap();
    }
    assert!(segments(&boot_dirs(&data_dir)[0]).len() > 4);
    let shipped = drain(&journal, 7);
    assert_eq!(shipped, (0..60).map(settled).collect::<Vec<_>>());
    // The one that is appended to, and at most one that is ready.
    assert!(segments(&boot_dirs(&data_dir)[0]).len() <= 2);
    assert!(journal.close().unwrap());
    assert!(boot_dirs(&data_dir).is_empty());
}

#[test]
fn a_batch_that_is_not_released_comes_again() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let writer = journal.writer();
    writer.settled(&settled(1)).unwrap();
    let reader = journal.reader();
    let first = reader.next_batch(10).unwrap();
    writer.settled(&settled(2)).unwrap();
    let second = reader.next_batch(10).unwrap();
    assert_eq!(ids(&first.records), [id(1)]);
    assert_eq!(ids(&second.records), [id(1), id(2)]);
    reader.release(first.up_to).unwrap();
    reader.release(second.up_to).unwrap();
    assert!(reader.next_batch(10).unwrap().records.is_empty());
}

#[test]
fn a_closed_journal_takes_nothing() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let writer = journal.writer();
    writer.started(&started(1)).unwrap();
    assert!(!journal.close().unwrap(), "an open request is left");
    let late = writer.settled(&settled(1));
    assert!(matches!(late, Err(JournalError::Closed)));
}

#[test]
fn several_writers_and_a_reader_at_once_lose_and_repeat_nothing() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 300;
    let data_dir = TempDir::new().unwrap();
    let options = JournalOptions {
        fsync: FsyncPolicy::Interval(Duration::from_millis(1)),
        max_bytes: 1 << 30,
        ..small()
    };
    let journal = Journal::open(data_dir.path(), options).unwrap();
    let mut shipped = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|worker| {
                let writer = journal.writer();
                scope.spawn(move || {
                    for n in worker * EACH..(worker + 1) * EACH {
                        writer.started(&started(n)).unwrap();
                        writer.settled(&settled(n)).unwrap();
                    }
                })
            })
            .collect();
        let mut shipped = Vec::new();
        while writers.iter().any(|writer| !writer.is_finished()) {
            shipped.extend(ids(&drain(&journal, 50)));
        }
        shipped
    });
    shipped.extend(ids(&drain(&journal, 50)));
    assert_eq!(shipped.len() as u64, WRITERS * EACH);
    shipped.sort();
    assert_eq!(shipped, (0..WRITERS * EACH).map(id).collect::<Vec<_>>());
    assert!(journal.close().unwrap());
}

#[test]
fn a_record_of_any_size_is_cut_to_fit_and_keeps_what_is_billed() {
    let mut large = settled(1);
    large.tags = vec!["\u{1}".repeat(5000); 50];
    large.end_user = Some("é".repeat(10_000));
    large.model = "\"".repeat(10_000);
    large.error_code = Some("\\".repeat(10_000));
    let payload = record::settled(&large).unwrap();
    assert!(payload.len() <= frame::MAX_PAYLOAD_BYTES);
    let Some(record::Record::Settled(read)) = record::decode(&payload) else {
        panic!("not a settled record");
    };
    assert_eq!(
        (read.id, read.cost, read.usage),
        (large.id, large.cost, large.usage)
    );
    assert_eq!((read.key, read.user), (large.key, large.user));
}
