//! Converts the chunks of a streamed chat completion to events of the Messages API, and compensates for
//! differences between servers. A tool call may lack its index or its id, two tool calls may have the same
//! id, and arguments may arrive in pieces or as an object. Usage may be in any chunk or in none. A server may
//! end a response that contains tool calls with an ordinary stop reason.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::event::{BlockDelta, ErrorEvent, MessageStart, RawUsage, StopDelta, StreamEvent};
use super::sse::SseSplitter;
use crate::chat_error::{ChatError, read_error};

/// The data of the event that ends the stream.
const STREAM_END: &[u8] = b"[DONE]";

/// The reasons that a chunk is invalid.
#[derive(Debug)]
pub(super) enum ChunkError {
    /// The chunk exceeds the maximum size of an event.
    TooLong,
    /// The chunk is not a valid JSON chat completion chunk.
    Json(serde_json::Error),
    /// The chunk begins a tool call that has no tool name.
    MissingToolName,
}

/// Converts the chunks of one response to events.
#[derive(Debug, Default)]
pub(super) struct ChatChunkDecoder {
    sse_splitter: SseSplitter,
    has_begun: bool,
    /// Index of the text block, while it is open.
    open_text_block: Option<usize>,
    tool_calls: Vec<PartialToolCall>,
    /// Number of blocks so far.
    block_count: usize,
    stop_reason: Option<String>,
    has_refused: bool,
    /// The last complete usage that was reported. Each report is cumulative, so the last report contains the
    /// total.
    usage: Option<ChatUsage>,
    is_over: bool,
}

/// A tool call that is not yet complete.
#[derive(Debug)]
struct PartialToolCall {
    block_index: usize,
    /// Index of the call, as the server sent it.
    index: Option<u64>,
    /// Id of the call, as the server sent it.
    id: Option<String>,
}

#[derive(Deserialize)]
struct ChatChunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Option<Vec<ChatChoice>>,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChatChoice {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    delta: Option<ChatDelta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct ChatDelta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    /// Thinking text of the model, in `reasoning_content` or `reasoning`. A few servers send the same text in
    /// both fields. No server accepts the text in a later request.
    #[serde(default)]
    reasoning_content: Value,
    #[serde(default)]
    reasoning: Value,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionCall>,
}

#[derive(Deserialize)]
struct FunctionCall {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<Value>,
}

/// Token counts as a server reports them.
#[derive(Clone, Copy, Debug)]
struct ChatUsage {
    /// Tokens of the prompt, including those that were read from or written to caches.
    prompt_tokens: u64,
    output_tokens: u64,
    /// Tokens that were read from a cache.
    cache_read_tokens: u64,
    /// Tokens that were written to a cache.
    cache_write_tokens: u64,
}

impl ChatChunkDecoder {
    /// Adds more bytes, and returns the events that these bytes complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<StreamEvent, ChunkError>> {
        let Ok(all) = self.sse_splitter.push(bytes) else { return vec![Err(ChunkError::TooLong)] };
        let mut events = Vec::new();
        for data in all {
            if self.is_over {
                break;
            }
            if data.trim_ascii() == STREAM_END {
                // Without a stop reason, no event ends the message, so the response is treated as truncated.
                events.extend(self.close().into_iter().map(Ok));
                self.is_over = true;
                continue;
            }
            match truing_core::json::from_slice::<ChatChunk>(&data) {
                Ok(chunk) => {
                    if let Err(fault) = self.apply_chunk(chunk, &mut events) {
                        events.push(Err(fault));
                    }
                }
                Err(error) => events.push(Err(ChunkError::Json(error))),
            }
        }
        events
    }

    /// Returns the events that end the message, if the server sent a stop reason. This handles servers that
    /// close the connection without sending `[DONE]`.
    pub(super) fn close(&mut self) -> Vec<StreamEvent> {
        if self.stop_reason.is_some() && !self.is_over { self.end_message() } else { Vec::new() }
    }

    fn end_message(&mut self) -> Vec<StreamEvent> {
        self.is_over = true;
        let open = self
            .open_text_block
            .take()
            .into_iter()
            .chain(self.tool_calls.iter().map(|call| call.block_index));
        let mut events: Vec<StreamEvent> =
            open.map(|index| StreamEvent::ContentBlockStop { index }).collect();
        let delta = StopDelta {
            stop_reason: self.stop_reason.take().map(|reason| {
                if self.has_refused {
                    "refusal".to_owned()
                } else {
                    stop_reason(reason, !self.tool_calls.is_empty())
                }
            }),
        };
        // If the response has content, a usage of zero output tokens must be wrong, and is ignored.
        let usage = self.usage.filter(|usage| usage.output_tokens > 0 || self.block_count == 0);
        events.push(StreamEvent::MessageDelta { delta, usage: usage.map(ChatUsage::to_raw_usage) });
        events.push(StreamEvent::MessageStop);
        events
    }

    fn apply_chunk(
        &mut self,
        chunk: ChatChunk,
        events: &mut Vec<Result<StreamEvent, ChunkError>>,
    ) -> Result<(), ChunkError> {
        let ChatChunk { model, choices, usage, error } = chunk;
        if let Some(error) = error.filter(|error| !error.is_null()) {
            let ChatError { name: kind, message } = read_error(&error);
            events.push(Ok(StreamEvent::Error { error: ErrorEvent { kind, message } }));
            return Ok(());
        }
        self.usage = ChatUsage::read(&usage).or(self.usage);
        // Requests ask for only one choice, so choices with another index are ignored.
        let choices = choices.unwrap_or_default().into_iter().filter(|choice| choice.index == 0);
        for ChatChoice { index: _, delta, finish_reason } in choices {
            // The message starts with the first chunk that has a choice, because Azure's first chunk has
            // neither a choice nor a model.
            if !std::mem::replace(&mut self.has_begun, true) {
                let message = MessageStart { model: model.clone().unwrap_or_default(), usage: None };
                events.push(Ok(StreamEvent::MessageStart { message }));
            }
            if let Some(delta) = delta {
                self.apply_delta(delta, events)?;
            }
            self.stop_reason = finish_reason.filter(|reason| !reason.is_empty()).or(self.stop_reason.take());
        }
        Ok(())
    }

    fn apply_delta(
        &mut self,
        delta: ChatDelta,
        events: &mut Vec<Result<StreamEvent, ChunkError>>,
    ) -> Result<(), ChunkError> {
        let ChatDelta { content, refusal, reasoning_content, reasoning, tool_calls } = delta;
        let thoughts = [&reasoning_content, &reasoning].into_iter().filter_map(|text| text.as_str());
        if let Some(bytes) = thoughts.map(str::len).max().filter(|bytes| *bytes > 0) {
            events.push(Ok(StreamEvent::Hidden { bytes }));
        }
        if refusal.as_ref().is_some_and(|words| !words.is_empty()) {
            self.has_refused = true;
        }
        for text in [content, refusal].into_iter().flatten().filter(|text| !text.is_empty()) {
            let index = match self.open_text_block {
                Some(index) => index,
                None => {
                    let index = self.start_block(json!({"type": "text", "text": ""}), events);
                    self.open_text_block = Some(index);
                    index
                }
            };
            events.push(Ok(StreamEvent::ContentBlockDelta { index, delta: BlockDelta::TextDelta { text } }));
        }
        for call in tool_calls.unwrap_or_default() {
            self.apply_tool_call(call, events)?;
        }
        Ok(())
    }

    /// Adds a part to a tool call. The call is identified by its index or, if there is no index, by its id. A
    /// part without index and id belongs to the last call.
    fn apply_tool_call(
        &mut self,
        call: ToolCall,
        events: &mut Vec<Result<StreamEvent, ChunkError>>,
    ) -> Result<(), ChunkError> {
        let ToolCall { index, id, function } = call;
        let id = id.filter(|id| !id.is_empty());
        let (name, arguments) = function.map_or((None, None), |function| (function.name, function.arguments));
        let name = name.filter(|name| !name.is_empty());
        let arguments = arguments.filter(|arguments| !arguments.is_null() && *arguments != "");
        let known = match (index, &id) {
            (Some(_), _) => self.tool_calls.iter().find(|call| call.index == index),
            (None, Some(_)) => self.tool_calls.iter().find(|call| call.id == id && name.is_none()),
            (None, None) if name.is_none() => self.tool_calls.last(),
            (None, None) => None,
        };
        let block = match known {
            // A name is sent only with the first part of a call. A part with a name and another id therefore
            // starts a new call, even if a server reuses the index.
            Some(call) if name.is_none() || id.is_none() || call.id == id => call.block_index,
            // Some servers announce a call with a chunk that contains neither a name nor arguments. This
            // chunk is ignored.
            None if name.is_none() && arguments.is_none() => return Ok(()),
            Some(_) | None => {
                let name = name.ok_or(ChunkError::MissingToolName)?;
                if let Some(index) = self.open_text_block.take() {
                    events.push(Ok(StreamEvent::ContentBlockStop { index }));
                }
                let block = self.start_block(
                    json!({"type": "tool_use", "id": self.unique_id(id.as_deref()), "name": name,
                        "input": {}}),
                    events,
                );
                if let Some(call) =
                    self.tool_calls.iter_mut().find(|call| index.is_some() && call.index == index)
                {
                    call.index = None;
                }
                self.tool_calls.push(PartialToolCall { block_index: block, index, id });
                block
            }
        };
        let partial_json = match arguments {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::String(text)) => text,
            Some(whole @ (Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_))) => {
                whole.to_string()
            }
        };
        let delta = BlockDelta::InputJsonDelta { partial_json };
        events.push(Ok(StreamEvent::ContentBlockDelta { index: block, delta }));
        Ok(())
    }

    /// Returns an id that no other call of this response has.
    fn unique_id(&self, id: Option<&str>) -> String {
        let taken: BTreeSet<&str> = self.tool_calls.iter().filter_map(|call| call.id.as_deref()).collect();
        match id {
            Some(id) if !taken.contains(id) => id.to_owned(),
            Some(id) => format!("{id}-{}", self.tool_calls.len()),
            None => format!("call-{}", self.tool_calls.len()),
        }
    }

    fn start_block(&mut self, block: Value, events: &mut Vec<Result<StreamEvent, ChunkError>>) -> usize {
        let index = self.block_count;
        self.block_count += 1;
        let content_block = match block {
            Value::Object(block) => block,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Map::new()
            }
        };
        events.push(Ok(StreamEvent::ContentBlockStart { index, content_block }));
        index
    }
}

/// Converts a stop reason to the Messages API's name. If the response has tool calls, the stop reason `stop`
/// that some servers send is corrected.
fn stop_reason(reason: String, has_calls: bool) -> String {
    match reason.as_str() {
        "stop" | "eos" | "tool_calls" | "function_call" if has_calls => "tool_use".to_owned(),
        "stop" | "eos" => "end_turn".to_owned(),
        "tool_calls" | "function_call" => "tool_use".to_owned(),
        "length" | "model_length" => "max_tokens".to_owned(),
        "content_filter" => "refusal".to_owned(),
        _ => reason,
    }
}

impl ChatUsage {
    /// Parses the usage. Returns `None` if the count of prompt tokens or of completion tokens is missing, or
    /// if the prompt has no tokens.
    fn read(usage: &Value) -> Option<Self> {
        let prompt = token_count(&usage["prompt_tokens"]).filter(|prompt| *prompt > 0)?;
        let completion = token_count(&usage["completion_tokens"])?;
        let part =
            |key: &str, limit: u64| token_count(&usage["prompt_tokens_details"][key]).unwrap_or(0).min(limit);
        let cached = part("cached_tokens", prompt);
        let written = part("cache_write_tokens", prompt - cached);
        // Some servers include thinking tokens only in `total_tokens`. The number of response tokens is
        // therefore at least `total_tokens` minus the prompt tokens.
        let total = token_count(&usage["total_tokens"]).unwrap_or(0);
        Some(Self {
            prompt_tokens: prompt,
            output_tokens: completion.max(total.saturating_sub(prompt)),
            cache_read_tokens: cached,
            cache_write_tokens: written,
        })
    }

    /// Converts the counts to those of the Messages API. The API's input count excludes tokens that were read
    /// from or written to a cache.
    fn to_raw_usage(self) -> RawUsage {
        let Self {
            prompt_tokens: prompt,
            output_tokens: output,
            cache_read_tokens: cached,
            cache_write_tokens: written,
        } = self;
        RawUsage::from_counts(prompt - cached - written, output, (cached, written))
    }
}

/// Parses a token count. Some servers send a number with a decimal point.
fn token_count(value: &Value) -> Option<u64> {
    let rounded = || format!("{:.0}", value.as_f64().filter(|count| *count >= 0.0)?.ceil()).parse().ok();
    value.as_u64().or_else(rounded)
}
