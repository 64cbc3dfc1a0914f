//! Deliveries of webhooks that wait to be sent.

use bytes::Bytes;

/// Deliveries that wait to be sent; the oldest is forgotten for one more.
pub const MAX_QUEUED: usize = 10_000;

/// Where deliveries go.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The address to post to.
    pub url: String,
    /// The key they are signed with.
    pub secret: String,
    /// Sent as changes happen? Otherwise they wait for [`crate::forge::FakeForge::pending`].
    pub automatic: bool,
}

/// One event as it goes over the wire. Sending it again is a redelivery: the same id and the same bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// `X-GitHub-Delivery`: names the event.
    pub id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload's `action`.
    pub action: String,
    /// The pull request's number.
    pub number: u64,
    /// The payload.
    pub body: Bytes,
}
