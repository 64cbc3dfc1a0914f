//! JSON of typos, which searches for misspelled words.

use serde::Deserialize;

use crate::output::decode;
use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

/// Maximum number of corrections of a word that are read.
const MAX_CORRECTIONS: usize = 20;
/// Shortest word, in characters, that is hardly an abbreviation or a word of another language.
const MIN_SURE_WORD_CHARS: usize = 8;
/// Rule of a long word with a single correction.
const SURE_RULE: &str = "misspelling";
/// Rule of all other words.
const UNSURE_RULE: &str = "possible-misspelling";

#[derive(Deserialize)]
struct TyposMessage {
    #[serde(rename = "type")]
    kind: String,
    path: Option<String>,
    /// Line from 1; absent in the name of a file.
    line_num: Option<WholeNumber>,
    /// Offset from the beginning of the line, in bytes from 0.
    byte_offset: Option<WholeNumber>,
    typo: Option<String>,
    #[serde(default)]
    corrections: BoundedList<String, MAX_CORRECTIONS>,
    msg: Option<String>,
}

/// Reads the output of `typos --format json`. Each line contains one object. typos has no names of rules, so
/// the names are those of Truing. No correction is a fix, because the word may be a name that other code
/// uses.
pub(crate) fn read_typos(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("typos", context);
    let text = decode::decode_lines(bytes, &mut reading.collector);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with('{') {
            reading.collector.record_unparsed_line(line);
            continue;
        }
        match serde_json::from_str::<TyposMessage>(line) {
            Ok(message) => read_message(&mut reading, &message),
            Err(error) => reading.add_malformed_entry(&format!("a message is malformed: {error}")),
        }
    }
    reading.collector.report_unparsed_output();
    reading.finish()
}

fn read_message(reader: &mut OutputReader<'_>, message: &TyposMessage) {
    let path = message.path.as_deref().unwrap_or_default();
    match (message.kind.as_str(), &message.typo) {
        ("error", _) => {
            reader.add_tool_failure(&format!("{path}: {}", message.msg.as_deref().unwrap_or("an error")));
        }
        ("typo", Some(typo)) => {
            let corrections: Vec<String> =
                message.corrections.iter().map(|word| format!("`{word}`")).collect();
            let correction = match corrections.as_slice() {
                [] => String::new(),
                words => format!(": write {}", words.join(" or ")),
            };
            let range = match message.line_num.zip(message.byte_offset) {
                Some((line, offset)) => {
                    let line = line.to_line_or_column();
                    let column = offset.to_line_or_column().saturating_add(1);
                    let end = column.saturating_add(u32::try_from(typo.len()).unwrap_or(u32::MAX));
                    DiagnosticRange::from_positions((line, column), (line, end), ColumnUnit::Byte)
                }
                None => DiagnosticRange::WholeFile,
            };
            let text = format!("`{typo}` is misspelled{correction}");
            let Some(mut diagnostic) = reader.build_diagnostic(path, range, &text) else { return };
            let is_sure = corrections.len() == 1 && typo.chars().count() >= MIN_SURE_WORD_CHARS;
            diagnostic.rule = Some(if is_sure { SURE_RULE } else { UNSURE_RULE }.to_owned());
            diagnostic.has_unsafe_fix = !corrections.is_empty();
            reader.collector.push(diagnostic);
        }
        _ => {}
    }
}
