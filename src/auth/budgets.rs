//! From what is stored of somebody's terms, and what the config says of everybody, to budgets.
//!
//! Stored texts were checked when they came in; one that cannot be read any more is a budget without an end and is said once,
//! when it is loaded: less is let through then, never more.

use std::collections::BTreeMap;

use log::warn;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{Subject, SubjectKind};
use trunkline_actors::money::Usd;
use trunkline_actors::ports::{BudgetKey, BudgetName};
use trunkline_actors::spend_ledger::{BudgetTerms, Calendar, Increase, Windows};

use crate::config::{Budget, BudgetSettings};
use crate::storage::{Terms, WindowBudget};

/// What the config says of budgets.
#[derive(Debug, Clone)]
pub struct BudgetRules {
    calendar: Calendar,
    carries_over: bool,
    pub(super) global: Option<Terms>,
    pub(super) default_user: Option<Terms>,
    pub(super) default_end_user: Option<Terms>,
    pub(super) default_end_user_id: Option<String>,
    pub(super) tags: BTreeMap<String, Terms>,
    pub(super) users_on_team_keys: bool,
}

// === impl BudgetRules ===

impl BudgetRules {
    /// As configured.
    pub fn of(settings: &BudgetSettings) -> Self {
        let terms = |budget: &Budget| Terms {
            max_budget: Some(Usd::rounded(budget.limit)),
            budget_duration: budget.written_period.clone(),
            ..Terms::default()
        };
        Self {
            calendar: Calendar {
                zone: settings.zone.clone(),
                day_begins: settings.day_begins,
            },
            carries_over: settings.carries_over,
            global: settings.global.as_ref().map(terms),
            default_user: settings.default_user.as_ref().map(terms),
            default_end_user: settings.default_end_user.as_ref().map(terms),
            default_end_user_id: settings.default_end_user_id.clone(),
            tags: settings
                .tags
                .iter()
                .map(|(tag, budget)| (tag.clone(), terms(budget)))
                .collect(),
            users_on_team_keys: settings.users_on_team_keys,
        }
    }

    /// A subject's own budget and its further windows.
    pub fn plain(&self, subject: &Subject, terms: &Terms) -> Vec<BudgetTerms> {
        let own = terms.max_budget.map(|limit| BudgetTerms {
            soft_limit: terms.soft_budget,
            increase: terms.increase.map(|increase| Increase {
                amount: increase.amount,
                until: increase.until,
            }),
            ..self.budget(
                subject,
                BudgetName::default(),
                limit,
                terms.budget_duration.as_deref(),
                terms,
            )
        });
        let further = terms.budget_limits.iter().map(
            |WindowBudget {
                 budget_duration,
                 max_budget,
             }| {
                self.budget(
                    subject,
                    BudgetName::window(budget_duration),
                    *max_budget,
                    Some(budget_duration),
                    terms,
                )
            },
        );
        own.into_iter().chain(further).collect()
    }

    /// A subject's budgets for single model groups, by the group.
    pub fn by_model(&self, subject: &Subject, terms: &Terms) -> Vec<(String, BudgetTerms)> {
        let models = terms.model_max_budget.iter();
        models
            .map(|(group, budget)| {
                let name = BudgetName::model(group);
                let period = budget.time_period.as_deref();
                let budget = self.budget(subject, name, budget.budget_limit, period, terms);
                (group.clone(), budget)
            })
            .collect()
    }

    /// The window of a subject's own budget that runs at `now`, and when it ends; without a budget, the one that never does.
    /// `terms` are completed by the budget that they name; the config's completes them here, for which `shared` is the one that
    /// it names for every customer.
    pub fn own_window(
        &self,
        subject: &Subject,
        terms: &Terms,
        shared: Option<&Terms>,
        now: UnixMs,
    ) -> (BudgetKey, Option<UnixMs>) {
        let terms = self.or_default(subject, terms.clone(), shared);
        let own = self.own_or_endless(subject, &terms);
        (own.key_at(now), own.windows.at(now).end)
    }

    /// A subject's own budget.
    pub(super) fn own(&self, subject: &Subject, terms: &Terms) -> Option<BudgetTerms> {
        let budgets = self.plain(subject, terms);
        budgets.into_iter().find(|terms| terms.budget.is_own())
    }

    /// The same; without one, what counts all that is spent, from the last reset on.
    pub(super) fn own_or_endless(&self, subject: &Subject, terms: &Terms) -> BudgetTerms {
        self.own(subject, terms).unwrap_or_else(|| BudgetTerms {
            generation: terms.reset_at,
            ..BudgetTerms::endless(subject.clone(), Usd::ZERO)
        })
    }

    /// The config's budget counts for whoever has none: for a customer the one that it names, whose terms are `shared`, before
    /// the one that it writes.
    pub(super) fn or_default(
        &self,
        subject: &Subject,
        stored: Terms,
        shared: Option<&Terms>,
    ) -> Terms {
        let (named, written) = match subject.kind {
            SubjectKind::User => (None, self.default_user.as_ref()),
            SubjectKind::EndUser => (shared, self.default_end_user.as_ref()),
            SubjectKind::Tag => (None, self.tags.get(&*subject.id)),
            _ => (None, None),
        };
        [named, written]
            .into_iter()
            .flatten()
            .fold(stored, |terms, default| match terms.max_budget {
                Some(_) => terms,
                None => terms.or(default),
            })
    }

    /// The shared budget that the config gives to each customer without one.
    pub fn customers_budget_id(&self) -> Option<&str> {
        self.default_end_user_id.as_deref()
    }

    /// Whether the config gives every customer a budget.
    pub fn has_customer_budget(&self) -> bool {
        self.default_end_user.is_some() || self.default_end_user_id.is_some()
    }

    /// The window of that length, beside the own one's, that runs at `now`.
    pub fn further_window(
        &self,
        subject: &Subject,
        terms: &Terms,
        period: &str,
        now: UnixMs,
    ) -> Option<BudgetKey> {
        let budgets = self.plain(subject, terms);
        let found = budgets
            .into_iter()
            .find(|terms| terms.budget.period() == Some(period));
        Some(found?.key_at(now))
    }

    fn budget(
        &self,
        subject: &Subject,
        budget: BudgetName,
        limit: Usd,
        period: Option<&str>,
        terms: &Terms,
    ) -> BudgetTerms {
        BudgetTerms {
            budget,
            generation: terms.reset_at,
            windows: self.windows(subject, period, terms.since.unwrap_or_default()),
            carries_over: self.carries_over,
            ..BudgetTerms::endless(subject.clone(), limit)
        }
    }

    fn windows(&self, subject: &Subject, period: Option<&str>, since: UnixMs) -> Windows {
        let Some(text) = period else {
            return Windows::Endless;
        };
        match text.parse() {
            Ok(period) => Windows::Calendar {
                period,
                calendar: self.calendar.clone(),
                since,
            },
            Err(err) => {
                warn!(subject:% = subject, err:% = err; "a stored budget has no readable period and never begins anew");
                Windows::Endless
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use trunkline_actors::ids::KeyId;

    use super::*;
    use crate::storage::ModelBudget;

    fn rules() -> BudgetRules {
        BudgetRules::of(&BudgetSettings {
            carries_over: true,
            ..BudgetSettings::default()
        })
    }

    #[test]
    fn terms_become_a_budget_for_each_window_and_model() {
        let usd = Usd::from_pico;
        let subject = Subject::from(&KeyId::from("k"));
        let terms = Terms {
            max_budget: Some(usd(100)),
            soft_budget: Some(usd(80)),
            budget_duration: Some("30d".to_owned()),
            budget_limits: vec![WindowBudget {
                budget_duration: "1d".to_owned(),
                max_budget: usd(10),
            }],
            model_max_budget: BTreeMap::from([(
                "gpt".to_owned(),
                ModelBudget {
                    budget_limit: usd(5),
                    time_period: None,
                },
            )]),
            reset_at: 7,
            ..Terms::default()
        };
        let plain = rules().plain(&subject, &terms);
        let names: Vec<&str> = plain.iter().map(|terms| terms.budget.as_str()).collect();
        assert_eq!(names, ["", "window/1d"]);
        assert_eq!(plain[0].soft_limit, Some(usd(80)));
        assert_eq!(plain[1].soft_limit, None);
        assert!(
            plain
                .iter()
                .all(|terms| terms.generation == 7 && terms.carries_over)
        );
        let by_model = rules().by_model(&subject, &terms);
        assert_eq!(by_model.len(), 1);
        assert_eq!(by_model[0].0, "gpt");
        assert_eq!(by_model[0].1.budget.model_group(), Some("gpt"));
        assert_eq!(by_model[0].1.windows, Windows::Endless);
    }

    #[test]
    fn a_period_that_cannot_be_read_never_begins_anew() {
        let terms = Terms {
            max_budget: Some(Usd::from_pico(1)),
            budget_duration: Some("soon".to_owned()),
            ..Terms::default()
        };
        let budgets = rules().plain(&Subject::global(), &terms);
        assert_eq!(budgets[0].windows, Windows::Endless);
    }
}
