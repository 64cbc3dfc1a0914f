//! Two digests of a definition: of its bytes, which is what a Python hash test of today takes (SHA-1 of the definition's
//! lines), and of its syntax tree (SHA-256), which comments, docstrings, quotes, parentheses without effect, trailing
//! commas and layout do not change.

use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use tree_sitter::Node;
use truing_core::follow::Digests;

use crate::syntax::{MAX_DEPTH, TooComplex};

/// The digests of a definition's lines and its tree.
pub(super) fn digests(lines: &str, node: Node<'_>, text: &str) -> Result<Digests, TooComplex> {
    let mut tree = Tree { hash: Sha256::new(), text };
    tree.node(node, 0)?;
    Ok(Digests { raw: hex::encode(Sha1::digest(lines.as_bytes())), tree: hex::encode(tree.hash.finalize()) })
}

/// The digests of several definitions of one name, which count as one.
pub(super) fn joined(one: &Digests, two: &Digests) -> Digests {
    let both = |one: &str, two: &str| format!("{one}\n{two}");
    Digests {
        raw: hex::encode(Sha1::digest(both(&one.raw, &two.raw).as_bytes())),
        tree: hex::encode(Sha256::digest(both(&one.tree, &two.tree).as_bytes())),
    }
}

/// The digests of a definition in another language than Python: of its lines, and of its nodes, without comments and
/// layout. Between the nodes nothing is left out, so that what a grammar does not tell counts as it is written.
pub(super) fn plain(lines: &str, nodes: &[Node<'_>], text: &str) -> Result<Digests, TooComplex> {
    let mut tree = Tree { hash: Sha256::new(), text };
    for node in nodes {
        tree.plain(*node, 0)?;
    }
    Ok(Digests { raw: hex::encode(Sha1::digest(lines.as_bytes())), tree: hex::encode(tree.hash.finalize()) })
}

/// The digests of a file: of its bytes, and of its tree if there is one. Without one, only how lines end does not count:
/// in text of an unknown form, any blank may mean something.
pub(super) fn of_bytes(bytes: &[u8], tree: Option<String>) -> Digests {
    let tree = tree.unwrap_or_else(|| {
        let mut hash = Sha256::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            hash.update(line.strip_suffix(b"\r").unwrap_or(line));
            hash.update(b"\n");
        }
        hex::encode(hash.finalize())
    });
    Digests { raw: hex::encode(Sha1::digest(bytes)), tree }
}

/// Tokens that the nodes around them say already.
const PUNCTUATION: [&str; 9] = ["(", ")", "[", "]", "{", "}", ",", ";", "."];

/// Is a token layout alone: a comma before a closing bracket, or the end of a statement that is a node by itself?
fn is_layout(parent: &str, token: &str, rest: &[Node<'_>]) -> bool {
    let next = rest.iter().find(|next| !next.is_extra());
    match token {
        "," => {
            let closes = next.is_some_and(|next| matches!(next.kind(), ")" | "]" | "}" | ">"));
            closes && !COMMA_COUNTS.contains(&parent)
        }
        ";" => next.is_none() && (parent.ends_with("_statement") || parent.ends_with("_declaration")),
        _ => false,
    }
}

/// Where a comma before the closing bracket makes another thing of it.
const COMMA_COUNTS: [&str; 6] =
    ["tuple_expression", "tuple_type", "tuple_pattern", "array", "array_pattern", "token_tree"];

/// Parts of the names of nodes whose text counts as it is, blanks too.
const TEXTS: [&str; 5] = ["string", "regex", "char_literal", "jsx_text", "shebang"];

/// Nodes that mean the same, and what they count as.
const SAME: [(&str, &str); 5] = [
    ("expression_list", "tuple"),
    ("pattern_list", "tuple"),
    ("tuple_pattern", "tuple"),
    ("list_pattern", "list"),
    ("as_pattern_target", "target"),
];

/// A tree on its way into a digest. Every piece is preceded by its length, so that no two trees read the same.
struct Tree<'a> {
    hash: Sha256,
    text: &'a str,
}

impl<'a> Tree<'a> {
    fn piece(&mut self, piece: &str) {
        self.hash.update((piece.len() as u64).to_le_bytes());
        self.hash.update(piece.as_bytes());
    }

    fn text_of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn node(&mut self, node: Node<'_>, depth: usize) -> Result<(), TooComplex> {
        if depth > MAX_DEPTH {
            return Err(TooComplex::OverLimit);
        }
        match node.kind() {
            "comment" | "line_continuation" => Ok(()),
            "parenthesized_expression" => self.children(node, depth),
            "string" | "concatenated_string" => self.string(node, depth),
            "integer" | "float" => {
                self.piece(&self.text_of(node).to_lowercase().replace('_', ""));
                Ok(())
            }
            // A class without bases, with or without parentheses.
            "argument_list"
                if node.named_child_count() == 0
                    && node.parent().is_some_and(|parent| parent.kind() == "class_definition") =>
            {
                Ok(())
            }
            kind if node.child_count() == 0 => {
                let colon = kind == ":" && node.parent().is_none_or(|parent| parent.kind() != "slice");
                if !colon && !PUNCTUATION.contains(&kind) {
                    self.piece(self.text_of(node));
                }
                Ok(())
            }
            kind => {
                let kind = SAME.iter().find(|(same, _)| *same == kind).map_or(kind, |(_, as_)| as_);
                self.piece("(");
                self.piece(kind);
                if kind == "subscript" && commas(node) == 1 && node.named_child_count() == 2 {
                    self.piece("tuple"); // `a[1,]`
                }
                self.children(node, depth)?;
                self.piece(")");
                Ok(())
            }
        }
    }

    fn plain(&mut self, node: Node<'_>, depth: usize) -> Result<(), TooComplex> {
        if depth > MAX_DEPTH {
            return Err(TooComplex::OverLimit);
        }
        let kind = node.kind();
        if kind.ends_with("comment") {
            return Ok(());
        }
        self.piece("(");
        self.piece(kind);
        let is_text = node.is_named() && TEXTS.iter().any(|text| kind.contains(text));
        if node.child_count() == 0 || is_text {
            let text = self.text_of(node);
            let inner = text.trim_matches(['"', '\'']);
            // Which quotes a plain string has does not count.
            let is_plain =
                kind == "string" && inner.len() + 2 == text.len() && !inner.contains(['\\', '"', '\'']);
            self.piece(if is_plain { inner } else { text });
            self.piece(")");
            return Ok(());
        }
        let mut cursor = node.walk();
        let children: Vec<_> = node.children(&mut cursor).collect();
        let mut at = node.start_byte();
        for (place, child) in children.iter().enumerate() {
            self.gap(at, child.start_byte());
            at = child.end_byte();
            let rest = children.get(place + 1..).unwrap_or_default();
            if !is_layout(kind, child.kind(), rest) {
                self.plain(*child, depth + 1)?;
            }
        }
        self.gap(at, node.end_byte());
        self.piece(")");
        Ok(())
    }

    /// What stands between two nodes.
    fn gap(&mut self, from: usize, to: usize) {
        let between = self.text.get(from..to).unwrap_or_default().trim();
        if !between.is_empty() {
            self.piece(between);
        }
    }

    fn children(&mut self, node: Node<'_>, depth: usize) -> Result<(), TooComplex> {
        let docstring = docstring(node);
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            let is_bracket = node.kind() == "parenthesized_expression" && !child.is_named();
            if !is_bracket && Some(child.id()) != docstring {
                self.node(child, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A string by what it holds: neighbouring strings are one.
    fn string(&mut self, node: Node<'_>, depth: usize) -> Result<(), TooComplex> {
        self.piece("(");
        let mut so_far = String::new();
        self.parts(node, &mut so_far, depth)?;
        self.piece(&so_far);
        self.piece(")");
        Ok(())
    }

    fn parts(&mut self, node: Node<'_>, so_far: &mut String, depth: usize) -> Result<(), TooComplex> {
        let mut prefix = String::new();
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "string" => self.parts(child, so_far, depth + 1)?,
                "string_start" => {
                    let start = self.text_of(child).to_lowercase();
                    prefix = start.chars().filter(|letter| matches!(letter, 'b' | 'r' | 't')).collect();
                    if prefix.contains('b') && !so_far.starts_with("b:") {
                        so_far.insert_str(0, "b:");
                    }
                }
                "string_content" => self.content(child, prefix.contains('r'), so_far),
                "interpolation" => {
                    self.piece(so_far);
                    so_far.clear();
                    self.node(child, depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The text between quotes. What a backslash says is said otherwise only for quotes, line ends and backslashes
    /// themselves: other escapes stay as they are written.
    fn content(&self, node: Node<'_>, is_raw: bool, so_far: &mut String) {
        let mut rest = self.text_of(node);
        while let Some(at) = rest.find('\\').filter(|_| !is_raw) {
            so_far.push_str(rest.get(..at).unwrap_or_default());
            let mut after = rest.get(at + 1..).unwrap_or_default().chars();
            match after.next() {
                Some('\n') | None => {}
                Some(quote @ ('\'' | '"')) => so_far.push(quote),
                Some('n') => so_far.push('\n'),
                Some('t') => so_far.push('\t'),
                Some(other) => so_far.extend(['\\', other]),
            }
            rest = after.as_str();
        }
        if is_raw {
            so_far.push_str(&rest.replace('\\', "\\\\"));
        } else {
            so_far.push_str(rest);
        }
    }
}

fn commas(node: Node<'_>) -> usize {
    let mut cursor = node.walk();
    node.children(&mut cursor).filter(|child| child.kind() == ",").count()
}

/// The first statement of a function, class or module that is nothing but a string.
fn docstring(body: Node<'_>) -> Option<usize> {
    let has_one = match body.kind() {
        "module" => true,
        "block" => {
            let parent = body.parent()?.kind();
            matches!(parent, "function_definition" | "class_definition")
        }
        _ => false,
    };
    if !has_one {
        return None;
    }
    let mut cursor = body.walk();
    let first = body.named_children(&mut cursor).find(|child| child.kind() != "comment")?;
    let only = first.named_child(0).filter(|_| first.kind() == "expression_statement")?;
    (first.named_child_count() == 1 && matches!(only.kind(), "string" | "concatenated_string"))
        .then(|| first.id())
}
