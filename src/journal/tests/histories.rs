//! Whatever happens in which order, the books are right: any interleaving of requests over writers, of shipping with and
//! without a commit or a release, of kills and starts, of copies and rotations.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Start {
        writer: Index,
    },
    Settle {
        request: Index,
        elsewhere: Option<Index>,
    },
    Ship {
        max: usize,
        commits: bool,
        releases: bool,
    },
    Kill,
    /// A power loss with `fsync: never`: the last record of some segment is torn.
    Tear {
        segment: Index,
        bytes: usize,
        zeroes: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        10 => index().prop_map(|writer| Step::Start { writer }),
        8 => (index(), prop::option::weighted(0.1, index()))
            .prop_map(|(request, elsewhere)| Step::Settle { request, elsewhere }),
        2 => (1..20_usize, prop::bool::weighted(0.9), prop::bool::weighted(0.8))
            .prop_map(|(max, commits, releases)| Step::Ship { max, commits, releases }),
        1 => Just(Step::Kill),
    ]
}

fn torn_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => step(),
        1 => (any::<Index>(), 1..600_usize, any::<bool>())
            .prop_map(|(segment, bytes, zeroes)| Step::Tear { segment, bytes, zeroes }),
    ]
}

/// Gateways on one data directory, one after the other, and a store that takes each id once.
struct World {
    data_dir: TempDir,
    journal: Option<Journal>,
    writers: Vec<Arc<dyn JournalWriter>>,
    next: u64,
    /// Requests under way, with their writer.
    open: Vec<(usize, RequestId)>,
    /// Whether each request that ever started has settled.
    settled: BTreeMap<RequestId, bool>,
    store: BTreeMap<RequestId, SpendStatus>,
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut world = Self {
            data_dir: TempDir::new().unwrap(),
            journal: None,
            writers: Vec::new(),
            next: 0,
            open: Vec::new(),
            settled: BTreeMap::new(),
            store: BTreeMap::new(),
        };
        world.boot();
        world
    }

    fn boot(&mut self) {
        let options = JournalOptions {
            segment_bytes: 3 * MAX_FRAME_BYTES as u64,
            ..small()
        };
        let journal = Journal::open(self.data_dir.path(), options).unwrap();
        self.writers = (0..2).map(|_| journal.writer()).collect();
        self.journal = Some(journal);
    }

    fn kill(&mut self) {
        self.writers.clear();
        self.journal = None;
        self.open.clear();
    }

    fn ship(&mut self, max: usize, commits: bool, releases: bool) -> usize {
        let reader = self.journal.as_ref().unwrap().reader();
        let batch = reader.next_batch(max).unwrap();
        let rows = batch.records.len();
        if commits {
            for row in batch.records {
                self.store.entry(row.id).or_insert(row.status);
            }
            if releases {
                reader.release(batch.up_to).unwrap();
            }
        }
        rows
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Start { writer } => {
                let id = id(self.next);
                self.next += 1;
                let writer = writer.index(self.writers.len());
                self.writers[writer].started(&started_as(id)).unwrap();
                self.open.push((writer, id));
                self.settled.insert(id, false);
            }
            Step::Settle { request, elsewhere } => {
                if self.open.is_empty() {
                    return;
                }
                let (writer, id) = self.open.swap_remove(request.index(self.open.len()));
                let writer = elsewhere.map_or(writer, |other| other.index(self.writers.len()));
                self.writers[writer].settled(&settled_as(id)).unwrap();
                self.settled.insert(id, true);
            }
            Step::Ship {
                max,
                commits,
                releases,
            } => {
                self.ship(*max, *commits, *releases);
            }
            Step::Kill => {
                self.kill();
                self.boot();
            }
            Step::Tear {
                segment,
                bytes,
                zeroes,
            } => {
                self.kill();
                let dirs = boot_dirs(&self.data_dir);
                let paths: Vec<PathBuf> = dirs.iter().flat_map(|dir| segments(dir)).collect();
                if !paths.is_empty() {
                    let path = &paths[segment.index(paths.len())];
                    let mut content = fs::read(path).unwrap();
                    let at = written_bytes(path).saturating_sub(*bytes);
                    if *zeroes {
                        content[at..].fill(0);
                    } else {
                        content.truncate(at);
                    }
                    fs::write(path, content).unwrap();
                }
                self.boot();
            }
        }
    }

    /// The last process dies too, and one more ships everything.
    fn end(mut self) -> (BTreeMap<RequestId, bool>, BTreeMap<RequestId, SpendStatus>) {
        self.kill();
        self.boot();
        while self.ship(7, true, true) > 0 {}
        let journal = self.journal.take().unwrap();
        assert!(journal.close().unwrap());
        assert!(boot_dirs(&self.data_dir).is_empty(), "nothing is left over");
        assert_eq!(journal.status().bytes, 0, "and the account knows it");
        (self.settled, self.store)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_started_request_is_one_row_that_says_whether_it_settled(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        let (settled, store) = world.end();
        let expected: BTreeMap<RequestId, SpendStatus> = settled
            .into_iter()
            .map(|(id, settled)| {
                let status = if settled { SpendStatus::Success } else { SpendStatus::Unknown };
                (id, status)
            })
            .collect();
        prop_assert_eq!(store, expected);
    }

    #[test]
    fn a_torn_end_never_makes_up_a_row_or_a_completion(
        steps in prop::collection::vec(torn_step(), 1..120),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        let (settled, store) = world.end();
        for (id, status) in store {
            let known = settled.get(&id);
            prop_assert!(known.is_some(), "{id:?} never started");
            prop_assert!(status != SpendStatus::Success || known == Some(&true), "{id:?} never settled");
        }
    }
}
