//! From a fuzzer's bytes to what a parser takes.

/// Lines `name: value` as header fields. Names become what Envoy would let through: lower case, without odd characters.
pub fn fields(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    lines(bytes)
        .filter_map(|line| {
            let colon = line.iter().skip(1).position(|byte| *byte == b':')? + 1;
            let (name, value) = line.split_at(colon);
            let name: String = name
                .iter()
                .filter(|byte| byte.is_ascii_graphic())
                .map(|byte| byte.to_ascii_lowercase() as char)
                .collect();
            let value = value.get(1..).unwrap_or_default();
            Some((name, value.strip_prefix(b" ").unwrap_or(value).to_vec()))
        })
        .take(64)
        .collect()
}

/// The lines of the input.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').take(64)
}
