//! The process environment, read through one trait, so that a test can stand in for it.
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `CONFIG_FILE_PATH` | the config file when `--config` is not given | none: the providers whose key is set |
//! | `HOST`, `PORT` | address to bind | `0.0.0.0`, `4000` |
//! | `NUM_WORKERS` | HTTP worker threads | one per core |
//! | `LITELLM_MASTER_KEY` | the administrator's key | none: loopback only |
//! | `LITELLM_SALT_KEY` | encrypts stored deployments and credentials; for `import-litellm` LiteLLM's | the master key |
//! | `STORE_MODEL_IN_DB` | deployments are stored in the database too | `false` |
//! | `DATABASE_URL` | `sqlite:///file.db` or `postgresql://…` | `trunkline.db` in the data directory |
//! | `LITELLM_LOG` | log level: `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE` | `INFO` |
//! | `REQUEST_TIMEOUT` | seconds for one attempt | `6000` |
//! | `LITELLM_DROP_PARAMS` | drop parameters a model does not take | `false` |
//! | `STORE_PROMPTS_IN_SPEND_LOGS` | keep what is asked and answered | `false` |
//! | `MAX_STRING_LENGTH_PROMPT_IN_DB` | characters of a text that are kept | `2048` |
//! | `ROUTER_MAX_FALLBACKS` | fallback groups tried at most | `5` |
//! | `DEFAULT_COOLDOWN_TIME_SECONDS` | pause of a failing deployment | `5` |
//! | `TRUNKLINE_DATA_DIR` | journal and default database | beside the database, else `./data` |
//! | `TRUNKLINE_MAX_BODY_BYTES` | largest request body | `33554432` |
//! | `TRUNKLINE_SHUTDOWN_TIMEOUT_SECS` | how long open streams may finish | `30` |
//! | `TRUNKLINE_TIMEOUT_CONNECT_SECS`, `…_FIRST_BYTE_SECS`, `…_FIRST_CONTENT_SECS`, `…_IDLE_SECS`, `…_TOTAL_SECS`, `…_HEADER_WAIT_SECS` | the timers of [`super::Timeouts`] | there |
//!
//! Besides these: the key and base variables of each provider ([`super::providers`]) and every `NAME` that a config
//! file refers to as `os.environ/NAME`. A variable that is set but empty counts as not set.

use std::collections::BTreeMap;
use std::env;

/// Where variables are looked up.
pub trait Env {
    /// The value of `name`; `None` when it is not set, is empty or is not UTF-8.
    fn var(&self, name: &str) -> Option<String>;

    /// Whether `name` says true, 1, yes or on, in any case.
    fn is_on(&self, name: &str) -> bool {
        let value = self.var(name).map(|value| value.to_ascii_lowercase());
        matches!(value.as_deref(), Some("true" | "1" | "yes" | "on"))
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the process environment"
    )]
    fn var(&self, name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.is_empty())
    }
}

/// A fixed set of variables, for tests.
#[derive(Debug, Clone, Default)]
pub struct MapEnv(BTreeMap<String, String>);

impl MapEnv {
    /// An environment of exactly these variables.
    pub fn new<const N: usize>(vars: [(&str, &str); N]) -> Self {
        Self(
            vars.into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

impl Env for MapEnv {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_by_each_of_the_usual_words() {
        for (word, on) in [
            ("true", true),
            ("True", true),
            ("1", true),
            ("YES", true),
            ("on", true),
            ("false", false),
            ("0", false),
            ("off", false),
            ("", false),
        ] {
            assert_eq!(
                MapEnv::new([("SWITCH", word)]).is_on("SWITCH"),
                on,
                "{word}"
            );
        }
        assert!(!MapEnv::default().is_on("SWITCH"));
    }
}
