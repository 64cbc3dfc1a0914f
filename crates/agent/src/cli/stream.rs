//! Reader of the `claude` program's output: one line of JSON for each event. Only the last event, the result,
//! is used, because the other events differ between versions. A run without a result has failed, even with
//! exit code 0.

use std::process::ExitStatus;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use truing_core::line::clean_line;

use crate::command::{OutputOverflow, OutputSink};
use crate::native::{AgentRunEnd, RunLimit};

/// Maximum number of bytes of a line; longer lines are skipped.
const MAX_LINE_BYTES: usize = 8 << 20;
/// Maximum number of bytes of the program's whole output, including all tool results.
const MAX_PROGRAM_OUTPUT_BYTES: u64 = 1 << 30;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Maximum number of characters shown of the program's own error text.
const MAX_QUOTED_CHARS: usize = 300;

/// State of the stream read until now.
#[derive(Debug, Default)]
pub(super) struct CliStream {
    line: Vec<u8>,
    is_long: bool,
    bytes: u64,
    result: Option<ResultLine>,
}

/// The last event of a program's output: its result.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResultLine {
    r#type: String,
    subtype: String,
    is_error: bool,
    terminal_reason: Option<String>,
    result: Option<String>,
    errors: Vec<serde_json::Value>,
}

impl OutputSink for CliStream {
    async fn read_stream(
        &mut self,
        stream: Option<impl AsyncRead + Unpin + Send>,
    ) -> Result<(), OutputOverflow> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut part = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = stream.read(&mut part).await {
            self.read(part.get(..count).unwrap_or_default());
            if self.bytes > MAX_PROGRAM_OUTPUT_BYTES {
                return Err(OutputOverflow);
            }
        }
        self.finish_line();
        Ok(())
    }
}

impl CliStream {
    pub(super) fn read(&mut self, chunk: &[u8]) {
        self.bytes = self.bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        let mut lines = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = lines.next() {
            if self.line.len() + piece.len() > MAX_LINE_BYTES {
                self.is_long = true;
                self.line.clear();
            } else if !self.is_long {
                self.line.extend_from_slice(piece);
            }
            if lines.peek().is_some() {
                self.finish_line();
            }
        }
    }

    /// Handles the end of a line. If there are several results, an error takes precedence.
    pub(super) fn finish_line(&mut self) {
        let (line, is_long) = (std::mem::take(&mut self.line), std::mem::take(&mut self.is_long));
        let result_line = truing_core::json::from_slice::<ResultLine>(&line)
            .ok()
            .filter(|result_line| result_line.r#type == "result" && !is_long);
        if let Some(result_line) = result_line
            && !self.result.as_ref().is_some_and(|before| before.is_error)
        {
            self.result = Some(result_line);
        }
    }

    /// Returns the outcome of a run whose program exited before the conversation had ended.
    pub(super) fn run_end(&self, status: ExitStatus, errors: &str) -> AgentRunEnd {
        let Some(result_line) = &self.result else {
            let errors = clean_line(errors.trim(), MAX_QUOTED_CHARS);
            let why = if errors.is_empty() { String::new() } else { format!(": {errors}") };
            return AgentRunEnd::ProgramFailed(format!("claude ended ({status}) without a result{why}"));
        };
        match result_line.terminal_reason.as_deref() {
            Some("max_turns") => AgentRunEnd::Limit(RunLimit::Turns),
            Some("budget_exhausted") => AgentRunEnd::Limit(RunLimit::Money),
            Some("prompt_too_long" | "blocking_limit") => AgentRunEnd::ContextExceeded,
            Some(reason) if result_line.is_error => {
                let words = result_line
                    .result
                    .clone()
                    .or_else(|| result_line.errors.first().map(ToString::to_string));
                AgentRunEnd::ProgramFailed(clean_line(
                    &format!("claude ended with {reason}: {}", words.unwrap_or_default()),
                    MAX_QUOTED_CHARS,
                ))
            }
            Some(_) | None => AgentRunEnd::ProgramFailed(clean_line(
                &format!("claude ended ({}) before the model sent its report", result_line.subtype),
                MAX_QUOTED_CHARS,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn end(lines: &str, code: i32) -> String {
        let mut stream = CliStream::default();
        // The lines are read byte by byte, because the result must not depend on the size of the chunks.
        for byte in lines.as_bytes() {
            stream.read(&[*byte]);
        }
        stream.finish_line();
        format!("{:?}", stream.run_end(ExitStatus::from_raw(code << 8), " boom\u{1b}[31m\n"))
    }

    #[test]
    fn the_reason_decides_and_not_the_subtype() {
        let result =
            |rest: &str| format!("{{\"type\":\"system\"}}\n{{\"uuid\":1,\"type\":\"result\",{rest}}}\n");
        for (rest, code, is) in [
            (
                r#""subtype":"error_max_turns","is_error":true,"terminal_reason":"max_turns""#,
                1,
                "Limit(Turns)",
            ),
            (
                r#""subtype":"error_max_budget_usd","is_error":true,"terminal_reason":"budget_exhausted""#,
                1,
                "Limit(Money)",
            ),
            (
                r#""subtype":"success","is_error":true,"terminal_reason":"prompt_too_long","result":"x""#,
                1,
                "ContextExceeded",
            ),
            (
                r#""subtype":"success","is_error":true,"terminal_reason":"api_error","result":"no""#,
                1,
                "ProgramFailed(\"claude ended with api_error: no\")",
            ),
            (
                r#""subtype":"error_during_execution","is_error":true,"terminal_reason":"aborted_tools","errors":["e"]"#,
                0,
                "ProgramFailed(\"claude ended with aborted_tools: \\\"e\\\"\")",
            ),
            (
                r#""subtype":"success","is_error":false,"terminal_reason":"completed","result":"x""#,
                0,
                "ProgramFailed(\"claude ended (success) before the model sent its report\")",
            ),
        ] {
            assert_eq!(end(&result(rest), code), is);
        }
    }

    #[test]
    fn without_a_result_it_has_failed_whatever_its_code() {
        let none = "ProgramFailed(\"claude ended (exit status: 0) without a result: boom [31m\")";
        for lines in
            ["", "rubbish\n\u{0}\n[]\n7\n", r#"{"type":"result","is_error":fal"#, "{\"type\":\"results\"}"]
        {
            assert_eq!(end(lines, 0), none, "{lines}");
        }
    }

    #[test]
    fn of_two_results_an_error_counts() {
        let good = r#"{"type":"result","terminal_reason":"completed"}"#;
        let bad = r#"{"type":"result","is_error":true,"terminal_reason":"max_turns"}"#;
        for lines in [format!("{good}\n{bad}\n"), format!("{bad}\n{good}\n"), format!("{bad}\n{good}")] {
            assert_eq!(end(&lines, 1), "Limit(Turns)");
        }
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let mut stream = CliStream::default();
        for _ in 0..(MAX_LINE_BYTES / CHUNK_BYTES + 2) {
            stream.read(&[b'x'; CHUNK_BYTES]);
        }
        assert!(stream.line.len() <= MAX_LINE_BYTES);
        stream.read(b"\n{\"type\":\"result\",\"terminal_reason\":\"max_turns\"}\n");
        assert_eq!(format!("{:?}", stream.run_end(ExitStatus::from_raw(0), "")), "Limit(Turns)");
    }
}
