//! `:authority` of an export. Servers that check it, such as those written in Go, answer one that cannot be a host with 400,
//! which is final.

use crate::bytes::{all, ID};
use crate::spans::authority as parts;

/// Whether this is a host, and a port where it has one (RFC 3986, section 3.2).
#[inline(never)]
pub(super) fn is_authority(text: &str) -> bool {
    let text = text.as_bytes();
    let (host, _) = parts(text);
    let address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let fits = if text.starts_with(b"[") {
        host.iter().all(address)
    } else {
        all(ID, host)
    };
    // Nor does a port have a sign.
    fits && !host.is_empty() && !text.contains(&b'+')
}

/// That of a cluster: its name, in a mesh (`outbound|4318||collector.example`) what is last in it. Names that are no host,
/// as gateways make them of paths, say nothing about one.
pub(super) fn of_cluster(name: &str) -> &str {
    let bar = name.bytes().rposition(|byte| byte == b'|');
    let host = match bar {
        Some(at) => name.get(at.saturating_add(1)..).unwrap_or_default(),
        None => name,
    };
    if is_authority(host) {
        host
    } else {
        "localhost"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_a_port_and_without() {
        for good in [
            "collector",
            "otel_collector-1.example.:4318",
            "10.0.0.1:65535",
            "[::1]",
            "[::ffff:10.0.0.1]:4318",
        ] {
            assert!(is_authority(good), "{good}");
        }
        for bad in [
            "", ":4318", "a:", "a:+1", "a:65536", "a:b", "::1", "[]", "[g]", "[::1", "::1]",
            "[::1]a", "a b", "a|b", "a/b", "a?b", "a#b", "a@b", "a\nb", "\u{e9}",
        ] {
            assert!(!is_authority(bad), "{bad:?}");
        }
    }

    #[test]
    fn clusters() {
        for (cluster, expected) in [
            ("collector", "collector"),
            (
                "outbound|4318||collector.ns.svc.cluster.local",
                "collector.ns.svc.cluster.local",
            ),
            ("inbound|4318||", "localhost"),
            ("httproute/default/collector/rule/0", "localhost"),
            ("my collector", "localhost"),
        ] {
            assert_eq!(of_cluster(cluster), expected, "{cluster}");
        }
    }
}
