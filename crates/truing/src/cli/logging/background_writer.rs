//! Writes a service's log to stderr in a separate thread. If the reader of stderr stops reading, only that
//! thread is blocked.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;
use tracing_subscriber::fmt::MakeWriter;

use super::LogStyle;

/// Maximum number of queued lines. Further lines are dropped and counted.
const MAX_QUEUED_LINES: usize = 4096;
/// Maximum time that an exiting process waits until its last lines are written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A message to the writing thread.
enum LogMessage {
    Line(Vec<u8>),
    /// Requests a signal after all earlier lines have been written.
    Flush(SyncSender<()>),
}

/// Sends log lines to the thread that writes them.
#[derive(Clone)]
pub(super) struct BackgroundLogWriter {
    message_sender: SyncSender<LogMessage>,
    lost_count: Arc<AtomicU64>,
}

impl BackgroundLogWriter {
    /// Starts the thread, which writes log lines to `out` in the given style.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub(super) fn start(out: impl Write + Send + 'static, style: LogStyle) -> io::Result<Self> {
        let (lines, line_receiver) = sync_channel(MAX_QUEUED_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Self { message_sender: lines, lost_count: Arc::clone(&lost) };
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_lines(out, &line_receiver, &lost, style))?;
        Ok(writer)
    }

    /// Waits until the queued lines are written. The wait has a time limit, because the reader may have
    /// stopped reading.
    pub(super) fn finish(&self) {
        let (end, ended) = sync_channel(1);
        if self.message_sender.try_send(LogMessage::Flush(end)).is_ok() {
            let _ = ended.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl Write for BackgroundLogWriter {
    /// Queues a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.message_sender.try_send(LogMessage::Line(line.to_vec())).is_err() {
            self.lost_count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for BackgroundLogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn write_lines(
    mut out: impl Write,
    messages: &Receiver<LogMessage>,
    lost_lines: &AtomicU64,
    style: LogStyle,
) {
    for message in messages {
        // There is no place to report a failed write.
        match message {
            LogMessage::Line(line) => drop(out.write_all(&line)),
            LogMessage::Flush(end) => drop(end.send(())),
        }
        let lost_lines = lost_lines.swap(0, Ordering::Relaxed);
        if lost_lines > 0 {
            let message = "lines of the log are lost: standard error was not read in time";
            let now = Timestamp::now();
            let json = || {
                let now = now.to_string();
                serde_json::json!({ "level": "WARN", "lost": lost_lines, "message": message,
                    "timestamp": now })
            };
            let _ = match style {
                LogStyle::Json => writeln!(out, "{}", json()),
                LogStyle::Text | LogStyle::Human => writeln!(out, "{now}  WARN {lost_lines} {message}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// A reader that reads nothing while the gate is held.
    #[derive(Clone, Default)]
    struct Reader {
        gate: Arc<Mutex<()>>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.read.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_is_lost_is_told() {
        let reader = Reader::default();
        let mut log = BackgroundLogWriter::start(reader.clone(), LogStyle::Json).unwrap();
        let gate = reader.gate.lock().unwrap();
        for number in 0..MAX_QUEUED_LINES + 10 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        log.finish();
        drop(gate);
        while reader.read.lock().unwrap().iter().filter(|byte| **byte == b'\n').count() <= MAX_QUEUED_LINES {
            std::thread::yield_now();
        }
        let read = String::from_utf8(reader.read.lock().unwrap().clone()).unwrap();
        assert!(read.starts_with("line 0\n"), "{read}");
        assert!(read.contains("\"lost\":9,") || read.contains("\"lost\":10,"), "{read}");
        log.write_all(b"and again\n").unwrap();
        log.finish();
        assert!(reader.read.lock().unwrap().ends_with(b"and again\n"), "it is written when `finish` returns");
    }
}
