//! Neutral requests as Anthropic's Messages API takes them.
//!
//! | file | job |
//! | --- | --- |
//! | `adjust` | the deployment's defaults and dropped members, on the client's own spelling |
//! | `target` | what is known of the model, what was dropped, which betas are needed |
//! | `messages`, `parts`, `blocks` | the conversation: turns, what they say, how that is spelled |
//! | `tools` | tools, the choice among them, web search |
//! | `output` | the form of the answer |
//! | `thinking` | thinking, effort, the limit of tokens |
//! | `params` | everything else: passed on, renamed, refused |
//! | `betas` | what must be asked for in a header |
//! | `body` | writes it |
//!
//! What Anthropic cannot have is refused with the name of the field, or dropped and named under `drop_params`. Without a
//! word go only: `name` of a message, `detail` of an image, reasoning without a signature, empty texts, and values that
//! ask for what happens anyway (`n: 1`).
//!
//! Source: Anthropic API reference, "Messages", 2026-11-23, and the contract, `providers.md` §3.

mod adjust;
mod betas;
mod blocks;
mod body;
mod messages;
mod output;
mod params;
mod parts;
mod target;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;

use self::body::Body;
pub(crate) use self::params::takes_param;
use self::target::Target;
use crate::BadRequest;
use crate::chat::ChatRequest;
use crate::exchange::{EncodeOptions, Encoded};

/// Writes a request for one of Anthropic's models.
///
/// # Errors
/// [`BadRequest`] naming the field that Anthropic cannot have, or that is not what it should be.
pub fn request(chat: &ChatRequest, options: &EncodeOptions<'_>) -> Result<Encoded, BadRequest> {
    let mut target = Target::new(options);
    let chat = &*adjust::request(chat, &mut target)?;
    let thinking = thinking::settle(chat, &mut target)?;
    let conversation = messages::conversation(&chat.messages, &mut target)?;
    let mut tools = tools::tools(chat, thinking.on, &mut target)?;
    let format = output::format(chat, &mut tools, thinking.on, &mut target)?;

    let mut body = Body::default();
    body.set("model", &options.upstream_model);
    body.set("max_tokens", &thinking.max_tokens);
    body.set_list("system", &conversation.system);
    body.set("messages", &conversation.turns);
    body.set_list("tools", &tools.list);
    body.set_some("tool_choice", tools.choice.as_ref());
    body.set_some("thinking", thinking.config.as_ref());
    body.set_some("output_config", thinking.output_config.as_ref());
    body.set_some("output_format", format.as_ref());
    params::write(chat, thinking.on, &mut body, &mut target)?;
    for (key, value) in options.extra_body {
        body.set(key, value);
    }
    betas::note(chat, &mut target);
    Ok(Encoded {
        body: body.finish(),
        dropped: target.dropped,
        betas: target.betas,
        renamed: target.names,
    })
}
