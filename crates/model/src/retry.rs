//! The decision after a failed attempt (retry, open the circuit, refuse), and the wait before a retry.
//! [`decide_retry`] is the retry table, which maps failures to decisions. All functions are pure.
//!
//! Providers support no idempotency keys, so a retry may generate a second response, which is billed again.

use std::time::Duration;

use crate::subscription::ReachedUsageLimit;

/// If a provider requests a wait of at most this time, Truing assumes an ordinary rate limit, because such
/// limits apply to one minute. If the requested wait is longer, Truing assumes a spending cap.
pub const MAX_RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);
/// Wait before the second attempt. The wait doubles before each further attempt, up to [`MAX_DOUBLINGS`]
/// times.
pub const INITIAL_RETRY_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of times that a wait is doubled.
pub const MAX_DOUBLINGS: u32 = 4;

/// The cause of a failed attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FailureCause {
    /// No connection could be opened to the provider, or to the service that issues credentials for the
    /// provider. The request was not sent.
    Unsent,
    /// There are no credentials to sign the request, so the request was not sent.
    NoKeys,
    /// The connection was closed, or a timeout passed, before a response began.
    NoResponse,
    /// The response has an error status.
    ErrorStatus(ErrorResponse),
    /// The response reports that a usage limit of the subscription is reached.
    UsageLimit(ReachedUsageLimit),
    /// The response began and broke off, or stalled for too long.
    Truncated,
    /// The response began, and then contained an error from the provider.
    ErrorEvent(ProviderErrorKind),
    /// The response exceeded its total time limit.
    TotalTimeout,
    /// The bytes of the response were damaged on their way.
    DamagedResponse,
    /// The response does not conform to the provider's API.
    InvalidResponse,
}

/// An attempt that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FailedAttempt {
    /// Cause of the failure, from which the retry table derives the decision.
    pub(crate) cause: FailureCause,
    /// Message about the failure, for people.
    pub(crate) message: String,
}

/// The data of an error response on which the retry decision depends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorResponse {
    pub status: u16,
    /// Kind of error, from its type and message.
    pub kind: ProviderErrorKind,
    /// Wait that the provider requests.
    pub retry_after: Option<Duration>,
    /// Value of the header `x-should-retry`.
    pub should_retry: Option<bool>,
}

/// The kinds of errors that the retry table distinguishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderErrorKind {
    /// A temporary failure: `overloaded_error`, `api_error`, `timeout_error`.
    Temporary,
    /// A rate limit: `rate_limit_error`.
    RateLimit,
    /// A spending limit: `billing_error` and other types about money.
    SpendingLimit,
    /// A refused key: `authentication_error`, `permission_error`.
    KeyRefused,
    /// A request that is too long: `request_too_large`, or a message that the prompt is too long.
    TooLong,
    /// An invalid request: `invalid_request_error`, `not_found_error`.
    InvalidRequest,
    /// Another error type, or no type. The decision then depends only on the HTTP status.
    Other,
}

/// The decision after a failed attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryDecision {
    /// Retry, after at least this wait.
    Retry(Option<Duration>),
    /// Retry once. If the same happens again, the response does not conform to the provider's API.
    RetryOnce,
    /// Do not retry, because the provider is unavailable for at least this time.
    Unavailable(Option<Duration>),
    /// A spending cap is reached. Open the circuit breaker for this time; if `None`, for the default time.
    SpendCap(Option<Duration>),
    /// A usage limit of the subscription is reached, so no request is made until it resets.
    UsageLimit(ReachedUsageLimit),
    /// The key is invalid or lacks a permission.
    KeyRefused,
    /// The request is invalid.
    InvalidRequest,
    /// The request is too long.
    TooLong,
    /// The response does not conform to the provider's API.
    InvalidResponse,
}

/// Returns the retry table's decision for a failure.
pub fn decide_retry(cause: &FailureCause) -> RetryDecision {
    match cause {
        FailureCause::Unsent | FailureCause::NoResponse | FailureCause::Truncated => {
            RetryDecision::Retry(None)
        }
        FailureCause::TotalTimeout => RetryDecision::Unavailable(None),
        FailureCause::NoKeys => RetryDecision::KeyRefused,
        FailureCause::DamagedResponse => RetryDecision::RetryOnce,
        FailureCause::InvalidResponse => RetryDecision::InvalidResponse,
        FailureCause::ErrorEvent(
            ProviderErrorKind::Temporary | ProviderErrorKind::RateLimit | ProviderErrorKind::Other,
        ) => RetryDecision::Retry(None),
        FailureCause::ErrorEvent(ProviderErrorKind::SpendingLimit) => RetryDecision::SpendCap(None),
        FailureCause::ErrorEvent(ProviderErrorKind::KeyRefused) => RetryDecision::KeyRefused,
        FailureCause::ErrorEvent(ProviderErrorKind::TooLong) => RetryDecision::TooLong,
        FailureCause::ErrorEvent(ProviderErrorKind::InvalidRequest) => RetryDecision::InvalidRequest,
        FailureCause::ErrorStatus(status) => decide_refusal(status),
        FailureCause::UsageLimit(limit) => RetryDecision::UsageLimit(*limit),
    }
}

fn decide_refusal(response: &ErrorResponse) -> RetryDecision {
    let is_long = response.retry_after.is_some_and(|after| after > MAX_RATE_LIMIT_WAIT);
    match (response.status, response.kind) {
        (402, _) | (400..=499, ProviderErrorKind::SpendingLimit) => {
            RetryDecision::SpendCap(response.retry_after)
        }
        (403 | 429, _) if is_long => RetryDecision::SpendCap(response.retry_after),
        (401 | 403, _) | (400, ProviderErrorKind::KeyRefused) => RetryDecision::KeyRefused,
        (413, _) | (400 | 422, ProviderErrorKind::TooLong) => RetryDecision::TooLong,
        // Amazon Bedrock uses the status 424 for a failure of the model's backend.
        (408 | 409 | 429 | 500..=599, _) | (424, ProviderErrorKind::Temporary) => {
            decide_transient(response, true)
        }
        (400..=499, _) => decide_transient(response, false),
        // A success status other than 200, or a redirect. Redirects are not followed, because the new address
        // would receive the key.
        (_, _) => RetryDecision::InvalidResponse,
    }
}

/// Decides how to continue after an error response that may be temporary. The response's header
/// `x-should-retry` states whether the error is temporary. Without this header, `usually` states whether the
/// error is temporary.
fn decide_transient(response: &ErrorResponse, is_transient_by_default: bool) -> RetryDecision {
    let is_long = response.retry_after.is_some_and(|after| after > MAX_RATE_LIMIT_WAIT);
    match (response.should_retry.unwrap_or(is_transient_by_default), is_transient_by_default) {
        (true, _) if is_long => RetryDecision::Unavailable(response.retry_after),
        (true, _) => RetryDecision::Retry(response.retry_after),
        (false, true) => RetryDecision::Unavailable(response.retry_after),
        (false, false) => RetryDecision::InvalidRequest,
    }
}

/// Classifies an error by its type and message.
pub fn error_kind(name: &str, message: &str) -> ProviderErrorKind {
    match name {
        "overloaded_error" | "api_error" | "timeout_error" | "conflict_error" => ProviderErrorKind::Temporary,
        "rate_limit_error" => ProviderErrorKind::RateLimit,
        "authentication_error" => ProviderErrorKind::KeyRefused,
        name if reports_spending_limit(name) => ProviderErrorKind::SpendingLimit,
        "permission_error" => ProviderErrorKind::KeyRefused,
        "request_too_large" => ProviderErrorKind::TooLong,
        "invalid_request_error" if message.starts_with("prompt is too long") => ProviderErrorKind::TooLong,
        // This is the only billing error whose type does not identify it as a billing error.
        "invalid_request_error" if message.starts_with("Your credit balance is too low") => {
            ProviderErrorKind::SpendingLimit
        }
        "invalid_request_error" | "not_found_error" => ProviderErrorKind::InvalidRequest,
        _ => ProviderErrorKind::Other,
    }
}

/// Returns true if an error type reports a spending limit, of the API or of a gateway in front of the API.
fn reports_spending_limit(name: &str) -> bool {
    ["billing", "spend", "budget", "credit", "insufficient_quota"].iter().any(|word| name.contains(word))
}

/// Returns the wait after the `failed_attempts`-th failed attempt (from 1). Before the random part, the wait
/// doubles with each failed attempt. Up to a quarter of the wait is subtracted, depending on `seed`, so runs
/// do not all retry at the same time. The result is at least the wait that the provider requests.
pub fn retry_delay(
    initial_delay: Duration,
    failed_attempts: u32,
    requested_delay: Option<Duration>,
    seed: u64,
) -> Duration {
    let doubled = initial_delay.saturating_mul(1 << failed_attempts.saturating_sub(1).min(MAX_DOUBLINGS));
    let spread = u32::try_from(mix_seed(seed, u64::from(failed_attempts)) % 256).unwrap_or(0);
    let own = doubled.saturating_sub(doubled / 1024 * spread);
    own.max(requested_delay.unwrap_or_default())
}

/// Returns a pseudo-random number: the finalizer of SplitMix64.
fn mix_seed(seed: u64, n: u64) -> u64 {
    let mut z = seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT_RETRY_AFTER: Option<Duration> = Some(Duration::from_secs(60));
    const LONG_RETRY_AFTER: Option<Duration> = Some(Duration::from_secs(61));

    fn status(
        status: u16,
        kind: ProviderErrorKind,
        retry_after: Option<Duration>,
        retry: Option<bool>,
    ) -> RetryDecision {
        decide_retry(&FailureCause::ErrorStatus(ErrorResponse {
            status,
            kind,
            retry_after,
            should_retry: retry,
        }))
    }

    #[test]
    fn every_status_has_its_row() {
        use RetryDecision::*;
        let kinds = [
            ProviderErrorKind::Temporary,
            ProviderErrorKind::RateLimit,
            ProviderErrorKind::KeyRefused,
            ProviderErrorKind::TooLong,
            ProviderErrorKind::InvalidRequest,
            ProviderErrorKind::Other,
        ];
        for code in 100..=999 {
            for kind in kinds {
                let expected = match (code, kind) {
                    (401 | 403, _) | (400, ProviderErrorKind::KeyRefused) => KeyRefused,
                    (402, _) => SpendCap(None),
                    (413, _) | (400 | 422, ProviderErrorKind::TooLong) => TooLong,
                    (408 | 409 | 429, _) | (500..=599, _) | (424, ProviderErrorKind::Temporary) => {
                        Retry(None)
                    }
                    (400..=499, _) => InvalidRequest,
                    _ => InvalidResponse,
                };
                assert_eq!(status(code, kind, None, None), expected, "{code} {kind:?}");
            }
        }
    }

    #[test]
    fn a_cap_on_spending_is_not_a_rate_limit() {
        for code in 400..=499 {
            assert_eq!(
                status(code, ProviderErrorKind::SpendingLimit, SHORT_RETRY_AFTER, Some(true)),
                RetryDecision::SpendCap(SHORT_RETRY_AFTER),
                "{code}"
            );
        }
        for code in [403, 429] {
            assert_eq!(
                status(code, ProviderErrorKind::RateLimit, LONG_RETRY_AFTER, None),
                RetryDecision::SpendCap(LONG_RETRY_AFTER)
            );
        }
        assert_eq!(
            status(429, ProviderErrorKind::RateLimit, SHORT_RETRY_AFTER, None),
            RetryDecision::Retry(SHORT_RETRY_AFTER)
        );
        assert_eq!(
            status(403, ProviderErrorKind::KeyRefused, SHORT_RETRY_AFTER, None),
            RetryDecision::KeyRefused
        );
        // A server error with a long requested wait is an outage, not a spending cap.
        assert_eq!(
            status(503, ProviderErrorKind::Temporary, LONG_RETRY_AFTER, None),
            RetryDecision::Unavailable(LONG_RETRY_AFTER)
        );
        assert_eq!(
            decide_retry(&FailureCause::ErrorEvent(ProviderErrorKind::SpendingLimit)),
            RetryDecision::SpendCap(None)
        );
    }

    #[test]
    fn the_provider_may_say_whether_to_try_again_but_not_with_a_wrong_key() {
        for code in [408, 409, 429, 500, 503, 529] {
            assert_eq!(
                status(code, ProviderErrorKind::Other, SHORT_RETRY_AFTER, Some(false)),
                RetryDecision::Unavailable(SHORT_RETRY_AFTER),
                "{code}"
            );
            assert_eq!(
                status(code, ProviderErrorKind::Other, SHORT_RETRY_AFTER, Some(true)),
                RetryDecision::Retry(SHORT_RETRY_AFTER),
                "{code}"
            );
        }
        for code in [400, 404, 422] {
            assert_eq!(
                status(code, ProviderErrorKind::InvalidRequest, None, Some(true)),
                RetryDecision::Retry(None),
                "{code}"
            );
        }
        for code in [401, 403] {
            assert_eq!(
                status(code, ProviderErrorKind::KeyRefused, None, Some(true)),
                RetryDecision::KeyRefused,
                "{code}"
            );
        }
        assert_eq!(status(413, ProviderErrorKind::TooLong, None, Some(true)), RetryDecision::TooLong);
    }

    #[test]
    fn what_has_no_status_has_its_row_too() {
        for seen in [
            FailureCause::Unsent,
            FailureCause::NoResponse,
            FailureCause::Truncated,
            FailureCause::ErrorEvent(ProviderErrorKind::Temporary),
            FailureCause::ErrorEvent(ProviderErrorKind::Other),
        ] {
            assert_eq!(decide_retry(&seen), RetryDecision::Retry(None), "{seen:?}");
        }
        assert_eq!(
            decide_retry(&FailureCause::ErrorEvent(ProviderErrorKind::RateLimit)),
            RetryDecision::Retry(None)
        );
        assert_eq!(
            decide_retry(&FailureCause::ErrorEvent(ProviderErrorKind::InvalidRequest)),
            RetryDecision::InvalidRequest
        );
        assert_eq!(
            decide_retry(&FailureCause::ErrorEvent(ProviderErrorKind::TooLong)),
            RetryDecision::TooLong
        );
        assert_eq!(
            decide_retry(&FailureCause::ErrorEvent(ProviderErrorKind::KeyRefused)),
            RetryDecision::KeyRefused
        );
        assert_eq!(decide_retry(&FailureCause::TotalTimeout), RetryDecision::Unavailable(None));
        assert_eq!(decide_retry(&FailureCause::NoKeys), RetryDecision::KeyRefused);
        assert_eq!(decide_retry(&FailureCause::DamagedResponse), RetryDecision::RetryOnce);
        assert_eq!(decide_retry(&FailureCause::InvalidResponse), RetryDecision::InvalidResponse);
    }

    #[test]
    fn types_are_told_apart() {
        for (name, words, expected) in [
            ("overloaded_error", "", ProviderErrorKind::Temporary),
            ("api_error", "", ProviderErrorKind::Temporary),
            ("timeout_error", "", ProviderErrorKind::Temporary),
            ("rate_limit_error", "", ProviderErrorKind::RateLimit),
            ("billing_error", "", ProviderErrorKind::SpendingLimit),
            ("spend_limit_reached", "", ProviderErrorKind::SpendingLimit),
            ("budget_exceeded", "", ProviderErrorKind::SpendingLimit),
            (
                "invalid_request_error",
                "Your credit balance is too low to access the API",
                ProviderErrorKind::SpendingLimit,
            ),
            ("invalid_request_error", "prompt is too long: 3 tokens > 2 maximum", ProviderErrorKind::TooLong),
            ("request_too_large", "", ProviderErrorKind::TooLong),
            ("invalid_request_error", "messages: required", ProviderErrorKind::InvalidRequest),
            ("not_found_error", "", ProviderErrorKind::InvalidRequest),
            ("authentication_error", "", ProviderErrorKind::KeyRefused),
            ("permission_error", "", ProviderErrorKind::KeyRefused),
            ("", "", ProviderErrorKind::Other),
            ("a_new_error", "", ProviderErrorKind::Other),
        ] {
            assert_eq!(error_kind(name, words), expected, "{name}");
        }
    }

    #[test]
    fn waits_double_up_to_a_bound_and_differ_by_seed() {
        for tries in 1..=40 {
            let most = Duration::from_millis(500 << (tries - 1).min(4));
            for seed in 0..50 {
                let wait = retry_delay(INITIAL_RETRY_DELAY, tries, None, seed);
                assert!(wait <= most && wait >= most * 3 / 4, "{tries} {wait:?}");
            }
        }
        assert!(
            (0..50)
                .map(|seed| retry_delay(INITIAL_RETRY_DELAY, 3, None, seed))
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                > 10
        );
        assert_eq!(retry_delay(INITIAL_RETRY_DELAY, 1, SHORT_RETRY_AFTER, 7), Duration::from_secs(60));
        // The waits between ten attempts fit into the time limit of 45 seconds.
        let all: Duration = (1..10).map(|tries| retry_delay(INITIAL_RETRY_DELAY, tries, None, 3)).sum();
        assert!(all < Duration::from_secs(45), "{all:?}");
    }
}
