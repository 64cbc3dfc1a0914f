//! Keeps a conversation within a model's context, and marks the messages that a provider should cache.
//!
//! Only tool results are removed, oldest first, and a note replaces each. The model's own messages stay
//! unchanged, including thinking and signatures.

use serde_json::{Value, json};
use truing_core::ledger::TokenUsage;
use truing_model::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage, ModelRequest};

/// Results are removed when this percentage of the context is used.
const TRIM_START_PERCENT: u64 = 75;
/// Results are removed until about this percentage of the context is used. Removals are large and rare,
/// because everything after the first removed result must be cached again.
const TRIM_TARGET_PERCENT: u64 = 45;
/// Lower bound of the number of bytes per token; text in most languages has more bytes per token.
const BYTES_PER_TOKEN: u64 = 3;
/// Only results with more bytes than this number are removed. Replacing a shorter result with a note would
/// save too little.
const MIN_TRIMMED_RESULT_BYTES: usize = 400;

/// An estimate of the used part of a model's context.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ContextWindow {
    /// Context size in tokens.
    context_tokens: u64,
    /// Tokens that the provider reported, up to its last response.
    reported_tokens: u64,
    /// Bytes that were added after the provider's last response.
    added_bytes: u64,
}

impl ContextWindow {
    pub(super) fn new(size: u64) -> Self {
        Self { context_tokens: size, ..Self::default() }
    }

    /// Records the provider's count of all tokens up to its response.
    pub(super) fn record_usage(&mut self, usage: &TokenUsage) {
        self.reported_tokens = usage.total();
        self.added_bytes = 0;
    }

    /// Adds this many bytes.
    pub(super) fn add_bytes(&mut self, bytes: usize) {
        self.added_bytes = self.added_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn estimated_tokens(&self) -> u64 {
        self.reported_tokens.saturating_add(self.added_bytes / BYTES_PER_TOKEN)
    }

    /// Removes old results if the context is nearly full. Returns the number of removed results.
    pub(super) fn trim_messages(&mut self, messages: &mut [ModelMessage]) -> u32 {
        if self.estimated_tokens() <= self.context_tokens / 100 * TRIM_START_PERCENT {
            return 0;
        }
        let mut over =
            self.estimated_tokens().saturating_sub(self.context_tokens / 100 * TRIM_TARGET_PERCENT);
        let (mut trimmed, mut freed) = (0, 0_u64);
        let older = messages.len().saturating_sub(1);
        for content in removable_results(messages.iter_mut().take(older)) {
            if over == 0 {
                break;
            }
            let bytes = trim_result(content);
            over = over.saturating_sub(bytes / BYTES_PER_TOKEN);
            freed = freed.saturating_add(bytes);
            trimmed += 1;
        }
        self.reported_tokens = self.reported_tokens.saturating_sub(freed / BYTES_PER_TOKEN);
        trimmed
    }
}

/// Removes all results except the results in the last message. If no other results exist, removes the results
/// in the last message. Returns the number of removed results.
pub(super) fn trim_older_results(messages: &mut [ModelMessage]) -> u32 {
    let all = |messages: &mut [ModelMessage]| removable_results(messages.iter_mut()).map(trim_result).count();
    let older = messages.len().saturating_sub(1);
    let mut count = messages.get_mut(..older).map_or(0, all);
    if count == 0 {
        count = all(messages);
    }
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns the tool results that are long enough to be removed.
fn removable_results<'a>(
    messages: impl Iterator<Item = &'a mut ModelMessage>,
) -> impl Iterator<Item = &'a mut String> {
    messages.flat_map(|message| message.content.iter_mut()).filter_map(|block| match block {
        MessageBlock::Known(KnownBlock::ToolResult { content, .. })
            if content.len() > MIN_TRIMMED_RESULT_BYTES =>
        {
            Some(content)
        }
        MessageBlock::Known(
            KnownBlock::ToolResult { .. } | KnownBlock::Text { .. } | KnownBlock::ToolUse { .. },
        )
        | MessageBlock::Other(_) => None,
    })
}

/// Replaces a result by a note. Returns the bytes saved.
fn trim_result(content: &mut String) -> u64 {
    let bytes = content.len();
    *content = format!(
        "[{bytes} bytes of output were taken out to save room: call the tool again if you need them]"
    );
    u64::try_from(bytes.saturating_sub(content.len())).unwrap_or(0)
}

/// Marks two positions up to which a provider should cache the conversation: the last two messages that are
/// not from the model. Together with the caller's two marks, for the tools and the system prompt, this is the
/// allowed maximum of four marks.
pub(super) fn mark_cache(request: &mut ModelRequest) {
    let mut marks = 2;
    for message in request.messages.iter_mut().rev().filter(|message| message.role == MessageRole::User) {
        for (at, block) in message.content.iter_mut().rev().enumerate() {
            if let MessageBlock::Known(
                KnownBlock::Text { cache_control, .. } | KnownBlock::ToolResult { cache_control, .. },
            ) = block
            {
                let marked = at == 0 && marks > 0;
                *cache_control = marked.then(ephemeral_cache_control);
                marks -= usize::from(marked);
            }
        }
    }
}

/// Returns a cache mark that is valid for five minutes.
pub(super) fn ephemeral_cache_control() -> Value {
    json!({ "type": "ephemeral" })
}
