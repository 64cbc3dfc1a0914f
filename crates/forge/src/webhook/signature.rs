//! Signatures: HMAC-SHA256 over the raw body, checked while the body arrives.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Why a delivery is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsigned {
    /// No secret is configured, so nobody can sign.
    #[error("no webhook secret is configured: no delivery can be accepted")]
    NoSecret,
    /// There is no signature.
    #[error("the delivery has no signature header: set the hook's secret at the forge")]
    Missing,
    /// There are several.
    #[error("the delivery has more than one signature header")]
    Repeated,
    /// The header is not `sha256=` and 64 hexadecimal digits.
    #[error("the signature header is not `sha256=` and 64 hexadecimal digits")]
    Malformed,
    /// It was made with another secret or over another body.
    #[error(
        "the signature does not match: the hook's secret and the configured one differ, or the body was changed"
    )]
    Wrong,
}

/// A webhook's secret, ready for use.
#[derive(Clone)]
pub struct HookSecret(Option<Hmac<Sha256>>);

impl HookSecret {
    /// The secret as both sides know it. With an empty one nobody can sign.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).ok().filter(|_| !secret.is_empty()))
    }

    /// Begins to check a body.
    ///
    /// # Errors
    /// [`Unsigned::NoSecret`]
    pub fn check(&self, signature: Signature) -> Result<Check, Unsigned> {
        let mac = self.0.clone().ok_or(Unsigned::NoSecret)?;
        Ok(Check { mac, signature })
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret")
    }
}

/// What a delivery says that its signature is. Not shown: with the body it would be a valid delivery.
#[derive(Clone)]
pub struct Signature([u8; 32]);

impl Signature {
    /// Reads the values of the header, of which there must be one.
    ///
    /// The algorithm is fixed by the route, never chosen by the header. Hexadecimal digits may be of either case:
    /// they stand for the same bytes.
    ///
    /// # Errors
    /// [`Unsigned`]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Unsigned> {
        let mut values = values.into_iter();
        let value = values.next().ok_or(Unsigned::Missing)?;
        if values.next().is_some() {
            return Err(Unsigned::Repeated);
        }
        let digits = value.strip_prefix(b"sha256=").ok_or(Unsigned::Malformed)?;
        let mut signature = [0; 32];
        hex::decode_to_slice(digits, &mut signature).map_err(|_| Unsigned::Malformed)?;
        Ok(Self(signature))
    }
}

/// A body that is being checked.
pub struct Check {
    mac: Hmac<Sha256>,
    signature: Signature,
}

impl Check {
    /// The next part of the body.
    pub fn update(&mut self, part: &[u8]) {
        self.mac.update(part);
    }

    /// That was all. In constant time.
    ///
    /// # Errors
    /// [`Unsigned::Wrong`]
    pub fn finish(self) -> Result<(), Unsigned> {
        self.mac.verify_slice(&self.signature.0).map_err(|_| Unsigned::Wrong)
    }
}
