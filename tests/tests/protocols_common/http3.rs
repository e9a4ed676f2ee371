//! A client that speaks HTTP/3.

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use http::{Method, Request};
use quinn::crypto::rustls::QuicClientConfig;
use seawall_tests::prelude::*;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The name that the certificate is for.
const NAME: &str = "edge.test";

/// A certificate and its key.
pub type Certificate = rcgen::CertifiedKey<rcgen::KeyPair>;

pub fn certificate() -> Certificate {
    rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate")
}

/// A request whose body may still be sent, and whose answer is to come.
pub type Open = RequestStream<BidiStream<Bytes>, Bytes>;

/// One connection.
pub struct Http3 {
    requests: SendRequest<OpenStreams, Bytes>,
    // It goes on as long as this lives.
    _endpoint: quinn::Endpoint,
}

impl Http3 {
    pub async fn connect(address: SocketAddr, certificate: &Certificate) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate.cert.der().clone())
            .expect("it signs itself");
        let mut tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = QuicClientConfig::try_from(tls).expect("TLS 1.3");
        let mut endpoint =
            quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        let mut transport = quinn::TransportConfig::default();
        // Not every kernel takes such a bundle of datagrams apart on its way through loopback.
        transport.enable_segmentation_offload(false);
        config.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(config);
        let connecting = endpoint.connect(address, NAME).expect("a name");
        let connection = within("QUIC connects", connecting).await.expect("QUIC");
        // Nothing but what is asked for, so that a request's end can leave together with its headers.
        let (mut driver, requests) = h3::client::builder()
            .send_grease(false)
            .build(h3_quinn::Connection::new(connection))
            .await
            .expect("HTTP/3");
        tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Http3 {
            requests,
            _endpoint: endpoint,
        }
    }

    /// Begins a request.
    pub async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Open {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let uri = format!("https://{NAME}{path}");
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        self.requests
            .clone()
            .send_request(request)
            .await
            .expect("it is sent")
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let stream = self.open(method, path, headers).await;
        let (mut out, mut back) = stream.split();
        let body = Bytes::copy_from_slice(body);
        let sent = async {
            // Whoever refuses a request may stop reading it.
            if !body.is_empty() && out.send_data(body).await.is_err() {
                return;
            }
            let _ = out.finish().await;
        };
        let received = async {
            let head = within("the answer comes", back.recv_response())
                .await
                .expect("an answer");
            let headers = head.headers().iter();
            let mut answer = Answer {
                status: head.status().as_u16(),
                headers: headers
                    .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                    .collect(),
                body: Vec::new(),
                whole: false,
            };
            while let Ok(part) = within("data comes", back.recv_data()).await {
                let Some(mut part) = part else {
                    answer.whole = true;
                    break;
                };
                answer
                    .body
                    .extend_from_slice(&part.copy_to_bytes(part.remaining()));
            }
            answer
        };
        tokio::join!(sent, received).1
    }

    /// GET without further fields.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }
}
