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
use truing_reader::output::known::{OutputStream, is_empty_without_findings};
use truing_reader::redact::redact_credentials;

use super::cached_findings::LinterFindingCache;
use super::linter_tree::StateDigest;
use super::select::SelectedLinter;
use crate::command_failure::{failure_cause, redact_known_credentials};

/// The reason why a linter could not find the project's dependencies.
pub(super) const NOT_FETCHED_REASON: &str = "the project's dependencies, or its lock file, are not fetched";
/// Maximum number of characters of a reason.
const MAX_REASON_CHARS: usize = 600;

/// An output that the reader parses.
#[derive(Clone, Debug)]
pub struct LinterOutput {
    /// The text that the linter printed, with the data that the reader needs to parse it.
    pub output: ToolOutput,
    /// The files that the linter inspected in this run. The set is empty for an output that the caller
    /// supplied.
    pub(crate) inspected_paths: BTreeSet<RepoPath>,
    /// The cache for the findings, and the state of each file before the run. `None` if the findings are not
    /// to be cached.
    cache_and_states: Option<(LinterFindingCache, BTreeMap<String, StateDigest>)>,
}

impl From<ToolOutput> for LinterOutput {
    fn from(output: ToolOutput) -> Self {
        Self { output, inspected_paths: BTreeSet::new(), cache_and_states: None }
    }
}

impl LinterOutput {
    /// Creates the output of a run from the printed text. `root` is the path at which the run saw the folder
    /// with the files. `root` is the folder of the files, as the run saw it. Findings of the rules in
    /// `excluded_rules` are dropped.
    pub(super) fn from_printout(
        tool: &SelectedLinter,
        command_output: &CommandOutput,
        root: &Path,
        excluded_rules: &BTreeSet<String>,
    ) -> Self {
        let CommandOutput { end_reason: end, stdout: output, stderr: errors, .. } = command_output;
        let text = match tool.output_stream() {
            OutputStream::Either if output.trim().is_empty() => errors,
            OutputStream::Stdout | OutputStream::Either => output,
            OutputStream::Stderr => errors,
        };
        let is_missing = text.trim().is_empty() && !is_empty_without_findings(&tool.output_format);
        let mut unnamed = None;
        let failed = match end {
            CommandEndReason::Exit { code } if !tool.success_exit_codes.contains(&i32::from(*code)) => {
                Some(failure_cause(command_output))
            }
            CommandEndReason::Exit { code: 0 } => is_missing.then(|| "it printed nothing".to_owned()),
            CommandEndReason::Exit { .. } => {
                unnamed = Some(format!("it reported no finding: {}", failure_cause(command_output)));
                None
            }
            CommandEndReason::Killed
            | CommandEndReason::Time
            | CommandEndReason::Output
            | CommandEndReason::Disk
            | CommandEndReason::Limit { .. }
            | CommandEndReason::DiskFull
            | CommandEndReason::NoProgram => Some(failure_cause(command_output)),
        };
        let with_fetch =
            |reason: String| match tool.fetch_command().filter(|_| tool.reports_unfetched_files(errors)) {
                Some(fetch) => format!("{reason}; {NOT_FETCHED_REASON}: run `{fetch}`"),
                None => reason,
            };
        let for_people = |reason: String| with_fetch(to_project_paths(&reason, root));
        let (failed, unnamed) = (failed.map(for_people), unnamed.map(for_people));
        Self::from(ToolOutput {
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
        })
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

    /// Creates the output of a tool that could not be run at all.
    pub(super) fn from_failure(tool: &SelectedLinter, reason: &str) -> Self {
        Self::from(ToolOutput {
            failure_reason: Some(clean_line(reason, MAX_REASON_CHARS)),
            everywhere: false,
            ..empty_output(tool)
        })
    }

    /// Sets the files that the linter inspected in this run.
    pub(super) fn with_inspected_files<'a>(self, files: impl IntoIterator<Item = &'a str>) -> Self {
        Self { inspected_paths: files.into_iter().map(RepoPath::from).collect(), ..self }
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
        let Self { mut output, cache_and_states: keeping, .. } = self;
        // The reader knows only secrets with a known format, and not the credentials of this process. They
        // are removed before the reader shortens texts, because a part of a credential could remain
        // otherwise.
        output.text = redact_credentials(&output.text);
        let request = ToolOutputRequest { tree: tree.to_owned(), files: changed_files.to_vec(), output };
        let mut found = reader.tool_findings(&request).await?;
        found.findings = found.findings.into_iter().map(redact_known_credentials).collect();
        for text in found.problems.iter_mut().chain(&mut found.keeps_open) {
            *text = redact_credentials(text);
        }
        let is_empty = found.findings.is_empty() && found.outside_count == 0 && found.suppressed == 0;
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
