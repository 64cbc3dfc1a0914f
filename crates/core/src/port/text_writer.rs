//! The account that wrote the present text of a comment.

/// The account that wrote the present text of a comment. At GitHub, every account with write access can edit
/// the comments of others. A text counts as an instruction only if the comment's author wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TextWriter {
    /// The author of the comment.
    Author,
    /// Another account, which edited the comment; contains its login.
    OtherAccount(String),
    /// An account that the forge does not show.
    Unknown,
}

impl TextWriter {
    /// Returns the reason why the text is no instruction of the comment's author; `None` if the author wrote
    /// the text.
    pub fn refusal_reason(&self) -> Option<String> {
        match self {
            Self::Author => None,
            Self::OtherAccount(editor) => Some(format!(
                "{editor} edited the comment, so its author did not write this text: write a new comment"
            )),
            Self::Unknown => Some(
                "the comment was edited, and the forge does not show by whom: write a new comment".to_owned(),
            ),
        }
    }
}
