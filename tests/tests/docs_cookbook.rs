//! The set-ups of the cookbook do what `docs/cookbook.md` says, in a real Envoy.

use seawall_cli::check::check;
use seawall_tests::envoy::{repository, Shipped};
use seawall_tests::prelude::*;

fn recipe(name: &str) -> Shipped {
    Shipped::new(&format!("envoy/cookbook/{name}.yaml"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipe_is_good_and_in_the_book() {
    let book =
        std::fs::read_to_string(repository().join("docs/cookbook.md")).expect("the cookbook");
    let folder = repository().join("envoy/cookbook");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).expect("the folder") {
        let file = file
            .expect("a file")
            .file_name()
            .into_string()
            .expect("a name");
        assert!(
            book.contains(&format!("(../envoy/cookbook/{file})")),
            "{file} is not in the book"
        );
        let shipped = Shipped::new(&format!("envoy/cookbook/{file}"));
        let report = check(&file, shipped.text());
        assert!(
            report.problems.is_empty() && report.plugins == 4,
            "{report:?}"
        );
        let valid = shipped.validate().await;
        assert!(valid.is_ok(), "{file}: {valid:?}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_api_tells_callers_apart() {
    let upstream =
        Upstream::serving(|_| Reply::ok("page").header("cache-control", "max-age=60")).await;
    let envoy = recipe("public-api")
        .port(8081, upstream.address)
        .start(2)
        .await;
    // Without a key: five at once, then no more than one a second, while a key is not touched.
    for number in 0..5 {
        let answer = envoy.get(&format!("/v1/things/{number}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    eventually("who asks more often is refused", || async {
        (envoy.get("/v1/things/5").await.status == 429).then_some(())
    })
    .await;
    let with_key = [("x-api-key", "k1")];
    assert_eq!(envoy.get_with("/v1/things/1", &with_key).await.status, 200);
    // A key's limit is for whatever it sends, also for methods that nobody has thought of.
    for (method, limits) in [("OPTIONS", 1), ("PROPFIND", 1), ("DELETE", 2)] {
        let answer = Client::new(envoy.address)
            .send(method, "/v1/things", &with_key, b"")
            .await;
        let policy = answer.header("ratelimit-policy").unwrap_or_default();
        assert_eq!(
            policy.matches("per-key").count(),
            limits,
            "{method}: {policy}"
        );
    }
    // A page of the catalogue is fetched once for all keys, whatever a caller asks for.
    let before = upstream.hits();
    for key in ["k1", "k2", "k3"] {
        let fields = [("x-api-key", key), ("cache-control", "no-cache")];
        assert_eq!(envoy.get_with("/v1/catalogue/1", &fields).await.status, 200);
    }
    assert_eq!(upstream.hits() - before, 1);
    // A caller's trace is not believed.
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    envoy
        .get_with(
            "/v1/things/2",
            &[("x-api-key", "k1"), ("traceparent", parent)],
        )
        .await;
    let sent = upstream
        .last()
        .header("traceparent")
        .unwrap_or_default()
        .to_owned();
    assert!(
        !sent.is_empty() && !sent.contains("0af7651916cd43dd8448eb211c80319c"),
        "{sent}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_succeed_are_free_and_those_that_fail_are_not() {
    let upstream = Upstream::serving(|seen| match seen.header("x-password") {
        Some("right") => Reply::ok("welcome"),
        _ => Reply::status(401),
    })
    .await;
    let envoy = recipe("login").port(8081, upstream.address).start(2).await;
    let attempt = |password: &'static str, account: &'static str| {
        let client = Client::new(envoy.address);
        async move {
            let fields = [("x-account", account), ("x-password", password)];
            client.send("POST", "/login", &fields, b"").await.status
        }
    };
    for _ in 0..8 {
        assert_eq!(attempt("right", "ann").await, 200);
    }
    for _ in 0..5 {
        assert_eq!(attempt("wrong", "ann").await, 401);
    }
    assert_eq!(attempt("wrong", "ann").await, 429);
    // The address is out, for other accounts as well; without an account nobody is let in.
    assert_eq!(attempt("right", "bob").await, 429);
    assert_eq!(envoy.get("/about").await.status, 401);
    // However it is spelled.
    for path in [
        "//login",
        "/%6cogin",
        "/%2Flogin",
        "/login/",
        "/LOGIN",
        "/./login",
        "/x/../login",
        "/login;a=1",
    ] {
        let fields = [("x-account", "ann"), ("x-password", "wrong")];
        let answer = Client::new(envoy.address)
            .send("POST", path, &fields, b"")
            .await;
        assert_eq!(answer.status, 429, "{path}");
    }
}

/// What waits for its answer costs nothing, and so many may wait at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn logins_under_way_are_free_and_bounded() {
    let gate = Gate::new();
    let inner = gate.clone();
    let upstream = Upstream::serving(move |_| Reply::ok("welcome").gated(&inner)).await;
    let envoy = recipe("login")
        .replace("lease: 10s", "lease: 1h")
        .replace("timeout: 5s", "timeout: 60s")
        .port(8081, upstream.address)
        .start(2)
        .await;
    let login = |account: String| {
        let client = Client::new(envoy.address);
        tokio::spawn(async move {
            let fields = [("x-account", account.as_str())];
            client.send("POST", "/login", &fields, b"").await.status
        })
    };
    let mut waiting: Vec<_> = (0..15)
        .map(|person| login(format!("person-{person}")))
        .collect();
    waiting.extend((0..5).map(|_| login("ann".to_owned())));
    upstream.wait_for_in_flight(20).await;
    // No refusal of these shuts anybody out.
    for _ in 0..15 {
        assert_eq!(login("bob".to_owned()).await.expect("an answer"), 429);
    }
    gate.open();
    for answer in waiting {
        assert_eq!(answer.await.expect("an answer"), 200);
    }
    assert_eq!(login("bob".to_owned()).await.expect("an answer"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_payments_fail_fast_with_an_answer_for_the_shop() {
    let shop = Upstream::start().await;
    let payments = Upstream::serving(|_| Reply::status(500)).await;
    let envoy = recipe("payments")
        // So that it is still open, however slow this machine is.
        .replace("open_for: 2s", "open_for: 20s")
        .port(8081, shop.address)
        .port(8082, payments.address)
        .start(2)
        .await;
    for _ in 0..3 {
        assert_eq!(envoy.get("/payments/1").await.status, 500);
    }
    let refused = envoy.get("/payments/1").await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.text(),
        r#"{"error":"payments are down","order":"kept"}"#
    );
    assert!(refused.header("retry-after").is_some());
    assert_eq!(payments.hits(), 3);
    assert_eq!(envoy.get("/basket").await.status, 200);
    payments.always(Reply::ok("paid"));
    eventually("payments pass again", || async {
        (envoy.get("/payments/1").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_outlives_its_cms() {
    let cms = Upstream::serving(|seen| {
        let life = match seen.path.as_str() {
            "/ticker" => "max-age=1",
            _ => "max-age=600",
        };
        Reply::ok(format!("page {}", seen.number))
            .header("set-cookie", "stats=1")
            .header("cache-control", life)
    })
    .await;
    let envoy = recipe("cms").port(8081, cms.address).start(2).await;
    let first = envoy.get("/news?utm_source=a&id=1").await;
    assert_eq!((first.status, first.text().as_str()), (200, "page 0"));
    // Marketing makes no new page, and cookies of statistics make no private one.
    let second = envoy.get("/news?id=1&utm_source=b").await;
    assert_eq!(second.text(), "page 0");
    assert!(second.header("set-cookie").is_none());
    // Editors see the CMS itself.
    let editor = envoy
        .get_with("/news?id=1", &[("cookie", "session=x")])
        .await;
    assert_eq!(editor.text(), "page 1");
    // The CMS is gone, and a page has expired.
    assert_eq!(envoy.get("/ticker").await.text(), "page 2");
    cms.refuse().await;
    let stale = eventually("an old page is served", || async {
        let answer = envoy.get("/ticker").await;
        let age: u64 = answer.header("age")?.parse().ok()?;
        (age >= 2).then_some(answer)
    })
    .await;
    assert_eq!((stale.status, stale.text().as_str()), (200, "page 2"));
    // Those who may can throw one out.
    let purged = Client::new(envoy.address)
        .send("PURGE", "/news?id=1", &[], b"")
        .await;
    assert_eq!(purged.status, 200, "{purged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_notice_each_other() {
    let gate = Gate::new();
    let inner = gate.clone();
    let app = Upstream::serving(move |seen| {
        let tenant = seen.header("x-tenant-id").unwrap_or_default().to_owned();
        if seen.path.starts_with("/reports") {
            Reply::ok("report").gated(&inner)
        } else if tenant == "broken" {
            Reply::status(500)
        } else {
            Reply::ok(tenant).header("cache-control", "max-age=60")
        }
    })
    .await;
    let envoy = recipe("saas").port(8081, app.address).start(2).await;
    assert_eq!(envoy.get("/home").await.status, 429);
    // Their copies are their own.
    for tenant in ["acme", "globex", "acme"] {
        let answer = envoy.get_with("/home", &[("x-tenant-id", tenant)]).await;
        assert_eq!(answer.text(), tenant);
    }
    assert_eq!(app.hits(), 2);
    // One tenant's breaker is not another's.
    for _ in 0..5 {
        assert_eq!(
            envoy
                .get_with("/a", &[("x-tenant-id", "broken")])
                .await
                .status,
            500
        );
    }
    assert_eq!(
        envoy
            .get_with("/a", &[("x-tenant-id", "broken")])
            .await
            .status,
        503
    );
    assert_eq!(
        envoy
            .get_with("/b", &[("x-tenant-id", "acme")])
            .await
            .status,
        200
    );
    // Two reports at the same time; the third is refused, another tenant's is not.
    let report = |tenant: &'static str| {
        let client = Client::new(envoy.address);
        tokio::spawn(async move {
            client
                .get_with("/reports/1", &[("x-tenant-id", tenant)])
                .await
                .status
        })
    };
    let waiting = [report("acme"), report("acme")];
    app.wait_for_in_flight(2).await;
    assert_eq!(report("acme").await.expect("an answer"), 429);
    // The tenant's quota holds for reports as well.
    let refused = envoy
        .get_with("/reports/2", &[("x-tenant-id", "acme")])
        .await;
    let policy = refused.header("ratelimit-policy").unwrap_or_default();
    assert!(policy.starts_with("\"per-tenant\";q=600"), "{policy}");
    let other = report("globex");
    app.wait_for_in_flight(3).await;
    gate.open();
    for answer in waiting.into_iter().chain([other]) {
        assert_eq!(answer.await.expect("an answer"), 200);
    }
}
