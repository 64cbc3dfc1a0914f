//! Defines the protocol between a server and its reader process. Both write one JSON value on each line of
//! the process's standard input or output. The reader sends [`ReaderHello`], the server sends one
//! [`ReadRequest`], and the reader returns the names of its rules in a [`ReadyReply`]. For each
//! [`FileBatch`], the reader then sends one [`FileReply`] per file, in the order of the batch, until the
//! input closes. The server therefore knows which file is being read. It kills a reader that needs too much
//! time or memory for one file. A reader processes one file at a time.
//!
//! A reader that serves tools receives a [`ToolsRequest`] and sends a [`TreeOpenReply`]. The reader then
//! answers each [`TreeToolCall`] with a [`NumberedReply`] that contains the number of the call, until the
//! input closes.
//!
//! A reader that serves sources receives one [`SourcesQuery`] and sends one response.
//!
//! Before the server uses a response, it validates the response with [`check_report`], [`check_reply`] or
//! [`check_sources`], because hostile files may have taken over the reader. The reader applies the same
//! limits with the same functions.

// long: one protocol, with both of its sides.

mod report_collector;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use truing_core::finding::RawFinding;
use truing_core::outcome::{CoverageGap, SkipReason};
use truing_core::port::{ReadReport, ReadRequest, ReaderError};
use truing_core::sandbox::SandboxLevel;
use truing_diff::RepoPath;

pub use self::report_collector::ReportCollector;
pub use crate::bounds::{
    MAX_BODY_BYTES, MAX_FINDINGS, MAX_FINDINGS_BYTES, MAX_REASON_BYTES, MAX_RULE_NAME_BYTES, MAX_RULES,
    MAX_SNIPPET_BYTES, MAX_SUGGESTION_BYTES, MAX_SUPPRESSED_FINDINGS_BYTES, MAX_SUPPRESSIONS,
    MAX_TITLE_BYTES,
};
use crate::bounds::{check_finding, count_text_bytes};
use crate::sources::{SourcesAnswer, SourcesQuery};
use crate::tools::{MAX_REPLY_BYTES, ToolReply, TreeTool};

/// Version of this protocol. The version is increased whenever a message changes.
pub const PROTOCOL_VERSION: u32 = 14;

/// Maximum length in bytes of the line with the hello message.
pub const MAX_HELLO_BYTES: usize = 1 << 10;
/// Maximum length of a request in bytes. This is enough for about 100,000 files, or for 900,000 separate
/// ranges of added lines.
pub const MAX_REQUEST_BYTES: usize = 16 << 20;
/// Maximum length in bytes of a request to a reader that sends only one response. Such a request may contain
/// the complete output of a tool.
pub const MAX_SINGLE_REQUEST_BYTES: usize = 160 << 20;
/// Maximum length of a response in bytes. If a response about one file stays within the other limits, it
/// always fits, even if JSON escapes every byte of its texts.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Maximum length of a tool call in bytes.
pub const MAX_CALL_BYTES: usize = 64 << 10;
/// Maximum length in bytes of the line that states whether a tree could be opened.
pub const MAX_TREE_OPEN_REPLY_BYTES: usize = 64 << 10;
/// Maximum length in bytes of a line with a reply to a tool call. The longest reply fits into such a line
/// even if every byte of its text is escaped.
pub const MAX_NUMBERED_REPLY_BYTES: usize = 6 * MAX_REPLY_BYTES + (1 << 10);

/// Maximum number of files of one batch.
pub const MAX_BATCH_FILES: usize = 16;
/// Maximum length of a batch in bytes.
pub const MAX_BATCH_BYTES: usize = 1 << 10;

/// Response of a reader that is ready for a request: the names of the rules.
pub type ReadyReply = Result<Vec<String>, ReaderError>;

/// Files of the request that are to be read next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileBatch {
    /// Indices of the files in the request.
    pub files: Vec<usize>,
    /// True if the files are read without syntax rules, because an earlier reader was killed or exited while
    /// reading them. The report states that the findings of syntax rules are missing.
    #[serde(default)]
    pub as_text: bool,
}

/// Result of reading one file.
pub type FileReply = Result<ReadReport, ReaderError>;

/// Request to open a tree for tools.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolsRequest {
    /// Folder with the head's files. Links in this folder are not followed.
    pub tree: PathBuf,
    /// Files of a working tree that may be read: the files that git does not ignore. `None` permits all
    /// files.
    #[serde(rename = "only")]
    pub readable_files: Option<Vec<RepoPath>>,
    /// Changed files, which may be read even if `readable_files` does not contain them.
    pub always: Vec<RepoPath>,
}

/// Result of opening the tree.
pub type TreeOpenReply = Result<(), ReaderError>;

/// Call of a tool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TreeToolCall {
    /// Number of the call, which is one more than the number of the previous call.
    pub number: u64,
    pub tool: TreeTool,
    /// Input from the model, which may be any JSON value.
    pub input: serde_json::Value,
}

/// Result of a call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NumberedReply {
    /// Number of the call.
    pub number: u64,
    /// Reply for the model.
    pub reply: ToolReply,
}

/// Errors in messages of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The message is longer than its limit.
    #[error("{message_kind} is too long ({bytes} bytes; at most {max_bytes})")]
    TooLong {
        /// Kind of the message.
        message_kind: &'static str,
        /// Length of the message in bytes.
        bytes: usize,
        /// Maximum length in bytes.
        max_bytes: usize,
    },
    /// The message cannot be written as JSON, because a folder's name is not UTF-8.
    #[error("{message_kind} cannot be written: {source}")]
    Unserializable {
        /// Kind of the message.
        message_kind: &'static str,
        /// Error of the JSON serializer.
        source: serde_json::Error,
    },
    /// The message is not valid JSON for the expected kind of message.
    #[error("{message_kind} cannot be parsed: {source}")]
    Malformed {
        /// Kind of message that was expected.
        message_kind: &'static str,
        /// Error of the JSON parser.
        source: serde_json::Error,
    },
    /// The reader process is from another build, because the program's file was replaced while the server was
    /// running.
    #[error(
        "the reader is {reader_hello}, but the server is {server_hello}: restart the service, so that both \
            have the same version"
    )]
    BuildMismatch {
        /// Identity that the reader reports.
        reader_hello: ReaderHello,
        /// Identity of the server.
        server_hello: ReaderHello,
    },
    /// The reader's sandbox is weaker than required.
    #[error("the reader's sandbox has the level `{}`, but at least `{}` is required: use a kernel with \
        Landlock (5.13 or later), or accept a reader that could read any file: `sandbox.level = \"none\"` \
        in the operator's configuration", .actual_level.as_str(), .required_level.as_str())]
    TooWeak {
        /// Level that the reader reports.
        actual_level: SandboxLevel,
        /// Level that is required.
        required_level: SandboxLevel,
    },
    /// The number in the reply is not the number of the call.
    #[error("the reader replied to call {actual_number}, not to call {expected_number}")]
    CallMismatch {
        /// Number of the call that was made.
        expected_number: u64,
        /// Number in the reply.
        actual_number: u64,
    },
    /// The response about sources is malformed, or does not match the query.
    #[error("the reader's answer about the sources is invalid: {0}")]
    InvalidSourcesAnswer(&'static str),
    /// The response refers to a file that the request does not contain.
    #[error("the answer is about {0}, which was not requested")]
    UnrequestedFile(RepoPath),
}

/// First line that a reader sends, which identifies the reader. A server accepts only readers from the same
/// build.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReaderHello {
    /// Version of the protocol, [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// Level of the reader's sandbox. The reader reports this level before reading any input that could take
    /// over the reader.
    pub sandbox: SandboxLevel,
}

impl ReaderHello {
    /// Creates the hello of this build.
    pub fn for_this_build(sandbox: SandboxLevel) -> Self {
        Self { protocol: PROTOCOL_VERSION, version: env!("CARGO_PKG_VERSION").to_owned(), sandbox }
    }

    /// Checks that the reader is from this build, and that its sandbox has at least the required level.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::BuildMismatch`], [`ProtocolError::TooWeak`]
    pub fn check_compatible(self, required_level: SandboxLevel) -> Result<(), ProtocolError> {
        let server_hello = Self::for_this_build(self.sandbox);
        if self != server_hello {
            return Err(ProtocolError::BuildMismatch { reader_hello: self, server_hello });
        }
        if self.sandbox < required_level {
            return Err(ProtocolError::TooWeak { actual_level: self.sandbox, required_level });
        }
        Ok(())
    }
}

impl std::fmt::Display for ReaderHello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} (protocol {})", self.version, self.protocol)
    }
}

/// Encodes a value as a line, including the line end.
///
/// # Errors
///
/// [`ProtocolError::TooLong`] if the line is longer than `max_bytes` bytes, [`ProtocolError::Unserializable`]
/// if the value cannot be written as JSON.
pub fn encode_line(
    message_kind: &'static str,
    value: &impl Serialize,
    max_bytes: usize,
) -> Result<Vec<u8>, ProtocolError> {
    let mut line =
        serde_json::to_vec(value).map_err(|source| ProtocolError::Unserializable { message_kind, source })?;
    line.push(b'\n');
    check_length(message_kind, line.len(), max_bytes)?;
    Ok(line)
}

/// Decodes the value of a line.
///
/// # Errors
///
/// [`ProtocolError::TooLong`] if the line is longer than `max_bytes` bytes, [`ProtocolError::Malformed`] if
/// its value cannot be decoded.
pub fn decode_line<T: DeserializeOwned>(
    message_kind: &'static str,
    line: &[u8],
    max_bytes: usize,
) -> Result<T, ProtocolError> {
    check_length(message_kind, line.len(), max_bytes)?;
    serde_json::from_slice(line).map_err(|source| ProtocolError::Malformed { message_kind, source })
}

fn check_length(message_kind: &'static str, bytes: usize, max_bytes: usize) -> Result<(), ProtocolError> {
    if bytes <= max_bytes { Ok(()) } else { Err(ProtocolError::TooLong { message_kind, bytes, max_bytes }) }
}

/// A report that was compared with its request and cleaned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedReport {
    /// The valid parts of the report. Findings are sorted, and each requested file is listed exactly once.
    pub report: ReadReport,
    /// Number of findings that were malformed or exceeded a limit. A file with such a finding does not count
    /// as reviewed.
    pub dropped_count: usize,
}

/// Keeps the parts of a report that are valid for the request. A file does not count as reviewed if one of
/// its findings was removed. A file counts as unreadable if the report does not mention it or contains a
/// malformed finding for it. A file counts as too large if its findings exceed the limits.
///
/// # Errors
///
/// [`ProtocolError::UnrequestedFile`] if the report is about a file outside the request.
pub fn check_report(request: &ReadRequest, report: ReadReport) -> Result<CheckedReport, ProtocolError> {
    let mut files: BTreeMap<&RepoPath, Option<SkipReason>> =
        request.files.iter().map(|file| (&file.path, Some(SkipReason::Unreadable))).collect();
    let mut tell = |path: &RepoPath, skip_reason: Option<SkipReason>| match files.get_mut(path) {
        Some(file) => {
            *file = skip_reason;
            Ok(())
        }
        None => Err(ProtocolError::UnrequestedFile(path.clone())),
    };
    for path in &report.reviewed {
        tell(path, None)?;
    }
    for gap in &report.not_reviewed {
        tell(&gap.path, Some(gap.reason))?;
    }

    let reported = report.findings.len();
    let mut findings = Vec::new();
    let mut malformed = Vec::new();
    for finding in report.findings {
        if is_well_formed(&finding, &request.packs) {
            findings.push(finding);
        } else {
            malformed.push(finding.location.path);
        }
    }
    for finding in &retain_most_severe(&mut findings) {
        tell(&finding.location.path, Some(SkipReason::TooLarge))?;
    }
    let mut suppressed = report.suppressed;
    suppressed.retain(|one| {
        let one_line = !one.reason.chars().any(char::is_control) && one.reason.len() <= MAX_REASON_BYTES;
        let is_kept = one_line && is_well_formed(&one.finding, &request.packs);
        if !is_kept {
            malformed.push(one.finding.location.path.clone());
        }
        is_kept
    });
    let mut bytes = 0_usize;
    let fit = suppressed.iter().take(MAX_SUPPRESSIONS).take_while(|one| {
        bytes = bytes.saturating_add(count_text_bytes(&one.finding));
        bytes <= MAX_SUPPRESSED_FINDINGS_BYTES
    });
    let over = suppressed.split_off(fit.count());
    for one in &over {
        tell(&one.finding.location.path, Some(SkipReason::TooLarge))?;
    }
    for path in &malformed {
        tell(path, Some(SkipReason::Unreadable))?;
    }
    let all = findings.iter().chain(suppressed.iter().map(|one| &one.finding));
    for place in all.map(|finding| &finding.location) {
        if !files.contains_key(&place.path) {
            return Err(ProtocolError::UnrequestedFile(place.path.clone()));
        }
    }

    let dropped = reported - findings.len();
    findings.sort_by(|a, b| (&a.location, &a.rule).cmp(&(&b.location, &b.rule)));
    let mut suppressions = report.suppressions;
    suppressions.retain(|idle| {
        let one_line = !idle.rule.chars().any(char::is_control) && idle.rule.len() <= MAX_RULE_NAME_BYTES;
        files.contains_key(&idle.path) && idle.line > 0 && one_line
    });
    suppressions.truncate(MAX_SUPPRESSIONS);
    let mut rules = report.rules;
    rules.retain(|rule| rule.len() <= MAX_RULE_NAME_BYTES);
    rules.truncate(MAX_RULES);
    let mut report = ReadReport { findings, suppressed, suppressions, rules, ..ReadReport::default() };
    for (path, skip_reason) in files {
        match skip_reason {
            None => report.reviewed.push(path.clone()),
            Some(reason) => report.not_reviewed.push(CoverageGap { path: path.clone(), reason }),
        }
    }
    Ok(CheckedReport { report, dropped_count: dropped })
}

/// Keeps the most severe findings, up to the bound of one response, and returns the others.
fn retain_most_severe(findings: &mut Vec<RawFinding>) -> Vec<RawFinding> {
    findings.sort_by(|a, b| (a.severity, &a.location, &a.rule).cmp(&(b.severity, &b.location, &b.rule)));
    let mut bytes = 0_usize;
    let fit = findings.iter().take(MAX_FINDINGS).take_while(|finding| {
        bytes = bytes.saturating_add(count_text_bytes(finding));
        bytes <= MAX_FINDINGS_BYTES
    });
    findings.split_off(fit.count())
}

/// Validates the reply to a call. The reply's text is passed only to the model.
///
/// # Errors
///
/// [`ProtocolError::CallMismatch`], [`ProtocolError::TooLong`]
pub fn check_reply(expected_number: u64, numbered_reply: NumberedReply) -> Result<ToolReply, ProtocolError> {
    let NumberedReply { number, reply } = numbered_reply;
    if number != expected_number {
        return Err(ProtocolError::CallMismatch { expected_number, actual_number: number });
    }
    check_length("the text of the reply", reply.text.len(), MAX_REPLY_BYTES)?;
    Ok(reply)
}

/// Returns the response about sources if it matches the query and contains only valid values.
///
/// # Errors
///
/// [`ProtocolError::InvalidSourcesAnswer`]
pub fn check_sources(query: &SourcesQuery, answer: SourcesAnswer) -> Result<SourcesAnswer, ProtocolError> {
    query.check_answer(&answer).map_err(ProtocolError::InvalidSourcesAnswer)?;
    Ok(answer)
}

/// Returns true if a finding is valid: its rule belongs to one of these packs, and its lines and texts are
/// within the limits.
fn is_well_formed(finding: &RawFinding, packs: &[String]) -> bool {
    is_rule_of_packs(&finding.rule, packs) && check_finding(finding).is_ok()
}

/// Returns true if `rule` is a name `pack/rule` in one of these packs.
fn is_rule_of_packs(rule: &str, packs: &[String]) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = |(pack, name): (&str, &str)| {
        packs.iter().any(|known| known == pack) && !name.is_empty() && name.chars().all(word)
    };
    rule.len() <= MAX_RULE_NAME_BYTES && rule.split_once('/').is_some_and(named)
}

#[cfg(test)]
mod tests {
    use truing_core::finding::{
        CodeLocation, DefectCategory, DiffSide, FindingSource, Severity, SuggestedFix,
    };
    use truing_core::port::ChangedFile;

    use super::*;
    use truing_core::code_digest::CodeDigests;

    pub(super) fn request() -> ReadRequest {
        let file = |path: &str| ChangedFile {
            path: path.into(),
            old_path: None,
            added_lines: vec![(1, 9)],
            secrets_only: false,
        };
        let files = vec![file("a.py"), file("b.py")];
        ReadRequest {
            tree: "/t".into(),
            files,
            also_changed: vec![],
            packs: vec!["core".into()],
            disabled_rules: vec![],
        }
    }

    pub(super) fn finding(path: &str, line: u32) -> RawFinding {
        RawFinding {
            location: CodeLocation {
                path: path.into(),
                side: DiffSide::New,
                start_line: line,
                end_line: line,
            },
            severity: Severity::P1,
            category: DefectCategory::E,
            rule: "core/leftover".into(),
            title: "Left over".into(),
            body: "Remove it.\n\n\t- really".into(),
            snippet: "\x1b x()".into(),
            code: CodeDigests::default(),
            suggestion: Some(SuggestedFix { replacement: String::new() }),
            source: FindingSource::Rule,
            specialists: Vec::new(),
        }
    }

    fn report(findings: Vec<RawFinding>) -> ReadReport {
        ReadReport { findings, reviewed: vec!["a.py".into(), "b.py".into()], ..ReadReport::default() }
    }

    pub(super) fn skipped_files(checked: &CheckedReport) -> Vec<(String, SkipReason)> {
        checked.report.not_reviewed.iter().map(|gap| (gap.path.to_string(), gap.reason)).collect()
    }

    #[test]
    fn a_sound_report_stays_as_it_is() {
        let sound = report(vec![finding("a.py", 1), finding("b.py", u32::MAX)]);
        assert_eq!(
            check_report(&request(), sound.clone()).unwrap(),
            CheckedReport { report: sound, dropped_count: 0 }
        );
    }

    #[test]
    fn an_answer_about_another_file_is_none() {
        let other = || RepoPath::from("etc/passwd");
        let gap = CoverageGap { path: other(), reason: SkipReason::Binary };
        let malformed = RawFinding { title: String::new(), ..finding("etc/passwd", 1) };
        for wrong in [
            ReadReport { reviewed: vec![other()], ..report(vec![]) },
            ReadReport { not_reviewed: vec![gap], ..report(vec![]) },
            report(vec![finding("etc/passwd", 1)]),
            report(vec![malformed]),
        ] {
            let error = check_report(&request(), wrong).unwrap_err();
            assert!(matches!(error, ProtocolError::UnrequestedFile(path) if path == other()));
        }
    }

    #[test]
    fn a_file_that_the_report_forgets_is_a_gap() {
        let forgetful = ReadReport { reviewed: vec!["b.py".into()], ..ReadReport::default() };
        let checked = check_report(&request(), forgetful).unwrap();
        assert_eq!(checked.report.reviewed, [RepoPath::from("b.py")]);
        assert_eq!(skipped_files(&checked), [("a.py".into(), SkipReason::Unreadable)]);
    }

    #[test]
    fn a_file_is_told_once_and_not_as_reviewed_if_both_is_said() {
        let gap = CoverageGap { path: "a.py".into(), reason: SkipReason::TooLarge };
        let twice = ReadReport {
            reviewed: vec!["a.py".into(), "b.py".into(), "a.py".into()],
            not_reviewed: vec![gap.clone(), gap],
            ..ReadReport::default()
        };
        let checked = check_report(&request(), twice).unwrap();
        assert_eq!(checked.report.reviewed, [RepoPath::from("b.py")]);
        assert_eq!(skipped_files(&checked), [("a.py".into(), SkipReason::TooLarge)]);
    }

    #[test]
    fn a_malformed_finding_is_dropped_and_its_file_is_a_gap() {
        let with = |change: &dyn Fn(&mut RawFinding)| {
            let mut finding = finding("a.py", 3);
            change(&mut finding);
            finding
        };
        let long = |most: usize| "x".repeat(most + 1);
        for malformed in [
            with(&|f| f.location.start_line = 0),
            with(&|f| (f.location.start_line, f.location.end_line) = (0, 0)),
            with(&|f| f.location.end_line = 2),
            with(&|f| f.location.side = DiffSide::Old),
            with(&|f| f.rule = "leftover".into()),
            with(&|f| f.rule = "other/leftover".into()),
            with(&|f| f.rule = "core/".into()),
            with(&|f| f.rule = "core/a b".into()),
            with(&|f| f.rule = format!("core/{}", long(MAX_RULE_NAME_BYTES - 5))),
            with(&|f| f.title = String::new()),
            with(&|f| f.title = "two\nlines".into()),
            with(&|f| f.title = long(MAX_TITLE_BYTES)),
            with(&|f| f.body = "\x1b[2J".into()),
            with(&|f| f.body = long(MAX_BODY_BYTES)),
            with(&|f| f.snippet = long(MAX_SNIPPET_BYTES)),
            with(&|f| f.suggestion = Some(SuggestedFix { replacement: long(MAX_SUGGESTION_BYTES) })),
        ] {
            let checked =
                check_report(&request(), report(vec![malformed.clone(), finding("b.py", 1)])).unwrap();
            assert_eq!(checked.dropped_count, 1, "{malformed:?}");
            assert_eq!(checked.report.findings, [finding("b.py", 1)]);
            assert_eq!(checked.report.reviewed, [RepoPath::from("b.py")]);
            assert_eq!(skipped_files(&checked), [("a.py".into(), SkipReason::Unreadable)]);
        }
    }

    #[test]
    fn of_too_many_findings_the_worst_are_kept_and_the_gap_shows() {
        let worst = RawFinding { severity: Severity::P0, ..finding("b.py", 9) };
        let many = (0..MAX_FINDINGS).map(|n| finding("a.py", n as u32 + 1)).chain([worst.clone()]);
        let counted = check_report(&request(), report(many.collect())).unwrap();
        assert_eq!((counted.dropped_count, counted.report.findings.len()), (1, MAX_FINDINGS));
        assert_eq!(counted.report.findings.last(), Some(&worst));
        assert_eq!(skipped_files(&counted), [("a.py".into(), SkipReason::TooLarge)]);

        let large = |n: usize| RawFinding { body: "x".repeat(MAX_BODY_BYTES), ..finding("a.py", n as u32) };
        let fit = MAX_FINDINGS_BYTES / MAX_BODY_BYTES;
        let weighed = check_report(&request(), report((1..=fit).map(large).collect())).unwrap();
        assert_eq!(weighed.dropped_count, 1);
        assert_eq!(skipped_files(&weighed), [("a.py".into(), SkipReason::TooLarge)]);
    }

    /// A response of maximum size about one file must fit into one line. Otherwise a hostile file could cause
    /// a response that the reader cannot send.
    #[test]
    fn the_longest_answer_about_a_file_fits() {
        let path = RepoPath::from_bytes(b"\xff".repeat(4096));
        let finding = |n: u32| RawFinding {
            title: "\"".repeat(MAX_TITLE_BYTES),
            body: "\t".repeat(MAX_BODY_BYTES),
            snippet: "\x01".repeat(MAX_SNIPPET_BYTES),
            code: CodeDigests::default(),
            suggestion: Some(SuggestedFix { replacement: "\x01".repeat(MAX_SUGGESTION_BYTES) }),
            location: CodeLocation { path: path.clone(), side: DiffSide::New, start_line: n, end_line: n },
            ..finding("", n)
        };
        let findings =
            (1..=u32::try_from(crate::engine::DEFAULT_MAX_FILE_FINDINGS).unwrap()).map(finding).collect();
        let said: FileReply = Ok(ReadReport { findings, reviewed: vec![path], ..ReadReport::default() });
        let line = encode_line("the reply about a file", &said, MAX_ANSWER_BYTES).unwrap();
        assert!(line.len() > MAX_ANSWER_BYTES / 2, "{}", line.len());
        assert_eq!(decode_line::<FileReply>("it", &line, MAX_ANSWER_BYTES).unwrap(), said);
        let turn = FileBatch { files: vec![usize::MAX; MAX_BATCH_FILES], as_text: false };
        encode_line("the turn", &turn, MAX_BATCH_BYTES).unwrap();
    }

    #[test]
    fn a_reply_is_of_its_call_and_within_its_bound() {
        let replied = |number, bytes| NumberedReply {
            number,
            reply: ToolReply { text: "\x01".repeat(bytes), is_error: false },
        };
        let most = check_reply(7, replied(7, MAX_REPLY_BYTES)).unwrap();
        encode_line("the reply", &NumberedReply { number: u64::MAX, reply: most }, MAX_NUMBERED_REPLY_BYTES)
            .unwrap();
        let long = check_reply(7, replied(7, MAX_REPLY_BYTES + 1)).unwrap_err();
        assert!(matches!(long, ProtocolError::TooLong { .. }), "{long}");
        let other = check_reply(7, replied(6, 1)).unwrap_err();
        assert_eq!(other.to_string(), "the reader replied to call 6, not to call 7");
    }

    #[test]
    fn a_reader_that_is_confined_less_than_is_asked_for_is_not_talked_to() {
        for (reached, weakest) in
            [(SandboxLevel::None, SandboxLevel::Landlock), (SandboxLevel::Landlock, SandboxLevel::Full)]
        {
            let error =
                ReaderHello::for_this_build(reached).check_compatible(weakest).unwrap_err().to_string();
            assert!(
                error.contains(&format!("the reader's sandbox has the level `{}`", reached.as_str())),
                "{error}"
            );
            assert!(ReaderHello::for_this_build(weakest).check_compatible(reached).is_ok());
        }
    }

    #[test]
    fn only_the_same_build_is_talked_to() {
        let hello = || ReaderHello::for_this_build(SandboxLevel::Landlock);
        assert!(hello().check_compatible(SandboxLevel::Landlock).is_ok());
        let older = ReaderHello { version: "0.0.1".into(), ..hello() };
        let other = ReaderHello { protocol: PROTOCOL_VERSION + 1, ..hello() };
        for hello in [older, other] {
            let error = hello.check_compatible(SandboxLevel::None).unwrap_err().to_string();
            assert!(error.contains("restart the service"), "{error}");
        }
    }
}
