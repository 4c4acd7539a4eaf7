//! What is read on a miss: a key's row, or a token or session and whom it names, with everything that requests need of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, UserId};

use super::{KeyTable, Read, Refusal};
use crate::auth::access::{Layer, ModelList};
use crate::auth::error::AuthError;
use crate::auth::identity::{KeyEntry, Token};
use crate::auth::jwt::{self, TokenCaller, TokenFault};
use crate::auth::key_rules::{IN_OTHER_HANDS, KeyRules, MANAGEMENT};
use crate::auth::role::Role;
use crate::auth::session::Sessions;
use crate::storage::{FoundKey, KeyRow, TenantKind};

impl KeyTable {
    pub(super) async fn read_key(&self, id: &KeyId) -> Result<Read, AuthError> {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let found = self.store.keys.by_secret(id.clone(), UnixMs::now()).await?;
        let loaded = match found {
            Some(found) => Ok(Arc::new(self.open(found, forgotten).await?)),
            None => Err(Refusal::NoSuchKey),
        };
        self.outage.over();
        Ok((loaded, forgotten))
    }

    /// Checks a token, and opens what it names.
    pub(super) async fn read_token(
        &self,
        tokens: &TokenCaller,
        text: &str,
        id: &KeyId,
    ) -> Result<Read, AuthError> {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let loaded = match self.open_token(tokens, text, id, forgotten).await {
            Ok(entry) => Ok(Arc::new(entry)),
            // That is no outage: the token does not hold any more, or not here.
            Err(AuthError::Token(fault)) if fault != TokenFault::NoKeys => {
                Err(Refusal::Token(fault))
            }
            Err(err) => return Err(err),
        };
        Ok((loaded, forgotten))
    }

    /// Checks a session, and opens its user.
    pub(super) async fn read_session(
        &self,
        sessions: &Sessions,
        text: &str,
        id: &KeyId,
    ) -> Result<Read, AuthError> {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let now = UnixMs::now();
        let session = match sessions.read(text, now) {
            Ok(session) => session,
            Err(fault) => return Ok((Err(Refusal::Token(fault)), forgotten)),
        };
        let user = session.user;
        let known = self.store.tenants.by_id(TenantKind::User, user.clone());
        if !session.is_admin && known.await?.is_none() {
            return Ok((Err(Refusal::Token(TokenFault::UnknownUser)), forgotten));
        }
        let mut row = jwt::nowhere(id.clone(), session.expires_at, now);
        row.user = Some(UserId::new(user));
        let mut entry = self.open(FoundKey { row, until: None }, forgotten).await?;
        if session.is_admin {
            entry.role = Role::ProxyAdmin;
        }
        // Who signs in manages; models are called by keys.
        entry.rules.limit_to(vec![MANAGEMENT.to_owned()]);
        entry.token = Some(Token::default());
        self.outage.over();
        Ok((Ok(Arc::new(entry)), forgotten))
    }

    async fn open_token(
        &self,
        tokens: &TokenCaller,
        text: &str,
        id: &KeyId,
        forgotten: u64,
    ) -> Result<KeyEntry, AuthError> {
        let now = UnixMs::now();
        let named = tokens.read(text, now).await?;
        let found = jwt::open(tokens, &named, id.clone(), &self.store, now).await?;
        if found.changed {
            // Other keys of the user may be known with what it was before.
            self.forget_all();
        }
        let key = FoundKey {
            row: found.row,
            until: None,
        };
        let mut entry = self.open(key, forgotten).await?;
        if named.is_admin {
            entry.role = Role::ProxyAdmin;
        }
        for routes in named.permits.routes {
            entry.rules.limit_to(routes);
        }
        let layer = Layer::Key;
        let lists = named.permits.models.into_iter();
        let lists = lists.map(|allowed| ModelList { layer, allowed });
        entry.models.extend(lists);
        entry.token = Some(Token {
            customer: named.customer,
        });
        self.outage.over();
        self.token_outage.over();
        Ok(entry)
    }

    /// Opens the row's handles. If somebody changed something meanwhile, maybe this, it is good for this once, and for as long as
    /// the store fails.
    async fn open(
        &self,
        FoundKey { row, until }: FoundKey,
        forgotten: u64,
    ) -> Result<KeyEntry, AuthError> {
        // Before it is read whom the key belongs to: a change meanwhile is seen at the next reading.
        let mut loaded_at = self.clock.now();
        let payers = self.payers.of_key(&row).await?;
        if self.forgotten.load(Ordering::Acquire) != forgotten {
            loaded_at = loaded_at.before(self.freshness.ttl());
        }
        Ok(KeyEntry {
            charges: payers.charges,
            organisation: payers.organisation,
            team_is_blocked: payers.team_is_blocked,
            missing: payers.missing,
            aliases: payers.aliases,
            role: role_of(&row, payers.role.as_deref()),
            manages: payers.manages,
            rules: KeyRules::of(&row.settings),
            models: payers.models,
            row,
            secret_until: until,
            token: None,
            loaded_at,
        })
    }
}

/// The role that a key acts with: its user's. Keys of a team are made by whoever manages the team.
fn role_of(row: &KeyRow, of_user: Option<&str>) -> Role {
    let role = Role::of(of_user);
    let is_marked = row.settings.get(IN_OTHER_HANDS).is_some();
    if row.team.is_some() || is_marked {
        role.in_other_hands()
    } else {
        role
    }
}
