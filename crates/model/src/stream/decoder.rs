//! Converts the bytes of a response to events of the Messages API, with one decoder per provider format. The
//! decoders check neither size limits nor the order of events; [`super::AnswerAccumulator`] checks both for
//! all formats.

use super::StreamError;
use super::chat::{ChatChunkDecoder, ChunkError};
use super::event::StreamEvent;
#[cfg(feature = "aws")]
use super::event_stream::FrameBuffer;
use super::sse::{EventOverflow, SseSplitter};

/// The format in which a provider sends a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamFormat {
    /// Server-sent events. The data of each event is an event of the Messages API.
    Messages,
    /// Frames of `application/vnd.amazon.eventstream`. Each frame contains an event of the Messages API in
    /// Base64.
    #[cfg(feature = "aws")]
    EventStream,
    /// Server-sent events. The data of each event is a chunk of a chat completion.
    Chat,
}

/// A decoder from the bytes of one response to events.
#[derive(Debug)]
pub(super) enum EventDecoder {
    Messages(SseSplitter),
    #[cfg(feature = "aws")]
    EventStream(FrameBuffer),
    Chat(ChatChunkDecoder),
}

impl EventDecoder {
    pub(super) fn new(format: StreamFormat) -> Self {
        match format {
            StreamFormat::Messages => Self::Messages(SseSplitter::default()),
            #[cfg(feature = "aws")]
            StreamFormat::EventStream => Self::EventStream(FrameBuffer::default()),
            StreamFormat::Chat => Self::Chat(ChatChunkDecoder::default()),
        }
    }

    /// Adds more bytes, and returns the events that these bytes complete, in order. After an error, the rest
    /// of the stream cannot be decoded.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<StreamEvent, StreamError>> {
        match self {
            Self::Messages(framing) => match framing.push(bytes) {
                Ok(events) => events.iter().map(|data| parse_event(data)).collect(),
                Err(EventOverflow) => vec![Err(StreamError::TooLarge("an event"))],
            },
            #[cfg(feature = "aws")]
            Self::EventStream(frames) => frames.push(bytes),
            Self::Chat(chunks) => {
                chunks.push(bytes).into_iter().map(|event| event.map_err(chunk_fault)).collect()
            }
        }
    }

    /// Ends the stream, and returns the remaining events.
    pub(super) fn close(&mut self) -> Vec<StreamEvent> {
        match self {
            Self::Messages(_) => Vec::new(),
            #[cfg(feature = "aws")]
            Self::EventStream(_) => Vec::new(),
            Self::Chat(chunks) => chunks.close(),
        }
    }
}

fn chunk_fault(fault: ChunkError) -> StreamError {
    match fault {
        ChunkError::TooLong => StreamError::TooLarge("an event"),
        ChunkError::Json(error) => super::bad_event(&error),
        ChunkError::MissingToolName => StreamError::Contradiction("the answer calls a tool without a name"),
    }
}

/// Parses one event of the Messages API from its JSON.
pub(super) fn parse_event(data: &[u8]) -> Result<StreamEvent, StreamError> {
    truing_core::json::from_slice(data).map_err(|error| super::bad_event(&error))
}
