//! Config files as an operator meets them: a broken one is reported and nothing starts; `check` says what a file means.

use std::fs;
use std::net::TcpListener;
use std::process::Output;

use serde_json::Value;

use crate::support::gateway::Home;

const FINE: &str = "model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, rpm: 5}
general_settings:
  database_url: sqlite:///books.db
";

fn home(text: &str) -> Home {
    Home::with_text(text).variable("OPENAI_API_KEY", "sk-hush-of-the-environment")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_broken_config_is_reported_whole_and_nothing_starts() {
    let home = home(&format!(
        "{FINE}  master_key: os.environ/NOT_THERE\nrouter_settings:\n  num_retries: some\n  fallbacks: [{{gpt-4o: [gpt-4]}}]\n"
    ));
    // A port that is free now and would be taken by a gateway that had half started.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();

    let output = home.run(&["--config", "config.yaml", "--port", &port.to_string()]);

    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "trunkline: the configuration cannot be used, nothing was started
config.yaml:6:3: error: general_settings.master_key: environment variable NOT_THERE is not set; set NOT_THERE to the master key
     6 |   master_key: os.environ/NOT_THERE
       |   ^
config.yaml:8:3: error: router_settings.num_retries: expected a whole number, 0 or more, found the text `some`; write a number such as 10
     8 |   num_retries: some
       |   ^
config.yaml:9:25: error: router_settings.fallbacks[0].gpt-4o[0]: no model group is called `gpt-4`; did you mean `gpt-4o`?
     9 |   fallbacks: [{gpt-4o: [gpt-4]}]
       |                         ^
"
    );
    assert_eq!(stdout(&output), "");
    for made in ["books.db", "data"] {
        assert!(!home.path().join(made).exists(), "{made} was made");
    }
}

#[test]
fn the_exit_code_of_check_says_how_bad_it_is() {
    for (text, plain, strict) in [
        (FINE.to_owned(), 0, 0),
        (format!("{FINE}  allowed_routes: [/v1/models]\n"), 0, 1),
        (format!("{FINE}  log_levl: INFO\n"), 0, 1),
        (format!("{FINE}  log_level: LOUD\n"), 2, 2),
        ("model_list: [".to_owned(), 2, 2),
    ] {
        let home = home(&text);
        let code = |arguments: &[&str]| home.run(arguments).status.code();
        assert_eq!(code(&["check", "config.yaml"]), Some(plain), "{text}");
        assert_eq!(
            code(&["check", "--strict", "config.yaml"]),
            Some(strict),
            "{text}"
        );
        assert_eq!(
            code(&["check", "--json", "--strict", "--config", "config.yaml"]),
            Some(strict),
            "{text}"
        );
    }
    assert_eq!(
        home(FINE).run(&["check", "missing.yaml"]).status.code(),
        Some(2)
    );
}

#[test]
fn check_says_line_by_line_what_a_file_means() {
    let home = home(&format!("{FINE}  allowed_routes: [/v1/models]\n"));
    let told = stdout(&home.run(&["check", "config.yaml"]));
    for line in [
        "     1  works     model_list",
        "     3  works     model_list[0].litellm_params.rpm",
        "     6  planned   general_settings.allowed_routes: no effect yet; waits for access",
        "    → openai/gpt-4o at https://api.openai.com/v1, with a key, rpm 5, USD per million tokens 2.5 in, 10 out",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
    assert!(!told.contains("hush"), "{told}");
}

#[test]
fn check_tells_programs_the_same_as_json() {
    let home = home(&format!("{FINE}  log_levl: INFO\n  log_level: LOUD\n"));
    let told = stdout(&home.run(&["check", "--json", "config.yaml"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["verdict"], "errors");
    assert_eq!(told["errors"][0]["line"], 7);
    assert_eq!(told["errors"][0]["column"], 3);
    assert_eq!(told["errors"][0]["path"], "general_settings.log_level");
    assert_eq!(told["warnings"][0]["kind"], "unknown_key");
    assert_eq!(told["keys"][0]["status"], "works");
    assert_eq!(told["models"], Value::Null);
}

#[test]
fn check_compares_two_files_by_what_they_do() {
    let home = home(FINE);
    let changed = FINE.replace("rpm: 5", "rpm: 50");
    fs::write(home.path().join("new.yaml"), changed).expect("the file is written");
    let output = home.run(&["check", "--diff", "config.yaml", "new.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stdout(&output),
        "Models:\n  ~ gpt-4o → openai/gpt-4o at https://api.openai.com/v1: rpm: 5 → 50\n"
    );
    let same = home.run(&["check", "--diff", "config.yaml", "config.yaml"]);
    assert_eq!(stdout(&same), "No difference in behaviour.\n");
    let broken = home.run(&["check", "--diff", "config.yaml", "missing.yaml"]);
    assert_eq!(broken.status.code(), Some(2));
}

#[test]
fn the_schema_is_printed() {
    let output = home(FINE).run(&["config", "schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), include_str!("../../config/schema.json"));
}
