//! Builds error messages about AWS credentials that could not be fetched. The messages list the sources that
//! were tried and the requests that were sent, and give advice.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;
use jiff::{SignedDuration, Timestamp};
use truing_core::line;

use super::error_body::AwsErrorBody;
use super::http::{ExchangeResult, HttpExchange, UNPROTECTED_ADDRESS_MESSAGE};
use super::variables::AwsVariables;

/// Largest accepted difference between the clocks of this machine and the service. AWS rejects a signature
/// whose time differs by more than five minutes.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(4);
/// Maximum number of characters of the AWS library's message that are shown.
const MAX_QUOTED_CHARS: usize = 300;

/// Codes of errors in STS itself. After such an error, the same request may succeed a moment later.
const TRANSIENT_STS_CODES: [&str; 6] = [
    "IDPCommunicationError",
    "InternalFailure",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
];

/// The reason why there are no credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AwsKeyError {
    /// Description of the failure, for people.
    pub(crate) message: String,
    /// True if the failure may be temporary: a service is unreachable or fails, and may return credentials a
    /// moment later.
    pub(crate) is_transient: bool,
}

impl AwsKeyError {
    /// Returns an error that persists until an operator fixes its cause.
    pub(super) fn new_permanent(message: String) -> Self {
        Self { message, is_transient: false }
    }
}

/// Describes why there are no credentials. `had_keys` is true if an earlier fetch succeeded.
pub(super) fn key_error(
    error: &CredentialsError,
    exchanges: &[HttpExchange],
    variables: &AwsVariables,
    had_keys: bool,
    now: SystemTime,
) -> AwsKeyError {
    let last = exchanges.last();
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        // The failure of a metadata service that has never responded counts as permanent. The service
        // probably does not exist, because most machines are not EC2 instances.
        let is_passing = last.is_some_and(|last| (had_keys || last.has_response()) && is_transient(last));
        return AwsKeyError {
            message: describe_missing_keys(error, exchanges, variables),
            is_transient: is_passing,
        };
    }
    match last {
        Some(last) if last.has_failed() => {
            AwsKeyError { message: describe_exchange(last, variables, now), is_transient: is_transient(last) }
        }
        // The request succeeded, but its response contains no credentials.
        Some(last) => AwsKeyError::new_permanent(format!(
            "{} returned no credentials: {}",
            describe_service(last),
            library_message(error)
        )),
        None => AwsKeyError::new_permanent(describe_local_failure(error, variables)),
    }
}

/// Returns true if a service is unreachable or fails; false if it refuses the request.
fn is_transient(exchange: &HttpExchange) -> bool {
    match &exchange.result {
        ExchangeResult::Response { status, refusal, .. } => {
            matches!(status, 408 | 429 | 500..=599) || TRANSIENT_STS_CODES.contains(&refusal.code.as_str())
        }
        ExchangeResult::NoResponse(_) => true,
        ExchangeResult::UnprotectedAddress => false,
    }
}

/// Describes a failure before any request was sent.
fn describe_local_failure(error: &CredentialsError, variables: &AwsVariables) -> String {
    let Some(cause) = find_cause::<io::Error>(error) else {
        return format!("{}: {}", describe_profile(variables), library_message(error));
    };
    let names = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
    let file = names
        .into_iter()
        .find_map(|name| Some((name, variables.get(name)?)).filter(|(_, path)| std::fs::read(path).is_err()));
    match file {
        Some((name, path)) => format!("the token in {path} ({name}) cannot be read: {cause}"),
        None => format!("a file to which {} refers cannot be read: {cause}", describe_profile(variables)),
    }
}

/// Describes a timeout of the fetch.
pub(super) fn timeout_error(exchanges: &[HttpExchange], timeout: Duration) -> AwsKeyError {
    let last = exchanges.last().map(|exchange| format!("; the last request was to {}", exchange.address));
    let is_passing = last.is_some();
    let last = last.unwrap_or_else(|| ": does the profile's `credential_process` wait for input?".to_owned());
    AwsKeyError {
        message: format!("no AWS credentials arrived within {} s{last}", timeout.as_secs()),
        is_transient: is_passing,
    }
}

/// Describes credentials that were already expired when they arrived.
pub(super) fn expired_keys_error(exchanges: &[HttpExchange], now: SystemTime) -> AwsKeyError {
    let by = exchanges.last().map_or_else(
        || "an AWS profile returned".to_owned(),
        |exchange| format!("{} gives", describe_service(exchange)),
    );
    let skew = exchanges.iter().rev().find_map(|exchange| match &exchange.result {
        ExchangeResult::Response { date, .. } => describe_clock_skew(*date, now),
        ExchangeResult::NoResponse(_) | ExchangeResult::UnprotectedAddress => None,
    });
    let clock = skew.map(|words| format!(": {words}")).unwrap_or_default();
    AwsKeyError::new_permanent(format!("{by} expired credentials{clock}"))
}

/// Returns a hint about the difference between the clocks if the time of the request may have caused the
/// refusal. `date` is the service's time.
pub(crate) fn clock_skew_hint(
    code: &str,
    message: &str,
    date: Option<Timestamp>,
    now: SystemTime,
) -> Option<String> {
    let is_of_time = ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"].contains(&code);
    let is_of_signature = ["SignatureDoesNotMatch", "InvalidSignatureException"].contains(&code);
    let says = ["signature expired", "signature not yet current", "request has expired"];
    let says = says.iter().any(|words| message.to_ascii_lowercase().contains(words));
    if !is_of_time && !is_of_signature && !says {
        return None;
    }
    match describe_clock_skew(date, now) {
        Some(words) => Some(words),
        None if is_of_time || says => Some("is this machine's clock right?".to_owned()),
        None => None,
    }
}

fn describe_clock_skew(date: Option<Timestamp>, now: SystemTime) -> Option<String> {
    let ahead = Timestamp::try_from(now).ok()?.duration_since(date?);
    if ahead.abs() < MAX_CLOCK_SKEW {
        return None;
    }
    let by = match ahead.abs() {
        long if long >= SignedDuration::from_hours(2) => line::format_count(long.as_hours(), "hour"),
        // The time difference is rounded to the nearest minute, because the response states the time only to
        // the second.
        short => line::format_count(short.saturating_add(SignedDuration::from_secs(30)).as_mins(), "minute"),
    };
    let way = if ahead.is_positive() { "ahead of" } else { "behind" };
    Some(format!("this machine's clock is {by} {way} the clock of AWS: correct this machine's clock"))
}

/// Describes the service that received the request.
fn describe_service(exchange: &HttpExchange) -> String {
    let name = match (exchange.is_sts, exchange.request_line.contains("/latest/")) {
        (true, _) => "AWS STS",
        (false, true) => "the metadata service of this instance",
        (false, false) => "the credentials service of this container",
    };
    format!("{name} ({})", exchange.address)
}

/// Describes a failed request.
fn describe_exchange(exchange: &HttpExchange, variables: &AwsVariables, now: SystemTime) -> String {
    let service = describe_service(exchange);
    let (status, date, refusal) = match &exchange.result {
        ExchangeResult::NoResponse(cause) => return format!("{service} cannot be reached: {cause}"),
        ExchangeResult::UnprotectedAddress => {
            return format!("Truing does not contact {service}: {UNPROTECTED_ADDRESS_MESSAGE}");
        }
        ExchangeResult::Response { status, date, refusal } => (*status, *date, refusal),
    };
    let says = describe_refusal(status, refusal);
    let code = refusal.code.as_str();
    if let Some(clock) = clock_skew_hint(code, &refusal.message, date, now) {
        return format!("{service} refuses the signature ({says}): {clock}");
    }
    let token_file = |name: &str| match variables.get(name) {
        Some(path) => format!("the token in {path} ({name})"),
        None => format!("the token of {}", describe_profile(variables)),
    };
    let of_token = ["ExpiredTokenException", "InvalidIdentityToken", "IDPRejectedClaim"].contains(&code);
    match (&exchange.role, exchange.is_sts) {
        (Some(_), true) if of_token => {
            let token = token_file("AWS_WEB_IDENTITY_TOKEN_FILE");
            format!(
                "{service} refuses {token}: {says}; check that the token file is renewed, and that the \
                    token has the right audience"
            )
        }
        (Some(role), true) if code.starts_with("AccessDenied") => {
            format!("{service} refuses the role {role}: {says}; does its trust policy allow this identity?")
        }
        (Some(role), true) => format!("{service} does not grant the role {role}: {says}"),
        (_, false)
            if [401, 403].contains(&status)
                && variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").is_some() =>
        {
            let token = token_file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
            format!("{service} refuses {token}: {says}")
        }
        (_, _) => format!("{service} returns no credentials: {says}"),
    }
}

fn describe_refusal(status: u16, AwsErrorBody { code, message }: &AwsErrorBody) -> String {
    let words = [code.as_str(), message.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
    if words.is_empty() {
        format!("status {status}")
    } else {
        format!("status {status}, {}", words.join(": "))
    }
}

/// Describes that no source has credentials, and lists all sources that were tried.
fn describe_missing_keys(
    error: &CredentialsError,
    exchanges: &[HttpExchange],
    variables: &AwsVariables,
) -> String {
    let web = match (variables.get("AWS_WEB_IDENTITY_TOKEN_FILE"), variables.get("AWS_ROLE_ARN")) {
        (Some(_), None) => "AWS_WEB_IDENTITY_TOKEN_FILE (without AWS_ROLE_ARN)",
        (_, _) => "AWS_WEB_IDENTITY_TOKEN_FILE (not set)",
    };
    let metadata =
        if variables.get("AWS_EC2_METADATA_DISABLED").is_some_and(|is| is.eq_ignore_ascii_case("true")) {
            "an instance's metadata (disabled by AWS_EC2_METADATA_DISABLED)".to_owned()
        } else {
            let seen = exchanges.last().map(|exchange| match &exchange.result {
                ExchangeResult::NoResponse(cause) => {
                    format!(" at {} ({})", exchange.address, line::clean_line(cause, 80))
                }
                ExchangeResult::Response { status, refusal, .. } => {
                    format!(" at {} ({})", exchange.address, describe_refusal(*status, refusal))
                }
                ExchangeResult::UnprotectedAddress => {
                    format!(" at {} ({UNPROTECTED_ADDRESS_MESSAGE})", exchange.address)
                }
            });
            format!("an instance's metadata{}", seen.unwrap_or_default())
        };
    let of_profile = find_cause::<ProviderChainError<CredentialsError>>(error)
        .and_then(|chain| chain.attempts().iter().find(|attempt| attempt.name() == "Profile"))
        .and_then(|attempt| attempt.error().source())
        .map(|cause| format!(" ({})", line::clean_line(&cause.to_string(), 80)));
    format!(
        "no AWS credentials were found: checked AWS_ACCESS_KEY_ID (not set), {}{}, {web}, \
            AWS_CONTAINER_CREDENTIALS_FULL_URI (not set), {metadata}",
        describe_profile(variables),
        of_profile.unwrap_or_default(),
    )
}

fn describe_profile(variables: &AwsVariables) -> String {
    let [config, credentials] = variables.profile_files();
    format!("profile `{}` of {config} and {credentials}", variables.profile())
}

/// Returns the first error in the chain of causes that has this type.
fn find_cause<T: Error + 'static>(error: &CredentialsError) -> Option<&T> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Returns the innermost message of the library's error.
fn library_message(error: &CredentialsError) -> String {
    let mut last = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        last = error.to_string();
        cause = error.source();
    }
    line::clean_line(&last, MAX_QUOTED_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_time(seconds: i64) -> SystemTime {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap().into()
    }

    #[test]
    fn a_wrong_clock_is_named_by_how_much() {
        let date = Timestamp::from_second(1_800_000_000).ok();
        let expired = "Signature expired: 20270115T071300Z is now earlier than 20270115T075500Z";
        for (code, message, seconds, expected) in [
            ("InvalidSignatureException", expired, -1020, Some("17 minutes behind")),
            ("RequestTimeTooSkewed", "", 3 * 3600, Some("3 hours ahead of")),
            (
                "SignatureDoesNotMatch",
                "The request signature we calculated",
                600,
                Some("10 minutes ahead of"),
            ),
            ("RequestTimeTooSkewed", "", 30, Some("clock right?")),
            // AWS also returns this error code for a wrong secret key.
            ("SignatureDoesNotMatch", "The request signature we calculated", 30, None),
            ("AccessDenied", "", 3600, None),
        ] {
            let words = clock_skew_hint(code, message, date, test_time(seconds));
            match expected {
                Some(expected) => {
                    assert!(words.as_ref().is_some_and(|words| words.contains(expected)), "{words:?}");
                }
                None => assert_eq!(words, None, "{code}"),
            }
        }
        assert!(clock_skew_hint("RequestTimeTooSkewed", "", None, test_time(0)).is_some());
    }
}
