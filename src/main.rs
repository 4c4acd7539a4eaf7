//! The `trunkline` binary: allocator, TLS provider, command line.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use rustls::crypto::ring::default_provider;
use trunkline::cli;

/// Small allocations from many threads are what a gateway makes; measured against glibc's in `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // The only TLS provider in the build; a second installation would be the only way to fail.
    default_provider().install_default().ok();
    cli::run()
}
