//! The format of an output, by its name, by the name of its tool, or by its content.

use crate::output::decode;
use crate::output::format::{OutputContext, OutputFormat};
use crate::output::known;
use crate::output::read::read;
use crate::output::recognize::recognize;
use crate::output::report::DiagnosticReport;

/// The bytes of a text by which its format is recognised.
const MAX_SAMPLE_BYTES: usize = 256 << 10;
/// Formats of lines that are so much alike that nothing is recognised by them.
const ALIKE: [&str; 4] = ["gcc", "unix", "phpstan", "govet"];

/// The format of an output that somebody has called by this name: of a format, or of a tool, which stands for all formats that the
/// tool prints. None: the name is unknown, or without a name the content is.
pub fn choose(name: Option<&str>, bytes: &[u8]) -> Option<OutputFormat> {
    let Some(name) = name else { return recognize(bytes).or_else(|| of_lines(bytes)) };
    let named = OutputFormat::parse(name);
    let found = recognize(bytes);
    let tool = named.map_or_else(|| Some(name), |format| format.tool()).filter(|tool| is_tool(tool));
    let Some(tool) = tool else { return named };
    match found {
        // Any tool may print a format of all tools.
        Some(found) if found.tool().is_none_or(|of| of.eq_ignore_ascii_case(tool)) => Some(found),
        Some(_) | None => named
            .filter(|named| !named.is_lines())
            .or_else(|| of_documents(tool, bytes))
            .or_else(|| best(lines().filter(|format| has_tool(*format, tool)), bytes).or(named))
            .or_else(|| lines_of(tool).filter(|_| !begins_document(bytes)))
            .or_else(|| OutputFormat::all().find(|format| has_tool(*format, tool)))
            .or_else(|| OutputFormat::parse(&known::find(tool)?.format)),
    }
}

/// Is this the name of a tool whose formats are known?
pub fn is_tool(name: &str) -> bool {
    OutputFormat::all().any(|format| has_tool(format, name)) || known::find(name).is_some()
}

fn has_tool(format: OutputFormat, name: &str) -> bool {
    format.tool().is_some_and(|tool| tool.eq_ignore_ascii_case(name.trim()))
}

fn lines() -> impl Iterator<Item = OutputFormat> {
    OutputFormat::all().filter(|format| format.is_lines())
}

/// The format of a text that somebody may have printed line by line, if one alone understands all of it.
fn of_lines(bytes: &[u8]) -> Option<OutputFormat> {
    let sample = bytes.get(..MAX_SAMPLE_BYTES).unwrap_or(bytes);
    let end = if sample.len() < bytes.len() { memchr::memrchr(b'\n', sample)? } else { sample.len() };
    let text = decode::text(sample.get(..end)?);
    let candidates = lines().filter(|format| !ALIKE.contains(&format.as_str()));
    let mut whole = candidates.filter(|format| {
        let DiagnosticReport { diagnostics, problems, other_lines, .. } =
            read(*format, text.as_bytes(), &OutputContext::default());
        !diagnostics.is_empty() && problems.is_empty() && other_lines.is_empty()
    });
    whole.next().filter(|_| whole.next().is_none())
}

/// The format of many tools in which this one prints lines.
fn lines_of(tool: &str) -> Option<OutputFormat> {
    OutputFormat::parse(&known::find(tool)?.lines)
}

/// Does it begin as JSON or XML does?
fn begins_document(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"[{<".contains(byte))
}

/// The tool's format of a document, such as an empty list, which says nothing of its format; none for a text.
fn of_documents(tool: &str, bytes: &[u8]) -> Option<OutputFormat> {
    if !begins_document(bytes) {
        return None;
    }
    let mut documents = OutputFormat::all().filter(|format| has_tool(*format, tool) && !format.is_lines());
    documents.find(|format| read(*format, bytes, &OutputContext::default()).problems.is_empty())
}

/// The format that understands the most; the first one of several.
fn best(formats: impl Iterator<Item = OutputFormat>, bytes: &[u8]) -> Option<OutputFormat> {
    let understood = |format: &OutputFormat| {
        let report = read(*format, bytes, &OutputContext::default());
        (report.diagnostics.len() as u64 + report.left_out, std::cmp::Reverse(report.more_lines))
    };
    let mut formats: Vec<OutputFormat> = formats.collect();
    formats.reverse();
    formats.into_iter().max_by_key(understood)
}
