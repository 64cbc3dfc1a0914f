//! Collects the code of a Python file outside of its functions, in named pieces. Pieces are assigned values,
//! classes with their bases, decorators and attributes, imports, conditions of definitions, and other code
//! that runs on import. All code that has an effect is either in a piece or in a function.

use std::collections::{BTreeMap, BTreeSet};

use tree_sitter::Node;
use truing_core::sync::{NonFunctionCode, ReleasePartKind};

use super::digest::python::{digest_tree, docstring_id};
use super::python::absolute_module;
use crate::syntax::{MAX_TREE_DEPTH, SyntaxScanError};

/// Maximum number of a statement's characters that are used as the statement's name.
const MAX_STATEMENT_NAME_CHARS: usize = 80;

/// Name of the attribute with a module's version. The attribute is ignored, because it differs in every
/// release and the version of the release is already known.
const VERSION_ATTRIBUTE: &str = "__version__";

/// Pieces of a file, and all modules that the file imports.
#[derive(Default)]
pub(super) struct NonFunctionPieces {
    pub(super) pieces: Vec<NonFunctionCode>,
    pub(super) modules: BTreeSet<String>,
}

impl NonFunctionPieces {
    /// Collects the pieces of a whole file. Relative imports in the file are resolved from `package`.
    pub(super) fn from_root(root: Node<'_>, text: &str, package: &str) -> Result<Self, SyntaxScanError> {
        let mut file = PieceCollector { text, package, pieces: Self::default() };
        file.collect_modules(root, 0)?;
        let mut scope = StatementScope {
            name: String::new(),
            conditions: Vec::new(),
            definition_counts: BTreeMap::new(),
        };
        file.visit_statements(root, &mut scope, 0)?;
        Ok(file.pieces)
    }
}

/// Returns the absolute names of the modules that a file imports, including imports in functions.
pub(super) fn imported_modules(
    root: Node<'_>,
    text: &str,
    package: &str,
) -> Result<BTreeSet<String>, SyntaxScanError> {
    let mut file = PieceCollector { text, package, pieces: NonFunctionPieces::default() };
    file.collect_modules(root, 0)?;
    Ok(file.pieces.modules)
}

/// Collects the pieces of a file.
struct PieceCollector<'a> {
    text: &'a str,
    package: &'a str,
    pieces: NonFunctionPieces,
}

/// The module or class whose statements are visited.
struct StatementScope {
    /// Name of the class in the file; empty for the module.
    name: String,
    /// Digests of the conditions under which the statement runs: each enclosing `if`, `try` or `with`, and
    /// its branch.
    conditions: Vec<String>,
    /// Number of functions and classes that were defined under each name so far. A later definition replaces
    /// an earlier definition.
    definition_counts: BTreeMap<String, usize>,
}

impl<'a> PieceCollector<'a> {
    fn text_of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn add_piece(
        &mut self,
        scope: &StatementScope,
        kind: ReleasePartKind,
        name: &str,
        digest_words: &[&str],
        nodes: &[Node<'_>],
    ) -> Result<(), SyntaxScanError> {
        let words: Vec<&str> =
            scope.conditions.iter().map(String::as_str).chain(digest_words.iter().copied()).collect();
        let tree = digest_tree(&words, nodes, self.text)?;
        let (scope, name) = (scope.name.clone(), first_line(name));
        self.pieces.pieces.push(NonFunctionCode { scope, name, kind, tree });
        Ok(())
    }

    fn visit_statements(
        &mut self,
        body: Node<'_>,
        scope: &mut StatementScope,
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        if depth > MAX_TREE_DEPTH {
            return Err(SyntaxScanError::OverLimit);
        }
        let documentation = docstring_id(body, self.text);
        let mut cursor = body.walk();
        for statement in body.named_children(&mut cursor) {
            if Some(statement.id()) != documentation {
                self.visit_statement(statement, scope, depth)?;
            }
        }
        Ok(())
    }

    fn visit_statement(
        &mut self,
        node: Node<'_>,
        scope: &mut StatementScope,
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        match node.kind() {
            "comment" | "pass_statement" | "line_continuation" => Ok(()),
            "function_definition" | "class_definition" | "decorated_definition" => {
                self.visit_definition(node, scope, depth)
            }
            "import_statement" | "import_from_statement" | "future_import_statement" => {
                self.visit_import(node, scope)
            }
            "expression_statement" => match node.named_child(0) {
                Some(inner) if matches!(inner.kind(), "assignment" | "augmented_assignment") => {
                    self.visit_assignment(node, inner, scope)
                }
                // The statement has no effect, because it is a value that is not used.
                Some(inner)
                    if matches!(inner.kind(), "string" | "ellipsis") && node.named_child_count() == 1 =>
                {
                    Ok(())
                }
                _ => self.visit_other_statement(node, scope),
            },
            "if_statement" | "try_statement" | "with_statement" | "for_statement" | "while_statement" => {
                self.visit_compound(node, scope, depth)
            }
            _ => self.visit_other_statement(node, scope),
        }
    }

    /// Adds a statement that is not a definition, an import, an assignment or a compound statement with
    /// reported branches.
    fn visit_other_statement(
        &mut self,
        node: Node<'_>,
        scope: &StatementScope,
    ) -> Result<(), SyntaxScanError> {
        self.add_piece(scope, ReleasePartKind::Statement, self.text_of(node), &[], &[node])
    }

    fn visit_definition(
        &mut self,
        outer_node: Node<'_>,
        scope: &mut StatementScope,
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        let inner = outer_node.child_by_field_name("definition").unwrap_or(outer_node);
        let Some(name) = inner.child_by_field_name("name").map(|name| self.text_of(name)) else {
            return self.visit_other_statement(outer_node, scope);
        };
        *scope.definition_counts.entry(name.to_owned()).or_default() += 1;
        if inner.kind() != "class_definition" {
            // A function without conditions needs no piece, because its body and its decorators are in its
            // own digest.
            return if scope.conditions.is_empty() {
                Ok(())
            } else {
                self.add_piece(scope, ReleasePartKind::Condition, name, &[], &[])
            };
        }
        let heads = ["type_parameters", "superclasses"].map(|field| inner.child_by_field_name(field));
        let heads: Vec<Node<'_>> = heads.into_iter().flatten().collect();
        self.add_piece(scope, ReleasePartKind::Class, name, &[], &heads)?;
        let mut cursor = outer_node.walk();
        let decorators: Vec<_> =
            outer_node.children(&mut cursor).filter(|child| child.kind() == "decorator").collect();
        if !decorators.is_empty() {
            self.add_piece(scope, ReleasePartKind::Decorators, name, &[], &decorators)?;
        }
        let Some(body) = inner.child_by_field_name("body") else { return Ok(()) };
        let name = if scope.name.is_empty() { name.to_owned() } else { format!("{}.{name}", scope.name) };
        let mut inside = StatementScope { name, conditions: Vec::new(), definition_counts: BTreeMap::new() };
        self.visit_statements(body, &mut inside, depth + 1)
    }

    /// Adds an assignment under the names that it changes: `a = 1`, `a, b = f()`, `a: int`, `a['b'] = 1` and
    /// `a.b = c`.
    fn visit_assignment(
        &mut self,
        node: Node<'_>,
        assignment: Node<'_>,
        scope: &StatementScope,
    ) -> Result<(), SyntaxScanError> {
        let mut names: Vec<&str> = Vec::new();
        let mut next = Some(assignment);
        while let Some(one) = next.filter(|one| matches!(one.kind(), "assignment" | "augmented_assignment")) {
            let mut target = one.child_by_field_name("left");
            while let Some(inner) = target.filter(|target| target.kind() == "subscript") {
                target = inner.child_by_field_name("value");
            }
            names.extend(target.map(|target| self.text_of(target)));
            next = one.child_by_field_name("right");
        }
        let is_text = assignment.child_by_field_name("right").is_some_and(|right| right.kind() == "string");
        if scope.name.is_empty() && names == [VERSION_ATTRIBUTE] && is_text {
            return Ok(());
        }
        // The number of earlier definitions is included, because an assignment replaces an earlier function
        // of the same name, but not a later function.
        let last = |name: &&str| name.rsplit('.').next().unwrap_or_default().to_owned();
        let before =
            names.iter().map(|name| scope.definition_counts.get(&last(name)).copied().unwrap_or_default());
        let before = before.map(|count| count.to_string()).collect::<Vec<_>>().join(",");
        self.add_piece(scope, ReleasePartKind::Value, &names.join(", "), &[&before], &[node])
    }

    /// Adds each imported name with the module or name from which it is imported. It does not matter how
    /// names are grouped into import statements.
    fn visit_import(&mut self, node: Node<'_>, scope: &StatementScope) -> Result<(), SyntaxScanError> {
        let from = match node.kind() {
            "future_import_statement" => Some("__future__".to_owned()),
            _ => node
                .child_by_field_name("module_name")
                .map(|of| absolute_module(self.package, &self.dotted_name(of))),
        };
        let mut cursor = node.walk();
        let names: Vec<_> = node.children_by_field_name("name", &mut cursor).collect();
        let mut cursor = node.walk();
        let takes_all = node.named_children(&mut cursor).any(|child| child.kind() == "wildcard_import");
        let from = from.as_deref();
        if takes_all {
            let from = from.unwrap_or_default();
            self.add_piece(scope, ReleasePartKind::Import, &format!("{from}.*"), &[from, "*"], &[])?;
        }
        for imported in names {
            let alias = imported.child_by_field_name("alias").map(|alias| self.text_of(alias));
            let name = self.dotted_name(imported.child_by_field_name("name").unwrap_or(imported));
            let bound = alias.unwrap_or(&name);
            let words = [from.unwrap_or("-"), &name, alias.unwrap_or("-")];
            self.add_piece(scope, ReleasePartKind::Import, bound, &words, &[])?;
        }
        Ok(())
    }

    /// Returns a dotted name without blanks.
    fn dotted_name(&self, node: Node<'_>) -> String {
        self.text_of(node).chars().filter(|letter| !letter.is_whitespace() && *letter != '\\').collect()
    }

    /// Adds an `if`, a `try` or a similar statement. If any statement in its branches is reported, that
    /// statement is reported separately, with the conditions of its branches. Otherwise, the whole compound
    /// statement is reported.
    fn visit_compound(
        &mut self,
        node: Node<'_>,
        scope: &mut StatementScope,
        depth: usize,
    ) -> Result<(), SyntaxScanError> {
        let (known, outer) = (self.pieces.pieces.len(), scope.conditions.len());
        let mut branches = Vec::new();
        let mut cursor = node.walk();
        let mut head = Vec::new();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "block" => branches.push((child, std::mem::take(&mut head))),
                "elif_clause" | "else_clause" | "except_clause" | "finally_clause" => {
                    let mut cursor = child.walk();
                    let inner: Vec<_> = child.children(&mut cursor).collect();
                    let block = inner.iter().copied().find(|one| one.kind() == "block");
                    let head = inner.into_iter().filter(|one| one.kind() != "block").collect();
                    branches.extend(block.map(|block| (block, head)));
                }
                "comment" => {}
                _ => head.push(child),
            }
        }
        for (block, head) in branches {
            // The conditions and `try` blocks before a branch are also conditions of that branch.
            scope.conditions.push(digest_tree(&[], &head, self.text)?);
            self.visit_statements(block, scope, depth + 1)?;
        }
        scope.conditions.truncate(outer);
        if self.pieces.pieces.len() == known { self.visit_other_statement(node, scope) } else { Ok(()) }
    }

    /// Collects every module that is imported, including imports in functions.
    fn collect_modules(&mut self, node: Node<'_>, depth: usize) -> Result<(), SyntaxScanError> {
        if depth > MAX_TREE_DEPTH {
            return Err(SyntaxScanError::OverLimit);
        }
        if matches!(node.kind(), "import_statement" | "import_from_statement") {
            let from = node.child_by_field_name("module_name");
            let from = from.map(|from| absolute_module(self.package, &self.dotted_name(from)));
            let mut cursor = node.walk();
            for imported in node.children_by_field_name("name", &mut cursor) {
                let name = self.dotted_name(imported.child_by_field_name("name").unwrap_or(imported));
                let module = match &from {
                    // The imported name may be a module of the package `from`.
                    Some(from) if from.is_empty() => name,
                    Some(from) => format!("{from}.{name}"),
                    None => name,
                };
                self.pieces.modules.insert(module);
            }
            self.pieces.modules.extend(from);
            return Ok(());
        }
        let mut cursor = node.walk();
        node.named_children(&mut cursor).try_for_each(|child| self.collect_modules(child, depth + 1))
    }
}

/// Returns the beginning of a text's first line.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|letter| !letter.is_control()).take(MAX_STATEMENT_NAME_CHARS).collect()
}
