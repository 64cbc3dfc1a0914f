//! Cassettes: recordings of a model's responses as readable lines of JSON, played back without a key or a
//! network.
//!
//! A response is found by run, agent and the position of the request among the agent's requests. It is
//! returned only if the request equals the recorded one. Any other request is an error (drift), which shows
//! the difference between the two requests. A line contains only what has changed since the agent's previous
//! request; the earlier lines contain the rest.

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

/// How a cassette is used: not at all, to record runs, or to play them.
#[derive(Clone, Debug, Default)]
pub enum CassetteMode {
    /// No cassette: requests go to the model.
    #[default]
    Disabled,
    /// Requests go to the model, and are recorded with their responses.
    Record(Arc<CassetteRecording>),
    /// Recorded responses are returned.
    Play(Arc<Cassette>),
}

impl CassetteMode {
    /// Returns true if there is a cassette.
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::Disabled)
    }

    /// Returns true if a cassette, instead of the model, answers requests.
    pub fn is_playback(&self) -> bool {
        matches!(self, Self::Play(_))
    }

    /// Returns a model for one agent: the given model, the given model with a recording, or a playback from
    /// the cassette. `run` must describe the task, in exactly the same words at recording and at playback.
    pub fn wrap_model<'a>(
        &self,
        model: Box<dyn LanguageModel + 'a>,
        run: &str,
        agent: &str,
    ) -> Box<dyn LanguageModel + 'a> {
        match self {
            Self::Disabled => model,
            Self::Record(recording) => Box::new(recording.recorder(model, run, agent)),
            Self::Play(cassette) => Box::new(cassette.player(run, agent)),
        }
    }
}
