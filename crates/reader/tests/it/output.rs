//! Output of linters and test programs, read as diagnostics.

// Helpers of tests are tests too; clippy exempts test functions only.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bounds;
mod checkstyle;
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
mod unsafe_fixes;

use truing_reader::output::{DiagnosticReport, OutputContext, OutputFormat, read};

/// A report of text, without any root known.
fn report(format: OutputFormat, text: &str) -> DiagnosticReport {
    read(format, text.as_bytes(), &OutputContext::default())
}

/// A report of text, from a tool that ran in this folder of its machine.
fn report_at(format: OutputFormat, root: &str, text: &str) -> DiagnosticReport {
    read(format, text.as_bytes(), &OutputContext { roots: &[root.to_owned()], ..OutputContext::default() })
}

/// Each diagnostic as `path:line: message`, the line 0 for a file as a whole.
fn told(report: &DiagnosticReport) -> Vec<String> {
    let one = |found: &truing_reader::output::Diagnostic| {
        let line = found.range.first_line().unwrap_or(0);
        format!("{}:{line}: {}", found.path, found.message)
    };
    report.diagnostics.iter().map(one).collect()
}

/// The texts of the problems.
fn problems(report: &DiagnosticReport) -> Vec<&str> {
    report.problems.iter().map(|problem| problem.text.as_str()).collect()
}
