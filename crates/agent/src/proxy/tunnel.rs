//! Relays the data of a tunnel. First checks that the data is TLS to the host for which the client requested
//! the tunnel. Many hosts share an address, so the address alone does not identify the host. The host name in
//! the client's first TLS message identifies the host.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};

use super::{ConnectionRefusal, normalize_host};

/// Timeout of the client's first message.
const CLIENT_HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of bytes of the first message.
const MAX_CLIENT_HELLO_BYTES: usize = 64 << 10;
/// Bytes read at once.
const CHUNK_BYTES: usize = 4 << 10;

/// Checks the client's first message, and then copies bytes in both directions until one side ends.
pub(super) async fn relay_bytes(
    mut client_stream: impl AsyncRead + AsyncWrite + Unpin,
    mut server_stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
) -> Result<(), ConnectionRefusal> {
    let hello = tokio::time::timeout(CLIENT_HELLO_TIMEOUT, read_client_hello(&mut client_stream, host)).await;
    let Some(hello) = hello.map_err(|_| ConnectionRefusal::OtherHost)?? else { return Ok(()) };
    let carried = async {
        server_stream.write_all(&hello).await?;
        copy_bidirectional(&mut client_stream, &mut server_stream).await
    };
    match carried.await {
        Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => Err(ConnectionRefusal::TooMuch),
        // Other errors are ignored, because both sides may close the tunnel at any time without notice.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Reads a client's first message and checks that it names this host. Returns `None` if the client closes the
/// tunnel without sending data, as connection pools do. If the host is an IP address, the message may omit
/// the name.
async fn read_client_hello(
    client_stream: &mut (impl AsyncRead + Unpin),
    host: &str,
) -> Result<Option<Vec<u8>>, ConnectionRefusal> {
    let (mut acceptor, mut received, mut part) = (Acceptor::default(), Vec::new(), vec![0; CHUNK_BYTES]);
    loop {
        let count = client_stream.read(&mut part).await.unwrap_or(0);
        let more = part.get(..count).unwrap_or_default();
        received.extend_from_slice(more);
        if count == 0 && received.is_empty() {
            return Ok(None);
        }
        if count == 0 || received.len() > MAX_CLIENT_HELLO_BYTES {
            return Err(ConnectionRefusal::OtherHost);
        }
        let mut more = more;
        while !more.is_empty() {
            acceptor.read_tls(&mut more).map_err(|_| ConnectionRefusal::OtherHost)?;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let named = accepted.client_hello().server_name().map(normalize_host);
                let is_host =
                    named.as_deref() == Some(host) || named.is_none() && host.parse::<IpAddr>().is_ok();
                return if is_host { Ok(Some(received)) } else { Err(ConnectionRefusal::OtherHost) };
            }
            Err(_) => return Err(ConnectionRefusal::OtherHost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a client's first message (ClientHello) with this host name.
    fn client_hello(host: &str) -> Vec<u8> {
        let name = host.as_bytes();
        let short = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let names = short(&[&[0][..], &short(name)].concat());
        let server_name = [&[0, 0][..], &short(&names)].concat();
        // The message offers TLS 1.3 and one signature scheme, because the parser rejects a message without
        // them.
        let versions = [&[0, 43][..], &short(&[2, 3, 4])].concat();
        let schemes = [&[0, 13][..], &short(&short(&[4, 3]))].concat();
        let extensions = short(&[server_name, versions, schemes].concat());
        let body = [&[3, 3][..], &[7; 32], &[0], &short(&[19, 1]), &[1, 0], &extensions].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1][..], &length[1..], &body].concat();
        [&[22, 3, 1][..], &short(&message)].concat()
    }

    async fn relay_message(said: &[u8], host: &str) -> (Result<(), ConnectionRefusal>, Vec<u8>) {
        let (mut client, inside) = tokio::io::duplex(1 << 20);
        let (outside, mut server) = tokio::io::duplex(1 << 20);
        client.write_all(said).await.unwrap();
        client.shutdown().await.unwrap();
        let (went, heard) = tokio::join!(relay_bytes(inside, outside, host), async {
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            drop(server);
            heard
        });
        (went, heard)
    }

    #[tokio::test]
    async fn a_tunnel_carries_tls_to_its_own_host_alone() {
        assert_eq!(relay_message(b"", "pypi.org").await, (Ok(()), Vec::new()), "a tunnel that is not used");
        let said = [client_hello("pypi.org"), b"more".to_vec()].concat();
        assert_eq!(relay_message(&said, "pypi.org").await, (Ok(()), said.clone()));
        for (said, host) in [
            (said.as_slice(), "files.pythonhosted.org"),
            (b"GET / HTTP/1.1\r\n\r\n".as_slice(), "pypi.org"),
            (b"SSH-2.0-x\r\n", "pypi.org"),
            (&said[..20], "pypi.org"),
            (&[22; 100_000], "pypi.org"),
        ] {
            assert_eq!(
                relay_message(said, host).await,
                (Err(ConnectionRefusal::OtherHost), Vec::new()),
                "{host}"
            );
        }
    }
}
