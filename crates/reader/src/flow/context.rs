//! Finds clients and HTTP sessions that are created but not entered by `async with`.

use tree_sitter::Node;

use super::FlowMatch;
use super::model::is_field;
use super::uses::{ContextTracker, ContextUses, name_uses_after};
use super::value::{FlowValue, FlowValueResolver, LibraryObject};

/// Words in the names of variables whose context other code may enter.
const CONTEXT_WORDS: [&str; 7] = ["context", "ctx", "cm", "manager", "creator", "factory", "opener"];

/// Finds expressions that create a client or session that is not entered, and uses of clients that are
/// already closed.
pub(super) fn find_misused_contexts(values: &FlowValueResolver<'_, '_>) -> Vec<FlowMatch> {
    let model = values.model;
    let mut found = Vec::new();
    for node in model.nodes_of_kinds(&["call", "await"]) {
        let Some(thing) = created_context_kind(values, node) else { continue };
        let fate = ContextTracker::new(values).track_uses(node);
        let is_wrong = match thing {
            CreatedContextKind::Client => is_misused_context(values, node, fate),
            CreatedContextKind::Session => {
                let is_safe = fate.is_entered || fate.is_closed || fate.is_returned || fate.is_passed_on;
                model.is_in_coroutine(node)
                    && values.is_aio_file
                    && !is_safe
                    && (fate.is_used_unentered || fate.is_stored)
            }
        };
        if is_wrong {
            found.push(FlowMatch::from_node(node));
        }
    }
    found.extend(find_uses_of_closed_clients(values));
    found
}

/// Finds uses of clients after an `async with` block has closed them. Either the block returns or stores the
/// client, or code after the block uses it.
fn find_uses_of_closed_clients<'t>(values: &FlowValueResolver<'_, 't>) -> Vec<FlowMatch> {
    let model = values.model;
    let mut found = Vec::new();
    for pattern in model.nodes_of_kinds(&["as_pattern"]) {
        let with =
            model.ancestors(pattern).nth(2).filter(|it| it.kind() == "with_statement" && model.is_async(*it));
        let (Some(with), Some(value)) = (with, pattern.named_child(0)) else { continue };
        let alias = pattern.child_by_field_name("alias").and_then(|it| it.named_child(0));
        let Some(alias) = alias.filter(|it| it.kind() == "identifier") else { continue };
        let is_context = |value: &FlowValue<'_>| {
            matches!(
                value,
                FlowValue::KnownObject(LibraryObject::ClientContext | LibraryObject::ResourceContext)
            )
        };
        let is_once = model
            .find_bindings(model.text(alias), alias)
            .is_some_and(|(bound, scope)| bound.len() == 1 && scope.kind() == "function_definition");
        if !is_once || !values.may_have_value(value, is_context) {
            continue;
        }
        let function = model.enclosing_function(alias);
        for used in name_uses_after(model, alias, function) {
            let Some(parent) = model.parent(used) else { continue };
            if model.enclosing_function(used).id() != function.id() || is_field(parent, "attribute", used) {
                continue;
            }
            let is_returned = parent.kind() == "return_statement" && used.end_byte() <= with.end_byte();
            let is_called = parent.kind() == "attribute"
                && used.start_byte() >= with.end_byte()
                && model.parent(parent).is_some_and(|it| is_field(it, "function", parent));
            if is_returned || is_called && !is_in_raises_block(values, used) {
                found.push(FlowMatch::from_node(parent));
            } else if used.end_byte() <= with.end_byte()
                && let Some(lost) = find_outliving_node(values, used, with)
            {
                found.push(FlowMatch::from_node(lost));
            }
        }
    }
    found
}

/// Returns the node by which a value of a closed client leaves the block. The block either returns a value
/// that calls the service later, or its last statement stores the client in an attribute or an item.
fn find_outliving_node<'t>(
    values: &FlowValueResolver<'_, 't>,
    use_node: Node<'t>,
    with_statement: Node<'t>,
) -> Option<Node<'t>> {
    let model = values.model;
    let statement = model.ancestors(use_node).find(|it| it.kind().ends_with("_statement"))?;
    let parent = model.parent(use_node)?;
    let later = [
        LibraryObject::PageIterator,
        LibraryObject::Paginator,
        LibraryObject::Waiter,
        LibraryObject::ResourceCollection,
        LibraryObject::Resource,
        LibraryObject::BodyStream,
        LibraryObject::EventStream,
    ];
    let is_lazy = statement.kind() == "return_statement"
        && model.enclosing_function(statement).id() == model.enclosing_function(with_statement).id()
        && statement.named_child(0).is_some_and(|it| values.may_be_object(it, &later));
    let is_kept = parent.kind() == "assignment"
        && is_field(parent, "right", use_node)
        && statement.end_byte() == with_statement.end_byte()
        && parent
            .child_by_field_name("left")
            .is_some_and(|it| matches!(it.kind(), "attribute" | "subscript"))
        && model.nodes_within(with_statement, &["yield", "for_statement", "while_statement"]).is_empty();
    if is_lazy { statement.named_child(0) } else { Some(parent).filter(|_| is_kept) }
}

enum CreatedContextKind {
    Client,
    Session,
}

/// Returns the kind of the new context that an expression creates, by a call or by awaiting a call. Returns
/// `None` if it creates none.
fn created_context_kind<'t>(
    values: &FlowValueResolver<'_, 't>,
    node: Node<'t>,
) -> Option<CreatedContextKind> {
    let is_context = |value: &FlowValue<'_>| {
        matches!(value, FlowValue::KnownObject(LibraryObject::ClientContext | LibraryObject::ResourceContext))
    };
    let found = match node.kind() {
        "call" => {
            let callee = node.child_by_field_name("function")?;
            if super::value::callee_name(values.model, callee).starts_with("__a")
                || returns_existing_value(values, callee)
            {
                return None;
            }
            values.node_values(node)
        }
        // `await` of a coroutine whose result is a new context.
        "await" => {
            let call = node.named_child(0).filter(|it| it.kind() == "call")?;
            if values.may_have_value(call, is_context) {
                return None;
            }
            values.node_values(node)
        }
        _ => return None,
    };
    if found.iter().any(is_context) {
        return Some(CreatedContextKind::Client);
    }
    let is_session =
        node.kind() == "call" && found.contains(&FlowValue::KnownObject(LibraryObject::AsyncHttpClient));
    let callee = node.child_by_field_name("function").filter(|_| is_session)?;
    let is_made = values.may_have_value(callee, |value| matches!(value, FlowValue::QualifiedName(_)));
    is_made.then_some(CreatedContextKind::Session)
}

/// Returns true if the called function returns a value that existed before: an item of a collection, or one
/// of its arguments.
fn returns_existing_value<'t>(values: &FlowValueResolver<'_, 't>, callee: Node<'t>) -> bool {
    let gives = |value: &FlowValue<'_>| match value {
        FlowValue::QualifiedName(path) => matches!(
            path.as_str(),
            "list"
                | "tuple"
                | "sorted"
                | "reversed"
                | "iter"
                | "cast"
                | "typing.cast"
                | "asyncio.wait_for"
                | "asyncio.shield"
                | "asyncio.create_task"
                | "asyncio.ensure_future"
        ),
        FlowValue::Factory(_) => {
            callee.kind() == "attribute" && {
                let object = callee.child_by_field_name("object");
                object.is_some_and(|it| {
                    values.may_have_value(it, |value| matches!(value, FlowValue::Collection(_)))
                })
            }
        }
        FlowValue::Function(_)
        | FlowValue::Class(_)
        | FlowValue::Instance(_)
        | FlowValue::KnownObject(_)
        | FlowValue::Method(..)
        | FlowValue::Coroutine(_)
        | FlowValue::Context(_)
        | FlowValue::Collection(_) => false,
    };
    values.may_have_value(callee, gives)
}

fn is_misused_context<'t>(values: &FlowValueResolver<'_, 't>, node: Node<'t>, uses: ContextUses) -> bool {
    if uses.is_entered {
        return false;
    }
    if uses.is_used_unentered {
        return !is_in_raises_block(values, node);
    }
    if (uses.is_returned || uses.is_discarded) && !uses.is_stored {
        return false;
    }
    if uses.is_passed_on {
        return true;
    }
    // The context is stored, but this file never enters it. The code is correct if the variable's name
    // contains one of the words, because other code may then enter the context.
    let name = storing_target_name(values, node).unwrap_or_default().to_ascii_lowercase();
    !name.split('_').any(|word| CONTEXT_WORDS.iter().any(|known| word.ends_with(known)))
}

/// Returns the target of the assignment that stores the value of an expression.
fn storing_target_name<'t>(values: &FlowValueResolver<'_, 't>, node: Node<'t>) -> Option<&'t str> {
    let assignment = values.model.ancestors(node).find(|it| it.kind() == "assignment")?;
    assignment.child_by_field_name("left").map(|it| values.model.text(it))
}

/// Returns true if the node is in a block that expects an exception.
fn is_in_raises_block<'t>(values: &FlowValueResolver<'_, 't>, node: Node<'t>) -> bool {
    let mut blocks = values.model.ancestors(node).filter(|it| it.kind() == "with_statement");
    blocks.any(|block| {
        let head = values.model.nodes_within(block, &["with_clause"]);
        head.first().is_some_and(|head| {
            let text = values.model.text(*head);
            text.contains("pytest.raises") || text.contains("assertRaises")
        })
    })
}
