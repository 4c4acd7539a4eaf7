//! Files under `tests/fixtures/config`: a broken one has its report beside it, a valid one must load. Adding a file adds
//! a test; `TRUNKLINE_BLESS=1` writes the reports anew, to be read before they are committed.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::check::{KeyLine, Standing, Verdict, check, lines, problems};
use super::diff::diff;
use super::keys::{SECTIONS, Status};
use super::yaml::{self, KeyPath, Node};
use super::{CliOverrides, Config, ConfigSource, MapEnv, load};

/// What the fixtures may refer to.
fn environment() -> MapEnv {
    MapEnv::new([
        ("OPENAI_API_KEY", "sk-openai-of-the-tests"),
        ("OPENAI_API_KEY_1", "sk-openai-1-of-the-tests"),
        ("OPENAI_API_KEY_2", "sk-openai-2-of-the-tests"),
        ("OPENAI_API_KEY_3", "sk-openai-3-of-the-tests"),
        ("GROQ_API_KEY", "gsk-groq-of-the-tests"),
        ("LITELLM_SALT_KEY", "sk-a-salt-that-stays"),
        ("MASTER_KEY", "sk-master-of-the-tests-0123456789"),
        ("RPM", "120"),
    ])
}

#[expect(
    clippy::disallowed_methods,
    reason = "a switch of the tests, not of the program"
)]
pub(super) fn blessing() -> bool {
    env::var("TRUNKLINE_BLESS").is_ok_and(|value| value == "1")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(name)
}

/// Files of the folder with this ending, by name; those that others include have a leading `_`.
fn files(name: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(name))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .filter(|path| !stem(path).starts_with('_'))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn load_path(path: &Path) -> Result<Config, super::ConfigErrors> {
    load(
        ConfigSource::Path(path),
        &CliOverrides::default(),
        &environment(),
    )
}

/// The messages alone, with the folder cut off: what becomes of good keys is no part of these tests.
fn report(path: &Path) -> String {
    let checked = check(ConfigSource::Path(path), &environment());
    let mut text = problems(&checked.errors).to_string();
    text.push_str(&checked.warnings_text());
    let folder = format!("{}/", path.parent().expect("a folder").display());
    text.replace(&folder, "")
}

#[test]
fn each_broken_file_has_exactly_its_report() {
    let found = files("broken", "yaml");
    assert!(found.len() >= 60, "{} broken files", found.len());
    let mut wrong = Vec::new();
    for path in &found {
        let expected = path.with_extension("report");
        let report = report(path);
        if blessing() {
            fs::write(&expected, &report).expect("the report is written");
        }
        let committed = fs::read_to_string(&expected).unwrap_or_default();
        if committed != report {
            wrong.push(format!(
                "{}: expected\n{committed}\nfound\n{report}",
                stem(path)
            ));
        }
        if load_path(path).is_ok() && !stem(path).starts_with("warn_") {
            wrong.push(format!("{}: loads", stem(path)));
        }
        if report.is_empty() {
            wrong.push(format!("{}: nothing is said", stem(path)));
        }
    }
    assert!(
        wrong.is_empty(),
        "TRUNKLINE_BLESS=1 rewrites the reports\n{}",
        wrong.join("\n\n")
    );
    let files: BTreeSet<String> = found.iter().map(|path| stem(path)).collect();
    for path in self::files("broken", "report") {
        assert!(
            files.contains(&stem(&path)),
            "{} is of no file",
            path.display()
        );
    }
}

#[test]
fn no_report_shows_a_secret() {
    for path in files("broken", "yaml") {
        let checked = check(ConfigSource::Path(&path), &environment());
        for text in [checked.to_string(), checked.to_json().to_string()] {
            // Every secret of the fixtures holds this word.
            assert!(!text.contains("hush"), "{}:\n{text}", stem(&path));
            assert!(!text.contains("of-the-tests"), "{}:\n{text}", stem(&path));
        }
    }
}

#[test]
fn each_valid_file_loads_and_check_finds_no_error() {
    let found = files("valid", "yaml");
    assert!(found.len() >= 10, "{} valid files", found.len());
    for path in &found {
        let config = load_path(path).unwrap_or_else(|err| panic!("{}:\n{err}", stem(path)));
        assert!(!config.deployments.is_empty(), "{}", stem(path));
        let checked = check(ConfigSource::Path(path), &environment());
        assert_ne!(checked.verdict(), Verdict::Errors, "{checked}");
        assert!(diff(&config, &config).0.is_empty(), "{}", stem(path));
        if !stem(path).starts_with("warn_") {
            assert_eq!(checked.verdict(), Verdict::Fine, "{checked}");
        }
    }
}

/// A file with one slip: something cut out or put in, a line doubled or moved.
fn slipped(text: &str, place: usize, slip: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    let at = place % letters.len();
    let (head, tail) = letters.split_at(at);
    let (head, tail): (String, String) = (head.iter().collect(), tail.iter().collect());
    let put = [
        ":", "\n", "\"", "{", " ", "#", "- ", "\t", "&a ", "*", "[", "'",
    ];
    match slip % (put.len() + 3) {
        0 => format!("{head}{}", tail.chars().skip(1).collect::<String>()),
        1 => format!("{head}{}", tail.chars().skip(10).collect::<String>()),
        2 => format!(
            "{head}{}",
            tail.split_once('\n').map_or("", |(_, rest)| rest)
        ),
        other => format!("{head}{}{tail}", put[other - 3]),
    }
}

proptest! {
    #[test]
    fn a_slip_gives_no_secret_away(file in 0_usize..3, place in 0_usize..2000, slip in 0_usize..15) {
        let text = [
            "general_settings:\n  master_key: sk-hush012AbCdEfGhIjKlMnOpQrStUvWx9\n  database_url: postgresql://u:hush@h/d\nrouter_settings:\n  num_retries: x\nmodel_list:\n  - model_name: a\n    litellm_params:\n      model: openai/gpt-4o\n      api_key: sk-hush012AbCdEfGhIjKlMnOpQrStUvWx9\n      rpm: y\n",
            "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-hush012AbCdEfGhIjKlMnOpQrStUvWx9, rpm: x}}\nlitellm_settings: {num_retries: -1}\n",
            "environment_variables:\n  OPENAI_API_KEY: sk-hush012AbCdEfGhIjKlMnOpQrStUvWx9\n  OTHER: 3\nmodel_list:\n  - model_name: a\n    litellm_params:\n      model: x\n      extra_headers:\n        Authorization: Bearer sk-hush012AbCdEfGhIjKlMnOpQrStUvWx9\n",
        ][file];
        let text = slipped(text, place, slip);
        let source = ConfigSource::Text { name: "config.yaml", text: &text };
        let checked = check(source, &environment());
        prop_assert!(!checked.to_string().contains("hush012"), "{text}\n{checked}");
        prop_assert!(!checked.to_json().to_string().contains("hush012"), "{text}\n{checked}");
        prop_assert!(!checked.to_string().contains(":hush"), "{text}\n{checked}");
    }
}

/// Every key of a tree with dots between and without list indices.
fn written(node: &Node, path: &KeyPath, keys: &mut BTreeSet<String>) {
    match node {
        Node::List(items) => {
            for item in items {
                written(item, path, keys);
            }
        }
        Node::Map(map) => {
            for entry in &map.0 {
                let path = path.key(&entry.key);
                keys.insert(path.keys_only());
                written(&entry.value, &path, keys);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => {}
    }
}

fn keys_of(text: &str) -> BTreeSet<String> {
    let read = yaml::read(text).expect("YAML");
    let mut keys = BTreeSet::new();
    written(&read.root, &KeyPath::default(), &mut keys);
    keys
}

/// The supported keys that none of `keys` is.
fn uncovered(keys: &BTreeSet<String>) -> Vec<String> {
    let mut missing = Vec::new();
    for section in SECTIONS {
        for key in section.keys {
            if key.status != Status::Supported {
                continue;
            }
            let covered = keys.iter().any(|path| {
                let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
                above == section.path && key.covers(name)
            });
            if !covered {
                missing.push(format!("{}.{}", section.path, key.name));
            }
        }
    }
    missing
}

#[test]
fn the_valid_files_cover_every_supported_key() {
    let mut keys = BTreeSet::new();
    for path in files("valid", "yaml") {
        keys.append(&mut keys_of(&fs::read_to_string(path).expect("text")));
    }
    assert_eq!(uncovered(&keys), [""; 0]);
}

fn example(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name);
    let text = fs::read_to_string(&path).expect("the example is there");
    (path, text)
}

#[test]
fn the_example_has_every_supported_key() {
    let (_, text) = example("trunkline.example.yaml");
    assert_eq!(uncovered(&keys_of(&uncommented(&text))), [""; 0]);
}

#[test]
fn the_example_holds_the_defaults() {
    let (path, _) = example("trunkline.example.yaml");
    let example = load_path(&path).unwrap_or_else(|err| panic!("{err}"));
    let models = "model_list:\n- {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o}}\n- {model_name: gpt-4o-mini, litellm_params: {model: openai/gpt-4o-mini}}\n";
    let source = ConfigSource::Text {
        name: "config.yaml",
        text: models,
    };
    let defaults = load(source, &CliOverrides::default(), &environment()).expect("loads");
    assert_eq!(
        diff(&defaults, &example).to_string(),
        "No difference in behaviour.\n"
    );
    assert_eq!(
        format!(
            "{:#?}",
            (
                &example.general,
                &example.router,
                &example.litellm,
                &example.budgets,
                &example.server
            )
        ),
        format!(
            "{:#?}",
            (
                &defaults.general,
                &defaults.router,
                &defaults.litellm,
                &defaults.budgets,
                &defaults.server
            )
        )
    );
    // A setting behind `#` is one too: spelled right, and of its kind.
    let whole = uncommented(&fs::read_to_string(&path).expect("text"));
    let all = lines::of("config.yaml", &whole);
    let idle: Vec<&KeyLine> = all
        .iter()
        .filter(|line| !matches!(line.standing, Standing::Works | Standing::Sent))
        .collect();
    assert!(idle.is_empty(), "{idle:?}");
    let lines: Vec<&str> = whole
        .lines()
        .filter(|line| !line.contains("another word") && !line.starts_with("include:"))
        .filter(|line| !line.contains("model_prices_file:"))
        .collect();
    let whole = lines.join("\n");
    let source = ConfigSource::Text {
        name: "config.yaml",
        text: &whole,
    };
    let loaded = load(source, &CliOverrides::default(), &environment());
    loaded.unwrap_or_else(|err| panic!("{err}"));
}

/// The example with its commented settings (`#key: value`, without a space) in force.
fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let start = line.trim_start();
        match start.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', '#']) && !setting.is_empty() => {
                format!("{}{setting}\n", " ".repeat(line.len() - start.len()))
            }
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

#[test]
fn both_examples_are_the_same_gateway() {
    let (ours, _) = example("trunkline.example.yaml");
    let (theirs, _) = example("litellm.example.yaml");
    let (ours, theirs) = (load_path(&ours), load_path(&theirs));
    let ours = ours.unwrap_or_else(|err| panic!("{err}"));
    let theirs = theirs.unwrap_or_else(|err| panic!("{err}"));
    assert_eq!(
        diff(&ours, &theirs).to_string(),
        "No difference in behaviour.\n"
    );
    // The difference is told by facts; the whole is compared too, apart from ids and places.
    let plain = |config: &Config| {
        let mut config = config.clone();
        config.warnings.clear();
        for one in &mut config.deployments {
            one.id.clear();
        }
        format!("{config:#?}")
    };
    assert_eq!(plain(&ours), plain(&theirs));
}

#[test]
fn the_examples_are_fine() {
    for name in ["trunkline.example.yaml", "litellm.example.yaml"] {
        let (path, _) = example(name);
        let checked = check(ConfigSource::Path(&path), &environment());
        assert_eq!(checked.verdict(), Verdict::Fine, "{checked}");
    }
}
