//! Address ranges: `10.0.0.0/8`, `::1`.

use std::net::{IpAddr, SocketAddr};

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    /// Of 128 bits; those of IPv4 stand behind the prefix of mapped addresses.
    bits: u32,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl Cidr {
    /// Reads an address with or without a prefix length.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (size, before): (u32, u32) = match address {
            IpAddr::V4(_) => (32, 96),
            IpAddr::V6(_) => (128, 0),
        };
        let length = match length {
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
            None => size,
        };
        (length <= size).then(|| {
            let bits = before.saturating_add(length);
            Cidr {
                network: mask(number(address), bits),
                bits,
            }
        })
    }

    /// True when the address (with or without a port, as Envoy writes it) lies within.
    pub fn contains(&self, address: &str) -> bool {
        let parsed = address
            .parse::<SocketAddr>()
            .map(|socket| socket.ip())
            .or_else(|_| address.parse());
        parsed.is_ok_and(|address| mask(number(address), self.bits) == self.network)
    }
}

fn mask(number: u128, bits: u32) -> u128 {
    let kept = u128::MAX
        .checked_shl(128u32.saturating_sub(bits))
        .unwrap_or(0);
    number & kept
}

#[cfg(test)]
mod tests {
    use super::Cidr;

    #[test]
    fn ranges() {
        let has = |range: &str, address| Cidr::parse(range).unwrap().contains(address);
        assert!(has("10.0.0.0/8", "10.1.2.3:80"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!has("10.0.0.0/8", "11.1.2.3:80"));
        assert!(has("127.0.0.1", "127.0.0.1:5"));
        assert!(
            has("::/0", "[::1]:80")
                && has("0.0.0.0/0", "1.2.3.4:1")
                && !has("0.0.0.0/0", "[::1]:80")
        );
        assert!(!has("::1", "pipe:/tmp/x"));
        for bad in ["10.0.0.0/33", "x", "10.0.0.0/", "10.0.0.0/-1", "::/129", ""] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }
}
