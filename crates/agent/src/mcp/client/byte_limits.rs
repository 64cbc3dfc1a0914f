//! Limits of the bytes that a server may send.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::mcp::MAX_MESSAGE_BYTES;

/// Maximum total number of bytes that one server may send in one run.
const MAX_SERVER_BYTES: usize = 64 << 20;

/// Counts the bytes that one server sends in a run. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerMeter(Arc<ServerByteCount>);

#[derive(Debug, Default)]
struct ServerByteCount {
    bytes: AtomicUsize,
    is_exceeded: AtomicBool,
}

/// A server has sent more bytes than it is allowed to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("its output is too large: the limits are {} MiB in one message and {} MiB in one run",
    MAX_MESSAGE_BYTES >> 20, MAX_SERVER_BYTES >> 20)]
pub(super) struct ServerLimitExceeded;

impl ServerMeter {
    /// Adds `added_bytes` to the count; `message_bytes` is the size of the current message until now. Returns
    /// an error if the message or the total exceeds its limit.
    pub(super) fn count(&self, added_bytes: usize, message_bytes: usize) -> Result<(), ServerLimitExceeded> {
        let before = self.0.bytes.fetch_add(added_bytes, Ordering::Relaxed);
        if message_bytes > MAX_MESSAGE_BYTES || before.saturating_add(added_bytes) > MAX_SERVER_BYTES {
            self.0.is_exceeded.store(true, Ordering::Relaxed);
            return Err(ServerLimitExceeded);
        }
        Ok(())
    }

    /// Returns true once a limit was exceeded.
    pub(super) fn is_exceeded(&self) -> bool {
        self.0.is_exceeded.load(Ordering::Relaxed)
    }
}

/// A stream of lines that fails if a line or the whole stream is too long.
pub(super) struct BoundedLines<R> {
    stream: R,
    meter: ServerMeter,
    line_bytes: usize,
}

impl<R> BoundedLines<R> {
    pub(super) fn new(stream: R, meter: ServerMeter) -> Self {
        Self { stream, meter, line_bytes: 0 }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BoundedLines<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let more = buffer.filled().get(before..).unwrap_or_default();
        // Only the unfinished line is measured, because a line that begins and ends within this chunk cannot
        // be longer than the chunk.
        self.line_bytes = match more.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => more.len() - end - 1,
            None => self.line_bytes.saturating_add(more.len()),
        };
        match self.meter.count(more.len(), self.line_bytes) {
            Ok(()) => read,
            Err(error) => Poll::Ready(Err(std::io::Error::other(error))),
        }
    }
}
