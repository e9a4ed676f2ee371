//! Networks of addresses, and who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

/// A network (CIDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

impl Cidr {
    /// What [`Cidr::parse`] takes, for error messages.
    pub const ALLOWED: &'static str =
        "an address or a network such as \"10.0.0.0/8\" or \"fd00::/8\", with nothing behind its length";

    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address. IPv4 in IPv6 (`::ffff:10.0.0.0/104`) is IPv4. `None` for anything
    /// else, host bits that are set included: whoever wrote `10.1.2.3/8` meant a single address or another length, and a rule
    /// about whom to trust must not guess.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => {
                let digits = length.bytes().all(|byte| byte.is_ascii_digit());
                (address, Some(length.parse().ok().filter(|_| digits)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let length = length.unwrap_or(width(&address));
        if length > width(&address) || masked(&address, length) != bits(&address) {
            return None;
        }
        let canonical = address.to_canonical();
        let length = if canonical == address {
            length
        } else {
            length.checked_sub(96)?
        };
        Some(Cidr {
            address: canonical,
            length,
        })
    }

    /// True for an address in this network. IPv4 in IPv6 (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && masked(&address, self.length) == bits(&self.address)
    }
}

fn width(address: &IpAddr) -> u8 {
    if address.is_ipv4() {
        32
    } else {
        128
    }
}

fn bits(address: &IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn masked(address: &IpAddr, length: u8) -> u128 {
    let host = u32::from(width(address).saturating_sub(length));
    bits(address)
        .checked_shr(host)
        .and_then(|bits| bits.checked_shl(host))
        .unwrap_or_default()
}

/// The other end of a connection, from Envoy's `source.address`. `None` for port 0: that is an address which Envoy took from
/// a header, and a header proves nothing.
pub fn peer(source: &[u8]) -> Option<IpAddr> {
    let address: SocketAddr = std::str::from_utf8(source).ok()?.parse().ok()?;
    (address.port() != 0).then(|| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.255.1.1", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
        ] {
            let found = Cidr::parse(network)
                .unwrap()
                .contains(address.parse().unwrap());
            assert_eq!(found, expected, "{network} {address}");
        }
    }

    #[test]
    fn what_is_not_a_network() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0/8",
            "x",
            "::/129",
            "::1/0",
            "::ffff:10.0.0.1/104",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_peer_has_a_port() {
        assert_eq!(peer(b"10.0.0.1:4711"), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(peer(b"[::1]:4711"), Some("::1".parse().unwrap()));
        for text in [
            &b"10.0.0.1:0"[..],
            b"10.0.0.1",
            b"",
            b"\xff",
            b"/tmp/socket",
        ] {
            assert_eq!(peer(text), None);
        }
    }
}
