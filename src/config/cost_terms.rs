//! `cost_discount_config` and `cost_margin_config`: what the operator takes off a provider's price and puts on top.

use std::mem;

use rust_decimal::Decimal;

use super::error::NoticeKind;
use super::providers::Provider;
use super::report::Report;
use super::validate::Placed;
use super::yaml::{KeyPath, Node};
use crate::cost::{Terms, parse_price};

const DISCOUNTS: &str = "cost_discount_config";
const MARGINS: &str = "cost_margin_config";
/// Stands for every provider without a margin of its own.
const GLOBAL: &str = "global";

/// Sets the terms of every deployment's provider.
pub(super) fn apply(root: &Node, deployments: &mut [Placed], report: &mut Report<'_>) {
    let Some(settings) = root.get("litellm_settings") else {
        return;
    };
    let path = KeyPath::of(&["litellm_settings"]);
    let mut discounts = Vec::new();
    each(
        settings,
        &path,
        DISCOUNTS,
        report,
        |name, value, path, report| {
            let part = amount(Some(value), path, report).filter(|part| *part <= Decimal::ONE);
            if part.is_none() && !report.has_problem(path) {
                report.problem(path, "is more than all", "write a part of 1, such as 0.05");
            }
            discounts.extend(part.map(|part| (name, part)));
        },
    );
    let mut margins = Vec::new();
    each(
        settings,
        &path,
        MARGINS,
        report,
        |name, value, path, report| {
            let (margin, fixed) = match value {
                Node::Map(_) => (
                    amount(value.get("percentage"), &path.key("percentage"), report),
                    amount(value.get("fixed_amount"), &path.key("fixed_amount"), report),
                ),
                part => (amount(Some(part), path, report), None),
            };
            margins.push((name, margin.unwrap_or_default(), fixed.unwrap_or_default()));
        },
    );
    for (_, deployment) in deployments {
        let of = |name: &str| margins.iter().find(|(known, ..)| known == name);
        let provider = deployment.provider.name;
        let discount = discounts.iter().find(|(known, _)| known == provider);
        let margin = of(provider).or_else(|| of(GLOBAL));
        let terms = Terms {
            discount: discount.map_or(Decimal::ZERO, |(_, part)| *part),
            margin: margin.map_or(Decimal::ZERO, |(_, part, _)| *part),
            fixed: margin.map_or(Decimal::ZERO, |(.., fixed)| *fixed),
        };
        deployment.prices = mem::take(&mut deployment.prices).under(&terms);
    }
}

/// Calls `visit` with every provider of the mapping called `key`, by its name here.
fn each<'r>(
    settings: &Node,
    path: &KeyPath,
    key: &str,
    report: &mut Report<'r>,
    mut visit: impl FnMut(String, &Node, &KeyPath, &mut Report<'r>),
) {
    let path = path.key(key);
    match settings.get(key) {
        None | Some(Node::Null) => {}
        Some(Node::Map(map)) => {
            for entry in &map.0 {
                let path = path.key(&entry.key);
                let known = Provider::by_name(&entry.key).map(|provider| provider.name);
                let global = key == MARGINS && entry.key == GLOBAL;
                match known.or(global.then_some(GLOBAL)) {
                    Some(name) => visit(name.to_owned(), &entry.value, &path, report),
                    None => report.notice(
                        NoticeKind::Adjusted,
                        &path,
                        "has no effect: no provider is called so",
                    ),
                }
            }
        }
        Some(other) => {
            let what = format!("expected a mapping, found {}", other.describe());
            report.problem(&path, what, "write `provider: 0.05` lines, indented");
        }
    }
}

fn amount(value: Option<&Node>, path: &KeyPath, report: &mut Report<'_>) -> Option<Decimal> {
    let text = match value? {
        Node::Number(number) => number.text.as_str(),
        Node::Text(text) => text.as_str(),
        _ => "",
    };
    let amount = parse_price(text);
    if amount.is_none() {
        report.problem(
            path,
            "is not an amount",
            "write a number, 0 or more, such as 0.05",
        );
    }
    amount
}
