//! Limits of what clients may send.

use std::time::Duration;

/// The largest delivery: GitHub sends no more than this.
pub const MAX_BODY: usize = 25 * 1024 * 1024;

/// Limits of connections and of the bodies on them. GitHub gives a delivery 10 s.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// For a request's header, from the moment the connection is free for it.
    pub header: Duration,
    /// Between two parts of a body.
    pub body_idle: Duration,
    /// For a whole body.
    pub body: Duration,
    /// For a whole connection; then it ends after the request that it is in.
    pub life: Duration,
    /// For a client to finish sending what was answered already.
    pub linger: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Bytes of bodies that are being read or understood, all together.
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
