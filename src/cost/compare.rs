//! Two price books side by side.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::part::Part;
use super::price::Price;
use super::prices::{PriceBook, PricedModel, Region};
use super::tier::When;

/// What differs between two books, sorted by provider and model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Models that both have, at the same figures.
    pub equal: usize,
    /// What differs.
    pub differences: Vec<(String, String, Difference)>,
    /// Models of the other book whose provider this one does not have.
    pub other_providers: usize,
}

/// How a model differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The other book does not have it.
    OnlyHere,
    /// This book does not have it.
    OnlyThere,
    /// Figure, here, there; USD for one. `None` is not known.
    Figures(Vec<(String, Option<Decimal>, Option<Decimal>)>),
}

impl Comparison {
    /// Whether the books say the same of every provider that this one has.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares `here` with `there`.
pub fn compare(here: &PriceBook, there: &PriceBook) -> Comparison {
    type Sides<'a> = (Option<&'a PricedModel>, Option<&'a PricedModel>);
    let mut models: BTreeMap<(&str, &str), Sides<'_>> = BTreeMap::new();
    let mut comparison = Comparison::default();
    for (provider, model, entry) in here.entries() {
        models.entry((provider, model)).or_default().0 = Some(entry);
    }
    for (provider, model, entry) in there.entries() {
        if here.has_provider(provider) {
            models.entry((provider, model)).or_default().1 = Some(entry);
        } else {
            comparison.other_providers += 1;
        }
    }
    for ((provider, model), sides) in models {
        let difference = match sides {
            (Some(_), None) => Difference::OnlyHere,
            (None, Some(_)) => Difference::OnlyThere,
            (Some(here), Some(there)) => match figures(here, there) {
                different if different.is_empty() => {
                    comparison.equal += 1;
                    continue;
                }
                different => Difference::Figures(different),
            },
            (None, None) => continue,
        };
        comparison
            .differences
            .push((provider.to_owned(), model.to_owned(), difference));
    }
    comparison
}

fn figures(
    here: &PricedModel,
    there: &PricedModel,
) -> Vec<(String, Option<Decimal>, Option<Decimal>)> {
    let mut all: BTreeMap<(Part, When), (Option<Decimal>, Option<Decimal>)> = BTreeMap::new();
    let by_key = |price: &Price| -> Vec<((Part, When), Decimal)> {
        let figures = price.figures().iter();
        figures
            .map(|figure| ((figure.part, figure.when), figure.usd))
            .collect()
    };
    for (key, usd) in by_key(&here.price) {
        all.entry(key).or_default().0 = Some(usd);
    }
    for (key, usd) in by_key(&there.price) {
        all.entry(key).or_default().1 = Some(usd);
    }
    let figures = all
        .into_iter()
        .map(|((part, when), (here, there))| (format!("{}{when}", part.name()), here, there));
    let uplift = |model: &PricedModel, region: Region| {
        let known = model.uplifts.iter().find(|(known, _)| *known == region);
        known.map(|(_, factor)| *factor)
    };
    let uplifts = [
        ("uplift regional", Region::Regional),
        ("uplift eu", Region::Eu),
        ("uplift us", Region::Us),
    ]
    .map(|(name, region)| (name.to_owned(), uplift(here, region), uplift(there, region)));
    figures
        .chain(uplifts)
        .filter(|(_, here, there)| here != there)
        .collect()
}
