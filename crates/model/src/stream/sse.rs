//! Splits a stream of bytes into server-sent events. The result does not depend on how the stream is divided
//! into chunks. The events' data is not interpreted.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

/// Maximum number of bytes of an event. A provider splits most blocks into many small events, but sends some
/// kinds of blocks in one event.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// An event exceeds [`MAX_EVENT_BYTES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EventOverflow;

/// The received bytes of an incomplete event.
#[derive(Default, Debug)]
pub(super) struct SseSplitter {
    line: Vec<u8>,
    data: Vec<u8>,
    /// True if the current event has at least one line of data.
    has_data: bool,
    /// True if the last byte was a carriage return. A line feed directly after a carriage return does not end
    /// another line.
    ends_with_carriage_return: bool,
    /// True after the first line. Only the first line may begin with a byte order mark.
    has_read_line: bool,
}

impl SseSplitter {
    /// Adds more bytes, and returns the data of each event that these bytes complete.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, EventOverflow> {
        let mut events = Vec::new();
        if self.ends_with_carriage_return {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.line.extend_from_slice(line);
            if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
                return Err(EventOverflow);
            }
            if end.is_some() {
                events.extend(self.finish_line());
            }
            self.ends_with_carriage_return = rest == b"\r";
            bytes = match rest {
                [b'\r', b'\n', rest @ ..] | [b'\r' | b'\n', rest @ ..] => rest,
                rest => rest,
            };
        }
        Ok(events)
    }

    /// Handles a complete line; a blank line ends the event. All fields except `data` are ignored. The field
    /// `event` is not needed, because providers repeat the event's type in the data.
    fn finish_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.has_read_line, true);
        let line = if is_first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then_some(data);
        }
        let value = match line.strip_prefix(b"data") {
            Some([]) => &[],
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            Some(_) | None => return None,
        };
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bytes: &[u8]) -> Vec<String> {
        let events = SseSplitter::default().push(bytes).unwrap();
        events.into_iter().map(|data| String::from_utf8(data).unwrap()).collect()
    }

    #[test]
    fn events_end_with_a_blank_line_of_any_kind() {
        assert_eq!(events(b"event: a\ndata: 1\n\ndata:2\r\n\r\ndata: 3\r\rdata: 4"), ["1", "2", "3"]);
    }

    #[test]
    fn lines_of_data_are_joined_and_other_fields_count_for_nothing() {
        assert_eq!(events(b"\xef\xbb\xbfdata: 1\n: words\nid: 7\ndata\ndata: 2\n\n\n\n"), ["1\n\n2"]);
        assert_eq!(events(b"database: 1\n\n"), [""; 0]);
    }

    #[test]
    fn an_event_over_the_size_limit_is_refused() {
        let mut framing = SseSplitter::default();
        let piece = [b"data: ".as_slice(), &[b'x'; 1024 * 1024]].concat();
        let taken = (0..8).take_while(|_| framing.push(&piece).is_ok()).count();
        assert_eq!(taken, 3);
    }
}
