//! Computes two digests of a definition. The first digest is the SHA-1 of the definition's lines, as Python
//! hash tests use it. The second digest is the SHA-256 of the definition's syntax tree. Comments, docstrings,
//! quotes, parentheses without effect, trailing commas and layout do not change the second digest. `python`
//! computes the tree digests of Python code, and `python_literals` the values of Python's literals.

pub(super) mod python;
mod python_literals;

use std::collections::BTreeSet;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use tree_sitter::Node;
use truing_core::sync::DefinitionDigests;

use crate::syntax::{MAX_TREE_DEPTH, SyntaxScanError};

/// Computes the digests of a definition's lines and its tree.
pub(super) fn digest_definition(
    lines: &str,
    node: Node<'_>,
    text: &str,
) -> Result<DefinitionDigests, SyntaxScanError> {
    let raw = hex::encode(Sha1::digest(lines.as_bytes()));
    Ok(DefinitionDigests { raw, tree: python::digest_tree(&[], &[node], text)? })
}

/// Combines the digests of two definitions with the same name, because all definitions of a name count as one
/// definition.
pub(super) fn join_digests(first: &DefinitionDigests, second: &DefinitionDigests) -> DefinitionDigests {
    let both = |first: &str, second: &str| format!("{first}\n{second}");
    DefinitionDigests {
        raw: hex::encode(Sha1::digest(both(&first.raw, &second.raw).as_bytes())),
        tree: hex::encode(Sha256::digest(both(&first.tree, &second.tree).as_bytes())),
    }
}

/// Computes the digests of a definition in a language other than Python. One digest is computed from the
/// definition's lines, the other from its nodes without comments and layout. Text between the nodes is part
/// of the input, so code that the grammar does not cover also changes the digest.
pub(super) fn digest_nodes(
    lines: &str,
    nodes: &[Node<'_>],
    text: &str,
) -> Result<DefinitionDigests, SyntaxScanError> {
    let nothing = BTreeSet::new();
    let mut tree = TreeHasher { hash: Sha256::new(), text, omitted_node_ids: &nothing };
    for node in nodes {
        tree.add_node(*node, 0)?;
    }
    let raw = hex::encode(Sha1::digest(lines.as_bytes()));
    Ok(DefinitionDigests { raw, tree: hex::encode(tree.hash.finalize()) })
}

/// Computes the digest of a tree without these nodes, in a language other than Python.
pub(super) fn digest_remaining_nodes(
    root: Node<'_>,
    omitted_node_ids: &BTreeSet<usize>,
    text: &str,
) -> Result<String, SyntaxScanError> {
    let mut tree = TreeHasher { hash: Sha256::new(), text, omitted_node_ids };
    tree.add_node(root, 0)?;
    Ok(hex::encode(tree.hash.finalize()))
}

/// Computes the digests of a file from its bytes and from the digest of its syntax tree. If there is no tree,
/// only line ends are normalised, because any other whitespace may be significant in an unknown format.
pub(super) fn digest_bytes(bytes: &[u8], tree_digest: Option<String>) -> DefinitionDigests {
    let tree = tree_digest.unwrap_or_else(|| {
        let mut hash = Sha256::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            hash.update(line.strip_suffix(b"\r").unwrap_or(line));
            hash.update(b"\n");
        }
        hex::encode(hash.finalize())
    });
    DefinitionDigests { raw: hex::encode(Sha1::digest(bytes)), tree }
}

/// Returns true if a token does not affect the meaning of the code. Such a token is a comma before a closing
/// bracket, or a semicolon at the end of a statement.
fn is_layout_token(parent: &str, token: &str, following_nodes: &[Node<'_>]) -> bool {
    let next = following_nodes.iter().find(|next| !next.is_extra());
    match token {
        "," => {
            let closes = next.is_some_and(|next| matches!(next.kind(), ")" | "]" | "}" | ">"));
            closes && !COMMA_SENSITIVE_KINDS.contains(&parent)
        }
        ";" => next.is_none() && (parent.ends_with("_statement") || parent.ends_with("_declaration")),
        _ => false,
    }
}

/// Kinds of nodes in which a comma before the closing bracket changes the meaning.
const COMMA_SENSITIVE_KINDS: [&str; 6] =
    ["tuple_expression", "tuple_type", "tuple_pattern", "array", "array_pattern", "token_tree"];

/// Words in the names of node kinds. If the name of a node's kind contains one of these words, the node's
/// text is included unchanged, with all blanks.
const VERBATIM_KIND_WORDS: [&str; 5] = ["string", "regex", "char_literal", "jsx_text", "shebang"];

/// Hasher of a tree. The length precedes every piece of the input, so different trees never have the same
/// input.
struct TreeHasher<'a> {
    hash: Sha256,
    text: &'a str,
    /// Nodes that are left out.
    omitted_node_ids: &'a BTreeSet<usize>,
}

impl<'a> TreeHasher<'a> {
    fn add_piece(&mut self, piece: &str) {
        self.hash.update((piece.len() as u64).to_le_bytes());
        self.hash.update(piece.as_bytes());
    }

    fn text_of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn add_node(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        if depth > MAX_TREE_DEPTH {
            return Err(SyntaxScanError::OverLimit);
        }
        let kind = node.kind();
        if kind.ends_with("comment") || self.omitted_node_ids.contains(&node.id()) {
            return Ok(());
        }
        self.add_piece("(");
        self.add_piece(kind);
        let is_text = node.is_named() && VERBATIM_KIND_WORDS.iter().any(|text| kind.contains(text));
        if node.child_count() == 0 || is_text {
            let text = self.text_of(node);
            let inner = text.trim_matches(['"', '\'']);
            // The kind of quotes of a plain string does not affect the digest.
            let is_plain =
                kind == "string" && inner.len() + 2 == text.len() && !inner.contains(['\\', '"', '\'']);
            self.add_piece(if is_plain { inner } else { text });
            self.add_piece(")");
            return Ok(());
        }
        let mut cursor = node.walk();
        let children: Vec<_> = node.children(&mut cursor).collect();
        let mut at = node.start_byte();
        for (place, child) in children.iter().enumerate() {
            self.add_gap(at, child.start_byte());
            at = child.end_byte();
            let rest = children.get(place + 1..).unwrap_or_default();
            if !is_layout_token(kind, child.kind(), rest) {
                self.add_node(*child, depth + 1)?;
            }
        }
        self.add_gap(at, node.end_byte());
        self.add_piece(")");
        Ok(())
    }

    /// Adds the text between two nodes.
    fn add_gap(&mut self, from: usize, to: usize) {
        let between = self.text.get(from..to).unwrap_or_default().trim();
        if !between.is_empty() {
            self.add_piece(between);
        }
    }
}
