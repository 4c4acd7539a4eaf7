//! What dead processes left is on the books exactly once, whoever finds it and when.

use super::*;
use crate::storage;

#[test]
fn a_dead_process_leaves_its_settled_records_and_one_unknown_row_per_open_request() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let (writer, other) = (journal.writer(), journal.writer());
    for n in 0..10 {
        writer.started(&started(n)).unwrap();
        if n % 2 == 0 {
            other.settled(&settled(n)).unwrap();
        }
    }
    drop((writer, other, journal));

    let next = open(&data_dir);
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
    let living = open(&data_dir);
    living.writer().started(&started(1)).unwrap();
    let second = open(&data_dir);
    assert!(drain(&second, 10).is_empty());
    assert_eq!(boot_dirs(&data_dir).len(), 2);
    drop(living);
    let third = open(&data_dir);
    assert_eq!(ids(&drain(&third, 10)), [id(1)]);
}

#[test]
fn a_process_that_dies_later_is_taken_over_by_one_that_lives() {
    let data_dir = TempDir::new().unwrap();
    let mortal = open(&data_dir);
    let options = JournalOptions {
        adopt_every: Duration::ZERO,
        ..small()
    };
    let living = Journal::open(data_dir.path(), options).unwrap();
    let patient = open(&data_dir);
    mortal.writer().started(&started(1)).unwrap();
    mortal.writer().settled(&settled(2)).unwrap();
    assert!(drain(&living, 10).is_empty());

    drop(mortal);

    assert!(drain(&patient, 10).is_empty(), "its minute is not over");
    assert_eq!(ids(&drain(&living, 10)), [id(2), id(1)]);
    assert_eq!(boot_dirs(&data_dir).len(), 2);
    assert!(living.close().unwrap());
}

#[test]
fn records_adopted_but_not_shipped_are_adopted_again() {
    let data_dir = TempDir::new().unwrap();
    let first = open(&data_dir);
    first.writer().started(&started(1)).unwrap();
    first.writer().settled(&settled(2)).unwrap();
    drop(first);
    let second = open(&data_dir);
    second.reader().next_batch(10).unwrap();
    assert!(second.close().unwrap());
    drop(second);
    let third = open(&data_dir);
    assert_eq!(ids(&drain(&third, 10)), [id(2), id(1)]);
    assert!(third.close().unwrap());
    assert!(boot_dirs(&data_dir).is_empty());
}

#[tokio::test]
async fn a_killed_process_is_on_the_books_exactly_once_even_when_shipped_twice() {
    let data_dir = TempDir::new().unwrap();
    let store = storage::open_sqlite(&data_dir.path().join("books.db"))
        .await
        .unwrap();
    let first = open(&data_dir);
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

    let second = open(&data_dir);
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

#[test]
fn a_second_kill_between_adopted_rows_and_unknown_rows_loses_neither() {
    let data_dir = TempDir::new().unwrap();
    let first = open(&data_dir);
    let writer = first.writer();
    writer.started(&started(100)).unwrap();
    for n in 0..20 {
        writer.started(&started(n)).unwrap();
        writer.settled(&settled(n)).unwrap();
    }
    drop((writer, first));
    let second = open(&data_dir);
    let reader = second.reader();
    let batch = reader.next_batch(20).unwrap();
    assert_eq!(batch.records, (0..20).map(settled).collect::<Vec<_>>());
    reader.release(batch.up_to).unwrap();
    drop((reader, second));
    let third = open(&data_dir);
    assert_eq!(ids(&drain(&third, 100)).last(), Some(&id(100)));
    assert!(third.close().unwrap());
    assert!(boot_dirs(&data_dir).is_empty());
}

/// Ids are time and 80 random bits; directories are named by such an id. Nothing orders by either.
#[test]
fn a_clock_that_jumps_between_starts_costs_nothing() {
    let data_dir = TempDir::new().unwrap();
    let hour = 3_600_000;
    let now = UnixMs::now().0;
    // Each process lives at another time; two at the very same one.
    let times = [now, now + 24 * hour, now - 24 * hour, now, 0];
    for (boot, time) in times.into_iter().enumerate() {
        let journal = open(&data_dir);
        let writer = journal.writer();
        let at_that_time = |n| RequestId::generate(time, (boot as u128) << 8 | n);
        writer.started(&started_as(at_that_time(1))).unwrap();
        writer.started(&started_as(at_that_time(2))).unwrap();
        writer.settled(&settled_as(at_that_time(1))).unwrap();
        drop((writer, journal));
        // The directory says that the process started then.
        let made = boot_dirs(&data_dir).pop().unwrap();
        let named = RequestId::generate(time, boot as u128).to_string();
        fs::rename(&made, data_dir.path().join("journal").join(named)).unwrap();
    }

    let last = open(&data_dir);
    let mut shipped = drain(&last, 3);

    shipped.sort_by_key(|row| row.id);
    let mut expected = Vec::new();
    for (boot, time) in times.into_iter().enumerate() {
        let at_that_time = |n| RequestId::generate(time, (boot as u128) << 8 | n);
        expected.push(settled_as(at_that_time(1)));
        expected.push(record::unknown(started_as(at_that_time(2))));
    }
    expected.sort_by_key(|row| row.id);
    assert_eq!(shipped, expected);
    assert!(last.close().unwrap());
    assert!(boot_dirs(&data_dir).is_empty());
}
