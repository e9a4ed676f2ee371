//! The host calls of a filter, made without the filter.

use seawall_core::host::{Expect, Host, Map, MetricId};
use seawall_core::plugin::Flow;
use seawall_core::reply::Reply;
use serde::Deserialize;

/// A call as the host saw it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The callback it was made in.
    callback: String,
    /// Its name in the ABI.
    name: String,
    /// The header, key or property it was about; the parts of a property are joined by dots.
    about: String,
}

/// What the filter answers where it answers itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Fields, names in lower case.
    fields: Vec<(String, String)>,
    /// The body.
    body: String,
}

impl Answer {
    fn send(&self, host: &dyn Host) {
        let fields = self.fields.iter();
        let headers: Vec<(&str, &[u8])> = fields
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let _ = host.reply(&Reply {
            status: 200,
            headers: &headers,
            body: self.body.as_bytes(),
            grpc_status: None,
            details: "probe",
        });
    }
}

/// As long as a request id.
const VALUE: &[u8] = b"01890a5d-ac96-774b-bcce-b302099a8057";

/// Makes the calls of one callback; those for an answer end the request.
pub fn make(
    host: &dyn Host,
    calls: &[Call],
    answer: &Answer,
    callback: &str,
    metric: Option<MetricId>,
) -> Flow {
    let mut flow = Flow::Continue;
    let map = if callback.starts_with("proxy_on_request") {
        Map::Request
    } else {
        Map::Response
    };
    let mut shared = VALUE.to_vec();
    for call in calls.iter().filter(|call| call.callback == callback) {
        let about = call.about.as_str();
        match call.name.as_str() {
            "proxy_get_property" => {
                let mut parts = about.split('.');
                let path = [parts.next().unwrap_or(""), parts.next().unwrap_or("")];
                let _ = host.property(&path);
            }
            "proxy_get_current_time_nanoseconds" => {
                let _ = host.now();
            }
            "proxy_get_header_map_pairs" => {
                let _ = host.headers(map);
            }
            "proxy_get_header_map_value" => {
                let _ = host.header(map, about);
            }
            "proxy_replace_header_map_value" => {
                let _ = host.set_header(map, about, VALUE);
            }
            "proxy_add_header_map_value" => {
                let _ = host.add_header(map, about, VALUE);
            }
            "proxy_get_shared_data" => {
                if let Ok(Some((value, _))) = host.shared_get(about) {
                    shared = value;
                }
            }
            "proxy_set_shared_data" => {
                let _ = host.shared_set(about, &shared, Expect::Anything);
            }
            "proxy_increment_metric" => {
                let _ = metric.map(|metric| host.metric_add(metric, 1));
            }
            "proxy_get_metric" => {
                let _ = metric.map(|metric| host.metric_value(metric));
            }
            "proxy_send_local_response" => {
                answer.send(host);
                flow = Flow::Pause;
            }
            _ => {}
        }
    }
    flow
}

/// The first call that cannot be made here.
pub fn unknown(calls: &[Call]) -> Option<&str> {
    const KNOWN: [&str; 11] = [
        "proxy_get_property",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
        "proxy_get_header_map_value",
        "proxy_replace_header_map_value",
        "proxy_add_header_map_value",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_increment_metric",
        "proxy_get_metric",
        "proxy_send_local_response",
    ];
    let names = calls.iter().map(|call| call.name.as_str());
    names.into_iter().find(|name| !KNOWN.contains(name))
}
