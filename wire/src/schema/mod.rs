//! JSON schemas of tools and structured outputs, made fit for providers that take only a part of JSON schema.
