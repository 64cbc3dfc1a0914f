//! The wire format Chat Completions, which OpenAI's API and many other servers support. Requests are
//! converted from the Messages API. Features without an equivalent (cache marks, thinking, effort) are
//! omitted. A built-in table lists the differences between servers.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use truing_core::loopback::is_loopback;
use url::form_urlencoded;

use super::{ProviderCall, ProviderErrorDetail, RequestEncodeError};
use crate::chat_error::{ChatError, ERROR_KINDS, read_error};
use crate::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage, ModelRequest, ToolDefinition};
use crate::retry::ProviderErrorKind;

/// Path of a call. It is appended to the provider's address, which ends with `/v1` for most servers.
const CHAT_COMPLETIONS_PATH: &str = "/chat/completions";
/// Placeholder text for a message that would otherwise be empty.
const EMPTY_MESSAGE_TEXT: &str = "(nothing)";

/// Texts in error messages of servers. A message with one of these texts means that the input is too long.
const INPUT_TOO_LONG_MESSAGES: [&str; 4] = [
    "maximum context length",
    "context length exceeded",
    "exceeds the available context",
    "prompt is too long",
];
/// Texts in error messages of servers, each with a hint. A message with one of these texts means that tool
/// calls are not supported. The hint is shown before the server's message.
const TOOLS_UNSUPPORTED_MESSAGES: [(&str, &str); 6] = [
    (
        "function tools with reasoning_effort",
        "this model calls tools only without thinking: set `effort = \"none\"` in the configuration \
            section of this model",
    ),
    ("support tools", TOOLS_UNSUPPORTED_HINT),
    ("support tool use", TOOLS_UNSUPPORTED_HINT),
    ("the provided 'tool_choice'", TOOLS_UNSUPPORTED_HINT),
    ("--enable-auto-tool-choice", TOOLS_UNSUPPORTED_HINT),
    ("requires --jinja", TOOLS_UNSUPPORTED_HINT),
];
const TOOLS_UNSUPPORTED_HINT: &str =
    "this model, or its server, does not support tool calls, which a review needs";

/// The wire format of one server of Chat Completions.
#[derive(Clone, Debug)]
pub struct ChatWire {
    server: Arc<ChatServerProfile>,
    /// API version that Azure requires.
    api_version: Option<String>,
    /// Effort that the operator has configured for the model.
    effort: Option<String>,
    is_local: bool,
}

/// The properties in which servers of Chat Completions differ.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatServerProfile {
    /// The hosts of the server: full host names, or suffixes, which begin with a dot.
    #[serde(default)]
    hosts: Vec<String>,
    /// Name of the request field that limits the number of response tokens.
    #[serde(default = "default_limit_field")]
    limit: String,
    /// The header that holds the key.
    #[serde(default)]
    pub key: KeyHeader,
    /// True for OpenAI's own server. Only this server receives an OpenAI key.
    #[serde(default)]
    pub is_openai: bool,
}

/// The header that holds a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum KeyHeader {
    /// The header `Authorization: Bearer`.
    #[default]
    #[serde(rename = "bearer")]
    Bearer,
    /// The header `api-key`, as Azure requires.
    #[serde(rename = "api-key")]
    ApiKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerTable {
    server: Vec<ChatServerProfile>,
    #[serde(rename = "other")]
    default_server: ChatServerProfile,
}

fn default_limit_field() -> String {
    "max_tokens".to_owned()
}

impl ChatWire {
    /// Returns the wire format for the server at this host, with the properties that the built-in table lists
    /// for the host. A server that the table does not list has Azure's properties if an API version is set,
    /// because only Azure's API has versions: a gateway then stands in front of Azure.
    ///
    /// # Errors
    /// [`toml::de::Error`] if the table cannot be parsed.
    pub fn new(
        host: &str,
        api_version: Option<String>,
        effort: Option<String>,
    ) -> Result<Self, toml::de::Error> {
        let ServerTable { server, default_server: other } =
            toml::from_str(include_str!("../../data/chat.toml"))?;
        let is_host = |end: &String| host == end || (end.starts_with('.') && host.ends_with(end));
        let is_azure = |row: &&ChatServerProfile| api_version.is_some() && row.key == KeyHeader::ApiKey;
        let listed = server.iter().find(|row| row.hosts.iter().any(is_host));
        let server = listed.or_else(|| server.iter().find(is_azure)).cloned().unwrap_or(other);
        Ok(Self { server: Arc::new(server), api_version, effort, is_local: is_loopback(host) })
    }

    /// Returns true if the server is on this machine.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Returns the built-in table's entry for this server.
    pub fn server(&self) -> &ChatServerProfile {
        &self.server
    }

    /// Returns the call that requests a streamed response.
    pub(super) fn build_answer_call(
        &self,
        request: &ModelRequest,
        max_tokens: u32,
    ) -> Result<ProviderCall, RequestEncodeError> {
        let mut body = request_body(request);
        body.insert(self.server.limit.clone(), json!(max_tokens));
        if let Some(effort) = &self.effort {
            body.insert("reasoning_effort".to_owned(), json!(effort));
        }
        let query = self.api_version.as_deref().map(|version| {
            let version: String = form_urlencoded::byte_serialize(version.as_bytes()).collect();
            format!("?api-version={version}")
        });
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("text/event-stream, application/json")),
        ]);
        let body = Bytes::from(serde_json::to_vec(&body)?);
        Ok(ProviderCall {
            path: format!("{CHAT_COMPLETIONS_PATH}{}", query.unwrap_or_default()),
            headers,
            body,
        })
    }
}

/// Returns the body of a request, without the limit of response tokens.
fn request_body(request: &ModelRequest) -> Map<String, Value> {
    // The pattern names every field. If a new field is not handled, the compiler reports an error.
    let ModelRequest {
        model,
        max_tokens: _,
        system,
        messages,
        tools,
        tool_choice,
        thinking: _,
        output_config,
        program: _,
    } = request;
    let mut said = Vec::new();
    let operator = joined_text(system);
    if !operator.is_empty() {
        said.push(json!({"role": "system", "content": operator}));
    }
    let mut names = ToolCallIds::default();
    messages.iter().for_each(|message| push_message(message, &mut names, &mut said));
    let mut body = Map::from_iter([
        ("model".to_owned(), json!(model)),
        ("messages".to_owned(), Value::Array(said)),
        ("stream".to_owned(), json!(true)),
        ("stream_options".to_owned(), json!({"include_usage": true})),
    ]);
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.iter().map(function_tool).collect());
        if let Some(choice) = tool_choice {
            body.extend(tool_choice_fields(choice));
        }
    }
    let format = output_config.as_ref().and_then(|config| config.get("format"));
    if let Some(schema) = format.and_then(|format| format.get("schema")) {
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        body.insert("response_format".to_owned(), format);
    }
    body
}

fn function_tool(tool: &ToolDefinition) -> Value {
    let ToolDefinition { name, description, input_schema, cache_control: _ } = tool;
    json!({"type": "function",
        "function": {"name": name, "description": description, "parameters": input_schema}})
}

/// Converts a tool choice to the fields that state which tools the model may or must call.
fn tool_choice_fields(choice: &Value) -> Vec<(String, Value)> {
    let wanted = match choice["type"].as_str() {
        Some("any") => json!("required"),
        Some("none") => json!("none"),
        Some("tool") => json!({"type": "function", "function": {"name": choice["name"]}}),
        _ => json!("auto"),
    };
    let is_single = choice["disable_parallel_tool_use"] == true;
    let single = is_single.then(|| ("parallel_tool_calls".to_owned(), json!(false)));
    std::iter::once(("tool_choice".to_owned(), wanted)).chain(single).collect()
}

/// Assigns ids to the tool calls in one request. Such new ids are necessary because a server may use an id
/// several times, or use characters that another server rejects. Each new id contains the number of the call.
/// New ids have nine letters and digits, which even the strictest server accepts.
#[derive(Default)]
struct ToolCallIds {
    count: usize,
    /// Original and new id of each call in the model's last message.
    last_message_ids: Vec<(String, String)>,
}

impl ToolCallIds {
    fn add(&mut self, id: &str) -> String {
        let name = format!("call{:05}", self.count);
        self.count += 1;
        self.last_message_ids.push((id.to_owned(), name.clone()));
        name
    }

    fn find(&self, id: &str) -> String {
        let name = self.last_message_ids.iter().find(|(known, _)| known == id);
        name.map_or_else(|| id.to_owned(), |(_, name)| name.clone())
    }
}

/// Converts a message to one or more messages. Each tool result becomes a separate message before the message
/// with the text.
fn push_message(message: &ModelMessage, call_ids: &mut ToolCallIds, messages: &mut Vec<Value>) {
    let ModelMessage { role, content } = message;
    let text = joined_text(content);
    match role {
        // Many chat templates accept only one system message, at the beginning. Later system messages are
        // therefore sent as user messages.
        MessageRole::System => messages.push(json!({"role": "user", "content": text})),
        MessageRole::User => {
            let before = messages.len();
            for (id, content) in content.iter().filter_map(tool_result) {
                messages
                    .push(json!({"role": "tool", "tool_call_id": call_ids.find(&id), "content": content}));
            }
            if !text.is_empty() {
                messages.push(json!({"role": "user", "content": text}));
            } else if messages.len() == before {
                messages.push(json!({"role": "user", "content": EMPTY_MESSAGE_TEXT}));
            }
        }
        MessageRole::Assistant => {
            call_ids.last_message_ids.clear();
            let calls: Vec<Value> =
                content.iter().filter_map(|block| function_call(block, call_ids)).collect();
            let mut message = json!({"role": "assistant", "content": text});
            if calls.is_empty() {
                if text.is_empty() {
                    message["content"] = json!(EMPTY_MESSAGE_TEXT);
                }
            } else {
                message["tool_calls"] = Value::Array(calls);
            }
            messages.push(message);
        }
    }
}

/// Returns the call's id and the text of a block that is a tool result.
fn tool_result(block: &MessageBlock) -> Option<(String, String)> {
    let (id, content, is_error) = match block {
        MessageBlock::Known(KnownBlock::ToolResult { tool_use_id, content, is_error, cache_control: _ }) => {
            (tool_use_id.clone(), content.clone(), *is_error)
        }
        // The `claude` program sends the content of a tool result as blocks.
        MessageBlock::Other(other) if other["type"] == "tool_result" => {
            let words = |block: &Value| block["text"].as_str().map(str::to_owned);
            let parts = other["content"].as_array().map(Vec::as_slice).unwrap_or_default();
            let text = parts.iter().filter_map(words).collect::<Vec<_>>().join("\n\n");
            (other["tool_use_id"].as_str()?.to_owned(), text, other["is_error"] == true)
        }
        MessageBlock::Known(KnownBlock::Text { .. } | KnownBlock::ToolUse { .. })
        | MessageBlock::Other(_) => return None,
    };
    Some((id, if is_error { format!("Error: {content}") } else { content }))
}

/// Converts a block to a function call, if the block is a tool call.
fn function_call(block: &MessageBlock, call_ids: &mut ToolCallIds) -> Option<Value> {
    match block {
        MessageBlock::Known(KnownBlock::ToolUse { id, name, input }) => {
            let function = json!({"name": name, "arguments": input.to_string()});
            Some(json!({"id": call_ids.add(id), "type": "function", "function": function}))
        }
        MessageBlock::Known(KnownBlock::Text { .. } | KnownBlock::ToolResult { .. })
        | MessageBlock::Other(_) => None,
    }
}

/// Joins the texts of text blocks and of other blocks with a field `text`. Tool calls and tool results are
/// omitted.
fn joined_text(blocks: &[MessageBlock]) -> String {
    let words = |block: &MessageBlock| match block {
        MessageBlock::Known(KnownBlock::Text { text, cache_control: _ }) => Some(text.clone()),
        MessageBlock::Known(KnownBlock::ToolUse { .. } | KnownBlock::ToolResult { .. }) => None,
        MessageBlock::Other(other) => other["text"].as_str().map(str::to_owned),
    };
    blocks.iter().filter_map(words).collect::<Vec<_>>().join("\n\n")
}

/// Parses an error response. Depending on the server, the error is an object in the body, a text in the body,
/// or the whole body.
pub(super) fn parse_error_response(body: &[u8]) -> ProviderErrorDetail {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return ProviderErrorDetail::default() };
    let error = body.get("error").unwrap_or(&body);
    let ChatError { name, message } = read_error(error);
    let lower = message.to_ascii_lowercase();
    let hint = TOOLS_UNSUPPORTED_MESSAGES.iter().find(|(words, _)| lower.contains(words));
    let words = hint.map_or(message.clone(), |(_, hint)| format!("{hint}: {message}"));
    ProviderErrorDetail { kind: Some(name).filter(|name| !name.is_empty()), message: words }
}

/// Classifies an error. Returns `None` if both the message and the name of the error are unknown.
pub(super) fn error_kind(name: &str, message: &str) -> Option<ProviderErrorKind> {
    let (name, words) = (name.to_ascii_lowercase(), message.to_ascii_lowercase());
    if INPUT_TOO_LONG_MESSAGES.iter().any(|long| words.contains(long)) {
        return Some(ProviderErrorKind::TooLong);
    }
    // A message with a hint means that tool calls are not supported. The status is not used here, because
    // some servers report this error with a misleading status.
    if TOOLS_UNSUPPORTED_MESSAGES.iter().any(|(_, hint)| words.starts_with(&hint.to_ascii_lowercase())) {
        return Some(ProviderErrorKind::InvalidRequest);
    }
    ERROR_KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat_at(host: &str) -> ChatWire {
        ChatWire::new(host, None, None).unwrap()
    }

    fn sent_body(host: &str, request: &ModelRequest) -> Value {
        serde_json::from_slice(&chat_at(host).build_answer_call(request, 700).unwrap().body).unwrap()
    }

    fn sample_request(messages: Vec<ModelMessage>) -> ModelRequest {
        ModelRequest {
            model: "m".into(),
            max_tokens: 9000,
            system: vec![MessageBlock::text("be"), MessageBlock::text("kind")],
            messages,
            tools: vec![ToolDefinition {
                name: "read".into(),
                description: "reads".into(),
                input_schema: json!({"type": "object"}),
                cache_control: Some(json!({"type": "ephemeral"})),
            }],
            tool_choice: Some(json!({"type": "any", "disable_parallel_tool_use": true})),
            thinking: Some(json!({"type": "adaptive"})),
            output_config: Some(
                json!({"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}),
            ),
            program: None,
        }
    }

    #[test]
    fn a_request_is_said_in_its_words_and_what_it_has_no_word_for_is_left_out() {
        let called =
            KnownBlock::ToolUse { id: "c1".into(), name: "read".into(), input: json!({"path": "a"}) };
        let result = KnownBlock::ToolResult {
            tool_use_id: "c1".into(),
            content: "no such file".into(),
            is_error: true,
            cache_control: Some(json!({"type": "ephemeral"})),
        };
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let messages = vec![
            ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text("q")] },
            ModelMessage {
                role: MessageRole::Assistant,
                content: vec![MessageBlock::Other(thought), MessageBlock::Known(called)],
            },
            ModelMessage {
                role: MessageRole::User,
                content: vec![MessageBlock::text("go on"), MessageBlock::Known(result)],
            },
        ];
        let expected = json!({
            "model": "m",
            "max_tokens": 700,
            "stream": true,
            "stream_options": {"include_usage": true},
            "messages": [
                {"role": "system", "content": "be\n\nkind"},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "call00000", "type": "function",
                        "function": {"name": "read", "arguments": "{\"path\":\"a\"}"}},
                ]},
                {"role": "tool", "tool_call_id": "call00000", "content": "Error: no such file"},
                {"role": "user", "content": "go on"},
            ],
            "tools": [{"type": "function",
                "function": {"name": "read", "description": "reads", "parameters": {"type": "object"}}}],
            "tool_choice": "required",
            "parallel_tool_calls": false,
            "response_format": {"type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        });
        assert_eq!(sent_body("localhost", &sample_request(messages)), expected);
    }

    #[test]
    fn calls_have_ids_of_their_own_whatever_a_server_gave_them() {
        let calls = |id: &str| {
            let called = KnownBlock::ToolUse { id: id.into(), name: "read".into(), input: json!({}) };
            ModelMessage { role: MessageRole::Assistant, content: vec![MessageBlock::Known(called)] }
        };
        // A tool result as the `claude` program sends it, with blocks as content.
        let result = |id: &str, words: &str| {
            let content = json!([{"type": "text", "text": words}, {"type": "image"}]);
            let block = json!({"type": "tool_result", "tool_use_id": id, "content": content});
            ModelMessage { role: MessageRole::User, content: vec![MessageBlock::Other(block)] }
        };
        let messages = vec![
            calls("a/b"),
            result("a/b", "one"),
            calls("a/b"),
            result("a/b", "two"),
            result("z", "three"),
        ];
        let body = sent_body("localhost", &sample_request(messages));
        let said: Vec<&Value> = body["messages"].as_array().unwrap().iter().skip(1).collect();
        assert_eq!(
            (&said[0]["tool_calls"][0]["id"], &said[2]["tool_calls"][0]["id"]),
            (&json!("call00000"), &json!("call00001"))
        );
        let results = [(1, "call00000", "one"), (3, "call00001", "two"), (4, "z", "three")];
        for (at, id, words) in results {
            assert_eq!(*said[at], json!({"role": "tool", "tool_call_id": id, "content": words}));
        }
    }

    #[test]
    fn a_server_is_asked_in_its_own_way() {
        for (host, field, key, is_openai) in [
            ("api.openai.com", "max_completion_tokens", KeyHeader::Bearer, true),
            ("eu.api.openai.com", "max_completion_tokens", KeyHeader::Bearer, true),
            ("ours.openai.azure.com", "max_completion_tokens", KeyHeader::ApiKey, false),
            ("openrouter.ai", "max_tokens", KeyHeader::Bearer, false),
            ("localhost", "max_tokens", KeyHeader::Bearer, false),
            ("api.openai.com.evil.example", "max_tokens", KeyHeader::Bearer, false),
        ] {
            let body = sent_body(host, &sample_request(Vec::new()));
            assert_eq!(body[field], 700, "{host}");
            let server = chat_at(host).server().clone();
            assert_eq!((server.key, server.is_openai), (key, is_openai), "{host}");
        }
        for (host, version, key) in [
            ("gateway.example", Some("2024-10-21"), KeyHeader::ApiKey),
            ("localhost", Some("2024-10-21"), KeyHeader::ApiKey),
            ("gateway.example", None, KeyHeader::Bearer),
            ("api.openai.com", Some("2024-10-21"), KeyHeader::Bearer),
        ] {
            let wire = ChatWire::new(host, version.map(str::to_owned), None).unwrap();
            assert_eq!(wire.server().key, key, "{host} {version:?}");
        }
        let azure =
            ChatWire::new("ours.openai.azure.com", Some("2024-10-21&x".into()), Some("none".into())).unwrap();
        let call = azure.build_answer_call(&sample_request(Vec::new()), 1).unwrap();
        assert_eq!(call.path, "/chat/completions?api-version=2024-10-21%26x");
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["reasoning_effort"], "none");
    }

    #[test]
    fn tools_may_be_forced_named_or_forbidden() {
        for (choice, expected) in [
            (json!({"type": "auto"}), json!("auto")),
            (json!({"type": "none"}), json!("none")),
            (
                json!({"type": "tool", "name": "read"}),
                json!({"type": "function", "function": {"name": "read"}}),
            ),
        ] {
            let request = ModelRequest { tool_choice: Some(choice), ..sample_request(Vec::new()) };
            let body = sent_body("localhost", &request);
            assert_eq!((&body["tool_choice"], &body["parallel_tool_calls"]), (&expected, &Value::Null));
        }
        let without = ModelRequest { tools: Vec::new(), ..sample_request(Vec::new()) };
        assert!(sent_body("localhost", &without).get("tool_choice").is_none());
    }

    #[test]
    fn errors_are_read_in_whatever_form_a_server_has() {
        for (body, name, words, expected) in [
            (
                r#"{"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}"#,
                Some("insufficient_quota"),
                "You exceeded your current quota",
                Some(ProviderErrorKind::SpendingLimit),
            ),
            (
                r#"{"error": {"message": "Rate limit reached", "type": "requests", "param": null, "code": "rate_limit_exceeded"}}"#,
                Some("rate_limit_exceeded"),
                "Rate limit reached",
                Some(ProviderErrorKind::RateLimit),
            ),
            (
                r#"{"error": {"message": "This model's maximum context length is 8192 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}}"#,
                Some("context_length_exceeded"),
                "This model's maximum context length is 8192 tokens.",
                Some(ProviderErrorKind::TooLong),
            ),
            (
                r#"{"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error"}}"#,
                Some("exceed_context_size_error"),
                "the request exceeds the available context size",
                Some(ProviderErrorKind::TooLong),
            ),
            (
                r#"{"object": "error", "message": "The model does not exist.", "type": "NotFoundError", "code": 404}"#,
                Some("NotFoundError"),
                "The model does not exist.",
                Some(ProviderErrorKind::InvalidRequest),
            ),
            (
                r#"{"error": "model 'x' does not support tools"}"#,
                None,
                "this model, or its server, does not support tool calls, which a review needs: model 'x' \
                 does not support tools",
                Some(ProviderErrorKind::InvalidRequest),
            ),
            (r#"{"detail": "Not authenticated"}"#, None, "Not authenticated", None),
            (
                r#"{"error": {"code": 402, "message": "Insufficient credits"}}"#,
                Some("402"),
                "Insufficient credits",
                Some(ProviderErrorKind::SpendingLimit),
            ),
            ("<html>", None, "", None),
            ("[1]", None, "", None),
        ] {
            let told = parse_error_response(body.as_bytes());
            assert_eq!((told.kind.as_deref(), told.message.as_str()), (name, words), "{body}");
            assert_eq!(
                error_kind(told.kind.as_deref().unwrap_or_default(), &told.message),
                expected,
                "{body}"
            );
        }
        for (name, _) in ERROR_KINDS {
            assert_eq!(*name, name.to_ascii_lowercase());
        }
    }
}
