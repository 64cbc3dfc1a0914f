//! Builds a message from the bytes of a streamed response. The message does not depend on how the stream is
//! divided into chunks, and its size is limited for every input.

mod chat;
mod decoder;
mod event;
#[cfg(feature = "aws")]
mod event_stream;
mod sse;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use truing_core::ledger::TokenUsage;
use truing_core::line;

use self::decoder::EventDecoder;
pub use self::decoder::StreamFormat;
use self::event::{BlockDelta, CountedUsage, StreamEvent};
pub use self::sse::MAX_EVENT_BYTES;
use crate::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage, StopReason};

/// Maximum number of bytes of content in one response. The content of 128,000 tokens is far smaller.
pub const MAX_CONTENT_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of bytes of one stream, including framing and pings.
pub const MAX_STREAM_BYTES: usize = 64 * 1024 * 1024;
/// Maximum number of blocks of one response.
pub const MAX_BLOCKS: usize = 1024;
/// Maximum number of characters of a provider's message that are shown.
const MAX_QUOTED_CHARS: usize = 300;
/// The field in which a tool's input is wrapped if the model's input is not a JSON object. The API accepts
/// the wrapped input in later requests.
pub const INVALID_JSON_FIELD: &str = "INVALID_JSON";

/// Renders the type and the message of an error, each if the provider names it.
fn error_details(kind: &str, message: &str) -> String {
    [kind, message].iter().filter(|part| !part.is_empty()).map(|part| format!(": {part}")).collect()
}

/// The reason why a stream is not a valid response.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream ended before the message was complete.
    #[error("the answer broke off")]
    Truncated,
    /// The provider reports an error in the stream.
    #[error("the provider ended the answer with an error{}", error_details(kind, message))]
    ProviderError {
        /// Type of the error.
        kind: String,
        /// Message of the error.
        message: String,
    },
    /// The stream is empty.
    #[error("the answer is empty")]
    EmptyStream,
    /// The body is an HTML page.
    #[error("the answer is HTML instead of a stream of events (does a proxy answer, or is base_url wrong?)")]
    Html,
    /// The body is not a stream of events.
    #[error("the answer is not a stream of events")]
    NotAStream,
    /// An event does not conform to the provider's API.
    #[error("an event of the answer is not as expected: {0}")]
    BadEvent(String),
    /// The bytes of an event are damaged.
    #[error("an event of the answer is damaged: {0}")]
    Damaged(String),
    /// Two events contradict each other.
    #[error("the answer's events contradict each other: {0}")]
    Contradiction(&'static str),
    /// The stop reason is unknown.
    #[error("the answer stopped for a reason that this version does not know: `{0}`")]
    UnknownStopReason(String),
    /// The response exceeds a size limit.
    #[error("the answer exceeds the size limit: {0}")]
    TooLarge(&'static str),
}

/// The effect of the latest bytes on the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamProgress {
    /// The bytes added nothing to the message. They contained only pings or unknown events, or an incomplete
    /// event.
    Idle,
    /// A part of the message arrived.
    Advanced,
    /// The message is complete.
    Complete,
}

/// A complete response from a stream.
#[derive(Clone, PartialEq, Debug)]
pub struct CompleteResponse {
    pub message: ModelMessage,
    /// The reason why the model stopped.
    pub stop_reason: StopReason,
    /// Usage that the provider reported; `None` if the provider reports no usage.
    pub usage: Option<TokenUsage>,
    /// Name of the model that answered.
    pub model: String,
}

/// The usage of a response as far as it is known, from which the cost is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UsageSoFar {
    /// Usage that the provider has reported so far. Each report, including the first one, counts the whole
    /// prompt.
    pub usage: Option<TokenUsage>,
    /// Bytes of content received.
    pub content_bytes: u64,
    /// True if the usage is final.
    pub is_final: bool,
}

/// Builds a response from the chunks of its stream.
#[derive(Debug)]
pub struct AnswerAccumulator {
    decoder: EventDecoder,
    /// The first byte of the response that is not white space.
    first_byte: Option<u8>,
    received_bytes: usize,
    event_count: u64,
    model: Option<String>,
    blocks: Vec<PartialBlock>,
    usage: CountedUsage,
    content_bytes: usize,
    stop_reason: Option<Result<StopReason, String>>,
    is_done: bool,
}

/// A block that is not yet complete.
#[derive(Debug)]
struct PartialBlock {
    value: Map<String, Value>,
    /// The JSON text of a tool call's input, as received so far.
    input_json: Option<String>,
    is_open: bool,
}

impl Default for AnswerAccumulator {
    fn default() -> Self {
        Self::new(StreamFormat::Messages)
    }
}

impl AnswerAccumulator {
    /// Creates an accumulator without content, for a response in this format.
    pub fn new(format: StreamFormat) -> Self {
        Self {
            decoder: EventDecoder::new(format),
            first_byte: None,
            received_bytes: 0,
            event_count: 0,
            model: None,
            blocks: Vec::new(),
            usage: CountedUsage::default(),
            content_bytes: 0,
            stop_reason: None,
            is_done: false,
        }
    }

    /// Adds more bytes.
    ///
    /// # Errors
    /// [`StreamError`]. After an error, the caller must not add more bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<StreamProgress, StreamError> {
        self.first_byte =
            self.first_byte.or_else(|| bytes.iter().find(|byte| !byte.is_ascii_whitespace()).copied());
        self.received_bytes = self.received_bytes.saturating_add(bytes.len());
        if self.received_bytes > MAX_STREAM_BYTES {
            return Err(StreamError::TooLarge("so many bytes"));
        }
        let mut moved = false;
        for event in self.decoder.push(bytes) {
            if self.is_done {
                break;
            }
            moved |=
                self.apply_event(event.map_err(|broken| self.not_a_stream_error().unwrap_or(broken))?)?;
        }
        Ok(match (self.is_done, moved) {
            (true, _) => StreamProgress::Complete,
            (false, true) => StreamProgress::Advanced,
            (false, false) => StreamProgress::Idle,
        })
    }

    /// Returns true once an event has arrived.
    pub fn has_begun(&self) -> bool {
        self.event_count > 0
    }

    /// Returns the usage that is known so far.
    pub fn usage_so_far(&self) -> UsageSoFar {
        UsageSoFar {
            usage: self.usage.known_usage(),
            content_bytes: u64::try_from(self.content_bytes).unwrap_or(u64::MAX),
            is_final: self.is_done && self.usage.final_usage().is_some(),
        }
    }

    /// Ends the stream and returns the response.
    ///
    /// # Errors
    /// [`StreamError`] if the stream is not a complete and valid response.
    pub fn finish(mut self) -> Result<CompleteResponse, StreamError> {
        for event in self.decoder.close() {
            self.apply_event(event)?;
        }
        if !self.is_done {
            return Err(self.not_a_stream_error().unwrap_or(StreamError::Truncated));
        }
        let stop = match self.stop_reason {
            Some(Ok(stop)) => stop,
            Some(Err(unknown)) => return Err(StreamError::UnknownStopReason(unknown)),
            None => return Err(StreamError::Contradiction("the answer ended without a stop reason")),
        };
        let content = self.blocks.into_iter().map(PartialBlock::finish).collect::<Result<Vec<_>, _>>()?;
        let calls =
            content.iter().any(|block| matches!(block, MessageBlock::Known(KnownBlock::ToolUse { .. })));
        if stop == StopReason::ToolUse && !calls {
            return Err(StreamError::Contradiction("the answer stopped to call a tool, but names no tool"));
        }
        Ok(CompleteResponse {
            message: ModelMessage { role: MessageRole::Assistant, content },
            stop_reason: stop,
            usage: self.usage.final_usage(),
            model: self.model.unwrap_or_default(),
        })
    }

    /// Returns an error if the body is empty or is not a stream of events.
    fn not_a_stream_error(&self) -> Option<StreamError> {
        match (self.first_byte, self.event_count) {
            (None, _) => Some(StreamError::EmptyStream),
            (Some(b'<'), 0) => Some(StreamError::Html),
            (Some(b'{' | b'['), 0) => Some(StreamError::NotAStream),
            (Some(_), _) => None,
        }
    }

    /// Handles one event. Returns true if the event added to the message.
    fn apply_event(&mut self, event: StreamEvent) -> Result<bool, StreamError> {
        self.event_count += 1;
        let may_precede_start = match event {
            StreamEvent::MessageStart { .. }
            | StreamEvent::Ping
            | StreamEvent::Other
            | StreamEvent::Error { .. } => true,
            StreamEvent::ContentBlockStart { .. }
            | StreamEvent::ContentBlockDelta { .. }
            | StreamEvent::ContentBlockStop { .. }
            | StreamEvent::MessageDelta { .. }
            | StreamEvent::MessageStop
            | StreamEvent::Hidden { .. } => false,
        };
        if self.model.is_none() && !may_precede_start {
            return Err(StreamError::Contradiction("the first event is not the start of a message"));
        }
        match event {
            StreamEvent::MessageStart { message } => {
                if self.model.replace(line::clean_line(&message.model, MAX_QUOTED_CHARS)).is_some() {
                    return Err(StreamError::Contradiction("the message starts twice"));
                }
                self.usage.update(message.usage);
            }
            StreamEvent::ContentBlockStart { index, content_block } => {
                self.start_block(index, content_block)?;
            }
            StreamEvent::ContentBlockDelta { index, delta } => self.apply_delta(index, delta)?,
            StreamEvent::ContentBlockStop { index } => self.open_block_mut(index)?.is_open = false,
            StreamEvent::MessageDelta { delta, usage } => {
                if let Some(reason) = delta.stop_reason {
                    self.stop_reason = Some(parse_stop_reason(&reason));
                }
                self.usage.update(usage);
            }
            StreamEvent::MessageStop => self.is_done = true,
            StreamEvent::Error { error } => {
                let kind = line::clean_line(&error.kind, MAX_QUOTED_CHARS);
                return Err(StreamError::ProviderError {
                    kind,
                    message: line::clean_line(&error.message, MAX_QUOTED_CHARS),
                });
            }
            // Unknown events are ignored. The API may introduce new kinds of events, but none of them
            // contains content.
            StreamEvent::Ping | StreamEvent::Other => return Ok(false),
            StreamEvent::Hidden { bytes } => self.add_content_bytes(bytes)?,
        }
        Ok(true)
    }

    fn start_block(&mut self, index: usize, value: Map<String, Value>) -> Result<(), StreamError> {
        if index != self.blocks.len() {
            return Err(StreamError::Contradiction("the blocks of the answer are not in order"));
        }
        if index >= MAX_BLOCKS {
            return Err(StreamError::TooLarge("too many blocks"));
        }
        self.add_content_bytes(block_size(&value))?;
        self.blocks.push(PartialBlock { value, input_json: None, is_open: true });
        Ok(())
    }

    fn apply_delta(&mut self, index: usize, delta: BlockDelta) -> Result<(), StreamError> {
        self.add_content_bytes(delta.content_bytes())?;
        let block = self.open_block_mut(index)?;
        match delta {
            BlockDelta::TextDelta { text } => block.append("text", &text),
            BlockDelta::ThinkingDelta { thinking } => block.append("thinking", &thinking),
            BlockDelta::SignatureDelta { signature } => block.append("signature", &signature),
            BlockDelta::InputJsonDelta { partial_json } => {
                block.input_json.get_or_insert_default().push_str(&partial_json);
                Ok(())
            }
            BlockDelta::CitationsDelta { citation } => block.add_citation(citation),
            BlockDelta::Other => {
                Err(StreamError::BadEvent("the delta has a kind that this version does not know".into()))
            }
        }
    }

    fn open_block_mut(&mut self, index: usize) -> Result<&mut PartialBlock, StreamError> {
        let block = self.blocks.get_mut(index).filter(|block| block.is_open);
        block.ok_or(StreamError::Contradiction("an event refers to a block that is not open"))
    }

    fn add_content_bytes(&mut self, bytes: usize) -> Result<(), StreamError> {
        self.content_bytes = self.content_bytes.saturating_add(bytes);
        if self.content_bytes > MAX_CONTENT_BYTES {
            Err(StreamError::TooLarge("its content"))
        } else {
            Ok(())
        }
    }
}

impl PartialBlock {
    fn append(&mut self, field: &str, suffix: &str) -> Result<(), StreamError> {
        match self.value.entry(field).or_insert_with(|| Value::String(String::new())) {
            Value::String(text) => {
                text.push_str(suffix);
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(StreamError::Contradiction("text is added to a field of another type"))
            }
        }
    }

    fn add_citation(&mut self, citation: Value) -> Result<(), StreamError> {
        // Some servers send `null` in place of an empty list of citations.
        let citations = self.value.entry("citations").or_insert(Value::Null);
        if citations.is_null() {
            *citations = Value::Array(Vec::new());
        }
        let citations = citations.as_array_mut();
        citations
            .ok_or(StreamError::Contradiction("a citation is added to a field of another type"))?
            .push(citation);
        Ok(())
    }

    fn finish(mut self) -> Result<MessageBlock, StreamError> {
        if self.is_open {
            return Err(StreamError::Contradiction("a block does not end"));
        }
        if let Some(text) = self.input_json {
            self.value.insert("input".to_owned(), parse_tool_input(text));
        }
        truing_core::json::from_value(&Value::Object(self.value)).map_err(|error| bad_event(&error))
    }
}

/// Parses the input of a tool call. A text that is not a JSON object is wrapped in the field `INVALID_JSON`
/// of an object, which the API accepts. This field shows the caller that the input is invalid.
fn parse_tool_input(text: String) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match truing_core::json::from_str(&text) {
        Ok(Value::Object(input)) => Value::Object(input),
        Ok(_) | Err(_) => {
            Value::Object(Map::from_iter([(INVALID_JSON_FIELD.to_owned(), Value::String(text))]))
        }
    }
}

fn parse_stop_reason(reason: &str) -> Result<StopReason, String> {
    let known = truing_core::json::from_value(&Value::String(reason.to_owned()));
    known.map_err(|_| line::clean_line(reason, MAX_QUOTED_CHARS))
}

fn bad_event(error: &serde_json::Error) -> StreamError {
    let message = line::clean_line(&error.to_string(), MAX_QUOTED_CHARS);
    if error.is_data() { StreamError::BadEvent(message) } else { StreamError::Damaged(message) }
}

/// Estimates the number of bytes of content in the event that starts a block.
fn block_size(block: &Map<String, Value>) -> usize {
    block.values().map(|value| value.as_str().map_or_else(|| value.to_string().len(), str::len)).sum()
}
