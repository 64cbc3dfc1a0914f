//! The handling of webhook headers, which both Bitbuckets share. Each Bitbucket has a separate parser for
//! bodies.

use reqwest::header::HeaderMap;

use crate::webhook::{DeliveryHeaders, DeliverySignature};

/// Header that names the event.
const EVENT_HEADER: &str = "x-event-key";
/// Header with the signature: HMAC-SHA-256 at both Bitbuckets. At GitHub, a header with the same name
/// contains a SHA-1 signature.
const SIGNATURE_HEADER: &str = "x-hub-signature";
/// Header with the number of this delivery attempt, from 1 (Cloud only).
const ATTEMPT_HEADER: &str = "x-attempt-number";

/// Reads the headers of a delivery; `id` is the name of the header with the id of the delivery.
pub(super) fn parse_headers<'a>(headers: &'a HeaderMap, delivery_id_header: &str) -> DeliveryHeaders<'a> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signature = DeliverySignature::from_header_values(
        headers.get_all(SIGNATURE_HEADER).iter().map(|value| value.as_bytes()),
    );
    let attempt = text(ATTEMPT_HEADER).trim().parse().unwrap_or(1);
    DeliveryHeaders { event: text(EVENT_HEADER), id: text(delivery_id_header), signature, attempt }
}

/// Reads the headers of a delivery of Bitbucket Cloud.
pub(crate) fn parse_cloud_headers(headers: &HeaderMap) -> DeliveryHeaders<'_> {
    parse_headers(headers, "x-request-uuid")
}

/// Reads the headers of a delivery of a Data Center.
pub(crate) fn parse_data_center_headers(headers: &HeaderMap) -> DeliveryHeaders<'_> {
    parse_headers(headers, "x-request-id")
}

pub(crate) use super::cloud::webhook::parse as parse_cloud;
pub(crate) use super::data_center::webhook::parse as parse_data_center;
