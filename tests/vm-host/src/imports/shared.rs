//! Shared data and queues.

use super::{give, import, read, write, Host, CAS_MISMATCH, EMPTY, NOT_FOUND, OK};
use crate::state::State;
use std::collections::VecDeque;
use wasmi::Linker;

pub(super) fn define(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_get_shared_data",
        about[at, size],
        gives[data, length],
        |host, at: u32, size: u32, data: u32, length: u32, cas: u32| {
            let key = read(&mut host, at, size);
            match host.data().shared.get(&key).cloned() {
                Some((value, version)) => {
                    write(&mut host, cas, &version.to_le_bytes());
                    give(&mut host, &value, data, length)
                }
                None => NOT_FOUND,
            }
        }
    );
    import!(
        linker,
        "proxy_set_shared_data",
        about[at, size],
        |host, at: u32, size: u32, value: u32, length: u32, cas: u32| {
            let key = read(&mut host, at, size);
            let value = read(&mut host, value, length);
            let state = host.data_mut();
            // As Envoy does: the version is compared only where there is a value.
            let held = state.shared.get(&key).map(|(_, version)| *version);
            if held.is_some_and(|version| cas != 0 && cas != version) {
                return CAS_MISMATCH;
            }
            state.version += 1;
            state.shared.insert(key, (value, state.version));
            OK
        }
    );
    import!(
        linker,
        "proxy_register_shared_queue",
        |host, at: u32, size: u32, id: u32| {
            let name = read(&mut host, at, size);
            let state = host.data_mut();
            // The queue of a known name goes over to whoever registers it anew.
            let known = state.queue_names.iter().position(|known| *known == name);
            let at = known.unwrap_or_else(|| {
                state.queue_names.push(name);
                state.queues.push(VecDeque::new());
                state.queues.len() - 1
            });
            let number = at as u32 + 1;
            write(&mut host, id, &number.to_le_bytes());
            OK
        }
    );
    import!(
        linker,
        "proxy_resolve_shared_queue",
        |host, _v: u32, _vs: u32, _n: u32, _ns: u32, _id: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_enqueue_shared_queue",
        |host, queue: u32, at: u32, size: u32| {
            let message = read(&mut host, at, size);
            let queues = &mut host.data_mut().queues;
            match queues.get_mut((queue as usize).wrapping_sub(1)) {
                Some(queue) => queue.push_back(message),
                None => return NOT_FOUND,
            }
            OK
        }
    );
    import!(
        linker,
        "proxy_dequeue_shared_queue",
        gives[data, size],
        |host, queue: u32, data: u32, size: u32| {
            let queues = &mut host.data_mut().queues;
            let queue = queues.get_mut((queue as usize).wrapping_sub(1));
            match queue.map(VecDeque::pop_front) {
                Some(Some(message)) => give(&mut host, &message, data, size),
                Some(None) => EMPTY,
                None => NOT_FOUND,
            }
        }
    );
}
