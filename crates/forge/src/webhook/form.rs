//! Parses deliveries whose body is a form, which is GitHub's default content type for webhooks.

use std::borrow::Cow;

use url::form_urlencoded;

use super::DeliveryError;

/// Name of the field that contains the JSON.
const PAYLOAD_FIELD: &str = "payload";

/// Returns the JSON in the field `payload` of a form.
///
/// # Errors
/// [`DeliveryError::NotJson`] if the form has no such field, or more than one.
pub fn extract_form_payload(body: &[u8]) -> Result<Cow<'_, [u8]>, DeliveryError> {
    let mut payloads = form_urlencoded::parse(body).filter(|(name, _)| name == PAYLOAD_FIELD);
    match (payloads.next(), payloads.next()) {
        (Some((_, Cow::Borrowed(json))), None) => Ok(Cow::Borrowed(json.as_bytes())),
        (Some((_, Cow::Owned(json))), None) => Ok(Cow::Owned(json.into_bytes())),
        (None, _) => Err(DeliveryError::NotJson("the form has no field `payload`".into())),
        (Some(_), Some(_)) => {
            Err(DeliveryError::NotJson("the form has more than one field `payload`".into()))
        }
    }
}
