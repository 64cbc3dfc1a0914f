//! The data types of the Messages API: requests, messages, blocks, stop reasons.
//!
//! Blocks of unknown kinds, such as thinking blocks with their signatures, are kept, and are returned to the
//! provider unchanged.

use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One request. The gateway sets the field `stream`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModelRequest {
    pub model: String,
    /// Maximum number of tokens of the response, including thinking.
    pub max_tokens: u32,
    /// System prompt, as text blocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<MessageBlock>,
    /// Messages of the conversation so far.
    pub messages: Vec<ModelMessage>,
    /// Tools that the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDefinition>,
    /// States whether the model may or must call a tool, and which tool; `None` for the provider's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Value>,
    /// Configuration of thinking; `None` for the provider's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Value>,
    /// Effort and schema of the response; `None` for free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<Value>,
    /// The parts of the request that another program has written, if the request is that program's.
    #[serde(skip)]
    pub program: Option<Box<ProgramParts>>,
}

/// The parts of a program's request that Truing sends to the provider unchanged.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProgramParts {
    /// Headers with which the program names itself, its version and the features that it uses.
    pub headers: HeaderMap,
    /// Fields of the body that [`ModelRequest`] does not contain.
    pub fields: Map<String, Value>,
}

/// A tool that the model may call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ToolDefinition {
    pub name: String,
    /// Description for the model.
    pub description: String,
    /// JSON Schema of its input.
    pub input_schema: Value,
    /// Marks the end of a part of the prompt that the provider caches. Only the last tool has this mark.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache_control: Option<Value>,
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelMessage {
    /// Author of the message.
    pub role: MessageRole,
    /// Content as blocks, in order.
    pub content: Vec<MessageBlock>,
}

/// The author of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// Truing itself, which sends the run's messages in the role of the user.
    User,
    /// The model.
    Assistant,
    /// The operator, whose instructions may appear between other messages.
    System,
}

/// A block of a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MessageBlock {
    /// A block of a kind that Truing creates or interprets.
    Known(KnownBlock),
    /// A block of any other kind, unchanged: an object with its own `type`.
    Other(Value),
}

/// The kinds of blocks that Truing creates or interprets. A block with additional fields becomes
/// `MessageBlock::Other`, because `KnownBlock` would lose these fields.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum KnownBlock {
    /// A block with plain text.
    Text {
        text: String,
        /// Marks the end of a part of the prompt that the provider caches.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cache_control: Option<Value>,
    },
    /// A call of a tool by the model.
    ToolUse {
        /// Id of the call.
        id: String,
        /// Name of the tool.
        name: String,
        /// The tool's input, as any JSON value.
        input: Value,
    },
    /// The result of a call.
    ToolResult {
        /// Id of the call.
        tool_use_id: String,
        /// Output of the tool.
        content: String,
        /// True if the call failed.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        is_error: bool,
        /// Marks the end of a part of the prompt that the provider caches.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cache_control: Option<Value>,
    },
}

impl MessageBlock {
    /// Returns a text block without a cache mark.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Known(KnownBlock::Text { text: text.into(), cache_control: None })
    }
}

/// The reason why a model stopped. A response with an unknown reason is an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The response is complete.
    EndTurn,
    /// The model calls tools.
    ToolUse,
    /// The limit `max_tokens` is reached.
    MaxTokens,
    /// A stop sequence was generated.
    StopSequence,
    /// The model paused a long turn. A request with the same messages lets the model continue.
    PauseTurn,
    /// The model declines to respond.
    Refusal,
    /// The model's context is full.
    ModelContextWindowExceeded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_goes_back_as_it_came() {
        for text in [
            r#"{"type":"text","text":"a"}"#,
            r#"{"type":"text","text":"a","citations":[{"x":1}]}"#,
            r#"{"type":"thinking","thinking":"t","signature":"s"}"#,
            r#"{"type":"tool_use","id":"1","name":"read","input":{"path":"a"}}"#,
            r#"{"type":"tool_result","tool_use_id":"1","content":[{"type":"image"}]}"#,
        ] {
            let block: MessageBlock = serde_json::from_str(text).unwrap();
            let back: Value = serde_json::to_value(&block).unwrap();
            assert_eq!(back, serde_json::from_str::<Value>(text).unwrap());
        }
    }
}
