//! Tests that the reader converts the output of linters and test programs to diagnostics.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bounds;
mod checkstyle;
mod diffs;
mod documented;
mod findings;
mod fuzz;
mod gitlab;
mod junit;
mod misread;
mod names;
mod page;
mod paths;
mod ranges;
mod rdjson;
mod real;
mod recognized;
mod sarif;
mod texts;
mod unread;
mod unsafe_fixes;

use truing_reader::output::{DiagnosticReport, OutputContext, OutputFormat, read_output};

/// Reads an output without any given root folder.
fn report(format: OutputFormat, text: &str) -> DiagnosticReport {
    read_output(format, text.as_bytes(), &OutputContext::default())
}

/// Reads the output of a tool that ran in `root`, the root folder of another machine's checkout.
fn report_at(format: OutputFormat, root: &str, text: &str) -> DiagnosticReport {
    read_output(
        format,
        text.as_bytes(),
        &OutputContext { roots: &[root.to_owned()], ..OutputContext::default() },
    )
}

/// Returns each diagnostic as `path:line: message`, with the line 0 for a whole file.
fn render_diagnostics(report: &DiagnosticReport) -> Vec<String> {
    let one = |found: &truing_reader::output::Diagnostic| {
        let line = found.range.first_line().unwrap_or(0);
        format!("{}:{line}: {}", found.path, found.message)
    };
    report.diagnostics.iter().map(one).collect()
}

/// Returns the texts of the problems.
fn problems(report: &DiagnosticReport) -> Vec<&str> {
    report.problems.iter().map(|problem| problem.text.as_str()).collect()
}
