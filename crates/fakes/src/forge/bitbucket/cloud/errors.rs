//! The forms in which Cloud refuses.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::forge::bitbucket::edits::Against;
use crate::forge::fault::FaultKind;
use crate::forge::http::call::Reply;
use crate::forge::http::serve::Refusal;

/// A refusal in Cloud's form.
pub(super) fn refused(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({"type": "error", "error": {"message": message}}))
}

/// 403: the token's scopes are not enough. <https://github.com/backstage/backstage/issues/22383> has such an answer.
pub(super) fn lacks_scope(required: &[&str], granted: &[String]) -> Reply {
    let error = json!({
        "message": "Your credentials lack one or more required privilege scopes.",
        "detail": {"required": required, "granted": granted},
    });
    Reply::json(403, json!({"type": "error", "error": error}))
}

/// 404: it is not there, or not for whoever asks.
pub(super) fn not_found(what: &str) -> Reply {
    refused(404, &format!("{what} not found"))
}

/// 400, because of a field.
pub(super) fn invalid(field: &str, words: &str) -> Reply {
    let error = json!({"message": "Bad request", "fields": {field: [words]}});
    Reply::json(400, json!({"type": "error", "error": error}))
}

/// A refusal of reports and annotations, which have a form of their own.
pub(super) fn insight(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({"code": status, "message": message}))
}

/// An HTML page, as servers in front of the forge answer.
pub(super) fn page(status: u16) -> Reply {
    let html =
        "<!DOCTYPE html><html><head><title>Bitbucket</title></head><body>Something went wrong</body></html>";
    Reply::bytes(status, "text/html; charset=utf-8", html)
}

/// A change of a pull request that may not be.
pub(super) fn against(why: &Against) -> Reply {
    match why {
        Against::NotYours => refused(403, "Your credentials lack one or more required privilege scopes."),
        Against::Author(login) => {
            let words = format!("{login} is the author and cannot be included as a reviewer.");
            invalid("reviewers", &words)
        }
        Against::NoMember(login) => {
            let words =
                format!("{login} is not a member of this workspace and cannot be added to this pull request");
            invalid("reviewers", &words)
        }
        Against::NoBranch => invalid("destination", "branch not found"),
        Against::Script(words) => Reply::failed(words),
    }
}

/// The refusals of calls that nothing looks at.
pub(super) fn refusal(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::TooLarge => page(413),
        Refusal::BadLogin => refused(401, "Token is invalid, expired, or not supported for this endpoint."),
        Refusal::NoLogin => refused(401, "Access denied. You must have write or admin access."),
        Refusal::NoSuchCall => not_found("Resource"),
        Refusal::BadJson => refused(400, "Bad request"),
    }
}

/// The answer of a fault that comes instead of doing anything.
pub(super) fn instead(kind: &FaultKind, _now: i64) -> Option<Reply> {
    let limited = |after: &Option<u64>| {
        let reply = refused(429, "Rate limit for this resource has been exceeded");
        match after {
            Some(seconds) => reply.header("retry-after", seconds),
            None => reply,
        }
    };
    match kind {
        FaultKind::Status(429, after) | FaultKind::SecondaryLimit(after) => Some(limited(after)),
        // Cloud does not say until when.
        FaultKind::PrimaryLimit(_) => Some(limited(&None)),
        FaultKind::Status(status, after) => {
            let words = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            let reply = refused(*status, words.unwrap_or("Error"));
            Some(match after {
                Some(seconds) => reply.header("retry-after", seconds),
                None => reply,
            })
        }
        FaultKind::SingleSignOn => Some(refused(403, "Forbidden")),
        FaultKind::Invalid(_) => Some(invalid("field", "it is not as it should be")),
        FaultKind::Html(status) => Some(page(*status)),
        FaultKind::Redirect(status, to) => Some(Reply::json(*status, Value::Null).header("location", to)),
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
