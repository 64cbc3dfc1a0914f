//! Collects the definitions in a Rust file: items, members of traits and modules, and members of `impl`
//! blocks. A member of an `impl` block is named after its type. Also collects the file's `pub use`
//! re-exports.

use tree_sitter::Node;

use super::items::{ItemCollector, next_depth, qualified_name};
use crate::syntax::SyntaxScanError;

/// Kinds of items with a name.
const NAMED_ITEM_KINDS: [&str; 12] = [
    "function_item",
    "function_signature_item",
    "struct_item",
    "enum_item",
    "union_item",
    "trait_item",
    "type_item",
    "associated_type",
    "const_item",
    "static_item",
    "mod_item",
    "macro_definition",
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
    let mut attributes = Vec::new();
    let mut cursor = body.walk();
    for node in body.named_children(&mut cursor) {
        match node.kind() {
            "attribute_item" => {
                attributes.push(node);
                continue;
            }
            "line_comment" | "block_comment" => continue,
            "impl_item" => {
                let of = node.child_by_field_name("type").map(|of| type_name(collector.text_of(of)));
                if let (Some(of), Some(body)) = (of, node.child_by_field_name("body")) {
                    visit_body(body, &qualified_name(prefix, of), collector, depth)?;
                }
            }
            "use_declaration" if is_public(node) => {
                if let Some(argument) = node.child_by_field_name("argument") {
                    visit_use(argument, "", collector, depth)?;
                }
            }
            kind if NAMED_ITEM_KINDS.contains(&kind) => {
                let Some(name) = collector.field(node, "name") else { continue };
                let name = qualified_name(prefix, name);
                let body = node.child_by_field_name("body").filter(|body| body.kind() == "declaration_list");
                let is_elsewhere = kind == "mod_item" && body.is_none();
                if !is_elsewhere {
                    let nodes: Vec<_> = attributes.iter().copied().chain([node]).collect();
                    collector.define(name.clone(), &nodes, body.is_some())?;
                }
                if let Some(body) = body {
                    visit_body(body, &name, collector, depth)?;
                }
            }
            _ => {}
        }
        attributes.clear();
    }
    Ok(())
}

fn is_public(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).any(|child| child.kind() == "visibility_modifier")
}

/// Returns the name of a type: `a::b::Type<T>` gives `Type`.
fn type_name(text: &str) -> &str {
    let text = text.trim_start_matches(['&', '*']).trim();
    let path = text.split(['<', ' ']).next().unwrap_or(text);
    path.rsplit("::").next().unwrap_or(path)
}

/// Collects the names that a `use` declares, each with its origin.
fn visit_use(
    node: Node<'_>,
    prefix: &str,
    collector: &mut ItemCollector<'_>,
    depth: usize,
) -> Result<(), SyntaxScanError> {
    let depth = next_depth(depth)?;
    let joined = |path: &str| if prefix.is_empty() { path.to_owned() } else { format!("{prefix}::{path}") };
    match node.kind() {
        "identifier" | "scoped_identifier" => {
            let path = joined(collector.text_of(node));
            let (module, name) = path.rsplit_once("::").unwrap_or(("self", &path));
            collector.add_alias(Some(name), module, Some(name));
        }
        "use_as_clause" => {
            let (path, alias) = (collector.field(node, "path"), collector.field(node, "alias"));
            if let (Some(path), Some(alias)) = (path.map(joined), alias) {
                let (module, name) = path.rsplit_once("::").unwrap_or(("self", &path));
                collector.add_alias(Some(alias), module, Some(name));
            }
        }
        "use_wildcard" => {
            if let Some(path) = node.named_child(0) {
                let path = joined(collector.text_of(path));
                collector.add_alias(None, &path, None);
            }
        }
        "scoped_use_list" | "use_list" => {
            let path = collector.field(node, "path").map_or_else(|| prefix.to_owned(), joined);
            let list = node.child_by_field_name("list").unwrap_or(node);
            let mut cursor = list.walk();
            for child in list.named_children(&mut cursor) {
                visit_use(child, &path, collector, depth)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Resolves the path of a module that the file `from_file` contains. Returns the file that contains the
/// module, and the names of the nested modules in this file that lead to the module.
pub(super) fn resolve_module(
    from_file: &str,
    module: &str,
    file_exists: &dyn Fn(&str) -> bool,
) -> Option<(String, Vec<String>)> {
    let (folder, name) = from_file.rsplit_once('/').unwrap_or(("", from_file));
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let is_root = matches!(stem, "lib" | "main");
    let crate_folder = match from_file.rfind("src/") {
        Some(at) => from_file.get(..at + "src".len())?,
        None => folder,
    };
    // If this file is a crate root or `mod.rs`, its child modules are in the same folder. Otherwise, they are
    // in a folder with the name of this file.
    let mut at = if is_root || stem == "mod" { folder.to_owned() } else { join_folder(folder, stem) };
    let mut names = module.split("::").peekable();
    let mut is_anchored = false;
    while let Some(name) = names.peek() {
        match *name {
            "crate" => at = crate_folder.to_owned(),
            "self" => {}
            "super" => at = at.rsplit_once('/').map_or("", |(up, _)| up).to_owned(),
            _ => break,
        }
        is_anchored = true;
        names.next();
    }
    let names: Vec<&str> = names.collect();
    // The longest prefix of the path for which a file exists is used. The remaining names are modules within
    // that file.
    for count in (0..=names.len()).rev() {
        let (file, rest) = names.split_at(count);
        let folder = file.iter().fold(at.clone(), |folder, name| join_folder(&folder, name));
        let candidates = [format!("{folder}.rs"), join_folder(&folder, "mod.rs")];
        let roots = ["lib.rs", "main.rs"].map(|root| join_folder(&folder, root));
        let found = candidates
            .into_iter()
            .chain(roots.into_iter().filter(|_| count == 0))
            .find(|path| file_exists(path));
        // A path that does not begin with `crate`, `self` or `super` may refer to another crate.
        if let Some(found) = found.filter(|_| count > 0 || is_anchored) {
            return Some((found, rest.iter().map(|name| (*name).to_owned()).collect()));
        }
    }
    None
}

fn join_folder(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
