//! The mails of `git format-patch`: where their messages end, which may hold what looks like a diff.
//!
//! The line `---` separates the message from the statistics, and only stands there if there are statistics. So until
//! it has come, what is read of a mail is held back; and one that comes after the first diff is a removed line (`--`)
//! of it, unless statistics follow.

use crate::row::MalformedLine;

/// What a line of a mail says about its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MessageEnd {
    /// Nothing.
    Unknown,
    /// It ended with this line.
    EndsHere,
    /// It ended with the line before this one.
    EndedBefore,
    /// It has no end: the next mail begins with this line.
    NextMail,
}

/// A mail whose message may not have ended.
#[derive(Clone, Debug)]
pub(crate) struct UnfinishedMail<F> {
    /// What has been read of it, if it has no message that ends.
    pub(crate) held: Vec<F>,
    /// Why reading it stopped, likewise.
    pub(crate) error: Option<MalformedLine>,
    has_diff: bool,
    /// Was the last line `---`, behind a diff?
    after_dashes: bool,
}

impl<F> UnfinishedMail<F> {
    /// One that begins.
    pub(crate) fn new() -> Self {
        Self { held: Vec::new(), error: None, has_diff: false, after_dashes: false }
    }

    /// Looks at its next line.
    pub(crate) fn look(&mut self, line: &[u8]) -> MessageEnd {
        if std::mem::take(&mut self.after_dashes) && is_statistics(line) {
            return MessageEnd::EndedBefore;
        }
        if is_start(line) {
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

/// Does the line begin a mail: `From`, a commit, a date?
pub(crate) fn is_start(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let hex = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    matches!(hex, 40 | 64) && rest.get(hex) == Some(&b' ')
}

/// Is it a line like ` src/main.rs | 12 ++--`?
fn is_statistics(line: &[u8]) -> bool {
    if !line.starts_with(b" ") {
        return false;
    }
    let Some(bar) = line.windows(3).rposition(|three| three == b" | ") else { return false };
    let count = line.get(bar + 3..).unwrap_or_default().trim_ascii();
    count.starts_with(b"Bin") || count.first().is_some_and(u8::is_ascii_digit)
}
