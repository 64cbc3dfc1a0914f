//! Tools served over the Model Context Protocol: to whatever client a pipe leads to, and over HTTP ([`http`]). Which
//! tools there are, and what they do, is the caller's ([`Toolset`]). And the other way round, servers of others whose
//! tools a run may call ([`client`]). Only here is `rmcp` used.
//!
//! A method that is not known is answered with an error; a client may try protocols and methods as it likes.

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

/// The most bytes of one message from a client.
pub const MAX_MESSAGE: usize = 4 << 20;

/// Tools that are offered together.
#[async_trait]
pub trait Toolset: Send + Sync + 'static {
    /// The server's name, as clients show it.
    fn name(&self) -> &str;
    /// What a model is told of the tools as a whole.
    fn instructions(&self) -> Option<&str>;
    /// The tools.
    fn tools(&self) -> Vec<McpTool>;
    /// Calls one of them. The input is an object; that it is what the tool's schema says is the toolset's to check.
    async fn call(&self, name: &str, input: Value) -> ToolCallResult;
}

/// One tool, as it is offered.
#[derive(Clone, PartialEq, Debug)]
pub struct McpTool {
    /// What it is called by.
    pub name: String,
    /// What people are shown.
    pub title: String,
    /// What a model is told.
    pub description: String,
    /// The JSON Schema of its input: of an object.
    pub input_schema: Value,
    /// The JSON Schema of [`ToolCallResult::structured`], if it answers so: of an object.
    pub output_schema: Option<Value>,
    /// What it does to the world.
    pub hints: ToolHints,
}

/// What a tool does to the world, for whoever decides whether a call needs to be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToolHints {
    /// It changes nothing.
    pub read_only: bool,
    /// It can take away what was there.
    pub destructive: bool,
    /// A second call with the same input changes nothing more.
    pub idempotent: bool,
    /// It deals with what others can change as well.
    pub open_world: bool,
}

/// What a call came to.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolCallResult {
    /// What a model reads.
    pub text: String,
    /// The same for programs, as the tool's output schema says.
    pub structured: Option<Value>,
    /// It could not be done; the text says why.
    pub is_error: bool,
}

impl ToolCallResult {
    /// A call that could not be done.
    pub fn failed(why: impl Into<String>) -> Self {
        Self { text: why.into(), structured: None, is_error: true }
    }
}

/// Why serving a pipe ended before its client closed it.
#[derive(Debug, thiserror::Error)]
#[error("the MCP client went away, or is none: {0}")]
pub struct McpServeError(String);

/// Serves a client over this process's standard input and output until it closes them.
///
/// # Errors
/// If it never begins a session.
#[truing_core::boxed_future]
pub async fn over_stdio(tools: Arc<dyn Toolset>) -> Result<(), McpServeError> {
    let (reader, writer) = stdio_pipes();
    over_until(tools, reader, writer, pace::hung_up(std::io::stdin())).await
}

/// Serves a client over a pipe until it closes its end. A client that closes it without a word is no error. No more is read
/// while 16 of its calls are not answered; what is not answered within five seconds after it has closed its end, is not
/// answered.
///
/// # Errors
/// If it never begins a session.
pub async fn over(
    tools: Arc<dyn Toolset>,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<(), McpServeError> {
    over_until(tools, reader, writer, std::future::pending()).await
}

/// As [`over`]; `gone` tells that the client has closed its end, though something may be left to read.
async fn over_until(
    tools: Arc<dyn Toolset>,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    gone: impl Future<Output = ()> + Send,
) -> Result<(), McpServeError> {
    let pipe = AsyncRwTransport::new_server(reader, writer).with_max_line_length(MAX_MESSAGE);
    let (pipe, ended) = pace::PacedTransport::new(pipe);
    let session = match serve_server(ToolsetHandler(tools), pipe).await {
        Ok(session) => session,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(McpServeError(error.to_string())),
    };
    let late = async {
        tokio::select! {
            () = ended.notified() => {}
            () = gone => {}
        }
        tokio::time::sleep(pace::LINGER).await;
    };
    tokio::select! {
        waited = session.waiting() => waited.map(|_| ()).map_err(|error| McpServeError(error.to_string())),
        () = late => Ok(()),
    }
}

/// A toolset in the library's terms.
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
        Ok(ListToolsResult::with_all_items(self.0.tools().into_iter().map(tool).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.tools().into_iter().find(|offer| offer.name == name).map(tool)
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

    // The library's own answer to what follows is an empty list: but what is not offered is not known.

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

/// An offer in the library's terms.
fn tool(offer: McpTool) -> Tool {
    let ToolHints { read_only, destructive, idempotent, open_world } = offer.hints;
    let mut tool = Tool::new(offer.name, offer.description, object(offer.input_schema));
    tool.title = Some(offer.title);
    tool.output_schema = offer.output_schema.map(|schema| object(schema).into());
    tool.annotations = Some(ToolAnnotations::from_raw(
        None,
        Some(read_only),
        Some(destructive),
        Some(idempotent),
        Some(open_world),
    ));
    tool
}

/// A schema; of any object, if it is none.
fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(schema) => schema,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            JsonObject::from_iter([("type".to_owned(), "object".into())])
        }
    }
}
