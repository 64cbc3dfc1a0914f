//! One file under many rules: parsed once, walked once, matched where a rule's kinds of nodes are.
//!
//! Source code is hostile. Parsing and matching have a time limit, a tree may be only so deep, because matching
//! recurses along it, and only so wide where a rule looks. What is over a limit is an error, never half an answer.

use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ast_grep_config::RuleConfig;
use ast_grep_core::AstGrep;
use ast_grep_core::matcher::{Matcher as _, MatcherExt as _};
use ast_grep_core::replacer::Replacer as _;
use ast_grep_core::tree_sitter::{LanguageExt as _, StrDoc};
use ast_grep_language::SupportLang;
use rustix::time::{ClockId, clock_gettime};
use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use super::{LANGUAGES, SourceLanguage, SyntaxCheck};
use crate::fix::ByteReplacement;

/// How deep a syntax tree may be, in nodes.
pub(crate) const MAX_DEPTH: usize = 4_000;

/// How many children a node may have that a rule with `$$$` looks at: it tries them in turn, and what it has bound
/// so far is copied each time.
const MAX_CHILDREN: usize = 10_000;

/// How many bytes of source are parsed; a tree takes tens of times as much memory.
pub(crate) const MAX_SOURCE_BYTES: usize = 2 * 1024 * 1024;

/// The processor time of one file: parsing, matching and proving. A parser may not ask for as long as it
/// likes to: who starts a reader process ends it some time after this.
pub(crate) const MAX_TIME: Duration = Duration::from_millis(1_500);

/// Why the syntax rules did not look at a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ComplexityError {
    /// More than [`MAX_SOURCE_BYTES`].
    TooLarge,
    /// More than [`MAX_DEPTH`], [`MAX_CHILDREN`] or [`MAX_TIME`].
    OverLimit,
    /// The parser or a matcher panicked.
    Failed,
}

/// A match of one rule.
#[derive(Debug)]
pub(crate) struct SyntaxMatch {
    /// The rule's index in [`SyntaxScan::new`].
    pub(crate) rule: usize,
    /// The node that matches, in bytes.
    pub(crate) range: Range<usize>,
    /// What the rule's `fix` makes of which bytes.
    pub(crate) fix: Option<ByteReplacement>,
}

/// One parser a language, made at first use. Every thread has its own.
#[derive(Default)]
pub(crate) struct ParserPool {
    parsers: Vec<(&'static SourceLanguage, Parser)>,
    /// Until when they work on one file, however many trees are made for it, by the clock of [`worked`].
    until: Option<Duration>,
}

impl ParserPool {
    /// From here on all that is parsed is of one file, and has so much time together; none: nothing is parsed.
    pub(crate) fn begin_file(&mut self, time: Duration) {
        self.until = Some(worked() + time);
    }

    /// Until when there is time, by the clock of [`worked`].
    fn until(&self) -> Duration {
        self.until.unwrap_or_else(|| worked() + MAX_TIME)
    }

    /// Tells whether there is time left for the file, also for what follows from its trees.
    pub(crate) fn time(&self) -> impl Fn() -> bool + use<> {
        let until = self.until();
        move || worked() < until
    }

    /// The tree of a text; none if it is not parsed while there is time.
    pub(super) fn parse(
        &mut self,
        language: &'static SourceLanguage,
        text: &str,
        is_time: impl Fn() -> bool,
    ) -> Option<Tree> {
        if !is_time() {
            return None;
        }
        if !self.parsers.iter().any(|(known, _)| *known == language) {
            let mut parser = Parser::new();
            parser.set_language(&language.grammar.get_ts_language()).ok()?;
            self.parsers.push((language, parser));
        }
        let (_, parser) = self.parsers.iter_mut().find(|(known, _)| *known == language)?;
        // What an interrupted parse left behind is not for this text.
        parser.reset();
        let mut in_time =
            |_: &ParseState| if is_time() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let options = ParseOptions::new().progress_callback(&mut in_time);
        let mut rest = |at: usize, _| text.as_bytes().get(at..).unwrap_or_default();
        parser.parse_with_options(&mut rest, None, Some(options))
    }

    /// The tree of a text; none if it cannot be parsed in time.
    pub(crate) fn parse_in_time(&mut self, language: &'static SourceLanguage, text: &str) -> Option<Tree> {
        let until = self.until();
        self.parse(language, text, || worked() < until)
    }
}

/// The processor time that this thread has used: a machine that is busy with others makes no file complex.
fn worked() -> Duration {
    let told = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(told.tv_sec).unwrap_or(0), u32::try_from(told.tv_nsec).unwrap_or(0))
}

/// What a tree looks like around some bytes of its text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TreeShape {
    /// How many ERROR and missing nodes there are, in those bytes too.
    pub(crate) errors: usize,
    /// Does one of the ranges begin or end within a token, such as a string or a comment?
    pub(crate) cuts: bool,
    /// Every node that does not lie within one of the ranges, in the order of the text: its kind, its depth, and
    /// whether it has no children. (To its grammar a Python block without a statement is one, too.)
    pub(crate) around: Vec<(u16, u32, bool)>,
}

impl TreeShape {
    /// The shape of a tree around some of its text's bytes.
    pub(crate) fn of(tree: &Tree, changed: &[Range<usize>]) -> Self {
        let mut shape = TreeShape::default();
        let mut cursor = tree.walk();
        let mut depth = 0_u32;
        loop {
            let node = cursor.node();
            let at = node.byte_range();
            shape.errors += usize::from(node.is_error() || node.is_missing());
            if !changed.iter().any(|range| range.start <= at.start && at.end <= range.end) {
                let is_leaf = node.child_count() == 0;
                shape.around.push((node.kind_id(), depth, is_leaf));
                let overlaps = |range: &Range<usize>| at.start < range.end && range.start < at.end;
                shape.cuts |= is_leaf && changed.iter().any(overlaps);
            }
            if cursor.goto_first_child() {
                depth = depth.saturating_add(1);
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return shape;
                }
                depth = depth.saturating_sub(1);
            }
        }
    }
}

/// The rules of one language, by the kinds of nodes they can match.
pub(crate) struct SyntaxScan<'rules> {
    language: &'static SourceLanguage,
    rules: Vec<ScanRule<'rules>>,
    /// For each kind of node, the indexes in `rules` of those that may match it.
    by_kind: Vec<Vec<usize>>,
}

/// A rule for one language.
struct ScanRule<'rules> {
    /// What comes back with its matches.
    index: usize,
    config: &'rules RuleConfig<SupportLang>,
    has_ellipsis: bool,
}

impl<'rules> SyntaxScan<'rules> {
    /// One scan for each language that some rule looks at: (index, rule) pairs, the index comes back with matches.
    pub(crate) fn all(rules: &[(usize, &'rules SyntaxCheck)]) -> Vec<Self> {
        let of = |language: &'static SourceLanguage| {
            let compiled = rules.iter().filter_map(|(index, rule)| {
                let config = rule.compiled_for(language)?;
                Some(ScanRule { index: *index, config, has_ellipsis: rule.has_ellipsis })
            });
            Self::new(language, compiled.collect())
        };
        LANGUAGES.iter().map(of).filter(|scan| !scan.rules.is_empty()).collect()
    }

    fn new(language: &'static SourceLanguage, rules: Vec<ScanRule<'rules>>) -> Self {
        let mut by_kind: Vec<Vec<usize>> = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            for kind in rule.config.matcher.potential_kinds().iter().flatten() {
                if by_kind.len() <= kind {
                    by_kind.resize_with(kind + 1, Vec::new);
                }
                if let Some(rules) = by_kind.get_mut(kind) {
                    rules.push(at);
                }
            }
        }
        Self { language, rules, by_kind }
    }

    /// The language of the files it looks at.
    pub(crate) fn language(&self) -> &'static SourceLanguage {
        self.language
    }

    /// Every match of the rules for which `wanted` holds on the `wanted_lines` (1-based, first and last of the
    /// match). The whole text is parsed, so what is around a node decides about it.
    pub(crate) fn matches(
        &self,
        text: String,
        parsers: &mut ParserPool,
        wanted: &dyn Fn(usize) -> bool,
        wanted_lines: &dyn Fn(u32, u32) -> bool,
    ) -> Result<Vec<SyntaxMatch>, ComplexityError> {
        let active: Vec<bool> = self.rules.iter().map(|rule| wanted(rule.index)).collect();
        if !active.contains(&true) {
            return Ok(Vec::new());
        }
        if text.len() > MAX_SOURCE_BYTES {
            return Err(ComplexityError::TooLarge);
        }
        // A grammar's bug must cost one file, not the run.
        catch_unwind(AssertUnwindSafe(|| self.walk(text, parsers, &active, wanted_lines)))
            .unwrap_or(Err(ComplexityError::Failed))
    }

    fn walk(
        &self,
        text: String,
        parsers: &mut ParserPool,
        active: &[bool],
        wanted_lines: &dyn Fn(u32, u32) -> bool,
    ) -> Result<Vec<SyntaxMatch>, ComplexityError> {
        let until = parsers.until();
        let tree =
            parsers.parse(self.language, &text, || worked() < until).ok_or(ComplexityError::OverLimit)?;
        let root = AstGrep::doc(StrDoc { src: text, lang: self.language.grammar, tree });

        let candidates = self.candidates(root.root().get_inner_node(), active, wanted_lines)?;
        let mut matches = Vec::new();
        for node in candidates {
            for at in self.by_kind.get(usize::from(node.kind_id())).into_iter().flatten() {
                let Some(rule) = self.rules.get(*at).filter(|_| active.get(*at) == Some(&true)) else {
                    continue;
                };
                if worked() >= until || (rule.has_ellipsis && is_wide(&node)) {
                    return Err(ComplexityError::OverLimit);
                }
                let matcher = &rule.config.matcher;
                let Some(matched) = matcher.match_node(root.adopt(node)) else { continue };
                let fix = rule.config.fixer.first().map(|fixer| {
                    let replacement = fixer.generate_replacement(&matched);
                    let range = fixer.get_replaced_range(&matched, matcher);
                    ByteReplacement { range, replacement: String::from_utf8_lossy(&replacement).into_owned() }
                });
                matches.push(SyntaxMatch { rule: rule.index, range: matched.range(), fix });
            }
        }
        Ok(matches)
    }

    /// The nodes that some rule may match, on wanted lines, in the order of the text.
    fn candidates<'tree>(
        &self,
        root: Node<'tree>,
        active: &[bool],
        wanted_lines: &dyn Fn(u32, u32) -> bool,
    ) -> Result<Vec<Node<'tree>>, ComplexityError> {
        let looked_at: Vec<bool> =
            self.by_kind.iter().map(|rules| rules.iter().any(|at| active.get(*at) == Some(&true))).collect();
        let mut found = Vec::new();
        let mut cursor = root.walk();
        let mut depth = 0_usize;
        loop {
            let node = cursor.node();
            if looked_at.get(usize::from(node.kind_id())) == Some(&true) {
                let (first, last) = lines(&node);
                if wanted_lines(first, last) {
                    found.push(node);
                }
            }
            if cursor.goto_first_child() {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ComplexityError::OverLimit);
                }
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return Ok(found);
                }
                depth = depth.saturating_sub(1);
            }
        }
    }
}

/// Has a node, or one of its children (a call's arguments), more children than `$$$` may be tried against?
fn is_wide(node: &Node<'_>) -> bool {
    let wide = |node: &Node<'_>| node.child_count() as usize > MAX_CHILDREN;
    wide(node) || node.children(&mut node.walk()).any(|child| wide(&child))
}

/// The 1-based lines of a node. A line end at its end belongs to the line it ends.
pub(super) fn lines(node: &Node<'_>) -> (u32, u32) {
    let (start, end) = (node.start_position(), node.end_position());
    let first = u32::try_from(start.row).unwrap_or(u32::MAX).saturating_add(1);
    let last = u32::try_from(end.row).unwrap_or(u32::MAX);
    (first, if end.column == 0 && end.row > start.row { last } else { last.saturating_add(1) })
}

/// The text of a file, byte by byte in the same places: what is not UTF-8 becomes `?`, and NUL, which lexers take
/// for the end, a space.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    if memchr::memchr(0, bytes).is_none()
        && let Ok(text) = str::from_utf8(bytes)
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text.replace('\0', " ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::syntax) fn parses(language: &'static SourceLanguage, text: &str) -> bool {
        ParserPool::default().parse_in_time(language, text).is_some()
    }

    #[test]
    fn text_keeps_every_byte_s_place() {
        assert_eq!(text_of(b"a\xC3\xA9\xFF\xE2\x82b\0c"), "a\u{e9}???b c");
    }
}
