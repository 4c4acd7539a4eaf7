//! As much of HTTP/1.1 as both ends of a benchmark need: heads, lengths, chunks.

/// End of the head in `bytes`, the blank line included.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// First place of `needle` in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        let start = from + at;
        if bytes.get(start..)?.starts_with(needle) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// How often `needle` is in `bytes`.
pub fn count(bytes: &[u8], needle: &[u8]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    while let Some(at) = find(rest, needle) {
        count += 1;
        rest = &rest[at + needle.len()..];
    }
    count
}

/// The value of a header of `head`, trimmed; `name` in lower case.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        if !line[..colon].eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        std::str::from_utf8(&line[colon + 1..]).ok().map(str::trim)
    })
}

/// Whether the body is in chunks.
pub fn is_chunked(head: &[u8]) -> bool {
    header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
}

/// `content-length`, 0 without one.
pub fn content_length(head: &[u8]) -> usize {
    header(head, "content-length").map_or(0, |value| value.parse().unwrap_or(0))
}

/// Takes chunked encoding off, piece by piece.
#[derive(Default)]
pub struct Chunks {
    /// Bytes of the running chunk and of the line end behind it that are still to come.
    left: usize,
    line: Vec<u8>,
    last: bool,
    /// The end has come.
    pub done: bool,
}

impl Chunks {
    /// Appends the content of `bytes` to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() && !self.done {
            if self.left > 0 {
                let take = self.left.min(bytes.len());
                let content = self.left.saturating_sub(2).min(take);
                out.extend_from_slice(&bytes[..content]);
                self.left -= take;
                bytes = &bytes[take..];
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let take = end.map_or(bytes.len(), |at| at + 1);
            self.line.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if end.is_none() {
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim().to_owned();
            self.line.clear();
            if self.last {
                self.done = line.is_empty();
                continue;
            }
            let size = usize::from_str_radix(line.split(';').next().unwrap_or(""), 16);
            match size {
                Ok(0) | Err(_) => self.last = true,
                Ok(size) => self.left = size + 2,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_wherever_they_are_cut() {
        let wire = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        for cut in 0..wire.len() {
            let (mut chunks, mut out) = (Chunks::default(), Vec::new());
            chunks.push(&wire[..cut], &mut out);
            chunks.push(&wire[cut..], &mut out);
            assert_eq!(out, b"hello world");
            assert!(chunks.done);
        }
    }
}
