//! `model_list[].model_info`.

use super::Area::{Health, Routing};
use super::Kind::{List, Map, Seconds, Switch, Text, Texts, Tokens, Whole};
use super::prices::PRICES;
use super::{Key, Others, Section, on, planned, with_prices};

pub(super) const INFO: Section = Section {
    path: "model_list.model_info",
    others: Others::Kept,
    keys: &with_prices::<{ OWN.len() + PRICES.len() }>(OWN),
};

const OWN: &[Key] = &[
    on(
        "id",
        Text,
        "SHA-256 over the entry as written",
        "id of the deployment; unique",
    ),
    on(
        "mode",
        Text,
        "`chat`",
        "`chat`, `embedding`, `completion`: how the detailed `/health` calls it. `fallback` and `loadbalance` count as `chat`; those of a group with `fallback` are tried in the order of the file where they have no `order`",
    ),
    on(
        "base_model",
        Text,
        "",
        "name under which the price is looked up",
    ),
    on(
        "access_groups",
        Texts,
        "",
        "names that a key's `models` may use",
    ),
    on(
        "max_tokens",
        Tokens,
        "",
        "shown by `/v1/models` and `/model/info`",
    ),
    on(
        "max_input_tokens",
        Tokens,
        "the price list's",
        "shown there too; with `enable_pre_call_checks` longer prompts go elsewhere",
    ),
    on("max_output_tokens", Tokens, "", "shown there too"),
    on(
        "cooldown_time",
        Seconds,
        "the router's",
        "as in `litellm_params`, which wins",
    ),
    on(
        "allowed_fails",
        Whole,
        "the router's",
        "failures within one cooldown time that are allowed",
    ),
    on(
        "allowed_fails_policy",
        Map,
        "the router's",
        "the same by class of error",
    ),
    on(
        "supports_*",
        Switch,
        "",
        "shown by `/model/info` and `/model_group/info`",
    ),
    on("tier", Text, "", "`free` or `paid`; shown by `/model/info`"),
    on(
        "team_id",
        Text,
        "",
        "the team whose deployment it is: nobody else sees it or may call it, but the administrator; one model, no pattern",
    ),
    on(
        "team_public_model_name",
        Text,
        "`model_name`",
        "the name by which the team's keys call it; goes before a group of everybody's with that name",
    ),
    on(
        "blocked",
        Switch,
        "false",
        "the deployment pauses: it is not asked, and 503 where nobody else can be",
    ),
    on(
        "disable_background_health_check",
        Switch,
        "false",
        "not checked in the background",
    ),
    on(
        "health_check_model",
        Text,
        "",
        "the model that a check calls; for a wildcard the only one there is",
    ),
    on(
        "health_check_timeout",
        Seconds,
        "60",
        "how long a check may take",
    ),
    planned(Health, "health_check_voice", Text, "", "voice of the check"),
    on(
        "health_check_max_tokens",
        Tokens,
        "16; of a completion 1",
        "longest answer of a check that calls",
    ),
    planned(
        Routing,
        "supported_environments",
        Texts,
        "",
        "kept only where `LITELLM_ENVIRONMENT` matches",
    ),
    planned(
        Routing,
        "enable_tag_filtering",
        Switch,
        "the router's",
        "tag routing in this group",
    ),
    planned(
        Routing,
        "allow_fail_open",
        Switch,
        "",
        "tag routing: serve without a match",
    ),
    planned(
        Routing,
        "access_windows",
        List,
        "",
        "times of the day at which it serves",
    ),
];
