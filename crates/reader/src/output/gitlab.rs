//! GitLab's code quality report: the subset of Code Climate's issues that GitLab reads, as one JSON array.
//!
//! Of a place only the lines are taken: the format does not say in which unit its columns count.

use std::ops::ControlFlow;

use serde::Deserialize;

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, Level};
use crate::output::entries::{self, List, Whole};
use crate::output::format::Input;
use crate::output::path::{PathError, Paths};
use crate::output::range::Range;
use crate::output::report::{Collected, ProblemKind, Report};

/// The most categories of an entry that are looked at.
const MAX_CATEGORIES: usize = 20;

#[derive(Deserialize)]
struct Entry {
    /// Code Climate's: `issue`, or something that is no finding.
    #[serde(rename = "type")]
    kind: Option<String>,
    description: Option<String>,
    check_name: Option<String>,
    engine_name: Option<String>,
    fingerprint: Option<String>,
    severity: Option<String>,
    location: Option<Location>,
    content: Option<Content>,
    #[serde(default)]
    categories: List<String, MAX_CATEGORIES>,
}

#[derive(Deserialize)]
struct Location {
    path: Option<String>,
    lines: Option<Lines>,
    positions: Option<Positions>,
}

#[derive(Deserialize)]
struct Lines {
    begin: Option<Whole>,
    end: Option<Whole>,
}

#[derive(Deserialize)]
struct Positions {
    begin: Option<Position>,
    end: Option<Position>,
}

#[derive(Deserialize)]
struct Position {
    line: Option<Whole>,
}

#[derive(Deserialize)]
struct Content {
    body: Option<String>,
}

/// Reads a report. It does not panic on any bytes.
pub(crate) fn read(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut collected = Collected::new();
    let Some(text) = decode::document(bytes, &mut collected) else { return collected.finish() };
    let paths = Paths::new(input);
    let read = entries::each(&text, |index, entry| {
        match serde_json::from_str::<Entry>(entry.get()) {
            Ok(entry) => one(index, entry, (&paths, input), &mut collected),
            Err(error) => collected.leave_out(ProblemKind::Entry, &format!("entry {index}: {error}")),
        }
        ControlFlow::Continue(())
    });
    if let Err(error) = read {
        collected.problem(ProblemKind::Unreadable, &error.to_string());
    }
    collected.finish()
}

fn one(index: usize, entry: Entry, (paths, input): (&Paths, &Input<'_>), collected: &mut Collected) {
    if entry.kind.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("issue")) {
        return;
    }
    let location = entry.location;
    let written = location.as_ref().and_then(|location| location.path.as_deref());
    let path = match written.ok_or(PathError::Missing).and_then(|path| paths.path(path)) {
        Ok(path) => path,
        Err(error) => return collected.unplaced(&error, &format!("entry {index}: {error}")),
    };
    let engine = entry.engine_name.filter(|name| !name.trim().is_empty());
    let tool = engine.unwrap_or_else(|| input.tool_or("gitlab").to_owned());
    let range = location.as_ref().map_or(Range::File, range);
    let mut diagnostic = Diagnostic::new(tool, path, range, entry.description.unwrap_or_default());
    diagnostic.rule = entry.check_name;
    diagnostic.fingerprint = entry.fingerprint;
    diagnostic.level = level(entry.severity.as_deref());
    diagnostic.help = entry.content.and_then(|content| content.body);
    diagnostic.tags = entry.categories.0.into_iter().flatten().collect();
    collected.push(diagnostic);
}

fn range(location: &Location) -> Range {
    let count = |line: Option<Whole>| line.map_or(0, Whole::count);
    if let Some(lines) = &location.lines {
        return Range::lines(count(lines.begin), count(lines.end));
    }
    let line = |position: &Option<Position>| count(position.as_ref().and_then(|position| position.line));
    location
        .positions
        .as_ref()
        .map_or(Range::File, |positions| Range::lines(line(&positions.begin), line(&positions.end)))
}

/// GitLab knows `info`, `minor`, `major`, `critical` and `blocker`. Tools write their errors as `major`, and their warnings
/// as `minor`.
fn level(severity: Option<&str>) -> Level {
    match severity.unwrap_or_default() {
        "major" | "critical" | "blocker" => Level::Error,
        "info" => Level::Note,
        _ => Level::Warning,
    }
}
