//! A call as it was read, and its answer.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::forge::state::World;
use crate::forge::state::apps::Pass;
use crate::repo::GitError;

/// Where errors say they are explained.
pub(crate) const DOCS: &str = "https://docs.github.com/rest";

/// Items of a page when the call does not say, and at most.
const PAGE: (usize, usize) = (30, 100);

pub(crate) type Answer = Result<Reply, Reply>;

/// One call, read.
pub(crate) struct Call {
    pub(crate) login: String,
    pub(crate) pass: Pass,
    pub(crate) method: String,
    /// Path without query.
    pub(crate) path: String,
    pub(crate) params: HashMap<String, String>,
    pub(crate) query: HashMap<String, String>,
    pub(crate) body: Value,
}

impl Call {
    /// A part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// A part of the path that is a number; what is no number is not found.
    pub(crate) fn number(&self, name: &str) -> Result<u64, Reply> {
        self.param(name).parse().map_err(|_| Reply::not_found())
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    Empty,
    Json(Value),
    /// Bytes of this media type.
    Bytes(&'static str, Bytes),
}

impl ReplyBody {
    pub(crate) fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Empty | Self::Bytes(..) => None,
        }
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Json(body) }
    }

    /// 204.
    pub(crate) fn done() -> Self {
        Self { status: 204, headers: Vec::new(), body: ReplyBody::Empty }
    }

    pub(crate) fn bytes(status: u16, kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Bytes(kind, bytes.into()) }
    }

    /// GitHub's error form. `errors` null: left out.
    pub(crate) fn error(status: u16, message: &str, errors: Value) -> Self {
        let mut body = json!({"message": message, "documentation_url": DOCS, "status": status.to_string()});
        if let (false, Some(body)) = (errors.is_null(), body.as_object_mut()) {
            body.insert("errors".into(), errors);
        }
        Self::json(status, body)
    }

    pub(crate) fn not_found() -> Self {
        Self::error(404, "Not Found", Value::Null)
    }

    /// 422 with one error object, as most calls answer.
    pub(crate) fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Self {
        let error = json!({"resource": resource, "field": field, "code": code, "message": message});
        Self::error(422, "Validation Failed", json!([error]))
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl From<GitError> for Reply {
    fn from(error: GitError) -> Self {
        Self::error(500, &format!("the fake forge's git failed: {error}"), Value::Null)
    }
}

/// The part of a list that is asked for.
pub(crate) struct Page {
    number: usize,
    size: usize,
}

impl Page {
    pub(crate) fn of(call: &Call) -> Self {
        let ask = |name: &str| {
            call.query.get(name).and_then(|value| value.parse::<usize>().ok()).filter(|n| *n > 0)
        };
        Self { number: ask("page").unwrap_or(1), size: ask("per_page").unwrap_or(PAGE.0).min(PAGE.1) }
    }

    pub(crate) fn cut<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let from = (self.number - 1).saturating_mul(self.size).min(all.len());
        all.get(from..from.saturating_add(self.size).min(all.len())).unwrap_or_default()
    }

    /// The list with its `Link` header: other pages at the same address, all other query fields kept.
    pub(crate) fn reply(&self, world: &World, call: &Call, total: usize, items: Vec<Value>) -> Reply {
        let last = total.div_ceil(self.size).max(1);
        let mut others: Vec<_> = call.query.iter().filter(|(name, _)| *name != "page").collect();
        others.sort();
        let link = |rel: &str, page: usize| {
            let fields: String = others.iter().map(|(name, value)| format!("{name}={value}&")).collect();
            format!("<{}{}?{fields}page={page}>; rel=\"{rel}\"", world.base_url, call.path)
        };
        let mut links = Vec::new();
        if self.number > 1 {
            links.extend([link("prev", self.number - 1), link("first", 1)]);
        }
        if self.number < last {
            links.extend([link("next", self.number + 1), link("last", last)]);
        }
        let mut reply = Reply::json(200, json!(items));
        if !links.is_empty() {
            reply.headers.push(("link", links.join(", ")));
        }
        reply
    }
}
