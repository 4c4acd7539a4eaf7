//! Any answer: decoded into something that decodes again to the same, or classified.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_wire::Endpoint;
use trunkline_wire::openai::{decode, error};

fuzz_target!(|body: &[u8]| {
    let err = error::classify(400, None, None, body);
    assert!(!err.message.is_empty());
    for endpoint in [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
    ] {
        let body = Bytes::copy_from_slice(body);
        if let Ok(decoded) = decode::response(endpoint, body, Some("requested")) {
            let again = decode::response(endpoint, decoded.body.clone(), Some("requested"))
                .expect("a restamped answer is an answer");
            assert_eq!(again.body, decoded.body);
            assert_eq!(again.usage, decoded.usage);
        }
    }
});
