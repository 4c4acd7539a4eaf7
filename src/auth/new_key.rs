//! A virtual key in the making: from what was asked for to a row and a secret that is shown once. Used by the endpoint and
//! by `trunkline generate-key` alike.

use serde_json::{Map, Value};
use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{OrganisationId, TeamId, UserId};

use super::key;
use super::terms::{self, TermsError};
use crate::config::Secret;
use crate::storage::{AsRead, KeyRow, Rotation, TenantRow, Terms, Write};

/// What was asked for. Absent means unlimited.
#[derive(Debug, Default)]
pub struct NewKey {
    /// The secret, when it is not to be drawn.
    pub secret: Option<Secret>,
    /// A name for people; unique.
    pub alias: Option<String>,
    /// The internal user it belongs to; made if unknown.
    pub user_id: Option<String>,
    /// The team it belongs to.
    pub team_id: Option<String>,
    /// The organisation it belongs to.
    pub organization_id: Option<String>,
    /// The shared budget that counts where it has no figure of its own.
    pub budget_id: Option<String>,
    /// Models it may use; empty means all.
    pub models: Vec<String>,
    /// What it may spend, and how fast; checked already.
    pub terms: Terms,
    /// Life, such as `30d`.
    pub duration: Option<String>,
    /// When it is to get another secret.
    pub rotation: Rotation,
    /// Refused from the start.
    pub blocked: bool,
    /// Kept and shown.
    pub metadata: Map<String, Value>,
    /// What it may do less than its user, and what else is kept.
    pub settings: Map<String, Value>,
    /// Who asked.
    pub created_by: Option<String>,
}

/// A key that can be stored and shown.
#[derive(Debug)]
pub struct MadeKey {
    /// To be shown once.
    pub secret: Secret,
    /// To be stored.
    pub row: KeyRow,
}

// === impl NewKey ===

impl NewKey {
    /// Checks the names and draws the secret.
    ///
    /// # Errors
    /// [`TermsError`] names the field and what to write.
    pub fn make(self, now: UnixMs) -> Result<MadeKey, TermsError> {
        for (field, text) in [
            ("user_id", &self.user_id),
            ("team_id", &self.team_id),
            ("organization_id", &self.organization_id),
            ("budget_id", &self.budget_id),
            ("key_alias", &self.alias),
        ] {
            if let Some(text) = text {
                terms::name(field, text)?;
            }
        }
        let expires_at = match &self.duration {
            Some(text) => Some(expiry("duration", text, now)?),
            None => None,
        };
        let secret = self.secret.unwrap_or_else(key::generate);
        let row = KeyRow {
            id: key::id_of(secret.expose()),
            key_name: key::short_name(secret.expose()),
            alias: self.alias,
            user: self.user_id.map(UserId::new),
            team: self.team_id.map(TeamId::new),
            organisation: self.organization_id.map(OrganisationId::new),
            budget_id: self.budget_id,
            models: self.models,
            terms: Terms {
                since: Some(now),
                ..self.terms
            },
            expires_at,
            rotation: self.rotation,
            blocked: self.blocked,
            metadata: self.metadata,
            settings: self.settings,
            created_at: now,
            created_by: self.created_by,
            updated_at: now,
            as_read: AsRead::default(),
        };
        Ok(MadeKey { secret, row })
    }
}

/// When a life that the field says ends: a plain length, a month being 30 days; a key's life needs no calendar.
///
/// # Errors
/// [`TermsError::Period`].
pub fn expiry(field: &'static str, life: &str, now: UnixMs) -> Result<UnixMs, TermsError> {
    Ok(now.after(terms::period(field, life)?.usual_length()))
}

// === impl MadeKey ===

impl MadeKey {
    /// The key, and its user if that one is new.
    pub fn writes(&self) -> Vec<Write> {
        let user = self.row.user.as_ref().map(|user| {
            let user = TenantRow::user(user, self.row.created_at);
            Write::EnsureTenant(Box::new(user))
        });
        let key = Write::InsertKey(Box::new(self.row.clone()));
        user.into_iter().chain([key]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_plain_length() {
        let made = |duration: &str| {
            let new = NewKey {
                duration: Some(duration.to_owned()),
                ..NewKey::default()
            };
            new.make(UnixMs(1_000)).map(|made| made.row.expires_at)
        };
        assert_eq!(made("30s"), Ok(Some(UnixMs(31_000))));
        assert_eq!(made("1mo"), Ok(Some(UnixMs(1_000 + 30 * 86_400_000))));
        assert_eq!(made("soon").unwrap_err().field(), "duration");
    }

    #[test]
    fn a_name_that_breaks_lines_is_refused() {
        let new = NewKey {
            team_id: Some("a\nb".to_owned()),
            ..NewKey::default()
        };
        assert_eq!(
            new.make(UnixMs(0)).unwrap_err(),
            TermsError::Name("team_id")
        );
    }
}
