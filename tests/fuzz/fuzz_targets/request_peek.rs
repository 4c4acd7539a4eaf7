//! Any body: a peek or a 400, and what was peeked at can be encoded into an object.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_wire::exchange::{EncodeOptions, MaxTokensField};
use trunkline_wire::json::Object;
use trunkline_wire::openai::splice;
use trunkline_wire::{Endpoint, RequestPeek};

fuzz_target!(|body: &[u8]| {
    for endpoint in [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
    ] {
        let Ok(peek) = RequestPeek::parse(endpoint, body) else {
            continue;
        };
        let options = EncodeOptions {
            upstream_model: "o3\"x",
            endpoint,
            max_output_tokens: None,
            max_tokens_field: MaxTokensField::MaxTokens,
            drop_params: true,
            additional_drop_params: &["tools[*].function.strict".to_owned(), "user".to_owned()],
            allowed_openai_params: &[],
            defaults: &Default::default(),
            extra_body: &Default::default(),
            provider: "openai",
            api_version: None,
        };
        let encoded = splice::request(&Bytes::copy_from_slice(body), &peek, &options)
            .expect("parameters are dropped, not refused");
        let object = Object::parse(&encoded.body).expect("splicing keeps an object an object");
        assert!(object.get("model").is_some());
    }
});
