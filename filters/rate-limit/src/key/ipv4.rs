//! IPv4 addresses in one pass over their bytes, for every request has one.

use std::net::Ipv4Addr;

/// An IPv4 address, perhaps with a port, written plainly; `None` for everything else.
pub(super) fn read(text: &[u8]) -> Option<Ipv4Addr> {
    let mut address = 0u32;
    let mut octet = 0u32;
    // Of this octet there is a digit.
    let mut begun = false;
    let mut dots = 0u32;
    let mut bytes = text.iter();
    for byte in bytes.by_ref() {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit < 10 {
            let leading_zero = begun && octet == 0;
            octet = octet.wrapping_mul(10).wrapping_add(digit);
            if leading_zero || octet > 255 {
                return None;
            }
            begun = true;
            continue;
        }
        match byte {
            b'.' if dots < 3 && begun => {
                address = address << 8 | octet;
                dots = dots.wrapping_add(1);
                (octet, begun) = (0, false);
            }
            b':' => {
                let port = bytes.as_slice();
                // Five digits may be too large a number.
                if port.is_empty()
                    || port.len() > 5
                    || port > b"65535".as_slice() && port.len() == 5
                {
                    return None;
                }
                if !port.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                break;
            }
            _ => return None,
        }
    }
    (dots == 3 && begun).then(|| Ipv4Addr::from(address << 8 | octet))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::read;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    fn by_std(text: &str) -> Option<Ipv4Addr> {
        let socket = || text.parse::<SocketAddrV4>().map(|socket| *socket.ip());
        text.parse().or_else(|_| socket()).ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn takes_nothing_that_std_does_not(text in "[0-9]{0,3}(\\.[0-9]{0,4}){2,4}(:[0-9x]{0,6})?") {
            if let Some(address) = read(text.as_bytes()) {
                prop_assert_eq!(Some(address), by_std(&text), "{}", text);
            }
        }

        #[test]
        fn takes_every_address_as_it_is_written(address in any::<u32>(), port in any::<u16>()) {
            let address = Ipv4Addr::from(address);
            prop_assert_eq!(read(address.to_string().as_bytes()), Some(address));
            prop_assert_eq!(read(format!("{address}:{port}").as_bytes()), Some(address));
        }
    }

    #[test]
    fn leaves_the_rest_to_others() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.256",
            "1.2.3.4:",
            "1.2.3.4:65536",
            "1.2.3.4:1x",
            " 1.2.3.4",
            "::1",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
