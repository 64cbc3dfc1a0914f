//! The private key of a GitHub App, and the short-lived login that it signs (a JSON Web Token, RFC 7519, with
//! RS256).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use truing_core::id::{TimeSpan, UnixMillis};
use truing_git::SecretString;

/// The validity of a login begins this time span before now, because the forge's clock may be behind ours.
const JWT_BACKDATING: TimeSpan = TimeSpan::seconds(60);
/// A login expires this time span after now. GitHub accepts at most ten minutes, by its own clock.
const JWT_LIFETIME: TimeSpan = TimeSpan::minutes(9);

/// The private key of a GitHub App. Cheap to clone.
#[derive(Clone)]
pub struct AppKey(Arc<KeyPair>);

/// The error of parsing a private key or of signing with it. The message contains no part of the key's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppKeyError {
    /// The text contains no PEM block.
    #[error("this text is not a complete private key in PEM form (`-----BEGIN RSA PRIVATE KEY-----`)")]
    NoPem,
    /// The key is encrypted, or is not an RSA key.
    #[error("cannot use this private key: it must be an unencrypted RSA key of 2048 bits or more")]
    NotRsa,
    /// The cryptography library failed to sign.
    #[error("signing with the private key failed")]
    Sign,
}

impl AppKey {
    /// Parses the file that GitHub issues (PKCS #1), or a key in PKCS #8. The two characters `\n` count as a
    /// line end, because some environment variables cannot contain a line end.
    ///
    /// # Errors
    /// [`AppKeyError`]
    pub fn from_pem(pem: &str) -> Result<Self, AppKeyError> {
        let pem = if pem.contains('\n') { pem.to_owned() } else { pem.replace("\\n", "\n") };
        if pem.contains("ENCRYPTED") {
            return Err(AppKeyError::NotRsa);
        }
        let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| AppKeyError::NoPem)? {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            // `_` covers variants that the library may add.
            PrivateKeyDer::Sec1(_) | _ => return Err(AppKeyError::NotRsa),
        };
        Ok(Self(Arc::new(key.map_err(|_| AppKeyError::NotRsa)?)))
    }

    /// Signs a login as this App.
    ///
    /// # Errors
    /// [`AppKeyError::Sign`]
    pub(super) fn sign_jwt(&self, app_id: u64, now: UnixMillis) -> Result<SecretString, AppKeyError> {
        let second = |instant: UnixMillis| instant.0.div_euclid(1000);
        let claims = json!({
            "iat": second(UnixMillis(now.0.saturating_sub(JWT_BACKDATING.0))),
            "exp": second(now + JWT_LIFETIME),
            "iss": app_id.to_string(),
        });
        let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| AppKeyError::Sign)?;
        Ok(SecretString::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(…)")
    }
}

#[cfg(test)]
impl AppKey {
    /// Generates a new key.
    pub(crate) fn generate() -> Self {
        Self(Arc::new(KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap()))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::prelude::BASE64_STANDARD;
    use serde_json::Value;

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        let text = BASE64_STANDARD.encode(der);
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    #[test]
    fn a_login_is_signed_by_the_key_in_every_form_and_lasts_under_ten_minutes() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pkcs8 = pem("PRIVATE KEY", der.as_ref());
        // In a PKCS #8 key of this size, the PKCS #1 key begins after 26 bytes.
        let pkcs1 = pem("RSA PRIVATE KEY", &der.as_ref()[26..]);
        for text in [pkcs8, pkcs1.clone(), pkcs1.replace('\n', "\\n"), pkcs1.replace('\n', "\r\n")] {
            let key = AppKey::from_pem(&text).unwrap();
            let login = key.sign_jwt(77, UnixMillis(1_795_162_200_999)).unwrap();
            let (signed, signature) = login.expose().rsplit_once('.').unwrap();
            let verifier = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
            verifier.verify(signed.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
            let parts: Vec<Value> = signed
                .split('.')
                .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
                .collect();
            assert_eq!(parts[0], json!({ "alg": "RS256", "typ": "JWT" }));
            assert_eq!(parts[1], json!({ "iss": "77", "iat": 1_795_162_140, "exp": 1_795_162_740 }));
            assert_eq!(format!("{key:?}"), "AppKey(…)");
        }
        let body: String = pkcs1.lines().take(5).collect::<Vec<_>>().join("\n");
        let refused = [
            ("", AppKeyError::NoPem),
            ("canary", AppKeyError::NoPem),
            (body.as_str(), AppKeyError::NoPem),
            (&pem("PRIVATE KEY", b"canary"), AppKeyError::NotRsa),
            (&pem("EC PRIVATE KEY", b"canary"), AppKeyError::NotRsa),
            (&pem("ENCRYPTED PRIVATE KEY", b"canary"), AppKeyError::NotRsa),
            (&pem("PUBLIC KEY", b"canary"), AppKeyError::NoPem),
        ];
        for (text, expected) in refused {
            let error = AppKey::from_pem(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}
