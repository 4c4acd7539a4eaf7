//! `trunkline prices`: the built-in price list against a LiteLLM price map.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::print_text;
use crate::cost::{Comparison, Difference, PriceBook, compare, read_book};

#[derive(Debug, Args)]
pub(super) struct PricesArgs {
    #[command(subcommand)]
    command: PricesCommand,
}

#[derive(Debug, Subcommand)]
enum PricesCommand {
    /// Say where the built-in list and a price map differ: exit code 0 nowhere, 1 somewhere, 2 the map cannot be read.
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
struct DiffArgs {
    /// A LiteLLM price map (`model_prices_and_context_window.json`), or a list like `config/model_prices.json`.
    file: PathBuf,
    /// Print the differences as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the differences. An unreadable map is an error, whose exit code is 2.
pub(super) fn run(args: &PricesArgs) -> Result<ExitCode, anyhow::Error> {
    let PricesCommand::Diff(args) = &args.command;
    let name = args.file.display();
    let text = fs::read_to_string(&args.file).with_context(|| format!("{name} cannot be read"))?;
    let there = read_book(&text).with_context(|| format!("{name} cannot be used"))?;
    let here = PriceBook::built_in();
    let comparison = compare(here, &there);
    if args.json {
        print_text(&format!("{:#}\n", to_json(here, &comparison)))?;
    } else {
        print_text(&to_text(&comparison))?;
    }
    Ok(ExitCode::from(u8::from(!comparison.is_equal())))
}

/// `{"version", "equal", "other_providers", "differences": [{"provider", "model", "difference", "figures"?}]}`; figures
/// are decimal text in USD for one.
fn to_json(here: &PriceBook, comparison: &Comparison) -> Value {
    let text = |usd: &Option<Decimal>| usd.map(|usd| usd.to_string());
    let differences: Vec<Value> = comparison
        .differences
        .iter()
        .map(|(provider, model, difference)| {
            let mut row = json!({
                "provider": provider,
                "model": model,
                "difference": match difference {
                    Difference::OnlyHere => "only_here",
                    Difference::OnlyThere => "only_there",
                    Difference::Figures(_) => "figures",
                },
            });
            if let (Difference::Figures(figures), Value::Object(row)) = (difference, &mut row) {
                let figures = figures.iter().map(|(name, here, there)| {
                    json!({"name": name, "here": text(here), "there": text(there)})
                });
                row.insert("figures".to_owned(), figures.collect());
            }
            row
        })
        .collect();
    json!({
        "version": here.version(),
        "equal": comparison.equal,
        "other_providers": comparison.other_providers,
        "differences": differences,
    })
}

fn to_text(comparison: &Comparison) -> String {
    let shown = |usd: &Option<Decimal>| usd.map_or_else(|| "-".to_owned(), |usd| usd.to_string());
    let mut rows = vec![["Model", "Price", "Here", "There"].map(str::to_owned)];
    for (provider, model, difference) in &comparison.differences {
        let model = format!("{provider}/{model}");
        match difference {
            Difference::OnlyHere => rows.push([model, "all".into(), "listed".into(), "-".into()]),
            Difference::OnlyThere => rows.push([model, "all".into(), "-".into(), "listed".into()]),
            Difference::Figures(figures) => {
                for (name, here, there) in figures {
                    rows.push([model.clone(), name.clone(), shown(here), shown(there)]);
                }
            }
        }
    }
    let (equal, differences) = (comparison.equal, comparison.differences.len());
    let other = comparison.other_providers;
    let sum = format!(
        "{equal} models equal, {differences} different; {other} more there are of providers that are not known here.\n"
    );
    if comparison.is_equal() {
        return sum;
    }
    format!(
        "{}Prices are USD for one token, picture, second, ….\n\n{sum}",
        table(&rows)
    )
}

/// Columns as wide as their widest cell.
fn table(rows: &[[String; 4]]) -> String {
    let mut widths = [0; 4];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
