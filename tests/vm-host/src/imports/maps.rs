//! Header maps and buffers.

use super::{give, import, read, read_pairs, write_pairs, Host, BAD_ARGUMENT, NOT_FOUND, OK};
use crate::state::State;
use wasmi::Linker;

/// The number of the plugin configuration among the buffers.
const CONFIGURATION: u32 = 7;

pub(super) fn define(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_get_buffer_bytes",
        gives[data, size],
        |host, kind: u32, start: u32, max: u32, data: u32, size: u32| {
            let bytes = match kind {
                CONFIGURATION => host.data().configuration.clone(),
                _ => match host.data_mut().stream().buffers.get(&kind) {
                    Some(bytes) => bytes.clone(),
                    None => return NOT_FOUND,
                },
            };
            let start = (start as usize).min(bytes.len());
            let end = start.saturating_add(max as usize).min(bytes.len());
            give(&mut host, &bytes[start..end], data, size)
        }
    );
    import!(
        linker,
        "proxy_set_buffer_bytes",
        |host, kind: u32, start: u32, size: u32, at: u32, length: u32| {
            let bytes = read(&mut host, at, length);
            let buffers = &mut host.data_mut().stream().buffers;
            let Some(held) = buffers.get_mut(&kind) else {
                return BAD_ARGUMENT;
            };
            // Envoy's three: before all, instead of all, after all.
            match (start as usize, size as usize) {
                (0, 0) => held.splice(0..0, bytes).for_each(drop),
                (0, size) if size >= held.len() => *held = bytes,
                (start, _) if start >= held.len() => held.extend(bytes),
                _ => return BAD_ARGUMENT,
            }
            OK
        }
    );
    import!(
        linker,
        "proxy_get_header_map_pairs",
        gives[data, size],
        |host, map: u32, data: u32, size: u32| {
            let pairs = host.data_mut().stream().maps.get(&map).cloned();
            give(
                &mut host,
                &write_pairs(&pairs.unwrap_or_default()),
                data,
                size,
            )
        }
    );
    import!(
        linker,
        "proxy_set_header_map_pairs",
        |host, map: u32, at: u32, size: u32| {
            let pairs = read_pairs(&read(&mut host, at, size));
            match host.data_mut().stream().maps.get_mut(&map) {
                Some(held) => *held = pairs,
                None => return BAD_ARGUMENT,
            }
            OK
        }
    );
    import!(
        linker,
        "proxy_get_header_map_value",
        about[at, size],
        gives[data, length],
        |host, map: u32, at: u32, size: u32, data: u32, length: u32| {
            let name = read(&mut host, at, size);
            let Some(pairs) = host.data_mut().stream().maps.get(&map) else {
                return BAD_ARGUMENT;
            };
            let found = pairs.iter().find(|(field, _)| *field == name);
            match found.map(|(_, value)| value.clone()) {
                Some(value) => give(&mut host, &value, data, length),
                None => NOT_FOUND,
            }
        }
    );
    import!(
        linker,
        "proxy_get_header_map_size",
        |host, _map: u32, _size: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_add_header_map_value",
        about[at, size],
        |host, map: u32, at: u32, size: u32, value: u32, length: u32| {
            let field = read(&mut host, at, size);
            let value = read(&mut host, value, length);
            match host.data_mut().stream().maps.get_mut(&map) {
                Some(pairs) => pairs.push((field, value)),
                None => return BAD_ARGUMENT,
            }
            OK
        }
    );
    import!(
        linker,
        "proxy_replace_header_map_value",
        about[at, size],
        |host, map: u32, at: u32, size: u32, value: u32, length: u32| {
            let field = read(&mut host, at, size);
            let value = read(&mut host, value, length);
            let Some(pairs) = host.data_mut().stream().maps.get_mut(&map) else {
                return BAD_ARGUMENT;
            };
            pairs.retain(|(name, _)| *name != field);
            pairs.push((field, value));
            OK
        }
    );
    import!(
        linker,
        "proxy_remove_header_map_value",
        about[at, size],
        |host, map: u32, at: u32, size: u32| {
            let field = read(&mut host, at, size);
            match host.data_mut().stream().maps.get_mut(&map) {
                Some(pairs) => pairs.retain(|(name, _)| *name != field),
                None => return BAD_ARGUMENT,
            }
            OK
        }
    );
}
