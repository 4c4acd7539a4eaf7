//! Trunkline: an LLM gateway in one binary.

pub mod config;
pub mod cost;
pub mod journal;
pub mod storage;
