//! Creates Cloud's error responses. The JSON format of an error depends on the call.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::forge::bitbucket::edits::EditRefusal;
use crate::forge::fault::ForgeFaultKind;
use crate::forge::http::call::ApiResponse;
use crate::forge::http::serve::CallRefusal;

/// Returns an error in Cloud's format.
pub(super) fn error_response(status: u16, message: &str) -> ApiResponse {
    ApiResponse::json(status, json!({"type": "error", "error": {"message": message}}))
}

/// Returns 403 for a token whose scopes do not suffice. <https://github.com/backstage/backstage/issues/22383>
/// shows such a response.
pub(super) fn missing_scope_error(required: &[&str], granted: &[String]) -> ApiResponse {
    let error = json!({
        "message": "Your credentials lack one or more required privilege scopes.",
        "detail": {"required": required, "granted": granted},
    });
    ApiResponse::json(403, json!({"type": "error", "error": error}))
}

/// Returns 404 for an object that is missing or hidden from the caller.
pub(super) fn not_found(object: &str) -> ApiResponse {
    error_response(404, &format!("{object} not found"))
}

/// Returns 400 for a request with an invalid field.
pub(super) fn invalid_field(field: &str, message: &str) -> ApiResponse {
    let error = json!({"message": "Bad request", "fields": {field: [message]}});
    ApiResponse::json(400, json!({"type": "error", "error": error}))
}

/// Returns an error of a call about reports or annotations; these errors have a separate format.
pub(super) fn report_error(status: u16, message: &str) -> ApiResponse {
    ApiResponse::json(status, json!({"code": status, "message": message}))
}

/// Returns an HTML error page, as a server in front of the forge would send.
pub(super) fn html_error(status: u16) -> ApiResponse {
    let html =
        "<!DOCTYPE html><html><head><title>Bitbucket</title></head><body>Something went wrong</body></html>";
    ApiResponse::bytes(status, "text/html; charset=utf-8", html)
}

/// Returns the error for a rejected edit of a pull request.
pub(super) fn edit_error(reason: &EditRefusal) -> ApiResponse {
    match reason {
        EditRefusal::NotPermitted => {
            error_response(403, "Your credentials lack one or more required privilege scopes.")
        }
        EditRefusal::ReviewerIsAuthor(login) => {
            let words = format!("{login} is the author and cannot be included as a reviewer.");
            invalid_field("reviewers", &words)
        }
        EditRefusal::ReviewerHasNoAccess(login) => {
            let words =
                format!("{login} is not a member of this workspace and cannot be added to this pull request");
            invalid_field("reviewers", &words)
        }
        EditRefusal::NoBranch => invalid_field("destination", "branch not found"),
        EditRefusal::InvalidBotScript(words) => ApiResponse::internal_error(words),
    }
}

/// Returns the error for a call that is rejected before it is handled.
pub(super) fn refusal_response(refusal: CallRefusal) -> ApiResponse {
    match refusal {
        CallRefusal::TooLarge => html_error(413),
        CallRefusal::BadLogin => {
            error_response(401, "Token is invalid, expired, or not supported for this endpoint.")
        }
        CallRefusal::NoLogin => error_response(401, "Access denied. You must have write or admin access."),
        CallRefusal::NoSuchCall => not_found("Resource"),
        CallRefusal::BadJson => error_response(400, "Bad request"),
    }
}

/// Returns the response of a simulated fault, which replaces the handling of the call.
pub(super) fn fault_response(kind: &ForgeFaultKind, _now: i64) -> Option<ApiResponse> {
    let limited = |after: &Option<u64>| {
        let reply = error_response(429, "Rate limit for this resource has been exceeded");
        match after {
            Some(seconds) => reply.header("retry-after", seconds),
            None => reply,
        }
    };
    match kind {
        ForgeFaultKind::Status(429, after) | ForgeFaultKind::SecondaryLimit(after) => Some(limited(after)),
        // Cloud's response does not contain the time at which the limit ends.
        ForgeFaultKind::PrimaryLimit(_) => Some(limited(&None)),
        ForgeFaultKind::Status(status, after) => {
            let words = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            let reply = error_response(*status, words.unwrap_or("Error"));
            Some(match after {
                Some(seconds) => reply.header("retry-after", seconds),
                None => reply,
            })
        }
        ForgeFaultKind::SingleSignOn => Some(error_response(403, "Forbidden")),
        ForgeFaultKind::ValidationError(_) => Some(invalid_field("field", "it is not as it should be")),
        ForgeFaultKind::Html(status) => Some(html_error(*status)),
        ForgeFaultKind::Redirect(status, to) => {
            Some(ApiResponse::json(*status, Value::Null).header("location", to))
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
