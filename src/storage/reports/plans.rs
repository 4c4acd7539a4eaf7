//! The statements of every endpoint's default page, for the tests of how the databases run them.

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::RequestId;

use super::log_rows;
use super::statement::{Dialect, Statement};
use super::sums;
use super::{Counting, Days, Facet, LogColumn, LogFilter, LogQuery, Of, Order, Sums};
use crate::storage::conformance::NOON;

const MONTH: Days = Days {
    first: 19_970,
    last: 20_000,
};

/// All of them.
pub(in crate::storage) fn statements(dialect: Dialect) -> Vec<Statement> {
    let sums = questions()
        .into_iter()
        .map(|question| sums::statement(dialect, &question).unwrap());
    let pages = queries().into_iter().flat_map(|query| {
        let page = log_rows::statements(dialect, &query);
        [Some(page.rows), page.walked, page.count]
    });
    sums.chain(pages.flatten()).collect()
}

/// The question with most lines to add up.
pub(in crate::storage) fn dearest_customers() -> Sums {
    Sums {
        days: MONTH,
        of: Vec::new(),
        by_day: false,
        by: vec![Facet::EndUser],
        counting: Counting::Spend,
        order: Order::Spend(100),
    }
}

fn questions() -> Vec<Sums> {
    use Facet::{
        CallType, EndUser, Key, Model, ModelGroup, Organisation, Provider, Tag, Team, User,
    };
    let ask = |of: Vec<Of>, by_day: bool, by: &[Facet], order| Sums {
        days: MONTH,
        of,
        by_day,
        by: by.to_vec(),
        counting: Counting::All,
        order,
    };
    let breakdowns = [Model, ModelGroup, Provider, CallType, Key];
    let mut all = vec![dearest_customers()];
    for facet in [Key, ModelGroup, Provider, Tag, EndUser, Team, User] {
        all.push(ask(Vec::new(), false, &[facet], Order::Spend(100)));
        all.push(ask(Vec::new(), true, &[facet], Order::SpendOfEachDay(100)));
    }
    for of in [
        Vec::new(),
        vec![Of::one(User, "a")],
        vec![Of::one(Key, "a")],
        vec![Of::named(Team)],
        vec![Of::one(Team, "a")],
        vec![Of::these(Team, vec!["a".to_owned(), "b".to_owned()])],
        vec![Of::named(Organisation)],
        vec![Of::one(Organisation, "a")],
        vec![Of::one(Tag, "a")],
        vec![Of::these(Tag, vec!["a".to_owned(), "b".to_owned()])],
        vec![Of::one(EndUser, "a")],
    ] {
        all.push(ask(of.clone(), true, &[], Order::Name(1000)));
        for facet in breakdowns {
            all.push(ask(of.clone(), true, &[facet], Order::SpendOfEachDay(100)));
        }
        all.push(ask(of, false, &[Key, Model], Order::Name(1000)));
    }
    all
}

fn queries() -> Vec<LogQuery> {
    let none = LogFilter::default;
    let a = || Some("a".to_owned());
    let range = LogFilter {
        since: Some(UnixMs(NOON)),
        until: Some(UnixMs(NOON + 86_400_000)),
        ..none()
    };
    let own_id = RequestId::generate(NOON, 1).to_string();
    let filters = vec![
        none(),
        LogFilter { key: a(), ..none() },
        LogFilter {
            user: a(),
            ..none()
        },
        LogFilter {
            team: a(),
            ..none()
        },
        LogFilter {
            end_user: a(),
            ..none()
        },
        LogFilter {
            request_id: a(),
            ..none()
        },
        LogFilter {
            request_id: Some(own_id),
            ..none()
        },
        LogFilter {
            user: a(),
            ..range.clone()
        },
        LogFilter {
            successful: Some(false),
            ..range.clone()
        },
        LogFilter {
            with: vec![(LogColumn::Model, "a".to_owned())],
            ..none()
        },
        range,
    ];
    let after = [None, Some(RequestId::generate(NOON, 2))];
    filters
        .into_iter()
        .flat_map(|filter| {
            after.map(|after| LogQuery {
                filter: filter.clone(),
                after,
                skip: 0,
                limit: 50,
                count_to: 10_000,
            })
        })
        .collect()
}
