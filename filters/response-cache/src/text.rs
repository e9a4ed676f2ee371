//! Numbers in text.

/// Appends a number.
pub fn push_number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// The name of shared data: what it is, and its numbers with dots between them.
pub fn name_of_place(kind: &str, numbers: &[u32]) -> String {
    let mut name = String::with_capacity(48);
    name.push_str("seawall.response_cache.");
    name.push_str(kind);
    for number in numbers {
        name.push('.');
        push_number(&mut name, u64::from(*number));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_a_name_each() {
        assert_eq!(name_of_place("i", &[0]), "seawall.response_cache.i.0");
        let most = name_of_place("e", &[u32::MAX, 7]);
        assert_eq!(most, "seawall.response_cache.e.4294967295.7");
    }
}
