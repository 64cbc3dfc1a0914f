//! The command `truing verify`: runs a repository's own setup and checks, as the loops do.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use truing_agent::proxy::HostAccess;
use truing_agent::verify::{REGISTRIES_KEY, VerifiedTree};
use truing_config::value::FormattedDuration;
use truing_core::line::{format_count, visible_line};
use truing_core::verification::{CheckAttempts, CheckVerdict, CommandEndReason, CommandRun};
use truing_loops::verify::{RepositoryVerifyError, VerifyOutcome, VerifyRequest, verify_repository};

use super::error::{CliError, CommandExit};
use super::review::{denied_keys_warning, read_repository_config};
use super::{CommandContext, runtime};
use crate::wiring;

/// Run a repository's own setup and checks in the same way as the loops
///
/// Everything runs in the sandbox, on a copy of the working tree, without secrets. The setup (`verify.setup`)
/// can access the registries of `verify.registries`. The checks (`verify.check`) have no network. Nothing is
/// changed. Exit 0: all checks pass; 1: a check fails that does not fail on --base; 3: the checks could not
/// run, for example because the setup failed.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// The repository, or a folder in it
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Run the checks on this commit first; a check that also fails on this commit does not count
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Check this commit instead of the working tree
    #[arg(long, value_name = "REF")]
    head: Option<String>,
}

/// Maximum lines of a command's output that are shown.
const MAX_SHOWN_OUTPUT_LINES: usize = 20;

/// The answer as JSON.
#[derive(Serialize)]
struct VerifyReport<'a> {
    schema: &'static str,
    ok: bool,
    set_up: VerifySetUpJson<'a>,
    checks: Option<Vec<VerifyCheckJson<'a>>>,
    base: Option<VerifyBaseJson<'a>>,
}

#[derive(Serialize)]
struct VerifyBaseJson<'a> {
    set_up: VerifySetUpJson<'a>,
    checks: Option<Vec<VerifyCheckJson<'a>>>,
}

#[derive(Serialize)]
struct VerifySetUpJson<'a> {
    works: bool,
    /// True if the result of the setup was found in the cache, so the setup was not run.
    #[serde(rename = "found")]
    is_cached: bool,
    commands: Vec<VerifyCommandJson<'a>>,
    reached: &'a [HostAccess],
}

#[derive(Serialize)]
struct VerifyCheckJson<'a> {
    verdict: Option<CheckVerdict>,
    #[serde(flatten)]
    ran: VerifyCommandJson<'a>,
    #[serde(rename = "again")]
    retry: Option<VerifyCommandJson<'a>>,
}

#[derive(Serialize)]
struct VerifyCommandJson<'a> {
    argv: &'a [String],
    ok: bool,
    exit_code: Option<u8>,
    signal: Option<u8>,
    timed_out: bool,
    end: CommandEndReason,
    ms: u64,
    output: &'a str,
    errors: &'a str,
}

impl<'a> From<&'a CommandRun> for VerifyCommandJson<'a> {
    fn from(ran: &'a CommandRun) -> Self {
        Self {
            argv: &ran.argv,
            ok: ran.end.is_success(),
            exit_code: ran.end.exit_code(),
            signal: ran.end.signal(),
            timed_out: ran.end == CommandEndReason::Time,
            end: ran.end,
            ms: ran.ms,
            output: &ran.output,
            errors: &ran.errors,
        }
    }
}

pub(crate) fn run(args: &VerifyArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    runtime::start()?.block_on(async {
        tokio::select! {
            ended = args.run(context) => ended,
            told = runtime::wait_for_stop_signal() => {
                told?;
                Err(CliError::new(CommandExit::Interrupted, "interrupted", "interrupted before the checks \
                     were done")
                    .hint("nothing was changed; all commands have ended"))
            }
        }
    })
}

impl VerifyArgs {
    async fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let git = wiring::open_git(&context.environment).await?;
        let path = context.environment.directory().join(&self.path);
        let repository = git.open(&path).await.map_err(wiring::git_error)?;
        let mut commits = Vec::new();
        for name in [&self.base, &self.head] {
            commits.push(match name {
                Some(name) => Some(repository.resolve_commit(name).await.map_err(wiring::git_error)?),
                None => None,
            });
        }
        let (head, base) = (commits.pop().flatten(), commits.pop().flatten());
        let config = context.config(&[])?;
        let config = match read_repository_config(&repository, head.as_ref()).await? {
            Some(file) => config.with_repository(&file)?,
            None => config,
        };
        if let Some(warning) = denied_keys_warning(config.denied_repository_keys()) {
            context.output.warn(warning);
        }
        if config.verify.setup_commands.is_empty() && config.verify.check_commands.is_empty() {
            return Err(no_checks_error(!config.denied_repository_keys().is_empty()));
        }
        let verifier = wiring::verify::new_verifier(&config.verify, &context.environment)?;
        let progress = context.output.progress("setting up and running checks", None);
        let question = VerifyRequest { repository: &repository, base: base.as_ref(), head: head.as_ref() };
        let answer = verify_repository(&question, &verifier, &git).await.map_err(repository_verify_error)?;
        drop(progress);
        context.output.print_answer(&verify_report(&answer), || render_text(&answer))?;
        match &answer.verdicts {
            Some(verdicts) if verdicts.iter().any(|verdict| verdict.blocks()) => {
                Ok(CommandExit::NegativeAnswer)
            }
            Some(_) => Ok(CommandExit::Success),
            None => Ok(CommandExit::Failure),
        }
    }
}

fn no_checks_error(has_unused_repository_checks: bool) -> CliError {
    let error = CliError::usage("no_checks", "no check is configured");
    match has_unused_repository_checks {
        true => error.hint("let the repository choose the commands: `from_repository = true` in [verify]"),
        false => error.hint("choose the commands: `check = [[\"cargo\", \"test\"]]` in [verify]"),
    }
}

pub(super) fn repository_verify_error(error: RepositoryVerifyError) -> CliError {
    match error {
        RepositoryVerifyError::Git(error) => wiring::git_error(error),
        RepositoryVerifyError::Verify(error) => wiring::verify::verify_error(error),
        RepositoryVerifyError::Copy { .. } => CliError::failure("unreadable", error.to_string()),
    }
}

fn verify_report(answer: &VerifyOutcome) -> VerifyReport<'_> {
    let verdicts = answer.verdicts.as_deref();
    let base = answer.base.as_ref();
    VerifyReport {
        schema: "truing.verify/1",
        ok: verdicts.is_some_and(|verdicts| !verdicts.iter().any(|verdict| verdict.blocks())),
        set_up: setup_json(&answer.head),
        checks: checks_json(&answer.head, verdicts),
        base: base.map(|base| VerifyBaseJson { set_up: setup_json(base), checks: checks_json(base, None) }),
    }
}

fn setup_json(verified: &VerifiedTree) -> VerifySetUpJson<'_> {
    let set_up = &verified.setup;
    VerifySetUpJson {
        works: set_up.can_run_checks(),
        is_cached: set_up.is_cached,
        commands: set_up.commands.iter().map(VerifyCommandJson::from).collect(),
        reached: &set_up.contacted_hosts,
    }
}

fn checks_json<'a>(
    verified: &'a VerifiedTree,
    verdicts: Option<&[CheckVerdict]>,
) -> Option<Vec<VerifyCheckJson<'a>>> {
    let checks = verified.verification.as_ref()?.checks.iter().enumerate();
    let check_json = |(at, check): (usize, &'a CheckAttempts)| VerifyCheckJson {
        verdict: verdicts.and_then(|verdicts| verdicts.get(at).copied()),
        ran: VerifyCommandJson::from(&check.ran),
        retry: check.retry.as_ref().map(VerifyCommandJson::from),
    };
    Some(checks.map(check_json).collect())
}

fn render_text(answer: &VerifyOutcome) -> String {
    let mut text = String::new();
    if let Some(base) = &answer.base {
        text += &setup_text(base, "base: ");
        for check in base.verification.iter().flat_map(|verification| &verification.checks) {
            text += &render_step_line("base: check", status_word(&check.ran), &check.ran);
        }
    }
    text += &setup_text(&answer.head, "");
    let checks = answer.head.verification.iter().flat_map(|verification| &verification.checks);
    for (check, verdict) in checks.zip(answer.verdicts.iter().flatten()) {
        let (what, shown) = match verdict {
            CheckVerdict::Passed => ("passes", None),
            CheckVerdict::Fixed => ("passes, failed before", None),
            CheckVerdict::FailedBefore => ("fails, as before", None),
            CheckVerdict::Flaky => ("flaky: failed once, passed once", Some(&check.ran)),
            CheckVerdict::NeedsRerun | CheckVerdict::Failed => ("FAILS", Some(&check.ran)),
        };
        text += &render_step_line("check", what, &check.ran);
        text += &shown.map(render_output_tail).unwrap_or_default();
    }
    if answer.verdicts.is_none() {
        text += "the checks were not run: the setup failed\n";
    }
    text
}

fn setup_text(verified: &VerifiedTree, line_prefix: &str) -> String {
    let (set_up, mut text) = (&verified.setup, String::new());
    for ran in &set_up.commands {
        let what = if set_up.is_cached { "done before" } else { status_word(ran) };
        text += &render_step_line(&format!("{line_prefix}set-up"), what, ran);
        if !ran.end.is_success() {
            text += &render_output_tail(ran);
        }
    }
    // A cached setup sent no requests in this run, so the hosts of an earlier run's requests are not listed.
    for reached in set_up.contacted_hosts.iter().filter(|_| !set_up.is_cached) {
        let HostAccess { host, port, refusal: refused, times, sent, received } = reached;
        let host = strip_control_chars(host);
        let _ = match refused {
            None => {
                writeln!(
                    text,
                    "  reached {host}:{port}, {}, {} sent, {received} received",
                    format_count(times, "time"),
                    format_count(sent, "byte")
                )
            }
            Some(why) => {
                writeln!(
                    text,
                    "  REFUSED {host}:{port}, {}: it {}",
                    format_count(times, "time"),
                    why.to_message(REGISTRIES_KEY)
                )
            }
        };
    }
    text
}

fn status_word(command_run: &CommandRun) -> &'static str {
    if command_run.end.is_success() { "ok" } else { "FAILS" }
}

fn render_step_line(step: &str, status: &str, command_run: &CommandRun) -> String {
    let how = if command_run.end.is_success() { String::new() } else { format!(", {}", command_run.end) };
    let took = FormattedDuration(Duration::from_millis(command_run.ms));
    format!("{step} {status}{how} ({took}): {}\n", visible_line(&command_run.argv.join(" ")))
}

/// Removes control characters from untrusted text. The text then stays on one line and cannot control a
/// terminal.
fn strip_control_chars(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

/// Returns the end of a command's output.
fn render_output_tail(command_run: &CommandRun) -> String {
    let mut text = String::new();
    for stream in [&command_run.output, &command_run.errors] {
        let lines: Vec<&str> = stream.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(MAX_SHOWN_OUTPUT_LINES)) {
            let _ = writeln!(text, "  | {}", strip_control_chars(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_of_several_lines_is_told_on_one_with_blanks_between_them() {
        let argv = ["python3", "-c", "import time\nb = 1\n"].map(str::to_owned).to_vec();
        let (output, errors) = (String::new(), String::new());
        let ran = CommandRun { argv, end: CommandEndReason::Exit { code: 0 }, ms: 10, output, errors };
        let told = render_step_line("check", "passes", &ran);
        assert!(told.ends_with(": python3 -c import time b = 1\n"), "{told}");
    }
}
