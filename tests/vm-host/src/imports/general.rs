//! Time, log, metrics, properties, contexts.

use super::{give, import, label, read, write, Host, BAD_ARGUMENT, NOT_FOUND, OK};
use crate::state::{Metric, State};
use wasmi::Linker;

pub(super) fn define(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_log",
        |host, _level: u32, at: u32, size: u32| {
            let text = label(&read(&mut host, at, size));
            host.data_mut().log.push(text);
            OK
        }
    );
    import!(linker, "proxy_get_log_level", |host, level: u32| {
        write(&mut host, level, &2u32.to_le_bytes());
        OK
    });
    import!(
        linker,
        "proxy_get_current_time_nanoseconds",
        |host, at: u32| {
            let now = host.data().now;
            write(&mut host, at, &now.to_le_bytes());
            OK
        }
    );
    import!(
        linker,
        "proxy_set_tick_period_milliseconds",
        |host, period: u32| {
            host.data_mut().tick = period;
            OK
        }
    );
    import!(linker, "proxy_done", |host| OK);
    import!(
        linker,
        "proxy_set_effective_context",
        |host, context: u32| {
            if !host.data().streams.contains_key(&context) {
                return BAD_ARGUMENT;
            }
            host.data_mut().active = context;
            OK
        }
    );
    import!(linker, "proxy_continue_stream", |host, stream: u32| {
        match host.data_mut().stream().resumed.get_mut(stream as usize) {
            Some(resumed) => *resumed = true,
            None => return BAD_ARGUMENT,
        }
        OK
    });
    import!(linker, "proxy_close_stream", |host, _stream: u32| OK);
    import!(
        linker,
        "proxy_get_status",
        |host, _code: u32, _data: u32, _size: u32| NOT_FOUND
    );
    define_metrics(linker);
    import!(
        linker,
        "proxy_get_property",
        about[at, size],
        gives[data, length],
        |host, at: u32, size: u32, data: u32, length: u32| {
            let path = label(&read(&mut host, at, size));
            let state = host.data_mut();
            let own = state.stream().properties.get(&path).cloned();
            match own.or_else(|| state.properties.get(&path).cloned()) {
                Some(value) => give(&mut host, &value, data, length),
                None => NOT_FOUND,
            }
        }
    );
    import!(
        linker,
        "proxy_set_property",
        about[at, size],
        |host, at: u32, size: u32, value: u32, length: u32| {
            let path = label(&read(&mut host, at, size));
            let value = read(&mut host, value, length);
            host.data_mut().stream().properties.insert(path, value);
            OK
        }
    );
}

fn define_metrics(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_define_metric",
        about[at, size],
        |host, _kind: u32, at: u32, size: u32, id: u32| {
            let name = label(&read(&mut host, at, size));
            let metrics = &mut host.data_mut().metrics;
            metrics.push(Metric { name, value: 0 });
            let number = metrics.len() as u32;
            write(&mut host, id, &number.to_le_bytes());
            OK
        }
    );
    import!(linker, "proxy_get_metric", |host, id: u32, at: u32| {
        let Some(metric) = host.data().metrics.get((id as usize).wrapping_sub(1)) else {
            return NOT_FOUND;
        };
        let value = metric.value as u64;
        write(&mut host, at, &value.to_le_bytes());
        OK
    });
    import!(
        linker,
        "proxy_increment_metric",
        |host, id: u32, amount: i64| {
            let metrics = &mut host.data_mut().metrics;
            match metrics.get_mut((id as usize).wrapping_sub(1)) {
                Some(metric) => metric.value += amount,
                None => return NOT_FOUND,
            }
            OK
        }
    );
    import!(
        linker,
        "proxy_record_metric",
        |host, id: u32, value: u64| {
            let metrics = &mut host.data_mut().metrics;
            match metrics.get_mut((id as usize).wrapping_sub(1)) {
                Some(metric) => metric.value = value as i64,
                None => return NOT_FOUND,
            }
            OK
        }
    );
}
