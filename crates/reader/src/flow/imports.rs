//! The imports that make a place what it is: of the name that is called there, or of what made it.

use std::ops::Range;

use tree_sitter::Node;

use super::model::{Bound, Model};

/// The most names that are followed to an import.
const MAX_NAMES: u32 = 3;

/// The imports of what is called or named at a place.
pub(super) fn of(model: &Model<'_>, place: &Range<usize>) -> Vec<Range<usize>> {
    let node = model.root().descendant_for_byte_range(place.start, place.end);
    node.map(|node| behind(model, node, MAX_NAMES)).unwrap_or_default()
}

fn behind<'t>(model: &Model<'t>, node: Node<'t>, names: u32) -> Vec<Range<usize>> {
    let Some(left) = names.checked_sub(1) else { return Vec::new() };
    let mut root = node;
    while let Some(inner) = head(root) {
        root = inner;
    }
    if root.kind() != "identifier" {
        return Vec::new();
    }
    let bound = model.lookup(model.text(root), root).map(|(bound, _)| bound).unwrap_or_default();
    let mut found = Vec::new();
    for bound in bound {
        match bound {
            Bound::Import(name, ..) => found.push(name.byte_range()),
            Bound::To(value) | Bound::Part(value) | Bound::Entered(value, _) => {
                found.extend(behind(model, *value, left));
            }
            Bound::Parameter(_) | Bound::Definition(_) | Bound::Unknown => {}
        }
    }
    found
}

/// The beginning of an expression.
fn head(node: Node<'_>) -> Option<Node<'_>> {
    match node.kind() {
        "call" => node.child_by_field_name("function"),
        "attribute" => node.child_by_field_name("object"),
        "subscript" => node.child_by_field_name("value"),
        "await" | "parenthesized_expression" | "with_clause" | "with_item" | "as_pattern" => {
            node.named_child(0)
        }
        _ => None,
    }
}
