//! Converts an answer to the events of a stream or to one message of the Messages API, and encodes events for
//! each API.

use serde_json::{Value, json};

use super::script::{AnswerBlock, ScriptedUsage, StreamPosition};
use super::{bedrock, chat};

/// Number of characters of text or JSON in one event.
const DELTA_CHARS: usize = 16;

/// An answer that is ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct PreparedAnswer {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) blocks: Vec<AnswerBlock>,
    pub(super) stop_reason: String,
    pub(super) usage: ScriptedUsage,
}

/// The API of a request and its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ModelApi {
    /// The Messages API, with server-sent events.
    Messages,
    /// Amazon Bedrock, with a frame for each event.
    Bedrock,
    /// Chat Completions, with server-sent events in a different format.
    Chat,
}

impl ModelApi {
    /// Returns the complete stream of an answer.
    pub(super) fn answer_events(self, answer: &PreparedAnswer) -> Vec<AnswerEvent> {
        match self {
            Self::Messages | Self::Bedrock => stream_events(answer),
            Self::Chat => chat::answer_stream(answer),
        }
    }

    /// Returns the bytes that begin a text block.
    pub(super) fn encode_text_block_start(self) -> Vec<u8> {
        match self {
            Self::Messages | Self::Bedrock => self.event(&text_block_start()),
            Self::Chat => Vec::new(),
        }
    }

    /// Returns the bytes of an event with more text.
    pub(super) fn encode_text_delta(self, text: &str) -> Vec<u8> {
        match self {
            Self::Messages | Self::Bedrock => self.event(&text_delta(text)),
            Self::Chat => self.event(&chat::text_chunk(text)),
        }
    }

    /// Returns the bytes that keep a connection open.
    pub(super) fn ping(self) -> Vec<u8> {
        match self {
            Self::Messages | Self::Bedrock => self.event(&ping_event()),
            Self::Chat => b": ping\n\n".to_vec(),
        }
    }

    /// Returns the bytes of an event.
    pub(super) fn event(self, data: &Value) -> Vec<u8> {
        let name = data.get("type").and_then(Value::as_str).unwrap_or("message");
        match self {
            Self::Messages => format!("event: {name}\ndata: {data}\n\n").into_bytes(),
            Self::Bedrock => bedrock::event_frame(data.to_string().as_bytes()),
            // The data of the last event is the text `[DONE]` instead of JSON.
            Self::Chat => match data.as_str() {
                Some(word) => format!("data: {word}\n\n").into_bytes(),
                None => format!("data: {data}\n\n").into_bytes(),
            },
        }
    }

    /// Returns the bytes of an error that occurs in the middle of an answer.
    pub(super) fn error(self, kind: &str, message: &str) -> Vec<u8> {
        match self {
            Self::Messages => {
                self.event(&json!({"type": "error", "error": {"type": kind, "message": message}}))
            }
            Self::Bedrock => bedrock::exception_frame(kind, message),
            Self::Chat => self.event(&chat::error_json(500, kind, message)),
        }
    }

    /// Returns an event that is not JSON.
    pub(super) fn bad_event(self) -> Vec<u8> {
        let data = b"{\"type\": \"content_blo";
        match self {
            Self::Messages => [b"event: content_block_delta\ndata: ", data.as_slice(), b"\n\n"].concat(),
            Self::Bedrock => bedrock::event_frame(data),
            Self::Chat => [b"data: ", data.as_slice(), b"\n\n"].concat(),
        }
    }

    /// Returns the media type of an answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Messages | Self::Chat => "text/event-stream; charset=utf-8",
            Self::Bedrock => "application/vnd.amazon.eventstream",
        }
    }
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub(super) struct AnswerEvent {
    pub(super) data: Value,
    /// Position in the stream after this event.
    pub(super) position: Option<StreamPosition>,
    /// Number of content bytes in the event.
    pub(super) content_bytes: usize,
}

/// Returns a ping event.
fn ping_event() -> Value {
    json!({"type": "ping"})
}

/// Returns an event with more text for block 0.
fn text_delta(text: &str) -> Value {
    delta_event(0, json!({"type": "text_delta", "text": text}))
}

/// Returns the event that begins a text block.
fn text_block_start() -> Value {
    let block = json!({"type": "text", "text": ""});
    json!({"type": "content_block_start", "index": 0, "content_block": block})
}

/// Returns all events of an answer's stream.
fn stream_events(answer: &PreparedAnswer) -> Vec<AnswerEvent> {
    let mut events = vec![
        answer_event(message_start(answer), Some(StreamPosition::Start), 0),
        answer_event(ping_event(), None, 0),
    ];
    for (index, block) in answer.blocks.iter().enumerate() {
        let opened = json!({"type": "content_block_start", "index": index,
            "content_block": opening_block(answer, index, block)});
        events.push(answer_event(opened, None, 0));
        for (more, place) in block_deltas(block) {
            let content = delta_size(&more);
            events.push(answer_event(delta_event(index, more), place, content));
        }
        events.push(answer_event(
            json!({"type": "content_block_stop", "index": index}),
            Some(StreamPosition::Block),
            0,
        ));
    }
    // The API allows null for the token counts of the prompt in this event.
    let usage = json!({"output_tokens": answer.usage.output, "input_tokens": null,
        "cache_read_input_tokens": null,
        "cache_creation_input_tokens": null});
    let end = json!({"stop_reason": answer.stop_reason, "stop_sequence": null,
        "stop_details": stop_details(&answer.stop_reason)});
    events.push(answer_event(
        json!({"type": "message_delta", "delta": end, "usage": usage}),
        Some(StreamPosition::Stop),
        0,
    ));
    events.push(answer_event(json!({"type": "message_stop"}), None, 0));
    events
}

/// Returns the answer as one message, for a request without streaming.
pub(super) fn answer_message(answer: &PreparedAnswer) -> Value {
    let content: Vec<Value> =
        answer.blocks.iter().enumerate().map(|(index, block)| complete_block(answer, index, block)).collect();
    json!({
        "id": answer.id, "type": "message", "role": "assistant", "model": answer.model, "content": content,
        "stop_reason": answer.stop_reason, "stop_sequence": null,
        "stop_details": stop_details(&answer.stop_reason),
        "usage": usage_json(&answer.usage, answer.usage.output),
    })
}

fn answer_event(data: Value, position: Option<StreamPosition>, content_bytes: usize) -> AnswerEvent {
    AnswerEvent { data, position, content_bytes }
}

fn delta_event(index: usize, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn message_start(answer: &PreparedAnswer) -> Value {
    // The first event already counts one output token.
    let counted = usage_json(&answer.usage, answer.usage.output.min(1));
    json!({"type": "message_start", "message": {
        "id": answer.id, "type": "message", "role": "assistant", "model": answer.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": counted,
    }})
}

fn usage_json(usage: &ScriptedUsage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input,
        "output_tokens": output,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "service_tier": "standard",
    })
}

fn stop_details(stop_reason: &str) -> Value {
    if stop_reason != "refusal" {
        return Value::Null;
    }
    json!({"type": "refusal", "category": "cyber", "explanation": "the script says so"})
}

fn opening_block(answer: &PreparedAnswer, index: usize, block: &AnswerBlock) -> Value {
    match block {
        AnswerBlock::Text { .. } => json!({"type": "text", "text": ""}),
        AnswerBlock::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
        AnswerBlock::RedactedThinking { data } => json!({"type": "redacted_thinking", "data": data}),
        AnswerBlock::ToolUse { name, .. } => {
            json!({"type": "tool_use", "id": tool_call_id(answer, index), "name": name, "input": {}})
        }
    }
}

fn complete_block(answer: &PreparedAnswer, index: usize, block: &AnswerBlock) -> Value {
    match block {
        AnswerBlock::Text { text } => json!({"type": "text", "text": text}),
        AnswerBlock::Thinking { thinking, signature } => {
            json!({"type": "thinking", "thinking": thinking, "signature": signature})
        }
        AnswerBlock::RedactedThinking { data } => json!({"type": "redacted_thinking", "data": data}),
        AnswerBlock::ToolUse { name, input, json: _ } => {
            json!({"type": "tool_use", "id": tool_call_id(answer, index), "name": name,
                "input": object_or_empty(input)})
        }
    }
}

/// Returns a unique id for a tool call.
pub(super) fn tool_call_id(answer: &PreparedAnswer, index: usize) -> String {
    format!("toolu_{}_{index}", answer.id.trim_start_matches("msg_"))
}

fn block_deltas(block: &AnswerBlock) -> Vec<(Value, Option<StreamPosition>)> {
    match block {
        AnswerBlock::Text { text } => split_text(text)
            .map(|piece| (json!({"type": "text_delta", "text": piece}), Some(StreamPosition::Text)))
            .collect(),
        AnswerBlock::Thinking { thinking, signature } => split_text(thinking)
            .map(|piece| (json!({"type": "thinking_delta", "thinking": piece}), None))
            .chain([(json!({"type": "signature_delta", "signature": signature}), None)])
            .collect(),
        AnswerBlock::RedactedThinking { .. } => Vec::new(),
        AnswerBlock::ToolUse { input, json: written, .. } => {
            let written = written.clone().unwrap_or_else(|| object_or_empty(input).to_string());
            let pieces: Vec<String> = split_text(&written).collect();
            // As in the real API, the first piece of a tool's input is empty.
            std::iter::once(String::new())
                .chain(pieces)
                .map(|piece| {
                    let place = (!piece.is_empty()).then_some(StreamPosition::ToolJson);
                    (json!({"type": "input_json_delta", "partial_json": piece}), place)
                })
                .collect()
        }
    }
}

pub(super) fn object_or_empty(input: &Value) -> Value {
    if input.is_null() { json!({}) } else { input.clone() }
}

/// Splits a text into pieces. The pieces of a long text are longer, so a text has at most a few thousand
/// pieces.
pub(super) fn split_text(text: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    let piece = DELTA_CHARS.max(chars.len() / 2000);
    chars.chunks(piece).map(|chunk| chunk.iter().collect()).collect::<Vec<String>>().into_iter()
}

fn delta_size(delta: &Value) -> usize {
    ["text", "thinking", "partial_json"]
        .iter()
        .filter_map(|field| delta.get(field).and_then(Value::as_str))
        .map(str::len)
        .sum()
}
