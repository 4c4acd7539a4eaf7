//! The report for people. The first line of each message is `file:line:column: …`, which editors know; the line of the
//! file and a caret follow.

use std::fmt;

use super::lines::{KeyLine, Standing};
use super::models::{DeploymentLine, Models};
use super::{CheckReport, Verdict};
use crate::config::error::{Location, Notice, Problem};

/// Problems one after another, each with its line and caret: also what a start that fails says.
#[derive(Debug)]
pub struct Problems<'p>(&'p [Problem]);

/// Shows `problems`.
pub fn problems(problems: &[Problem]) -> Problems<'_> {
    Problems(problems)
}

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.0 {
            let said = format!("{}; {}", problem.what, problem.fix);
            message(f, "error", problem.location.as_ref(), &problem.path, &said)?;
        }
        Ok(())
    }
}

struct Warnings<'n>(&'n [Notice]);

impl fmt::Display for Warnings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for notice in self.0 {
            let place = notice.location.as_ref();
            message(f, "warning", place, &notice.path, &notice.message)?;
        }
        Ok(())
    }
}

fn message(
    f: &mut fmt::Formatter<'_>,
    severity: &str,
    place: Option<&Location>,
    path: &str,
    said: &str,
) -> fmt::Result {
    if let Some(place) = place {
        write!(f, "{place}: ")?;
    }
    write!(f, "{severity}: ")?;
    if !path.is_empty() {
        write!(f, "{path}: ")?;
    }
    writeln!(f, "{said}")?;
    match place.and_then(|place| Some((place.position?, place.excerpt.as_ref()?))) {
        Some(((line, _), excerpt)) => excerpt.write(f, line),
        None => Ok(()),
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Problems(&self.errors).fmt(f)?;
        Warnings(&self.warnings).fmt(f)?;
        if !self.errors.is_empty() || !self.warnings.is_empty() {
            writeln!(f)?;
        }
        let mut file = None;
        for line in &self.keys {
            if file != Some(&line.file) {
                writeln!(f, "Keys of {}:", line.file)?;
                file = Some(&line.file);
            }
            key(f, line)?;
        }
        if !self.keys.is_empty() {
            writeln!(f)?;
        }
        if let Some(found) = &self.models {
            models(f, found)?;
            writeln!(f)?;
        }
        self.summary(f)
    }
}

fn key(f: &mut fmt::Formatter<'_>, line: &KeyLine) -> fmt::Result {
    let number = line.line.map(|line| line.to_string()).unwrap_or_default();
    let note = line.standing.note();
    write!(f, "{number:>6}  {:<8}  {}", line.standing.word(), line.path)?;
    if note.is_empty() {
        writeln!(f)
    } else {
        writeln!(f, ": {note}")
    }
}

fn models(f: &mut fmt::Formatter<'_>, models: &Models) -> fmt::Result {
    writeln!(f, "Models:")?;
    let mut groups: Vec<&str> = Vec::new();
    for one in &models.deployments {
        if !groups.contains(&one.group.as_str()) {
            groups.push(&one.group);
        }
    }
    for group in &groups {
        writeln!(f, "  {group}")?;
        for one in models.deployments.iter().filter(|one| one.group == *group) {
            deployment(f, one)?;
        }
        for line in models.fallbacks.iter().filter(|line| line.group == *group) {
            let targets = line.targets.join(", then ");
            writeln!(f, "    when it {}: {targets}", when(line.when))?;
        }
    }
    // Models of a wildcard, and aliases.
    let others = models
        .fallbacks
        .iter()
        .filter(|line| line.group != "*" && !groups.contains(&line.group.as_str()));
    for line in others {
        let targets = line.targets.join(", then ");
        writeln!(
            f,
            "  {}, when it {}: {targets}",
            line.group,
            when(line.when)
        )?;
    }
    for line in models.fallbacks.iter().filter(|line| line.group == "*") {
        writeln!(
            f,
            "  any other group, when it {}: {}",
            when(line.when),
            line.targets.join(", then ")
        )?;
    }
    for line in &models.aliases {
        writeln!(f, "  {} is another name of {}", line.alias, line.group)?;
    }
    if !models.users.is_empty() {
        writeln!(f, "Users:")?;
    }
    for user in &models.users {
        writeln!(f, "  {}: {}", user.id, user.settings.join("; "))?;
    }
    Ok(())
}

fn when(reason: &str) -> &str {
    match reason {
        "prompt too long" => "finds the prompt too long",
        "content refused" => "refuses the content",
        other => other,
    }
}

fn deployment(f: &mut fmt::Formatter<'_>, one: &DeploymentLine) -> fmt::Result {
    write!(f, "    → {}", one.model)?;
    if one.address == "mocked" {
        write!(f, ", mocked: no provider is called")?;
    } else {
        write!(
            f,
            " at {}, {}",
            one.address,
            if one.key {
                "with a key"
            } else {
                "without a key"
            }
        )?;
    }
    if one.priced == Some(false) {
        write!(f, ", price unknown")?;
    }
    for setting in &one.settings {
        write!(f, ", {setting}")?;
    }
    writeln!(f)
}

impl CheckReport {
    /// The warnings alone.
    pub fn warnings_text(&self) -> String {
        Warnings(&self.warnings).to_string()
    }

    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.name,
            match self.verdict() {
                Verdict::Fine => "fine",
                Verdict::Warnings => "starts",
                Verdict::Errors => "does not start",
            }
        )?;
        write!(f, "; {}", count(self.errors.len(), "error"))?;
        write!(f, ", {}", count(self.warnings.len(), "warning"))?;
        let mut words: Vec<(&str, usize)> = Vec::new();
        for line in self
            .keys
            .iter()
            .filter(|line| line.standing != Standing::Wrong)
        {
            let word = line.standing.word();
            match words.iter_mut().find(|(known, _)| *known == word) {
                Some((_, times)) => *times += 1,
                None => words.push((word, 1)),
            }
        }
        let mut gap = "; keys: ";
        for (word, times) in words {
            write!(f, "{gap}{times} {word}")?;
            gap = ", ";
        }
        writeln!(f)
    }
}

fn count(times: usize, what: &str) -> String {
    match times {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{times} {what}s"),
    }
}
