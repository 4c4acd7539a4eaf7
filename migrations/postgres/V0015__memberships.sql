-- Memberships are tenants whose id is `team:user` or `organization:user`: whose they are is asked with each management call.

CREATE INDEX tenants_by_member ON trunkline.tenants (kind, substr(id, strpos(id, ':') + 1))
    WHERE kind IN ('team_member', 'organization_member');
