//! From the bytes of an answer to the events of the Messages API: one source for each way in which providers frame and
//! write them. Bounds on an answer, the order of its events and its blocks are checked behind it, once for all
//! ([`super::Fold`]).

use super::Broken;
use super::chat::{ChatChunks, ChunkFault};
use super::event::Event;
#[cfg(feature = "aws")]
use super::event_stream::Frames;
use super::sse::{Framing, TooLong};

/// The way in which a provider sends an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
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
pub(super) enum Source {
    Messages(Framing),
    #[cfg(feature = "aws")]
    EventStream(Frames),
    Chat(ChatChunks),
}

impl Source {
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::Messages => Self::Messages(Framing::default()),
            #[cfg(feature = "aws")]
            Form::EventStream => Self::EventStream(Frames::default()),
            Form::Chat => Self::Chat(ChatChunks::default()),
        }
    }

    /// Takes more bytes; every event that they complete, in order. After an error nothing more of the stream is of use.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<Event, Broken>> {
        match self {
            Self::Messages(framing) => match framing.push(bytes) {
                Ok(events) => events.iter().map(|data| event(data)).collect(),
                Err(TooLong) => vec![Err(Broken::TooLarge("an event"))],
            },
            #[cfg(feature = "aws")]
            Self::EventStream(frames) => frames.push(bytes),
            Self::Chat(chunks) => {
                chunks.push(bytes).into_iter().map(|event| event.map_err(chunk_fault)).collect()
            }
        }
    }

    /// The bytes are over: the events that they leave to be said.
    pub(super) fn close(&mut self) -> Vec<Event> {
        match self {
            Self::Messages(_) => Vec::new(),
            #[cfg(feature = "aws")]
            Self::EventStream(_) => Vec::new(),
            Self::Chat(chunks) => chunks.close(),
        }
    }
}

fn chunk_fault(fault: ChunkFault) -> Broken {
    match fault {
        ChunkFault::TooLong => Broken::TooLarge("an event"),
        ChunkFault::Json(error) => super::bad_event(&error),
        ChunkFault::Nameless => Broken::Disorder("it calls a tool without a name"),
    }
}

/// One event of the Messages API, from its JSON.
pub(super) fn event(data: &[u8]) -> Result<Event, Broken> {
    serde_json::from_slice(data).map_err(|error| super::bad_event(&error))
}
