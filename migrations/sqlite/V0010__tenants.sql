-- Whoever a budget or a limit can be given to, but for keys: `kind` is organization, team, user, team_member (`team:user`),
-- end_user or tag; and budget, which others share by its id. `terms` is what there is to budgets and limits beyond the
-- columns, `settings` what a kind has for itself. The users move here.

CREATE TABLE tenants (
    kind             TEXT NOT NULL,
    id               TEXT NOT NULL,
    alias            TEXT,
    email            TEXT,
    role             TEXT,
    organization_id  TEXT,
    budget_id        TEXT,
    blocked          INTEGER NOT NULL DEFAULT 0,
    models           TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(models)),
    max_budget       INTEGER CHECK (max_budget >= 0),
    rpm_limit        INTEGER CHECK (rpm_limit >= 0),
    tpm_limit        INTEGER CHECK (tpm_limit >= 0),
    max_parallel     INTEGER CHECK (max_parallel >= 0),
    terms            TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(terms)),
    settings         TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings)),
    created_at       INTEGER NOT NULL,
    created_by       TEXT,
    updated_at       INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX tenants_by_organization ON tenants (kind, organization_id, id) WHERE organization_id IS NOT NULL;
CREATE INDEX tenants_by_email ON tenants (kind, email) WHERE email IS NOT NULL;

INSERT INTO tenants (kind, id, email, role, max_budget, created_at, updated_at)
    SELECT 'user', id, email, role, max_budget, created_at, created_at FROM users;
DROP TABLE users;

ALTER TABLE virtual_keys ADD COLUMN team_id TEXT;
ALTER TABLE virtual_keys ADD COLUMN organization_id TEXT;
ALTER TABLE virtual_keys ADD COLUMN budget_id TEXT;
ALTER TABLE virtual_keys ADD COLUMN terms TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(terms));
ALTER TABLE virtual_keys ADD COLUMN settings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings));
ALTER TABLE virtual_keys ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;

CREATE INDEX virtual_keys_by_team ON virtual_keys (team_id, id) WHERE team_id IS NOT NULL;
