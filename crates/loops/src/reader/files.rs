//! Reads the files of a request with a few children, each on one file at a time.
//!
//! The server knows the file that a child is reading, and enforces the limits of that file (`bounds`). If a
//! child exits, is killed or sends an invalid reply, the server knows which file caused the failure. Another
//! child reads this file only as text, and continues with the remaining files. Small files are read first, so
//! one large file does not use up the time for many small files.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::num::NonZero;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, timeout, timeout_at};
use truing_core::outcome::SkipReason;
use truing_core::port::{ReadReport, ReadRequest, ReaderError};
use truing_reader::FileTree;
use truing_reader::protocol::{
    CheckedReport, FileBatch, FileReply, MAX_ANSWER_BYTES, MAX_BATCH_BYTES, MAX_BATCH_FILES, ReadyReply,
    ReportCollector, encode_line,
};

use super::ChildProcessReader;
use super::bounds::{FILE_CPU_TIME_LIMIT, FILE_ELAPSED_TIME_LIMIT};
use super::reader_process::{ChildError, clean_error, failure_text, limit_memory_for_file};
use super::session::{ReaderSession, SessionError};

/// Maximum number of children that may fail in one review. After that, the remaining files are not read.
pub const MAX_FAILED_CHILDREN: usize = 200;

/// Maximum number of children that read in parallel.
const MAX_READERS: usize = 8;
/// Number of bytes of files for which one more child is started. For fewer bytes, starting another child
/// takes more time than it saves. Compiling the rules takes as long as reading about 700 KB.
const BYTES_PER_READER: u64 = 1 << 20;
/// Number of files for which one more child is started, independent of the size of the files. While a new
/// child compiles the rules, a ready child reads several hundred files.
const FILES_PER_READER: usize = 512;
/// Maximum total size in bytes of the files that a child process reads in one turn. The memory limit of the
/// largest file applies to the whole turn.
const MAX_TURN_BYTES: u64 = 256 << 10;

/// A file that no child has begun to read.
#[derive(Clone, Copy, Debug)]
struct QueuedFile {
    /// Index of the file in the request.
    index: usize,
    /// Size of the file in bytes.
    size: u64,
    /// True if the file must be read only as text, because a child has failed on it.
    as_text: bool,
}

/// The files that several children read, and the results so far.
struct SharedReadQueue<'a> {
    reader: &'a ChildProcessReader,
    request: &'a ReadRequest,
    /// Time at which reading ends.
    deadline: Instant,
    /// Number of children that share the files.
    reader_count: usize,
    state: Mutex<ReadState>,
}

#[derive(Default)]
struct ReadState {
    /// Files that no child has begun to read, the smallest first.
    waiting_files: VecDeque<QueuedFile>,
    report_collector: ReportCollector,
    loaded_rules: Vec<String>,
    /// True if a child has successfully read at least one file.
    has_read_file: bool,
    /// Number of failures of children on files.
    crash_count: usize,
    /// The newest failure of a child on a file that was not caused by a limit.
    last_failure: Option<String>,
}

/// The failure of a child on a file.
#[derive(Debug)]
enum ReadFailure {
    /// The child worked on the file for too long.
    TooLong(Duration),
    /// The time limit for all files was reached.
    OutOfTime,
    /// The child ended, or sent an invalid reply.
    ChildEnded(SessionError),
}

/// Reads the files of a request.
pub(super) async fn read_files(
    reader: &ChildProcessReader,
    request: &ReadRequest,
) -> Result<CheckedReport, ReaderError> {
    let tree = FileTree::open(&request.tree)?;
    let files = request.files.iter().enumerate();
    let mut waiting: Vec<QueuedFile> = files
        .map(|(index, file)| QueuedFile {
            index,
            size: tree.size(&file.path).unwrap_or_default(),
            as_text: false,
        })
        .collect();
    waiting.sort_by_key(|file| (file.size, file.index));
    drop(tree);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let bytes = waiting.iter().fold(0_u64, |bytes, file| bytes.saturating_add(file.size));
    let by_bytes = usize::try_from(bytes / BYTES_PER_READER).unwrap_or(MAX_READERS);
    let worth = 1 + by_bytes.max(request.files.len() / FILES_PER_READER);
    let readers = worth.min(cores).clamp(1, MAX_READERS);
    let state = ReadState { waiting_files: waiting.into(), ..ReadState::default() };
    let deadline = Instant::now() + reader.reading_time_limit;
    let work = SharedReadQueue { reader, request, deadline, reader_count: readers, state: Mutex::new(state) };
    try_join_all((0..readers).map(|_| work.run_children())).await?;

    let state = work.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.last_failure {
        // No file at all could be read, so the cause is not a single file.
        Some(what) if !state.has_read_file => Err(ReaderError::Failed(what)),
        _ => {
            let checked = state.report_collector.into_checked(request, state.loaded_rules);
            checked.map_err(|error| ReaderError::Failed(failure_text(&error.into(), &[])))
        }
    }
}

impl SharedReadQueue<'_> {
    fn state(&self) -> MutexGuard<'_, ReadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one child after another, until no file is waiting.
    async fn run_children(&self) -> Result<(), ReaderError> {
        // A child is started even if there are no files to read, because the child checks the packs.
        loop {
            let mut session = self.start_session().await?;
            let Err((file, lost)) = self.read_waiting_files(&mut session).await? else {
                session.close().await;
                return Ok(());
            };
            self.handle_lost_child(session, file, lost).await;
            if !self.has_waiting_files() {
                return Ok(());
            }
        }
    }

    /// Starts a child, and waits until the child is ready to read files.
    async fn start_session(&self) -> Result<ReaderSession, ReaderError> {
        let ChildProcessReader { program, rules_folder: rules, time_limit: time, .. } = self.reader;
        let arguments = rules.as_deref().map(|rules| [OsStr::new("--rules"), rules.as_os_str()]);
        let arguments = arguments.iter().flatten().copied();
        let mut session = ReaderSession::start(program, &self.request.tree, arguments)
            .map_err(|error| ReaderError::Failed(failure_text(&error, &[])))?;
        let opened =
            timeout(*time, session.send_first_request::<ReadyReply>(self.request, MAX_ANSWER_BYTES)).await;
        match opened.unwrap_or(Err(SessionError::Child(ChildError::TimedOut(*time)))) {
            Ok(Ok(rules)) => {
                self.state().loaded_rules = rules;
                Ok(session)
            }
            Ok(Err(error)) => Err(clean_error(error)),
            Err(error) => Err(ReaderError::Failed(session.kill_on_error(error).await.message)),
        }
    }

    /// Lets a child read until no file is waiting. The inner error contains the file that the child failed
    /// on.
    async fn read_waiting_files(
        &self,
        session: &mut ReaderSession,
    ) -> Result<Result<(), (QueuedFile, ReadFailure)>, ReaderError> {
        while let Some(turn) = self.next_turn() {
            let largest = turn.iter().map(|file| file.size).max().unwrap_or_default();
            if let Some(usage) = session.usage() {
                limit_memory_for_file(usage, largest);
            }
            let as_text = turn.iter().any(|file| file.as_text);
            let asked = FileBatch { files: turn.iter().map(|file| file.index).collect(), as_text };
            let line = encode_line("the turn", &asked, MAX_BATCH_BYTES)
                .map_err(|error| ReaderError::Failed(failure_text(&error.into(), &[])))?;
            session.send_line(&line).await;
            for (done, file) in turn.iter().enumerate() {
                let lost = match self.read_reply(session).await {
                    Ok(Ok(read)) => match self.add_report(file.index, read) {
                        Ok(()) => continue,
                        Err(error) => ReadFailure::ChildEnded(SessionError::Child(error)),
                    },
                    // A rule cannot be compiled, so no file can be read.
                    Ok(Err(error)) => return Err(clean_error(error)),
                    Err(lost) => lost,
                };
                let rest = turn.iter().skip(done + 1).copied();
                let mut state = self.state();
                rest.rev().for_each(|file| state.waiting_files.push_front(file));
                return Ok(Err((*file, lost)));
            }
        }
        Ok(Ok(()))
    }

    /// Removes from the queue the files for one turn of a child, and returns them. If few files are left, the
    /// turn is smaller, because each child should receive some files. Returns None if no file is waiting or
    /// no time is left.
    fn next_turn(&self) -> Option<Vec<QueuedFile>> {
        let mut state = self.state();
        if Instant::now() >= self.deadline {
            self.skip_remaining_files(&mut state, SkipReason::OutOfTime);
        }
        let most = (state.waiting_files.len() / (2 * self.reader_count)).clamp(1, MAX_BATCH_FILES);
        let (mut turn, mut bytes) = (Vec::new(), 0_u64);
        while let Some(next) = state.waiting_files.front().copied().filter(|_| turn.len() < most) {
            bytes = bytes.saturating_add(next.size);
            if !turn.is_empty() && (bytes > MAX_TURN_BYTES || next.as_text) {
                break;
            }
            turn.extend(state.waiting_files.pop_front());
            if next.as_text {
                break;
            }
        }
        (!turn.is_empty()).then_some(turn)
    }

    /// Waits for the child's reply about the file that it reads, within the time limits.
    async fn read_reply(&self, session: &mut ReaderSession) -> Result<FileReply, ReadFailure> {
        let usage = session.usage();
        let worked = || usage.and_then(|usage| usage.cpu_time());
        let (begun, before) = (Instant::now(), worked());
        let mut hearing = pin!(session.read_reply("its reply about a file", MAX_ANSWER_BYTES));
        let mut look = begun + FILE_CPU_TIME_LIMIT;
        loop {
            match timeout_at(look.min(self.deadline), &mut hearing).await {
                Ok(heard) => return heard.map_err(ReadFailure::ChildEnded),
                Err(_) if Instant::now() >= self.deadline => return Err(ReadFailure::OutOfTime),
                Err(_) => {}
            }
            // The limit applies to CPU time: on a busy machine, even a simple file takes a long elapsed time.
            let waited = begun.elapsed();
            let work = worked().zip(before).map_or(waited, |(now, before)| now.saturating_sub(before));
            if work >= FILE_CPU_TIME_LIMIT || waited >= FILE_ELAPSED_TIME_LIMIT {
                return Err(ReadFailure::TooLong(work));
            }
            look = Instant::now() + (FILE_CPU_TIME_LIMIT - work).max(Duration::from_millis(10));
        }
    }

    fn add_report(&self, index: usize, report: ReadReport) -> Result<(), ChildError> {
        let Some(file) = self.request.files.get(index) else { return Ok(()) };
        let mut state = self.state();
        state.report_collector.add(&file.path, report)?;
        state.has_read_file = true;
        Ok(())
    }

    /// Handles the failure of a child on a file. If the child tried to parse the file, the file is queued
    /// again to be read as text. If the file was read only as text, it is reported as not read.
    async fn handle_lost_child(&self, session: ReaderSession, queued_file: QueuedFile, failure: ReadFailure) {
        let Some(file) = self.request.files.get(queued_file.index) else { return };
        let (reason, what) = match failure {
            ReadFailure::OutOfTime => {
                session.close().await;
                self.state().report_collector.record_skipped(&file.path, SkipReason::OutOfTime);
                return;
            }
            ReadFailure::TooLong(work) => {
                session.close().await;
                (SkipReason::TooComplex, format!("it was killed after {} s of CPU time", work.as_secs_f32()))
            }
            ReadFailure::ChildEnded(error) => {
                let end = session.kill_on_error(error).await;
                if end.is_resource_limit() {
                    (SkipReason::TooComplex, end.message)
                } else {
                    self.state().last_failure = Some(end.message.clone());
                    (SkipReason::Unreadable, end.message)
                }
            }
        };
        tracing::warn!(file = %file.path, as_text = queued_file.as_text, what, "a reader failed on a file");
        let mut state = self.state();
        state.crash_count += 1;
        match queued_file.as_text {
            false => state.waiting_files.push_front(QueuedFile { as_text: true, ..queued_file }),
            true => state.report_collector.record_skipped(&file.path, reason),
        }
    }

    /// True if there are files left for another child. Skips the remaining files if the time is over or too
    /// many children have failed.
    fn has_waiting_files(&self) -> bool {
        let mut state = self.state();
        if state.crash_count >= MAX_FAILED_CHILDREN {
            self.skip_remaining_files(&mut state, SkipReason::Unreadable);
        }
        if Instant::now() >= self.deadline {
            self.skip_remaining_files(&mut state, SkipReason::OutOfTime);
        }
        !state.waiting_files.is_empty()
    }

    fn skip_remaining_files(&self, state: &mut ReadState, reason: SkipReason) {
        for waiting in std::mem::take(&mut state.waiting_files) {
            if let Some(file) = self.request.files.get(waiting.index) {
                let reason = if waiting.as_text { SkipReason::TooComplex } else { reason };
                state.report_collector.record_skipped(&file.path, reason);
            }
        }
    }
}
