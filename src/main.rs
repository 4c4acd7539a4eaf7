//! The `trunkline` binary: allocator, TLS provider, command line.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use rustls::crypto::ring::default_provider;
use trunkline::cli;

/// Many small allocations on every worker: what mimalloc is made for.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // The only TLS provider in the build; a second installation would be the only way to fail.
    default_provider().install_default().ok();
    cli::run()
}
