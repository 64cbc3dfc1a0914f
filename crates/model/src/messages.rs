//! The Messages API as data: requests, messages, blocks, stop reasons.
//!
//! Blocks of kinds that this version does not know are kept as they came and go back unchanged, thinking blocks with
//! their signatures among them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request. `stream` is set by the gateway.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModelRequest {
    /// The model's id.
    pub model: String,
    /// At most so many tokens in the answer, thinking included.
    pub max_tokens: u32,
    /// The system prompt: text blocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<MessageBlock>,
    /// What was said so far.
    pub messages: Vec<ModelMessage>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDefinition>,
    /// Which tools it must or may call; none: the provider's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Value>,
    /// How it may think; none: the provider's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Value>,
    /// Effort and the schema of the answer; none: free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<Value>,
}

/// A tool that the model may call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its input.
    pub input_schema: Value,
    /// Marks the end of a prefix to cache; on the last tool at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache_control: Option<Value>,
}

/// One message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelMessage {
    /// Who says it.
    pub role: MessageRole,
    /// What, in order.
    pub content: Vec<MessageBlock>,
}

/// Who says something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// The run.
    User,
    /// The model.
    Assistant,
    /// The operator, in mid-conversation.
    System,
}

/// A piece of a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MessageBlock {
    /// One of the kinds that the runtime acts on.
    Known(KnownBlock),
    /// Any other kind, exactly as it came: an object with its own `type`.
    Other(Value),
}

/// The kinds of blocks that the runtime makes or acts on. Fields beyond these keep a block from being one of them, so
/// that nothing of it is lost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum KnownBlock {
    /// Words.
    Text {
        /// The words.
        text: String,
        /// Marks the end of a prefix to cache.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cache_control: Option<Value>,
    },
    /// The model calls a tool.
    ToolUse {
        /// Names the call.
        id: String,
        /// The tool.
        name: String,
        /// Its input, of any shape.
        input: Value,
    },
    /// What a call came to.
    ToolResult {
        /// The call.
        tool_use_id: String,
        /// Its output.
        content: String,
        /// Did it fail?
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        is_error: bool,
        /// Marks the end of a prefix to cache.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cache_control: Option<Value>,
    },
}

impl MessageBlock {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Known(KnownBlock::Text { text: text.into(), cache_control: None })
    }
}

/// Why a model stopped. A reason that is not one of these is an error, never an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It has said what it wanted.
    EndTurn,
    /// It wants tools to be called.
    ToolUse,
    /// `max_tokens` is reached.
    MaxTokens,
    /// A stop sequence came.
    StopSequence,
    /// It pauses a long turn: asked again with the same messages, it goes on.
    PauseTurn,
    /// It declines.
    Refusal,
    /// Its context is full.
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
