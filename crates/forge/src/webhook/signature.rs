//! Signatures of deliveries: HMAC-SHA256 over the raw body, computed while the body arrives.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The reason why the signature of a delivery is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// No secret is configured, so no signature can be valid.
    #[error("no webhook secret is configured: no delivery can be accepted")]
    NoSecret,
    /// The signature header is missing.
    #[error("the delivery has no signature header: set the hook's secret at the forge")]
    Missing,
    /// There is more than one signature header.
    #[error("the delivery has more than one signature header")]
    Repeated,
    /// The header is not `sha256=` and 64 hexadecimal digits.
    #[error("the signature header is not `sha256=` and 64 hexadecimal digits")]
    Malformed,
    /// The signature was made with another secret or over another body.
    #[error(
        "the signature does not match: the webhook's secret at the forge differs from the configured \
            secret, or the body was changed"
    )]
    Mismatch,
}

/// The webhook's secret, as a prepared HMAC; `None` if the secret is empty.
#[derive(Clone)]
pub struct HookSecret(Option<Hmac<Sha256>>);

impl HookSecret {
    /// Builds the secret that the forge and Truing share. With an empty secret, no signature is valid.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).ok().filter(|_| !secret.is_empty()))
    }

    /// Begins to check the signature of a body.
    ///
    /// # Errors
    /// [`SignatureError::NoSecret`]
    pub fn begin_check(&self, signature: DeliverySignature) -> Result<SignatureCheck, SignatureError> {
        let mac = self.0.clone().ok_or(SignatureError::NoSecret)?;
        Ok(SignatureCheck { mac, signature })
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret")
    }
}

/// The signature in the header of a delivery. This type has no debug output, because the signature and the
/// body together are a valid delivery.
#[derive(Clone)]
pub struct DeliverySignature([u8; 32]);

impl DeliverySignature {
    /// Reads the values of the header. The header must occur exactly once.
    ///
    /// The route determines the algorithm; the header cannot choose another. Hexadecimal digits may be upper
    /// or lower case, because both stand for the same bytes.
    ///
    /// # Errors
    /// [`SignatureError`]
    pub fn from_header_values<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, SignatureError> {
        let mut values = values.into_iter();
        let value = values.next().ok_or(SignatureError::Missing)?;
        if values.next().is_some() {
            return Err(SignatureError::Repeated);
        }
        let digits = value.strip_prefix(b"sha256=").ok_or(SignatureError::Malformed)?;
        let mut signature = [0; 32];
        hex::decode_to_slice(digits, &mut signature).map_err(|_| SignatureError::Malformed)?;
        Ok(Self(signature))
    }
}

/// A running signature check of a body.
pub struct SignatureCheck {
    mac: Hmac<Sha256>,
    signature: DeliverySignature,
}

impl SignatureCheck {
    /// Adds the next part of the body.
    pub fn update(&mut self, chunk: &[u8]) {
        self.mac.update(chunk);
    }

    /// Ends the check after the last part of the body. The signatures are compared in constant time.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`]
    pub fn finish(self) -> Result<(), SignatureError> {
        self.mac.verify_slice(&self.signature.0).map_err(|_| SignatureError::Mismatch)
    }
}
