//! response-cache in a real Envoy on either side of Envoy's own compressor.

use seawall_tests::prelude::*;

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

/// Longer than what the compressor leaves as it is.
fn page() -> String {
    (0..200).map(|line| format!("line {line}\n")).collect()
}

fn compressor(left_alone: &[u16]) -> Value {
    json!({
        "name": "compressor",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
            "response_direction_config": {"uncompressible_response_codes": left_alone},
            "compressor_library": {
                "name": "gzip",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip",
                },
            },
        },
    })
}

async fn origin() -> Upstream {
    Upstream::serving(|_| {
        Reply::ok(page())
            .header("cache-control", "max-age=600")
            .header("content-type", "text/plain")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_cache_each_coding_is_stored_once_and_a_range_is_a_part_of_it() {
    let upstream = origin().await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .native_filter(compressor(&[]))
        .start()
        .await;
    let whole = envoy.get_with("/", &[GZIP]).await;
    assert_eq!(whole.header("content-encoding"), Some("gzip"));
    assert!(whole.body.len() < page().len());
    let hit = envoy.get_with("/", &[GZIP]).await;
    assert_eq!(
        (&hit.body, hit.header("content-encoding")),
        (&whole.body, Some("gzip"))
    );
    let part = envoy.get_with("/", &[GZIP, ("range", "bytes=20-")]).await;
    assert_eq!(
        (part.status, part.header("content-encoding")),
        (206, Some("gzip"))
    );
    assert_eq!(Some(part.body.as_ref()), whole.body.get(20..));
    for _ in 0..2 {
        let plain = envoy.get("/").await;
        assert_eq!(
            (plain.text(), plain.header("content-encoding")),
            (page(), None)
        );
    }
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_front_of_the_cache_it_leaves_parts_alone_where_it_is_told_to() {
    let upstream = origin().await;
    let envoy = Envoy::to(&upstream)
        .native_filter(compressor(&[206]))
        .filter("response-cache", json!({}))
        .start()
        .await;
    for _ in 0..2 {
        let whole = envoy.get_with("/", &[GZIP]).await;
        assert_eq!(whole.header("content-encoding"), Some("gzip"));
    }
    let part = envoy.get_with("/", &[GZIP, ("range", "bytes=20-99")]).await;
    assert_eq!((part.status, part.header("content-encoding")), (206, None));
    assert_eq!(Some(part.text().as_str()), page().get(20..100));
    assert_eq!(upstream.hits(), 1);
}
