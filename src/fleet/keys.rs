//! The names of our keys in Redis. All begin with one hash tag, so that a script may use any of them together.

use trunkline_actors::ids::{DeploymentId, Subject};
use trunkline_actors::ports::BudgetKey;

/// Makes names.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

// === impl Keys ===

impl Keys {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            prefix: format!("{{{namespace}}}:"),
        }
    }

    /// What all replicas have taken of a subject's minute.
    pub(super) fn rings(&self, subject: &Subject) -> String {
        self.of_subject('l', subject)
    }

    /// What slots each lane holds of a subject's.
    pub(super) fn slots(&self, subject: &Subject) -> String {
        self.of_subject('s', subject)
    }

    /// What is spent of a budget's window.
    pub(super) fn window(&self, key: &BudgetKey) -> String {
        self.of_window('w', key)
    }

    /// What money each lane holds of it.
    pub(super) fn holds(&self, key: &BudgetKey) -> String {
        self.of_window('h', key)
    }

    /// The id stands last: clients choose it.
    fn of_subject(&self, what: char, subject: &Subject) -> String {
        format!("{}{what}:{}:{}", self.prefix, subject.kind, subject.id)
    }

    /// Of the texts that others choose, the first has its length before it: no two windows have the same name.
    fn of_window(&self, what: char, key: &BudgetKey) -> String {
        let budget = key.budget.as_str();
        format!(
            "{}{what}:{}:{}:{}:{budget}:{}:{}",
            self.prefix,
            key.generation,
            key.window_start.0,
            budget.len(),
            key.subject.kind,
            key.subject.id
        )
    }

    /// What all replicas have used of a deployment's minute.
    pub(super) fn minute(&self, deployment: &DeploymentId) -> String {
        format!("{}m:{deployment}", self.prefix)
    }

    /// What each replica has leased of it.
    pub(super) fn leases(&self, deployment: &DeploymentId) -> String {
        format!("{}a:{deployment}", self.prefix)
    }

    pub(super) fn replicas(&self) -> String {
        format!("{}replicas", self.prefix)
    }

    pub(super) fn cooldowns(&self) -> String {
        format!("{}cooldowns", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use trunkline_actors::clock::UnixMs;
    use trunkline_actors::ids::SubjectKind;
    use trunkline_actors::ports::BudgetName;

    use super::*;

    #[test]
    fn no_two_things_have_one_name_whatever_people_call_theirs() {
        let keys = Keys::new("n");
        let window = |budget: &str, kind: SubjectKind, id: &str| BudgetKey {
            subject: Subject::new(kind, id),
            budget: BudgetName::new(budget),
            generation: 0,
            window_start: UnixMs(0),
        };
        let one = window("model/x", SubjectKind::Team, "user:z");
        let other = window("model/x:team", SubjectKind::User, "z");
        assert_ne!(keys.window(&one), keys.window(&other));
        let customer = |id: &str| Subject::new(SubjectKind::EndUser, id);
        let names = ["a", "a#", "s:a", "", "{n}:s:end_user:a"].map(customer);
        let mut all: Vec<String> = names
            .iter()
            .flat_map(|subject| [keys.rings(subject), keys.slots(subject)])
            .collect();
        all.extend([
            keys.holds(&one),
            keys.window(&one),
            keys.replicas(),
            keys.cooldowns(),
            keys.minute(&DeploymentId::from("a")),
            keys.leases(&DeploymentId::from("a")),
        ]);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
