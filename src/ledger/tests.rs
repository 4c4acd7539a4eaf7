//! Rows made at random prices are explained to the last digit; what other prices make of them adds up, and only once.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use rust_decimal::Decimal;
use tempfile::TempDir;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, ModelGroup, RequestId, Subject};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{
    BudgetKey, BudgetName, Pieces, SpendRecord, SpendStatus, StartedRecord, UsageParts,
};

use super::recompute::at_price;
use super::*;
use crate::cost::{Part, Price, PriceBook, PricedModel, ServiceTier, Sheet, Terms};
use crate::storage::{Store, open_sqlite};

const NOON: u64 = 20_000 * 86_400_000 + 43_200_000;
const DAY: u64 = 86_400_000;

/// A row that used something, with the price that it is to be billed by.
#[derive(Debug, Clone)]
struct Drawn {
    row: SpendRecord,
    terms: Option<Terms>,
}

fn bare(n: u64) -> SpendRecord {
    let at = NOON + n * 3_000_000;
    let key = KeyId::from("key-a");
    let budget = BudgetKey {
        subject: Subject::from(&key),
        budget: BudgetName::default(),
        generation: 0,
        window_start: UnixMs(0),
    };
    SpendRecord {
        status: SpendStatus::Success,
        ..SpendRecord::of(StartedRecord {
            key: Some(key),
            end_user: Some("customer".to_owned()),
            tags: vec!["a".to_owned()],
            budgets: vec![budget],
            ..StartedRecord::new(
                RequestId::generate(at, n.into()),
                ModelGroup::from("group"),
                "acompletion",
            )
        })
    }
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let models: Vec<(String, String)> = PriceBook::built_in()
        .entries()
        .map(|(provider, model, _)| (provider.to_owned(), model.to_owned()))
        .collect();
    let count = || prop_oneof![Just(0_u64), 0_u64..300_000];
    let terms = prop::option::of((0_i64..1000, 0_i64..1000, 0_i64..50).prop_map(
        |(discount, margin, fixed)| Terms {
            discount: Decimal::new(discount, 3),
            margin: Decimal::new(margin, 3),
            fixed: Decimal::new(fixed, 4),
        },
    ));
    let tiers: Vec<&str> = ServiceTier::all().map(ServiceTier::name).collect();
    let one = (
        prop::sample::select(models),
        prop::array::uniform9(count()),
        prop::option::of((0_u64..5, 0_i64..900)),
        prop::sample::select(tiers),
        terms,
    );
    let one = one.prop_map(|((provider, model), counts, pieces, tier, terms)| {
        let mut row = bare(0);
        row.usage = UsageParts {
            input_uncached: counts[0],
            cache_read: counts[1],
            cache_write_5m: counts[2],
            cache_write_1h: counts[3],
            audio_input: counts[4],
            image_input: counts[5],
            output_text: counts[6],
            reasoning: counts[7],
            audio_output: counts[8],
            prompt_tokens: counts[..6].iter().sum(),
            completion_tokens: counts[6..].iter().sum(),
            total_tokens: counts.iter().sum(),
        };
        row.pieces = pieces.map(|(images_out, tenths)| Pieces {
            images_out,
            seconds_in: Decimal::new(tenths, 1),
            ..Pieces::default()
        });
        row.service_tier = (!tier.is_empty()).then(|| tier.to_owned());
        (row.provider, row.model) = (provider, model);
        Drawn { row, terms }
    });
    prop::collection::vec(one, 200..=200)
}

/// Bills a row as a settlement does.
fn billed(n: u64, drawn: Drawn) -> SpendRecord {
    let Drawn { mut row, terms } = drawn;
    let book = PriceBook::built_in();
    let entry = book.lookup(&row.provider, &row.model).unwrap();
    let price = Price::clone(&entry.price);
    let price = match terms {
        Some(terms) => price.under(&terms),
        None => price,
    };
    let fresh = bare(n);
    row.id = fresh.id;
    row.started_at = fresh.started_at;
    row.ended_at = UnixMs(fresh.started_at.0 + 9);
    if let Some((bill, _)) = at_price(&row, &price) {
        let sheet = Sheet::new(&price, book.version());
        row.cost = Some(bill.total);
        row.price_id = Some(sheet.id);
        row.price_sheet = Some(sheet.text);
        row.price_version = Some(book.version().to_owned());
    }
    row
}

async fn books_with_random_rows() -> (TempDir, Store, Vec<SpendRecord>) {
    let dir = TempDir::new().unwrap();
    let store = open_sqlite(&dir.path().join("books.db")).await.unwrap();
    let rows = drawn()
        .new_tree(&mut TestRunner::deterministic())
        .unwrap()
        .current();
    let rows: Vec<SpendRecord> = (0..).zip(rows).map(|(n, row)| billed(n, row)).collect();
    store.ledger.insert(rows.clone()).await.unwrap();
    (dir, store, rows)
}

/// The same list, every figure times `factor`.
fn times(factor: Decimal) -> PriceBook {
    let entries: Vec<(String, String, PricedModel)> = PriceBook::built_in()
        .entries()
        .map(|(provider, model, entry)| {
            let price = Arc::new(entry.price.times(factor));
            let entry = PricedModel {
                price,
                ..entry.clone()
            };
            (provider.to_owned(), model.to_owned(), entry)
        })
        .collect();
    PriceBook::default().with(entries, "other")
}

fn count(report: &Report, check: &str, what: &str) -> u64 {
    let check = report
        .checks
        .iter()
        .find(|one| one.name == check)
        .expect(check);
    let found = check.counts.iter().find(|(name, _)| *name == what);
    found.expect(what).1
}

#[tokio::test]
async fn every_cost_is_explained_to_the_last_digit() {
    let (dir, store, rows) = books_with_random_rows().await;
    let mut priced = 0;
    for row in &rows {
        let [explanation] = &explain(&*store.audit, &row.id.to_string()).await.unwrap()[..] else {
            panic!("one row has that id");
        };
        assert!(explanation.agrees(), "{explanation}");
        let json = explanation.to_json();
        if let Some(cost) = row.cost.filter(|cost| !cost.is_zero()) {
            priced += 1;
            assert_eq!(json["recomputed"]["total"], cost.to_string());
            let text = explanation.to_string();
            assert!(text.contains("to the last digit"), "{text}");
            assert!(text.contains(&format!("→ {cost} ")), "{text}");
        }
    }
    assert!(priced > 100, "{priced}");

    let report = verify(&*store.audit, dir.path(), 5).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(count(&report, "costs and prices", "rows"), 200);
    assert!(count(&report, "costs and prices", "worked out again") >= priced);
}

#[tokio::test]
async fn other_prices_are_put_on_the_books_once_and_taken_back_to_the_last_digit() {
    let (dir, store, rows) = books_with_random_rows().await;
    let total = || async { store.spend.total_spend(None).await.unwrap() };
    let before = total().await;
    let (double, same) = (times(Decimal::TWO), times(Decimal::ONE));
    let plan = |book, dry_run| Plan {
        since: UnixMs(NOON),
        until: UnixMs(NOON + 30 * DAY),
        book,
        version: "other",
        dry_run,
    };
    let run = async |plan: Plan<'_>| reprice(&*store.audit, &*store.ledger, &plan).await.unwrap();

    // The terms of the rows stay: what was worked out with them doubles but for the fixed amounts.
    let announced = run(plan(&double, true)).await;
    assert_eq!(total().await, before, "nothing is written");
    let done = run(plan(&double, false)).await;
    assert_eq!(announced, done);
    assert_eq!(done.rows, 200);
    let wanted: Usd = done
        .models
        .values()
        .map(|change| change.after - change.before)
        .sum();
    assert!(wanted > Usd::ZERO);
    assert_eq!(total().await - before, wanted);
    let report = verify(&*store.audit, dir.path(), 5).await.unwrap();
    assert!(report.is_clean(), "{report:?}");

    let again = run(plan(&double, false)).await;
    assert!(again.models.is_empty(), "{again:?}");

    // There and back, twice: each time is an adjustment of its own.
    for _ in 0..2 {
        run(plan(&same, false)).await;
        assert_eq!(total().await, before);
        run(plan(&double, false)).await;
        assert_eq!(total().await - before, wanted);
    }
    let report = verify(&*store.audit, dir.path(), 5).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    let key = rows[0].budgets[0].clone();
    assert_eq!(
        store.ledger.charged(key).await.unwrap(),
        total().await,
        "the budget was charged as well"
    );
}

#[tokio::test]
async fn an_unknown_cost_becomes_known_and_a_span_bounds_what_is_adjusted() {
    let dir = TempDir::new().unwrap();
    let store = open_sqlite(&dir.path().join("books.db")).await.unwrap();
    let unpriced = |n| SpendRecord {
        provider: "openai".to_owned(),
        model: "house-model".to_owned(),
        usage: UsageParts {
            input_uncached: 1000,
            prompt_tokens: 1000,
            total_tokens: 1000,
            ..UsageParts::default()
        },
        ..bare(n)
    };
    let rows: Vec<SpendRecord> = (0..3).map(unpriced).collect();
    store.ledger.insert(rows.clone()).await.unwrap();
    let price = Price::flat([(Part::Input, "0.000001".parse().unwrap())]);
    let entry = PricedModel {
        price: Arc::new(price),
        ..PricedModel::default()
    };
    let book = PriceBook::default().with(
        [("openai".to_owned(), "house-model".to_owned(), entry)],
        "x",
    );
    let plan = Plan {
        since: rows[1].started_at,
        until: rows[2].started_at,
        book: &book,
        version: "house",
        dry_run: false,
    };
    let done = reprice(&*store.audit, &*store.ledger, &plan).await.unwrap();
    assert_eq!(done.rows, 1);
    let change = done.models.values().next().unwrap();
    assert_eq!((change.adjusted, change.were_unknown), (1, 1));
    assert_eq!(change.after.to_string(), "0.001");

    let text = explain(&*store.audit, &rows[1].id.to_string())
        .await
        .unwrap()[0]
        .to_string();
    assert!(text.contains("the cost is unknown, not zero"), "{text}");
    assert!(text.contains("cost now     0.001 USD"), "{text}");
    let report = verify(&*store.audit, dir.path(), 5).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(count(&report, "costs and prices", "of unknown cost"), 3);
    assert_eq!(count(&report, "costs and prices", "adjustments"), 1);
}
