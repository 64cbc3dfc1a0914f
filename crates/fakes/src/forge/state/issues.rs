//! Issues and labels of a repository, as the fake stores them.

use crate::forge::state::notes::StoredComment;

#[derive(Clone, Debug)]
pub(crate) struct StoredIssue {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) author: String,
    pub(crate) labels: Vec<String>,
    pub(crate) open: bool,
    pub(crate) locked: bool,
    pub(crate) state_reason: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) close_event: Option<(i64, String)>,
    pub(crate) comments: Vec<StoredComment>,
    /// Number of further list requests that do not return the issue.
    pub(crate) hidden_list_reads: u32,
}

/// A label that an account added or removed.
#[derive(Clone, Debug)]
pub(crate) struct LabelChange {
    pub(crate) id: u64,
    pub(crate) account: String,
    pub(crate) label: String,
    pub(crate) is_added: bool,
    pub(crate) changed_at: i64,
}
