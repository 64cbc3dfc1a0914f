//! Computes the digest of a Python tree in the old format. In the old format, some different code has the
//! same digest, for example code that differs only in a format specification. The old format is supported
//! because existing manifests still contain such digests.

use sha2::{Digest as _, Sha256};
use tree_sitter::Node;

use super::python::{EQUIVALENT_NODE_KINDS, LAYOUT_TOKENS};
use crate::syntax::{MAX_TREE_DEPTH, SyntaxScanError};

/// Computes the digest of a tree in the old format.
pub(super) fn digest_tree(node: Node<'_>, text: &str) -> Result<String, SyntaxScanError> {
    let mut tree = FormerTreeHasher { hash: Sha256::new(), text };
    tree.add_node(node, 0)?;
    Ok(hex::encode(tree.hash.finalize()))
}

/// Hasher for the old format.
struct FormerTreeHasher<'a> {
    hash: Sha256,
    text: &'a str,
}

impl<'a> FormerTreeHasher<'a> {
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
        match node.kind() {
            "comment" | "line_continuation" => Ok(()),
            "parenthesized_expression" => self.add_children(node, depth),
            "string" | "concatenated_string" => self.add_string(node, depth),
            "integer" | "float" => {
                self.add_piece(&self.text_of(node).to_lowercase().replace('_', ""));
                Ok(())
            }
            // A class without bases has the same digest with or without parentheses.
            "argument_list"
                if node.named_child_count() == 0
                    && node.parent().is_some_and(|parent| parent.kind() == "class_definition") =>
            {
                Ok(())
            }
            kind if node.child_count() == 0 => {
                let colon = kind == ":" && node.parent().is_none_or(|parent| parent.kind() != "slice");
                if !colon && !LAYOUT_TOKENS.contains(&kind) {
                    self.add_piece(self.text_of(node));
                }
                Ok(())
            }
            kind => {
                let kind =
                    EQUIVALENT_NODE_KINDS.iter().find(|(same, _)| *same == kind).map_or(kind, |(_, as_)| as_);
                self.add_piece("(");
                self.add_piece(kind);
                if kind == "subscript" && count_commas(node) == 1 && node.named_child_count() == 2 {
                    self.add_piece("tuple"); // `a[1,]`
                }
                self.add_children(node, depth)?;
                self.add_piece(")");
                Ok(())
            }
        }
    }

    fn add_children(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let docstring = docstring_id(node);
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            let is_bracket = node.kind() == "parenthesized_expression" && !child.is_named();
            if !is_bracket && Some(child.id()) != docstring {
                self.add_node(child, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Adds a string by its content. Adjacent strings are treated as one string.
    fn add_string(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        self.add_piece("(");
        let mut so_far = String::new();
        self.read_string_parts(node, &mut so_far, depth)?;
        self.add_piece(&so_far);
        self.add_piece(")");
        Ok(())
    }

    fn read_string_parts(
        &mut self,
        node: Node<'_>,
        content: &mut String,
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        let mut prefix = String::new();
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "string" => self.read_string_parts(child, content, depth + 1)?,
                "string_start" => {
                    let start = self.text_of(child).to_lowercase();
                    prefix = start.chars().filter(|letter| matches!(letter, 'b' | 'r' | 't')).collect();
                    if prefix.contains('b') && !content.starts_with("b:") {
                        content.insert_str(0, "b:");
                    }
                }
                "string_content" => self.append_content(child, prefix.contains('r'), content),
                "interpolation" => {
                    self.add_piece(content);
                    content.clear();
                    self.add_node(child, depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the text between the quotes of a string. Escaped quotes, escaped line ends, `\n` and `\t` are
    /// decoded. All other escapes are added without decoding. A backslash in a raw string is doubled.
    fn append_content(&self, node: Node<'_>, is_raw: bool, content: &mut String) {
        let mut rest = self.text_of(node);
        while let Some(at) = rest.find('\\').filter(|_| !is_raw) {
            content.push_str(rest.get(..at).unwrap_or_default());
            let mut after = rest.get(at + 1..).unwrap_or_default().chars();
            match after.next() {
                Some('\n') | None => {}
                Some(quote @ ('\'' | '"')) => content.push(quote),
                Some('n') => content.push('\n'),
                Some('t') => content.push('\t'),
                Some(other) => content.extend(['\\', other]),
            }
            rest = after.as_str();
        }
        if is_raw {
            content.push_str(&rest.replace('\\', "\\\\"));
        } else {
            content.push_str(rest);
        }
    }
}

fn count_commas(node: Node<'_>) -> usize {
    let mut cursor = node.walk();
    node.children(&mut cursor).filter(|child| child.kind() == ",").count()
}

/// Returns the id of the docstring: the first statement of a function, class or module that is only a string.
fn docstring_id(body: Node<'_>) -> Option<usize> {
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
