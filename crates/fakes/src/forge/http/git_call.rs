//! Parses git's requests: the token, the body and the repository.

use std::io::Read;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::forge::flavour::ForgeFlavour;
use crate::forge::http::call::{ApiCall, ApiResponse};

/// Maximum size of an unpacked request, in bytes. A request is a list of wanted and known commits; each
/// commit takes 50 bytes.
const MAX_UNPACKED_REQUEST_BYTES: u64 = 64 * 1024 * 1024;

/// Returns the token of a request. The `Authorization` header is `Bearer`, GitHub's older `token`, or `Basic`
/// with the token as the password.
pub(crate) fn request_token(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Some(value.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

/// Decompresses the body of a request.
pub(crate) fn unpack_body(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiResponse> {
    let zipped =
        headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip" || coding == "x-gzip");
    if !zipped {
        return Ok(body);
    }
    let mut plain = Vec::new();
    match GzDecoder::new(body.as_ref()).take(MAX_UNPACKED_REQUEST_BYTES).read_to_end(&mut plain) {
        Ok(_) => Ok(plain.into()),
        Err(error) => Err(ApiResponse::bytes(400, "text/plain", format!("the body is not gzip: {error}\n"))),
    }
}

/// Marks a response that must not be cached.
pub(crate) fn with_no_cache(mut response: ApiResponse) -> ApiResponse {
    response.headers.push(("cache-control", "no-cache, max-age=0, must-revalidate".into()));
    response
}

/// Returns the response that rejects a caller without a valid login.
pub(crate) fn unauthorized_response(flavour: ForgeFlavour) -> ApiResponse {
    let realm = if flavour == ForgeFlavour::GitHub { "GitHub" } else { "Bitbucket" };
    let mut refused = ApiResponse::bytes(401, "text/plain", "a known token is needed\n");
    refused.headers.push(("www-authenticate", format!("Basic realm=\"{realm}\"")));
    refused
}

/// Returns the key of the repository that a call names.
pub(crate) fn repository_key(call: &ApiCall) -> String {
    let name = call.path_param("repo").strip_suffix(".git").unwrap_or(call.path_param("repo"));
    format!("{}/{name}", call.path_param("owner")).to_lowercase()
}
