//! The only module that prints. Data goes to stdout; errors, warnings, progress and remarks go to stderr.
//! This module also handles colour, `--quiet`, and readers that stop reading.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use serde_json::ser::Formatter;
use truing_core::line::is_invisible_char;

use super::columns::{MIN_TERMINAL_COLUMNS, wrap_line};
use super::error::CliError;
use super::runner_commands::break_runner_commands;
use super::{CliFormat, ColorWhen};

const ERROR_STYLE: Style = AnsiColor::Red.on_default().bold();
const WARNING_STYLE: Style = AnsiColor::Yellow.on_default().bold();
const HINT_STYLE: Style = AnsiColor::Cyan.on_default().bold();

/// First character of an ANSI sequence.
const ESCAPE_CHAR: char = '\u{1b}';

/// Destination and style of a command's output. The printer is cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputPrinter {
    format: CliFormat,
    is_quiet: bool,
    verbosity: u8,
    color: ColorChoice,
    /// Path of the operator's file from `--config`, quoted for a shell.
    config_path: Option<&'static str>,
}

/// Returns a value as one line of JSON, with a line break.
///
/// # Errors
/// Returns `write_failed` for a value that JSON cannot represent.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, CliError> {
    let mut line = Vec::new();
    write_json(&mut line, value).map_err(|error| {
        CliError::failure("write_failed", format!("the output cannot be written as JSON: {error}"))
    })?;
    line.push(b'\n');
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Writes a value as JSON. Invisible characters are escaped, because JSON is also shown on terminals.
pub(super) fn write_json(out: &mut impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, EscapingFormatter))
}

/// A formatter of compact JSON that escapes invisible characters.
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = fragment;
        while let Some((at, hidden)) = plain.char_indices().find(|(_, char)| is_invisible_char(*char)) {
            let (before, rest) = plain.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = rest.get(hidden.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(plain.as_bytes())
    }
}

impl OutputPrinter {
    /// Returns a printer with the settings of the global flags.
    pub(crate) fn new(format: CliFormat, quiet: bool, verbose: u8, color: ColorWhen) -> Self {
        let color = match color {
            ColorWhen::Auto => ColorChoice::Auto,
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
        };
        Self { format, is_quiet: quiet, verbosity: verbose, color, config_path: None }
    }

    /// Adds the path of the operator's file that the user named. The commands in hints repeat this path.
    #[must_use]
    pub(crate) fn with_config(self, file: Option<&Path>) -> Self {
        // The path is leaked, so that this type contains only a reference and stays cheap to copy.
        let config = file.map(|file| &*Box::leak(shell_quote(&file.display().to_string()).into_boxed_str()));
        Self { config_path: config, ..self }
    }

    /// Returns a command of Truing that users can paste. The command names the operator's file if the user
    /// named it.
    pub(crate) fn command_line(self, arguments: &str) -> String {
        match self.config_path {
            Some(file) => format!("truing --config {file} {arguments}"),
            None => format!("truing {arguments}"),
        }
    }

    /// Returns the value of `--format`.
    pub fn format(self) -> CliFormat {
        self.format
    }

    /// Returns true if the answer is printed as JSON. This method is only for commands that support just text
    /// and JSON.
    pub fn is_json(self) -> bool {
        self.format == CliFormat::Json
    }

    /// Prints data on stdout; invisible characters are escaped, and commands of a forge's runner are broken
    /// in text. ANSI sequences are removed if colour is off. If the reader of stdout stops reading, this is
    /// not an error, because the command has done its work.
    ///
    /// # Errors
    /// `write_failed` if stdout cannot be written for another reason, such as a full disk.
    pub fn print_data(self, text: impl Display) -> Result<(), CliError> {
        // The other formats are for programs, and the format for GitHub consists of commands.
        match self.format == CliFormat::Text {
            true => self.write_stdout(&break_runner_commands(&text.to_string())),
            false => self.write_stdout(&text.to_string()),
        }
    }

    fn write_stdout(self, text: &str) -> Result<(), CliError> {
        // In Markdown, Truing inserts zero-width spaces so that an address does not become a link. Zero-width
        // spaces in untrusted text were escaped before.
        let apart = (self.format == CliFormat::Markdown).then_some('\u{200b}');
        let mut stdout = AutoStream::new(io::stdout(), self.color);
        let text = escape_invisible_chars(text, |char| {
            !matches!(char, '\n' | '\t' | '\r' | ESCAPE_CHAR) && Some(char) != apart
        });
        ignore_broken_pipe(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// Prints one JSON value on one line of stdout.
    ///
    /// # Errors
    /// As [`OutputPrinter::print_data`].
    pub fn print_json(self, value: &impl Serialize) -> Result<(), CliError> {
        self.write_stdout(&json_line(value)?)
    }

    /// Prints an answer as JSON, or as the text that `text` returns. This method is only for commands that
    /// support just these two formats.
    ///
    /// # Errors
    /// As [`OutputPrinter::print_data`].
    pub fn print_answer<T: Display>(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> T,
    ) -> Result<(), CliError> {
        match self.is_json() {
            true => self.print_json(value),
            false => self.print_data(text()),
        }
    }

    /// Prints JSON values on stdout, one on each line. Each value is printed as soon as it is available, so
    /// the answer may have any length. If the reader stops reading, no further values are computed.
    ///
    /// # Errors
    /// As [`OutputPrinter::print_data`].
    pub fn print_json_lines<T: Serialize>(self, values: impl IntoIterator<Item = T>) -> Result<(), CliError> {
        // JSON escapes control characters, so the lines contain no ANSI sequences.
        let mut stdout = BufWriter::with_capacity(STDOUT_BUFFER_BYTES, io::stdout().lock());
        let write = || -> io::Result<()> {
            for value in values {
                write_json(&mut stdout, &value)?;
                stdout.write_all(b"\n")?;
            }
            stdout.flush()
        };
        ignore_broken_pipe(write())
    }

    /// Prints a remark on stderr, unless `--quiet` is set.
    pub fn print_note(self, text: impl Display) {
        if !self.is_quiet {
            let text = escape_to_one_line(&add_config_flag(&text.to_string(), self.config_path));
            self.write_stderr(format_args!("{}\n", wrap_remark(text, terminal_columns())));
        }
    }

    /// Prints lines on stderr, unless `--quiet` is set. The caller must escape characters that could control
    /// a terminal.
    pub(crate) fn print_lines(self, lines: impl Display) {
        if !self.is_quiet {
            self.write_stderr(lines);
        }
    }

    /// Prints lines on stderr even with `--quiet`, since the user must see them.
    pub(crate) fn print_even_if_quiet(self, lines: impl Display) {
        self.write_stderr(lines);
    }

    /// Prints a warning on stderr, even with `--quiet`.
    pub fn warn(self, text: impl Display) {
        let text = add_config_flag(&text.to_string(), self.config_path);
        self.write_stderr(render_labelled(WARNING_STYLE, "warning:", &text, terminal_columns()));
    }

    /// Prints an error: lines on stderr and, with `--format json`, an object on stdout.
    pub(crate) fn print_error(self, error: &CliError) {
        self.print_error_text(error);
        if self.is_json() {
            // The error is already on stderr, so a failure to print it on stdout as well is ignored.
            drop(self.print_json(&self.with_config_hints(error).to_json()));
        }
    }

    /// Adds the operator's file to the commands in the hints of an error. This method is for answers that
    /// contain the error as an object.
    pub(crate) fn with_config_hints(self, error: &CliError) -> CliError {
        error.clone().map_hints(|hint| add_config_flag(&hint, self.config_path))
    }

    /// Prints the error only on stderr. This method is for commands whose answer on stdout already contains
    /// the error.
    pub(crate) fn print_error_text(self, error: &CliError) {
        let (mut text, columns) = (String::new(), terminal_columns());
        for error in std::iter::once(error).chain(&error.other_errors) {
            text += &render_labelled(ERROR_STYLE, "error:", &error.message, columns);
            for line in &error.illustration {
                text += &format!("  {}\n", escape_to_one_line(line));
            }
            for hint in &error.hints {
                text +=
                    &render_labelled(HINT_STYLE, "hint:", &add_config_flag(hint, self.config_path), columns);
            }
        }
        self.write_stderr(text);
    }

    /// Shows that long work is in progress. On a terminal, shows a bar of `total` steps. If `total` is
    /// `None`, shows a spinner. Elsewhere, prints one line at the start. With `--quiet`, shows nothing. The
    /// bar disappears when the returned value is dropped.
    pub fn progress(self, label: impl Into<String>, total: Option<u64>) -> ProgressDisplay {
        let label = label.into();
        if !self.can_draw_bars() {
            self.print_note(&label);
            return ProgressDisplay { bar: ProgressBar::hidden(), output: self };
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = if total.is_some() { "{msg} {bar:30} {pos}/{len}" } else { "{msg} {spinner}" };
        // The template is a constant; if it were invalid, indicatif's own style would be used.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(label);
        bar.enable_steady_tick(BAR_UPDATE_INTERVAL);
        ProgressDisplay { bar, output: self }
    }

    /// Shows the current step of long work. On a terminal, shows a spinner and the duration of the step.
    /// Elsewhere, prints one line for each step. With `--quiet`, shows nothing.
    pub(crate) fn show_step_progress(self) -> ProgressDisplay {
        if !self.can_draw_bars() {
            return ProgressDisplay { bar: ProgressBar::hidden(), output: self };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_message("preparing");
        bar.enable_steady_tick(BAR_UPDATE_INTERVAL);
        ProgressDisplay { bar, output: self }
    }

    /// Returns true if a bar may be drawn. With `--verbose`, no bar is drawn, because the bar and the log
    /// lines would overwrite each other.
    fn can_draw_bars(self) -> bool {
        !self.is_quiet && self.verbosity == 0 && io::stderr().is_terminal()
    }

    /// Returns the number of `--verbose` flags.
    pub(crate) fn verbosity(self) -> u8 {
        self.verbosity
    }

    /// Returns true if `--quiet` was given.
    pub(crate) fn is_quiet(self) -> bool {
        self.is_quiet
    }

    /// Returns true if output on stderr may be coloured.
    pub(crate) fn stderr_color(self) -> bool {
        match self.color {
            ColorChoice::Auto => AutoStream::choice(&io::stderr()) != ColorChoice::Never,
            ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
            ColorChoice::Never => false,
        }
    }

    fn write_stderr(self, text: impl Display) {
        let mut stderr = AutoStream::new(io::stderr(), self.color);
        let text = text.to_string();
        let text = break_runner_commands(&text);
        // There is no place to report a failed write to stderr.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

/// Maximum number of bytes of JSON lines that are buffered before a write.
const STDOUT_BUFFER_BYTES: usize = 64 << 10;

/// Converts the result of a write to stdout: a reader that stops reading is not an error.
fn ignore_broken_pipe(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::failure("write_failed", format!("cannot write to standard output: {error}"))
                .hint("check that the disk has free space, or redirect the output to another file"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Interval between updates of a bar on a terminal.
const BAR_UPDATE_INTERVAL: std::time::Duration = std::time::Duration::from_millis(120);

/// A progress bar, which may be hidden.
pub struct ProgressDisplay {
    bar: ProgressBar,
    output: OutputPrinter,
}

impl ProgressDisplay {
    /// Advances the bar by this number of steps.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Shows the step that begins now.
    pub(crate) fn show_step(&self, label: &str) {
        if self.bar.is_hidden() {
            return self.output.print_note(label);
        }
        self.bar.reset();
        self.bar.set_message(escape_to_one_line(label));
        self.bar.enable_steady_tick(BAR_UPDATE_INTERVAL);
    }

    /// Clears the bar until the next step, so that other output can be printed.
    pub(crate) fn pause(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    /// Prints a remark. If there is a bar, the remark is printed above the bar.
    pub(crate) fn print_note(&self, text: impl Display) {
        self.bar.suspend(|| self.output.print_note(text));
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Quotes a word for a shell.
pub(in crate::cli) fn shell_quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The start of a Truing command in a message.
const COMMAND_PREFIX: &str = "`truing ";
/// Commands to which no `--config` is added, because they need no configuration or already name their file.
const COMMANDS_WITHOUT_CONFIG: [&str; 7] =
    ["init", "completions", "man", "help", "config schema", "config check", "--config"];

/// Adds the operator's file to each Truing command in a text.
fn add_config_flag(text: &str, config_path: Option<&str>) -> String {
    let Some(file) = config_path else { return text.to_owned() };
    let mut parts = text.split(COMMAND_PREFIX);
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        all += COMMAND_PREFIX;
        let is_named = part.starts_with("--config ");
        if !is_named && !COMMANDS_WITHOUT_CONFIG.iter().any(|words| part.starts_with(words)) {
            all += &format!("--config {file} ");
        }
        all += part;
    }
    all
}

/// Returns true if a terminal shows the data on stdout.
pub(in crate::cli) fn is_stdout_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns the width of the terminal at stderr. Returns `None` if stderr is not a terminal. Lines are then
/// not wrapped, because programs read them.
fn terminal_columns() -> Option<usize> {
    let stderr = io::stderr();
    let size = || tcgetwinsize(&stderr).ok().filter(|size| size.ws_col > 0);
    stderr.is_terminal().then(|| size().map_or(MIN_TERMINAL_COLUMNS, |size| size.ws_col.into()))
}

/// Wraps a remark at the given width. An indented line is a command that users copy, so it is not wrapped.
fn wrap_remark(text: String, columns: Option<usize>) -> String {
    match columns.filter(|_| !text.starts_with(' ')) {
        Some(columns) => wrap_line(&text, 0, columns),
        None => text,
    }
}

/// Returns a line that begins with a styled label.
fn render_labelled(style: Style, label: &str, text: &str, columns: Option<usize>) -> String {
    let text = escape_to_one_line(text);
    let text = match columns {
        Some(columns) => wrap_line(&text, label.len() + 1, columns),
        None => text,
    };
    format!("{style}{label}{style:#} {text}\n")
}

/// Escapes line breaks and characters that could control a terminal. For untrusted text, such as text from a
/// file or forge.
fn escape_to_one_line(text: &str) -> String {
    escape_invisible_chars(text, |_| true).into_owned()
}

/// Replaces the invisible characters for which `should_escape` is true by escapes such as `\u{202e}`.
pub(in crate::cli) fn escape_invisible_chars(
    text: &str,
    should_escape: impl Fn(char) -> bool,
) -> Cow<'_, str> {
    let is_escaped = |char: char| is_invisible_char(char) && should_escape(char);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if is_escaped(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_carries_no_control_characters() {
        assert_eq!(escape_to_one_line("a\nb\x1b[31mc é"), r"a\nb\u{1b}[31mc é");
        assert_eq!(
            escape_to_one_line("a\u{200b}\u{e0041}\u{202e}\u{9b}"),
            r"a\u{200b}\u{e0041}\u{202e}\u{9b}"
        );
    }

    #[test]
    fn json_says_the_same_and_hides_nothing() {
        let text = "a\"\n\u{202e}b\u{e0041}\u{9b}é\u{200b}";
        let line = json_line(&text).unwrap();
        assert_eq!(line, "\"a\\\"\\n\\u202eb\\udb40\\udc41\\u009bé\\u200b\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn a_remark_fits_the_terminal_and_a_command_alone_stays_whole() {
        let (text, command) = ("one two three".to_owned(), "  truing serve".to_owned());
        assert_eq!(wrap_remark(text.clone(), Some(8)), "one two\nthree");
        assert_eq!((wrap_remark(text.clone(), None), wrap_remark(command.clone(), Some(8))), (text, command));
    }

    #[test]
    fn commands_in_hints_repeat_the_operators_file() {
        let hint = "see `truing why KEY`, or `truing init`; `git status` shows more";
        assert_eq!(add_config_flag(hint, None), hint);
        assert_eq!(
            add_config_flag(hint, Some("a.toml")),
            "see `truing --config a.toml why KEY`, or `truing init`; `git status` shows more"
        );
        assert_eq!(shell_quote("/etc/truing.toml"), "/etc/truing.toml");
        assert_eq!(shell_quote("my file's.toml"), r"'my file'\''s.toml'");
    }
}
