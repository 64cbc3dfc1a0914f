//! Formats a diff of the definitions that a release changed. Control characters in the package's lines are
//! escaped, so the lines cannot control a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use truing_core::line::format_count;
use truing_loops::sync::DefinitionPatch;

use crate::cli::review::text::visible_text;

/// Maximum number of lines shown of each definition's diff.
const MAX_PATCH_LINES: usize = 80;
/// Maximum number of definitions whose diff is shown.
const MAX_PATCHES: usize = 20;

const REMOVED_STYLE: Style = AnsiColor::Red.on_default();
const ADDED_STYLE: Style = AnsiColor::Green.on_default();
const HUNK_HEADER_STYLE: Style = AnsiColor::Cyan.on_default();
const NAME_STYLE: Style = Style::new().bold();

/// Formats the diffs of the changed definitions: at most `MAX_PATCHES` definitions, and at most
/// `MAX_PATCH_LINES` lines of each.
pub(super) fn render_patches(patches: &[DefinitionPatch]) -> String {
    let mut text = String::new();
    for DefinitionPatch { name, hunks } in patches.iter().take(MAX_PATCHES) {
        let _ = writeln!(text, "\n{NAME_STYLE}{}{NAME_STYLE:#}", visible_text(name));
        for line in hunks.split_terminator('\n').take(MAX_PATCH_LINES) {
            let style = match line.as_bytes() {
                [b'@', ..] => HUNK_HEADER_STYLE,
                [b'-', ..] => REMOVED_STYLE,
                [b'+', ..] => ADDED_STYLE,
                _ => Style::new(),
            };
            // In a file with CRLF line ends, every line ends with a CR. The CR is not shown.
            let line = visible_text(line.strip_suffix('\r').unwrap_or(line));
            let _ = writeln!(text, "{style}{line}{style:#}");
        }
        let count = hunks.split_terminator('\n').count();
        if count > MAX_PATCH_LINES {
            let _ = writeln!(text, "… and {}", format_count(count - MAX_PATCH_LINES, "more line"));
        }
    }
    if patches.len() > MAX_PATCHES {
        let _ = writeln!(text, "\n… and {}", format_count(patches.len() - MAX_PATCHES, "more definition"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render_plain(patches: &[DefinitionPatch]) -> String {
        anstream::adapter::strip_str(&render_patches(patches)).to_string()
    }

    #[test]
    fn lines_are_coloured_bounded_and_steer_no_terminal() {
        let hunks = "@@ -1 +1 @@\n-old\u{1b}[2J\r\n+new\u{202e}\n".to_owned();
        let text = render_patches(&[DefinitionPatch { name: "a.py a:f".to_owned(), hunks }]);
        assert!(text.contains(&format!("{REMOVED_STYLE}-old\u{241b}[2J{REMOVED_STYLE:#}\n")), "{text:?}");
        assert!(text.contains(&format!("{ADDED_STYLE}+new\\u{{202e}}{ADDED_STYLE:#}\n")), "{text:?}");
        let long = DefinitionPatch { name: "a".to_owned(), hunks: "+x\n".repeat(MAX_PATCH_LINES + 3) };
        let text = render_plain(&vec![long; MAX_PATCHES + 1]);
        assert_eq!(text.matches("+x\n").count(), MAX_PATCH_LINES * MAX_PATCHES);
        assert!(
            text.contains("… and 3 more lines\n") && text.ends_with("\n… and 1 more definition\n"),
            "{text}"
        );
        assert_eq!(render_patches(&[]), "");
    }
}
