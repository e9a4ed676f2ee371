//! One namespace of `envoy.config.core.v3.Metadata` as JSON; all others are skipped.
//!
//! Field numbers: `Metadata.filter_metadata = 1`, a map of `google.protobuf.Struct`.

use crate::config::protobuf::{decode_struct, map_entry, Decoded, Field, Message};
use crate::config::ConfigErrors;
use serde_json::Value;

/// The settings under `namespace` of a serialised `Metadata`; `None` when it has no such namespace.
///
/// # Errors
/// Bytes that are not that message, or are nested too deeply.
pub fn namespace(metadata: &[u8], namespace: &str) -> Result<Option<Value>, ConfigErrors> {
    find(metadata, namespace)
        .map_err(|()| ConfigErrors::one("", "the metadata could not be decoded"))
        .map(|found| found.map(crate::config::whole_numbers))
}

fn find(metadata: &[u8], namespace: &str) -> Decoded<Option<Value>> {
    let mut found = None;
    let mut message = Message(metadata);
    while let Some((number, field)) = message.next()? {
        if let (1, Field::Bytes(entry)) = (number, field) {
            let (key, value) = map_entry(entry)?;
            if key == namespace.as_bytes() {
                found = Some(decode_struct(value)?);
            }
        }
    }
    Ok(found)
}
