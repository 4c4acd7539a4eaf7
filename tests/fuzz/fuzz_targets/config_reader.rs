//! Any text is a configuration or a report of what is wrong with it: never a panic, never a long wait.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline::config::{CliOverrides, ConfigSource, MapEnv, load};

fuzz_target!(|text: &str| {
    let source = ConfigSource::Text {
        name: "fuzz.yaml",
        text,
    };
    let env = MapEnv::default();
    match load(source, &CliOverrides::default(), &env) {
        Ok(config) => assert!(!config.deployments.is_empty()),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
