//! The examples of the documents, typed into a shell in front of a real Envoy: what is printed there is what comes out.

use seawall_cli::document::read;
use seawall_tests::docs::{blocks, run, Block};
use seawall_tests::envoy::{dist, repository, Shipped};
use seawall_tests::prelude::*;
use std::future::Future;

fn of(document: &str, language: &str) -> Vec<Block> {
    let mut found = blocks(document);
    found.retain(|block| block.language == language);
    found
}

fn yaml(text: &str, place: &str) -> Value {
    let documents = read(text).unwrap_or_else(|error| panic!("{place}: {error:?}"));
    documents[0].json()
}

/// The YAML blocks of a document.
fn settings(document: &str) -> Vec<Value> {
    let blocks = of(document, "yaml");
    let values = blocks.iter().map(|block| yaml(&block.text, &block.place));
    values.collect()
}

/// Types these blocks in front of what `stage` sets up. Some count on a reader who is not slow, as a loaded machine may be: they
/// have five tries, each from the beginning.
async fn type_in<Kept, F: Future<Output = (Envoy, Kept)>>(blocks: &[Block], stage: impl Fn() -> F) {
    assert!(!blocks.is_empty());
    let mut last = String::new();
    for _ in 0..5 {
        let (envoy, _kept) = stage().await;
        let mut ran = Ok(());
        for block in blocks {
            if ran.is_ok() {
                ran = run(block, envoy.address).await;
            }
        }
        match ran {
            Ok(()) => return,
            Err(error) => last = error,
        }
    }
    panic!("{last}");
}

/// The configuration of a filter in a file of the repository.
fn shipped_settings(file: &str) -> Value {
    let shipped = Shipped::new(file);
    let whole = yaml(shipped.text(), file);
    let manager = &whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    manager["typed_config"]["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]
        .clone()
}

/// The first block of a filter's document is what the file has that it points to.
fn first_is_shipped(filter: &str) -> Value {
    let example = settings(&format!("filters/{filter}/README.md")).swap_remove(0);
    let shipped = shipped_settings(&format!("envoy/{filter}.yaml"));
    assert_eq!(example, shipped, "{filter}");
    example
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limit() {
    let document = "filters/rate-limit/README.md";
    let mut example = first_is_shipped("rate-limit");
    type_in(&of(document, "console"), || async {
        let upstream = Upstream::serving(|_| Reply::ok("hello\n")).await;
        let shipped = Shipped::new("envoy/rate-limit.yaml").port(8080, upstream.address);
        (shipped.start(2).await, upstream)
    })
    .await;

    let further = settings(document).swap_remove(1);
    example["limits"][0]["overrides"] = further["overrides"].clone();
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", example)
        .start()
        .await;
    let gold = [("x-tenant-id", "acme"), ("x-tier", "gold")];
    let answer = envoy.get_with("/", &gold).await;
    let policy = answer.header("ratelimit-policy").unwrap_or_default();
    assert!(policy.contains("q=10000"), "{answer:?}");
    let unlimited = envoy
        .get_with("/", &[("x-tenant-id", "internal-batch")])
        .await;
    assert_eq!(unlimited.header("ratelimit"), None, "{unlimited:?}");
    assert_eq!(settings(document).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn response_cache() {
    let document = "filters/response-cache/README.md";
    first_is_shipped("response-cache");
    let consoles = of(document, "console");
    let page = |_: &Seen| {
        Reply::ok("hello\n")
            .header("cache-control", "max-age=60")
            .header("content-type", "text/plain")
    };
    type_in(&consoles[..1], || async {
        let upstream = Upstream::serving(page).await;
        let shipped = Shipped::new("envoy/response-cache.yaml").port(8080, upstream.address);
        (shipped.start(2).await, upstream)
    })
    .await;
    let purging = settings(document).swap_remove(1);
    type_in(&consoles[1..], || async {
        let upstream = Upstream::serving(page).await;
        let envoy = Envoy::to(&upstream).filter("response-cache", purging.clone());
        (envoy.start().await, upstream)
    })
    .await;
    assert_eq!((settings(document).len(), consoles.len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn circuit_breaker() {
    let document = "filters/circuit-breaker/README.md";
    first_is_shipped("circuit-breaker");
    type_in(&of(document, "console"), || async {
        let nobody = seawall_tests::envoy::free_address();
        let shipped = Shipped::new("envoy/circuit-breaker.yaml").port(8080, nobody);
        (shipped.start(2).await, ())
    })
    .await;
    assert_eq!(settings(document).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_headers() {
    let document = "filters/trace-headers/README.md";
    first_is_shipped("trace-headers");
    let echo = |seen: &Seen| {
        let fields = seen.headers.iter();
        let lines =
            fields.map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value)));
        Reply::ok(lines.collect::<String>())
    };
    let consoles = of(document, "console");
    let lines = of(document, "json");
    assert_eq!(
        (settings(document).len(), consoles.len(), lines.len()),
        (1, 1, 1)
    );
    let upstream = Upstream::serving(echo).await;
    let envoy = Shipped::new("envoy/trace-headers.yaml")
        .port(8080, upstream.address)
        .start(2)
        .await;
    if let Err(wrong) = run(&consoles[0], envoy.address).await {
        panic!("{wrong}");
    }
    // The line of the log that belongs to the example, but for ids and times.
    let known = |line: &str| {
        let mut line: Value = serde_json::from_str(line).ok()?;
        for changing in ["duration_ms", "request_id", "span_id", "timestamp"] {
            let field = line.get_mut(changing)?;
            *field = json!(field.is_string());
        }
        Some(line)
    };
    let printed = known(&lines[0].text).expect("a line of the log");
    eventually("the line is logged", || async {
        let log = envoy.log();
        log.lines().filter_map(known).find(|line| *line == printed)
    })
    .await;
}

/// A filter in a document, with the module where it is here.
fn mounted(mut filter: Value) -> Value {
    let code = &mut filter["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"];
    let name = code.as_str().and_then(|path| path.rsplit('/').next());
    let name = name.and_then(|file| file.strip_suffix(".wasm"));
    *code = json!(dist(name.expect("a module")));
    filter
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_as_they_are_mounted() {
    let of_root = settings("README.md");
    let upstream = Upstream::start().await;
    let filter = mounted(of_root[0]["http_filters"][0].clone());
    let routes = &of_root[1]["routes"];
    let mut route = Route::prefix("/reports").to("reports");
    for (field, value) in routes[0].as_object().expect("a route") {
        route = route.field(field, value.clone());
    }
    let envoy = Envoy::to(&upstream)
        .cluster("reports", upstream.address, json!({}))
        .native_filter(filter)
        .route(route)
        .route(Route::prefix("/"))
        .start()
        .await;
    let mut consoles = of("README.md", "console");
    // Those with the command are typed by its own tests.
    consoles.retain(|block| block.text.contains("$ curl "));
    assert_eq!(consoles.len(), 1);
    if let Err(wrong) = run(&consoles[0], envoy.address).await {
        panic!("{wrong}");
    }
    let tenant = [("x-tenant-id", "acme")];
    for (path, policy) in [
        ("/", "\"per-tenant\";q=600"),
        ("/reports", "\"reports\";q=10"),
    ] {
        let answer = envoy.get_with(path, &tenant).await;
        let said = answer.header("ratelimit-policy").unwrap_or_default();
        assert!(said.starts_with(policy), "{path}: {answer:?}");
    }
    assert_eq!(of_root.len(), 2);

    for document in ["filters/seawall/README.md", "docs/performance.md"] {
        let whole = settings(document);
        assert_eq!(whole.len(), 1, "{document}");
        let upstream =
            Upstream::serving(|_| Reply::ok("").header("cache-control", "max-age=9")).await;
        let envoy = Envoy::to(&upstream)
            .native_filter(mounted(whole[0][0].clone()))
            .start()
            .await;
        envoy.get_with("/", &tenant).await;
        let answer = envoy.get_with("/", &tenant).await;
        for field in ["x-request-id", "ratelimit", "age"] {
            assert!(answer.header(field).is_some(), "{document}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookbook() {
    let recipes = ["public-api", "login", "payments", "cms", "saas"];
    let consoles = of("docs/cookbook.md", "console");
    assert_eq!(consoles.len(), recipes.len());
    for (recipe, console) in recipes.into_iter().zip(consoles) {
        type_in(&[console], || async move {
            let upstream = Upstream::serving(move |seen| match recipe {
                "login" => Reply::status(401),
                "payments" => Reply::status(500),
                "public-api" => Reply::ok(""),
                _ => Reply::ok(format!("page {}\n", seen.number))
                    .header("cache-control", "max-age=60"),
            })
            .await;
            let mut shipped = Shipped::new(&format!("envoy/cookbook/{recipe}.yaml"));
            for port in [8081, 8082] {
                shipped = shipped.port(port, upstream.address);
            }
            (shipped.start(2).await, upstream)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_five_lines_of_contributing() {
    let upstream =
        Upstream::serving(|_| Reply::ok("one").header("cache-control", "max-age=60")).await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .start()
        .await;
    envoy.get("/page").await;
    assert!(envoy.get("/page").await.header("age").is_some());
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_five_lines_of_the_tests() {
    let upstream = Upstream::serving(|seen| Reply::ok(seen.path.clone())).await;
    let limits = json!({"limits": [{"name": "all", "requests": 2, "per": "1h"}]});
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limits)
        .start()
        .await;
    assert_eq!(
        envoy
            .burst("/", 10, 4)
            .await
            .iter()
            .filter(|answer| answer.status == 200)
            .count(),
        2
    );
    assert_eq!(upstream.hits(), 2);
}

/// The two above are what is printed, but for how their lines are broken.
#[test]
fn the_five_lines_are_those_of_the_documents() {
    let bare = |text: &str| text.replace(|c: char| c.is_whitespace() || c == ',', "");
    let here = bare(include_str!("docs_examples.rs"));
    for document in ["CONTRIBUTING.md", "tests/README.md"] {
        let snippets = of(document, "rust");
        assert_eq!(snippets.len(), 1);
        assert!(here.contains(&bare(&snippets[0].text)), "{document}");
    }
}

/// Every block is of a kind that something here runs.
#[test]
fn no_block_is_left_out() {
    for document in [
        "README.md",
        "docs/cookbook.md",
        "docs/performance.md",
        "docs/readiness.md",
        "docs/faults.md",
        "docs/protocols.md",
        "deploy/README.md",
        "filters/rate-limit/README.md",
        "filters/response-cache/README.md",
        "filters/circuit-breaker/README.md",
        "filters/trace-headers/README.md",
        "filters/seawall/README.md",
    ] {
        for block in blocks(document) {
            // A drawing, or what a long run printed.
            let shown = ["", "text"].contains(&block.language.as_str())
                && !block.text.contains("curl")
                && !block.text.contains("$ ");
            let makes =
                block.language == "sh" && block.text.lines().all(|line| line.starts_with("make "));
            let run = ["yaml", "console", "json", "mermaid"].contains(&block.language.as_str());
            assert!(run || makes || shown, "{}: {}", block.place, block.language);
        }
    }
    let makefile = std::fs::read_to_string(repository().join("Makefile")).expect("the Makefile");
    for block in of("README.md", "sh") {
        for line in block.text.lines() {
            let target = line.split_whitespace().nth(1).unwrap_or_default();
            assert!(makefile.contains(&format!("\n{target}:")), "{line}");
        }
    }
}
