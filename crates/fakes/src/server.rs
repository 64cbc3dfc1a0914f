//! Helpers that the fake servers share. The helpers close all connections when the server stops, and can
//! close a connection instead of sending a response.

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionCloseMarker;

/// Accepts connections until this task is aborted, which closes every connection.
pub(crate) async fn serve_connections(listener: TcpListener, router: axum::Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve_connection(stream, router.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection. A response marked [`ConnectionCloseMarker`] is returned as an error, so hyper
/// closes the connection without sending any byte of the response.
async fn serve_connection(stream: TcpStream, router: axum::Router) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = router.clone().oneshot(request.map(axum::body::Body::new));
        async move {
            let Ok(response) = answer.await;
            match response.extensions().get::<ConnectionCloseMarker>() {
                Some(ConnectionCloseMarker) => Err(std::io::Error::other("hung up on purpose")),
                None => Ok(response),
            }
        }
    });
    // Connection errors are ignored, because the fake's log contains every response.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
