//! The pieces of the dialect; whole bodies are golden cases in `tests/fixtures/wire/openai`.

mod decode;
mod encode;
mod error;
mod reply;
mod stream;
mod usage;
