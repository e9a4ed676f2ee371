//! The harness itself: every way in which the upstream can misbehave reaches the client of a filterless Envoy.

use seawall_tests::client::raw;
use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_forwarded_whole() {
    let upstream = Upstream::serving(|_| {
        Reply::status(201)
            .header("x-a", "1")
            .header("x-a", "2")
            .chunk("one ")
            .chunk("two")
            .trailer("x-t", "3")
    })
    .await;
    let envoy = Envoy::to(&upstream).start().await;
    let answer = envoy.get("/a?b").await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.whole),
        (201, "one two", true)
    );
    assert_eq!(answer.all("x-a"), ["1", "2"]);
    assert_eq!(upstream.last().path, "/a?b");
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_resetting_and_refusing_give_503() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream).start().await;
    for reply in [Reply::Close, Reply::Reset] {
        upstream.always(reply.clone());
        assert_eq!(envoy.get("/").await.status, 503, "{reply:?}");
    }
    upstream.refuse().await;
    assert_eq!(envoy.get("/").await.status, 503);
    upstream.always(Reply::ok("back"));
    upstream.revive();
    assert_eq!(envoy.get("/").await.text(), "back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_upstream_runs_into_the_route_timeout() {
    let upstream = Upstream::serving(|_| Reply::Hang).await;
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/").timeout("0.2s"))
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_cut_short_is_not_whole() {
    let upstream = Upstream::serving(|_| Reply::ok("half").cut_short()).await;
    let envoy = Envoy::to(&upstream).start().await;
    let answer = envoy.get("/").await;
    assert_eq!((answer.status, answer.whole), (200, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_holds_requests_until_it_opens() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::serving(move |_| Reply::ok("x").gated(&held)).await;
    let envoy = Envoy::to(&upstream).start().await;
    let answers = tokio::join!(envoy.burst("/", 20, 20), async {
        upstream.wait_for_in_flight(20).await;
        gate.open();
    })
    .0;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_statuses_come_in_trailers_or_headers() {
    let upstream = Upstream::serving(|_| Reply::grpc_trailers_only(14)).await;
    let envoy = Envoy::to(&upstream).http2_upstream().start().await;
    let client = Client::http2(envoy.address);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = client.send("POST", "/s/m", &headers, &[0; 5]).await;
    assert_eq!(answer.header("grpc-status"), Some("14"));
    upstream.always(Reply::grpc(0));
    let answer = client.send("POST", "/s/m", &headers, &[0; 5]).await;
    assert_eq!((answer.status, answer.body.len()), (200, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_reach_envoy_as_they_are() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream).start().await;
    let request = b"GET /r HTTP/1.1\r\nHost: x\r\nx-raw: \xff\r\nConnection: close\r\n\r\n";
    assert!(raw(envoy.address, request)
        .await
        .starts_with(b"HTTP/1.1 200"));
    let seen = upstream.last();
    assert!(seen
        .headers
        .iter()
        .any(|(name, value)| name == "x-raw" && value == b"\xff"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_can_be_swapped() {
    let upstream = Upstream::start().await;
    let builder = Envoy::to(&upstream).dynamic();
    let envoy = builder.clone().start().await;
    assert_eq!(envoy.get_fresh("/").await.status, 200);
    let changed = builder.route(Route::prefix("/").direct(418, "swapped"));
    envoy.swap_listener(&changed).await;
    eventually("new connections meet the new listener", || async {
        (envoy.get_fresh("/").await.status == 418).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_told_to_keeps_the_newest_requests_and_counts_all() {
    let upstream = Upstream::start().await;
    upstream.remember(3);
    let client = Client::new(upstream.address);
    for number in 0..5 {
        client.get(&format!("/{number}")).await;
    }
    let paths: Vec<String> = upstream.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/2", "/3", "/4"]);
    assert_eq!((upstream.hits(), upstream.last().path.as_str()), (5, "/4"));
}
