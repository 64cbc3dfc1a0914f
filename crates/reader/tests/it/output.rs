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

use truing_reader::output::{Format, Input, Report, read};

/// A report of text, without any root known.
fn report(format: Format, text: &str) -> Report {
    read(format, text.as_bytes(), &Input::default())
}

/// A report of text, from a tool that ran in this folder of its machine.
fn report_at(format: Format, root: &str, text: &str) -> Report {
    read(format, text.as_bytes(), &Input { roots: &[root.to_owned()], ..Input::default() })
}

/// Each diagnostic as `path:line: message`, the line 0 for a file as a whole.
fn told(report: &Report) -> Vec<String> {
    let one = |found: &truing_reader::output::Diagnostic| {
        let line = found.range.first_line().unwrap_or(0);
        format!("{}:{line}: {}", found.path, found.message)
    };
    report.diagnostics.iter().map(one).collect()
}

/// The texts of the problems.
fn problems(report: &Report) -> Vec<&str> {
    report.problems.iter().map(|problem| problem.text.as_str()).collect()
}
