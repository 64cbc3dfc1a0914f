//! The streams in answers of operations, by a table that was read out of botocore's service models.

/// Streams: see the file's head.
const TABLE: &str = include_str!("streams.csv");

/// The kinds of streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StreamKind {
    /// Of events, to be gone through by `async for`.
    Events,
    /// Of bytes.
    Body,
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, StreamKind)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|row| {
        let mut fields = row.split(',');
        let (operation, member, kind) = (fields.next()?, fields.next()?, fields.next()?);
        Some((operation, member, if kind == "events" { StreamKind::Events } else { StreamKind::Body }))
    })
}

/// An operation whose answer has a stream, by its name.
pub(super) fn operation(name: &str) -> Option<&'static str> {
    rows().map(|(operation, ..)| operation).find(|it| *it == name)
}

/// The stream that a member of an operation's answer is.
pub(super) fn of(operation: &str, member: &str) -> Option<StreamKind> {
    rows().find(|row| (row.0, row.1) == (operation, member)).map(|(.., stream)| stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_events_from_bytes() {
        assert_eq!(operation("select_object_content"), Some("select_object_content"));
        assert_eq!(operation("list_buckets"), None);
        assert_eq!(of("select_object_content", "Payload"), Some(StreamKind::Events));
        assert_eq!(of("invoke", "Payload"), Some(StreamKind::Body));
        assert_eq!(of("invoke", "StatusCode"), None);
    }
}
