//! Client addresses: reading them, and cutting them to a prefix.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How much of an address tells clients apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// Of an IPv4 address, 0 to 32.
    pub ipv4: u8,
    /// Of an IPv6 address, 0 to 128.
    pub ipv6: u8,
}

impl Default for Prefixes {
    /// A whole IPv4 address, and the /64 that one IPv6 customer has.
    fn default() -> Self {
        Prefixes { ipv4: 32, ipv6: 64 }
    }
}

/// The bytes of an address that count, the rest zero: four of IPv4, sixteen of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Of an IPv4 address.
    V4([u8; 4]),
    /// Of an IPv6 address.
    V6([u8; 16]),
}

impl AsRef<[u8]> for Cut {
    fn as_ref(&self) -> &[u8] {
        match self {
            Cut::V4(bytes) => bytes,
            Cut::V6(bytes) => bytes,
        }
    }
}

impl Prefixes {
    /// The part of the address that counts.
    pub fn cut(self, address: IpAddr) -> Cut {
        match address {
            IpAddr::V4(address) => Cut::V4(cut_v4(address, self.ipv4).to_be_bytes()),
            IpAddr::V6(address) => Cut::V6(cut_v6(address, self.ipv6).to_be_bytes()),
        }
    }
}

fn cut_v4(address: Ipv4Addr, length: u8) -> u32 {
    let host_bits = 32u32.saturating_sub(u32::from(length));
    u32::from(address) & u32::MAX.checked_shl(host_bits).unwrap_or(0)
}

fn cut_v6(address: Ipv6Addr, length: u8) -> u128 {
    let host_bits = 128u32.saturating_sub(u32::from(length));
    u128::from(address) & u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// Reads an address as it stands in `x-forwarded-for` or in Envoy's `source.address`: alone, with a port, or an IPv6
/// address in brackets. An IPv4-mapped address is its IPv4.
pub fn read(text: &[u8]) -> Option<IpAddr> {
    // Nearly always this is what it is.
    if let Some(address) = super::ipv4::read(text) {
        return Some(IpAddr::V4(address));
    }
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text
            .parse::<IpAddr>()
            .ok()
            .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())),
    };
    address.map(|address| address.to_canonical())
}

/// Envoy's `source.address`: who it takes for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    address: IpAddr,
    /// It is the connection's address. Otherwise Envoy took it from `x-forwarded-for`, and it has no port.
    connection: bool,
}

impl Source {
    /// Reads the property.
    pub fn read(text: &[u8]) -> Option<Self> {
        Some(Source {
            address: read(text)?,
            connection: !text.ends_with(b":0"),
        })
    }

    /// The client behind `trusted_hops` proxies, of which the connection's other end is the first: the right-most address of
    /// `x-forwarded-for` that none of them is.
    ///
    /// Envoy with `use_remote_address` has added the other end to the header (its own address, where that is on this
    /// machine); without, it takes the last address of the header for the client. With `xff_num_trusted_hops` it has decided
    /// already, and that stands.
    pub fn behind(self, forwarded: &[u8], trusted_hops: u32) -> IpAddr {
        if trusted_hops == 0 {
            return self.address;
        }
        let mut hops = forwarded
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|hop| !hop.is_empty())
            .rev()
            .map(read)
            .peekable();
        let last = hops.peek().copied().flatten();
        let is_source = last == Some(self.address);
        if self.connection {
            let added_own = self.address.is_loopback() && last.is_some();
            if is_source || added_own {
                hops.next();
            }
        } else if !is_source {
            return self.address;
        }
        let mut client = self.address;
        for _ in 0..trusted_hops {
            // What is not an address was not written by a proxy that can be trusted with it.
            match hops.next() {
                Some(Some(address)) => client = address,
                Some(None) | None => return client,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn reads_every_way_an_address_is_written() {
        for (text, address) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:4711", "10.1.2.3"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("[::ffff:10.1.2.3]:1", "10.1.2.3"),
            (" \"10.1.2.3\" ", "10.1.2.3"),
        ] {
            assert_eq!(read(text.as_bytes()), ip(address), "{text}");
        }
        for text in [
            "",
            "unknown",
            "10.1.2",
            "10.1.2.3.4",
            "[::1",
            "/tmp/sock",
            "\u{663}",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"\xff\xfe"), None);
    }

    #[test]
    fn cuts_to_prefixes() {
        let cut = |text: &str, ipv4, ipv6| {
            let cut = Prefixes { ipv4, ipv6 }.cut(text.parse().unwrap());
            cut.as_ref().to_vec()
        };
        assert_eq!(cut("10.1.2.3", 32, 0), [10, 1, 2, 3]);
        assert_eq!(cut("10.1.2.3", 24, 0), [10, 1, 2, 0]);
        assert_eq!(cut("10.1.2.3", 0, 0), [0, 0, 0, 0]);
        assert_eq!(
            cut("2001:db8:1:2:3::4", 0, 64)[..8],
            [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]
        );
        assert_eq!(cut("2001:db8:1:2:3::4", 0, 64)[8..], [0; 8]);
        assert_eq!(cut("ffff::1", 0, 0), [0; 16]);
    }

    #[test]
    fn the_client_is_the_right_most_hop_nobody_trusts() {
        let cases = [
            ("192.0.2.1:9", "", 1, "192.0.2.1"),
            ("192.0.2.1:9", "198.51.100.1", 0, "192.0.2.1"),
            // Envoy has added the other end of the connection.
            (
                "192.0.2.1:9",
                "6.6.6.6, 198.51.100.1,192.0.2.1",
                1,
                "198.51.100.1",
            ),
            (
                "192.0.2.1:9",
                "6.6.6.6,198.51.100.1,10.0.0.1,192.0.2.1",
                2,
                "198.51.100.1",
            ),
            ("192.0.2.1:9", "198.51.100.1,192.0.2.1", 5, "198.51.100.1"),
            ("192.0.2.1:9", "6.6.6.6, garbage,192.0.2.1", 1, "192.0.2.1"),
            (
                "192.0.2.1:9",
                "::ffff:198.51.100.1,192.0.2.1",
                1,
                "198.51.100.1",
            ),
            // It was told not to.
            ("192.0.2.1:9", "6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
            // The other end is on this machine: Envoy has added its own address.
            (
                "127.0.0.1:9",
                "6.6.6.6, 198.51.100.1,10.9.9.9",
                1,
                "198.51.100.1",
            ),
            ("127.0.0.1:9", "6.6.6.6, garbage", 1, "127.0.0.1"),
            // It took the last address of the header for the client, and has added nothing.
            ("198.51.100.1:0", "6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
            (
                "10.0.0.1:0",
                "6.6.6.6, 198.51.100.1, 10.0.0.1",
                2,
                "198.51.100.1",
            ),
            ("[2001:db8::1]:0", "6.6.6.6, 2001:db8::1", 1, "2001:db8::1"),
            // It was told how many hops to trust.
            (
                "198.51.100.1:0",
                "6.6.6.6, 198.51.100.1,10.0.0.1",
                1,
                "198.51.100.1",
            ),
        ];
        for (source, forwarded, hops, client) in cases {
            let found = Source::read(source.as_bytes())
                .unwrap()
                .behind(forwarded.as_bytes(), hops);
            assert_eq!(Some(found), ip(client), "{source} {forwarded} {hops}");
        }
    }
}
