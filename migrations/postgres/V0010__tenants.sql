-- Whoever a budget or a limit can be given to, but for keys: `kind` is organization, team, user, team_member (`team:user`),
-- end_user or tag; and budget, which others share by its id. `terms` is what there is to budgets and limits beyond the
-- columns, `settings` what a kind has for itself. The users move here.

CREATE TABLE trunkline.tenants (
    kind             text NOT NULL,
    id               text COLLATE "C" NOT NULL,
    alias            text,
    email            text,
    role             text,
    organization_id  text COLLATE "C",
    budget_id        text COLLATE "C",
    blocked          boolean NOT NULL DEFAULT false,
    models           json NOT NULL DEFAULT '[]',
    max_budget       numeric(38,12) CHECK (max_budget >= 0),
    rpm_limit        bigint CHECK (rpm_limit >= 0),
    tpm_limit        bigint CHECK (tpm_limit >= 0),
    max_parallel     bigint CHECK (max_parallel >= 0),
    terms            json NOT NULL DEFAULT '{}',
    settings         json NOT NULL DEFAULT '{}',
    created_at       bigint NOT NULL,
    created_by       text,
    updated_at       bigint NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX tenants_by_organization ON trunkline.tenants (kind, organization_id, id) WHERE organization_id IS NOT NULL;
CREATE INDEX tenants_by_email ON trunkline.tenants (kind, email) WHERE email IS NOT NULL;

INSERT INTO trunkline.tenants (kind, id, email, role, max_budget, created_at, updated_at)
    SELECT 'user', id, email, role, max_budget, created_at, created_at FROM trunkline.users;
DROP TABLE trunkline.users;

ALTER TABLE trunkline.virtual_keys ADD COLUMN team_id text COLLATE "C";
ALTER TABLE trunkline.virtual_keys ADD COLUMN organization_id text COLLATE "C";
ALTER TABLE trunkline.virtual_keys ADD COLUMN budget_id text COLLATE "C";
ALTER TABLE trunkline.virtual_keys ADD COLUMN terms json NOT NULL DEFAULT '{}';
ALTER TABLE trunkline.virtual_keys ADD COLUMN settings json NOT NULL DEFAULT '{}';
ALTER TABLE trunkline.virtual_keys ADD COLUMN updated_at bigint NOT NULL DEFAULT 0;

CREATE INDEX virtual_keys_by_team ON trunkline.virtual_keys (team_id, id) WHERE team_id IS NOT NULL;
