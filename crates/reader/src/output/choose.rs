//! Selects the format of an output by the name of the format, by the name of the tool, or by the output's
//! content.

use crate::output::decode;
use crate::output::diagnostic::Diagnostic;
use crate::output::format::{OutputContext, OutputFormat};
use crate::output::known::{self, KnownTool};
use crate::output::read::read_output;
use crate::output::recognize::recognize_format;
use crate::output::report::{DiagnosticReport, ProblemKind, ReportProblem};

/// Maximum number of bytes of a text that are used to recognise its format.
const MAX_SAMPLE_BYTES: usize = 256 << 10;
/// Line formats that are too similar to other formats to be recognised by content.
const AMBIGUOUS_LINE_FORMATS: [&str; 4] = ["gcc", "unix", "phpstan", "govet"];

/// Returns the format of an output. `name` is the name of a format or of a tool. For the name of a tool, the
/// content determines which of the tool's formats is used. Without a name, only the content determines the
/// format. Returns `None` if the name is unknown, or if there is no name and the content is not recognised.
pub fn choose_format(name: Option<&str>, bytes: &[u8]) -> Option<OutputFormat> {
    let Some(name) = name else { return recognize_format(bytes).or_else(|| detect_line_format(bytes)) };
    let named = OutputFormat::parse(name);
    let found = recognize_format(bytes);
    let tool = named.map_or_else(|| Some(name), |format| format.tool()).filter(|tool| is_known_tool(tool));
    let Some(tool) = tool else { return named };
    match found {
        // The recognised format is used if it belongs to this tool. It is also used if it belongs to no
        // particular tool, because any tool may print it.
        Some(found) if found.tool().is_none_or(|of| of.eq_ignore_ascii_case(tool)) => Some(found),
        Some(_) | None => named
            .filter(|named| !named.is_line_based())
            .or_else(|| detect_document_format(tool, bytes))
            .or_else(|| {
                best_format(line_formats().filter(|format| is_format_of_tool(*format, tool)), bytes).or(named)
            })
            .or_else(|| tool_line_format(tool).filter(|_| !starts_as_json_or_xml(bytes)))
            .or_else(|| OutputFormat::all_formats().find(|format| is_format_of_tool(*format, tool)))
            .or_else(|| OutputFormat::parse(&known::find_tool(tool)?.format)),
    }
}

/// Returns true if the name is the name of a tool with known formats.
pub fn is_known_tool(name: &str) -> bool {
    OutputFormat::all_formats().any(|format| is_format_of_tool(format, name))
        || known::find_tool(name).is_some()
}

fn is_format_of_tool(format: OutputFormat, name: &str) -> bool {
    format.tool().is_some_and(|tool| tool.eq_ignore_ascii_case(name.trim()))
}

fn line_formats() -> impl Iterator<Item = OutputFormat> {
    OutputFormat::all_formats().filter(|format| format.is_line_based())
}

/// Returns the format of a line-based text, if exactly one format can parse the whole text.
fn detect_line_format(bytes: &[u8]) -> Option<OutputFormat> {
    let sample = bytes.get(..MAX_SAMPLE_BYTES).unwrap_or(bytes);
    let end = if sample.len() < bytes.len() { memchr::memrchr(b'\n', sample)? } else { sample.len() };
    let text = decode::decode_text(sample.get(..end)?);
    let candidates = line_formats().filter(|format| !AMBIGUOUS_LINE_FORMATS.contains(&format.as_str()));
    let mut whole = Vec::new();
    for format in candidates {
        let DiagnosticReport { diagnostics, problems, unparsed_lines: other_lines, .. } =
            read_output(format, text.as_bytes(), &OutputContext::default());
        let globs = format.tool().and_then(known::find_tool).map(KnownTool::path_globs);
        let is_inspected = |diagnostic: &Diagnostic| {
            let path = diagnostic.path.as_str().unwrap_or_default();
            globs.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.is_match(path)))
        };
        let is_whole = problems.is_empty() && other_lines.is_empty();
        if is_whole && !diagnostics.is_empty() && diagnostics.iter().all(is_inspected) {
            whole.push(format);
        }
    }
    if let Some(owner) = text.lines().filter_map(rule_in_brackets).find_map(rule_owner) {
        whole.retain(|format| is_format_of_tool(*format, owner));
    }
    let [format] = whole.as_slice() else { return None };
    Some(*format)
}

/// Returns the name in brackets at the end of a line, without a level before it (`[Error/NAME]`).
fn rule_in_brackets(line: &str) -> Option<&str> {
    let (_, name) = line.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    Some(name.rsplit_once('/').map_or(name, |(_, last)| last))
}

/// Returns the tool to which a rule belongs, if the form of the rule's name shows it. Several tools print
/// lines in the form of another tool.
fn rule_owner(rule: &str) -> Option<&'static str> {
    let is_numbered = |prefix: &str| {
        rule.strip_prefix(prefix)
            .is_some_and(|number| number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if is_numbered("SC") {
        Some("shellcheck")
    } else if is_numbered("DL") {
        Some("hadolint")
    } else {
        (rule.contains('(') && rule.ends_with(')')).then_some("oxlint")
    }
}

/// Returns the line format that this tool and other tools print, if the table of tools contains such a
/// format.
fn tool_line_format(tool: &str) -> Option<OutputFormat> {
    OutputFormat::parse(&known::find_tool(tool)?.lines)
}

/// Returns true if the text begins as JSON or XML.
fn starts_as_json_or_xml(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"[{<".contains(byte))
}

/// Returns the first of the tool's document formats that can parse the output. This is used for documents
/// whose content does not reveal their format, such as an empty list. Lines about a failure may precede the
/// document. Returns `None` for plain text.
fn detect_document_format(tool: &str, bytes: &[u8]) -> Option<OutputFormat> {
    let begins_document = |line: &[u8]| line.first().is_some_and(|byte| b"[{<".contains(byte));
    if !starts_as_json_or_xml(bytes) && !bytes.split(|byte| *byte == b'\n').any(begins_document) {
        return None;
    }
    let mut documents = OutputFormat::all_formats()
        .filter(|format| is_format_of_tool(*format, tool) && !format.is_line_based());
    documents.find(|format| {
        let report = read_output(*format, bytes, &OutputContext::default());
        let is_failure = |problem: &ReportProblem| problem.kind == ProblemKind::ToolFailed;
        report.unparsed_lines.is_empty() && report.problems.iter().all(is_failure)
    })
}

/// Returns the format that parses the most lines as diagnostics. If several formats parse the same number of
/// lines, returns the first of these formats.
fn best_format(formats: impl Iterator<Item = OutputFormat>, bytes: &[u8]) -> Option<OutputFormat> {
    let understood = |format: &OutputFormat| {
        let report = read_output(*format, bytes, &OutputContext::default());
        (
            report.diagnostics.len() as u64 + report.left_out_count,
            std::cmp::Reverse(report.more_unparsed_lines),
        )
    };
    let mut formats: Vec<OutputFormat> = formats.collect();
    formats.reverse();
    formats.into_iter().max_by_key(understood)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_another_tool_prints_in_the_form_of_one_are_not_recognised() {
        let format = |line: &str| choose_format(None, line.as_bytes()).map(OutputFormat::as_str);
        assert_eq!(format("a.sh:3:6: warning: foo is referenced but not assigned. [SC2154]\n"), None);
        assert_eq!(format("a.js:1:1: `debugger` statement [Warning/eslint(no-debugger)]\n"), None);
    }
}
