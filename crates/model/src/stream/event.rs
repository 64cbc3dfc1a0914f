//! The events of a stream in the Messages API's format, and their token counts.

use serde::Deserialize;
use serde_json::{Map, Value};
use truing_core::ledger::TokenUsage;

/// One event of a stream.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum StreamEvent {
    MessageStart {
        message: MessageStart,
    },
    ContentBlockStart {
        index: usize,
        content_block: Map<String, Value>,
    },
    ContentBlockDelta {
        index: usize,
        delta: BlockDelta,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        #[serde(default)]
        delta: StopDelta,
        #[serde(default)]
        usage: Option<RawUsage>,
    },
    MessageStop,
    Ping,
    Error {
        error: ErrorEvent,
    },
    /// Content that is billed, but is not part of the message. Only decoders of other formats create this
    /// event; the Messages API does not send it.
    #[serde(skip)]
    Hidden {
        bytes: usize,
    },
    #[serde(other)]
    Other,
}

/// The beginning of a message.
#[derive(Deserialize)]
pub(super) struct MessageStart {
    #[serde(default)]
    pub(super) model: String,
    #[serde(default)]
    pub(super) usage: Option<RawUsage>,
}

/// An addition to a block.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum BlockDelta {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    CitationsDelta {
        citation: Value,
    },
    #[serde(other)]
    Other,
}

impl BlockDelta {
    /// Returns the number of bytes of content in the addition.
    pub(super) fn content_bytes(&self) -> usize {
        match self {
            Self::TextDelta { text } => text.len(),
            Self::InputJsonDelta { partial_json } => partial_json.len(),
            Self::ThinkingDelta { thinking } => thinking.len(),
            Self::SignatureDelta { signature } => signature.len(),
            Self::CitationsDelta { citation } => citation.to_string().len(),
            Self::Other => 0,
        }
    }
}

/// The end of a message.
#[derive(Deserialize, Default)]
pub(super) struct StopDelta {
    #[serde(default)]
    pub(super) stop_reason: Option<String>,
}

/// An error, in a stream or as a response.
#[derive(Deserialize)]
pub(super) struct ErrorEvent {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) message: String,
}

/// Token counts of an event. If a count is missing, its value from an earlier event remains valid.
#[derive(Deserialize, Default)]
pub(super) struct RawUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation: Option<CacheCreationTokens>,
}

impl RawUsage {
    /// Returns the counts of a whole response. `cache_reads_and_writes` contains the number of tokens read
    /// from caches and the number of tokens written to caches.
    pub(super) fn from_counts(input: u64, output: u64, cache_reads_and_writes: (u64, u64)) -> Self {
        Self {
            input_tokens: Some(input),
            output_tokens: Some(output),
            cache_read_input_tokens: Some(cache_reads_and_writes.0),
            cache_creation_input_tokens: Some(cache_reads_and_writes.1),
            ..Self::default()
        }
    }
}

/// Tokens written to caches, by the caches' lifetime.
#[derive(Deserialize)]
struct CacheCreationTokens {
    #[serde(default)]
    ephemeral_5m_input_tokens: Option<u64>,
    #[serde(default)]
    ephemeral_1h_input_tokens: Option<u64>,
}

/// The latest value of each count. Counts are cumulative, so a later count replaces the earlier one.
#[derive(Debug, Default)]
pub(super) struct CountedUsage {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: u64,
    /// Total number of tokens written to caches, for any lifetime.
    cache_write: u64,
    cache_write_1h: u64,
}

impl CountedUsage {
    pub(super) fn update(&mut self, raw: Option<RawUsage>) {
        let Some(raw) = raw else { return };
        self.input = raw.input_tokens.or(self.input);
        self.output = raw.output_tokens.or(self.output);
        self.cache_read = raw.cache_read_input_tokens.unwrap_or(self.cache_read);
        if let Some(creation) = &raw.cache_creation {
            let hour = creation.ephemeral_1h_input_tokens.unwrap_or(self.cache_write_1h);
            let short = creation.ephemeral_5m_input_tokens.unwrap_or(0);
            self.cache_write_1h = hour;
            self.cache_write = self.cache_write.max(short.saturating_add(hour));
        }
        self.cache_write =
            raw.cache_creation_input_tokens.unwrap_or(self.cache_write).max(self.cache_write_1h);
    }

    /// Returns the usage that is known so far; `None` before the provider has reported the prompt's tokens.
    pub(super) fn known_usage(&self) -> Option<TokenUsage> {
        Some(TokenUsage {
            input: self.input?,
            output: self.output.unwrap_or(0),
            cache_read: self.cache_read,
            // If no lifetime is reported for written tokens, they have the default lifetime of five minutes.
            cache_write_5m: self.cache_write.saturating_sub(self.cache_write_1h),
            cache_write_1h: self.cache_write_1h,
        })
    }

    /// Returns the final usage; `None` if the provider reports no usage.
    pub(super) fn final_usage(&self) -> Option<TokenUsage> {
        self.output?;
        self.known_usage()
    }
}
