//! Builds one page of a response. The length of a page is limited, and its lines contain no invisible
//! characters.

use std::fmt::Write as _;

use truing_core::line::is_invisible_char;

use super::ToolCallError;

/// Largest size in bytes of the lines of one page, without notes.
const MAX_PAGE_BYTES: usize = 32 << 10;
/// Text that follows an item that was cut because it is longer than a page.
const OMISSION_MARK: &str = "\n[… cut: too long to be shown]\n";
/// Maximum length of one note or one refusal, in characters.
const MAX_NOTE_CHARS: usize = 1_000;

/// Page that is being built. The first `skip` items and the items that do not fit are left out.
pub(super) struct ReplyPage {
    text: String,
    skip: usize,
    max_items: usize,
    visited_count: usize,
    shown_count: usize,
    is_full: bool,
}

impl ReplyPage {
    /// Creates a page of at most `max_items` items.
    pub(super) fn new(skip: Option<usize>, max_items: usize) -> Self {
        Self {
            text: String::new(),
            skip: skip.unwrap_or(0),
            max_items,
            visited_count: 0,
            shown_count: 0,
            is_full: false,
        }
    }

    /// Adds the next item. `lines` returns the lines of the item, each with its line end. `lines` is called
    /// only if the item may be shown. Returns false after the page is full. Later items are only counted.
    pub(super) fn add_item(&mut self, lines: impl FnOnce() -> String) -> bool {
        self.visited_count += 1;
        if self.visited_count <= self.skip || self.is_full {
            return !self.is_full;
        }
        let mut lines = if self.shown_count < self.max_items { lines() } else { String::new() };
        if self.shown_count == 0 && lines.len() > MAX_PAGE_BYTES {
            // The first item of a page is cut, not omitted. If it were omitted, every later call would stop
            // at the same item.
            lines.truncate(lines.floor_char_boundary(MAX_PAGE_BYTES - OMISSION_MARK.len()));
            lines.push_str(OMISSION_MARK);
        }
        if self.shown_count >= self.max_items || self.text.len() + lines.len() > MAX_PAGE_BYTES {
            self.is_full = true;
            return false;
        }
        self.text.push_str(&lines);
        self.shown_count += 1;
        true
    }

    /// Adds a line to the last item, if the page has room for the line.
    pub(super) fn add_to_item(&mut self, line: &str) {
        if self.text.len() + line.len() <= MAX_PAGE_BYTES {
            self.text.push_str(line);
        }
    }

    /// Returns true if the next item is one of the first `skip` items, which an earlier page showed.
    pub(super) fn is_next_skipped(&self) -> bool {
        self.visited_count < self.skip
    }

    /// Returns the number of items that were added so far, including items that are not shown.
    pub(super) fn item_count(&self) -> usize {
        self.visited_count
    }

    /// Returns the page below its heading, without a note about omitted items.
    pub(super) fn into_text(self, heading: &str) -> String {
        format!("{heading}\n{}", self.text)
    }

    /// Returns the page below its heading, with a note on how to request the next page. `items` is the plural
    /// noun for the items.
    pub(super) fn finish(self, heading: &str, items: &str) -> Result<String, ToolCallError> {
        let Self { skip, visited_count: visited, shown_count: shown, is_full, .. } = self;
        if skip > 0 && skip >= visited {
            return Err(ToolCallError::SkipTooLarge { skip, total: visited });
        }
        let mut answer = self.into_text(heading);
        if is_full {
            let (first, next) = (skip + 1, skip + shown);
            let _ = writeln!(
                answer,
                "[{items} {first} to {next} are shown, there are more: call again with \"skip\": {next}]"
            );
        }
        Ok(answer)
    }
}

/// Returns at most `max_chars` characters of a line, beginning with the character at `column` (1-based).
/// Invisible characters are escaped, and a mark shows where the line was cut.
pub(super) fn reply_line(bytes: &[u8], column: usize, max_chars: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.chars().skip(column - 1);
    let mut shown = String::with_capacity(text.len().min(max_chars));
    for letter in rest.by_ref().take(max_chars) {
        push_visible(&mut shown, letter);
    }
    match rest.count() {
        0 => {}
        more => {
            let _ = write!(shown, " [… {more} more characters of this line]");
        }
    }
    shown
}

/// Escapes invisible characters in a text from a file or from the model, so the text can be inserted into a
/// line of the response.
pub(super) fn visible_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        push_visible(&mut shown, letter);
    }
    shown
}

/// Appends a character. An invisible character is escaped. A model must not see text that is invisible to a
/// person.
fn push_visible(text: &mut String, letter: char) {
    if is_invisible_char(letter) && letter != '\t' {
        let _ = write!(text, "{}", letter.escape_unicode());
    } else {
        text.push(letter);
    }
}

/// Returns a note or a refusal as one line of at most `MAX_NOTE_CHARS` characters, without invisible
/// characters.
pub(super) fn truncate_note(text: &str) -> String {
    reply_line(text.replace('\n', " ").as_bytes(), 1, MAX_NOTE_CHARS)
}
