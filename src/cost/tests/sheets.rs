//! What is kept of a price is enough to work out every cost again.

use proptest::option;
use proptest::prelude::*;
use rust_decimal::Decimal;
use trunkline_actors::money::Usd;

use super::laws::{prices, service, some_units, usages, usd};
use crate::cost::{PriceBook, Sheet, Terms, cost, itemised};

/// The largest sheet of a listed model, in bytes: a record has room for it (design §4: 4 KiB).
const MOST_BYTES: usize = 1600;

fn terms() -> impl Strategy<Value = Option<Terms>> {
    let share = || (0_i64..1000).prop_map(|permille| Decimal::new(permille, 3));
    option::of(
        (share(), share(), usd()).prop_map(|(discount, margin, fixed)| Terms {
            discount,
            margin,
            fixed,
        }),
    )
}

proptest! {
    #[test]
    fn a_sheet_that_is_read_back_says_what_was_written(price in prices(), terms in terms(), version in ".{0,20}") {
        let price = match terms { Some(terms) => price.under(&terms), None => price };
        let sheet = Sheet::new(&price, &version);
        let read = Sheet::read(&sheet.text).unwrap();
        prop_assert_eq!(&read.price, &price);
        prop_assert_eq!(&read.version, &version);
        prop_assert_eq!(Sheet::new(&read.price, &read.version), sheet);
    }

    #[test]
    fn a_cost_is_worked_out_again_from_the_sheet_to_the_last_digit(
        usage in usages(), units in some_units(), price in prices(), terms in terms(), service in service()
    ) {
        let price = match terms { Some(terms) => price.under(&terms), None => price };
        let kept = Sheet::new(&price, "list");
        let again = Sheet::read(&kept.text).unwrap();
        prop_assert_eq!(
            cost(&usage, &again.price, &units, service),
            cost(&usage, &price, &units, service)
        );
    }

    #[test]
    fn the_lines_of_a_bill_are_its_list_price(
        usage in usages(), units in some_units(), price in prices(), terms in terms(), service in service()
    ) {
        let price = match terms { Some(terms) => price.under(&terms), None => price };
        let whole = cost(&usage, &price, &units, service);
        let billed = itemised(&usage, &price, &units, service);
        prop_assert_eq!(whole, billed.as_ref().map(|(breakdown, _)| *breakdown));
        if let Some((breakdown, lines)) = billed {
            for line in &lines {
                prop_assert_eq!(line.amount, line.count * line.figure.usd);
            }
            let list: Decimal = lines.iter().map(|line| line.amount).sum();
            prop_assert_eq!(list, breakdown.list());
            let total = list - breakdown.discount + breakdown.margin;
            prop_assert_eq!(Usd::rounded(total), breakdown.total);
        }
    }
}

#[test]
fn every_listed_price_has_a_sheet_that_a_record_has_room_for() {
    let book = PriceBook::built_in();
    for (provider, model, entry) in book.entries() {
        let sheet = Sheet::new(&entry.price, book.version());
        let read = Sheet::read(&sheet.text).unwrap();
        assert_eq!(read.price, *entry.price, "{provider}/{model}");
        assert!(sheet.text.len() <= MOST_BYTES, "{provider}/{model}");
    }
}

#[test]
fn another_price_has_another_id() {
    let book = PriceBook::built_in();
    let price = &book.lookup("openai", "gpt-4o").unwrap().price;
    let sheet = Sheet::new(price, "1");
    assert_eq!(sheet.id.len(), 16);
    assert_eq!(sheet.id, Sheet::new(price, "1").id);
    assert_ne!(sheet.id, Sheet::new(price, "2").id);
    assert_ne!(sheet.id, Sheet::new(&price.times(Decimal::TWO), "1").id);
}

#[test]
fn a_line_that_means_nothing_is_named() {
    for (text, line) in [
        ("", 1),
        ("trunkline-price 2\nlist \"x\"", 1),
        ("trunkline-price 1", 2),
        ("trunkline-price 1\nlist x", 2),
        ("trunkline-price 1\nlist \"x\"\ninput free", 3),
        ("trunkline-price 1\nlist \"x\"\nimput 1", 3),
        ("trunkline-price 1\nlist \"x\"\ninput", 3),
    ] {
        let err = Sheet::read(text).unwrap_err();
        assert_eq!(err.line, line, "{text:?}: {err}");
    }
}
