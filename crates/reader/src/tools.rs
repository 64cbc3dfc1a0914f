//! What a model may look at: files of the tree (`read`, `list`, `glob`, `grep`, `symbol`) and the change (`diff`).
//!
//! A [`TreeToolbox`] answers calls about one tree. It runs in the reader's process, where hostile bytes are parsed; the
//! change is shown by [`diff`], which the server calls itself, since it parses diffs anyway and a reader that was taken
//! over must not be able to lie about it. A wrong call is an answer that says what is right, never an error of the
//! run. Every answer is bounded, says where it was cut, and how to get the rest: the same call with a larger `skip`
//! (`read`: with another `start_line`). Lines are numbered as findings cite them.

mod change;
mod grep;
mod index;
mod list;
mod offered;
mod page;
mod read;
mod symbol;
mod wrong;

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_core::port::ReaderError;

use crate::file::FileTree;
use crate::protocol::ToolsRequest;
use crate::stack::on_large_stack;
use crate::syntax::ParserPool;
use index::FileIndex;
use page::cut_note;
use wrong::ToolCallError;

pub use change::{DIFF, diff};
pub use offered::{ToolDescription, offered};

/// The longest text of an answer, in bytes.
pub const MAX_REPLY_BYTES: usize = 40 << 10;
/// How long one call may work. What was found by then is told.
pub const CALL_TIME: Duration = Duration::from_secs(10);

/// A tool that looks at the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeTool {
    /// Lines of a file.
    Read,
    /// What is in a folder.
    List,
    /// Files by a pattern of their path.
    Glob,
    /// Lines by a regular expression.
    Grep,
    /// Where a name is defined.
    Symbol,
}

impl TreeTool {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::List, Self::Glob, Self::Grep, Self::Symbol];

    /// What the model calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Glob => "glob",
            Self::Grep => "grep",
            Self::Symbol => "symbol",
        }
    }

    /// By what the model calls it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

/// What a call came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolReply {
    /// For the model; at most [`MAX_REPLY_BYTES`].
    pub text: String,
    /// Was the call wrong?
    pub is_error: bool,
}

impl ToolReply {
    /// A call that was wrong, with words that say what is right.
    pub fn wrong(what: &str) -> Self {
        Self { text: cut_note(what), is_error: true }
    }
}

impl From<Result<String, ToolCallError>> for ToolReply {
    fn from(done: Result<String, ToolCallError>) -> Self {
        match done {
            Ok(text) => Self { text, is_error: false },
            Err(wrong) => Self::wrong(&wrong.to_string()),
        }
    }
}

/// Answers calls about one tree.
pub struct TreeToolbox {
    tree: FileTree,
    index: FileIndex,
    parsers: ParserPool,
    time: Duration,
}

impl TreeToolbox {
    /// Looks which files there are.
    ///
    /// # Errors
    /// [`ReaderError::Failed`] if the tree cannot be opened.
    pub fn open(request: &ToolsRequest) -> Result<Self, ReaderError> {
        let tree = FileTree::open(&request.tree)?;
        let index = FileIndex::of(&request.tree, request.only.as_deref(), &request.always);
        Ok(Self { tree, index, parsers: ParserPool::default(), time: CALL_TIME })
    }

    /// Answers a call.
    pub fn call(&mut self, tool: TreeTool, input: &Value) -> ToolReply {
        let end = Instant::now() + self.time;
        // Patterns are compiled and syntax is walked by recursion, which is bounded but may be deep.
        let done = on_large_stack(|| self.answer(tool, input, end));
        done.unwrap_or_else(|error| Err(ToolCallError::Broken(error.to_string()))).into()
    }

    fn answer(&mut self, tool: TreeTool, input: &Value, end: Instant) -> Result<String, ToolCallError> {
        match tool {
            TreeTool::Read => read::answer(&self.tree, &self.index, parse(tool.name(), input)?),
            TreeTool::List => list::list(&self.tree, &self.index, parse(tool.name(), input)?),
            TreeTool::Glob => list::glob(&self.index, parse(tool.name(), input)?),
            TreeTool::Grep => grep::answer(&self.tree, &self.index, parse(tool.name(), input)?, end),
            TreeTool::Symbol => {
                let Self { tree, index, parsers, .. } = self;
                symbol::answer(tree, index, parsers, parse(tool.name(), input)?, end)
            }
        }
    }
}

/// A call's input.
fn parse<T: DeserializeOwned>(tool: &'static str, input: &Value) -> Result<T, ToolCallError> {
    T::deserialize(input).map_err(|source| ToolCallError::Input { tool, source })
}

#[cfg(test)]
mod tests;
