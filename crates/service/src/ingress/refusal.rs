//! The reasons for refusing a delivery, each with the response to the forge and the text for the log. The
//! response and the log contain no signature and no secret. From the body, they contain at most names and
//! types of fields.

use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use truing_forge::webhook::{DeliveryError, SignatureError};

use super::bounds::MAX_BODY_BYTES;
use crate::mark_batches::MarkError;

/// Number of seconds after which a forge may retry, if the service was too busy to accept the delivery.
const RETRY_SECONDS: u64 = 5;

/// The reason why a delivery is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum DeliveryRefusal {
    /// The source has sent too many deliveries.
    #[error("more than `server.rate_limit` deliveries a second from this source")]
    RateLimited {
        /// Seconds until the source may send again.
        seconds: u64,
    },
    /// The path names a forge that is not configured.
    #[error("no [forge.{0}] is configured")]
    UnknownForge(String),
    /// The signature is missing, malformed or wrong.
    #[error(transparent)]
    BadSignature(SignatureError),
    /// The body is larger than [`MAX_BODY`].
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The content type is neither JSON nor a form.
    #[error("the content type is neither application/json nor application/x-www-form-urlencoded")]
    UnsupportedMediaType,
    /// All bodies together use too much memory.
    #[error("too many large deliveries are arriving at once")]
    BodyMemoryExhausted,
    /// The body arrives too slowly.
    #[error("the body did not arrive in time")]
    BodyTooSlow,
    /// The body ended early, or its chunks are malformed.
    #[error("the body cannot be read: {0}")]
    BodyUnreadable(String),
    /// The body cannot be parsed.
    #[error(transparent)]
    Unparsable(DeliveryError),
    /// The mark could not be made durable.
    #[error(transparent)]
    NotMarked(MarkError),
}

impl DeliveryRefusal {
    /// Returns the status code, the error word for the response, and the seconds after which the forge may
    /// retry.
    fn response_parts(&self) -> (StatusCode, &'static str, Option<u64>) {
        let later = Some(RETRY_SECONDS);
        match self {
            Self::RateLimited { seconds } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", Some(*seconds)),
            Self::UnknownForge(_) => (StatusCode::NOT_FOUND, "unknown_forge", None),
            Self::BadSignature(_) => (StatusCode::UNAUTHORIZED, "bad_signature", None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", None),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", None)
            }
            Self::BodyMemoryExhausted => (StatusCode::SERVICE_UNAVAILABLE, "busy", later),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow", None),
            Self::BodyUnreadable(_) => (StatusCode::BAD_REQUEST, "cut_off", None),
            Self::Unparsable(_) => (StatusCode::BAD_REQUEST, "bad_payload", None),
            Self::NotMarked(MarkError::KillSwitch) => {
                (StatusCode::SERVICE_UNAVAILABLE, "killswitch_engaged", None)
            }
            Self::NotMarked(MarkError::QueueFull) => (StatusCode::SERVICE_UNAVAILABLE, "busy", later),
            Self::NotMarked(MarkError::StoreTimeout | MarkError::Store(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", later)
            }
        }
    }

    /// Returns true if part of the body was not read. In that case the connection has to be closed.
    fn leaves_body_unread(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::UnknownForge(_)
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::BodyMemoryExhausted
            | Self::BodyTooSlow
            | Self::BodyUnreadable(_) => true,
            Self::BadSignature(SignatureError::Mismatch) | Self::Unparsable(_) | Self::NotMarked(_) => false,
            Self::BadSignature(
                SignatureError::NoSecret
                | SignatureError::Missing
                | SignatureError::Repeated
                | SignatureError::Malformed,
            ) => true,
        }
    }

    /// Returns the value of the label `result` of the metric `truing_webhooks_total`.
    pub(super) fn metric_label(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::UnknownForge(_) => "unknown_forge",
            Self::BadSignature(_) => "unauthorized",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType
            | Self::BodyTooSlow
            | Self::BodyUnreadable(_)
            | Self::Unparsable(_) => "bad",
            Self::BodyMemoryExhausted | Self::NotMarked(MarkError::QueueFull) => "busy",
            Self::NotMarked(MarkError::KillSwitch) => "killswitch",
            Self::NotMarked(MarkError::StoreTimeout | MarkError::Store(_)) => "store_down",
        }
    }

    /// Returns true if the store could not record the delivery. If a forge suspends webhooks that fail, it
    /// gets the response 202 in that case, and the sweep finds the change. After a failure, such a forge
    /// would suspend the webhook for hours.
    pub(super) fn is_store_failure(&self) -> bool {
        matches!(self, Self::NotMarked(MarkError::StoreTimeout | MarkError::Store(_)))
    }

    /// Creates the response. If a delivery cannot be parsed, the response names its invalid fields. The
    /// response may name these fields, because only the forge can create a valid signature.
    pub(super) fn to_response(&self) -> Response {
        let (status, word, retry) = self.response_parts();
        let body = match self {
            Self::Unparsable(bad) => json!({ "error": word, "message": bad.to_string() }),
            Self::RateLimited { .. }
            | Self::UnknownForge(_)
            | Self::BadSignature(_)
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::BodyMemoryExhausted
            | Self::BodyTooSlow
            | Self::BodyUnreadable(_)
            | Self::NotMarked(_) => json!({ "error": word }),
        };
        let mut answer = (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        let headers = answer.headers_mut();
        if let Some(seconds) = retry {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.leaves_body_unread() {
            headers.insert(CONNECTION, axum::http::HeaderValue::from_static("close"));
        }
        answer
    }
}
