//! The form in which Data Center refuses.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::forge::bitbucket::edits::Against;
use crate::forge::fault::FaultKind;
use crate::forge::http::call::Reply;
use crate::forge::http::serve::Refusal;

/// Where the names of exceptions begin.
const PACKAGE: &str = "com.atlassian.bitbucket";

/// A refusal with a field that it is about, and more fields of its one error.
pub(super) fn with(status: u16, context: Option<&str>, message: &str, exception: &str, more: Value) -> Reply {
    let mut error = json!({
        "context": context, "message": message, "exceptionName": format!("{PACKAGE}.{exception}"),
    });
    if let (Some(error), Value::Object(more)) = (error.as_object_mut(), more) {
        error.extend(more);
    }
    Reply::json(status, json!({"errors": [error]}))
}

/// A refusal.
pub(super) fn refused(status: u16, message: &str, exception: &str) -> Reply {
    with(status, None, message, exception, Value::Null)
}

/// 401: Data Center's answer to a login that holds and may not.
pub(super) fn not_permitted() -> Reply {
    refused(401, "You are not permitted to access this resource", "AuthorisationException")
}

pub(super) fn no_repository(name: &str) -> Reply {
    refused(404, &format!("Repository {name} does not exist."), "repository.NoSuchRepositoryException")
}

pub(super) fn no_pull() -> Reply {
    refused(404, "The pull request does not exist.", "pull.NoSuchPullRequestException")
}

pub(super) fn no_comment() -> Reply {
    refused(404, "The comment does not exist.", "comment.NoSuchCommentException")
}

pub(super) fn no_commit(sha: &str) -> Reply {
    refused(404, &format!("Commit '{sha}' does not exist."), "commit.NoSuchCommitException")
}

/// 400, because of a field.
pub(super) fn invalid(field: &str, words: &str) -> Reply {
    with(400, Some(field), words, "validation.ArgumentValidationException", Value::Null)
}

/// 409: the version that was sent is not the one that is there, of a pull request (as it is) or a comment.
pub(super) fn stale(sent: Option<u64>, current: u64, pull: Option<Value>) -> Reply {
    let exception = if pull.is_some() {
        "pull.PullRequestOutOfDateException"
    } else {
        "comment.CommentOutOfDateException"
    };
    let mut more = json!({"currentVersion": current, "expectedVersion": sent});
    if let Some(pull) = pull {
        more["pullRequest"] = pull;
    }
    with(409, None, "It has been changed since you looked at it; look again.", exception, more)
}

/// A change of a pull request that may not be.
pub(super) fn against(why: &Against) -> Reply {
    match why {
        Against::NotYours => not_permitted(),
        Against::Author(login) => reviewers(&format!("{login} is the author, and cannot review.")),
        Against::NoMember(login) => reviewers(&format!("{login} is not a user who can see the repository.")),
        Against::NoBranch => refused(404, "The branch does not exist.", "repository.NoSuchBranchException"),
        Against::Script(words) => Reply::failed(words),
    }
}

pub(super) fn reviewers(words: &str) -> Reply {
    with(400, Some("reviewers"), words, "pull.InvalidPullRequestReviewersException", Value::Null)
}

/// The refusals of calls that nothing looks at.
pub(super) fn refusal(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::TooLarge => page(413),
        Refusal::BadLogin => refused(
            401,
            "Authentication failed. Please check your credentials and try again.",
            "auth.IncorrectPasswordAuthenticationException",
        ),
        Refusal::NoLogin => not_permitted(),
        Refusal::NoSuchCall => {
            Reply::bytes(404, "application/xml", "<status><status-code>404</status-code></status>")
        }
        Refusal::BadJson => refused(400, "The request could not be read.", "rest.BadRequestException"),
    }
}

/// An HTML page, as servers in front of the forge answer.
fn page(status: u16) -> Reply {
    let html = "<html><head><title>Service Unavailable</title></head><body>nginx</body></html>";
    Reply::bytes(status, "text/html; charset=utf-8", html)
}

/// The answer of a fault that comes instead of doing anything.
pub(super) fn instead(kind: &FaultKind, _now: i64) -> Option<Reply> {
    let after = |reply: Reply, after: &Option<u64>| match after {
        Some(seconds) => reply.header("retry-after", seconds),
        None => reply,
    };
    let limited = || {
        refused(
            429,
            "You have made too many requests recently.",
            "internal.ratelimit.RateLimitExceededException",
        )
    };
    match kind {
        FaultKind::Status(429, seconds) | FaultKind::SecondaryLimit(seconds) => {
            Some(after(limited(), seconds))
        }
        FaultKind::PrimaryLimit(seconds) => Some(limited().header("retry-after", seconds)),
        FaultKind::Status(401, _) => Some(refusal(Refusal::BadLogin)),
        FaultKind::Status(409, _) => Some(stale(Some(0), 1, None)),
        FaultKind::Status(status, seconds) => {
            let words = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            Some(after(refused(*status, words.unwrap_or("Error"), "ServiceException"), seconds))
        }
        FaultKind::SingleSignOn => Some(not_permitted()),
        FaultKind::Invalid(_) => Some(invalid("field", "it is not as it should be")),
        FaultKind::Html(status) => Some(page(*status)),
        FaultKind::Redirect(status, to) => {
            Some(Reply::bytes(*status, "text/plain", "").header("location", to))
        }
        FaultKind::Circle
        | FaultKind::Truncated
        | FaultKind::Delay(_)
        | FaultKind::Drop
        | FaultKind::LostAnswer
        | FaultKind::DoneStatus(_)
        | FaultKind::Held
        | FaultKind::HeldAnswer => None,
    }
}
