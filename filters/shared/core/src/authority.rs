//! The host of a request.

/// The host of an authority, in lower case and without a port, so that all spellings of it are one (RFC 9110, section 4.2.3). A
/// port may be empty: `example.com:` is `example.com` to those who serve it.
pub fn host(mut authority: Vec<u8>) -> Vec<u8> {
    authority.make_ascii_lowercase();
    let digits = authority.iter().rev().take_while(|b| b.is_ascii_digit());
    let digits = digits.count();
    let colon = authority.len().saturating_sub(digits).saturating_sub(1);
    if authority.get(colon) == Some(&b':') {
        authority.truncate(colon);
    }
    authority
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn spellings_of_a_host_are_one() {
        for (authority, expected) in [
            ("Shop.Example:8080", "shop.example"),
            ("shop.example", "shop.example"),
            ("[::1]:443", "[::1]"),
            ("[::1]", "[::1]"),
            ("10.0.0.1", "10.0.0.1"),
            ("a:", "a"),
            ("[::1]:", "[::1]"),
            (":", ""),
            (":80", ""),
            ("80", "80"),
            ("", ""),
        ] {
            assert_eq!(host(authority.into()), expected.as_bytes(), "{authority}");
        }
    }
}
