//! The command `truing gate`: runs the rule packs and the configured commands on a local change, as the
//! converge loop does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use serde::Serialize;
use truing_agent::verify::CacheScope;
use truing_core::code_digest::LinesKey;
use truing_core::line::{truncate_text, visible_line};
use truing_core::outcome::CoverageGap;
use truing_diff::RepoPath;
use truing_git::{IndexSnapshot, LocalRepository};
use truing_loops::compare::{BaseOrigin, ComparisonRequest, HeadSource};
use truing_loops::converge::gate::{GateCommandRun, GateError, GateFinding, GateFindings, GateResult};
use truing_loops::converge::pre_commit::BASE_HOOKS_NOTE;
use truing_loops::local::{LocalReviewError, read_index};
use truing_loops::reading::{self, ReadingError, ReviewedChange};
use truing_loops::text::format_count;
use truing_loops::tools::{BaseCommit, ReviewLinters};
use truing_loops::verify::{RepositoryState, check_out_state};

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::review::read_repository_config;
use super::{CommandContext, runtime};
use crate::wiring;

/// Check a local change with the rule packs and the commands of `converge.gate`
///
/// This is the gate of the converge loop. It checks the working tree against the merge base with the default
/// branch. Violations on changed lines block; other violations do not. The gate ignores dismissals (`truing
/// dismiss`). To accept a violation of a rule, write a comment `truing: ignore[RULE] the reason` on its line,
/// or add the rule to `rules.off`. Commands run in the sandbox, on a copy of the files, without network and
/// secrets. Exit codes: 0 if nothing blocks, 1 if something blocks, 3 if the gate could not run.
#[derive(clap::Args, Debug)]
pub struct GateArgs {
    /// Files or folders to check completely, instead of only the changes
    #[arg(value_name = "PATH", conflicts_with_all = ["base", "staged"])]
    paths: Vec<PathBuf>,
    /// Compare with the merge base of the head and this commit, instead of the merge base with the default
    /// branch
    #[arg(long, value_name = "REF", conflicts_with = "staged")]
    base: Option<String>,
    /// Check the content of the next commit: the staged changes, against HEAD
    #[arg(long)]
    staged: bool,
}

/// Prefix of each line of the text that shows the gate's result.
const OUTPUT_PREFIX: &str = "gate:";
/// The next step after a violation of a rule. The converge loop's gate ignores dismissals, too.
const DISMISSALS_NOTE: &str = "fix these violations; the gate ignores dismissals: to accept a violation of a \
    rule, write a comment `truing: ignore[RULE] the reason` on its line, or add the rule to `rules.off`";
/// Maximum characters of a command in the output.
const MAX_COMMAND_CHARS: usize = 100;
/// Maximum characters of a path in the output.
const MAX_PATH_CHARS: usize = 200;

/// The answer as JSON.
#[derive(Serialize)]
struct GateReport<'a> {
    schema: &'static str,
    ok: bool,
    base: Option<String>,
    inspected: usize,
    not_inspected: &'a [CoverageGap],
    blocking: Vec<GateFindingJson<'a>>,
    advisory: Vec<GateFindingJson<'a>>,
    /// Number of findings that the report does not list.
    left_out: OmittedCountsJson,
    commands: Vec<GateCommandJson<'a>>,
}

#[derive(Serialize)]
struct OmittedCountsJson {
    blocking: usize,
    advisory: usize,
}

#[derive(Serialize)]
struct GateFindingJson<'a> {
    #[serde(rename = "by")]
    reporter: &'a str,
    path: Option<String>,
    line: Option<u32>,
    text: &'a str,
}

#[derive(Serialize)]
struct GateCommandJson<'a> {
    argv: &'a [String],
    ok: bool,
    ms: u64,
}

pub(crate) fn run(args: &GateArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    runtime::start()?.block_on(async {
        tokio::select! {
            ended = args.run(context) => ended,
            told = runtime::wait_for_stop_signal() => {
                told?;
                Err(CliError::new(CommandExit::Interrupted, "interrupted", "interrupted before the gate \
                    finished")
                    .hint("nothing was changed; all commands have ended"))
            }
        }
    })
}

impl GateArgs {
    async fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let git = wiring::open_git(&context.environment).await?;
        let here = context.environment.directory();
        let repository = git.open_without_commits(here).await.map_err(wiring::git_error)?;
        let config = context.config(&[])?;
        let config = match read_repository_config(&repository, None).await? {
            Some(file) => config.with_repository(&file)?,
            None => config,
        };
        let index = self.read_staged_index(&repository, context).await?;
        let (change, against) = self.resolve_change(&repository, index.as_ref(), here).await?;
        let commands = wiring::verify::gate_commands(&config, &context.environment)?;
        let reader = wiring::local_reader(&config.rules)?;
        let rules = wiring::review_scope(&config, LinesKey::default())?;
        let progress = context.output.progress("running the gate", None);
        // If there are commands, both the commands and the rules use a copy of all files. Without commands,
        // the rules read a copy of the staged files or, without `--staged`, the working tree itself.
        let mut unwritten_files = Vec::new();
        let (_folder, tree) = match (&commands, &index) {
            (Some(_), _) => {
                let state = index.as_ref().map_or(RepositoryState::WorkingTree, RepositoryState::Index);
                let (folder, tree) = check_out_state(&repository, state, &git)
                    .await
                    .map_err(super::verify::repository_verify_error)?;
                (Some(folder), tree)
            }
            (None, Some(index)) => {
                let folder = git.create_private_folder().map_err(wiring::git_error)?;
                let plan = reading::plan_reading(&change, &rules).map_err(LocalReviewError::Reading)?;
                let paths = plan.required_paths(&rules, &reader).await.map_err(LocalReviewError::Reading)?;
                // If there are linters, all files are exported, because a linter may read any file.
                let only = (!rules.tools.has_linters()).then_some(paths.as_slice());
                let exported = index.export(folder.path(), only).await.map_err(wiring::git_error)?;
                unwritten_files = exported.omitted_files;
                let tree = folder.path().to_owned();
                (Some(folder), tree)
            }
            (None, None) => (None, repository.root().to_owned()),
        };
        // Both the commands and the files are the user's own. A cached setup may therefore be used for any
        // state of the files.
        let trust = CacheScope::new(format!("local {}", repository.root().display()));
        let unread = |error| gate_error(GateError::Reading(error));
        let mut plan = reading::plan_reading(&change, &rules).map_err(unread)?;
        plan.add_unreviewed_files(unwritten_files);
        let unseen = plan.split_off(&change.index_content_paths);
        let toolbox = wiring::tools::local_linters(&config, &context.environment, Vec::new());
        let base = BaseCommit::Repository(&repository, &change.base);
        let project = Some(repository.root());
        let tooling =
            ReviewLinters { linter_sources: &toolbox, project_programs_folder: project, trust: None, base };
        let mut reading = plan.read(tree.clone(), &rules, &reader, Some(tooling)).await.map_err(unread)?;
        if !unseen.is_empty() {
            reading.add(read_index(unseen, &repository, &rules, &reader).await?);
        }
        let mut gated = GateResult::from_reading(reading).map_err(gate_error)?;
        let has_rule_violations = !gated.is_clean();
        if let Some(commands) = &commands {
            let commands = commands.with_base_hooks(base).await.map_err(gate_error)?;
            commands.run(&tree, &change, &trust, &mut gated).await.map_err(gate_error)?;
        }
        drop(progress);
        context.output.print_answer(&gate_report(&gated, against.as_ref().map(|_| &change)), || {
            render_text(&gated, against.as_ref().map(|against| (&change, against)))
        })?;
        if gated.uses_base_hooks {
            context.output.print_note(BASE_HOOKS_NOTE);
        }
        if has_rule_violations {
            context.output.print_note(DISMISSALS_NOTE);
        }
        Ok(if gated.is_clean() { CommandExit::Success } else { CommandExit::NegativeAnswer })
    }

    /// Returns the index if `--staged` is set. In a hook, the variable `GIT_INDEX_FILE` names the index for
    /// the commit.
    async fn read_staged_index(
        &self,
        repository: &LocalRepository,
        context: &CommandContext,
    ) -> Result<Option<IndexSnapshot>, CliError> {
        if !self.staged {
            return Ok(None);
        }
        let named = context.environment.get("GIT_INDEX_FILE").filter(|name| !name.is_empty());
        repository.snapshot_index(named.map(Path::new)).await.map(Some).map_err(wiring::git_error)
    }

    /// Returns the change to check, and the origin of its base. If the call names files, the origin is
    /// `None`.
    async fn resolve_change(
        &self,
        repository: &LocalRepository,
        index: Option<&IndexSnapshot>,
        current_folder: &Path,
    ) -> Result<(ReviewedChange, Option<BaseOrigin>), CliError> {
        if !self.paths.is_empty() {
            let base = repository.empty_tree().map_err(wiring::git_error)?;
            let large = collect_files(&self.paths, current_folder, repository.root())?;
            let (diff, left_out, unseen) = (vec![], vec![], vec![]);
            return Ok((
                ReviewedChange {
                    base,
                    head: None,
                    diff,
                    omitted_files: left_out,
                    large_new_files: large,
                    index_content_paths: unseen,
                },
                None,
            ));
        }
        let head = index.map_or(HeadSource::WorkingTree, HeadSource::Index);
        let comparing = ComparisonRequest { repository, base: self.base.as_deref(), head };
        let (change, against) =
            comparing.compare(repository.head_if_any()).await.map_err(wiring::git_error)?;
        Ok((change, Some(against)))
    }
}

/// Returns the paths of the named files, and of the files in the named folders, relative to the repository.
/// Omits files that git ignores in these folders.
fn collect_files(paths: &[PathBuf], current_folder: &Path, root: &Path) -> Result<Vec<RepoPath>, CliError> {
    let mut found = Vec::new();
    for path in paths {
        let full = current_folder.join(path);
        let shown = || truncate_text(visible_line(&path.display().to_string()), MAX_PATH_CHARS);
        let wrong = |reason: &dyn std::fmt::Display| {
            CliError::usage("no_such_path", format!("{}: {reason}", shown()))
                .hint("specify files and folders of the repository that is checked out here")
        };
        let full = full.canonicalize().map_err(|error| wrong(&error))?;
        if full.strip_prefix(root).is_err() {
            return Err(wrong(&"the path is not in this repository"));
        }
        let walk = WalkBuilder::new(&full)
            .hidden(false)
            .require_git(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        let plain = walk.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        found.extend(plain.filter_map(|entry| {
            let below = entry.path().strip_prefix(root).ok()?;
            Some(RepoPath::from_bytes(below.as_os_str().as_encoded_bytes()))
        }));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Converts the error of a gate that could not run to the command's error.
pub(super) fn gate_error(error: GateError) -> CliError {
    let text = error.to_string();
    match error {
        GateError::Command { .. } => CliError::failure("gate", text).hint(
            "a command of `converge.gate` must exit with 0 if it finds nothing and with 1 if it finds \
                something; try the command in the sandbox: `truing sandbox run -- COMMAND`",
        ),
        GateError::NothingRead { .. } => CliError::failure("gate", text),
        GateError::Linter { .. } => CliError::failure("gate", text)
            .hint("run the linter manually; `[[tool]]` with `when = \"never\"` disables it"),
        GateError::Verify(error) => CliError { message: text, ..wiring::verify::verify_error(error) },
        GateError::Reading(ReadingError::Reader(error)) => {
            CliError { message: text, ..wiring::reader_error(error) }
        }
        GateError::Reading(error) => CliError { message: text, ..LocalReviewError::Reading(error).into() },
    }
}

fn gate_report<'a>(result: &'a GateResult, change: Option<&ReviewedChange>) -> GateReport<'a> {
    let findings = |found: &'a GateFindings| found.findings.iter().map(GateFindingJson::from).collect();
    GateReport {
        schema: "truing.gate/1",
        ok: result.is_clean(),
        base: change.map(|change| change.base.to_string()),
        inspected: result.inspected_file_count,
        not_inspected: &result.not_inspected,
        blocking: findings(&result.blocking),
        advisory: findings(&result.advisory),
        left_out: OmittedCountsJson {
            blocking: result.blocking.omitted_count,
            advisory: result.advisory.omitted_count,
        },
        commands: result
            .command_runs
            .iter()
            .map(|GateCommandRun { argv, is_clean, duration_ms: ms }| GateCommandJson {
                argv,
                ok: *is_clean,
                ms: *ms,
            })
            .collect(),
    }
}

impl<'a> From<&'a GateFinding> for GateFindingJson<'a> {
    fn from(finding: &'a GateFinding) -> Self {
        let GateFinding { reporter: by, location, text } = finding;
        let (path, line) = location.as_ref().map(|(path, line)| (path.to_string(), *line)).unzip();
        Self { reporter: by, path, line, text }
    }
}

/// Returns the result as text. `comparison` is the change and the origin of its base, or `None` if whole
/// files were checked.
fn render_text(result: &GateResult, comparison: Option<(&ReviewedChange, &BaseOrigin)>) -> String {
    let mut text = String::new();
    let GateResult {
        blocking,
        advisory,
        inspected_file_count: inspected,
        not_inspected,
        command_runs,
        uses_base_hooks: _,
    } = result;
    for (found, is_blocking) in [(blocking, true), (advisory, false)] {
        let count = found.findings.len() + found.omitted_count;
        let what = match (is_blocking, comparison) {
            _ if count == 0 => continue,
            (true, Some(_)) => " on changed lines:",
            (true, None) => ":",
            (false, _) => " elsewhere in these files (not blocking):",
        };
        let _ = writeln!(text, "{OUTPUT_PREFIX} {}{what}", format_count(count, "violation"));
        text += &render_violations(found);
    }
    for GateCommandRun { argv, is_clean, duration_ms: _ } in command_runs {
        let what = if *is_clean { "clean" } else { "findings" };
        let _ = writeln!(
            text,
            "command {what}: {}",
            truncate_text(visible_line(&argv.join(" ")), MAX_COMMAND_CHARS)
        );
    }
    let _ = write!(text, "{OUTPUT_PREFIX} {} inspected", format_count(*inspected, "file"));
    if !not_inspected.is_empty() {
        let _ = write!(text, ", {} not", not_inspected.len());
    }
    if let Some((change, against)) = comparison {
        let _ = write!(text, ", against {} ({against})", change.base.short_sha());
    }
    text += "\n";
    for CoverageGap { path, reason } in not_inspected {
        let _ = writeln!(
            text,
            "  not inspected: {}: {}",
            visible_line(&path.to_string()),
            reason.as_str().replace('_', " ")
        );
    }
    text
}

/// Formats the findings, grouped by file and in the order of the paths.
fn render_violations(findings: &GateFindings) -> String {
    let mut files: BTreeMap<Option<&RepoPath>, Vec<&GateFinding>> = BTreeMap::new();
    for finding in &findings.findings {
        files.entry(finding.location.as_ref().map(|(path, _)| path)).or_default().push(finding);
    }
    let mut text = String::new();
    for (path, all) in files {
        match path {
            Some(path) => {
                let _ = writeln!(text, "{}:", visible_line(&path.to_string()));
            }
            None => text += "without a file:\n",
        }
        for GateFinding { reporter: by, location, text: what } in all {
            let line = location.as_ref().map(|(_, line)| format!("Line {line}: ")).unwrap_or_default();
            text += &fold_line(&format!("  {line}"), &format!("{what} [{by}]"));
        }
    }
    if findings.omitted_count > 0 {
        let _ = writeln!(text, "  and {} more", findings.omitted_count);
    }
    text
}
