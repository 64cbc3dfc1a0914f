//! The hosts to which the proxy may connect, and the check that an address is public.

use std::net::IpAddr;

/// A host to which the proxy may connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowedHost {
    /// Host name in lower case; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// True if connections to the host must use TLS. Without TLS, the proxy forwards single requests.
    pub tls: bool,
    /// True if the host's address may be in a private network, because the configuration names this host
    /// explicitly.
    pub allows_private: bool,
}

impl AllowedHost {
    /// Returns a public host that is reached with TLS.
    pub fn public(host: &str, port: u16) -> Self {
        Self { host: normalize_host(host), port, tls: true, allows_private: false }
    }
}

/// Normalizes a host name for comparison: lower case, without brackets and the final dot.
pub(crate) fn normalize_host(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Networks that are not public, each with its first address and its prefix length. Source: the registries of
/// special addresses (RFC 6890 and its updates).
const NON_PUBLIC_NETWORKS: &[([u16; 8], u32)] = &[
    ([0, 0, 0, 0, 0, 0xffff, 0x0000, 0], 96 + 8),
    ([0, 0, 0, 0, 0, 0xffff, 0x0a00, 0], 96 + 8),
    ([0, 0, 0, 0, 0, 0xffff, 0x6440, 0], 96 + 10),
    ([0, 0, 0, 0, 0, 0xffff, 0x7f00, 0], 96 + 8),
    ([0, 0, 0, 0, 0, 0xffff, 0xa9fe, 0], 96 + 16),
    ([0, 0, 0, 0, 0, 0xffff, 0xac10, 0], 96 + 12),
    ([0, 0, 0, 0, 0, 0xffff, 0xc000, 0], 96 + 24),
    ([0, 0, 0, 0, 0, 0xffff, 0xc0a8, 0], 96 + 16),
    ([0, 0, 0, 0, 0, 0xffff, 0xc612, 0], 96 + 15),
    ([0, 0, 0, 0, 0, 0xffff, 0xe000, 0], 96 + 3),
    // Unspecified and loopback addresses, and IPv6 forms of IPv4 addresses.
    ([0, 0, 0, 0, 0, 0, 0, 0], 96),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    // Unique local, link-local, site-local and multicast addresses.
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

/// Returns true for an address of the public internet, and false for one of a private network.
pub(super) fn is_public(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let bits = u128::from(address);
    let own = |(first, length): &([u16; 8], u32)| {
        let first = u128::from(std::net::Ipv6Addr::from(*first));
        bits.checked_shr(128 - length) == first.checked_shr(128 - length)
    };
    !NON_PUBLIC_NETWORKS.iter().any(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ones_own_are_not_public() {
        for own in [
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::10.0.0.1",
            "2002:a00::1",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
        for public in [
            "151.101.0.223",
            "172.32.0.1",
            "11.0.0.0",
            "100.128.0.1",
            "223.255.255.255",
            "2a04:4e42::223",
            "192.0.1.1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
