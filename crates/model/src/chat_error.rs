//! Errors of Chat Completions, in a response or in a stream. Servers differ in the JSON structure and in the
//! names of these errors.

use serde_json::Value;

use crate::retry::ProviderErrorKind;

/// Types and codes of errors, in lower case, with their classification. The last codes are HTTP statuses.
/// Servers send them in a stream after the response has begun. Other errors are classified by their message
/// and status.
pub(crate) const ERROR_KINDS: &[(&str, ProviderErrorKind)] = &[
    ("insufficient_quota", ProviderErrorKind::SpendingLimit),
    ("rate_limit_exceeded", ProviderErrorKind::RateLimit),
    ("rate_limit_error", ProviderErrorKind::RateLimit),
    ("requests", ProviderErrorKind::RateLimit),
    ("tokens", ProviderErrorKind::RateLimit),
    ("context_length_exceeded", ProviderErrorKind::TooLong),
    ("exceed_context_size_error", ProviderErrorKind::TooLong),
    ("invalid_api_key", ProviderErrorKind::KeyRefused),
    ("authentication_error", ProviderErrorKind::KeyRefused),
    ("permission_error", ProviderErrorKind::KeyRefused),
    ("server_error", ProviderErrorKind::Temporary),
    ("api_error", ProviderErrorKind::Temporary),
    ("engine_overloaded", ProviderErrorKind::Temporary),
    ("billing_hard_limit_reached", ProviderErrorKind::SpendingLimit),
    ("budget_exceeded", ProviderErrorKind::SpendingLimit),
    ("internalservererror", ProviderErrorKind::Temporary),
    ("overloaded_error", ProviderErrorKind::Temporary),
    ("unsupported_parameter", ProviderErrorKind::InvalidRequest),
    ("unsupported_value", ProviderErrorKind::InvalidRequest),
    ("badrequesterror", ProviderErrorKind::InvalidRequest),
    ("deploymentnotfound", ProviderErrorKind::InvalidRequest),
    ("model_not_found", ProviderErrorKind::InvalidRequest),
    ("not_found_error", ProviderErrorKind::InvalidRequest),
    ("notfounderror", ProviderErrorKind::InvalidRequest),
    ("400", ProviderErrorKind::InvalidRequest),
    ("401", ProviderErrorKind::KeyRefused),
    ("402", ProviderErrorKind::SpendingLimit),
    ("403", ProviderErrorKind::KeyRefused),
    ("404", ProviderErrorKind::InvalidRequest),
    ("413", ProviderErrorKind::TooLong),
    ("429", ProviderErrorKind::RateLimit),
];

/// An error's name and message.
pub(crate) struct ChatError {
    pub(crate) name: String,
    pub(crate) message: String,
}

/// Parses an error, from a response or a stream.
pub(crate) fn read_error(error: &Value) -> ChatError {
    let word = |key: &str| match &error[key] {
        Value::String(word) => Some(word.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let is_known = |name: &String| ERROR_KINDS.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
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
