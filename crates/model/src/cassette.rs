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

use std::sync::Arc;

pub use self::entry::{CassetteError, MAX_CASSETTE_BYTES};
pub use self::hide::SecretRedactor;
pub use self::play::{Cassette, CassettePlayer};
pub use self::record::{CassetteRecorder, CassetteRecording};
use crate::gateway::LanguageModel;

/// What runs are recorded on or played from; none: they ask the model as it is.
#[derive(Clone, Debug, Default)]
pub enum CassetteMode {
    /// None.
    #[default]
    None,
    /// What is asked and answered is kept.
    Record(Arc<CassetteRecording>),
    /// What was kept answers.
    Play(Arc<Cassette>),
}

impl CassetteMode {
    /// Is there one?
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Does a cassette answer?
    pub fn plays(&self) -> bool {
        matches!(self, Self::Play(_))
    }

    /// One agent's model: as it is, recorded, or played from a cassette. `run` names what is done in words that will be the same when it is played.
    pub fn of<'a>(
        &self,
        model: Box<dyn LanguageModel + 'a>,
        run: &str,
        agent: &str,
    ) -> Box<dyn LanguageModel + 'a> {
        match self {
            Self::None => model,
            Self::Record(recording) => Box::new(recording.of(model, run, agent)),
            Self::Play(cassette) => Box::new(cassette.of(run, agent)),
        }
    }
}
