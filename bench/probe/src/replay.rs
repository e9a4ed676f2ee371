//! The host calls of a filter, made without the filter.

use seawall_core::host::{Expect, Host, Map, MetricId};
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

/// As long as a request id.
const VALUE: &[u8] = b"01890a5d-ac96-774b-bcce-b302099a8057";

/// Makes the calls of one callback.
pub fn make(host: &dyn Host, calls: &[Call], callback: &str, metric: Option<MetricId>) {
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
            _ => {}
        }
    }
}

/// The first call that cannot be made here.
pub fn unknown(calls: &[Call]) -> Option<&str> {
    const KNOWN: [&str; 10] = [
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
    ];
    let names = calls.iter().map(|call| call.name.as_str());
    names.into_iter().find(|name| !KNOWN.contains(name))
}
