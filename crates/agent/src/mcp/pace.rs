//! Reads a pipe client's messages no faster than Truing answers the client's calls.

use std::future::Future;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Maximum number of a client's calls in progress, and maximum number of responses that wait until the client
/// reads them. With messages of `MAX_MESSAGE_BYTES` bytes, calls and responses together take 128 MiB.
pub(super) const MAX_IN_FLIGHT_CALLS: usize = 16;
/// Time that pending calls have to finish after the client has closed its end. A script that writes its calls
/// and closes the pipe still gets its responses.
pub(super) const PENDING_CALLS_TIMEOUT: Duration = Duration::from_secs(5);

/// A permit that a request holds until the request has been handled.
#[derive(Clone)]
struct InFlightPermit {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// A transport that reads no more messages while too many are in flight.
pub(super) struct PacedTransport<T> {
    inner: T,
    call_permits: Arc<Semaphore>,
    answer_permits: Arc<Semaphore>,
    /// Notified when the client has closed its end and nothing more can be read.
    end_of_input: Arc<Notify>,
}

impl<T> PacedTransport<T> {
    /// Returns the transport, and a notification that is sent when the client has closed its end.
    pub(super) fn new(inner: T) -> (Self, Arc<Notify>) {
        let ended = Arc::new(Notify::new());
        let [call_permits, answer_permits] = [(); 2].map(|()| Arc::new(Semaphore::new(MAX_IN_FLIGHT_CALLS)));
        (Self { inner, call_permits, answer_permits, end_of_input: Arc::clone(&ended) }, ended)
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for PacedTransport<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let sent = self.inner.send(item);
        let answers = Arc::clone(&self.answer_permits);
        // A response waits here while `MAX_IN_FLIGHT_CALLS` others are still being written.
        async move {
            let _permit = answers.acquire_owned().await;
            sent.await
        }
    }

    /// Dropping the future before completion loses no message, as with the inner transport.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let permit = Arc::clone(&self.call_permits).acquire_owned().await.ok()?;
        // No further call is read while too many responses wait to be written.
        drop(self.answer_permits.acquire().await.ok()?);
        let Some(mut message) = self.inner.receive().await else {
            self.end_of_input.notify_one();
            return None;
        };
        message.insert_extension(InFlightPermit { _permit: Arc::new(permit) });
        Some(message)
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

/// Completes once the other end of this pipe is closed, even if unread data remains. Never completes for a
/// file or a terminal.
pub(super) async fn wait_for_hangup(pipe: impl AsFd) {
    // The descriptor is duplicated, because a descriptor cannot be registered twice.
    let own = pipe.as_fd().try_clone_to_owned();
    #[expect(
        deprecated,
        reason = "its successor is unsafe; this function owns the descriptor, which \
        stays open"
    )]
    let watched = own.and_then(|own| AsyncFd::with_interest(own, Interest::READABLE));
    let Ok(watched) = watched else { return std::future::pending().await };
    loop {
        match watched.ready(Interest::READABLE).await {
            Ok(guard) if guard.ready().is_read_closed() => return,
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => return std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_pipe_hangs_up_when_its_writer_is_gone_though_not_all_is_read() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let gone = tokio::spawn(wait_for_hangup(reader));
        for _ in 0..3 {
            writer.write_all(b"more").unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(!gone.is_finished());
        }
        drop(writer);
        tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
    }
}
