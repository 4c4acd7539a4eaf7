//! The routes about the gateway itself: health, metrics, the front page, the description of the API.

use serde_json::{Value, json};

use crate::support::config::{ConfigText, Deployment, MASTER_KEY, PROVIDER_KEY};
use crate::support::gateway::{Gateway, Home, chat_request, start};
use crate::support::http::Request;
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

fn scene() -> (Upstream, Home, Gateway) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    (upstream, home, gateway)
}

#[test]
fn both_spellings_of_liveliness_answer_without_a_key() {
    let (_upstream, _home, gateway) = scene();
    for path in ["/health/liveliness", "/health/liveness"] {
        let answer = gateway.get(path);
        answer.assert_status(200);
        assert_eq!(answer.json(), json!("I'm alive!"), "{path}");
    }
}

#[test]
fn readiness_tells_the_state_of_the_database() {
    let (_upstream, _home, gateway) = scene();

    let answer = gateway.get("/health/readiness");

    answer.assert_status(200);
    assert_eq!(answer.json()["status"], "healthy");
    assert_eq!(answer.json()["db"], "connected");
}

#[test]
fn health_is_open_cheap_and_asks_no_provider() {
    let (upstream, _home, gateway) = scene();

    gateway.get("/health").assert_status(200);

    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn metrics_count_requests_tokens_and_spend() {
    let (_upstream, _home, gateway) = scene();
    gateway
        .send(&chat_request("m").bearer(MASTER_KEY))
        .assert_status(200);

    let answer = gateway.get("/metrics");

    answer.assert_status(200);
    let text = answer.text();
    for part in ["trunkline_", "request", "token", "spend", "_bucket"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains(MASTER_KEY));
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(value.parse::<f64>().is_ok(), "not a sample: {line}");
    }
}

#[test]
fn the_front_page_is_html_without_a_key_and_documents_the_routes() {
    let (_upstream, _home, gateway) = scene();

    let answer = gateway.get("/");

    answer.assert_status(200);
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    for part in ["/v1/chat/completions", "/openapi.json", "/key/generate"] {
        assert!(answer.text().contains(part), "no {part}");
    }
}

#[test]
fn the_description_of_the_api_names_the_routes() {
    let (_upstream, _home, gateway) = scene();

    let answer = gateway.get("/openapi.json");

    answer.assert_status(200);
    let description: Value = answer.json();
    assert!(
        description["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with('3'))
    );
    for path in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/key/generate",
        "/user/spend",
        "/global/spend",
        "/health/readiness",
    ] {
        assert!(description["paths"][path].is_object(), "no {path}");
    }
}

#[test]
fn the_start_says_where_it_listens_and_which_models_it_serves() {
    let (_upstream, _home, gateway) = scene();

    let log = gateway.log();

    assert!(
        log.iter()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{log:?}"
    );
    let address = gateway.address().to_string();
    assert!(log.iter().any(|line| line.contains(&address)), "{log:?}");
}

#[test]
fn the_version_is_told_and_a_wrong_flag_is_not_a_start() {
    let home = Home::empty();

    let version = home.run(&["--version"]);
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("trunkline "));

    let wrong = home.run(&["--no-such-flag"]);
    assert!(!wrong.status.success());
}

#[test]
fn a_broken_config_names_file_line_and_key_and_does_not_start() {
    for (case, text, parts) in [
        (
            "a wrong type",
            "model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/x\n      rpm: plenty\n",
            ["config.yaml", "5", "rpm"],
        ),
        (
            "no model",
            "model_list:\n  - model_name: m\n    litellm_params:\n      api_key: x\n",
            ["config.yaml", "model_list", "model"],
        ),
        (
            "not YAML",
            "model_list:\n  - model_name: [m\n",
            ["config.yaml", ":3:", "YAML"],
        ),
    ] {
        let home = Home::with_text(text);
        let config = home.config_path();
        let output = home.run(&["--config", config.to_str().expect("UTF-8"), "--port", "0"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{case}: {said}");
        for part in parts {
            assert!(said.contains(part), "{case}: no {part:?} in {said}");
        }
    }
}

#[test]
fn a_migration_can_be_run_by_itself_and_again() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let home = Home::with(&ConfigText::one("m", &upstream));
    let config = home.config_path();
    let config = config.to_str().expect("UTF-8");
    for _ in 0..2 {
        let output = home.run(&["migrate", "--config", config]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(home.path().join("trunkline.db").exists());
    home.start().chat("m").assert_status(200);
}

#[test]
fn a_health_check_command_asks_the_running_gateway() {
    let (_upstream, home, gateway) = scene();
    let port = gateway.address().port().to_string();

    let alive = home.run(&["healthcheck", "--port", &port]);
    assert!(
        alive.status.success(),
        "{}",
        String::from_utf8_lossy(&alive.stderr)
    );

    gateway.stop();
    let gone = home.run(&["healthcheck", "--port", &port]);
    assert!(!gone.status.success());
}

#[test]
fn answers_carry_the_usual_security_headers() {
    let (_upstream, _home, gateway) = scene();
    for request in [
        Request::get("/"),
        Request::get("/v1/models").bearer(MASTER_KEY),
    ] {
        let answer = gateway.send(&request);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn with_a_master_key_pages_of_any_origin_may_read_answers() {
    let upstream = Upstream::always(Reply::chat("hi"));
    let (_home, gateway) = start(&ConfigText::one("m", &upstream).with_master_key());
    let gateway = gateway.with_master_key();

    let answer = gateway.send(
        &chat_request("m")
            .bearer(MASTER_KEY)
            .header("origin", "https://app.example"),
    );

    answer.assert_status(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer
        .header("access-control-expose-headers")
        .unwrap_or_default();
    assert!(exposed.contains("x-litellm-call-id"), "{exposed}");
}

#[test]
fn the_detailed_health_report_tells_which_deployments_fail_and_no_secret() {
    let words = format!("bad key {PROVIDER_KEY}");
    let broken = Upstream::always(Reply::error(401, "auth", &words));
    let sound = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::new()
        .deployment(Deployment::of("broken", &broken).id("broken-1"))
        .deployment(Deployment::of("sound", &sound).id("sound-1"))
        .with_master_key();
    let (_home, gateway) = start(&config);

    gateway.get("/health?detailed=true").assert_status(401);
    assert_eq!(broken.request_count() + sound.request_count(), 0);
    let report = gateway.send(&Request::get("/health?detailed=true").bearer(MASTER_KEY));

    report.assert_status(200);
    let json = report.json();
    assert_eq!(json["healthy_count"], 1, "{json}");
    assert_eq!(json["unhealthy_count"], 1, "{json}");
    assert_eq!(json["healthy_endpoints"][0]["model_id"], "sound-1");
    assert_eq!(json["unhealthy_endpoints"][0]["model_id"], "broken-1");
    assert!(!report.text().contains(PROVIDER_KEY), "{json}");
}
