//! The preflight: checks the files of a head before a run calls a model.
//!
//! The command `truing preflight` and every converge run and audit use these checks. If one fails, a run ends
//! before its first paid call. Each command ends at the time limit `verify.timeout`.

use std::path::Path;

use serde::Serialize;
use truing_agent::verify::{CacheScope, SetupResult, Verifier, VerifyError};
use truing_core::converge::ConvergeExitCode;
use truing_core::line::visible_line;
use truing_core::money::MicroUsd;
use truing_core::verification::{CommandRun, VerificationReport};
use truing_diff::RepoPath;
use truing_git::PrivateFolder;

use super::pre_commit::{self, PRE_COMMIT_FILE, PRE_COMMIT_HINT};
use super::{ActError, ConvergeRunner};
use crate::command_failure::failure_text;

/// Shell command that finds a program without starting it.
const FIND_PROGRAM_COMMAND: [&str; 4] = ["sh", "-c", "command -v -- \"$1\" >/dev/null", "sh"];

/// Message for a gate that consists of rules only.
pub const NO_GATE_COMMANDS_MESSAGE: &str =
    "no command is configured; the gate consists only of the rule packs";

/// The result of one check.
#[derive(Debug, Serialize)]
pub struct PreflightCheck {
    pub name: &'static str,
    pub ok: bool,
    /// False if the forge does not report the result of the check. A run can still start.
    #[serde(rename = "known")]
    pub is_known: bool,
    /// True if a run can start but its result would be less reliable.
    pub warning: bool,
    pub text: String,
    /// Hint for the next step.
    pub hint: Option<String>,
}

/// The results in the order of the report.
#[derive(Debug, Default)]
pub struct PreflightResults(pub Vec<PreflightCheck>);

impl PreflightResults {
    /// Adds a check that passed.
    pub fn add_ok(&mut self, name: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.0.push(PreflightCheck { name, ok: true, is_known: true, warning: false, text, hint: None });
    }

    /// Adds a check that passed, but with a warning.
    pub fn add_warning(&mut self, name: &'static str, text: impl Into<String>, hint: impl Into<String>) {
        let (text, hint) = (text.into(), Some(hint.into()));
        self.0.push(PreflightCheck { name, ok: true, is_known: true, warning: true, text, hint });
    }

    /// Adds a check whose result is unknown.
    pub fn add_unknown(&mut self, name: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.0.push(PreflightCheck { name, ok: true, is_known: false, warning: false, text, hint: None });
    }

    /// Adds a check that failed.
    pub fn add_failure(&mut self, name: &'static str, text: impl Into<String>, hint: impl Into<String>) {
        let (text, hint) = (text.into(), Some(hint.into()));
        self.0.push(PreflightCheck { name, ok: false, is_known: true, warning: false, text, hint });
    }

    /// Returns true if no check failed.
    pub fn all_passed(&self) -> bool {
        self.0.iter().all(|check| check.ok)
    }

    /// Returns the failed checks as one text.
    fn failure_text(&self) -> String {
        let failed = self.0.iter().filter(|check| !check.ok);
        let texts: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.text)).collect();
        texts.join("; ")
    }
}

/// Runs the setup and the checks on the files of a commit, and looks up the gate's commands. `tree` is a
/// private copy, which the checks may change. Returns the results of the checks, or none if the setup failed.
///
/// # Errors
/// [`VerifyError`]; a failed command is no error.
#[truing_core::boxed_future]
pub async fn check_tree(
    verifier: &Verifier,
    tree: &Path,
    trust: &CacheScope,
    gate: &[Vec<String>],
    results: &mut PreflightResults,
) -> Result<Option<VerificationReport>, VerifyError> {
    let set_up = verifier.set_up(tree, trust).await?;
    report_setup(&set_up, results);
    if gate.is_empty() {
        results.add_ok("gate", NO_GATE_COMMANDS_MESSAGE);
    }
    for argv in gate {
        check_gate_command(verifier, &set_up, tree, argv, results).await?;
    }
    if !set_up.can_run_checks() {
        return Ok(None);
    }
    let prepared = verifier.prepare_tree(&set_up, tree).await?;
    let report = verifier.run_checks(&prepared, None).await?;
    report_checks(&report, results);
    Ok(Some(report))
}

fn report_setup(setup_result: &SetupResult, results: &mut PreflightResults) {
    match setup_result.commands.iter().find(|ran| !ran.end.is_success()) {
        Some(ran) => {
            let hint = "fix `verify.setup`: no check runs until the setup succeeds; `truing verify` shows \
                the output of the setup";
            results.add_failure("set-up", render_failure(ran), hint);
        }
        None if setup_result.commands.is_empty() => {}
        None => results.add_ok("set-up", "it works"),
    }
}

/// Checks that a command of the gate can be started. The command itself is not started, because its findings
/// are not needed here. For `["pre-commit"]`, checks that all hooks are installed.
async fn check_gate_command(
    verifier: &Verifier,
    set_up: &SetupResult,
    tree: &Path,
    argv: &[String],
    results: &mut PreflightResults,
) -> Result<(), VerifyError> {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let find: Vec<String> =
        FIND_PROGRAM_COMMAND.iter().copied().chain([program]).map(str::to_owned).collect();
    let found = verifier.run_on_copy(set_up, tree, &find).await?;
    if !found.end_reason.is_success() {
        results.add_failure(
            "gate",
            format!("`{}` cannot be started", render_argv(argv)),
            "install the program in a folder that is visible in the sandbox, or add the folder of the \
                program to `verify.programs`, or install the program with `verify.setup`",
        );
    } else if !pre_commit::is_pre_commit(argv) {
        results.add_ok("gate", format!("`{}` can be started", render_argv(argv)));
    } else {
        let looked = verifier.run_on_copy(set_up, tree, &pre_commit::installed_hooks_argv()).await?;
        let text = failure_text(&looked);
        if looked.end_reason.is_success() {
            results.add_ok("gate", "all pre-commit hooks are installed");
        } else if looked.end_reason.exit_code().is_none() {
            let hint = "the command runs within `verify.timeout` and the other limits of `verify`: try \
                it with `truing sandbox run -- pre-commit install-hooks`";
            results.add_failure("gate", format!("`pre-commit install-hooks` was stopped: {text}"), hint);
        } else {
            let validate = ["pre-commit", "validate-config", PRE_COMMIT_FILE].map(str::to_owned);
            let validated = verifier.run_on_copy(set_up, tree, &validate).await?;
            if validated.end_reason.is_success() {
                let message = format!("not all pre-commit hooks are installed: {text}");
                results.add_failure("gate", message, PRE_COMMIT_HINT);
            } else {
                let message = format!("`{PRE_COMMIT_FILE}` is not valid: {}", failure_text(&validated));
                let hint = "`pre-commit validate-config` shows the error; without hooks, remove `pre-commit` \
                    from `converge.gate`";
                results.add_failure("gate", message, hint);
            }
        }
    }
    Ok(())
}

/// Reports the result of each check on the unchanged files. A check that already fails cannot show whether a
/// fix breaks the code.
fn report_checks(report: &VerificationReport, results: &mut PreflightResults) {
    for check in &report.checks {
        let argv = render_argv(&check.ran.argv);
        if check.ran.end.is_success() {
            results.add_ok("checks", format!("`{argv}` passes"));
        } else if check.passes() {
            results.add_warning(
                "checks",
                format!("`{argv}` failed once and passed once"),
                "a flaky check proves nothing about a fix: make the check reliable",
            );
        } else {
            results.add_failure(
                "checks",
                render_failure(check.retry.as_ref().unwrap_or(&check.ran)),
                "this check fails before any fix, so it cannot show whether a fix breaks something: see \
                    `truing verify`",
            );
        }
    }
}

fn render_argv(argv: &[String]) -> String {
    visible_line(&argv.join(" "))
}

fn render_failure(command_run: &CommandRun) -> String {
    format!("`{}` fails: {}", render_argv(&command_run.argv), command_run.end)
}

impl ConvergeRunner<'_> {
    /// Checks the head once, before the run's first paid call.
    ///
    /// # Errors
    /// [`ActError::CannotContinue`] with the reason if the run must not begin.
    pub(super) async fn run_preflight(&mut self) -> Result<(), ActError> {
        let tools = self.inspection_tools;
        let state = &self.record.detail.state;
        let head = state.head.clone();
        let has_begun = self.record.cost() > MicroUsd(0) || !state.commits.is_empty();
        if tools.skips_preflight || has_begun || self.record.detail.checked_head.as_ref() == Some(&head) {
            return Ok(());
        }
        let gate = tools.commands.as_ref().map(|commands| commands.argv.as_slice()).unwrap_or_default();
        let file = RepoPath::from_bytes(PRE_COMMIT_FILE.as_bytes());
        let has_hooks = self.mirror.read_file(&head, &file).await?.is_some();
        if let Some(note) = pre_commit::unused_hooks_note(has_hooks, gate) {
            self.record.warn(note);
        }
        if self.workspace.read_only_reason().is_none() {
            self.mirror.check_signing_key(&head).await.map_err(|error| {
                let reason = format!("before anything was paid: {error}; {}", error.hint());
                ActError::from_exit_code(ConvergeExitCode::Preflight, reason)
            })?;
        }
        let of_gate = tools.commands.as_ref().map(|commands| &commands.verifier);
        let Some(verifier) = tools.verifier.as_ref().or(of_gate) else { return Ok(()) };
        // Without the permission to push, the run does not use the gate.
        let gate = if self.workspace.read_only_reason().is_some() { &[][..] } else { gate };
        let tree = PrivateFolder::new().map_err(ActError::TemporaryFolder)?;
        self.mirror.check_out_private_clone(&head, &[], tree.path()).await?;
        let trust = CacheScope::new(format!("converge {}", self.record.key));
        let mut results = PreflightResults::default();
        let report = check_tree(verifier, tree.path(), &trust, gate, &mut results).await?;
        if !results.all_passed() {
            let reason = format!("before anything was paid: {}", results.failure_text());
            return Err(ActError::from_exit_code(ConvergeExitCode::Preflight, reason));
        }
        for check in results.0.into_iter().filter(|check| check.warning) {
            self.record.warn(check.text);
        }
        if tools.verifier.is_some() {
            self.baseline = Some((head.clone(), report));
        }
        self.record.detail.checked_head = Some(head);
        Ok(())
    }
}
