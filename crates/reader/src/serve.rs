//! The reader process: one request in, one answer out (see [`protocol`](crate::protocol)), then the end. It has no
//! state, so that a new one for the next run is as good as this one.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use rustix::process::{Signal, getpid, kill_process};
use truing_core::port::{ReadReport, ReadRequest, ReaderError};

use crate::protocol::{
    Answer, Hello, MAX_ANSWER_BYTES, MAX_HELLO_BYTES, MAX_REQUEST_BYTES, ProtocolError, checked, decode,
    encode,
};
use crate::{InProcess, Packs};

/// Why a reader process could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The streams to the server.
    #[error("cannot talk to the server: {0}")]
    Streams(#[from] io::Error),
    /// What was said over them.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Serves the process that started this one, over standard input and output, with the rules of `packs`. When that
/// process is gone, this one ends at once, whatever it is doing.
///
/// # Errors
/// [`ServeError`]; packs that are wrong are an answer.
pub fn serve_parent(packs: impl FnOnce() -> Result<Packs, ReaderError>) -> Result<(), ServeError> {
    // Also ends a process that is stopped and would not see its input close. The signal comes when the thread
    // that started this process ends: with an asynchronous runtime that is when the runtime ends.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    serve(io::stdin(), io::stdout(), packs, || {
        // Nothing here needs an orderly end, and the thread that reads would not come to one.
        let _ = kill_process(getpid(), Signal::KILL);
    })
}

/// Says hello, takes one request and answers it. `abandoned` is called on another thread when the input ends
/// before the answer is out.
fn serve(
    input: impl Read + Send + 'static,
    mut output: impl Write,
    packs: impl FnOnce() -> Result<Packs, ReaderError>,
    abandoned: impl FnOnce() + Send + 'static,
) -> Result<(), ServeError> {
    output.write_all(&encode("the hello", &Hello::of_this_build(), MAX_HELLO_BYTES)?)?;
    output.flush()?;

    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    (&mut input).take(MAX_REQUEST_BYTES as u64 + 1).read_until(b'\n', &mut line)?;
    let request: ReadRequest = decode("the request", &line, MAX_REQUEST_BYTES)?;
    std::thread::Builder::new().name("watch".into()).spawn(move || {
        // Nothing more is to come but the end.
        let _ = io::copy(&mut input, &mut io::sink());
        abandoned();
    })?;

    let answer: Answer = packs().and_then(|packs| read(&request, packs));
    output.write_all(&encode("the answer", &answer, MAX_ANSWER_BYTES)?)?;
    Ok(output.flush()?)
}

fn read(request: &ReadRequest, packs: Packs) -> Result<ReadReport, ReaderError> {
    let report = InProcess::with_packs(packs).read_blocking(request)?;
    match checked(request, report) {
        Ok(checked) => Ok(checked.report),
        Err(error) => Err(ReaderError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::mpsc;

    use super::*;

    /// What the reader says to these bytes.
    fn said(input: &[u8]) -> (Result<(), ServeError>, Vec<String>) {
        let mut output = Vec::new();
        let ended = serve(Cursor::new(input.to_vec()), &mut output, Packs::embedded, || ());
        (ended, String::from_utf8(output).unwrap().lines().map(str::to_owned).collect())
    }

    #[test]
    fn it_says_hello_before_anything_is_asked_and_never_guesses_a_request() {
        for wrong in [b"".as_slice(), b"{\"tree\":\"/\",\"files\":[]", b"hello\n", b"{}\n"] {
            let (ended, lines) = said(wrong);
            assert!(matches!(ended, Err(ServeError::Protocol(ProtocolError::Rubbish { .. }))), "{wrong:?}");
            assert_eq!(serde_json::from_str::<Hello>(&lines.join("")).unwrap(), Hello::of_this_build());
        }
    }

    #[test]
    fn a_request_over_its_bound_is_not_read_to_its_end() {
        let endless = io::repeat(b'x');
        let ended = serve(endless, io::sink(), Packs::embedded, || ());
        assert!(matches!(ended, Err(ServeError::Protocol(ProtocolError::TooLong { .. }))));
    }

    #[test]
    fn what_it_cannot_do_is_an_answer() {
        let (ended, lines) = said(b"{\"tree\":\"/\",\"files\":[],\"packs\":[\"no\"]}\n");
        ended.unwrap();
        let answer: Answer = serde_json::from_str(lines.get(1).unwrap()).unwrap();
        assert!(matches!(answer, Err(ReaderError::UnknownPack { name, .. }) if name == "no"));
    }

    #[test]
    fn it_notices_that_nobody_listens_any_more() {
        let (tell, told) = mpsc::sync_channel(1);
        let input = Cursor::new(b"{\"tree\":\"/\",\"files\":[],\"packs\":[]}\n".to_vec());
        serve(input, io::sink(), Packs::embedded, move || tell.send(()).unwrap()).unwrap();
        told.recv().unwrap();
    }
}
