//! What a call to a script says, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{ScriptInvocation, Value};
use trunkline_actors::clock::whole_millis;
use trunkline_actors::ids::Subject;
use trunkline_actors::ports::{BudgetKey, SharedAsk, SharedRefusal, SharedUse};
use trunkline_actors::rate_limiter::{LimitType, PARALLEL_RETRY};

use super::amount::Amount;
use super::keys::Keys;
use super::scripts::{SETTLE, TAKE};

/// How long what a lane holds is believed without a word of it.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// The largest whole number that a double holds.
pub(super) const MOST: u64 = 1 << 53;

/// A question with the names of its keys.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ask: SharedAsk,
    pub(super) hold: Amount,
    /// Each budget's window and that window's lanes.
    pub(super) windows: Vec<(String, String)>,
    /// Each subject's rings and lanes.
    pub(super) subjects: Vec<(String, String)>,
}

/// What a script answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Taken {
        /// When, in milliseconds by the server's clock.
        at: u64,
        spent: Vec<Amount>,
        used: Vec<SharedUse>,
    },
    Refused(SharedRefusal),
    /// What is not there yet.
    Unseeded(Vec<Missing>),
}

/// What the server does not know, which is not the same as nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Missing {
    /// What is spent of a budget's window.
    Window(BudgetKey),
    /// What a subject took of its day.
    Day(Subject),
}

/// What one request took in the end.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) question: Arc<Question>,
    pub(super) at: u64,
    /// `None`: it was never sent, and gives back all.
    pub(super) used: Option<(u64, Amount)>,
}

// === impl Question ===

impl Question {
    pub(super) fn new(ask: SharedAsk, keys: &Keys) -> Self {
        let windows = ask.budgets.iter();
        let subjects = ask.limits.iter();
        Self {
            hold: Amount::of(ask.hold),
            windows: windows
                .map(|(key, _)| (keys.window(key), keys.holds(key)))
                .collect(),
            subjects: subjects
                .map(|(subject, _)| (keys.rings(subject), keys.slots(subject)))
                .collect(),
            ask,
        }
    }

    /// The call of `take.lua`. `time` is empty, but for tests.
    pub(super) fn take(&self, lane: &str, time: &str) -> ScriptInvocation<'static> {
        let mut call = TAKE.prepare_invoke();
        for (key, lanes) in self.windows.iter().chain(&self.subjects) {
            call.key(key).key(lanes);
        }
        call.arg(time)
            .arg(lane)
            .arg(millis(LEASE))
            .arg(self.ask.tokens.min(MOST))
            .arg(self.hold.high)
            .arg(self.hold.low)
            .arg(self.windows.len());
        for (_, limit) in &self.ask.budgets {
            let limit = Amount::of(*limit);
            call.arg(limit.high).arg(limit.low);
        }
        for (_, limits) in &self.ask.limits {
            let parallel = limits.max_parallel.map(u64::from);
            for limit in [limits.rpm, limits.tpm, limits.tpd, parallel] {
                call.arg(or_empty(limit));
            }
        }
        call
    }

    /// What stands at that place: budgets come first, then subjects.
    fn missing(&self, place: usize) -> Option<Missing> {
        let budgets = &self.ask.budgets;
        if let Some((key, _)) = budgets.get(place) {
            return Some(Missing::Window(key.clone()));
        }
        let (subject, _) = self.ask.limits.get(place.checked_sub(budgets.len())?)?;
        Some(Missing::Day(subject.clone()))
    }

    /// The lanes of what it takes a slot or a hold of, with the money that it holds there.
    pub(super) fn holdings(&self) -> impl Iterator<Item = (&str, Amount)> {
        let windows = self.windows.iter();
        let windows = windows.map(|(_, lanes)| (lanes.as_str(), self.hold));
        let subjects = self.subjects.iter().zip(&self.ask.limits);
        let subjects = subjects
            .filter(|(_, (_, limits))| limits.max_parallel.is_some())
            .map(|((_, lanes), _)| (lanes.as_str(), Amount::default()));
        windows.chain(subjects)
    }
}

/// The call of `settle.lua`.
pub(super) fn settle(batch: &[Settlement], lane: &str, time: &str) -> ScriptInvocation<'static> {
    let mut call = SETTLE.prepare_invoke();
    call.arg(time).arg(lane).arg(millis(LEASE));
    for settlement in batch {
        let Settlement { question, at, used } = settlement;
        let (used_tokens, cost) = used.unwrap_or_default();
        for (key, lanes) in &question.windows {
            call.key(key).key(lanes);
            call.arg("w")
                .arg(question.hold.high)
                .arg(question.hold.low)
                .arg(cost.high)
                .arg(cost.low)
                .arg(&["", "", ""]);
        }
        for ((key, lanes), (_, limits)) in question.subjects.iter().zip(&question.ask.limits) {
            call.key(key).key(lanes);
            let back = limits.rpm.filter(|_| used.is_none()).map(|_| 1);
            let tokens = |limit: Option<u64>| {
                let was = limit.map(|_| question.ask.tokens.min(MOST));
                [or_empty(was), or_empty(was.map(|_| used_tokens.min(MOST)))]
            };
            let slots = limits.max_parallel.map(|_| 1);
            call.arg("l")
                .arg(*at)
                .arg(or_empty(back))
                .arg(&tokens(limits.tpm))
                .arg(&tokens(limits.tpd))
                .arg(or_empty(slots));
        }
    }
    call
}

/// Reads the answer of `take.lua`; `None` for what that script does not say.
pub(super) fn answer(question: &Question, values: &[Value]) -> Option<Answer> {
    let numbers: Option<Vec<i64>> = values.iter().map(number).collect();
    let numbers = numbers?;
    let (kind, rest) = numbers.split_first()?;
    let at = |place: usize| rest.get(place).copied();
    // Scripts count from 1.
    let place = || usize::try_from(at(0)?.checked_sub(1)?).ok();
    let count = |place: usize| u64::try_from(at(place)?).ok();
    Some(match kind {
        0 => taken(question, rest)?,
        1 => Answer::Refused(SharedRefusal::Exceeded {
            budget: place()?,
            spent: Amount {
                high: at(1)?,
                low: at(2)?,
            }
            .usd(),
        }),
        2 => Answer::Refused(SharedRefusal::Held { budget: place()? }),
        3 => Answer::Refused(SharedRefusal::Limit {
            subject: place()?,
            limit_type: match at(1)? {
                0 => LimitType::MaxParallelRequests,
                1 => LimitType::Requests,
                2 => LimitType::Tokens,
                _ => LimitType::TokensPerDay,
            },
            used: count(2)?,
            retry_after: match at(1)? {
                0 => PARALLEL_RETRY,
                _ => Duration::from_millis(count(3)?),
            },
        }),
        4 => {
            let missing = rest.iter().map(|place| {
                let place = usize::try_from(place.checked_sub(1)?).ok()?;
                question.missing(place)
            });
            Answer::Unseeded(missing.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn taken(question: &Question, rest: &[i64]) -> Option<Answer> {
    let (time, rest) = rest.split_first()?;
    let (spent, used) = rest.split_at_checked(2 * question.windows.len())?;
    let spent = spent.chunks_exact(2).map(|pair| {
        Some(Amount {
            high: *pair.first()?,
            low: *pair.last()?,
        })
    });
    let count = |number: Option<&i64>| u64::try_from(*number?).ok();
    let used = used.chunks_exact(3).zip(&question.ask.limits);
    let used = used.map(|(taken, (_, limits))| {
        // The script says 0 where it was asked of no limit: that is not what was taken.
        let asked = |count: u64, limit: Option<u64>| limit.map(|_| count);
        Some(SharedUse {
            requests: asked(count(taken.first())?, limits.rpm),
            tokens: asked(count(taken.get(1))?, limits.tpm),
            day_tokens: asked(count(taken.last())?, limits.tpd),
        })
    });
    let (spent, used) = (
        spent.collect::<Option<Vec<_>>>()?,
        used.collect::<Option<Vec<_>>>()?,
    );
    (used.len() == question.subjects.len()).then_some(Answer::Taken {
        at: u64::try_from(*time).ok()?,
        spent,
        used,
    })
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::BulkString(text) => str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// Milliseconds of a short time.
pub(super) fn millis(time: Duration) -> u64 {
    whole_millis(time).min(MOST)
}

/// An argument that may be none.
pub(super) fn or_empty(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| number.min(MOST).to_string())
}
