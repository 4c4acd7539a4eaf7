use std::collections::VecDeque;

use actix::{Arbiter, System};
use proptest::prelude::*;
use tokio::time::{advance, pause};

use super::*;
use crate::admission::{Ask, admit};
use crate::clock::Millis;
use crate::ids::SubjectKind;
use crate::money::Usd;
use crate::test_util::settle_down;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_unit_comes_back_sixty_seconds_after_it_was_taken() {
    let mut window = Window::default();
    window.take(1, Millis(900));
    assert_eq!(
        window.wait_for(1, 1, Millis(60_000)),
        Duration::from_millis(900)
    );
    assert!(!window.fits(1, 1, Millis(60_899)));
    assert!(window.fits(1, 1, Millis(60_900)));
}

#[test]
fn a_request_larger_than_the_limit_goes_into_debt_when_the_minute_is_empty() {
    let mut window = Window::default();
    assert!(window.fits(500, 100, Millis(0)));
    window.take(500, Millis(0));
    assert_eq!(window.wait_for(1, 100, Millis(10_000)), secs(50));
    assert!(!window.fits(1, 100, Millis(59_999)));
    assert!(window.fits(500, 100, Millis(60_000)));
}

#[test]
fn a_limit_of_zero_admits_nothing() {
    assert!(!Window::default().fits(1, 0, Millis(0)));
}

#[test]
fn settling_corrects_the_second_it_was_taken_in() {
    let mut window = Window::default();
    let taken = window.take(100, Millis(0));
    window.take(10, Millis(5_000));
    window.settle(taken, 100, 30, Millis(6_000));
    assert_eq!(window.used(Millis(6_000)), 40);
    assert_eq!(
        window.used(Millis(60_000)),
        10,
        "the corrected units come back with their second"
    );
    window.settle(taken, 30, 1_000, Millis(61_000));
    assert_eq!(
        window.used(Millis(61_000)),
        10,
        "units that came back stay back"
    );
}

#[test]
fn settling_up_makes_debt_and_settling_down_never_goes_below_zero() {
    let mut window = Window::default();
    let taken = window.take(10, Millis(0));
    window.settle(taken, 10, 200, Millis(1));
    assert_eq!(window.used(Millis(1)), 200);
    window.settle(taken, 1_000, 0, Millis(2));
    assert_eq!(window.used(Millis(2)), 0);
}

proptest! {
    #[test]
    fn a_window_never_admits_more_than_its_limit_in_any_sixty_seconds(
        limit in 1_u64..20,
        steps in prop::collection::vec((0_u64..9_000, 1_u64..6), 1..200),
    ) {
        let mut window = Window::default();
        let mut now = 0;
        let mut admitted: VecDeque<(u64, u64)> = VecDeque::new();
        for (pause, units) in steps {
            now += pause;
            let units = units.min(limit);
            if window.fits(units, limit, Millis(now)) {
                window.take(units, Millis(now));
                admitted.push_back((now, units));
            }
            while admitted.front().is_some_and(|(at, _)| at + 60_000 <= now) {
                admitted.pop_front();
            }
            let recent: u64 = admitted.iter().map(|(_, units)| units).sum();
            prop_assert!(recent <= limit, "{recent} of {limit} at {now}");
        }
    }

    #[test]
    fn a_day_never_admits_more_than_its_limit_in_any_twenty_four_hours(
        limit in 1_u64..20,
        steps in prop::collection::vec((0_u64..9_000_000, 1_u64..6), 1..200),
    ) {
        const DAY: u64 = 86_400_000;
        const SLOT: u64 = 900_000;
        let mut window = DayWindow::default();
        let mut now = 0;
        let mut admitted: VecDeque<(u64, u64)> = VecDeque::new();
        for (pause, units) in steps {
            now += pause;
            let units = units.min(limit);
            let fits = window.fits(units, limit, Millis(now));
            admitted.retain(|(at, _)| at + DAY + SLOT > now);
            let taken: u64 = admitted.iter().map(|(_, units)| units).sum();
            prop_assert!(fits || taken + units > limit, "what was taken {DAY} ms ago did not come back");
            if fits {
                window.take(units, Millis(now));
                admitted.push_back((now, units));
            }
            let recent: u64 = admitted.iter().filter(|(at, _)| at + DAY > now).map(|(_, units)| units).sum();
            prop_assert!(recent <= limit, "{recent} of {limit} at {now}");
        }
    }

    #[test]
    fn what_is_said_to_fit_after_a_wait_does_fit_and_not_much_earlier(
        limit in 1_u64..20,
        takes in prop::collection::vec((0_u64..5_000, 1_u64..6), 1..40),
        units in 1_u64..6,
    ) {
        let mut window = Window::default();
        let mut now = 0;
        for (pause, units) in takes {
            now += pause;
            window.take(units, Millis(now));
        }
        let units = units.min(limit);
        if !window.fits(units, limit, Millis(now)) {
            let wait = window.wait_for(units, limit, Millis(now));
            prop_assert!(wait <= Duration::from_mins(1));
            let due = Millis(now).after(wait);
            prop_assert!(!window.clone().fits(units, limit, Millis(due.0 - 1)));
            prop_assert!(window.fits(units, limit, due));
        }
    }

    #[test]
    fn a_window_is_empty_a_minute_after_the_last_take_whatever_was_settled(
        steps in prop::collection::vec((0_u64..9_000, 0_u64..50, 0_u64..50), 1..100),
    ) {
        let mut window = Window::default();
        let mut now = 0;
        for (pause, estimate, actual) in steps {
            now += pause;
            let taken = window.take(estimate, Millis(now));
            now += pause / 2;
            window.settle(taken, estimate, actual, Millis(now));
        }
        prop_assert_eq!(window.used(Millis(now + 60_000)), 0);
    }
}

#[test]
fn idle_buckets_are_swept_and_held_ones_are_kept() {
    System::new().block_on(async {
        pause();
        let clock = Clock::start();
        let limiter = start(&Arbiter::current(), LimiterSettings::default(), clock);
        let subject = |id: &str| Subject::new(SubjectKind::Key, id);
        let limits = Limits {
            rpm: Some(10),
            ..Limits::default()
        };
        let ask = Ask {
            tokens: 1,
            hold: Usd::ZERO,
        };
        drop(limiter.bucket(subject("idle"), limits));
        let held = admit(&[limiter.bucket(subject("held"), limits)], &[], ask, clock).unwrap();
        settle_down().await;
        advance(secs(121)).await;
        settle_down().await;
        let status = limiter.addr().send(LimiterSnapshot).await.unwrap();
        assert_eq!(status.buckets, 1);
        assert_eq!(status.swept, 1);
        drop(held);
        settle_down().await;
        advance(secs(121)).await;
        settle_down().await;
        limiter.addr().send(LimiterSnapshot).await.unwrap();
        assert!(limiter.is_empty());
    });
}

#[test]
fn terms_of_another_version_give_no_second_day() {
    let limits = |tpd| Limits {
        tpd,
        ..Limits::default()
    };
    let bucket = Bucket::new(Subject::new(SubjectKind::Key, "k"), limits(Some(100)));
    let now = Millis(1_000);
    bucket.begin_day(&[(Duration::from_hours(2), 60)], now);
    let taken = bucket.lock().take(40, now);
    // Two requests at a change of the terms: one of before the limit, then one of after it.
    bucket.resize(limits(None));
    assert!(bucket.lock().check(1, now).is_none());
    bucket.lock().settle(&taken, 40, now);
    bucket.resize(limits(Some(100)));
    let short = bucket.lock().check(1, now).expect("the day is used up");
    assert_eq!(short.limit_type, LimitType::TokensPerDay);
    assert_eq!(bucket.day(now), Some((true, 100)));
}

#[test]
fn newcomers_beyond_the_capacity_share_one_bucket() {
    System::new().block_on(async {
        let settings = LimiterSettings {
            capacity: 1,
            ..LimiterSettings::default()
        };
        let limiter = start(&Arbiter::current(), settings, Clock::start());
        let bucket =
            |id: &str| limiter.bucket(Subject::new(SubjectKind::EndUser, id), Limits::default());
        let first = bucket("first");
        assert!(!Arc::ptr_eq(&first, &bucket("second")));
        assert!(Arc::ptr_eq(&bucket("second"), &bucket("third")));
        assert!(Arc::ptr_eq(&first, &bucket("first")));
    });
}
