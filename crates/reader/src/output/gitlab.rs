//! Parses GitLab's code quality report: a JSON array in the format of Code Climate's issues, limited to the
//! fields that GitLab supports.
//!
//! Columns are ignored, because the format does not specify their unit.

use std::ops::ControlFlow;

use serde::Deserialize;

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, DiagnosticLevel};
use crate::output::entries::{self, BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::path::{PathError, PathResolver};
use crate::output::range::DiagnosticRange;
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};

/// Maximum number of categories of an entry that are examined.
const MAX_CATEGORIES: usize = 20;

#[derive(Deserialize)]
struct GitlabIssue {
    /// The entry's type in Code Climate's format: `issue` for a finding. Other values are not findings.
    #[serde(rename = "type")]
    kind: Option<String>,
    description: Option<String>,
    check_name: Option<String>,
    engine_name: Option<String>,
    fingerprint: Option<String>,
    severity: Option<String>,
    location: Option<GitlabLocation>,
    content: Option<GitlabContent>,
    #[serde(default)]
    categories: BoundedList<String, MAX_CATEGORIES>,
}

#[derive(Deserialize)]
struct GitlabLocation {
    path: Option<String>,
    lines: Option<GitlabLines>,
    positions: Option<GitlabPositions>,
}

#[derive(Deserialize)]
struct GitlabLines {
    begin: Option<WholeNumber>,
    end: Option<WholeNumber>,
}

#[derive(Deserialize)]
struct GitlabPositions {
    begin: Option<GitlabPosition>,
    end: Option<GitlabPosition>,
}

#[derive(Deserialize)]
struct GitlabPosition {
    line: Option<WholeNumber>,
}

#[derive(Deserialize)]
struct GitlabContent {
    body: Option<String>,
}

/// Reads a report. Never panics, for any input bytes.
pub(crate) fn read(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut collected = DiagnosticCollector::new();
    let Some(text) = decode::decode_document(bytes, &mut collected) else { return collected.finish() };
    let paths = PathResolver::new(context);
    let read = entries::for_each_entry(&text, |index, entry| {
        match serde_json::from_str::<GitlabIssue>(entry.get()) {
            Ok(entry) => read_issue(index, entry, &paths, context, &mut collected),
            Err(error) => {
                collected.add_skipped_entry(ProblemKind::MalformedEntry, &format!("entry {index}: {error}"));
            }
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = read {
        collected.add_problem(ProblemKind::Unreadable, &error.to_string());
    }
    collected.finish()
}

fn read_issue(
    index: usize,
    entry: GitlabIssue,
    paths: &PathResolver,
    context: &OutputContext<'_>,
    collector: &mut DiagnosticCollector,
) {
    if entry.kind.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("issue")) {
        return;
    }
    let location = entry.location;
    let written = location.as_ref().and_then(|location| location.path.as_deref());
    let path = match written.ok_or(PathError::Missing).and_then(|path| paths.resolve(path)) {
        Ok(path) => path,
        Err(error) => return collector.skip_unplaced_entry(&error, &format!("entry {index}: {error}")),
    };
    let engine = entry.engine_name.filter(|name| !name.trim().is_empty());
    let tool = engine.unwrap_or_else(|| context.tool_name_or("gitlab").to_owned());
    let range = location.as_ref().map_or(DiagnosticRange::WholeFile, location_range);
    let mut diagnostic = Diagnostic::new(tool, path, range, entry.description.unwrap_or_default());
    diagnostic.rule = entry.check_name;
    diagnostic.fingerprint = entry.fingerprint;
    diagnostic.level = severity_level(entry.severity.as_deref());
    diagnostic.help = entry.content.and_then(|content| content.body);
    diagnostic.tags = entry.categories.0.into_iter().flatten().collect();
    collector.push(diagnostic);
}

fn location_range(location: &GitlabLocation) -> DiagnosticRange {
    let count = |line: Option<WholeNumber>| line.map_or(0, WholeNumber::to_line_or_column);
    if let Some(lines) = &location.lines {
        return DiagnosticRange::from_lines(count(lines.begin), count(lines.end));
    }
    let line =
        |position: &Option<GitlabPosition>| count(position.as_ref().and_then(|position| position.line));
    location.positions.as_ref().map_or(DiagnosticRange::WholeFile, |positions| {
        DiagnosticRange::from_lines(line(&positions.begin), line(&positions.end))
    })
}

/// Maps the severity. GitLab knows `info`, `minor`, `major`, `critical` and `blocker`. Tools write errors as
/// `major` and warnings as `minor`.
fn severity_level(severity: Option<&str>) -> DiagnosticLevel {
    match severity.unwrap_or_default() {
        "major" | "critical" | "blocker" => DiagnosticLevel::Error,
        "info" => DiagnosticLevel::Note,
        _ => DiagnosticLevel::Warning,
    }
}
