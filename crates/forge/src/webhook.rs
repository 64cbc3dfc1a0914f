//! Webhooks: is this delivery signed by someone who has the secret, and what does it say?
//!
//! Each kind of forge has its own parser (`github/webhook.rs`, `bitbucket/*/webhook.rs`); all are pure. A
//! delivery only marks a slot (design.md section 2), so little of it is read, and all of that is data from
//! people: names are checked for their form, unknown events, actions and fields are let pass, and nothing in
//! a body can do more than cause one look at the forge.
//!
//! | Body | Answer |
//! |---|---|
//! | not UTF-8, not JSON, a byte order mark, something behind the JSON | [`DeliveryError::NotJson`] |
//! | a field that is read comes twice, or has another type, or a number beyond 64 bits | [`DeliveryError`] |
//! | anything at all in a field that is not read, however deep or large | let pass |
//! | an event or action that says nothing to us | [`WebhookEvent::Ignored`], the body is not read |

mod form;
mod signature;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use truing_core::id::{AccountId, PrId, Sha};
use truing_core::port::CommentKind;
use url::Url;

pub use self::form::json_of_form;
pub use self::signature::{DeliverySignature, HookSecret, SignatureCheck, SignatureError};

/// The longest page address that is taken over, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// How much of a foreign word (event, action) is repeated, in characters.
const MAX_WORD_CHARS: usize = 60;
/// How much of a parser's complaint is repeated, in characters.
const MAX_REASON_CHARS: usize = 200;

/// The content of a delivery, as far as it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WebhookEvent {
    /// Something about a pull request that may want a review.
    Pull {
        /// Which.
        pr: PrId,
        /// `owner/name` at the time.
        repo: String,
        /// `owner/name#7`, for people.
        name: String,
        /// Its page.
        url: String,
        /// The head when it happened, if told. Late by nature: good for suppressing work, not for doing it.
        head: Option<Sha>,
    },
    /// Somebody wrote a comment on a pull request.
    Comment(WebhookComment),
    /// Somebody asked for a check again.
    Rerun(CheckRerun),
    /// Somebody set a label on a pull request.
    Label(WebhookLabel),
    /// The hook was set up.
    Ping,
    /// Nothing that concerns us.
    Ignored {
        /// The event and action, cleaned.
        what: String,
    },
}

/// A new comment. Who wrote it, and what they may do, is asked of the forge, not read here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookComment {
    /// On which pull request.
    pub pr: PrId,
    /// `owner/name` at the time.
    pub repo: String,
    /// In the conversation or on the diff.
    pub kind: CommentKind,
    /// The comment's id at the forge.
    pub id: u64,
    /// Its text, cut.
    pub body: String,
}

/// A label that was set. Who did, and what they may do, is asked of the forge, not read here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookLabel {
    /// On which pull request.
    pub pr: PrId,
    /// `owner/name` of the repository at the time.
    pub repo: String,
    /// What it is called.
    pub name: String,
}

/// A check of ours that somebody wants to run again. What they may do is asked of the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckRerun {
    /// The repository's id at the forge.
    pub repository: String,
    /// `owner/name` at the time.
    pub repo: String,
    /// The id of the App that made the check.
    pub app: u64,
    /// Of what.
    pub of: RerunTarget,
    /// The account of whoever asks.
    pub account: AccountId,
    /// What they are called at the time.
    pub login: String,
}

/// What is to be checked again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RerunTarget {
    /// One check, which names its pull request.
    Pull(PrId),
    /// All checks of a commit.
    Head(Sha),
}

/// Why a signed delivery cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Not JSON, or nested beyond reason.
    #[error("the delivery is not JSON: {0}")]
    NotJson(String),
    /// A field is missing or has another type or form.
    #[error("the delivery's field `{field}` {problem}")]
    Field {
        /// Its path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The headers of a delivery, as its kind of forge writes them. None of it is verified.
#[derive(Clone)]
pub struct DeliveryHeaders<'a> {
    /// The event; empty if it does not say.
    pub event: &'a str,
    /// The id of the delivery; empty if it does not say.
    pub id: &'a str,
    /// The signature over the body.
    pub signature: Result<DeliverySignature, SignatureError>,
    /// The number of the try, from 1; 1 where the forge does not count. A later try has the body of the
    /// first.
    pub attempt: u32,
}

/// Reads the fields, and only if that fails a second time with a record of where it fails.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DeliveryError> {
    // At once for all of it: strings that are not read would be let pass unseen.
    let body = std::str::from_utf8(body)
        .map_err(|error| DeliveryError::NotJson(format!("byte {} is not UTF-8", error.valid_up_to())))?;
    if let Ok(event) = serde_json::from_str(body) {
        return Ok(event);
    }
    let mut json = serde_json::Deserializer::from_str(body);
    let problem = match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) if error.inner().is_data() => {
            let problem = format!("is wrong: {}", clean(&error.inner().to_string()));
            return Err(wrong(&clean(&error.path().to_string()), &problem));
        }
        Err(error) => error.into_inner().to_string(),
        Ok(_) => "something follows the JSON".to_owned(),
    };
    Err(DeliveryError::NotJson(clean(&problem)))
}

pub(crate) fn is_page(url: &str) -> bool {
    let scheme = Url::parse(url).map(|url| url.scheme().to_owned());
    url.len() <= MAX_URL_BYTES
        && scheme.is_ok_and(|scheme| scheme == "https" || scheme == "http")
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(crate) fn missing(field: &str) -> DeliveryError {
    wrong(field, "is missing")
}

pub(crate) fn wrong(field: &str, problem: &str) -> DeliveryError {
    DeliveryError::Field { field: field.to_owned(), problem: problem.to_owned() }
}

/// A foreign word for a log line: visible ASCII, cut.
pub(crate) fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_WORD_CHARS).collect()
}

/// A parser's complaint, which may quote the body: no control characters, cut.
fn clean(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_REASON_CHARS).collect()
}
