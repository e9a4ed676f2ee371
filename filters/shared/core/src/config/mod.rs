//! Typed configuration in which every error names its field, and all errors come at once.
//!
//! A filter's configuration is two types: a raw serde mirror of the JSON, in which every field is optional and unknown
//! fields are refused, and the validated settings that the filter works with ([`Settings`]). Serde stops at its first
//! error; here the offending value is taken out and the rest is read again, so that the user sees all of them.

mod declare;
mod duration;
mod errors;
pub mod fields;
mod merge;
mod node;
pub(crate) mod protobuf;
mod read;
mod words;

#[doc(hidden)]
pub use declare::{fill, Place};
pub use errors::{ConfigError, ConfigErrors};
pub use merge::merge;
pub use node::decimal;
pub(crate) use read::whole_numbers;
pub use read::{parse, read};
pub use words::unknown;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The validated configuration of a filter.
pub trait Settings: Sized + 'static {
    /// The serde mirror: `#[derive(Deserialize)] #[serde(deny_unknown_fields, default)]`, every field an `Option`.
    type Raw: DeserializeOwned + Default;

    /// The metadata namespace of its per-route settings, such as `seawall.rate_limit`.
    const NAMESPACE: &'static str;

    /// Top-level fields that are decided at load, for all routes at once; refused in route metadata.
    const PLUGIN_ONLY: &'static [&'static str];

    /// Turns the raw form into settings. Problems go to `errors`, all of them; what is returned counts only when there
    /// are none, so any stand-in will do for a value that is wrong.
    fn validate(raw: Self::Raw, errors: &mut ConfigErrors) -> Self;
}

/// Reads and validates settings from JSON.
///
/// # Errors
/// Everything that is wrong, each with the path of its field.
pub fn load<S: Settings>(json: &Value) -> Result<S, ConfigErrors> {
    let (raw, found) = read::<S::Raw>(json);
    let mut invalid = ConfigErrors::default();
    let settings = S::validate(raw.unwrap_or_default(), &mut invalid);
    // A value that could not be read looks like a missing one to the validation: not worth a second line.
    let mut errors = found;
    let unreadable: Vec<String> = errors.iter().map(|error| error.path.clone()).collect();
    for error in invalid {
        let echo = unreadable
            .iter()
            .any(|path| is_in(path, &error.path) || is_in(&error.path, path));
        if !echo {
            errors.add(error.path, error.problem);
        }
    }
    errors.or(settings)
}

/// Whether a field is another one, or in it.
fn is_in(path: &str, whole: &str) -> bool {
    let rest = path.strip_prefix(whole);
    rest.is_some_and(|rest| whole.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Raw {
        per: Option<u32>,
        per_key: Option<u32>,
        list: Vec<u32>,
    }

    struct Positive;

    impl Settings for Positive {
        type Raw = Raw;
        const NAMESPACE: &'static str = "test";
        const PLUGIN_ONLY: &'static [&'static str] = &[];

        fn validate(raw: Raw, errors: &mut ConfigErrors) -> Self {
            for (path, value) in [("per", raw.per), ("per_key", raw.per_key)] {
                if value.unwrap_or_default() == 0 {
                    errors.add(path, "must be at least 1");
                }
            }
            if raw.list.is_empty() {
                errors.add("list", "must not be empty");
            }
            Positive
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_once_and_hides_nothing_else() {
        for (json, paths) in [
            (json!({"per": "x", "list": [1]}), vec!["per", "per_key"]),
            (json!({"per_key": "x", "list": [1]}), vec!["per_key", "per"]),
            (
                json!({"per": 1, "per_key": 1, "list": ["x"]}),
                vec!["list[0]"],
            ),
            (json!({"per": 1, "per_key": 1, "list": [1]}), vec![]),
        ] {
            let errors = load::<Positive>(&json).err().unwrap_or_default();
            let found: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
            assert_eq!(found, paths, "{json}");
        }
    }
}
