//! A gateway with the tenant `zebra`, another tenant, and a key of every kind of caller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use trunkline_actors::clock::UnixMs;

use crate::support::config::{ConfigText, MASTER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait::eventually;
use crate::tokens::{Provider, claims, token, trusting};

/// The kinds of caller, and what they are.
pub(super) const CALLERS: &[(&str, &str)] = &[
    ("none", "no key"),
    ("junk", "no virtual key, not the master key"),
    ("unknown", "a key that nobody made"),
    ("expired", "a key past its life"),
    ("blocked", "a blocked key"),
    ("deleted", "a deleted key"),
    ("stopped", "a key of a blocked team"),
    ("master", "the master key"),
    ("admin", "user of role proxy_admin"),
    ("viewer", "user of role proxy_admin_viewer"),
    (
        "orgadmin",
        "user of role org_admin in the organisation zebra",
    ),
    ("teamadmin", "user who is admin of the team zebra"),
    ("member", "user who is in the team zebra"),
    ("owner", "the user whose key is asked for"),
    ("watcher", "user of role internal_user_viewer"),
    (
        "stranger",
        "user of another organisation, admin of a team there",
    ),
    ("teamkey", "key of the team zebra and of a member"),
    ("service", "key of the team zebra and of nobody"),
    ("nobody", "key of no user and no team"),
    ("llm", "the owner's key of type llm_api"),
    ("reader", "the administrator's key of type read_only"),
    ("manager", "the owner's key of type management"),
    ("usertoken", "token of an identity provider, of the owner"),
    ("teamtoken", "token of the team zebra and of a member"),
    ("toptoken", "token with the administrator's scope"),
];

pub(super) struct World {
    pub(super) gateway: Gateway,
    keys: HashMap<&'static str, String>,
    numbers: AtomicU64,
    _home: Home,
    _upstream: Upstream,
    _provider: Provider,
}

fn reply(request: &Recorded) -> Reply {
    match request.path.as_str() {
        "/v1/embeddings" => Reply::embeddings(&[[0.0, 0.5, 1.0]]),
        "/v1/completions" => Reply::completion("hi"),
        _ => Reply::chat("hi"),
    }
}

impl World {
    pub(super) fn new() -> Self {
        let upstream = Upstream::answering(reply);
        let provider = Provider::new(&["rsa-one"]);
        let config = ConfigText::one("m", &upstream)
            .general("enable_jwt_auth: true")
            .general("litellm_jwtauth: {team_id_jwt_field: team}")
            .general("store_model_in_db: true")
            .with_master_key();
        let home = trusting(&config, &provider.address("/keys"));
        let gateway = home.start();
        let mut world = Self {
            gateway,
            keys: HashMap::new(),
            numbers: AtomicU64::new(0),
            _home: home,
            _upstream: upstream,
            _provider: provider,
        };
        world.make_tenants();
        world.make_keys();
        world.make_tokens();
        world.make_requests();
        let credential =
            json!({"credential_name": "everybodys", "credential_values": {"api_key": "k"}});
        world.post("/credentials", &credential);
        world
    }

    fn make_tenants(&self) {
        for tenant in ["zebra", "other"] {
            let id = format!("org-{tenant}");
            let body = json!({"organization_id": id, "organization_alias": tenant});
            self.post("/organization/new", &body);
            let team = json!({"team_id": format!("team-{tenant}"), "organization_id": id});
            self.post("/team/new", &team);
        }
        self.post("/team/new", &json!({"team_id": "team-stopped"}));
        self.post("/customer/new", &json!({"user_id": "customer-zebra"}));
        self.post("/budget/new", &json!({"budget_id": "budget-zebra"}));
        for (user, role, organisation) in [
            ("admin-zebra", "proxy_admin", None),
            ("viewer-zebra", "proxy_admin_viewer", None),
            ("orgadmin-zebra", "org_admin", Some("org-zebra")),
            ("teamadmin-zebra", "internal_user", None),
            ("member-zebra", "internal_user", None),
            ("owner-zebra", "internal_user", Some("org-zebra")),
            ("watcher-zebra", "internal_user_viewer", None),
            ("foreigner", "internal_user", Some("org-other")),
        ] {
            let body = json!({"user_id": user, "user_role": role, "organization_id": organisation,
                "auto_create_key": false});
            self.post("/user/new", &body);
        }
        for (team, user, role) in [
            ("team-zebra", "teamadmin-zebra", "admin"),
            ("team-zebra", "member-zebra", "user"),
            ("team-other", "foreigner", "admin"),
        ] {
            let member = json!({"team_id": team, "member": {"user_id": user, "role": role}});
            self.post("/team/member_add", &member);
        }
    }

    fn make_keys(&mut self) {
        for (caller, wishes) in [
            ("expired", json!({"duration": "1s"})),
            ("blocked", json!({"blocked": true})),
            ("deleted", json!({})),
            ("stopped", json!({"team_id": "team-stopped"})),
            ("admin", json!({"user_id": "admin-zebra"})),
            ("viewer", json!({"user_id": "viewer-zebra"})),
            ("orgadmin", json!({"user_id": "orgadmin-zebra"})),
            ("teamadmin", json!({"user_id": "teamadmin-zebra"})),
            ("member", json!({"user_id": "member-zebra"})),
            ("owner", json!({"user_id": "owner-zebra"})),
            ("watcher", json!({"user_id": "watcher-zebra"})),
            ("stranger", json!({"user_id": "foreigner"})),
            (
                "teamkey",
                json!({"user_id": "member-zebra", "team_id": "team-zebra"}),
            ),
            ("service", json!({"team_id": "team-zebra"})),
            ("nobody", json!({})),
            (
                "llm",
                json!({"user_id": "owner-zebra", "key_type": "llm_api"}),
            ),
            (
                "reader",
                json!({"user_id": "admin-zebra", "key_type": "read_only"}),
            ),
            (
                "manager",
                json!({"user_id": "owner-zebra", "key_type": "management"}),
            ),
        ] {
            let key = self.post("/key/generate", &wishes)["key"].clone();
            self.keys
                .insert(caller, key.as_str().expect("a key").to_owned());
        }
        self.keys.insert("master", MASTER_KEY.to_owned());
        self.keys.insert("junk", "open-sesame".to_owned());
        self.keys
            .insert("unknown", "sk-unknown-0123456789".to_owned());
        self.post("/key/delete", &json!({"keys": [self.keys["deleted"]]}));
        self.post("/team/block", &json!({"team_id": "team-stopped"}));
        let expired = Request::get("/v1/models").bearer(&self.keys["expired"]);
        eventually("a key that lived a second", &401, || {
            self.gateway.send(&expired).status
        });
    }

    fn make_tokens(&mut self) {
        let later = UnixMs::now().0 / 1000 + 3600;
        for (caller, user, more) in [
            ("usertoken", "owner-zebra", json!({})),
            ("teamtoken", "member-zebra", json!({"team": "team-zebra"})),
            (
                "toptoken",
                "root",
                json!({"scope": "openid litellm_proxy_admin"}),
            ),
        ] {
            let mut claims = claims(user, &more);
            claims["exp"] = json!(later);
            self.keys.insert(caller, token(&claims));
        }
    }

    /// Spends something, as the owner and in the team: what strangers must not find.
    fn make_requests(&self) {
        for caller in ["owner", "teamkey"] {
            let request = chat_request("m").bearer(&self.keys[caller]);
            self.gateway.send(&request).assert_status(200);
        }
    }

    /// The request with the caller's key.
    pub(super) fn by(&self, caller: &str, request: Request) -> Request {
        match self.keys.get(caller) {
            Some(key) => request.bearer(key),
            None => request,
        }
    }

    /// Does something with the master key.
    #[track_caller]
    pub(super) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .gateway
            .send(&Request::post(path, body).bearer(MASTER_KEY));
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()
    }

    /// A name that was not there yet.
    pub(super) fn fresh(&self, what: &str) -> String {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        format!("{what}-zebra-{number}")
    }

    /// A key of the owner in the team zebra, by its hash.
    pub(super) fn key(&self) -> String {
        let wishes = json!({"user_id": "owner-zebra", "team_id": "team-zebra",
            "key_alias": self.fresh("key")});
        let made = self.post("/key/generate", &wishes);
        made["token"].as_str().expect("a hash").to_owned()
    }

    /// A user of the organisation zebra.
    pub(super) fn user(&self) -> String {
        let id = self.fresh("user");
        let body = json!({"user_id": id, "organization_id": "org-zebra", "auto_create_key": false});
        self.post("/user/new", &body);
        id
    }

    /// A team of the organisation zebra, with its admin and a member as the team zebra has them.
    pub(super) fn team(&self) -> String {
        let id = self.fresh("team");
        let body = json!({"team_id": id, "organization_id": "org-zebra", "models": ["m", "n"]});
        self.post("/team/new", &body);
        let members = json!({"team_id": id, "member": [
            {"user_id": "teamadmin-zebra", "role": "admin"}, {"user_id": "member-zebra", "role": "user"}]});
        self.post("/team/member_add", &members);
        id
    }

    /// A line of the audit log.
    pub(super) fn line(&self) -> String {
        let log = Request::get("/audit?page_size=1").bearer(MASTER_KEY);
        let log = self.gateway.send(&log).json();
        let id = log["audit_logs"][0]["id"].as_str();
        id.expect("a line").to_owned()
    }

    /// A request of the owner's, by its id on the books.
    pub(super) fn row(&self) -> String {
        let request = chat_request("m").bearer(&self.keys["owner"]);
        let answer = self.gateway.send(&request);
        let id = answer.header("x-trunkline-request-id");
        id.expect("a receipt").to_owned()
    }

    /// The id of a stored deployment, which is no tenant's.
    pub(super) fn model(&self) -> String {
        let id = self.fresh_model();
        let params = json!({"model": "openai/x", "api_key": "k"});
        let body = json!({"model_name": id, "litellm_params": params, "model_info": {"id": id}});
        self.post("/model/new", &body);
        id
    }

    /// A network that is not on the list of those allowed, and that everybody here is in.
    pub(super) fn address(&self) -> String {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        format!("127.{}.{}.0/8", number / 256, number % 256)
    }

    /// The name of a stored deployment with a stored fallback, which is no tenant's either.
    pub(super) fn fallback(&self) -> String {
        let model = self.model();
        let body = json!({"model": model, "fallback_models": ["m"]});
        self.post("/fallback", &body);
        model
    }

    /// The name of a stored credential, which is no tenant's.
    pub(super) fn credential(&self) -> String {
        let name = self.fresh_model();
        let body = json!({"credential_name": name, "credential_values": {"api_key": "k"}});
        self.post("/credentials", &body);
        name
    }

    pub(super) fn fresh_model(&self) -> String {
        self.fresh("model").replace("zebra", "everybodys")
    }

    /// Something else that has an id.
    pub(super) fn thing(&self, path: &str, field: &str) -> String {
        let id = self.fresh("thing");
        let mut body = json!({field: id});
        if path == "/organization/new" {
            body["organization_alias"] = json!(id);
        }
        self.post(path, &body);
        id
    }
}
