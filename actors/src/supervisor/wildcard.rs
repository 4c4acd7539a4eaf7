//! Group names with `*` in them, and the provider's model name that follows from a match.

/// What each `*` of the pattern matched, if the name matches. Each but the last takes as little as it can.
pub(super) fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut literals = pattern.split('*');
    let mut rest = name.strip_prefix(literals.next()?)?;
    let mut literals = literals.peekable();
    let mut captures = Vec::new();
    while let Some(literal) = literals.next() {
        let (capture, after) = if literals.peek().is_none() {
            (rest.strip_suffix(literal)?, "")
        } else {
            rest.split_once(literal)?
        };
        captures.push(capture);
        rest = after;
    }
    rest.is_empty().then_some(captures)
}

/// Fills each `*` of the upstream's model name with its capture; one that is too many stays.
pub(super) fn fill(upstream_model: &str, captures: &[&str]) -> String {
    let mut filled = String::with_capacity(upstream_model.len() + 32);
    let mut captures = captures.iter();
    for (index, literal) in upstream_model.split('*').enumerate() {
        if index > 0 {
            filled.push_str(captures.next().copied().unwrap_or("*"));
        }
        filled.push_str(literal);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_and_capture() {
        let cases: [(&str, &str, Option<&[&str]>); 8] = [
            ("openai/*", "openai/gpt-4o", Some(&["gpt-4o"])),
            ("openai/*", "openai/", Some(&[""])),
            ("openai/*", "azure/gpt-4o", None),
            ("*", "anything", Some(&["anything"])),
            ("*-mini", "gpt-4o-mini", Some(&["gpt-4o"])),
            ("a*b*c", "a1b2c", Some(&["1", "2"])),
            ("ab*ba", "aba", None),
            ("exact", "exact", Some(&[])),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(
                captures(pattern, name).as_deref(),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn the_upstream_name_is_filled_in() {
        assert_eq!(fill("*", &["gpt-4o"]), "gpt-4o");
        assert_eq!(fill("ft:*:*", &["a", "b"]), "ft:a:b");
        assert_eq!(fill("fixed", &["a"]), "fixed");
        assert_eq!(fill("*-*", &["a"]), "a-*");
    }
}
