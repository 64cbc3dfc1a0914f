//! Errors of Chat Completions, alone or in a stream: servers differ in their form and in their names.

use serde_json::Value;

use crate::retry::Kind;

/// Types and codes of errors, in lower case, then codes that are the status of an answer that has begun; of what is not here its words and the status decide.
pub(crate) const ERRORS: &[(&str, Kind)] = &[
    ("insufficient_quota", Kind::Spend),
    ("rate_limit_exceeded", Kind::RateLimit),
    ("rate_limit_error", Kind::RateLimit),
    ("requests", Kind::RateLimit),
    ("tokens", Kind::RateLimit),
    ("context_length_exceeded", Kind::TooLong),
    ("exceed_context_size_error", Kind::TooLong),
    ("invalid_api_key", Kind::Key),
    ("authentication_error", Kind::Key),
    ("permission_error", Kind::Key),
    ("server_error", Kind::Passing),
    ("api_error", Kind::Passing),
    ("engine_overloaded", Kind::Passing),
    ("billing_hard_limit_reached", Kind::Spend),
    ("budget_exceeded", Kind::Spend),
    ("internalservererror", Kind::Passing),
    ("overloaded_error", Kind::Passing),
    ("unsupported_parameter", Kind::Request),
    ("unsupported_value", Kind::Request),
    ("badrequesterror", Kind::Request),
    ("deploymentnotfound", Kind::Request),
    ("model_not_found", Kind::Request),
    ("not_found_error", Kind::Request),
    ("notfounderror", Kind::Request),
    ("400", Kind::Request),
    ("401", Kind::Key),
    ("402", Kind::Spend),
    ("403", Kind::Key),
    ("404", Kind::Request),
    ("413", Kind::TooLong),
    ("429", Kind::RateLimit),
];

/// An error by its name, with its words.
pub(crate) struct ChatError {
    pub(crate) name: String,
    pub(crate) message: String,
}

/// Reads an error, alone or in a stream.
pub(crate) fn read_error(error: &Value) -> ChatError {
    let word = |key: &str| match &error[key] {
        Value::String(word) => Some(word.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let is_known = |name: &String| ERRORS.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let number = error["code"].as_u64().map(|code| code.to_string());
    let named = [word("code"), word("type"), number];
    let name = named.iter().flatten().find(|name| is_known(name)).or(named[1].as_ref()).or(named[0].as_ref());
    let message = match error {
        Value::String(words) => words.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            word("message").or_else(|| word("detail")).unwrap_or_default()
        }
    };
    ChatError { name: name.cloned().unwrap_or_default(), message }
}
