//! Budgets on a paused clock, with a store in memory.

use std::time::Duration;

use super::tests::{Books, with_books};
use super::{Budget, BudgetTerms, Increase, Windows};
use crate::clock::UnixMs;
use crate::ids::{KeyId, Subject};
use crate::money::Usd;
use crate::ports::{BudgetKey, BudgetName, JournalWriter as _};
use crate::test_util::{settle_down, spend_record};

const MINUTE: u64 = 60_000;

fn pico(amount: i64) -> Usd {
    Usd::from_pico(amount)
}

fn by_the_minute(limit: i64) -> BudgetTerms {
    BudgetTerms {
        windows: Windows::Fixed(Duration::from_mins(1)),
        ..BudgetTerms::endless(Subject::from(&KeyId::from("k")), pico(limit))
    }
}

fn minute(n: u64) -> BudgetKey {
    BudgetKey {
        subject: Subject::from(&KeyId::from("k")),
        budget: BudgetName::default(),
        generation: 0,
        window_start: UnixMs(n * MINUTE),
    }
}

/// Puts a charge on the books and on the window of that minute.
fn charge(books: &Books, budget: &Budget, number: u64, cost: i64) {
    let balance = budget.at(UnixMs(number));
    let mut record = spend_record(number);
    record.cost = Some(pico(cost));
    record.budgets = vec![balance.key().clone()];
    books.journal.settled(&record).unwrap();
    balance.charge_unheld(pico(cost), books.ledger.clock.now());
}

#[test]
fn each_window_has_the_whole_limit() {
    with_books(
        |_, _| {},
        |books| async move {
            let now = UnixMs(MINUTE + 5);
            let budget = Budget::load(&books.ledger, by_the_minute(10), now)
                .await
                .unwrap();
            charge(&books, &budget, MINUTE + 6, 12);
            assert_eq!(budget.at(UnixMs(2 * MINUTE - 1)).snapshot().spent, pico(12));
            assert_eq!(budget.at(UnixMs(2 * MINUTE)).key(), &minute(2));
            assert_eq!(budget.at(UnixMs(2 * MINUTE)).snapshot().spent, Usd::ZERO);
            assert_eq!(
                budget.resets_at(UnixMs(2 * MINUTE)),
                Some(UnixMs(3 * MINUTE))
            );
            // A clock that is set back does not bring the old window back.
            assert_eq!(budget.at(now).key(), &minute(2));
        },
    );
}

#[test]
fn what_a_window_was_exceeded_by_counts_in_the_next_one_also_after_a_restart() {
    with_books(
        |_, _| {},
        |books| async move {
            let terms = BudgetTerms {
                carries_over: true,
                ..by_the_minute(10)
            };
            let budget = Budget::load(&books.ledger, terms.clone(), UnixMs(MINUTE))
                .await
                .unwrap();
            charge(&books, &budget, MINUTE + 1, 25);
            books.ledger.flush().await.unwrap();
            assert_eq!(budget.at(UnixMs(2 * MINUTE)).snapshot().spent, pico(15));
            settle_down().await;
            let told = books.store.begun();
            assert_eq!(told, [(minute(1), Usd::ZERO), (minute(2), pico(15))]);
            // The excess of the second one is what the first left over it.
            assert_eq!(budget.at(UnixMs(3 * MINUTE)).snapshot().spent, pico(5));
            settle_down().await;

            with_fresh_balances(&books);
            let again = Budget::load(&books.ledger, terms, UnixMs(3 * MINUTE)).await;
            assert_eq!(
                again.unwrap().at(UnixMs(3 * MINUTE)).snapshot().spent,
                pico(5)
            );
        },
    );
}

/// As after a restart: only the store knows what was spent.
fn with_fresh_balances(books: &Books) {
    books.ledger.shared.balances.clear();
}

#[test]
fn a_temporary_increase_ends() {
    with_books(
        |_, _| {},
        |books| async move {
            let terms = BudgetTerms {
                increase: Some(Increase {
                    amount: pico(5),
                    until: UnixMs(100),
                }),
                ..BudgetTerms::endless(Subject::global(), pico(10))
            };
            let budget = Budget::load(&books.ledger, terms, UnixMs(0)).await.unwrap();
            assert_eq!(budget.at(UnixMs(99)).snapshot().limit, pico(15));
            assert_eq!(budget.at(UnixMs(100)).snapshot().limit, pico(10));
        },
    );
}

#[test]
fn a_reset_begins_at_nothing_and_a_late_charge_lands_where_its_hold_was() {
    with_books(
        |_, _| {},
        |books| async move {
            let terms = BudgetTerms::endless(Subject::from(&KeyId::from("k")), pico(10));
            let before = Budget::load(&books.ledger, terms.clone(), UnixMs(0)).await;
            let before = before.unwrap();
            charge(&books, &before, 1, 9);
            let reset = BudgetTerms {
                generation: 50,
                ..terms
            };
            let after = Budget::load(&books.ledger, reset, UnixMs(50))
                .await
                .unwrap();
            charge(&books, &before, 51, 3);
            assert_eq!(after.at(UnixMs(60)).snapshot().spent, Usd::ZERO);
            assert_eq!(before.at(UnixMs(60)).snapshot().spent, pico(12));
        },
    );
}
