//! How one record lies in a segment: `len u32 LE | crc32c u32 LE | payload`.
//!
//! `len` counts the payload; the checksum covers `len` and payload, so that a damaged length is noticed as well. The
//! first frame that does not check out ends the segment: nothing behind it can be trusted to start where it seems to.
//! What a payload means is `record`'s business.

/// Bytes in front of each payload.
pub(super) const HEADER_BYTES: usize = 8;
/// The largest payload. Larger lengths are damage.
pub(super) const MAX_PAYLOAD_BYTES: usize = 4096;
/// The most room that one record can take.
pub(super) const MAX_FRAME_BYTES: usize = HEADER_BYTES + MAX_PAYLOAD_BYTES;

/// What the bytes at some place hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A whole frame; the next one starts behind `HEADER_BYTES + payload.len()` bytes.
    Frame(&'a [u8]),
    /// The beginning of a frame: more bytes are needed, and at the end of a file this is a torn tail.
    Incomplete,
    /// Not a frame.
    Damaged,
}

/// The frame of `payload`.
///
/// Precondition: `payload` is not empty and at most [`MAX_PAYLOAD_BYTES`] long (`record` sees to it).
pub(super) fn encode(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&len);
    frame.extend_from_slice(&checksum(len, payload).to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Reads the frame that starts at the first of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some((len_bytes, rest)) = bytes.split_first_chunk::<4>() else {
        return Parsed::Incomplete;
    };
    let Ok(len) = usize::try_from(u32::from_le_bytes(*len_bytes)) else {
        return Parsed::Damaged;
    };
    if len == 0 || len > MAX_PAYLOAD_BYTES {
        return Parsed::Damaged;
    }
    let Some((crc, rest)) = rest.split_first_chunk::<4>() else {
        return Parsed::Incomplete;
    };
    let Some(payload) = rest.get(..len) else {
        return Parsed::Incomplete;
    };
    if checksum(*len_bytes, payload) == u32::from_le_bytes(*crc) {
        Parsed::Frame(payload)
    } else {
        Parsed::Damaged
    }
}

fn checksum(len: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len), payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payloads(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Parsed::Frame(payload) = parse(bytes) {
            found.push(payload.to_vec());
            bytes = &bytes[HEADER_BYTES + payload.len()..];
        }
        found
    }

    fn some_payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..12)
    }

    proptest! {
        #[test]
        fn any_truncation_leaves_a_prefix_of_the_records(
            written in some_payloads(),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes: Vec<u8> = written.iter().flat_map(|payload| encode(payload)).collect();
            let read = payloads(&bytes[..cut.index(bytes.len())]);
            prop_assert!(read.len() < written.len());
            prop_assert_eq!(&read[..], &written[..read.len()]);
        }

        #[test]
        fn a_flipped_bit_never_yields_another_record(
            written in some_payloads(),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut bytes: Vec<u8> = written.iter().flat_map(|payload| encode(payload)).collect();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let read = payloads(&bytes);
            prop_assert!(read.len() < written.len());
            prop_assert_eq!(&read[..], &written[..read.len()]);
        }
    }

    #[test]
    fn zeroes_are_not_a_frame() {
        assert_eq!(parse(&[0; 64]), Parsed::Damaged);
    }
}
