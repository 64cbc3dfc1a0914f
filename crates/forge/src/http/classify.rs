//! Converts a forge's error response to an error. The status determines the error. If a status has several
//! meanings (403), the headers and the text determine the error.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use serde_json::Value;
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{ForgeError, UnavailableCause};
use url::Url;

use super::limits::{DEFAULT_WAIT, MAX_WAIT, MIN_WAIT, SecondaryLimit, parse_limit_headers};
use super::text::{TextCleaner, format_error_chain};
use super::{ForgeRequest, HttpDialect, unavailable_error, url_origin};

/// Maximum number of reasons that an error message quotes from an error response.
const MAX_REASONS: usize = 10;

/// An error, and a flag that is true if a retry may succeed.
pub(super) struct ClassifiedError {
    pub(super) error: ForgeError,
    pub(super) is_temporary: bool,
}

impl ClassifiedError {
    pub(super) fn permanent(error: ForgeError) -> Self {
        Self { error, is_temporary: false }
    }
}

/// Returns the error for a missing or incomplete response. The forge may have received the call.
pub(super) fn no_response_error(
    call: &ForgeRequest,
    cleaner: &TextCleaner,
    error: reqwest::Error,
) -> ClassifiedError {
    let (timeout, connect) = (error.is_timeout(), error.is_connect());
    let chain = cleaner.clean_line(&format_error_chain(&error.without_url()));
    let (cause, message) = match (connect, timeout) {
        (true, _) => {
            (UnavailableCause::NotConnected, format!("cannot connect to {}: {chain}", url_origin(&call.url)))
        }
        (false, true) => (UnavailableCause::TimedOut, "no answer in time".to_owned()),
        (false, false) => (
            UnavailableCause::InvalidAnswer,
            format!("the connection broke before the answer was complete: {chain}"),
        ),
    };
    let error = ForgeError::Unavailable { request: call.purpose.clone(), message, cause };
    // A timeout is not retried, because waiting for a second timeout would take too long.
    ClassifiedError { error, is_temporary: connect || !timeout }
}

/// Converts an unsuccessful response to an error. If the response reports a secondary rate limit, the second
/// value is the kind of this limit. `now` is used only if the response has no date.
pub(super) fn classify_error_response(
    forge_request: &ForgeRequest,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    dialect: HttpDialect,
    cleaner: &TextCleaner,
    now: UnixMillis,
) -> (ClassifiedError, Option<SecondaryLimit>) {
    let request = forge_request.purpose.clone();
    let words = cleaner.clean_line(&join_error_reasons(body));
    if let Some((wait, secondary_limit)) = rate_limit_wait(status, headers, &words, now) {
        return (ClassifiedError::permanent(ForgeError::RateLimited { request, wait }), secondary_limit);
    }
    let message = if words.is_empty() { "the forge gives no reason".to_owned() } else { words };
    let error = match status.as_u16() {
        code if forge_request.comments_on_diff && may_reject_comment_position(code) => {
            ForgeError::Rejected { request, message: format!("status {code}: {message}") }
        }
        // Data Center responds with 401 if the login is valid but a permission is missing.
        401 if lacks_permission(body) => ForgeError::Forbidden { request, message },
        401 => ForgeError::Unauthorized { request },
        403 if dialect.sso_header.is_some_and(|name| headers.contains_key(name)) => {
            let message = format!(
                "{message} (the organization requires single sign-on: authorize the token for \
                    single sign-on)"
            );
            ForgeError::Forbidden { request, message }
        }
        403 => ForgeError::Forbidden {
            request,
            message: add_required_permission(message, headers, body, cleaner),
        },
        // The forge has blocked the repository for legal reasons. The block is permanent, and not a failure
        // of the forge.
        451 => ForgeError::Forbidden { request, message: format!("status 451: {message}") },
        404 | 410 => ForgeError::NotFound { request },
        // The server timed out while it waited for our request.
        408 => unavailable_error(&request, &format!("status 408: {message}")),
        400 | 422 => ForgeError::Rejected { request, message },
        409 if dialect.reports_conflicts => ForgeError::Stale { request, message },
        413 if dialect.reports_conflicts => {
            ForgeError::Rejected { request, message: format!("too large: {message}") }
        }
        // These statuses do not reject the content of the call, so a later try may succeed.
        code @ 402..500 => unavailable_error(&request, &format!("status {code}: {message}")),
        301 | 302 | 307 | 308 if is_same_server_redirect(forge_request, headers) => {
            ForgeError::Moved { request }
        }
        code @ 300..400 => {
            let to = redirect_target(forge_request, headers)
                .map_or_else(|| "nowhere".to_owned(), |to| url_origin(&to));
            let message = format!(
                "status {code} redirects to {to}: redirects are not followed, because they would disclose \
                    the token. Was the repository renamed or moved, or is api_url wrong?"
            );
            unavailable_error(&request, &cleaner.clean_line(&message))
        }
        code => {
            let is_temporary = matches!(code, 502..=504);
            let error = unavailable_error(&request, &format!("status {code}: {message}"));
            return (ClassifiedError { error, is_temporary }, None);
        }
    };
    (ClassifiedError::permanent(error), None)
}

/// Returns true if the forge may use this status to reject the location of a comment on a diff. The statuses
/// differ: GitHub uses 422, Bitbucket Cloud uses 400, and Data Center uses 400, 404 and 409. Other statuses
/// are about login, permissions, payment, a slow client or limits.
fn may_reject_comment_position(status: u16) -> bool {
    matches!(status, 400..500) && !matches!(status, 401..=403 | 407 | 408 | 425 | 429 | 451)
}

/// Adds the permission that the call needs to an error message, if the forge names the permission. GitHub
/// names the permission in a header, and Bitbucket Cloud in the body.
fn add_required_permission(
    message: String,
    headers: &HeaderMap,
    body: &[u8],
    cleaner: &TextCleaner,
) -> String {
    if let Some(accepted) =
        header_text(headers, "x-accepted-github-permissions").filter(|accepted| !accepted.is_empty())
    {
        return format!("{message} (the call requires the permission {})", cleaner.clean_line(accepted));
    }
    match required_scopes(body) {
        Some(scopes) => format!("{message} (the call requires the scopes {})", cleaner.clean_line(&scopes)),
        None => message,
    }
}

/// Returns the scopes in `error.detail.required` of a body.
fn required_scopes(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let required = body.pointer("/error/detail/required")?.as_array()?;
    let scopes: Vec<&str> = required.iter().filter_map(Value::as_str).take(MAX_REASONS).collect();
    (!scopes.is_empty()).then(|| scopes.join(", "))
}

/// Returns the wait if the response reports a rate limit. Uses the wait that the response requests;
/// otherwise, the time until the primary limit's window ends; otherwise, `DEFAULT_WAIT`.
fn rate_limit_wait(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    now: UnixMillis,
) -> Option<(TimeSpan, Option<SecondaryLimit>)> {
    if !matches!(status.as_u16(), 403 | 429) {
        return None;
    }
    // The remaining time is computed with the forge's own clock, so an error of our clock does no harm.
    let now = response_date(headers).unwrap_or(now);
    let asked = header_text(headers, header::RETRY_AFTER.as_str()).map(|value| match value.parse() {
        Ok(seconds) => TimeSpan::seconds(seconds),
        Err(_) => http_date(value).map_or(DEFAULT_WAIT, |until| until - now),
    });
    let limit = parse_limit_headers(headers, now);
    let (wait, brake) = if let Some(wait) = asked {
        (wait, Some(SecondaryLimit::WithWait))
    } else if let Some(limit) = limit.filter(|limit| limit.quota.remaining == 0) {
        (limit.wait, None)
    } else if status == StatusCode::TOO_MANY_REQUESTS
        || mentions_rate_limit(message)
        || header_text(headers, "x-ratelimit-remaining") == Some("0")
    {
        (DEFAULT_WAIT, Some(SecondaryLimit::WithoutWait))
    } else {
        return None;
    };
    Some((wait.clamp(MIN_WAIT, MAX_WAIT), brake))
}

/// Returns the text of a header.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Returns the time of the response, by the forge's own clock.
pub(super) fn response_date(headers: &HeaderMap) -> Option<UnixMillis> {
    header_text(headers, header::DATE.as_str()).and_then(http_date)
}

/// Returns true if the text is one of GitHub's messages about rate limits. Some responses report these limits
/// only in the text, not in the headers.
fn mentions_rate_limit(message: &str) -> bool {
    let words = message.to_ascii_lowercase();
    ["rate limit", "abuse detection"].iter().any(|sign| words.contains(sign))
}

fn http_date(text: &str) -> Option<UnixMillis> {
    let zoned = rfc2822::DateTimeParser::new().parse_zoned(text).ok()?;
    Some(UnixMillis(Timestamp::from(zoned).as_millisecond()))
}

fn redirect_target(call: &ForgeRequest, headers: &HeaderMap) -> Option<Url> {
    let to = headers.get(header::LOCATION)?.to_str().ok()?;
    call.url.join(to).ok()
}

/// Returns true for a redirect to another address of the same server.
pub(super) fn is_same_server_redirect(call: &ForgeRequest, headers: &HeaderMap) -> bool {
    redirect_target(call, headers).is_some_and(|to| to.origin() == call.url.origin() && to != call.url)
}

/// Returns true if Data Center rejected a valid login because a permission is missing.
fn lacks_permission(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |error: &Value| error.get("exceptionName").and_then(Value::as_str).map(str::to_owned);
    errors.iter().filter_map(name).any(|name| name.ends_with("AuthorisationException"))
}

/// Returns the message and the reasons of an error body, joined. The reasons are a list of strings or
/// objects, or a single string. The objects contain the fields resource, field, code and message; at Data
/// Center, they contain context and message. At Bitbucket Cloud the reasons are in an object `error` with
/// `message` and `fields`. A body that is not JSON contains no reasons.
fn join_error_reasons(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return String::new();
    };
    let message = body.get("message").and_then(Value::as_str).into_iter().map(str::to_owned);
    let errors = match body.get("errors") {
        Some(Value::Array(errors)) => errors.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let inner = body.get("error").and_then(Value::as_object);
    let told = inner.and_then(|error| error.get("message")).and_then(Value::as_str).map(str::to_owned);
    let fields = inner.and_then(|error| error.get("fields")).and_then(Value::as_object);
    let fields = fields.into_iter().flatten().take(MAX_REASONS).map(|(field, words)| {
        let first = words.as_array().and_then(|all| all.first()).unwrap_or(words);
        format!("{field}: {}", first.as_str().unwrap_or("is wrong"))
    });
    let errors = errors.iter().take(MAX_REASONS).filter_map(error_reason);
    let reasons: Vec<String> = message.chain(told).chain(fields).chain(errors).collect();
    reasons.join("; ")
}

fn error_reason(error: &Value) -> Option<String> {
    if let Some(text) = error.as_str() {
        return Some(text.to_owned());
    }
    let word = |name: &str| error.get(name).and_then(Value::as_str);
    let words: Vec<&str> =
        [word("resource"), word("field").or(word("context")), word("message").or(word("code"))]
            .into_iter()
            .flatten()
            .collect();
    (!words.is_empty()).then(|| words.join(" "))
}
