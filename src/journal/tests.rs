//! The journal as its users see it. A killed process is one that is dropped without `close`: the files are the same,
//! because an append is a finished `write(2)` either way.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;
use trunkline_actors::ids::{KeyId, ModelGroup, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{JournalError, SpendRecord, SpendStatus, StartedRecord};

use super::*;
use crate::storage;

fn id(n: u64) -> RequestId {
    RequestId::generate(1_790_000_000_000 + n, u128::from(n))
}

fn started(n: u64) -> StartedRecord {
    StartedRecord {
        id: id(n),
        started_at: UnixMs(id(n).unix_ms()),
        key: Some(KeyId::from("a-key")),
        user: Some(UserId::from("a-user")),
        team: None,
        organisation: None,
        end_user: None,
        tags: Vec::new(),
        model_group: ModelGroup::from("gpt"),
        estimated_prompt_tokens: 10,
        estimated_input_cost: Some(Usd::from_pico(7)),
        call_type: "acompletion".to_owned(),
        stream: true,
        budgets: Vec::new(),
    }
}

fn settled(n: u64) -> SpendRecord {
    SpendRecord {
        status: SpendStatus::Success,
        usage_estimated: false,
        cost: Some(Usd::from_pico(100)),
        provider: "openai".to_owned(),
        ..record::unknown(started(n))
    }
}

fn small() -> JournalOptions {
    JournalOptions {
        segment_bytes: 2048,
        max_bytes: 1 << 20,
        fsync: FsyncPolicy::Never,
    }
}

fn boot_dirs(data_dir: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.path().join("journal")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| writer::is_segment(path))
        .collect();
    paths.sort();
    paths
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
    let journal = Journal::open(data_dir.path(), small()).unwrap();
    let writer = journal.writer();
    for n in 0..40 {
        writer.started(&started(n)).unwrap();
        writer.settled(&settled(n)).unwrap();
    }
    assert!(segments(&boot_dirs(&data_dir)[0]).len() > 5);
    let shipped = drain(&journal, 7);
    assert_eq!(shipped, (0..40).map(settled).collect::<Vec<_>>());
    assert_eq!(segments(&boot_dirs(&data_dir)[0]).len(), 1);
    assert!(journal.close().unwrap());
    assert!(boot_dirs(&data_dir).is_empty());
}

#[test]
fn a_batch_that_is_not_released_comes_again() {
    let data_dir = TempDir::new().unwrap();
    let journal = Journal::open(data_dir.path(), small()).unwrap();
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
fn a_segment_stays_until_the_requests_that_started_in_it_are_settled() {
    let data_dir = TempDir::new().unwrap();
    let journal = Journal::open(data_dir.path(), small()).unwrap();
    let (writer, other) = (journal.writer(), journal.writer());
    writer.started(&started(1000)).unwrap();
    for n in 0..40 {
        writer.started(&started(n)).unwrap();
        writer.settled(&settled(n)).unwrap();
    }
    assert_eq!(drain(&journal, 64).len(), 40);
    let dir = boot_dirs(&data_dir).remove(0);
    // The first, which holds the open request, and the last, which is written to.
    assert_eq!(segments(&dir).len(), 2);
    assert!(segments(&dir)[0].ends_with("0000-0000000000.segment"));
    other.settled(&settled(1000)).unwrap();
    assert_eq!(ids(&drain(&journal, 64)), [id(1000)]);
    assert!(!segments(&dir)[0].ends_with("0000-0000000000.segment"));
}

#[test]
fn a_dead_process_leaves_its_settled_records_and_one_unknown_row_per_open_request() {
    let data_dir = TempDir::new().unwrap();
    let journal = Journal::open(data_dir.path(), small()).unwrap();
    let (writer, other) = (journal.writer(), journal.writer());
    for n in 0..10 {
        writer.started(&started(n)).unwrap();
        if n % 2 == 0 {
            other.settled(&settled(n)).unwrap();
        }
    }
    drop((writer, other, journal));

    let next = Journal::open(data_dir.path(), small()).unwrap();
    next.writer().settled(&settled(100)).unwrap();
    let shipped = drain(&next, 3);
    let expected = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9, 100].map(id);
    assert_eq!(ids(&shipped), expected);
    let unknown = &shipped[5];
    assert_eq!(unknown.status, SpendStatus::Unknown);
    assert_eq!(unknown.cost, Some(Usd::from_pico(7)));
    assert!(unknown.usage_estimated);
    // The dead process's directory is gone, ours is left.
    assert_eq!(boot_dirs(&data_dir).len(), 1);
}

#[test]
fn the_directory_of_a_living_process_is_left_alone() {
    let data_dir = TempDir::new().unwrap();
    let living = Journal::open(data_dir.path(), small()).unwrap();
    living.writer().started(&started(1)).unwrap();
    let second = Journal::open(data_dir.path(), small()).unwrap();
    assert!(drain(&second, 10).is_empty());
    assert_eq!(boot_dirs(&data_dir).len(), 2);
    drop(living);
    let third = Journal::open(data_dir.path(), small()).unwrap();
    assert_eq!(ids(&drain(&third, 10)), [id(1)]);
}

#[test]
fn records_adopted_but_not_shipped_are_adopted_again() {
    let data_dir = TempDir::new().unwrap();
    let first = Journal::open(data_dir.path(), small()).unwrap();
    first.writer().started(&started(1)).unwrap();
    first.writer().settled(&settled(2)).unwrap();
    drop(first);
    let second = Journal::open(data_dir.path(), small()).unwrap();
    second.reader().next_batch(10).unwrap();
    assert!(second.close().unwrap());
    drop(second);
    let third = Journal::open(data_dir.path(), small()).unwrap();
    assert_eq!(ids(&drain(&third, 10)), [id(2), id(1)]);
    assert!(third.close().unwrap());
    assert!(boot_dirs(&data_dir).is_empty());
}

#[test]
fn a_full_journal_refuses_to_start_requests_but_settles_those_that_started() {
    let data_dir = TempDir::new().unwrap();
    let options = JournalOptions {
        max_bytes: 64 << 10,
        ..small()
    };
    let journal = Journal::open(data_dir.path(), options).unwrap();
    let writer = journal.writer();
    let mut accepted = 0;
    let refusal = loop {
        match writer.started(&started(accepted)) {
            Ok(()) => accepted += 1,
            Err(err) => break err,
        }
    };
    assert!(matches!(refusal, JournalError::NoRoom));
    assert!(accepted > 5);
    for n in 0..accepted {
        writer.settled(&settled(n)).unwrap();
    }
    let used: u64 = segments(&boot_dirs(&data_dir)[0])
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert!(used <= 64 << 10);
    drain(&journal, 100);
    writer.started(&started(999)).unwrap();
}

#[test]
fn a_closed_journal_takes_nothing() {
    let data_dir = TempDir::new().unwrap();
    let journal = Journal::open(data_dir.path(), small()).unwrap();
    let writer = journal.writer();
    writer.started(&started(1)).unwrap();
    assert!(!journal.close().unwrap(), "an open request is left");
    let late = writer.settled(&settled(1));
    assert!(matches!(late, Err(JournalError::Closed)));
}

#[test]
fn a_failed_append_leaves_no_garbage_between_records() {
    let data_dir = TempDir::new().unwrap();
    let journal = Journal::open(data_dir.path(), small()).unwrap();
    let writer = journal.writer();
    writer.settled(&settled(1)).unwrap();
    // The next segment cannot be made: the directory is gone.
    let dir = boot_dirs(&data_dir).remove(0);
    let aside = data_dir.path().join("aside");
    fs::rename(&dir, &aside).unwrap();
    let failed = (2..20).find_map(|n| writer.settled(&settled(n)).err());
    assert!(matches!(failed, Some(JournalError::Io { .. })));
    fs::rename(&aside, &dir).unwrap();
    writer.settled(&settled(50)).unwrap();
    let shipped = ids(&drain(&journal, 100));
    assert_eq!(shipped.first(), Some(&id(1)));
    assert_eq!(shipped.last(), Some(&id(50)));
}

#[test]
fn a_disk_that_is_full_is_an_error_and_not_a_panic() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return; // Not a Linux.
    };
    let segment = segment::Segment::over_file(full);
    let err = segment.append(b"frame").unwrap_err();
    assert_eq!(err.kind(), io::ErrorKind::StorageFull);
    assert_eq!(segment.len(), 0);
    assert!(segment.is_sealed(), "the writer goes on in another file");
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

#[tokio::test]
async fn a_killed_process_is_on_the_books_exactly_once_even_when_shipped_twice() {
    let data_dir = TempDir::new().unwrap();
    let store = storage::open_sqlite(&data_dir.path().join("books.db"))
        .await
        .unwrap();
    let first = Journal::open(data_dir.path(), small()).unwrap();
    let writer = first.writer();
    for n in 0..30 {
        writer.started(&started(n)).unwrap();
        if n < 20 {
            writer.settled(&settled(n)).unwrap();
        }
    }
    // Shipped and committed, but killed before the release.
    let batch = first.reader().next_batch(15).unwrap();
    assert_eq!(store.ledger.insert(batch.records).await.unwrap(), 15);
    drop((writer, first));

    let second = Journal::open(data_dir.path(), small()).unwrap();
    let mut inserted = 0;
    loop {
        let batch = second.reader().next_batch(8).unwrap();
        if batch.records.is_empty() {
            break;
        }
        inserted += store.ledger.insert(batch.records.clone()).await.unwrap();
        assert_eq!(store.ledger.insert(batch.records).await.unwrap(), 0);
        second.reader().release(batch.up_to).unwrap();
    }
    assert_eq!(inserted, 15);
    let spend = store.spend.key_spend(KeyId::from("a-key")).await.unwrap();
    assert_eq!(spend, Usd::from_pico(20 * 100 + 10 * 7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_segment_yields_a_prefix_of_what_was_written(
        count in 1..12_u64,
        at in any::<Index>(),
        flipped in prop::option::of(0..8_u8),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let data_dir = TempDir::new().unwrap();
        let journal = Journal::open(data_dir.path(), JournalOptions { segment_bytes: 1 << 20, ..small() }).unwrap();
        let writer = journal.writer();
        for n in 0..count {
            writer.settled(&settled(n)).unwrap();
        }
        drop((writer, journal));
        let path = segments(&boot_dirs(&data_dir)[0]).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if let Some(bit) = flipped {
            bytes[at] ^= 1 << bit;
        } else {
            bytes.truncate(at);
        }
        fs::write(&path, bytes).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&garbage).unwrap();

        let next = Journal::open(data_dir.path(), small()).unwrap();
        let read = drain(&next, 5);
        let written: Vec<SpendRecord> = (0..count).map(settled).collect();
        prop_assert!(read.len() < written.len());
        prop_assert_eq!(&read[..], &written[..read.len()]);
    }
}

#[test]
fn what_a_newer_version_wrote_is_left_out_and_the_rest_is_read() {
    let data_dir = TempDir::new().unwrap();
    let journal = Journal::open(data_dir.path(), small()).unwrap();
    journal.writer().settled(&settled(1)).unwrap();
    drop(journal);
    let path = segments(&boot_dirs(&data_dir)[0]).remove(0);
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(&frame::encode(b"\xffsomething new"))
        .unwrap();
    let payload = record::settled(&settled(2)).unwrap();
    file.write_all(&frame::encode(&payload)).unwrap();
    let next = Journal::open(data_dir.path(), small()).unwrap();
    assert_eq!(ids(&drain(&next, 10)), [id(1), id(2)]);
}

#[test]
fn a_second_kill_between_adopted_rows_and_unknown_rows_loses_neither() {
    let data_dir = TempDir::new().unwrap();
    let first = Journal::open(data_dir.path(), small()).unwrap();
    let writer = first.writer();
    writer.started(&started(100)).unwrap();
    for n in 0..20 {
        writer.started(&started(n)).unwrap();
        writer.settled(&settled(n)).unwrap();
    }
    drop((writer, first));
    let second = Journal::open(data_dir.path(), small()).unwrap();
    let reader = second.reader();
    let batch = reader.next_batch(20).unwrap();
    assert_eq!(batch.records, (0..20).map(settled).collect::<Vec<_>>());
    reader.release(batch.up_to).unwrap();
    drop((reader, second));
    let third = Journal::open(data_dir.path(), small()).unwrap();
    assert_eq!(ids(&drain(&third, 100)).last(), Some(&id(100)));
    assert!(third.close().unwrap());
    assert!(boot_dirs(&data_dir).is_empty());
}
