//! Calls the parser for the format of an output.

use crate::output::format::{OutputContext, OutputFormat};
use crate::output::report::DiagnosticReport;
use crate::output::{checkstyle, gitlab, junit, rdjson, sarif};

/// Reads the output of a tool. Never panics, and uses bounded memory; see [`report`](crate::output::report)
/// for the bounds. The report contains the number of entries that were left out, and a description of the
/// problems.
pub fn read_output(format: OutputFormat, bytes: &[u8], input: &OutputContext<'_>) -> DiagnosticReport {
    match format {
        OutputFormat::Sarif => sarif::read(bytes, input),
        OutputFormat::Rdjson => rdjson::read(bytes, input),
        OutputFormat::Rdjsonl => rdjson::read_lines(bytes, input),
        OutputFormat::Checkstyle => checkstyle::read(bytes, input),
        OutputFormat::Gitlab => gitlab::read(bytes, input),
        OutputFormat::Junit => junit::read(bytes, input),
        OutputFormat::Named(named) => (named.parse)(bytes, input),
    }
}
