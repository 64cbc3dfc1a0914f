//! Runs the reader process (see [`protocol`](crate::protocol)). The process serves one request for files, or
//! tool calls for one tree, or a single query. The process stores no state, so a new process can replace it
//! at any time.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;
use truing_core::port::{ReadRequest, ReaderError};
use truing_core::sandbox::SandboxLevel;

use crate::in_process::RequestReader;
use crate::protocol::{
    FileBatch, FileReply, MAX_ANSWER_BYTES, MAX_BATCH_BYTES, MAX_CALL_BYTES, MAX_HELLO_BYTES,
    MAX_NUMBERED_REPLY_BYTES, MAX_REQUEST_BYTES, MAX_SINGLE_REQUEST_BYTES, MAX_TREE_OPEN_REPLY_BYTES,
    NumberedReply, ProtocolError, ReaderHello, ReadyReply, ToolsRequest, TreeOpenReply, TreeToolCall,
    check_reply, decode_line, encode_line,
};
use crate::sources::SourcesQuery;
use crate::stack::run_on_large_stack;
use crate::syntax::{MAX_FILE_CPU_TIME, ParserPool};
use crate::tools::TreeToolbox;
use crate::{InProcessReader, RulePacks};

/// Errors that stop a reader process.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Reading from the server or writing to the server failed.
    #[error("cannot communicate with the server: {0}")]
    Io(#[from] io::Error),
    /// A message violated the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Serves the parent process over standard input and output, with the rules of `packs`. The hello reports the
/// sandbox level of this process. When the parent exits, this process is killed immediately.
///
/// # Errors
///
/// [`ServeError`]; invalid packs are reported in the response.
pub fn serve_parent(
    sandbox: SandboxLevel,
    packs: impl FnOnce() -> Result<RulePacks, ReaderError> + Send,
) -> Result<(), ServeError> {
    die_with_parent()?;
    // Syntax trees can be deep and are traversed recursively, so the work needs a large stack.
    run_on_large_stack(|| serve_files(io::stdin(), io::stdout(), sandbox, packs, kill_own_process))?
}

/// Reports the content of a release's archive to the parent process, over standard input and output. When the
/// parent exits, this process is killed.
///
/// # Errors
///
/// [`ServeError`]; an invalid file is reported in the response.
pub fn serve_sources_to_parent(sandbox: SandboxLevel) -> Result<(), ServeError> {
    die_with_parent()?;
    // The thread starts before the hello is sent, because the parent may limit resources after the hello.
    run_on_large_stack(|| {
        serve_one_request(
            io::stdin(),
            io::stdout(),
            sandbox,
            |query: SourcesQuery| query.execute(),
            kill_own_process,
        )
    })?
}

/// Serves tool calls of the parent process over standard input and output, until the parent closes the input
/// or exits.
///
/// # Errors
///
/// [`ServeError`]; a tree that cannot be opened and an invalid call are reported in the response.
pub fn serve_tools_to_parent(sandbox: SandboxLevel) -> Result<(), ServeError> {
    die_with_parent()?;
    serve_tools(io::stdin(), io::stdout(), sandbox, kill_own_process)
}

fn die_with_parent() -> io::Result<()> {
    // SIGKILL at the parent's exit also kills a suspended process, which could not detect the end of its
    // input. The kernel sends the signal when the parent's thread that started this process exits. If the
    // parent uses an asynchronous runtime, this thread exits when the runtime shuts down.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    Ok(())
}

fn kill_own_process() {
    // This process has nothing to clean up, so it can be killed. An orderly shutdown would have to wait for
    // the thread that is reading a file.
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Sends the hello, reads one request and responds to it. `abandoned` is called on another thread when the
/// input ends before the response is sent.
fn serve_one_request<Request: DeserializeOwned, Answer: Serialize>(
    input: impl Read + Send + 'static,
    mut output: impl Write,
    sandbox: SandboxLevel,
    answer: impl FnOnce(Request) -> Answer,
    on_input_end: impl FnOnce() + Send + 'static,
) -> Result<(), ServeError> {
    let mut input = BufReader::new(input);
    write_line(&mut output, "the hello", &ReaderHello::for_this_build(sandbox), MAX_HELLO_BYTES)?;
    let line = read_line(&mut input, MAX_SINGLE_REQUEST_BYTES)?;
    let request: Request = decode_line("the request", &line, MAX_SINGLE_REQUEST_BYTES)?;
    std::thread::Builder::new().name("watch".into()).spawn(move || {
        // The server sends nothing more, so only the end of the input is awaited.
        let _ = io::copy(&mut input, &mut io::sink());
        on_input_end();
    })?;

    write_line(&mut output, "the answer", &answer(request), MAX_ANSWER_BYTES)
}

/// Sends the hello, compiles the rules, opens the tree of a request, and reads the requested files.
/// `abandoned` is called on another thread when the input ends during a batch.
fn serve_files(
    input: impl Read + Send + 'static,
    mut output: impl Write,
    sandbox: SandboxLevel,
    packs: impl FnOnce() -> Result<RulePacks, ReaderError>,
    on_input_end: impl FnOnce() + Send + 'static,
) -> Result<(), ServeError> {
    let mut input = BufReader::new(input);
    write_line(&mut output, "the hello", &ReaderHello::for_this_build(sandbox), MAX_HELLO_BYTES)?;
    let line = read_line(&mut input, MAX_REQUEST_BYTES)?;
    let request: ReadRequest = decode_line("the request", &line, MAX_REQUEST_BYTES)?;
    let turns = InputLines::new(input, MAX_BATCH_BYTES, on_input_end)?;
    let reader = packs().map(InProcessReader::with_packs);
    let one = match &reader {
        Ok(reader) => RequestReader::new(reader, &request),
        Err(error) => Err(error.clone()),
    };
    let ready: ReadyReply = one.as_ref().map(RequestReader::rule_names).map_err(Clone::clone);
    write_line(&mut output, "the reply to the request", &ready, MAX_ANSWER_BYTES)?;
    let Ok(one) = one else { return Ok(()) };

    let (change, mut parsers) = (one.change_context(&request), ParserPool::default());
    while let Some(line) = turns.next_line() {
        let turn: FileBatch = decode_line("the turn", &line, MAX_BATCH_BYTES)?;
        let time = if turn.as_text { Duration::ZERO } else { MAX_FILE_CPU_TIME };
        for file in turn.files.into_iter().filter_map(|at| request.files.get(at)) {
            let read: FileReply = one.read_file(file, &change, &mut parsers, time);
            write_line(&mut output, "the reply about a file", &read, MAX_ANSWER_BYTES)?;
        }
    }
    Ok(())
}

/// Sends the hello, opens a tree, and replies to calls. `abandoned` is called on another thread when the
/// input ends during a call.
fn serve_tools(
    input: impl Read + Send + 'static,
    mut output: impl Write,
    sandbox: SandboxLevel,
    on_input_end: impl FnOnce() + Send + 'static,
) -> Result<(), ServeError> {
    let mut input = BufReader::new(input);
    write_line(&mut output, "the hello", &ReaderHello::for_this_build(sandbox), MAX_HELLO_BYTES)?;
    let line = read_line(&mut input, MAX_REQUEST_BYTES)?;
    let request: ToolsRequest = decode_line("the request", &line, MAX_REQUEST_BYTES)?;
    let opened = TreeToolbox::open(&request);
    let open_reply: TreeOpenReply = opened.as_ref().map(|_| ()).map_err(Clone::clone);
    write_line(&mut output, "the reply to the request", &open_reply, MAX_TREE_OPEN_REPLY_BYTES)?;
    let Ok(mut toolbox) = opened else { return Ok(()) };

    let calls = InputLines::new(input, MAX_CALL_BYTES, on_input_end)?;
    while let Some(line) = calls.next_line() {
        let TreeToolCall { number, tool, input } = decode_line("the call", &line, MAX_CALL_BYTES)?;
        let reply = check_reply(number, NumberedReply { number, reply: toolbox.call(tool, &input) })?;
        write_line(&mut output, "the reply", &NumberedReply { number, reply }, MAX_NUMBERED_REPLY_BYTES)?;
    }
    Ok(())
}

/// Lines of the input, which a separate thread reads. The separate thread detects the end of the input even
/// while a line is being processed.
struct InputLines {
    lines: mpsc::Receiver<Vec<u8>>,
    is_awaiting_line: Arc<AtomicBool>,
}

impl InputLines {
    fn new(
        mut input: impl io::BufRead + Send + 'static,
        max_bytes: usize,
        on_input_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (send, lines) = mpsc::sync_channel(0);
        let is_waiting = Arc::new(AtomicBool::new(false));
        let waiting = Arc::clone(&is_waiting);
        std::thread::Builder::new().name("lines".into()).spawn(move || {
            while let Ok(line) = read_line(&mut input, max_bytes) {
                if line.is_empty() {
                    break;
                }
                if send.send(line).is_err() {
                    return;
                }
            }
            if !waiting.load(Ordering::SeqCst) {
                on_input_end();
            }
        })?;
        Ok(Self { lines, is_awaiting_line: is_waiting })
    }

    /// Returns the next line, or `None` at the end of the input.
    fn next_line(&self) -> Option<Vec<u8>> {
        self.is_awaiting_line.store(true, Ordering::SeqCst);
        let line = self.lines.recv().ok();
        self.is_awaiting_line.store(false, Ordering::SeqCst);
        line
    }
}

/// Reads the next line, including the line end. If the line is longer than `max_bytes`, only `max_bytes` and
/// one further byte are read. The result is empty at the end of the input.
fn read_line(input: &mut impl io::BufRead, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(max_bytes as u64 + 1).read_until(b'\n', &mut line)?;
    Ok(line)
}

fn write_line(
    output: &mut impl Write,
    message_kind: &'static str,
    value: &impl Serialize,
    max_bytes: usize,
) -> Result<(), ServeError> {
    output.write_all(&encode_line(message_kind, value, max_bytes)?)?;
    Ok(output.flush()?)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Returns the reader's result and output for these bytes.
    fn serve_input(input: &[u8]) -> (Result<(), ServeError>, Vec<String>) {
        let mut output = Vec::new();
        let input = Cursor::new(input.to_vec());
        let ended = serve_files(input, &mut output, SandboxLevel::None, RulePacks::load_embedded, || ());
        (ended, String::from_utf8(output).unwrap().lines().map(str::to_owned).collect())
    }

    #[test]
    fn it_says_hello_before_anything_is_asked_and_never_guesses_a_request() {
        for wrong in [b"".as_slice(), b"{\"tree\":\"/\",\"files\":[]", b"hello\n", b"{}\n"] {
            let (ended, lines) = serve_input(wrong);
            assert!(matches!(ended, Err(ServeError::Protocol(ProtocolError::Malformed { .. }))), "{wrong:?}");
            assert_eq!(
                serde_json::from_str::<ReaderHello>(&lines.join("")).unwrap(),
                ReaderHello::for_this_build(SandboxLevel::None)
            );
        }
    }

    #[test]
    fn a_request_over_its_bound_is_not_read_to_its_end() {
        let ended =
            serve_files(io::repeat(b'x'), io::sink(), SandboxLevel::None, RulePacks::load_embedded, || ());
        assert!(matches!(ended, Err(ServeError::Protocol(ProtocolError::TooLong { .. }))));
    }

    #[test]
    fn what_it_cannot_do_is_an_answer() {
        let (ended, lines) = serve_input(b"{\"tree\":\"/\",\"files\":[],\"packs\":[\"no\"]}\n");
        ended.unwrap();
        let ready: ReadyReply = serde_json::from_str(lines.get(1).unwrap()).unwrap();
        assert!(matches!(ready, Err(ReaderError::UnknownPack { name, .. }) if name == "no"));
    }

    #[test]
    fn files_are_read_in_the_order_of_each_turn_and_told_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            std::fs::write(folder.path().join(name), "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> b\n").unwrap();
            format!("{{\"path\":\"{name}\",\"old_path\":null,\"added\":[[1,9]]}}")
        };
        let files = ["a", "b", "c"].map(file).join(",");
        let tree = serde_json::to_string(folder.path()).unwrap();
        let request = format!("{{\"tree\":{tree},\"files\":[{files}],\"packs\":[\"core\"]}}\n");
        let turns = "{\"files\":[2,0]}\n{\"files\":[7]}\n{\"files\":[1]}\n";
        let (ended, lines) = serve_input(format!("{request}{turns}").as_bytes());
        ended.unwrap();
        let read = |line: &String| serde_json::from_str::<FileReply>(line).unwrap().unwrap();
        let read: Vec<_> = lines.iter().skip(2).map(read).collect();
        let told: Vec<_> = read.iter().map(|told| told.reviewed[0].to_string()).collect();
        assert_eq!(told, ["c", "a", "b"]);
        assert!(read.iter().all(|told| !told.findings.is_empty()));

        let (ended, lines) = serve_input(format!("{request}{{\"files\":-1}}\n").as_bytes());
        assert!(matches!(ended, Err(ServeError::Protocol(ProtocolError::Malformed { .. }))));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn it_notices_that_nobody_listens_any_more() {
        let (tell, told) = mpsc::sync_channel(1);
        let input = Cursor::new(b"{\"tree\":\"/\",\"files\":[],\"packs\":[]}\n".to_vec());
        let packs = || {
            told.recv().unwrap();
            RulePacks::load_embedded()
        };
        serve_files(input, io::sink(), SandboxLevel::None, packs, move || tell.send(()).unwrap()).unwrap();
    }

    /// Returns the result and output of a tool reader for these lines.
    fn serve_tool_lines(input: &str) -> (Result<(), ServeError>, Vec<String>) {
        let mut output = Vec::new();
        let ended =
            serve_tools(Cursor::new(input.to_owned().into_bytes()), &mut output, SandboxLevel::None, || ());
        (ended, String::from_utf8(output).unwrap().lines().map(str::to_owned).collect())
    }

    #[test]
    fn calls_are_replied_to_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "one\n").unwrap();
        let request = ToolsRequest { tree: folder.path().into(), readable_files: None, always: vec![] };
        let request = serde_json::to_string(&request).unwrap();
        let call = |number, path| {
            format!("{{\"number\":{number},\"tool\":\"read\",\"input\":{{\"path\":\"{path}\"}}}}")
        };
        let (ended, lines) = serve_tool_lines(&format!("{request}\n{}\n{}\n", call(1, "a"), call(2, "b")));
        ended.unwrap();
        assert_eq!(lines.get(1).unwrap(), r#"{"Ok":null}"#);
        let replies: Vec<NumberedReply> =
            lines.iter().skip(2).map(|line| serde_json::from_str(line).unwrap()).collect();
        let seen: Vec<_> = replies.iter().map(|replied| (replied.number, replied.reply.is_error)).collect();
        assert_eq!(seen, [(1, false), (2, true)]);
        assert_eq!(replies[0].reply.text, "a, lines 1 to 1 of 1\n     1\tone\n");

        let (ended, lines) = serve_tool_lines(&format!("{request}\n{{\"number\":1,\"tool\":\"write\"}}\n"));
        assert!(matches!(ended, Err(ServeError::Protocol(ProtocolError::Malformed { .. }))));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_tree_that_cannot_be_opened_is_an_answer() {
        let (ended, lines) = serve_tool_lines("{\"tree\":\"/nowhere\",\"only\":null,\"always\":[]}\n");
        ended.unwrap();
        let opened: TreeOpenReply = serde_json::from_str(lines.get(1).unwrap()).unwrap();
        assert!(matches!(opened, Err(ReaderError::Failed(what)) if what.contains("/nowhere")));
    }
}
