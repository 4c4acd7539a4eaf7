//! `/` and `/openapi.json`, both made from the route table.
//!
//! Bodies of model calls are OpenAI's and described there; the schema here says so and lists paths, permissions and the
//! error shape.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde_json::{Map, Value, json};

use super::extract::{Call, Caller, Public};
use super::routes::{Entry, table};
use crate::auth::Permission;

/// The table as a page.
pub(crate) async fn page(_caller: Caller<Public>, _call: Call) -> HttpResponse {
    let mut rows = String::new();
    for entry in table() {
        let paths: Vec<String> = entry.paths.iter().map(|path| plain_path(path)).collect();
        // Writing to a string cannot fail.
        writeln!(
            rows,
            "<tr><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            entry.method,
            paths.join("<br>"),
            entry.permission.describe(),
            entry.summary
        )
        .ok();
    }
    let version = env!("CARGO_PKG_VERSION");
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Trunkline</title><style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}}\
         td{{padding:.3rem .8rem;vertical-align:top;border-top:1px solid #ccc}}code{{font-size:.9em}}</style></head><body>\
         <h1>Trunkline {version}</h1><p>An LLM gateway. Point any OpenAI SDK's <code>base_url</code> here, with or without \
         <code>/v1</code>. The table below is also at <a href=\"openapi.json\">openapi.json</a>.</p>\
         <table>\n{rows}</table></body></html>"
    ))
}

/// The table as an `OpenAPI` 3.1 document.
pub(crate) async fn openapi(_caller: Caller<Public>, _call: Call) -> HttpResponse {
    HttpResponse::Ok().json(document(&table()))
}

fn document(table: &[Entry]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for entry in table {
        for path in entry.paths {
            let item = paths.entry(plain_path(path)).or_insert_with(|| json!({}));
            if let Some(item) = item.as_object_mut() {
                item.insert(
                    entry.method.as_str().to_ascii_lowercase(),
                    operation(entry, path),
                );
            }
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Trunkline", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": "string", "description": "the HTTP status"}
                    }
                }}
            }}
        }
    })
}

fn operation(entry: &Entry, path: &str) -> Value {
    let mut operation = json!({
        "summary": entry.summary,
        "responses": {
            "200": {"description": "Success"},
            "default": {
                "description": "Error",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
            }
        }
    });
    let Some(fields) = operation.as_object_mut() else {
        return operation;
    };
    if entry.permission != Permission::Public {
        fields.insert("security".to_owned(), json!([{"key": []}]));
        let who = entry.permission.describe();
        fields.insert("description".to_owned(), json!(format!("Asks for: {who}.")));
    }
    let parameters: Vec<Value> = parameter_names(path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if !parameters.is_empty() {
        fields.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if entry.method != Method::GET {
        fields.insert(
            "requestBody".to_owned(),
            json!({"required": true, "content": {"application/json": {"schema": {"type": "object"}}}}),
        );
    }
    operation
}

/// `/x/{model:.+}/y` as `/x/{model}/y`.
fn plain_path(path: &str) -> String {
    path.replace(":.+}", "}")
}

fn parameter_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split(['}', ':']).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_changes_something_has_a_body() {
        let document = document(&table());
        for (method, path, has_body) in [
            ("post", "/team/new", true),
            ("patch", "/organization/update", true),
            ("delete", "/organization/delete", true),
            ("get", "/organization/info", false),
        ] {
            let operation = &document["paths"][path][method];
            assert!(operation.is_object(), "{method} {path}");
            let body = operation.get("requestBody");
            assert_eq!(body.is_some(), has_body, "{method} {path}");
        }
    }

    #[test]
    fn every_route_is_in_the_document_with_its_path_parameters() {
        let document = document(&table());
        let deployments =
            &document["paths"]["/openai/deployments/{model}/chat/completions"]["post"];
        assert_eq!(deployments["parameters"][0]["name"], "model");
        assert_eq!(deployments["security"][0]["key"], json!([]));
        assert!(
            document["paths"]["/health"]["get"]
                .get("security")
                .is_none()
        );
        let paths: usize = table().iter().map(|entry| entry.paths.len()).sum();
        let listed: usize = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|item| item.as_object().unwrap().len())
            .sum();
        assert_eq!(listed, paths);
    }
}
