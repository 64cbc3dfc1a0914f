//! The credential of a subscription to Claude, and the subscription's usage limits.
//!
//! Anthropic sells a subscription for its own program `claude`. A request with this credential is therefore a
//! request of that program: it contains the program's own headers, system prompt and fields
//! ([`crate::messages::ProgramParts`]). The gateway refuses any other request.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use truing_core::given_secrets;
use truing_core::secret::SecretString;

/// File of the credential in the configuration folder of `claude`.
const CREDENTIALS_FILE: &str = ".credentials.json";
/// Maximum size of this file in bytes.
const MAX_CREDENTIALS_BYTES: u64 = 64 * 1024;
/// Reason for a file without the token of a subscription.
const NO_LOGIN_REASON: &str = "the file contains no login to a subscription";
/// Feature that a request with the token must name.
pub(crate) const OAUTH_FEATURE: &str = "oauth-2025-04-20";
/// Time after which a call is tried again if the provider does not report when the limit resets.
const DEFAULT_RESET_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// Longest plausible time until a limit resets. The longest period is a week.
const MAX_RESET_WAIT: SignedDuration = SignedDuration::from_hours(8 * 24);
/// Prefix of the headers that report the state of a subscription's limits.
const LIMIT_HEADER_PREFIX: &str = "anthropic-ratelimit-unified-";
/// Begin of the message of an older error. The time of the reset follows, in seconds since 1970.
const LIMIT_MESSAGE: &str = "usage limit reached";

/// The source of a subscription's token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubscriptionLogin {
    /// A token that `claude setup-token` has created.
    Token(SecretString),
    /// The configuration folder of a `claude` that is logged in. Its file is read for each request, because
    /// `claude` replaces the token every few hours. Truing never writes the file.
    ConfigFolder(PathBuf),
}

/// The reason why a configuration folder of `claude` contains no usable token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the login in {} cannot be used: {reason}", file.display())]
pub struct SubscriptionLoginError {
    /// File of the credential.
    pub file: PathBuf,
    /// Description of the error.
    pub reason: String,
}

/// The commands that create a credential, for hints.
pub const LOGIN_HINT: &str = "run `claude /login` as the user of that folder, or create a token that is \
    valid for a year with `claude setup-token`, and put it into CLAUDE_CODE_OAUTH_TOKEN";

impl SubscriptionLogin {
    /// Returns the token that is valid at this time.
    ///
    /// # Errors
    /// [`SubscriptionLoginError`]
    pub fn token(&self, now: SystemTime) -> Result<SecretString, SubscriptionLoginError> {
        match self {
            Self::Token(token) => Ok(token.clone()),
            Self::ConfigFolder(folder) => read_token(folder.join(CREDENTIALS_FILE), now),
        }
    }

    /// Returns a name that identifies the login without containing a secret.
    pub(crate) fn public_identity(&self) -> String {
        match self {
            Self::Token(token) => format!(":{}", token.public_fingerprint()),
            Self::ConfigFolder(folder) => {
                format!(":{}", SecretString::new(folder.display().to_string()).public_fingerprint())
            }
        }
    }
}

/// The file of the credential. Other fields, such as the refresh token, are ignored.
#[derive(Deserialize)]
struct CredentialsFile {
    #[serde(rename = "claudeAiOauth")]
    login: Option<StoredLogin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredLogin {
    access_token: String,
    /// Time at which the token expires, in milliseconds since 1970.
    expires_at: Option<i64>,
}

fn read_token(file: PathBuf, now: SystemTime) -> Result<SecretString, SubscriptionLoginError> {
    let text = match read_regular_file(&file) {
        Ok(text) => text,
        Err(error) => {
            return Err(SubscriptionLoginError { file, reason: format!("the file cannot be read: {error}") });
        }
    };
    let stored = truing_core::json::from_str::<CredentialsFile>(&text).ok().and_then(|content| content.login);
    let Some(StoredLogin { access_token, expires_at }) =
        stored.filter(|login| SecretString::new(login.access_token.as_str()).is_visible_ascii())
    else {
        return Err(SubscriptionLoginError { file, reason: NO_LOGIN_REASON.to_owned() });
    };
    let expires_at = expires_at.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    if let (Some(expired_at), Ok(now)) = (expires_at, Timestamp::try_from(now))
        && expired_at <= now
    {
        return Err(SubscriptionLoginError { file, reason: format!("it expired at {expired_at}") });
    }
    given_secrets::register_secret(&access_token);
    Ok(SecretString::new(access_token))
}

fn read_regular_file(file: &Path) -> std::io::Result<String> {
    if !std::fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    std::fs::File::open(file)?.take(MAX_CREDENTIALS_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// A usage limit of a subscription that is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReachedUsageLimit {
    /// Description of the limit for people.
    pub limit: &'static str,
    /// Time at which the limit resets. If the provider does not report it, the time of the next attempt.
    pub resets_at: Timestamp,
}

/// A limit of five hours.
const FIVE_HOURS_LIMIT: &str = "the 5-hour limit of the subscription";
/// A limit of a week, for all models or for one model.
const WEEKLY_LIMIT: &str = "the weekly limit of the subscription";
/// The limit of usage beyond which the provider bills by the token.
const OVERAGE_LIMIT: &str = "the subscription (further usage is billed beside it)";
/// A limit that this version does not know.
const UNKNOWN_LIMIT: &str = "the usage limit of the subscription";

/// Returns the limit that an error response reports. Returns `None` for any other error, such as a rate limit
/// of a few seconds.
pub(crate) fn limit_of_refusal(
    status: u16,
    headers: &HeaderMap,
    message: &str,
    retry_after: Option<Duration>,
    now: Timestamp,
) -> Option<ReachedUsageLimit> {
    let lower = message.to_ascii_lowercase();
    let (_, after_message) = lower.split_once(LIMIT_MESSAGE).unzip();
    let is_rejected = limit_header(headers, "status") == Some("rejected");
    if status != 429 || !(is_rejected || after_message.is_some()) {
        return None;
    }
    let of_message = after_message.and_then(|rest| parse_seconds(rest.strip_prefix('|')?));
    let after_wait = || now.checked_add(SignedDuration::try_from(retry_after?).ok()?).ok();
    let resets_at = reset_time(headers).or(of_message).or_else(after_wait);
    let (limit, _) = claimed_limit(headers);
    Some(ReachedUsageLimit { limit, resets_at: plausible_reset(resets_at, now) })
}

/// Returns the limit of a subscription beyond which a successful response was billed by the token. Returns
/// `None` if the subscription covers the response.
pub(crate) fn limit_of_billed_answer(headers: &HeaderMap, now: Timestamp) -> Option<ReachedUsageLimit> {
    (limit_header(headers, "overage-in-use") == Some("true")).then(|| ReachedUsageLimit {
        limit: OVERAGE_LIMIT,
        resets_at: plausible_reset(reset_time(headers), now),
    })
}

/// Returns the limit that the provider says is reached, and the header with the time of its reset.
fn claimed_limit(headers: &HeaderMap) -> (&'static str, Option<&'static str>) {
    match limit_header(headers, "representative-claim") {
        Some("five_hour") => (FIVE_HOURS_LIMIT, Some("5h-reset")),
        Some(claim) if claim.starts_with("seven_day") => (WEEKLY_LIMIT, Some("7d-reset")),
        Some(_) | None => (UNKNOWN_LIMIT, None),
    }
}

/// Returns the time at which the provider says that the reached limit resets.
fn reset_time(headers: &HeaderMap) -> Option<Timestamp> {
    let (_, reset_header) = claimed_limit(headers);
    let of_limit = reset_header.and_then(|name| limit_header(headers, name));
    limit_header(headers, "reset").or(of_limit).and_then(parse_seconds)
}

/// Returns the reported time. If it is missing, past or too far in the future, returns a default time.
fn plausible_reset(reported: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let wait = |wait: SignedDuration| now.checked_add(wait).unwrap_or(now);
    let latest = wait(MAX_RESET_WAIT);
    reported.filter(|reset| *reset > now && *reset <= latest).unwrap_or_else(|| wait(DEFAULT_RESET_WAIT))
}

fn parse_seconds(text: &str) -> Option<Timestamp> {
    let digits = text.split(|letter: char| !letter.is_ascii_digit()).next()?;
    Timestamp::from_second(digits.parse().ok()?).ok()
}

fn limit_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(format!("{LIMIT_HEADER_PREFIX}{name}"))?;
    value.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    const NOW: i64 = 1_795_219_170;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let name = |name: &str| format!("{LIMIT_HEADER_PREFIX}{name}").parse::<HeaderName>().unwrap();
        fields.iter().map(|(field, value)| (name(field), value.parse().unwrap())).collect()
    }

    fn refused(fields: &[(&str, &str)], message: &str) -> Option<(&'static str, i64)> {
        limit_of_refusal(429, &headers(fields), message, None, now())
            .map(|limit| (limit.limit, limit.resets_at.as_second() - NOW))
    }

    #[test]
    fn reads_reached_limit_and_its_reset() {
        let reset = (NOW + 7200).to_string();
        let rejected = ("status", "rejected");
        for (fields, message, expected) in [
            (
                vec![rejected, ("representative-claim", "five_hour"), ("reset", reset.as_str())],
                "",
                Some((FIVE_HOURS_LIMIT, 7200)),
            ),
            (
                vec![rejected, ("representative-claim", "seven_day_opus"), ("7d-reset", reset.as_str())],
                "",
                Some((WEEKLY_LIMIT, 7200)),
            ),
            (vec![rejected], "", Some((UNKNOWN_LIMIT, 3600))),
            (vec![rejected, ("reset", "99999999999")], "", Some((UNKNOWN_LIMIT, 3600))),
            (vec![rejected, ("reset", "7")], "", Some((UNKNOWN_LIMIT, 3600))),
            (vec![("status", "allowed")], "Number of requests exceeds your rate limit", None),
            (vec![], "", None),
        ] {
            assert_eq!(refused(&fields, message), expected, "{fields:?} {message}");
        }
        let message = format!("Claude AI usage limit reached|{reset}");
        assert_eq!(refused(&[], &message), Some((UNKNOWN_LIMIT, 7200)));
        let not_429 = limit_of_refusal(403, &headers(&[rejected]), &message, None, now());
        assert_eq!(not_429, None);
    }

    #[test]
    fn notices_answer_that_is_billed_beside_subscription() {
        assert_eq!(limit_of_billed_answer(&headers(&[("overage-in-use", "false")]), now()), None);
        let limit = limit_of_billed_answer(&headers(&[("overage-in-use", "true")]), now()).unwrap();
        assert_eq!(limit.limit, OVERAGE_LIMIT);
    }

    #[test]
    fn reads_token_of_logged_in_program_and_refuses_expired_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(CREDENTIALS_FILE);
        let login = SubscriptionLogin::ConfigFolder(folder.path().to_owned());
        let at = SystemTime::from(now());
        let error = login.token(at).unwrap_err().to_string();
        assert!(error.contains(".credentials.json cannot be used: the file cannot be read: "), "{error}");
        for text in ["", "{}", "[1]", r#"{"claudeAiOauth":{"accessToken":" "}}"#] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(login.token(at).unwrap_err().reason, NO_LOGIN_REASON, "{text}");
        }
        let write = |expires_at: i64| {
            let text = format!(
                r#"{{"claudeAiOauth":{{"accessToken":"sk-ant-oat01-canary","refreshToken":"r","expiresAt":{expires_at}}}}}"#
            );
            std::fs::write(&file, text).unwrap();
        };
        write(NOW * 1000 + 1);
        assert_eq!(login.token(at).unwrap().expose(), "sk-ant-oat01-canary");
        write(NOW * 1000);
        let error = login.token(at).unwrap_err().to_string();
        assert!(error.ends_with(&format!("expired at {}", now())), "{error}");
        assert!(!format!("{error} {login:?}").contains("canary"));
    }
}
