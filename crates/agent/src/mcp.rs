//! Tools served over the Model Context Protocol, to a client at the other end of a pipe and over HTTP
//! ([`http`]). The caller defines the tools and their effects ([`Toolset`]). [`client`] is the other
//! direction: it connects to third-party servers, whose tools a run may call. Only this module uses `rmcp`.
//!
//! An unknown method is answered with an error, and the session continues, because clients may probe which
//! methods exist.

pub mod client;
#[cfg(test)]
mod conformance;
pub(crate) mod connections;
pub mod http;
mod pace;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod, CompleteRequestParams,
    CompleteResult, ContentBlock, ErrorData, Implementation, JsonObject, ListPromptsRequestMethod,
    ListPromptsResult, ListResourceTemplatesRequestMethod, ListResourceTemplatesResult,
    ListResourcesRequestMethod, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer, ServerInitializeError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{ServerHandler, serve_server};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

/// Maximum number of bytes of one message from a client.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// A set of tools that is offered together.
#[async_trait]
pub trait Toolset: Send + Sync + 'static {
    /// Returns the server's name, as clients show it.
    fn name(&self) -> &str;
    /// Returns the description of the tools as a whole, for the model.
    fn instructions(&self) -> Option<&str>;
    /// Returns the offered tools.
    fn tools(&self) -> Vec<McpTool>;
    /// Calls one of the tools. The input is an object; the toolset must check that it matches the tool's
    /// schema.
    async fn call(&self, name: &str, input: Value) -> ToolCallResult;
}

/// One tool, as it is offered.
#[derive(Clone, PartialEq, Debug)]
pub struct McpTool {
    /// Name by which clients call the tool.
    pub name: String,
    /// Title shown to people.
    pub title: String,
    /// Description for the model.
    pub description: String,
    /// JSON Schema of the input, which must be an object.
    pub input_schema: Value,
    /// JSON Schema of [`ToolCallResult::structured`], if the tool returns such a value. The schema must
    /// describe an object.
    pub output_schema: Option<Value>,
    /// Effects of the tool.
    pub hints: ToolHints,
}

/// The effects of a tool. Clients use these hints to decide whether a call needs confirmation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToolHints {
    /// The tool changes nothing.
    pub read_only: bool,
    /// The tool can delete existing data.
    pub destructive: bool,
    /// A second call with the same input changes nothing more.
    pub idempotent: bool,
    /// The tool uses data that other users or programs can also change.
    pub open_world: bool,
}

/// The result of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolCallResult {
    /// Text for the model.
    pub text: String,
    /// The result as JSON for programs; it matches the tool's output schema.
    pub structured: Option<Value>,
    /// True if the call failed; the text gives the reason.
    pub is_error: bool,
}

impl ToolCallResult {
    /// Returns the result of a failed call.
    pub fn from_error(reason: impl Into<String>) -> Self {
        Self { text: reason.into(), structured: None, is_error: true }
    }
}

/// The reason why a session over a pipe ended before the client closed the pipe.
#[derive(Debug, thiserror::Error)]
#[error("the MCP client disconnected or does not speak MCP: {0}")]
pub struct McpServeError(String);

/// Serves a client over the standard input and output of this process until the client closes the pipe.
///
/// # Errors
/// [`McpServeError`] if the client never begins a session.
#[truing_core::boxed_future]
pub async fn serve_stdio(tools: Arc<dyn Toolset>) -> Result<(), McpServeError> {
    let (reader, writer) = stdio_pipes();
    serve_until(tools, reader, writer, pace::wait_for_hangup(std::io::stdin())).await
}

/// Serves a client over a pipe until the client closes its end. A client that closes its end without any
/// message causes no error. Reading pauses while 16 of the client's calls are unanswered. When the client
/// closes its end, pending calls get five more seconds; then they are dropped.
///
/// # Errors
/// [`McpServeError`] if the client never begins a session.
pub async fn serve_pipe(
    tools: Arc<dyn Toolset>,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<(), McpServeError> {
    serve_until(tools, reader, writer, std::future::pending()).await
}

/// Serves as [`serve_pipe`] does. `client_closed` completes once the client has closed its end, even if
/// unread data remains.
async fn serve_until(
    tools: Arc<dyn Toolset>,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    client_closed: impl Future<Output = ()> + Send,
) -> Result<(), McpServeError> {
    let pipe = AsyncRwTransport::new_server(reader, writer).with_max_line_length(MAX_MESSAGE_BYTES);
    let (pipe, ended) = pace::PacedTransport::new(pipe);
    let session = match serve_server(ToolsetHandler(tools), pipe).await {
        Ok(session) => session,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(McpServeError(error.to_string())),
    };
    let late = async {
        tokio::select! {
            () = ended.notified() => {}
            () = client_closed => {}
        }
        tokio::time::sleep(pace::PENDING_CALLS_TIMEOUT).await;
    };
    tokio::select! {
        waited = session.waiting() => waited.map(|_| ()).map_err(|error| McpServeError(error.to_string())),
        () = late => Ok(()),
    }
}

/// Adapts a toolset to the traits of `rmcp`.
pub(crate) struct ToolsetHandler(pub(crate) Arc<dyn Toolset>);

impl ServerHandler for ToolsetHandler {
    fn get_info(&self) -> ServerConfig {
        let server = Implementation::new(self.0.name(), env!("CARGO_PKG_VERSION"));
        let config =
            ServerConfig::new(ServerCapabilities::builder().enable_tools().build()).with_server_info(server);
        match self.0.instructions() {
            Some(instructions) => config.with_instructions(instructions),
            None => config,
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.0.tools().into_iter().map(to_rmcp_tool).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.tools().into_iter().find(|offer| offer.name == name).map(to_rmcp_tool)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.0.tools().iter().any(|offer| offer.name == request.name) {
            let unknown = format!("there is no tool `{}`: see tools/list", request.name);
            return Err(ErrorData::invalid_params(unknown, None));
        }
        let called = self.0.call(&request.name, Value::Object(request.arguments.unwrap_or_default())).await;
        let mut result = CallToolResult::success(vec![ContentBlock::text(called.text)]);
        result.structured_content = called.structured;
        result.is_error = Some(called.is_error);
        Ok(result.into())
    }

    // By default, the library answers the following methods with an empty list. This server does not offer
    // them, so it answers that the methods are unknown.

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourceTemplatesRequestMethod>())
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }
}

/// Converts a tool to the type of `rmcp`.
fn to_rmcp_tool(mcp_tool: McpTool) -> Tool {
    let ToolHints { read_only, destructive, idempotent, open_world } = mcp_tool.hints;
    let mut tool = Tool::new(mcp_tool.name, mcp_tool.description, schema_object(mcp_tool.input_schema));
    tool.title = Some(mcp_tool.title);
    tool.output_schema = mcp_tool.output_schema.map(|schema| schema_object(schema).into());
    tool.annotations = Some(ToolAnnotations::from_raw(
        None,
        Some(read_only),
        Some(destructive),
        Some(idempotent),
        Some(open_world),
    ));
    tool
}

/// Returns the schema as an object. If the value is not an object, returns a schema that accepts any object.
fn schema_object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(schema) => schema,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            JsonObject::from_iter([("type".to_owned(), "object".into())])
        }
    }
}
