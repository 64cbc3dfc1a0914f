//! A server that has every feature that the suite tests. The features that `truing mcp serve` also has (tools
//! with text results, the lists, unknown tools, the endpoint) use the same code. All other features exist
//! only in this test server.

use async_trait::async_trait;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, CompleteRequestParams, CompleteResult,
    ErrorData, GetPromptRequestParams, GetPromptResponse, GetPromptResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::{McpTool, ToolCallResult, ToolHints, Toolset, ToolsetHandler};

/// An image of one pixel. The next constant is a sound of length zero.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

/// The tools of the suite.
pub(super) struct ConformanceTools;

/// Tools that return other content than text, report progress, or return an error.
const NON_TEXT_TOOLS: [&str; 6] = [
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_progress",
    "test_missing_capability",
];
/// Tools whose results are text.
const TEXT_TOOLS: [&str; 6] = [
    "test_simple_text",
    "test_headers",
    "test_error_handling",
    "json_schema_2020_12_tool",
    "test_logging_tool",
    "test_streaming_elicitation",
];

#[async_trait]
impl Toolset for ConformanceTools {
    fn name(&self) -> &str {
        "everything"
    }

    fn instructions(&self) -> Option<&str> {
        None
    }

    fn tools(&self) -> Vec<McpTool> {
        let schema = |name: &str| match name {
            "json_schema_2020_12_tool" => keyword_schema(),
            // The client must also send the value of this field in a header.
            "test_headers" => json!({
                "type": "object",
                "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
            }),
            _ => json!({"type": "object", "additionalProperties": false}),
        };
        TEXT_TOOLS
            .iter()
            .chain(&NON_TEXT_TOOLS)
            .map(|name| McpTool {
                name: (*name).to_owned(),
                title: (*name).to_owned(),
                description: "The tool that the test suite requests by this name".to_owned(),
                input_schema: schema(name),
                output_schema: None,
                hints: ToolHints { read_only: true, destructive: false, idempotent: true, open_world: false },
            })
            .collect()
    }

    async fn call(&self, name: &str, _: Value) -> ToolCallResult {
        if name == "test_error_handling" {
            return ToolCallResult::from_error("This tool intentionally returns an error for testing");
        }
        let text = "This is a simple text response for testing.".to_owned();
        ToolCallResult { text, structured: None, is_error: false }
    }
}

/// Returns a schema with keywords that the server must preserve.
fn keyword_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

/// Truing's own handler of these tools, extended with the features that the suite tests and Truing lacks.
pub(super) struct ConformanceServer(pub(super) ToolsetHandler);

/// Converts a result from JSON to the library's type.
fn parse_result<T: DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = "complete".into();
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn prompt_message(content: &Value) -> Value {
    json!({"role": "user", "content": content})
}

fn text_content(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn image_content() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": "image/png"})
}

fn resource_content(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}})
}

impl ServerHandler for ConformanceServer {
    fn get_info(&self) -> ServerConfig {
        let mut config = self.0.get_info();
        let all = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources();
        config.capabilities = all.enable_completions().build();
        config
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.0.list_tools(page, context).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.get_tool(name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let content = match &*request.name {
            "test_image_content" => json!([image_content()]),
            "test_audio_content" => json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]),
            "test_embedded_resource" => {
                let words = "This is an embedded resource content.";
                json!([resource_content("test://embedded-resource", "text/plain", words)])
            }
            "test_multiple_content_types" => {
                let data = r#"{"test":"data","value":123}"#;
                let mixed = resource_content("test://mixed-content-resource", "application/json", data);
                json!([text_content("Multiple content types test:"), image_content(), mixed])
            }
            "test_tool_with_progress" => {
                if let Some(token) = context.meta.get_progress_token() {
                    for done in [0.0, 50.0, 100.0] {
                        let progress = ProgressNotificationParam::new(token.clone(), done).with_total(100.0);
                        let sent = context.peer.notify_progress(progress).await;
                        sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                    }
                }
                json!([text_content("Done.")])
            }
            "test_missing_capability" => {
                let mut needed = ClientCapabilities::default();
                needed.sampling = Some(Default::default());
                let has = context.client_capabilities().is_some_and(|can| can.sampling.is_some());
                if !has {
                    return Err(ErrorData::missing_required_client_capability(needed));
                }
                json!([text_content("It has it.")])
            }
            _ => return self.0.call_tool(request, context).await,
        };
        Ok(CallToolResponse::Complete(parse_result(json!({"content": content, "isError": false}))?))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        parse_result(json!({"resources": [
            {"uri": "test://static-text", "name": "text", "description": "Text", "mimeType": "text/plain"},
            {"uri": "test://static-binary", "name": "picture", "description": "A picture",
                "mimeType": "image/png"},
        ]}))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        parse_result(json!({"resourceTemplates": [
            {"uriTemplate": "test://template/{id}/data", "name": "data", "mimeType": "application/json"},
        ]}))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let (kind, part, content) = match uri {
            "test://static-text" => {
                ("text/plain", "text", "This is the content of the static text resource.".to_owned())
            }
            "test://static-binary" => ("image/png", "blob", PNG.to_owned()),
            _ => {
                let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
                let Some(id) = id else {
                    let unknown = Some(json!({"uri": uri}));
                    return Err(ErrorData::resource_not_found("there is no such resource", unknown));
                };
                let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
                ("application/json", "text", data.to_string())
            }
        };
        let read: ReadResourceResult =
            parse_result(json!({"contents": [{"uri": uri, "mimeType": kind, part: content}]}))?;
        Ok(read.into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let takes = |names: &[&str]| -> Value {
            names.iter().map(|name| json!({"name": name, "description": name, "required": true})).collect()
        };
        parse_result(json!({"prompts": [
            {"name": "test_simple_prompt", "description": "Text"},
            {"name": "test_prompt_with_arguments", "description": "Text",
                "arguments": takes(&["arg1", "arg2"])},
            {"name": "test_prompt_with_embedded_resource", "description": "A resource",
                "arguments": takes(&["resourceUri"])},
            {"name": "test_prompt_with_image", "description": "A picture"},
        ]}))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let given = Value::Object(request.arguments.unwrap_or_default());
        let word = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
        let messages = match request.name.as_str() {
            "test_simple_prompt" => vec![text_content("This is a simple prompt for testing.")],
            "test_prompt_with_arguments" => {
                let words =
                    format!("Prompt with arguments: arg1='{}', arg2='{}'", word("arg1"), word("arg2"));
                vec![text_content(&words)]
            }
            "test_prompt_with_embedded_resource" => {
                let words = "Embedded resource content for testing.";
                let embedded = resource_content(&word("resourceUri"), "text/plain", words);
                vec![embedded, text_content("Please process the embedded resource above.")]
            }
            "test_prompt_with_image" => {
                vec![image_content(), text_content("Please analyze the image above.")]
            }
            _ => return Err(ErrorData::invalid_params("there is no such prompt", None)),
        };
        let messages: Vec<Value> = messages.iter().map(prompt_message).collect();
        Ok(GetPromptResponse::Complete(parse_result::<GetPromptResult>(json!({"messages": messages}))?))
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        parse_result(
            json!({"completion": {"values": ["paris", "park", "party"], "total": 3, "hasMore": false}}),
        )
    }
}
