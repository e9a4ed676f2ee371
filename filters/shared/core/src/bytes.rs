//! Bytes compared.

/// Whether both are the same bytes. The standard library's comparison goes byte by byte on WebAssembly, which costs several
/// times as much for what is as long as a key or a route's metadata.
#[inline]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(last), Some(other_last)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) else {
        return one == other;
    };
    // The last eight may have been among the rest already.
    let (chunks, other_chunks) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    let equal =
        |(one, other): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*one) == u64::from_le_bytes(*other);
    equal((last, other_last)) && chunks.iter().zip(other_chunks).all(equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_standard_library_says(bytes in proptest::collection::vec(any::<u8>(), 0..40), at in any::<usize>(),
                                        flip in any::<u8>(), cut in 0..3usize) {
            let mut other = bytes.clone();
            if let Some(place) = at.checked_rem(bytes.len()) {
                other[place] ^= flip;
            }
            other.truncate(bytes.len().saturating_sub(cut));
            prop_assert_eq!(same(&bytes, &other), bytes == other);
            prop_assert!(same(&bytes, &bytes.clone()));
        }
    }
}
