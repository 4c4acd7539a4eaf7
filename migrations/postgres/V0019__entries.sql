-- Deployments and credentials that are stored here and not in a config file (`store_model_in_db`). `params` are
-- `litellm_params`, or `credential_values`: what may be secret in them is encrypted with the salt key. `name` is the model group,
-- or what a credential is shown as.

CREATE TABLE trunkline.entries (
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('model', 'credential')),
    id          text COLLATE "C" NOT NULL,
    name        text COLLATE "C",
    params      json    NOT NULL,
    info        json    NOT NULL,
    blocked     boolean NOT NULL DEFAULT false,
    created_at  bigint  NOT NULL,
    created_by  text,
    updated_at  bigint  NOT NULL,
    updated_by  text,
    PRIMARY KEY (kind, id)
);

CREATE FUNCTION trunkline.tell_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('trunkline.changes');
    PERFORM pg_notify('trunkline_changes', 'entries');
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON trunkline.entries
    FOR EACH ROW EXECUTE FUNCTION trunkline.tell_entry();
