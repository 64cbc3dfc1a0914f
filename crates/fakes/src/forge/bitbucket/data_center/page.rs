//! Lists, cut into pages of at most fifty, however many are asked for.

use serde_json::{Value, json};

use super::errors::invalid;
use crate::forge::http::call::{ApiCall, ApiReply, CallResult, ReplyBody};

/// Items of a page when the call does not say.
const DEFAULT: usize = 25;
/// Items of a page, at most.
const MOST: usize = 50;

/// A page of these.
pub(super) fn reply(call: &ApiCall, items: &[Value]) -> CallResult {
    let number = |name: &str, default: usize| match call.asked(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| invalid(name, "a number is expected")),
    };
    let (start, limit) = (number("start", 0)?, number("limit", DEFAULT)?.clamp(1, MOST));
    let from = start.min(items.len());
    let to = from.saturating_add(limit).min(items.len());
    let shown = items.get(from..to).unwrap_or_default();
    let is_last = to >= items.len();
    Ok(ApiReply::json(
        200,
        json!({
            "size": shown.len(), "limit": limit, "isLastPage": is_last, "values": shown, "start": start,
            "nextPageStart": if is_last { None } else { Some(to) },
        }),
    ))
}

/// Has a list say that its next page is this one.
pub(super) fn circle(reply: &mut ApiReply, _: &str) {
    if let ReplyBody::Json(Value::Object(body)) = &mut reply.body {
        let start = body.get("start").cloned().unwrap_or_default();
        body.insert("nextPageStart".into(), start);
        body.insert("isLastPage".into(), false.into());
    }
}
