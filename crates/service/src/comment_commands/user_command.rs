//! Parses the first line of a comment into a command.

use truing_core::{comment_text, dismissal};

/// A command of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserCommand {
    /// Requests a review now.
    Review,
    /// Requests a full review now, regardless of earlier reviews.
    FullReview,
    /// Requests a review now. Only the button of a check issues this command. No comment can issue this
    /// command.
    Rerun,
    /// Starts or resumes a converge run.
    Converge,
    /// Ends the converge run before its next step.
    Stop,
    /// Requests one audit without a fix.
    Audit,
    /// Allows more money for models on this pull request.
    Spend,
    /// Pauses reviews until they are resumed.
    Pause,
    /// Resumes reviews after a pause.
    Resume,
    /// Dismisses one finding until its code changes.
    Dismiss {
        /// The finding's id or a prefix of the id. If the line contains no id, the command refers to the
        /// finding of the comment's thread.
        finding: Option<String>,
        /// The reason for the dismissal; empty if the line has none.
        reason: String,
    },
    /// Withdraws the dismissal of one finding.
    Undismiss {
        /// The finding, in the same format as in [`Self::Dismiss`].
        finding: Option<String>,
    },
    /// Requests the list of commands.
    Help,
}

impl UserCommand {
    /// Parses the first line of a comment. Returns `None` if the line is not a command, or if the comment is
    /// a copy of another person's text.
    pub fn parse(body: &str) -> Option<Self> {
        let line = body.split(['\r', '\n']).next().unwrap_or_default();
        if !line.starts_with('/') || comment_text::names_other_author(body) {
            return None;
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            ["/review"] => Some(Self::Review),
            ["/review", "full"] => Some(Self::FullReview),
            ["/converge"] => Some(Self::Converge),
            ["/converge", "stop"] => Some(Self::Stop),
            ["/spend"] => Some(Self::Spend),
            ["/audit"] => Some(Self::Audit),
            ["/help"] => Some(Self::Help),
            ["/review", "pause"] => Some(Self::Pause),
            ["/review", "resume"] => Some(Self::Resume),
            ["/dismiss", id, reason @ ..] if dismissal::looks_like_finding_id(id) => {
                Some(Self::Dismiss { finding: Some((*id).to_owned()), reason: reason.join(" ") })
            }
            ["/undismiss"] => Some(Self::Undismiss { finding: None }),
            ["/undismiss", id] if dismissal::looks_like_finding_id(id) => {
                Some(Self::Undismiss { finding: Some((*id).to_owned()) })
            }
            ["/dismiss", reason @ ..] => Some(Self::Dismiss { finding: None, reason: reason.join(" ") }),
            _ => None,
        }
    }

    /// Returns true if the command refers to the finding whose thread contains the comment.
    pub fn targets_thread_finding(&self) -> bool {
        match self {
            Self::Dismiss { finding, .. } | Self::Undismiss { finding } => finding.is_none(),
            Self::Review
            | Self::FullReview
            | Self::Rerun
            | Self::Converge
            | Self::Stop
            | Self::Audit
            | Self::Spend
            | Self::Pause
            | Self::Resume
            | Self::Help => false,
        }
    }

    /// Returns the fixed words of the command, without its arguments.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Review => "/review",
            Self::FullReview => "/review full",
            Self::Rerun => "re-run",
            Self::Converge => "/converge",
            Self::Stop => "/converge stop",
            Self::Audit => "/audit",
            Self::Spend => "/spend",
            Self::Pause => "/review pause",
            Self::Resume => "/review resume",
            Self::Dismiss { .. } => "/dismiss",
            Self::Undismiss { .. } => "/undismiss",
            Self::Help => "/help",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_whole_first_line_and_nothing_like_it() {
        let dismiss = |finding: Option<&str>, reason: &str| {
            Some(UserCommand::Dismiss { finding: finding.map(Into::into), reason: reason.into() })
        };
        for (body, asked) in [
            ("/review", Some(UserCommand::Review)),
            ("/review  \t", Some(UserCommand::Review)),
            ("/review\r\nplease", Some(UserCommand::Review)),
            ("/review full", Some(UserCommand::FullReview)),
            ("/review \t full \n/review pause", Some(UserCommand::FullReview)),
            ("/review pause", Some(UserCommand::Pause)),
            ("/review resume", Some(UserCommand::Resume)),
            ("/dismiss only  a test\r\n/review", dismiss(None, "only a test")),
            ("/dismiss 1:0a1b2c3d4e-1 only a test", dismiss(Some("1:0a1b2c3d4e-1"), "only a test")),
            ("/dismiss 1:0a1b", dismiss(Some("1:0a1b"), "")),
            ("/dismiss 1: a list", dismiss(None, "1: a list")),
            ("/dismiss", dismiss(None, "")),
            ("/undismiss", Some(UserCommand::Undismiss { finding: None })),
            ("/undismiss 1:0a1b", Some(UserCommand::Undismiss { finding: Some("1:0a1b".into()) })),
            ("/undismiss it was right", None),
            ("", None),
            ("\n/review", None),
            (" /review", None),
            ("\u{a0}/review", None),
            ("> /review", None),
            ("> /review\n\n/review", None),
            ("```\n/review\n```", None),
            ("    /review", None),
            ("<!--\n/review\n-->", None),
            ("*Originally posted by @ann:*\n\n/review", None),
            ("/review\n\n_Originally posted by @ann in https://x/issues/3_", None),
            ("/review\r\n\r\n---------- Forwarded message ---------", None),
            ("/review\n\nOn Monday, Ann wrote:\n> _Originally posted by @eve_", Some(UserCommand::Review)),
            ("`/review`", None),
            ("/Review", None),
            ("/reviews", None),
            ("/review.", None),
            ("/review fully", None),
            ("/review full now", None),
            ("/review\u{a0}full", None),
            ("/review\u{200b}", None),
            ("/ review", None),
            ("please /review", None),
            ("/help", Some(UserCommand::Help)),
            ("/help me", None),
            ("/converge", Some(UserCommand::Converge)),
            ("/converge now", None),
            ("/converge stop", Some(UserCommand::Stop)),
            ("/converge stop it", None),
            ("/audit", Some(UserCommand::Audit)),
            ("/spend", Some(UserCommand::Spend)),
            ("/spend 100", None),
            ("/audit now", None),
            ("/dismissed wrong", None),
            (" /dismiss wrong", None),
        ] {
            assert_eq!(UserCommand::parse(body), asked, "{body:?}");
        }
        let words = [
            UserCommand::Review,
            UserCommand::FullReview,
            UserCommand::Converge,
            UserCommand::Stop,
            UserCommand::Audit,
            UserCommand::Pause,
            UserCommand::Resume,
        ];
        for asked in words {
            assert_eq!(UserCommand::parse(asked.as_str()), Some(asked));
        }
    }
}
