//! Determines a delivery's source. The source is the peer of the connection. Behind the operator's proxies,
//! the source is the client that the outermost proxy names. Entries that untrusted hops wrote in the
//! forwarding headers are ignored.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

const X_FORWARDED_FOR_HEADER: &str = "x-forwarded-for";
const FORWARDED_HEADER: &str = "forwarded";

/// Returns the address to which a request is attributed: the last hop that is not a trusted proxy.
///
/// If a request contains both forwarding headers, it is attributed to the proxy itself. A proxy sets only one
/// of the two headers, so the client may have written the other header.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted_proxies.iter().any(|net| net.contains(&address));
    let mut source = peer.to_canonical();
    if !is_trusted(source) {
        return source;
    }
    let hops = match (headers.contains_key(X_FORWARDED_FOR_HEADER), headers.contains_key(FORWARDED_HEADER)) {
        (true, false) => forwarded_hops(headers, X_FORWARDED_FOR_HEADER, |hop| Some(hop)),
        (false, true) => forwarded_hops(headers, FORWARDED_HEADER, forwarded_for_parameter),
        (true, true) | (false, false) => Vec::new(),
    };
    for hop in hops.into_iter().rev() {
        // If a hop is hidden or malformed, the hops before it cannot be trusted.
        let Some(address) = hop else { break };
        source = address;
        if !is_trusted(address) {
            break;
        }
    }
    source
}

/// Returns the hops in the values of a header. The first hop is the client. A hop that is not an address
/// becomes `None`.
fn forwarded_hops(
    headers: &HeaderMap,
    name: &str,
    extract_address: fn(&str) -> Option<&str>,
) -> Vec<Option<IpAddr>> {
    let values = headers.get_all(name).iter();
    let lists = values.map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    lists.flat_map(|list| list.split(',')).map(|hop| parse_address(extract_address(hop.trim())?)).collect()
}

/// Returns the value of the parameter `for` in one element of the header `Forwarded` (RFC 7239).
fn forwarded_for_parameter(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(node.trim().trim_matches('"'))
}

/// Parses an address with or without a port. An IPv6 address may be in brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_address_text(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_know() {
        let xff = "x-forwarded-for";
        for (peer, headers, expected) in [
            ("192.0.2.1", vec![], "192.0.2.1"),
            ("192.0.2.1", vec![(xff, "198.51.100.7")], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![(xff, "198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", vec![(xff, "1.2.3.4, 198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", vec![(xff, "1.2.3.4, 198.51.100.7, 10.0.0.2")], "198.51.100.7"),
            ("10.0.0.1", vec![(xff, "1.2.3.4"), (xff, "198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", vec![(xff, "198.51.100.7:4711")], "198.51.100.7"),
            ("10.0.0.1", vec![(xff, "10.9.9.9, 10.0.0.2")], "10.9.9.9"),
            ("10.0.0.1", vec![(xff, "1.2.3.4, unknown")], "10.0.0.1"),
            ("10.0.0.1", vec![(xff, "1.2.3.4, unknown, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", vec![(xff, "")], "10.0.0.1"),
            ("::ffff:10.0.0.1", vec![(xff, "::ffff:198.51.100.7")], "198.51.100.7"),
            (
                "fd00::1",
                vec![("forwarded", r#"for=1.2.3.4, For="[2001:db8::7]:443";proto=https"#)],
                "2001:db8::7",
            ),
            ("10.0.0.1", vec![("forwarded", "proto=https;for=198.51.100.7;by=10.0.0.1")], "198.51.100.7"),
            ("10.0.0.1", vec![("forwarded", "for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", vec![("forwarded", "for=198.51.100.7"), (xff, "1.2.3.4")], "10.0.0.1"),
        ] {
            assert_eq!(client_address_text(peer, &headers), expected, "{peer} {headers:?}");
        }
    }
}
