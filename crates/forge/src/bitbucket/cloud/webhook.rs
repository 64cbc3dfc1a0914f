//! Parses webhook deliveries of Bitbucket Cloud. Repositories are identified by their UUID, which stays the
//! same through renames. Hashes in deliveries have only twelve digits, which do not identify a commit, so the
//! head is not read from a delivery. <https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>

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

/// Maximum length of an accepted UUID in bytes, including its braces.
const MAX_UUID_BYTES: usize = 64;

/// The fields of a delivery that are read. Any field may be missing; the event determines which fields are
/// required. Unknown fields are ignored.
#[derive(Deserialize)]
struct CloudEventPayload {
    repository: Option<CloudRepositoryPayload>,
    pullrequest: Option<CloudPullPayload>,
    comment: Option<CloudCommentPayload>,
}

#[derive(Deserialize)]
struct CloudRepositoryPayload {
    uuid: Option<String>,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct CloudPullPayload {
    id: Option<u64>,
    links: Option<CloudLinksPayload>,
    source: Option<CloudRefPayload>,
}

#[derive(Deserialize)]
struct CloudLinksPayload {
    html: Option<CloudHrefPayload>,
}

#[derive(Deserialize)]
struct CloudHrefPayload {
    href: Option<String>,
}

/// The head or base in a delivery. The field `repository` is not read, because it is null if the fork no
/// longer exists.
#[derive(Deserialize)]
struct CloudRefPayload {
    commit: Option<CloudCommitPayload>,
}

#[derive(Deserialize)]
struct CloudCommitPayload {
    hash: Option<String>,
}

#[derive(Deserialize)]
struct CloudCommentPayload {
    id: Option<u64>,
    content: Option<CloudContentPayload>,
    inline: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct CloudContentPayload {
    raw: Option<String>,
}

/// Parses a delivery whose signature was verified.
pub(crate) fn parse(event: &str, forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    match event {
        // The forge sends the event `updated` both for pushes and for edits.
        "pullrequest:created"
        | "pullrequest:push"
        | "pullrequest:updated"
        | "pullrequest:fulfilled"
        | "pullrequest:rejected" => parse_pull(forge_name, body),
        "pullrequest:comment_created" | "pullrequest:comment_updated" => parse_comment(forge_name, body),
        other => Ok(WebhookEvent::Ignored { event_name: clean_event_name(other) }),
    }
}

fn parse_pull(forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    let event: CloudEventPayload = parse_body(body)?;
    let (repository, repo) = parse_repository(event.repository)?;
    let pull = event.pullrequest.ok_or_else(|| missing_field("pullrequest"))?;
    let number = pull_number(pull.id, "pullrequest.id")?;
    let url = pull.links.and_then(|links| links.html).and_then(|html| html.href);
    let url = url.ok_or_else(|| missing_field("pullrequest.links.html.href"))?;
    if !is_page_url(&url) {
        return Err(invalid_field("pullrequest.links.html.href", "is not a valid http or https URL"));
    }
    let hash = pull.source.and_then(|source| source.commit).and_then(|commit| commit.hash);
    Ok(WebhookEvent::Pull {
        pr: PrId { forge: forge_name.to_owned(), repository, number },
        name: format!("{repo}#{number}"),
        repo,
        url,
        // A hash of twelve digits does not identify a commit, so `head` is set only from a full hash.
        head: hash.and_then(|hash| Sha::parse(&hash).ok()),
    })
}

fn parse_comment(forge_name: &str, body: &[u8]) -> Result<WebhookEvent, DeliveryError> {
    let event: CloudEventPayload = parse_body(body)?;
    let (repository, repo) = parse_repository(event.repository)?;
    let pull = event.pullrequest.ok_or_else(|| missing_field("pullrequest"))?;
    let number = pull_number(pull.id, "pullrequest.id")?;
    let comment = event.comment.ok_or_else(|| missing_field("comment"))?;
    let id = comment.id.ok_or_else(|| missing_field("comment.id"))?;
    let kind = if comment.inline.is_some() { CommentKind::Diff } else { CommentKind::Conversation };
    let text = comment.content.and_then(|content| content.raw).unwrap_or_default();
    let body = text.chars().take(MAX_COMMENT_CHARS).collect();
    let pr = PrId { forge: forge_name.to_owned(), repository, number };
    Ok(WebhookEvent::Comment(WebhookComment { pr, repo, kind, id, body }))
}

/// Returns the UUID and the name of the repository.
fn parse_repository(body: Option<CloudRepositoryPayload>) -> Result<(String, String), DeliveryError> {
    let repository = body.ok_or_else(|| missing_field("repository"))?;
    let id = repository.uuid.ok_or_else(|| missing_field("repository.uuid"))?;
    let is_uuid = id.len() <= MAX_UUID_BYTES
        && id.strip_prefix('{').and_then(|id| id.strip_suffix('}')).is_some_and(|inside| {
            !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        });
    if !is_uuid {
        return Err(invalid_field("repository.uuid", "is not a UUID in braces"));
    }
    let name = repository.full_name.ok_or_else(|| missing_field("repository.full_name"))?;
    if !is_repository_name(&name) {
        return Err(invalid_field("repository.full_name", "is not `workspace/slug`"));
    }
    Ok((id, name))
}
