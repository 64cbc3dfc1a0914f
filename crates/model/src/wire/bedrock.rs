//! The wire format of Amazon Bedrock. The address contains Bedrock's own model id. The body is that of the
//! Messages API, with the API's version added and without fields that Bedrock rejects. In an error response,
//! a header contains the type of the error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use super::body::{self, OptionalField};
use super::{ProviderCall, ProviderErrorDetail, RequestEncodeError};
use crate::messages::ModelRequest;
use crate::price::{ModelPrice, ModelPrices};
use crate::retry::ProviderErrorKind;

/// The version of the Messages API that Bedrock requires in the body of a request.
const ANTHROPIC_VERSION: &str = "bedrock-2023-05-31";
/// The header of an error response that contains the error's type. A URL may follow the type.
const ERROR_TYPE_HEADER: &str = "x-amzn-errortype";
/// The media type of streamed responses.
const EVENT_STREAM_MEDIA_TYPE: &str = "application/vnd.amazon.eventstream";
const JSON_MEDIA_TYPE: &str = "application/json";
/// Number of prompt and response tokens whose cost decides which of two prices is higher.
const COMPARED_TOKENS: u64 = 1_000_000;

/// The domain of Bedrock's addresses.
const DEFAULT_DOMAIN: &str = "amazonaws.com";
/// Domains of separate AWS partitions, by the beginning of the region's name.
const PARTITION_DOMAINS: &[(&str, &str)] = &[("cn-", "amazonaws.com.cn"), ("eusc-", "amazonaws.eu")];

/// The types of Bedrock's errors, in lower case. They occur in error responses and in streams.
const ERROR_KINDS: &[(&str, ProviderErrorKind)] = &[
    ("throttlingexception", ProviderErrorKind::RateLimit),
    ("modelnotreadyexception", ProviderErrorKind::Temporary),
    ("modeltimeoutexception", ProviderErrorKind::Temporary),
    ("modelerrorexception", ProviderErrorKind::Temporary),
    ("modelstreamerrorexception", ProviderErrorKind::Temporary),
    ("serviceunavailableexception", ProviderErrorKind::Temporary),
    ("internalserverexception", ProviderErrorKind::Temporary),
    ("servicequotaexceededexception", ProviderErrorKind::SpendingLimit),
    ("accessdeniedexception", ProviderErrorKind::KeyRefused),
    ("unrecognizedclientexception", ProviderErrorKind::KeyRefused),
    ("invalidsignatureexception", ProviderErrorKind::KeyRefused),
    ("expiredtokenexception", ProviderErrorKind::KeyRefused),
    ("missingauthenticationtokenexception", ProviderErrorKind::KeyRefused),
    ("validationexception", ProviderErrorKind::InvalidRequest),
    ("resourcenotfoundexception", ProviderErrorKind::InvalidRequest),
];
/// Texts in messages of input errors. A message with one of these texts means that the input is too long.
const INPUT_TOO_LONG_MESSAGES: [&str; 2] = ["input is too long", "prompt is too long"];
/// Text in the message for a daily rate limit. After such an error, a retry a minute later would fail again.
const DAILY_LIMIT_TEXT: &str = "tokens per day";

/// The wire format of Bedrock, with the models of one region.
#[derive(Clone, Debug)]
pub struct BedrockWire(Arc<BedrockModels>);

#[derive(Debug)]
struct BedrockModels {
    /// Bedrock's models, by the model name in requests.
    by_name: BTreeMap<String, BedrockModel>,
    /// True once a warning about omitted fields was logged. The warning is logged only once.
    has_warned: AtomicBool,
}

/// A model of Bedrock in this region.
#[derive(Clone, PartialEq, Eq, Debug)]
struct BedrockModel {
    /// Bedrock's model id, with a prefix that determines in which regions requests are processed.
    id: String,
    /// The model id without the prefix, for requests that count tokens. `None` if the model does not support
    /// counting, or if the operator configured the id.
    counting_id: Option<String>,
    unsupported_fields: Vec<OptionalField>,
    /// Ids of the same model in the built-in table: the id in the region's own geography, or all ids if the
    /// geography has none. The highest price of these ids is assumed for an id without a price.
    priced_ids: Vec<String>,
}

/// The id of a model in this region is unknown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the id of the model `{model}` at Amazon Bedrock in this region is unknown: set the id in \
    `model_ids`"
)]
pub struct UnknownModel {
    model: String,
}

/// The built-in table cannot be parsed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the table of Amazon Bedrock's models cannot be read: {0}")]
pub struct BedrockTableError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BedrockTable {
    region: Vec<BedrockRegion>,
    model: Vec<BedrockModelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BedrockRegion {
    #[serde(rename = "begins")]
    name_prefix: String,
    prefixes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BedrockModelEntry {
    name: String,
    id: String,
    prefixes: Vec<String>,
    #[serde(default)]
    #[serde(rename = "without")]
    unsupported_fields: Vec<OptionalField>,
    #[serde(default)]
    #[serde(rename = "counts")]
    supports_counting: bool,
}

impl BedrockWire {
    /// Returns the wire format for this region, with the models in the built-in table. Model ids in
    /// `configured_ids` take precedence over ids in the table.
    ///
    /// # Errors
    /// [`BedrockTableError`]
    pub fn new(region: &str, configured_ids: &BTreeMap<String, String>) -> Result<Self, BedrockTableError> {
        let table: BedrockTable = toml::from_str(include_str!("../../data/bedrock.toml"))
            .map_err(|error| BedrockTableError(error.to_string()))?;
        let prefixes = table.region.iter().find(|row| region.starts_with(&row.name_prefix));
        let prefixes = prefixes.map(|row| row.prefixes.as_slice()).unwrap_or_default();
        let mut by_name = BTreeMap::new();
        for BedrockModelEntry {
            name,
            id,
            prefixes: has,
            unsupported_fields: without,
            supports_counting: counts,
        } in table.model
        {
            let own_prefix = prefixes.iter().find(|prefix| has.contains(prefix));
            let priced = own_prefix.map_or(has.as_slice(), std::slice::from_ref);
            let priced_ids = priced.iter().map(|prefix| format!("{prefix}.{id}")).collect();
            let id = match configured_ids.get(&name) {
                Some(configured_id) => configured_id.clone(),
                None => match own_prefix {
                    Some(prefix) => format!("{prefix}.{id}"),
                    None => continue,
                },
            };
            let base = token_count_model_id(configured_ids, &name, &id).filter(|_| counts);
            by_name.insert(
                name,
                BedrockModel { id, counting_id: base, unsupported_fields: without, priced_ids },
            );
        }
        for (name, id) in configured_ids {
            let model = BedrockModel {
                id: id.clone(),
                counting_id: None,
                unsupported_fields: Vec::new(),
                priced_ids: Vec::new(),
            };
            by_name.entry(name.clone()).or_insert(model);
        }
        Ok(Self(Arc::new(BedrockModels { by_name, has_warned: AtomicBool::new(false) })))
    }

    /// Returns the address of Bedrock in this region; `None` if the region's name is invalid.
    pub fn base_url(region: &str) -> Option<String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_region = !region.is_empty() && region.bytes().all(is_plain);
        let domains = PARTITION_DOMAINS.iter().find(|(begin, _)| region.starts_with(begin));
        let domain = domains.map_or(DEFAULT_DOMAIN, |(_, domain)| domain);
        is_region.then(|| format!("https://bedrock-runtime.{region}.{domain}"))
    }

    /// Returns Bedrock's id of a model.
    ///
    /// # Errors
    /// [`UnknownModel`]
    pub fn model_id(&self, model: &str) -> Result<&str, UnknownModel> {
        self.model(model).map(|model| model.id.as_str())
    }

    /// Returns the price of a model whose id is not in the price table, such as the ARN of an inference
    /// profile. If the ARN ends with an id in the table, the price of this id applies. Otherwise, the price
    /// in the region's own geography applies, or the highest price of the model if the geography has none.
    /// Returns `None` if the table lists the id itself, or if the model is unknown.
    pub fn price_of_configured_id(&self, prices: &ModelPrices, model: &str) -> Option<ModelPrice> {
        let BedrockModel { id, priced_ids, .. } = self.model(model).ok()?;
        if prices.find_price(id).is_some() {
            return None;
        }
        let named = id.rsplit('/').next().and_then(|id| prices.find_price(id));
        let assumed = || {
            let assumed_prices = priced_ids.iter().filter_map(|id| prices.find_price(id));
            assumed_prices.max_by_key(|price| price.max_cost(COMPARED_TOKENS, COMPARED_TOKENS))
        };
        named.or_else(assumed).cloned()
    }

    fn model(&self, name: &str) -> Result<&BedrockModel, UnknownModel> {
        self.0.by_name.get(name).ok_or_else(|| UnknownModel { model: name.to_owned() })
    }

    /// Returns the call that requests a streamed response.
    pub(super) fn build_answer_call(
        &self,
        request: &ModelRequest,
        max_tokens: u32,
    ) -> Result<ProviderCall, RequestEncodeError> {
        let model = self.model(&request.model)?;
        let body = self.body(model, request, max_tokens)?;
        Ok(build_call(&model.id, "invoke-with-response-stream", EVENT_STREAM_MEDIA_TYPE, body))
    }

    /// Returns the call that requests the number of tokens.
    pub(super) fn build_count_call(&self, request: &ModelRequest) -> Option<ProviderCall> {
        let model = self.model(&request.model).ok()?;
        let body = BASE64_STANDARD.encode(self.body(model, request, request.max_tokens).ok()?);
        let body = json!({"input": {"invokeModel": {"body": body}}}).to_string();
        Some(build_call(model.counting_id.as_ref()?, "count-tokens", JSON_MEDIA_TYPE, Bytes::from(body)))
    }

    /// Returns the body of a request, without fields that the model rejects.
    fn body(
        &self,
        model: &BedrockModel,
        request: &ModelRequest,
        max_tokens: u32,
    ) -> Result<Bytes, serde_json::Error> {
        let is_said = |field: &OptionalField| match field {
            OptionalField::Thinking => request.thinking.is_some(),
            OptionalField::OutputConfig => request.output_config.is_some(),
        };
        let left_out: Vec<OptionalField> = model.unsupported_fields.iter().copied().filter(is_said).collect();
        if !left_out.is_empty() && !self.0.has_warned.swap(true, Ordering::Relaxed) {
            let fields: Vec<&str> = left_out.iter().map(|field| field.name()).collect();
            let (fields, model) = (fields.join(", "), &request.model);
            tracing::warn!(
                "Amazon Bedrock does not accept {fields} for the model {model}: Truing leaves out these \
                    fields"
            );
        }
        body::body_without_model(request, ANTHROPIC_VERSION, max_tokens, &left_out)
    }
}

/// Returns the model id without its prefix. Returns `None` if the operator configured the id.
fn token_count_model_id(configured_ids: &BTreeMap<String, String>, name: &str, id: &str) -> Option<String> {
    let (_, id) = id.split_once('.').filter(|_| !configured_ids.contains_key(name))?;
    Some(id.to_owned())
}

fn build_call(id: &str, action: &str, accept: &'static str, body: Bytes) -> ProviderCall {
    let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let headers = HeaderMap::from_iter(
        [(CONTENT_TYPE, JSON_MEDIA_TYPE), (ACCEPT, accept)]
            .map(|(name, value)| (name, HeaderValue::from_static(value))),
    );
    ProviderCall { path: format!("/model/{id}/{action}"), headers, body }
}

/// Parses an error response. The type of the error is in a header or in the body. The type may follow a
/// namespace and may be followed by a URL.
pub(super) fn parse_error_detail(headers: &HeaderMap, body: &[u8]) -> ProviderErrorDetail {
    #[derive(Deserialize, Default)]
    struct BedrockErrorBody {
        #[serde(rename = "__type", default)]
        kind: Option<String>,
        #[serde(default, alias = "Message")]
        message: String,
    }
    let BedrockErrorBody { kind, message } = truing_core::json::from_slice(body).unwrap_or_default();
    let named = headers.get(ERROR_TYPE_HEADER).and_then(|value| value.to_str().ok());
    let name = named.or(kind.as_deref()).map(|name| {
        let name = name.split(':').next().unwrap_or(name);
        name.rsplit('#').next().unwrap_or(name).trim().to_owned()
    });
    ProviderErrorDetail { kind: name, message }
}

/// Classifies an error of Bedrock. Returns `None` if the error is not specific to Bedrock.
pub(super) fn error_kind(name: &str, message: &str) -> Option<ProviderErrorKind> {
    let (name, message) = (name.to_ascii_lowercase(), message.to_ascii_lowercase());
    let (_, kind) = ERROR_KINDS.iter().find(|(known, _)| *known == name)?;
    let is_too_long = *kind == ProviderErrorKind::InvalidRequest
        && INPUT_TOO_LONG_MESSAGES.iter().any(|long| message.contains(long));
    let is_lasting = *kind == ProviderErrorKind::RateLimit && message.contains(DAILY_LIMIT_TEXT);
    Some(match (is_too_long, is_lasting) {
        (true, _) => ProviderErrorKind::TooLong,
        (false, true) => ProviderErrorKind::SpendingLimit,
        (false, false) => *kind,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::messages::{MessageBlock, MessageRole, ModelMessage};

    fn bedrock(region: &str) -> BedrockWire {
        BedrockWire::new(region, &BTreeMap::new()).unwrap()
    }

    fn request(model: &str) -> ModelRequest {
        ModelRequest {
            model: model.into(),
            max_tokens: 9000,
            system: Vec::new(),
            messages: vec![ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text("q")] }],
            tools: Vec::new(),
            tool_choice: None,
            thinking: None,
            output_config: Some(json!({"effort": "low"})),
            program: None,
        }
    }

    #[test]
    fn a_model_is_named_as_its_region_has_it() {
        for (region, model, expected) in [
            ("eu-central-1", "claude-opus-5-5", Some("eu.anthropic.claude-opus-5-5")),
            ("us-east-1", "claude-sonnet-4-5", Some("us.anthropic.claude-sonnet-4-5-20250929-v1:0")),
            ("us-gov-west-1", "claude-opus-5-5", Some("us-gov.anthropic.claude-opus-5-5")),
            ("ap-northeast-1", "claude-opus-5-5", Some("jp.anthropic.claude-opus-5-5")),
            ("ap-northeast-1", "claude-fable-5", None),
            ("ca-central-1", "claude-opus-5-5", Some("us.anthropic.claude-opus-5-5")),
            ("ap-south-1", "claude-haiku-4-5", Some("in.anthropic.claude-haiku-4-5-20251001-v1:0")),
            ("ap-south-1", "claude-opus-5-5", None),
            ("ap-southeast-1", "claude-opus-5-5", Some("global.anthropic.claude-opus-5-5")),
            ("sa-east-1", "claude-sonnet-5-5", Some("global.anthropic.claude-sonnet-5-5")),
            // For regions with their own geography, the default ids never send requests to another geography.
            ("eu-central-1", "claude-mythos-5-1", None),
            ("eu-central-1", "claude-unknown", None),
            // Regions in separate AWS partitions cannot use inference profiles of other partitions.
            ("cn-north-1", "claude-sonnet-5-5", None),
            ("eusc-de-east-1", "claude-sonnet-5-5", None),
        ] {
            assert_eq!(bedrock(region).model_id(model).ok(), expected, "{region} {model}");
        }
        let own = BTreeMap::from([
            ("claude-mythos-5-1".to_owned(), "global.anthropic.claude-mythos-5-1".to_owned()),
            ("mine".to_owned(), "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x".to_owned()),
        ]);
        let bedrock = BedrockWire::new("eu-central-1", &own).unwrap();
        for (name, id) in &own {
            assert_eq!(bedrock.model_id(name).ok(), Some(id.as_str()));
        }
    }

    #[test]
    fn a_region_has_the_domain_of_its_partition() {
        for (region, expected) in [
            ("eu-central-1", Some("https://bedrock-runtime.eu-central-1.amazonaws.com")),
            ("cn-north-1", Some("https://bedrock-runtime.cn-north-1.amazonaws.com.cn")),
            ("eusc-de-east-1", Some("https://bedrock-runtime.eusc-de-east-1.amazonaws.eu")),
            ("", None),
            ("evil.example/", None),
        ] {
            assert_eq!(BedrockWire::base_url(region).as_deref(), expected, "{region}");
        }
    }

    #[test]
    fn every_id_of_the_table_has_a_price() {
        let prices = ModelPrices::bedrock().unwrap();
        for region in [
            "us-east-1",
            "us-gov-west-1",
            "eu-west-1",
            "ap-northeast-1",
            "ap-southeast-2",
            "ap-south-1",
            "sa-east-1",
        ] {
            for model in bedrock(region).0.by_name.values() {
                assert!(prices.find_price(&model.id).is_some(), "{}", model.id);
            }
        }
    }

    #[test]
    fn a_configured_id_has_the_price_of_the_model_that_it_stands_for() {
        let prices = ModelPrices::bedrock().unwrap();
        let profile = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x1";
        let of_other = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-5-5";
        for (region, model, id, expected) in [
            ("eu-central-1", "claude-opus-5-5", profile, Some("eu.anthropic.claude-opus-5-5")),
            ("eu-central-1", "mine", of_other, Some("us.anthropic.claude-opus-5-5")),
            ("sa-east-1", "claude-opus-5-5", profile, Some("global.anthropic.claude-opus-5-5")),
            ("cn-north-1", "claude-opus-5-5", profile, Some("us-gov.anthropic.claude-opus-5-5")),
            ("eu-central-1", "mine", profile, None),
            ("eu-central-1", "claude-opus-5-5", "global.anthropic.claude-opus-5-5", None),
        ] {
            let ids = BTreeMap::from([(model.to_owned(), id.to_owned())]);
            let found = BedrockWire::new(region, &ids).unwrap().price_of_configured_id(&prices, model);
            let expected = expected.map(|id| prices.find_price(id).unwrap());
            assert_eq!(found.as_ref(), expected, "{region} {model} {id}");
        }
    }

    #[test]
    fn a_call_names_its_model_in_the_address_and_leaves_out_what_is_not_taken() {
        let bedrock = bedrock("us-east-1");
        let call = bedrock.build_answer_call(&request("claude-sonnet-4-5"), 2000).unwrap();
        assert_eq!(
            call.path,
            "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream"
        );
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let messages = json!([{"role": "user", "content": [{"type": "text", "text": "q"}]}]);
        let expected =
            json!({"anthropic_version": ANTHROPIC_VERSION, "max_tokens": 2000, "messages": messages});
        assert_eq!(body, expected);

        let call = bedrock.build_answer_call(&request("claude-opus-5-5"), 2000).unwrap();
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["output_config"], json!({"effort": "low"}));

        let call = bedrock.build_count_call(&request("claude-sonnet-4-5")).unwrap();
        assert_eq!(call.path, "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens");
        assert!(
            bedrock.build_count_call(&request("claude-opus-5-5")).is_none(),
            "its tokens are not counted there"
        );
        assert!(bedrock.build_answer_call(&request("claude-unknown"), 1).is_err());
    }

    #[test]
    fn errors_are_read_from_header_or_body() {
        let mut headers = HeaderMap::new();
        let body = br#"{"__type": "com.amazon.coral#ThrottlingException", "Message": "slow"}"#;
        let expected =
            |name: &str, words: &str| ProviderErrorDetail { kind: Some(name.into()), message: words.into() };
        assert_eq!(parse_error_detail(&headers, body), expected("ThrottlingException", "slow"));
        headers.insert(
            ERROR_TYPE_HEADER,
            HeaderValue::from_static("ValidationException:http://internal.amazon.com/coral/"),
        );
        let body = br#"{"message": "Input is too long for requested model."}"#;
        let told = parse_error_detail(&headers, body);
        assert_eq!(told, expected("ValidationException", "Input is too long for requested model."));
        for (name, words, expected) in [
            ("ValidationException", told.message.as_str(), Some(ProviderErrorKind::TooLong)),
            ("ValidationException", "malformed", Some(ProviderErrorKind::InvalidRequest)),
            ("throttlingException", "", Some(ProviderErrorKind::RateLimit)),
            (
                "ThrottlingException",
                "Too many tokens per day, please wait",
                Some(ProviderErrorKind::SpendingLimit),
            ),
            ("ModelNotReadyException", "", Some(ProviderErrorKind::Temporary)),
            ("AccessDeniedException", "", Some(ProviderErrorKind::KeyRefused)),
            ("overloaded_error", "", None),
        ] {
            assert_eq!(error_kind(name, words), expected, "{name}");
        }
        for (name, _) in ERROR_KINDS {
            assert_eq!(*name, name.to_ascii_lowercase());
        }
    }
}
