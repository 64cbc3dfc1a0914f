//! Sends scripted answers in the format of Amazon Bedrock. The URL contains the model, each event is a frame
//! of `application/vnd.amazon.eventstream` with two checksums, and a header contains the name of an error.
//! This code follows the published description of the format, independently of the client's parser.

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// Value of `anthropic_version` that the body of a request must contain.
const ANTHROPIC_VERSION: &str = "bedrock-2023-05-31";

/// The operation of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BedrockOperation {
    Stream,
    CountTokens,
}

/// Returns the model and the operation in the path of a model call; `None` for any other path.
pub(super) fn parse_call_path(path: &str) -> Option<(String, BedrockOperation)> {
    let (id, action) = path.strip_prefix("/model/")?.split_once('/')?;
    let action = match action {
        "invoke-with-response-stream" => BedrockOperation::Stream,
        "count-tokens" => BedrockOperation::CountTokens,
        _ => return None,
    };
    Some((decode_percent(id)?, action))
}

fn decode_percent(text: &str) -> Option<String> {
    let (first, rest) = text.split_once('%').unwrap_or((text, ""));
    let mut bytes = first.as_bytes().to_vec();
    for part in rest.split('%').filter(|part| !part.is_empty()) {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Converts the request to a request of the Messages API for this model.
pub(super) fn to_messages_request(
    body: &Value,
    model_id: &str,
    operation: BedrockOperation,
) -> Result<Value, String> {
    let mut body = match operation {
        BedrockOperation::Stream => body.clone(),
        BedrockOperation::CountTokens => {
            let inner = body["input"]["invokeModel"]["body"].as_str().unwrap_or_default();
            let inner = BASE64_STANDARD.decode(inner).map_err(|error| error.to_string())?;
            serde_json::from_slice(&inner).map_err(|error| error.to_string())?
        }
    };
    if body["anthropic_version"] != ANTHROPIC_VERSION {
        return Err("anthropic_version: required".to_owned());
    }
    let Some(fields) = body.as_object_mut() else { return Err("not an object".to_owned()) };
    for field in ["model", "stream"] {
        if fields.contains_key(field) {
            return Err(format!("{field}: extraneous key is not permitted"));
        }
    }
    fields.insert("model".to_owned(), model_id.into());
    fields.insert("stream".to_owned(), true.into());
    Ok(body)
}

/// Returns an error in Bedrock's format.
pub(super) fn error_response(status: u16, kind: &str, message: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (code, axum::Json(json!({ "message": message }))).into_response();
    let kind = if kind.is_empty() { error_kind(status).to_owned() } else { kind.to_owned() };
    let named = format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    if let Ok(value) = HeaderValue::from_str(&named) {
        response.headers_mut().insert("x-amzn-errortype", value);
    }
    response
}

/// Returns Bedrock's error name for a status.
fn error_kind(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        500 => "InternalServerException",
        503 => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

/// Returns a frame that contains an event of the Messages API.
pub fn event_frame(event: &[u8]) -> Vec<u8> {
    let payload = json!({"bytes": BASE64_STANDARD.encode(event), "p": "abcdefgh"}).to_string();
    let headers =
        [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, payload.as_bytes())
}

/// Returns the frame of an error that occurs in the middle of an answer.
pub fn exception_frame(kind: &str, message: &str) -> Vec<u8> {
    let headers =
        [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")];
    frame(&headers, json!({ "message": message }).to_string().as_bytes())
}

/// Builds a frame. A frame consists of two lengths, a checksum of the lengths, the text headers, the payload,
/// and a checksum of the whole frame.
pub fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut named = Vec::new();
    for (name, value) in headers {
        named.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        named.extend_from_slice(name.as_bytes());
        named.push(7);
        named.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        named.extend_from_slice(value.as_bytes());
    }
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = number(16 + named.len() + payload.len()).to_vec();
    bytes.extend(number(named.len()));
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes.extend(named);
    bytes.extend(payload);
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

/// Computes the CRC-32 checksum of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    let byte = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum));
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors are published with the format: an empty message, and a message with a text header.
    #[test]
    fn frames_are_those_of_the_description() {
        assert_eq!(hex::encode(frame(&[], b"")), "000000100000000005c248eb7d98c8ff");
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let whole = frame(&[("a", "b")], b"{}");
        assert_eq!(hex::encode(whole.get(12..18).unwrap()), "016107000162");
    }

    #[test]
    fn a_model_is_read_from_the_path() {
        let path = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens";
        let id = "us.anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned();
        assert_eq!(parse_call_path(path), Some((id, BedrockOperation::CountTokens)));
        assert_eq!(parse_call_path("/model/x/invoke"), None);
        assert_eq!(parse_call_path("/v1/messages"), None);
    }
}
