//! Limits of requests and connections.

use std::time::Duration;

/// The largest accepted delivery in bytes, which is GitHub's own limit.
pub const MAX_BODY: usize = 25 * 1024 * 1024;

/// Limits of connections and of the bodies on them. GitHub gives a delivery 10 s.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Time for a request's header, from the moment the connection is free for it.
    pub header: Duration,
    /// Time between two parts of a body.
    pub body_idle: Duration,
    /// Time for a whole body.
    pub body: Duration,
    /// Time for a whole connection; it is then closed after the current request.
    pub life: Duration,
    /// Time for a client to finish sending a request that has its response already.
    pub linger: Duration,
    /// Number of connections that may be open at once.
    pub connections: usize,
    /// Bytes of all bodies together that are being read or parsed.
    pub memory: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            body_idle: Duration::from_secs(5),
            body: Duration::from_secs(30),
            life: Duration::from_mins(10),
            linger: Duration::from_secs(2),
            connections: 1024,
            memory: 128 * 1024 * 1024,
        }
    }
}
