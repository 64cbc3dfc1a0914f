//! The way to a server, which a test can close, and let hang as a network does that loses everything.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of what is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// It arrives.
    Open,
    /// Every connection ends, and new ones end at once.
    Closed,
    /// Connections are made and stay, and nothing arrives.
    Silent,
}

/// A way to a server on this machine.
pub(crate) struct Way {
    /// Where it begins.
    pub(crate) port: u16,
    manner: Arc<watch::Sender<Manner>>,
    task: JoinHandle<()>,
}

impl Way {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let manner = Arc::new(watch::channel(Manner::Open).0);
        let told = manner.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, SocketAddr::from(([127, 0, 0, 1], server)), told.subscribe()));
            }
        });
        Self { port, manner, task }
    }

    pub(crate) fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries one connection for as long as it may.
async fn pass(mut near: TcpStream, server: SocketAddr, mut manner: watch::Receiver<Manner>) {
    let mut far = None;
    loop {
        let now = *manner.borrow_and_update();
        match (now, &mut far) {
            (Manner::Closed, _) => return,
            (Manner::Silent, _) => {
                if manner.changed().await.is_err() {
                    return;
                }
            }
            (Manner::Open, None) => match TcpStream::connect(server).await {
                Ok(stream) => far = Some(stream),
                Err(_) => return,
            },
            (Manner::Open, Some(far)) => tokio::select! {
                _ = copy_bidirectional(&mut near, far) => return,
                changed = manner.changed() => if changed.is_err() { return },
            },
        }
    }
}
