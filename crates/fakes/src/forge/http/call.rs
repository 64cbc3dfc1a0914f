//! The types of a call and of its response, for all kinds of forges.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

use crate::forge::state::apps::FakeTokenScope;
use crate::repo::FakeGitError;

pub(crate) type CallResult = Result<ApiResponse, ApiResponse>;

/// One call, with the parsed path, query and body.
pub(crate) struct ApiCall {
    pub(crate) login: String,
    pub(crate) token_scope: FakeTokenScope,
    pub(crate) method: String,
    /// Path without the query.
    pub(crate) path: String,
    pub(crate) path_params: HashMap<String, String>,
    /// Fields of the query. If a name occurs several times, the last field is kept.
    pub(crate) query_params: HashMap<String, String>,
    /// All fields of the query in their order.
    pub(crate) query_fields: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl ApiCall {
    /// Returns the value of a parameter in the path.
    pub(crate) fn path_param(&self, name: &str) -> &str {
        self.path_params.get(name).map_or("", String::as_str)
    }

    /// Parses the value of a parameter in the path as a number.
    pub(crate) fn numeric_path_param(&self, name: &str) -> Option<u64> {
        self.path_param(name).parse().ok()
    }

    /// Returns the value of a field in the query.
    pub(crate) fn query_param(&self, name: &str) -> Option<&str> {
        self.query_params.get(name).map(String::as_str)
    }
}

/// A response to a call.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: ResponseBody,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    Empty,
    Json(Value),
    /// Bytes of this media type.
    Bytes(&'static str, Bytes),
}

impl ResponseBody {
    pub(crate) fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Empty | Self::Bytes(..) => None,
        }
    }
}

impl ApiResponse {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: ResponseBody::Json(body) }
    }

    /// Returns 204 with an empty body.
    pub(crate) fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: ResponseBody::Empty }
    }

    pub(crate) fn bytes(status: u16, media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: ResponseBody::Bytes(media_type, bytes.into()) }
    }

    /// Returns 500 with a message, because an operation of the fake itself has failed.
    pub(crate) fn internal_error(reason: impl std::fmt::Display) -> Self {
        Self::bytes(500, "text/plain", format!("the fake forge failed: {reason}\n"))
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl From<FakeGitError> for ApiResponse {
    fn from(error: FakeGitError) -> Self {
        Self::internal_error(error)
    }
}
