//! Where servers are named, and what is refused.

use super::super::{CliOverrides, ConfigErrors, ConfigSource, MapEnv, load};
use super::RedisSettings;

const ONE: &str = "model_list: [{model_name: a, litellm_params: {model: openai/m, api_key: k}}]\n";

fn redis(text: &str, env: &MapEnv) -> Result<Option<RedisSettings>, ConfigErrors> {
    let text = format!("{ONE}{text}");
    let source = ConfigSource::Text {
        name: "config.yaml",
        text: &text,
    };
    load(source, &CliOverrides::default(), env).map(|config| config.redis)
}

#[test]
fn the_server_is_read_from_wherever_it_is_named() {
    let none = MapEnv::default();
    let env = MapEnv::new([
        ("REDIS_HOST", "e"),
        ("REDIS_PORT", "1"),
        ("REDIS_PASSWORD", "p@ss"),
        ("REDIS_USERNAME", "u"),
        ("REDIS_SSL", "True"),
        ("REDIS_DB", "3"),
    ]);
    for (text, env, url) in [
        ("", &none, None),
        (
            "router_settings: {redis_host: h}",
            &none,
            Some("redis://h:6379/0"),
        ),
        (
            "router_settings: {redis_host: h, redis_port: 7, redis_password: 'a/b', redis_db: 2, redis_ssl: true}",
            &none,
            Some("rediss://:a%2Fb@h:7/2"),
        ),
        (
            "router_settings: {redis_url: 'rediss://u:p@h:7/1'}",
            &env,
            Some("rediss://u:p@h:7/1"),
        ),
        (
            "rate_limit_config: {redis_host: localhost}",
            &env,
            Some("redis://localhost:6379/0"),
        ),
        (
            "router_settings: {redis_host: '::1'}",
            &none,
            Some("redis://[::1]:6379/0"),
        ),
        ("", &env, Some("rediss://u:p%40ss@e:1/3")),
    ] {
        let found = redis(text, env).unwrap();
        let found = found.as_ref().map(|redis| redis.url.expose());
        assert_eq!(found, url, "{text}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let text = "router_settings: {redis_url: 'redis://user:hush@h:7/1?x=hush'}";
    let redis = redis(text, &MapEnv::default()).unwrap().unwrap();
    assert_eq!(redis.shown, "redis://h:7/1");
    assert!(!format!("{redis:?}").contains("hush"));
}

#[test]
fn what_cannot_be_kept_is_refused_with_what_to_write() {
    for (text, said) in [
        (
            "router_settings: {redis_url: 'http://h'}",
            "is no way to a Redis server; write redis://",
        ),
        (
            "router_settings: {redis_url: 'rediss://h#insecure'}",
            "certificates are always checked",
        ),
        (
            "router_settings: {redis_url: 'rediss://h', redis_ssl_cert_reqs: none}",
            "name the authority of a certificate of your own in `ssl_ca_certs`",
        ),
        (
            "router_settings: {redis_url: 'rediss://h', redis_ssl_keyfile: a.key}",
            "name the other file in `ssl_certfile`",
        ),
        (
            "router_settings: {redis_host: 'a/b:hush@c'}",
            "is no host; write redis://",
        ),
        (
            "router_settings: {redis_startup_nodes: []}",
            "name one server as redis_url",
        ),
        (
            "trunkline: {fleet: {namespace: 'a b'}}",
            "write up to 64 letters",
        ),
    ] {
        let err = redis(text, &MapEnv::default()).unwrap_err().to_string();
        assert!(err.contains(said), "{text}: {err}");
    }
    let env = MapEnv::new([("REDIS_CLUSTER_NODES", "[]")]);
    let err = redis("", &env).unwrap_err().to_string();
    assert!(err.contains("clusters are not supported"), "{err}");
    let env = MapEnv::new([("REDIS_HOST", "h"), ("REDIS_SSL_CERT_REQS", "none")]);
    let err = redis("", &env).unwrap_err().to_string();
    assert!(err.contains("REDIS_SSL_CERT_REQS"), "{err}");
    let env = MapEnv::new([("REDIS_HOST", "h"), ("REDIS_PORT", "many")]);
    let err = redis("", &env).unwrap_err().to_string();
    assert!(err.contains("REDIS_PORT"), "{err}");
}
