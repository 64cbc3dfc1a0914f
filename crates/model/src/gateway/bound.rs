//! Computes upper bounds of a prompt's number of tokens without a request. A bound is the provider's last
//! count for the beginning of the prompt, plus one token for every byte after that beginning.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};

use serde::Serialize;

use crate::messages::{KnownBlock, MessageBlock, ModelMessage, ModelRequest};

/// Tokens that a provider adds to the text of a prompt: its own text about tools, and its markup around the
/// prompt.
const PROMPT_OVERHEAD_TOKENS: u64 = 1024;
/// Tokens that a provider adds around each message.
const MESSAGE_OVERHEAD_TOKENS: u64 = 16;
/// Typical number of bytes per token. It is used for realistic estimates, not for upper bounds.
const TYPICAL_BYTES_PER_TOKEN: u64 = 3;

/// The size of a prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PromptSize {
    /// Upper bound of the prompt's tokens.
    pub(super) max_tokens: u64,
    /// Estimated number of tokens.
    pub(super) estimated_tokens: u64,
    /// True if the provider has already counted a part of the prompt.
    pub(super) is_partly_counted: bool,
}

/// The provider's counts for the prompts of one conversation.
#[derive(Debug, Default)]
pub(super) struct TokenHistory {
    head_hash: u64,
    /// Hash of each message in the last request.
    message_hashes: Vec<u64>,
    /// The provider's counts, each with the number of messages in the counted prompt, in ascending order.
    token_counts: Vec<(usize, u64)>,
}

/// The hash and the size in bytes of each part of a prompt: the head and each message.
#[derive(Debug)]
pub(super) struct PromptMeasure {
    head_hash: (u64, u64),
    message_hashes: Vec<(u64, u64)>,
}

/// Measures a prompt. Ignores cache marks, because their positions change between the requests of a
/// conversation.
pub(super) fn measure_prompt(request: &ModelRequest) -> PromptMeasure {
    let ModelRequest {
        model,
        max_tokens: _,
        system,
        messages,
        tools,
        tool_choice,
        thinking,
        output_config,
        program,
    } = request;
    let mut head = CountingHasher::default();
    system.iter().for_each(|block| head.add_block(block));
    for tool in tools {
        head.add(&(&tool.name, &tool.description, &tool.input_schema));
    }
    head.add(&(model, tool_choice, thinking, output_config));
    if let Some(program) = program {
        head.add(&program.fields);
    }
    PromptMeasure { head_hash: head.finish(), message_hashes: messages.iter().map(measure_message).collect() }
}

fn measure_message(message: &ModelMessage) -> (u64, u64) {
    let mut tally = CountingHasher::default();
    tally.add(&message.role);
    message.content.iter().for_each(|block| tally.add_block(block));
    tally.finish()
}

impl TokenHistory {
    /// Returns the size of a prompt.
    pub(super) fn prompt_size(&self, prompt: &PromptMeasure) -> PromptSize {
        let same =
            if self.head_hash == prompt.head_hash.0 { self.count_unchanged_messages(prompt) } else { 0 };
        let counted = self.token_counts.iter().rfind(|(messages, _)| *messages <= same);
        let (known, from) = counted.map_or((None, 0), |(messages, tokens)| (Some(*tokens), *messages));
        let new: u64 =
            prompt.message_hashes.iter().skip(from).map(|(_, bytes)| bytes + MESSAGE_OVERHEAD_TOKENS).sum();
        let head = if known.is_some() { 0 } else { prompt.head_hash.1 + PROMPT_OVERHEAD_TOKENS };
        let new = new.saturating_add(head);
        let known_tokens = known.unwrap_or(0);
        PromptSize {
            max_tokens: known_tokens.saturating_add(new),
            estimated_tokens: known_tokens.saturating_add(new / TYPICAL_BYTES_PER_TOKEN),
            is_partly_counted: known.is_some(),
        }
    }

    /// Records the provider's count of a prompt.
    pub(super) fn record_count(&mut self, prompt: &PromptMeasure, tokens: u64) {
        let same =
            if self.head_hash == prompt.head_hash.0 { self.count_unchanged_messages(prompt) } else { 0 };
        self.head_hash = prompt.head_hash.0;
        self.token_counts
            .retain(|(messages, _)| *messages <= same && *messages < prompt.message_hashes.len());
        self.token_counts.push((prompt.message_hashes.len(), tokens));
        self.message_hashes = prompt.message_hashes.iter().map(|(identity, _)| *identity).collect();
    }

    /// Returns the number of messages at the beginning of the prompt that are unchanged since the last
    /// request.
    fn count_unchanged_messages(&self, prompt: &PromptMeasure) -> usize {
        let pairs = self.message_hashes.iter().zip(&prompt.message_hashes);
        pairs.take_while(|(known, (identity, _))| *known == identity).count()
    }
}

/// A writer that hashes and counts its bytes.
#[derive(Default)]
struct CountingHasher {
    hash: DefaultHasher,
    bytes: u64,
}

impl CountingHasher {
    fn add_block(&mut self, block: &MessageBlock) {
        match block {
            MessageBlock::Known(KnownBlock::Text { text, cache_control: _ }) => self.add(&("text", text)),
            MessageBlock::Known(KnownBlock::ToolUse { id, name, input }) => self.add(&(id, name, input)),
            MessageBlock::Known(KnownBlock::ToolResult {
                tool_use_id,
                content,
                is_error,
                cache_control: _,
            }) => {
                self.add(&(tool_use_id, content, is_error));
            }
            MessageBlock::Other(value) => self.add(value),
        }
    }

    fn add(&mut self, value: &impl Serialize) {
        // Writing to the hasher cannot fail. If a value cannot be serialized, the request fails later, before
        // it is sent.
        let _ = serde_json::to_writer(&mut *self, value);
    }

    fn finish(self) -> (u64, u64) {
        (self.hash.finish(), self.bytes)
    }
}

impl Write for CountingHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.write(bytes);
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::messages::MessageRole;

    fn text_message(role: MessageRole, text: &str) -> ModelMessage {
        ModelMessage { role, content: vec![MessageBlock::text(text)] }
    }

    fn request(messages: &[ModelMessage]) -> ModelRequest {
        ModelRequest {
            model: "m".into(),
            max_tokens: 1000,
            system: vec![MessageBlock::text("x".repeat(10_000))],
            messages: messages.to_vec(),
            tools: Vec::new(),
            tool_choice: None,
            thinking: None,
            output_config: None,
            program: None,
        }
    }

    #[test]
    fn what_was_counted_is_not_guessed_again() {
        let mut history = TokenHistory::default();
        let first = request(&[text_message(MessageRole::User, "one")]);
        let prompt = measure_prompt(&first);
        let bound = history.prompt_size(&prompt);
        assert!(
            !bound.is_partly_counted && bound.max_tokens > 10_000 && bound.estimated_tokens < 5000,
            "{bound:?}"
        );
        history.record_count(&prompt, 2500);

        let longer = [
            text_message(MessageRole::User, "one"),
            text_message(MessageRole::Assistant, "two"),
            text_message(MessageRole::User, "three"),
        ];
        let prompt = measure_prompt(&request(&longer));
        let bound = history.prompt_size(&prompt);
        assert!(bound.is_partly_counted && (2500..2700).contains(&bound.max_tokens), "{bound:?}");
        history.record_count(&prompt, 2520);
        assert_eq!(history.prompt_size(&prompt).max_tokens, 2520);
    }

    #[test]
    fn a_conversation_that_was_changed_counts_from_where_it_is_still_the_same() {
        let mut history = TokenHistory::default();
        let conversation = [
            text_message(MessageRole::User, "one"),
            text_message(MessageRole::Assistant, "two"),
            text_message(MessageRole::User, &"3".repeat(5000)),
            text_message(MessageRole::Assistant, "four"),
            text_message(MessageRole::User, "five"),
        ];
        history.record_count(&measure_prompt(&request(&conversation[..1])), 2500);
        history.record_count(&measure_prompt(&request(&conversation[..3])), 5000);
        history.record_count(&measure_prompt(&request(&conversation)), 5010);

        let mut trimmed = conversation;
        trimmed[2] = text_message(MessageRole::User, "cut");
        let prompt = measure_prompt(&request(&trimmed));
        assert!(
            (2500..2800).contains(&history.prompt_size(&prompt).max_tokens),
            "{:?}",
            history.prompt_size(&prompt)
        );
        history.record_count(&prompt, 2530);
        assert_eq!(history.token_counts, [(1, 2500), (5, 2530)]);

        let mut other = request(&trimmed);
        other.system = vec![MessageBlock::text("another")];
        assert!(!history.prompt_size(&measure_prompt(&other)).is_partly_counted);
    }

    #[test]
    fn marks_of_caches_may_move() {
        let marked = |cache_control| ModelMessage {
            role: MessageRole::User,
            content: vec![MessageBlock::Known(KnownBlock::Text { text: "one".into(), cache_control })],
        };
        let mut history = TokenHistory::default();
        history.record_count(&measure_prompt(&request(&[marked(Some(json!({"type": "ephemeral"})))])), 7);
        assert_eq!(history.prompt_size(&measure_prompt(&request(&[marked(None)]))).max_tokens, 7);
    }
}
