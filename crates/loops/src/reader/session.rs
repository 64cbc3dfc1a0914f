//! A child that is talked to for longer than one answer.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use truing_core::port::ReaderError;
use truing_core::sandbox::SandboxLevel;
use truing_reader::protocol::{MAX_HELLO_BYTES, MAX_REQUEST_BYTES, ReaderHello, decode, encode};

use super::bounds::ProcessUsage;
use super::child::{ChildError, ReaderProcess, ReaderProgram, accept, is_of_a_bound, keep_last, line, told};

/// The time for the last words of a process that was killed.
const LAST_WORDS_TIME: Duration = Duration::from_secs(1);

/// A child, its streams, and what it has said on its error stream.
#[derive(Debug)]
pub(super) struct ReaderSession {
    running: ReaderProcess,
    weakest: SandboxLevel,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    said: JoinHandle<Vec<u8>>,
}

/// The reason why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Reader(ReaderError),
    #[error("its process ended")]
    Ended,
}

/// The end of a child that did not do as it should.
#[derive(Debug)]
pub(super) struct ReaderFailure {
    /// What went wrong, with its last words.
    pub(super) what: String,
    /// How it ended, if it did so by itself.
    pub(super) status: Option<ExitStatus>,
}

impl ReaderFailure {
    /// Did the kernel refuse it more memory, or a larger stack? Programs abort then.
    pub(super) fn is_of_a_bound(&self) -> bool {
        self.status.is_some_and(is_of_a_bound)
    }
}

impl ReaderSession {
    pub(super) fn start<'a>(
        program: &ReaderProgram,
        tree: &Path,
        arguments: impl Iterator<Item = &'a OsStr>,
    ) -> Result<Self, ChildError> {
        let mut running = program.start(tree, arguments)?;
        let child = &mut running.child;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            let source = std::io::ErrorKind::BrokenPipe.into();
            return Err(ChildError::Start { program: program.path.clone(), source });
        };
        let said = tokio::spawn(async move {
            let mut said = Vec::new();
            keep_last(stderr, &mut said).await;
            said
        });
        let weakest = program.weakest;
        Ok(Self { running, weakest, stdin, stdout: BufReader::new(stdout), said })
    }

    /// Hears the hello, says the request, and hears what came of it.
    pub(super) async fn open<T: DeserializeOwned>(
        &mut self,
        request: &impl Serialize,
        most: usize,
    ) -> Result<T, SessionError> {
        let hello: ReaderHello = self.hear("its hello", MAX_HELLO_BYTES).await?;
        accept(hello, self.weakest)?;
        let line = encode("the request", request, MAX_REQUEST_BYTES).map_err(ChildError::from)?;
        self.ask(&line, "its answer", most).await
    }

    /// Says a line and hears the one that answers it.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        said: &[u8],
        what: &'static str,
        most: usize,
    ) -> Result<T, SessionError> {
        // A process that stops listening says by its answer, or by its end, why.
        let (stdin, stdout) = (&mut self.stdin, &mut self.stdout);
        let feed = async { drop(stdin.write_all(said).await) };
        let ((), heard) = tokio::join!(feed, line(stdout, most));
        let heard = heard?.ok_or(SessionError::Ended)?;
        Ok(decode(what, &heard, most).map_err(ChildError::from)?)
    }

    /// Hears the next line.
    pub(super) async fn hear<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
        most: usize,
    ) -> Result<T, SessionError> {
        self.ask(&[], what, most).await
    }

    /// Says a line that is no longer than what a pipe holds.
    pub(super) async fn say(&mut self, said: &[u8]) {
        // One that stops listening says by its answer, or by its end, why.
        drop(self.stdin.write_all(said).await);
    }

    /// What the process uses, as the kernel tells.
    pub(super) fn usage(&self) -> Option<ProcessUsage> {
        self.running.group.map(ProcessUsage::of)
    }

    /// Ends a process of which nothing more is wanted.
    pub(super) async fn close(mut self) {
        self.running.kill();
        // Waited for, so that none is left behind as a zombie.
        let _ = self.running.child.wait().await;
        self.running.group = None;
    }

    /// Kills the process, and tells what went wrong.
    pub(super) async fn end(mut self, error: SessionError) -> ReaderFailure {
        // What ended by itself is waited for before it is killed, so that its own end is told.
        let error = match error {
            SessionError::Child(error) => error,
            SessionError::Reader(error) => return ReaderFailure { what: error.to_string(), status: None },
            SessionError::Ended => match timeout(LAST_WORDS_TIME, self.running.child.wait()).await {
                Ok(Ok(status)) => {
                    self.running.group = None;
                    ChildError::Ended(status)
                }
                Ok(Err(error)) => ChildError::Streams(error),
                Err(_) => ChildError::TimedOut(LAST_WORDS_TIME),
            },
        };
        self.running.kill();
        let said = timeout(LAST_WORDS_TIME, &mut self.said).await;
        let what = told(&error, &said.ok().and_then(Result::ok).unwrap_or_default());
        ReaderFailure {
            what,
            status: if let ChildError::Ended(status) = error { Some(status) } else { None },
        }
    }
}

impl Drop for ReaderSession {
    fn drop(&mut self) {
        self.said.abort();
    }
}
