//! Decodes frames of `application/vnd.amazon.eventstream`, the format of Amazon Bedrock's streamed responses.
//! Each frame contains two lengths, headers, a payload and two checksums. The payload is one event of the
//! Messages API, or an exception.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::decoder::parse_event;
use super::event::{ErrorEvent, StreamEvent};
use super::{MAX_EVENT_BYTES, StreamError};

/// Maximum number of bytes of a frame. A frame contains an event in Base64 and up to 64 KiB of other data.
const MAX_FRAME_BYTES: usize = MAX_EVENT_BYTES / 3 * 4 + 64 * 1024;
/// Number of bytes of the two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// Number of bytes of the checksum at the end of a frame.
const CHECKSUM_BYTES: usize = 4;
/// The event type of frames that contain a part of the response.
const CHUNK_EVENT_TYPE: &str = "chunk";

/// The bytes of an incomplete frame.
#[derive(Default, Debug)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
}

/// The headers that identify a frame.
#[derive(Default)]
struct FrameHeaders {
    message_type: String,
    event_type: String,
    exception_type: String,
    error_code: String,
    error_message: String,
}

/// The payload of a frame that contains a part of the response.
#[derive(Deserialize)]
struct ChunkPayload {
    #[serde(default)]
    bytes: Option<String>,
}

/// The payload of a frame that contains an exception.
#[derive(Deserialize, Default)]
struct ExceptionPayload {
    #[serde(default, alias = "Message")]
    message: String,
}

impl FrameBuffer {
    /// Adds more bytes, and returns the event of each frame that these bytes complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<StreamEvent, StreamError>> {
        self.bytes.extend_from_slice(bytes);
        let (mut events, mut from) = (Vec::new(), 0);
        while let Some(rest) = self.bytes.get(from..)
            && rest.len() >= PRELUDE_BYTES
        {
            match parse_frame(rest) {
                Ok(Some((event, length))) => {
                    events.push(Ok(event));
                    from += length;
                }
                Ok(None) => break,
                Err(broken) => {
                    events.push(Err(broken));
                    break;
                }
            }
        }
        self.bytes.drain(..from);
        events
    }
}

/// Parses the first frame of `bytes`, and returns its event and length; `None` if the frame is incomplete.
fn parse_frame(bytes: &[u8]) -> Result<Option<(StreamEvent, usize)>, StreamError> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (Some(total), Some(headers), Some(checksum)) = (number(0), number(4), number(8)) else {
        return Ok(None);
    };
    if bytes.get(..8).map(crc32fast::hash) != Some(checksum) {
        return Err(damaged_frame("the checksum of the event's lengths is wrong"));
    }
    let (total, headers) = (check_length(total)?, check_length(headers)?);
    if total < PRELUDE_BYTES + headers + CHECKSUM_BYTES {
        return Err(frame_error("the event's lengths contradict each other"));
    }
    let Some(frame) = bytes.get(..total) else { return Ok(None) };
    let (body, checksum) = frame.split_at(total - CHECKSUM_BYTES);
    if crc32fast::hash(body).to_be_bytes() != checksum {
        return Err(damaged_frame("the event's checksum is wrong"));
    }
    let (headers, payload) = body.split_at_checked(PRELUDE_BYTES + headers).unwrap_or((body, &[]));
    let kind = parse_headers(headers.get(PRELUDE_BYTES..).unwrap_or_default())
        .ok_or_else(|| frame_error("the event's headers are damaged"))?;
    Ok(Some((decode_event(kind, payload)?, total)))
}

fn check_length(bytes: u32) -> Result<usize, StreamError> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes > MAX_FRAME_BYTES { Err(StreamError::TooLarge("an event")) } else { Ok(bytes) }
}

/// Converts a frame's payload to an event.
fn decode_event(headers: FrameHeaders, payload: &[u8]) -> Result<StreamEvent, StreamError> {
    let failure = |kind, message| StreamEvent::Error { error: ErrorEvent { kind, message } };
    match (headers.message_type.as_str(), headers.event_type.as_str()) {
        ("event", CHUNK_EVENT_TYPE) => {
            let chunk: ChunkPayload =
                truing_core::json::from_slice(payload).map_err(|error| super::bad_event(&error))?;
            // Some servers send frames without content to keep the connection open.
            let Some(bytes) = chunk.bytes else { return Ok(StreamEvent::Other) };
            let bytes = BASE64_STANDARD
                .decode(bytes)
                .map_err(|_| frame_error("the event's content is not Base64"))?;
            parse_event(&bytes)
        }
        // Unknown types of events and messages are ignored, because new ones may be added.
        ("event", _) => Ok(StreamEvent::Other),
        ("exception", _) => {
            let words: ExceptionPayload = truing_core::json::from_slice(payload).unwrap_or_default();
            Ok(failure(headers.exception_type, words.message))
        }
        ("error", _) => Ok(failure(headers.error_code, headers.error_message)),
        ("", _) => Err(frame_error("the event's type is missing")),
        (_, _) => Ok(StreamEvent::Other),
    }
}

/// Parses the headers of a frame. Returns `None` if they are malformed.
fn parse_headers(mut bytes: &[u8]) -> Option<FrameHeaders> {
    let mut kind = FrameHeaders::default();
    while !bytes.is_empty() {
        let name = take_bytes(&mut bytes, 1)
            .and_then(|length| take_bytes(&mut bytes, usize::from(*length.first()?)))?;
        let form = *take_bytes(&mut bytes, 1)?.first()?;
        let length = match form {
            // Types 0 and 1: boolean values. The type is the value, so no bytes follow.
            0 | 1 => 0,
            // Integers of one, two and four bytes.
            2 => 1,
            3 => 2,
            4 => 4,
            // An integer of eight bytes, or a timestamp.
            5 | 8 => 8,
            // Byte arrays and strings, which begin with their length.
            6 | 7 => usize::from(u16::from_be_bytes(take_bytes(&mut bytes, 2)?.try_into().ok()?)),
            // A UUID, which has 16 bytes.
            9 => 16,
            _ => return None,
        };
        let value = take_bytes(&mut bytes, length)?;
        let field = match name {
            b":message-type" => &mut kind.message_type,
            b":event-type" => &mut kind.event_type,
            b":exception-type" => &mut kind.exception_type,
            b":error-code" => &mut kind.error_code,
            b":error-message" => &mut kind.error_message,
            _ => continue,
        };
        *field = String::from_utf8_lossy(value).into_owned();
    }
    Some(kind)
}

fn take_bytes<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn damaged_frame(message: &str) -> StreamError {
    StreamError::Damaged(message.to_owned())
}

fn frame_error(message: &str) -> StreamError {
    StreamError::BadEvent(message.to_owned())
}
