//! Where a text defines a name, by the syntax of its language.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tree_sitter::Node;

use super::scan::{MAX_DEPTH, MAX_SOURCE_BYTES, lines};
use super::{Language, Parsers, TooComplex};

/// A kind of node that names something.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The grammar's word for it.
    node: &'static str,
    /// The field with the name.
    name: &'static str,
    /// Is it of no interest within a function, as variables are?
    is_variable: bool,
}

const fn of(node: &'static str) -> Kind {
    Kind { node, name: "name", is_variable: false }
}

const fn variable(node: &'static str, name: &'static str) -> Kind {
    Kind { node, name, is_variable: true }
}

pub(super) const PYTHON: &[Kind] =
    &[of("function_definition"), of("class_definition"), variable("assignment", "left")];

/// Of JavaScript, TypeScript and both with markup: a grammar without some of these has no such nodes.
pub(super) const SCRIPT: &[Kind] = &[
    of("function_declaration"),
    of("generator_function_declaration"),
    of("function_signature"),
    of("class_declaration"),
    of("abstract_class_declaration"),
    of("method_definition"),
    of("method_signature"),
    of("abstract_method_signature"),
    of("public_field_definition"),
    Kind { node: "field_definition", name: "property", is_variable: false },
    of("interface_declaration"),
    of("type_alias_declaration"),
    of("enum_declaration"),
    of("internal_module"),
    of("module"),
    variable("variable_declarator", "name"),
];

pub(super) const RUST: &[Kind] = &[
    of("function_item"),
    of("function_signature_item"),
    of("struct_item"),
    of("enum_item"),
    of("enum_variant"),
    of("field_declaration"),
    of("union_item"),
    of("trait_item"),
    of("type_item"),
    of("associated_type"),
    of("const_item"),
    of("static_item"),
    of("mod_item"),
    of("macro_definition"),
];

pub(super) const GO: &[Kind] = &[
    of("function_declaration"),
    of("method_declaration"),
    of("method_elem"),
    of("field_declaration"),
    of("type_spec"),
    of("type_alias"),
    variable("const_spec", "name"),
    variable("var_spec", "name"),
];

pub(super) const JAVA: &[Kind] = &[
    of("class_declaration"),
    of("interface_declaration"),
    of("enum_declaration"),
    of("enum_constant"),
    of("record_declaration"),
    of("annotation_type_declaration"),
    of("method_declaration"),
    of("constructor_declaration"),
    variable("variable_declarator", "name"),
];

/// Words in the kinds of nodes whose insides are a function's.
const FUNCTIONS: [&str; 6] = ["function", "method", "constructor", "lambda", "closure", "func_literal"];

/// A place where a name is defined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Definition {
    /// The grammar's word for what it is.
    pub(crate) kind: &'static str,
    /// Its first line, 1-based.
    pub(crate) first: u32,
    /// Its last line.
    pub(crate) last: u32,
}

/// The definitions of `name` in a text, in its order, found before `end`.
pub(crate) fn definitions(
    language: &'static Language,
    text: &str,
    name: &str,
    parsers: &mut Parsers,
    end: Instant,
) -> Result<Vec<Definition>, TooComplex> {
    if text.len() > MAX_SOURCE_BYTES {
        return Err(TooComplex::TooLarge);
    }
    // A grammar's bug must cost one file, not the reader.
    catch_unwind(AssertUnwindSafe(|| {
        let tree = parsers.parse(language, text, || Instant::now() < end).ok_or(TooComplex::OverLimit)?;
        walk(language, text, name, tree.root_node())
    }))
    .unwrap_or(Err(TooComplex::Failed))
}

fn walk(language: &Language, text: &str, name: &str, root: Node<'_>) -> Result<Vec<Definition>, TooComplex> {
    let mut found = Vec::new();
    let mut cursor = root.walk();
    // Of the nodes from the root to this one: is it a function?
    let mut functions = Vec::new();
    loop {
        let node = cursor.node();
        let kind = language.definitions.iter().find(|kind| node.is_named() && kind.node == node.kind());
        if let Some(kind) = kind.filter(|kind| !kind.is_variable || !functions.contains(&true))
            && names(&node, kind, text, name)
        {
            let (first, last) = lines(&node);
            found.push(Definition { kind: kind.node, first, last });
        }
        if cursor.goto_first_child() {
            functions.push(FUNCTIONS.iter().any(|word| node.kind().contains(word)));
            if functions.len() > MAX_DEPTH {
                return Err(TooComplex::OverLimit);
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

/// Does a node give this name to something? A declaration may have several.
fn names(node: &Node<'_>, kind: &Kind, text: &str, name: &str) -> bool {
    let mut cursor = node.walk();
    node.children_by_field_name(kind.name, &mut cursor)
        .any(|given| text.get(given.byte_range()).is_some_and(|given| given == name))
}
