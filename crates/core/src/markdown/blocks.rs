//! Parses the paragraphs, lists and code of untrusted Markdown, and rewrites them without active content.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

use super::{ZERO_WIDTH_SPACE, code_block, code_span, escape_text, push_code, push_literal_text};
use crate::line::is_invisible_char;

/// Maximum nesting of lists and quotations. Lists and quotations that are nested more deeply are shown at
/// this depth.
const MAX_DEPTH: usize = 6;
/// Level of every heading. The level is low, so that untrusted text cannot imitate the headings of Truing's
/// own text.
const HEADING_PREFIX: &str = "##### ";

/// Rewrites untrusted Markdown: keeps its paragraphs, lists, quotations, emphasis and code, and removes
/// active content. A link or an image becomes its text, followed by its address as code; HTML is shown as
/// text.
pub fn sanitize_markdown(text: &str) -> String {
    let mut writer =
        BlockWriter { frames: vec![BlockFrame::new(BlockKind::Text)], links: Vec::new(), flattened_depth: 0 };
    for event in TextMergeStream::new(Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH)) {
        writer.write_event(event);
    }
    while writer.frames.len() > 1 {
        writer.close();
    }
    writer.frames.pop().map(|frame| frame.out.trim_end().to_owned()).unwrap_or_default()
}

struct BlockWriter {
    /// Open blocks, outermost first.
    frames: Vec<BlockFrame>,
    /// Address of each open link and image, and the length of the text before it.
    links: Vec<(String, usize)>,
    /// Number of open lists and quotations that are nested deeper than [`MAX_DEPTH`]. They have no frame.
    flattened_depth: usize,
}

/// An open block, and the text written for it.
struct BlockFrame {
    kind: BlockKind,
    out: String,
}

enum BlockKind {
    Text,
    Quote,
    /// A list, with the number of its next item if the list is numbered.
    List(Option<u64>),
    Item,
    /// A code block with its language.
    Code(String),
}

impl BlockFrame {
    fn new(kind: BlockKind) -> Self {
        Self { kind, out: String::new() }
    }

    /// Begins a block. A blank line precedes the block, unless `tight` is true.
    fn begin_block(&mut self, tight: bool) {
        self.out.truncate(self.out.trim_end().len());
        if !self.out.is_empty() {
            self.out.push_str(if tight { "\n" } else { "\n\n" });
        }
    }
}

impl BlockWriter {
    fn write_event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start_tag(tag),
            Event::End(tag) => self.end_tag(tag),
            Event::Text(text) => match self.frames.last_mut() {
                Some(BlockFrame { kind: BlockKind::Code(_), out }) => out.push_str(&text),
                Some(_) | None => self.write_text(&text),
            },
            Event::Html(text) | Event::InlineHtml(text) => self.write_text(&text),
            Event::Code(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.write_code(&text),
            Event::SoftBreak => self.push("\n"),
            Event::HardBreak => self.push("\\\n"),
            Event::Rule => {
                self.begin_block();
                self.push("* * *");
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn start_tag(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.begin_block(),
            Tag::Heading { .. } => {
                self.begin_block();
                self.push(HEADING_PREFIX);
            }
            Tag::BlockQuote(_) => self.open(BlockKind::Quote),
            Tag::List(number) => self.open(BlockKind::List(number)),
            Tag::Item => self.open(BlockKind::Item),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.frames.push(BlockFrame::new(BlockKind::Code(language)));
            }
            Tag::Emphasis => self.push("*"),
            Tag::Strong => self.push("**"),
            Tag::Strikethrough => self.push("~~"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.separate_words();
                let from = self.frames.last().map_or(0, |frame| frame.out.len());
                self.links.push((dest_url.into_string(), from));
            }
            // The parser does not emit these tags, because the options that enable them are not set.
            Tag::Superscript
            | Tag::Subscript
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Table(_)
            | Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end_tag(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item if self.flattened_depth > 0 => {
                self.flattened_depth -= 1;
            }
            TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item | TagEnd::CodeBlock => self.close(),
            TagEnd::Emphasis => self.push("*"),
            TagEnd::Strong => self.push("**"),
            TagEnd::Strikethrough => self.push("~~"),
            TagEnd::Link | TagEnd::Image => self.close_link(),
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::HtmlBlock
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Table
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::TableCell
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    fn push(&mut self, markup: &str) {
        if let Some(frame) = self.frames.last_mut() {
            frame.out.push_str(markup);
        }
    }

    fn write_code(&mut self, text: &str) {
        if let Some(frame) = self.frames.last_mut() {
            push_code(&mut frame.out, text);
        }
    }

    /// Inserts a zero-width space between two words that would be joined because the markup between them was
    /// omitted.
    fn separate_words(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return };
        if !frame.out.is_empty() && !frame.out.ends_with(char::is_whitespace) {
            frame.out.push(ZERO_WIDTH_SPACE);
        }
    }

    fn begin_block(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.begin_block(false);
        }
    }

    fn open(&mut self, kind: BlockKind) {
        if self.frames.len() <= MAX_DEPTH {
            self.frames.push(BlockFrame::new(kind));
        } else {
            self.flattened_depth += 1;
            self.begin_block();
        }
    }

    /// Closes the innermost block and writes its text into the enclosing block.
    fn close(&mut self) {
        let Some(BlockFrame { kind, out }) = self.frames.pop() else { return };
        let Some(around) = self.frames.last_mut() else { return };
        let listed = matches!(kind, BlockKind::Item)
            || matches!((&kind, &around.kind), (BlockKind::List(_), BlockKind::Item));
        around.begin_block(listed);
        let text = out.trim_end();
        let (first, others) = match (&kind, &mut around.kind) {
            (BlockKind::Quote, _) => ("> ".to_owned(), "> ".to_owned()),
            (BlockKind::Item, BlockKind::List(Some(number))) => {
                let mark = format!("{number}. ");
                *number = number.saturating_add(1);
                let indent = " ".repeat(mark.len());
                (mark, indent)
            }
            (BlockKind::Item, _) => ("- ".to_owned(), "  ".to_owned()),
            (BlockKind::Code(language), _) => {
                around.out.push_str(&code_block(language, &out));
                return;
            }
            (BlockKind::Text | BlockKind::List(_), _) => (String::new(), String::new()),
        };
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                around.out.push('\n');
            }
            let mark = if at == 0 { &first } else { &others };
            around.out.push_str(if line.is_empty() { mark.trim_end() } else { mark });
            around.out.push_str(line);
        }
    }

    /// Writes the address of a link or an image.
    fn close_link(&mut self) {
        let Some((to, from)) = self.links.pop() else { return };
        let Some(BlockFrame { out, .. }) = self.frames.last_mut() else { return };
        let text = out.get(from..).unwrap_or_default();
        if text.is_empty() || text == escape_text(&to) {
            out.truncate(from.min(out.len()));
            push_code(out, &to);
        } else if to.is_empty() {
            self.separate_words();
        } else {
            out.push_str(" (");
            out.push_str(&code_span(&to));
            out.push(')');
        }
    }

    /// Writes text, line by line.
    fn write_text(&mut self, text: &str) {
        let Some(BlockFrame { out, .. }) = self.frames.last_mut() else { return };
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                out.push('\n');
            }
            push_line(out, line);
        }
    }
}

/// Appends text to a line. Text at the beginning of a line is changed so that it cannot start a block or a
/// command.
fn push_line(out: &mut String, line: &str) {
    if !(out.is_empty() || out.ends_with('\n')) {
        return push_literal_text(out, line);
    }
    let line: String = line.chars().map(|c| if is_invisible_char(c) { ' ' } else { c }).collect();
    let line = line.trim_start();
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = line.split_at(digits);
    let numbered = digits > 0 && rest.starts_with(['.', ')']);
    if numbered || (digits == 0 && rest.starts_with(['-', '+', '=', '/', ':'])) {
        push_literal_text(out, number);
        out.push('\\');
        let mut letters = rest.chars();
        out.extend(letters.next());
        return push_literal_text(out, letters.as_str());
    }
    push_literal_text(out, line);
}
