//! Usage × price, in decimals.

use rust_decimal::Decimal;
use trunkline_actors::money::Usd;
use trunkline_wire::usage::Usage;

use super::part::Part;
use super::price::{Figure, Price};
use super::terms::{Applied, Terms};
use super::tier::ServiceTier;
use super::units::Units;

/// What each part of a call costs.
///
/// The parts are exact and at list price; the total is their exact sum under the operator's terms, rounded once, half to
/// even, to 1e-12 USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostBreakdown {
    /// Plain input.
    pub input: Decimal,
    /// Input read from the provider's cache.
    pub cache_read: Decimal,
    /// Input written to a cache, of either life time.
    pub cache_write: Decimal,
    /// Audio input.
    pub audio_input: Decimal,
    /// Image input.
    pub image_input: Decimal,
    /// What was sent by the piece: the call itself, queries, pictures, characters, seconds.
    pub units_in: Decimal,
    /// Plain output.
    pub output: Decimal,
    /// Hidden reasoning.
    pub reasoning: Decimal,
    /// Audio output.
    pub audio_output: Decimal,
    /// What was made by the piece: pictures (or their tokens and pixels), characters, seconds.
    pub units_out: Decimal,
    /// What the operator's discount takes off.
    pub discount: Decimal,
    /// What the operator's margin puts on top.
    pub margin: Decimal,
    /// All of it.
    pub total: Usd,
}

impl CostBreakdown {
    /// The exact list price of everything sent to the model.
    pub fn input_side(&self) -> Decimal {
        self.input
            + self.cache_read
            + self.cache_write
            + self.audio_input
            + self.image_input
            + self.units_in
    }

    /// The exact list price of everything that the model made.
    pub fn output_side(&self) -> Decimal {
        self.output + self.reasoning + self.audio_output + self.units_out
    }

    /// The exact list price of all.
    pub fn list(&self) -> Decimal {
        self.input_side() + self.output_side()
    }
}

/// What a call costs; `None` when the price of something that was used is not known.
///
/// A kind of token without a figure of its own costs as much as the plain token of its side: a provider that names no
/// cache price gives no rebate. What is counted by the piece is billed where the price has a figure for it; a call of
/// which nothing at all has a figure is unknown. A call that used nothing costs nothing.
pub fn cost(
    usage: &Usage,
    price: &Price,
    units: &Units,
    service: ServiceTier,
) -> Option<CostBreakdown> {
    bill(usage, price, units, service, &mut Unlisted)
}

/// What a call costs, as [`cost`] says it, and the lines that make up its list price.
pub fn itemised(
    usage: &Usage,
    price: &Price,
    units: &Units,
    service: ServiceTier,
) -> Option<(CostBreakdown, Vec<Line>)> {
    let mut lines = Vec::new();
    let breakdown = bill(usage, price, units, service, &mut lines)?;
    Some((breakdown, lines))
}

/// The one way from usage to cost. `lines` is told of every amount; where nobody listens that costs nothing.
fn bill(
    usage: &Usage,
    price: &Price,
    units: &Units,
    service: ServiceTier,
    lines: &mut impl Lines,
) -> Option<CostBreakdown> {
    if usage.total_tokens() == 0 && units.is_none() {
        return Some(CostBreakdown::default());
    }
    let rate = Rate {
        price,
        prompt_tokens: usage.prompt_tokens(),
        service,
    };
    let mut pieces = Pieces {
        billed: false,
        lines,
    };
    let mut cost = CostBreakdown {
        units_in: units_in(usage, units, rate, &mut pieces)?,
        units_out: units_out(usage, units, rate, &mut pieces)?,
        ..CostBreakdown::default()
    };
    // A reranker's tokens are counted, but the query was billed.
    let required = !pieces.billed;
    let mut tokens =
        |part, count: Option<u64>| rate.tokens(part, count.unwrap_or(0), required, pieces.lines);
    cost.input = tokens(Part::Input, usage.input_uncached)?;
    cost.cache_read = tokens(Part::CacheRead, usage.cache_read)?;
    cost.cache_write = tokens(Part::CacheWrite5m, usage.cache_write_5m)?
        .checked_add(tokens(Part::CacheWrite1h, usage.cache_write_1h)?)?;
    cost.audio_input = tokens(Part::AudioInput, usage.audio_input)?;
    cost.image_input = tokens(Part::ImageInput, usage.image_input)?;
    cost.output = tokens(Part::Output, usage.output_text)?;
    cost.reasoning = tokens(Part::Reasoning, usage.reasoning)?;
    cost.audio_output = tokens(Part::AudioOutput, usage.audio_output)?;
    if usage.total_tokens() == 0 && !pieces.billed {
        return None;
    }
    let list = [
        cost.input,
        cost.cache_read,
        cost.cache_write,
        cost.audio_input,
        cost.image_input,
        cost.units_in,
        cost.output,
        cost.reasoning,
        cost.audio_output,
        cost.units_out,
    ]
    .into_iter()
    .try_fold(Decimal::ZERO, Decimal::checked_add)?;
    let Applied {
        discount,
        margin,
        total,
    } = price
        .terms()
        .map_or_else(|| Terms::default().apply(list), |terms| terms.apply(list))?;
    Some(CostBreakdown {
        discount,
        margin,
        total: Usd::rounded(total),
        ..cost
    })
}

/// What a call is expected to cost at most, for what is sent and for the answer; `None` where no price is known.
///
/// `prompt` is an estimate from the length of the text, and dense text has up to twice the tokens: a dearer tier counts
/// as soon as twice the estimate reaches it.
pub fn expected(
    price: &Price,
    prompt: u64,
    completion: u64,
    service: ServiceTier,
) -> (Option<Usd>, Option<Usd>) {
    let reach = prompt.saturating_mul(2);
    let of = |part, tokens: u64| {
        Some(Decimal::from(tokens).saturating_mul(price.dearest(part, reach, service)?))
    };
    let fee = price.of(Part::Request);
    let input = match (of(Part::Input, prompt), fee) {
        (None, None) => None,
        (input, fee) => Some(
            input
                .unwrap_or_default()
                .saturating_add(fee.unwrap_or_default()),
        ),
    };
    let terms = price.terms().copied().unwrap_or_default();
    let under = |list: Decimal, terms: Terms| {
        // Beyond what a decimal holds is nonsense, and nonsense is not held.
        terms.apply(list).map(|applied| Usd::rounded(applied.total))
    };
    (
        input.and_then(|list| under(list, terms)),
        of(Part::Output, completion).and_then(|list| {
            // The fixed amount is the call's, and with the input.
            under(
                list,
                Terms {
                    fixed: Decimal::ZERO,
                    ..terms
                },
            )
        }),
    )
}

/// One amount of a bill, at list price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What was used.
    pub part: Part,
    /// How much of it.
    pub count: Decimal,
    /// What it was billed by: the part's own figure or that of the part that stands in for it, and its condition.
    pub figure: Figure,
    /// Count × figure, exact.
    pub amount: Decimal,
}

/// Who is told of the lines of a bill.
trait Lines {
    fn add(&mut self, line: impl FnOnce() -> Line);
}

/// Nobody.
struct Unlisted;

impl Lines for Unlisted {
    fn add(&mut self, _line: impl FnOnce() -> Line) {}
}

impl Lines for Vec<Line> {
    fn add(&mut self, line: impl FnOnce() -> Line) {
        self.push(line());
    }
}

/// The price of one call.
#[derive(Clone, Copy)]
struct Rate<'a> {
    price: &'a Price,
    prompt_tokens: u64,
    service: ServiceTier,
}

/// Whether anything of a call was billed by the piece.
struct Pieces<'a, L> {
    billed: bool,
    lines: &'a mut L,
}

impl Rate<'_> {
    fn at(&self, part: Part) -> Option<Figure> {
        self.price.figure_at(part, self.prompt_tokens, self.service)
    }

    /// Nothing used costs nothing, whatever its price. `required`: without a price the whole cost is unknown.
    fn tokens(
        &self,
        part: Part,
        tokens: u64,
        required: bool,
        lines: &mut impl Lines,
    ) -> Option<Decimal> {
        if tokens == 0 {
            return Some(Decimal::ZERO);
        }
        match self.at(part) {
            Some(figure) => listed(part, tokens.into(), figure, lines),
            None => (!required).then_some(Decimal::ZERO),
        }
    }

    /// What has no price is not billed by the piece.
    fn pieces(
        &self,
        part: Part,
        count: Decimal,
        pieces: &mut Pieces<'_, impl Lines>,
    ) -> Option<Decimal> {
        let figure = if count.is_zero() { None } else { self.at(part) };
        let Some(figure) = figure else {
            return Some(Decimal::ZERO);
        };
        pieces.billed = true;
        listed(part, count, figure, pieces.lines)
    }
}

/// Count × figure, and a line for it.
fn listed(part: Part, count: Decimal, figure: Figure, lines: &mut impl Lines) -> Option<Decimal> {
    let amount = count.checked_mul(figure.usd)?;
    lines.add(|| Line {
        part,
        count,
        figure,
        amount,
    });
    Some(amount)
}

fn units_in(
    usage: &Usage,
    units: &Units,
    rate: Rate<'_>,
    pieces: &mut Pieces<'_, impl Lines>,
) -> Option<Decimal> {
    let counted = |tokens: Option<u64>| tokens.unwrap_or(0) > 0;
    // The fee for the call itself has no condition, and does not make a call known of which nothing else is.
    let mut sum = match rate.price.plain(Part::Request) {
        Some(fee) => listed(Part::Request, Decimal::ONE, fee, pieces.lines)?,
        None => Decimal::ZERO,
    };
    let mut add = |part, count: Decimal| {
        sum = sum.checked_add(rate.pieces(part, count, pieces)?)?;
        Some(())
    };
    add(Part::Query, units.queries.into())?;
    if !counted(usage.image_input) {
        add(Part::ImagesIn, units.images_in.into())?;
    }
    if !counted(usage.input_uncached) {
        add(Part::CharactersIn, units.characters_in.into())?;
    }
    if !counted(usage.audio_input) {
        add(Part::SecondsIn, units.seconds_in)?;
    }
    Some(sum)
}

fn units_out(
    usage: &Usage,
    units: &Units,
    rate: Rate<'_>,
    pieces: &mut Pieces<'_, impl Lines>,
) -> Option<Decimal> {
    let counted = |tokens: Option<u64>| tokens.unwrap_or(0) > 0;
    // One picture has three measures, of which a price mostly names one: the finest that it names counts.
    let picture = [
        (Part::ImageOutput, units.image_output_tokens),
        (Part::ImagesOut, units.images_out),
        (Part::Pixels, units.pixels),
    ]
    .into_iter()
    .find(|(part, count)| *count > 0 && rate.at(*part).is_some());
    let mut sum = match picture {
        Some((part, count)) => rate.pieces(part, count.into(), pieces)?,
        None => Decimal::ZERO,
    };
    if !counted(usage.output_text) {
        let characters = units.characters_out.into();
        sum = sum.checked_add(rate.pieces(Part::CharactersOut, characters, pieces)?)?;
    }
    if !counted(usage.audio_output) {
        sum = sum.checked_add(rate.pieces(Part::SecondsOut, units.seconds_out, pieces)?)?;
    }
    Some(sum)
}
