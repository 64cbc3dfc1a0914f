//! Represents the output of a linter, and reads and caches its findings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use truing_agent::verify::CommandOutput;
use truing_core::finding::RawFinding;
use truing_core::line::clean_line;
use truing_core::port::{
    ChangedFile, ReaderError, RepositoryReader, ToolFindings, ToolOutput, ToolOutputRequest,
};
use truing_core::verification::CommandEndReason;
use truing_diff::RepoPath;
use truing_reader::output::known::{OutputStream, SuggestedRun, is_empty_without_findings};
use truing_reader::redact::redact_credentials;

use super::cached_findings::LinterFindingCache;
use super::linter_tree::StateDigest;
use super::select::SelectedLinter;
use super::suggestions::keep_suggestions;
use crate::command_failure::{failure_cause, redact_known_credentials};

/// The reason why a linter could not find the project's dependencies.
pub(super) const NOT_FETCHED_REASON: &str = "the project's dependencies, or its lock file, are not fetched";
/// The reason why a linter that ran says nothing about the change.
const EXAMINED_NOTHING_REASON: &str = "its configuration leaves out all changed files";
/// Maximum number of characters of a reason.
const MAX_REASON_CHARS: usize = 600;

/// An output that the reader parses.
#[derive(Clone, Debug)]
pub struct LinterOutput {
    /// The text that the linter printed, with the data that the reader needs to parse it.
    pub output: ToolOutput,
    /// The cache for the findings, and the state of each file before the run. `None` if the findings are not
    /// to be cached.
    cache_and_states: Option<(LinterFindingCache, BTreeMap<String, StateDigest>)>,
    /// Sentence for users about the version that ran and the version that the repository pins, if they
    /// differ.
    pub version_note: Option<String>,
    /// The run of a linter that the repository does not use.
    suggested_run: Option<&'static SuggestedRun>,
    /// True if the linter says that it examined no file.
    examined_nothing: bool,
}

impl From<ToolOutput> for LinterOutput {
    fn from(output: ToolOutput) -> Self {
        Self {
            output,
            cache_and_states: None,
            version_note: None,
            suggested_run: None,
            examined_nothing: false,
        }
    }
}

impl LinterOutput {
    /// Creates the output of a run from the printed text. `root` is the path at which the run saw the folder
    /// with the files. Findings of the rules in
    /// `excluded_rules` are dropped.
    pub(super) fn from_printout(
        tool: &SelectedLinter,
        command_output: &CommandOutput,
        excluded_rules: &BTreeSet<String>,
    ) -> Self {
        let CommandOutput { end_reason: end, stdout: output, stderr: errors, tree_path: root, .. } =
            command_output;
        let text = match tool.output_stream() {
            OutputStream::Either if output.trim().is_empty() => errors,
            OutputStream::Stdout | OutputStream::Either => output,
            OutputStream::Stderr => errors,
        };
        // The other stream of a run that the linter itself calls successful may say that it could not check
        // everything.
        let other_stream = if std::ptr::eq(text, output) { errors } else { output };
        let is_missing = text.trim().is_empty() && !is_empty_without_findings(&tool.output_format);
        let mut unnamed = None;
        let failed = match end {
            CommandEndReason::Exit { code } if !tool.success_exit_codes.contains(&i32::from(*code)) => {
                Some(run_failure_reason(tool, command_output))
            }
            CommandEndReason::Exit { .. } if let Some(line) = tool.failure_line(other_stream) => {
                Some(format!("it could not check everything: {line}"))
            }
            CommandEndReason::Exit { code: 0 } => is_missing.then(|| "it printed nothing".to_owned()),
            CommandEndReason::Exit { .. } if tool.is_exit_explained_by(text) => None,
            CommandEndReason::Exit { .. } => {
                unnamed =
                    Some(format!("it reported no finding: {}", run_failure_reason(tool, command_output)));
                None
            }
            CommandEndReason::Killed
            | CommandEndReason::Time
            | CommandEndReason::Output
            | CommandEndReason::Disk
            | CommandEndReason::Limit { .. }
            | CommandEndReason::DiskFull
            | CommandEndReason::NoProgram => Some(run_failure_reason(tool, command_output)),
        };
        let with_fetch =
            |reason: String| match tool.fetch_command().filter(|_| tool.reports_unfetched_files(errors)) {
                Some(fetch) => format!("{reason}; {NOT_FETCHED_REASON}: run `{fetch}`"),
                None => reason,
            };
        let for_people = |reason: String| with_fetch(to_project_paths(&reason, root));
        let (failed, unnamed) = (failed.map(for_people), unnamed.map(for_people));
        let printed = Self::from(ToolOutput {
            roots: vec![root.to_string_lossy().into_owned()],
            text: text.clone(),
            failure_reason: failed.map(|reason| clean_line(&reason, MAX_REASON_CHARS)),
            // If a linter reports findings with another exit code, its exit code 0 means that it found
            // nothing.
            is_clean: matches!(end, CommandEndReason::Exit { code: 0 })
                && tool.success_exit_codes.iter().any(|code| *code != 0),
            unnamed: unnamed.map(|reason| clean_line(&reason, MAX_REASON_CHARS)),
            excluded_rules: excluded_rules.clone(),
            ..empty_output(tool)
        });
        let examined_nothing = [output, errors].iter().any(|text| tool.says_that_it_examined_nothing(text));
        Self { suggested_run: tool.suggested_run, examined_nothing, ..printed }
    }

    /// Creates an output from the cached findings of earlier runs.
    pub(super) fn from_cached_findings(
        tool: &SelectedLinter,
        findings: Vec<RawFinding>,
        excluded_rules: &BTreeSet<String>,
    ) -> Self {
        Self::from(ToolOutput {
            cached_findings: Some(findings),
            excluded_rules: excluded_rules.clone(),
            ..empty_output(tool)
        })
    }

    /// True if the run failed. Also true if the run printed nothing, although its exit code reports findings.
    pub(super) fn failed_without_findings(&self) -> bool {
        let Self { output, .. } = self;
        output.failure_reason.is_some() || output.unnamed.is_some() && output.text.trim().is_empty()
    }

    /// True if the repository does not use the linter, so that its findings are suggestions.
    pub(crate) fn is_suggested(&self) -> bool {
        self.suggested_run.is_some()
    }

    /// Creates the output of a tool that could not be run at all.
    pub(super) fn from_failure(tool: &SelectedLinter, reason: &str) -> Self {
        Self::from(ToolOutput {
            failure_reason: Some(clean_line(reason, MAX_REASON_CHARS)),
            everywhere: false,
            ..empty_output(tool)
        })
    }

    /// Sets a cache, in which [`Self::read_findings`] will store the findings. `states` contains each file's
    /// state before the run.
    pub(super) fn with_cache(
        self,
        cache_context: LinterFindingCache,
        states: BTreeMap<String, StateDigest>,
    ) -> Self {
        if self.output.failure_reason.is_some() || states.is_empty() {
            return self;
        }
        let keep = states.keys().cloned().collect();
        Self {
            output: ToolOutput { keep, ..self.output },
            cache_and_states: Some((cache_context, states)),
            ..self
        }
    }

    /// Reads the findings in the output, and caches them if a cache is set. Returns the findings together
    /// with the output.
    ///
    /// # Errors
    /// [`ReaderError`]
    #[truing_core::boxed_future]
    pub async fn read_findings(
        self,
        tree: &Path,
        changed_files: &[ChangedFile],
        reader: &dyn RepositoryReader,
    ) -> Result<(ToolFindings, ToolOutput), ReaderError> {
        let Self { mut output, cache_and_states: keeping, suggested_run, examined_nothing, version_note: _ } =
            self;
        // The reader knows only secrets with a known format, and not the credentials of this process. They
        // are removed before the reader shortens texts, because a part of a credential could remain
        // otherwise.
        output.text = redact_credentials(&output.text);
        let mut request = ToolOutputRequest { tree: tree.to_owned(), files: changed_files.to_vec(), output };
        let mut found = reader.tool_findings(&request).await?;
        found.findings = found.findings.into_iter().map(redact_known_credentials).collect();
        for text in found.problems.iter_mut().chain(&mut found.keeps_open) {
            *text = redact_credentials(text);
        }
        if let Some(run) = suggested_run {
            // The linter may have reported findings of rules that are not suggested.
            request.output.unnamed = None;
            found.problems.extend(request.output.failure_reason.take());
            keep_suggestions(run, &request.output.tool, tree, &mut found);
        }
        let is_empty = found.findings.is_empty() && found.outside_count == 0 && found.suppressed == 0;
        if examined_nothing && is_empty {
            found.skip_reason.get_or_insert_with(|| EXAMINED_NOTHING_REASON.to_owned());
        }
        let is_whole = request.output.unnamed.is_none() || !is_empty;
        if let (Some((recipe, mut states)), Some(findings)) =
            (keeping, found.keep.take().filter(|_| is_whole))
        {
            // Findings are not cached for files that the linter ignored, because a later run would treat such
            // files as inspected.
            states.retain(|path, _| !found.ignored.contains(&RepoPath::from(path.as_str())));
            recipe.store_findings(states, findings.into_iter().map(redact_known_credentials).collect()).await;
        }
        Ok((found, request.output))
    }
}

/// Describes how a linter failed. Diagnostics in JSON are left out, because the reader parses them. Lines
/// that only explain an exit code are left out, too.
fn run_failure_reason(tool: &SelectedLinter, command_output: &CommandOutput) -> String {
    let without_explanations = |text: &str| {
        let lines = text.lines().filter(|line| !tool.is_exit_explained_by(line));
        lines.collect::<Vec<_>>().join("\n")
    };
    let stdout = without_explanations(&command_output.stdout);
    let stderr = without_explanations(&command_output.stderr);
    let cause = failure_cause(&CommandOutput {
        end_reason: command_output.end_reason,
        duration_ms: command_output.duration_ms,
        stdout,
        stderr,
        tree_path: command_output.tree_path.clone(),
    });
    let is_json = cause.contains(": {\"") || cause.contains(": [{\"");
    if is_json { command_output.end_reason.to_string() } else { cause }
}

/// Makes the paths in a program's messages relative to the project. `root` is the path at which the program
/// saw the project's folder.
fn to_project_paths(text: &str, root: &Path) -> String {
    let root = root.display();
    let inside = format!("{root}/");
    let is_path = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    let (mut converted, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(&inside) {
        converted.push_str(before);
        if converted.ends_with(is_path) {
            converted.push_str(&inside);
        }
        rest = after;
    }
    converted.push_str(rest);
    converted.replace(&format!(" ({root})"), "")
}

/// Creates an output without text or findings.
fn empty_output(tool: &SelectedLinter) -> ToolOutput {
    ToolOutput {
        tool: tool.name.clone(),
        format: Some(tool.output_format.clone()),
        everywhere: tool.accepts_unchanged_lines,
        folder: (!tool.folder.is_empty()).then(|| tool.folder.as_str().into()),
        left_out: tool.excluded_files(),
        ..ToolOutput::default()
    }
}
