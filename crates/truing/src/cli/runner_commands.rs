//! Breaks the commands that a forge's runner reads from the log of a job. Untrusted text, such as the name of
//! a file or a linter's message, could otherwise give the runner a command.
//!
//! The runner of GitHub Actions reads `::command::` at the beginning of a line, after white space, and
//! `##[command]` anywhere in a line. Azure Pipelines reads `##vso[command]`. The wrapping of a text
//! determines which words begin a line, so commands are broken only when the whole text is printed.

use std::borrow::Cow;

/// The commands that are read anywhere in a line, with their broken forms.
const COMMANDS_IN_LINE: [(&str, &str); 2] = [("##[", "#\\#["), ("##vso[", "#\\#vso[")];
/// The beginning of a command that is read only at the beginning of a line, with its broken form.
const COMMAND_AT_START: (&str, &str) = ("::", ":\\:");

/// Returns the text with a visible backslash in each command of a runner.
pub(super) fn break_runner_commands(text: &str) -> Cow<'_, str> {
    let (command, broken_command) = COMMAND_AT_START;
    if !text.contains("##") && !text.contains(command) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    // A carriage return ends a line, too.
    for line in text.split_inclusive(['\n', '\r']) {
        let content = skip_blanks_and_styles(line);
        shown.push_str(line.strip_suffix(content).unwrap_or_default());
        match content.strip_prefix(command) {
            Some(rest) => {
                shown.push_str(broken_command);
                shown.push_str(rest);
            }
            None => shown.push_str(content),
        }
    }
    for (command, broken_command) in COMMANDS_IN_LINE {
        shown = shown.replace(command, broken_command);
    }
    Cow::Owned(shown)
}

/// Returns the line from its first visible character. The printer may remove the ANSI sequences of styles, so
/// a command may follow such a sequence.
fn skip_blanks_and_styles(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(sequence) = rest.strip_prefix("\u{1b}[") {
        let Some((_, after)) = sequence.split_once(|letter: char| ('@'..='~').contains(&letter)) else {
            break;
        };
        rest = after.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_a_runner_is_broken_where_the_runner_reads_it() {
        for (text, shown) in [
            ("::add-mask::x", ":\\:add-mask::x"),
            ("a\n  ::stop-commands::x\n", "a\n  :\\:stop-commands::x\n"),
            ("a\r\u{3000}::debug::x", "a\r\u{3000}:\\:debug::x"),
            ("\u{1b}[1m ::debug::\u{1b}[0m x", "\u{1b}[1m :\\:debug::\u{1b}[0m x"),
            (":::error::", ":\\::error::"),
            ("a ##[add-mask]x ###[group]", "a #\\#[add-mask]x ##\\#[group]"),
            ("a ##vso[task.complete]", "a #\\#vso[task.complete]"),
        ] {
            assert_eq!(break_runner_commands(text), shown);
            assert_eq!(break_runner_commands(shown), shown);
        }
        for text in ["", "a::b", "use std::io; ::x", "## title", "#[allow(x)]", "\u{1b}[", ": :x"] {
            assert_eq!(break_runner_commands(text), text);
        }
    }
}
