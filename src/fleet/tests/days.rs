//! The day of a limit on a real server: how long it lives, and how it begins when the server does not know it.

use super::*;

const HOUR: u64 = 3_600_000;

#[test]
fn a_day_outlives_requests_that_know_of_no_limit_of_it() {
    let scene = Scene::new();
    let limits = |tpd| Limits {
        rpm: Some(9),
        tpd,
        ..Limits::default()
    };
    let (with_day, without) = (
        scene.limits("k", limits(Some(100)), 100),
        scene.limits("k", limits(None), 1),
    );
    let rings = scene.keys.rings(&Subject::new(SubjectKind::Key, "k"));
    let lives = || -> u64 {
        let left = scene.server.command(&["PTTL", &rings]);
        left.trim_start_matches(':').parse().expect("a number")
    };
    let now = UnixMs::now().0;
    let take = |question| match scene.take(question, "a", now) {
        Answer::Taken { at, .. } => at,
        other => panic!("{other:?}"),
    };
    scene.begin_day("k", now, &[]);
    take(&with_day);
    assert!(lives() > 24 * HOUR, "{}", lives());
    // A replica that has not heard of the limit yet, or that has heard before that it is gone.
    let at = take(&without);
    assert!(lives() > 24 * HOUR, "{}", lives());
    let settlement = Settlement {
        question: without,
        at,
        used: None,
    };
    scene.settle(&[settlement], "a", now);
    assert!(lives() > 24 * HOUR, "{}", lives());
    let refused = scene.take(&with_day, "a", now + 2 * HOUR);
    assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");
}

#[test]
fn a_day_that_the_server_does_not_know_begins_with_what_the_books_have_of_it() {
    let scene = Scene::new();
    let limits = Limits {
        tpd: Some(100),
        ..Limits::default()
    };
    let now = 1_764_000_000_123;
    let question = |tokens| scene.limits("k", limits, tokens);
    let subject = Subject::new(SubjectKind::Key, "k");
    let used = |at, tokens| match scene.take(&question(tokens), "a", at) {
        Answer::Taken { at, used, .. } => (at, used[0].day_tokens),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        scene.take(&question(1), "a", now),
        Answer::Unseeded(vec![Missing::Day(subject)])
    );
    let past = [(23 * HOUR, 40), (2 * HOUR, 30), (5, 10)];
    assert!(scene.begin_day("k", now, &past));
    assert!(!scene.begin_day("k", now + 1, &past), "it is there");
    assert_eq!(used(now + 2, 15), (now + 2, Some(95)));
    let refused = scene.take(&question(6), "a", now + 3);
    assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");
    // What the books had comes back when its time is over.
    assert_eq!(used(now + HOUR + 900_000, 3).1, Some(58));
    assert_eq!(used(now + 22 * HOUR + 900_000, 1).1, Some(29));
}

#[test]
fn a_request_that_ran_while_the_server_forgot_the_day_is_entered_with_what_it_used() {
    let scene = Scene::new();
    let limits = Limits {
        tpd: Some(100),
        ..Limits::default()
    };
    let question = scene.limits("k", limits, 50);
    let now = 1_764_000_000_123;
    let take = |at| match scene.take(&question, "a", at) {
        Answer::Taken { used, .. } => used[0].day_tokens,
        other => panic!("{other:?}"),
    };
    let settle = |at, tokens, now| scene.end(Arc::clone(&question), at, Some(tokens), now);
    scene.begin_day("k", now, &[]);
    take(now);
    assert_eq!(scene.server.command(&["FLUSHALL"]), "+OK");
    // It does not begin a day that nobody has read the books for.
    settle(now, 5, now + 10);
    assert!(matches!(
        scene.take(&question, "a", now + 10),
        Answer::Unseeded(_)
    ));
    scene.begin_day("k", now + 20, &[(10, 30)]);
    settle(now, 7, now + 30);
    assert_eq!(take(now + 40), Some(87));
    settle(now + 40, 8, now + 50);
    assert_eq!(take(now + 60), Some(95));
}
