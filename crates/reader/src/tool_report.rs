//! Parses the output of a tool to diagnostics on files of the tree, and lists the parts of the output that
//! cannot be parsed.
//!
//! A review based on a tool's output is complete only if the whole output was parsed and every reported file
//! was found. If the tool ran elsewhere, perhaps on another machine, its root and working folder are inferred
//! from the paths in the output.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use globset::GlobMatcher;
use ignore::WalkBuilder;
use truing_core::line::{clean_line, format_count};
use truing_core::port::{ExternalToolRun, ReaderError, ToolOutput, ToolOutputRequest};
use truing_diff::RepoPath;

use crate::file::FileTree;
use crate::output::known::{KnownTool, UnreadExtent, UnreadableText, find_tool};
use crate::output::notebook::NotebookLines;
use crate::output::path::{guess_root, unusual_names};
use crate::output::range::DiagnosticRange;
use crate::output::report::MAX_PROBLEMS as MAX_NAMED;
use crate::output::{
    Diagnostic, DiagnosticReport, OutputContext, OutputFormat, ProblemKind, ReportProblem, choose_format,
    is_known_tool, read_output, recognize_format, tool_name,
};
use crate::redact::redact_line;

/// Largest number of problems in a response.
pub(crate) const MAX_PROBLEMS: usize = 20;
/// Longest text of a problem, in characters.
pub(crate) const MAX_PROBLEM_CHARS: usize = 400;
/// Maximum number of files in a tree. In a larger tree, no file is searched for by the end of its path.
const MAX_FILES: usize = 200_000;
/// Maximum number of examples in a message about results whose files are not in the tree.
const MAX_EXAMPLE_PATHS: usize = 3;

/// Parsed output of a tool.
#[derive(Debug)]
pub(crate) struct ToolReport {
    /// Format of the output.
    pub(crate) format: OutputFormat,
    /// Diagnostics, each with a path.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Names of the tools that produced the output, in the spelling that findings use.
    pub(crate) tools: BTreeSet<String>,
    /// Reasons why some findings may be missing.
    pub(crate) problems: Vec<String>,
    /// Reason why earlier findings must stay open, as one line for the response.
    pub(crate) keep_open_reason: Option<String>,
    /// Files that the tool reports as not examined.
    pub(crate) unexamined_files: BTreeSet<RepoPath>,
    /// Reason, for users, why the tool says nothing about the change; `None` if it examined a changed file.
    pub(crate) skip_reason: Option<String>,
}

/// Parses the output of a request.
///
/// # Errors
///
/// [`ReaderError::Failed`] if the format is unknown.
pub(crate) fn tool_report(request: &ToolOutputRequest, tree: &FileTree) -> Result<ToolReport, ReaderError> {
    let output = &request.output;
    let bytes = output.text.as_bytes();
    let format = choose_format(output.format.as_deref(), bytes).ok_or_else(|| {
        let named = output.format.as_deref().unwrap_or("not recognised");
        ReaderError::Failed(format!("the format of {} is unknown ({named})", output.tool))
    })?;
    // The list of files is needed only for JUnit, which may name a file without its folder.
    let files = if format == OutputFormat::Junit { files_below(&request.tree) } else { Vec::new() };
    let unusual = unusual_names(request.files.iter().map(|file| &file.path));
    let by_option = output.foreign.as_ref().and_then(|foreign| foreign.tool.as_deref());
    // The caller may pass the name of a tool as the format. The output is then in a format that many tools
    // share, and the findings are attributed to the named tool.
    let by_format = output.format.as_deref().filter(|name| format.tool().is_none() && is_known_tool(name));
    let given = by_option.or(by_format);
    let tool = given.unwrap_or(&output.tool);
    let input = OutputContext { files: &files, unusual_paths: &unusual, tool, ..output_context(output) };
    let (report, absent) = match &output.foreign {
        Some(foreign) => read_external_output(output, foreign, format, tree, input),
        // The paths of known tools are known to be right. A path of an operator's own tool may be wrong.
        None => {
            let report = read_output(format, bytes, &input);
            let is_own_tool = find_tool(&output.tool).is_none();
            let missing = is_own_tool.then(|| MissingFiles::from_report(&report, tree));
            (report, missing.unwrap_or_default())
        }
    };
    let names_tool = |tool: &String| tool != input.tool_name_or(format.as_str());
    let is_named = given.is_some()
        || output.foreign.is_none()
        || format.tool().is_some()
        || (!report.tools.is_empty() && report.tools.iter().all(names_tool));
    let mut tools: BTreeSet<String> = report.tools.iter().map(|tool| tool_name(tool)).collect();
    if let Some(given) = given {
        tools = [tool_name(given)].into();
    } else if tools.is_empty() {
        tools.insert(tool_name(input.tool_name_or(format.as_str())));
    }
    let (mut problems, keeps_open) = collect_problems(output, &report, &absent, format);
    if let Some(other) = other_tool(input.tool_name_or(given.unwrap_or_default()), bytes, &report) {
        let text = format!("the output is that of {other}");
        problems.insert(0, clean_line(&text, MAX_PROBLEM_CHARS));
        problems.truncate(MAX_PROBLEMS);
    }
    let unnamed = || {
        let format = format.as_str();
        format!(
            "the format `{format}` does not contain the name of the tool: specify the tool with \
            `--tool NAME`"
        )
    };
    let keeps_open = keeps_open.or_else(|| (!is_named).then(unnamed));
    let skip_reason = skip_reason(&tools, &report, request);
    let mut diagnostics = report.diagnostics;
    let mut unplaced = Vec::new();
    place_notebook_diagnostics(&mut diagnostics, request, tree, &mut unplaced);
    add_unread_problems(&diagnostics, format, request, &mut problems);
    add_unreadable_problems(&tools, request, tree, &mut problems);
    if let Some(given) = given {
        diagnostics.iter_mut().for_each(|diagnostic| given.clone_into(&mut diagnostic.tool));
    }
    problems.extend(unplaced);
    problems.truncate(MAX_PROBLEMS);
    Ok(ToolReport {
        skip_reason,
        format,
        diagnostics,
        tools,
        problems,
        keep_open_reason: keeps_open,
        unexamined_files: report.ignored_files,
    })
}

/// Places the diagnostics in cells of notebooks at the lines of the file. Removes those that cannot be
/// placed, and adds a problem for each changed notebook with such diagnostics: a linter of a language counts
/// the lines of a cell, so without the number of the cell the place is not known. A tool that checks any text
/// counts the lines of the file.
fn place_notebook_diagnostics(
    diagnostics: &mut Vec<Diagnostic>,
    request: &ToolOutputRequest,
    tree: &FileTree,
    problems: &mut Vec<String>,
) {
    let mut counts = BTreeMap::new();
    let mut notebooks: BTreeMap<RepoPath, Option<NotebookLines>> = BTreeMap::new();
    diagnostics.retain_mut(|diagnostic| {
        if !diagnostic.path.as_str().is_some_and(|path| path.ends_with(".ipynb")) {
            return true;
        }
        if request.files.binary_search_by(|file| file.path.cmp(&diagnostic.path)).is_err() {
            return false;
        }
        let lines = notebooks.entry(diagnostic.path.clone()).or_insert_with_key(|path| {
            NotebookLines::parse(std::str::from_utf8(&tree.read_bytes(path).ok()?).ok()?)
        });
        let is_text_tool =
            find_tool(&diagnostic.tool).is_some_and(|tool| tool.paths.iter().any(|glob| glob == "**"));
        if diagnostic.cell.is_none() && is_text_tool {
            return true;
        }
        let line = diagnostic
            .cell
            .zip(diagnostic.range.first_line())
            .and_then(|(cell, row)| lines.as_ref()?.file_line(cell, row));
        match line {
            Some(line) => diagnostic.range = DiagnosticRange::from_lines(line, line),
            None => *counts.entry(diagnostic.path.clone()).or_insert(0_usize) += 1,
        }
        line.is_some()
    });
    let room = MAX_PROBLEMS.saturating_sub(problems.len());
    problems.extend(counts.iter().take(room).map(|(path, count)| {
        let text = format!("{} in cells of {path} cannot be placed", format_count(*count, "result"));
        redact_line(&text, MAX_PROBLEM_CHARS)
    }));
}

/// Returns the tool that printed the output, if its content shows that this is another known tool than the
/// named one.
fn other_tool(name: &str, bytes: &[u8], report: &DiagnosticReport) -> Option<String> {
    let named = find_tool(name)?;
    let is_other = |name: &str| find_tool(name).is_some_and(|tool| tool.name != named.name);
    if !report.tools.is_empty() && report.tools.iter().all(|name| is_other(name)) {
        return report.tools.first().cloned();
    }
    // A document without findings is parsed without problems even if another tool printed it.
    let content = report.diagnostics.is_empty().then(|| recognize_format(bytes)).flatten()?;
    let owner = content.tool().filter(|_| content.as_str() != named.format)?;
    is_other(owner).then(|| owner.to_owned())
}

/// Returns the reason why a tool says nothing about the change: according to its output, it examined none of
/// the changed files that it checks.
fn skip_reason(
    tools: &BTreeSet<String>,
    report: &DiagnosticReport,
    request: &ToolOutputRequest,
) -> Option<String> {
    if !report.is_nothing_examined && report.ignored_files.is_empty() || !report.diagnostics.is_empty() {
        return None;
    }
    let inspected: Vec<&RepoPath> = inspected_files(tools, request).collect();
    let is_left_out = |path: &RepoPath| report.is_nothing_examined || report.ignored_files.contains(path);
    (!inspected.is_empty() && inspected.into_iter().all(is_left_out))
        .then(|| "its configuration leaves out all changed files, or all rules".to_owned())
}

/// Returns the changed files that one of these tools checks, judged by their paths.
fn inspected_files<'a>(
    tools: &BTreeSet<String>,
    request: &'a ToolOutputRequest,
) -> impl Iterator<Item = &'a RepoPath> {
    let globs: Vec<GlobMatcher> =
        tools.iter().filter_map(|name| find_tool(name)).flat_map(KnownTool::path_globs).collect();
    request.files.iter().map(|file| &file.path).filter(move |path| {
        path.as_str().is_some_and(|path| {
            !request.output.left_out.contains(path) && globs.iter().any(|glob| glob.is_match(path))
        })
    })
}

/// Adds a problem for each changed file whose text a tool passes over without a word.
fn add_unreadable_problems(
    tools: &BTreeSet<String>,
    request: &ToolOutputRequest,
    tree: &FileTree,
    problems: &mut Vec<String>,
) {
    let kinds: Vec<UnreadableText> = tools
        .iter()
        .filter_map(|name| find_tool(name))
        .flat_map(|tool| tool.unreadable.iter().copied())
        .collect();
    if kinds.is_empty() {
        return;
    }
    let unreadable = inspected_files(tools, request).filter_map(|path| {
        let bytes = tree.read_bytes(path).ok()?;
        let kind = kinds.iter().find(|kind| kind.is_kind_of(&bytes))?;
        Some(format!("it could not check {path}: it does not read {}", kind.description()))
    });
    let room = MAX_PROBLEMS.saturating_sub(problems.len());
    problems.extend(unreadable.take(room).map(|text| redact_line(&text, MAX_PROBLEM_CHARS)));
}

/// Adds a problem for each changed file that a tool could not check, and for a project that it could not
/// check, according to its own diagnostics. Such a diagnostic hides findings, even if its line is unchanged.
/// The tool of the format decides the meaning of a diagnostic, because a tool that wraps another one may have
/// any name.
fn add_unread_problems(
    diagnostics: &[Diagnostic],
    format: OutputFormat,
    request: &ToolOutputRequest,
    problems: &mut Vec<String>,
) {
    let format_tool = format.tool().and_then(find_tool);
    let mut unread = BTreeMap::new();
    for diagnostic in diagnostics {
        let named_tool = find_tool(&diagnostic.tool);
        let tool = named_tool.filter(|tool| tool.format == format.as_str()).or(format_tool).or(named_tool);
        let Some(extent) = tool.and_then(|tool| tool.unread_extent(diagnostic)) else { continue };
        let is_left_out = diagnostic.path.as_str().is_some_and(|path| request.output.left_out.contains(path));
        let is_changed = request.files.binary_search_by(|file| file.path.cmp(&diagnostic.path)).is_ok();
        if extent == UnreadExtent::Project || is_changed && !is_left_out {
            let line = diagnostic.range.first_line().map(|line| format!(":{line}")).unwrap_or_default();
            unread.entry(&diagnostic.path).or_insert_with(|| {
                format!("it could not check {}{line}: {}", diagnostic.path, diagnostic.message)
            });
        }
    }
    let room = MAX_PROBLEMS.saturating_sub(problems.len());
    problems.extend(unread.values().take(room).map(|text| redact_line(text, MAX_PROBLEM_CHARS)));
}

/// Returns the regular files below a folder, except files that the repository ignores. The order is
/// undefined. The list is empty if there are more than [`MAX_FILES`] files.
fn files_below(folder: &Path) -> Vec<RepoPath> {
    let mut walk = WalkBuilder::new(folder);
    walk.hidden(false).parents(false).require_git(false).git_global(false).follow_links(false);
    let is_file = |entry: &ignore::DirEntry| entry.file_type().is_some_and(|kind| kind.is_file());
    let below = walk.build().filter_map(Result::ok).filter(is_file).filter_map(|entry| {
        let below = entry.path().strip_prefix(folder).ok()?;
        Some(RepoPath::from_bytes(below.as_os_str().as_bytes())).filter(RepoPath::is_safe_to_write)
    });
    let files: Vec<RepoPath> = below.take(MAX_FILES + 1).collect();
    if files.len() > MAX_FILES { Vec::new() } else { files }
}

fn output_context(output: &ToolOutput) -> OutputContext<'_> {
    let ToolOutput { tool, roots, folder, .. } = output;
    OutputContext { roots, working_folder: folder.as_ref(), tool, ..OutputContext::default() }
}

/// Files that diagnostics name but the tree does not contain.
#[derive(Debug, Default)]
struct MissingFiles {
    /// Number of diagnostics whose file is missing.
    count: usize,
    /// Paths of the first missing files.
    first_paths: Vec<String>,
    /// True if every diagnostic names a missing file, and there is at least one diagnostic.
    is_every_file_missing: bool,
}

impl MissingFiles {
    fn from_report(report: &DiagnosticReport, tree: &FileTree) -> Self {
        let mut absent = Self::default();
        let (mut known, mut present) = (BTreeMap::new(), 0_usize);
        for Diagnostic { path, .. } in &report.diagnostics {
            if *known.entry(path).or_insert_with(|| tree.has_entry(path)) {
                present += 1;
                continue;
            }
            absent.count += 1;
            if absent.first_paths.len() < MAX_EXAMPLE_PATHS {
                let name = redact_line(&path.to_string(), MAX_PROBLEM_CHARS);
                if !absent.first_paths.contains(&name) {
                    absent.first_paths.push(name);
                }
            }
        }
        absent.is_every_file_missing = present == 0 && absent.count > 0;
        absent
    }
}

/// Parses the output of a tool that ran elsewhere. Paths outside the tree are mapped into the tree by
/// comparison with its files.
fn read_external_output(
    output: &ToolOutput,
    external_run: &ExternalToolRun,
    format: OutputFormat,
    tree: &FileTree,
    mut input: OutputContext<'_>,
) -> (DiagnosticReport, MissingFiles) {
    let bytes = output.text.as_bytes();
    let mut roots = Cow::Borrowed(output.roots.as_slice());
    let mut report = read_output(format, bytes, &input);
    if !report.outside_paths.is_empty() {
        match guess_root(&report.outside_paths, |path| tree.has_entry(path)) {
            Some(root) => roots.to_mut().push(root),
            None => input.is_from_other_machine = true,
        }
        report = read_output(format, bytes, &OutputContext { roots: &roots, ..input });
    }
    let input = OutputContext { roots: &roots, ..input };
    let mut missing_files = MissingFiles::from_report(&report, tree);
    if let (Some(folder), None) = (&external_run.folder, &output.folder) {
        let there = read_output(format, bytes, &OutputContext { working_folder: Some(folder), ..input });
        let absent_there = MissingFiles::from_report(&there, tree);
        let is_better =
            (there.left_out_count, absent_there.count) <= (report.left_out_count, missing_files.count);
        if is_better && !there.diagnostics.is_empty() {
            (report, missing_files) = (there, absent_there);
        }
    }
    if !external_run.is_tree_whole {
        missing_files = MissingFiles::default();
    }
    (report, missing_files)
}

/// Returns the reasons why findings may be missing, and the reason, if any, why earlier findings must stay
/// open.
fn collect_problems(
    output: &ToolOutput,
    report: &DiagnosticReport,
    absent: &MissingFiles,
    format: OutputFormat,
) -> (Vec<String>, Option<String>) {
    let is_foreign = output.foreign.is_some();
    let is_unplaced = |problem: &&ReportProblem| match problem.kind {
        ProblemKind::NoFile => true,
        // A tool that Truing runs itself may also report on libraries outside the tree, which is not a
        // problem.
        ProblemKind::OutsideTree => is_foreign,
        ProblemKind::Unreadable
        | ProblemKind::NothingParsed
        | ProblemKind::MalformedEntry
        | ProblemKind::LimitReached
        | ProblemKind::ToolFailed => false,
    };
    let is_failure = |problem: &&ReportProblem| match problem.kind {
        ProblemKind::Unreadable
        | ProblemKind::MalformedEntry
        | ProblemKind::LimitReached
        | ProblemKind::ToolFailed => true,
        // A line without a result is no problem if the exit code of an operator's own tool reports that there
        // are no findings. The messages of known tools are known.
        ProblemKind::NothingParsed => {
            !output.is_clean || is_foreign || output.tool.is_empty() || find_tool(&output.tool).is_some()
        }
        ProblemKind::NoFile | ProblemKind::OutsideTree => false,
    };
    let mut problems: Vec<String> = Vec::new();
    let is_other_form = |problem: &ReportProblem| {
        matches!(problem.kind, ProblemKind::NothingParsed | ProblemKind::Unreadable)
    };
    // The format is detected once for all problems, because detection tries every line format.
    let other =
        report.problems.iter().any(is_other_form).then(|| choose_format(None, output.text.as_bytes()));
    let other = other.flatten().filter(|other| *other != format);
    for problem in report.problems.iter().filter(is_failure) {
        let hint = other.filter(|_| is_other_form(problem));
        let hint =
            hint.map(|other| format!("; the output looks like `{}`", other.as_str())).unwrap_or_default();
        problems.push(clean_line(&format!("{}{hint}", problem.text), MAX_PROBLEM_CHARS));
    }
    let unplaced: Vec<&ReportProblem> = report.problems.iter().filter(is_unplaced).collect();
    if !unplaced.is_empty() {
        // The list of problems contains at most `MAX_NAMED` entries. If the list is full, the count is the
        // number of omitted entries, because further problems are not in the list.
        let count = if report.problems.len() == MAX_NAMED {
            report.left_out_count.max(1)
        } else {
            unplaced.len() as u64
        };
        let first: Vec<&str> =
            unplaced.iter().take(MAX_EXAMPLE_PATHS).map(|problem| problem.text.as_str()).collect();
        let text = format!("{} no file of the tree: {}", result_count_phrase(count), first.join("; "));
        problems.push(clean_line(&text, MAX_PROBLEM_CHARS));
    }
    if absent.is_every_file_missing {
        let text = format!(
            "{} no file of the tree: {}",
            result_count_phrase(absent.count as u64),
            absent.first_paths.join(", ")
        );
        problems.push(clean_line(&text, MAX_PROBLEM_CHARS));
    }
    if report.more_problems > 0 && !problems.is_empty() {
        problems.truncate(MAX_PROBLEMS - 1);
        problems.push(format_count(report.more_problems, "more problem"));
    }
    problems.truncate(MAX_PROBLEMS);
    let others = report.unparsed_lines.len() as u64 + report.more_unparsed_lines;
    let keeps_open = if others > 0 {
        let first =
            report.unparsed_lines.iter().map(|line| format!("`{line}`")).collect::<Vec<_>>().join(", ");
        Some(format!("{} could not be parsed: {first}", format_count(others, "line")))
    } else if absent.count > 0 {
        Some(format!(
            "{} no file of the tree: {}",
            result_count_phrase(absent.count as u64),
            absent.first_paths.join(", ")
        ))
    } else {
        None
    };
    (problems, keeps_open.map(|reason| clean_line(&reason, MAX_PROBLEM_CHARS)))
}

/// Returns the start of a sentence for this number of results, such as `2 results refer to`.
fn result_count_phrase(count: u64) -> String {
    if count == 1 { "1 result refers to".to_owned() } else { format!("{count} results refer to") }
}
