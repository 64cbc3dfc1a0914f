//! A stream that counts its bytes, and fails above a limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counters of connections and bytes, with a limit of bytes.
#[derive(Debug)]
pub(super) struct ByteMeter {
    limit: u64,
    connection_count: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl ByteMeter {
    /// Returns a meter with this limit of bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            connection_count: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// Counts one more connection.
    pub(super) fn count_connection(&self) {
        self.connection_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the numbers of connections, of sent bytes and of received bytes.
    pub(super) fn read_counts(&self) -> (u64, u64, u64) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (of(&self.connection_count), of(&self.sent), of(&self.received))
    }

    /// Returns true once the byte limit is used up.
    pub(super) fn is_exhausted(&self) -> bool {
        let (_, sent, received) = self.read_counts();
        sent.saturating_add(received) >= self.limit
    }
}

/// A stream that adds the number of transferred bytes to several meters.
#[derive(Debug)]
pub(super) struct MeteredStream<S> {
    stream: S,
    meters: Vec<Arc<ByteMeter>>,
}

impl<S> MeteredStream<S> {
    pub(super) fn new(stream: S, meters: Vec<Arc<ByteMeter>>) -> Self {
        Self { stream, meters }
    }

    fn check_quota(&self) -> io::Result<()> {
        match self.meters.iter().any(|meter| meter.is_exhausted()) {
            true => Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many bytes")),
            false => Ok(()),
        }
    }

    fn add(&self, bytes: usize, to: impl Fn(&ByteMeter) -> &AtomicU64) {
        for meter in &self.meters {
            to(meter).fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_quota()?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.add(buffer.filled().len() - before, |meter| &meter.received);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_quota()?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            self.add(*count, |meter| &meter.sent);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_and_end_where_they_must() {
        let (mut near, far) = tokio::io::duplex(64);
        let (own, all) = (Arc::new(ByteMeter::new(u64::MAX)), Arc::new(ByteMeter::new(8)));
        let mut far = MeteredStream::new(far, vec![own.clone(), all.clone()]);
        near.write_all(b"12345").await.unwrap();
        far.read_exact(&mut [0; 5]).await.unwrap();
        far.write_all(b"678").await.unwrap();
        assert_eq!((own.read_counts(), all.is_exhausted()), ((0, 3, 5), true));
        assert_eq!(far.write_all(b"9").await.unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(far.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }
}
