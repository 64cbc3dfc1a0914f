//! One command of a fixer in the sandbox: bounded in time and in what it prints, and told with both.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::Workshop;
use crate::sandbox::{HELPER_FAILED, Job, Level, NOT_STARTED, Run, SandboxError};

/// How much of a stream is shown from its beginning, in bytes.
const BEGINNING: usize = 8 << 10;
/// How much from its end, where most programs say what is wrong.
const END: usize = 12 << 10;
/// The most that a command may print on a stream before it is ended.
const MAX_PRINTED: usize = 16 << 20;
/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// Why a command was not run, in words for the model.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRun {
    #[error("the command cannot be run: {0}")]
    Sandbox(#[from] SandboxError),
    #[error("the command cannot be run: {0}")]
    Io(#[from] std::io::Error),
    #[error("the command cannot be run: its sandbox failed: {0}")]
    Helper(String),
    #[error("there is no program `{0}` here")]
    NoProgram(String),
}

/// How a command came to its end.
enum End {
    Exit(ExitStatus),
    Time(Duration),
    Output,
}

/// Runs a command that the policy allows. Letting go of the future ends it, with everything that it has started.
pub(super) async fn run(workshop: &Workshop, argv: &[String]) -> Result<String, NotRun> {
    let words = argv.iter().map(OsString::from).collect();
    let mut job = Job::new(Level::Full, &workshop.clone, Run::Program(words))?;
    (job.writable, job.sockets) = (true, true);
    workshop.programs.clone_into(&mut job.read);
    let mut command = Command::from(job.command()?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (mut out, mut err) = (Printed::default(), Printed::default());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let end = {
        let printed = async { tokio::try_join!(out.hear(stdout), err.hear(stderr)) };
        match tokio::time::timeout(workshop.time, printed).await {
            Ok(Ok(_)) => None,
            Ok(Err(TooMuch)) => Some(End::Output),
            Err(_) => Some(End::Time(workshop.time)),
        }
    };
    let end = match end {
        // Its streams have ended, so it has: the helper keeps them open as long as anything runs.
        None => End::Exit(child.wait().await?),
        Some(end) => {
            child.kill().await?;
            end
        }
    };
    if let End::Exit(status) = &end {
        match status.code() {
            Some(code) if code == i32::from(HELPER_FAILED) => return Err(NotRun::Helper(err.text())),
            Some(code) if code == i32::from(NOT_STARTED) => {
                return Err(NotRun::NoProgram(argv.first().cloned().unwrap_or_default()));
            }
            Some(_) | None => {}
        }
    }
    Ok(told(&end, &out, &err))
}

fn told(end: &End, out: &Printed, err: &Printed) -> String {
    let mut text = match end {
        End::Exit(status) => match status.code() {
            Some(code) => format!("exit code {code}\n"),
            None => format!("ended by force ({status})\n"),
        },
        End::Time(time) => format!("ended because it took longer than {} s\n", time.as_secs_f32()),
        End::Output => format!("ended because it printed more than {MAX_PRINTED} bytes\n"),
    };
    for (name, printed) in [("output", out), ("errors", err)] {
        if printed.bytes > 0 {
            text += &format!("--- {name}\n{}", printed.text());
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
    }
    text
}

/// A stream went over its bound.
struct TooMuch;

/// The beginning and the end of what was printed.
#[derive(Default)]
struct Printed {
    beginning: Vec<u8>,
    end: Vec<u8>,
    bytes: usize,
}

impl Printed {
    async fn hear(&mut self, stream: Option<impl AsyncRead + Unpin>) -> Result<(), TooMuch> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut part = vec![0; CHUNK];
        while let Ok(count @ 1..) = stream.read(&mut part).await {
            self.keep(part.get(..count).unwrap_or_default());
            if self.bytes > MAX_PRINTED {
                return Err(TooMuch);
            }
        }
        Ok(())
    }

    fn keep(&mut self, part: &[u8]) {
        self.bytes += part.len();
        let (beginning, rest) = part.split_at(part.len().min(BEGINNING - self.beginning.len()));
        self.beginning.extend_from_slice(beginning);
        self.end.extend_from_slice(rest);
        self.end.drain(..self.end.len().saturating_sub(END));
    }

    /// What is shown, and how much is not.
    fn text(&self) -> String {
        let left_out = self.bytes - self.beginning.len() - self.end.len();
        let (beginning, end) = (String::from_utf8_lossy(&self.beginning), String::from_utf8_lossy(&self.end));
        if left_out == 0 {
            // Cut nowhere, so that no letter is.
            return String::from_utf8_lossy(&[self.beginning.as_slice(), &self.end].concat()).into_owned();
        }
        format!("{beginning}\n[… {left_out} bytes are left out here …]\n{end}")
    }
}
