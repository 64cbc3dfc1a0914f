//! Why a delivery is refused: what the forge is answered, and what the log says. Neither repeats a signature, a
//! secret or any of the body beyond what a field's name and type are.

use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use truing_forge::webhook::{DeliveryError, SignatureError};

use super::bounds::MAX_BODY;
use crate::marks::MarkError;

/// When a forge may try again what could not be taken now, in seconds.
const RETRY_SECONDS: u64 = 5;

/// Why a delivery is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum DeliveryRefusal {
    /// Too many from this source.
    #[error("more than `server.rate_limit` deliveries a second from this source")]
    Limited {
        /// After how many seconds there is room again.
        seconds: u64,
    },
    /// The route names no configured forge.
    #[error("no [forge.{0}] is configured")]
    UnknownForge(String),
    /// The signature is missing, malformed or wrong.
    #[error(transparent)]
    Unsigned(SignatureError),
    /// Beyond the largest delivery.
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// Neither JSON nor a form.
    #[error("the content type is neither application/json nor application/x-www-form-urlencoded")]
    MediaType,
    /// All bodies together hold too much memory.
    #[error("too many large deliveries are arriving at once")]
    NoMemory,
    /// The body takes too long.
    #[error("the body did not arrive in time")]
    Slow,
    /// The body ended early, or its chunks are malformed.
    #[error("the body cannot be read: {0}")]
    Cut(String),
    /// It cannot be understood.
    #[error(transparent)]
    Bad(DeliveryError),
    /// It could not be made durable.
    #[error(transparent)]
    NotMarked(MarkError),
}

impl DeliveryRefusal {
    /// Status, the word in the answer, and after how many seconds to try again.
    fn form(&self) -> (StatusCode, &'static str, Option<u64>) {
        let later = Some(RETRY_SECONDS);
        match self {
            Self::Limited { seconds } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", Some(*seconds)),
            Self::UnknownForge(_) => (StatusCode::NOT_FOUND, "unknown_forge", None),
            Self::Unsigned(_) => (StatusCode::UNAUTHORIZED, "bad_signature", None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", None),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", None),
            Self::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, "busy", later),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "too_slow", None),
            Self::Cut(_) => (StatusCode::BAD_REQUEST, "cut_off", None),
            Self::Bad(_) => (StatusCode::BAD_REQUEST, "bad_payload", None),
            Self::NotMarked(MarkError::KillSwitch) => {
                (StatusCode::SERVICE_UNAVAILABLE, "killswitch_engaged", None)
            }
            Self::NotMarked(MarkError::Full) => (StatusCode::SERVICE_UNAVAILABLE, "busy", later),
            Self::NotMarked(MarkError::Slow | MarkError::Store(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", later)
            }
        }
    }

    /// Is there a body left that nobody will read?
    fn leaves_a_body(&self) -> bool {
        match self {
            Self::Limited { .. }
            | Self::UnknownForge(_)
            | Self::TooLarge
            | Self::MediaType
            | Self::NoMemory
            | Self::Slow
            | Self::Cut(_) => true,
            Self::Unsigned(SignatureError::Wrong) | Self::Bad(_) | Self::NotMarked(_) => false,
            Self::Unsigned(
                SignatureError::NoSecret
                | SignatureError::Missing
                | SignatureError::Repeated
                | SignatureError::Malformed,
            ) => true,
        }
    }

    /// The word of `truing_webhooks_total`.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Limited { .. } => "rate_limited",
            Self::UnknownForge(_) => "unknown_forge",
            Self::Unsigned(_) => "unauthorized",
            Self::TooLarge => "too_large",
            Self::MediaType | Self::Slow | Self::Cut(_) | Self::Bad(_) => "bad",
            Self::NoMemory | Self::NotMarked(MarkError::Full) => "busy",
            Self::NotMarked(MarkError::KillSwitch) => "killswitch",
            Self::NotMarked(MarkError::Slow | MarkError::Store(_)) => "store_down",
        }
    }

    /// Is it the store that could not take it? A forge that calls a refused webhook less and less is then answered 202: the sweep
    /// makes up for this delivery, instead of for hours without any.
    pub(super) fn is_of_the_store(&self) -> bool {
        matches!(self, Self::NotMarked(MarkError::Slow | MarkError::Store(_)))
    }

    /// The answer. The fields of a delivery that cannot be understood are told: whoever signed it may know.
    pub(super) fn answer(&self) -> Response {
        let (status, word, retry) = self.form();
        let body = match self {
            Self::Bad(bad) => json!({ "error": word, "message": bad.to_string() }),
            Self::Limited { .. }
            | Self::UnknownForge(_)
            | Self::Unsigned(_)
            | Self::TooLarge
            | Self::MediaType
            | Self::NoMemory
            | Self::Slow
            | Self::Cut(_)
            | Self::NotMarked(_) => json!({ "error": word }),
        };
        let mut answer = (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        let headers = answer.headers_mut();
        if let Some(seconds) = retry {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.leaves_a_body() {
            headers.insert(CONNECTION, axum::http::HeaderValue::from_static("close"));
        }
        answer
    }
}
