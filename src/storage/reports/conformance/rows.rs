//! Rows of the books: as they were written, page by page, by each filter, and gone when they are old.

use std::cmp::Reverse;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{DeploymentId, RequestId, Subject};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{Pieces, SpendRecord, SpendStatus};

use super::{DAY, TODAY, requests};
use crate::storage::Store;
use crate::storage::conformance::{NOON, row, window};
use crate::storage::reports::{Aging, LogColumn, LogFilter, LogQuery, MOST_WALKED};

fn all_rows(limit: u32) -> LogQuery {
    LogQuery {
        filter: LogFilter::default(),
        after: None,
        skip: 0,
        limit,
        count_to: 1000,
    }
}

pub(in crate::storage) async fn rows_come_back_as_they_were_written(store: &Store) {
    let mut full = row(NOON, 1, Some(1_500));
    full.key_alias = Some("mine".to_owned());
    full.client_ip = Some("10.0.0.7".to_owned());
    full.api_base = Some("https://api.example.com/v1".to_owned());
    full.first_content_at = Some(UnixMs(NOON + 3));
    full.service_tier = Some("flex".to_owned());
    full.price_id = Some("abc".into());
    full.price_sheet = Some("{}".into());
    full.error_code = Some("upstream".to_owned());
    full.status = SpendStatus::Failure;
    full.stream = true;
    full.cache_hit = true;
    full.usage_estimated = true;
    full.usage.cache_read = 3;
    full.pieces = Some(Pieces {
        images_out: 2,
        seconds_in: "1.5".parse().unwrap(),
        ..Pieces::default()
    });
    full.tags = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
    full.budgets = vec![window(Subject::global(), 2, NOON)];
    let mut bare = row(NOON + 1, 2, None);
    bare.key = None;
    bare.user = None;
    bare.team = None;
    bare.organisation = None;
    bare.end_user = None;
    bare.deployment = None;
    bare.provider_request_id = None;
    bare.price_version = None;
    bare.tags = Vec::new();
    let mut adjustment = row(NOON + 2, 3, Some(-500));
    adjustment.status = SpendStatus::Adjustment;
    adjustment.adjusts = Some(full.id);
    let rows = vec![full.clone(), bare.clone(), adjustment.clone()];
    store.ledger.insert(rows).await.unwrap();

    let page = store.reports.log_page(all_rows(10)).await.unwrap();

    // What the price says is kept once, beside the rows.
    full.price_sheet = None;
    assert_eq!(page.rows, [adjustment, bare, full]);
    assert_eq!((page.next, page.total), (None, 3));
}

pub(in crate::storage) async fn rows_are_read_page_by_page_the_newest_first(store: &Store) {
    let rows = requests();
    let mut newest_first: Vec<RequestId> = rows.iter().map(|row| row.id).collect();
    newest_first.sort_unstable_by_key(|id| Reverse(*id));
    store.ledger.insert(rows).await.unwrap();

    let mut seen = Vec::new();
    let mut query = all_rows(7);
    loop {
        let page = store.reports.log_page(query.clone()).await.unwrap();
        assert_eq!(page.total, 60);
        seen.extend(page.rows.iter().map(|row| row.id));
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(seen, newest_first);

    let skipped = LogQuery {
        skip: 50,
        count_to: 20,
        ..all_rows(7)
    };
    let page = store.reports.log_page(skipped).await.unwrap();
    let ids: Vec<RequestId> = page.rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, newest_first[50..57]);
    assert_eq!(page.total, 20, "counted no further than asked");
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(in crate::storage) async fn rows_are_found_by_each_filter(store: &Store) {
    type Holds = Box<dyn Fn(&SpendRecord) -> bool>;
    let mut rows = requests();
    for row in &mut rows {
        row.provider_request_id = Some(format!("chatcmpl-{}", row.usage.prompt_tokens));
        row.deployment = Some(DeploymentId::from(row.provider.as_str()));
        row.key_alias = row.key.as_ref().map(|key| format!("alias of {key}"));
        row.error_code = (row.status == SpendStatus::Failure).then(|| "rate_limited".to_owned());
    }
    rows[9].provider_request_id = Some("chatcmpl-nine".to_owned());
    let own_id = rows[4].id;
    store.ledger.insert(rows.clone()).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let none = LogFilter::default;
    let with = |column, name: &str| LogFilter {
        with: vec![(column, name.to_owned())],
        ..none()
    };
    let pico = Usd::from_pico;
    let cases: Vec<(LogFilter, Holds)> = vec![
        (
            LogFilter {
                key: text("key-1"),
                ..none()
            },
            Box::new(|row| row.key == Some("key-1".into())),
        ),
        (
            LogFilter {
                user: text("user-2"),
                ..none()
            },
            Box::new(|row| row.user == Some("user-2".into())),
        ),
        (
            LogFilter {
                team: text("team-1"),
                ..none()
            },
            Box::new(|row| row.team == Some("team-1".into())),
        ),
        (
            LogFilter {
                end_user: text("customer-5"),
                ..none()
            },
            Box::new(|row| row.end_user.as_deref() == Some("customer-5")),
        ),
        (
            LogFilter {
                request_id: text("chatcmpl-nine"),
                ..none()
            },
            Box::new(|row| row.provider_request_id.as_deref() == Some("chatcmpl-nine")),
        ),
        (
            LogFilter {
                request_id: Some(own_id.to_string()),
                ..none()
            },
            Box::new(move |row| row.id == own_id),
        ),
        (
            LogFilter {
                successful: Some(true),
                ..none()
            },
            Box::new(|row| row.status == SpendStatus::Success),
        ),
        (
            LogFilter {
                successful: Some(false),
                ..none()
            },
            Box::new(|row| row.status != SpendStatus::Success),
        ),
        (
            with(LogColumn::Model, "model-2"),
            Box::new(|row| row.model == "model-2"),
        ),
        (
            with(LogColumn::ModelGroup, "group-2"),
            Box::new(|row| row.model_group.as_str() == "group-2"),
        ),
        (
            with(LogColumn::Provider, "provider-1"),
            Box::new(|row| row.provider == "provider-1"),
        ),
        (
            with(LogColumn::Deployment, "provider-1"),
            Box::new(|row| row.provider == "provider-1"),
        ),
        (
            with(LogColumn::KeyAlias, "alias of key-3"),
            Box::new(|row| row.key == Some("key-3".into())),
        ),
        (
            with(LogColumn::Organisation, "org-1"),
            Box::new(|row| row.organisation == Some("org-1".into())),
        ),
        (
            with(LogColumn::ErrorCode, "rate_limited"),
            Box::new(|row| row.status == SpendStatus::Failure),
        ),
        (
            LogFilter {
                min_spend: Some(pico(1 << 20)),
                ..none()
            },
            Box::new(move |row| row.cost >= Some(pico(1 << 20))),
        ),
        (
            LogFilter {
                max_spend: Some(pico(1 << 20)),
                ..none()
            },
            Box::new(move |row| row.cost.is_some_and(|cost| cost <= pico(1 << 20))),
        ),
        (
            LogFilter {
                cache_hit: Some(true),
                ..none()
            },
            Box::new(|row| row.cache_hit),
        ),
        (
            LogFilter {
                since: Some(UnixMs(NOON + DAY)),
                ..none()
            },
            Box::new(|row| row.started_at.0 >= NOON + DAY),
        ),
        (
            LogFilter {
                until: Some(UnixMs(NOON + DAY)),
                ..none()
            },
            Box::new(|row| row.started_at.0 < NOON + DAY),
        ),
        (
            LogFilter {
                user: text("user-2"),
                successful: Some(true),
                until: Some(UnixMs(NOON + DAY + 1)),
                ..none()
            },
            Box::new(|row| {
                row.user == Some("user-2".into())
                    && row.status == SpendStatus::Success
                    && row.started_at.0 <= NOON + DAY
            }),
        ),
    ];
    for (filter, holds) in cases {
        let mut expected: Vec<&SpendRecord> = rows.iter().filter(|row| holds(row)).collect();
        expected.sort_unstable_by_key(|row| Reverse(row.id));
        assert!(!expected.is_empty(), "{filter:?}");
        let query = LogQuery {
            filter,
            ..all_rows(100)
        };
        let page = store.reports.log_page(query.clone()).await.unwrap();
        let found: Vec<&SpendRecord> = page.rows.iter().collect();
        assert_eq!(found, expected, "{:?}", query.filter);
        assert_eq!(page.total, expected.len() as u64, "{:?}", query.filter);
    }
}

pub(in crate::storage) async fn a_search_goes_on_behind_the_rows_it_walked_over(store: &Store) {
    let walked = u64::from(MOST_WALKED);
    let mut rows: Vec<SpendRecord> = (0..walked + 2).map(|n| row(NOON + n, n, Some(1))).collect();
    rows[0].model = "rare".to_owned();
    let rare = rows[0].id;
    for part in rows.chunks(5_000) {
        store.ledger.insert(part.to_vec()).await.unwrap();
    }
    let mut query = LogQuery {
        filter: LogFilter {
            with: vec![(LogColumn::Model, "rare".to_owned())],
            ..LogFilter::default()
        },
        ..all_rows(10)
    };

    let first = store.reports.log_page(query.clone()).await.unwrap();
    assert_eq!(first.rows, []);
    assert_eq!(first.next, Some(rows[2].id), "the last row walked over");
    query.after = first.next;
    let second = store.reports.log_page(query).await.unwrap();
    let found: Vec<RequestId> = second.rows.iter().map(|row| row.id).collect();
    assert_eq!((found, second.next), (vec![rare], None));
}

pub(in crate::storage) async fn old_rows_go_and_their_sums_stay(store: &Store) {
    // More days at once than partitions are made for: some lie in the default one.
    let rows: Vec<SpendRecord> = (0..40_u64)
        .map(|n| row(NOON + (n % 20) * DAY, n, Some(1)))
        .collect();
    store.ledger.insert(rows.clone()).await.unwrap();
    let total = store.spend.total_spend(None).await.unwrap();

    let mut removed = 0;
    loop {
        let round = store.expiry.remove_before(Aging::SpendRows, TODAY + 15, 3);
        let round = round.await.unwrap();
        assert!(
            round.days <= 1 && (round.days == 1 || round.rows <= 3),
            "{round:?}"
        );
        if round.is_nothing() {
            break;
        }
        removed += round.rows;
    }

    assert_eq!(removed, 30);
    let page = store.reports.log_page(all_rows(100)).await.unwrap();
    assert_eq!(page.rows.len(), 10);
    assert!(
        page.rows
            .iter()
            .all(|row| row.started_at.0 >= NOON + 15 * DAY)
    );
    assert_eq!(store.spend.total_spend(None).await.unwrap(), total);
    // Rows of a day that went can come again.
    let late = row(NOON, 99, Some(1));
    assert_eq!(store.ledger.insert(vec![late]).await.unwrap(), 1);
}
