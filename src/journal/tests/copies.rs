//! Open `started` records move on with their writer, so that no request keeps an old segment.

use super::*;

/// Starts and settles so many requests, ids from `first` on.
fn pass(writer: &Arc<dyn JournalWriter>, first: u64, count: u64) {
    for n in first..first + count {
        writer.started(&started(n)).unwrap();
        writer.settled(&settled(n)).unwrap();
    }
}

#[test]
fn one_slow_request_keeps_no_old_segment() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let writer = journal.writer();
    writer.started(&started(1000)).unwrap();
    for round in 0..20 {
        pass(&writer, round * 40, 40);
        drain(&journal, 64);
        // The current one, the one before it, and one that is ready.
        let kept = segments(&boot_dirs(&data_dir)[0]).len();
        assert!(kept <= 3, "{kept} segments in round {round}");
    }
    drop((writer, journal));

    let next = open(&data_dir);
    let shipped = drain(&next, 64);
    let unknown: Vec<RequestId> = ids(&shipped)
        .into_iter()
        .filter(|id| *id == self::id(1000))
        .collect();
    assert_eq!(unknown.len(), 1, "its `started` is known, and once");
    assert_eq!(shipped.last().unwrap().status, SpendStatus::Unknown);
}

#[test]
fn a_request_that_was_copied_settles_like_any_other() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let (writer, other) = (journal.writer(), journal.writer());
    writer.started(&started(1000)).unwrap();
    writer.started(&started(1001)).unwrap();
    pass(&writer, 0, 100);
    writer.settled(&settled(1000)).unwrap();
    other.settled(&settled(1001)).unwrap();
    let shipped = ids(&drain(&journal, 1000));
    assert_eq!(shipped.len(), 102);
    assert!(journal.close().unwrap(), "nothing is open");
    assert!(boot_dirs(&data_dir).is_empty());
}

#[test]
fn many_open_requests_move_on_a_few_at_a_time_and_none_is_lost() {
    const OPEN: u64 = 700;
    let data_dir = TempDir::new().unwrap();
    let options = JournalOptions {
        segment_bytes: 1 << 20,
        max_bytes: 64 << 20,
        ..small()
    };
    let journal = Journal::open(data_dir.path(), options).unwrap();
    let writer = journal.writer();
    for n in 0..OPEN {
        writer.started(&started(10_000 + n)).unwrap();
    }
    // Some eight segments' worth: three rotations copy them all.
    pass(&writer, 100_000, 14_000);
    assert_eq!(drain(&journal, 20_000).len(), 14_000);
    let dir = boot_dirs(&data_dir).remove(0);
    assert!(!segments(&dir)[0].ends_with("0000-0000000000.segment"));
    drop((writer, journal));

    let next = open(&data_dir);
    let mut unknown: Vec<RequestId> = drain(&next, 20_000)
        .into_iter()
        .filter(|row| row.status == SpendStatus::Unknown)
        .map(|row| row.id)
        .collect();
    unknown.sort();
    let expected: Vec<RequestId> = (0..OPEN).map(|n| id(10_000 + n)).collect();
    assert_eq!(unknown, expected);
}
