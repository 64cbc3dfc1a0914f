//! Cassettes: what a model answered, kept as readable lines of JSON, and played again without a key or a network.
//!
//! An answer is found by run, agent and place in the conversation, and given only for the very request that it was an
//! answer to. Any other request is drift, and shown as a difference. Lines hold what is new of a request: what it shares
//! with the one before stands there already.

mod entry;
mod hide;
mod play;
mod record;
#[cfg(test)]
mod tests;

pub use self::entry::{CassetteError, MAX_CASSETTE_BYTES};
pub use self::hide::Hide;
pub use self::play::{Cassette, Player};
pub use self::record::{Recorder, Recording};
use std::sync::Arc;
use truing_core::money::MicroUsd;

use crate::gateway::{Answer, Model, Refused};
use crate::messages::Request;

/// What runs are recorded on or played from; none: they ask the model as it is.
#[derive(Clone, Debug, Default)]
pub enum Tape {
    /// None.
    #[default]
    None,
    /// What is asked and answered is kept.
    Record(Arc<Recording>),
    /// What was kept answers.
    Play(Arc<Cassette>),
}

impl Tape {
    /// Is there one?
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Does a cassette answer?
    pub fn plays(&self) -> bool {
        matches!(self, Self::Play(_))
    }

    /// One agent's model. `run` names what is done in words that will be the same when it is played.
    pub fn of<M: Model>(&self, model: M, run: &str, agent: &str) -> Taped<M> {
        match self {
            Self::None => Taped::Live(model),
            Self::Record(recording) => Taped::Recorded(recording.of(model, run, agent)),
            Self::Play(cassette) => Taped::Played(cassette.of(run, agent)),
        }
    }
}

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

    async fn cost(&self) -> MicroUsd {
        match self {
            Self::Live(model) => model.cost().await,
            Self::Recorded(recorder) => recorder.cost().await,
            Self::Played(player) => player.cost().await,
        }
    }
}
