//! Comment ids. GitHub numbers issue comments and review comments separately, so our ids contain the kind:
//! `issue:123`, `review:456`.

use truing_core::id::CommentId;
use truing_core::port::ForgeError;

/// The id of a comment: its kind, and its number at GitHub.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum GitHubCommentId {
    /// A comment in the conversation, such as the summary.
    Issue(u64),
    /// A comment on a line or a file.
    Review(u64),
}

impl GitHubCommentId {
    pub(super) fn to_comment_id(self) -> CommentId {
        CommentId::new(match self {
            Self::Issue(number) => format!("issue:{number}"),
            Self::Review(number) => format!("review:{number}"),
        })
    }

    /// Parses the id of a comment. `purpose` describes the call that needs the id.
    pub(super) fn parse(purpose: &str, comment: &CommentId) -> Result<Self, ForgeError> {
        let parsed = comment.as_str().split_once(':').and_then(|(kind, number)| {
            let number = number.parse().ok()?;
            match kind {
                "issue" => Some(Self::Issue(number)),
                "review" => Some(Self::Review(number)),
                _ => None,
            }
        });
        let message = "the comment id does not have GitHub's form (issue:N or review:N)".to_owned();
        parsed.ok_or_else(|| ForgeError::Rejected { request: purpose.to_owned(), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_back_and_nothing_else_is() {
        for id in [GitHubCommentId::Issue(1), GitHubCommentId::Review(u64::MAX)] {
            assert_eq!(GitHubCommentId::parse("x", &id.to_comment_id()), Ok(id));
        }
        for bad in [
            "",
            "7",
            "issue:",
            "issue:x",
            "review:-1",
            "review:1:2",
            "commit:1",
            "review:18446744073709551616",
        ] {
            assert!(GitHubCommentId::parse("x", &CommentId::new(bad)).is_err(), "{bad}");
        }
    }
}
