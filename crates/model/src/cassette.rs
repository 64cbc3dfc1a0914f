//! Cassettes: recordings of a model's responses as readable lines of JSON, played back without a key or a
//! network.
//!
//! A recorded response is identified by the run, the agent, and the position of the request among the agent's
//! requests. The response is returned only if the request equals the recorded request. For a different
//! request, an error (drift) is returned, which shows the differences between the two requests. A line
//! contains only the changes since the agent's previous request; the earlier lines contain the rest.

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

/// The use of a cassette: none, recording, or playback.
#[derive(Clone, Debug, Default)]
pub enum CassetteMode {
    /// No cassette: requests go to the model.
    #[default]
    Disabled,
    /// Requests go to the model, and are recorded with their responses.
    Record(Arc<CassetteRecording>),
    /// Recorded responses are returned in place of responses of the model.
    Play(Arc<Cassette>),
}

impl CassetteMode {
    /// Returns true if there is a cassette.
    pub fn is_enabled(&self) -> bool {
        !matches!(self, Self::Disabled)
    }

    /// Returns true if responses come from a cassette instead of the model.
    pub fn is_playback(&self) -> bool {
        matches!(self, Self::Play(_))
    }

    /// Returns a model for one agent: depending on the mode, `model` itself, `model` with a recording, or a
    /// playback from the cassette. `run` identifies the task and must be the same text at recording and at
    /// playback.
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
