//! Outputs of every format as reports.

use crate::output::format::{Format, Input};
use crate::output::report::Report;
use crate::output::{checkstyle, gitlab, junit, rdjson, sarif};

/// Reads the output of a tool. It does not panic on any bytes, and takes no more than a bounded room: see
/// [`report`](crate::output::report) for the bounds. What it leaves out it counts and names.
pub fn read(format: Format, bytes: &[u8], input: &Input<'_>) -> Report {
    match format {
        Format::Sarif => sarif::read(bytes, input),
        Format::Rdjson => rdjson::read(bytes, input),
        Format::Rdjsonl => rdjson::read_lines(bytes, input),
        Format::Checkstyle => checkstyle::read(bytes, input),
        Format::Gitlab => gitlab::read(bytes, input),
        Format::Junit => junit::read(bytes, input),
        Format::Named(named) => (named.read)(bytes, input),
    }
}
