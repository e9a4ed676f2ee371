//! One level of configuration laid over another.

use serde_json::Value;

/// Lays `over` on `base`, field by field: objects are merged, everything else is replaced.
pub fn merge(base: &Value, over: &Value) -> Value {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            let mut merged = base.clone();
            for (name, value) in over {
                let value = match merged.get(name) {
                    Some(below) => merge(below, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        _ => over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_merge_and_the_rest_is_replaced() {
        let base = json!({"a": 1, "b": {"x": 1, "y": 2}, "c": [1, 2]});
        let over = json!({"b": {"y": 3}, "c": [9], "d": true});
        assert_eq!(
            merge(&base, &over),
            json!({"a": 1, "b": {"x": 1, "y": 3}, "c": [9], "d": true})
        );
    }
}
