//! Provides a proxy for a server. The proxy can refuse connections, or stop forwarding data as if the network
//! lost all packets.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The proxy's treatment of connections and their data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Traffic {
    Forwarded,
    /// Existing connections are closed, and new ones are closed immediately.
    Refused,
    /// Connections stay open and new ones are accepted, but no data is forwarded.
    Stalled,
}

/// A proxy for a server on this machine.
pub(crate) struct Proxy {
    /// Port on which the proxy listens.
    pub(crate) port: u16,
    traffic: Arc<watch::Sender<Traffic>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let traffic = Arc::new(watch::channel(Traffic::Forwarded).0);
        let told = traffic.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward_connection(
                    near,
                    SocketAddr::from(([127, 0, 0, 1], server)),
                    told.subscribe(),
                ));
            }
        });
        Self { port, traffic, task }
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards the data of one connection while `traffic` is [`Traffic::Forwarded`].
async fn forward_connection(mut near: TcpStream, server: SocketAddr, mut traffic: watch::Receiver<Traffic>) {
    let mut far = None;
    loop {
        let now = *traffic.borrow_and_update();
        match (now, &mut far) {
            (Traffic::Refused, _) => return,
            (Traffic::Stalled, _) => {
                if traffic.changed().await.is_err() {
                    return;
                }
            }
            (Traffic::Forwarded, None) => match TcpStream::connect(server).await {
                Ok(stream) => far = Some(stream),
                Err(_) => return,
            },
            (Traffic::Forwarded, Some(far)) => tokio::select! {
                _ = copy_bidirectional(&mut near, far) => return,
                changed = traffic.changed() => if changed.is_err() { return },
            },
        }
    }
}
