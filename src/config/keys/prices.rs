//! The price keys, which `litellm_params` and `model_info` have in common.

use super::Kind::{Number, UsdPerToken};
use super::{Key, on};

pub(super) const PRICES: &[Key] = &[
    on(
        "input_cost_per_token",
        UsdPerToken,
        "price list",
        "own price, as the next ones; a part without one has the list's. What is said here for a part replaces all that the list says of it",
    ),
    on("output_cost_per_token", UsdPerToken, "price list", ""),
    on("cache_read_input_token_cost", UsdPerToken, "price list", ""),
    on(
        "cache_creation_input_token_cost",
        UsdPerToken,
        "price list",
        "",
    ),
    on(
        "cache_creation_input_token_cost_above_1hr",
        UsdPerToken,
        "price list",
        "",
    ),
    on("input_cost_per_audio_token", UsdPerToken, "price list", ""),
    on("input_cost_per_image_token", UsdPerToken, "price list", ""),
    on(
        "output_cost_per_reasoning_token",
        UsdPerToken,
        "price list",
        "",
    ),
    on("output_cost_per_audio_token", UsdPerToken, "price list", ""),
    on("output_cost_per_image_token", UsdPerToken, "price list", ""),
    on(
        "input_cost_per_request",
        Number,
        "price list",
        "USD for the call itself",
    ),
    on(
        "input_cost_per_query",
        Number,
        "price list",
        "USD per query or search unit of a reranker",
    ),
    on(
        "input_cost_per_image",
        Number,
        "price list",
        "USD per picture sent, or made where `output_cost_per_image` is not known",
    ),
    on(
        "output_cost_per_image",
        Number,
        "price list",
        "USD per picture made",
    ),
    on(
        "input_cost_per_pixel",
        Number,
        "price list",
        "USD per pixel made",
    ),
    on(
        "input_cost_per_character",
        Number,
        "price list",
        "USD per character sent",
    ),
    on(
        "output_cost_per_character",
        Number,
        "price list",
        "USD per character answered",
    ),
    on(
        "input_cost_per_second",
        Number,
        "price list",
        "USD per second of audio sent",
    ),
    on(
        "output_cost_per_second",
        Number,
        "price list",
        "USD per second of audio made, or sent where `input_cost_per_second` is not known",
    ),
    on(
        "input_cost_per_*",
        Number,
        "price list",
        "the above for long prompts and other services: `_above_128k_tokens` (any length, counts for the whole request), `_batches`, `_flex`, `_priority`, or a length and a service, in this order, behind the key",
    ),
    on("output_cost_per_*", Number, "price list", ""),
    on("cache_read_input_*", Number, "price list", ""),
    on("cache_creation_input_*", Number, "price list", ""),
];
