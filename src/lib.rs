//! Trunkline: an LLM gateway in one binary.
//!
//! A request's path, in the order of the code:
//! 1. [`http`] finds the route and reads the key and the body.
//! 2. [`auth`] says who calls and whether they may.
//! 3. [`dispatch`] peeks at the body, takes limits and budgets in one step, and writes `started` to the [`journal`].
//! 4. The `Supervisor`'s routing table (`trunkline_actors`) makes the plan of deployments to try.
//! 5. `trunkline_wire` turns the request into the provider's bytes; `dispatch::upstream` sends them.
//! 6. The answer is relayed; failures before the first content are retried elsewhere.
//! 7. Usage becomes [`cost`]; `settled` is journalled before the end of the answer is released.
//! 8. The `SpendLedger` ships the journal to [`storage`]; [`telemetry`] counts.
//!
//! [`ledger`] checks, explains and corrects the books from the command line; [`import`] brings what LiteLLM had.
//!
//! `ARCHITECTURE.md` has the whole picture.

pub mod app;
pub mod auth;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod cost;
pub mod day_books;
pub mod dispatch;
pub mod fleet;
pub mod health;
pub mod http;
pub mod import;
pub mod journal;
pub mod jwks;
pub mod ledger;
mod loading;
pub mod retention;
pub mod rotation;
mod sealed;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod tokenizer;
pub mod transcripts;

#[cfg(test)]
#[expect(dead_code, reason = "the integration tests use the rest of it")]
#[path = "../tests/support/servers/mod.rs"]
mod servers;
