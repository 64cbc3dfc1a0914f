//! Deliveries as a form: what a hook sends whose content type was left at GitHub's default.

use std::borrow::Cow;

use url::form_urlencoded;

use super::DeliveryError;

/// The field that holds the JSON.
const FIELD: &str = "payload";

/// The JSON in a form: its one field `payload`.
///
/// # Errors
/// [`DeliveryError::NotJson`] if there is none, or more than one.
pub fn json_of_form(body: &[u8]) -> Result<Cow<'_, [u8]>, DeliveryError> {
    let mut payloads = form_urlencoded::parse(body).filter(|(name, _)| name == FIELD);
    match (payloads.next(), payloads.next()) {
        (Some((_, Cow::Borrowed(json))), None) => Ok(Cow::Borrowed(json.as_bytes())),
        (Some((_, Cow::Owned(json))), None) => Ok(Cow::Owned(json.into_bytes())),
        (None, _) => Err(DeliveryError::NotJson("the form has no field `payload`".into())),
        (Some(_), Some(_)) => {
            Err(DeliveryError::NotJson("the form has more than one field `payload`".into()))
        }
    }
}
