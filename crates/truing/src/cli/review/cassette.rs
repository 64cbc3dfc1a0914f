//! The flags `--record` and `--replay`: record the model's answers in a folder, and replay them without a
//! key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use truing_core::switch::RepositoryRef;

use truing_loops::agent::ModelAgent;
use truing_model::cassette::CassetteRecording;

use super::ReviewCommand;
use crate::cli::destination::follow_links;
use crate::cli::error::CliError;
use crate::wiring;

/// Name of the cassette file in the folder.
const CASSETTE_FILE_NAME: &str = "cassette.jsonl";

/// The folder to record a model's answers in, or the folder to replay recorded answers from.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct CassetteArgs {
    /// Record the requests to the model and its answers in this folder, without keys, for --replay
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["replay", "publish", "fix"])]
    record: Option<PathBuf>,
    /// Replay a recording instead of calling the model: needs no key, sends no request, costs nothing
    ///
    /// The reviewed change must be the same as in the recording. If a request differs from the recording, the
    /// difference is shown.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["publish", "fix"])]
    replay: Option<PathBuf>,
}

/// The model of a command, and the recording of its answers.
#[derive(Default)]
pub(super) struct RecordedAgent {
    pub(super) agent: Option<ModelAgent>,
    recording: Option<Arc<CassetteRecording>>,
}

impl RecordedAgent {
    /// Returns a warning if the recording is incomplete, to be printed after the review.
    pub(super) fn incomplete_warning(&self) -> Option<&'static str> {
        let damaged = self.recording.as_ref().is_some_and(|recording| !recording.is_complete());
        damaged
            .then_some("the recording is incomplete: an answer could not be written; record the review again")
    }
}

impl ReviewCommand {
    /// Returns the model for the review, if a model is configured. The kill switch is checked before, because
    /// a model costs money.
    pub(super) async fn open_agent(&self) -> Result<RecordedAgent, CliError> {
        let CassetteArgs { record, replay } = &self.args.tapes;
        if self.config.review.runtime == truing_config::ReviewModelRuntime::RulesOnly {
            return match record.as_ref().or(replay.as_ref()) {
                None => Ok(RecordedAgent::default()),
                Some(_) => {
                    Err(CliError::usage("no_model", "--record and --replay require a review by a model")
                        .hint("add --runtime native"))
                }
            };
        }
        // Errors in the configuration must be reported before any file is created.
        wiring::ensure_machine_folder(&self.config)?;
        let ledger = wiring::open_store(&self.config, &self.environment).await?;
        crate::cli::target::check_kill_switches(&ledger, &RepositoryRef::default()).await?;
        let file = |folder: &PathBuf| self.environment.directory().join(folder).join(CASSETTE_FILE_NAME);
        let (agent, recording) = match (record, replay) {
            (Some(folder), _) => {
                let file = file(folder);
                follow_links(&file).map_err(|link| {
                    let message = format!("--record: {} is a link in a repository", link.display());
                    CliError::usage("cassette", message).hint("remove the link, or choose another folder")
                })?;
                std::fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).map_err(|error| {
                    CliError::usage("cassette", format!("cannot make {}: {error}", folder.display()))
                        .hint("choose a writable folder")
                })?;
                let recorded =
                    wiring::agent::recording_agent(&self.config, &self.environment, ledger, &file).await?;
                (recorded.0, Some(recorded.1))
            }
            (None, Some(folder)) => (wiring::agent::replay_agent(&self.config, ledger, &file(folder))?, None),
            (None, None) => (
                wiring::agent::configured_agent(
                    &self.config,
                    &self.environment,
                    ledger,
                    wiring::role::ModelRole::Reviewer,
                )?,
                None,
            ),
        };
        Ok(RecordedAgent { agent: Some(agent), recording })
    }
}
