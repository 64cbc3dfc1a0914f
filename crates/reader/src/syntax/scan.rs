//! Matches many rules on one file. The file is parsed and walked once, and each rule is tried only on nodes
//! of the kinds that it can match.
//!
//! Source code is hostile. Parsing and matching have a time limit. The depth of a tree is limited because
//! matching recurses along the tree. The number of children of a node is limited because rules try the
//! children in turn. Exceeding a limit is an error; partial results are never returned.

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

/// Greatest depth of a syntax tree, in nodes.
pub(crate) const MAX_TREE_DEPTH: usize = 4_000;

/// A rule with `$$$` is applied only to nodes with at most this number of children. Such a rule tries each
/// child in turn, and copies its bindings each time.
const MAX_CHILDREN: usize = 10_000;

/// Largest size in bytes of a source text that is parsed. A tree takes tens of times as much memory as its
/// text.
pub(crate) const MAX_SOURCE_BYTES: usize = 2 * 1024 * 1024;

/// Maximum processor time for parsing one file, matching the rules, and validating the fixes. The limit must
/// be shorter than the time after which the server kills a reader process.
pub(crate) const MAX_FILE_CPU_TIME: Duration = Duration::from_millis(1_500);

/// Reasons why the syntax rules did not examine a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SyntaxScanError {
    /// The file has more than [`MAX_SOURCE_BYTES`].
    TooLarge,
    /// The file exceeds [`MAX_DEPTH`], [`MAX_CHILDREN`] or [`MAX_TIME`].
    OverLimit,
    /// The parser or a matcher panicked.
    Panicked,
}

/// Match of one rule.
#[derive(Debug)]
pub(crate) struct SyntaxMatch {
    /// Index of the rule, as passed to `SyntaxScan::build_per_language`.
    pub(crate) rule_index: usize,
    /// Byte range of the matching node.
    pub(crate) range: Range<usize>,
    /// Replacement that the rule's `fix` proposes.
    pub(crate) fix: Option<ByteReplacement>,
}

/// Parsers by language. Each parser is created when the language is first parsed. Every thread has its own
/// pool.
#[derive(Default)]
pub(crate) struct ParserPool {
    parsers: Vec<(&'static SourceLanguage, Parser)>,
    /// Deadline for all trees of one file, by the clock of [`thread_cpu_time`].
    deadline: Option<Duration>,
}

impl ParserPool {
    /// Starts the time limit for a file. Until the next call, all parsed texts share this time. If the time
    /// is zero, nothing is parsed.
    pub(crate) fn begin_file(&mut self, time_limit: Duration) {
        self.deadline = Some(thread_cpu_time() + time_limit);
    }

    /// Returns the deadline, by the clock of [`thread_cpu_time`].
    fn deadline(&self) -> Duration {
        self.deadline.unwrap_or_else(|| thread_cpu_time() + MAX_FILE_CPU_TIME)
    }

    /// Returns a function that returns true before the deadline of the current file. Other code that works on
    /// the trees of the file uses this function to respect the time limit.
    pub(crate) fn deadline_check(&self) -> impl Fn() -> bool + use<> {
        let until = self.deadline();
        move || thread_cpu_time() < until
    }

    /// Parses a text. Returns `None` if `has_time_left` returns false before the parse ends.
    pub(super) fn parse(
        &mut self,
        language: &'static SourceLanguage,
        text: &str,
        has_time_left: impl Fn() -> bool,
    ) -> Option<Tree> {
        if !has_time_left() {
            return None;
        }
        if !self.parsers.iter().any(|(known, _)| *known == language) {
            let mut parser = Parser::new();
            parser.set_language(&language.grammar.get_ts_language()).ok()?;
            self.parsers.push((language, parser));
        }
        let (_, parser) = self.parsers.iter_mut().find(|(known, _)| *known == language)?;
        // The state of an earlier, interrupted parse must not be used for this text.
        parser.reset();
        let mut in_time =
            |_: &ParseState| if has_time_left() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let options = ParseOptions::new().progress_callback(&mut in_time);
        let mut rest = |at: usize, _| text.as_bytes().get(at..).unwrap_or_default();
        parser.parse_with_options(&mut rest, None, Some(options))
    }

    /// Parses a text. Returns `None` if the deadline of the current file passes first.
    pub(crate) fn parse_in_time(&mut self, language: &'static SourceLanguage, text: &str) -> Option<Tree> {
        let until = self.deadline();
        self.parse(language, text, || thread_cpu_time() < until)
    }
}

/// Returns the processor time that this thread has used. A limit on processor time does not reject files
/// merely because the machine is busy.
fn thread_cpu_time() -> Duration {
    let cpu_time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(cpu_time.tv_sec).unwrap_or(0), u32::try_from(cpu_time.tv_nsec).unwrap_or(0))
}

/// Shape of a syntax tree outside of some byte ranges of its text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TreeShape {
    /// Number of ERROR and missing nodes in the whole tree, including the byte ranges.
    pub(crate) error_count: usize,
    /// True if a range overlaps a token, such as a string or a comment, but does not contain the whole token.
    pub(crate) has_cut_token: bool,
    /// All nodes outside of the ranges, in the order of the text: kind, depth, and true for a node without
    /// children. The boolean distinguishes an empty block from a block with statements, because the Python
    /// grammar accepts both.
    pub(crate) outer_nodes: Vec<(u16, u32, bool)>,
}

impl TreeShape {
    /// Computes the shape of a tree outside of these byte ranges.
    pub(crate) fn from_tree(tree: &Tree, changed_ranges: &[Range<usize>]) -> Self {
        let mut shape = TreeShape::default();
        let mut cursor = tree.walk();
        let mut depth = 0_u32;
        loop {
            let node = cursor.node();
            let at = node.byte_range();
            shape.error_count += usize::from(node.is_error() || node.is_missing());
            if !changed_ranges.iter().any(|range| range.start <= at.start && at.end <= range.end) {
                let is_leaf = node.child_count() == 0;
                shape.outer_nodes.push((node.kind_id(), depth, is_leaf));
                let overlaps = |range: &Range<usize>| at.start < range.end && range.start < at.end;
                shape.has_cut_token |= is_leaf && changed_ranges.iter().any(overlaps);
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

/// Rules of one language, indexed by the kinds of nodes that they can match.
pub(crate) struct SyntaxScan<'rules> {
    language: &'static SourceLanguage,
    rules: Vec<ScanRule<'rules>>,
    /// For each kind of node, the indices in `rules` of the rules that may match it.
    rules_by_kind: Vec<Vec<usize>>,
}

/// Rule for one language.
struct ScanRule<'rules> {
    /// Index of the rule that is returned with each match.
    index: usize,
    config: &'rules RuleConfig<SupportLang>,
    has_ellipsis: bool,
}

impl<'rules> SyntaxScan<'rules> {
    /// Creates scans from pairs of an index and a rule: one scan for each language that has a rule. Each
    /// match contains the index of its rule.
    pub(crate) fn build_per_language(rules: &[(usize, &'rules SyntaxCheck)]) -> Vec<Self> {
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
        Self { language, rules, rules_by_kind: by_kind }
    }

    /// Returns the language of the files that the scan applies to.
    pub(crate) fn language(&self) -> &'static SourceLanguage {
        self.language
    }

    /// Returns the matches of the rules for which `is_wanted_rule` returns true. `are_wanted_lines` receives
    /// the first and last line of a match, 1-based, and returns true if the match is wanted. The whole text
    /// is parsed, because the code around a node affects a match.
    pub(crate) fn find_matches(
        &self,
        text: String,
        parsers: &mut ParserPool,
        is_wanted_rule: &dyn Fn(usize) -> bool,
        are_wanted_lines: &dyn Fn(u32, u32) -> bool,
    ) -> Result<Vec<SyntaxMatch>, SyntaxScanError> {
        let active: Vec<bool> = self.rules.iter().map(|rule| is_wanted_rule(rule.index)).collect();
        if !active.contains(&true) {
            return Ok(Vec::new());
        }
        if text.len() > MAX_SOURCE_BYTES {
            return Err(SyntaxScanError::TooLarge);
        }
        // A bug in a grammar must affect only one file, not the whole scan.
        catch_unwind(AssertUnwindSafe(|| self.match_nodes(text, parsers, &active, are_wanted_lines)))
            .unwrap_or(Err(SyntaxScanError::Panicked))
    }

    fn match_nodes(
        &self,
        text: String,
        parsers: &mut ParserPool,
        active_rules: &[bool],
        are_wanted_lines: &dyn Fn(u32, u32) -> bool,
    ) -> Result<Vec<SyntaxMatch>, SyntaxScanError> {
        let until = parsers.deadline();
        let tree = parsers
            .parse(self.language, &text, || thread_cpu_time() < until)
            .ok_or(SyntaxScanError::OverLimit)?;
        let root = AstGrep::doc(StrDoc { src: text, lang: self.language.grammar, tree });

        let candidates =
            self.candidate_nodes(root.root().get_inner_node(), active_rules, are_wanted_lines)?;
        let mut matches = Vec::new();
        for node in candidates {
            for at in self.rules_by_kind.get(usize::from(node.kind_id())).into_iter().flatten() {
                let Some(rule) = self.rules.get(*at).filter(|_| active_rules.get(*at) == Some(&true)) else {
                    continue;
                };
                if thread_cpu_time() >= until || (rule.has_ellipsis && has_many_children(&node)) {
                    return Err(SyntaxScanError::OverLimit);
                }
                let matcher = &rule.config.matcher;
                let Some(matched) = matcher.match_node(root.adopt(node)) else { continue };
                let fix = rule.config.fixer.first().map(|fixer| {
                    let replacement = fixer.generate_replacement(&matched);
                    let range = fixer.get_replaced_range(&matched, matcher);
                    ByteReplacement { range, replacement: String::from_utf8_lossy(&replacement).into_owned() }
                });
                matches.push(SyntaxMatch { rule_index: rule.index, range: matched.range(), fix });
            }
        }
        Ok(matches)
    }

    /// Returns the nodes, on wanted lines, that may match at least one rule, in the order of the text.
    fn candidate_nodes<'tree>(
        &self,
        root: Node<'tree>,
        active_rules: &[bool],
        are_wanted_lines: &dyn Fn(u32, u32) -> bool,
    ) -> Result<Vec<Node<'tree>>, SyntaxScanError> {
        let looked_at: Vec<bool> = self
            .rules_by_kind
            .iter()
            .map(|rules| rules.iter().any(|at| active_rules.get(*at) == Some(&true)))
            .collect();
        let mut found = Vec::new();
        let mut cursor = root.walk();
        let mut depth = 0_usize;
        loop {
            let node = cursor.node();
            if looked_at.get(usize::from(node.kind_id())) == Some(&true) {
                let (first, last) = node_lines(&node);
                if are_wanted_lines(first, last) {
                    found.push(node);
                }
            }
            if cursor.goto_first_child() {
                depth += 1;
                if depth > MAX_TREE_DEPTH {
                    return Err(SyntaxScanError::OverLimit);
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

/// Returns true if a node or one of its children, such as a call's arguments, has more than `MAX_CHILDREN`
/// children.
fn has_many_children(node: &Node<'_>) -> bool {
    let wide = |node: &Node<'_>| node.child_count() as usize > MAX_CHILDREN;
    wide(node) || node.children(&mut node.walk()).any(|child| wide(&child))
}

/// Returns the 1-based lines of a node. If a node ends with a line break, its last line is the line before
/// that line break.
pub(super) fn node_lines(node: &Node<'_>) -> (u32, u32) {
    let (start, end) = (node.start_position(), node.end_position());
    let first = u32::try_from(start.row).unwrap_or(u32::MAX).saturating_add(1);
    let last = u32::try_from(end.row).unwrap_or(u32::MAX);
    (first, if end.column == 0 && end.row > start.row { last } else { last.saturating_add(1) })
}

/// Decodes the bytes of a file without changing any offset. Each byte that is not UTF-8 becomes `?`. NUL
/// becomes a space, because lexers treat NUL as the end of the text.
pub(crate) fn decode_keeping_offsets(bytes: &[u8]) -> String {
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

    pub(in crate::syntax) fn can_parse(language: &'static SourceLanguage, text: &str) -> bool {
        ParserPool::default().parse_in_time(language, text).is_some()
    }

    #[test]
    fn text_keeps_every_byte_s_place() {
        assert_eq!(decode_keeping_offsets(b"a\xC3\xA9\xFF\xE2\x82b\0c"), "a\u{e9}???b c");
    }
}
