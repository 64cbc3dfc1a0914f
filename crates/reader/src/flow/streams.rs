//! Streams in the responses of operations, from a table extracted from botocore's service models.

/// Table of streams. The comment at the beginning of the file describes the table.
const STREAMS_CSV: &str = include_str!("streams.csv");

/// The kinds of streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StreamKind {
    /// Stream of events, iterated by `async for`.
    Events,
    /// Stream of bytes, such as a body.
    Body,
}

fn stream_table_rows() -> impl Iterator<Item = (&'static str, &'static str, StreamKind)> {
    STREAMS_CSV.lines().filter(|line| !line.starts_with('#')).filter_map(|row| {
        let mut fields = row.split(',');
        let (operation, member, kind) = (fields.next()?, fields.next()?, fields.next()?);
        Some((operation, member, if kind == "events" { StreamKind::Events } else { StreamKind::Body }))
    })
}

/// Returns the operation with this name, if its response contains a stream.
pub(super) fn streaming_operation(name: &str) -> Option<&'static str> {
    stream_table_rows().map(|(operation, ..)| operation).find(|it| *it == name)
}

/// Returns the kind of stream in this member of the operation's response. Returns `None` if the member is not
/// a stream.
pub(super) fn stream_kind(operation: &str, member: &str) -> Option<StreamKind> {
    stream_table_rows().find(|row| (row.0, row.1) == (operation, member)).map(|(.., stream)| stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_events_from_bytes() {
        assert_eq!(streaming_operation("select_object_content"), Some("select_object_content"));
        assert_eq!(streaming_operation("list_buckets"), None);
        assert_eq!(stream_kind("select_object_content", "Payload"), Some(StreamKind::Events));
        assert_eq!(stream_kind("invoke", "Payload"), Some(StreamKind::Body));
        assert_eq!(stream_kind("invoke", "StatusCode"), None);
    }
}
