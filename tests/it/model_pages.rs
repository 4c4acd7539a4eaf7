//! `GET /v2/model/info`: deployments page by page, searched, narrowed and sorted, and never more than the caller may see.

use serde_json::{Value, json};

use crate::keys::generate_key;
use crate::stored_models::{config, home, model, patch, start, store};
use crate::support::gateway::{Gateway, Home};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;
use crate::tenants::admin;

/// `m` of the config, and of the database, in this order: `Beta`, `alpha`, `free/*`, and `own` of the team `t`.
fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = home(&config(&upstream));
    let gateway = start(&home);
    for team in [
        json!({"team_id": "t", "models": ["m", "few"]}),
        json!({"team_id": "other", "models": ["m"]}),
    ] {
        admin(&gateway, "/team/new", &team);
    }
    for (name, id, cost, more) in [
        ("Beta", "id-1", 0.5, json!({"access_groups": ["few"]})),
        ("alpha", "id-2", 0.25, json!({})),
        ("free/*", "id-3", 0.0, json!({})),
        ("own", "id-4", 0.75, json!({"team_id": "t"})),
    ] {
        let mut body = model(name, id, &upstream);
        body["litellm_params"]["input_cost_per_token"] = json!(cost);
        body["litellm_params"]["output_cost_per_token"] = json!(cost);
        if name.contains('*') {
            body["litellm_params"]["model"] = json!("openai/*");
        }
        for (name, value) in more.as_object().unwrap() {
            body["model_info"][name] = value.clone();
        }
        store(&gateway, &body);
    }
    (upstream, home, gateway)
}

fn page(gateway: &Gateway, key: Option<&str>, query: &str) -> Value {
    let mut request = Request::get(&format!("/v2/model/info?{query}"));
    if let Some(key) = key {
        request = request.bearer(key);
    }
    let answer = match key {
        Some(_) => gateway.send(&request),
        None => gateway.get(&format!("/v2/model/info?{query}")),
    };
    answer.assert_status(200);
    answer.json()
}

fn names_in(page: &Value) -> Vec<&str> {
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|row| row["model_name"].as_str().unwrap())
        .collect()
}

#[test]
fn deployments_are_told_page_by_page_as_model_info_tells_them() {
    let (_upstream, _home, gateway) = scene();
    let whole = page(&gateway, None, "");
    assert_eq!(whole["data"], gateway.get("/model/info").json()["data"]);
    assert_eq!(names_in(&whole), ["m", "Beta", "alpha", "free/*", "own"]);
    let place = |page: &Value| {
        ["total_count", "current_page", "total_pages", "size"].map(|name| page[name].clone())
    };
    assert_eq!(place(&whole), [5, 1, 1, 50].map(|number| json!(number)));
    let second = page(&gateway, None, "page=2&size=2");
    assert_eq!(names_in(&second), ["alpha", "free/*"]);
    assert_eq!(place(&second), [5, 2, 3, 2].map(|number| json!(number)));
    let beyond = page(&gateway, None, "page=4&size=2");
    assert_eq!(names_in(&beyond), [""; 0]);
    let none = page(&gateway, None, "search=nothing");
    assert_eq!(place(&none), [0, 1, 0, 50].map(|number| json!(number)));
}

#[test]
fn what_does_not_fit_is_left_out_and_the_rest_is_sorted() {
    let (_upstream, _home, gateway) = scene();
    // The last one that was changed.
    patch(&gateway, "id-1", &json!({"litellm_params": {"rpm": 5}})).assert_status(200);
    for (query, wanted) in [
        ("search=PH", &["alpha"][..]),
        ("search=%20%20", &["m", "Beta", "alpha", "free/*", "own"]),
        ("model=own", &["own"]),
        ("model=ow", &[]),
        ("modelId=id-2", &["alpha"]),
        ("modelId=id-2&search=beta", &[]),
        ("access_group=few", &["Beta"]),
        ("wildcard_only=true", &["free/*"]),
        ("user_models_only=true", &["Beta", "alpha", "free/*", "own"]),
        ("teamId=t", &["m", "Beta", "own"]),
        ("teamId=other", &["m"]),
        (
            "sortBy=model_name",
            &["alpha", "Beta", "free/*", "m", "own"],
        ),
        (
            "sortBy=model_name&sortOrder=desc",
            &["own", "m", "free/*", "Beta", "alpha"],
        ),
        // What costs nothing, or nobody knows what, is the last; the first from the other end.
        ("sortBy=costs&search=a", &["alpha", "Beta"]),
        ("sortBy=costs&sortOrder=DESC&size=3&page=2", &["alpha", "m"]),
        ("sortBy=status&size=1", &["m"]),
        (
            "sortBy=created_at",
            &["Beta", "alpha", "free/*", "own", "m"],
        ),
        (
            "sortBy=updated_at",
            &["alpha", "free/*", "own", "Beta", "m"],
        ),
    ] {
        assert_eq!(names_in(&page(&gateway, None, query)), wanted, "{query}");
    }
    for (query, param) in [
        ("page=0", "page"),
        ("size=1001", "size"),
        ("size=x", "size"),
        ("sortBy=colour", "sortBy"),
        ("sortOrder=up", "sortOrder"),
        ("wildcard_only=perhaps", "wildcard_only"),
    ] {
        let answer = gateway.get(&format!("/v2/model/info?{query}"));
        let err = answer.assert_error(400, "invalid_request_error");
        assert_eq!(err["param"], param, "{err}");
    }
    let answer = gateway.get("/v2/model/info?teamId=nobody");
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[test]
fn nobody_is_shown_a_page_of_what_is_not_for_it() {
    let (_upstream, _home, gateway) = scene();
    let own = generate_key(&gateway, &json!({"team_id": "t"}));
    let other = generate_key(&gateway, &json!({"team_id": "other"}));
    let one = generate_key(&gateway, &json!({"models": ["alpha"]}));
    for (key, query, wanted) in [
        (&own, "", &["m", "Beta", "own"][..]),
        (&own, "teamId=t", &["m", "Beta", "own"]),
        (&other, "", &["m"]),
        (&other, "model=own", &[]),
        (&other, "modelId=id-4", &[]),
        (&other, "search=own", &[]),
        (&one, "", &["alpha"]),
        (&one, "sortBy=costs", &["alpha"]),
    ] {
        let told = page(&gateway, Some(key), query);
        assert_eq!(names_in(&told), wanted, "{query}");
        assert_eq!(told["total_count"], wanted.len(), "{query}");
    }
    // Neither what is another team's, nor whether there is one.
    for (key, team) in [(&other, "t"), (&one, "t"), (&one, "nobody")] {
        let path = format!("/v2/model/info?teamId={team}");
        let answer = gateway.send(&Request::get(&path).bearer(key));
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert_eq!(answer.json()["error"]["param"], "teamId");
    }
}
