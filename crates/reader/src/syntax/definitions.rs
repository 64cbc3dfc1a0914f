//! Finds the definitions of a name in a source text, from the text's syntax tree.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tree_sitter::Node;

use super::kinds::DefinitionKind;
use super::scan::{MAX_SOURCE_BYTES, MAX_TREE_DEPTH, node_lines};
use super::{ParserPool, SourceLanguage, SyntaxScanError};

/// A syntax node counts as a function if its kind contains one of these words.
const FUNCTION_KIND_WORDS: [&str; 6] =
    ["function", "method", "constructor", "lambda", "closure", "func_literal"];

/// Kind and lines of a definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DefinitionLocation {
    /// Name of the node's kind in the grammar.
    pub(crate) kind: &'static str,
    /// First line of the definition, from 1.
    pub(crate) first_line: u32,
    /// Last line of the definition.
    pub(crate) last_line: u32,
}

/// Returns the definitions of `name` in a text, in the order of the text. Returns an error if the text is too
/// large, cannot be parsed before `end`, or makes the parser panic.
pub(crate) fn find_definitions(
    language: &'static SourceLanguage,
    text: &str,
    name: &str,
    parsers: &mut ParserPool,
    deadline: Instant,
) -> Result<Vec<DefinitionLocation>, SyntaxScanError> {
    if text.len() > MAX_SOURCE_BYTES {
        return Err(SyntaxScanError::TooLarge);
    }
    // A bug in a grammar must affect only one file, not the reader.
    catch_unwind(AssertUnwindSafe(|| {
        let tree =
            parsers.parse(language, text, || Instant::now() < deadline).ok_or(SyntaxScanError::OverLimit)?;
        collect_definitions(language, text, name, tree.root_node())
    }))
    .unwrap_or(Err(SyntaxScanError::Panicked))
}

fn collect_definitions(
    language: &SourceLanguage,
    text: &str,
    name: &str,
    root: Node<'_>,
) -> Result<Vec<DefinitionLocation>, SyntaxScanError> {
    let mut found = Vec::new();
    let mut cursor = root.walk();
    // One boolean for each ancestor of the current node, from the root: true if the ancestor is a function.
    let mut functions = Vec::new();
    loop {
        let node = cursor.node();
        let kind =
            language.definition_kinds.iter().find(|kind| node.is_named() && kind.node_kind == node.kind());
        if let Some(kind) = kind.filter(|kind| !kind.is_variable || !functions.contains(&true))
            && defines_name(&node, kind, text, name)
        {
            let (first, last) = node_lines(&node);
            found.push(DefinitionLocation { kind: kind.node_kind, first_line: first, last_line: last });
        }
        if cursor.goto_first_child() {
            functions.push(is_function(&node));
            if functions.len() > MAX_TREE_DEPTH {
                return Err(SyntaxScanError::OverLimit);
            }
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return Ok(found);
            }
            functions.pop();
        }
    }
}

/// Returns true if a node is a function.
pub(super) fn is_function(node: &Node<'_>) -> bool {
    FUNCTION_KIND_WORDS.iter().any(|word| node.kind().contains(word))
}

/// Returns true if `node`, of the kind `kind`, defines `name`. A declaration may have several names.
fn defines_name(node: &Node<'_>, kind: &DefinitionKind, text: &str, name: &str) -> bool {
    let mut cursor = node.walk();
    node.children_by_field_name(kind.name_field, &mut cursor)
        .any(|given| text.get(given.byte_range()).is_some_and(|given| given == name))
}
