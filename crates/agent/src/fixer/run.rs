//! Runs one command of a fixer in the sandbox, and reports its end and output.

use std::ffi::OsString;
use std::path::PathBuf;

use super::FixerWorkspace;
use truing_reader::mask::mask_command_output;

use crate::command::{
    self, CommandError, CommandLimits, CommandResult, MAX_STREAM_BYTES, ProcessOutcome, WriteLimit,
};
use crate::outgoing_text::to_tree_paths;
use crate::sandbox::{JobCommand, SandboxJob, SandboxLevel};
use crate::verify::usage::{self, DiskUsage};

/// Runs a command that the policy allows. Masks those secrets in the command's output that are recognizable
/// by their form. Dropping the future kills the command and every process that it started.
pub(super) async fn run_command(
    workspace: &FixerWorkspace,
    level: SandboxLevel,
    argv: &[String],
) -> Result<String, CommandError> {
    let words = argv.iter().map(OsString::from).collect();
    let mut job = SandboxJob::new(level, &workspace.clone, JobCommand::Program(words))?;
    (job.writable, job.allows_sockets) = (true, true);
    workspace.program_folders.clone_into(&mut job.readable_paths);
    let written = Some(clone_write_limit(workspace.clone.clone(), job.limits.disk).await);
    let ended = command::run(
        job,
        &CommandLimits {
            time: workspace.command_time_limit,
            write_limit: written,
            keeps_whole_output: false,
        },
    )
    .await?;
    Ok(render_command_report(workspace, &ended))
}

/// Returns a limit for the size of the clone: the present size plus the number of bytes that one command may
/// write.
async fn clone_write_limit(clone: PathBuf, max_written_bytes: u64) -> WriteLimit {
    let folders = vec![clone.clone()];
    let now = tokio::task::spawn_blocking(move || usage::measure_folder(&clone)).await.unwrap_or_default();
    WriteLimit { folders, limit: now.plus(DiskUsage::with_max_bytes(max_written_bytes)) }
}

fn render_command_report(workspace: &FixerWorkspace, result: &CommandResult) -> String {
    let mut text = match &result.outcome {
        ProcessOutcome::Exit(status) => match status.code() {
            Some(code) => format!("exit code {code}\n"),
            None => format!("ended by a signal ({status})\n"),
        },
        ProcessOutcome::TimeLimitExceeded => {
            format!("ended because it took longer than {} s\n", workspace.command_time_limit.as_secs_f32())
        }
        ProcessOutcome::OutputLimitExceeded => format!(
            "ended because it printed more than \
            {MAX_STREAM_BYTES} bytes\n"
        ),
        ProcessOutcome::DiskLimitExceeded(_) => "ended because it wrote too much\n".to_owned(),
        ProcessOutcome::SandboxLimitExceeded(bound, seen) => {
            format!("ended because its processes together exceeded the {} limit ({seen})\n", bound.as_str())
        }
    };
    for (name, printed) in [("output", &result.stdout), ("errors", &result.stderr)] {
        if !printed.is_empty() {
            text += &format!(
                "--- {name}\n{}",
                mask_command_output(&to_tree_paths(&printed.text(), &workspace.clone))
            );
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
    }
    text
}
