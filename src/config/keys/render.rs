//! The table as Markdown, for `docs/configuration.md`.

use std::fmt::Write as _;

use super::{ENVIRONMENT, Key, Others, SECTIONS, Status};

/// Every section as a heading and a table, then the variables.
pub fn markdown() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let title = if section.path.is_empty() {
            "Top level".to_owned()
        } else {
            format!("`{}`", section.path)
        };
        let others = match section.others {
            Others::Unknown => "",
            Others::Sent => "A key that is not here is a member of the provider's request.\n\n",
            Others::Kept => "A key that is not here is kept and shown by `/model/info`.\n\n",
        };
        table(&mut text, &title, others, section.keys);
    }
    table(&mut text, "Variables of the process", "", ENVIRONMENT);
    text
}

fn table(text: &mut String, title: &str, others: &str, keys: &[Key]) {
    // Writing to a string cannot fail.
    _ = writeln!(
        text,
        "\n### Keys: {title}\n\n{others}| Key | Holds | Default | Status | Meaning |\n| --- | --- | --- | --- | --- |"
    );
    for key in keys {
        let status = match key.status {
            Status::Supported => "supported".to_owned(),
            Status::Planned(area) => format!("planned ({})", area.name()),
            Status::Ignored(_) => "ignored".to_owned(),
            Status::Refused(_) => "refused".to_owned(),
        };
        let meaning = match key.status {
            Status::Ignored(reason) => reason,
            Status::Refused(instead) => instead,
            Status::Supported | Status::Planned(_) if key.meaning.is_empty() => "as above",
            Status::Supported | Status::Planned(_) => key.meaning,
        };
        _ = writeln!(
            text,
            "| `{}` | {} | {} | {status} | {meaning} |",
            key.name,
            key.kind.name(),
            key.default,
        );
    }
}
