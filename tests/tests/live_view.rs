//! The live view: its page, what it shows and what its buttons do, by HTTP; and in a browser where there is one.

use seawall_tests::demo::Stage;
use seawall_tests::envoy::repository;
use seawall_tests::live::Live;
use seawall_tests::prelude::*;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

async fn live() -> (Arc<Stage>, Live, Client) {
    let stage = Arc::new(Stage::set().await);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let live = Live::serve(Arc::clone(&stage), any).await;
    let client = Client::new(live.address);
    (stage, live, client)
}

async fn command(client: &Client, name: &str) -> Value {
    let fields = [("x-seawall-live", "1")];
    let answer = client
        .send("POST", &format!("/api/{name}"), &fields, b"")
        .await;
    assert_eq!(answer.status, 200, "{name}: {answer:?}");
    serde_json::from_str(&answer.text()).expect("JSON")
}

async fn snapshot(client: &Client) -> Value {
    let answer = client.get("/api/snapshot").await;
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.text()).expect("JSON")
}

/// Waits until a part of the snapshot is so.
async fn shows(client: &Client, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || async {
        let shown = snapshot(client).await;
        is(&shown).then_some(shown)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_brings_all_that_it_needs_and_nobody_else_can_press_its_buttons() {
    let (_stage, _live, client) = live().await;
    let page = client.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page
        .header("content-type")
        .unwrap_or_default()
        .starts_with("text/html"));
    assert!(page.header("content-security-policy").is_some());
    let text = page.text();
    for part in text.split("src=\"").chain(text.split("href=\"")).skip(1) {
        let file = part.split('"').next().unwrap_or_default();
        if file.ends_with(".js") || file.ends_with(".css") {
            assert_eq!(client.get(&format!("/{file}")).await.status, 200, "{file}");
        }
    }
    assert!(
        !text.contains("http"),
        "the page must not need anything from elsewhere"
    );
    let buttons = text.matches("data-command=\"").count();
    assert_eq!(buttons, 5);
    for name in [
        "burst",
        "expire",
        "dependency/kill",
        "dependency/revive",
        "traffic/on",
    ] {
        assert!(text.contains(&format!("data-command=\"{name}\"")), "{name}");
        let answer = client.send("POST", &format!("/api/{name}"), &[], b"").await;
        assert_eq!(answer.status, 403, "{name}");
    }
    assert_eq!(client.get("/nothing").await.status, 404);
    assert_eq!(
        client
            .send("POST", "/api/nothing", &[("x-seawall-live", "1")], b"")
            .await
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buttons_do_what_they_say_and_the_snapshot_shows_it() {
    let (stage, _live, client) = live().await;

    let burst = command(&client, "burst").await;
    let count = |done: &Value, status: &str| done["answers"][status].as_u64().unwrap_or_default();
    assert!(count(&burst, "200") >= 50, "{burst}");
    assert_eq!(count(&burst, "200") + count(&burst, "429"), 300, "{burst}");
    let shown = shows(&client, "the refusals are shown", |shown| {
        shown["limits"]["per-tenant"]["refused"].as_u64() == Some(count(&burst, "429"))
    })
    .await;
    assert!(shown["cache"]["misses"].as_u64() >= Some(1), "{shown}");

    let before = stage.orders.hits_of("/orders/hot");
    let expired = command(&client, "expire").await;
    assert_eq!(count(&expired, "200"), 300, "{expired}");
    // The first to make it, if need be; then one for all, and another one only if two seconds were over before all were answered
    // or the cache chose to refresh it: never while somebody is asking, which takes the origin 100 ms.
    let seen = stage.orders.seen();
    let hot: Vec<_> = seen
        .iter()
        .filter(|seen| seen.path == "/orders/hot")
        .map(|seen| seen.at)
        .collect();
    let asked = expired["origin"].as_u64().unwrap_or_default();
    assert!(
        (1..=(hot.len() - before) as u64).contains(&asked),
        "{expired}"
    );
    for pair in hot.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(100), "{hot:?}");
    }
    shows(&client, "the hits are shown", |shown| {
        shown["cache"]["hits"].as_u64() >= Some(1)
            && shown["cache"]["origin"].as_u64() == Some(stage.orders.hits() as u64)
    })
    .await;

    let killed = command(&client, "dependency/kill").await;
    assert!(count(&killed, "503") >= 10, "{killed}");
    shows(&client, "the breaker is shown open", |shown| {
        shown["breaker"]["open"] == 1
    })
    .await;

    command(&client, "dependency/revive").await;
    assert_eq!(command(&client, "traffic/on").await["on"], true);
    let shown = shows(&client, "the breaker is shown closed", |shown| {
        shown["breaker"]["open"] == 0
            && shown["breaker"]["half_open"] == 0
            && shown["traffic"] == true
    })
    .await;
    assert!(shown["breaker"]["refused"].as_u64() >= Some(10), "{shown}");
    let shown = shows(&client, "latency and traces are shown", |shown| {
        shown["latency"]["orders"]["p99"].as_f64() > Some(0.0)
            && shown["traces"]
                .as_array()
                .is_some_and(|traces| traces.len() >= 10)
    })
    .await;
    let trace = &shown["traces"][0];
    assert_eq!(
        trace["trace_id"].as_str().map(str::len),
        Some(32),
        "{trace}"
    );
    assert_eq!(command(&client, "traffic/off").await["on"], false);
    shows(&client, "the traffic has ended", |shown| {
        shown["traffic"] == false
    })
    .await;
}

/// A program on the search path.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let own = repository().join(".tools/bin");
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain([own]).collect();
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|file| file.is_file())
}

/// The flag by which Node.js 20 has a WebSocket; later ones have it anyway, and know the flag.
const WEB_SOCKET: &str = "--experimental-websocket";

/// A Node.js with a WebSocket.
async fn node() -> Option<PathBuf> {
    let own = repository().join(".tools/bin/node");
    for node in program(&["node"]).into_iter().chain([own]) {
        let asked = tokio::process::Command::new(&node)
            .args([
                WEB_SOCKET,
                "-e",
                "process.exit(typeof WebSocket === 'function' ? 0 : 1)",
            ])
            .status()
            .await;
        if asked.is_ok_and(|status| status.success()) {
            return Some(node);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_draws_it() {
    let (_stage, live, client) = live().await;
    let browser = program(&["chromium", "chromium-browser", "google-chrome"]);
    let (Some(browser), Some(node)) = (browser, node().await) else {
        // Without a browser the page is at least complete: each chart that its script draws has a place in it.
        let page = client.get("/").await.text();
        let script = client.get("/view.js").await.text();
        let charts: Vec<&str> = script
            .split("new Chart(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(charts.len(), 6);
        for chart in charts {
            assert!(page.contains(&format!("id=\"{chart}\"")), "{chart}");
        }
        eprintln!("no Chromium or no Node.js 20 here: the page was checked by HTTP only");
        return;
    };
    let ran = within(
        "the browser shows the page",
        tokio::process::Command::new(node)
            .arg(WEB_SOCKET)
            .arg(repository().join("tests/browser/live.mjs"))
            .arg(browser)
            .arg(format!("http://{}", live.address))
            .args(["traffic/on,burst", "3"])
            .kill_on_drop(true)
            .output(),
    )
    .await
    .expect("Node.js starts");
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{errors}");
    let shown: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert!(shown["lines"].as_u64() >= Some(8), "{shown}");
    assert!(shown["traces"].as_u64() >= Some(5), "{shown}");
    assert!(
        shown["said"][1]
            .as_str()
            .unwrap_or_default()
            .contains("429"),
        "{shown}"
    );
    let legend = shown["legend"].to_string();
    for line in ["per-tenant refused", "hit ratio", "half-open", "orders p99"] {
        assert!(legend.contains(line), "{line}: {shown}");
    }
}
