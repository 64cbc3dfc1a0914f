//! Reads a webhook delivery with the parser of its kind of forge. The kind is determined by the route, never
//! by a header.

use reqwest::header::HeaderMap;
use truing_core::port::ForgeKind;

use crate::webhook::{DeliveryError, DeliveryHeaders, WebhookEvent};
use crate::{bitbucket, github};

impl<'a> DeliveryHeaders<'a> {
    /// Reads the headers that this kind of forge sends. The kind is determined by the route, never by a
    /// header.
    pub fn read(kind: ForgeKind, headers: &'a HeaderMap) -> Self {
        match kind {
            ForgeKind::Github => github::webhook::parse_headers(headers),
            ForgeKind::Bitbucket => bitbucket::webhook::parse_cloud_headers(headers),
            ForgeKind::BitbucketDc => bitbucket::webhook::parse_data_center_headers(headers),
        }
    }
}

/// Parses the body of a delivery whose signature was verified. `event` is the event in the delivery's
/// headers. `forge_name` is the `NAME` in the section `[forge.NAME]` to which the route belongs.
///
/// # Errors
/// [`DeliveryError`] if the body is not JSON, or a required field is missing or invalid.
pub fn parse_delivery(
    kind: ForgeKind,
    event: &str,
    forge_name: &str,
    body: &[u8],
) -> Result<WebhookEvent, DeliveryError> {
    match kind {
        ForgeKind::Github => github::webhook::parse(event, forge_name, body),
        ForgeKind::Bitbucket => bitbucket::webhook::parse_cloud(event, forge_name, body),
        ForgeKind::BitbucketDc => bitbucket::webhook::parse_data_center(event, forge_name, body),
    }
}
