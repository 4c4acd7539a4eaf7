//! The deployment that a request is written for, and what had to be done for it.

use crate::exchange::EncodeOptions;
use crate::request::BadRequest;
use crate::tool_names::{NameRules, ToolNames};

/// Names of functions that `OpenAI` takes ("Create chat completion", `tools`, 2026-11-23); Anthropic's may be longer.
const TOOL_NAMES: NameRules = NameRules {
    max_bytes: 64,
    punctuation: b"_-",
    reserved: &[],
};

/// Goes through the translation, from part to part.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) options: &'a EncodeOptions<'a>,
    /// What was left out, to be told to the client.
    pub(super) dropped: Vec<String>,
    /// Tools whose names it does not take.
    pub(super) names: ToolNames,
}

// === impl Target ===

impl<'a> Target<'a> {
    pub(super) fn new(options: &'a EncodeOptions<'a>) -> Self {
        Self {
            options,
            dropped: Vec::new(),
            names: ToolNames::default(),
        }
    }

    /// Leaves out what is only a hint.
    pub(super) fn hint(&mut self, name: &str) {
        if !self.dropped.iter().any(|known| known == name) {
            self.dropped.push(name.to_owned());
        }
    }

    /// Leaves out `what` matters, if the deployment allows it.
    ///
    /// # Errors
    /// [`BadRequest`] about the member `name` when it does not.
    pub(super) fn refuse(&mut self, name: &str, what: &str) -> Result<(), BadRequest> {
        let options = self.options;
        if options.drop_params {
            self.hint(name);
            return Ok(());
        }
        let (provider, model) = (options.provider, options.upstream_model);
        Err(BadRequest::new(
            name,
            format!(
                "litellm.UnsupportedParamsError: {provider} does not support {what} for model={model}. Leave it out, or \
                 set `drop_params: true` to have the gateway drop it."
            ),
        ))
    }

    /// The name to send for a tool's.
    pub(super) fn tool_name(&mut self, name: &str) -> String {
        self.names.sent(name, &TOOL_NAMES).into_owned()
    }
}
