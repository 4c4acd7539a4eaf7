//! The table against the structs, and against the documentation.

use std::collections::BTreeSet;
use std::env;
use std::error::Error as StdError;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

use super::super::raw::{
    RawAllowedFails, RawCache, RawClientGone, RawEntry, RawFleet, RawGeneral, RawInfo, RawJournal,
    RawJwt, RawLitellm, RawLogging, RawParams, RawQueue, RawRateLimits, RawReceipts, RawRedis,
    RawRetries, RawRouter, RawStrategyArgs, RawTimeouts, RawTranscripts, RawTrunkline, RawUser,
};
use super::{Key, SECTIONS, Status, key, markdown, section};
use crate::cost::Part;

/// Asks a struct for its fields and reads nothing.
struct Ask<'a>(&'a mut Vec<&'static str>);

#[derive(Debug)]
struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asked")
    }
}

impl StdError for Asked {}

impl Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        self.0.extend(fields);
        Err(Asked)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut fields = Vec::new();
    assert!(T::deserialize(Ask(&mut fields)).is_err());
    fields
}

#[test]
fn the_table_and_the_structs_know_the_same_keys() {
    let prices: Vec<&str> = Part::all().map(Part::litellm_key).collect();
    let families = [
        "input_cost_per_*",
        "output_cost_per_*",
        "cache_read_input_*",
        "cache_creation_input_*",
    ];
    let with = |more: &[&'static str]| [prices.as_slice(), &families, more].concat();
    // With the keys that are acted on without being a field.
    for (path, fields, besides) in [
        (
            "model_list",
            fields::<RawEntry>(),
            vec!["litellm_params", "model_info"],
        ),
        (
            "model_list.litellm_params",
            fields::<RawParams>(),
            with(&["extra_body", "litellm_credential_name"]),
        ),
        (
            "model_list.model_info",
            fields::<RawInfo>(),
            with(&["supports_*", "tier"]),
        ),
        ("router_settings", fields::<RawRouter>(), vec![]),
        (
            "router_settings.routing_strategy_args",
            fields::<RawStrategyArgs>(),
            vec![],
        ),
        (
            "router_settings.retry_policy",
            fields::<RawRetries>(),
            vec![],
        ),
        (
            "router_settings.allowed_fails_policy",
            fields::<RawAllowedFails>(),
            vec![],
        ),
        (
            "litellm_settings",
            fields::<RawLitellm>(),
            vec![
                "callbacks",
                "cost_discount_config",
                "cost_margin_config",
                "priority_reservation",
                "priority_reservation_settings",
            ],
        ),
        (
            "litellm_settings.cache_params",
            fields::<RawCache>(),
            vec![],
        ),
        ("general_settings", fields::<RawGeneral>(), vec![]),
        (
            "general_settings.coordination_redis",
            fields::<RawRedis>(),
            vec![],
        ),
        (
            "general_settings.litellm_jwtauth",
            fields::<RawJwt>(),
            vec![],
        ),
        ("trunkline", fields::<RawTrunkline>(), vec!["model_prices"]),
        ("trunkline.timeouts", fields::<RawTimeouts>(), vec![]),
        ("trunkline.client_gone", fields::<RawClientGone>(), vec![]),
        ("trunkline.receipts", fields::<RawReceipts>(), vec![]),
        ("trunkline.journal", fields::<RawJournal>(), vec![]),
        ("trunkline.transcripts", fields::<RawTranscripts>(), vec![]),
        ("trunkline.fleet", fields::<RawFleet>(), vec![]),
        ("trunkline.queue", fields::<RawQueue>(), vec![]),
        ("user_config", fields::<RawUser>(), vec![]),
        ("rate_limit_config", fields::<RawRateLimits>(), vec![]),
        ("cache_settings", fields::<RawCache>(), vec![]),
        ("logging", fields::<RawLogging>(), vec![]),
    ] {
        let keys = section(path).unwrap().keys;
        let in_table: BTreeSet<&str> = keys.iter().map(|key| key.name).collect();
        let read: BTreeSet<&str> = fields.into_iter().chain(besides).collect();
        assert!(!read.is_empty(), "{path}");
        let missing: Vec<_> = read.difference(&in_table).collect();
        assert!(missing.is_empty(), "{path}: not in the table: {missing:?}");
        let supported: BTreeSet<&str> = keys
            .iter()
            .filter(|key| key.status == Status::Supported)
            .map(|key| key.name)
            .collect();
        let unread: Vec<_> = supported.difference(&read).collect();
        assert!(
            unread.is_empty(),
            "{path}: supported and not read: {unread:?}"
        );
    }
}

#[test]
fn sections_and_their_keys_are_named_once_and_explained() {
    let paths: BTreeSet<&str> = SECTIONS.iter().map(|section| section.path).collect();
    assert_eq!(paths.len(), SECTIONS.len());
    for section in SECTIONS {
        let mut seen = BTreeSet::new();
        let mut before: Option<&Key> = None;
        for key in section.keys {
            let place = format!("{}.{}", section.path, key.name);
            assert!(seen.insert(key.name), "{place} twice");
            if let Status::Ignored(reason) | Status::Refused(reason) = key.status {
                assert!(!reason.is_empty(), "{place}");
            }
            let cells = [key.name, key.default, key.meaning].concat();
            assert!(!cells.contains(['|', '\n']), "{place}");
            // An empty meaning refers to the row above.
            assert!(before.is_some() || !key.meaning.is_empty(), "{place}");
            before = Some(key);
        }
        // The section is itself a key of the one above.
        if !section.path.is_empty() {
            assert!(key(section.path).is_some(), "{}", section.path);
        }
    }
}

#[test]
fn keys_are_found_by_name_then_by_family() {
    for (path, want) in [
        ("router_settings.redis_host", Some("redis_host")),
        ("router_settings.redis_nodes", Some("redis_*")),
        ("router_settings.rredis_host", None),
        ("user_config", Some("user_config")),
        ("user_configs", None),
        ("x-anchors", Some("x-*")),
        ("model_list.litellm_params.aws_region_name", Some("aws_*")),
        ("model_list.litellm_params.temperature", None),
        (
            "model_list.litellm_params.input_cost_per_token_batches",
            Some("input_cost_per_*"),
        ),
        ("trunkline.timeouts.idle", Some("idle")),
        ("nothing.of.this", None),
    ] {
        assert_eq!(key(path).map(|key| key.name), want, "{path}");
    }
}

/// `TRUNKLINE_BLESS=1` writes the table into the documentation instead of comparing.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a flag of the test run, not of the gateway"
)]
fn the_documentation_has_this_table() {
    const BEGIN: &str =
        "<!-- keys: begin (written by the test `the_documentation_has_this_table`) -->\n";
    const END: &str = "<!-- keys: end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the first marker");
    let (table, after) = rest.split_once(END).expect("the second marker");
    let want = format!("{}\n", markdown());
    if env::var("TRUNKLINE_BLESS").is_ok_and(|value| value == "1") {
        fs::write(&path, format!("{before}{BEGIN}{want}{END}{after}")).unwrap();
    } else {
        assert_eq!(table, want, "run with TRUNKLINE_BLESS=1 to write it anew");
    }
}
