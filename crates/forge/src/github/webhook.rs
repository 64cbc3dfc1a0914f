//! Webhook deliveries of GitHub: their headers, and the fields that are read.

use reqwest::header::HeaderMap;
use serde::Deserialize;
use truing_core::id::{PrId, Sha};
use truing_core::port::CommentKind;

use super::address::is_repository_name;
use super::checks::parse_check_external_id;
use super::{STATUS_CONTEXT, account_id};
use crate::webhook::{
    CheckRerun, DeliveryError, DeliveryHeaders, DeliverySignature, RerunTarget, WebhookComment, WebhookEvent,
    WebhookLabel, clean_event_name, invalid_field, is_page_url, missing_field, parse_body, pull_number,
};

/// Header that names the event.
const EVENT_HEADER: &str = "x-github-event";
/// Header with the id of the delivery.
const DELIVERY_ID_HEADER: &str = "x-github-delivery";
/// Header with the signature. An older header with SHA-1 is not read.
const SIGNATURE_HEADER: &str = "x-hub-signature-256";
/// Maximum length of a comment that is kept, in characters. Commands are at the beginning of a comment.
pub(crate) const MAX_COMMENT_CHARS: usize = 4096;
/// Maximum length of a label's name that is kept, in characters. GitHub's names are shorter.
const MAX_LABEL_CHARS: usize = 100;
/// Maximum length of an accepted login, in bytes. GitHub's logins are shorter.
const MAX_LOGIN_BYTES: usize = 100;

/// The fields of a pull request event that are read. Any field may be absent; each action requires some of
/// them. Unknown fields are ignored.
#[derive(Deserialize)]
struct PullEvent {
    action: Option<String>,
    number: Option<u64>,
    pull_request: Option<GitHubPullPayload>,
    repository: Option<GitHubRepositoryPayload>,
    changes: Option<ChangesPayload>,
    label: Option<LabelBody>,
}

#[derive(Deserialize)]
struct LabelBody {
    name: Option<String>,
}

#[derive(Deserialize)]
struct GitHubPullPayload {
    html_url: Option<String>,
    head: Option<GitHubHeadPayload>,
}

/// The head in a delivery. `repo` is not read, because it is null when the fork is gone.
#[derive(Deserialize)]
struct GitHubHeadPayload {
    sha: Option<String>,
}

#[derive(Deserialize)]
struct GitHubRepositoryPayload {
    id: Option<u64>,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct ChangesPayload {
    base: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct CommentEvent {
    action: Option<String>,
    issue: Option<IssueBody>,
    pull_request: Option<NumberBody>,
    comment: Option<GitHubCommentPayload>,
    repository: Option<GitHubRepositoryPayload>,
}

#[derive(Deserialize)]
struct IssueBody {
    number: Option<u64>,
    /// Present only if the issue is a pull request.
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct NumberBody {
    number: Option<u64>,
}

#[derive(Deserialize)]
struct GitHubCommentPayload {
    id: Option<u64>,
    body: Option<String>,
}

#[derive(Deserialize)]
struct CheckEvent {
    action: Option<String>,
    check_run: Option<RunBody>,
    check_suite: Option<SuiteBody>,
    repository: Option<GitHubRepositoryPayload>,
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

/// Reads the headers of a delivery.
pub(crate) fn parse_headers(headers: &HeaderMap) -> DeliveryHeaders<'_> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signature = DeliverySignature::from_header_values(
        headers.get_all(SIGNATURE_HEADER).iter().map(|value| value.as_bytes()),
    );
    DeliveryHeaders { event: text(EVENT_HEADER), id: text(DELIVERY_ID_HEADER), signature, attempt: 1 }
}

/// Parses a delivery whose signature was verified.
///
/// A Gitea server signs deliveries as GitHub does, and sends GitHub's headers in addition to its own. Gitea's
/// deliveries are parsed if they have the same form as GitHub's. Gitea's event for a push has a different
/// name and is ignored.
pub(crate) fn parse(event: &str, forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    match event {
        "ping" => Ok(WebhookEvent::Ping),
        "pull_request" => parse_pull(forge_name, body),
        "issue_comment" => parse_comment(forge_name, body, CommentKind::Conversation),
        "pull_request_review_comment" => parse_comment(forge_name, body, CommentKind::Diff),
        "check_run" | "check_suite" => parse_check(event, forge_name, body),
        other => Ok(WebhookEvent::Ignored { event_name: clean_event_name(other) }),
    }
}

fn parse_pull(forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    let event: PullEvent = parse_body(body)?;
    let action = event.action.ok_or_else(|| missing_field("action"))?;
    if action == "labeled" {
        let number = pull_number(event.number, "number")?;
        let (repository, repo) = parse_repository(event.repository)?;
        let label = event.label.and_then(|label| label.name).ok_or_else(|| missing_field("label.name"))?;
        let name = label.chars().take(MAX_LABEL_CHARS).collect();
        let pr = PrId { forge: forge_name.to_owned(), repository, number };
        return Ok(WebhookEvent::Label(WebhookLabel { pr, repo, name }));
    }
    let wanted = match action.as_str() {
        "opened" | "synchronize" | "reopened" | "ready_for_review" | "converted_to_draft" | "closed" => true,
        // An edit is relevant only if it changed the base.
        "edited" => event.changes.is_some_and(|changes| changes.base.is_some()),
        _ => false,
    };
    if !wanted {
        return Ok(WebhookEvent::Ignored {
            event_name: format!("pull_request {}", clean_event_name(&action)),
        });
    }

    let number = pull_number(event.number, "number")?;
    let (repository, repo) = parse_repository(event.repository)?;
    let pull = event.pull_request.ok_or_else(|| missing_field("pull_request"))?;
    let url = pull.html_url.ok_or_else(|| missing_field("pull_request.html_url"))?;
    if !is_page_url(&url) {
        return Err(invalid_field("pull_request.html_url", "is not a valid http or https URL"));
    }
    let head = parse_head_sha("pull_request.head.sha", pull.head)?;
    Ok(WebhookEvent::Pull {
        pr: PrId { forge: forge_name.to_owned(), repository, number },
        name: format!("{repo}#{number}"),
        repo,
        url,
        head,
    })
}

/// Parses the request to run a check again. Our checks add no buttons, so both actions come from GitHub's
/// *Re-run* buttons and are read as a request for a new run.
fn parse_check(name: &str, forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    let event: CheckEvent = parse_body(body)?;
    let action = event.action.ok_or_else(|| missing_field("action"))?;
    let ignored = |purpose: &str| Ok(WebhookEvent::Ignored { event_name: format!("{name} {purpose}") });
    if !matches!(action.as_str(), "rerequested" | "requested_action") {
        return ignored(&clean_event_name(&action));
    }
    let (repository, repo) = parse_repository(event.repository)?;
    let (app, target) = match (event.check_run, event.check_suite) {
        (Some(run), None) => {
            let named = run.external_id.as_deref().and_then(parse_check_external_id);
            let here = |pr: &PrId| pr.forge == forge_name && pr.repository == repository;
            let Some(pr) = named.filter(here).filter(|_| run.name.as_deref() == Some(STATUS_CONTEXT)) else {
                return ignored("of a check that is not Truing's");
            };
            (run.app, RerunTarget::Pull(pr))
        }
        (None, Some(suite)) => {
            let head =
                parse_head_sha("check_suite.head_sha", Some(GitHubHeadPayload { sha: suite.head_sha }))?;
            (suite.app, RerunTarget::Head(head.ok_or_else(|| missing_field("check_suite.head_sha"))?))
        }
        (Some(_), Some(_)) | (None, None) => return Err(missing_field(name)),
    };
    let app = app.and_then(|app| app.id).ok_or_else(|| missing_field(&format!("{name}.app.id")))?;
    let sender = event.sender.ok_or_else(|| missing_field("sender"))?;
    if sender.kind.as_deref() != Some("User") {
        return ignored("by a bot");
    }
    let account = account_id(sender.id.ok_or_else(|| missing_field("sender.id"))?);
    let login = sender.login.ok_or_else(|| missing_field("sender.login"))?;
    if login.is_empty() || login.len() > MAX_LOGIN_BYTES || !login.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(invalid_field("sender.login", "is not a login"));
    }
    Ok(WebhookEvent::Rerun(CheckRerun {
        repository_id: repository,
        repo,
        app_id: app,
        target,
        account,
        login,
    }))
}

fn parse_comment(forge_name: &str, body: &[u8], kind: CommentKind) -> Result<WebhookEvent, DeliveryError> {
    let event: CommentEvent = parse_body(body)?;
    let action = event.action.ok_or_else(|| missing_field("action"))?;
    let name = match kind {
        CommentKind::Conversation => "issue_comment",
        CommentKind::Diff => "pull_request_review_comment",
    };
    let ignored = |purpose: &str| WebhookEvent::Ignored { event_name: format!("{name} {purpose}") };
    if action != "created" {
        return Ok(ignored(&clean_event_name(&action)));
    }
    let number = match kind {
        CommentKind::Conversation => {
            let issue = event.issue.ok_or_else(|| missing_field("issue"))?;
            if issue.pull_request.is_none() {
                return Ok(ignored("on an issue"));
            }
            pull_number(issue.number, "issue.number")?
        }
        CommentKind::Diff => {
            let pull = event.pull_request.ok_or_else(|| missing_field("pull_request"))?;
            pull_number(pull.number, "pull_request.number")?
        }
    };
    let (repository, repo) = parse_repository(event.repository)?;
    let comment = event.comment.ok_or_else(|| missing_field("comment"))?;
    let id = comment.id.ok_or_else(|| missing_field("comment.id"))?;
    let body = comment.body.unwrap_or_default().chars().take(MAX_COMMENT_CHARS).collect();
    let pr = PrId { forge: forge_name.to_owned(), repository, number };
    Ok(WebhookEvent::Comment(WebhookComment { pr, repo, kind, id, body }))
}

/// Returns the id and the name of the repository.
fn parse_repository(body: Option<GitHubRepositoryPayload>) -> Result<(String, String), DeliveryError> {
    let repository = body.ok_or_else(|| missing_field("repository"))?;
    let id = repository.id.ok_or_else(|| missing_field("repository.id"))?;
    let name = repository.full_name.ok_or_else(|| missing_field("repository.full_name"))?;
    if !is_repository_name(&name) {
        return Err(invalid_field("repository.full_name", "is not `owner/name`"));
    }
    Ok((id.to_string(), name))
}

fn parse_head_sha(field: &str, tip: Option<GitHubHeadPayload>) -> Result<Option<Sha>, DeliveryError> {
    let Some(sha) = tip.and_then(|tip| tip.sha) else {
        return Ok(None);
    };
    Sha::parse(&sha).map(Some).map_err(|_| invalid_field(field, "is not a full commit id"))
}
