//! The wire format of a provider ([`WireFormat`]): the path, headers and body of a call, the format of its
//! response, and the parser for its error responses. Logic that does not depend on the provider is in other
//! modules: costs, retries, limits and the order of events.

#[cfg(feature = "aws")]
pub mod bedrock;
mod body;
pub mod chat;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

#[cfg(feature = "aws")]
use self::bedrock::BedrockWire;
use self::chat::ChatWire;
use crate::messages::ModelRequest;
use crate::price::{ModelPrice, ModelPrices};
use crate::retry::{self, ProviderErrorKind};
use crate::stream::StreamFormat;

/// The version of the Messages API.
const API_VERSION: &str = "2023-06-01";

/// The format of a provider's requests and responses.
#[derive(Clone, Debug)]
pub enum WireFormat {
    /// The Messages API itself.
    Messages,
    /// The action `InvokeModelWithResponseStream` of Amazon Bedrock.
    #[cfg(feature = "aws")]
    Bedrock(BedrockWire),
    /// Chat Completions, as supported by OpenAI and many others.
    Chat(ChatWire),
}

/// One call to a provider, without the provider's authorization headers.
#[derive(Clone, Debug)]
pub(crate) struct ProviderCall {
    /// Path that is appended to the provider's address.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The reasons why a request cannot be encoded in a wire format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestEncodeError {
    /// The request cannot be serialized.
    #[error("the request cannot be encoded as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The provider has no id for the model.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    UnknownModel(#[from] bedrock::UnknownModel),
}

/// The type and message in an error response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ProviderErrorDetail {
    /// Type of the error, as the provider names it.
    pub(crate) kind: Option<String>,
    /// Message of the error.
    pub(crate) message: String,
}

impl WireFormat {
    /// Returns the call that requests a streamed response of at most `max_tokens`.
    pub(crate) fn build_answer_call(
        &self,
        request: &ModelRequest,
        max_tokens: u32,
    ) -> Result<ProviderCall, RequestEncodeError> {
        match self {
            Self::Messages => {
                let body = body::messages_body(request, Some(max_tokens))?;
                let mut headers = messages_headers();
                if let Some(program) = &request.program {
                    headers.extend(program.headers.clone());
                }
                Ok(ProviderCall { path: "/v1/messages".to_owned(), headers, body })
            }
            #[cfg(feature = "aws")]
            Self::Bedrock(bedrock) => bedrock.build_answer_call(request, max_tokens),
            Self::Chat(chat) => chat.build_answer_call(request, max_tokens),
        }
    }

    /// Returns the call that requests the number of tokens of a request; `None` if the provider cannot count
    /// tokens.
    pub(crate) fn build_count_call(&self, request: &ModelRequest) -> Option<ProviderCall> {
        match self {
            Self::Messages => {
                let body = body::messages_body(request, None).ok()?;
                Some(ProviderCall {
                    path: "/v1/messages/count_tokens".to_owned(),
                    headers: messages_headers(),
                    body,
                })
            }
            #[cfg(feature = "aws")]
            Self::Bedrock(bedrock) => bedrock.build_count_call(request),
            Self::Chat(_) => None,
        }
    }

    /// Returns the format of responses.
    pub(crate) fn stream_format(&self) -> StreamFormat {
        match self {
            Self::Messages => StreamFormat::Messages,
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => StreamFormat::EventStream,
            Self::Chat(_) => StreamFormat::Chat,
        }
    }

    /// Parses the headers and body of an error response.
    #[cfg_attr(
        not(feature = "aws"),
        expect(unused_variables, reason = "only Bedrock names its errors in a header")
    )]
    pub(crate) fn parse_error_response(&self, headers: &HeaderMap, body: &[u8]) -> ProviderErrorDetail {
        match self {
            Self::Messages => {
                let ErrorDetail { kind, message } =
                    truing_core::json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
                ProviderErrorDetail { kind, message: message.unwrap_or_default() }
            }
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => bedrock::parse_error_detail(headers, body),
            Self::Chat(_) => chat::parse_error_response(body),
        }
    }

    /// Classifies an error by its type and message.
    pub(crate) fn error_kind(&self, name: &str, message: &str) -> ProviderErrorKind {
        match self {
            Self::Messages => retry::error_kind(name, message),
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => {
                bedrock::error_kind(name, message).unwrap_or_else(|| retry::error_kind(name, message))
            }
            Self::Chat(_) => {
                chat::error_kind(name, message).unwrap_or_else(|| retry::error_kind(name, message))
            }
        }
    }

    /// Returns the price of a model at providers with this format; `None` if the price is unknown.
    pub fn price<'a>(&self, prices: &'a ModelPrices, model: &str) -> Option<&'a ModelPrice> {
        prices.find_price(self.price_table_id(model))
    }

    /// Returns the id by which the price table lists a model.
    pub fn price_table_id<'a>(&'a self, model: &'a str) -> &'a str {
        match self {
            Self::Messages => model,
            // Bedrock's prices differ by region, and from the prices of other providers. A price is therefore
            // looked up by Bedrock's own model id.
            #[cfg(feature = "aws")]
            Self::Bedrock(bedrock) => bedrock.model_id(model).unwrap_or(model),
            Self::Chat(_) => model,
        }
    }

    /// Returns true if the provider sends events while the model generates tokens, including while the model
    /// thinks. Servers of Chat Completions may send nothing while the model thinks.
    pub(crate) fn streams_progress(&self) -> bool {
        match self {
            Self::Messages => true,
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => true,
            Self::Chat(_) => false,
        }
    }

    /// Returns true if a response is priced by the model name that it contains, which may differ from the
    /// requested model.
    pub(crate) fn prices_by_answering_model(&self) -> bool {
        match self {
            // The API may select another model by its own rules, and reports the model that answered.
            Self::Messages => true,
            // Bedrock's price of a model depends on the region, and the model name in the response does not
            // contain the region.
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => false,
            // If the request names an alias, a server reports the exact model name or none. The price table
            // may contain only the alias.
            Self::Chat(_) => false,
        }
    }
}

/// Parses the number of tokens from the response to [`WireFormat::build_count_call`].
pub(crate) fn parse_token_count(body: &[u8]) -> Result<u64, serde_json::Error> {
    #[derive(Deserialize)]
    struct TokenCount {
        #[serde(alias = "inputTokens")]
        input_tokens: u64,
    }
    truing_core::json::from_slice(body).map(|TokenCount { input_tokens }| input_tokens)
}

/// Returns the headers of the Messages API.
fn messages_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static("text/event-stream, application/json")),
        (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
    ])
}

/// The body of an error response.
#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    error: ErrorDetail,
}

#[derive(Deserialize, Default)]
struct ErrorDetail {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    message: Option<String>,
}
