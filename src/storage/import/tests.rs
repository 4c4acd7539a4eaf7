use trunkline_actors::ids::{KeyId, Subject};
use trunkline_actors::ports::BudgetName;

use super::*;
use crate::storage::TenantKind;
use crate::storage::conformance::key;

fn team(models: &[&str]) -> ImportedRow {
    let mut row = TenantRow::new(TenantKind::Team, "t", UnixMs(1));
    row.models = models.iter().map(|&model| model.to_owned()).collect();
    ImportedRow::Tenant(Box::new(row))
}

fn known(stored: Option<ImportedRow>, brought: Option<&ImportedRow>) -> Known {
    let place = || ("team", "t".to_owned());
    Known {
        rows: stored.map(|row| (place(), row)).into_iter().collect(),
        digests: brought
            .map(|row| (place(), row.digest()))
            .into_iter()
            .collect(),
        aliases: HashMap::new(),
    }
}

fn step(arriving: ImportedRow, known: &Known, overwrite: bool) -> Step {
    let arrivals = Arrivals {
        rows: vec![Arrival {
            row: arriving,
            openings: Vec::new(),
        }],
        overwrite,
        dry_run: false,
    };
    steps(arrivals, known).pop().unwrap()
}

#[test]
fn what_was_changed_here_is_left_alone_unless_it_is_to_be_overwritten() {
    let (old, new, own) = (team(&["a"]), team(&["b"]), team(&["c"]));
    for (stored, brought, usual, overwritten) in [
        (None, None, Taken::New, Taken::New),
        (None, Some(&old), Taken::KeptDeleted, Taken::New),
        (Some(&new), None, Taken::Same, Taken::Same),
        (Some(&old), Some(&old), Taken::Updated, Taken::Updated),
        (Some(&own), Some(&old), Taken::KeptChanged, Taken::Updated),
        (Some(&own), None, Taken::KeptOwn, Taken::Updated),
    ] {
        let known = known(stored.cloned(), brought);
        for (overwrite, want) in [(false, usual), (true, overwritten)] {
            let step = step(new.clone(), &known, overwrite);
            let what = format!("{stored:?} {brought:?} {overwrite}");
            assert_eq!(step.outcome.taken, want, "{what}");
            let writes = matches!(want, Taken::New | Taken::Updated);
            assert_eq!(step.row.is_some(), writes, "{what}");
        }
    }
}

#[test]
fn a_reset_by_hand_is_no_change_and_outlives_an_import() {
    let (old, new) = (team(&["a"]), team(&["b"]));
    let mut reset = old.clone();
    reset.terms_mut().unwrap().reset_at = 7;
    let step = step(new, &known(Some(reset), Some(&old)), false);
    assert_eq!(step.outcome.taken, Taken::Updated);
    assert_eq!(step.row.unwrap().terms().unwrap().reset_at, 7);
}

#[test]
fn of_two_keys_with_one_alias_the_second_goes_without() {
    let arrival = |id: &str| {
        let mut row = key(id, Some("ops"));
        row.id = KeyId::from(id);
        Arrival {
            row: ImportedRow::Key(Box::new(row)),
            openings: Vec::new(),
        }
    };
    let arrivals = Arrivals {
        rows: vec![arrival("a"), arrival("b")],
        ..Arrivals::default()
    };
    let lost: Vec<bool> = steps(arrivals, &Known::default())
        .iter()
        .map(|step| step.outcome.alias_lost)
        .collect();
    assert_eq!(lost, [false, true]);
}

#[test]
fn what_was_brought_before_is_not_written_again() {
    let row = team(&["a"]);
    let key = BudgetKey {
        subject: Subject::global(),
        budget: BudgetName::default(),
        generation: 0,
        window_start: UnixMs(0),
    };
    let arrivals = || Arrivals {
        rows: vec![Arrival {
            row: row.clone(),
            openings: vec![(key.clone(), Usd::from_pico(5))],
        }],
        ..Arrivals::default()
    };
    let spent = |amount| BTreeMap::from([(key.clone(), Usd::from_pico(amount))]);

    let again = known(Some(row.clone()), Some(&row));
    let (outcomes, changes) = settle(arrivals(), &again, spent(5));
    assert_eq!(
        (outcomes[0].taken, outcomes[0].opened),
        (Taken::Same, Usd::ZERO)
    );
    assert!(changes.rows.is_empty() && changes.lines.is_empty());
    assert!(changes.digests.is_empty() && changes.openings.is_empty());

    let first = known(None, None);
    let (outcomes, changes) = settle(arrivals(), &first, spent(2));
    assert_eq!(
        (outcomes[0].taken, outcomes[0].opened),
        (Taken::New, Usd::from_pico(3))
    );
    assert_eq!(
        (
            changes.rows.len(),
            changes.lines.len(),
            changes.digests.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(
        changes.openings[&key],
        (Usd::from_pico(5), Usd::from_pico(3))
    );
}
