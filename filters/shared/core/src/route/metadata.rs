//! One namespace of `envoy.config.core.v3.Metadata` as JSON; all others are skipped.
//!
//! Field numbers: `Metadata.filter_metadata = 1`, a map of `google.protobuf.Struct`.

use crate::config::protobuf::{decode_struct, map_entry};
use crate::config::ConfigErrors;
use crate::wire::{Decoded, Field, Message};
use serde_json::Value;

/// The settings under `namespace` of a serialised `Metadata`; `None` when it has no such namespace.
///
/// # Errors
/// Bytes that are not that message, or are nested too deeply.
pub fn namespace(metadata: &[u8], namespace: &str) -> Result<Option<Value>, ConfigErrors> {
    section(metadata, namespace).map(settings).transpose()
}

/// Of a message that cannot be read: a `google.protobuf.Struct` that cannot be read either.
const UNREADABLE: &[u8] = &[0xff];

/// The bytes under `namespace`, a `google.protobuf.Struct`. Metadata that cannot be read say something that cannot.
pub(super) fn section<'m>(metadata: &'m [u8], namespace: &str) -> Option<&'m [u8]> {
    find(metadata, namespace).unwrap_or(Some(UNREADABLE))
}

fn find<'m>(metadata: &'m [u8], namespace: &str) -> Decoded<Option<&'m [u8]>> {
    let mut found = None;
    for field in Message(metadata) {
        if let (1, Field::Bytes(entry)) = field? {
            let (key, value) = map_entry(entry)?;
            if key == namespace.as_bytes() {
                found = Some(value);
            }
        }
    }
    Ok(found)
}

/// What a section says.
pub(super) fn settings(section: &[u8]) -> Result<Value, ConfigErrors> {
    decode_struct(section)
        .map(crate::config::whole_numbers)
        .map_err(|_| ConfigErrors::one("", "the metadata could not be decoded"))
}
