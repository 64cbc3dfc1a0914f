//! The tools of a fixer: `edit`, `write` and `run`, on a private clone, besides the reading tools.
//!
//! The workspace's policy judges each call first, and a denial names the rule that would allow the call.
//! Truing's own process changes the files, follows no link, and does not change git's folder. Commands run in
//! the sandbox, where only the clone and private folders are writable. Only fixers get these tools. The tool
//! `run` is offered only where the sandbox is `full`, because at weaker levels a command could write git's
//! folder. Fixers without `run` need no sandbox.

mod change;
mod run;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use truing_core::policy::{AgentAction, AgentPolicy, PolicyRule, PolicyVerdict};
use truing_core::port::ReaderError;
use truing_model::messages::ToolDefinition;
use truing_reader::tree_secrets::TreeSecrets;

use crate::native::{RunTools, ToolCallOutput};
use crate::sandbox::{SandboxError, SandboxLevel, require_level};
use crate::tree::WritableTree;

/// Name of the tool that replaces text in a file.
pub const EDIT_TOOL: &str = "edit";
/// Name of the tool that writes a whole file.
pub const WRITE_TOOL: &str = "write";
/// Name of the tool that runs a command.
const RUN_TOOL: &str = "run";

/// Default time limit of a command.
pub const DEFAULT_COMMAND_TIME_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The clone that a fixer works on, and the resources of its commands.
#[derive(Clone, Debug)]
pub struct FixerWorkspace {
    /// Root folder of the clone.
    pub clone: PathBuf,
    /// Folders that the commands may read and run programs from, besides the system's folders.
    pub program_folders: Vec<PathBuf>,
    /// Time limit of a command.
    pub command_time_limit: Duration,
    /// The policy that judges each change and each command.
    pub policy: Arc<AgentPolicy>,
}

impl FixerWorkspace {
    /// Returns a workspace with the system's programs and the time limit [`DEFAULT_COMMAND_TIME_LIMIT`].
    pub fn new(clone: PathBuf, policy: Arc<AgentPolicy>) -> Self {
        Self { clone, program_folders: Vec::new(), command_time_limit: DEFAULT_COMMAND_TIME_LIMIT, policy }
    }
}

/// The tools of a fixer: tools that read the clone, and tools that change it.
pub struct FixerTools {
    read_tools: Box<dyn RunTools>,
    workspace: FixerWorkspace,
    tree: WritableTree,
    /// Level of the sandbox of the `run` tool; `None` if this tool is not available.
    run_level: Option<SandboxLevel>,
    /// Allows one change or command at a time, because each change or command must see the result of the
    /// previous one.
    change_lock: Mutex<()>,
    /// The secrets of the clone. Truing searches the clone for secrets before and after each command.
    secrets: Arc<std::sync::Mutex<TreeSecrets>>,
}

/// An error that prevents the creation of a fixer's tools.
#[derive(Debug, thiserror::Error)]
pub enum FixerError {
    /// The sandbox is unavailable or too weak.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The clone cannot be opened.
    #[error(transparent)]
    Clone(#[from] ReaderError),
}

/// A failed call, with a message for the model.
#[derive(Debug, thiserror::Error)]
enum FixerCallError {
    #[error("the input of `{tool}` is wrong: {source}")]
    Input { tool: &'static str, source: serde_json::Error },
    #[error("denied: {reason}; {}", .rule.as_ref().map_or_else(
        || "no rule can allow it".to_owned(),
        |rule| format!("the rule that would allow it: {}", rule.text)
    ))]
    Denied { reason: String, rule: Option<PolicyRule> },
    #[error(transparent)]
    Change(#[from] change::FileChangeError),
    /// The text of a [`CommandError`](crate::command::CommandError), without secrets.
    #[error("{0}")]
    Run(String),
    #[error("cannot search the files for secrets, so no command runs: {0}")]
    Secrets(tokio::task::JoinError),
}

/// The input of `edit`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditInput {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    #[serde(rename = "all")]
    replace_all: bool,
}

/// The input of `write`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteInput {
    path: String,
    content: String,
}

/// The input of `run`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunInput {
    argv: Vec<String>,
}

impl FixerTools {
    /// Builds the tools with `run`, for the clone of `workspace`.
    ///
    /// # Errors
    /// [`FixerError`], most often because the sandbox is too weak.
    pub fn new(
        read_tools: Box<dyn RunTools>,
        workspace: FixerWorkspace,
        sandbox_level: SandboxLevel,
    ) -> Result<Self, FixerError> {
        let run_level = Some(require_level(SandboxLevel::MIN_FOR_FOREIGN_CODE, sandbox_level)?);
        Ok(Self { run_level, ..Self::without_commands(read_tools, workspace)? })
    }

    /// Builds the tools without `run`, which need no sandbox.
    ///
    /// # Errors
    /// [`FixerError`] if the folder cannot be opened.
    pub fn without_commands(
        read_tools: Box<dyn RunTools>,
        workspace: FixerWorkspace,
    ) -> Result<Self, FixerError> {
        let tree = WritableTree::open(&workspace.clone)?;
        Ok(Self {
            read_tools,
            workspace,
            tree,
            run_level: None,
            change_lock: Mutex::default(),
            secrets: Arc::default(),
        })
    }

    pub fn clone_folder(&self) -> &Path {
        &self.workspace.clone
    }

    fn check_action(&self, action: AgentAction<'_>) -> Result<(), FixerCallError> {
        match self.workspace.policy.judge(action) {
            PolicyVerdict::Allow { .. } => Ok(()),
            PolicyVerdict::Deny { rule, reason } => Err(FixerCallError::Denied { reason, rule }),
        }
    }

    fn edit(&self, input: &Value) -> Result<String, FixerCallError> {
        let EditInput { path, old, new, replace_all: all } = parse_input(EDIT_TOOL, input)?;
        self.check_action(AgentAction::Edit(&path))?;
        Ok(change::edit_file(
            &self.tree,
            &path,
            &change::TextReplacement { old: &old, new: &new, replace_all: all },
        )?)
    }

    fn write(&self, input: &Value) -> Result<String, FixerCallError> {
        let WriteInput { path, content } = parse_input(WRITE_TOOL, input)?;
        self.check_action(AgentAction::Write(&path))?;
        Ok(change::write_file(&self.tree, &path, &content)?)
    }

    async fn run(&self, input: &Value, level: SandboxLevel) -> Result<String, FixerCallError> {
        let RunInput { argv } = parse_input(RUN_TOOL, input)?;
        self.check_action(AgentAction::Run(&argv.iter().map(String::as_str).collect::<Vec<_>>()))?;
        self.search_secrets().await?;
        let printed = run::run_command(&self.workspace, level, &argv).await;
        // The clone is searched again, because the command may have restored a file with a secret.
        self.search_secrets().await?;
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        match printed {
            Ok(text) => Ok(secrets.mask_parts(&text).into_owned()),
            Err(error) => Err(FixerCallError::Run(secrets.mask_parts(&error.to_string()).into_owned())),
        }
    }

    async fn search_secrets(&self) -> Result<(), FixerCallError> {
        let (secrets, folder) = (Arc::clone(&self.secrets), self.workspace.clone.clone());
        let search = move || secrets.lock().unwrap_or_else(PoisonError::into_inner).search(&folder);
        tokio::task::spawn_blocking(search).await.map_err(FixerCallError::Secrets)
    }
}

#[async_trait]
impl RunTools for FixerTools {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let mut offered = self.read_tools.tool_definitions();
        offered
            .extend(own_tools().into_iter().filter(|tool| self.run_level.is_some() || tool.name != RUN_TOOL));
        offered
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        let done = match name {
            EDIT_TOOL => {
                let _turn = self.change_lock.lock().await;
                self.edit(input)
            }
            WRITE_TOOL => {
                let _turn = self.change_lock.lock().await;
                self.write(input)
            }
            RUN_TOOL if let Some(level) = self.run_level => {
                let _turn = self.change_lock.lock().await;
                self.run(input, level).await
            }
            _ => return self.read_tools.call(name, input).await,
        };
        // The cached state is discarded after a failure as well, because a command may have changed files
        // before it was killed.
        self.read_tools.clear_cache().await;
        match done {
            Ok(text) => ToolCallOutput { text, is_error: false, is_denied: false },
            Err(wrong) => ToolCallOutput {
                text: wrong.to_string(),
                is_error: true,
                is_denied: matches!(wrong, FixerCallError::Denied { .. }),
            },
        }
    }
}

fn parse_input<T: DeserializeOwned>(tool: &'static str, input: &Value) -> Result<T, FixerCallError> {
    truing_core::json::from_value::<T>(input).map_err(|source| FixerCallError::Input { tool, source })
}

/// Returns the definitions of the fixer's own tools.
fn own_tools() -> [ToolDefinition; 3] {
    let text = |field_description: &str| json!({ "type": "string", "description": field_description });
    let tool = |name: &str, description: &str, properties: Value, required: Value| ToolDefinition {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema: json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false
        }),
        cache_control: None,
    };
    let path = || text("The file, relative to the root of the repository");
    [
        tool(
            EDIT_TOOL,
            "Replaces text in a file. The file must contain `old` exactly, with its whitespace, and only \
            once. If `all` is true, it may contain `old` several times.",
            json!({
                "path": path(),
                "old": text("The text to replace, without line numbers"),
                "new": text("The text to put in its place"),
                "all": { "type": "boolean", "description": "Replace every occurrence of `old`" },
            }),
            json!(["path", "old", "new"]),
        ),
        tool(
            WRITE_TOOL,
            "Writes a whole file: creates a new file and the folders above it, or replaces the content of \
            an existing file.",
            json!({ "path": path(), "content": text("The whole new content of the file") }),
            json!(["path", "content"]),
        ),
        tool(
            RUN_TOOL,
            "Runs a command in the root of the repository and shows its exit code and the beginning and end \
             of what it prints. There is no shell and no network. Only some commands are allowed, such as \
             `git diff`, tests, and linters; a refusal says why.",
            json!({
                "argv": {
                    "type": "array", "items": { "type": "string" }, "minItems": 1,
                    "description": "The program and its arguments, each a word of its own",
                },
            }),
            json!(["argv"]),
        ),
    ]
}
