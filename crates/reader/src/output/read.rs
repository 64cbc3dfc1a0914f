//! Calls the parser for the format of an output.

use crate::output::format::{OutputContext, OutputFormat};
use crate::output::report::DiagnosticReport;
use crate::output::{checkstyle, gitlab, junit, rdjson, sarif};

/// Reads the output of a tool. Never panics, and uses bounded memory; see [`report`](crate::output::report)
/// for the bounds. The report contains the number of entries that were left out, and a description of the
/// problems.
pub fn read_output(format: OutputFormat, bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    match format {
        OutputFormat::Sarif => sarif::read(bytes, context),
        OutputFormat::Rdjson => rdjson::read(bytes, context),
        OutputFormat::Rdjsonl => rdjson::read_lines(bytes, context),
        OutputFormat::Checkstyle => checkstyle::read(bytes, context),
        OutputFormat::Gitlab => gitlab::read(bytes, context),
        OutputFormat::Junit => junit::read(bytes, context),
        OutputFormat::Named(named) => (named.parse)(bytes, context),
    }
}
