//! What protobuf takes for a field, a number, a boolean and a word of an enum where it reads JSON, as Envoy does.

use super::{Content, Field, Node};

impl Field {
    /// Whether it is the field that Envoy's messages have under this name, which is written with underscores or in camelCase.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || in_camel_case(name).eq(self.name.chars())
    }

    /// The name with underscores of what is a field of a message, and not of a map or of a `Struct`.
    pub fn snake(&self) -> String {
        let mut name = String::new();
        for letter in self.name.chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

/// The name that protobuf makes for JSON of one with underscores.
fn in_camel_case(name: &str) -> impl Iterator<Item = char> + '_ {
    let mut raised = false;
    name.chars().filter_map(move |letter| {
        let raises = std::mem::replace(&mut raised, letter == '_');
        match letter {
            '_' => None,
            _ if raises => Some(letter.to_ascii_uppercase()),
            _ => Some(letter),
        }
    })
}

impl Node {
    /// A whole number, also as a text, as one with a fraction of zero, or in a wrapper such as `UInt32Value`.
    pub fn whole(&self) -> Option<u64> {
        match &self.content {
            Content::Number(number) => number.as_u64().or_else(|| exact(number.as_f64()?)),
            Content::Text { text, .. } => {
                let number = text.parse().ok();
                number.or_else(|| exact(text.parse().ok()?))
            }
            Content::Map(_) => self.get("value")?.whole(),
            _ => None,
        }
    }

    /// A boolean, also in a `BoolValue`.
    pub fn truth(&self) -> Option<bool> {
        match &self.content {
            Content::Bool(truth) => Some(*truth),
            Content::Map(_) => self.get("value")?.truth(),
            _ => None,
        }
    }

    /// The number of an enum's word in this list, whose case does not count; it may be written as that number itself.
    pub fn word(&self, words: &[(&str, u64)]) -> Option<u64> {
        let text = self.text().unwrap_or_default();
        let known = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        known.map(|(_, number)| *number).or_else(|| self.whole())
    }
}

/// A double that is a whole number; beyond these bits it may be another one than was written.
fn exact(number: f64) -> Option<u64> {
    let whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    whole.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn a_field_of_a_message_has_two_names() {
        let node = read("{httpFilters: 1, use_http2_x: 2, Name: 3}")
            .unwrap()
            .remove(0);
        assert!(node.field("http_filters").is_some());
        assert!(node.field("httpFilters").is_some());
        assert!(node.field("use_http2_x").is_some());
        assert!(node.field("name").is_none());
        assert!(node.literal("http_filters").is_none());
        assert_eq!(node.fields()[0].snake(), "http_filters");
        // Of two that are the same, the last one counts.
        let node = read("{maxTokens: 1, max_tokens: 2, maxTokens: 3}")
            .unwrap()
            .remove(0);
        assert_eq!(node.get("max_tokens").unwrap().whole(), Some(3));
    }

    /// All of this was given to Envoy as `tokens_per_fill`.
    #[test]
    fn whole_numbers_are_those_of_protobuf() {
        for text in [
            "10",
            "\"10\"",
            "10.0",
            "\"10.0\"",
            "10.",
            "1e1",
            "\"1E1\"",
            "+10",
            "\"+10\"",
            "0xa",
            "012",
            "\"010\"",
            "{value: 10}",
        ] {
            assert_eq!(read(text).unwrap()[0].whole(), Some(10), "{text}");
        }
        for text in [
            "10.5", "-1", "\" 10\"", "\"10 \"", "\"\"", "true", "[10]", "null", "ten", ".inf",
            "inf", "NaN",
        ] {
            assert_eq!(read(text).unwrap()[0].whole(), None, "{text}");
        }
        let json = read("{\"a\": 10.0, \"b\": 1e1}").unwrap().remove(0);
        assert_eq!(json.get("a").unwrap().whole(), Some(10));
        assert_eq!(json.get("b").unwrap().whole(), Some(10));
    }
}
