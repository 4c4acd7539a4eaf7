//! `include`.

use std::fs;

use super::{ONE, env, groups, refused, said};
use crate::config::{CliOverrides, Config, ConfigSource, NoticeKind, load};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn from_folder(files: &[(&str, &str)]) -> Result<Config, String> {
    let folder = folder(files);
    let path = folder.path().join("main.yaml");
    let shown = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    match load(ConfigSource::Path(&path), &CliOverrides::default(), &env()) {
        Ok(mut config) => {
            for notice in &mut config.warnings {
                if let Some(location) = &mut notice.location {
                    location.file = shown(location.file.clone());
                }
            }
            Ok(config)
        }
        Err(err) => Err(shown(err.to_string())),
    }
}

const TWO: &str = "model_list:\n- {model_name: b, litellm_params: {model: openai/gpt-4o}}\n";

#[test]
fn included_lists_are_appended_and_other_sections_replaced() {
    let main = format!(
        "{ONE}include: [more/two.yaml, three.yaml]\nrouter_settings: {{num_retries: 1, timeout: 5}}\n"
    );
    let config = from_folder(&[
        ("main.yaml", &main),
        ("more/two.yaml", &format!("{TWO}include: four.yaml\n")),
        ("more/four.yaml", "model_list:\n- {model_name: d, litellm_params: {model: gpt-4o, colour: 1, tags: [x]}, oops: 1}\n"),
        ("three.yaml", "router_settings: {num_retries: 7, num_retrys: 1}\ngeneral_settings: {log_level: DEBUG}\n"),
    ])
    .unwrap();
    assert_eq!(groups(&config), ["a", "b", "d"]);
    assert_eq!(
        (config.router.num_retries, config.router.timeout),
        (7, None)
    );
    assert_eq!(config.general.log_level, "debug");
    // Places are those of the file that holds them.
    assert_eq!(
        said(&config, NoticeKind::UnknownKey),
        [
            "three.yaml:1:35: router_settings.num_retrys: is not a known key and has no effect; did you mean `num_retries`?",
            "more/four.yaml:2:74: model_list[2].oops: is not a known key and has no effect; check the spelling",
        ]
    );
}

#[test]
fn includes_that_cannot_be_are_refused() {
    let main = |include: &str| format!("{ONE}include: {include}\n");
    let deep: Vec<(String, String)> = (0..12)
        .map(|level| {
            (
                format!("{level}.yaml"),
                format!("include: [{}.yaml]\n", level + 1),
            )
        })
        .collect();
    let mut files: Vec<(&str, &str)> = deep
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let main_deep = main("0.yaml");
    files.push(("main.yaml", &main_deep));
    let report = from_folder(&files).unwrap_err();
    assert!(
        report.contains("deep in others; include fewer files"),
        "{report}"
    );
    for (include, other, want) in [
        (
            "[none.yaml]",
            "",
            "main.yaml:3:11: include[0]: none.yaml: the file cannot be read (No such file or directory (os error 2)); check the path, which is relative to the file that names it",
        ),
        (
            "[main.yaml]",
            "",
            "main.yaml:3:11: include[0]: main.yaml includes itself, perhaps by way of others; remove it from one of the lists",
        ),
        (
            "[other.yaml]",
            "include: [./main.yaml]\n",
            "other.yaml: include: ./main.yaml includes itself, perhaps by way of others; remove it from one of the lists",
        ),
        (
            "[other.yaml]",
            "a: [\n",
            "other.yaml:2:1: this is not YAML: did not find expected node content; check indentation, colons and quotes there and in the line above",
        ),
        (
            "[other.yaml]",
            "router_settings: {num_retries: x}\n",
            "other.yaml:1:19: router_settings.num_retries: expected a whole number, 0 or more, found the text `x`; write a number such as 10",
        ),
        (
            "{a: 1}",
            "",
            "main.yaml:3:1: include: expected a list of files, found a mapping; write one `- file.yaml` a line",
        ),
        (
            "[1]",
            "",
            "main.yaml:3:11: include[0]: expected the name of a file, found the number `1`; write a path relative to this file",
        ),
    ] {
        let report =
            from_folder(&[("main.yaml", &main(include)), ("other.yaml", other)]).unwrap_err();
        assert_eq!(report, want, "{include} {other}");
    }
    assert_eq!(
        refused(&main("[x.yaml]")),
        "config.yaml:3:1: include: only a file can include others; name the file with --config"
    );
}
