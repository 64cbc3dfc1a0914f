//! Converts the output of a tool to findings on the lines that a change adds.
//!
//! The output is parsed to diagnostics ([`output`](crate::output)). Each diagnostic is mapped to lines of its
//! file at the head commit. A diagnostic that touches an added line becomes a finding; the other diagnostics
//! are only counted. If one output contains equal diagnostics for the same lines, they become one finding. A
//! caller may store the findings of a file, and pass them with a later change that contains the same file
//! content. The stored findings are then filtered and validated for that change, and the tool does not run
//! again.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::code_digest::CodeDigests;
use truing_core::finding::{FindingSource, RawFinding};
use truing_core::line::format_count;
use truing_core::port::{ChangedFile, ReaderError, ToolFindings, ToolOutputRequest};
use truing_diff::RepoPath;

use crate::bounds::{
    MAX_CACHED_FINDINGS, MAX_CACHED_FINDINGS_BYTES, MAX_FINDINGS, check_finding, count_text_bytes,
    is_one_line,
};
use crate::file::FileTree;
use crate::fix::ByteReplacement;
use crate::fix_validation::FixValidator;
use crate::format_findings::join_format_diagnostics;
use crate::lines::{LineIndex, overlaps_any};
use crate::output::known::{self, KnownTool};
use crate::output::report::MAX_TOOLS;
use crate::output::{DiagnosticMapping, FileText, FindingMapper, OutputFormat, tool_name};
use crate::snippet::OMISSION_MARK;
use crate::suppress;
use crate::syntax::{MAX_FILE_CPU_TIME, ParsedFile, ParserPool, SourceLanguage};
use crate::tool_report::{MAX_PROBLEM_CHARS, MAX_PROBLEMS, ToolReport, tool_report};
use crate::withheld::WithheldFix;

/// Maximum number of suggestions for one file. The suggestions of later findings are dropped. To validate a
/// suggestion, the reader parses the file.
const MAX_SUGGESTIONS: usize = 100;
/// Longest name of a tool, in bytes.
const MAX_TOOL_NAME_BYTES: usize = 120;

/// Returns the findings of a request. If the request contains no stored findings of an earlier run, parses
/// the tool's output.
///
/// # Errors
///
/// [`ReaderError::Failed`] if the tree cannot be opened, or the format is unknown.
pub(crate) fn tool_findings(request: &ToolOutputRequest) -> Result<ToolFindings, ReaderError> {
    let tree = FileTree::open(&request.tree)?;
    let mut found = ToolFindings::default();
    match &request.output.cached_findings {
        Some(kept) => add_stored_findings(request, &tree, kept, &mut found),
        None => add_output_findings(request, &tree, &mut found)?,
    }
    found.findings.sort_by(|a, b| (&a.location, &a.rule).cmp(&(&b.location, &b.rule)));
    limit_findings(&mut found);
    Ok(found)
}

/// Adds the findings of a tool's output.
fn add_output_findings(
    request: &ToolOutputRequest,
    tree: &FileTree,
    collected_findings: &mut ToolFindings,
) -> Result<(), ReaderError> {
    let keep = &request.output.keep;
    let ToolReport {
        format,
        diagnostics,
        tools,
        problems,
        keep_open_reason: keeps_open,
        unexamined_files: ignored,
        skip_reason,
    } = tool_report(request, tree)?;
    collected_findings.skip_reason = skip_reason;
    (collected_findings.tools, collected_findings.problems, collected_findings.keeps_open) =
        (tools, problems, keeps_open);
    collected_findings.ignored =
        ignored.into_iter().filter(|path| find_changed_file(request, path).is_some()).collect();
    let mapping = DiagnosticMapping::default();
    let mut by_file: BTreeMap<&RepoPath, Vec<_>> = BTreeMap::new();
    for diagnostic in &diagnostics {
        if diagnostic.is_suppressed {
            collected_findings.suppressed += 1;
        } else {
            by_file.entry(&diagnostic.path).or_default().push(diagnostic);
        }
    }
    let mut to_keep = Vec::new();
    for (path, diagnostics) in by_file {
        let Some((file, content)) = load_changed_file(request, tree, path) else {
            collected_findings.outside_count += diagnostics.len() as u64;
            continue;
        };
        let text = FileText::new(&content);
        let finder = FindingMapper::new(&text, &mapping);
        let (mut placed, mut texts) = (Vec::new(), BTreeSet::new());
        let every_line = [(1, u32::MAX)];
        let lines = if request.output.everywhere { &every_line[..] } else { &file.added_lines };
        for diagnostic in join_format_diagnostics(diagnostics, lines, &text) {
            let diagnostic = diagnostic.as_ref();
            let Ok(raw) = finder.map_diagnostic(diagnostic) else {
                collected_findings.outside_count += 1;
                continue;
            };
            let raw = RawFinding { body: body_without_title(&raw), ..raw };
            let raw = match &raw.suggestion {
                Some(_) if !are_all_fixes_safe(&diagnostic.tool, format) => {
                    WithheldFix::UnknownSafety.withhold_suggestion(raw)
                }
                None if diagnostic.has_unsafe_fix => WithheldFix::Unsafe.withhold_suggestion(raw),
                Some(_) | None => raw,
            };
            let is_secret = raw.tool().is_some_and(known::is_secret_scanner);
            let place = text.byte_range(&diagnostic.range).ok().and_then(|place| content.get(place));
            let raw = if is_secret { redact_secret_text(raw, place) } else { raw };
            // Equal findings at other columns of the line are kept only if they offer other fixes.
            let fix = raw.suggestion.as_ref().map(|suggestion| suggestion.replacement.clone());
            let (first, last) = (raw.location.start_line, raw.location.end_line);
            if texts.insert((first, last, raw.severity, raw.rule.clone(), title_key(&raw), fix)) {
                placed.push(raw);
            }
        }
        if path.as_str().is_some_and(|path| keep.contains(path)) {
            to_keep.extend(placed.iter().cloned());
        }
        add_findings(collected_findings, request, file, &content, placed);
    }
    let bytes: usize = to_keep.iter().map(count_text_bytes).sum();
    let fits = to_keep.len() <= MAX_CACHED_FINDINGS && bytes <= MAX_CACHED_FINDINGS_BYTES;
    collected_findings.keep =
        (fits && !keep.is_empty() && collected_findings.problems.is_empty()).then_some(to_keep);
    Ok(())
}

/// Adds the findings that were stored in an earlier run.
fn add_stored_findings(
    request: &ToolOutputRequest,
    tree: &FileTree,
    stored_findings: &[RawFinding],
    collected_findings: &mut ToolFindings,
) {
    collected_findings.tools.insert(tool_name(&request.output.tool));
    let mut by_file: BTreeMap<&RepoPath, Vec<_>> = BTreeMap::new();
    for raw in stored_findings {
        collected_findings.tools.extend(raw.tool().map(str::to_owned));
        by_file.entry(&raw.location.path).or_default().push(raw);
    }
    for (path, findings) in by_file {
        let Some((file, content)) = load_changed_file(request, tree, path) else {
            collected_findings.outside_count += findings.len() as u64;
            continue;
        };
        add_findings(collected_findings, request, file, &content, findings.into_iter().cloned().collect());
    }
}

/// Returns true if every fix of this tool in this format can be applied safely, according to the tool. For
/// SARIF, returns false, because SARIF does not mark safe fixes.
fn are_all_fixes_safe(tool: &str, format: OutputFormat) -> bool {
    let is_mixed = |known_tool: &'static KnownTool| {
        known_tool.unsafe_fixes_in.iter().any(|name| name == format.as_str())
    };
    format != OutputFormat::Sarif && !known::find_tool(tool).is_some_and(is_mixed)
}

/// Returns a changed file with its content. Returns `None` if the file is unchanged, excluded or unreadable;
/// its findings are only counted. The check by rules already reports unreadable files.
fn load_changed_file<'a>(
    request: &'a ToolOutputRequest,
    tree: &FileTree,
    path: &RepoPath,
) -> Option<(&'a ChangedFile, Vec<u8>)> {
    let is_left_out = path.as_str().is_some_and(|path| request.output.left_out.contains(path));
    let file = find_changed_file(request, path).filter(|_| !is_left_out)?;
    Some((file, tree.read_bytes(path).ok()?))
}

/// Adds the findings of a file. Suppressed findings and findings outside of the change are only counted. A
/// finding keeps its suggestion only if the suggestion is valid.
fn add_findings(
    collected_findings: &mut ToolFindings,
    request: &ToolOutputRequest,
    file: &ChangedFile,
    content: &[u8],
    file_findings: Vec<RawFinding>,
) {
    let lines = LineIndex::new(content);
    let mut parsers = ParserPool::default();
    parsers.begin_file(MAX_FILE_CPU_TIME);
    let mut prover = SourceLanguage::from_path(file.path.as_bytes())
        .zip(std::str::from_utf8(content).ok())
        .map(|(language, text)| FixValidator::new(language, &lines, text, &mut parsers));
    let (places, mut place_parsers) = (ParsedFile::new(file.path.as_bytes(), content), ParserPool::default());
    place_parsers.begin_file(MAX_FILE_CPU_TIME);
    let mut suggested = 0;
    let is_without = |raw: &RawFinding| {
        raw.rule.split_once('/').is_some_and(|(_, rule)| request.output.excluded_rules.contains(rule))
    };
    for raw in file_findings {
        let (first, last) = (raw.location.start_line, raw.location.end_line);
        if is_without(&raw) {
            collected_findings.suppressed += 1;
        } else if !request.output.everywhere && !overlaps_any(&file.added_lines, first, last) {
            collected_findings.outside_count += 1;
        } else if suppress::find_suppression(&lines, first, &raw.rule).is_some() {
            collected_findings.suppressed += 1;
        } else {
            suggested += usize::from(raw.suggestion.is_some());
            let suggestion = raw.suggestion.clone().filter(|_| suggested <= MAX_SUGGESTIONS);
            let code = CodeDigests {
                definition: places
                    .definition_digest(first_nonblank_offset(&lines, content, first), &mut place_parsers),
                ..raw.code.clone()
            };
            collected_findings.findings.push(validate_suggestion(
                RawFinding { suggestion, code, ..raw },
                &lines,
                prover.as_mut(),
            ));
        }
    }
}

/// Returns the offset of the first character of a line that is not white space. For a blank line, returns the
/// offset of its start.
fn first_nonblank_offset(lines: &LineIndex<'_>, content: &[u8], line: u32) -> usize {
    let range = lines.line_range(line);
    let letters = content.get(range.clone()).unwrap_or_default();
    range.start + letters.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0)
}

/// Validates the suggestion of a finding, and returns the finding. The suggestion is removed if it adds
/// syntax errors or changes the syntax of the surrounding code. In a file whose language has no grammar, the
/// suggestion is kept without validation.
fn validate_suggestion(
    raw: RawFinding,
    lines: &LineIndex<'_>,
    fix_validator: Option<&mut FixValidator<'_>>,
) -> RawFinding {
    let (Some(suggestion), Some(prover)) = (&raw.suggestion, fix_validator) else { return raw };
    let (first, last) = (raw.location.start_line, raw.location.end_line);
    let range = lines.line_range(first).start..lines.line_range(last).end;
    let fix = ByteReplacement { range, replacement: suggestion.replacement.clone() };
    match prover.validate_fix(first, last, &fix) {
        Some(suggestion) => RawFinding { suggestion: Some(suggestion), ..raw },
        None => WithheldFix::FailedValidation.withhold_suggestion(raw),
    }
}

/// Masks the reported text in a finding of a secret scanner. The text is a secret that Truing's own rules may
/// not recognise.
fn redact_secret_text(raw: RawFinding, secret_text: Option<&[u8]>) -> RawFinding {
    let Some(secret_text) = secret_text.and_then(|secret_text| std::str::from_utf8(secret_text).ok()) else {
        return RawFinding { snippet: OMISSION_MARK.to_owned(), code: CodeDigests::default(), ..raw };
    };
    let hide = |text: &String| {
        secret_text.lines().fold(text.clone(), |text, line| {
            let line = line.trim();
            if line.is_empty() { text } else { text.replace(line, OMISSION_MARK) }
        })
    };
    RawFinding {
        title: hide(&raw.title),
        body: hide(&raw.body),
        snippet: hide(&raw.snippet),
        // A digest or fingerprint of the code may be derived from the secret.
        code: CodeDigests::default(),
        suggestion: None,
        ..raw
    }
}

/// Returns the body without the title at its beginning. Many tools repeat the message at the start of the
/// rule's description.
fn body_without_title(raw: &RawFinding) -> String {
    match raw.body.strip_prefix(raw.title.as_str()) {
        Some(rest) if rest.is_empty() || rest.starts_with('\n') => rest.trim_start().to_owned(),
        Some(_) | None => raw.body.clone(),
    }
}

fn find_changed_file<'a>(request: &'a ToolOutputRequest, path: &RepoPath) -> Option<&'a ChangedFile> {
    let at = request.files.binary_search_by(|file| file.path.cmp(path)).ok()?;
    request.files.get(at)
}

/// Returns the title without quotation marks and white space, in lower case. Two findings with equal lines,
/// severities, rules and fixes are duplicates if these keys are equal, because titles may differ in quotation
/// marks.
fn title_key(raw: &RawFinding) -> String {
    let is_quote =
        |letter: char| letter.is_whitespace() || matches!(letter, '\'' | '"' | '`' | '‘' | '’' | '“' | '”');
    raw.title.chars().filter(|letter| !is_quote(*letter)).flat_map(char::to_lowercase).collect()
}

/// Keeps the most severe findings, at most `MAX_FINDINGS`.
fn limit_findings(collected_findings: &mut ToolFindings) {
    let over = collected_findings.findings.len().saturating_sub(MAX_FINDINGS);
    if over == 0 {
        return;
    }
    collected_findings.findings.sort_by(|a, b| (a.severity, &a.location).cmp(&(b.severity, &b.location)));
    collected_findings.findings.truncate(MAX_FINDINGS);
    collected_findings.findings.sort_by(|a, b| (&a.location, &a.rule).cmp(&(&b.location, &b.rule)));
    collected_findings
        .problems
        .push(format!("{} left out: only the first {MAX_FINDINGS} are kept", format_count(over, "finding")));
    collected_findings.problems.truncate(MAX_PROBLEMS);
}

/// Checks that the response answers the request and contains only valid values.
///
/// # Errors
///
/// Returns the name of the first invalid part of the response.
pub(crate) fn check_findings(
    request: &ToolOutputRequest,
    response: &ToolFindings,
) -> Result<(), &'static str> {
    let ensure = |is_well: bool, what| if is_well { Ok(()) } else { Err(what) };
    let is_tool =
        |name: &String| is_one_line(name) && name.len() <= MAX_TOOL_NAME_BYTES && !name.contains('/');
    ensure(response.tools.len() <= MAX_TOOLS && response.tools.iter().all(is_tool), "a tool's name")?;
    let is_told = |text: &String| is_one_line(text) && text.chars().count() <= MAX_PROBLEM_CHARS + 100;
    ensure(response.problems.len() <= MAX_PROBLEMS && response.problems.iter().all(is_told), "a problem")?;
    ensure(response.keeps_open.iter().chain(&response.skip_reason).all(is_told), "a reason")?;
    ensure(response.findings.len() <= MAX_FINDINGS, "the number of findings")?;
    ensure(
        response.ignored.iter().all(|path| find_changed_file(request, path).is_some()),
        "a file that was ignored",
    )?;
    let to_keep = response.keep.as_deref().unwrap_or_default();
    ensure(to_keep.len() <= MAX_CACHED_FINDINGS, "the number of findings to keep")?;
    for raw in response.findings.iter().chain(to_keep) {
        check_finding(raw)?;
        ensure(raw.source == FindingSource::Tool, "a finding's source")?;
        ensure(find_changed_file(request, &raw.location.path).is_some(), "a finding's file")?;
        ensure(raw.tool().is_some_and(|tool| response.tools.contains(tool)), "a finding's tool")?;
    }
    let is_to_keep =
        |raw: &RawFinding| raw.location.path.as_str().is_some_and(|path| request.output.keep.contains(path));
    ensure(to_keep.iter().all(is_to_keep), "a file to keep")
}
