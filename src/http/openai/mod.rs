//! OpenAI's endpoints. The model calls differ in their `Endpoint` alone, so they share [`super::model_call`].

pub mod chat;
pub mod completions;
pub mod embeddings;
pub mod models;
