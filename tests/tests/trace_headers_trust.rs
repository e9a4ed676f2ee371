//! Whose identity trace-headers takes over, in a real Envoy: from everybody, nobody, networks, and peers with certificates.

#[path = "trace_headers_common/mod.rs"]
mod common;

use common::{access_log, logged, parts, PARENT, TRACE};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType,
};
use seawall_tests::envoy::Shipped;
use seawall_tests::prelude::*;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// What a caller sends: an identity, and all that goes with one.
const SENT: [(&str, &str); 6] = [
    ("traceparent", PARENT),
    ("tracestate", "a=1"),
    ("baggage", "user=1"),
    ("b3", "0"),
    ("uberctx-user", "1"),
    ("x-request-id", "callers-own"),
];

/// Whether the next hop got the caller's identity; fails when it got half of it.
fn taken_over(upstream: &Upstream) -> bool {
    let seen = upstream.last();
    let (trace, _, _) = parts(seen.header("traceparent").unwrap());
    let taken = trace == TRACE;
    assert_eq!(seen.header("x-request-id") == Some("callers-own"), taken);
    assert_eq!(seen.header("tracestate").is_some(), taken);
    assert_eq!(seen.header("baggage").is_some(), taken);
    assert_eq!(seen.header("uberctx-user").is_some(), taken);
    if !taken {
        assert_eq!(seen.header("b3"), None, "no format goes on");
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn from_everybody_nobody_and_networks() {
    let upstream = Upstream::start().await;
    for (trust, forwarded, expected) in [
        (json!({}), None, true),
        (json!({"mode": "always"}), None, true),
        (json!({"mode": "never"}), None, false),
        (
            json!({"mode": "cidr", "cidrs": ["127.0.0.0/8"]}),
            None,
            true,
        ),
        (
            json!({"mode": "cidr", "cidrs": ["10.0.0.0/8", "::/0"]}),
            None,
            false,
        ),
        // What a header says of an address counts for nothing, whatever Envoy makes of it.
        (
            json!({"mode": "cidr", "cidrs": ["10.0.0.0/8"]}),
            Some("10.0.0.1"),
            false,
        ),
        (json!({"mode": "mtls"}), None, false),
    ] {
        let envoy = Envoy::to(&upstream)
            .workers(1)
            .filter("trace-headers", json!({"trust": trust}))
            .access_log(access_log())
            .start()
            .await;
        let mut headers = SENT.to_vec();
        headers.extend(forwarded.map(|address| ("x-forwarded-for", address)));
        envoy.get_with("/", &headers).await;
        assert_eq!(taken_over(&upstream), expected, "{trust} {forwarded:?}");
        let started = envoy
            .wait_for_stat(
                "wasmcustom.seawall.trace_headers.traces_untrusted",
                u64::from(!expected),
            )
            .await;
        assert_eq!(started, u64::from(!expected));
    }
}

/// A load balancer tells of its client in a field, which by default Envoy takes for the address of the request.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_forwards_for_others_is_trusted_where_envoy_looks_at_the_connection() {
    let upstream = Upstream::start().await;
    for (remote, expected) in [(false, false), (true, true)] {
        let trust = json!({"trust": {"mode": "cidr", "cidrs": ["127.0.0.0/8"]}});
        let envoy = Envoy::to(&upstream)
            .workers(1)
            .manager("use_remote_address", json!(remote))
            .filter("trace-headers", trust)
            .start()
            .await;
        let mut headers = SENT.to_vec();
        headers.push(("x-forwarded-for", "203.0.113.7"));
        envoy.get_with("/", &headers).await;
        assert_eq!(taken_over(&upstream), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_over_is_in_the_log_alone_and_harmless_there() {
    let upstream = Upstream::start().await;
    let mut fields = access_log();
    for field in ["inbound_request_id", "inbound_traceparent"] {
        fields[field] = json!(format!(
            "%FILTER_STATE(wasm.seawall.trace_headers.{field}:PLAIN)%"
        ));
    }
    let envoy = Envoy::to(&upstream)
        .filter("trace-headers", logged(json!({"trust": {"mode": "never"}})))
        .access_log(fields)
        .start()
        .await;
    let long = "<script>\"'".repeat(500);
    for id in ["callers-own", "<script>alert(1)</script>\"}", &long] {
        let headers = [
            ("traceparent", PARENT),
            ("x-request-id", id),
            ("jaeger-debug-id", "callers-own"),
            ("jaeger-baggage", "user=callers-own"),
        ];
        let answer = envoy.get_with("/", &headers).await;
        let seen = upstream.last();
        for headers in [&seen.headers, &answer.headers] {
            let text = format!(
                "{:?}",
                String::from_utf8_lossy(
                    &headers
                        .iter()
                        .flat_map(|(_, v)| v.clone())
                        .collect::<Vec<_>>()
                )
            );
            assert!(
                !text.contains("script") && !text.contains("callers-own"),
                "{text}"
            );
        }
    }
    let lines = envoy.access_log(3).await;
    assert_eq!(lines[0]["inbound_request_id"], json!("callers-own"));
    assert_eq!(lines[0]["inbound_traceparent"], json!(PARENT));
    assert_eq!(
        lines[1]["inbound_request_id"],
        json!("_script_alert_1__/script___")
    );
    assert_eq!(
        lines[2]["inbound_request_id"].as_str().map(str::len),
        Some(128)
    );
}

/// A certificate with this name, from an authority.
struct Peer {
    certificate: Certificate,
    key: KeyPair,
}

fn authority() -> (Certificate, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate, Issuer::new(parameters, key))
}

fn peer(issuer: &Issuer<'_, KeyPair>, names: Vec<SanType>) -> Peer {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    // Issuer and subject must differ, or the certificate looks like one that signed itself.
    parameters
        .distinguished_name
        .push(DnType::CommonName, "peer");
    parameters.subject_alt_names = names;
    let certificate = parameters.signed_by(&key, issuer).unwrap();
    Peer { certificate, key }
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// A request over TLS, with a client certificate or without; the whole answer.
async fn request(envoy: &Envoy, authority: &Certificate, client: Option<&Peer>) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(peer) => {
            let chain: Vec<CertificateDer<'static>> = vec![peer.certificate.der().clone()];
            let key = PrivateKeyDer::Pkcs8(peer.key.serialize_der().into());
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let tcp = tokio::net::TcpStream::connect(envoy.address).await.unwrap();
    let name = ServerName::try_from("edge.test").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut connection = connector.connect(name, tcp).await.unwrap();
    let mut text = "GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n".to_owned();
    for (name, value) in SENT {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    connection.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Envoy may close without saying good-bye; what counts has come by then.
    // Envoy may close without saying good-bye; what counts has come by then.
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_peers_with_certificates() {
    let upstream = Upstream::start().await;
    let (certificate, issuer) = authority();
    let server = peer(&issuer, vec![dns("edge.test")]);
    let context = json!({
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": false,
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": {"inline_string": server.certificate.pem()},
                    "private_key": {"inline_string": server.key.serialize_pem()},
                }],
                "validation_context": {"trusted_ca": {"inline_string": certificate.pem()}},
            },
        },
    });
    let web = peer(&issuer, vec![dns("web.test"), uri("spiffe://shop/web")]);
    let other = peer(&issuer, vec![uri("spiffe://shop/webby"), dns("other.test")]);
    let named = json!({"mode": "mtls", "peers": ["spiffe://shop/web", "other.test"]});
    for (trust, client, expected) in [
        (json!({"mode": "mtls"}), None, false),
        (json!({"mode": "mtls"}), Some(&web), true),
        (
            json!({"mode": "mtls", "peers": ["spiffe://shop/web"]}),
            Some(&web),
            true,
        ),
        (
            json!({"mode": "mtls", "peers": ["spiffe://shop/web"]}),
            Some(&other),
            false,
        ),
        (
            json!({"mode": "mtls", "peers": ["spiffe://shop/web"]}),
            None,
            false,
        ),
        (named.clone(), Some(&other), true),
        (
            json!({"mode": "mtls", "peers": ["spiffe://shop"]}),
            Some(&web),
            false,
        ),
    ] {
        let envoy = Shipped::new("envoy/trace-headers.yaml")
            .port(8080, upstream.address)
            .replace(
                "      filter_chains:\n        - filters:",
                &format!("      filter_chains:\n        - transport_socket: {context}\n          filters:"),
            )
            .replace(
                "                          value:\n                            log:",
                &format!("                          value:\n                            trust: {trust}\n                            log:"),
            )
            .start(1)
            .await;
        let answer = request(&envoy, &certificate, client).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(taken_over(&upstream), expected, "{trust}");
        assert_eq!(answer.contains("x-request-id: callers-own"), expected);
    }
}
