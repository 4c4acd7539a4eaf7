//! The pieces of the dialect; whole bodies are golden cases in `tests/fixtures/wire/openai`.

mod decode;
mod error;
mod relay;
mod reply;
mod splice;
mod usage;
