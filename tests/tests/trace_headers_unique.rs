//! A million request ids of two workers of a real Envoy: none twice, and those of one worker in order.

use seawall_tests::prelude::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 20;
const EACH: usize = 50_000;

/// The ids of so many requests that are sent one after the other on one connection, which is one worker's.
async fn ids(address: SocketAddr) -> Vec<u128> {
    let mut connection = TcpStream::connect(address).await.expect("it listens");
    let mut ids = Vec::with_capacity(EACH);
    let mut answer = vec![0; 4096];
    while ids.len() < EACH {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        connection.write_all(request).await.expect("it reads");
        let mut size = 0;
        while !answer[..size].ends_with(b"\r\n\r\n") {
            let read = connection.read(&mut answer[size..]);
            let more = within("an answer", read).await.expect("it answers");
            assert!(more > 0, "closed after {} answers", ids.len());
            size += more;
        }
        let mut lines = answer[..size].split(|byte| *byte == b'\n');
        let id = lines.find_map(|line| line.strip_prefix(b"x-request-id: "));
        let id = std::str::from_utf8(id.expect("an id")).expect("text");
        let id = id.trim_end().replace('-', "");
        assert_eq!((id.len(), &id[12..13]), (32, "7"), "{id}");
        ids.push(u128::from_str_radix(&id, 16).expect("hexadecimal"));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_ids_of_two_workers_are_all_different() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .workers(2)
        .filter("trace-headers", json!({}))
        .route(Route::prefix("/").direct(204, ""))
        .start()
        .await;
    let lanes: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(ids(envoy.address)))
        .collect();
    let mut all = Vec::with_capacity(CONNECTIONS * EACH);
    for lane in lanes {
        let ids = lane.await.expect("no panic");
        assert!(
            ids.is_sorted_by(|one, next| one < next),
            "each is greater than the one before"
        );
        all.extend(ids);
    }
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!((count, all.len()), (CONNECTIONS * EACH, CONNECTIONS * EACH));
    // The time they carry is that of now.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_millis();
    let last = all[count - 1] >> 80;
    assert!(
        (now - 600_000..now + 1000).contains(&last),
        "{last} and {now}"
    );
}
