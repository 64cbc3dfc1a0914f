//! Comments, and reactions to them.

/// The fields of every comment.
#[derive(Clone, Debug)]
pub(crate) struct StoredComment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) deleted: bool,
    /// List calls that do not show it yet.
    pub(crate) hidden_for: u32,
    /// The comment that it answers, which may be an answer itself; at Bitbucket alone.
    pub(crate) parent: Option<u64>,
    /// The number of its changes, at Data Center.
    pub(crate) version: u64,
    /// Who resolved the thread that it began in the conversation, at Data Center. Threads on code have
    /// theirs.
    pub(crate) resolved_by: Option<String>,
    pub(crate) reactions: Vec<FakeReaction>,
}

impl StoredComment {
    /// Gives it another text.
    pub(crate) fn rewrite(&mut self, body: &str, now: i64) {
        (self.body, self.updated) = (body.to_owned(), now);
        self.version += 1;
    }
}

/// A reaction to a comment.
#[derive(Clone, Debug)]
pub(crate) struct FakeReaction {
    pub(crate) id: u64,
    pub(crate) by: String,
    pub(crate) content: String,
    pub(crate) at: i64,
}

/// The comments a list call shows: those that are there and old enough. The call counts for the others.
pub(crate) fn visible<'a>(notes: impl Iterator<Item = &'a mut StoredComment>) -> Vec<u64> {
    let mut shown = Vec::new();
    for note in notes.filter(|note| !note.deleted) {
        if note.hidden_for > 0 {
            note.hidden_for -= 1;
        } else {
            shown.push(note.id);
        }
    }
    shown
}
