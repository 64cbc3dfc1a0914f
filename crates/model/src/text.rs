//! Parses dates in HTTP headers, and formats errors with their causes.

use std::error::Error;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// Parses the date of a header.
pub(crate) fn parse_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_zoned(text).ok().map(Timestamp::from)
}

/// Joins the messages of an error and of all its causes, which contain more detail.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
