//! Limits that admit nothing, budgets that cannot be kept, parameters that look like a slip of the pen.

use std::collections::BTreeSet;

use super::error::NoticeKind;
use super::keys::{self, Kind, Others, Section, Status};
use super::report::Report;
use super::suggest::nearest;
use super::validate::Placed;
use super::yaml::{KeyPath, Node};
use crate::cost::PriceBook;

/// Walks the whole file once for values that no single reader sees.
pub(super) fn check(
    root: &Node,
    deployments: &[Placed],
    book: &PriceBook,
    report: &mut Report<'_>,
) {
    let mut unknown = 0;
    each_key(
        root,
        &KeyPath::default(),
        "",
        &mut |section, name, path, value| {
            limit(section, name, path, value, report);
            let sent = section.others == Others::Sent
                && !MEMBERS.contains(&name)
                && section.key(name).is_none();
            if sent && unknown < MOST_UNKNOWN {
                unknown += 1;
                sent_by_mistake(section, name, path, report);
            }
        },
    );
    budgets(root, deployments, book, report);
}

/// Calls `visit` with every key of every known section.
fn each_key(
    node: &Node,
    path: &KeyPath,
    dotted: &str,
    visit: &mut impl FnMut(&'static Section, &str, &KeyPath, &Node),
) {
    match node {
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if matches!(item, Node::Map(_)) {
                    each_key(item, &path.index(index), dotted, visit);
                }
            }
        }
        Node::Map(map) => {
            let Some(section) = keys::section(dotted) else {
                return;
            };
            for entry in &map.0 {
                let path = path.key(&entry.key);
                visit(section, &entry.key, &path, &entry.value);
                let below = if dotted.is_empty() {
                    entry.key.clone()
                } else {
                    format!("{dotted}.{}", entry.key)
                };
                each_key(&entry.value, &path, &below, visit);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {}
    }
}

/// A limit of nothing, or below nothing, is met by no request.
fn limit(section: &Section, name: &str, path: &KeyPath, value: &Node, report: &mut Report<'_>) {
    let Some(key) = section.key(name) else {
        return;
    };
    let counts = key.kind == Kind::PerMinute || name.ends_with("max_parallel_requests");
    let money = key.kind == Kind::Usd;
    if !(counts || money) {
        return;
    }
    let number = match value {
        Node::Number(number) => number.value.as_f64(),
        Node::Text(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let Some(number) = number else { return };
    // A budget of nothing blocks on purpose, and LiteLLM writes 0 for "none".
    let never = number < 0.0 || (counts && number <= 0.0);
    if never && !report.has_problem(path) {
        let (what, fix) = if counts {
            ("would admit nothing", "write 1 or more, or remove the key")
        } else {
            ("is below zero", "write USD, 0 or more, or remove the key")
        };
        report.problem(path, what, fix);
    }
}

/// Members of a request that clients know too, so they are no slips of the pen.
const MEMBERS: &[&str] = &[
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "n",
    "stop",
    "seed",
    "user",
    "tools",
    "tool_choice",
    "stream",
    "stream_options",
    "store",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "modalities",
    "audio",
    "metadata",
    "prediction",
    "prompt",
    "suffix",
    "echo",
    "best_of",
    "dimensions",
    "encoding_format",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "thinking",
    "service_tier",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "verbosity",
    "web_search_options",
    "safety_identifier",
    "prompt_cache_key",
    "provider",
    "plugins",
    "transforms",
    "route",
    "models",
    "format",
    "options",
    "keep_alive",
    "think",
    "input",
];

/// So many unknown parameters are compared with the known ones.
const MOST_UNKNOWN: usize = 1000;

/// An unknown parameter goes into the provider's request; one that is nearly a known key hardly should.
fn sent_by_mistake(section: &Section, name: &str, path: &KeyPath, report: &mut Report<'_>) {
    let known = section.keys.iter().map(|key| key.name);
    if let Some(near) = nearest(
        name,
        known.filter(|known| !known.contains('*') && known.len() > 3),
    ) {
        let message =
            format!("is not a known key, so it goes to the provider; did you mean `{near}`?");
        report.notice(NoticeKind::Weak, path, message);
    }
}

/// A budget counts cost, so what it covers needs a price.
fn budgets(root: &Node, deployments: &[Placed], book: &PriceBook, report: &mut Report<'_>) {
    let budget = budget(root);
    let mut said: Option<&KeyPath> = None;
    for (path, deployment) in deployments {
        let own = deployment.budget.is_some();
        let own = own.then(|| path.key("litellm_params").key("max_budget"));
        let covering = || {
            let budget = budget.as_ref()?;
            let covers = budget.covers(&deployment.model_name);
            covers.then(|| budget.path.clone())
        };
        if deployment.has_price(book) || said == Some(path) {
            continue;
        }
        let Some(budget) = own.or_else(covering) else {
            continue;
        };
        let message = format!(
            "no price is known for {}/{}, so {budget} does not count it; write input_cost_per_token and output_cost_per_token",
            deployment.provider.name, deployment.upstream_model
        );
        report.notice(
            NoticeKind::Weak,
            &path.key("litellm_params").key("model"),
            message,
        );
        // The deployments of one entry follow each other.
        said = Some(path);
    }
}

/// The first budget of a file, and whose models it covers.
struct Budget {
    path: KeyPath,
    models: BTreeSet<String>,
}

impl Budget {
    fn covers(&self, group: &str) -> bool {
        self.models.is_empty() || self.models.contains(group) || self.models.contains("*")
    }
}

fn budget(root: &Node) -> Option<Budget> {
    let mut found: Option<Budget> = None;
    each_key(
        root,
        &KeyPath::default(),
        "",
        &mut |section, name, path, value| {
            let Some(key) = section.key(name) else { return };
            // One that is planned counts too: the price will be wanted by then.
            let known = matches!(key.status, Status::Supported | Status::Planned(_));
            let set = match value {
                Node::Number(number) => number.value.as_f64().is_some_and(|usd| usd > 0.0),
                Node::Text(text) => text.trim().parse::<f64>().is_ok_and(|usd| usd > 0.0),
                _ => false,
            };
            // A deployment's own covers nobody else.
            let own = section.path == "model_list.litellm_params";
            if key.kind != Kind::Usd || !known || !set || own {
                return;
            }
            let models: BTreeSet<String> =
                match root.at(&path.parent()).and_then(|node| node.get("models")) {
                    Some(Node::List(models)) => models
                        .iter()
                        .filter_map(|model| match model {
                            Node::Text(model) => Some(model.clone()),
                            _ => None,
                        })
                        .collect(),
                    _ => BTreeSet::new(),
                };
            match &mut found {
                None => {
                    found = Some(Budget {
                        path: path.clone(),
                        models,
                    });
                }
                // Together they cover what either covers; no list of models covers all.
                Some(budget) if models.is_empty() => budget.models.clear(),
                Some(budget) if !budget.models.is_empty() => budget.models.extend(models),
                Some(_) => {}
            }
        },
    );
    found
}
