//! What the operator puts over the price list: entries for models, and a price map of one's own.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::NoticeKind;
use super::include;
use super::prices;
use super::providers::Provider;
use super::raw::RawTrunkline;
use super::report::Report;
use super::yaml::{KeyPath, Node};
use crate::cost::{PriceBook, PricedModel, read_book, read_entry};

/// No operator has so many; this keeps nonsense out.
const MOST_ENTRIES: usize = 10_000;

/// The built-in list, with `trunkline.model_prices_file` over it and `trunkline.model_prices` over both.
pub(super) fn book(
    root: &Node,
    own: &RawTrunkline,
    main: Option<&Path>,
    report: &mut Report<'_>,
) -> PriceBook {
    let built_in = PriceBook::built_in();
    let mut hash = Sha256::new();
    let mut entries = Vec::new();
    if let Some(name) = &own.model_prices_file {
        let path = KeyPath::of(&["trunkline", "model_prices_file"]);
        entries.extend(file(name, main, &path, &mut hash, report));
    }
    let path = KeyPath::of(&["trunkline", "model_prices"]);
    match root
        .get("trunkline")
        .and_then(|own| own.get("model_prices"))
    {
        None | Some(Node::Null) => {}
        Some(node @ Node::Map(map)) if map.0.len() <= MOST_ENTRIES => {
            hash.update(node.to_json().to_string());
            for entry in &map.0 {
                entries.extend(model(
                    &entry.key,
                    &entry.value,
                    &path.key(&entry.key),
                    report,
                ));
            }
        }
        Some(_) => report.problem(
            &path,
            "is no mapping of models",
            "write `provider/model:` and its prices below, indented",
        ),
    }
    let version: String = hex::encode(hash.finalize()).chars().take(8).collect();
    built_in.with(entries, &version)
}

type Entry = (String, String, PricedModel);

fn file(
    name: &str,
    main: Option<&Path>,
    path: &KeyPath,
    hash: &mut Sha256,
    report: &mut Report<'_>,
) -> Vec<Entry> {
    // Relative to the config file, as `include` is.
    let folder = main.and_then(Path::parent).unwrap_or(Path::new(""));
    let read = include::read_text(&folder.join(name), "write the path of a price map");
    let text = match read {
        Ok(text) => text,
        Err((what, fix)) => {
            report.problem(path, what, fix);
            return Vec::new();
        }
    };
    match read_book(&text) {
        Ok(book) => {
            hash.update(&text);
            book.entries()
                .map(|(provider, model, entry)| {
                    (provider.to_owned(), model.to_owned(), entry.clone())
                })
                .collect()
        }
        Err(err) => {
            report.problem(
                path,
                format!("cannot be used: {err}"),
                "write the path of a LiteLLM price map or of a list like config/model_prices.json",
            );
            Vec::new()
        }
    }
}

/// `openai/gpt-4o: {input_cost_per_token: 2.5e-06, …}`; a bare name with `litellm_provider` beside the prices too.
fn model(name: &str, node: &Node, path: &KeyPath, report: &mut Report<'_>) -> Option<Entry> {
    let Node::Map(map) = node else {
        report.problem(path, "is no mapping", "write its prices below, indented");
        return None;
    };
    // Says what is wrong with each.
    prices::read(node, path, report);
    for entry in map.0.iter().filter(|entry| !is_known(&entry.key)) {
        let message = "has no effect: it is no price and nothing that is known of a model";
        report.notice(NoticeKind::Adjusted, &path.key(&entry.key), message);
    }
    let texts = map.0.iter().filter_map(|entry| {
        let text = match &entry.value {
            Node::Number(number) => number.text.as_str(),
            Node::Text(text) => text.as_str(),
            _ => return None,
        };
        Some((entry.key.as_str(), text))
    });
    let texts: Vec<(&str, &str)> = texts.collect();
    let said = texts
        .iter()
        .find(|(key, _)| *key == "litellm_provider")
        .map(|(_, provider)| *provider);
    let Some((provider, model)) = place(name, said) else {
        report.problem(
            path,
            "does not say whose model it is",
            "write `provider/model`, such as `openai/gpt-4o`, or `litellm_provider:` beside the prices",
        );
        return None;
    };
    let entry = read_entry(texts);
    if entry.is_none() {
        report.problem(
            path,
            "has no price",
            "write `input_cost_per_token: 2.5e-06` and the like below it",
        );
    }
    Some((provider, model, entry?))
}

/// What an entry may say; of prices [`prices::read`] speaks.
fn is_known(key: &str) -> bool {
    const FACTS: &[&str] = &[
        "litellm_provider",
        "mode",
        "max_tokens",
        "max_input_tokens",
        "max_output_tokens",
        "regional_endpoint_uplift_multiplier",
        "regional_processing_uplift_multiplier_eu",
        "regional_processing_uplift_multiplier_us",
        "source",
    ];
    FACTS.contains(&key)
        || key.starts_with("supports_")
        || prices::FAMILIES
            .iter()
            .any(|family| key.starts_with(family))
}

fn place(name: &str, said: Option<&str>) -> Option<(String, String)> {
    if let Some(said) = said {
        let provider = Provider::by_name(said)?;
        let model = name
            .strip_prefix(said)
            .and_then(|rest| rest.strip_prefix('/'));
        return Some((provider.name.to_owned(), model.unwrap_or(name).to_owned()));
    }
    let (prefix, model) = name.split_once('/')?;
    Some((Provider::by_name(prefix)?.name.to_owned(), model.to_owned()))
}
