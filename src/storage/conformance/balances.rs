//! What windows of budgets were charged.

use futures_util::future::join_all;
use trunkline_actors::ids::{Subject, SubjectKind, TeamId, UserId};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, BudgetName, Carry};

use super::{DAY, NOON, key_subject, pico, row, window};
use crate::storage::Store;

pub(super) async fn a_window_is_charged_what_its_rows_cost(store: &Store) {
    let (today, tomorrow) = (
        window(key_subject(), 0, NOON),
        window(key_subject(), 0, NOON + DAY),
    );
    assert_eq!(
        store.ledger.charged(today.clone()).await.unwrap(),
        Usd::ZERO
    );
    let mut rows = vec![row(NOON, 1, Some(1)), row(NOON + 1, 2, Some(10))];
    rows.push(row(NOON + DAY, 3, Some(100)));
    // Received in the first window, ended in the second: charged where its hold was.
    rows.push(row(NOON + DAY - 1, 4, Some(1000)));
    for (row, budget) in rows.iter_mut().zip([&today, &today, &tomorrow, &today]) {
        row.budgets = vec![budget.clone()];
    }
    store.ledger.insert(rows.clone()).await.unwrap();
    store.ledger.insert(rows).await.unwrap();
    assert_eq!(store.ledger.charged(today).await.unwrap(), pico(1011));
    assert_eq!(store.ledger.charged(tomorrow).await.unwrap(), pico(100));
}

pub(super) async fn a_budget_given_late_counts_what_was_spent_before(store: &Store) {
    let lifetime = window(key_subject(), 0, 0);
    let first = vec![row(NOON, 1, Some(5)), row(NOON, 2, Some(6))];
    store.ledger.insert(first).await.unwrap();
    assert_eq!(
        store.ledger.charged(lifetime.clone()).await.unwrap(),
        pico(11)
    );
    // Repeated rows in the batch that makes the balance must not count twice either.
    let mut charged = row(NOON, 3, Some(100));
    charged.budgets = vec![lifetime.clone()];
    let mut repeated = row(NOON, 2, Some(6));
    repeated.budgets = vec![lifetime.clone()];
    store.ledger.insert(vec![repeated, charged]).await.unwrap();
    assert_eq!(store.ledger.charged(lifetime).await.unwrap(), pico(111));
}

pub(super) async fn a_reset_starts_from_zero(store: &Store) {
    let mut before = row(NOON, 1, Some(5));
    before.budgets = vec![window(key_subject(), 0, 0)];
    store.ledger.insert(vec![before]).await.unwrap();
    let after_reset = window(key_subject(), NOON + 1, 0);
    assert_eq!(
        store.ledger.charged(after_reset.clone()).await.unwrap(),
        Usd::ZERO
    );
    let mut after = row(NOON + 1, 2, Some(7));
    after.budgets = vec![after_reset.clone()];
    store.ledger.insert(vec![after]).await.unwrap();
    assert_eq!(store.ledger.charged(after_reset).await.unwrap(), pico(7));
    let old = window(key_subject(), 0, 0);
    assert_eq!(store.ledger.charged(old).await.unwrap(), pico(5));
}

pub(super) async fn every_kind_of_subject_is_summed(store: &Store) {
    let mut second = row(NOON + DAY, 2, Some(10));
    second.tags = vec!["batch".to_owned(), "batch".to_owned(), "night".to_owned()];
    let rows = vec![row(NOON, 1, Some(1)), second];
    store.ledger.insert(rows).await.unwrap();
    let team = TeamId::from("team-a");
    let cases = [
        (Subject::global(), 11),
        (Subject::new(SubjectKind::Organisation, "org-a"), 11),
        (Subject::from(&team), 11),
        (Subject::new(SubjectKind::Team, "team-b"), 0),
        (Subject::new(SubjectKind::User, "user-a"), 11),
        (Subject::team_member(&team, &UserId::from("user-a")), 11),
        (Subject::team_member(&team, &UserId::from("user-b")), 0),
        (Subject::new(SubjectKind::EndUser, "customer-a"), 11),
        (Subject::new(SubjectKind::EndUser, "customer-b"), 0),
        (Subject::new(SubjectKind::Key, "key-a"), 11),
        (Subject::new(SubjectKind::Tag, "batch"), 11),
        (Subject::new(SubjectKind::Tag, "night"), 10),
        (Subject::new(SubjectKind::Tag, "bat"), 0),
        (Subject::new(SubjectKind::Model, "gpt"), 11),
        (Subject::new(SubjectKind::Provider, "openai"), 11),
        (Subject::new(SubjectKind::Deployment, "deployment-a"), 11),
    ];
    for (subject, expected) in cases {
        let name = subject.to_string();
        let lifetime = store.ledger.charged(window(subject.clone(), 0, 0)).await;
        assert_eq!(lifetime.unwrap(), pico(expected), "{name}");
        // From the middle of a day, and from the beginning of one.
        for start in [NOON + 1, NOON + DAY / 2] {
            let later = store
                .ledger
                .charged(window(subject.clone(), 0, start))
                .await;
            assert_eq!(
                later.unwrap(),
                pico(expected.min(10)),
                "{name} since {start}"
            );
        }
        for (group, share) in [("gpt", expected), ("other", 0)] {
            let of_model = BudgetKey {
                budget: BudgetName::model(group),
                ..window(subject.clone(), 0, 0)
            };
            let charged = store.ledger.charged(of_model).await.unwrap();
            assert_eq!(charged, pico(share), "{name}, {group}");
        }
    }
}

pub(super) async fn budgets_of_one_subject_are_told_apart(store: &Store) {
    let own = window(key_subject(), 0, NOON);
    let daily = BudgetKey {
        budget: BudgetName::window("1d"),
        ..own.clone()
    };
    let mut charged = row(NOON + 1, 1, Some(7));
    charged.budgets = vec![daily.clone()];
    store.ledger.insert(vec![charged]).await.unwrap();
    assert_eq!(store.ledger.charged(daily).await.unwrap(), pico(7));
    // Not charged itself, but its subject has spent that much since.
    assert_eq!(store.ledger.charged(own).await.unwrap(), pico(7));
}

pub(super) async fn a_window_takes_its_predecessors_excess_once(store: &Store) {
    let first = window(key_subject(), 0, NOON);
    let second = window(key_subject(), 0, NOON + DAY);
    let mut spent = row(NOON + 1, 1, Some(130));
    spent.budgets = vec![first.clone()];
    store.ledger.insert(vec![spent]).await.unwrap();
    let carry = Carry {
        previous: first,
        limit: pico(100),
    };
    // A charge may be shipped before the window is said to begin with anything.
    let mut next = row(NOON + DAY + 1, 2, Some(5));
    next.budgets = vec![second.clone()];
    store.ledger.insert(vec![next.clone()]).await.unwrap();
    for _ in 0..2 {
        store
            .ledger
            .carry_over(second.clone(), carry.clone())
            .await
            .unwrap();
    }
    assert_eq!(
        store.ledger.charged(second.clone()).await.unwrap(),
        pico(35)
    );
    store.ledger.insert(vec![next]).await.unwrap();
    assert_eq!(
        store.ledger.charged(second.clone()).await.unwrap(),
        pico(35)
    );

    let third = window(key_subject(), 0, NOON + 2 * DAY);
    let nothing_left = Carry {
        previous: second,
        limit: pico(100),
    };
    store
        .ledger
        .carry_over(third.clone(), nothing_left)
        .await
        .unwrap();
    assert_eq!(store.ledger.charged(third).await.unwrap(), pico(0));
}

pub(super) async fn a_reset_window_counts_what_was_spent_since(store: &Store) {
    let rows = vec![row(NOON, 1, Some(5)), row(NOON + 2, 2, Some(70))];
    store.ledger.insert(rows).await.unwrap();
    // Given a budget of another period after the reset: what lies between counts, what lies before does not.
    let reset = window(key_subject(), NOON + 1, 0);
    assert_eq!(store.ledger.charged(reset).await.unwrap(), pico(70));
    let later_window = window(key_subject(), NOON + 1, NOON + 3);
    assert_eq!(store.ledger.charged(later_window).await.unwrap(), pico(0));
}

pub(super) async fn a_new_generation_begins_with_what_it_is_told(store: &Store) {
    let mut before = row(NOON, 1, Some(500));
    before.budgets = vec![window(key_subject(), 0, 0)];
    store.ledger.insert(vec![before]).await.unwrap();
    let next = window(key_subject(), NOON + 1, 0);
    for spent in [20, 30] {
        store
            .ledger
            .begin_with(next.clone(), pico(spent))
            .await
            .unwrap();
    }
    assert_eq!(store.ledger.charged(next.clone()).await.unwrap(), pico(20));
    let mut after = row(NOON + 1, 2, Some(7));
    after.budgets = vec![next.clone()];
    store.ledger.insert(vec![after]).await.unwrap();
    assert_eq!(store.ledger.charged(next).await.unwrap(), pico(27));
}

pub(super) async fn balances_made_at_once_start_with_the_same_past(store: &Store) {
    store
        .ledger
        .insert(vec![row(NOON, 1_000, Some(500))])
        .await
        .unwrap();
    let lifetime = window(key_subject(), 0, 0);
    let inserts = (0..8_u64).map(|n| {
        let mut row = row(NOON + n, n, Some(1));
        row.budgets = vec![lifetime.clone()];
        store.ledger.insert(vec![row])
    });
    for inserted in join_all(inserts).await {
        assert_eq!(inserted.unwrap(), 1);
    }
    assert_eq!(store.ledger.charged(lifetime).await.unwrap(), pico(508));
}
