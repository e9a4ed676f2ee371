//! JSON as YAML that Envoy reads.

use serde_json::Value;

/// Writes a value after the colon of its field, or after the dash of its item; what is inside is so far from the left.
pub(super) fn write(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            for (name, value) in fields {
                out.push_str(&format!("{:indent$}{}:", "", scalar(name)));
                write(out, value, indent + 2);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            out.push('\n');
            for item in items {
                out.push_str(&format!("{:indent$}-", ""));
                match item {
                    Value::Object(fields) if !fields.is_empty() => {
                        for (number, (name, value)) in fields.iter().enumerate() {
                            let width = if number == 0 { 1 } else { indent + 2 };
                            out.push_str(&format!("{:width$}{}:", "", scalar(name)));
                            write(out, value, indent + 4);
                        }
                    }
                    other => write(out, other, indent + 2),
                }
            }
        }
        other => {
            out.push_str(&format!(" {}\n", flow(other)));
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        // JSON is YAML.
        other => other.to_string(),
    }
}

/// A text as it is where it cannot be mistaken for anything else, else in quotes.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !["y", "n", "yes", "no", "true", "false", "on", "off", "null"]
            .contains(&text.to_lowercase().as_str());
    // Not whatever has digits and letters in it: 0x1f is a number.
    let duration = ["ms", "s", "m", "h", "d"]
        .into_iter()
        .filter_map(|unit| text.strip_suffix(unit))
        .any(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    if plain || duration {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}
