//! Where a deployment's provider is and what is sent along: base URL, key, headers.

use url::Url;

use super::deployment::{Context, skip};
use super::env::Env;
use super::env_refs::missing_at;
use super::providers::Provider;
use super::raw::RawParams;
use super::report::Report;
use super::secret::Secret;
use super::yaml::KeyPath;

/// How to reach a provider.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) api_base: Url,
    pub(super) api_key: Option<Secret>,
    pub(super) extra_headers: Vec<(String, Secret)>,
}

/// A connection to `base` without key or headers.
pub(super) fn fixed(base: &str) -> Option<Connection> {
    let api_base = Url::parse(base).ok()?;
    Some(Connection {
        api_base,
        api_key: None,
        extra_headers: Vec::new(),
    })
}

/// The connection of `provider` with these parameters; `None` when it cannot be made, which is then reported.
pub(super) fn of(
    provider: &'static Provider,
    params: &RawParams,
    path: &KeyPath,
    context: Context<'_>,
    report: &mut Report<'_>,
) -> Option<Connection> {
    // A base that was asked for by variable and is not set must not become the default: the key would go elsewhere.
    for key in ["api_base", "base_url"] {
        if let Some(name) = missing_at(context.missing, &path.key(key)) {
            skip(
                report,
                &path.key(key),
                &format!("environment variable {name} is not set"),
                "set it to the server's URL",
            );
            return None;
        }
    }
    let given = params.api_base.as_deref().or(params.base_url.as_deref());
    let key_of_base = if params.api_base.is_some() || params.base_url.is_none() {
        "api_base"
    } else {
        "base_url"
    };
    let api_base = match given {
        Some(base) => parse_base(base, provider, &path.key(key_of_base), report)?,
        None => default_base(provider, path, context.env, report)?,
    };
    let given_key = params
        .api_key
        .as_deref()
        .map(str::trim)
        .filter(|key| !key.is_empty());
    let key = given_key
        .map(str::to_owned)
        .or_else(|| first_set(provider.key_env, context.env));
    let api_key = match key {
        Some(key) if !is_header_value(&key) => {
            report.problem(
                &path.key("api_key"),
                "holds a character that no header can carry",
                "write the key alone, in one line",
            );
            return None;
        }
        Some(key) => Some(Secret::new(key)),
        None => {
            let wanted = missing_at(context.missing, &path.key("api_key"));
            let needed = wanted.is_some() || (provider.needs_key && given.is_none());
            if needed {
                report_no_key(provider, wanted, path, report);
                return None;
            }
            None
        }
    };
    let extra_headers = headers(provider, params, path, context.env, report);
    Some(Connection {
        api_base,
        api_key,
        extra_headers,
    })
}

/// The connection that the environment alone gives.
pub(super) fn from_environment(
    provider: &'static Provider,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<Connection> {
    let context = Context {
        env,
        missing: &[],
        known_openai: &|_| false,
    };
    of(
        provider,
        &RawParams::default(),
        &KeyPath::default(),
        context,
        report,
    )
}

fn report_no_key(
    provider: &Provider,
    wanted: Option<&str>,
    path: &KeyPath,
    report: &mut Report<'_>,
) {
    let (what, fix) = match (wanted, provider.key_env.first()) {
        (Some(name), _) => (
            format!("environment variable {name} is not set"),
            format!("set {name} to the provider's key"),
        ),
        (None, Some(name)) => (
            "it has no key".to_owned(),
            format!("set {name} or write api_key"),
        ),
        (None, None) => ("it has no key".to_owned(), "write api_key".to_owned()),
    };
    skip(report, &path.key("api_key"), &what, &fix);
}

fn first_set(names: &[&str], env: &dyn Env) -> Option<String> {
    names
        .iter()
        .find_map(|name| env.var(name))
        .map(|value| value.trim().to_owned())
}

fn default_base(
    provider: &Provider,
    path: &KeyPath,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<Url> {
    if let Some(name) = provider
        .base_env
        .iter()
        .find(|name| env.var(name).is_some())
    {
        let base = env.var(name)?;
        return checked(&base, provider)
            .map_err(|reason| report.problem_outside(name, reason, BASE_FIX))
            .ok();
    }
    let Some(base) = provider.base_url else {
        report.problem(
            &path.key("api_base"),
            format!(
                "is missing, and {} has no address of its own",
                provider.name
            ),
            match provider.base_env.first() {
                Some(name) => format!("write `api_base: http://host:port/v1` or set {name}"),
                None => "write `api_base: http://host:port/v1`".to_owned(),
            },
        );
        return None;
    };
    let base = match base
        .split_once('{')
        .and_then(|(start, rest)| Some((start, rest.split_once('}')?)))
    {
        None => base.to_owned(),
        Some((start, (name, end))) => {
            if let Some(value) = env.var(name) {
                format!("{start}{value}{end}")
            } else {
                skip(
                    report,
                    path,
                    &format!("environment variable {name} is not set"),
                    "set it or write api_base",
                );
                return None;
            }
        }
    };
    Url::parse(&base).ok()
}

const BASE_FIX: &str = "write a URL such as http://localhost:8000/v1";

fn parse_base(
    base: &str,
    provider: &Provider,
    path: &KeyPath,
    report: &mut Report<'_>,
) -> Option<Url> {
    match checked(base, provider) {
        Ok(url) => Some(url),
        Err(reason) => {
            report.problem(path, reason, BASE_FIX);
            None
        }
    }
}

fn checked(base: &str, provider: &Provider) -> Result<Url, String> {
    let base = base.trim().trim_end_matches('/');
    // A pasted endpoint is as good as its base.
    let base = base.strip_suffix("/chat/completions").unwrap_or(base);
    let mut url = Url::parse(base).map_err(|err| format!("is not a URL ({err})"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not an http or https URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "holds a user name or password, which belong into api_key or extra_headers".to_owned(),
        );
    }
    if provider.name == "mistral" && url.path() == "/" {
        url.set_path("/v1");
    }
    Ok(url)
}

fn headers(
    provider: &Provider,
    params: &RawParams,
    path: &KeyPath,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Vec<(String, Secret)> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (section, given) in [
        ("headers", &params.headers),
        ("extra_headers", &params.extra_headers),
    ] {
        for (name, value) in given {
            let valid_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            if !valid_name || !is_header_value(value) {
                let path = path.key(section).key(name);
                report.problem(
                    &path,
                    "is not a header",
                    "write a name of letters and `-`, and a value in one line",
                );
                continue;
            }
            headers.retain(|(kept, _)| !kept.eq_ignore_ascii_case(name));
            headers.push((name.clone(), Secret::new(value.as_str())));
        }
    }
    if provider.name == "openrouter" {
        for (variable, name) in [("OR_SITE_URL", "HTTP-Referer"), ("OR_APP_NAME", "X-Title")] {
            let given = headers
                .iter()
                .any(|(kept, _)| kept.eq_ignore_ascii_case(name));
            if let Some(value) = env
                .var(variable)
                .filter(|value| !given && is_header_value(value))
            {
                headers.push((name.to_owned(), Secret::new(value)));
            }
        }
    }
    headers
}

/// Visible ASCII, spaces and tabs.
pub(super) fn is_header_value(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}
