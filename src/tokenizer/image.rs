//! What an image costs, by OpenAI's tile rule. Source: OpenAI guide "Images and vision", "Calculating costs".
//!
//! A detailed image is scaled down to fit 2048 × 2048, then until its shorter side is 768; each tile of 512 × 512 that it
//! then touches costs, and so does the image itself. The models that count patches of 32 pixels instead (`o4-mini`,
//! `gpt-4.1-mini` and smaller) are counted by tiles too, which is an estimate for them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Side of an image of unknown size (behind a URL, or a format we cannot read): 1024 × 1024, four tiles.
const USUAL_SIDE: usize = 1024;

/// Base64 letters that are read to find the size, a multiple of four. A JPEG's size stands behind its metadata.
const HEAD: usize = 128 * 1024;

/// What one image and each of its tiles cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TileRule {
    base: usize,
    tile: usize,
}

/// Width and height in pixels from a data URL's or plain base64 data's beginning.
pub(super) fn size_of_base64(data: &str) -> Option<(usize, usize)> {
    let mut end = data.len().min(HEAD);
    end -= end % 4;
    let head = data.as_bytes().get(..end)?;
    let bytes = STANDARD.decode(head).ok()?;
    let size = imagesize::blob_size(&bytes).ok()?;
    Some((size.width, size.height))
}

/// The data of `data:image/png;base64,…`.
pub(super) fn data_of_url(url: &str) -> Option<&str> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    head.ends_with(";base64").then_some(data)
}

// === impl TileRule ===

impl TileRule {
    /// The rule of a model.
    pub(super) fn of(model: &str) -> Self {
        let (base, tile) = if model.starts_with("gpt-4o-mini") {
            (2833, 5667)
        } else if model.starts_with("o1") || model.starts_with("o3") {
            (75, 150)
        } else if model.starts_with("gpt-5") {
            (70, 140)
        } else {
            (85, 170)
        };
        Self { base, tile }
    }

    /// Tokens of an image; `size` in pixels.
    pub(super) fn tokens(self, is_low_detail: bool, size: Option<(usize, usize)>) -> usize {
        if is_low_detail {
            return self.base;
        }
        let (width, height) = size.unwrap_or((USUAL_SIDE, USUAL_SIDE));
        self.base + self.tile * tiles(width, height)
    }
}

fn tiles(width: usize, height: usize) -> usize {
    // Sizes come from files that anybody can make.
    let (width, height) = (width.clamp(1, 1 << 24), height.clamp(1, 1 << 24));
    let (long, short) = (width.max(height), width.min(height));
    let (long, short) = shrink(long, short, long, 2048);
    let (long, short) = shrink(long, short, short, 768);
    long.div_ceil(512) * short.div_ceil(512)
}

/// Scales both sides so that `side` is at most `max`.
fn shrink(long: usize, short: usize, side: usize, max: usize) -> (usize, usize) {
    if side <= max {
        return (long, short);
    }
    (long * max / side, (short * max / side).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_image_data_makes_it_panic(
            magic in prop::sample::select(vec![
                &b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xc0", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ",
                b"RIFF\0\0\0\0WEBPVP8L", b"RIFF\0\0\0\0WEBPVP8X",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let data = STANDARD.encode([magic, &rest].concat());
            let size = size_of_base64(&data);
            prop_assert!(TileRule::of("gpt-4o").tokens(false, size) >= 255);
        }
    }

    #[test]
    fn the_examples_of_the_guide_cost_what_it_says() {
        let rule = TileRule::of("gpt-4o");
        for (size, is_low_detail, want) in [
            ((1024, 1024), false, 765),
            ((2048, 4096), false, 1105),
            ((4096, 8192), true, 85),
            ((512, 512), false, 255),
            ((1, 1), false, 255),
            ((usize::MAX, 0), false, 85 + 4 * 170),
        ] {
            assert_eq!(rule.tokens(is_low_detail, Some(size)), want, "{size:?}");
        }
        assert_eq!(rule.tokens(false, None), 765);
        assert_eq!(TileRule::of("gpt-4o-mini").tokens(true, None), 2833);
    }

    #[test]
    fn the_size_of_an_image_is_read_from_its_first_bytes() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend([0, 0, 4, 0, 0, 0, 2, 0, 8, 6, 0, 0, 0]);
        let url = format!("data:image/png;base64,{}", STANDARD.encode(&png));
        let data = data_of_url(&url).unwrap();
        assert_eq!(size_of_base64(data), Some((1024, 512)));
        assert_eq!(size_of_base64("AAAA"), None);
        assert_eq!(size_of_base64("not base64 \u{e4}"), None);
        assert_eq!(data_of_url("https://example.com/a.png"), None);
    }
}
