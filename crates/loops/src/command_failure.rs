//! Formats the output of a program for people.

use truing_agent::verify::CommandOutput;
use truing_core::finding::RawFinding;
use truing_core::line;
use truing_reader::output::DEFAULT_RULE_NAME;
use truing_reader::redact::{redact_credentials, redact_secrets};

/// Maximum number of characters of a command's last output in an error.
const MAX_OUTPUT_TAIL_CHARS: usize = 500;
/// Maximum number of bytes of an output that are searched for an error.
const MAX_SEARCHED_BYTES: usize = 64 << 10;
/// The character that programs use to draw lines in headings.
const HEADING_LINE_CHAR: char = '━';
/// Maximum number of output lines in an error.
const MAX_ERROR_LINES: usize = 3;

/// Describes how a command failed, with the end of its output.
pub(crate) fn failure_text(command_output: &CommandOutput) -> String {
    let cleaned =
        [&command_output.stderr, &command_output.stdout].map(|text| clean_output_tail(text.trim_end()));
    let last = cleaned.iter().find(|text| !text.is_empty()).map(String::as_str).unwrap_or_default();
    let lines: Vec<&str> = last.lines().rev().take(MAX_ERROR_LINES).collect();
    let words = lines.into_iter().rev().collect::<Vec<_>>().join("; ");
    let words = line::clean_line(&words, MAX_OUTPUT_TAIL_CHARS);
    if words.is_empty() {
        command_output.end_reason.to_string()
    } else {
        format!("{}: {words}", command_output.end_reason)
    }
}

/// Describes how a program failed, with its output from the first line that mentions an error.
pub(crate) fn failure_cause(command_output: &CommandOutput) -> String {
    let texts =
        [&command_output.stderr, &command_output.stdout].map(|text| redact_secrets(&searchable_prefix(text)));
    let from_error = texts.iter().find_map(|text| {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !is_source_excerpt(line)).collect();
        let first = lines.iter().position(|line| mentions_error(line))?;
        // Some programs name the file in a heading directly above the error.
        let start = first.saturating_sub(1);
        let heading = lines.get(start).filter(|line| line.ends_with(HEADING_LINE_CHAR)).copied();
        let mut causes: Vec<&str> = heading.into_iter().collect();
        for line in lines.into_iter().skip(first) {
            if causes.len() < MAX_ERROR_LINES && !causes.contains(&line) {
                causes.push(line);
            }
        }
        let causes: Vec<&str> =
            causes.iter().map(|line| line.trim_end_matches([HEADING_LINE_CHAR, ' '])).collect();
        let words = line::clean_line(&causes.join("; "), MAX_OUTPUT_TAIL_CHARS);
        (!words.is_empty()).then_some(words)
    });
    from_error.map_or_else(
        || failure_text(command_output),
        |words| format!("{}: {words}", command_output.end_reason),
    )
}

fn mentions_error(line: &str) -> bool {
    let small = line.to_ascii_lowercase();
    small.contains("error") || small.contains("failed to") || line.starts_with('×')
}

/// True if the line is part of an excerpt of source code, or contains neither letters nor digits.
fn is_source_excerpt(line: &str) -> bool {
    let of_source = line.trim_start_matches(|letter: char| letter.is_ascii_digit() || " >".contains(letter));
    of_source.starts_with(['|', '│']) || !line.contains(char::is_alphanumeric)
}

/// Returns the beginning of a text, without colour codes. Only this part is searched for an error.
fn searchable_prefix(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SEARCHED_BYTES.min(text.len()));
    anstream::adapter::strip_str(text.get(..end).unwrap_or_default()).to_string()
}

/// Returns the end of a command's output without colours and secrets.
fn clean_output_tail(text: &str) -> String {
    // Earlier text is never shown, so only the end is processed.
    let start = text.ceil_char_boundary(text.len().saturating_sub(MAX_OUTPUT_TAIL_CHARS * 8));
    redact_secrets(&anstream::adapter::strip_str(text.get(start..).unwrap_or_default()).to_string())
}

/// Removes the secrets that this process knows, such as credentials, from a finding. A linter may have
/// printed them in plain or in encoded form. The process that parses the linter's output does not know the
/// secrets.
pub(crate) fn redact_known_credentials(raw: RawFinding) -> RawFinding {
    let is_free = |text: &str| redact_credentials(text) == text;
    let suggestion = raw.suggestion.filter(|suggestion| is_free(&suggestion.replacement));
    let rule = match (is_free(&raw.rule), raw.rule.split_once('/')) {
        (true, _) => raw.rule,
        (false, Some((tool, _))) if is_free(tool) => format!("{tool}/{DEFAULT_RULE_NAME}"),
        (false, _) => format!("tool/{DEFAULT_RULE_NAME}"),
    };
    let [title, body, snippet] = [&raw.title, &raw.body, &raw.snippet].map(|text| redact_credentials(text));
    RawFinding { rule, title, body, snippet, suggestion, ..raw }
}

#[cfg(test)]
mod tests {
    use truing_core::verification::CommandEndReason;

    use super::*;

    fn cause_of_errors(errors: &str) -> String {
        let errors = errors.to_owned();
        failure_cause(&CommandOutput {
            end_reason: CommandEndReason::Exit { code: 2 },
            duration_ms: 1,
            stdout: String::new(),
            stderr: errors,
            tree_path: "/tree".into(),
        })
    }

    #[test]
    fn the_cause_of_a_refused_configuration_is_told_with_its_file() {
        let ruff = "ruff failed\n  Cause: Failed to parse /p/pyproject.toml\n  Cause: TOML parse error at \
             line 4, column 1\n  |\n4 | [tool.ruff]\n  | ^^^^^^^^^^^\nunknown field `show-source`\n";
        assert_eq!(
            cause_of_errors(ruff),
            "exit code 2: Cause: Failed to parse /p/pyproject.toml; Cause: TOML parse error at line 4, \
             column 1; unknown field `show-source`"
        );
        let biome = "/p/biome.json:1:11 deserialize  DEPRECATED  ━━━━━\n\n  i The use is deprecated.\n\n\
                     /p/biome.json:1:51 deserialize ━━━━━\n\n  × Found an unknown key `include`.\n  \n  \
                     > 1 │ {}\n      │ ^^^\n    2 │ \n  i Known keys:\n\nconfiguration ━━━━━\n\n  \
                     × Biome exited because the configuration resulted in errors.\n";
        assert_eq!(
            cause_of_errors(biome),
            "exit code 2: /p/biome.json:1:51 deserialize; × Found an unknown key `include`.; i Known keys:"
        );
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        assert_eq!(
            cause_of_errors("error: too old:\n  x requires rustc 1.99\n  x requires rustc 1.99\n"),
            "exit code 2: error: too old:; x requires rustc 1.99"
        );
    }
}
