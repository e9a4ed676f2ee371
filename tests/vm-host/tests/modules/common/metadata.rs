//! `envoy.config.core.v3.Metadata` with settings of one filter, as Envoy hands it over.

use serde_json::Value;

fn field(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | 2), out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn entry(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    field(1, name.as_bytes(), &mut out);
    field(2, value, &mut out);
    out
}

fn structure(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in value.as_object().expect("an object") {
        field(1, &entry(name, &encoded(value)), &mut out);
    }
    out
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => out.extend([8, 0]),
        Value::Number(number) => {
            out.push(2 << 3 | 1);
            out.extend(number.as_f64().expect("a number").to_le_bytes());
        }
        Value::String(text) => field(3, text.as_bytes(), &mut out),
        Value::Bool(yes) => out.extend([4 << 3, u8::from(*yes)]),
        Value::Object(_) => field(5, &structure(value), &mut out),
        Value::Array(values) => {
            let mut list = Vec::new();
            for value in values {
                field(1, &encoded(value), &mut list);
            }
            field(6, &list, &mut out);
        }
    }
    out
}

/// The metadata of a route: settings by namespace.
pub fn metadata(namespaces: &[(&str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (namespace, settings) in namespaces {
        field(1, &entry(namespace, &structure(settings)), &mut out);
    }
    out
}
