//! A client's own request made fit for an `OpenAI`-compatible server: its bytes, with single spans spliced.

use bytes::Bytes;

use super::params;
use crate::exchange::{EncodeOptions, Encoded, MaxTokensField};
use crate::json::{Object, Splice, quoted};
use crate::overrides;
use crate::request::{BadRequest, Endpoint, RequestPeek};

/// Makes a client's body fit for a deployment, changing nothing but the spans that must change.
///
/// # Errors
/// [`BadRequest`] when the body is not an object, or holds a parameter that the model does not take and `drop_params`
/// is off.
pub fn request(
    body: &Bytes,
    peek: &RequestPeek,
    options: &EncodeOptions<'_>,
) -> Result<Encoded, BadRequest> {
    // `peek` was read from it, so its syntax was checked.
    let object = Object::checked(body)?;
    let mut splice = Splice::new(&object);
    splice.set("model", quoted(options.upstream_model));
    let is_gateway_field = |key: &str| params::is_gateway_field(options.provider, key);
    let mut dropped = overrides::remove(&object, &mut splice, options, is_gateway_field);
    drop_unsupported(&object, &mut splice, options, &mut dropped)?;
    if options.endpoint == Endpoint::ChatCompletions {
        rename_max_tokens(&mut splice, options);
    }
    if peek.stream && options.endpoint != Endpoint::Embeddings {
        splice.set_within("stream_options", "include_usage", b"true");
    }
    overrides::add(&mut splice, options, |_| true);
    Ok(Encoded {
        body: splice.finish(),
        dropped,
        ..Encoded::default()
    })
}

fn drop_unsupported(
    object: &Object<'_>,
    splice: &mut Splice<'_>,
    options: &EncodeOptions<'_>,
    dropped: &mut Vec<String>,
) -> Result<(), BadRequest> {
    let effort: Option<String> = object
        .get("reasoning_effort")
        .and_then(|effort| serde_json::from_str(effort.get()).ok());
    let model = (options.provider, options.upstream_model);
    for (key, value) in object.members() {
        let allowed = options.allowed_openai_params.iter().any(|name| name == key);
        if allowed
            || !splice.contains(key)
            || !params::is_unsupported(model, options.endpoint, effort.as_deref(), key, value)
        {
            continue;
        }
        if !options.drop_params {
            return Err(options.unsupported(key));
        }
        splice.remove(key);
        dropped.push(key.to_owned());
    }
    Ok(())
}

fn rename_max_tokens(splice: &mut Splice<'_>, options: &EncodeOptions<'_>) {
    let (from, to) = match options.max_tokens_field {
        MaxTokensField::MaxTokens => ("max_completion_tokens", "max_tokens"),
        MaxTokensField::MaxCompletionTokens => ("max_tokens", "max_completion_tokens"),
        MaxTokensField::Keep
            if params::needs_max_completion_tokens(options.provider, options.upstream_model) =>
        {
            ("max_tokens", "max_completion_tokens")
        }
        MaxTokensField::Keep => return,
    };
    // With both present the newer name wins, as it does in `RequestPeek::max_tokens`.
    if from == "max_tokens" && splice.contains(to) {
        splice.remove(from);
    } else {
        splice.rename(from, to);
    }
}
