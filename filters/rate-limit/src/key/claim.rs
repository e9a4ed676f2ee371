//! Claims of a verified JSON web token, as Envoy hands over what is in metadata: a text as it is, a number as a double of eight
//! bytes (little-endian), a boolean as one byte, lists and objects in a form of their own.

/// From here on a whole number's double may have the bytes of a text. Below, the first of them is zero.
const LARGEST: f64 = 17_592_186_044_416.0;

/// The claim as it is written in a configuration: whole numbers below 2^44 and booleans as text. Anything else as it is.
pub(super) fn written(claim: Vec<u8>) -> Vec<u8> {
    match claim.as_slice() {
        [0] => return b"false".to_vec(),
        [1] => return b"true".to_vec(),
        _ => {}
    }
    let number = <[u8; 8]>::try_from(claim.as_slice()).map(f64::from_le_bytes);
    match number {
        Ok(number) if number.abs() < LARGEST && number.fract() == 0.0 => {
            (number as i64).to_string().into_bytes()
        }
        _ => claim,
    }
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn whole_numbers_and_booleans_are_text() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (42.0, "42"),
            (-5.0, "-5"),
            (1_099_511_627_776.0, "1099511627776"),
            (17_592_186_044_415.0, "17592186044415"),
        ] {
            assert_eq!(written(f64::to_le_bytes(number).to_vec()), text.as_bytes());
        }
        assert_eq!(written(vec![0]), b"false");
        assert_eq!(written(vec![1]), b"true");
    }

    #[test]
    fn anything_else_stays() {
        let numbers = [1.5, 17_592_186_044_416.0, f64::NAN, f64::INFINITY, 5e-324];
        for bytes in numbers.map(f64::to_le_bytes) {
            assert_eq!(written(bytes.to_vec()), bytes);
        }
        for text in [
            "", "a", "1", "acme-llc", "12345678", "XbcdefgB", "tenantsC", "ABCDEFGH",
        ] {
            assert_eq!(written(text.into()), text.as_bytes());
        }
    }
}
