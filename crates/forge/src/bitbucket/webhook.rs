//! What the webhooks of both Bitbuckets have in common: the names of headers, and reading of numbers in them.
//! Each has its own parser.

use reqwest::header::HeaderMap;

use crate::webhook::{DeliveryHeaders, DeliverySignature};

/// The header that says what happened.
const EVENT: &str = "x-event-key";
/// The header that holds the signature: HMAC-SHA-256 at both. At GitHub a header of this name has SHA-1.
const SIGNATURE: &str = "x-hub-signature";
/// The header that counts the tries of a delivery, from 1 (Cloud).
const ATTEMPT: &str = "x-attempt-number";

/// The headers of a delivery; `id` is the header that says what the delivery is called.
pub(super) fn delivery<'a>(headers: &'a HeaderMap, id: &str) -> DeliveryHeaders<'a> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signature = DeliverySignature::of(headers.get_all(SIGNATURE).iter().map(|value| value.as_bytes()));
    let attempt = text(ATTEMPT).trim().parse().unwrap_or(1);
    DeliveryHeaders { event: text(EVENT), id: text(id), signature, attempt }
}

/// The headers of a delivery of Bitbucket Cloud.
pub(crate) fn cloud(headers: &HeaderMap) -> DeliveryHeaders<'_> {
    delivery(headers, "x-request-uuid")
}

/// The headers of a delivery of a Data Center.
pub(crate) fn data_center(headers: &HeaderMap) -> DeliveryHeaders<'_> {
    delivery(headers, "x-request-id")
}

pub(crate) use super::cloud::webhook::parse as parse_cloud;
pub(crate) use super::data_center::webhook::parse as parse_data_center;
