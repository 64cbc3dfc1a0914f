//! The only place that prints. Data goes to stdout, everything said to a person (errors, warnings, progress,
//! remarks) to stderr; both know about colour, `--quiet` and readers that stop reading.

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
use truing_core::line::is_hidden;

use super::columns::{COLUMNS, wrapped};
use super::error::CliError;
use super::{CliFormat, ColorWhen};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Begins an ANSI sequence.
const STYLE: char = '\u{1b}';

/// Where and how a command prints. Cheap to copy; use one everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputPrinter {
    format: CliFormat,
    quiet: bool,
    verbose: u8,
    color: ColorChoice,
    /// The operator's file as `--config` named it, quoted for a shell.
    config: Option<&'static str>,
}

/// A value as JSON on one line, with its end.
///
/// # Errors
/// `write_failed` for what JSON cannot hold.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, CliError> {
    let mut line = Vec::new();
    write_json(&mut line, value)
        .map_err(|error| CliError::failed("write_failed", format!("cannot be written as JSON: {error}")))?;
    line.push(b'\n');
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Writes a value as JSON. What cannot be seen is escaped: JSON is shown on terminals, too.
pub(super) fn write_json(to: &mut impl Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(to, EscapingFormatter))
}

/// Compact JSON in which nothing is hidden.
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = fragment;
        while let Some((at, hidden)) = plain.char_indices().find(|(_, char)| is_hidden(*char)) {
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
    /// As the global flags say.
    pub(crate) fn new(format: CliFormat, quiet: bool, verbose: u8, color: ColorWhen) -> Self {
        let color = match color {
            ColorWhen::Auto => ColorChoice::Auto,
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
        };
        Self { format, quiet, verbose, color, config: None }
    }

    /// With the operator's file that was named: commands in hints repeat it.
    #[must_use]
    pub(crate) fn with_config(self, file: Option<&Path>) -> Self {
        // One for the life of the process, so that this stays cheap to copy.
        let config = file.map(|file| &*Box::leak(quoted(&file.display().to_string()).into_boxed_str()));
        Self { config, ..self }
    }

    /// A command of ours to paste, with the operator's file if it was named.
    pub(crate) fn command(self, words: &str) -> String {
        match self.config {
            Some(file) => format!("truing --config {file} {words}"),
            None => format!("truing {words}"),
        }
    }

    /// What `--format` asks for.
    pub fn format(self) -> CliFormat {
        self.format
    }

    /// Is the answer JSON, and not text? For commands that know no other format.
    pub fn is_json(self) -> bool {
        self.format == CliFormat::Json
    }

    /// Prints data on stdout; what cannot be seen in it is shown escaped. Styling in it (ANSI sequences) is removed
    /// where colour is off. A reader that stops reading is no error: the command's answer does not depend on who reads
    /// it.
    ///
    /// # Errors
    /// `write_failed` if stdout takes nothing more for another reason, such as a full disk.
    pub fn data(self, text: impl Display) -> Result<(), CliError> {
        // In Markdown a space without width keeps an address from being a link; those of others are escaped in it already.
        let apart = (self.format == CliFormat::Markdown).then_some('\u{200b}');
        let mut stdout = AutoStream::new(io::stdout(), self.color);
        let text = text.to_string();
        let text = escaped(&text, |char| !matches!(char, '\n' | '\t' | '\r' | STYLE) && Some(char) != apart);
        taken(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// Prints one JSON value on one line of stdout.
    ///
    /// # Errors
    /// As [`OutputPrinter::data`].
    pub fn json(self, value: &impl Serialize) -> Result<(), CliError> {
        self.data(json_line(value)?)
    }

    /// Prints an answer as JSON, or as what `text` makes of it. For commands that know no other format.
    ///
    /// # Errors
    /// As [`OutputPrinter::data`].
    pub fn answer<T: Display>(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> T,
    ) -> Result<(), CliError> {
        match self.is_json() {
            true => self.json(value),
            false => self.data(text()),
        }
    }

    /// Prints JSON values, one a line, on stdout, as they come: for answers of any length. Where the reader stops
    /// reading, the rest is not asked for.
    ///
    /// # Errors
    /// As [`OutputPrinter::data`].
    pub fn json_lines<T: Serialize>(self, values: impl IntoIterator<Item = T>) -> Result<(), CliError> {
        // JSON escapes control characters, so there is no styling to remove.
        let mut stdout = BufWriter::with_capacity(LINES_AT_ONCE, io::stdout().lock());
        let write = || -> io::Result<()> {
            for value in values {
                write_json(&mut stdout, &value)?;
                stdout.write_all(b"\n")?;
            }
            stdout.flush()
        };
        taken(write())
    }

    /// A remark for a person, on stderr; not with `--quiet`.
    pub fn say(self, text: impl Display) {
        if !self.quiet {
            let text = one_line(&with_config(&text.to_string(), self.config));
            self.talk(format_args!("{}\n", remark(text, columns())));
        }
    }

    /// Lines for a person, on stderr, made so that they cannot steer a terminal; not with `--quiet`.
    pub(crate) fn show(self, lines: impl Display) {
        if !self.quiet {
            self.talk(lines);
        }
    }

    /// The same, also with `--quiet`: what must not be missed.
    pub(crate) fn insist(self, lines: impl Display) {
        self.talk(lines);
    }

    /// A warning, on stderr, also with `--quiet`.
    pub fn warn(self, text: impl Display) {
        let text = with_config(&text.to_string(), self.config);
        self.talk(labelled(WARNING, "warning:", &text, columns()));
    }

    /// Prints an error: lines on stderr and, with `--format json`, an object on stdout.
    pub(crate) fn error(self, error: &CliError) {
        self.complain(error);
        if self.is_json() {
            // The error has been said on stderr; that stdout cannot take it either adds nothing.
            drop(self.json(&self.advised(error).to_json()));
        }
    }

    /// An error whose hints repeat the operator's file, for answers that hold it as an object.
    pub(crate) fn advised(self, error: &CliError) -> CliError {
        error.clone().with_hints(|hint| with_config(&hint, self.config))
    }

    /// The lines of an error alone: where the answer on stdout has it in its own form.
    pub(crate) fn complain(self, error: &CliError) {
        let (mut text, columns) = (String::new(), columns());
        for error in std::iter::once(error).chain(&error.more) {
            text += &labelled(ERROR, "error:", &error.message, columns);
            for line in &error.shown {
                text += &format!("  {}\n", one_line(line));
            }
            for hint in &error.hints {
                text += &labelled(HINT, "hint:", &with_config(hint, self.config), columns);
            }
        }
        self.talk(text);
    }

    /// Shows that long work goes on: a bar on a terminal (with `total` steps, or a spinner), elsewhere one line
    /// now; neither with `--quiet`. The bar goes away when the result is dropped.
    pub fn progress(self, what: impl Into<String>, total: Option<u64>) -> ProgressDisplay {
        let what = what.into();
        if !self.shows_bars() {
            self.say(&what);
            return ProgressDisplay { bar: ProgressBar::hidden(), output: self };
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = if total.is_some() { "{msg} {bar:30} {pos}/{len}" } else { "{msg} {spinner}" };
        // The template is ours; were it wrong, indicatif's own style would do.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        ProgressDisplay { bar, output: self }
    }

    /// Shows what long work does now, and for how long: a spinner on a terminal, elsewhere each step is a line; neither
    /// with `--quiet`.
    pub(crate) fn steps(self) -> ProgressDisplay {
        if !self.shows_bars() {
            return ProgressDisplay { bar: ProgressBar::hidden(), output: self };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_message("preparing");
        bar.enable_steady_tick(TICK);
        ProgressDisplay { bar, output: self }
    }

    /// May a bar be drawn? Log lines and a bar would write over each other.
    fn shows_bars(self) -> bool {
        !self.quiet && self.verbose == 0 && io::stderr().is_terminal()
    }

    /// How many times `--verbose` was given.
    pub(crate) fn verbose(self) -> u8 {
        self.verbose
    }

    /// Was `--quiet` given?
    pub(crate) fn quiet(self) -> bool {
        self.quiet
    }

    /// May what goes to stderr be coloured?
    pub(crate) fn stderr_color(self) -> bool {
        match self.color {
            ColorChoice::Auto => AutoStream::choice(&io::stderr()) != ColorChoice::Never,
            ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
            ColorChoice::Never => false,
        }
    }

    fn talk(self, text: impl Display) {
        let mut stderr = AutoStream::new(io::stderr(), self.color);
        // Nobody is left to tell.
        let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
    }
}

/// How many bytes of JSON lines are gathered before they are written.
const LINES_AT_ONCE: usize = 64 << 10;

/// What a write to stdout means: a reader that stops reading is no error.
fn taken(written: io::Result<()>) -> Result<(), CliError> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::failed("write_failed", format!("cannot write to standard output: {error}"))
                .hint("see that its disk has space left, or write elsewhere"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How often a bar on a terminal moves.
const TICK: std::time::Duration = std::time::Duration::from_millis(120);

/// A bar, or nothing to see.
pub struct ProgressDisplay {
    bar: ProgressBar,
    output: OutputPrinter,
}

impl ProgressDisplay {
    /// So many more steps are done.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// What is done now.
    pub(crate) fn step(&self, what: &str) {
        if self.bar.is_hidden() {
            return self.output.say(what);
        }
        self.bar.reset();
        self.bar.set_message(one_line(what));
        self.bar.enable_steady_tick(TICK);
    }

    /// Nothing is shown until the next step: something else is printed.
    pub(crate) fn rest(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    /// A remark for a person, above the bar if there is one.
    pub(crate) fn say(&self, text: impl Display) {
        self.bar.suspend(|| self.output.say(text));
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A word as a shell reads it back.
pub(in crate::cli) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// How a command of ours begins in what is said to a person.
const COMMAND: &str = "`truing ";
/// Commands that need no configuration, or say whose they are themselves.
const WITHOUT_CONFIG: [&str; 7] =
    ["init", "completions", "man", "help", "config schema", "config check", "--config"];

/// The text, with the operator's file in each command that it shows.
fn with_config(text: &str, config: Option<&str>) -> String {
    let Some(file) = config else { return text.to_owned() };
    let mut parts = text.split(COMMAND);
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        all += COMMAND;
        let is_named = part.starts_with("--config ");
        if !is_named && !WITHOUT_CONFIG.iter().any(|words| part.starts_with(words)) {
            all += &format!("--config {file} ");
        }
        all += part;
    }
    all
}

/// The columns of the terminal that standard error is. Elsewhere programs read it, and lines stay whole.
fn columns() -> Option<usize> {
    let stderr = io::stderr();
    let size = || tcgetwinsize(&stderr).ok().filter(|size| size.ws_col > 0);
    stderr.is_terminal().then(|| size().map_or(COLUMNS, |size| size.ws_col.into()))
}

/// A remark within so many columns. A command alone, which is indented, stays on its line: it is copied.
fn remark(text: String, columns: Option<usize>) -> String {
    match columns.filter(|_| !text.starts_with(' ')) {
        Some(columns) => wrapped(&text, 0, columns),
        None => text,
    }
}

/// A line that begins with a label.
fn labelled(style: Style, label: &str, text: &str, columns: Option<usize>) -> String {
    let text = one_line(text);
    let text = match columns {
        Some(columns) => wrapped(&text, label.len() + 1, columns),
        None => text,
    };
    format!("{style}{label}{style:#} {text}\n")
}

/// Text that stays on its line and cannot steer a terminal, whatever file or forge it came from.
fn one_line(text: &str) -> String {
    escaped(text, |_| true).into_owned()
}

/// The text with invisible characters as `\u{202e}`, where they count.
pub(in crate::cli) fn escaped(text: &str, counts: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |char: char| is_hidden(char) && counts(char);
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
        assert_eq!(one_line("a\nb\x1b[31mc é"), r"a\nb\u{1b}[31mc é");
        assert_eq!(one_line("a\u{200b}\u{e0041}\u{202e}\u{9b}"), r"a\u{200b}\u{e0041}\u{202e}\u{9b}");
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
        assert_eq!(remark(text.clone(), Some(8)), "one two\nthree");
        assert_eq!((remark(text.clone(), None), remark(command.clone(), Some(8))), (text, command));
    }

    #[test]
    fn commands_in_hints_repeat_the_operators_file() {
        let hint = "see `truing why KEY`, or `truing init`; `git status` shows more";
        assert_eq!(with_config(hint, None), hint);
        assert_eq!(
            with_config(hint, Some("a.toml")),
            "see `truing --config a.toml why KEY`, or `truing init`; `git status` shows more"
        );
        assert_eq!(quoted("/etc/truing.toml"), "/etc/truing.toml");
        assert_eq!(quoted("my file's.toml"), r"'my file'\''s.toml'");
    }
}
