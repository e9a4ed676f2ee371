//! One level of configuration laid over another.

use serde_json::Value;

/// Lays `over` on `base`, field by field: objects are merged, everything else is replaced.
pub fn merge(base: &Value, over: &Value) -> Value {
    let mut merged = base.clone();
    lay(&mut merged, over);
    merged
}

fn lay(base: &mut Value, over: &Value) {
    let (Value::Object(fields), Value::Object(over)) = (&mut *base, over) else {
        *base = over.clone();
        return;
    };
    for (name, value) in over {
        match fields.get_mut(name) {
            Some(below) => lay(below, value),
            None => {
                fields.insert(name.clone(), value.clone());
            }
        }
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
