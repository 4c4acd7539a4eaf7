//! "Did you mean": the known word nearest to one that nobody knows.

/// The candidate that `word` was most likely meant to be: at most a third of its letters off, and no more than two, or
/// three in a long word. Of equally near ones the first.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let letters: Vec<char> = spelled(word);
    let most = (letters.len() / 3).min(2 + letters.len() / 16);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| {
            let distance = distance(&letters, &spelled(candidate), most)?;
            Some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `-` and `_`, capitals and small letters are easily taken for each other.
fn spelled(word: &str) -> Vec<char> {
    word.chars()
        .take(80)
        .map(|letter| match letter {
            '-' | ' ' => '_',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour; `None` above `most`.
fn distance(one: &[char], other: &[char], most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(line + 1);
        for (column, (candidate, (above, left_above))) in
            other.iter().zip(row.iter().skip(1).zip(&row)).enumerate()
        {
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            let replaced = left_above + usize::from(letter != candidate);
            let mut best = replaced.min(above + 1).min(left + 1);
            let swapped = line > 0
                && column > 0
                && one.get(line - 1) == Some(candidate)
                && other.get(column - 1) == Some(letter);
            if let (true, Some(two_back)) = (swapped, before.get(column.wrapping_sub(1))) {
                best = best.min(two_back + 1);
            }
            next.push(best);
        }
        before = row;
        row = next;
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_pen_are_seen_through() {
        let known = [
            "num_retries",
            "model_list",
            "api_key",
            "rpm",
            "fallbacks",
            "timeout",
        ];
        for (word, want) in [
            ("num_retrys", Some("num_retries")),
            ("modellist", Some("model_list")),
            ("model-list", Some("model_list")),
            ("api_kye", Some("api_key")),
            ("fallback", Some("fallbacks")),
            ("TimeOut", Some("timeout")),
            ("rmp", Some("rpm")),
            ("rpmm", Some("rpm")),
            ("x", None),
            ("temperature", None),
            ("rpm", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), want, "{word}");
        }
    }
}
