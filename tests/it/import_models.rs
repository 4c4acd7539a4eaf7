//! `trunkline import-litellm`: models and credentials that LiteLLM stored, as rows or as a piece of a config file.

use std::array;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::import::{SALT, Scene, counts, kind, litellm, scene, scene_with, told};
use crate::support::config::ConfigText;
use crate::support::gateway::{Home, chat_request};
use crate::support::reply::Reply;
use crate::support::upstream::Upstream;

/// As LiteLLM stores a text: sealed by the SHA-256 of its salt key.
fn sealed(text: &str) -> String {
    let key: [u8; 32] = Sha256::digest(SALT.as_bytes()).into();
    let nonce: [u8; 24] = array::from_fn(|n| u8::try_from(n).unwrap_or_default());
    let cipher = XSalsa20Poly1305::new((&key).into());
    let sealed = cipher.encrypt((&nonce).into(), text.as_bytes()).unwrap();
    URL_SAFE.encode([&nonce[..], &sealed].concat())
}

/// Two models that share a key, one of which belongs to a credential, and a blocked one.
fn with_models(scene: &Scene, base: &str) {
    let sql = |table: &str, columns: &str, values: &str| {
        scene.server.sql(
            "litellm",
            &format!("INSERT INTO \"{table}\" ({columns}, created_by, updated_by) VALUES ({values}, 'admin', 'admin')"),
        );
    };
    for (id, name, blocked) in [
        ("1", "stored", false),
        ("2", "stored too", false),
        ("3", "gone", true),
    ] {
        let params = json!({"model": sealed("openai/gpt-4o"), "api_base": sealed(base),
            "api_key": sealed("hush-provider-key-1"), "rpm": 100});
        let values =
            format!("'id-{id}', '{name}', '{params}', '{{\"mode\": \"chat\"}}', {blocked}");
        sql(
            "LiteLLM_ProxyModelTable",
            "model_id, model_name, litellm_params, model_info, blocked",
            &values,
        );
    }
    let values = json!({"api_key": sealed("hush-provider-key-2"), "api_base": sealed(base)});
    sql(
        "LiteLLM_CredentialsTable",
        "credential_id, credential_name, credential_values",
        &format!("'c', 'main', '{values}'"),
    );
    let params =
        json!({"model": sealed("openai/gpt-4o"), "litellm_credential_name": sealed("main")});
    sql(
        "LiteLLM_ProxyModelTable",
        "model_id, model_name, litellm_params",
        &format!("'id-4', 'by credential', '{params}'"),
    );
}

#[test]
fn stored_models_become_a_config_file_that_serves_them() {
    let scene = scene();
    let upstream = Upstream::always(Reply::chat("hi"));
    with_models(&scene, &upstream.base_url());
    let files = ["--models-to", "models.yaml", "--secrets-to", "models.env"];

    let mut dry = vec!["--salt-key", SALT, "--dry-run"];
    dry.extend(files);
    let (report, _) = scene.report(&dry);
    assert_eq!(counts(&report, "models"), [4, 3, 0, 0, 0, 0, 1]);
    assert!(!scene.home.path().join("models.yaml").exists());

    let mut real = vec!["--salt-key", "os.environ/SALT"];
    real.extend(files);
    let (report, _) = scene.report(&real);
    assert_eq!(report["files"], json!(["models.yaml", "models.env"]));
    assert_eq!(
        report["variables"],
        json!(["MAIN_API_KEY", "STORED_API_KEY"])
    );
    let private_file = |name: &str| {
        let path = scene.home.path().join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        fs::read_to_string(path).unwrap()
    };
    let config = private_file("models.yaml");
    assert!(!config.contains("hush"), "{config}");
    assert_eq!(
        private_file("models.env"),
        "MAIN_API_KEY='hush-provider-key-2'\nSTORED_API_KEY='hush-provider-key-1'\n"
    );

    // Said once more, nothing is to be written; said differently, files are not overwritten unasked.
    let (report, _) = scene.report(&real);
    assert_eq!(report["files"], json!([]));
    fs::write(scene.home.path().join("models.yaml"), "mine: 1").unwrap();
    let refused = scene.import(&real);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("models.yaml is there"));

    let home = Home::with_text(&config)
        .variable("MAIN_API_KEY", "hush-provider-key-2")
        .variable("STORED_API_KEY", "hush-provider-key-1");
    let gateway = home.start();
    for (model, key) in [
        ("stored", "hush-provider-key-1"),
        ("stored too", "hush-provider-key-1"),
        ("by credential", "hush-provider-key-2"),
    ] {
        gateway.send(&chat_request(model)).assert_status(200);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(
            sent.header("authorization"),
            Some(format!("Bearer {key}").as_str())
        );
    }
}

/// The same on both databases: LiteLLM's salt key is not the one here.
fn check_stored(books: Option<&str>) {
    let upstream = Upstream::always(Reply::chat("hi"));
    let config = ConfigText::one("m", &upstream)
        .with_master_key()
        .general("store_model_in_db: true");
    let base = upstream.base_url();
    let scene = scene_with(litellm(), books, upstream, config);
    with_models(&scene, &base);
    scene.server.sql(
        "litellm",
        "INSERT INTO \"LiteLLM_ProxyModelTable\" (model_id, model_name, litellm_params, created_by, updated_by) \
         VALUES ('id-5', 'unserved', '{\"model\": \"openai/x\", \"rpm\": \"many\"}', 'admin', 'admin')",
    );
    let salt = ["--salt-key", "os.environ/SALT"];

    let (report, _) = scene.report(&[&salt[..], &["--dry-run"]].concat());
    assert_eq!(counts(&report, "models"), [5, 5, 0, 0, 0, 0, 0]);
    let (report, _) = scene.report(&salt);
    assert_eq!(counts(&report, "models"), [5, 5, 0, 0, 0, 0, 0]);
    assert_eq!(counts(&report, "credentials"), [1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(
        told(
            &report,
            "models",
            "is stored, and cannot be served as it is: litellm_params.rpm"
        ),
        1
    );
    assert_eq!(report["files"], json!([]));
    let (report, _) = scene.report(&salt);
    assert_eq!(report["changed"], false, "{report:#}");
    assert_eq!(counts(&report, "models"), [5, 0, 0, 5, 0, 0, 0]);
    assert_eq!(counts(&report, "credentials"), [1, 0, 0, 1, 0, 0, 0]);

    let mut gateway = scene.start();
    gateway.allow_errors();
    for (model, status) in [
        ("stored", 200),
        ("stored too", 200),
        ("by credential", 200),
        ("gone", 503),
        ("unserved", 400),
    ] {
        let answer = gateway.send(&chat_request(model));
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
    }
    let sent = scene.upstream.requests();
    let keys: Vec<_> = sent
        .iter()
        .filter_map(|sent| sent.header("authorization"))
        .collect();
    let key = |n: u8| format!("Bearer hush-provider-key-{n}");
    assert_eq!(keys, [key(1), key(1), key(2)]);
    let unblock = json!({"model_id": "id-3"});
    gateway.post("/model/unblock", &unblock).assert_status(200);
    gateway.send(&chat_request("gone")).assert_status(200);
    gateway.stop();

    // What changed there follows, what changed here stays.
    scene.server.sql("litellm", "UPDATE \"LiteLLM_ProxyModelTable\" SET model_name = 'renamed' WHERE model_id IN ('id-1', 'id-3')");
    let (report, _) = scene.report(&salt);
    assert_eq!(counts(&report, "models"), [5, 0, 1, 3, 1, 0, 0]);
    let mut gateway = scene.start();
    gateway.allow_errors();
    gateway.send(&chat_request("renamed")).assert_status(200);
}

#[test]
fn stored_models_are_stored_in_sqlite_and_served() {
    check_stored(None);
}

#[test]
fn stored_models_are_stored_in_postgresql_and_served() {
    check_stored(Some("books"));
}

#[test]
fn a_wrong_salt_key_is_said_for_each_model_and_takes_nothing_else_away() {
    let scene = scene();
    with_models(&scene, "http://127.0.0.1:9/v1");
    let wrong = [
        "--salt-key",
        "sk-some-other-salt",
        "--models-to",
        "models.yaml",
    ];

    let (report, code) = scene.report(&wrong);

    assert_eq!(code, Some(1));
    assert_eq!(counts(&report, "models"), [4, 0, 0, 0, 0, 3, 1]);
    assert_eq!(told(&report, "models", "cannot be decrypted"), 3);
    let reasons = kind(&report, "models")["reasons"]["not_taken"].to_string();
    assert!(reasons.contains("stored too"), "{reasons}");
    assert_eq!(counts(&report, "credentials")[5], 1);
    assert_eq!(counts(&report, "keys")[..2], [1527, 1524]);
    assert!(!scene.home.path().join("models.yaml").exists());

    // LiteLLM takes the master key where no salt key is set; here it is another one.
    let told_text = scene.import(&[]);
    let said = String::from_utf8_lossy(&told_text.stdout).into_owned();
    assert!(said.contains("not taken: cannot be decrypted"), "{said}");
}
