//! Writes log lines for a person, with invisible characters escaped and commands of a forge's runner broken.
//! The logging library escapes control characters, but not invisible characters such as direction marks.

use std::io::{self, Write};

use truing_core::line::is_invisible_char;

use crate::cli::runner_commands::break_runner_commands;

/// A writer that escapes invisible characters.
pub(super) struct EscapedLogWriter<W>(pub(super) W);

impl<W: Write> Write for EscapedLogWriter<W> {
    /// Writes a whole line, which the library passes in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = break_runner_commands(&text);
        if text.chars().any(is_invisible_non_control) {
            self.0.write_all(escape_invisible_chars(&text).as_bytes())?;
        } else {
            self.0.write_all(text.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns true for an invisible character that is not a control character. A line contains only control
/// characters that the library wrote: line breaks and colours.
fn is_invisible_non_control(char: char) -> bool {
    is_invisible_char(char) && !char.is_control()
}

fn escape_invisible_chars(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if is_invisible_non_control(char) { shown.extend(char.escape_unicode()) } else { shown.push(char) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn escapes_invisible_characters_and_keeps_colours() {
        let kept = LogBuffer::default();
        let writer = kept.clone();
        let layer = super::super::human_layer(true, move || EscapedLogWriter(writer.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(
                name = "a\u{202e}b",
                "c\u{200b}d\u{e0041}e\u{1b}[2Jf é \u{1f468}\u{200d}\u{1f469}"
            );
        });
        let said = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(!said.chars().any(is_invisible_non_control) && !said.contains("\u{1b}[2J"), "{said:?}");
        for part in ["a\\u{202e}b", "c\\u{200b}d\\u{e0041}e", "é \u{1f468}\u{200d}\u{1f469}", "\u{1b}[33m"] {
            assert!(said.contains(part), "{part}: {said:?}");
        }
        assert!(said.ends_with('\n') && said.lines().count() == 1, "{said:?}");
    }
}
