//! How fast a client of a pipe is listened to: no faster than it is answered.

use std::future::Future;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The most calls of a client that are worked on at once, and the most answers that wait until it reads them. With
/// messages of `MAX_MESSAGE` bytes, these are 128 MiB.
pub(super) const IN_FLIGHT: usize = 16;
/// How long calls may still be answered after the client has closed its end: a script that writes its calls and closes the
/// pipe gets its answers.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// Goes with a request until it has been worked on.
#[derive(Clone)]
struct InFlightPermit {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// A transport that gives no more messages while too much is in flight.
pub(super) struct PacedTransport<T> {
    inner: T,
    calls: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    /// Told when nothing more can be read.
    ended: Arc<Notify>,
}

impl<T> PacedTransport<T> {
    /// The transport, and what is told when its client has closed its end.
    pub(super) fn new(inner: T) -> (Self, Arc<Notify>) {
        let ended = Arc::new(Notify::new());
        let [calls, answers] = [(); 2].map(|()| Arc::new(Semaphore::new(IN_FLIGHT)));
        (Self { inner, calls, answers, ended: Arc::clone(&ended) }, ended)
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for PacedTransport<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let sent = self.inner.send(item);
        let answers = Arc::clone(&self.answers);
        // What cannot be written yet holds this one up, or is beyond the bound already and waits for it.
        async move {
            let _permit = answers.acquire_owned().await;
            sent.await
        }
    }

    /// May be dropped before it has ended, as the one of the pipe: nothing is lost then.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let permit = Arc::clone(&self.calls).acquire_owned().await.ok()?;
        // As long as answers wait to be read, so do further calls.
        drop(self.answers.acquire().await.ok()?);
        let Some(mut message) = self.inner.receive().await else {
            self.ended.notify_one();
            return None;
        };
        message.insert_extension(InFlightPermit { _permit: Arc::new(permit) });
        Some(message)
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

/// Ends when nobody has the other end of this pipe any more, whether or not all was read. Never ends for a file or a
/// terminal.
pub(super) async fn hung_up(pipe: impl AsFd) {
    // A number of its own: the same one cannot be waited for twice.
    let own = pipe.as_fd().try_clone_to_owned();
    #[expect(deprecated, reason = "its successor is unsafe; the descriptor is owned here, and stays open")]
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
        let gone = tokio::spawn(hung_up(reader));
        for _ in 0..3 {
            writer.write_all(b"more").unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(!gone.is_finished());
        }
        drop(writer);
        tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
    }
}
