//! A request for each route that the master key gets a 200 for, about things of the tenant `zebra`.

use serde_json::{Value, json};

use super::world::World;
use crate::support::config::MASTER_KEY;
use crate::support::gateway::chat_request_body;
use crate::support::http::Request;

/// Days that every report takes.
const DATES: &str = "start_date=2026-01-01&end_date=2026-01-31";

/// The request, and whether it changes something of the tenant's. What it destroys is made for it.
pub(super) fn request(world: &World, method: &str, path: &str) -> (Request, bool) {
    if method == "GET" {
        let query = query(path);
        let query = if query.contains("FALLBACK") {
            query.replace("FALLBACK", &world.fallback())
        } else if query.contains("LINE") {
            query.replace("LINE", &world.line())
        } else if query.contains("ROW") {
            query.replace("ROW", &world.row())
        } else if query.contains("KEY") {
            query.replace("KEY", &world.key())
        } else {
            query
        };
        return (Request::get(&query), false);
    }
    let is_model = path.contains("completions") || path.contains("embeddings");
    if is_model || path.contains("/v1/messages") {
        let path = path.replace("{model}", "m");
        let mut body = chat_request_body("m");
        body["input"] = json!("hi");
        body["prompt"] = json!("hi");
        return (Request::post(&path, &body), false);
    }
    if path == "/login" {
        let form = format!("username=admin&password={MASTER_KEY}");
        let kind = "application/x-www-form-urlencoded";
        let request = Request::post_bytes(path, form).header("content-type", kind);
        return (request, false);
    }
    let (path, body) = match path {
        "/team/{team_id}/member/{user_id}/reset_spend"
        | "/team/{team_id}/member/{user_id}/reset_budget" => {
            let path = path.replace("{team_id}", "team-zebra");
            (path.replace("{user_id}", "member-zebra"), json!({}))
        }
        "/model/{id}/update" => {
            let path = path.replace("{id}", &world.model());
            (path, json!({"litellm_params": {"rpm": 5}}))
        }
        "/credentials/{name}" => {
            let path = path.replace("{name}", &world.credential());
            (path, json!({"credential_info": {"note": "x"}}))
        }
        "/fallback/{model}" => (path.replace("{model}", &world.fallback()), Value::Null),
        "/key/{key}/reset_spend" | "/key/{key}/regenerate" => {
            (path.replace("{key}", &world.key()), json!({}))
        }
        _ => (path.to_owned(), body(world, path)),
    };
    let changes = ![
        "/utils/token_counter",
        "/spend/calculate",
        "/cost/estimate",
        "/key/health",
        // They change nothing but what the browser keeps.
        "/v2/login",
        "/logout",
    ]
    .contains(&path.as_str());
    let mut request = Request::new(method, &path);
    if body != Value::Null {
        request = Request::with_body(method, &path, &body);
    }
    (request, changes)
}

fn query(path: &str) -> String {
    let query = match path {
        "/v1/models/{id}" | "/models/{id}" => return path.replace("{id}", "m"),
        "/spend/logs/ui/{request_id}" => return path.replace("{request_id}", "ROW"),
        "/credentials/by_name/{name}" => return path.replace("{name}", "everybodys"),
        "/audit/{id}" => return path.replace("{id}", "LINE"),
        "/fallback/{model}" => return path.replace("{model}", "FALLBACK"),
        "/key/info" => "key=KEY".to_owned(),
        "/user/info" | "/v2/user/info" | "/user/spend" => "user_id=owner-zebra".to_owned(),
        "/team/info" | "/team/permissions_list" => "team_id=team-zebra".to_owned(),
        "/organization/info" => "organization_id=org-zebra".to_owned(),
        "/customer/info" | "/end_user/info" => "end_user_id=customer-zebra".to_owned(),
        "/budget/settings" => "budget_id=budget-zebra".to_owned(),
        "/key/spend/report" => format!("{DATES}&api_key=KEY"),
        "/user/spend/report" => format!("{DATES}&user_id=owner-zebra"),
        "/team/spend/report" => format!("{DATES}&team_id=team-zebra"),
        "/organization/spend/report" => format!("{DATES}&organization_id=org-zebra"),
        "/config/list" => "config_type=general_settings".to_owned(),
        "/config/field/info" => "field_name=master_key".to_owned(),
        "/health/services" => "service=database".to_owned(),
        "/utils/supported_openai_params" => "model=m".to_owned(),
        path if path.contains("spend") || path.contains("activity") => DATES.to_owned(),
        _ => return path.to_owned(),
    };
    format!("{path}?{query}")
}

fn body(world: &World, path: &str) -> Value {
    match path {
        "/v2/login" => json!({"username": "admin", "password": MASTER_KEY}),
        "/key/generate" => json!({"user_id": "member-zebra", "team_id": "team-zebra"}),
        "/key/service-account/generate" => json!({"team_id": "team-zebra"}),
        "/key/update" => json!({"key": world.key(), "max_budget": 5}),
        "/key/delete" | "/v2/key/info" => json!({"keys": [world.key()]}),
        "/key/block" | "/key/unblock" | "/key/regenerate" => json!({"key": world.key()}),
        "/key/bulk_update" => json!({"keys": [{"key": world.key(), "max_budget": 5}]}),
        "/team/new" => json!({"team_id": world.fresh("team"), "organization_id": "org-zebra"}),
        "/team/update" => json!({"team_id": world.team(), "team_alias": "x", "max_budget": 5}),
        "/team/block" | "/team/unblock" => json!({"team_id": world.team()}),
        "/team/delete" => json!({"team_ids": [world.team()]}),
        "/team/member_add" | "/team/bulk_member_add" => {
            let member = json!({"user_id": world.fresh("user")});
            let several = if path == "/team/member_add" {
                "member"
            } else {
                "members"
            };
            let members = if path == "/team/member_add" {
                member
            } else {
                json!([member])
            };
            json!({"team_id": world.team(), several: members})
        }
        "/team/member_update" => {
            json!({"team_id": world.team(), "user_id": "member-zebra", "max_budget_in_team": 5})
        }
        "/team/member_delete" => json!({"team_id": world.team(), "user_id": "member-zebra"}),
        "/team/model/add" | "/team/model/delete" => {
            json!({"team_id": world.team(), "models": ["m"]})
        }
        "/team/permissions_update" => {
            json!({"team_id": world.team(), "team_member_permissions": ["/key/generate"]})
        }
        "/user/new" => json!({"user_id": world.fresh("user"), "organization_id": "org-zebra"}),
        "/user/update" => json!({"user_id": world.user(), "max_budget": 5}),
        "/user/bulk_update" => json!({"users": [{"user_id": world.user(), "max_budget": 5}]}),
        "/user/delete" => json!({"user_ids": [world.user()]}),
        "/user/reset_budget" => json!({"user_id": world.user()}),
        "/organization/new" => json!({"organization_alias": world.fresh("org")}),
        "/organization/update" => json!({"organization_id": "org-zebra", "metadata": {"a": 1}}),
        "/organization/delete" => {
            let id = world.thing("/organization/new", "organization_id");
            json!({"organization_ids": [id]})
        }
        "/organization/member_add" => {
            json!({"organization_id": "org-zebra", "member": {"user_id": world.user(), "role": "internal_user"}})
        }
        "/organization/member_update" | "/organization/member_delete" => {
            let user = world.user();
            let member = json!({"organization_id": "org-zebra",
                "member": {"user_id": user, "role": "internal_user"}});
            world.post("/organization/member_add", &member);
            let mut body = json!({"organization_id": "org-zebra", "user_id": user});
            if path == "/organization/member_update" {
                body["role"] = json!("internal_user_viewer");
            }
            body
        }
        "/customer/new" | "/end_user/new" => json!({"user_id": world.fresh("customer")}),
        "/customer/update" | "/end_user/update" => {
            json!({"user_id": world.thing("/customer/new", "user_id"), "max_budget": 5})
        }
        "/customer/delete" | "/end_user/delete" | "/customer/block" | "/end_user/block"
        | "/customer/unblock" | "/end_user/unblock" => {
            json!({"user_ids": [world.thing("/customer/new", "user_id")]})
        }
        "/tag/new" => json!({"name": world.fresh("tag")}),
        "/tag/update" => json!({"name": world.thing("/tag/new", "name"), "max_budget": 5}),
        "/tag/delete" => json!({"name": world.thing("/tag/new", "name")}),
        "/tag/info" => json!({"names": [world.thing("/tag/new", "name")]}),
        "/budget/new" => json!({"budget_id": world.fresh("budget")}),
        "/budget/update" => {
            json!({"budget_id": world.thing("/budget/new", "budget_id"), "max_budget": 5})
        }
        "/budget/info" => json!({"budgets": [world.thing("/budget/new", "budget_id")]}),
        "/budget/delete" => json!({"id": world.thing("/budget/new", "budget_id")}),
        "/credentials" => {
            json!({"credential_name": world.fresh_model(), "credential_values": {"api_key": "k"}})
        }
        "/model/new" => {
            json!({"model_name": world.fresh_model(), "litellm_params": {"model": "openai/x", "api_key": "k"}})
        }
        "/model/update" => {
            json!({"model_info": {"id": world.model()}, "litellm_params": {"rpm": 5}})
        }
        "/model/delete" => json!({"id": world.model()}),
        "/model/block" | "/model/unblock" => json!({"model_id": world.model()}),
        "/spend/calculate" => json!({"model": "m", "messages": []}),
        "/cost/estimate" => json!({"model": "m", "input_tokens": 1, "output_tokens": 1}),
        "/utils/token_counter" => json!({"model": "m", "prompt": "hi"}),
        _ => setting(world, path),
    }
}

/// Settings are no tenant's.
fn setting(world: &World, path: &str) -> Value {
    match path {
        "/add/allowed_ip" => json!({"ip": world.address()}),
        "/delete/allowed_ip" => {
            let ip = world.address();
            world.post("/add/allowed_ip", &json!({"ip": ip}));
            json!({"ip": ip})
        }
        "/fallback" => json!({"model": world.model(), "fallback_models": ["m"]}),
        _ => json!({}),
    }
}
