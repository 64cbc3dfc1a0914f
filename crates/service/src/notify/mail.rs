//! Sends notices by SMTP. TLS is required unless the mail server is on this machine.

use std::time::Duration;

use lettre::message::{Mailbox, Mailboxes};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use truing_config::secret::SecretText;
use truing_core::line::clean_line;
use truing_core::loopback::is_loopback;
use truing_core::port::PendingNotice;
use truing_loops::text::format_instant;
use url::Url;

use super::SinkError;

/// The longest subject, in characters.
const MAX_SUBJECT_CHARS: usize = 100;
/// Timeout of one step of an SMTP dialogue.
const SMTP_STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// A mail server with a sender and recipients.
#[derive(Debug)]
pub struct MailSink {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Mailboxes,
}

impl MailSink {
    /// Parses a mail server's URL: `smtps://USER@HOST:PORT?to=A,B&from=C`, or `smtp://` with STARTTLS.
    /// STARTTLS is optional only for a loopback address.
    ///
    /// # Errors
    /// A message that names the invalid part of the URL, without the URL's text.
    pub fn new(url: &SecretText, password: Option<&SecretText>) -> Result<Self, String> {
        let mut url = Url::parse(url.expose()).map_err(|error| format!("must be a URL: {error}"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("must name a host")?.to_owned();
        let (mut to, mut from) = (None, None);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "to" => to = Some(value.into_owned()),
                "from" => from = Some(value.into_owned()),
                _ => return Err("accepts only the parameters `to` and `from`".into()),
            }
        }
        let to = to.ok_or("must name recipients: `?to=oncall@example.org`")?;
        let to = to.parse::<Mailboxes>().map_err(|error| format!("has an invalid `to`: {error}"))?;
        if to.iter().next().is_none() {
            return Err("must name recipients: `?to=oncall@example.org`".into());
        }
        let user = address_from_user(url.username()).unwrap_or_else(|| format!("truing@{host}"));
        let from = from.unwrap_or(user).parse::<Mailbox>();
        let from = from.map_err(|error| format!("needs a valid `from`: {error}"))?;
        if let Some(password) = password
            && url.set_password(Some(password.expose())).is_err()
        {
            return Err("cannot have a password".into());
        }
        if url.username().is_empty() != url.password().is_none() {
            return Err("must have both a user and `notify.smtp_password`, or neither".into());
        }
        url.set_query(match (url.scheme(), url.host_str().is_some_and(is_loopback)) {
            ("smtp", false) => Some("tls=required"),
            _ => None,
        });
        url.set_fragment(None);
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str())
            .map_err(|error| format!("cannot be used: {error}"))?;
        Ok(Self { transport: transport.timeout(Some(SMTP_STEP_TIMEOUT)).build(), from, to })
    }

    pub(super) async fn send(&self, notice: &PendingNotice) -> Result<(), SinkError> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(clean_line(&format!("Truing: {}", notice.text), MAX_SUBJECT_CHARS));
        for to in self.to.iter() {
            message = message.to(to.clone());
        }
        let body = format!("{}\n\n{}\n", notice.text, format_instant(notice.created));
        let message = message
            .body(body)
            .map_err(|error| SinkError { message: error.to_string(), is_permanent: true })?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(SinkError { is_permanent: error.is_permanent(), message: error.to_string() }),
        }
    }
}

/// Decodes the user name of a URL. Returns `None` if the user name is not a mail address.
fn address_from_user(user: &str) -> Option<String> {
    let plain = user.replace("%40", "@");
    plain.contains('@').then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create_sink(url: &str, password: Option<&str>) -> Result<MailSink, String> {
        MailSink::new(&SecretText::new(url), password.map(SecretText::new).as_ref())
    }

    #[tokio::test]
    async fn a_url_names_server_sender_and_recipients() {
        let mail =
            create_sink("smtps://me%40example.org@mail.example.org?to=a@b.test,c@d.test", Some("p@/?#w"))
                .unwrap();
        assert_eq!(
            (mail.from.to_string().as_str(), mail.to.to_string().as_str()),
            ("me@example.org", "a@b.test, c@d.test")
        );
        let mail = create_sink("smtp://127.0.0.1:2525?to=a@b.test", None).unwrap();
        assert_eq!(mail.from.to_string(), "truing@127.0.0.1");
        let mail = create_sink("smtp://me@h.test:587?to=a@b.test&from=Truing <t@x.test>", Some("p")).unwrap();
        assert_eq!(mail.from.to_string(), "Truing <t@x.test>");
    }

    #[tokio::test]
    async fn what_is_missing_is_told_and_nothing_is_repeated() {
        for (url, password, why) in [
            ("smtps://h.test", None, "recipients"),
            ("smtps://h.test?to=", None, "recipients"),
            ("smtps://h.test?to=hush", None, "invalid `to`"),
            ("smtps://me@h.test?to=a@b.test", None, "notify.smtp_password"),
            ("smtps://h.test?to=a@b.test", Some("hush"), "notify.smtp_password"),
            ("smtps://h.test?to=a@b.test&cc=hush", None, "only"),
            ("https://h.test?to=a@b.test", None, "cannot be used"),
            ("hush", None, "must be a URL"),
        ] {
            let said = create_sink(url, password).unwrap_err();
            assert!(said.contains(why) && !said.contains("hush"), "{url}: {said}");
        }
    }
}
