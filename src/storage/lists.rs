//! Lists of keys and tenants: which, from where, how many; and what both databases make of that.
//!
//! A list goes on behind the last id of the page before (`after`), or leaves out so many (`skip`), which costs as much as
//! reading them: callers bound it.

use trunkline_actors::clock::UnixMs;
use trunkline_actors::ids::{KeyId, OrganisationId, TeamId, UserId};

use super::books::integer;
use super::change_log::ChangeFilter;
use super::reports::statement::{Arg, Dialect, Statement};
use super::{KeyRow, TenantKind, TenantRow};

/// Which keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyFilter {
    /// With this id.
    pub id: Option<KeyId>,
    /// With this name.
    pub alias: Option<String>,
    /// With any name.
    pub has_alias: bool,
    /// Of this user.
    pub user: Option<UserId>,
    /// Of this team.
    pub team: Option<TeamId>,
    /// Of this organisation: its team's, or its own.
    pub organisation: Option<OrganisationId>,
    /// With this shared budget.
    pub budget: Option<String>,
    /// Blocked, or not.
    pub blocked: Option<bool>,
    /// Expired at this time, or not.
    pub expired: Option<(UnixMs, bool)>,
    /// Whose secret was to be replaced by this time.
    pub rotation_due: Option<UnixMs>,
    /// Those that fit any of this.
    pub scope: Option<KeyScope>,
    /// Only those within somebody's reach.
    pub reach: Option<KeyScope>,
}

/// What somebody reaches: a key that fits any of these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyScope {
    /// This key.
    pub id: Option<KeyId>,
    /// This user's keys.
    pub user: Option<UserId>,
    /// Of these, those of this team alone.
    pub within: Option<TeamId>,
    /// Keys of these teams.
    pub teams: Vec<String>,
    /// Keys of these organisations.
    pub organisations: Vec<String>,
}

/// One page of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    /// Which keys.
    pub filter: KeyFilter,
    /// Start behind this key: the last one of the page before.
    pub after: Option<KeyId>,
    /// Leave out so many.
    pub skip: u32,
    /// The most keys to answer with.
    pub limit: u32,
}

/// Which tenants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantFilter {
    /// Only those within somebody's reach.
    pub scope: Option<TenantScope>,
    /// With one of these ids.
    pub ids: Option<Vec<String>>,
    /// With one of these ids, besides.
    pub among: Option<Vec<String>>,
    /// Of this organisation.
    pub organisation: Option<OrganisationId>,
    /// With this role.
    pub role: Option<String>,
    /// With this address.
    pub email: Option<String>,
    /// With this name.
    pub alias: Option<String>,
    /// Whose id begins like this.
    pub prefix: String,
}

/// What somebody reaches: a tenant that fits either.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantScope {
    /// With one of these ids.
    pub ids: Vec<String>,
    /// Of one of these organisations.
    pub organisations: Vec<String>,
}

/// One page of tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPage {
    /// What they are.
    pub kind: TenantKind,
    /// Which of them.
    pub filter: TenantFilter,
    /// Start behind this one: the last of the page before.
    pub after: Option<String>,
    /// Leave out so many.
    pub skip: u32,
    /// The most to answer with.
    pub limit: u32,
}

// === impl KeyPage ===

impl KeyPage {
    /// The first ones.
    pub fn of(filter: KeyFilter, limit: u32) -> Self {
        Self {
            filter,
            after: None,
            skip: 0,
            limit,
        }
    }

    /// The one behind it, when these are its keys; `None` where it was the last.
    #[must_use]
    pub fn next(self, keys: &[KeyRow]) -> Option<Self> {
        let last = keys.last().filter(|_| is_full(keys, self.limit))?;
        Some(Self {
            after: Some(last.id.clone()),
            skip: 0,
            ..self
        })
    }

    /// The statement that reads it.
    pub(super) fn statement(&self, dialect: Dialect, columns: &str) -> Statement {
        let mut out = Statement::new(dialect);
        let table = out.table("virtual_keys");
        let conditions = self.filter.conditions(&mut out);
        let after = self.after.as_ref().map(KeyId::as_str);
        let rows = (self.limit, self.skip);
        select(&mut out, columns, &table, conditions, after, rows);
        out
    }
}

// === impl KeyFilter ===

impl KeyFilter {
    /// The statement that counts them.
    pub(super) fn count(&self, dialect: Dialect) -> Statement {
        let mut out = Statement::new(dialect);
        let table = out.table("virtual_keys");
        let conditions = self.conditions(&mut out);
        count(&mut out, &table, &conditions);
        out
    }

    fn conditions(&self, out: &mut Statement) -> Vec<String> {
        let mut all = equal(
            out,
            &[
                ("id", self.id.as_ref().map(KeyId::as_str)),
                ("alias", self.alias.as_deref()),
                ("user_id", self.user.as_ref().map(UserId::as_str)),
                ("team_id", self.team.as_ref().map(TeamId::as_str)),
                ("budget_id", self.budget.as_deref()),
            ],
        );
        if self.has_alias {
            all.push("alias IS NOT NULL".to_owned());
        }
        if let Some(organisation) = &self.organisation {
            let of = organisation_of_key(out);
            all.push(out.one_of(&of, vec![organisation.as_str().to_owned()]));
        }
        if let Some(blocked) = self.blocked {
            all.push(if blocked { "blocked" } else { "NOT blocked" }.to_owned());
        }
        if let Some((now, expired)) = self.expired {
            let place = out.place(Arg::Whole(integer(now.0)));
            all.push(if expired {
                format!("expires_at <= {place}")
            } else {
                format!("(expires_at IS NULL OR expires_at > {place})")
            });
        }
        if let Some(now) = self.rotation_due {
            let place = out.place(Arg::Whole(integer(now.0)));
            all.push(format!("rotation_due_at <= {place}"));
        }
        for scope in [&self.scope, &self.reach].into_iter().flatten() {
            all.push(scope.condition(out));
        }
        all
    }
}

// === impl KeyScope ===

impl KeyScope {
    fn condition(&self, out: &mut Statement) -> String {
        let mut any = Vec::new();
        if let Some(id) = &self.id {
            any.push(out.one_of("id", vec![id.as_str().to_owned()]));
        }
        if let Some(user) = &self.user {
            let of_user = out.one_of("user_id", vec![user.as_str().to_owned()]);
            any.push(match &self.within {
                Some(team) => {
                    let of_team = out.one_of("team_id", vec![team.as_str().to_owned()]);
                    format!("({of_user} AND {of_team})")
                }
                None => of_user,
            });
        }
        if !self.teams.is_empty() {
            any.push(out.one_of("team_id", self.teams.clone()));
        }
        if !self.organisations.is_empty() {
            let of = organisation_of_key(out);
            any.push(out.one_of(&of, self.organisations.clone()));
        }
        if any.is_empty() {
            // Nothing is within reach.
            return "1 = 0".to_owned();
        }
        format!("({})", any.join(" OR "))
    }
}

// === impl TenantPage ===

impl TenantPage {
    /// The first ones of a kind.
    pub fn of(kind: TenantKind, limit: u32) -> Self {
        Self {
            kind,
            filter: TenantFilter::default(),
            after: None,
            skip: 0,
            limit,
        }
    }

    /// The one behind it, when these are its tenants; `None` where it was the last.
    #[must_use]
    pub fn next(self, tenants: &[TenantRow]) -> Option<Self> {
        let last = tenants.last().filter(|_| is_full(tenants, self.limit))?;
        Some(Self {
            after: Some(last.id.clone()),
            skip: 0,
            ..self
        })
    }

    /// The statement that reads it.
    pub(super) fn statement(&self, dialect: Dialect, columns: &str) -> Statement {
        let mut out = Statement::new(dialect);
        let table = out.table("tenants");
        let conditions = self.filter.conditions(self.kind, &mut out);
        let rows = (self.limit, self.skip);
        select(
            &mut out,
            columns,
            &table,
            conditions,
            self.after.as_deref(),
            rows,
        );
        out
    }
}

// === impl TenantFilter ===

impl TenantFilter {
    /// The statement that counts them.
    pub(super) fn count(&self, kind: TenantKind, dialect: Dialect) -> Statement {
        let mut out = Statement::new(dialect);
        let table = out.table("tenants");
        let conditions = self.conditions(kind, &mut out);
        count(&mut out, &table, &conditions);
        out
    }

    fn conditions(&self, kind: TenantKind, out: &mut Statement) -> Vec<String> {
        let kind = out.place(Arg::Text(kind.as_str().to_owned()));
        let mut all = vec![format!("kind = {kind}")];
        let organisation = self.organisation.as_ref().map(OrganisationId::as_str);
        all.extend(equal(
            out,
            &[
                ("organization_id", organisation),
                ("role", self.role.as_deref()),
                ("email", self.email.as_deref()),
                ("alias", self.alias.as_deref()),
            ],
        ));
        if !self.prefix.is_empty() {
            // Of ids with a prefix the first is the prefix itself.
            let prefix = out.place(Arg::Text(self.prefix.clone()));
            all.push(format!(
                "id >= {prefix} AND substr(id, 1, length({prefix})) = {prefix}"
            ));
        }
        for ids in [&self.ids, &self.among].into_iter().flatten() {
            all.push(out.one_of("id", ids.clone()));
        }
        if let Some(scope) = &self.scope {
            let ids = out.one_of("id", scope.ids.clone());
            let organisations = out.one_of("organization_id", scope.organisations.clone());
            all.push(format!("({ids} OR {organisations})"));
        }
        all
    }
}

/// A page with fewer rows than it may have is the last one.
fn is_full<T>(rows: &[T], limit: u32) -> bool {
    u32::try_from(rows.len()).is_ok_and(|rows| rows >= limit)
}

/// The team's organisation, else the key's.
fn organisation_of_key(out: &Statement) -> String {
    let (tenants, keys) = (out.table("tenants"), out.table("virtual_keys"));
    format!(
        "coalesce((SELECT team.organization_id FROM {tenants} AS team \
         WHERE team.kind = 'team' AND team.id = {keys}.team_id), {keys}.organization_id)"
    )
}

/// The conditions of the columns that are to hold a text.
fn equal(out: &mut Statement, columns: &[(&str, Option<&str>)]) -> Vec<String> {
    let wanted = columns
        .iter()
        .filter_map(|(column, text)| Some((column, (*text)?)));
    wanted
        .map(|(column, text)| {
            let place = out.place(Arg::Text(text.to_owned()));
            format!("{column} = {place}")
        })
        .collect()
}

/// `rows`: how many at most, and how many are left out before them.
fn select(
    out: &mut Statement,
    columns: &str,
    table: &str,
    mut conditions: Vec<String>,
    after: Option<&str>,
    (limit, skip): (u32, u32),
) {
    if let Some(after) = after {
        let place = out.place(Arg::Text(after.to_owned()));
        conditions.push(format!("id > {place}"));
    }
    let limit = out.place(Arg::Whole(limit.into()));
    let skip = out.place(Arg::Whole(skip.into()));
    let filter = filter(&conditions);
    out.push(&format!(
        "SELECT {columns} FROM {table}{filter} ORDER BY id LIMIT {limit} OFFSET {skip}"
    ));
}

fn count(out: &mut Statement, table: &str, conditions: &[String]) {
    let filter = filter(conditions);
    out.push(&format!("SELECT count(*) FROM {table}{filter}"));
}

fn filter(conditions: &[String]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    format!(" WHERE {}", conditions.join(" AND "))
}

/// The statement that reads a page of the change log, the newest line first.
pub(super) fn change_page(
    dialect: Dialect,
    filter: &ChangeFilter,
    skip: u32,
    limit: u32,
) -> Statement {
    let mut out = Statement::new(dialect);
    let table = out.table("audit_log");
    let conditions = of_change(&mut out, filter);
    let limit = out.place(Arg::Whole(limit.into()));
    let skip = out.place(Arg::Whole(skip.into()));
    let filter = self::filter(&conditions);
    out.push(&format!(
        "SELECT * FROM {table}{filter} ORDER BY seq DESC LIMIT {limit} OFFSET {skip}"
    ));
    out
}

/// The statement that counts lines of the change log.
pub(super) fn count_changes(dialect: Dialect, filter: &ChangeFilter) -> Statement {
    let mut out = Statement::new(dialect);
    let table = out.table("audit_log");
    let conditions = of_change(&mut out, filter);
    count(&mut out, &table, &conditions);
    out
}

fn of_change(out: &mut Statement, filter: &ChangeFilter) -> Vec<String> {
    let mut all = equal(
        out,
        &[
            ("id", filter.id.as_deref()),
            ("changed_by", filter.changed_by.as_deref()),
            ("changed_by_key", filter.changed_by_key.as_deref()),
            ("action", filter.action.as_deref()),
            ("table_name", filter.table_name.as_deref()),
            ("object_id", filter.object_id.as_deref()),
        ],
    );
    for (comparison, at) in [(">=", filter.since), ("<", filter.until)] {
        if let Some(at) = at {
            let place = out.place(Arg::Whole(integer(at.0)));
            all.push(format!("updated_at {comparison} {place}"));
        }
    }
    all
}
