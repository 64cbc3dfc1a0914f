//! The HTTP transport that preceded streamable HTTP: one request whose response is an endless stream of
//! server-sent events. The first event of the response gives the address for messages.

use futures_util::stream::{BoxStream, StreamExt as _};
use reqwest::{Method, Url};
use rmcp::RoleClient;
use rmcp::model::ServerJsonRpcMessage;
use rmcp::service::TxJsonRpcMessage;
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_client::SseError;
use sse_stream::Sse;

use super::http_transport::{EVENT_STREAM_MEDIA_TYPE, WebClient, WebError, has_media_type};

/// The event that gives the address for messages.
const ENDPOINT: &str = "endpoint";
/// Name of an event with a message; such an event may also have no name.
const MESSAGE: &str = "message";

/// The event stream of a server, and the address for messages to it.
pub(super) struct SseTransport {
    web: WebClient,
    message_url: Url,
    events: BoxStream<'static, Result<Sse, SseError>>,
}

impl SseTransport {
    /// Opens the event stream and waits for the address of messages.
    pub(super) async fn open(web: WebClient, url: &str) -> Result<Self, String> {
        let response = web.build_request(Method::GET, url, EVENT_STREAM_MEDIA_TYPE).send().await;
        let response = response.map_err(|error| WebError::from(error).to_string())?;
        if !response.status().is_success() {
            return Err(WebError::Status(response.status()).to_string());
        }
        if !has_media_type(response.headers(), EVENT_STREAM_MEDIA_TYPE) {
            return Err("its response is not a stream of events".to_owned());
        }
        let mut events = web.event_stream(response);
        while let Some(Ok(event)) = events.next().await {
            if event.event.as_deref() == Some(ENDPOINT) {
                let to = message_url(url, event.data.as_deref().unwrap_or_default())?;
                return Ok(Self { web, message_url: to, events });
            }
        }
        Err("its event stream ended before the server sent the address for messages".to_owned())
    }
}

/// Resolves the address for messages. An address on another server is an error, because only the configured
/// server may receive the token.
fn message_url(url: &str, address_text: &str) -> Result<Url, String> {
    let base = Url::parse(url).map_err(|error| format!("its address is not a URL: {error}"))?;
    let to =
        base.join(address_text.trim()).map_err(|_| "its address for messages is not a URL".to_owned())?;
    if to.origin() == base.origin() {
        Ok(to)
    } else {
        Err("its address for messages is on another server".to_owned())
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = WebError;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let request = self.web.build_request(Method::POST, self.message_url.as_str(), "*/*").json(&item);
        async move {
            let status = request.send().await?.status();
            if status.is_success() { Ok(()) } else { Err(WebError::Status(status)) }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let event = self.events.next().await?.ok()?;
            let is_message = event.event.as_deref().is_none_or(|kind| kind == MESSAGE);
            // Events that are not messages are skipped, as on a pipe.
            if let (true, Some(Ok(message))) =
                (is_message, event.data.map(|data| serde_json::from_str(&data)))
            {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}
