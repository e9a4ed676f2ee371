//! The plugin configuration: a block for each filter that is to run.

use seawall_core::config::{parse, unknown, ConfigErrors};
use serde_json::Value;

/// The filters in the order in which requests pass them.
pub(crate) const BLOCKS: [&str; 4] = [
    "trace_headers",
    "rate_limit",
    "response_cache",
    "circuit_breaker",
];

/// The configuration of each filter, in order; `None` for one that is not to run.
pub(crate) type Blocks = [Option<Vec<u8>>; 4];

/// Takes the blocks apart.
///
/// # Errors
/// What is not an object, and blocks that nobody knows.
pub(crate) fn blocks(configuration: &[u8]) -> Result<Blocks, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let mut blocks = Blocks::default();
    let Value::Object(fields) = parse(configuration)? else {
        return Err(ConfigErrors::one("", "the configuration must be an object"));
    };
    for (name, value) in fields {
        let known = BLOCKS.iter().position(|block| *block == name);
        match known.and_then(|at| blocks.get_mut(at)) {
            None => errors.add(name.as_str(), unknown("field", &name, &BLOCKS)),
            Some(_) if !value.is_object() => {
                errors.add(
                    name.as_str(),
                    format!("must be an object (`{{}}` for the defaults), found {value}"),
                );
            }
            Some(block) => *block = Some(value.to_string().into_bytes()),
        }
    }
    errors.or(blocks)
}

/// Puts a filter's errors below the name of its block.
pub(crate) fn below(block: &str, errors: ConfigErrors, all: &mut ConfigErrors) {
    for error in errors {
        let path = if error.path.is_empty() {
            block.to_owned()
        } else {
            format!("{block}.{}", error.path)
        };
        all.add(path, error.problem);
    }
}
