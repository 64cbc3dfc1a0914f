//! Hosts with ports, as `host:port`.

use truing_core::loopback::is_loopback;
use url::Url;

/// Maximum number of hosts in one list.
pub(crate) const MAX_HOSTS: usize = 32;

/// A host that the program of an MCP server may connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct McpHost {
    /// Name or address of the host.
    pub name: String,
    pub port: u16,
}

/// Parses `host:port`, which must have the notation that a URL parser returns. A host in another notation
/// would never match a connection.
///
/// # Errors
/// A description of a valid list of hosts.
pub(crate) fn parse_host(text: &str) -> Result<McpHost, &'static str> {
    let wrong = "only entries of the form `HOST:PORT`, such as api.example.org:443 (lower case, no `*`)";
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._[]:".contains(c);
    let url = Url::parse(&format!("https://{text}")).map_err(|_| wrong)?;
    let (Some(name), Some(port @ 1..)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(wrong);
    };
    if format!("{name}:{port}") != text || !name.chars().all(is_plain) || name.ends_with('.') {
        return Err(wrong);
    }
    if is_loopback(name) {
        return Err("public hosts (for a server on this machine, set `url` instead)");
    }
    Ok(McpHost { name: name.to_owned(), port })
}
