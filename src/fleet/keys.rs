//! The names of our keys in Redis. All begin with one hash tag, so that a script may use any of them together.

use trunkline_actors::ids::Subject;
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
        format!("{}l:{}:{}", self.prefix, subject.kind, subject.id)
    }

    /// What is spent of a budget's window.
    pub(super) fn window(&self, key: &BudgetKey) -> String {
        format!(
            "{}w:{}:{}:{}:{}:{}",
            self.prefix,
            key.generation,
            key.window_start.0,
            key.budget.as_str(),
            key.subject.kind,
            key.subject.id
        )
    }

    /// What each lane holds of what that key names.
    pub(super) fn lanes(key: &str) -> String {
        format!("{key}#")
    }

    pub(super) fn replicas(&self) -> String {
        format!("{}replicas", self.prefix)
    }

    pub(super) fn cooldowns(&self) -> String {
        format!("{}cooldowns", self.prefix)
    }
}
