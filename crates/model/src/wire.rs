//! The form in which a provider is asked and answers ([`WireFormat`]): the path, headers and body of a call, the way in which
//! its answer comes, and how a refusal is read. What is the same for all providers (money, tries, bounds, the order of
//! events) is not here.

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

/// The form in which a provider is asked and answers.
#[derive(Clone, Debug)]
pub enum WireFormat {
    /// The Messages API.
    Messages,
    /// `InvokeModelWithResponseStream` of Amazon Bedrock.
    #[cfg(feature = "aws")]
    Bedrock(BedrockWire),
    /// Chat Completions, as OpenAI and many others have them.
    Chat(ChatWire),
}

/// One call as it is sent, but for what opens the provider.
#[derive(Clone, Debug)]
pub(crate) struct ProviderCall {
    /// The path that is added to the provider's address.
    pub(crate) path: String,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Reasons for which a request cannot be sent in this form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestEncodeError {
    /// It cannot be written.
    #[error("it is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The provider has no name for its model.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    Model(#[from] bedrock::UnknownModel),
}

/// The content of a refusal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ProviderRefusal {
    /// The error's type, as the provider names it.
    pub(crate) name: Option<String>,
    /// Its words.
    pub(crate) words: String,
}

impl WireFormat {
    /// The call that asks for an answer of at most `max_tokens`, streamed.
    pub(crate) fn answer(
        &self,
        request: &ModelRequest,
        max_tokens: u32,
    ) -> Result<ProviderCall, RequestEncodeError> {
        match self {
            Self::Messages => {
                let body = body::messages(request, Some(max_tokens))?;
                Ok(ProviderCall { path: "/v1/messages".to_owned(), headers: messages(), body })
            }
            #[cfg(feature = "aws")]
            Self::Bedrock(bedrock) => bedrock.answer(request, max_tokens),
            Self::Chat(chat) => chat.answer(request, max_tokens),
        }
    }

    /// The call that asks for the number of tokens of a request; none: the provider does not count.
    pub(crate) fn count(&self, request: &ModelRequest) -> Option<ProviderCall> {
        match self {
            Self::Messages => {
                let body = body::messages(request, None).ok()?;
                Some(ProviderCall { path: "/v1/messages/count_tokens".to_owned(), headers: messages(), body })
            }
            #[cfg(feature = "aws")]
            Self::Bedrock(bedrock) => bedrock.count(request),
            Self::Chat(_) => None,
        }
    }

    /// The way in which an answer comes.
    pub(crate) fn form(&self) -> StreamFormat {
        match self {
            Self::Messages => StreamFormat::Messages,
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => StreamFormat::EventStream,
            Self::Chat(_) => StreamFormat::Chat,
        }
    }

    /// Reads a refusal.
    #[cfg_attr(
        not(feature = "aws"),
        expect(unused_variables, reason = "only Bedrock names its errors in a header")
    )]
    pub(crate) fn refusal(&self, headers: &HeaderMap, body: &[u8]) -> ProviderRefusal {
        match self {
            Self::Messages => {
                let ErrorWords { kind, message } =
                    serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
                ProviderRefusal { name: kind, words: message.unwrap_or_default() }
            }
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => bedrock::refusal(headers, body),
            Self::Chat(_) => chat::refusal(body),
        }
    }

    /// The meaning of an error's type and its words.
    pub(crate) fn kind(&self, name: &str, words: &str) -> ProviderErrorKind {
        match self {
            Self::Messages => retry::kind(name, words),
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => bedrock::kind(name, words).unwrap_or_else(|| retry::kind(name, words)),
            Self::Chat(_) => chat::kind(name, words).unwrap_or_else(|| retry::kind(name, words)),
        }
    }

    /// The price of a model that is asked in this form; none: it is not known.
    pub fn price<'a>(&self, prices: &'a ModelPrices, model: &str) -> Option<&'a ModelPrice> {
        prices.of(self.priced_as(model))
    }

    /// The name by which prices know a model that is asked in this form.
    pub fn priced_as<'a>(&'a self, model: &'a str) -> &'a str {
        match self {
            Self::Messages => model,
            // What a model costs there differs by region, and from its price elsewhere: its own id alone counts.
            #[cfg(feature = "aws")]
            Self::Bedrock(bedrock) => bedrock.id(model).unwrap_or(model),
            Self::Chat(_) => model,
        }
    }

    /// Tells whether a stream has begun, and moves, while a model writes or thinks. Servers of Chat Completions think in silence.
    pub(crate) fn shows_what_is_written(&self) -> bool {
        match self {
            Self::Messages => true,
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => true,
            Self::Chat(_) => false,
        }
    }

    /// Is an answer by another model than was asked for priced by that one's name?
    pub(crate) fn prices_who_answers(&self) -> bool {
        match self {
            // By rules of its own, and says so.
            Self::Messages => true,
            // It has one price for a model in each region, and the answer does not name the region.
            #[cfg(feature = "aws")]
            Self::Bedrock(_) => false,
            // A server answers by the exact name of what an alias stands for, or by none.
            Self::Chat(_) => false,
        }
    }
}

/// The number of tokens, from the answer to [`WireFormat::count`].
pub(crate) fn counted(body: &[u8]) -> Result<u64, serde_json::Error> {
    #[derive(Deserialize)]
    struct TokenCount {
        #[serde(alias = "inputTokens")]
        input_tokens: u64,
    }
    serde_json::from_slice(body).map(|TokenCount { input_tokens }| input_tokens)
}

/// The headers of the Messages API.
fn messages() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static("text/event-stream, application/json")),
        (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
    ])
}

/// The body of a refusal.
#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    error: ErrorWords,
}

#[derive(Deserialize, Default)]
struct ErrorWords {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    message: Option<String>,
}
