//! Cassettes: recordings of a model's responses as readable lines of JSON, played back without a key or a
//! network.
//!
//! A response is found by run, agent and position in the conversation, and returned only for exactly the
//! same request. Any other request is drift, and is shown as a difference. A line has only the new part of
//! a request; the rest is in the line before.

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

/// The cassette that runs are recorded to or played from.
#[derive(Clone, Debug, Default)]
pub enum CassetteMode {
    /// No cassette: requests go to the model.
    #[default]
    None,
    /// Requests and responses are recorded.
    Record(Arc<CassetteRecording>),
    /// Recorded responses are returned.
    Play(Arc<Cassette>),
}

impl CassetteMode {
    /// Returns true if there is a cassette.
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Returns true if a cassette answers requests.
    pub fn is_playback(&self) -> bool {
        matches!(self, Self::Play(_))
    }

    /// Returns one agent's model: unchanged, recorded, or played from a cassette. `run` must describe the
    /// task in words that will be the same when it is played.
    pub fn wrap_model<'a>(
        &self,
        model: Box<dyn LanguageModel + 'a>,
        run: &str,
        agent: &str,
    ) -> Box<dyn LanguageModel + 'a> {
        match self {
            Self::None => model,
            Self::Record(recording) => Box::new(recording.recorder(model, run, agent)),
            Self::Play(cassette) => Box::new(cassette.player(run, agent)),
        }
    }
}
