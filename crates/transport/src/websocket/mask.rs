//! The mask over what a client sends (RFC 6455 §5.3). It hides nothing; it keeps old proxies from mistaking
//! payload for requests.

/// Puts the mask over `bytes`, or takes it off, and turns it for what follows.
pub(super) fn apply(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % 4);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_the_same_however_the_bytes_are_split() {
        let plain: Vec<u8> = (0..=40).collect();
        let expected: Vec<u8> =
            plain.iter().zip([1, 20, 30, 99].iter().cycle()).map(|(a, b)| a ^ b).collect();
        for first in 0..plain.len() {
            for second in first..plain.len() {
                let (mut bytes, mut mask) = (plain.clone(), [1, 20, 30, 99]);
                apply(&mut bytes[..first], &mut mask);
                apply(&mut bytes[first..second], &mut mask);
                apply(&mut bytes[second..], &mut mask);
                assert_eq!(bytes, expected, "split at {first} and {second}");
            }
        }
    }
}
