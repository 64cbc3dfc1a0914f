//! Ownership of a team (R4, R5): one run leads the team, other runs may join, and only the leader ends the
//! team.

use std::path::Path;

use truing_config::converge::{BugteamVariables, WorkspaceOwnership};
use truing_core::converge::ConvergeExitCode;
use truing_core::id::SlotKey;
use truing_loops::converge::lock::{RunLock, RunLockError};

use super::{ConvergeArgs, refusal_error};
use crate::cli::CommandContext;
use crate::cli::error::CliError;

/// The run that owns the team's workspace, as a value of `--lifecycle`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum LifecycleFlag {
    /// This run owns the workspace: it leads the team, and removes the workspace at the end.
    Owned,
    /// Another run owns the workspace, and this run joins the team.
    Attach,
    /// If another run already leads the team, that run owns the workspace. Otherwise, this run owns the
    /// workspace.
    Auto,
}

impl From<LifecycleFlag> for WorkspaceOwnership {
    fn from(flag: LifecycleFlag) -> Self {
        match flag {
            LifecycleFlag::Owned => Self::Owned,
            LifecycleFlag::Attach => Self::Attach,
            LifecycleFlag::Auto => Self::Auto,
        }
    }
}

/// The right to use a team's name. The right ends when this value is dropped or the process exits.
pub(super) struct TeamMembership {
    _leader_lock: Option<RunLock>,
}

impl TeamMembership {
    /// Leads or joins the team, as the flags and variables request.
    ///
    /// # Errors
    /// Returns the refusals R4 and R5.
    pub(super) fn lead_or_join(
        args: &ConvergeArgs,
        context: &CommandContext,
        folder: &Path,
    ) -> Result<Self, CliError> {
        let variables = BugteamVariables::from_environment(&context.environment)?;
        let name = args.team.clone().or(variables.team);
        let lifecycle = args
            .lifecycle
            .map(WorkspaceOwnership::from)
            .or(variables.workspace_ownership)
            .unwrap_or(WorkspaceOwnership::Auto);
        let Some(name) = name else {
            if lifecycle == WorkspaceOwnership::Attach {
                return Err(refusal_error(ConvergeExitCode::NoTeam, NO_TEAM_MESSAGE)
                    .hint("specify the team's name: `truing converge --team NAME`"));
            }
            return Ok(Self { _leader_lock: None });
        };
        let key = SlotKey::new(format!("team/{name}"));
        let io = |error: RunLockError| CliError::failure("lock", error.to_string());
        if lifecycle == WorkspaceOwnership::Attach {
            if RunLock::is_held(folder, &key).map_err(io)? {
                return Ok(Self { _leader_lock: None });
            }
            let name = truing_core::line::clean_line(&name, MAX_TEAM_NAME_CHARS);
            return Err(refusal_error(ConvergeExitCode::NoTeam, NO_TEAM_MESSAGE).hint(format!(
                "no run leads {name}: `truing converge --team {name}` starts a run that leads the team"
            )));
        }
        match RunLock::acquire(folder, &key) {
            Ok(lead) => Ok(Self { _leader_lock: Some(lead) }),
            Err(RunLockError::AlreadyRunning(_)) if lifecycle == WorkspaceOwnership::Auto => {
                Ok(Self { _leader_lock: None })
            }
            Err(RunLockError::AlreadyRunning(_)) => {
                let name = truing_core::line::clean_line(&name, MAX_TEAM_NAME_CHARS);
                let line = format!(
                    "Already leading team {name}; rerun with BUGTEAM_TEAM_LIFECYCLE=attach \
                     BUGTEAM_TEAM_NAME={name}"
                );
                let hint = format!("join the team: `truing converge --lifecycle attach --team {name}`");
                Err(refusal_error(ConvergeExitCode::Leading, &line).hint(hint))
            }
            Err(error @ RunLockError::Io { .. }) => Err(io(error)),
        }
    }
}

/// Message for a call that would join a team without a leader (R5).
const NO_TEAM_MESSAGE: &str =
    "BUGTEAM_TEAM_LIFECYCLE=attach requires BUGTEAM_TEAM_NAME to name an existing team.";
/// Maximum characters of a name.
const MAX_TEAM_NAME_CHARS: usize = 100;
