//! Divides lists into pages. A page contains at most fifty items, even if the request specifies a higher
//! limit.

use serde_json::{Value, json};

use super::errors::invalid_field;
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult, ResponseBody};

/// Default number of items on a page.
const DEFAULT_PAGE_LENGTH: usize = 25;
/// Maximum number of items on a page.
const MAX_PAGE_LENGTH: usize = 50;

/// Returns a page of these items.
pub(super) fn reply_with_page(call: &ApiCall, items: &[Value]) -> CallResult {
    let number = |name: &str, default: usize| match call.query_param(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| invalid_field(name, "a number is expected")),
    };
    let (start, limit) =
        (number("start", 0)?, number("limit", DEFAULT_PAGE_LENGTH)?.clamp(1, MAX_PAGE_LENGTH));
    let from = start.min(items.len());
    let to = from.saturating_add(limit).min(items.len());
    let shown = items.get(from..to).unwrap_or_default();
    let is_last = to >= items.len();
    Ok(ApiResponse::json(
        200,
        json!({
            "size": shown.len(), "limit": limit, "isLastPage": is_last, "values": shown, "start": start,
            "nextPageStart": if is_last { None } else { Some(to) },
        }),
    ))
}

/// Changes a page such that its next page is the same page again.
pub(super) fn set_next_page(response: &mut ApiResponse, _: &str) {
    if let ResponseBody::Json(Value::Object(body)) = &mut response.body {
        let start = body.get("start").cloned().unwrap_or_default();
        body.insert("nextPageStart".into(), start);
        body.insert("isLastPage".into(), false.into());
    }
}
