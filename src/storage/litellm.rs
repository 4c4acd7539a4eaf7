//! What is read of a LiteLLM database: which tables and columns, in which order. How is in `postgres`; what it means is the
//! import's business.
//!
//! Older and newer versions of LiteLLM have other columns. What is not there is left out of the rows, and said.

use tokio::sync::mpsc::Receiver;

use super::StorageError;

/// What there is, in the order in which it is read: whoever is named by others comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LitellmTable {
    /// Budgets that others name.
    Budgets,
    /// Organisations.
    Organisations,
    /// Teams.
    Teams,
    /// Internal users.
    Users,
    /// Users within organisations.
    OrganisationMembers,
    /// Users within teams: from the lists of the teams and from the table of memberships.
    Members,
    /// End users.
    Customers,
    /// Tags.
    Tags,
    /// Virtual keys.
    Keys,
    /// Parameters with a name, encrypted.
    Credentials,
    /// Deployments made through the API, encrypted.
    Models,
}

/// A step of the reading.
#[derive(Debug)]
pub enum LitellmEvent {
    /// A table begins.
    Table {
        /// Which.
        table: LitellmTable,
        /// It is not there.
        absent: bool,
        /// Columns that are looked for and are not there.
        missing: Vec<String>,
    },
    /// Rows of it, each a JSON object: column names, and `budget` (what the budget that it names says of its windows and of
    /// models), `windows` (what was spent in further windows).
    Rows(Vec<String>),
}

/// The tables, one after the other, all of one moment.
#[derive(Debug)]
pub struct LitellmReader {
    pub(super) events: Receiver<Result<LitellmEvent, StorageError>>,
}

// === impl LitellmTable ===

impl LitellmTable {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::Budgets,
        Self::Organisations,
        Self::Teams,
        Self::Users,
        Self::OrganisationMembers,
        Self::Members,
        Self::Customers,
        Self::Tags,
        Self::Keys,
        Self::Credentials,
        Self::Models,
    ];

    /// Its name in LiteLLM's database.
    pub fn table(self) -> &'static str {
        match self {
            Self::Budgets => "LiteLLM_BudgetTable",
            Self::Organisations => "LiteLLM_OrganizationTable",
            Self::Teams => "LiteLLM_TeamTable",
            Self::Users => "LiteLLM_UserTable",
            Self::OrganisationMembers => "LiteLLM_OrganizationMembership",
            Self::Members => "LiteLLM_TeamMembership",
            Self::Customers => "LiteLLM_EndUserTable",
            Self::Tags => "LiteLLM_TagTable",
            Self::Keys => "LiteLLM_VerificationToken",
            Self::Credentials => "LiteLLM_CredentialsTable",
            Self::Models => "LiteLLM_ProxyModelTable",
        }
    }

    /// What its rows are, in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Budgets => "budgets",
            Self::Organisations => "organizations",
            Self::Teams => "teams",
            Self::Users => "users",
            Self::OrganisationMembers => "organization members",
            Self::Members => "team members",
            Self::Customers => "customers",
            Self::Tags => "tags",
            Self::Keys => "keys",
            Self::Credentials => "credentials",
            Self::Models => "models",
        }
    }

    /// The columns that are looked for; the first is the key. Passwords are not among them.
    pub(super) fn columns(self) -> impl Iterator<Item = &'static str> {
        let columns = match self {
            Self::Budgets => {
                "budget_id max_budget soft_budget max_parallel_requests tpm_limit rpm_limit tpd_limit model_max_budget \
                 budget_duration budget_reset_at allowed_models temp_budget_increase temp_budget_expiry created_at \
                 created_by updated_at"
            }
            Self::Organisations => {
                "organization_id organization_alias budget_id metadata models spend object_permission_id created_at \
                 created_by updated_at"
            }
            Self::Teams => {
                "team_id team_alias organization_id object_permission_id metadata max_budget soft_budget spend models \
                 max_parallel_requests tpm_limit rpm_limit tpd_limit budget_duration budget_reset_at blocked created_at \
                 updated_at model_max_budget router_settings team_member_permissions access_group_ids policies \
                 default_team_member_models budget_limits model_id"
            }
            Self::Users => {
                "user_id user_alias sso_user_id organization_id object_permission_id teams user_role max_budget spend \
                 user_email models metadata max_parallel_requests tpm_limit rpm_limit budget_duration budget_reset_at \
                 allowed_cache_controls policies model_max_budget created_at updated_at"
            }
            Self::OrganisationMembers => {
                "organization_id user_id user_role spend budget_id created_at updated_at"
            }
            Self::Members => "team_id user_id spend budget_id",
            Self::Customers => {
                "user_id alias spend allowed_model_region default_model models budget_id object_permission_id blocked"
            }
            Self::Tags => {
                "tag_name description models spend budget_id created_at created_by updated_at"
            }
            Self::Keys => {
                "token key_name key_alias spend expires models aliases config router_settings user_id team_id agent_id \
                 project_id permissions max_parallel_requests metadata blocked tpm_limit rpm_limit tpd_limit max_budget \
                 budget_duration budget_reset_at allowed_cache_controls allowed_routes key_type policies \
                 access_group_ids model_max_budget budget_fallbacks budget_id organization_id object_permission_id \
                 created_at created_by updated_at auto_rotate rotation_interval rotation_count \
                 last_rotation_at key_rotation_at budget_limits"
            }
            Self::Credentials => {
                "credential_name display_name credential_values credential_info created_at created_by updated_at updated_by"
            }
            Self::Models => {
                "model_id model_name litellm_params model_info blocked created_at created_by updated_at updated_by"
            }
        };
        columns.split_whitespace()
    }
}

// === impl LitellmReader ===

impl LitellmReader {
    /// The next step; `None` at the end. After an error nothing else comes.
    pub async fn next(&mut self) -> Option<Result<LitellmEvent, StorageError>> {
        self.events.recv().await
    }
}
