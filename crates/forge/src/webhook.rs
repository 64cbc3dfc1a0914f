//! Webhooks of GitHub: is this delivery signed by someone who has the secret, and what does it say?
//!
//! Both are pure. A delivery only marks a slot (design.md section 2), so little of it is read, and all of that is
//! data from people: names are checked for their form, unknown events, actions and fields are let pass, and
//! nothing in a body can do more than cause one look at the forge.
//!
//! | Body | Answer |
//! |---|---|
//! | not UTF-8, not JSON, a byte order mark, something behind the JSON | [`BadHook::NotJson`] |
//! | a field that is read comes twice, or has another type, or a number beyond 64 bits | [`BadHook`] |
//! | anything at all in a field that is not read, however deep or large | let pass |
//! | an event or action that says nothing to us | [`Hook::Ignored`], the body is not read |

mod form;
mod signature;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use truing_core::id::{PrId, Sha};
use truing_core::port::CommentKind;
use url::Url;

pub use self::form::json_of_form;
pub use self::signature::{Check, HEADER as SIGNATURE_HEADER, HookSecret, Signature, Unsigned};
use crate::github::{STATUS_CONTEXT, is_repository_name, pull_of_check};

/// The longest page address that is taken over, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// How much of a foreign word (event, action) is repeated, in characters.
const MAX_WORD_CHARS: usize = 60;
/// How much of a parser's complaint is repeated, in characters.
const MAX_REASON_CHARS: usize = 200;
/// How much of a comment is taken over, in characters: commands are its beginning.
const MAX_COMMENT_CHARS: usize = 4096;
/// How much of a label's name is taken over, in characters; GitHub's are shorter.
const MAX_LABEL_CHARS: usize = 100;
/// The longest login that is taken over, in bytes; GitHub's are shorter.
const MAX_LOGIN_BYTES: usize = 100;

/// What a delivery says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hook {
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
    Comment(Comment),
    /// Somebody asked for a check again.
    Rerun(Rerun),
    /// Somebody set a label on a pull request.
    Label(Label),
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
pub struct Comment {
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
pub struct Label {
    /// On which pull request.
    pub pr: PrId,
    /// `owner/name` of the repository at the time.
    pub repo: String,
    /// What it is called.
    pub name: String,
}

/// A check of ours that somebody wants to run again. What they may do is asked of the forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rerun {
    /// The repository's id at the forge.
    pub repository: String,
    /// `owner/name` at the time.
    pub repo: String,
    /// The id of the App that made the check.
    pub app: u64,
    /// Of what.
    pub of: Rechecked,
    /// The id at the forge of whoever asks.
    pub account: u64,
    /// What they are called at the time.
    pub login: String,
}

/// What is to be checked again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rechecked {
    /// One check, which names its pull request.
    Pull(PrId),
    /// All checks of a commit.
    Head(Sha),
}

/// Why a signed delivery cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadHook {
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

/// The fields that are read. All may be absent: which are needed depends on the action. Unknown fields pass.
#[derive(Deserialize)]
struct PullEvent {
    action: Option<String>,
    number: Option<u64>,
    pull_request: Option<PullBody>,
    repository: Option<RepositoryBody>,
    changes: Option<Changes>,
    label: Option<LabelBody>,
}

#[derive(Deserialize)]
struct LabelBody {
    name: Option<String>,
}

#[derive(Deserialize)]
struct PullBody {
    html_url: Option<String>,
    head: Option<Tip>,
}

/// `repo` is not read: it is null when the fork is gone.
#[derive(Deserialize)]
struct Tip {
    sha: Option<String>,
}

#[derive(Deserialize)]
struct RepositoryBody {
    id: Option<u64>,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct Changes {
    base: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct CommentEvent {
    action: Option<String>,
    issue: Option<IssueBody>,
    pull_request: Option<NumberBody>,
    comment: Option<CommentBody>,
    repository: Option<RepositoryBody>,
}

#[derive(Deserialize)]
struct IssueBody {
    number: Option<u64>,
    /// There only if the issue is a pull request.
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct NumberBody {
    number: Option<u64>,
}

#[derive(Deserialize)]
struct CommentBody {
    id: Option<u64>,
    body: Option<String>,
}

#[derive(Deserialize)]
struct CheckEvent {
    action: Option<String>,
    check_run: Option<RunBody>,
    check_suite: Option<SuiteBody>,
    repository: Option<RepositoryBody>,
    sender: Option<SenderBody>,
}

#[derive(Deserialize)]
struct RunBody {
    name: Option<String>,
    external_id: Option<String>,
    app: Option<AppBody>,
}

#[derive(Deserialize)]
struct SuiteBody {
    head_sha: Option<String>,
    app: Option<AppBody>,
}

#[derive(Deserialize)]
struct AppBody {
    id: Option<u64>,
}

#[derive(Deserialize)]
struct SenderBody {
    id: Option<u64>,
    login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Reads a delivery whose signature was verified. `event` is the value of `X-GitHub-Event`, `forge_name` the
/// `NAME` of `[forge.NAME]` that the route belongs to.
///
/// A Gitea server signs like GitHub and sends GitHub's headers too; its deliveries are read as far as they look
/// the same (its word for a push differs and is ignored).
///
/// # Errors
/// [`BadHook`] if the body is not JSON, or a field that is needed is missing or wrong.
pub fn parse_github(event: &str, forge_name: &str, body: &[u8]) -> Result<Hook, BadHook> {
    match event {
        "ping" => Ok(Hook::Ping),
        "pull_request" => parse_pull(forge_name, body),
        "issue_comment" => parse_comment(forge_name, body, CommentKind::Conversation),
        "pull_request_review_comment" => parse_comment(forge_name, body, CommentKind::Diff),
        "check_run" | "check_suite" => parse_check(event, forge_name, body),
        other => Ok(Hook::Ignored { what: word(other) }),
    }
}

fn parse_pull(forge_name: &str, body: &[u8]) -> Result<Hook, BadHook> {
    let event: PullEvent = read(body)?;
    let action = event.action.ok_or_else(|| missing("action"))?;
    if action == "labeled" {
        let number = event.number.ok_or_else(|| missing("number"))?;
        let (repository, repo) = repository(event.repository)?;
        let label = event.label.and_then(|label| label.name).ok_or_else(|| missing("label.name"))?;
        let name = label.chars().take(MAX_LABEL_CHARS).collect();
        let pr = PrId { forge: forge_name.to_owned(), repository, number };
        return Ok(Hook::Label(Label { pr, repo, name }));
    }
    let wanted = match action.as_str() {
        "opened" | "synchronize" | "reopened" | "ready_for_review" | "converted_to_draft" | "closed" => true,
        // Of all that can be edited, only the base says something to us.
        "edited" => event.changes.is_some_and(|changes| changes.base.is_some()),
        _ => false,
    };
    if !wanted {
        return Ok(Hook::Ignored { what: format!("pull_request {}", word(&action)) });
    }

    let number = event.number.ok_or_else(|| missing("number"))?;
    let (repository, repo) = repository(event.repository)?;
    let pull = event.pull_request.ok_or_else(|| missing("pull_request"))?;
    let url = pull.html_url.ok_or_else(|| missing("pull_request.html_url"))?;
    if !is_page(&url) {
        return Err(wrong("pull_request.html_url", "is not the address of a page"));
    }
    let head = tip("pull_request.head.sha", pull.head)?;
    Ok(Hook::Pull {
        pr: PrId { forge: forge_name.to_owned(), repository, number },
        name: format!("{repo}#{number}"),
        repo,
        url,
        head,
    })
}

/// Any button of a check asks for the same: ours has no other than those of the forge.
fn parse_check(name: &str, forge_name: &str, body: &[u8]) -> Result<Hook, BadHook> {
    let event: CheckEvent = read(body)?;
    let action = event.action.ok_or_else(|| missing("action"))?;
    let ignored = |what: &str| Ok(Hook::Ignored { what: format!("{name} {what}") });
    if !matches!(action.as_str(), "rerequested" | "requested_action") {
        return ignored(&word(&action));
    }
    let (repository, repo) = repository(event.repository)?;
    let (app, of) = match (event.check_run, event.check_suite) {
        (Some(run), None) => {
            let named = run.external_id.as_deref().and_then(pull_of_check);
            let here = |pr: &PrId| pr.forge == forge_name && pr.repository == repository;
            let Some(pr) = named.filter(here).filter(|_| run.name.as_deref() == Some(STATUS_CONTEXT)) else {
                return ignored("of a check that is not ours");
            };
            (run.app, Rechecked::Pull(pr))
        }
        (None, Some(suite)) => {
            let head = tip("check_suite.head_sha", Some(Tip { sha: suite.head_sha }))?;
            (suite.app, Rechecked::Head(head.ok_or_else(|| missing("check_suite.head_sha"))?))
        }
        (Some(_), Some(_)) | (None, None) => return Err(missing(name)),
    };
    let app = app.and_then(|app| app.id).ok_or_else(|| missing(&format!("{name}.app.id")))?;
    let sender = event.sender.ok_or_else(|| missing("sender"))?;
    if sender.kind.as_deref() != Some("User") {
        return ignored("by a bot");
    }
    let account = sender.id.ok_or_else(|| missing("sender.id"))?;
    let login = sender.login.ok_or_else(|| missing("sender.login"))?;
    if login.is_empty() || login.len() > MAX_LOGIN_BYTES || !login.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(wrong("sender.login", "is not a login"));
    }
    Ok(Hook::Rerun(Rerun { repository, repo, app, of, account, login }))
}

fn parse_comment(forge_name: &str, body: &[u8], kind: CommentKind) -> Result<Hook, BadHook> {
    let event: CommentEvent = read(body)?;
    let action = event.action.ok_or_else(|| missing("action"))?;
    let name = match kind {
        CommentKind::Conversation => "issue_comment",
        CommentKind::Diff => "pull_request_review_comment",
    };
    let ignored = |what: &str| Hook::Ignored { what: format!("{name} {what}") };
    if action != "created" {
        return Ok(ignored(&word(&action)));
    }
    let number = match kind {
        CommentKind::Conversation => {
            let issue = event.issue.ok_or_else(|| missing("issue"))?;
            if issue.pull_request.is_none() {
                return Ok(ignored("on an issue"));
            }
            issue.number.ok_or_else(|| missing("issue.number"))?
        }
        CommentKind::Diff => {
            let pull = event.pull_request.ok_or_else(|| missing("pull_request"))?;
            pull.number.ok_or_else(|| missing("pull_request.number"))?
        }
    };
    let (repository, repo) = repository(event.repository)?;
    let comment = event.comment.ok_or_else(|| missing("comment"))?;
    let id = comment.id.ok_or_else(|| missing("comment.id"))?;
    let body = comment.body.unwrap_or_default().chars().take(MAX_COMMENT_CHARS).collect();
    let pr = PrId { forge: forge_name.to_owned(), repository, number };
    Ok(Hook::Comment(Comment { pr, repo, kind, id, body }))
}

/// The repository's id and name.
fn repository(body: Option<RepositoryBody>) -> Result<(String, String), BadHook> {
    let repository = body.ok_or_else(|| missing("repository"))?;
    let id = repository.id.ok_or_else(|| missing("repository.id"))?;
    let name = repository.full_name.ok_or_else(|| missing("repository.full_name"))?;
    if !is_repository_name(&name) {
        return Err(wrong("repository.full_name", "is not `owner/name`"));
    }
    Ok((id.to_string(), name))
}

/// Reads the fields, and only if that fails a second time with a record of where it fails.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadHook> {
    // At once for all of it: strings that are not read would be let pass unseen.
    let body = std::str::from_utf8(body)
        .map_err(|error| BadHook::NotJson(format!("byte {} is not UTF-8", error.valid_up_to())))?;
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
    Err(BadHook::NotJson(clean(&problem)))
}

fn tip(field: &str, tip: Option<Tip>) -> Result<Option<Sha>, BadHook> {
    let Some(sha) = tip.and_then(|tip| tip.sha) else {
        return Ok(None);
    };
    Sha::parse(&sha).map(Some).map_err(|_| wrong(field, "is not a full commit id"))
}

fn is_page(url: &str) -> bool {
    let scheme = Url::parse(url).map(|url| url.scheme().to_owned());
    url.len() <= MAX_URL_BYTES
        && scheme.is_ok_and(|scheme| scheme == "https" || scheme == "http")
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn missing(field: &str) -> BadHook {
    wrong(field, "is missing")
}

fn wrong(field: &str, problem: &str) -> BadHook {
    BadHook::Field { field: field.to_owned(), problem: problem.to_owned() }
}

/// A foreign word for a log line: visible ASCII, cut.
fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_WORD_CHARS).collect()
}

/// A parser's complaint, which may quote the body: no control characters, cut.
fn clean(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_REASON_CHARS).collect()
}
