//! `enable_pre_call_checks`: whose context window a prompt does not fit into, found out before anybody is called.
//!
//! A prompt that is short by its bytes costs nothing here. Near a limit, and above it, the tokenizer counts, once for all models
//! that count alike: bytes alone refuse nobody, since a picture or a page of spaces has far fewer tokens than bytes say.
//! What cannot be counted is the provider's to judge. Only chats are looked at: a list of texts to embed or complete has a
//! window for each.

use std::sync::Arc;

use trunkline_actors::supervisor::{Resolved, RoutingTable, TooLong};
use trunkline_wire::request::Endpoint;

use super::admit::tokens_of_bytes;
use super::{Inbound, Shared, Targets};
use crate::tokenizer::{Tokenizer, count_chat_in_background};

/// A prompt may have this many times the tokens that its bytes say: most scripts and code stay below.
const DOUBT: u64 = 2;

/// Counts made for this request; `None`: it cannot be counted.
type Counts = Vec<(Tokenizer, Option<u64>)>;

/// Whether the length of this prompt is looked at.
pub(super) fn is_wanted(shared: &Shared, inbound: &Inbound) -> bool {
    let is_chat = matches!(
        inbound.endpoint,
        Endpoint::ChatCompletions | Endpoint::Messages
    );
    shared.router.enable_pre_call_checks && is_chat
}

/// The deployments of the group, and of those that fallbacks may lead to, that the prompt is too long for.
pub(super) async fn too_long(
    targets: &Targets,
    inbound: &Inbound,
    table: &RoutingTable,
    resolved: &Resolved,
) -> Vec<TooLong> {
    let mut groups = vec![resolved.clone()];
    if !inbound.peek.disable_fallbacks {
        groups.extend(table.within_reach(resolved, inbound.peek.fallbacks.as_deref()));
    }
    let mut counts = Counts::new();
    let mut too_long = Vec::new();
    for (id, upstream_model) in groups.iter().flat_map(Resolved::deployments) {
        let Some(target) = targets.get(id.as_str()) else {
            continue;
        };
        let Some(window) = target.max_input_tokens(upstream_model) else {
            continue;
        };
        if surely_fits(inbound, window) {
            continue;
        }
        let tokenizer = target.tokenizer(upstream_model);
        if let Some(prompt_tokens) = count(&mut counts, tokenizer, inbound).await
            && prompt_tokens > window
        {
            too_long.push(TooLong {
                deployment: id.clone(),
                upstream_model: Arc::from(upstream_model),
                window,
                prompt_tokens,
            });
        }
    }
    too_long
}

/// The whole body counts here, tools included.
fn surely_fits(inbound: &Inbound, window: u64) -> bool {
    tokens_of_bytes(inbound.body.len()).saturating_mul(DOUBT) <= window
}

async fn count(counts: &mut Counts, tokenizer: Tokenizer, inbound: &Inbound) -> Option<u64> {
    let known = counts
        .iter()
        .find(|(other, _)| other.counts_like(&tokenizer));
    if let Some((_, tokens)) = known {
        return *tokens;
    }
    let counted = count_chat_in_background(tokenizer, inbound.body.clone()).await;
    let tokens = counted.ok().and_then(|tokens| u64::try_from(tokens).ok());
    counts.push((tokenizer, tokens));
    tokens
}
