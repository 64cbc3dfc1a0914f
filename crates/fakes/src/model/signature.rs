//! Checks signed AWS requests, which contain a signature instead of an API key. The checks implement AWS
//! Signature Version 4, and do not use the library with which the client signs requests.

use axum::http::request::Parts;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Id of the access key that the fake accepts.
pub const AWS_KEY_ID: &str = "AKIDEXAMPLE";
/// Region that a signature must name.
pub const AWS_REGION: &str = "eu-central-1";
/// Workspace that requests to the Messages API must name.
pub const AWS_WORKSPACE: &str = "wrkspc_example";
/// The requirements of an AWS service for a signature.
pub(crate) struct SignatureRequirements {
    name: &'static str,
    /// Workspace that the request's header must name; `None` for a service without workspaces.
    workspace: Option<&'static str>,
    /// Headers that the signature must cover.
    signed_headers: &'static [&'static str],
}

/// Requirements of the Messages API on AWS.
pub(super) const MESSAGES: SignatureRequirements = SignatureRequirements {
    name: "aws-external-anthropic",
    workspace: Some(AWS_WORKSPACE),
    signed_headers: &["host", "x-amz-date", "anthropic-workspace-id", "anthropic-version"],
};
/// Requirements of Amazon Bedrock.
pub(super) const BEDROCK: SignatureRequirements =
    SignatureRequirements { name: "bedrock", workspace: None, signed_headers: &["host", "x-amz-date"] };
/// Requirements of STS, which issues temporary credentials.
pub(crate) const STS: SignatureRequirements =
    SignatureRequirements { name: "sts", workspace: None, signed_headers: &["host", "x-amz-date"] };
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Maximum age of a signature, in seconds.
const MAX_SIGNATURE_AGE_SECONDS: i64 = 5 * 60;

/// Returns the secret key of AWS's own examples. The key is assembled from parts, because secret scanners
/// would report the whole key as leaked.
pub fn aws_secret_key() -> String {
    ["wJalrXUtnFEMI/K7MDENG", "+bPxRfiCYEXAMPLEKEY"].concat()
}

/// Returns true if this request is signed.
pub(super) fn is_signed(head: &Parts) -> bool {
    header_text(head, "authorization").is_some_and(|value| value.starts_with(ALGORITHM))
}

/// Returns true if the request was signed with the key that the fake accepts.
pub(crate) fn is_signed_by_known_key(
    head: &Parts,
    body: &[u8],
    service: &SignatureRequirements,
) -> Result<bool, &'static str> {
    if header_text(head, "anthropic-workspace-id") != service.workspace {
        return Err("anthropic-workspace-id: not the workspace of this key");
    }
    let authorization = header_text(head, "authorization")
        .and_then(|value| value.strip_prefix(ALGORITHM))
        .unwrap_or_default();
    let part = |name: &str| {
        authorization.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(credential), Some(signed), Some(signature)) =
        (part("Credential"), part("SignedHeaders"), part("Signature"))
    else {
        return Err("authorization: not a whole signature");
    };
    let date = header_text(head, "x-amz-date").ok_or("x-amz-date: missing")?;
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).map_err(|_| "x-amz-date: no time")?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| "x-amz-date: no time")?.timestamp();
    if (Timestamp::now().as_second() - at.as_second()).abs() > MAX_SIGNATURE_AGE_SECONDS {
        return Err("x-amz-date: too old");
    }
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{AWS_REGION}/{}/aws4_request", service.name);
    if credential != format!("{AWS_KEY_ID}/{scope}") {
        return Err("authorization: another key, day, region or service");
    }
    for needed in service.signed_headers {
        if !signed.split(';').any(|name| name == *needed) {
            return Err("authorization: a header that must be signed is not");
        }
    }
    let headers: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header_text(head, name).unwrap_or_default().trim()))
        .collect();
    let query = head.uri.query().unwrap_or_default();
    let request = format!(
        "{}\n{}\n{query}\n{headers}\n{signed}\n{}",
        head.method,
        encode_path(head.uri.path()),
        sha256_hex(body)
    );
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", sha256_hex(request.as_bytes()));
    let key = [day, AWS_REGION, service.name, "aws4_request"]
        .iter()
        .fold(format!("AWS4{}", aws_secret_key()).into_bytes(), |key, part| hmac_sha256(&key, part));
    Ok(hex::encode(hmac_sha256(&key, &to_sign)) == signature)
}

/// Encodes a path for signing. Percent-encoded characters are encoded a second time.
fn encode_path(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn header_text<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC accepts keys of any length, so this call never fails.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        },
    )
}
