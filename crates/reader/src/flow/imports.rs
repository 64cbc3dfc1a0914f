//! Finds the imports on which a finding depends. These are the imports of the leftmost name in the matched
//! code, or of the names from which this name's value was created.

use std::ops::Range;

use tree_sitter::Node;

use super::model::{FileBindings, FlowBinding};

/// Maximum number of names that are followed to find an import.
const MAX_FOLLOWED_NAMES: u32 = 3;

/// Returns the imports on which the leftmost name of the expression at `range` depends.
pub(super) fn find_imports(model: &FileBindings<'_>, range: &Range<usize>) -> Vec<Range<usize>> {
    let node = model.root().descendant_for_byte_range(range.start, range.end);
    node.map(|node| collect_imports(model, node, MAX_FOLLOWED_NAMES)).unwrap_or_default()
}

fn collect_imports<'t>(model: &FileBindings<'t>, node: Node<'t>, max_names: u32) -> Vec<Range<usize>> {
    let Some(left) = max_names.checked_sub(1) else { return Vec::new() };
    let mut root = node;
    while let Some(inner) = leftmost_name(root) {
        root = inner;
    }
    if root.kind() != "identifier" {
        return Vec::new();
    }
    let bound = model.find_bindings(model.text(root), root).map(|(bound, _)| bound).unwrap_or_default();
    let mut found = Vec::new();
    for bound in bound {
        match bound {
            FlowBinding::Import(name, ..) => found.push(name.byte_range()),
            FlowBinding::Value(value)
            | FlowBinding::ValuePart(value)
            | FlowBinding::EnteredContext(value, _) => {
                found.extend(collect_imports(model, *value, left));
            }
            FlowBinding::Parameter(_) | FlowBinding::Definition(_) | FlowBinding::Unknown => {}
        }
    }
    found
}

/// Returns the leftmost name of an expression.
fn leftmost_name(node: Node<'_>) -> Option<Node<'_>> {
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
