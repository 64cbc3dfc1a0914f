//! Limits of requests and connections.

use std::time::Duration;

/// The largest accepted delivery in bytes, which is GitHub's own limit.
pub const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;

/// Limits of the connections, and of the request bodies on these connections. GitHub waits 10 s for the
/// response to a delivery.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Time limit for a request's header, from the start of the connection or the end of the previous
    /// request.
    pub header_timeout: Duration,
    /// Time limit between two parts of a body.
    pub body_idle_timeout: Duration,
    /// Time limit for a whole body.
    pub body_timeout: Duration,
    /// Time limit for a whole connection. After this time, the connection is closed at the end of the current
    /// request.
    pub max_connection_age: Duration,
    /// Time limit for a client that still sends its request after the response was sent.
    pub linger_timeout: Duration,
    /// Number of connections that may be open at once.
    pub max_connections: usize,
    /// Memory limit in bytes for all bodies together that are being read or parsed.
    pub max_body_memory_bytes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(30),
            max_connection_age: Duration::from_mins(10),
            linger_timeout: Duration::from_secs(2),
            max_connections: 1024,
            max_body_memory_bytes: 128 * 1024 * 1024,
        }
    }
}
