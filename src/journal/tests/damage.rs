//! What a disk, a power loss or a newer version left: whole records count, anything else is left out.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_segment_yields_a_prefix_of_what_was_written(
        count in 1..12_u64,
        at in any::<Index>(),
        flipped in prop::option::of(0..8_u8),
        keeps_zeroes in any::<bool>(),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let data_dir = TempDir::new().unwrap();
        let journal = Journal::open(data_dir.path(), JournalOptions { segment_bytes: 1 << 16, ..small() }).unwrap();
        let writer = journal.writer();
        for n in 0..count {
            writer.settled(&settled(n)).unwrap();
        }
        drop((writer, journal));
        let path = segments(&boot_dirs(&data_dir)[0]).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        prop_assert_eq!(bytes.len(), 1 << 16);
        let written = written_bytes(&path);
        let at = at.index(written);
        if let Some(bit) = flipped {
            bytes[at] ^= 1 << bit;
        } else if keeps_zeroes {
            bytes[at..].fill(0);
        } else {
            bytes.truncate(at);
        }
        bytes.extend(garbage);
        fs::write(&path, bytes).unwrap();

        let next = open(&data_dir);
        let read = drain(&next, 5);
        let written: Vec<SpendRecord> = (0..count).map(settled).collect();
        prop_assert!(read.len() < written.len());
        prop_assert_eq!(&read[..], &written[..read.len()]);
    }
}

#[test]
fn the_zeroes_of_an_unfinished_segment_are_no_damage_and_are_given_back() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    let writer = journal.writer();
    // The room of 20 settlements takes several segments; all but the first are empty.
    for n in 0..20 {
        writer.started(&started(n)).unwrap();
    }
    drop((writer, journal));
    let dir = boot_dirs(&data_dir).remove(0);
    let lengths = |dir: &Path| -> Vec<u64> {
        let paths = segments(dir);
        let lengths = paths.iter().map(|path| fs::metadata(path).unwrap().len());
        lengths.collect()
    };
    assert!(
        lengths(&dir)
            .iter()
            .all(|len| *len == small().segment_bytes)
    );

    let next = open(&data_dir);

    let written = written_bytes(&segments(&dir)[0]) as u64;
    assert_eq!(lengths(&dir)[0], written);
    assert_eq!(lengths(&dir).last(), Some(&0));
    assert_eq!(next.status().bytes, lengths(&dir).iter().sum::<u64>());
    assert_eq!(drain(&next, 100).len(), 20);
    assert_eq!(next.status().bytes, 0);
}

#[test]
fn a_torn_end_is_kept_as_it_is() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    journal.writer().settled(&settled(1)).unwrap();
    drop(journal);
    let path = segments(&boot_dirs(&data_dir)[0]).remove(0);
    write_behind(&path, b"half of a rec");
    let before = fs::read(&path).unwrap();

    let next = open(&data_dir);

    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(ids(&drain(&next, 10)), [id(1)]);
}

#[test]
fn what_a_newer_version_wrote_is_left_out_and_the_rest_is_read() {
    let data_dir = TempDir::new().unwrap();
    let journal = open(&data_dir);
    journal.writer().settled(&settled(1)).unwrap();
    drop(journal);
    let path = segments(&boot_dirs(&data_dir)[0]).remove(0);
    write_behind(&path, &frame::encode(b"\xffsomething new"));
    let payload = record::settled(&settled(2)).unwrap();
    write_behind(&path, &frame::encode(&payload));
    let next = open(&data_dir);
    assert_eq!(ids(&drain(&next, 10)), [id(1), id(2)]);
}
