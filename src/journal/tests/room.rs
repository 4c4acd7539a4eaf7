//! A journal or a disk that is full shows when a request starts and never when it ends.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// A disk that fails when it is told to, and counts.
#[derive(Debug, Default)]
pub(super) struct FaultyDisk {
    disk: OsDisk,
    pub(super) is_full: AtomicBool,
    /// So many writes fail next.
    pub(super) failing_writes: AtomicU64,
    pub(super) refuses_syncs: AtomicBool,
    pub(super) syncs: AtomicU64,
    /// Frames that were written.
    pub(super) written: AtomicU64,
    /// How many had been when the last sync that succeeded began.
    pub(super) synced_to: AtomicU64,
}

impl Disk for FaultyDisk {
    fn preallocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.preallocate(file, bytes)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fewer = |left: u64| left.checked_sub(1);
        let fails = self
            .failing_writes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer);
        if fails.is_ok() {
            // As a disk would: a part of it is there.
            self.disk
                .write_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::other("broken"));
        }
        self.disk.write_at(file, bytes, offset)?;
        self.written.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.refuses_syncs.load(Ordering::SeqCst) {
            return Err(io::Error::other("broken"));
        }
        let written = self.written.load(Ordering::SeqCst);
        self.disk.sync(file)?;
        self.synced_to.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }
}

fn on_faulty_disk(data_dir: &TempDir, options: JournalOptions) -> (Arc<FaultyDisk>, Journal) {
    let disk = Arc::new(FaultyDisk::default());
    let shared = Arc::<FaultyDisk>::clone(&disk);
    let journal = Journal::open_on(shared, data_dir.path(), options).unwrap();
    (disk, journal)
}

/// A settlement that is as large as one can be.
fn largest(n: u64) -> SpendRecord {
    let mut record = settled(n);
    record.end_user = Some("x".repeat(256));
    record.tags = vec!["y".repeat(250); 12];
    let frame = frame::encode(&record::settled(&record).unwrap());
    assert!(frame.len() > MAX_FRAME_BYTES * 8 / 10, "{}", frame.len());
    record
}

/// Starts requests until one is refused; how many were not.
fn fill(writer: &Arc<dyn JournalWriter>, first: u64) -> (u64, JournalError) {
    let mut count = 0;
    loop {
        match writer.started(&started(first + count)) {
            Ok(()) => count += 1,
            Err(err) => return (count, err),
        }
    }
}

fn on_disk(data_dir: &TempDir) -> u64 {
    let paths = segments(&boot_dirs(data_dir)[0]);
    let lengths = paths.iter().map(|path| fs::metadata(path).unwrap().len());
    lengths.sum()
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
    let (accepted, refusal) = fill(&writer, 0);
    assert!(matches!(refusal, JournalError::NoRoom));
    assert!(accepted > 5);
    for n in 0..accepted {
        writer.settled(&largest(n)).unwrap();
    }
    assert!(on_disk(&data_dir) <= 64 << 10);
    assert_eq!(drain(&journal, 100).len() as u64, accepted);
    writer.started(&started(999)).unwrap();
}

#[test]
fn a_full_disk_refuses_to_start_requests_but_settles_those_that_started() {
    let data_dir = TempDir::new().unwrap();
    let (disk, journal) = on_faulty_disk(&data_dir, small());
    let writer = journal.writer();
    for n in 0..3 {
        writer.started(&started(n)).unwrap();
    }
    disk.is_full.store(true, Ordering::SeqCst);
    let (more, refusal) = fill(&writer, 3);
    let JournalError::Io { source, .. } = &refusal else {
        panic!("{refusal}");
    };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    for n in 0..3 + more {
        writer.settled(&largest(n)).unwrap();
    }
    disk.is_full.store(false, Ordering::SeqCst);
    writer.started(&started(999)).unwrap();
    writer.settled(&settled(999)).unwrap();
    assert_eq!(drain(&journal, 100).len() as u64, 3 + more + 1);
    assert!(journal.close().unwrap());
    assert!(
        boot_dirs(&data_dir).is_empty(),
        "no half-made segment is left"
    );
}

#[test]
fn several_writers_share_the_room_and_each_settles_what_it_started() {
    let data_dir = TempDir::new().unwrap();
    let options = JournalOptions {
        max_bytes: 128 << 10,
        ..small()
    };
    let journal = Journal::open(data_dir.path(), options).unwrap();
    let writers = [journal.writer(), journal.writer(), journal.writer()];
    let mut open = Vec::new();
    let mut refused = [false; 3];
    for (writer, n) in (0..3).cycle().zip(0..) {
        match writers[writer].started(&started(n)) {
            Ok(()) => open.push((writer, n)),
            Err(_) => refused[writer] = true,
        }
        if refused.iter().all(|refused| *refused) {
            break;
        }
    }
    for (writer, n) in &open {
        writers[*writer].settled(&largest(*n)).unwrap();
    }
    assert!(on_disk(&data_dir) <= 128 << 10);
    assert_eq!(drain(&journal, 100).len(), open.len());
}

#[test]
fn a_request_that_ends_on_another_writer_has_its_room_where_it_started() {
    let data_dir = TempDir::new().unwrap();
    let (disk, journal) = on_faulty_disk(&data_dir, small());
    let (writer, other) = (journal.writer(), journal.writer());
    writer.started(&started(1)).unwrap();
    disk.is_full.store(true, Ordering::SeqCst);
    other.settled(&largest(1)).unwrap();
    assert!(other.settled(&settled(2)).is_err(), "it has no segment");
    assert_eq!(ids(&drain(&journal, 10)), [id(1)]);
}

#[test]
fn room_that_many_requests_needed_is_given_back_when_they_are_gone() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let writer = journal.writer();
    for n in 0..100 {
        writer.started(&started(n)).unwrap();
    }
    let most = journal.status().bytes;
    assert!(most >= 100 * MAX_FRAME_BYTES as u64);
    for n in 0..100 {
        writer.settled(&settled(n)).unwrap();
    }
    assert_eq!(drain(&journal, 1000).len(), 100);
    let left = journal.status().bytes;
    assert!(left <= 3 * small().segment_bytes, "{left} of {most}");
    assert_eq!(left, on_disk(&data_dir));
}

#[test]
fn the_alarm_rises_at_80_percent_and_falls_at_70() {
    let data_dir = TempDir::new().unwrap();
    let segment_bytes = small().segment_bytes;
    let options = JournalOptions {
        max_bytes: 10 * segment_bytes,
        ..small()
    };
    let journal = Journal::open(data_dir.path(), options).unwrap();
    let writer = journal.writer();
    let mut n = 0;
    let mut fill_to = |segments: u64| {
        while journal.status().bytes < segments * segment_bytes {
            writer.started(&started(n)).unwrap();
            writer.settled(&settled(n)).unwrap();
            n += 1;
        }
    };
    fill_to(7);
    assert!(!journal.status().is_filling);
    fill_to(8);
    assert!(journal.status().is_filling);
    drain(&journal, 1000);
    assert!(!journal.status().is_filling);
}

#[test]
fn a_failed_write_leaves_no_garbage_between_records() {
    let data_dir = TempDir::new().unwrap();
    let (disk, journal) = on_faulty_disk(&data_dir, small());
    let writer = journal.writer();
    writer.started(&started(1)).unwrap();
    writer.started(&started(2)).unwrap();
    disk.failing_writes.store(1, Ordering::SeqCst);
    assert!(writer.started(&started(3)).is_err());
    disk.failing_writes.store(1, Ordering::SeqCst);
    writer.settled(&settled(1)).unwrap();
    disk.failing_writes.store(2, Ordering::SeqCst);
    assert!(writer.settled(&settled(2)).is_err());
    writer.settled(&settled(2)).unwrap();
    drop((writer, journal));

    let next = open(&data_dir);
    assert_eq!(ids(&drain(&next, 10)), [id(1), id(2)]);
}

#[test]
fn a_segment_that_cannot_be_made_is_an_error_and_the_next_try_may_succeed() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let writer = journal.writer();
    writer.settled(&settled(1)).unwrap();
    // The next segment cannot be made: the directory is gone.
    let dir = boot_dirs(&data_dir).remove(0);
    let aside = data_dir.path().join("aside");
    fs::rename(&dir, &aside).unwrap();
    let failed = (2..40).find_map(|n| writer.settled(&settled(n)).err());
    assert!(matches!(failed, Some(JournalError::Io { .. })));
    fs::rename(&aside, &dir).unwrap();
    writer.settled(&settled(50)).unwrap();
    let shipped = ids(&drain(&journal, 100));
    assert_eq!(shipped.first(), Some(&id(1)));
    assert_eq!(shipped.last(), Some(&id(50)));
}

#[test]
fn a_journal_is_divided_so_that_every_writer_has_several_segments() {
    for (max_bytes, writers, expected) in [
        (1 << 30, 3, 8 << 20),
        (1 << 30, 65, (1 << 30) / (8 * 65)),
        (1 << 20, 3, (1 << 20) / 24),
        (1 << 20, 64, MIN_SEGMENT_BYTES),
    ] {
        let options = JournalOptions::sized(max_bytes, writers);
        assert_eq!(options.segment_bytes, expected, "{max_bytes} for {writers}");
    }
}
