//! Any body of an Anthropic client: refused with a place named, or fit for servers of both dialects.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_wire::exchange::{self, Dialect, EncodeOptions, MaxTokensField};
use trunkline_wire::json::Object;
use trunkline_wire::{Endpoint, RequestPeek};

fuzz_target!(|body: &[u8]| {
    let Ok(peek) = RequestPeek::parse(Endpoint::Messages, body) else {
        return;
    };
    for (dialect, provider) in [
        (Dialect::Anthropic, "anthropic"),
        (Dialect::OpenAi, "openai"),
        (Dialect::OpenAi, "openrouter"),
    ] {
        let options = EncodeOptions {
            upstream_model: "o3\"x",
            endpoint: Endpoint::Messages,
            max_tokens_field: MaxTokensField::Keep,
            max_output_tokens: Some(4096),
            drop_params: true,
            additional_drop_params: &["tools[*].strict".to_owned(), "user".to_owned()],
            allowed_openai_params: &[],
            defaults: &Default::default(),
            extra_body: &Default::default(),
            provider,
            api_version: None,
        };
        match exchange::encode(dialect, &Bytes::copy_from_slice(body), &peek, &options) {
            Ok(encoded) => {
                let object = Object::parse(&encoded.body).expect("what is sent is an object");
                assert!(object.get("model").is_some());
            }
            Err(err) => {
                assert_eq!(dialect, Dialect::OpenAi, "bytes are passed on as they are");
                assert!(err.param.is_some());
            }
        }
    }
});
