//! Comments, and reactions to comments.

/// The fields that all kinds of comments have.
#[derive(Clone, Debug)]
pub(crate) struct StoredComment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) deleted: bool,
    /// Number of further list requests that do not return the comment.
    pub(crate) hidden_list_reads: u32,
    /// Comment to which this comment is a reply, only at Bitbucket. The parent may itself be a reply.
    pub(crate) parent_key: Option<u64>,
    /// Number of changes of the comment; only at Bitbucket Data Center.
    pub(crate) version: u64,
    /// Account that resolved the thread that starts with this comment. Only for threads in a Data Center's
    /// conversation; threads on code have a separate field.
    pub(crate) resolved_by: Option<String>,
    pub(crate) reactions: Vec<FakeReaction>,
    pub(crate) last_edit: Option<StoredEdit>,
}

/// The last change of a comment's text.
#[derive(Clone, Debug)]
pub(crate) struct StoredEdit {
    pub(crate) editor: String,
    pub(crate) previous_body: String,
}

impl StoredComment {
    /// Replaces the text of the comment, as this account.
    pub(crate) fn set_body(&mut self, body: &str, now: i64, editor: &str) {
        let previous_body = std::mem::replace(&mut self.body, body.to_owned());
        self.last_edit = Some(StoredEdit { editor: editor.to_owned(), previous_body });
        self.updated_at = now;
        self.version += 1;
    }
}

/// A reaction to a comment.
#[derive(Clone, Debug)]
pub(crate) struct FakeReaction {
    pub(crate) id: u64,
    pub(crate) account: String,
    pub(crate) content: String,
    pub(crate) created_at: i64,
}

/// Returns the ids of the comments that a list request returns, without deleted and hidden comments. Each
/// call of this function decreases the number of lists in which a hidden comment is still missing.
pub(crate) fn list_visible_comment_ids<'a>(
    comments: impl Iterator<Item = &'a mut StoredComment>,
) -> Vec<u64> {
    let mut shown = Vec::new();
    for note in comments.filter(|note| !note.deleted) {
        if note.hidden_list_reads > 0 {
            note.hidden_list_reads -= 1;
        } else {
            shown.push(note.id);
        }
    }
    shown
}
