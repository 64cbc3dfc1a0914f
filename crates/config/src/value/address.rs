//! Parses and renders URLs: of servers, of other services, and of stores.

use truing_core::loopback::is_loopback;
use url::Url;

use super::config_value::{ConfigValueError, join_alternatives, requirement_error};
use crate::keys;
use crate::secret::{SecretSource, SecretText};

/// Parses a URL that is the base of other URLs. Unlike [`parse_endpoint`], this function removes slashes at
/// the end and refuses a query.
pub(super) fn parse_base_url(text: &str) -> Result<String, ConfigValueError> {
    let url = parse_endpoint(text)?;
    if url.contains('?') {
        return Err(requirement_error("be a URL without `?` and `#`"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Parses a URL without user and fragment. The scheme must be https; http is valid only for loopback
/// addresses. Errors omit the text, because it may contain a password.
pub(super) fn parse_endpoint(text: &str) -> Result<String, ConfigValueError> {
    let url = Url::parse(text).map_err(|error| {
        requirement_error(format_args!("be a URL such as https://api.github.com: {error}"))
    })?;
    match url.scheme() {
        "https" => {}
        "http" if url.host_str().is_some_and(is_loopback) => {}
        "http" => {
            return Err(requirement_error("be an https URL: http is allowed for loopback addresses only"));
        }
        _ => return Err(requirement_error("be a URL that begins with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(requirement_error("be a URL without user name and password: configure these as secrets"));
    }
    if url.fragment().is_some() {
        return Err(requirement_error("be a URL without `#`"));
    }
    Ok(url.into())
}

/// Parses a URL that may itself be a secret, although the configuration contains it directly. Errors omit the
/// text.
pub(super) fn parse_secret_url(text: &str, schemes: &[&str]) -> Result<SecretSource, ConfigValueError> {
    let all = || {
        format!(
            "begin with {}",
            join_alternatives(&schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>())
        )
    };
    let url = Url::parse(text).map_err(|error| requirement_error(format_args!("be a URL: {error}")))?;
    if !(schemes.contains(&url.scheme())
        || schemes == ["https"] && url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
    {
        return Err(requirement_error(all()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(requirement_error("name a host"));
    }
    if url.password().is_some() {
        return Err(requirement_error(
            "be a URL without a password: configure the password as a separate secret",
        ));
    }
    Ok(SecretSource::PlainText(SecretText::new(text)))
}

/// Renders a URL without its secrets, but users can still recognize the URL. A store's URL is rendered
/// without passwords, and any other URL without its path.
pub(super) fn redacted_url(text: &SecretText) -> String {
    let text = text.expose();
    match text.split_once("://") {
        Some((scheme, rest))
            if [keys::SLOT_STORE_SCHEMES, keys::RECORD_STORE_SCHEMES].concat().contains(&scheme) =>
        {
            format!("{scheme}://{}", without_passwords(rest))
        }
        Some(_) | None => {
            let Ok(url) = Url::parse(text) else { return "…".to_owned() };
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}/…", url.scheme(), url.host_str().unwrap_or_default())
        }
    }
}

/// Removes passwords from `rest`, the part of a store's URL after `://`. This function does not use the URL
/// parser, because a store's URL may contain several hosts.
fn without_passwords(rest: &str) -> String {
    let (url_without_scheme, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, place) = url_without_scheme.rsplit_once('@').unwrap_or(("", url_without_scheme));
    let user = login.split(':').next().filter(|user| !user.is_empty());
    let query: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.contains("pass")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{}{place}{query}", user.map(|user| format!("{user}@")).unwrap_or_default())
}
