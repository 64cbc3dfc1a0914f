//! Provides the model of a review with the reading tools for a forge. The tools are limited to the repository
//! of the review.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use truing_agent::mcp::client::{InProcessServer, McpServer, ServerTransport};
use truing_agent::mcp::{McpTool, ToolCallResult, Toolset};
use truing_core::port::RecordStore;
use truing_git::{Git, GitOptions};

use super::{ForgeTools, ForgeToolsParts, LocalClone};

/// The input field that names the repository.
const REPOSITORY_FIELD: &str = "repository";

/// A `[mcp.NAME]` server with our own tools, not yet limited to a review.
#[derive(Clone)]
pub struct OwnToolServer {
    /// The name, the tools and the limits of the server.
    pub server: McpServer,
    /// Name of the forge, the `NAME` of `[forge.NAME]`.
    pub forge: String,
    /// The client of the forge.
    pub forge_client: truing_forge::AnyForgeServer,
    /// Folder of the mirrors.
    pub mirrors_folder: PathBuf,
    /// The store, which contains the kill switch.
    pub store: Arc<dyn RecordStore>,
    pub git: GitOptions,
}

impl OwnToolServer {
    /// Returns the server for a review of this repository (`owner/name`) at this forge. Returns `None` if the
    /// tools are for another forge. Each request to the forge contains the id `review_id`.
    pub fn server_for_review(&self, forge: &str, repository: &str, review_id: &str) -> Option<McpServer> {
        let (own, repository, review) = (self.clone(), repository.to_owned(), review_id.to_owned());
        let make = move || Self::build_tools(own.clone(), repository.clone(), review.clone());
        (self.forge == forge).then(|| McpServer {
            transport: ServerTransport::InProcess(InProcessServer::new(make)),
            ..self.server.clone()
        })
    }

    async fn build_tools(self, repository: String, review_id: String) -> Option<RepositoryTools> {
        let git = match Git::new(self.git.clone()).await {
            Ok(git) => git,
            Err(error) => {
                tracing::warn!(why = %error, "git is not available for the tools of a review");
                return None;
            }
        };
        let Self { forge: name, forge_client: server, mirrors_folder: mirrors, store, .. } = self;
        let local_clone = Some(LocalClone { repository, branch: None });
        let tools = ForgeTools::new(ForgeToolsParts {
            name,
            server,
            git,
            mirrors_folder: mirrors,
            store,
            local_clone,
        });
        Some(RepositoryTools(tools.for_review(&review_id)))
    }
}

/// Tools that read, limited to one repository.
struct RepositoryTools(ForgeTools);

#[async_trait]
impl Toolset for RepositoryTools {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn instructions(&self) -> Option<&str> {
        None
    }

    fn tools(&self) -> Vec<McpTool> {
        let mut tools: Vec<McpTool> =
            self.0.tools().into_iter().filter(|offer| offer.hints.read_only).collect();
        for offer in &mut tools {
            if let Some(fields) = offer.input_schema.get_mut("properties").and_then(Value::as_object_mut) {
                fields.remove(REPOSITORY_FIELD);
            }
        }
        tools
    }

    async fn call(&self, name: &str, input: Value) -> ToolCallResult {
        if !self.tools().iter().any(|offer| offer.name == name) {
            return ToolCallResult::from_error(format!("there is no tool `{name}` in a review"));
        }
        if input.get(REPOSITORY_FIELD).is_some() {
            return ToolCallResult::from_error(
                "a review can read its own repository only: omit `repository`",
            );
        }
        self.0.call(name, input).await
    }
}
