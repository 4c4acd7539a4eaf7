//! What the gateway costs: CPU per request and per streamed chunk, latency, memory, beside the provider called directly and
//! a plain reverse proxy, in turns within one run. `bench/run.sh` starts it; docs/performance.md explains the figures.

mod http;
mod keys;
mod load;
mod mock;
mod procs;
mod report;
mod run;
mod scale;
#[allow(dead_code)]
#[path = "../../tests/support/servers/mod.rs"]
mod servers;
mod soak;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

const USAGE: &str = "trunkline-bench mock PORT
trunkline-bench run --gateway BINARY [--quick] [--only WORD] [--json FILE] [--litellm PROGRAM] [--postgres]
trunkline-bench scale --gateway BINARY [--write FILE]
trunkline-bench soak --gateway BINARY [--minutes N]";

fn main() -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return failed(&err),
    };
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("mock") => {
            let port = arguments
                .next()
                .and_then(|port| port.parse().ok())
                .unwrap_or(9801);
            LocalSet::new().block_on(&runtime, mock::serve(port))
        }
        Some(task @ ("run" | "scale" | "soak")) => match options(arguments) {
            Some(options) => LocalSet::new().block_on(&runtime, perform(task, &options)),
            None => return failed(&USAGE),
        },
        _ => return failed(&USAGE),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => failed(&err),
    }
}

/// In a folder of its own, which is gone afterwards.
async fn perform(task: &str, options: &run::Options) -> io::Result<()> {
    let dir = std::env::temp_dir().join(format!("trunkline-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let done = match task {
        "scale" => scale::all(options, &dir).await,
        "soak" => soak::all(options, &dir).await,
        _ => run::all(options, &dir).await,
    };
    fs::remove_dir_all(&dir).ok();
    done
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<run::Options> {
    let mut options = run::Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--gateway" => options.gateway = PathBuf::from(arguments.next()?),
            "--quick" => options.quick = true,
            "--postgres" => options.postgres = true,
            "--only" => options.only = Some(arguments.next()?),
            "--json" => options.json = Some(PathBuf::from(arguments.next()?)),
            "--write" => options.write = Some(PathBuf::from(arguments.next()?)),
            "--minutes" => options.minutes = arguments.next()?.parse().ok()?,
            "--litellm" => options.litellm = Some(PathBuf::from(arguments.next()?)),
            _ => return None,
        }
    }
    (!options.gateway.as_os_str().is_empty()).then_some(options)
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
