//! Lists of nodes, as LiteLLM and people write them: mappings, pairs, `host:port`; in the file, or as JSON in a variable.

use serde_json::Value;

use super::RedisNode;

/// Nodes of one list.
const MOST: usize = 64;

/// Those of the list; `port` for who names none. An error says what is wrong with them.
pub(super) fn read(written: &Value, port: u16) -> Result<Vec<RedisNode>, String> {
    let parsed: Value;
    let items = match written {
        Value::Array(items) => items.as_slice(),
        Value::String(text) if text.trim_start().starts_with('[') => {
            parsed = serde_json::from_str(text).map_err(|err| format!("is no JSON: {err}"))?;
            parsed.as_array().map(Vec::as_slice).unwrap_or_default()
        }
        // `a:1,b:2`
        Value::String(text) => {
            parsed = text.split(',').map(str::trim).collect();
            parsed.as_array().map(Vec::as_slice).unwrap_or_default()
        }
        _ => return Err("is no list of nodes".to_owned()),
    };
    if items.is_empty() {
        return Err("names no node".to_owned());
    }
    if items.len() > MOST {
        return Err(format!("names more than {MOST} nodes"));
    }
    // They are not repeated, since one may bring a password.
    let numbered = items.iter().enumerate();
    let nodes = numbered.map(|(at, item)| {
        let wrong = || format!("number {} is no node", at + 1);
        node(item, port).ok_or_else(wrong)
    });
    nodes.collect()
}

fn node(item: &Value, port: u16) -> Option<RedisNode> {
    match item {
        Value::Object(fields) => {
            let host = fields.get("host")?.as_str()?;
            named(host, fields.get("port"), port)
        }
        Value::Array(pair) => match pair.as_slice() {
            [host] => named(host.as_str()?, None, port),
            [host, of_node] => named(host.as_str()?, Some(of_node), port),
            _ => None,
        },
        Value::String(text) => match text.rsplit_once(':') {
            // An IPv6 address has colons of its own.
            Some((host, of_node)) if !host.contains(':') || host.ends_with(']') => {
                named(host, Some(&Value::from(of_node)), port)
            }
            _ => named(text, None, port),
        },
        _ => None,
    }
}

fn named(host: &str, of_node: Option<&Value>, port: u16) -> Option<RedisNode> {
    let host = host.trim();
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.:%".contains(letter);
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    let port = match of_node {
        None | Some(Value::Null) => port,
        Some(Value::String(text)) => text.trim().parse().ok()?,
        Some(number) => u16::try_from(number.as_u64()?).ok()?,
    };
    let host = host.to_owned();
    (port != 0).then_some(RedisNode { host, port })
}

/// `a:1,b:2`.
pub(super) fn shown(nodes: &[RedisNode]) -> String {
    let shown = nodes.iter().map(|node| {
        let RedisNode { host, port } = node;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    });
    shown.collect::<Vec<_>>().join(",")
}
