//! Provides the tools that a model can call: `read`, `list`, `glob`, `grep` and `symbol` for files of the
//! tree, and `diff` for the change.
//!
//! A [`TreeToolbox`] responds to calls on one tree, in the reader process, where untrusted bytes are parsed.
//! The server itself calls [`answer_diff_call`], because a compromised reader must not be able to falsify the
//! change. The server parses diffs in any case. The response to an invalid call describes the correct input.
//! An invalid call never makes the run fail. Every response has a limited length. A cut response states where
//! it was cut, and how to request the rest. The rest is requested by the same call with a larger `skip`
//! (`read`: with another `start_line`). Line numbers in responses equal those in findings.

mod diff;
mod grep;
mod index;
mod list;
mod page;
mod read;
mod symbol;
mod tool_call_error;
mod tool_description;

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_core::port::ReaderError;

use crate::file::FileTree;
use crate::protocol::ToolsRequest;
use crate::stack::run_on_large_stack;
use crate::syntax::ParserPool;
use index::FileIndex;
use page::truncate_note;
use tool_call_error::ToolCallError;

pub use diff::{DIFF_TOOL_NAME, answer_diff_call, render_file_diff};
pub use tool_description::{ToolDescription, tool_descriptions};

/// Longest text of a response, in bytes.
pub const MAX_REPLY_BYTES: usize = 40 << 10;
/// Time limit of one call. A call that reaches the limit returns the results that it has found.
pub const CALL_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Tool for files of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeTool {
    /// Returns lines of a file.
    Read,
    /// Lists the entries of a folder.
    List,
    /// Finds files whose paths match a pattern.
    Glob,
    /// Finds lines by a regular expression.
    Grep,
    /// Finds the definitions of a name.
    Symbol,
}

impl TreeTool {
    /// All tools, in order.
    pub const ALL: [Self; 5] = [Self::Read, Self::List, Self::Glob, Self::Grep, Self::Symbol];

    /// Returns the name that the model uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Glob => "glob",
            Self::Grep => "grep",
            Self::Symbol => "symbol",
        }
    }

    /// Finds a tool by the name that the model uses.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

/// Result of a call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolReply {
    /// Text for the model; at most [`MAX_REPLY_BYTES`].
    pub text: String,
    /// True if the call was invalid.
    pub is_error: bool,
}

impl ToolReply {
    /// Creates the reply to an invalid call. The message describes the error and the correct form of the
    /// call.
    pub fn error(message: &str) -> Self {
        Self { text: truncate_note(message), is_error: true }
    }
}

impl From<Result<String, ToolCallError>> for ToolReply {
    fn from(result: Result<String, ToolCallError>) -> Self {
        match result {
            Ok(text) => Self { text, is_error: false },
            Err(wrong) => Self::error(&wrong.to_string()),
        }
    }
}

/// Responds to calls on one tree.
pub struct TreeToolbox {
    tree: FileTree,
    index: FileIndex,
    parsers: ParserPool,
    time_limit: Duration,
}

impl TreeToolbox {
    /// Opens the tree and lists its files.
    ///
    /// # Errors
    ///
    /// [`ReaderError::Failed`] if the tree cannot be opened.
    pub fn open(request: &ToolsRequest) -> Result<Self, ReaderError> {
        let tree = FileTree::open(&request.tree)?;
        let index = FileIndex::new(&request.tree, request.readable_files.as_deref(), &request.always);
        Ok(Self { tree, index, parsers: ParserPool::default(), time_limit: CALL_TIME_LIMIT })
    }

    /// Responds to a call.
    pub fn call(&mut self, tool: TreeTool, input: &Value) -> ToolReply {
        let end = Instant::now() + self.time_limit;
        // A large stack is needed because pattern compilation and the walk of a syntax tree are recursive.
        // The depth of the recursion is bounded but large.
        let done = run_on_large_stack(|| self.run_tool(tool, input, end));
        done.unwrap_or_else(|error| Err(ToolCallError::CallFailed(error.to_string()))).into()
    }

    fn run_tool(
        &mut self,
        tool: TreeTool,
        input: &Value,
        deadline: Instant,
    ) -> Result<String, ToolCallError> {
        match tool {
            TreeTool::Read => read::read_file(&self.tree, &self.index, parse_input(tool.name(), input)?),
            TreeTool::List => list::list_folder(&self.tree, &self.index, parse_input(tool.name(), input)?),
            TreeTool::Glob => list::glob_files(&self.index, parse_input(tool.name(), input)?),
            TreeTool::Grep => {
                grep::grep_files(&self.tree, &self.index, parse_input(tool.name(), input)?, deadline)
            }
            TreeTool::Symbol => {
                let Self { tree, index, parsers, .. } = self;
                symbol::find_symbol(tree, index, parsers, parse_input(tool.name(), input)?, deadline)
            }
        }
    }
}

/// Parses the input of a call.
fn parse_input<T: DeserializeOwned>(tool: &'static str, input: &Value) -> Result<T, ToolCallError> {
    T::deserialize(input).map_err(|source| ToolCallError::InvalidInput { tool, source })
}

#[cfg(test)]
mod tests;
