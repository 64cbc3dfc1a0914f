//! Finds the end of the commit message in mails by `git format-patch`. Diffs are read only after this end,
//! because a message may contain text that looks like a diff.
//!
//! The line `---` separates the message from the diff's statistics. A mail without statistics has no such
//! line. Files that are read before a `---` line may therefore be part of the message or of the diff. These
//! files are held back until the end of the mail. After the first diff, a `---` line is a removed line (`--`)
//! of a diff, unless statistics follow.

use crate::input_line::MalformedLine;

/// The information that a line gives about the end of a mail's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MessageEnd {
    /// The line gives no information about the end of the message.
    Unknown,
    /// This line is the `---` line that ends the message.
    EndsHere,
    /// The previous line was the `---` line that ends the message.
    EndedBefore,
    /// This line begins the next mail, and the mail before had no `---` line that ends its message.
    NextMail,
}

/// A mail in which the end of the message has not been found.
#[derive(Clone, Debug)]
pub(crate) struct MailScanState<F> {
    /// Files that have been read from the mail. If the end of the message is found later, these files are
    /// discarded, because they were part of the message.
    pub(crate) files: Vec<F>,
    /// Error that stopped the reading of the mail. The error is discarded if the end of the message is found
    /// later.
    pub(crate) error: Option<MalformedLine>,
    has_diff: bool,
    /// True if the previous line was `---` and the mail already contained a `diff --` line.
    after_dashes: bool,
}

impl<F> MailScanState<F> {
    /// Returns the state at the beginning of a mail.
    pub(crate) fn new() -> Self {
        Self { files: Vec::new(), error: None, has_diff: false, after_dashes: false }
    }

    /// Examines the next line of the mail.
    pub(crate) fn classify_line(&mut self, line: &[u8]) -> MessageEnd {
        if std::mem::take(&mut self.after_dashes) && is_diffstat_line(line) {
            return MessageEnd::EndedBefore;
        }
        if is_mail_start(line) {
            return MessageEnd::NextMail;
        }
        if matches!(line, b"---\n" | b"---\r\n") {
            if !self.has_diff {
                return MessageEnd::EndsHere;
            }
            self.after_dashes = true;
        }
        self.has_diff |= line.starts_with(b"diff --");
        MessageEnd::Unknown
    }
}

/// Returns true if the line begins a mail: `From`, followed by a commit id.
pub(crate) fn is_mail_start(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let hex = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    matches!(hex, 40 | 64) && rest.get(hex) == Some(&b' ')
}

/// Returns true for a line of statistics such as ` src/main.rs | 12 ++--`.
fn is_diffstat_line(line: &[u8]) -> bool {
    if !line.starts_with(b" ") {
        return false;
    }
    let Some(bar) = line.windows(3).rposition(|three| three == b" | ") else { return false };
    let count = line.get(bar + 3..).unwrap_or_default().trim_ascii();
    count.starts_with(b"Bin") || count.first().is_some_and(u8::is_ascii_digit)
}
