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
            "names no node; write [{host: 10.0.0.1, port: 7001}]",
        ),
        (
            "router_settings: {redis_startup_nodes: [{host: a, port: 70000}]}",
            "is no node",
        ),
        (
            "router_settings: {redis_startup_nodes: [{host: 'a/b', port: 7000}]}",
            "is no node",
        ),
        ("router_settings: {redis_startup_nodes: '[{'}", "is no JSON"),
        (
            "router_settings: {redis_startup_nodes: 5}",
            "is no list of nodes",
        ),
        (
            "router_settings: {redis_startup_nodes: [a], redis_db: 1}",
            "a cluster has but database 0",
        ),
        (
            "router_settings: {redis_sentinel_nodes: [[a, b]], redis_service_name: m}",
            "is no node; write [[10.0.0.1, 26379]]",
        ),
        (
            "router_settings: {redis_sentinel_nodes: [[a, 1]]}",
            "write what they call the server in `redis_service_name`",
        ),
        (
            "router_settings: {redis_cluster_nodes: [a]}",
            "write `redis_startup_nodes`",
        ),
        (
            "general_settings: {coordination_redis: {port: 6379}}",
            "names no server; write `url`",
        ),
        (
            "general_settings:\n  coordination_redis:\n    url: 'http://u:hush@h'",
            "coordination_redis.url: `http` is no way to a Redis server",
        ),
        (
            "trunkline: {fleet: {namespace: 'a b'}}",
            "write up to 64 letters",
        ),
    ] {
        let err = redis(text, &MapEnv::default()).unwrap_err().to_string();
        assert!(err.contains(said), "{text}: {err}");
        assert!(!err.contains("hush"), "{text}: {err}");
    }
    let env = MapEnv::new([("REDIS_CLUSTER_NODES", "[]")]);
    let err = redis("", &env).unwrap_err().to_string();
    assert!(err.contains("REDIS_CLUSTER_NODES: names no node"), "{err}");
    let env = MapEnv::new([("REDIS_HOST", "h"), ("REDIS_SSL_CERT_REQS", "none")]);
    let err = redis("", &env).unwrap_err().to_string();
    assert!(err.contains("REDIS_SSL_CERT_REQS"), "{err}");
    let env = MapEnv::new([("REDIS_HOST", "h"), ("REDIS_PORT", "many")]);
    let err = redis("", &env).unwrap_err().to_string();
    assert!(err.contains("REDIS_PORT"), "{err}");
}

#[test]
fn nodes_are_read_however_people_write_them() {
    let none = MapEnv::default();
    let cluster = MapEnv::new([
        (
            "REDIS_CLUSTER_NODES",
            r#"[{"host": "a", "port": "7001"}, {"host": "b"}]"#,
        ),
        ("REDIS_URL", "redis://elsewhere"),
        ("REDIS_SSL", "true"),
        ("REDIS_PASSWORD", "hush"),
    ]);
    let sentinels = MapEnv::new([
        ("REDIS_SENTINEL_NODES", r#"[["a", 26380], ["b", "1"]]"#),
        ("REDIS_SENTINEL_PASSWORD", "hush-too"),
        ("REDIS_SERVICE_NAME", "m"),
        ("REDIS_DB", "2"),
    ]);
    for (text, env, shown, url) in [
        (
            "router_settings: {redis_startup_nodes: [{host: a, port: 7001}, {host: '::1', port: '2'}], redis_password: hush}",
            &none,
            "redis+cluster://a:7001,[::1]:2",
            "redis://:hush@a:7001/0",
        ),
        (
            "router_settings: {redis_startup_nodes: ['a:7001', b, '[::1]:3', '::1']}",
            &none,
            "redis+cluster://a:7001,b:6379,[::1]:3,[::1]:6379",
            "redis://a:7001/0",
        ),
        (
            "router_settings: {redis_sentinel_nodes: 'a:1, b', redis_service_name: m, redis_username: u, redis_password: hush}",
            &none,
            "redis+sentinel://a:1,b:26379/m/0",
            "redis://u:hush@a:1/0",
        ),
        (
            "general_settings: {coordination_redis: {sentinel_nodes: [[a, 1]], service_name: m, ssl: true, db: 3}}\nrouter_settings: {redis_host: h}",
            &none,
            "rediss+sentinel://a:1/m/3",
            "rediss://a:1/3",
        ),
        (
            "",
            &cluster,
            "rediss+cluster://a:7001,b:6379",
            "rediss://:hush@a:7001/0",
        ),
        (
            "",
            &sentinels,
            "redis+sentinel://a:26380,b:1/m/2",
            "redis://a:26380/2",
        ),
        // What the file names wins.
        (
            "router_settings: {redis_host: h}",
            &cluster,
            "redis://h:6379/0",
            "redis://h:6379/0",
        ),
    ] {
        let found = redis(text, env).unwrap().unwrap();
        assert_eq!(found.shown, shown, "{text}");
        assert_eq!(found.url.expose(), url, "{text}");
        assert!(!format!("{found:?}").contains("hush"), "{found:?}");
    }
}
