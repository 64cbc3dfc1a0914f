//! Creates Data Center's error responses.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::forge::bitbucket::edits::EditRefusal;
use crate::forge::fault::ForgeFaultKind;
use crate::forge::http::call::ApiResponse;
use crate::forge::http::serve::CallRefusal;

/// Package of the exception names.
const EXCEPTION_PACKAGE: &str = "com.atlassian.bitbucket";

/// Returns an error about a request field, whose name is `context`. Adds `extra_fields` to the only error
/// object of the response.
pub(super) fn error_with_context(
    status: u16,
    context: Option<&str>,
    message: &str,
    exception: &str,
    extra_fields: Value,
) -> ApiResponse {
    let mut error = json!({
        "context": context, "message": message, "exceptionName": format!("{EXCEPTION_PACKAGE}.{exception}"),
    });
    if let (Some(error), Value::Object(extra_fields)) = (error.as_object_mut(), extra_fields) {
        error.extend(extra_fields);
    }
    ApiResponse::json(status, json!({"errors": [error]}))
}

/// Returns an error in Data Center's format.
pub(super) fn error_response(status: u16, message: &str, exception: &str) -> ApiResponse {
    error_with_context(status, None, message, exception, Value::Null)
}

/// Returns 401, which is Data Center's response to a valid login that lacks permission.
pub(super) fn not_permitted() -> ApiResponse {
    error_response(401, "You are not permitted to access this resource", "AuthorisationException")
}

pub(super) fn no_repository(name: &str) -> ApiResponse {
    error_response(404, &format!("Repository {name} does not exist."), "repository.NoSuchRepositoryException")
}

pub(super) fn no_pull() -> ApiResponse {
    error_response(404, "The pull request does not exist.", "pull.NoSuchPullRequestException")
}

pub(super) fn no_comment() -> ApiResponse {
    error_response(404, "The comment does not exist.", "comment.NoSuchCommentException")
}

pub(super) fn no_commit(sha: &str) -> ApiResponse {
    error_response(404, &format!("Commit '{sha}' does not exist."), "commit.NoSuchCommitException")
}

/// Returns 400 for a request with an invalid field.
pub(super) fn invalid_field(field: &str, message: &str) -> ApiResponse {
    error_with_context(400, Some(field), message, "validation.ArgumentValidationException", Value::Null)
}

/// Returns 409 for a request with an old version of a comment or a pull request. The response includes the
/// pull request.
pub(super) fn stale_version(sent_version: Option<u64>, current: u64, pull: Option<Value>) -> ApiResponse {
    let exception = if pull.is_some() {
        "pull.PullRequestOutOfDateException"
    } else {
        "comment.CommentOutOfDateException"
    };
    let mut more = json!({"currentVersion": current, "expectedVersion": sent_version});
    if let Some(pull) = pull {
        more["pullRequest"] = pull;
    }
    error_with_context(409, None, "It has been changed since you looked at it; look again.", exception, more)
}

/// Returns the error for a rejected edit of a pull request.
pub(super) fn edit_error(reason: &EditRefusal) -> ApiResponse {
    match reason {
        EditRefusal::NotPermitted => not_permitted(),
        EditRefusal::ReviewerIsAuthor(login) => {
            invalid_reviewers(&format!("{login} is the author, and cannot review."))
        }
        EditRefusal::ReviewerHasNoAccess(login) => {
            invalid_reviewers(&format!("{login} is not a user who can see the repository."))
        }
        EditRefusal::NoBranch => {
            error_response(404, "The branch does not exist.", "repository.NoSuchBranchException")
        }
        EditRefusal::InvalidBotScript(words) => ApiResponse::internal_error(words),
    }
}

pub(super) fn invalid_reviewers(message: &str) -> ApiResponse {
    error_with_context(
        400,
        Some("reviewers"),
        message,
        "pull.InvalidPullRequestReviewersException",
        Value::Null,
    )
}

/// Returns the error for a call that is rejected before it is handled.
pub(super) fn refusal_response(refusal: CallRefusal) -> ApiResponse {
    match refusal {
        CallRefusal::TooLarge => html_error(413),
        CallRefusal::BadLogin => error_response(
            401,
            "Authentication failed. Please check your credentials and try again.",
            "auth.IncorrectPasswordAuthenticationException",
        ),
        CallRefusal::NoLogin => not_permitted(),
        CallRefusal::NoSuchCall => {
            ApiResponse::bytes(404, "application/xml", "<status><status-code>404</status-code></status>")
        }
        CallRefusal::BadJson => {
            error_response(400, "The request could not be read.", "rest.BadRequestException")
        }
    }
}

/// Returns an HTML error page, as a server in front of the forge would send.
fn html_error(status: u16) -> ApiResponse {
    let html = "<html><head><title>Service Unavailable</title></head><body>nginx</body></html>";
    ApiResponse::bytes(status, "text/html; charset=utf-8", html)
}

/// Returns the response of a simulated fault, which replaces the handling of the call.
pub(super) fn fault_response(kind: &ForgeFaultKind, _now: i64) -> Option<ApiResponse> {
    let after = |reply: ApiResponse, after: &Option<u64>| match after {
        Some(seconds) => reply.header("retry-after", seconds),
        None => reply,
    };
    let limited = || {
        error_response(
            429,
            "You have made too many requests recently.",
            "internal.ratelimit.RateLimitExceededException",
        )
    };
    match kind {
        ForgeFaultKind::Status(429, seconds) | ForgeFaultKind::SecondaryLimit(seconds) => {
            Some(after(limited(), seconds))
        }
        ForgeFaultKind::PrimaryLimit(seconds) => Some(limited().header("retry-after", seconds)),
        ForgeFaultKind::Status(401, _) => Some(refusal_response(CallRefusal::BadLogin)),
        ForgeFaultKind::Status(409, _) => Some(stale_version(Some(0), 1, None)),
        ForgeFaultKind::Status(status, seconds) => {
            let words = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            Some(after(error_response(*status, words.unwrap_or("Error"), "ServiceException"), seconds))
        }
        ForgeFaultKind::SingleSignOn => Some(not_permitted()),
        ForgeFaultKind::ValidationError(_) => Some(invalid_field("field", "it is not as it should be")),
        ForgeFaultKind::Html(status) => Some(html_error(*status)),
        ForgeFaultKind::Redirect(status, to) => {
            Some(ApiResponse::bytes(*status, "text/plain", "").header("location", to))
        }
        ForgeFaultKind::SelfLinkedPage
        | ForgeFaultKind::Truncated
        | ForgeFaultKind::Delay(_)
        | ForgeFaultKind::DropConnection
        | ForgeFaultKind::LostResponse
        | ForgeFaultKind::StatusAfterCall(_)
        | ForgeFaultKind::HeldRequest
        | ForgeFaultKind::HeldResponse => None,
    }
}
