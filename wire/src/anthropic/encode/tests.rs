//! Unit and property tests of the encoder; whole bodies are golden cases.
