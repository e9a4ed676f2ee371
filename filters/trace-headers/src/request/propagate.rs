//! What the next hop gets to see.

use super::changes::{write, Changes};
use super::identity::{keeps_tracestate, Identity, Judged};
use crate::config::Settings;
use crate::counters::{Count, Counters};
use crate::interop::{self, Field, Format, Inbound};
use crate::w3c::baggage::{self, Baggage};
use crate::w3c::tracestate;
use seawall_core::headers::Headers;
use seawall_core::host::{Answer, Host, Map};

/// Everything that is known about a request while its headers are at hand.
pub struct Scene<'a> {
    /// The settings of its route.
    pub settings: &'a Settings,
    /// All its fields.
    pub headers: &'a Headers,
    /// Those that carry an identity.
    pub inbound: &'a Inbound<'a>,
    /// What they are worth.
    pub judged: &'a Judged<'a>,
    /// Where things are counted.
    pub counters: &'a Counters,
}

/// Whether all that came of a trace goes on as it is, but for the `traceparent`.
fn goes_on_as_it_is(scene: &Scene<'_>) -> bool {
    let Scene {
        settings, inbound, ..
    } = scene;
    if inbound.has_no_trace() {
        return true;
    }
    let continued = matches!(scene.judged.trace.remote, Some((Format::W3c, _)));
    if !(continued && inbound.has_w3c_only() && settings.clear.is_empty()) {
        return false;
    }
    let unchanged = |field, as_it_is: &dyn Fn(&[u8]) -> bool| {
        !inbound.has(field) || inbound.only(field).is_some_and(as_it_is)
    };
    unchanged(Field::Tracestate, &|line| {
        tracestate::goes_on(line, settings.tracestate_max_length)
    }) && unchanged(Field::Baggage, &|line| {
        let (members, bytes) = (settings.baggage_members, settings.baggage_bytes);
        settings.baggage && baggage::receive(&[line], members, bytes) == Baggage::Unchanged
    })
}

/// What nearly every request needs, without a list of changes: a `traceparent`, and a request id where it has none. False
/// where something else is to be written or taken out; then nothing was done.
///
/// # Errors
/// When the host refuses a field; the other is written.
pub fn plainly(host: &dyn Host, scene: &Scene<'_>, identity: &Identity) -> Answer<bool> {
    let settings = scene.settings;
    if !(scene.judged.trusted && settings.writes_w3c_only && goes_on_as_it_is(scene)) {
        return Ok(false);
    }
    let write = |field, name, value: &[u8]| {
        let absent = !scene.inbound.has(field);
        write(host, Map::Request, absent, name, value)
    };
    let made = match scene.judged.request_id {
        Some(_) => Ok(()),
        None => write(
            Field::RequestId,
            &settings.request_id_header,
            identity.request_id.as_bytes(),
        ),
    };
    let value = identity.position.traceparent().value();
    let written = write(Field::Traceparent, "traceparent", &value);
    made.and(written).map(|()| true)
}

/// The changes to the request's headers. Without an identity (the host has no randomness) nothing is written, but what
/// must not go on still does not.
#[inline(never)]
pub fn changes<'a>(scene: &Scene<'a>, identity: Option<&'a Identity>) -> Changes<'a> {
    let mut changes = Changes::default();
    let settings = scene.settings;
    if scene.judged.request_id.is_none() {
        match identity {
            Some(identity) => {
                changes.set(
                    &settings.request_id_header,
                    identity.request_id.as_bytes().into(),
                );
            }
            None => changes.remove(scene.headers, &settings.request_id_header),
        }
    }
    if let Some(identity) = identity {
        for format in &settings.write {
            let along = goes_on(scene, *format).then_some(scene.inbound);
            interop::write(*format, &identity.position, along, &mut changes.set);
        }
    }
    match identity {
        Some(_) if scene.judged.trusted => {
            stale(scene, &mut changes);
            carry_tracestate(scene, &mut changes);
        }
        // Nothing is known against what came, and a `traceparent` that is not changed keeps its `tracestate`.
        None if scene.judged.trusted && !scene.judged.trace.invalid => {}
        _ => strip(scene, &mut changes),
    }
    if scene.inbound.has(Field::Baggage) {
        carry_baggage(scene, &mut changes);
    }
    for format in &settings.clear {
        for name in format.headers() {
            changes.remove(scene.headers, name);
        }
    }
    changes
}

/// Whether what came in this format belongs to the trace that goes on.
fn goes_on(scene: &Scene<'_>, format: Format) -> bool {
    let chosen = &scene.judged.trace.remote;
    // Of the formats with something beside the ids; `tracestate` has rules of its own.
    matches!(format, Format::Aws | Format::Datadog)
        && chosen.is_some_and(|chosen| interop::names(format, scene.inbound, &chosen))
}

/// Whatever carries a trace is taken out.
fn strip<'a>(scene: &Scene<'a>, changes: &mut Changes<'a>) {
    for format in interop::ALL {
        for name in format.headers() {
            changes.remove(scene.headers, name);
        }
    }
    if !scene.judged.trusted {
        // The baggage of Jaeger and OpenTracing is one field per entry; Jaeger's clients take two more from whoever has no
        // trace yet, of which one forces that it is recorded.
        for (name, _) in scene.headers.iter() {
            if name.starts_with(b"uberctx-")
                || name.starts_with(b"ot-baggage-")
                || matches!(name, b"jaeger-baggage" | b"jaeger-debug-id")
            {
                if let Ok(name) = std::str::from_utf8(name) {
                    changes.remove(scene.headers, name);
                }
            }
        }
    }
}

/// Fields of a written format that are not written this time would contradict those that are.
fn stale<'a>(scene: &Scene<'a>, changes: &mut Changes<'a>) {
    for format in &scene.settings.write {
        let names = match format {
            // `tracestate` has rules of its own.
            Format::W3c => &[][..],
            format => format.headers(),
        };
        for name in names {
            if !(*name == "x-datadog-origin" && goes_on(scene, *format)) {
                changes.remove(scene.headers, name);
            }
        }
    }
    if !scene.settings.write.contains(&Format::W3c) && is_no_trace(scene) {
        for name in Format::W3c.headers() {
            changes.remove(scene.headers, name);
        }
    }
}

/// Whether the W3C fields are to be read, and name no trace: then nobody should try to (Trace Context Level 2, section 4.1).
fn is_no_trace(scene: &Scene<'_>) -> bool {
    let parent = || interop::read(Format::W3c, scene.inbound);
    scene.settings.read.contains(&Format::W3c) && !matches!(parent(), interop::Found::Remote(_))
}

fn carry_tracestate<'a>(scene: &Scene<'a>, changes: &mut Changes<'a>) {
    let written = scene.settings.write.contains(&Format::W3c);
    if !scene.inbound.has(Field::Tracestate) || !written {
        return;
    }
    if !keeps_tracestate(scene.judged, scene.inbound) {
        changes.remove(scene.headers, "tracestate");
        return;
    }
    let lines = scene.inbound.all(Field::Tracestate);
    let state = tracestate::receive(&lines, scene.settings.tracestate_max_length);
    match state {
        tracestate::Tracestate::Absent | tracestate::Tracestate::Unchanged => {}
        tracestate::Tracestate::Rewritten { value, truncated } => {
            scene
                .counters
                .add(Count::TracestateTruncated, truncated as u64);
            if value.is_empty() {
                changes.remove(scene.headers, "tracestate");
            } else {
                changes.set("tracestate", value.into());
            }
        }
        tracestate::Tracestate::Empty => changes.remove(scene.headers, "tracestate"),
        tracestate::Tracestate::Invalid => {
            scene.counters.increment(Count::TracestateInvalid);
            changes.remove(scene.headers, "tracestate");
        }
    }
}

fn carry_baggage<'a>(scene: &Scene<'a>, changes: &mut Changes<'a>) {
    let settings = scene.settings;
    if !settings.baggage || !scene.judged.trusted {
        changes.remove(scene.headers, "baggage");
        return;
    }
    let lines = scene.inbound.all(Field::Baggage);
    let carried = baggage::receive(&lines, settings.baggage_members, settings.baggage_bytes);
    if let Baggage::Rewritten { value, dropped } = carried {
        scene.counters.add(Count::BaggageDropped, dropped as u64);
        if value.is_empty() {
            changes.remove(scene.headers, "baggage");
        } else {
            changes.set("baggage", value.into());
        }
    }
}
