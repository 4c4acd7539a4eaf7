//! The price of one model: figures, each for one part under one condition.

use rust_decimal::{Decimal, RoundingStrategy};

use super::part::Part;
use super::terms::Terms;
use super::tier::{ServiceTier, When};

/// USD for one of a part (one token, one picture, …), under a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// What is billed.
    pub part: Part,
    /// When.
    pub when: When,
    /// For each.
    pub usd: Decimal,
}

/// What a model costs. A part without a figure is not known; a figure of zero is free.
///
/// `input 3 USD a million, 6 above 200k, output 15 …` is a list of figures, mostly two to six.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// Sorted by part and condition, one each.
    figures: Vec<Figure>,
    /// Discount and margin of the operator.
    terms: Option<Box<Terms>>,
}

impl Price {
    /// A price of these figures; of several for the same part and condition the first counts.
    pub fn new(figures: impl IntoIterator<Item = Figure>) -> Self {
        let mut figures: Vec<Figure> = figures.into_iter().collect();
        figures.sort_by_key(|figure| (figure.part, figure.when));
        figures.dedup_by_key(|figure| (figure.part, figure.when));
        figures.shrink_to_fit();
        Self {
            figures,
            terms: None,
        }
    }

    /// A price without tiers.
    pub fn flat(parts: impl IntoIterator<Item = (Part, Decimal)>) -> Self {
        Self::new(parts.into_iter().map(|(part, usd)| Figure {
            part,
            when: When::default(),
            usd,
        }))
    }

    /// Everything for nothing: what a mocked answer costs.
    pub fn free() -> Self {
        Self::flat([(Part::Input, Decimal::ZERO), (Part::Output, Decimal::ZERO)])
    }

    /// Whether a call costs nothing, whatever is used.
    pub fn is_free(&self) -> bool {
        let fixed = self
            .terms
            .as_ref()
            .map_or(Decimal::ZERO, |terms| terms.fixed);
        !self.figures.is_empty()
            && fixed.is_zero()
            && self.figures.iter().all(|figure| figure.usd.is_zero())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    /// All that is known.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// The figure of `part` for short prompts and the standard service.
    pub fn of(&self, part: Part) -> Option<Decimal> {
        self.plain(part).map(|figure| figure.usd)
    }

    /// The same with its name.
    pub(super) fn plain(&self, part: Part) -> Option<Figure> {
        self.own(part)
            .find(|figure| figure.when == When::default())
            .copied()
    }

    /// What one of `part` costs in a call with so long a prompt, or what the part that stands in for it costs.
    ///
    /// The figure for the longest length that the prompt exceeds counts. Where that length has no figure for the
    /// service, the dearer of the standard one and the service's own for shorter prompts does: the books may say too
    /// much then, never too little.
    pub fn at(&self, part: Part, prompt_tokens: u64, service: ServiceTier) -> Option<Decimal> {
        let figure = self.figure_at(part, prompt_tokens, service)?;
        Some(figure.usd)
    }

    /// The figure that [`at`](Self::at) speaks of.
    pub fn figure_at(
        &self,
        part: Part,
        prompt_tokens: u64,
        service: ServiceTier,
    ) -> Option<Figure> {
        let mut part = Some(part);
        while let Some(wanted) = part {
            let known = self.own_at(wanted, prompt_tokens, service);
            if known.is_some() {
                return known;
            }
            part = wanted.fallback();
        }
        None
    }

    fn own_at(&self, part: Part, prompt_tokens: u64, service: ServiceTier) -> Option<Figure> {
        let longest = |service: ServiceTier| {
            self.own(part)
                .filter(|figure| figure.when.service == service)
                .filter(|figure| figure.when.applies_to(prompt_tokens))
                .max_by_key(|figure| figure.when.above)
        };
        let standard = longest(ServiceTier::Standard);
        let wanted = match service {
            ServiceTier::Standard => None,
            service => longest(service),
        };
        match (standard, wanted) {
            (Some(standard), Some(wanted)) if wanted.when.above < standard.when.above => {
                Some(if standard.usd > wanted.usd {
                    *standard
                } else {
                    *wanted
                })
            }
            (standard, wanted) => wanted.or(standard).copied(),
        }
    }

    /// The dearest that one of `part` may cost with a prompt of at most so many tokens, in `service` or the standard
    /// one, as a provider may serve a call with that instead.
    pub fn dearest(&self, part: Part, prompt_tokens: u64, service: ServiceTier) -> Option<Decimal> {
        self.own(part)
            .filter(|figure| [ServiceTier::Standard, service].contains(&figure.when.service))
            .filter(|figure| figure.when.applies_to(prompt_tokens))
            .map(|figure| figure.usd)
            .max()
    }

    /// These prices, completed from `fallback`. A part with a plain figure of one's own takes no tier from there: who
    /// says what a token costs says it for every prompt.
    #[must_use]
    pub fn or(&self, fallback: &Self) -> Self {
        let missing = fallback
            .figures
            .iter()
            .filter(|figure| self.of(figure.part).is_none());
        Self {
            terms: self.terms.clone().or_else(|| fallback.terms.clone()),
            ..Self::new(self.figures.iter().chain(missing).copied())
        }
    }

    /// Every figure times `factor`: what a region costs.
    #[must_use]
    pub fn times(&self, factor: Decimal) -> Self {
        let figures = self.figures.iter().map(|figure| Figure {
            usd: figure.usd.saturating_mul(factor).normalize(),
            ..*figure
        });
        Self {
            terms: self.terms.clone(),
            ..Self::new(figures)
        }
    }

    /// Discount and margin; `None` for the list price.
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_deref()
    }

    /// This price under the operator's terms.
    #[must_use]
    pub fn under(self, terms: &Terms) -> Self {
        Self {
            terms: (*terms != Terms::default()).then(|| Box::new(*terms)),
            ..self
        }
    }

    fn own(&self, part: Part) -> impl Iterator<Item = &Figure> {
        self.figures
            .iter()
            .filter(move |figure| figure.part == part)
    }
}

/// A price from its source text: `2.5e-06`, `0.0000025`, `10`. Cleaned to 12 significant digits, because price maps
/// hold the noise of float arithmetic. `None` for anything that is no number, or below zero.
pub fn parse_price(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let value = Decimal::from_scientific(text)
        .or_else(|_| text.parse::<Decimal>())
        .ok()?;
    let cleaned = value.round_sf_with_strategy(12, RoundingStrategy::MidpointNearestEven)?;
    (!cleaned.is_sign_negative() || cleaned.is_zero()).then(|| cleaned.normalize())
}
#[cfg(test)]
mod tests {
    use super::parse_price;

    #[test]
    fn prices_are_read_exactly_and_float_noise_is_cleaned() {
        for (text, want) in [
            ("1e-06", Some("0.000001")),
            ("0.0000025", Some("0.0000025")),
            ("2.5E-6", Some("0.0000025")),
            ("1.5000000000000002e-07", Some("0.00000015")),
            ("0", Some("0")),
            ("10", Some("10")),
            ("1e3", Some("1000")),
            ("-1", None),
            ("free", None),
            ("", None),
            ("1e-400", None),
        ] {
            assert_eq!(
                parse_price(text).map(|price| price.to_string()).as_deref(),
                want,
                "{text}"
            );
        }
    }
}
