//! What a route asks of its caller, and what each role gives. Contract: `auth-budgets-limits` §3.
//!
//! A role says which routes may be called. Whose objects a route then shows or changes is decided where the object is known
//! (`src/http/admin/reach.rs`).

/// What a route asks of its caller. There is no default: a route states one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Nobody is asked for a key.
    Public,
    /// Calling models: any valid key.
    Models,
    /// Being told of models: any valid key.
    AboutModels,
    /// Reading what belongs to the caller, its teams or its organisations.
    Own,
    /// Changing what belongs to the caller, its teams or its organisations.
    Manage,
    /// Reading everything.
    View,
    /// Changing everything.
    Admin,
    /// What the master key alone does.
    Master,
}

/// LiteLLM's role names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    ProxyAdmin,
    /// Reads everything, changes nothing.
    ProxyAdminViewer,
    /// Manages the organisation that it belongs to; else as [`Self::InternalUser`].
    OrgAdmin,
    /// Model calls, and its own keys and spend.
    InternalUser,
    /// Reads its own keys and spend.
    InternalUserViewer,
}

// === impl Permission ===

impl Permission {
    /// Every permission, from what asks least to what asks most.
    pub const ALL: [Self; 8] = [
        Self::Public,
        Self::Models,
        Self::AboutModels,
        Self::Own,
        Self::Manage,
        Self::View,
        Self::Admin,
        Self::Master,
    ];

    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Public => "open",
            Self::Models | Self::AboutModels => "any key",
            Self::Own => "any key: what is its own, its team's or its organisation's",
            Self::Manage => "who may write: what is its own, its team's or its organisation's",
            Self::View => "administrator or its viewer",
            Self::Admin => "administrator",
            Self::Master => "master key",
        }
    }
}

// === impl Role ===

impl Role {
    /// The names that are given to users.
    pub const NAMES: [&'static str; 5] = [
        "proxy_admin",
        "proxy_admin_viewer",
        "org_admin",
        "internal_user",
        "internal_user_viewer",
    ];

    /// The role of that name. Unknown words, and none, mean an internal user (contract: the seed's `app_user`).
    pub fn of(name: Option<&str>) -> Self {
        match name {
            Some("proxy_admin") => Self::ProxyAdmin,
            // LiteLLM's own database has the second spelling.
            Some("proxy_admin_viewer" | "proxy_admin_view_only") => Self::ProxyAdminViewer,
            Some("org_admin") => Self::OrgAdmin,
            Some("internal_user_viewer" | "internal_user_view_only") => Self::InternalUserViewer,
            _ => Self::InternalUser,
        }
    }

    /// LiteLLM's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProxyAdmin => "proxy_admin",
            Self::ProxyAdminViewer => "proxy_admin_viewer",
            Self::OrgAdmin => "org_admin",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
        }
    }

    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ProxyAdmin => "sees and changes everything",
            Self::ProxyAdminViewer => "sees everything, changes nothing",
            Self::OrgAdmin => "manages teams, users and keys of its organization",
            Self::InternalUser => "makes, changes and deletes its own keys, sees its own spend",
            Self::InternalUserViewer => "sees its own keys and spend",
        }
    }

    /// What is left of it in the hands of others: keys that somebody else may hold never act for an administrator, not even
    /// when their user becomes one later.
    #[must_use]
    pub const fn in_other_hands(self) -> Self {
        match self {
            Self::ProxyAdmin | Self::OrgAdmin | Self::InternalUser => Self::InternalUser,
            Self::ProxyAdminViewer | Self::InternalUserViewer => Self::InternalUserViewer,
        }
    }

    /// Whether it reaches beyond its own, its teams and its organisations.
    pub const fn is_global(self) -> bool {
        matches!(self, Self::ProxyAdmin | Self::ProxyAdminViewer)
    }

    /// Whether a route that asks for `permission` may be called. The master key is no role.
    pub const fn gives(self, permission: Permission) -> bool {
        use Permission as P;
        match permission {
            P::Public | P::Models | P::AboutModels | P::Own => true,
            P::Manage => !matches!(self, Self::ProxyAdminViewer | Self::InternalUserViewer),
            P::View => self.is_global(),
            P::Admin => matches!(self, Self::ProxyAdmin),
            P::Master => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_gives_what_it_says_and_no_role_is_the_master_key() {
        use Permission as P;
        let everybody = [P::Public, P::Models, P::AboutModels, P::Own];
        for (role, more) in [
            (Role::ProxyAdmin, &[P::Manage, P::View, P::Admin][..]),
            (Role::ProxyAdminViewer, &[P::View]),
            (Role::OrgAdmin, &[P::Manage]),
            (Role::InternalUser, &[P::Manage]),
            (Role::InternalUserViewer, &[]),
        ] {
            for permission in P::ALL {
                let wanted = everybody.contains(&permission) || more.contains(&permission);
                assert_eq!(role.gives(permission), wanted, "{role:?} {permission:?}");
            }
            assert_eq!(Role::of(Some(role.as_str())), role);
        }
        assert_eq!(Role::of(Some("app_user")), Role::InternalUser);
        assert_eq!(Role::of(None), Role::InternalUser);
    }
}
