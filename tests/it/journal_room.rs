//! A disk that has no room for the journal: told when a request comes, never when it ends; and what else the operator
//! decides about the journal.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::spend::{COST_PICO, rows, total, whole_or_streamed};
use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, stream_request};
use crate::support::http::{BodyEnd, Request};
use crate::support::reply::{Gate, Reply};
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;

/// One worker, so that all requests share the segments of one writer.
fn home(upstream: &Upstream, journal: &str) -> Home {
    let config = ConfigText::one("m", upstream)
        .with_master_key()
        .trunkline("workers: 1")
        .trunkline(&format!("journal: {{{journal}}}"));
    Home::with(&config)
}

/// Limits the size to which the process's files may grow.
fn limit_files(gateway: &Gateway, bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &gateway.process().to_string()])
        .arg(format!("--fsize={bytes}:"))
        .status();
    assert!(limited.is_ok_and(|status| status.success()), "prlimit runs");
}

/// Asks until an answer has another status than 200; how many had 200, and the other one.
fn ask_until_refused(gateway: &Gateway) -> (i64, u16) {
    for count in 0..20_000 {
        let answer = gateway.chat("m");
        if answer.status != 200 {
            return (count, answer.status);
        }
    }
    panic!("never refused");
}

fn journal_of(gateway: &Gateway) -> Value {
    gateway.get("/health/readiness").json()["journal"].clone()
}

fn metric(gateway: &Gateway, name: &str) -> i64 {
    let text = gateway.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("{name} in {text}"))
}

#[test]
fn a_journal_that_cannot_grow_refuses_requests_until_it_can() {
    let upstream = Upstream::answering(whole_or_streamed);
    let home = home(&upstream, "");
    let mut gateway = home.start().with_master_key();
    gateway.allow_errors();
    gateway.chat("m").assert_status(200);
    assert_eq!(journal_of(&gateway), "ok");

    limit_files(&gateway, "65536");
    let (more, status) = ask_until_refused(&gateway);
    assert_eq!(status, 503);
    let reached = upstream.request_count();
    gateway.chat("m").assert_error(503, "service_unavailable");
    gateway
        .chat_stream("m")
        .assert_error(503, "service_unavailable");
    assert_eq!(upstream.request_count(), reached, "nobody was asked");
    assert_eq!(journal_of(&gateway), "full");
    let service = gateway.get("/health/services?service=journal");
    service.assert_status(503);
    gateway.assert_logged(1, "the journal takes no more requests");

    limit_files(&gateway, "unlimited");
    eventually("requests are served again", &200, || {
        gateway.chat("m").status
    });
    assert_eq!(journal_of(&gateway), "ok");
    let expected = more + 2;
    eventually("every completed request is on the books", &true, || {
        total(&gateway) >= expected * COST_PICO
    });
    let (_all, succeeded) = rows(&home);
    assert_eq!(succeeded, expected);
    gateway.stop();
}

#[test]
fn where_answers_are_preferred_to_books_requests_go_on_and_are_counted() {
    let upstream = Upstream::answering(whole_or_streamed);
    let home = home(&upstream, "when_full: unrecorded");
    let mut gateway = home.start().with_master_key();
    gateway.allow_errors();
    gateway.chat("m").assert_status(200);
    assert_eq!(metric(&gateway, "trunkline_unrecorded_requests_total"), 0);

    limit_files(&gateway, "32768");
    let mut answered = 1;
    eventually("requests are unrecorded", &true, || {
        gateway.chat("m").assert_status(200);
        answered += 1;
        journal_of(&gateway) == "weakened"
    });
    for _ in 0..3 {
        gateway.chat("m").assert_status(200);
        let stream = gateway.chat_stream("m");
        assert!(stream.text().contains("[DONE]"), "{}", stream.text());
        answered += 2;
    }
    let unrecorded = metric(&gateway, "trunkline_unrecorded_requests_total");
    assert!(unrecorded >= 6, "{unrecorded}");
    gateway.assert_logged(1, "the journal takes no more requests");

    limit_files(&gateway, "unlimited");
    gateway.chat("m").assert_status(200);
    answered += 1;
    assert_eq!(journal_of(&gateway), "ok");
    let unrecorded = metric(&gateway, "trunkline_unrecorded_requests_total");
    let recorded = answered - unrecorded;
    eventually("the others are on the books", &true, || {
        total(&gateway) >= recorded * COST_PICO
    });
    let (_all, succeeded) = rows(&home);
    assert_eq!(succeeded, recorded);
    gateway.stop();
}

/// A file system in memory, as long as this value lives.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(at: &Path, kilobytes: u32) -> Option<Self> {
        fs::create_dir_all(at).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self { at: at.to_owned() })
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.at.join("filler")).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.at.join("filler")).expect("the file goes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "umount");
    }
}

#[test]
fn a_disk_that_fills_up_refuses_requests_and_ends_those_under_way_well() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::answering(move |request: &Recorded| {
        if request.json()["stream"] == true {
            Reply::stream(&["before", "after"]).gate_before_part(2, &held)
        } else {
            whole_or_streamed(request)
        }
    });
    let home = home(&upstream, "max_bytes: 1048576");
    let Some(disk) = SmallDisk::mount(&home.path().join("data"), 512) else {
        println!("skipped: this process may not mount a file system");
        return;
    };
    let mut gateway = home.start().with_master_key();
    gateway.allow_errors();
    let mut live: Vec<_> = (0..5)
        .map(|_| {
            let mut live = gateway.open(&stream_request("m"));
            assert_eq!(live.next_text(), "before");
            live
        })
        .collect();

    disk.fill();
    let (more, status) = ask_until_refused(&gateway);

    assert_eq!(status, 503);
    let reached = upstream.request_count();
    gateway.chat("m").assert_status(503);
    assert_eq!(upstream.request_count(), reached);
    gate.open();
    for live in live.drain(..) {
        let (events, end) = live.remaining_events();
        assert_eq!(end, BodyEnd::Clean);
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    }
    disk.make_room();
    gateway.chat("m").assert_status(200);
    eventually("everything spent", &((more + 6) * COST_PICO), || {
        total(&gateway)
    });
    assert_eq!(rows(&home), (more + 6, more + 6), "no row is amiss");
    gateway.stop();
}

#[test]
fn with_a_sync_for_every_request_answers_are_the_same() {
    let upstream = Upstream::answering(whole_or_streamed);
    let home = home(&upstream, "fsync: always");
    let gateway = home.start().with_master_key();
    for _ in 0..5 {
        gateway.chat("m").assert_status(200);
        let stream = gateway.chat_stream("m");
        assert!(stream.text().contains("[DONE]"), "{}", stream.text());
    }
    let address = gateway.address();
    gateway.kill();
    let gateway = home.start().with_master_key();
    assert_ne!(gateway.address(), address);
    eventually("everything spent", &(10 * COST_PICO), || total(&gateway));
    assert_eq!(rows(&home), (10, 10));
}

#[test]
fn a_torn_segment_costs_what_was_torn_and_nothing_else() {
    let upstream = Upstream::answering(whole_or_streamed);
    let one = home(&upstream, "");
    let gateway = one.start().with_master_key();
    for _ in 0..5 {
        gateway.chat("m").assert_status(200);
    }
    gateway.kill();
    let boot = fs::read_dir(one.path().join("data/journal"))
        .expect("a journal")
        .map(|entry| entry.expect("a boot").path())
        .next()
        .expect("the dead gateway's directory");
    let segment = boot.join("0000-0000000000.segment");
    let mut bytes = fs::read(&segment).expect("its segment");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("records") + 1;
    // The last record, a `settled`, is half there.
    bytes.truncate(end - 100);

    let other = home(&upstream, "");
    let boot = other
        .path()
        .join("data/journal")
        .join(boot.file_name().expect("a name"));
    fs::create_dir_all(&boot).expect("a directory");
    fs::write(boot.join("0000-0000000000.segment"), bytes).expect("a torn segment");
    let gateway = other.start().with_master_key();

    eventually("what is whole is on the books", &true, || {
        total(&gateway) >= 4 * COST_PICO
    });
    assert_eq!(rows(&other), (5, 4), "the fifth is unknown");
    gateway.assert_logged(1, "is torn");
    gateway
        .send(&chat_request("m").bearer(MASTER_KEY))
        .assert_status(200);
    let limit = Request::get("/metrics");
    assert!(
        gateway
            .send(&limit)
            .text()
            .contains("trunkline_journal_limit_bytes 1073741824")
    );
    gateway.stop();
}

#[test]
fn a_limit_that_is_too_small_for_the_workers_is_refused_at_the_start() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .trunkline("workers: 64")
        .trunkline("journal: {max_bytes: 1048576}");
    let home = Home::with(&config);

    let output = home.run(&["--config", "config.yaml", "--host", "127.0.0.1"]);

    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("too small for 64 workers: write 8536320 or more"),
        "{said}"
    );
}
