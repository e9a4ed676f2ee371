//! A module that makes a list of host calls and does nothing else: straight code without memory of its own, written as text and
//! assembled. What the host gives away lands in one place and stays there.

use seawall_vm_host::{Made, Reply};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the host leaves where its bytes are, how many, the version of shared data, and a time or the value of a metric.
const DATA: usize = 16;
const SIZE: usize = 20;
const VERSION: usize = 24;
const NUMBER: usize = 32;
/// The id of the one metric.
const METRIC: usize = 8;
/// Where constants begin, and where the host's bytes go; up to a header map of 64 KB fits.
const CONSTANTS: usize = 1024;
const GIVEN: usize = 256 * 1024;
const PAGES: usize = 6;

/// As long as a request id.
const VALUE: &[u8] = b"01890a5d-ac96-774b-bcce-b302099a8057";

/// The imports, by name, with the types of their parameters.
const IMPORTS: [(&str, &str); 12] = [
    ("proxy_define_metric", "i32 i32 i32 i32"),
    ("proxy_get_property", "i32 i32 i32 i32"),
    ("proxy_get_current_time_nanoseconds", "i32"),
    ("proxy_get_header_map_pairs", "i32 i32 i32"),
    ("proxy_get_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_replace_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_add_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_get_shared_data", "i32 i32 i32 i32 i32"),
    ("proxy_set_shared_data", "i32 i32 i32 i32 i32"),
    ("proxy_increment_metric", "i32 i64"),
    ("proxy_get_metric", "i32 i32"),
    (
        "proxy_send_local_response",
        "i32 i32 i32 i32 i32 i32 i32 i32",
    ),
];

/// Callbacks of a request: name, parameters, and what they return.
const CALLBACKS: [(&str, &str, Option<u32>); 8] = [
    ("proxy_on_context_create", "i32 i32", None),
    ("proxy_on_request_headers", "i32 i32 i32", Some(0)),
    ("proxy_on_request_body", "i32 i32 i32", Some(0)),
    ("proxy_on_response_headers", "i32 i32 i32", Some(0)),
    ("proxy_on_response_body", "i32 i32 i32", Some(0)),
    ("proxy_on_response_trailers", "i32 i32", Some(0)),
    ("proxy_on_log", "i32", None),
    ("proxy_on_delete", "i32", None),
];

/// The module, as far as it is written.
#[derive(Debug, Default)]
pub struct Floor {
    /// The code of each callback.
    code: BTreeMap<&'static str, String>,
    constants: Vec<u8>,
    /// Callbacks in which the filter answers; the request stops there.
    answers: Vec<&'static str>,
}

impl Floor {
    /// A constant: its place and size, as two arguments.
    fn constant(&mut self, bytes: &[u8]) -> String {
        let at = CONSTANTS + self.constants.len();
        self.constants.extend_from_slice(bytes);
        format!("(i32.const {at}) (i32.const {})", bytes.len())
    }

    /// Makes one more call. `reply` is what the filter answers, if it does.
    ///
    /// # Errors
    /// When it is none that can be made here.
    pub fn call(&mut self, call: &Made, reply: Option<&Reply>) -> Result<(), String> {
        let map = if call.callback.starts_with("proxy_on_request") {
            "(i32.const 0)"
        } else {
            "(i32.const 2)"
        };
        let given = format!("(i32.const {DATA}) (i32.const {SIZE})");
        let metric = format!("(i32.load (i32.const {METRIC}))");
        let number = format!("(i32.const {NUMBER})");
        let about = call.about.as_bytes();
        let arguments = match call.name {
            "proxy_get_property" => {
                let path = self.constant(call.about.replace('.', "\0").as_bytes());
                format!("{path} {given}")
            }
            "proxy_get_current_time_nanoseconds" => number,
            "proxy_get_header_map_pairs" => format!("{map} {given}"),
            "proxy_get_header_map_value" => format!("{map} {} {given}", self.constant(about)),
            "proxy_replace_header_map_value" | "proxy_add_header_map_value" => {
                format!("{map} {} {}", self.constant(about), self.constant(VALUE))
            }
            "proxy_get_shared_data" => {
                format!("{} {given} (i32.const {VERSION})", self.constant(about))
            }
            "proxy_set_shared_data" => format!(
                "{} (i32.load (i32.const {DATA})) (i32.load (i32.const {SIZE})) (i32.const 0)",
                self.constant(about)
            ),
            "proxy_increment_metric" => format!("{metric} (i64.const 1)"),
            "proxy_get_metric" => format!("{metric} {number}"),
            "proxy_send_local_response" => {
                let reply = reply.ok_or("an answer that nobody got")?;
                let mut pairs = Vec::new();
                seawall_core::headers::write_pairs(&mut pairs, &reply.headers);
                self.answers.push(call.callback);
                format!(
                    "(i32.const {}) {} {} {} (i32.const -1)",
                    reply.status,
                    self.constant(b"floor"),
                    self.constant(&reply.body),
                    self.constant(&pairs)
                )
            }
            other => return Err(format!("cannot make {other}")),
        };
        let code = self.code.entry(call.callback).or_default();
        let _ = writeln!(code, "    (drop (call ${} {arguments}))", call.name);
        Ok(())
    }

    fn text(&mut self, has: impl Fn(&str) -> bool) -> String {
        let name = self.constant(b"floor");
        let mut text = String::from("(module\n");
        for (import, types) in IMPORTS {
            let _ = writeln!(
                text,
                "  (import \"env\" \"{import}\" (func ${import} (param {types}) (result i32)))"
            );
        }
        let _ = writeln!(
            text,
            "  (memory (export \"memory\") {PAGES})
  (func (export \"proxy_abi_version_0_2_1\"))
  (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (i32.const {GIVEN}))
  (func (export \"proxy_on_vm_start\") (param i32 i32) (result i32) (i32.const 1))
  (func (export \"proxy_on_configure\") (param i32 i32) (result i32)
    (drop (call $proxy_define_metric (i32.const 0) {name} (i32.const {METRIC})))
    (i32.const 1))"
        );
        for (callback, types, flow) in CALLBACKS.iter().filter(|(name, ..)| has(name)) {
            let stops = u32::from(self.answers.contains(callback));
            let (result, last) = flow.map_or_else(Default::default, |flow| {
                ("(result i32)", format!("(i32.const {})", flow + stops))
            });
            let code = self.code.get(callback).map_or("", String::as_str);
            let _ = writeln!(
                text,
                "  (func (export \"{callback}\") (param {types}) {result}\n{code}    {last})"
            );
        }
        let constants = self.constants.iter().fold(String::new(), |mut all, byte| {
            let _ = write!(all, "\\{byte:02x}");
            all
        });
        let _ = writeln!(text, "  (data (i32.const {CONSTANTS}) \"{constants}\"))");
        text
    }

    /// The module, with those callbacks that `has` names.
    ///
    /// # Errors
    /// When its text is not WebAssembly.
    pub fn module(mut self, has: impl Fn(&str) -> bool) -> Result<Vec<u8>, wat::Error> {
        wat::parse_str(self.text(has))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(callback: &'static str, name: &'static str, about: &str) -> Made {
        Made {
            callback,
            name,
            about: about.to_owned(),
            gives: false,
        }
    }

    #[test]
    fn makes_the_calls_in_the_callbacks_that_are_asked_for() {
        let mut floor = Floor::default();
        let calls = [
            made(
                "proxy_on_request_headers",
                "proxy_get_property",
                "xds.cluster_name",
            ),
            made("proxy_on_request_headers", "proxy_get_shared_data", "key"),
            made("proxy_on_request_headers", "proxy_set_shared_data", "key"),
            made(
                "proxy_on_response_headers",
                "proxy_get_header_map_value",
                ":status",
            ),
        ];
        for call in &calls {
            floor.call(call, None).unwrap();
        }
        assert!(floor
            .call(&made("proxy_on_log", "proxy_http_call", ""), None)
            .is_err());
        let text = floor.text(|callback| callback != "proxy_on_log");
        for call in &calls {
            assert_eq!(text.matches(&format!("call ${} ", call.name)).count(), 1);
        }
        assert!(!text.contains("proxy_on_log"));
        assert!(wat::parse_str(text).is_ok());
    }
}
