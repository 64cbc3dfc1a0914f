//! Reads a diff line by line. Finds the sections of files among other text, and builds each file from its
//! header and hunks. The text of hunks is not stored, so a diff may have any size.

use std::collections::VecDeque;
use std::ops::Range;

use crate::ParseError;
use crate::file_name;
use crate::header::{self, FileHeader};
use crate::hunks::{self, HunkHeader, HunkReader};
use crate::input_line::{InputLine, InputPosition, MalformedLine, trim_line_end};
use crate::mail::{self, MailScanState, MessageEnd};
use crate::parse;
use crate::parsed_diff::{DiffEntry, HunkSpan};

/// Minimum number of digits of an abbreviated commit id in git's default settings.
const MIN_COMMIT_ID_DIGITS: usize = 7;

/// A hunk with its position in the input.
#[derive(Clone, Debug)]
pub(crate) struct LocatedHunk {
    /// Line numbers of the hunk.
    pub(crate) span: HunkSpan,
    /// Number of marks before each line.
    pub(crate) marker_width: usize,
    /// Byte range of the text after the second `@@` in the header.
    pub(crate) heading: Range<usize>,
    /// Byte range of the hunk's lines.
    pub(crate) body: Range<usize>,
}

impl From<LocatedHunk> for HunkSpan {
    fn from(found: LocatedHunk) -> Self {
        found.span
    }
}

/// A scanner that stores a value of type `H` for each hunk.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<H> {
    /// Position of the next line.
    next_position: InputPosition,
    state: ScanState<H>,
    /// Current mail; `None` outside of a mail, and after the end of the mail's message was found.
    mail: Option<MailScanState<DiffEntry<H>>>,
    /// Files and errors that were read, but not yet returned.
    ready_results: VecDeque<Result<DiffEntry<H>, ParseError>>,
    /// True after the first file was read.
    has_file: bool,
    /// Position of the first line that is not blank.
    first_text_position: Option<InputPosition>,
    /// True if a line that only git prints was read.
    is_git_output: bool,
    has_failed: bool,
}

/// The section that the next line may belong to.
#[derive(Clone, Default, Debug)]
enum ScanState<H> {
    /// Text outside of any section.
    #[default]
    Text,
    /// A plain diff may have begun: a `---` line was read.
    PlainHeader(Box<PlainDiffHeader>),
    /// The header of a file in a diff by git.
    Header(Box<GitHeader>),
    /// The hunks of a file.
    Hunks(Box<FileInProgress<H>>),
}

/// The first two lines of a possible plain diff.
#[derive(Clone, Debug)]
struct PlainDiffHeader {
    old: (InputPosition, Vec<u8>),
    new: Option<(InputPosition, Vec<u8>)>,
}

/// The header of a file in a diff by git.
#[derive(Clone, Debug)]
struct GitHeader {
    position: InputPosition,
    /// Text of the first line after `diff --git ` or `diff --cc `.
    names: Vec<u8>,
    header: FileHeader,
}

/// A file whose hunks are being read.
#[derive(Clone, Debug)]
struct FileInProgress<H> {
    file: DiffEntry<H>,
    /// Number of the first line after the latest hunk, on the old and on the new side.
    next_line_numbers: (u64, u64),
    /// Number of unchanged lines at the end of the last hunk.
    trailing_context: u64,
    /// Hunk that was read last or is being read.
    hunk: Option<LocatedHunk>,
    /// Reader of the hunk's lines; `None` if all lines of the hunk have been read.
    hunk_reader: Option<HunkReader>,
}

impl<H: From<LocatedHunk>> Scanner<H> {
    /// Returns a scanner at the beginning of a diff.
    pub(crate) fn new() -> Self {
        Self {
            next_position: InputPosition::START,
            state: ScanState::Text,
            mail: None,
            ready_results: VecDeque::new(),
            has_file: false,
            first_text_position: None,
            is_git_output: false,
            has_failed: false,
        }
    }

    /// Returns the next complete file or the error that stopped the scanner; `None` if more input is needed.
    pub(crate) fn pop_file(&mut self) -> Option<Result<DiffEntry<H>, ParseError>> {
        self.ready_results.pop_front()
    }

    /// Returns true if an error has stopped the scanner.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Reads the next line. `text` is the line or its beginning, `len` is the length of the whole line, and
    /// `has_line_feed` is true if the line ends with a line feed.
    pub(crate) fn read_line(&mut self, text: &[u8], len: usize, has_line_feed: bool) {
        let row = InputLine { text, position: self.next_position, len };
        self.next_position.byte_offset += len;
        self.next_position.line_number += usize::from(has_line_feed);
        if let Some(mail) = &mut self.mail {
            match mail.classify_line(text) {
                MessageEnd::Unknown => {}
                MessageEnd::EndsHere => return self.discard_mail_message(),
                MessageEnd::EndedBefore => self.discard_mail_message(),
                MessageEnd::NextMail => self.release_mail_diff(),
            }
        }
        let has_stopped = self.has_failed || self.mail.as_ref().is_some_and(|mail| mail.error.is_some());
        if !has_stopped && let Err(wrong) = self.dispatch_line(&row) {
            self.record_error(wrong);
        }
    }

    /// Marks the end of the input.
    pub(crate) fn finish(&mut self) {
        let has_stopped = self.has_failed || self.mail.as_ref().is_some_and(|mail| mail.error.is_some());
        if !has_stopped && let Err(wrong) = self.end_section(None) {
            self.record_error(wrong);
        }
        self.release_mail_diff();
        if !self.has_failed
            && !self.has_file
            && !self.is_git_output
            && let Some(position) = self.first_text_position
        {
            self.record_error(MalformedLine::new(
                position,
                "this is not a unified diff: no line begins the diff of a file",
            ));
        }
    }

    /// Discards the files that were held back from the mail, because they were part of the message.
    fn discard_mail_message(&mut self) {
        (self.mail, self.state) = (None, ScanState::Text);
    }

    /// Queues the files and the error that were held back from the mail as results. The mail has ended
    /// without statistics, so they are part of its diff.
    fn release_mail_diff(&mut self) {
        let Some(mail) = self.mail.take() else { return };
        mail.files.into_iter().for_each(|file| self.push_file(file));
        if let Some(wrong) = mail.error {
            self.record_error(wrong);
        }
    }

    fn push_file(&mut self, file: DiffEntry<H>) {
        match &mut self.mail {
            Some(mail) => mail.files.push(file),
            None => {
                self.has_file = true;
                self.ready_results.push_back(Ok(file));
            }
        }
    }

    fn record_error(&mut self, error: MalformedLine) {
        match &mut self.mail {
            Some(mail) => mail.error = Some(error),
            None => {
                let MalformedLine {
                    position: InputPosition { byte_offset: byte, line_number: line },
                    message,
                } = error;
                self.has_failed = true;
                self.ready_results.push_back(Err(ParseError {
                    byte_offset: byte,
                    line_number: line,
                    message,
                }));
            }
        }
    }

    /// Passes a line to the section that it belongs to.
    fn dispatch_line(&mut self, line: &InputLine<'_>) -> Result<(), MalformedLine> {
        loop {
            let is_taken = match &mut self.state {
                ScanState::Hunks(reading) => reading.read_line(line)?,
                ScanState::Header(section) => section.header.read_line(line)?,
                ScanState::PlainHeader(names) => names.read_line(line),
                ScanState::Text => return self.read_text_line(line),
            };
            if is_taken {
                return Ok(());
            }
            self.end_section(Some(line))?;
        }
    }

    /// Handles a line outside of a section. The line may begin a section.
    fn read_text_line(&mut self, line: &InputLine<'_>) -> Result<(), MalformedLine> {
        let text = line.text;
        if !self.has_file {
            self.is_git_output |=
                is_commit_line(text) || mail::is_mail_start(text) || text.starts_with(b"* Unmerged path ");
            if self.first_text_position.is_none() && !text.trim_ascii().is_empty() {
                self.first_text_position = Some(line.position);
            }
        }
        let header = |names: &[u8], header| {
            line.ensure_complete()?;
            Ok(ScanState::Header(Box::new(GitHeader {
                position: line.position,
                names: names.to_owned(),
                header,
            })))
        };
        match text.first() {
            Some(b'd') => {
                let merge =
                    text.strip_prefix(b"diff --cc ").or_else(|| text.strip_prefix(b"diff --combined "));
                if let Some(names) = text.strip_prefix(b"diff --git ") {
                    self.state = header(names, FileHeader::default())?;
                } else if let Some(name) = merge {
                    self.state = header(name, FileHeader::for_merge())?;
                }
            }
            Some(b'-') if text.starts_with(b"--- ") && !line.is_truncated() => {
                self.state = ScanState::PlainHeader(Box::new(PlainDiffHeader {
                    old: (line.position, text.to_owned()),
                    new: None,
                }));
            }
            Some(b'@') if looks_like_hunk_header(text) => {
                return Err(line.malformed_line("no file header precedes this hunk"));
            }
            Some(b'S') if is_submodule_line(text) => {
                let what = "a submodule change is not in the format of a diff: run `git diff` with \
                    `--submodule=short`";
                return Err(line.malformed_line(what));
            }
            Some(b'F') if mail::is_mail_start(text) => self.mail = Some(MailScanState::new()),
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Ends the current section. `next_line` is the first line after the section, or `None` at the end of the
    /// input.
    fn end_section(&mut self, next_line: Option<&InputLine<'_>>) -> Result<(), MalformedLine> {
        let at = next_line.map_or(self.next_position, |row| row.position);
        self.state = match std::mem::take(&mut self.state) {
            ScanState::Text => ScanState::Text,
            ScanState::PlainHeader(names) => match names.build_file(next_line)? {
                Some(file) => ScanState::Hunks(Box::new(FileInProgress::new(file))),
                None => ScanState::Text,
            },
            ScanState::Header(section) => {
                if let Some(missing) = section.header.missing_line_message() {
                    return Err(MalformedLine::new(at, missing));
                }
                if next_line.is_none() && !section.header.is_complete() {
                    return Err(MalformedLine::new(at, "the input ends inside the header of a file"));
                }
                match section.build_file(next_line.is_none().then_some(at))? {
                    None => ScanState::Text,
                    Some(file) if section.has_hunks(next_line) => {
                        ScanState::Hunks(Box::new(FileInProgress::new(file)))
                    }
                    Some(file) if section.header.has_name_lines => {
                        let what = "a hunk should follow the `---` and `+++` lines";
                        return Err(add_file_name(&file, MalformedLine::new(at, what)));
                    }
                    Some(file) => {
                        self.push_file(file);
                        ScanState::Text
                    }
                }
            }
            ScanState::Hunks(reading) => {
                self.push_file(reading.finish(at)?);
                ScanState::Text
            }
        };
        Ok(())
    }
}

impl PlainDiffHeader {
    fn read_line(&mut self, line: &InputLine<'_>) -> bool {
        let is_new = self.new.is_none() && line.text.starts_with(b"+++ ") && !line.is_truncated();
        if is_new {
            self.new = Some((line.position, line.text.to_owned()));
        }
        is_new
    }

    /// Returns the file if the two lines begin a plain diff. This requires that `next_line` begins a hunk;
    /// otherwise returns `None`.
    fn build_file<H>(
        &self,
        next_line: Option<&InputLine<'_>>,
    ) -> Result<Option<DiffEntry<H>>, MalformedLine> {
        let Some(new) = self
            .new
            .as_ref()
            .filter(|_| next_line.is_some_and(|row| hunks::is_two_way_hunk_header(row.text)))
        else {
            return Ok(None);
        };
        fn to_input_line((at, text): &(InputPosition, Vec<u8>)) -> InputLine<'_> {
            InputLine { text, position: *at, len: text.len() }
        }
        let header = FileHeader::from_name_lines(&to_input_line(&self.old), &to_input_line(new))?;
        parse::build_unified_entry(&header, self.old.0).map(Some)
    }
}

impl GitHeader {
    /// Returns the file; `None` if the text only looked like a header. If the input ends directly after the
    /// header, `input_end` is the position of this end; otherwise `input_end` is `None`.
    fn build_file<H>(&self, input_end: Option<InputPosition>) -> Result<Option<DiffEntry<H>>, MalformedLine> {
        let names = trim_line_end(&self.names);
        if self.header.is_combined {
            let name = file_name::parse_rename_line_name(names)
                .ok_or_else(|| MalformedLine::new(self.position, header::INVALID_QUOTING_MESSAGE))?;
            return Ok(Some(parse::build_merge_file(&name, &self.header)));
        }
        if let Some(file) = parse::build_git_file(names, &self.header, self.position)? {
            return Ok(Some(file));
        }
        if self.header.has_lines {
            return Err(MalformedLine::new(self.position, "the header does not determine the file's name"));
        }
        match input_end {
            Some(end) if !self.names.ends_with(b"\n") => {
                Err(MalformedLine::new(end, "the input ends inside the header of a file"))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Returns true if the next line begins a hunk.
    fn has_hunks(&self, next_line: Option<&InputLine<'_>>) -> bool {
        let is_merge = self.header.is_combined;
        next_line
            .is_some_and(|row| (is_merge || self.header.has_name_lines) && begins_hunk(row.text, is_merge))
    }
}

impl<H: From<LocatedHunk>> FileInProgress<H> {
    fn new(file: DiffEntry<H>) -> Self {
        Self { file, next_line_numbers: (0, 0), trailing_context: 0, hunk: None, hunk_reader: None }
    }

    /// Reads the next line; returns false if the line does not belong to the file.
    fn read_line(&mut self, line: &InputLine<'_>) -> Result<bool, MalformedLine> {
        let of_file =
            |file: &DiffEntry<H>, message: String| add_file_name(file, line.malformed_line(message));
        if let Some(reader) = &mut self.hunk_reader {
            reader.read_line(line.text).map_err(|message| of_file(&self.file, message))?;
        } else if begins_hunk(line.text, self.file.is_combined) {
            self.end_hunk();
            self.begin_hunk(line).map_err(|message| of_file(&self.file, message))?;
        } else if !(self.hunk.is_some() && line.text.starts_with(b"\\")) {
            return Ok(false);
        }
        if let Some(hunk) = &mut self.hunk {
            hunk.body.end = line.end_offset();
        }
        if let Some(reader) = self.hunk_reader.take_if(|reader| reader.is_done()) {
            self.trailing_context = reader.trailing_context;
            let sums = self
                .file
                .added_lines
                .checked_add(reader.added_lines)
                .zip(self.file.deleted_lines.checked_add(reader.deleted_lines));
            let too_many = || of_file(&self.file, "the file changes more than 4294967295 lines".to_owned());
            (self.file.added_lines, self.file.deleted_lines) = sums.ok_or_else(too_many)?;
        }
        Ok(true)
    }

    /// Reads the header of a hunk.
    fn begin_hunk(&mut self, line: &InputLine<'_>) -> Result<(), String> {
        let ranges = hunks::parse_hunk_header(line.text).ok_or(if self.file.is_combined {
            "a hunk header of a merge must read `@@@ -LINE,COUNT -LINE,COUNT +LINE,COUNT @@@`"
        } else {
            "a hunk header must read `@@ -LINE,COUNT +LINE,COUNT @@`"
        })?;
        let shared = self.count_shared_lines(&ranges)?;
        let (old_end, new_end) = (ranges.old.line_after()?, ranges.new.line_after()?);
        self.next_line_numbers =
            (self.next_line_numbers.0.max(old_end), self.next_line_numbers.1.max(new_end));
        self.hunk_reader = Some(HunkReader::new(&ranges, shared));
        // The reader of the hunk header has checked that the sum of start and count fits in 32 bits, so both
        // numbers fit, too.
        let fit = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let section = line.text.len() - line_end_len(line.text) - ranges.heading.len();
        self.hunk = Some(LocatedHunk {
            span: HunkSpan {
                old_start: fit(ranges.old.start),
                old_lines: fit(ranges.old.count),
                new_start: fit(ranges.new.start),
                new_lines: fit(ranges.new.count),
            },
            marker_width: ranges.marker_width,
            heading: line.position.byte_offset + section
                ..line.position.byte_offset + section + ranges.heading.len(),
            body: line.end_offset()..line.end_offset(),
        });
        Ok(())
    }

    /// Returns the number of lines that the hunk shares with the previous hunk. With `-W`, git prints the
    /// whole function around a change, so a hunk may begin with the last unchanged lines of the previous
    /// hunk.
    fn count_shared_lines(&self, header: &HunkHeader<'_>) -> Result<u64, &'static str> {
        let old = self.next_line_numbers.0.saturating_sub(header.old.start);
        let new = self.next_line_numbers.1.saturating_sub(header.new.start);
        if old == 0 && new == 0 {
            Ok(0)
        } else if old == new && old <= self.trailing_context {
            Ok(old)
        } else {
            Err("the hunk overlaps changes of the previous hunk, or belongs before that hunk")
        }
    }

    fn end_hunk(&mut self) {
        self.file.hunks.extend(self.hunk.take().map(H::from));
    }

    /// Completes the file. `position` is the position after its last line, for error messages.
    fn finish(mut self, position: InputPosition) -> Result<DiffEntry<H>, MalformedLine> {
        if let Some(walk) = &self.hunk_reader {
            let what = format!("the input ends inside a hunk: {} are missing", walk.missing_lines_message());
            return Err(add_file_name(&self.file, MalformedLine::new(position, what)));
        }
        self.end_hunk();
        Ok(self.file)
    }
}

/// Adds the name of the file to an error.
fn add_file_name<H>(file: &DiffEntry<H>, error: MalformedLine) -> MalformedLine {
    if file.path.as_bytes().is_empty() {
        return error;
    }
    MalformedLine { message: format!("{}: {}", file.path, error.message), ..error }
}

/// Returns the number of bytes of a line's end (`\n` or `\r\n`).
fn line_end_len(line: &[u8]) -> usize {
    line.len() - trim_line_end(line).len()
}

/// Returns true if the line begins a hunk of a file, which may be in a merge diff.
fn begins_hunk(line: &[u8], is_merge: bool) -> bool {
    if is_merge { line.starts_with(b"@@@") } else { line.starts_with(b"@@ ") }
}

/// Returns true if the line looks like a hunk header, even if it is malformed.
fn looks_like_hunk_header(line: &[u8]) -> bool {
    let signs = hunks::count_leading_at_signs(line);
    signs > 1 && line.get(signs..).is_some_and(|rest| rest.starts_with(b" -"))
}

/// Returns true for a line that git prints instead of a submodule's diff, for example `Submodule PATH
/// OLD..NEW:` for `--submodule=log`.
fn is_submodule_line(line: &[u8]) -> bool {
    let Some(rest) = trim_line_end(line).strip_prefix(b"Submodule ") else { return false };
    if rest.ends_with(b" contains modified content") || rest.ends_with(b" contains untracked content") {
        return true;
    }
    let of_ids = |word: &[u8]| {
        let Some(dots) = word.windows(2).position(|two| two == b"..") else { return false };
        let (old, new) = (word.get(..dots).unwrap_or_default(), word.get(dots..).unwrap_or_default());
        let new = new.strip_prefix(b"...").or_else(|| new.strip_prefix(b"..")).unwrap_or_default();
        let new = new.strip_suffix(b":").unwrap_or(new);
        let is_id = |id: &[u8]| (4..=64).contains(&id.len()) && id.iter().all(u8::is_ascii_hexdigit);
        is_id(old) && is_id(new)
    };
    let is_headed = rest.ends_with(b":") || rest.ends_with(b")");
    is_headed && rest.split(|byte| *byte == b' ').skip(1).any(of_ids)
}

/// Returns true for a line that begins a commit in the output of `git log`: `commit ID`, optionally followed
/// by a blank and text.
fn is_commit_line(line: &[u8]) -> bool {
    let Some(rest) = trim_line_end(line).strip_prefix(b"commit ") else { return false };
    let hex = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    (MIN_COMMIT_ID_DIGITS..=64).contains(&hex) && matches!(rest.get(hex), None | Some(b' '))
}
