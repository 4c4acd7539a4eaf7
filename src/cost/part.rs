//! What a call is billed by: the parts of a price, their names in the price book, and LiteLLM's names for them.

/// One thing that has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Plain input token.
    Input,
    /// Input token read from the provider's cache.
    CacheRead,
    /// Input token written to the five-minute cache.
    CacheWrite5m,
    /// Input token written to the one-hour cache.
    CacheWrite1h,
    /// Audio input token.
    AudioInput,
    /// Image input token.
    ImageInput,
    /// Plain output token.
    Output,
    /// Hidden reasoning token.
    Reasoning,
    /// Audio output token.
    AudioOutput,
    /// Token of a picture that was made.
    ImageOutput,
    /// The call itself.
    Request,
    /// Query or search unit, for rerankers.
    Query,
    /// Picture sent; the picture made where a price has no [`Part::ImagesOut`].
    ImagesIn,
    /// Picture made.
    ImagesOut,
    /// Pixel of a picture made.
    Pixels,
    /// Character sent.
    CharactersIn,
    /// Character answered.
    CharactersOut,
    /// Second of audio sent.
    SecondsIn,
    /// Second of audio made; of audio sent where a price has no [`Part::SecondsIn`].
    SecondsOut,
}

struct Row {
    part: Part,
    name: &'static str,
    litellm: &'static str,
    unit: Unit,
}

/// What one of a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A token.
    Token,
    /// A call.
    Request,
    /// A query.
    Query,
    /// A picture.
    Image,
    /// A pixel.
    Pixel,
    /// A character.
    Character,
    /// A second.
    Second,
}

const fn row(part: Part, name: &'static str, litellm: &'static str, unit: Unit) -> Row {
    Row {
        part,
        name,
        litellm,
        unit,
    }
}

const ROWS: &[Row] = &[
    row(Part::Input, "input", "input_cost_per_token", Unit::Token),
    row(
        Part::CacheRead,
        "cache_read",
        "cache_read_input_token_cost",
        Unit::Token,
    ),
    row(
        Part::CacheWrite5m,
        "cache_write_5m",
        "cache_creation_input_token_cost",
        Unit::Token,
    ),
    row(
        Part::CacheWrite1h,
        "cache_write_1h",
        "cache_creation_input_token_cost_above_1hr",
        Unit::Token,
    ),
    row(
        Part::AudioInput,
        "audio_input",
        "input_cost_per_audio_token",
        Unit::Token,
    ),
    row(
        Part::ImageInput,
        "image_input",
        "input_cost_per_image_token",
        Unit::Token,
    ),
    row(Part::Output, "output", "output_cost_per_token", Unit::Token),
    row(
        Part::Reasoning,
        "reasoning",
        "output_cost_per_reasoning_token",
        Unit::Token,
    ),
    row(
        Part::AudioOutput,
        "audio_output",
        "output_cost_per_audio_token",
        Unit::Token,
    ),
    row(
        Part::ImageOutput,
        "image_output",
        "output_cost_per_image_token",
        Unit::Token,
    ),
    row(
        Part::Request,
        "request",
        "input_cost_per_request",
        Unit::Request,
    ),
    row(Part::Query, "query", "input_cost_per_query", Unit::Query),
    row(
        Part::ImagesIn,
        "images_in",
        "input_cost_per_image",
        Unit::Image,
    ),
    row(
        Part::ImagesOut,
        "images_out",
        "output_cost_per_image",
        Unit::Image,
    ),
    row(Part::Pixels, "pixels", "input_cost_per_pixel", Unit::Pixel),
    row(
        Part::CharactersIn,
        "characters_in",
        "input_cost_per_character",
        Unit::Character,
    ),
    row(
        Part::CharactersOut,
        "characters_out",
        "output_cost_per_character",
        Unit::Character,
    ),
    row(
        Part::SecondsIn,
        "seconds_in",
        "input_cost_per_second",
        Unit::Second,
    ),
    row(
        Part::SecondsOut,
        "seconds_out",
        "output_cost_per_second",
        Unit::Second,
    ),
];

impl Part {
    /// Every part, in the order of the price book.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.part)
    }

    /// Its name in the price book: `cache_read`.
    pub fn name(self) -> &'static str {
        ROWS.iter()
            .find(|row| row.part == self)
            .map_or("", |row| row.name)
    }

    /// LiteLLM's key for it: `cache_read_input_token_cost`.
    pub fn litellm_key(self) -> &'static str {
        ROWS.iter()
            .find(|row| row.part == self)
            .map_or("", |row| row.litellm)
    }

    /// The part of that name.
    pub fn named(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.part)
    }

    /// What one of it is.
    pub fn unit(self) -> Unit {
        ROWS.iter()
            .find(|row| row.part == self)
            .map_or(Unit::Request, |row| row.unit)
    }

    /// What it costs as much as where a price does not say: the plain token of its side, the short cache for the long.
    pub(super) fn fallback(self) -> Option<Self> {
        match self {
            Self::CacheRead | Self::CacheWrite5m | Self::AudioInput | Self::ImageInput => {
                Some(Self::Input)
            }
            Self::CacheWrite1h => Some(Self::CacheWrite5m),
            Self::Reasoning | Self::AudioOutput | Self::ImageOutput => Some(Self::Output),
            Self::ImagesOut => Some(Self::ImagesIn),
            Self::SecondsIn => Some(Self::SecondsOut),
            _ => None,
        }
    }
}

impl Unit {
    /// `token`, `image`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Request => "request",
            Self::Query => "query",
            Self::Image => "image",
            Self::Pixel => "pixel",
            Self::Character => "character",
            Self::Second => "second",
        }
    }

    /// Whether the price book says its price by the million.
    pub fn by_the_million(self) -> bool {
        matches!(self, Self::Token | Self::Pixel | Self::Character)
    }
}
