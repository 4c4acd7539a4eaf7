//! What each provider takes of JSON schema.

/// What becomes of `$ref`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// They stay, but for one at the very top, which providers want to be an object.
    Kept,
    /// What they refer to takes their place. A schema that refers to itself is refused.
    Inlined,
}

/// Which keywords pass.
#[derive(Debug, Clone, Copy)]
pub enum Keywords {
    /// All of them.
    All,
    /// These, beside the ones that the walk itself knows.
    Only(&'static [&'static str]),
}

/// A provider's rules.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What becomes of `$ref`.
    pub references: References,
    /// Which keywords pass; the others are told in the description.
    pub keywords: Keywords,
    /// Which values of `format` pass, where not all do.
    pub formats: Option<&'static [&'static str]>,
    /// The largest `minItems` that passes, where there is one.
    pub most_min_items: Option<u64>,
    /// Every object has `additionalProperties: false`.
    pub closed_objects: bool,
    /// `oneOf` is written as `anyOf`.
    pub one_of_as_any_of: bool,
}

/// Anthropic's tools: any JSON schema of draft 2020-12 whose top is an object.
/// Source: Anthropic API reference, "Messages", `tools[].input_schema`, 2026-11-23.
pub const ANTHROPIC_TOOL: Rules = Rules {
    references: References::Kept,
    keywords: Keywords::All,
    formats: None,
    most_min_items: None,
    closed_objects: false,
    one_of_as_any_of: false,
};

/// Anthropic's strict tools and structured outputs.
/// Source: Anthropic documentation, "Structured outputs", "JSON Schema limitations", 2026-11-23.
pub const ANTHROPIC_STRICT: Rules = Rules {
    references: References::Inlined,
    keywords: Keywords::Only(&[
        "type",
        "title",
        "description",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "default",
        "anyOf",
        "oneOf",
        "allOf",
        "format",
        "pattern",
        "minItems",
    ]),
    formats: Some(&[
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    ]),
    most_min_items: Some(1),
    closed_objects: true,
    one_of_as_any_of: true,
};
