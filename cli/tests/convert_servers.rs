//! `seawall convert nginx`: keys with the name of a server in them.

mod common;

use common::piped;
use serde_json::{json, Value};

fn converted(text: &str) -> Value {
    let ran = piped(&["convert", "nginx", "-", "--format", "json"], text);
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

const ZONE: &str = "limit_req_zone $server_name zone=one:1m rate=1r/s;";

fn key(settings: &Value) -> &Value {
    &settings["limits"][0]["key"][0]
}

/// One bucket for whatever hosts its requests name.
#[test]
fn the_name_of_a_server_is_a_constant() {
    let found = converted(&format!(
        "http {{ {ZONE} server {{ server_name shop.example b.example; limit_req zone=one; }} }}"
    ));
    assert_eq!(key(&found["plugin"]), &json!({"constant": "shop.example"}));
    let limit = &found["plugin"]["limits"][0];
    assert_eq!(limit.get("missing"), None);
}

#[test]
fn each_of_several_servers_has_its_own() {
    let found = converted(&format!(
        "http {{ {ZONE} limit_req zone=one;
            server {{ server_name a.example; }}
            server {{ server_name b.example; location /x {{ limit_req zone=one burst=2; }} }}
        }}"
    ));
    for (of, name) in [
        ("the virtual host for a.example", "a.example"),
        ("the virtual host for b.example", "b.example"),
        ("the route for location /x of server b.example", "b.example"),
    ] {
        let routes = &found["routes"];
        assert_eq!(key(&routes[of]), &json!({ "constant": name }), "{routes}");
    }
}
