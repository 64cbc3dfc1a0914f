//! Parses webhook deliveries of a Data Center. Repositories are identified by their number, which stays the
//! same through renames. <https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html>

use serde::Deserialize;
use serde::de::IgnoredAny;
use truing_core::id::{PrId, Sha};
use truing_core::port::CommentKind;

use super::super::address::is_repository_name;
use super::super::bounds::MAX_COMMENT_CHARS;
use crate::webhook::{
    DeliveryError, WebhookComment, WebhookEvent, clean_event_name, invalid_field, is_page_url, missing_field,
    parse_body, pull_number,
};

/// The fields of a delivery that are read. Any field may be missing; the event determines which fields are
/// required. Unknown fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenterEventPayload {
    pull_request: Option<DataCenterPullPayload>,
    comment: Option<DataCenterCommentPayload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenterPullPayload {
    id: Option<u64>,
    from_ref: Option<DataCenterRefPayload>,
    to_ref: Option<DataCenterTargetPayload>,
    links: Option<DataCenterLinksPayload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenterRefPayload {
    latest_commit: Option<String>,
}

#[derive(Deserialize)]
struct DataCenterTargetPayload {
    repository: Option<DataCenterRepositoryPayload>,
}

#[derive(Deserialize)]
struct DataCenterRepositoryPayload {
    id: Option<u64>,
    slug: Option<String>,
    project: Option<DataCenterProjectPayload>,
}

#[derive(Deserialize)]
struct DataCenterProjectPayload {
    key: Option<String>,
}

/// The links of an object. The list may contain null instead of an address.
#[derive(Deserialize)]
struct DataCenterLinksPayload {
    #[serde(rename = "self")]
    self_links: Option<Vec<Option<DataCenterHrefPayload>>>,
}

#[derive(Deserialize)]
struct DataCenterHrefPayload {
    href: Option<String>,
}

#[derive(Deserialize)]
struct DataCenterCommentPayload {
    id: Option<u64>,
    text: Option<String>,
    anchor: Option<IgnoredAny>,
}

/// Parses a delivery whose signature was verified.
pub(crate) fn parse(event: &str, forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    match event {
        "diagnostics:ping" => Ok(WebhookEvent::Ping),
        "pr:opened"
        | "pr:from_ref_updated"
        | "pr:to_ref_updated"
        | "pr:modified"
        | "pr:merged"
        | "pr:declined"
        | "pr:deleted" => parse_pull(forge_name, body),
        "pr:comment:added" | "pr:comment:edited" => parse_comment(forge_name, body),
        other => Ok(WebhookEvent::Ignored { event_name: clean_event_name(other) }),
    }
}

fn parse_pull(forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    let event: DataCenterEventPayload = parse_body(body)?;
    let pull = event.pull_request.ok_or_else(|| missing_field("pullRequest"))?;
    let number = pull_number(pull.id, "pullRequest.id")?;
    let (repository, repo) = parse_repository(pull.to_ref)?;
    let links = pull.links.and_then(|links| links.self_links).unwrap_or_default();
    let url = links.into_iter().flatten().find_map(|link| link.href).unwrap_or_default();
    // An empty address is accepted, because the pull request is read again before Truing posts anything on
    // it.
    if !url.is_empty() && !is_page_url(&url) {
        return Err(invalid_field("pullRequest.links.self", "is not a valid http or https URL"));
    }
    let head = match pull.from_ref.and_then(|from| from.latest_commit) {
        None => None,
        Some(head) => {
            let wrong = |_| invalid_field("pullRequest.fromRef.latestCommit", "is not a full commit id");
            Some(Sha::parse(&head).map_err(wrong)?)
        }
    };
    Ok(WebhookEvent::Pull {
        pr: PrId { forge: forge_name.to_owned(), repository, number },
        name: format!("{repo}#{number}"),
        repo,
        url,
        head,
    })
}

fn parse_comment(forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    let event: DataCenterEventPayload = parse_body(body)?;
    let pull = event.pull_request.ok_or_else(|| missing_field("pullRequest"))?;
    let number = pull_number(pull.id, "pullRequest.id")?;
    let (repository, repo) = parse_repository(pull.to_ref)?;
    let comment = event.comment.ok_or_else(|| missing_field("comment"))?;
    let id = comment.id.ok_or_else(|| missing_field("comment.id"))?;
    // Most deliveries do not contain the position of the comment. The position is read later, together with
    // the comment itself.
    let kind = if comment.anchor.is_some() { CommentKind::Diff } else { CommentKind::Conversation };
    let body = comment.text.unwrap_or_default().chars().take(MAX_COMMENT_CHARS).collect();
    let pr = PrId { forge: forge_name.to_owned(), repository, number };
    Ok(WebhookEvent::Comment(WebhookComment { pr, repo, kind, id, body }))
}

/// Returns the number and the name of a pull request's base repository.
fn parse_repository(target: Option<DataCenterTargetPayload>) -> Result<(String, String), DeliveryError> {
    let field = |name: &str| format!("pullRequest.toRef.repository{name}");
    let body = target.and_then(|target| target.repository).ok_or_else(|| missing_field(&field("")))?;
    let id = body.id.ok_or_else(|| missing_field(&field(".id")))?;
    let slug = body.slug.ok_or_else(|| missing_field(&field(".slug")))?;
    let key = body.project.and_then(|project| project.key);
    let key = key.ok_or_else(|| missing_field(&field(".project.key")))?;
    let name = format!("{key}/{slug}");
    if !is_repository_name(&name) {
        return Err(invalid_field(&field(".slug"), "is not the slug of a repository"));
    }
    Ok((id.to_string(), name))
}
