//! Whole filters, for what the host tells them: properties of requests, shared data, messages of other workers, and what other
//! services answer.

use crate::drive::{
    complete, exchange, for_each_filter, own, pass, properties, Fields, Script, Service,
};
use crate::input::fields;
use seawall_core::host::{Expect, Host};
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Vm, World};
use serde_json::Value;

/// The properties that some filter reads.
const PROPERTIES: [&str; 14] = [
    "source.address",
    "connection.id",
    "connection.mtls",
    "xds.cluster_name",
    "xds.route_name",
    "request.method",
    "request.protocol",
    "request.duration",
    "response.code",
    "response.code_details",
    "response.flags",
    "response.grpc_status",
    "metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload",
    "metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.sub",
];

/// Takes a number and so many bytes off the front: one byte, and two for the length.
fn part<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (head, after) = rest.split_first_chunk::<3>()?;
    let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
    let (value, after) = after.split_at(length.min(after.len()));
    *rest = after;
    Some((head[0], value))
}

fn ordinary() -> Script {
    Script {
        properties: properties(),
        request: complete(Vec::new()),
        response: own(&[
            (":status", "200"),
            ("cache-control", "max-age=60"),
            ("etag", "\"v\""),
            ("cache-tag", "a"),
        ]),
        ..Script::default()
    }
}

fn failing() -> Fields {
    own(&[(":status", "503"), ("retry-after", "1")])
}

fn told<P: Plugin>(settings: &Value, script: &Script) {
    let mut vm = Vm::<P>::start(&World::new(), 1, settings);
    for _ in 0..2 {
        exchange(&mut vm, script);
        pass(&mut vm, &script.service);
    }
}

/// Any bytes as what Envoy knows of a request.
pub fn known(mut bytes: &[u8]) {
    let mut script = ordinary();
    while let Some((which, value)) = part(&mut bytes) {
        let path = PROPERTIES[usize::from(which) % PROPERTIES.len()];
        script.properties.push((path.to_owned(), value.to_vec()));
    }
    for_each_filter!(told, &script);
}

/// Any answer of a service that a filter asks: of limits, a collector, an origin that it refreshes from.
pub fn service_answers(bytes: &[u8]) {
    let mut script = ordinary();
    let (status, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let end = rest.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = rest.split_at(end.unwrap_or(0));
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    script.service = Service {
        status: u32::from(*status),
        fields: fields(head)
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect(),
        body: body.strip_prefix(b"\n\n").unwrap_or(body).to_vec(),
    };
    for_each_filter!(told, &script);
}

/// What was stored, with some of it changed: `mode` 0 puts `bytes` in the place of a value, others over a part of it.
fn spoil(world: &World, which: u8, bytes: &[u8]) {
    let names = world.shared_names();
    let all = usize::from(which) % (names.len() + 1);
    for (at, name) in names.iter().enumerate() {
        if all != at && all != names.len() {
            continue;
        }
        let Some((mut value, _)) = world.shared_get(name) else {
            continue;
        };
        match bytes.split_first_chunk::<3>() {
            Some(([mode, low, high], over)) if *mode > 0 => {
                let from = usize::from(u16::from_le_bytes([*low, *high])) % (value.len() + 1);
                for (place, byte) in value.iter_mut().skip(from).zip(over) {
                    *place = *byte;
                }
            }
            Some((_, whole)) => value = whole.to_vec(),
            None => value = bytes.to_vec(),
        }
        world.shared_set(name, &value, Expect::Anything);
    }
}

fn spoilt<P: Plugin>(settings: &Value, bytes: &[u8]) {
    let world = World::new();
    let mut vms = [
        Vm::<P>::start(&world, 1, settings),
        Vm::<P>::start(&world, 2, settings),
    ];
    let good = ordinary();
    let bad = Script {
        response: failing(),
        request: complete(own(&[(":path", "/other")])),
        ..ordinary()
    };
    for vm in &mut vms {
        exchange(vm, &good);
        exchange(vm, &bad);
    }
    let purge = Script {
        request: complete(own(&[
            (":method", "PURGE"),
            ("x-purge", "0123456789abcdef"),
            ("x-purge-tag", "a"),
        ])),
        ..ordinary()
    };
    exchange(&mut vms[0], &purge);
    let mut rest = bytes;
    // Each part is some twenty requests.
    for _ in 0..6 {
        let Some((which, value)) = part(&mut rest) else {
            return;
        };
        if which == u8::MAX {
            // What another worker says.
            for queue in 1..4 {
                let _ = vms[0].host.queue_send(queue, value);
            }
        } else {
            spoil(&world, which, value);
        }
        for vm in &mut vms {
            exchange(vm, &good);
            exchange(vm, &bad);
            pass(vm, &good.service);
        }
    }
}

/// Any bytes in shared data, in the place of what the filters stored or over a part of it, and as messages between workers.
pub fn shared_data(bytes: &[u8]) {
    for_each_filter!(spoilt, bytes);
}
