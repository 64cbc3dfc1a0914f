//! Checkstyle's XML format, which many linters print. Each `file` element has a name and contains the `error`
//! elements of the file.
//!
//! Lines and columns count from 1, and locations have no end. The format has no other description than
//! Checkstyle's source (`XMLLogger`).

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, DiagnosticLevel};
use crate::output::format::OutputContext;
use crate::output::path::{PathError, PathResolver};
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};
use crate::output::xml::{XmlElement, XmlPart, XmlParts};

/// Prefixes that are removed from rule names, because they are the same for all rules: Checkstyle's package
/// name, and a prefix that many other tools write.
const SOURCE_PREFIXES: [&str; 2] = ["com.puppycrawl.tools.checkstyle.", "eslint.rules."];

/// Reads a report. Never panics, for any input bytes.
pub(crate) fn read(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut collected = DiagnosticCollector::new();
    let Some(text) = decode::decode_document(bytes, &mut collected) else { return collected.finish() };
    let paths = PathResolver::new(context);
    let mut parts = XmlParts::new(&text);
    let (mut file, mut is_seen) = (String::new(), false);
    let mut is_crash = false;
    loop {
        match parts.next_part() {
            Ok(Some(XmlPart::Start(element))) => match element.name.as_str() {
                "checkstyle" => is_seen = true,
                "file" => file = element.attribute("name").unwrap_or_default().to_owned(),
                "error" => read_error_element(&file, &element, &paths, context, &mut collected),
                "exception" => is_crash = true,
                _ => {}
            },
            // Checkstyle prints a stack trace if it fails to process a file.
            Ok(Some(XmlPart::Text(text))) if is_crash => {
                let text = text.trim().lines().next().unwrap_or_default();
                collected.add_problem(
                    ProblemKind::ToolFailed,
                    &format!("{}: {file}: {text}", context.tool_name_or("checkstyle")),
                );
                is_crash = false;
            }
            Ok(Some(XmlPart::End(name))) => {
                is_crash = false;
                if name == "file" {
                    file.clear();
                }
            }
            Ok(Some(XmlPart::Text(_))) => {}
            Ok(None) => break,
            Err(error) => {
                collected.add_problem(ProblemKind::Unreadable, &error);
                is_seen = true;
                break;
            }
        }
    }
    if !is_seen {
        collected.add_problem(ProblemKind::Unreadable, "the output has no element `checkstyle`");
    }
    collected.finish()
}

fn read_error_element(
    file: &str,
    element: &XmlElement,
    paths: &PathResolver,
    context: &OutputContext<'_>,
    collector: &mut DiagnosticCollector,
) {
    // Checkstyle uses the severity `ignore` for findings of disabled rules.
    if element.attribute("severity") == Some("ignore") {
        return;
    }
    let (line, column) = (element.numeric_attribute("line"), element.numeric_attribute("column"));
    let written = Some(file).filter(|file| !file.is_empty()).ok_or(PathError::Missing);
    let path = match written.and_then(|file| paths.resolve(file)) {
        Ok(path) => path,
        Err(error) => return collector.skip_unplaced_entry(&error, &format!("line {line}: {error}")),
    };
    let range = DiagnosticRange::from_position(line, column, ColumnUnit::CodePoint);
    let message = element.attribute("message").unwrap_or_default();
    let mut diagnostic = Diagnostic::new(context.tool_name_or("checkstyle"), path, range, message);
    diagnostic.rule = element.attribute("source").map(rule_name);
    diagnostic.level = match element.attribute("severity").unwrap_or_default() {
        "error" | "fatal" => DiagnosticLevel::Error,
        "info" | "note" | "refactor" | "convention" => DiagnosticLevel::Note,
        _ => DiagnosticLevel::Warning,
    };
    collector.push(diagnostic);
}

/// Returns the rule name that Checkstyle's configuration uses, such as `ConstantName` for the class
/// `…checks.naming.ConstantNameCheck`.
fn rule_name(source: &str) -> String {
    let Some(rest) = SOURCE_PREFIXES.iter().find_map(|prefix| source.strip_prefix(prefix)) else {
        return source.to_owned();
    };
    match rest.strip_prefix("checks.") {
        Some(class) => {
            let name = class.rsplit('.').next().unwrap_or(class);
            name.strip_suffix("Check").filter(|name| !name.is_empty()).unwrap_or(name).to_owned()
        }
        None => rest.to_owned(),
    }
}
