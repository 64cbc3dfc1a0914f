//! TLS for connections to Valkey. A connection to another machine requires TLS, unless the address contains
//! `tls=off`.

use redis::ConnectionAddr;

use super::fault::ValkeyConnectError;
use truing_core::loopback::is_loopback;

/// The option in an address that allows a connection without TLS to another machine.
const TLS_OFF_OPTION: &str = "tls=off";

/// The transport that an address requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TransportPolicy {
    /// TLS is required, except for a server on this machine.
    RequireTls,
    /// Any transport is allowed. The scheme of the address determines the transport.
    AllowPlaintext,
}

impl TransportPolicy {
    /// Removes the option `tls=off` from an address. Returns the address without the option, and the
    /// transport policy.
    pub(super) fn split_from_url(url: &str) -> (String, Self) {
        let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), Self::RequireTls) };
        let (off, others): (Vec<&str>, Vec<&str>) =
            query.split('&').partition(|option| *option == TLS_OFF_OPTION);
        if off.is_empty() {
            return (url.to_owned(), Self::RequireTls);
        }
        let others = others.join("&");
        let url = if others.is_empty() { place.to_owned() } else { format!("{place}?{others}") };
        (url, Self::AllowPlaintext)
    }

    /// Checks that the policy allows a connection to this address.
    ///
    /// # Errors
    /// [`SlotsError::NoTls`] if TLS is required and missing.
    pub(super) fn check(self, address: &ConnectionAddr) -> Result<(), ValkeyConnectError> {
        match (self, address) {
            (Self::RequireTls, ConnectionAddr::Tcp(host, _)) if !is_loopback(host) => {
                Err(ValkeyConnectError::NoTls { address: address.to_string() })
            }
            (Self::RequireTls | Self::AllowPlaintext, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;

    use super::*;

    #[test]
    fn a_server_beyond_this_machine_needs_tls_unless_the_address_says_otherwise() {
        for (url, is_allowed) in [
            ("redis://localhost:6379/0", true),
            ("redis://127.0.0.1:6379/0", true),
            ("redis://[::1]:6379/0", true),
            ("rediss://valkey.example.com:6379/0", true),
            ("redis://valkey.example.com:6379/0", false),
            ("redis://:hush@192.0.2.2/0?protocol=resp3", false),
            ("redis://localhost.example.com/0", false),
            ("redis://valkey.example.com:6379/0?tls=off", true),
            ("redis://valkey.example.com:6379/0?protocol=resp3&tls=off", true),
            ("redis://valkey.example.com:6379/0?tls=on", false),
        ] {
            let (taken, transport) = TransportPolicy::split_from_url(url);
            assert!(!taken.contains(TLS_OFF_OPTION), "{taken}");
            let info = taken.replace("?tls=on", "").into_connection_info().unwrap();
            assert_eq!(transport.check(info.addr()).is_ok(), is_allowed, "{url}");
        }
    }
}
