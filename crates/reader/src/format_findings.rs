//! Joins the diagnostics of a formatter to one diagnostic for each file, because people format a file as a
//! whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use truing_core::line::format_count;

use crate::lines::overlaps_any;
use crate::output::finding::MAX_SUGGESTION_BYTES;
use crate::output::unified_diff::{FORMAT_RULE, MAX_GROUPS, format_message};
use crate::output::{Diagnostic, DiagnosticRange, FileText, ToolFix};

/// Maximum number of unchanged lines between two places that one fix may cover.
const MAX_GAP_LINES: u32 = 3;
/// Maximum number of places that a text lists.
const MAX_LISTED_PLACES: usize = 10;
/// Maximum size of a joined help text, in bytes.
const MAX_HELP_BYTES: usize = 6 << 10;

/// A diagnostic of a formatter with its lines.
struct FormatPlace<'a> {
    first_line: u32,
    last_line: u32,
    diagnostic: &'a Diagnostic,
}

/// Joins the diagnostics of each formatter on lines in `added_lines`. The joined diagnostic is at the first
/// of these places and the places near it. Its fix changes these places, and its help names the other places.
/// A diagnostic without lines is on the first added line. Diagnostics on other lines, and diagnostics of
/// other tools, stay as they are.
pub(crate) fn join_format_diagnostics<'a>(
    diagnostics: Vec<&'a Diagnostic>,
    added_lines: &[(u32, u32)],
    text: &FileText<'_>,
) -> Vec<Cow<'a, Diagnostic>> {
    let mut joined = Vec::new();
    let mut places: BTreeMap<&str, Vec<FormatPlace<'a>>> = BTreeMap::new();
    for diagnostic in diagnostics {
        if diagnostic.range == DiagnosticRange::WholeFile
            && is_of_formatter(diagnostic)
            && let Some((line, _)) = added_lines.first()
        {
            let range = DiagnosticRange::from_lines(*line, *line);
            joined.push(Cow::Owned(Diagnostic { range, ..diagnostic.clone() }));
            continue;
        }
        let lines = text.range_lines(&diagnostic.range).ok().filter(|(first_line, last_line)| {
            is_of_formatter(diagnostic) && overlaps_any(added_lines, *first_line, *last_line)
        });
        match lines {
            Some((first_line, last_line)) => {
                let place = FormatPlace { first_line, last_line, diagnostic };
                places.entry(&diagnostic.tool).or_default().push(place);
            }
            None => joined.push(Cow::Borrowed(diagnostic)),
        }
    }
    for mut places in places.into_values() {
        places.sort_by_key(|place| place.first_line);
        joined.extend(join_places(&places, added_lines, text));
    }
    joined
}

/// Returns true if the diagnostic is the difference between a file and the formatted file.
fn is_of_formatter(diagnostic: &Diagnostic) -> bool {
    diagnostic.rule.as_deref() == Some(FORMAT_RULE) && diagnostic.message == format_message(&diagnostic.tool)
}

fn join_places<'a>(
    places: &[FormatPlace<'a>],
    added_lines: &[(u32, u32)],
    text: &FileText<'_>,
) -> Option<Cow<'a, Diagnostic>> {
    let (first, others) = places.split_first()?;
    if others.is_empty() {
        return Some(Cow::Borrowed(first.diagnostic));
    }
    let mut last_line = first.last_line;
    let mut edits = first.diagnostic.fixes.first().map(|fix| fix.edits.clone()).unwrap_or_default();
    let mut covered = 0;
    for place in others {
        let Some(fix) = place.diagnostic.fixes.first() else { break };
        let end = last_line.max(place.last_line);
        let new_text: usize = edits.iter().chain(&fix.edits).map(|edit| edit.new_text.len()).sum();
        let lines = text.line_index();
        let old_text = lines.line_range(end).end.saturating_sub(lines.line_range(first.first_line).start);
        let is_near = place.first_line.saturating_sub(last_line) <= MAX_GAP_LINES
            || added_lines.iter().any(|(from, to)| *from <= last_line && place.first_line <= *to);
        let fits = edits.len() + fix.edits.len() <= MAX_GROUPS && new_text + old_text <= MAX_SUGGESTION_BYTES;
        if edits.is_empty() || !is_near || !fits {
            break;
        }
        edits.extend(fix.edits.iter().cloned());
        last_line = end;
        covered += 1;
    }
    let remaining = others.get(covered..).unwrap_or_default();
    let fixes = if edits.is_empty() { Vec::new() } else { vec![ToolFix { message: None, edits }] };
    Some(Cow::Owned(Diagnostic {
        range: DiagnosticRange::from_lines(first.first_line, last_line),
        help: Some(joined_help(places, remaining, !fixes.is_empty())),
        fixes,
        ..first.diagnostic.clone()
    }))
}

/// Returns the diffs of the places, and a sentence about the places that the fix does not change.
fn joined_help(places: &[FormatPlace<'_>], remaining: &[FormatPlace<'_>], has_fix: bool) -> String {
    let mut help = String::new();
    if !remaining.is_empty() {
        let lines = remaining.iter().take(MAX_LISTED_PLACES).map(|place| match place {
            FormatPlace { first_line, last_line, .. } if first_line == last_line => first_line.to_string(),
            FormatPlace { first_line, last_line, .. } => format!("{first_line}-{last_line}"),
        });
        let lines = lines.collect::<Vec<_>>().join(", ");
        let more = remaining.len().saturating_sub(MAX_LISTED_PLACES);
        let more =
            if more == 0 { String::new() } else { format!(" and {}", format_count(more, "more place")) };
        let _ = write!(help, "It would also change lines {lines}{more}.");
        if has_fix {
            help.push_str(" The suggested fix does not change these lines.");
        }
    }
    for (index, place) in places.iter().enumerate() {
        let diff = place.diagnostic.help.as_deref().unwrap_or_default();
        if index > 0 && help.len() + diff.len() > MAX_HELP_BYTES {
            let _ = write!(help, "\n\n{} not shown.", format_count(places.len() - index, "more place"));
            break;
        }
        let separator = if help.is_empty() { "" } else { "\n\n" };
        let _ = write!(help, "{separator}{diff}");
    }
    help
}
