//! Helpers for calls and responses in GitHub's format: error responses and paginated lists.

use serde_json::{Value, json};

pub(crate) use crate::forge::http::call::{ApiCall, ApiResponse, CallResult};
use crate::forge::state::ForgeInstance;

/// URL of the documentation to which errors refer.
pub(crate) const DOCUMENTATION_URL: &str = "https://docs.github.com/rest";

/// Default and maximum number of items on a page.
const DEFAULT_AND_MAX_PAGE_LENGTH: (usize, usize) = (30, 100);

impl ApiCall {
    /// Parses a part of the path as a number. Returns a 404 response for any other text.
    pub(crate) fn require_number(&self, name: &str) -> Result<u64, ApiResponse> {
        self.numeric_path_param(name).ok_or_else(ApiResponse::not_found)
    }
}

impl ApiResponse {
    /// Returns an error in GitHub's format. `errors` is omitted if it is null.
    pub(crate) fn error(status: u16, message: &str, errors: Value) -> Self {
        let mut body =
            json!({"message": message, "documentation_url": DOCUMENTATION_URL, "status": status.to_string()});
        if let (false, Some(body)) = (errors.is_null(), body.as_object_mut()) {
            body.insert("errors".into(), errors);
        }
        Self::json(status, body)
    }

    pub(crate) fn not_found() -> Self {
        Self::error(404, "Not Found", Value::Null)
    }

    /// Returns 422 with one error object, as most calls do.
    pub(crate) fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Self {
        let error = json!({"resource": resource, "field": field, "code": code, "message": message});
        Self::error(422, "Validation Failed", json!([error]))
    }
}

/// The requested page of a list.
pub(crate) struct PageRequest {
    number: usize,
    size: usize,
}

impl PageRequest {
    pub(crate) fn from_call(call: &ApiCall) -> Self {
        let ask = |name: &str| {
            call.query_params.get(name).and_then(|value| value.parse::<usize>().ok()).filter(|n| *n > 0)
        };
        Self {
            number: ask("page").unwrap_or(1),
            size: ask("per_page").unwrap_or(DEFAULT_AND_MAX_PAGE_LENGTH.0).min(DEFAULT_AND_MAX_PAGE_LENGTH.1),
        }
    }

    pub(crate) fn page_items<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        let from = (self.number - 1).saturating_mul(self.size).min(items.len());
        items.get(from..from.saturating_add(self.size).min(items.len())).unwrap_or_default()
    }

    /// Returns a page with its `Link` header, which contains the URLs of other pages. These URLs differ from
    /// the call's URL only in the page number.
    pub(crate) fn reply_with_page(
        &self,
        forge: &ForgeInstance,
        call: &ApiCall,
        total: usize,
        items: Vec<Value>,
    ) -> ApiResponse {
        let last = total.div_ceil(self.size).max(1);
        let mut others: Vec<_> = call.query_params.iter().filter(|(name, _)| *name != "page").collect();
        others.sort();
        let link = |rel: &str, page: usize| {
            let fields: String = others.iter().map(|(name, value)| format!("{name}={value}&")).collect();
            format!("<{}{}?{fields}page={page}>; rel=\"{rel}\"", forge.base_url, call.path)
        };
        let mut links = Vec::new();
        if self.number > 1 {
            links.extend([link("prev", self.number - 1), link("first", 1)]);
        }
        if self.number < last {
            links.extend([link("next", self.number + 1), link("last", last)]);
        }
        let mut reply = ApiResponse::json(200, json!(items));
        if !links.is_empty() {
            reply.headers.push(("link", links.join(", ")));
        }
        reply
    }
}
