//! Keeping a conversation within a model's context, and what of it is to be cached.
//!
//! Only results of tools are ever taken out, oldest first, and each says so in its place. What the model said stays
//! as it came, thinking and its signatures among it.

use serde_json::{Value, json};
use truing_core::ledger::TokenUsage;
use truing_model::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage, ModelRequest};

/// How full the context may become before results are taken out, in percent.
const FULL_PERCENT: u64 = 75;
/// How full it is left then: seldom and much, because what is behind the first change is cached anew.
const LEFT_PERCENT: u64 = 45;
/// Bytes that are one token at least: text of most languages has more.
const BYTES_PER_TOKEN: u64 = 3;
/// A result of fewer bytes is worth more than the words in its place.
const WORTH_TRIMMING: usize = 400;

/// How much of a context is used, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ContextWindow {
    /// Tokens of all there is.
    size: u64,
    /// Counted by the provider, up to and with its last answer.
    counted: u64,
    /// Bytes that came after that.
    since: u64,
}

impl ContextWindow {
    pub(super) fn new(size: u64) -> Self {
        Self { size, ..Self::default() }
    }

    /// The provider has counted everything up to its answer.
    pub(super) fn counted(&mut self, usage: &TokenUsage) {
        self.counted = usage.all();
        self.since = 0;
    }

    /// So many bytes were added.
    pub(super) fn grown(&mut self, bytes: usize) {
        self.since = self.since.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn tokens(&self) -> u64 {
        self.counted.saturating_add(self.since / BYTES_PER_TOKEN)
    }

    /// Takes out old results if the context is nearly full. The answer: how many.
    pub(super) fn keep(&mut self, messages: &mut [ModelMessage]) -> u32 {
        if self.tokens() <= self.size / 100 * FULL_PERCENT {
            return 0;
        }
        let mut over = self.tokens().saturating_sub(self.size / 100 * LEFT_PERCENT);
        let (mut trimmed, mut freed) = (0, 0_u64);
        let older = messages.len().saturating_sub(1);
        for content in results(messages.iter_mut().take(older)) {
            if over == 0 {
                break;
            }
            let bytes = trim(content);
            over = over.saturating_sub(bytes / BYTES_PER_TOKEN);
            freed = freed.saturating_add(bytes);
            trimmed += 1;
        }
        self.counted = self.counted.saturating_sub(freed / BYTES_PER_TOKEN);
        trimmed
    }
}

/// Takes out every result that was not asked for last; if there is none, those too. The answer: how many.
pub(super) fn trim_all(messages: &mut [ModelMessage]) -> u32 {
    let all = |messages: &mut [ModelMessage]| results(messages.iter_mut()).map(trim).count();
    let older = messages.len().saturating_sub(1);
    let mut count = messages.get_mut(..older).map_or(0, all);
    if count == 0 {
        count = all(messages);
    }
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The results that are worth to be taken out.
fn results<'a>(messages: impl Iterator<Item = &'a mut ModelMessage>) -> impl Iterator<Item = &'a mut String> {
    messages.flat_map(|message| message.content.iter_mut()).filter_map(|block| match block {
        MessageBlock::Known(KnownBlock::ToolResult { content, .. }) if content.len() > WORTH_TRIMMING => {
            Some(content)
        }
        MessageBlock::Known(
            KnownBlock::ToolResult { .. } | KnownBlock::Text { .. } | KnownBlock::ToolUse { .. },
        )
        | MessageBlock::Other(_) => None,
    })
}

/// Says in a result's place that it was taken out. The answer: bytes that this saves.
fn trim(content: &mut String) -> u64 {
    let bytes = content.len();
    *content = format!(
        "[{bytes} bytes of output were taken out to save room: call the tool again if you need them]"
    );
    u64::try_from(bytes.saturating_sub(content.len())).unwrap_or(0)
}

/// Marks what a provider is to cache: the tools and the system prompt (by whoever makes them), what was said until the
/// last turn, and what was said since. Four marks, which is as many as there may be.
pub(super) fn mark(request: &mut ModelRequest) {
    let mut marks = 2;
    for message in request.messages.iter_mut().rev().filter(|message| message.role == MessageRole::User) {
        for (at, block) in message.content.iter_mut().rev().enumerate() {
            if let MessageBlock::Known(
                KnownBlock::Text { cache_control, .. } | KnownBlock::ToolResult { cache_control, .. },
            ) = block
            {
                let marked = at == 0 && marks > 0;
                *cache_control = marked.then(ephemeral);
                marks -= usize::from(marked);
            }
        }
    }
}

/// For five minutes.
pub(super) fn ephemeral() -> Value {
    json!({ "type": "ephemeral" })
}
