//! Finds the names that a file binds. A name at a position in the file refers to an import or to a definition
//! of the file.

use std::collections::BTreeMap;
use std::ops::Range;

use tree_sitter::{Node, Tree};

use super::{MAX_TREE_DEPTH, SourceLanguage};

/// Kinds of nodes that are the scope of the names bound in them.
const SCOPE_KINDS: &[&str] = &[
    // Node kinds of Python.
    "module",
    "function_definition",
    "lambda",
    PYTHON_CLASS_KIND,
    "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension",
    "generator_expression",
    // Node kinds of JavaScript and TypeScript.
    "program",
    "statement_block",
    "function_declaration",
    "generator_function_declaration",
    "function_expression",
    "generator_function",
    "arrow_function",
    "method_definition",
    "catch_clause",
    "for_statement",
    "for_in_statement",
];
/// Kind of a Python class. Names that are bound in a class are not visible in its methods.
const PYTHON_CLASS_KIND: &str = "class_definition";
/// Kinds of nodes that are names.
const NAME_KINDS: &[&str] = &["identifier", "shorthand_property_identifier_pattern"];

/// One binding of a name.
#[derive(Debug)]
struct NameBinding {
    /// Byte range in which the name has this binding.
    scope: Range<usize>,
    is_class_scoped: bool,
    /// Dotted name of the import; `None` for a definition of the file.
    origin: Option<String>,
}

/// All names that a file binds.
#[derive(Debug, Default)]
pub(super) struct NameBindings {
    bindings: BTreeMap<Vec<u8>, Vec<NameBinding>>,
}

impl NameBindings {
    /// Collects the bindings of a tree. Returns `None` if the language's bindings are not known, or the tree
    /// is too deep.
    pub(super) fn from_tree(tree: &Tree, language: &'static SourceLanguage, text: &[u8]) -> Option<Self> {
        let is_python = Some(language) == SourceLanguage::from_name("python");
        let is_script = ["typescript", "tsx", "javascript"]
            .iter()
            .any(|name| Some(language) == SourceLanguage::from_name(name));
        if !is_python && !is_script {
            return None;
        }
        let mut bindings = Self::default();
        let mut cursor = tree.walk();
        let mut around: Vec<Node<'_>> = Vec::new();
        loop {
            let node = cursor.node();
            if NAME_KINDS.contains(&node.kind()) {
                let name = NameNode { node, ancestors: &around, text };
                let bound = if is_python { name.python_origin() } else { name.javascript_origin() };
                if let Some(bound) = bound {
                    bindings.add(&name, bound);
                }
            }
            around.push(node);
            if cursor.goto_first_child() {
                if around.len() > MAX_TREE_DEPTH {
                    return None;
                }
                continue;
            }
            around.pop();
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return Some(bindings);
                }
                around.pop();
            }
        }
    }

    fn add(&mut self, name: &NameNode<'_, '_>, bound_origin: BoundOrigin) {
        // The name of a definition is visible around the definition, not only inside.
        let outside = name.ancestors.len().saturating_sub(usize::from(bound_origin.is_bound_in_outer_scope));
        let around = name.ancestors.get(..outside).unwrap_or_default();
        let scope = around.iter().rev().find(|node| SCOPE_KINDS.contains(&node.kind()));
        let (Some(scope), Some(text)) = (scope, name.text.get(name.node.byte_range())) else { return };
        let binding = NameBinding {
            scope: scope.byte_range(),
            is_class_scoped: scope.kind() == PYTHON_CLASS_KIND,
            origin: bound_origin.origin,
        };
        self.bindings.entry(text.to_vec()).or_default().push(binding);
    }

    /// Returns the meanings of a dotted name at a position. `enclosing_nodes` are the nodes around the
    /// position, beginning with the smallest. For an imported name, returns the full names of its imports.
    /// For a name that the file does not bind, returns the name itself. For a name that the file defines,
    /// returns an empty list.
    pub(super) fn resolve_name(
        &self,
        name: &str,
        offset: usize,
        enclosing_nodes: &[Node<'_>],
    ) -> Vec<String> {
        let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
        let class =
            enclosing_nodes.iter().find(|node| SCOPE_KINDS.contains(&node.kind())).map(Node::byte_range);
        let is_seen = |binding: &&NameBinding| {
            binding.scope.contains(&offset)
                && (!binding.is_class_scoped || Some(&binding.scope) == class.as_ref())
        };
        let seen: Vec<_> =
            self.bindings.get(first.as_bytes()).into_iter().flatten().filter(is_seen).collect();
        // A binding in the innermost scope hides bindings of the same name in outer scopes.
        let Some(innermost) = seen.iter().map(|binding| binding.scope.len()).min() else {
            return vec![name.to_owned()];
        };
        let seen = seen.into_iter().filter(|binding| binding.scope.len() == innermost);
        let origins = seen.filter_map(|binding| binding.origin.as_ref());
        origins.map(|origin| rest.map_or(origin.clone(), |rest| format!("{origin}.{rest}"))).collect()
    }
}

/// The import or definition to which a name is bound.
struct BoundOrigin {
    origin: Option<String>,
    /// True if the name is bound in the scope around its parent node, like the name of a function.
    is_bound_in_outer_scope: bool,
}

impl BoundOrigin {
    fn new_local() -> Option<Self> {
        Some(Self { origin: None, is_bound_in_outer_scope: false })
    }

    fn from_origin(origin: String) -> Option<Self> {
        Some(Self { origin: Some(origin), is_bound_in_outer_scope: false })
    }
}

/// Node of a name, with the nodes around it.
struct NameNode<'a, 'tree> {
    node: Node<'tree>,
    /// Nodes around the name, the largest first.
    ancestors: &'a [Node<'tree>],
    text: &'a [u8],
}

impl<'tree> NameNode<'_, 'tree> {
    /// Returns the ancestor of the name at this number of steps. The parent is one step away.
    fn ancestor(&self, steps: usize) -> Option<Node<'tree>> {
        self.ancestors.get(self.ancestors.len().checked_sub(steps)?).copied()
    }

    /// Returns true if the node has a field with this name and the field is the name.
    fn is_field(&self, parent: Node<'_>, field: &str) -> bool {
        parent.child_by_field_name(field).is_some_and(|child| child.id() == self.node.id())
    }

    fn text(&self, node: Node<'_>) -> String {
        String::from_utf8_lossy(self.text.get(node.byte_range()).unwrap_or_default()).into_owned()
    }

    fn field(&self, parent: Node<'_>, field: &str) -> String {
        parent.child_by_field_name(field).map(|node| self.text(node)).unwrap_or_default()
    }

    /// Returns the content of a field that is a string, without the quotes.
    fn unquoted_field(&self, parent: Node<'_>, field: &str) -> String {
        self.field(parent, field).trim_matches(['"', '\'', '`']).to_owned()
    }

    /// Returns the origin of the name if Python code binds the name at this node.
    fn python_origin(&self) -> Option<BoundOrigin> {
        let (parent, above) = (self.ancestor(1)?, self.ancestor(2));
        match parent.kind() {
            "function_definition" | PYTHON_CLASS_KIND if self.is_field(parent, "name") => {
                Some(BoundOrigin { origin: None, is_bound_in_outer_scope: true })
            }
            "parameters"
            | "lambda_parameters"
            | "list_splat_pattern"
            | "dictionary_splat_pattern"
            | "pattern_list"
            | "tuple_pattern"
            | "list_pattern"
            | "as_pattern_target" => BoundOrigin::new_local(),
            "typed_parameter" if parent.named_child(0).is_some_and(|it| it.id() == self.node.id()) => {
                BoundOrigin::new_local()
            }
            "default_parameter" | "typed_default_parameter" | "named_expression"
                if self.is_field(parent, "name") =>
            {
                BoundOrigin::new_local()
            }
            "assignment" | "for_statement" | "for_in_clause" if self.is_field(parent, "left") => {
                BoundOrigin::new_local()
            }
            "aliased_import" if self.is_field(parent, "alias") => {
                let name = self.field(parent, "name");
                match above?.kind() {
                    "import_from_statement" => {
                        BoundOrigin::from_origin(join_name(&self.field(above?, "module_name"), &name))
                    }
                    _ => BoundOrigin::from_origin(name),
                }
            }
            "dotted_name" => {
                let above = above?;
                let is_module =
                    above.child_by_field_name("module_name").is_some_and(|it| it.id() == parent.id());
                match above.kind() {
                    "import_from_statement" if !is_module => BoundOrigin::from_origin(join_name(
                        &self.field(above, "module_name"),
                        &self.text(parent),
                    )),
                    "import_statement" if parent.start_byte() == self.node.start_byte() => {
                        BoundOrigin::from_origin(self.text(self.node))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Returns the origin of the name if JavaScript or TypeScript code binds the name at this node.
    fn javascript_origin(&self) -> Option<BoundOrigin> {
        let parent = self.ancestor(1)?;
        match parent.kind() {
            "function_declaration"
            | "generator_function_declaration"
            | "class_declaration"
            | "enum_declaration"
            | "function_signature"
                if self.is_field(parent, "name") =>
            {
                Some(BoundOrigin { origin: None, is_bound_in_outer_scope: true })
            }
            "import_specifier" => {
                let is_alias = self.is_field(parent, "alias");
                if !is_alias && parent.child_by_field_name("alias").is_some() {
                    return None;
                }
                BoundOrigin::from_origin(join_name(
                    &self.imported_module()?,
                    &self.unquoted_field(parent, "name"),
                ))
            }
            "import_clause" => BoundOrigin::from_origin(join_name(&self.imported_module()?, "default")),
            "namespace_import" => BoundOrigin::from_origin(self.imported_module()?),
            "variable_declarator" if self.is_field(parent, "name") => match self.required_module() {
                Some(module) => BoundOrigin::from_origin(module),
                None => BoundOrigin::new_local(),
            },
            "object_pattern" => self.required_member_origin(&self.text(self.node)),
            "pair_pattern" if self.is_field(parent, "value") => {
                self.required_member_origin(&self.unquoted_field(parent, "key"))
            }
            "formal_parameters" | "array_pattern" | "rest_pattern" => BoundOrigin::new_local(),
            "assignment_pattern"
            | "object_assignment_pattern"
            | "assignment_expression"
            | "for_in_statement"
                if self.is_field(parent, "left") =>
            {
                BoundOrigin::new_local()
            }
            "required_parameter" | "optional_parameter" if self.is_field(parent, "pattern") => {
                BoundOrigin::new_local()
            }
            "arrow_function" | "catch_clause" if self.is_field(parent, "parameter") => {
                BoundOrigin::new_local()
            }
            "function_expression" if self.is_field(parent, "name") => BoundOrigin::new_local(),
            _ => None,
        }
    }

    /// Returns the module that is imported by the import statement around the name.
    fn imported_module(&self) -> Option<String> {
        let import = self.ancestors.iter().rev().find(|node| node.kind() == "import_statement")?;
        Some(self.unquoted_field(*import, "source"))
    }

    /// Returns the module that the enclosing declaration loads by `require` or by a dynamic import.
    fn required_module(&self) -> Option<String> {
        let declarator = self.ancestors.iter().rev().find(|node| node.kind() == "variable_declarator")?;
        let mut value = declarator.child_by_field_name("value")?;
        if value.kind() == "await_expression" {
            value = value.named_child(0)?;
        }
        let function = value.child_by_field_name("function")?;
        let module = value.child_by_field_name("arguments")?.named_child(0)?;
        let is_import = matches!(self.text(function).as_str(), "require" | "import");
        (is_import && module.kind() == "string")
            .then(|| self.text(module).trim_matches(['"', '\'']).to_owned())
    }

    /// Returns the origin of a destructured name: a member of the module that the enclosing declaration
    /// loads, or else a local value.
    fn required_member_origin(&self, member_name: &str) -> Option<BoundOrigin> {
        let is_declared = self.ancestor(2).is_some_and(|above| above.kind() == "variable_declarator")
            || self.ancestor(3).is_some_and(|above| above.kind() == "variable_declarator");
        match self.required_module().filter(|_| is_declared) {
            Some(module) => BoundOrigin::from_origin(join_name(&module, member_name)),
            None => BoundOrigin::new_local(),
        }
    }
}

/// Returns the full name of a module's member.
fn join_name(module: &str, name: &str) -> String {
    if module.ends_with('.') { format!("{module}{name}") } else { format!("{module}.{name}") }
}

#[cfg(test)]
mod tests {
    use crate::syntax::{ParsedFile, ParserPool};

    #[test]
    fn a_name_stands_for_what_the_file_binds_it_to_around_the_place() {
        let meanings = |path: &str, text: &str, name: &str| {
            let places = ParsedFile::new(path.as_bytes(), text.as_bytes());
            places.resolve_name(name, text.find("HERE").unwrap(), &mut ParserPool::default())
        };
        for (text, name, expected) in [
            ("HERE", "b", &["b"][..]),
            ("from x import b\nHERE", "b", &["x.b"]),
            ("from .x import a, b\nHERE", "b", &[".x.b"]),
            ("from . import b\nHERE", "b", &[".b"]),
            ("from pdb import set_trace as b\nHERE", "b", &["pdb.set_trace"]),
            ("import ipdb as d\nHERE", "d.set_trace", &["ipdb.set_trace"]),
            ("import a.b.c\nHERE", "a.b.c.f", &["a.b.c.f"]),
            ("try:\n  import ipdb as d\nexcept E:\n  d = None\nHERE", "d.f", &["ipdb.f"]),
            ("def b(): pass\nHERE", "b", &[]),
            ("class A:\n  def b(self): pass\nHERE", "b", &["b"]),
            ("class A:\n  def b(self): HERE", "b", &["b"]),
            ("class A:\n  def b(self): pass\n  HERE", "b", &[]),
            ("def f(b): HERE", "b", &[]),
            ("def f(a, b: int = 1): HERE", "b", &[]),
            ("def f(b): pass\nHERE", "b", &["b"]),
            ("from x import b\ndef f(b): HERE", "b", &[]),
            ("from x import b\ndef f():\n  from y import b\n  HERE", "b", &["y.b"]),
            ("from x import b\ndef f(b): pass\nHERE", "b", &["x.b"]),
            ("for a, b in c: HERE", "b", &[]),
            ("with a as b: HERE", "b", &[]),
            ("b = 1\nHERE", "b", &[]),
            ("c = b\nf(b=1)\nx.b = 1\nHERE", "b", &["b"]),
        ] {
            assert_eq!(meanings("a.py", text, name), expected, "{text}");
        }
        for (text, expected) in [
            ("HERE", &["fit"][..]),
            ("import { fit } from './a'; HERE", &["./a.fit"]),
            ("import { it as fit } from './a'; HERE", &["./a.it"]),
            ("import { fit as it } from './a'; HERE", &["fit"]),
            ("import fit from 'a'; HERE", &["a.default"]),
            ("import * as fit from 'a'; HERE", &["a"]),
            ("const { fit } = require('a'); HERE", &["a.fit"]),
            ("const { it: fit } = await import('a'); HERE", &["a.it"]),
            ("const fit = f(); HERE", &[]),
            ("const { fit } = f(); HERE", &[]),
            ("function fit() {} HERE", &[]),
            ("const f = fit => { HERE }", &[]),
            ("function f({ fit }) { HERE }", &[]),
            ("function f(fit) {} HERE", &["fit"]),
            ("class A { fit() { HERE } }", &["fit"]),
            ("f({ fit: 1 }); a.fit = 2; HERE", &["fit"]),
        ] {
            for path in ["a.js", "a.ts", "a.tsx"] {
                assert_eq!(meanings(path, text, "fit"), expected, "{path}: {text}");
            }
        }
        assert_eq!(meanings("a.rs", "use x::b; HERE", "b"), ["b"]);
    }
}
