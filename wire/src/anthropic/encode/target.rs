//! What the translation of one request knows of its target, and what it has to tell about itself.

use std::borrow::Cow;

use crate::BadRequest;
use crate::anthropic::JSON_TOOL;
use crate::anthropic::models::{self, Model};
use crate::exchange::EncodeOptions;
use crate::tool_names::{NameRules, ToolNames};

/// Anthropic's rule for tool names: `^[a-zA-Z0-9_-]{1,64}$` (API reference, "Messages", `tools`; some models take more).
const TOOL_NAMES: NameRules = NameRules {
    max_bytes: 64,
    punctuation: b"_-",
    reserved: &[JSON_TOOL],
};

/// The model that is asked, and notes on the way.
pub(super) struct Target<'a> {
    pub(super) options: &'a EncodeOptions<'a>,
    pub(super) model: Model,
    pub(super) dropped: Vec<String>,
    pub(super) betas: Vec<&'static str>,
    pub(super) names: ToolNames,
}

// === impl Target ===

impl<'a> Target<'a> {
    pub(super) fn new(options: &'a EncodeOptions<'a>) -> Self {
        Self {
            options,
            model: models::named(options.upstream_model),
            dropped: Vec::new(),
            betas: Vec::new(),
            names: ToolNames::default(),
        }
    }

    /// Says that the model cannot have `param`: an error, or a drop when the deployment allows it.
    pub(super) fn cannot(&mut self, param: &str) -> Result<(), BadRequest> {
        if !self.options.drop_params {
            return Err(self.options.unsupported(param));
        }
        self.drop(param);
        Ok(())
    }

    /// Notes that `param` was left out.
    pub(super) fn drop(&mut self, param: &str) {
        if !self.dropped.iter().any(|dropped| dropped == param) {
            self.dropped.push(param.to_owned());
        }
    }

    /// Notes a beta that the body needs.
    pub(super) fn beta(&mut self, beta: &'static str) {
        if !self.betas.contains(&beta) {
            self.betas.push(beta);
        }
    }

    /// The name under which a tool is sent.
    pub(super) fn tool_name<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        self.names.sent(name, &TOOL_NAMES)
    }

    /// Whether the deployment wants this member sent whatever the tables say.
    pub(super) fn allows(&self, key: &str) -> bool {
        self.options
            .allowed_openai_params
            .iter()
            .any(|name| name == key)
    }
}
