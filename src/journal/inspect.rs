//! Reads the journal from outside: what an audit of the books looks at, while its owner may be writing.
//!
//! Takes no lock, or a gateway that starts at that moment would take the directory for somebody's and not adopt it. A
//! segment that goes away meanwhile was shipped; one that is being written is read up to its last whole frame, and so is
//! one whose end was torn by a power loss.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use trunkline_actors::ids::RequestId;
use trunkline_actors::ports::SpendRecord;

use super::frame::{self, HEADER_BYTES, Parsed};
use super::is_segment;
use super::record::{self, Record};

/// How much of a segment is read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// What was found in a journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Directories of processes, alive or not.
    pub directories: u64,
    /// Files.
    pub segments: u64,
    /// Requests of which the start was read; an older file may have held more.
    pub started: u64,
    /// Settled requests.
    pub settled: u64,
    /// Records that this version does not know.
    pub unknown: u64,
    /// Segments that end in something that is no frame: being written just now, or torn by a power loss.
    pub open_ends: u64,
}

/// Hands every settled record of the journal below `data_dir` to `settled`, in no particular order of requests. A journal
/// that is not there is empty. Blocks.
///
/// # Errors
/// The file system's, but not for what went away in the meantime.
pub fn inspect(data_dir: &Path, mut settled: impl FnMut(SpendRecord)) -> io::Result<Inspection> {
    let mut found = Inspection::default();
    for directory in listed(&data_dir.join("journal"))? {
        let name = directory.file_name().and_then(|name| name.to_str());
        if name.is_none_or(|name| name.parse::<RequestId>().is_err()) {
            continue;
        }
        found.directories += 1;
        for segment in listed(&directory)? {
            if !is_segment(&segment) {
                continue;
            }
            match File::open(&segment) {
                Ok(file) => {
                    found.segments += 1;
                    read(file, &mut found, &mut settled)?;
                }
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                Err(err) => return Err(err),
            }
        }
    }
    Ok(found)
}

/// The entries of a directory by name; none of one that is not there.
fn listed(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(err),
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

fn read(
    mut file: File,
    found: &mut Inspection,
    settled: &mut impl FnMut(SpendRecord),
) -> io::Result<()> {
    let mut chunk: Vec<u8> = Vec::new();
    let mut next = 0;
    loop {
        let rest = chunk.get(next..).unwrap_or_default();
        match frame::parse(rest) {
            Parsed::Frame(payload) => {
                next += HEADER_BYTES + payload.len();
                match record::decode(payload) {
                    Some(Record::Settled(record)) => {
                        found.settled += 1;
                        settled(record);
                    }
                    Some(Record::Started(_)) => found.started += 1,
                    None => found.unknown += 1,
                }
            }
            // Room that was taken and not written yet.
            _ if starts_with_zeros(rest) => return Ok(()),
            Parsed::Incomplete => {
                chunk.drain(..next);
                next = 0;
                let more = (&mut file)
                    .take(CHUNK_BYTES as u64)
                    .read_to_end(&mut chunk)?;
                if more == 0 {
                    found.open_ends += u64::from(!chunk.is_empty());
                    return Ok(());
                }
            }
            Parsed::Damaged => {
                found.open_ends += 1;
                return Ok(());
            }
        }
    }
}

/// A length of zero: no frame has that.
fn starts_with_zeros(bytes: &[u8]) -> bool {
    bytes.first_chunk::<4>() == Some(&[0; 4])
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use trunkline_actors::ids::ModelGroup;
    use trunkline_actors::money::Usd;
    use trunkline_actors::ports::StartedRecord;

    use super::*;
    use crate::journal::{Journal, JournalOptions};

    fn started(n: u128) -> StartedRecord {
        StartedRecord {
            estimated_prompt_tokens: 1,
            ..StartedRecord::new(
                RequestId::generate(1_000, n),
                ModelGroup::new("m"),
                "acompletion",
            )
        }
    }

    fn settled(n: u128) -> SpendRecord {
        SpendRecord {
            cost: Some(Usd::from_pico(7)),
            ..SpendRecord::of(started(n))
        }
    }

    fn seen(data_dir: &Path) -> (Inspection, Vec<SpendRecord>) {
        let mut records = Vec::new();
        let found = inspect(data_dir, |record| records.push(record)).unwrap();
        (found, records)
    }

    #[test]
    fn a_journal_that_is_being_written_is_read_up_to_its_last_record() {
        let dir = TempDir::new().unwrap();
        assert_eq!(seen(dir.path()).0, Inspection::default());
        let journal = Journal::open(dir.path(), JournalOptions::default()).unwrap();
        let writer = journal.writer();
        for n in 0..3 {
            writer.started(&started(n)).unwrap();
        }
        writer.settled(&settled(1)).unwrap();
        writer.settled(&settled(0)).unwrap();

        let (found, records) = seen(dir.path());

        assert_eq!(records, [settled(1), settled(0)]);
        assert_eq!((found.directories, found.segments), (1, 1));
        assert_eq!((found.started, found.settled), (3, 2));
        assert_eq!(found.open_ends, 0);
    }

    #[test]
    fn zeros_at_the_end_are_room_and_anything_else_is_an_open_end() {
        let whole: Vec<u8> = (0..2000_u128)
            .flat_map(|n| frame::encode(&record::settled(&settled(n)).unwrap()))
            .collect();
        let one = frame::encode(&record::settled(&settled(5000)).unwrap());
        let torn = &one[..one.len() - 3];
        let half_written = [&one[..20], &[0; 900]].concat();
        for (tail, open_ends) in [
            (&[][..], 0),
            (&[0; 4096][..], 0),
            (torn, 1),
            (&half_written, 1),
            (b"garbage, not a frame", 1),
        ] {
            let dir = TempDir::new().unwrap();
            let boot = dir
                .path()
                .join("journal")
                .join(RequestId::generate(1, 1).to_string());
            fs::create_dir_all(&boot).unwrap();
            let path = boot.join("0000-0000000000.segment");
            assert!(is_segment(&path));
            fs::write(path, [&whole, tail].concat()).unwrap();

            let (found, records) = seen(dir.path());

            assert_eq!(records.len(), 2000, "{tail:?}");
            assert_eq!(found.open_ends, open_ends, "{tail:?}");
        }
    }
}
