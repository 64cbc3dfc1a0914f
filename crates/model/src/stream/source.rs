//! From the bytes of an answer to the events of the Messages API: one source for each way in which providers frame and
//! write them. Bounds on an answer, the order of its events and its blocks are checked behind it, once for all
//! ([`super::AnswerAccumulator`]).

use super::StreamError;
use super::chat::{ChatChunks, ChunkFault};
use super::event::StreamEvent;
#[cfg(feature = "aws")]
use super::event_stream::FrameBuffer;
use super::sse::{EventOverflow, SseFraming};

/// The way in which a provider sends an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamFormat {
    /// Server-sent events; the data of each is an event of the Messages API.
    Messages,
    /// Frames of `application/vnd.amazon.eventstream`; each holds an event of the Messages API in Base64.
    #[cfg(feature = "aws")]
    EventStream,
    /// Server-sent events; the data of each is a chunk of a chat completion.
    Chat,
}

/// The bytes of one answer on their way to events.
#[derive(Debug)]
pub(super) enum EventDecoder {
    Messages(SseFraming),
    #[cfg(feature = "aws")]
    EventStream(FrameBuffer),
    Chat(ChatChunks),
}

impl EventDecoder {
    pub(super) fn new(form: StreamFormat) -> Self {
        match form {
            StreamFormat::Messages => Self::Messages(SseFraming::default()),
            #[cfg(feature = "aws")]
            StreamFormat::EventStream => Self::EventStream(FrameBuffer::default()),
            StreamFormat::Chat => Self::Chat(ChatChunks::default()),
        }
    }

    /// Takes more bytes; every event that they complete, in order. After an error nothing more of the stream is of use.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<StreamEvent, StreamError>> {
        match self {
            Self::Messages(framing) => match framing.push(bytes) {
                Ok(events) => events.iter().map(|data| event(data)).collect(),
                Err(EventOverflow) => vec![Err(StreamError::TooLarge("an event"))],
            },
            #[cfg(feature = "aws")]
            Self::EventStream(frames) => frames.push(bytes),
            Self::Chat(chunks) => {
                chunks.push(bytes).into_iter().map(|event| event.map_err(chunk_fault)).collect()
            }
        }
    }

    /// The bytes are over: the events that they leave to be said.
    pub(super) fn close(&mut self) -> Vec<StreamEvent> {
        match self {
            Self::Messages(_) => Vec::new(),
            #[cfg(feature = "aws")]
            Self::EventStream(_) => Vec::new(),
            Self::Chat(chunks) => chunks.close(),
        }
    }
}

fn chunk_fault(fault: ChunkFault) -> StreamError {
    match fault {
        ChunkFault::TooLong => StreamError::TooLarge("an event"),
        ChunkFault::Json(error) => super::bad_event(&error),
        ChunkFault::Nameless => StreamError::Disorder("it calls a tool without a name"),
    }
}

/// One event of the Messages API, from its JSON.
pub(super) fn event(data: &[u8]) -> Result<StreamEvent, StreamError> {
    serde_json::from_slice(data).map_err(|error| super::bad_event(&error))
}
