//! What every store must answer. The cases run with all others, see `storage::conformance`. Rows are asked for in `rows`.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use trunkline_actors::ids::{KeyId, ModelGroup, OrganisationId, TeamId, UserId};
use trunkline_actors::ports::{SpendRecord, SpendStatus};

use super::{Counting, Days, Facet, KeyName, Of, Order, SumLine, Sums, Tally, Which};
use crate::storage::conformance::{NOON, insert_key, key, row};
use crate::storage::{StorageError, Store};

pub(in crate::storage) use self::rows::{
    a_search_goes_on_behind_the_rows_it_walked_over, old_rows_go_and_their_sums_stay,
    rows_are_found_by_each_filter, rows_are_read_page_by_page_the_newest_first,
    rows_come_back_as_they_were_written,
};

const DAY: u64 = 86_400_000;
const TODAY: i64 = 20_000;
const ALL_DAYS: Days = Days {
    first: TODAY - 5,
    last: TODAY + 5,
};

/// Sixty requests of three days, with every name in several combinations.
fn requests() -> Vec<SpendRecord> {
    (0..60_u64)
        .map(|n| {
            let mut row = row(
                NOON + (n % 3) * DAY,
                n,
                (n % 11 != 0).then_some(1 << (n % 40)),
            );
            let of = |sort: &str, among: u64| format!("{sort}-{}", n % among);
            row.key = (n % 7 != 0).then(|| KeyId::from(of("key", 5)));
            row.user = (n % 5 != 0).then(|| UserId::from(of("user", 4)));
            row.team = (n % 4 != 0).then(|| TeamId::from(of("team", 3)));
            row.organisation = (n % 4 == 1).then(|| OrganisationId::from(of("org", 2)));
            row.end_user = (n % 6 != 0).then(|| of("customer", 8));
            row.tags = (0..n % 3).map(|tag| format!("tag-{tag}")).collect();
            row.model_group = ModelGroup::from(of("group", 3));
            row.model = of("model", 4);
            row.provider = of("provider", 2);
            row.call_type = of("call", 2);
            row.cache_hit = n % 9 == 0;
            row.status = match n % 8 {
                0 => SpendStatus::Failure,
                1 => SpendStatus::Unknown,
                _ => SpendStatus::Success,
            };
            row
        })
        .collect()
}

/// The names of a request, in one sort.
fn names(row: &SpendRecord, facet: Facet) -> Vec<String> {
    let one = |name: Option<&str>| vec![name.unwrap_or_default().to_owned()];
    match facet {
        Facet::Key => one(row.key.as_ref().map(KeyId::as_str)),
        Facet::User => one(row.user.as_ref().map(UserId::as_str)),
        Facet::Team => one(row.team.as_ref().map(TeamId::as_str)),
        Facet::Organisation => one(row.organisation.as_ref().map(OrganisationId::as_str)),
        Facet::ModelGroup => one(Some(row.model_group.as_str())),
        Facet::Model => one(Some(&row.model)),
        Facet::Provider => one(Some(&row.provider)),
        Facet::CallType => one(Some(&row.call_type)),
        Facet::Tag => row.tags.clone(),
        Facet::EndUser => row.end_user.iter().cloned().collect(),
    }
}

/// What the question is answered with, from the rows themselves.
fn summed(rows: &[SpendRecord], question: &Sums) -> Vec<SumLine> {
    let mut lines: BTreeMap<(Option<i64>, Vec<String>), Tally> = BTreeMap::new();
    for row in rows {
        let day = i64::try_from(row.id.unix_ms() / DAY).unwrap();
        let counts = (question.days.first..=question.days.last).contains(&day)
            && question.of.iter().all(|of| {
                names(row, of.facet).iter().any(|name| match &of.which {
                    Which::Named => !name.is_empty(),
                    Which::OneOf(wanted) => wanted.contains(name),
                })
            });
        if !counts {
            continue;
        }
        let mut keys: Vec<Vec<String>> = vec![Vec::new()];
        for facet in &question.by {
            let names: BTreeSet<String> = names(row, *facet).into_iter().collect();
            keys = keys
                .iter()
                .flat_map(|key| {
                    names.iter().map(move |name| {
                        let mut key = key.clone();
                        key.push(name.clone());
                        key
                    })
                })
                .collect();
        }
        for key in keys {
            // The sums of one sort of name alone are kept for those that have one.
            let kept_alone = question.of.is_empty()
                && question.by.len() == 1
                && question.by[0].subject().is_some();
            if kept_alone && key[0].is_empty() {
                continue;
            }
            let tally = lines
                .entry((question.by_day.then_some(day), key))
                .or_default();
            tally.requests += 1;
            tally.spend += row.cost.unwrap_or_default();
            if question.counting == Counting::Spend {
                continue;
            }
            tally.prompt_tokens += row.usage.prompt_tokens;
            tally.completion_tokens += row.usage.completion_tokens;
            if question.counting == Counting::Tokens {
                continue;
            }
            let successful = u64::from(row.status == SpendStatus::Success);
            tally.successful += successful;
            tally.failed += 1 - successful;
            tally.unpriced += u64::from(row.cost.is_none());
            tally.cache_hits += u64::from(row.cache_hit);
            tally.cache_read_tokens += row.usage.cache_read;
            tally.cache_write_tokens += row.usage.cache_write_5m;
            tally.duration_ms += row.ended_at.0 - row.started_at.0;
        }
    }
    if lines.is_empty() && !question.by_day && question.by.is_empty() {
        lines.insert((None, Vec::new()), Tally::default());
    }
    lines
        .into_iter()
        .map(|((day, names), tally)| SumLine { day, names, tally })
        .collect()
}

fn ask(of: Vec<Of>, by_day: bool, by: &[Facet]) -> Sums {
    Sums {
        days: ALL_DAYS,
        of,
        by_day,
        by: by.to_vec(),
        counting: Counting::All,
        order: Order::Name(1000),
    }
}

pub(in crate::storage) async fn sums_agree_with_the_rows_however_they_are_asked_for(store: &Store) {
    use Facet::{
        CallType, EndUser, Key, Model, ModelGroup, Organisation, Provider, Tag, Team, User,
    };
    let rows = requests();
    store.ledger.insert(rows.clone()).await.unwrap();
    let of = |facet, names: &[&str]| Of {
        facet,
        which: Which::OneOf(names.iter().map(|&name| name.to_owned()).collect()),
    };
    let named = |facet| Of {
        facet,
        which: Which::Named,
    };
    let mut questions = vec![
        ask(vec![], false, &[]),
        ask(vec![], true, &[]),
        ask(vec![], true, &[Model]),
        ask(vec![], false, &[CallType]),
        ask(vec![], false, &[Team, Organisation, ModelGroup, Model]),
        ask(vec![], true, &[Key, Model]),
        ask(vec![of(User, &["user-1"])], true, &[ModelGroup]),
        ask(vec![of(User, &["user-1", "user-2", "nobody"])], true, &[]),
        ask(vec![of(User, &["user-1"])], false, &[]),
        ask(vec![of(User, &["nobody"])], false, &[]),
        ask(vec![of(User, &[])], true, &[Key]),
        ask(
            vec![of(Key, &["key-1"]), of(User, &["user-1"])],
            true,
            &[Model],
        ),
        ask(vec![of(Team, &["team-1"])], true, &[Key]),
        ask(vec![of(Team, &["team-1"])], true, &[Model, Provider]),
        ask(vec![named(Team)], true, &[Team]),
        ask(vec![named(Team)], true, &[]),
        ask(vec![named(Team)], true, &[Model]),
        ask(vec![named(Organisation)], true, &[Key]),
        ask(vec![of(Tag, &["tag-0"])], true, &[Model]),
        ask(vec![of(Tag, &["tag-0", "tag-1"])], true, &[Tag]),
        ask(vec![of(Tag, &["tag-1"])], false, &[Key, Provider]),
        ask(vec![of(EndUser, &["customer-3"])], true, &[CallType]),
        ask(
            vec![of(EndUser, &["customer-3"]), of(Key, &["key-1"])],
            true,
            &[],
        ),
        ask(vec![of(Key, &["key-1"])], false, &[EndUser]),
    ];
    for facet in [
        Key,
        User,
        Team,
        Organisation,
        ModelGroup,
        Provider,
        Tag,
        EndUser,
    ] {
        questions.push(ask(vec![], true, &[facet]));
        questions.push(ask(vec![], false, &[facet]));
    }
    let middle = Days {
        first: TODAY + 1,
        last: TODAY + 1,
    };
    questions.push(Sums {
        days: middle,
        ..ask(vec![], true, &[Key, User])
    });
    for counting in [Counting::Spend, Counting::Tokens] {
        questions.push(Sums {
            counting,
            ..ask(vec![], false, &[EndUser])
        });
    }

    let answers = store.reports.sums(questions.clone()).await.unwrap();

    assert_eq!(answers.len(), questions.len());
    for (question, answer) in questions.iter().zip(answers) {
        assert_eq!(answer, summed(&rows, question), "{question:?}");
    }
}

pub(in crate::storage) async fn the_dearest_come_first(store: &Store) {
    let rows = requests();
    store.ledger.insert(rows.clone()).await.unwrap();
    let all = ask(vec![], false, &[Facet::Key]);
    let by_day = ask(vec![], true, &[Facet::Key]);
    let three = Sums {
        order: Order::Spend(3),
        ..all.clone()
    };
    let two_of_each_day = Sums {
        order: Order::SpendOfEachDay(2),
        ..by_day.clone()
    };

    let asked = vec![three, two_of_each_day];
    let answers = store.reports.sums(asked).await.unwrap();

    let dearest = |mut lines: Vec<SumLine>, most: usize| {
        lines.sort_by(|one, other| {
            let spend = other.tally.spend.cmp(&one.tally.spend);
            spend.then_with(|| one.names.cmp(&other.names))
        });
        lines.truncate(most);
        lines
    };
    assert_eq!(answers[0], dearest(summed(&rows, &all), 3));
    let days = summed(&rows, &by_day);
    let expected: Vec<SumLine> = (TODAY..TODAY + 3)
        .flat_map(|day| {
            let of_day = days.iter().filter(|line| line.day == Some(day)).cloned();
            dearest(of_day.collect(), 2)
        })
        .collect();
    assert_eq!(answers[1], expected);
}

pub(in crate::storage) async fn names_that_no_roll_up_has_together_are_an_error(store: &Store) {
    for by in [
        [Facet::Tag, Facet::EndUser],
        [Facet::Tag, Facet::User],
        [Facet::EndUser, Facet::Team],
    ] {
        let answer = store.reports.sums(vec![ask(vec![], true, &by)]).await;
        assert!(
            matches!(answer, Err(StorageError::NotKept { .. })),
            "{by:?}: {answer:?}"
        );
    }
}

pub(in crate::storage) async fn names_are_listed_once_in_order(store: &Store) {
    store.ledger.insert(requests()).await.unwrap();
    let tags = store.reports.names(Facet::Tag, 10).await.unwrap();
    assert_eq!(tags, ["tag-0", "tag-1"]);
    let customers = store.reports.names(Facet::EndUser, 3).await.unwrap();
    assert_eq!(customers, ["customer-0", "customer-1", "customer-2"]);
    let models = store.reports.names(Facet::Model, 3).await;
    assert!(matches!(models, Err(StorageError::NotKept { .. })));

    insert_key(store, key("key-b", Some("mine"))).await.unwrap();
    insert_key(store, key("key-a", None)).await.unwrap();
    let ids = ["key-b", "key-a", "gone"].map(str::to_owned).to_vec();
    let keys = store.reports.key_names(ids).await.unwrap();
    let name = |id: &str, alias: Option<&str>| KeyName {
        id: KeyId::from(id),
        key_name: "sk-...abcd".to_owned(),
        alias: alias.map(str::to_owned),
        user: Some(UserId::from("user-a")),
    };
    assert_eq!(keys, [name("key-a", None), name("key-b", Some("mine"))]);
}
