//! Filters lists, sorts them and divides them into pages. The field `next` of a page is the address of the
//! next page.

use serde_json::{Value, json};

use super::errors::error_response;
use super::query::{FilterQuery, field_value};
use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::state::ForgeInstance;

/// Default number of items on a page.
const DEFAULT_PAGE_LENGTH: usize = 10;
/// Maximum number of items on a page.
pub(super) const MAX_PAGE_LENGTH: usize = 100;
/// Maximum number of pull requests on a page.
pub(super) const MAX_PULLS_PAGE_LENGTH: usize = 50;

/// Parses the filter in the call's query, if there is one.
pub(super) fn parse_filter(call: &ApiCall) -> Result<Option<FilterQuery>, ApiResponse> {
    let read = |text: &str| {
        FilterQuery::parse(text).ok_or_else(|| error_response(400, &format!("Invalid filter: {text}")))
    };
    call.query_param("q").map(read).transpose()
}

/// Returns a page of these items, filtered and sorted as the call requests; `most` is the maximum number of
/// items on one page.
pub(super) fn reply_with_page(
    forge_instance: &ForgeInstance,
    call: &ApiCall,
    items: Vec<Value>,
    max_page_length: usize,
) -> CallResult {
    let filter = parse_filter(call)?;
    let mut items = items;
    items.retain(|item| filter.as_ref().is_none_or(|filter| filter.matches_item(item)));
    if let Some(sort) = call.query_param("sort") {
        let (field, down) = match sort.strip_prefix('-') {
            Some(field) => (field, true),
            None => (sort, false),
        };
        items.sort_by_key(|item| {
            let value = field_value(item, field);
            (value.as_i64(), value.as_str().map(str::to_owned))
        });
        if down {
            items.reverse();
        }
    }
    let number = |name: &str| match call.query_param(name).map(str::parse::<usize>) {
        None => Ok(None),
        Some(Ok(number)) if number > 0 => Ok(Some(number)),
        Some(_) => Err(error_response(400, &format!("Invalid {name}"))),
    };
    let (page, length) = (number("page")?.unwrap_or(1), number("pagelen")?.unwrap_or(DEFAULT_PAGE_LENGTH));
    if length > max_page_length {
        return Err(error_response(400, "Invalid pagelen"));
    }
    let size = items.len();
    let from = (page - 1).saturating_mul(length).min(size);
    let to = from.saturating_add(length).min(size);
    let address = |page: usize| {
        let mut url = reqwest::Url::parse(&format!("{}{}", forge_instance.base_url, call.path)).ok()?;
        url.query_pairs_mut()
            .extend_pairs(call.query_fields.iter().filter(|(name, _)| name != "page"))
            .append_pair("page", &page.to_string());
        Some(url.to_string())
    };
    let mut body = json!({
        "values": items.get(from..to).unwrap_or_default(), "page": page, "pagelen": length, "size": size,
    });
    let next = (to < size).then(|| address(page + 1)).flatten();
    let previous = (page > 1).then(|| address(page - 1)).flatten();
    for (name, address) in [("next", next), ("previous", previous)] {
        if let (Some(address), Some(body)) = (address, body.as_object_mut()) {
            body.insert(name.to_owned(), address.into());
        }
    }
    Ok(ApiResponse::json(200, body))
}

/// Sets the address of a list's next page to `to`.
pub(super) fn set_next_page(reply: &mut ApiResponse, next_url: &str) {
    if let crate::forge::http::call::ResponseBody::Json(Value::Object(body)) = &mut reply.body {
        body.insert("next".into(), next_url.into());
    }
}
