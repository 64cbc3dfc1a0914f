//! Parses files of repositories. This crate contains no credentials and opens no connections.
//!
//! Rules are data: a *pack* is a folder below `packs/`, and a rule is a file in this folder (see [`pack`] for
//! its fields). [`InProcessReader`] implements the [`RepositoryReader`](truing_core::port::RepositoryReader)
//! port in the calling process. This reader opens the changed files below the request's tree (`file`),
//! applies the packs' rules to each whole file (`engine`), and reports matches that touch added lines. A
//! report never contains a secret (`snippet`). A file that is not text is only checked for secrets and size
//! (`content`).
//!
//! A model can read a tree through [`tools`]. Secrets are removed from text before a model receives it
//! ([`redact`]).

mod bounds;
mod content;
mod engine;
mod file;
mod fix;
mod fix_validation;
mod flow;
mod format_findings;
mod hit;
mod in_process;
mod line_edits;
mod lines;
mod linter_comments;
mod literal;
pub mod mask;
pub mod output;
pub mod pack;
mod part;
mod proposals;
pub mod protocol;
pub mod redact;
mod rules;
mod secret_parts;
pub mod serve;
mod snippet;
pub mod sources;
mod stack;
mod suppress;
mod syntax;
mod tool_findings;
mod tool_report;
pub mod tools;
pub mod tree_secrets;
mod used_tools;
mod withheld;

/// Returns true if a grammar is known for the file at this path. Fixes of such a file can be validated by
/// parsing the fixed file.
pub fn has_grammar(path: &truing_diff::RepoPath) -> bool {
    syntax::SourceLanguage::from_path(path.as_bytes()).is_some()
}

pub use file::{FileOpenError, FileTree, MAX_FILE_BYTES, open_regular};
pub use in_process::InProcessReader;
pub use line_edits::{AppliedEdits, FixRefusal, LineEdit, apply_line_edits};
pub use pack::{ExampleResults, ListedRule, RulePacks, RuleSource};
pub use snippet::OMISSION_MARK;
pub use syntax::top_level_digest;
pub use withheld::WithheldFix;
