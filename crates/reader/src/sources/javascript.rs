//! Collects the definitions in a JavaScript or TypeScript file: functions, classes and their members, types,
//! variables, and assignments to `exports`, `module.exports` or a prototype. Also collects re-exports by
//! `export … from`, by an exported import, or by `module.exports = require(…)`.

use tree_sitter::Node;

use super::items::{ItemCollector, next_depth, qualified_name};
use crate::syntax::SyntaxScanError;

/// Kinds of declarations with a name.
const NAMED_DECLARATION_KINDS: [&str; 9] = [
    "function_declaration",
    "generator_function_declaration",
    "function_signature",
    "class_declaration",
    "abstract_class_declaration",
    "interface_declaration",
    "type_alias_declaration",
    "enum_declaration",
    "internal_module",
];
/// Kinds of members of classes and interfaces, each with the field that contains the member's name.
const NAMED_MEMBER_KINDS: [(&str, &str); 6] = [
    ("method_definition", "name"),
    ("method_signature", "name"),
    ("abstract_method_signature", "name"),
    ("property_signature", "name"),
    ("public_field_definition", "name"),
    ("field_definition", "property"),
];
/// Texts that may complete the path of a module, in the order in which compilers try them.
const MODULE_PATH_SUFFIXES: [&str; 14] = [
    "",
    ".ts",
    ".tsx",
    ".d.ts",
    ".mts",
    ".cts",
    ".js",
    ".mjs",
    ".cjs",
    ".jsx",
    "/index.ts",
    "/index.d.ts",
    "/index.js",
    "/index.mjs",
];

pub(super) fn collect_items(
    root: Node<'_>,
    collector: &mut ItemCollector<'_>,
) -> Result<(), SyntaxScanError> {
    visit_body(root, "", collector, 0)
}

fn visit_body(
    body: Node<'_>,
    prefix: &str,
    collector: &mut ItemCollector<'_>,
    depth: usize,
) -> Result<(), SyntaxScanError> {
    let depth = next_depth(depth)?;
    let mut cursor = body.walk();
    for node in body.named_children(&mut cursor) {
        visit_statement(node, node, prefix, collector, depth)?;
    }
    Ok(())
}

/// Reads a statement. `outer_node` is the node that includes a prefix such as `export`.
fn visit_statement(
    node: Node<'_>,
    outer_node: Node<'_>,
    prefix: &str,
    collector: &mut ItemCollector<'_>,
    depth: usize,
) -> Result<(), SyntaxScanError> {
    let depth = next_depth(depth)?;
    match node.kind() {
        "export_statement" => visit_export(node, prefix, collector, depth),
        "import_statement" => {
            visit_import(node, collector);
            Ok(())
        }
        "ambient_declaration" | "expression_statement" => {
            let mut cursor = node.walk();
            node.named_children(&mut cursor)
                .try_for_each(|child| visit_statement(child, outer_node, prefix, collector, depth))
        }
        "lexical_declaration" | "variable_declaration" => {
            let mut cursor = node.walk();
            let declarators: Vec<_> = node
                .named_children(&mut cursor)
                .filter(|child| child.kind() == "variable_declarator")
                .collect();
            let is_one = declarators.len() == 1;
            for declarator in declarators {
                let Some(name) = collector.field(declarator, "name") else { continue };
                if let Some(module) = declarator
                    .child_by_field_name("value")
                    .and_then(|value| required_module(value, collector))
                {
                    collector.add_alias(Some(name), &module, None);
                }
                let node = if is_one { outer_node } else { declarator };
                collector.define(qualified_name(prefix, name), &[node], false)?;
            }
            Ok(())
        }
        "assignment_expression" => visit_assignment(node, outer_node, prefix, collector),
        "module" => {
            // The names in `declare module 'x'` belong to the file.
            node.child_by_field_name("body").map_or(Ok(()), |body| visit_body(body, prefix, collector, depth))
        }
        kind if NAMED_DECLARATION_KINDS.contains(&kind) => {
            let Some(name) = collector.field(node, "name") else { return Ok(()) };
            let name = qualified_name(prefix, name);
            let body = node.child_by_field_name("body");
            let is_scope = kind == "internal_module";
            let members =
                body.filter(|body| matches!(body.kind(), "class_body" | "interface_body" | "object_type"));
            collector.define(name.clone(), &[outer_node], is_scope || members.is_some())?;
            match (members, body.filter(|_| is_scope)) {
                (Some(body), _) => collect_members(body, &name, collector),
                (None, Some(body)) => visit_body(body, &name, collector, depth),
                (None, None) => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn collect_members(
    body: Node<'_>,
    prefix: &str,
    collector: &mut ItemCollector<'_>,
) -> Result<(), SyntaxScanError> {
    let mut before = Vec::new();
    let mut cursor = body.walk();
    for node in body.named_children(&mut cursor) {
        if node.kind() == "decorator" {
            before.push(node);
            continue;
        }
        if node.kind() == "comment" {
            continue;
        }
        let field = NAMED_MEMBER_KINDS.iter().find(|(kind, _)| *kind == node.kind()).map(|(_, field)| *field);
        if let Some(name) = field.and_then(|field| collector.field(node, field)) {
            let nodes: Vec<_> = before.iter().copied().chain([node]).collect();
            collector.define(qualified_name(prefix, name), &nodes, false)?;
        }
        before.clear();
    }
    Ok(())
}

fn visit_export(
    node: Node<'_>,
    prefix: &str,
    collector: &mut ItemCollector<'_>,
    depth: usize,
) -> Result<(), SyntaxScanError> {
    if let Some(declaration) = node.child_by_field_name("declaration") {
        visit_statement(declaration, node, prefix, collector, depth)?;
        if is_default_export(node)
            && let Some(name) = collector.field(declaration, "name")
        {
            collector.add_alias(Some("default"), "", Some(name));
        }
        return Ok(());
    }
    let module = node.child_by_field_name("source").map(|of| strip_quotes(collector.text_of(of)).to_owned());
    let mut cursor = node.walk();
    let mut reexports_all = module.is_some();
    for child in node.named_children(&mut cursor) {
        match child.kind() {
            "export_clause" => {
                reexports_all = false;
                let mut cursor = child.walk();
                for one in child.named_children(&mut cursor) {
                    let (name, alias) = (collector.field(one, "name"), collector.field(one, "alias"));
                    if let Some(name) = name {
                        let module = module.as_deref().unwrap_or_default();
                        collector.add_alias(Some(alias.unwrap_or(name)), module, Some(name));
                    }
                }
            }
            "namespace_export" => {
                reexports_all = false;
                if let (Some(name), Some(module)) = (child.named_child(0), &module) {
                    collector.add_alias(Some(collector.text_of(name)), module, None);
                }
            }
            _ => {}
        }
    }
    if let Some(module) = module.filter(|_| reexports_all) {
        collector.add_alias(None, &module, None);
    }
    if let Some(value) = node.child_by_field_name("value").filter(|_| is_default_export(node)) {
        if value.kind() == "identifier" {
            collector.add_alias(Some("default"), "", Some(collector.text_of(value)));
        } else {
            collector.define(qualified_name(prefix, "default"), &[node], false)?;
        }
    }
    Ok(())
}

fn is_default_export(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == "default")
}

/// Adds the names that an import binds, because the file may export these names.
fn visit_import(node: Node<'_>, collector: &mut ItemCollector<'_>) {
    let Some(module) = collector.field(node, "source").map(|text| strip_quotes(text).to_owned()) else {
        return;
    };
    let mut cursor = node.walk();
    let Some(clause) = node.named_children(&mut cursor).find(|child| child.kind() == "import_clause") else {
        return;
    };
    let mut cursor = clause.walk();
    for child in clause.named_children(&mut cursor) {
        match child.kind() {
            "identifier" => collector.add_alias(Some(collector.text_of(child)), &module, Some("default")),
            "namespace_import" => {
                if let Some(name) = child.named_child(0) {
                    collector.add_alias(Some(collector.text_of(name)), &module, None);
                }
            }
            "named_imports" => {
                let mut cursor = child.walk();
                for one in child.named_children(&mut cursor) {
                    if let Some(name) = collector.field(one, "name") {
                        let alias = collector.field(one, "alias").unwrap_or(name);
                        collector.add_alias(Some(alias), &module, Some(name));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Visits the assignments `exports.a = …`, `module.exports = …`, `A.prototype.b = …` and `A.b = …`.
fn visit_assignment(
    node: Node<'_>,
    outer_node: Node<'_>,
    prefix: &str,
    collector: &mut ItemCollector<'_>,
) -> Result<(), SyntaxScanError> {
    let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right"))
    else {
        return Ok(());
    };
    if left.kind() != "member_expression" {
        return Ok(());
    }
    let path: String = collector.text_of(left).chars().filter(|letter| !letter.is_whitespace()).collect();
    let given_out = path == "module.exports" || path == "exports";
    let path = path.strip_prefix("module.").unwrap_or(&path);
    let path = path.strip_prefix("exports.").unwrap_or(path).replace(".prototype.", ".");
    let module = required_module(right, collector);
    if given_out {
        match (module, right.kind()) {
            (Some(module), _) => collector.add_alias(None, &module, None),
            (None, "identifier") => collector.add_alias(Some("default"), "", Some(collector.text_of(right))),
            (None, _) => collector.define(qualified_name(prefix, "default"), &[outer_node], false)?,
        }
        return Ok(());
    }
    let is_plain =
        |name: &str| name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '$'));
    if path.split('.').all(is_plain) {
        match (module, right.kind()) {
            (Some(module), _) => collector.add_alias(Some(&path), &module, None),
            (None, "identifier") => collector.add_alias(Some(&path), "", Some(collector.text_of(right))),
            (None, _) => collector.define(qualified_name(prefix, &path), &[outer_node], false)?,
        }
    }
    Ok(())
}

/// Returns the specifier of `require('…')`.
fn required_module(value: Node<'_>, collector: &ItemCollector<'_>) -> Option<String> {
    let is_require =
        value.kind() == "call_expression" && collector.field(value, "function") == Some("require");
    let argument = value.child_by_field_name("arguments").filter(|_| is_require)?.named_child(0)?;
    (argument.kind() == "string").then(|| strip_quotes(collector.text_of(argument)).to_owned())
}

fn strip_quotes(text: &str) -> &str {
    text.trim_matches(['"', '\'', '`'])
}

/// Returns the file that a specifier in another file refers to, or `None` for another package.
pub(super) fn resolve_module(
    from_file: &str,
    module: &str,
    file_exists: &dyn Fn(&str) -> bool,
) -> Option<String> {
    if !module.starts_with('.') {
        return None;
    }
    let mut parts: Vec<&str> = from_file.split('/').collect();
    parts.pop();
    for part in module.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    // A TypeScript specifier may contain the name of the compiled file, such as `a.js` for `a.ts`.
    let compiled = [".js", ".mjs", ".cjs", ".jsx"].into_iter().find_map(|end| path.strip_suffix(end));
    let named = compiled.filter(|_| !file_exists(&path)).unwrap_or(&path);
    MODULE_PATH_SUFFIXES.iter().map(|ending| format!("{named}{ending}")).find(|path| file_exists(path))
}
