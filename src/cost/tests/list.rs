//! The built-in list and LiteLLM's price map.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::STANDARD;
use crate::cost::litellm::price_map;
use crate::cost::{
    Difference, Part, PriceBook, ServiceTier, When, compare, figure_key, parse_price, read_entry,
};

#[test]
fn litellm_keys_are_read_with_length_and_service() {
    let when = |above, service| When { above, service };
    for (key, want) in [
        (
            "input_cost_per_token",
            Some((Part::Input, when(0, STANDARD))),
        ),
        (
            "cache_creation_input_token_cost_above_1hr",
            Some((Part::CacheWrite1h, when(0, STANDARD))),
        ),
        (
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
            Some((Part::CacheWrite1h, when(200_000, STANDARD))),
        ),
        (
            "cache_creation_input_token_cost_above_200k_tokens",
            Some((Part::CacheWrite5m, when(200_000, STANDARD))),
        ),
        (
            "output_cost_per_token_above_272k_tokens_priority",
            Some((Part::Output, when(272_000, ServiceTier::Priority))),
        ),
        (
            "input_cost_per_token_batches",
            Some((Part::Input, when(0, ServiceTier::Batch))),
        ),
        ("input_cost_per_token_ultrafast", None),
        ("input_cost_per_token_above_0k_tokens", None),
        ("input_cost_per_video_per_second", None),
        ("output_vector_size", None),
    ] {
        assert_eq!(figure_key(key), want, "{key}");
    }
}

/// About forty entries of the price map that the list was made from, of every kind.
const SAMPLE: &str = include_str!("../../../tests/fixtures/prices/sample.json");

#[test]
fn the_list_says_what_its_source_says() {
    let sample = price_map(SAMPLE).unwrap();
    let book = PriceBook::built_in();
    let mut models = 0;
    for (provider, model, there) in sample.entries() {
        let here = book.lookup(provider, model).expect(model);
        // Figures are compared as decimals of 12 significant digits.
        assert_eq!(here.price, there.price, "{provider}/{model}");
        assert_eq!(here.uplifts, there.uplifts, "{provider}/{model}");
        assert_eq!(here.mode, there.mode, "{provider}/{model}");
        models += 1;
    }
    assert!(models >= 40, "{models}");
    let entries: BTreeMap<String, Value> = serde_json::from_str(SAMPLE).unwrap();
    assert_eq!(models, entries.len());
}

#[test]
fn every_model_of_the_list_has_a_price_and_its_figures_are_clean() {
    let book = PriceBook::built_in();
    assert_eq!(book.version(), "2026-11-22");
    let mut models = 0;
    for (provider, model, entry) in book.entries() {
        models += 1;
        assert!(!entry.price.is_empty(), "{provider}/{model}");
        for figure in entry.price.figures() {
            assert!(!figure.usd.is_sign_negative(), "{provider}/{model}");
            assert_eq!(
                parse_price(&figure.usd.to_string()),
                Some(figure.usd),
                "{provider}/{model}"
            );
        }
    }
    assert!(models > 3000, "{models}");
}

#[test]
fn a_broken_list_is_an_error() {
    for broken in [
        r#"{"version": "1", "providers": {"p": {"m": {"mode": "chat", "usd": {"inputs": "1"}}}}}"#,
        r#"{"version": "1", "providers": {"p": {"m": {"mode": "chat", "usd": {"input>x": "1"}}}}}"#,
        r#"{"version": "1", "providers": {"p": {"m": {"mode": "chat", "usd": {"input": "-1"}}}}}"#,
        r#"{"version": "1", "providers": {"p": {"m": {"mode": "chat"}}}}"#,
        "[]",
    ] {
        assert!(PriceBook::parse(broken).is_err(), "{broken}");
    }
}

#[test]
fn names_are_found_with_their_provider_as_a_snapshot_or_fine_tuned() {
    let book = PriceBook::built_in();
    let same = |provider: &str, name: &str, listed: &str| {
        let (found, listed) = (book.lookup(provider, name), book.lookup(provider, listed));
        assert!(listed.is_some(), "{name}");
        assert_eq!(found, listed, "{name}");
    };
    same("openai", "gpt-4o-2030-01-01", "gpt-4o");
    same("openai", "openai/gpt-4o", "gpt-4o");
    same("azure", "azure/gpt-4o", "gpt-4o");
    same(
        "openai",
        "ft:gpt-4o-mini-2024-07-18:acme::abc",
        "ft:gpt-4o-mini-2024-07-18",
    );
    assert_eq!(book.lookup("openai", "gpt-4o-unheard-of"), None);
    assert_eq!(book.lookup("nobody", "gpt-4o"), None);
    assert!(book.knows("openai", "gpt-4o") && !book.knows("openai", "openai/gpt-4o"));
}

#[test]
fn own_entries_count_over_the_list_and_the_version_says_so() {
    let entry = read_entry([("input_cost_per_token", "1e-06"), ("mode", "embedding")]).unwrap();
    let book = PriceBook::built_in().with(
        [("openai".to_owned(), "gpt-4o".to_owned(), entry.clone())],
        "abcd",
    );
    assert_eq!(book.lookup("openai", "gpt-4o"), Some(&entry));
    assert_eq!(book.version(), "2026-11-22+abcd");
    assert!(book.lookup("openai", "gpt-4o-mini").is_some());
    let names = book.models("openai");
    assert_eq!(names.iter().filter(|name| **name == "gpt-4o").count(), 1);
    assert_eq!(
        PriceBook::built_in().with([], "abcd").version(),
        "2026-11-22"
    );
}

#[test]
fn books_are_compared_model_by_model() {
    let book = |json: &str| price_map(json).unwrap();
    let here = book(
        r#"{"openai/a": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06},
            "openai/b": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06},
            "openai/c": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06}}"#,
    );
    let there = book(
        r#"{"a": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0.0000010000000000000002},
            "b": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2e-06},
            "d": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2e-06},
            "x": {"litellm_provider": "other", "mode": "chat", "input_cost_per_token": 2e-06}}"#,
    );
    let comparison = compare(&here, &there);
    assert_eq!((comparison.equal, comparison.other_providers), (1, 1));
    let difference = |model: &str, difference| ("openai".to_owned(), model.to_owned(), difference);
    assert_eq!(
        comparison.differences,
        [
            difference(
                "b",
                Difference::Figures(vec![(
                    "input".to_owned(),
                    Some(Decimal::new(1, 6)),
                    Some(Decimal::new(2, 6))
                )])
            ),
            difference("c", Difference::OnlyHere),
            difference("d", Difference::OnlyThere),
        ]
    );
    assert!(compare(&here, &here).is_equal());
}
