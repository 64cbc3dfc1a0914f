//! Sends notices to a webhook that accepts `{"text": …}`, such as Slack's.

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use truing_config::secret::SecretText;
use truing_core::port::PendingNotice;
use truing_loops::text::format_instant;

use super::SinkError;

/// A webhook. Anyone who knows the URL can post messages, so the URL is never shown.
#[derive(Debug)]
pub struct WebhookSink {
    client: Client,
    url: SecretText,
}

impl WebhookSink {
    /// Creates a webhook with this URL.
    ///
    /// # Errors
    /// A message about the problem, without the URL's text.
    pub fn new(url: &SecretText) -> Result<Self, String> {
        let parsed: Url = url.expose().parse().map_err(|error| format!("must be a URL: {error}"))?;
        let loopback = parsed.host_str().is_some_and(truing_core::loopback::is_loopback);
        match parsed.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err("must be an https URL; http is allowed only for loopback addresses".into()),
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .user_agent(concat!("truing/", env!("CARGO_PKG_VERSION")));
        let client = if loopback { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| format!("cannot be used: {}", error.without_url()))?;
        Ok(Self { client, url: url.clone() })
    }

    pub(super) async fn send(&self, notice: &PendingNotice) -> Result<(), SinkError> {
        let text = format!("Truing: {} ({})", escape_markup(&notice.text), format_instant(notice.created));
        let post = self.client.post(self.url.expose()).json(&serde_json::json!({ "text": text }));
        let answer = post
            .send()
            .await
            .map_err(|error| SinkError { message: error.without_url().to_string(), is_permanent: false })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        let refused = !passing && !status.is_server_error();
        Err(SinkError { message: format!("it answered {status}"), is_permanent: refused })
    }
}

/// Escapes `&`, `<` and `>`, which are markup in such messages. Unescaped, the name of a pull request could
/// notify a whole channel.
fn escape_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_leaves_the_machine_and_a_refusal_does_not_repeat_the_url() {
        for right in ["https://hooks.example.org/x", "http://127.0.0.1:1/x", "http://[::1]:1/x"] {
            WebhookSink::new(&SecretText::new(right)).unwrap();
        }
        for wrong in ["http://example.org/hush", "ftp://example.org/hush", "hush"] {
            let said = WebhookSink::new(&SecretText::new(wrong)).unwrap_err();
            assert!(!said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn a_text_cannot_call_a_channel() {
        assert_eq!(escape_markup("a <!channel> & b"), "a &lt;!channel&gt; &amp; b");
    }
}
