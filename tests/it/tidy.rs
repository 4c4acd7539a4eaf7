//! The rules of the house that no compiler checks: what may depend on what, that ARCHITECTURE.md names real places,
//! that migrations come in pairs, and that no file names the host of a package registry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Folders that a build, a tool or a run makes.
const MADE: &[&str] = &[
    "target",
    ".git",
    "node_modules",
    ".venv",
    ".env",
    "__pycache__",
    "data",
];

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !MADE.contains(&name.as_ref()) {
                folders.push(path);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// The names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    read(&root().join(manifest))
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_leaf_crates_depend_only_on_what_they_may() {
    for (manifest, allowed) in [
        (
            "actors/Cargo.toml",
            &[
                "actix",
                "arc-swap",
                "dashmap",
                "itoa",
                "jiff",
                "log",
                "rand",
                "rust_decimal",
                "serde",
                "smallvec",
                "thiserror",
                "tokio",
                "ulid",
            ][..],
        ),
        (
            "wire/Cargo.toml",
            &[
                "base64",
                "bytes",
                "memchr",
                "serde",
                "serde_json",
                "smallvec",
                "thiserror",
            ][..],
        ),
    ] {
        let found = dependencies(manifest);
        assert!(!found.is_empty(), "{manifest} has dependencies");
        for name in found {
            assert!(
                allowed.contains(&name.as_str()),
                "{manifest}: `{name}` is not on the list of what this part may use (style: what may depend on what)"
            );
        }
    }
}

/// A part of the source, and what its code must not name.
struct Border {
    part: &'static str,
    forbidden: &'static [&'static str],
    /// Longer names that are allowed although they begin like a forbidden one.
    except: &'static [&'static str],
}

const BORDERS: &[Border] = &[
    Border {
        part: "wire/src",
        forbidden: &[
            "actix",
            "awc",
            "tokio",
            "log",
            "rand",
            "trunkline",
            "trunkline_actors",
            "std::env",
            "std::time",
            "std::net",
            "std::fs",
        ],
        except: &[],
    },
    Border {
        part: "actors/src",
        forbidden: &[
            "trunkline",
            "trunkline_wire",
            "actix_web",
            "awc",
            "deadpool",
            "deadpool_redis",
            "rusqlite",
            "tokio_postgres",
            "serde_yaml",
            "std::env",
            "std::fs",
            "std::net",
        ],
        except: &[],
    },
    Border {
        part: "src/cost",
        forbidden: &[
            "actix",
            "actix_web",
            "awc",
            "trunkline_actors",
            "crate::storage",
            "crate::dispatch",
            "crate::http",
            "rusqlite",
            "tokio_postgres",
        ],
        except: &["trunkline_actors::money"],
    },
    Border {
        part: "src/config",
        forbidden: &[
            "actix",
            "actix_web",
            "awc",
            "trunkline_actors",
            "crate::storage",
            "crate::dispatch",
            "crate::http",
            "rusqlite",
            "tokio_postgres",
        ],
        except: &[],
    },
    Border {
        part: "src/storage",
        forbidden: &[
            "trunkline_wire",
            "crate::http",
            "crate::dispatch",
            "crate::auth",
            "actix_web",
            "awc",
        ],
        except: &[],
    },
    Border {
        part: "src/fleet",
        forbidden: &[
            "trunkline_wire",
            "crate::http",
            "crate::dispatch",
            "crate::auth",
            "crate::journal",
            "actix_web",
            "awc",
            "rusqlite",
            "tokio_postgres",
        ],
        except: &[],
    },
    Border {
        part: "src/journal",
        forbidden: &[
            "trunkline_wire",
            "crate::http",
            "crate::dispatch",
            "crate::auth",
            "actix_web",
            "awc",
        ],
        except: &[],
    },
    Border {
        part: "src/ledger",
        forbidden: &[
            "crate::http",
            "crate::dispatch",
            "crate::auth",
            "crate::cli",
            "actix",
            "actix_web",
            "awc",
            "rusqlite",
            "tokio_postgres",
        ],
        except: &[],
    },
    Border {
        part: "src/import",
        forbidden: &[
            "trunkline_wire",
            "crate::http",
            "crate::dispatch",
            "crate::cli",
            "crate::server",
            "actix",
            "actix_web",
            "awc",
            "rusqlite",
            "tokio_postgres",
        ],
        except: &[],
    },
    Border {
        part: "src/catalogue",
        forbidden: &[
            "trunkline_wire",
            "crate::http",
            "crate::auth",
            "crate::cli",
            "crate::server",
            "crate::journal",
            "actix_web",
            "awc",
            "rusqlite",
            "tokio_postgres",
        ],
        except: &[],
    },
    Border {
        part: "src/telemetry",
        forbidden: &["trunkline_wire", "crate::http", "crate::dispatch"],
        except: &[],
    },
    Border {
        part: "src/transcripts",
        forbidden: &[
            "rusqlite",
            "tokio_postgres",
            "actix_web",
            "awc",
            "crate::auth",
            "crate::dispatch",
            "crate::http",
        ],
        except: &[],
    },
    Border {
        part: "src/tokenizer",
        forbidden: &[
            "actix",
            "actix_web",
            "awc",
            "trunkline_actors",
            "trunkline_wire",
            "crate::auth",
            "crate::config",
            "crate::dispatch",
            "crate::http",
            "crate::storage",
        ],
        except: &[],
    },
    Border {
        part: "src/auth",
        forbidden: &["rusqlite", "deadpool_sqlite", "crate::dispatch", "awc"],
        except: &[],
    },
    Border {
        part: "src/dispatch",
        forbidden: &[
            "deadpool",
            "deadpool_redis",
            "crate::fleet",
            "rusqlite",
            "tokio_postgres",
            "deadpool_sqlite",
            "crate::http",
            "crate::storage",
        ],
        except: &[],
    },
    Border {
        part: "src/health",
        forbidden: &[
            "trunkline_wire",
            "crate::http",
            "crate::storage",
            "crate::journal",
            "actix_web",
            "awc",
            "rusqlite",
            "tokio_postgres",
        ],
        except: &[],
    },
    Border {
        part: "src/http",
        forbidden: &["rusqlite", "deadpool_sqlite", "awc"],
        except: &[],
    },
];

fn is_word(letter: Option<char>) -> bool {
    letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

/// Does the line of code name the path (as a whole word, followed by more of a path or the end of an import)?
fn names_path(line: &str, path: &str, except: &[&str]) -> bool {
    line.match_indices(path).any(|(start, _)| {
        let (before, rest) = line.split_at(start);
        let after = rest.split_at(path.len()).1;
        let before = before.chars().next_back();
        let is_path = after.starts_with("::")
            || (line.trim_start().starts_with("use ") && !is_word(after.chars().next()));
        !is_word(before)
            && before != Some(':')
            && is_path
            && !except.iter().any(|longer| rest.starts_with(longer))
    })
}

/// The imports and paths of a file: its lines without comments, up to its tests.
fn code_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line))
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn no_part_of_the_source_knows_what_it_must_not() {
    let mut wrong = Vec::new();
    for border in BORDERS {
        for path in files_under(&root().join(border.part)) {
            let is_code = path.extension().is_some_and(|kind| kind == "rs");
            let is_tests = path.file_name().is_some_and(|name| name == "tests.rs");
            if !is_code || is_tests {
                continue;
            }
            let text = read(&path);
            for (number, line) in code_of(&text) {
                for forbidden in border.forbidden {
                    if names_path(line, forbidden, border.except) {
                        wrong.push(format!(
                            "{}:{number}: {} must not know {forbidden}: {}",
                            path.display(),
                            border.part,
                            line.trim()
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_border_check_sees_what_it_should() {
    assert!(names_path("use actix::prelude::*;", "actix", &[]));
    assert!(names_path("use log;", "log", &[]));
    assert!(names_path("    log::info!(\"x\");", "log", &[]));
    assert!(names_path(
        "use trunkline_actors::ids::KeyId;",
        "trunkline_actors",
        &["trunkline_actors::money"]
    ));
    assert!(!names_path(
        "use trunkline_actors::money::Usd;",
        "trunkline_actors",
        &["trunkline_actors::money"]
    ));
    assert!(!names_path("use actix_web::web;", "actix", &[]));
    assert!(!names_path("use crate::catalog::Price;", "log", &[]));
    assert!(!names_path("let log = 1;", "log", &[]));
    assert!(!names_path("use crate::log::Line;", "log", &[]));
}

/// Words in backticks that look like places in the repository.
fn named_places(text: &str) -> BTreeSet<String> {
    const ROOTS: &[&str] = &[
        "src/",
        "actors/",
        "wire/",
        "tests/",
        "config/",
        "migrations/",
        "docs/",
        "bench/",
        ".ci/",
    ];
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| ROOTS.iter().any(|root| word.starts_with(root)))
        .filter(|word| !word.contains(['*', '<', ' ', '{', '…']))
        .map(|word| word.split(['#', ':']).next().unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn every_place_that_the_architecture_names_exists() {
    let text = read(&root().join("ARCHITECTURE.md"));

    let places = named_places(&text);

    assert!(
        places.len() >= 10,
        "ARCHITECTURE.md names places: {places:?}"
    );
    for place in places {
        assert!(
            root().join(&place).exists(),
            "ARCHITECTURE.md names `{place}`, which is not there"
        );
    }
}

#[test]
fn migrations_come_in_pairs() {
    let names = |folder: &str| -> BTreeSet<String> {
        files_under(&root().join("migrations").join(folder))
            .iter()
            .filter(|path| path.extension().is_some_and(|kind| kind == "sql"))
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect()
    };

    let sqlite = names("sqlite");

    assert!(!sqlite.is_empty(), "there are migrations");
    assert_eq!(sqlite, names("postgres"));
}

#[test]
fn no_file_names_the_host_of_a_package_registry() {
    // Put together here, or this file would be the first to name one.
    let hosts = [
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["pypi", ".org"],
        ["pythonhosted", ".org"],
        ["registry.npmjs", ".org"],
        ["deb.debian", ".org"],
        ["registry.yarnpkg", ".com"],
    ]
    .map(|parts| parts.concat());
    let mut wrong = Vec::new();
    for path in files_under(root()) {
        // Not text: nothing to read.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for host in &hosts {
            if text.contains(host.as_str()) {
                wrong.push(format!("{}: {host}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut silent = Vec::new();
    for folder in ["src", "actors/src", "wire/src", "tests/it", "tests/support"] {
        for path in files_under(&root().join(folder)) {
            let is_code = path.extension().is_some_and(|kind| kind == "rs");
            // Test modules beside the code they test are named by it.
            let is_tests = path.ends_with("tests.rs")
                || path
                    .parent()
                    .is_some_and(|folder| folder.ends_with("tests"));
            if is_code && !is_tests && !read(&path).starts_with("//!") {
                silent.push(path.display().to_string());
            }
        }
    }
    assert!(
        silent.is_empty(),
        "no `//!` at the top of:\n{}",
        silent.join("\n")
    );
}
