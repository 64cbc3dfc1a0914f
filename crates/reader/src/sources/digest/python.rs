//! Computes the digest of a Python tree. Two texts have equal digests if and only if Python's own parser
//! returns equal trees for them, apart from docstrings.
//!
//! The grammar of tree-sitter differs from Python's own grammar. The following differences are compensated
//! here: the spelling of numbers, strings and tuples, `elif`, positional arguments after named arguments, and
//! omitted parts of a slice.

use sha2::{Digest as _, Sha256};
use tree_sitter::Node;
use truing_core::sync::TREE_DIGEST_PREFIX;

use super::python_literals;
use crate::syntax::{MAX_TREE_DEPTH, SyntaxScanError};

/// Tokens that are left out of the digest, because the kinds of the nodes around them already express their
/// meaning.
pub(super) const LAYOUT_TOKENS: [&str; 9] = ["(", ")", "[", "]", "{", "}", ",", ";", "."];

/// Kinds of nodes with the same meaning, each with the kind that replaces it in the digest.
pub(super) const EQUIVALENT_NODE_KINDS: [(&str, &str); 5] = [
    ("expression_list", "tuple"),
    ("pattern_list", "tuple"),
    ("tuple_pattern", "tuple"),
    ("list_pattern", "list"),
    ("as_pattern_target", "target"),
];

/// Computes the digest of nodes. Words that describe the context of the nodes precede the nodes in the
/// digest's input.
pub(in crate::sources) fn digest_tree(
    context_words: &[&str],
    nodes: &[Node<'_>],
    text: &str,
) -> Result<String, SyntaxScanError> {
    let mut tree = PythonTreeHasher { hash: Sha256::new(), text };
    for word in context_words {
        tree.add_piece(DigestPieceKind::Token, word);
    }
    for node in nodes {
        tree.add_node(*node, 0)?;
    }
    Ok(format!("{TREE_DIGEST_PREFIX}{}", hex::encode(tree.hash.finalize())))
}

/// Kind of a piece of a digest's input. The kind and the length of a piece precede the piece, so different
/// trees never have the same input.
#[derive(Clone, Copy)]
enum DigestPieceKind {
    NodeStart = 1,
    NodeEnd = 2,
    Token = 3,
    Text = 4,
}

/// Hasher of a Python tree.
struct PythonTreeHasher<'a> {
    hash: Sha256,
    text: &'a str,
}

impl<'a> PythonTreeHasher<'a> {
    fn add_piece(&mut self, piece_kind: DigestPieceKind, piece: &str) {
        self.hash.update([piece_kind as u8]);
        self.hash.update((piece.len() as u64).to_le_bytes());
        self.hash.update(piece.as_bytes());
    }

    /// Adds a node of this kind with its children.
    fn add_enclosed(
        &mut self,
        kind: &str,
        add_content: impl FnOnce(&mut Self) -> Result<(), SyntaxScanError>,
    ) -> Result<(), SyntaxScanError> {
        self.add_piece(DigestPieceKind::NodeStart, kind);
        add_content(self)?;
        self.add_piece(DigestPieceKind::NodeEnd, "");
        Ok(())
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
            "parenthesized_expression" | "case_pattern" => self.add_children(node, depth),
            "string" | "concatenated_string" => self.add_string(node, depth),
            "integer" | "float" => {
                self.add_piece(
                    DigestPieceKind::Token,
                    &python_literals::normalize_number(self.text_of(node)),
                );
                Ok(())
            }
            // The number of dots is the level of a relative import.
            "import_prefix" => {
                let dots: String = self.text_of(node).chars().filter(|dot| *dot == '.').collect();
                self.add_piece(DigestPieceKind::Token, &dots);
                Ok(())
            }
            "argument_list" => self.add_arguments(node, depth),
            "call" => self.add_call(node, depth),
            "if_statement" => self.add_branches(node, &alternative_branches(node), depth),
            "slice" => self.add_slice(node, depth),
            "subscript" => self.add_subscript(node, depth),
            "expression_statement" if has_comma(node) => {
                self.add_enclosed("tuple", |tree| tree.add_children(node, depth))
            }
            "type_parameter" if has_comma(node) => {
                self.add_enclosed("tuple", |tree| tree.add_children(node, depth))
            }
            "delete_statement" => self.add_deletion(node, depth),
            "match_statement" | "case_clause" => self.add_match(node, depth),
            "tuple_pattern" | "list_pattern" if is_case_pattern(node) => {
                let is_group = node.kind() == "tuple_pattern" && node.named_child_count() == 1;
                if is_group && !has_comma(node) {
                    return self.add_children(node, depth);
                }
                self.add_enclosed("sequence", |tree| tree.add_children(node, depth))
            }
            kind if node.child_count() == 0 => {
                let colon = kind == ":" && node.parent().is_none_or(|parent| parent.kind() != "slice");
                if !colon && !LAYOUT_TOKENS.contains(&kind) {
                    self.add_piece(DigestPieceKind::Token, self.text_of(node));
                }
                Ok(())
            }
            kind => {
                let kind =
                    EQUIVALENT_NODE_KINDS.iter().find(|(same, _)| *same == kind).map_or(kind, |(_, as_)| as_);
                self.add_enclosed(kind, |tree| tree.add_children(node, depth))
            }
        }
    }

    fn add_children(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let docstring = docstring_id(node, self.text);
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            let is_bracket = node.kind() == "parenthesized_expression" && !child.is_named();
            if !is_bracket && Some(child.id()) != docstring {
                self.add_node(child, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Adds arguments, with positional arguments first. A class without arguments has the same digest with or
    /// without brackets.
    fn add_arguments(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let is_of_class = node.parent().is_some_and(|parent| parent.kind() == "class_definition");
        let mut cursor = node.walk();
        let arguments: Vec<_> =
            node.named_children(&mut cursor).filter(|argument| argument.kind() != "comment").collect();
        if arguments.is_empty() && is_of_class {
            return Ok(());
        }
        let is_named =
            |argument: &&Node<'_>| matches!(argument.kind(), "keyword_argument" | "dictionary_splat");
        let named = arguments.iter().filter(is_named);
        let all: Vec<_> = arguments.iter().filter(|argument| !is_named(argument)).chain(named).collect();
        self.add_enclosed("argument_list", |tree| {
            all.into_iter().try_for_each(|one| tree.add_node(*one, depth + 1))
        })
    }

    /// Adds a call. If a generator expression is the only argument, its own brackets do not affect the
    /// digest.
    fn add_call(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let parts = node.child_by_field_name("function").zip(node.child_by_field_name("arguments"));
        let Some((function, arguments)) = parts.filter(|(_, of)| of.kind() == "generator_expression") else {
            return self.add_enclosed("call", |tree| tree.add_children(node, depth));
        };
        self.add_enclosed("call", |tree| {
            tree.add_node(function, depth + 1)?;
            tree.add_enclosed("argument_list", |tree| tree.add_node(arguments, depth + 1))
        })
    }

    /// Adds an `if` with its remaining branches. An `elif` is added as an `else` that contains only an `if`.
    fn add_branches(
        &mut self,
        node: Node<'_>,
        remaining: &[Node<'_>],
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        if depth > MAX_TREE_DEPTH {
            return Err(SyntaxScanError::OverLimit);
        }
        let parts = [node.child_by_field_name("condition"), node.child_by_field_name("consequence")];
        self.add_enclosed("if", |tree| {
            parts.into_iter().flatten().try_for_each(|part| tree.add_node(part, depth + 1))?;
            match remaining.split_first() {
                None => Ok(()),
                Some((next, remaining)) if next.kind() == "elif_clause" => {
                    tree.add_enclosed("else", |tree| tree.add_branches(*next, remaining, depth + 1))
                }
                Some((last, _)) => {
                    let body = last.child_by_field_name("body").unwrap_or(*last);
                    tree.add_enclosed("else", |tree| tree.add_children(body, depth + 1))
                }
            }
        })
    }

    /// Adds a slice such as `a[1:]` with all three bounds, including omitted bounds. If the step is omitted,
    /// its colon does not affect the digest.
    fn add_slice(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let mut bounds = [None; 3];
        let mut at = 0;
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                ":" => at += 1,
                "comment" | "line_continuation" => {}
                _ => {
                    if let Some(bound) = bounds.get_mut(at) {
                        *bound = Some(child);
                    }
                }
            }
        }
        self.add_enclosed("slice", |tree| {
            bounds.into_iter().try_for_each(|bound| {
                tree.add_enclosed("bound", |tree| {
                    bound.map_or(Ok(()), |bound| tree.add_node(bound, depth + 1))
                })
            })
        })
    }

    /// Adds a subscript. `a[1, 2]` and `a[(1, 2)]` have the same digest.
    fn add_subscript(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let mut cursor = node.walk();
        let keys: Vec<_> = node.children_by_field_name("subscript", &mut cursor).collect();
        self.add_enclosed("subscript", |tree| {
            node.child_by_field_name("value").map_or(Ok(()), |value| tree.add_node(value, depth + 1))?;
            let all = |tree: &mut Self| keys.iter().try_for_each(|key| tree.add_node(*key, depth + 1));
            if has_comma(node) { tree.add_enclosed("tuple", all) } else { all(tree) }
        })
    }

    /// Adds a deletion. `del a, b`, which deletes two values, and `del (a, b)`, which deletes a tuple, have
    /// different digests.
    fn add_deletion(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let list = node.named_child(0).filter(|list| list.kind() == "expression_list");
        self.add_enclosed("delete_statement", |tree| tree.add_children(list.unwrap_or(node), depth))
    }

    /// Adds a `match a, b:` as a match of a tuple, and a `case a, b:` as a case of a sequence.
    fn add_match(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let is_part = |child: &Node<'_>| match node.kind() {
            "case_clause" => child.kind() == "case_pattern",
            _ => !matches!(child.kind(), "block" | "comment" | "line_continuation"),
        };
        let kind = if node.kind() == "case_clause" { "sequence" } else { "tuple" };
        let mut cursor = node.walk();
        let (parts, rest): (Vec<_>, Vec<_>) = node.named_children(&mut cursor).partition(is_part);
        self.add_enclosed(node.kind(), |tree| {
            let all = |tree: &mut Self| parts.iter().try_for_each(|part| tree.add_node(*part, depth + 1));
            if has_comma(node) {
                tree.add_enclosed(kind, all)?;
            } else {
                all(tree)?;
            }
            rest.into_iter().try_for_each(|part| tree.add_node(part, depth + 1))
        })
    }

    /// Adds a string by its content. Adjacent strings are treated as one string.
    fn add_string(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        let prefixes = string_prefixes(node, self.text);
        let kind = match () {
            () if prefixes.contains(['f', 't']) => "f-string",
            () if prefixes.contains('b') => "bytes",
            () => "string",
        };
        self.add_enclosed(kind, |tree| {
            let mut so_far = String::new();
            tree.read_string_parts(node, &mut so_far, depth)?;
            tree.flush_text(&mut so_far);
            Ok(())
        })
    }

    fn flush_text(&mut self, content: &mut String) {
        if !content.is_empty() {
            self.add_piece(DigestPieceKind::Text, content);
            content.clear();
        }
    }

    fn read_string_parts(
        &mut self,
        node: Node<'_>,
        content: &mut String,
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        let mut form = python_literals::StringPrefix::default();
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "string" => self.read_string_parts(child, content, depth + 1)?,
                "string_start" => form = python_literals::StringPrefix::parse(self.text_of(child)),
                "string_content" => form.decode(self.text_of(child), content),
                "interpolation" => self.add_interpolation(child, form, content, depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds an interpolation such as `{a!r:>{width}}`. `{a=}` and `a={a!r}` have the same digest.
    fn add_interpolation(
        &mut self,
        node: Node<'_>,
        string_prefix: python_literals::StringPrefix,
        content: &mut String,
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        let expression = node.child_by_field_name("expression");
        let conversion = node.child_by_field_name("type_conversion");
        let specifier = node.child_by_field_name("format_specifier");
        let mut cursor = node.walk();
        let shown = node.children(&mut cursor).find(|child| child.kind() == "=").is_some();
        let mut conversion = conversion.map(|conversion| self.text_of(conversion));
        if shown {
            let end = [node.child_by_field_name("type_conversion"), specifier].into_iter().flatten().next();
            let end = end.map_or(node.end_byte().saturating_sub(1), |end| end.start_byte());
            content.push_str(self.text.get(node.start_byte() + 1..end).unwrap_or_default());
            if conversion.is_none() && specifier.is_none() {
                conversion = Some("!r");
            }
        }
        self.flush_text(content);
        self.add_enclosed("interpolation", |tree| {
            expression.map_or(Ok(()), |expression| tree.add_node(expression, depth + 1))?;
            if let Some(conversion) = conversion {
                tree.add_piece(DigestPieceKind::Token, conversion);
            }
            let Some(specifier) = specifier else { return Ok(()) };
            tree.add_enclosed("format", |tree| {
                let mut text = String::new();
                // The text between interpolations is not in a node.
                let mut at = specifier.start_byte() + 1;
                let mut cursor = specifier.walk();
                for child in specifier.named_children(&mut cursor) {
                    string_prefix
                        .decode(tree.text.get(at..child.start_byte()).unwrap_or_default(), &mut text);
                    tree.add_interpolation(child, string_prefix, &mut text, depth + 1)?;
                    at = child.end_byte();
                }
                string_prefix.decode(tree.text.get(at..specifier.end_byte()).unwrap_or_default(), &mut text);
                tree.flush_text(&mut text);
                Ok(())
            })
        })
    }
}

fn alternative_branches(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.children_by_field_name("alternative", &mut cursor).collect()
}

fn has_comma(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == ",")
}

/// Returns true if a pattern belongs to a `case` and not to an assignment.
fn is_case_pattern(node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| {
        matches!(parent.kind(), "case_pattern" | "union_pattern" | "keyword_pattern" | "dict_pattern")
    })
}

/// Returns the prefixes of a string and its adjacent strings, in lower case.
fn string_prefixes(node: Node<'_>, text: &str) -> String {
    let mut cursor = node.walk();
    let mut found = String::new();
    for child in node.children(&mut cursor) {
        match child.kind() {
            "string" => found += &string_prefixes(child, text),
            "string_start" => {
                found += &text.get(child.byte_range()).unwrap_or_default().to_lowercase();
            }
            _ => {}
        }
    }
    found
}

/// Returns the id of the docstring: the first statement of a function, class or module that is only a string.
pub(in crate::sources) fn docstring_id(body: Node<'_>, text: &str) -> Option<usize> {
    let has_one = match body.kind() {
        "module" => true,
        "block" => matches!(body.parent()?.kind(), "function_definition" | "class_definition"),
        _ => false,
    };
    if !has_one {
        return None;
    }
    let mut cursor = body.walk();
    let first = body.named_children(&mut cursor).find(|child| child.kind() != "comment")?;
    let mut only = first.named_child(0).filter(|_| first.kind() == "expression_statement")?;
    while only.kind() == "parenthesized_expression" && only.named_child_count() == 1 {
        only = only.named_child(0)?;
    }
    let is_text = matches!(only.kind(), "string" | "concatenated_string")
        && !string_prefixes(only, text).contains(['b', 'f', 't']);
    (first.named_child_count() == 1 && !has_comma(first) && is_text).then(|| first.id())
}
