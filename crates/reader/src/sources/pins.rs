//! Reads the digests in a project's own hash test. The test is a Python file with a dictionary, or with a
//! list of pairs. Each entry is an object of another package with the accepted SHA-1 digests of the object's
//! source. The file is parsed but never run. The imports in the file determine the full names of the objects.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tree_sitter::Node;
use truing_core::sync::LINE_DIGEST_HEX_DIGITS;

use crate::syntax::{MAX_SOURCE_BYTES, MAX_TREE_DEPTH, ParserPool, SourceLanguage};

/// The digests that a hash test accepts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HashPins {
    /// Accepted digests of each definition, by `module:Class.method`.
    #[serde(rename = "rows")]
    pub accepted_digests: BTreeMap<String, BTreeSet<String>>,
    /// Pairs that look like pins, but whose object could not be resolved.
    #[serde(rename = "left_out")]
    pub skipped_pins: Vec<SkippedPin>,
}

/// A pair that looks like a pin, but whose object cannot be resolved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SkippedPin {
    /// Line number, from 1.
    pub line: u32,
    /// The object of the pair, as it is written in the test.
    pub text: String,
    /// The reason why the object cannot be resolved.
    #[serde(rename = "why")]
    pub reason: String,
}

/// Maximum number of characters that are shown of an object.
const MAX_OBJECT_CHARS: usize = 120;

/// Reads a test. The error states why the file cannot be parsed as Python.
pub(super) fn parse_hash_test(bytes: &[u8]) -> Result<HashPins, String> {
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(format!("it is longer than {} KiB", MAX_SOURCE_BYTES >> 10));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let language = SourceLanguage::from_name("python").ok_or("its language is not known")?;
    let tree = ParserPool::default().parse_in_time(language, text).ok_or("it takes too long to parse")?;
    if tree.root_node().has_error() {
        return Err("it cannot be parsed completely as Python".to_owned());
    }
    let mut table = PinCollector { text, imports: BTreeMap::new(), pins: HashPins::default() };
    table.collect_imports(tree.root_node());
    table.collect_pins(tree.root_node(), 0)?;
    Ok(table.pins)
}

/// Collects the pins of a test.
struct PinCollector<'a> {
    text: &'a str,
    /// Origin of each imported name: a module, or a name in a module.
    imports: BTreeMap<String, (String, Option<String>)>,
    pins: HashPins,
}

impl<'a> PinCollector<'a> {
    fn text_of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// Collects the imports at the top level of the file. Branches are included, because the imports of a
    /// test may depend on a version.
    fn collect_imports(&mut self, node: Node<'_>) {
        let mut cursor = node.walk();
        for statement in node.named_children(&mut cursor) {
            match statement.kind() {
                "import_statement" | "import_from_statement" => self.add_import(statement),
                "if_statement" | "try_statement" | "else_clause" | "except_clause" | "block" => {
                    self.collect_imports(statement);
                }
                _ => {}
            }
        }
    }

    fn add_import(&mut self, statement: Node<'_>) {
        let from = statement.child_by_field_name("module_name").map(|module| self.text_of(module));
        let mut cursor = statement.walk();
        for imported in statement.children_by_field_name("name", &mut cursor) {
            let alias = imported.child_by_field_name("alias").map(|alias| self.text_of(alias));
            let name = self.text_of(imported.child_by_field_name("name").unwrap_or(imported));
            let top = name.split('.').next().unwrap_or(name);
            let stands_for = match (from, alias) {
                // A relative import refers to the project itself.
                (Some(module), _) if module.starts_with('.') => continue,
                (Some(module), _) => (module.to_owned(), Some(name.to_owned())),
                (None, Some(_)) => (name.to_owned(), None),
                (None, None) => (top.to_owned(), None),
            };
            self.imports.insert(alias.unwrap_or(top).to_owned(), stands_for);
        }
    }

    /// Collects all pairs of an object and its digests, at any nesting depth.
    fn collect_pins(&mut self, node: Node<'_>, depth: usize) -> Result<(), String> {
        if depth > MAX_TREE_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let mut cursor = node.walk();
        let children: Vec<_> =
            node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect();
        match node.kind() {
            // Rows have the forms `object: {digest}`, `(object, {digest})`, `pytest.param(object, {digest})`.
            "pair" | "tuple" | "list" | "argument_list" => {
                if let [object, accepted, ..] = children.as_slice()
                    && matches!(object.kind(), "identifier" | "attribute" | "subscript" | "call")
                    && let Some(digests) = self.parse_digests(*accepted)
                {
                    self.add_pin(*object, digests);
                    return Ok(());
                }
            }
            _ => {}
        }
        children.into_iter().try_for_each(|child| self.collect_pins(child, depth + 1))
    }

    /// Returns the digests in a set, list or tuple that contains only digests, or a single digest.
    fn parse_digests(&self, node: Node<'_>) -> Option<BTreeSet<String>> {
        match node.kind() {
            "string" => self.parse_digest(node).map(|digest| BTreeSet::from([digest])),
            "set" | "list" | "tuple" | "parenthesized_expression" => {
                let mut cursor = node.walk();
                let items = node.named_children(&mut cursor).filter(|item| item.kind() != "comment");
                let digests: Option<BTreeSet<_>> = items.map(|item| self.parse_digest(item)).collect();
                digests.filter(|digests| !digests.is_empty())
            }
            _ => None,
        }
    }

    fn parse_digest(&self, node: Node<'_>) -> Option<String> {
        let mut cursor = node.walk();
        let mut content = node.named_children(&mut cursor).filter(|part| part.kind() == "string_content");
        let digest = content.next().map(|content| self.text_of(content).to_ascii_lowercase())?;
        let is_one =
            digest.len() == LINE_DIGEST_HEX_DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_one && content.next().is_none() && node.kind() == "string").then_some(digest)
    }

    /// Adds a row. If several rows have the same object, the last row applies. In a dictionary, Python also
    /// uses the last of several equal keys. In a list, the project's own test checks every pair, so a wrong
    /// digest in an earlier pair makes that test fail.
    fn add_pin(&mut self, object: Node<'_>, digests: BTreeSet<String>) {
        match self.symbol_name(object) {
            Ok(name) => drop(self.pins.accepted_digests.insert(name, digests)),
            Err(why) => self.pins.skipped_pins.push(SkippedPin {
                line: u32::try_from(object.start_position().row + 1).unwrap_or(u32::MAX),
                text: self
                    .text_of(object)
                    .chars()
                    .filter(|char| !char.is_control())
                    .take(MAX_OBJECT_CHARS)
                    .collect(),
                reason: why.to_owned(),
            }),
        }
    }

    /// Returns the full name of the definition to which an expression refers, as `module:Class.method`.
    fn symbol_name(&self, object: Node<'_>) -> Result<String, &'static str> {
        let mut parts = self
            .dotted_parts(object)
            .ok_or("the definition that it names is known only at run time")?
            .into_iter();
        let first = parts.next().unwrap_or_default();
        let (module, name) = self.imports.get(first).ok_or("the file does not import this object by name")?;
        let names: Vec<&str> = name.as_deref().into_iter().chain(parts).collect();
        if names.is_empty() {
            return Err("it is a module, not a definition");
        }
        Ok(format!("{module}:{}", names.join(".")))
    }

    /// Returns the names in `a.b.c`, or in `a.__dict__['b'].c`.
    fn dotted_parts(&self, node: Node<'_>) -> Option<Vec<&'a str>> {
        match node.kind() {
            "identifier" => Some(vec![self.text_of(node)]),
            "attribute" => {
                let mut parts = self.dotted_parts(node.child_by_field_name("object")?)?;
                parts.push(self.text_of(node.child_by_field_name("attribute")?));
                Some(parts)
            }
            "subscript" => {
                let mut parts = self.dotted_parts(node.child_by_field_name("value")?)?;
                let key = node.child_by_field_name("subscript").filter(|key| key.kind() == "string")?;
                if parts.pop()? != "__dict__" {
                    return None;
                }
                let mut cursor = key.walk();
                let content = key.named_children(&mut cursor).find(|part| part.kind() == "string_content")?;
                parts.push(self.text_of(content));
                Some(parts)
            }
            _ => None,
        }
    }
}
