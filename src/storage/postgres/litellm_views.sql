-- LiteLLM's tables as views over ours, with its names of columns and its types: see the module beside this file.
-- `{schema}` is the operator's. `{spend kind of row}` stands for what somebody has spent.

CREATE VIEW {schema}."LiteLLM_VerificationToken" AS SELECT
    k.id AS token,
    k.key_name AS key_name,
    k.alias AS key_alias,
    {spend api_key of k} AS spend,
    (SELECT coalesce(sum(s.spend), 0)::double precision FROM trunkline.daily_subject_spend AS s WHERE s.kind = 'api_key' AND s.subject = k.id) AS total_spend,
    (to_timestamp(k.expires_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS expires,
    ARRAY(SELECT json_array_elements_text(k.models)) AS models,
    coalesce(k.settings -> 'aliases', '{}')::jsonb AS aliases,
    k.user_id AS user_id,
    k.team_id AS team_id,
    k.organization_id AS organization_id,
    k.budget_id AS budget_id,
    coalesce(k.settings -> 'permissions', '{}')::jsonb AS permissions,
    k.metadata::jsonb AS metadata,
    k.blocked AS blocked,
    k.max_budget::double precision AS max_budget,
    (k.terms ->> 'soft_budget')::double precision AS soft_budget,
    k.terms ->> 'budget_duration' AS budget_duration,
    k.rpm_limit AS rpm_limit,
    k.tpm_limit AS tpm_limit,
    (k.terms ->> 'tpd_limit')::bigint AS tpd_limit,
    k.max_parallel AS max_parallel_requests,
    coalesce(k.terms -> 'model_max_budget', '{}')::jsonb AS model_max_budget,
    (k.terms -> 'budget_limits')::jsonb AS budget_limits,
    (to_timestamp(k.created_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS created_at,
    k.created_by AS created_by,
    (to_timestamp(k.updated_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS updated_at
FROM trunkline.virtual_keys AS k;

CREATE VIEW {schema}."LiteLLM_UserTable" AS SELECT
    t.id AS user_id,
    t.alias AS user_alias,
    t.email AS user_email,
    t.role AS user_role,
    t.organization_id AS organization_id,
    {spend user of t} AS spend,
    ARRAY(SELECT json_array_elements_text(t.models)) AS models,
    coalesce(t.settings -> 'metadata', '{}')::jsonb AS metadata,
    coalesce(m.teams, '{}') AS teams,
    t.max_budget::double precision AS max_budget,
    (t.terms ->> 'soft_budget')::double precision AS soft_budget,
    t.terms ->> 'budget_duration' AS budget_duration,
    t.rpm_limit AS rpm_limit,
    t.tpm_limit AS tpm_limit,
    t.max_parallel AS max_parallel_requests,
    coalesce(t.terms -> 'model_max_budget', '{}')::jsonb AS model_max_budget,
    (t.terms -> 'budget_limits')::jsonb AS budget_limits,
    (to_timestamp(t.created_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS created_at,
    (to_timestamp(t.updated_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS updated_at
FROM trunkline.tenants AS t
LEFT JOIN (
    SELECT substr(id, strpos(id, ':') + 1) AS user_id, array_agg(split_part(id, ':', 1) ORDER BY id) AS teams
    FROM trunkline.tenants WHERE kind = 'team_member' GROUP BY 1
) AS m ON m.user_id = t.id
WHERE t.kind = 'user';

CREATE VIEW {schema}."LiteLLM_TeamTable" AS SELECT
    t.id AS team_id,
    t.alias AS team_alias,
    t.organization_id AS organization_id,
    {spend team of t} AS spend,
    ARRAY(SELECT json_array_elements_text(t.models)) AS models,
    coalesce(t.settings -> 'metadata', '{}')::jsonb AS metadata,
    t.blocked AS blocked,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('user_id', substr(m.id, length(t.id) + 2), 'role', m.role) ORDER BY m.id), '[]') FROM trunkline.tenants AS m WHERE m.kind = 'team_member' AND m.id >= t.id || ':' AND m.id < t.id || ';') AS members_with_roles,
    t.max_budget::double precision AS max_budget,
    (t.terms ->> 'soft_budget')::double precision AS soft_budget,
    t.terms ->> 'budget_duration' AS budget_duration,
    t.rpm_limit AS rpm_limit,
    t.tpm_limit AS tpm_limit,
    (t.terms ->> 'tpd_limit')::bigint AS tpd_limit,
    t.max_parallel AS max_parallel_requests,
    coalesce(t.terms -> 'model_max_budget', '{}')::jsonb AS model_max_budget,
    (t.terms -> 'budget_limits')::jsonb AS budget_limits,
    (to_timestamp(t.created_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS created_at,
    (to_timestamp(t.updated_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS updated_at
FROM trunkline.tenants AS t WHERE t.kind = 'team';

CREATE VIEW {schema}."LiteLLM_TeamMembership" AS SELECT
    substr(t.id, strpos(t.id, ':') + 1) AS user_id,
    split_part(t.id, ':', 1) AS team_id,
    {spend team_member of t} AS spend,
    t.budget_id AS budget_id
FROM trunkline.tenants AS t WHERE t.kind = 'team_member';

CREATE VIEW {schema}."LiteLLM_OrganizationTable" AS SELECT
    t.id AS organization_id,
    t.alias AS organization_alias,
    t.budget_id AS budget_id,
    coalesce(t.settings -> 'metadata', '{}')::jsonb AS metadata,
    ARRAY(SELECT json_array_elements_text(t.models)) AS models,
    {spend organization of t} AS spend,
    (to_timestamp(t.created_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS created_at,
    (to_timestamp(t.updated_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS updated_at,
    coalesce(t.created_by, '') AS created_by,
    coalesce(t.created_by, '') AS updated_by
FROM trunkline.tenants AS t WHERE t.kind = 'organization';

CREATE VIEW {schema}."LiteLLM_EndUserTable" AS SELECT
    t.id AS user_id,
    t.alias AS alias,
    {spend end_user of t} AS spend,
    ARRAY(SELECT json_array_elements_text(t.models)) AS models,
    t.budget_id AS budget_id,
    t.blocked AS blocked
FROM trunkline.tenants AS t WHERE t.kind = 'end_user';

CREATE VIEW {schema}."LiteLLM_TagTable" AS SELECT
    t.id AS tag_name,
    t.settings ->> 'description' AS description,
    ARRAY(SELECT json_array_elements_text(t.models)) AS models,
    {spend tag of t} AS spend,
    t.budget_id AS budget_id,
    t.created_by AS created_by,
    (to_timestamp(t.created_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS created_at,
    (to_timestamp(t.updated_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS updated_at
FROM trunkline.tenants AS t WHERE t.kind = 'tag';

CREATE VIEW {schema}."LiteLLM_BudgetTable" AS SELECT
    t.id AS budget_id,
    t.max_budget::double precision AS max_budget,
    (t.terms ->> 'soft_budget')::double precision AS soft_budget,
    t.terms ->> 'budget_duration' AS budget_duration,
    t.rpm_limit AS rpm_limit,
    t.tpm_limit AS tpm_limit,
    (t.terms ->> 'tpd_limit')::bigint AS tpd_limit,
    t.max_parallel AS max_parallel_requests,
    coalesce(t.terms -> 'model_max_budget', '{}')::jsonb AS model_max_budget,
    (t.terms -> 'budget_limits')::jsonb AS budget_limits,
    (to_timestamp(t.created_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS created_at,
    (to_timestamp(t.updated_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS updated_at,
    coalesce(t.created_by, '') AS created_by,
    coalesce(t.created_by, '') AS updated_by
FROM trunkline.tenants AS t WHERE t.kind = 'budget';

CREATE VIEW {schema}."LiteLLM_SpendLogs" AS SELECT
    coalesce(r.request_id, r.id) AS request_id,
    r.call_type AS call_type,
    coalesce(r.key_id, '') AS api_key,
    coalesce(r.cost, 0)::double precision AS spend,
    r.total_tokens AS total_tokens,
    r.prompt_tokens AS prompt_tokens,
    r.completion_tokens AS completion_tokens,
    (to_timestamp(r.started_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS "startTime",
    (to_timestamp(r.ended_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS "endTime",
    r.ended_at - r.started_at AS request_duration_ms,
    (to_timestamp(r.first_content_at / 1000.0) AT TIME ZONE 'UTC')::timestamp(3) AS "completionStartTime",
    r.model AS model,
    coalesce(r.deployment, '') AS model_id,
    r.model_group AS model_group,
    r.provider AS custom_llm_provider,
    coalesce(r.api_base, '') AS api_base,
    coalesce(r.user_id, '') AS "user",
    jsonb_build_object('user_api_key', r.key_id, 'user_api_key_alias', r.key_alias, 'user_api_key_user_id', r.user_id, 'user_api_key_team_id', r.team_id, 'user_api_key_org_id', r.organization_id, 'status', r.status, 'usage_estimated', r.usage_estimated, 'trunkline_id', r.id) AS metadata,
    CASE WHEN r.cache_hit THEN 'True' ELSE 'False' END AS cache_hit,
    ''::text AS cache_key,
    r.tags AS request_tags,
    r.team_id AS team_id,
    r.organization_id AS organization_id,
    r.end_user AS end_user,
    r.client_ip AS requester_ip_address,
    '{}'::jsonb AS messages,
    '{}'::jsonb AS response,
    NULL::text AS session_id,
    CASE WHEN r.status IN ('success', 'adjustment') THEN 'success' ELSE 'failure' END AS status
FROM trunkline.spend_logs AS r;

CREATE VIEW {schema}."LiteLLM_DailyUserSpend" AS SELECT
    md5(concat_ws('/', d.day, d.user_id, d.key_id, d.model_group, d.model, d.provider, d.call_type)) AS id,
    d.user_id AS user_id,
    to_char(d.day, 'YYYY-MM-DD') AS date,
    d.key_id AS api_key,
    d.model AS model,
    d.model_group AS model_group,
    d.provider AS custom_llm_provider,
    NULL::text AS mcp_namespaced_tool_name,
    d.call_type AS endpoint,
    sum(d.prompt_tokens)::bigint AS prompt_tokens,
    sum(d.completion_tokens)::bigint AS completion_tokens,
    sum(d.cache_read_tokens)::bigint AS cache_read_input_tokens,
    sum(d.cache_write_tokens)::bigint AS cache_creation_input_tokens,
    sum(d.spend)::double precision AS spend,
    sum(d.requests)::bigint AS api_requests,
    sum(d.successful)::bigint AS successful_requests,
    sum(d.failed)::bigint AS failed_requests,
    sum(d.duration_ms)::bigint AS total_response_time_ms,
    sum(d.requests)::bigint AS timed_requests,
    d.day::timestamp(3) AS created_at,
    d.day::timestamp(3) AS updated_at
FROM trunkline.daily_spend AS d
GROUP BY d.day, d.user_id, d.key_id, d.model_group, d.model, d.provider, d.call_type;

CREATE VIEW {schema}."LiteLLM_DailyTeamSpend" AS SELECT
    md5(concat_ws('/', d.day, d.team_id, d.key_id, d.model_group, d.model, d.provider, d.call_type)) AS id,
    d.team_id AS team_id,
    to_char(d.day, 'YYYY-MM-DD') AS date,
    d.key_id AS api_key,
    d.model AS model,
    d.model_group AS model_group,
    d.provider AS custom_llm_provider,
    NULL::text AS mcp_namespaced_tool_name,
    d.call_type AS endpoint,
    sum(d.prompt_tokens)::bigint AS prompt_tokens,
    sum(d.completion_tokens)::bigint AS completion_tokens,
    sum(d.cache_read_tokens)::bigint AS cache_read_input_tokens,
    sum(d.cache_write_tokens)::bigint AS cache_creation_input_tokens,
    sum(d.spend)::double precision AS spend,
    sum(d.requests)::bigint AS api_requests,
    sum(d.successful)::bigint AS successful_requests,
    sum(d.failed)::bigint AS failed_requests,
    sum(d.duration_ms)::bigint AS total_response_time_ms,
    sum(d.requests)::bigint AS timed_requests,
    d.day::timestamp(3) AS created_at,
    d.day::timestamp(3) AS updated_at
FROM trunkline.daily_spend AS d WHERE d.team_id <> ''
GROUP BY d.day, d.team_id, d.key_id, d.model_group, d.model, d.provider, d.call_type;

CREATE VIEW {schema}."LiteLLM_DailyOrganizationSpend" AS SELECT
    md5(concat_ws('/', d.day, d.organization_id, d.key_id, d.model_group, d.model, d.provider, d.call_type)) AS id,
    d.organization_id AS organization_id,
    to_char(d.day, 'YYYY-MM-DD') AS date,
    d.key_id AS api_key,
    d.model AS model,
    d.model_group AS model_group,
    d.provider AS custom_llm_provider,
    NULL::text AS mcp_namespaced_tool_name,
    d.call_type AS endpoint,
    sum(d.prompt_tokens)::bigint AS prompt_tokens,
    sum(d.completion_tokens)::bigint AS completion_tokens,
    sum(d.cache_read_tokens)::bigint AS cache_read_input_tokens,
    sum(d.cache_write_tokens)::bigint AS cache_creation_input_tokens,
    sum(d.spend)::double precision AS spend,
    sum(d.requests)::bigint AS api_requests,
    sum(d.successful)::bigint AS successful_requests,
    sum(d.failed)::bigint AS failed_requests,
    sum(d.duration_ms)::bigint AS total_response_time_ms,
    sum(d.requests)::bigint AS timed_requests,
    d.day::timestamp(3) AS created_at,
    d.day::timestamp(3) AS updated_at
FROM trunkline.daily_spend AS d WHERE d.organization_id <> ''
GROUP BY d.day, d.organization_id, d.key_id, d.model_group, d.model, d.provider, d.call_type;

CREATE VIEW {schema}."LiteLLM_DailyTagSpend" AS SELECT
    md5(concat_ws('/', d.day, d.label, d.key_id, d.model_group, d.model, d.provider, d.call_type)) AS id,
    d.label AS tag,
    to_char(d.day, 'YYYY-MM-DD') AS date,
    d.key_id AS api_key,
    d.model AS model,
    d.model_group AS model_group,
    d.provider AS custom_llm_provider,
    NULL::text AS mcp_namespaced_tool_name,
    d.call_type AS endpoint,
    sum(d.prompt_tokens)::bigint AS prompt_tokens,
    sum(d.completion_tokens)::bigint AS completion_tokens,
    sum(d.cache_read_tokens)::bigint AS cache_read_input_tokens,
    sum(d.cache_write_tokens)::bigint AS cache_creation_input_tokens,
    sum(d.spend)::double precision AS spend,
    sum(d.requests)::bigint AS api_requests,
    sum(d.successful)::bigint AS successful_requests,
    sum(d.failed)::bigint AS failed_requests,
    sum(d.duration_ms)::bigint AS total_response_time_ms,
    sum(d.requests)::bigint AS timed_requests,
    d.day::timestamp(3) AS created_at,
    d.day::timestamp(3) AS updated_at
FROM trunkline.daily_label_spend AS d WHERE d.kind = 'tag'
GROUP BY d.day, d.label, d.key_id, d.model_group, d.model, d.provider, d.call_type;

CREATE VIEW {schema}."LiteLLM_DailyEndUserSpend" AS SELECT
    md5(concat_ws('/', d.day, d.label, d.key_id, d.model_group, d.model, d.provider, d.call_type)) AS id,
    d.label AS end_user_id,
    to_char(d.day, 'YYYY-MM-DD') AS date,
    d.key_id AS api_key,
    d.model AS model,
    d.model_group AS model_group,
    d.provider AS custom_llm_provider,
    NULL::text AS mcp_namespaced_tool_name,
    d.call_type AS endpoint,
    sum(d.prompt_tokens)::bigint AS prompt_tokens,
    sum(d.completion_tokens)::bigint AS completion_tokens,
    sum(d.cache_read_tokens)::bigint AS cache_read_input_tokens,
    sum(d.cache_write_tokens)::bigint AS cache_creation_input_tokens,
    sum(d.spend)::double precision AS spend,
    sum(d.requests)::bigint AS api_requests,
    sum(d.successful)::bigint AS successful_requests,
    sum(d.failed)::bigint AS failed_requests,
    sum(d.duration_ms)::bigint AS total_response_time_ms,
    sum(d.requests)::bigint AS timed_requests,
    d.day::timestamp(3) AS created_at,
    d.day::timestamp(3) AS updated_at
FROM trunkline.daily_label_spend AS d WHERE d.kind = 'end_user'
GROUP BY d.day, d.label, d.key_id, d.model_group, d.model, d.provider, d.call_type;
