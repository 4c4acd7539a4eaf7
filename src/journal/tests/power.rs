//! What is promised for a power loss, and what it waits for.

use std::sync::atomic::Ordering;

use super::room::FaultyDisk;
use super::*;

fn with(fsync: FsyncPolicy, data_dir: &TempDir) -> (Arc<FaultyDisk>, Journal) {
    let disk = Arc::new(FaultyDisk::default());
    let options = JournalOptions { fsync, ..small() };
    let shared = Arc::<FaultyDisk>::clone(&disk);
    let journal = Journal::open_on(shared, data_dir.path(), options).unwrap();
    (disk, journal)
}

#[test]
fn only_always_gives_something_to_wait_for() {
    let often = FsyncPolicy::Interval(Duration::from_millis(1));
    for (fsync, waits) in [
        (FsyncPolicy::Never, false),
        (often, false),
        (FsyncPolicy::Always, true),
    ] {
        let data_dir = TempDir::new().unwrap();
        let (_disk, journal) = with(fsync, &data_dir);
        assert_eq!(journal.writer().synced().is_some(), waits, "{fsync:?}");
    }
}

#[tokio::test]
async fn a_record_that_was_waited_for_was_synced() {
    let data_dir = TempDir::new().unwrap();
    let (disk, journal) = with(FsyncPolicy::Always, &data_dir);
    let writer = journal.writer();
    for n in 0..50 {
        writer.settled(&settled(n)).unwrap();
        let written = disk.written.load(Ordering::SeqCst);
        writer.synced().unwrap().await.unwrap();
        assert!(disk.synced_to.load(Ordering::SeqCst) >= written);
    }
}

#[tokio::test]
async fn requests_at_the_same_time_share_a_sync() {
    const WAITING: u64 = 200;
    let data_dir = TempDir::new().unwrap();
    let (disk, journal) = with(FsyncPolicy::Always, &data_dir);
    let writer = journal.writer();
    let waits: Vec<_> = (0..WAITING)
        .map(|n| {
            writer.settled(&settled(n)).unwrap();
            writer.synced().unwrap()
        })
        .collect();
    for wait in waits {
        wait.await.unwrap();
    }
    let syncs = disk.syncs.load(Ordering::SeqCst);
    assert!(syncs < 2 * WAITING, "{syncs} syncs of {WAITING} requests");
    drop(writer.synced());
    writer.synced().unwrap().await.unwrap();
}

#[tokio::test]
async fn a_disk_that_cannot_sync_is_an_error_and_the_next_record_goes_elsewhere() {
    let data_dir = TempDir::new().unwrap();
    let (disk, journal) = with(FsyncPolicy::Always, &data_dir);
    let writer = journal.writer();
    disk.refuses_syncs.store(true, Ordering::SeqCst);
    writer.settled(&settled(1)).unwrap();
    let failed = writer.synced().unwrap().await;
    assert!(matches!(failed, Err(JournalError::Io { .. })), "{failed:?}");

    disk.refuses_syncs.store(false, Ordering::SeqCst);
    writer.settled(&settled(2)).unwrap();
    writer.synced().unwrap().await.unwrap();

    assert_eq!(segments(&boot_dirs(&data_dir)[0]).len(), 2);
    assert_eq!(ids(&drain(&journal, 10)), [id(1), id(2)]);
    assert!(journal.close().unwrap());
}

#[tokio::test]
async fn nobody_waits_for_a_thread_that_is_gone() {
    let data_dir = TempDir::new().unwrap();
    let (_disk, journal) = with(FsyncPolicy::Always, &data_dir);
    let writer = journal.writer();
    drop(journal);
    let late = writer.synced().unwrap().await;
    assert!(matches!(late, Err(JournalError::Closed)));
}

#[test]
fn a_copy_is_on_the_disk_before_its_original_goes() {
    let data_dir = TempDir::new().unwrap();
    let (disk, journal) = with(FsyncPolicy::Interval(Duration::from_hours(1)), &data_dir);
    let writer = journal.writer();
    writer.started(&started(1000)).unwrap();
    for n in 0..60 {
        writer.started(&started(n)).unwrap();
        writer.settled(&settled(n)).unwrap();
    }
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 0);
    let written = disk.written.load(Ordering::SeqCst);
    let before = segments(&boot_dirs(&data_dir)[0]).len();

    drain(&journal, 100);

    assert!(segments(&boot_dirs(&data_dir)[0]).len() < before);
    assert!(disk.synced_to.load(Ordering::SeqCst) >= written);
}
