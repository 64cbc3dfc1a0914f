//! Webhook deliveries: checks the signature and parses the event.
//!
//! Each kind of forge has its own parser (`github/webhook.rs`, `bitbucket/*/webhook.rs`); all parsers are
//! pure. A delivery only reports that a pull request may need work, so only a few of its fields are read. All
//! fields are untrusted data. A name is accepted only if its format is valid. Unknown events, actions and
//! fields are ignored. A body cannot cause more than one read at the forge.
//!
//! | Body | Response |
//! |---|---|
//! | not UTF-8, not JSON, a byte order mark, something after the JSON | [`DeliveryError::NotJson`] |
//! | a field that is read comes twice, or has another type, or a number beyond 64 bits | [`DeliveryError`] |
//! | anything at all in a field that is not read, however deep or large | ignored |
//! | an event or action that is not used | [`WebhookEvent::Ignored`], the body is not read |

mod form;
mod signature;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use truing_core::id::{AccountId, PrId, Sha};
use truing_core::port::CommentKind;
use url::Url;

pub use self::form::extract_form_payload;
pub use self::signature::{DeliverySignature, HookSecret, SignatureCheck, SignatureError};

/// Maximum length of an accepted page address, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// Maximum length of an event or action name in a log line, in characters.
const MAX_EVENT_NAME_CHARS: usize = 60;
/// Maximum number of characters of a parser's error that Truing's own error quotes.
const MAX_PARSER_ERROR_CHARS: usize = 200;

/// The fields of a delivery that are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WebhookEvent {
    /// A change of a pull request that may require a review.
    Pull {
        pr: PrId,
        /// `owner/name` at the time of the event.
        repo: String,
        /// Name in the form `owner/name#7`, for people.
        name: String,
        /// Address of the page of the pull request.
        url: String,
        /// Head at the time of the event, if the delivery contains the head. The head may be stale, so it can
        /// only suppress work, not start work.
        head: Option<Sha>,
    },
    /// A new comment on a pull request.
    Comment(WebhookComment),
    /// A request to run a check again.
    Rerun(CheckRerun),
    /// A label that was set on a pull request.
    Label(WebhookLabel),
    /// The webhook was set up.
    Ping,
    /// An event or action that Truing does not use.
    Ignored {
        /// Name of the event, and of the action if there is one; only visible ASCII characters.
        event_name: String,
    },
}

/// A new comment. The author and the author's permissions are not read from the delivery; they are requested
/// from the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookComment {
    /// Pull request that has the comment.
    pub pr: PrId,
    /// `owner/name` at the time of the event.
    pub repo: String,
    /// Kind of the comment: in the conversation or on the diff.
    pub kind: CommentKind,
    /// Id of the comment at the forge.
    pub id: u64,
    /// Text of the comment, truncated to a maximum length.
    pub body: String,
}

/// A label that was set. The account that set the label and the account's permissions are not read from the
/// delivery; they are requested from the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookLabel {
    /// Pull request that has the label.
    pub pr: PrId,
    /// `owner/name` of the repository at the time of the event.
    pub repo: String,
    /// Name of the label.
    pub name: String,
}

/// A check of ours that an account wants to run again. The permissions of the account are requested from the
/// forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckRerun {
    /// Id of the repository at the forge.
    pub repository_id: String,
    /// `owner/name` at the time of the event.
    pub repo: String,
    /// Id of the App that made the check.
    pub app_id: u64,
    /// Target of the request: one pull request or a commit.
    pub target: RerunTarget,
    /// Account that made the request.
    pub account: AccountId,
    /// Login name of the account at the time of the event.
    pub login: String,
}

/// The checks that are to run again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RerunTarget {
    /// The check of one pull request.
    Pull(PrId),
    /// All checks of a commit.
    Head(Sha),
}

/// The error for a delivery with a verified signature that cannot be parsed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The body is not JSON, or nested too deeply.
    #[error("the delivery is not JSON: {0}")]
    NotJson(String),
    /// A field is missing, or has the wrong type or format.
    #[error("the delivery's field `{field}` {problem}")]
    Field {
        /// Path of the field.
        field: String,
        /// Description of the problem.
        problem: String,
    },
}

/// The headers that one kind of forge sends with a delivery. No header is verified.
#[derive(Clone)]
pub struct DeliveryHeaders<'a> {
    /// Name of the event; empty if the header is missing.
    pub event: &'a str,
    /// Id of the delivery; empty if the header is missing.
    pub id: &'a str,
    /// Signature of the body, as the header contains it.
    pub signature: Result<DeliverySignature, SignatureError>,
    /// Number of the try, from 1; always 1 if the forge does not count tries. A later try has the same body
    /// as the first.
    pub attempt: u32,
}

/// Parses the fields of a delivery's body. If parsing fails, parses again to find the path of the invalid
/// field.
pub(crate) fn parse_body<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DeliveryError> {
    // The whole body must be valid UTF-8, because the parser does not check the strings that it skips.
    let body = std::str::from_utf8(body)
        .map_err(|error| DeliveryError::NotJson(format!("byte {} is not UTF-8", error.valid_up_to())))?;
    if let Ok(event) = serde_json::from_str(body) {
        return Ok(event);
    }
    let mut json = serde_json::Deserializer::from_str(body);
    let problem = match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) if error.inner().is_data() => {
            let problem = format!("is wrong: {}", clean_error(&error.inner().to_string()));
            return Err(invalid_field(&clean_error(&error.path().to_string()), &problem));
        }
        Err(error) => error.into_inner().to_string(),
        Ok(_) => "the body continues after the end of the JSON".to_owned(),
    };
    Err(DeliveryError::NotJson(clean_error(&problem)))
}

pub(crate) fn is_page_url(url: &str) -> bool {
    let scheme = Url::parse(url).map(|url| url.scheme().to_owned());
    url.len() <= MAX_URL_BYTES
        && scheme.is_ok_and(|scheme| scheme == "https" || scheme == "http")
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The greatest number of a pull request that a forge gives: Bitbucket's numbers are 32-bit integers, and
/// GitHub's issues and pull requests share numbers of the same size.
const MAX_PULL_NUMBER: u64 = (1 << 31) - 1;

/// Checks the number of a pull request. No forge has a pull request 0.
pub(crate) fn pull_number(number: Option<u64>, field: &str) -> Result<u64, DeliveryError> {
    let number = number.ok_or_else(|| missing_field(field))?;
    let is_valid = (1..=MAX_PULL_NUMBER).contains(&number);
    is_valid.then_some(number).ok_or_else(|| invalid_field(field, "is not a number of a pull request"))
}

pub(crate) fn missing_field(field: &str) -> DeliveryError {
    invalid_field(field, "is missing")
}

pub(crate) fn invalid_field(field: &str, problem: &str) -> DeliveryError {
    DeliveryError::Field { field: field.to_owned(), problem: problem.to_owned() }
}

/// Cleans a name from a delivery for a log entry: keeps only visible ASCII characters, and truncates the
/// name.
pub(crate) fn clean_event_name(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_EVENT_NAME_CHARS).collect()
}

/// Cleans a parser's message, which may quote the body: removes control characters, and truncates the
/// message.
fn clean_error(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_PARSER_ERROR_CHARS).collect()
}
