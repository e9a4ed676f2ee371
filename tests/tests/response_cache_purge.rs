//! Soft purges: what was purged is stale for all workers at once, served while one request refreshes it, and fresh again
//! everywhere after that.

use seawall_tests::prelude::*;

const CONNECTIONS: usize = 60;
const SOFT: (&str, &str) = ("seawall-purge-mode", "soft");
const SECRET: (&str, &str) = ("x-purge", "let-me-in");

fn page(body: &str) -> Reply {
    Reply::ok(body)
        .header("cache-control", "max-age=600, stale-while-revalidate=600")
        .header("surrogate-key", "news")
}

/// What connections of their own get, on whichever worker the kernel gives them to.
async fn everywhere(envoy: &Envoy) -> Vec<(String, String)> {
    let answers = envoy.burst("/news/1", CONNECTIONS, CONNECTIONS).await;
    answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200);
            let status = answer.header("cache-status").unwrap_or_default();
            (answer.text(), status.to_owned())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_purge_is_stale_on_every_worker_while_one_request_refreshes() {
    let kinds: [(&str, &[(&str, &str)]); 4] = [
        ("/news/1", &[]),
        ("/news", &[("seawall-purge", "prefix")]),
        ("/", &[("surrogate-key", "news")]),
        ("/", &[("seawall-purge", "all")]),
    ];
    for (path, kind) in kinds {
        let upstream = Upstream::serving(|_| page("old")).await;
        let configuration = json!({
            "refresh": {"algorithm": "off"},
            // One refreshes, for as long as that takes.
            "coalesce": {"lease": "1h"},
            "purge": {"secret_header": SECRET.0, "secret": SECRET.1},
        });
        let envoy = Envoy::to(&upstream)
            .filter("response-cache", configuration)
            .route(Route::prefix("/").timeout("0s"))
            .workers(4)
            .start()
            .await;
        envoy.get("/news/1").await;
        // Now every worker has a copy of its own.
        for _ in 0..3 {
            for (body, status) in everywhere(&envoy).await {
                assert!(
                    body == "old" && status.starts_with("seawall; hit"),
                    "{status}"
                );
            }
        }
        let gate = Gate::new();
        let held = gate.clone();
        upstream.behave(move |_| page("new").gated(&held));
        let mut headers = vec![SECRET, SOFT];
        headers.extend_from_slice(kind);
        let purged = envoy.send("PURGE", path, &headers, b"").await;
        assert_eq!(purged.status, 200, "{}", purged.text());
        assert!(purged.text().contains("\"mode\":\"soft\""));

        let refreshing = tokio::spawn({
            let client = Client::fresh(envoy.address);
            async move { client.get("/news/1").await }
        });
        upstream.wait_for_hits(2).await;
        for (body, status) in everywhere(&envoy).await {
            assert_eq!(body, "old");
            assert!(
                status.starts_with("seawall; hit; ttl=-"),
                "{kind:?}: {status}"
            );
            assert!(
                status.ends_with("; detail=stale-while-revalidate"),
                "{status}"
            );
        }
        assert_eq!(upstream.hits(), 2, "{kind:?}: one request refreshes");
        gate.open();
        assert_eq!(refreshing.await.unwrap().text(), "new");
        for (body, status) in everywhere(&envoy).await {
            assert_eq!(body, "new", "{kind:?}: {status}");
            assert!(status.starts_with("seawall; hit; ttl=") && !status.contains("stale"));
        }
        assert_eq!(upstream.hits(), 2, "{kind:?}");
        let stale = "wasmcustom.seawall.response_cache.stale.while_revalidate";
        let counted = envoy.wait_for_stat(stale, CONNECTIONS as u64).await;
        assert_eq!(counted, CONNECTIONS as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_of_urls_and_tags_leave_all_others_alone() {
    let upstream = Upstream::serving(|seen| {
        let tag = format!("tag{}", seen.path);
        Reply::ok("body")
            .header("cache-control", "max-age=600")
            .header("surrogate-key", &tag)
    })
    .await;
    let configuration = json!({"purge": {"secret_header": SECRET.0, "secret": SECRET.1}});
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", configuration)
        .workers(4)
        .start()
        .await;
    let client = envoy.client();
    let all: Vec<String> = (0..600).map(|n| format!("/page/{n}")).collect();
    for path in &all {
        client.get(path).await;
    }
    let (purged, others) = all.split_at(300);
    for (number, path) in purged.iter().enumerate() {
        let tag = format!("tag{path}");
        let answer = if number % 2 == 0 {
            client.send("PURGE", path, &[SECRET], b"").await
        } else {
            let headers = [SECRET, ("surrogate-key", tag.as_str())];
            client.send("PURGE", "/", &headers, b"").await
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    upstream.forget();
    for path in others {
        client.get(path).await;
    }
    assert_eq!(upstream.hits(), 0, "what was not purged is still there");
    for path in purged {
        client.get(path).await;
    }
    assert_eq!(upstream.hits(), purged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_a_route_without_a_cache_stays_here_with_its_secret() {
    let upstream = Upstream::serving(|_| page("old")).await;
    let off = json!({"enabled": false});
    let envoy = Envoy::to(&upstream)
        .filter(
            "response-cache",
            json!({"purge": {"secret_header": SECRET.0, "secret": SECRET.1}}),
        )
        .route(Route::prefix("/").metadata("seawall.response_cache", off))
        .start()
        .await;
    let answer = envoy.send("PURGE", "/", &[SECRET], b"").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("\"purged\":\"key\""));
    assert_eq!(upstream.hits(), 0);
    assert_eq!(envoy.get("/").await.text(), "old");
}
