//! The command `truing sandbox check | run`: reports the restrictions of this machine's sandbox, or runs a
//! command inside it.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use truing_agent::sandbox::property::SandboxProperty;
use truing_agent::sandbox::{
    EscapeCheck, HELPER_FAILED_EXIT_CODE, JobCommand, SandboxError, SandboxJob, SandboxLevel, WATCH_PERIOD,
    check_escapes, exceeded_limit, require_level,
};
use truing_config::value::parse_milliseconds;
use truing_system::ProcessHandle;

use super::CommandContext;
use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::output::escape_invisible_chars;

/// Maximum bytes that a command may print on each of its streams.
const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// Greatest time limit that can be set for a command.
const MAX_TIME_LIMIT: Duration = Duration::from_hours(366 * 24);
/// Number of bytes at the end of stderr that are kept. If the sandbox stops the command, the reason is
/// printed at the end of stderr.
const STDERR_TAIL_BYTES: usize = 1 << 10;
/// Maximum bytes that are read and forwarded in one step.
const CHUNK_BYTES: usize = 64 << 10;

/// Test the sandbox, or run a command inside it
///
/// Inside, a command can access the programs of the system, the current folder (read-only), and empty home
/// and temporary folders. It has no network, no environment and no access to other processes.
#[derive(clap::Args, Debug)]
pub struct SandboxArgs {
    #[command(subcommand)]
    command: SandboxCommand,
}

#[derive(Subcommand, Debug)]
enum SandboxCommand {
    /// Attempt each escape from the sandbox, and show which escapes were stopped
    ///
    /// Also shows which properties hold at the level, which parts of Truing run there, and what to change for
    /// a stronger level. Also tries the escapes of a process that reads repository files for the service
    /// (`reader_*`). Skips escapes whose program is not installed. Exit 0 if every escape was stopped.
    Check(SandboxCheckArgs),
    /// Run a command in the sandbox, with read-only access to the current folder
    ///
    /// Exits with the command's exit code. Exits with 3 if no sandbox as strong as `sandbox.level` is
    /// available. Also exits with 3 if the command exceeds a limit: time, output, memory, processes, sockets
    /// or disk. Input from a terminal is passed to the command line by line; the command never gets the
    /// terminal itself. In its output on a terminal, control characters are shown as `\u{1b}`.
    Run(SandboxRunArgs),
}

#[derive(clap::Args, Debug)]
struct SandboxCheckArgs {
    /// Use this level instead of the strongest that this machine allows
    #[arg(long, value_enum)]
    level: Option<LevelFlag>,
}

#[derive(clap::Args, Debug)]
struct SandboxRunArgs {
    /// Time limit of the command
    #[arg(long, value_name = "D", default_value = "20m", value_parser = parse_duration)]
    timeout: Duration,
    /// A further folder from which the command may read files and run programs; repeatable
    #[arg(long, value_name = "FOLDER")]
    read: Vec<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "ARGV")]
    argv: Vec<OsString>,
}

/// Strength of a sandbox.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelFlag {
    /// Namespaces, Landlock and seccomp
    Full,
    /// Landlock and seccomp, no namespaces
    Landlock,
    /// No sandbox: shows that each escape works
    None,
}

impl From<LevelFlag> for SandboxLevel {
    fn from(flag: LevelFlag) -> Self {
        match flag {
            LevelFlag::Full => Self::Full,
            LevelFlag::Landlock => Self::Landlock,
            LevelFlag::None => Self::None,
        }
    }
}

/// Name of the process that measures a job's memory and stops the job.
const WATCHER_NAME: &str = "watcher";

/// A setting of the kernel that keeps a machine from a stronger level.
struct KernelSetting {
    path: &'static str,
    /// True if a file with this text keeps the machine from the level.
    limits: fn(&str) -> bool,
    /// Sentence with the consequence and the remedy.
    advice: &'static str,
}

/// Settings that keep a machine from the level `full`.
const NAMESPACE_SETTINGS: &[KernelSetting] = &[
    KernelSetting {
        path: "/proc/sys/user/max_user_namespaces",
        limits: |text| text == "0",
        advice: "the machine allows no user namespaces: set user.max_user_namespaces above 0",
    },
    KernelSetting {
        path: "/proc/sys/kernel/unprivileged_userns_clone",
        limits: |text| text == "0",
        advice: "the machine allows no user namespaces: set kernel.unprivileged_userns_clone to 1",
    },
    KernelSetting {
        path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        limits: |text| text == "1",
        advice: "AppArmor allows user namespaces only to programs with a profile: load \
            contrib/apparmor/truing",
    },
];
/// The setting that keeps a machine from the level `landlock`.
const LANDLOCK_SETTINGS: &[KernelSetting] = &[KernelSetting {
    path: "/sys/kernel/security/lsm",
    limits: |text| !text.split(',').any(|module| module == "landlock"),
    advice: "the kernel runs without Landlock: add `landlock` to `lsm=` at its start, or use Linux 5.13 or \
        newer",
}];
/// Parts of Truing that run at any level, and parts that run only where a sandbox keeps foreign code in.
const RUNS_ALWAYS: [&str; 2] = ["review", "sync without ports"];
const RUNS_IN_SANDBOX: [&str; 7] =
    ["linters", "converge", "ports of sync", "checks", "set-ups", "the runtime `cli`", "MCP programs"];

/// Returns advice for a stronger level than this one.
fn level_advice(level: SandboxLevel) -> Vec<&'static str> {
    let settings: &[&[KernelSetting]] = match level {
        SandboxLevel::Full => &[],
        SandboxLevel::Landlock => &[NAMESPACE_SETTINGS],
        SandboxLevel::None => &[LANDLOCK_SETTINGS, NAMESPACE_SETTINGS],
    };
    let is_limit = |setting: &&KernelSetting| {
        std::fs::read_to_string(setting.path).is_ok_and(|text| (setting.limits)(text.trim()))
    };
    settings.iter().copied().flatten().filter(is_limit).map(|setting| setting.advice).collect()
}

/// The answer of `check` as JSON.
#[derive(Serialize)]
struct SandboxCheckJson {
    level: SandboxLevel,
    /// The properties that no attempt broke.
    properties: Vec<SandboxProperty>,
    /// The parts of Truing that run at this level.
    runs: Vec<&'static str>,
    /// Changes of the machine's settings that allow a stronger level.
    advice: Vec<&'static str>,
    /// Name of the process that measures the memory of all processes of a job together.
    memory: &'static str,
    checks: Vec<EscapeCheck>,
}

pub(crate) fn run(args: &SandboxArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.command {
        SandboxCommand::Check(args) => args.run(context),
        SandboxCommand::Run(args) => args.run(context),
    }
}

impl SandboxCheckArgs {
    fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let level = self.level.map_or_else(truing_loops::machine::sandbox_level, SandboxLevel::from);
        let checks = check_escapes(level).map_err(sandbox_error)?;
        let in_sandbox = RUNS_IN_SANDBOX.iter().filter(|_| level >= SandboxLevel::MIN_FOR_FOREIGN_CODE);
        let answer = SandboxCheckJson {
            level,
            properties: SandboxProperty::ALL.into_iter().filter(|property| property.holds(&checks)).collect(),
            runs: RUNS_ALWAYS.iter().chain(in_sandbox).copied().collect(),
            advice: level_advice(level),
            memory: WATCHER_NAME,
            checks,
        };
        context.output.print_answer(&answer, || answer.text())?;
        let escaped = answer.checks.iter().any(EscapeCheck::has_escaped);
        Ok(if escaped { CommandExit::NegativeAnswer } else { CommandExit::Success })
    }
}

impl SandboxCheckJson {
    fn text(&self) -> String {
        let period = WATCH_PERIOD.as_millis();
        let mut text = format!("level: {}\n", self.level.as_str());
        for property in SandboxProperty::ALL {
            let holds = if self.properties.contains(&property) { "holds" } else { "DOES NOT HOLD" };
            text += &format!("{}: {holds}\n", property.description());
        }
        text += &fold_line("runs here: ", &self.runs.join(", "));
        for advice in &self.advice {
            text += &fold_line("for a stronger level: ", advice);
        }
        text += &format!("memory of all processes: measured by the {}, every {period} ms\n", self.memory);
        for check in &self.checks {
            let what = match check.is_blocked {
                Some(true) => "stopped",
                Some(false) => "NOT STOPPED",
                None => "not tried",
            };
            let note = check.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            let held = check.held_bytes.zip(check.limit);
            let held = held.map(|(held, limit)| format!(" (held {} of {} MiB)", held >> 20, limit >> 20));
            text += &format!("{what:<12} {}{note}{}\n", check.name, held.unwrap_or_default());
        }
        text
    }
}

impl SandboxRunArgs {
    fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        // From this level on, the sandbox enforces the same properties.
        let wanted = context.config(&[])?.sandbox.min_level.min(SandboxLevel::MIN_FOR_FOREIGN_CODE);
        let level = require_level(wanted, truing_loops::machine::sandbox_level()).map_err(sandbox_error)?;
        let here = context.environment.directory();
        let mut job =
            SandboxJob::new(level, here, JobCommand::Program(self.argv.clone())).map_err(sandbox_error)?;
        job.allows_sockets = true;
        job.readable_paths =
            self.read.iter().map(|folder| resolve_folder(&here.join(folder))).collect::<Result<_, _>>()?;
        let mut command = job.command().map_err(|error| sandbox_error(error.into()))?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if io::stdin().is_terminal() { Stdio::piped() } else { Stdio::inherit() });
        let mut child = command.spawn().map_err(|error| sandbox_error(error.into()))?;
        if let Some(mut to) = child.stdin.take() {
            // The thread may wait for input forever. The thread is therefore not joined and ends when this
            // process exits.
            std::thread::spawn(move || io::copy(&mut io::stdin().lock(), &mut to));
        }
        watch_child(child, self.timeout)
    }
}

fn resolve_folder(folder: &std::path::Path) -> Result<PathBuf, CliError> {
    let unreadable = |error: io::Error| {
        CliError::usage("unreadable", format!("cannot read {}: {error}", folder.display()))
            .hint("with --read, specify an existing folder")
    };
    let folder = folder.canonicalize().map_err(unreadable)?;
    if !folder.is_dir() {
        return Err(unreadable(io::ErrorKind::NotADirectory.into()));
    }
    // The same folders are allowed as working folders and as readable folders. To check the folder, this code
    // therefore creates a job with the folder as its working folder.
    SandboxJob::new(SandboxLevel::None, &folder, JobCommand::Program(Vec::new())).map_err(|error| {
        CliError::usage("sandbox_read", error.to_string()).hint("use --read only with folders of your own")
    })?;
    Ok(folder)
}

/// Forwards the output of a command until the command ends. Kills the command if it exceeds the time or
/// output limit.
fn watch_child(mut child: Child, time_limit: Duration) -> Result<CommandExit, CliError> {
    let failed = |error: io::Error| sandbox_error(error.into());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| failed(io::Error::other("the child process has no process id")))?;
    let end = ProcessHandle::open(pid).map_err(failed)?;
    let (timely, complete, errors) = std::thread::scope(|scope| {
        let copies = (
            scope.spawn(move || forward_output(out, escaping_writer(io::stdout()), pid)),
            scope.spawn(move || forward_output(err, escaping_writer(io::stderr()), pid)),
        );
        let timely = end.wait_for_exit(Some(time_limit));
        if !timely {
            kill_helper(pid);
        }
        let out = copies.0.join().ok().flatten();
        let err = copies.1.join().ok().flatten();
        (timely, out.is_some() && err.is_some(), err.unwrap_or_default())
    });
    let status = child.wait().map_err(failed)?;
    if !timely {
        let timeout_error = CliError::failure(
            "sandbox_timeout",
            format!("the command took longer than {} s", time_limit.as_secs_f32()),
        );
        return Err(timeout_error.hint("allow the command more time with --timeout"));
    }
    if !complete {
        return Err(CliError::failure(
            "sandbox_output",
            format!("the command printed more than {MAX_OUTPUT_BYTES} bytes"),
        ));
    }
    if let Some((bound, seen)) = exceeded_limit(status.code(), &errors) {
        let message = format!("the command exceeded the {} limit of the sandbox ({seen})", bound.as_str());
        return Err(CliError::failure("sandbox_limit", message)
            .hint("reduce the resources that the command uses at the same time"));
    }
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(HELPER_FAILED_EXIT_CODE) | None => {
            Err(failed(io::Error::other(format!("its helper failed ({status})"))))
        }
        Some(code) => Ok(CommandExit::Passthrough(code)),
    }
}

/// Forwards output until its end, and returns its last bytes. If the output reaches `MAX_OUTPUT_BYTES`, kills
/// the helper and returns none.
fn forward_output(from: Option<impl Read>, mut out: Box<dyn Write>, helper: Pid) -> Option<Vec<u8>> {
    let mut last = Vec::new();
    let Some(mut from) = from else { return Some(last) };
    let (mut part, mut left) = (vec![0; CHUNK_BYTES], MAX_OUTPUT_BYTES);
    while let Ok(count @ 1..) = from.read(&mut part) {
        let part = part.get(..count).unwrap_or_default();
        // Write errors are ignored, so the command continues even if the reader of its output stops reading.
        let _ = out.write_all(part).and_then(|()| out.flush());
        last.extend_from_slice(part);
        last.drain(..last.len().saturating_sub(STDERR_TAIL_BYTES));
        left = left.saturating_sub(count as u64);
        if left == 0 {
            kill_helper(helper);
            return None;
        }
    }
    Some(last)
}

/// Returns a writer for `out`. If `out` is a terminal, the writer escapes invisible and control characters.
fn escaping_writer(out: impl Write + IsTerminal + 'static) -> Box<dyn Write> {
    if out.is_terminal() {
        Box::new(EscapingWriter { writer: out, partial_char: Vec::new() })
    } else {
        Box::new(out)
    }
}

/// A writer that escapes characters that could control a terminal. Invisible characters, and control
/// characters except line ends and tabs, become `\u{1b}` and the like; invalid UTF-8 becomes U+FFFD.
struct EscapingWriter<W> {
    writer: W,
    /// First bytes of a character whose remaining bytes were not written yet.
    partial_char: Vec<u8>,
}

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial_char.extend_from_slice(bytes);
        let last = self.partial_char.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
        let is_begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
        let whole = self.partial_char.len() - if is_begun { last.len() } else { 0 };
        let text: Vec<u8> = self.partial_char.drain(..whole).collect();
        let text = String::from_utf8_lossy(&text);
        self.writer
            .write_all(escape_invisible_chars(&text, |char| !matches!(char, '\n' | '\t')).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Kills the helper, and thereby all processes in the sandbox. This process has not called `wait` on the
/// helper yet, so the helper's process id is still valid.
fn kill_helper(helper: Pid) {
    // An error means that the helper has already exited.
    let _ = kill_process(helper, Signal::KILL);
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let time = parse_milliseconds(text).filter(|time| *time > 0).map(Duration::from_millis);
    let time = time.ok_or_else(|| format!("`{text}` is not a length of time such as 90s or 20m"))?;
    if time > MAX_TIME_LIMIT {
        return Err(format!("`{text}` is longer than a year"));
    }
    Ok(time)
}

fn sandbox_error(error: SandboxError) -> CliError {
    let message = error.to_string();
    match error {
        SandboxError::TooWeak { .. } => CliError::failure("sandbox_weak", message)
            .hint(crate::wiring::sandbox_hint())
            .hint("or accept a weaker sandbox: set `sandbox.level` in the operator's configuration"),
        SandboxError::Tree { .. } => {
            CliError::usage("sandbox_tree", message).hint("change to the folder of a project")
        }
        SandboxError::Start(error) if error.kind() == io::ErrorKind::Unsupported => {
            CliError::failure("sandbox", message).hint(crate::wiring::sandbox_hint())
        }
        SandboxError::Start(_) => {
            CliError::failure("sandbox", message).hint("see what this machine allows: `truing sandbox check`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_the_sandbox_is_not_sent_to_a_check_that_fails_there_too() {
        let error = sandbox_error(SandboxError::Start(io::ErrorKind::Unsupported.into()));
        assert_eq!(error.hints, [crate::wiring::sandbox_hint()]);
        let error = sandbox_error(SandboxError::Start(io::ErrorKind::NotFound.into()));
        assert!(error.hints.concat().contains("truing sandbox check"));
    }

    #[test]
    fn a_time_is_more_than_nothing_and_at_most_a_year() {
        assert_eq!(parse_duration("90s").unwrap(), Duration::from_secs(90));
        assert!(parse_duration("0s").is_err() && parse_duration("90").is_err());
        assert_eq!(parse_duration("99999999d").unwrap_err(), "`99999999d` is longer than a year");
    }

    #[test]
    fn what_a_command_prints_at_a_terminal_does_not_steer_it() {
        let mut visible = EscapingWriter { writer: Vec::new(), partial_char: Vec::new() };
        // Some parts end in the middle of a character, and some bytes are invalid UTF-8.
        for part in [&b"a\tb\x1b]52;c;eA==\x07\r\n\xc3"[..], b"\xa9\xe2\x80", b"\xae\xff", b"z\xc2\x9b"] {
            visible.write_all(part).unwrap();
        }
        let shown = String::from_utf8(visible.writer).unwrap();
        assert_eq!(shown, "a\tb\\u{1b}]52;c;eA==\\u{7}\\r\n\u{e9}\\u{202e}\u{fffd}z\\u{9b}");
    }
}
