//! Cassettes: what a model answered, kept as readable lines of JSON, and played again without a key or a network.
//!
//! An answer is found by run, agent and place in the conversation, and given only for the very request that it was an
//! answer to. Any other request is drift, and shown as a difference. Lines hold what is new of a request: what it shares
//! with the one before stands there already.

mod entry;
mod play;
mod record;
#[cfg(test)]
mod tests;

pub use self::entry::{CassetteError, MAX_CASSETTE_BYTES};
pub use self::play::{Cassette, Player};
pub use self::record::{Recorder, Recording};
use crate::gateway::{Answer, Model, Refused};
use crate::messages::Request;

/// A model that is asked as it is, recorded, or played from a cassette.
#[derive(Debug)]
pub enum Taped<M> {
    /// As it is.
    Live(M),
    /// As it is, and kept.
    Recorded(Recorder<M>),
    /// From a cassette.
    Played(Player),
}

impl<M: Model> Model for Taped<M> {
    async fn ask(&self, request: &Request) -> Result<Answer, Refused> {
        match self {
            Self::Live(model) => model.ask(request).await,
            Self::Recorded(recorder) => recorder.ask(request).await,
            Self::Played(player) => player.ask(request).await,
        }
    }
}
