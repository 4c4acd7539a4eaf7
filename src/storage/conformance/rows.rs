//! Rows of the books, and what they add up to.

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, ModelGroup, RequestId, Subject, SubjectKind, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{
    BudgetKey, BudgetName, Pieces, SpendRecord, SpendStatus, UsageParts,
};

use super::{DAY, NOON, batches, insert_key, key, key_subject, pico, row, window};
use crate::storage::{KeySpend, RowSpan, Store};

pub(super) async fn a_row_counts_once_however_often_it_is_inserted(store: &Store) {
    let rows = vec![
        row(NOON, 1, Some(3)),
        row(NOON, 1, Some(3)),
        row(NOON, 2, Some(4)),
    ];
    assert_eq!(store.ledger.insert(rows.clone()).await.unwrap(), 2);
    assert_eq!(store.ledger.insert(rows).await.unwrap(), 0);
    assert_eq!(store.ledger.insert(Vec::new()).await.unwrap(), 0);
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(7));
}

pub(super) async fn overlapping_batches_at_once_count_each_row_once(store: &Store) {
    let batches = (0..20_u64).map(|batch| {
        let rows = (batch..batch + 10).map(|n| row(NOON + n, n, Some(1)));
        store.ledger.insert(rows.collect())
    });
    let inserted: u64 = join_all(batches)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(inserted, 29);
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(29));
}

pub(super) async fn spend_since_a_time_counts_from_that_millisecond(store: &Store) {
    let rows = vec![
        row(NOON - DAY, 1, Some(1)),
        row(NOON - 1, 2, Some(10)),
        row(NOON, 3, Some(100)),
        row(NOON + DAY, 4, Some(1000)),
    ];
    store.ledger.insert(rows).await.unwrap();
    let cases = [
        (0, 1111),
        (NOON - DAY + 1, 1110),
        (NOON - DAY / 2, 1110),
        (NOON - 1, 1110),
        (NOON, 1100),
        (NOON + 1, 1000),
        (NOON + DAY / 2, 1000),
        (NOON + DAY + 1, 0),
        (u64::MAX >> 17, 0),
    ];
    for (since, expected) in cases {
        let spend = store.spend.total_spend(Some(UnixMs(since))).await.unwrap();
        assert_eq!(spend, pico(expected), "since {since}");
    }
}

pub(super) async fn tokens_are_told_by_quarters_of_an_hour_and_by_whose_they_are(store: &Store) {
    const MINUTE: u64 = 60_000;
    let at = |minute: u64, n: u64| {
        let mut row = row(NOON + minute * MINUTE, n, Some(1));
        row.started_at = UnixMs(NOON + minute * MINUTE);
        row
    };
    let mut cached = at(20, 3);
    cached.usage.cache_read = 4;
    let mut of_another = at(1, 4);
    of_another.key = Some(KeyId::from("key-b"));
    of_another.tags = Vec::new();
    let rows = vec![at(0, 1), at(14, 2), cached, of_another, at(40, 5)];
    store.ledger.insert(rows).await.unwrap();
    let until = UnixMs(NOON + 40 * MINUTE);
    let told = async |kind, id: &str, since: u64| {
        let subject = Subject::new(kind, id);
        let slots = store.spend.tokens_between(subject, UnixMs(since), until);
        let slots = slots.await.unwrap().into_iter();
        let minute = |at: UnixMs| (at.0 - NOON) / MINUTE;
        slots
            .map(|slot| (minute(slot.last), slot.input, slot.output))
            .collect::<Vec<_>>()
    };

    for (kind, id) in [(SubjectKind::Key, "key-a"), (SubjectKind::Tag, "batch")] {
        assert_eq!(
            told(kind, id, NOON).await,
            [(14, 20, 10), (20, 6, 5)],
            "{kind}"
        );
    }
    for (kind, id) in [
        (SubjectKind::User, "user-a"),
        (SubjectKind::Team, "team-a"),
        (SubjectKind::TeamMember, "team-a:user-a"),
        (SubjectKind::Organisation, "org-a"),
        (SubjectKind::EndUser, "customer-a"),
    ] {
        assert_eq!(
            told(kind, id, NOON).await,
            [(14, 30, 15), (20, 6, 5)],
            "{kind}"
        );
    }
    assert_eq!(
        told(SubjectKind::Key, "key-a", NOON + 15 * MINUTE).await,
        [(20, 6, 5)]
    );
    assert_eq!(told(SubjectKind::Key, "key-c", NOON).await, []);
}

pub(super) async fn a_user_sees_spend_by_model_and_key(store: &Store) {
    insert_key(store, key("key-a", Some("mine"))).await.unwrap();
    insert_key(store, key("unused", None)).await.unwrap();
    let mut other_model = row(NOON, 2, Some(20));
    other_model.model_group = ModelGroup::from("claude");
    other_model.key = Some(KeyId::from("deleted"));
    let mut no_key = row(NOON, 3, Some(300));
    no_key.key = None;
    let mut other_user = row(NOON, 4, Some(4000));
    other_user.user = Some(UserId::from("user-b"));
    let rows = vec![row(NOON, 1, Some(1)), other_model, no_key, other_user];
    store.ledger.insert(rows).await.unwrap();

    let user = UserId::from("user-a");
    let spend = store.spend.user_spend(user).await.unwrap();
    assert_eq!(spend.total, pico(321));
    let models = [
        ("claude".to_owned(), pico(20)),
        ("gpt".to_owned(), pico(301)),
    ];
    assert_eq!(spend.models, models);
    let of = |id: &str, name: Option<&str>, alias: Option<&str>, spend| KeySpend {
        id: KeyId::from(id),
        key_name: name.map(str::to_owned),
        alias: alias.map(str::to_owned),
        spend: pico(spend),
    };
    let keys = [
        of("deleted", None, None, 20),
        of("key-a", Some("sk-...abcd"), Some("mine"), 1),
        of("unused", Some("sk-...abcd"), None, 0),
    ];
    assert_eq!(spend.keys, keys);
    let by_key = store.spend.key_spend(KeyId::from("key-a")).await.unwrap();
    assert_eq!(by_key, pico(4001));
    let nobody = store.spend.user_spend(UserId::from("nobody")).await;
    assert_eq!(nobody.unwrap().total, Usd::ZERO);
}

pub(super) async fn an_unknown_cost_is_counted_and_not_summed(store: &Store) {
    let rows = vec![
        row(NOON, 1, None),
        row(NOON, 2, Some(0)),
        row(NOON, 3, Some(5)),
    ];
    store.ledger.insert(rows).await.unwrap();
    let user = UserId::from("user-a");
    let spend = store.spend.user_spend(user).await.unwrap();
    assert_eq!((spend.total, spend.unpriced_requests), (pico(5), 1));
}

pub(super) async fn an_adjustment_corrects_sums_and_balances_and_is_no_request(store: &Store) {
    let lifetime = window(key_subject(), 0, 0);
    let mut dear = row(NOON, 1, Some(100));
    dear.budgets = vec![lifetime.clone()];
    let mut less = row(NOON, 2, Some(-40));
    less.status = SpendStatus::Adjustment;
    less.adjusts = Some(dear.id);
    less.budgets = vec![lifetime.clone()];
    store.ledger.insert(vec![dear, less]).await.unwrap();
    assert_eq!(store.ledger.charged(lifetime).await.unwrap(), pico(60));
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(60));
}

pub(super) async fn impossible_figures_do_not_hold_up_the_rows_behind_them(store: &Store) {
    let mut nonsense: Vec<SpendRecord> = (0..20).map(|n| row(NOON, n, Some(i64::MAX))).collect();
    for row in &mut nonsense {
        row.usage.prompt_tokens = u64::MAX;
        row.usage.cache_write_5m = u64::MAX;
        row.usage.cache_write_1h = u64::MAX;
        row.budgets = vec![window(key_subject(), 0, 0)];
    }
    nonsense[0].cost = Some(Usd::rounded(10_u64.pow(9).into()));
    for row in nonsense {
        assert_eq!(store.ledger.insert(vec![row]).await.unwrap(), 1);
    }
    let after = row(NOON + 1, 99, Some(1));
    assert_eq!(store.ledger.insert(vec![after]).await.unwrap(), 1);
}

pub(super) async fn texts_that_no_index_takes_do_not_hold_up_the_rows_behind_them(store: &Store) {
    // Random, or the database would store it in less.
    let long: String = (0..20_000_u64)
        .map(|n| char::from(b'a' + (n.wrapping_mul(6_364_136_223_846_793_005) >> 59) as u8 % 26))
        .collect();
    let mut strange = row(NOON, 1, Some(3));
    strange.key = Some(KeyId::from(long.as_str()));
    strange.user = Some(UserId::from(long.as_str()));
    strange.model = format!("a\0{long}");
    strange.model_group = ModelGroup::from(long.as_str());
    strange.provider.clone_from(&long);
    strange.end_user = Some("a\0b".to_owned());
    strange.provider_request_id = Some(long.clone());
    strange.tags = vec!["a\0b".to_owned(), long.clone()];
    let long_key = Subject::new(SubjectKind::Key, long.as_str());
    strange.budgets = vec![window(long_key.clone(), 0, 0)];
    // As far as the database is concerned the same line of the roll-up.
    let same = SpendRecord {
        id: row(NOON, 2, None).id,
        model: format!("a\0{long}b"),
        ..strange.clone()
    };
    let rows = vec![strange, same, row(NOON, 3, Some(5))];
    assert_eq!(store.ledger.insert(rows).await.unwrap(), 3);
    let user = UserId::from(long.as_str());
    let spend = store.spend.user_spend(user).await.unwrap();
    assert_eq!(spend.total, pico(6));
    let charged = store.ledger.charged(window(long_key, 0, 0)).await;
    assert_eq!(charged.unwrap(), pico(6));
    assert_eq!(store.spend.total_spend(None).await.unwrap(), pico(11));
}

/// A row with something in every column.
fn full_row(n: u64) -> SpendRecord {
    let mut row = row(NOON, n, Some(123_456_789));
    row.key_alias = Some("alias".to_owned());
    row.client_ip = Some("192.0.2.1".to_owned());
    row.api_base = Some("https://api.example".to_owned());
    row.stream = true;
    row.first_content_at = Some(UnixMs(NOON + 3));
    row.usage = UsageParts {
        input_uncached: 1,
        cache_read: 2,
        cache_write_5m: 3,
        cache_write_1h: 4,
        audio_input: 5,
        image_input: 6,
        output_text: 7,
        reasoning: 8,
        audio_output: 9,
        prompt_tokens: 21,
        completion_tokens: 24,
        total_tokens: 45,
    };
    row.pieces = Some(Pieces {
        queries: 1,
        seconds_in: "1.5".parse().unwrap(),
        ..Pieces::default()
    });
    row.service_tier = Some("flex".to_owned());
    row.price_id = Some("0123456789abcdef".into());
    row.price_sheet = Some("trunkline-price 1\nlist \"x\"".into());
    row.error_code = Some("stream_broke_off".to_owned());
    row.tags = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
    row.budgets = vec![
        window(key_subject(), 3, NOON),
        BudgetKey {
            budget: BudgetName::model("gpt"),
            ..window(Subject::global(), 0, 0)
        },
    ];
    row
}

pub(super) async fn a_row_is_read_back_as_it_was_kept(store: &Store) {
    let full = full_row(1);
    let mut bare = row(NOON, 2, None);
    bare.provider_request_id = None;
    bare.user = None;
    bare.tags.clear();
    let mut huge = row(NOON, 3, Some(1));
    huge.usage.prompt_tokens = u64::MAX;
    huge.end_user = Some("\0customer".repeat(500));
    let mut less = row(NOON, 4, Some(-5));
    less.status = SpendStatus::Adjustment;
    less.adjusts = Some(full.id);
    let mut later = less.clone();
    later.id = RequestId::generate(NOON, 0);
    later.ended_at = UnixMs(less.ended_at.0 + 1);
    let all = vec![full.clone(), bare, huge, less.clone(), later.clone()];
    store.ledger.insert(all.clone()).await.unwrap();

    for record in all {
        let found = store.audit.rows_named(record.id.to_string()).await.unwrap();
        assert_eq!(found, [store.audit.as_kept(record)]);
    }
    let lower = full.id.to_string().to_lowercase();
    assert_eq!(store.audit.rows_named(lower).await.unwrap().len(), 1);
    let by_provider = store.audit.rows_named("chatcmpl-1".to_owned());
    let ids: Vec<RequestId> = by_provider
        .await
        .unwrap()
        .iter()
        .map(|row| row.id)
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted_by(|a, b| a > b), "the newest first");
    let none = store.audit.rows_named("nobody".to_owned()).await.unwrap();
    assert_eq!(none, []);

    let ids = vec![less.id, full.id, RequestId::generate(1, 1)];
    let some = store.audit.rows(ids).await.unwrap();
    assert_eq!(
        some,
        [full.clone(), less.clone()].map(|row| store.audit.as_kept(row))
    );
    let adjustments = store.audit.adjustments(vec![full.id]).await.unwrap();
    assert_eq!(
        adjustments,
        [less, later],
        "in the order in which they were made"
    );

    let id = full.price_id.unwrap().to_string();
    let sheet = store.audit.price(id).await.unwrap();
    assert_eq!(sheet.as_deref(), full.price_sheet.as_deref());
    assert_eq!(store.audit.price("x".to_owned()).await.unwrap(), None);
}

pub(super) async fn rows_are_read_page_by_page_in_order_of_id(store: &Store) {
    let mut rows: Vec<SpendRecord> = (0..10)
        .map(|n| row(NOON + (n % 3) * DAY, n, Some(1)))
        .collect();
    store.ledger.insert(rows.clone()).await.unwrap();
    rows.sort_by_key(|row| row.id);
    let mut span = RowSpan {
        after: RequestId::generate(0, 0),
        before: RequestId::generate(NOON + 2 * DAY, 8),
    };
    let mut found = Vec::new();
    loop {
        let page = store.audit.page(span, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 4);
        span.after = last.id;
        found.extend(page);
    }
    rows.retain(|row| row.id < span.before);
    assert_eq!(found.len(), 9);
    assert_eq!(found, rows);
}

pub(super) async fn sums_that_were_added_up_are_what_the_rows_say(store: &Store) {
    let empty = store.audit.sums(10).await.unwrap();
    assert_eq!((empty.days, empty.windows), (0, 0));

    // Rows from before a budget, so that its window has something to begin with.
    let early: Vec<SpendRecord> = [Some(7), None]
        .into_iter()
        .zip(900..)
        .map(|(cost, n)| SpendRecord {
            key: Some(KeyId::from("key-0")),
            ..row(NOON, n, cost)
        })
        .collect();
    store.ledger.insert(early).await.unwrap();
    let batches = batches()
        .new_tree(&mut TestRunner::deterministic())
        .unwrap()
        .current();
    for batch in batches {
        store.ledger.insert(batch).await.unwrap();
    }
    let full = full_row(700);
    let mut odd = full_row(701);
    odd.end_user = Some(String::new());
    odd.tags = vec![String::new(), "\"quoted\"".to_owned(), String::new()];
    odd.key = None;
    odd.team = None;
    odd.deployment = None;
    odd.cache_hit = true;
    odd.ended_at = UnixMs(1);
    odd.usage.cache_write_1h = u64::MAX;
    let mut slow = full_row(702);
    slow.status = SpendStatus::Unknown;
    slow.ended_at = UnixMs(NOON + 3 * DAY);
    slow.cost = None;
    let mut less = full_row(703);
    less.status = SpendStatus::Adjustment;
    less.adjusts = Some(full.id);
    less.cost = Some(pico(-23_456_789));
    store
        .ledger
        .insert(vec![full, odd, slow, less])
        .await
        .unwrap();
    let reset = window(key_subject(), 9, 0);
    store.ledger.begin_with(reset, pico(5)).await.unwrap();

    let audit = store.audit.sums(10).await.unwrap();
    assert_eq!(audit.roll_ups, []);
    assert_eq!(audit.balances, []);
    assert!(audit.days > 3 && audit.lines > 20, "{audit:?}");
    assert!(audit.windows > 4, "{audit:?}");
    assert_eq!(audit.days_without_rows + audit.windows_without_rows, 0);
}
