//! The integration tests: the real binary, scripted providers, plain HTTP. One file a theme; what they stand on is in
//! `tests/support/`.

#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod access;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod allowed_ips;
#[cfg(test)]
mod answer_headers;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod breaker;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod claude;
#[cfg(test)]
mod client_leaves;
#[cfg(test)]
mod config;
#[cfg(test)]
mod configured;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod deletions;
#[cfg(test)]
mod failing_deployments;
#[cfg(test)]
mod fallbacks;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod fleet_alone;
#[cfg(test)]
mod fleet_days;
#[cfg(test)]
mod fleet_deployments;
#[cfg(test)]
mod fleet_failover;
#[cfg(test)]
mod fleet_sign_in;
#[cfg(test)]
mod header_wait;
#[cfg(test)]
mod health_checks;
#[cfg(test)]
mod import;
#[cfg(test)]
mod import_bench;
#[cfg(test)]
mod import_models;
#[cfg(test)]
mod journal_first;
#[cfg(test)]
mod journal_room;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod litellm_views;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod meta;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod model_pages;
#[cfg(test)]
mod models;
#[cfg(test)]
mod params;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod pre_call;
#[cfg(test)]
mod prices;
#[cfg(test)]
mod provider_errors;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod scripted_provider;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod spend;
#[cfg(test)]
mod spend_bench;
#[cfg(test)]
mod spend_costs;
#[cfg(test)]
mod spend_logs;
#[cfg(test)]
mod spend_reports;
#[cfg(test)]
mod spend_tables;
#[cfg(test)]
mod stored_credentials;
#[cfg(test)]
mod stored_models;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod team_models;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod throughput;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod timers;
#[cfg(test)]
mod token_counter;
#[cfg(test)]
mod token_days;
#[cfg(test)]
mod token_issuers;
#[cfg(test)]
mod token_roles;
#[cfg(test)]
mod token_teams;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod transcripts;
#[cfg(test)]
mod tutorial;
#[cfg(test)]
mod upstream_connections;
