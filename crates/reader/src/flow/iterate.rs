//! Finds values that are iterated, awaited or entered in the wrong way, such as asynchronous values in a
//! plain `for` loop or `with` statement.

use tree_sitter::Node;

use super::FlowMatch;
use super::model::named_children;
use super::value::{FlowValue, FlowValueResolver, LibraryObject};

/// Finds each wrong `for`, `with`, `await` or call.
pub(super) fn find_wrong_iterations(values: &FlowValueResolver<'_, '_>) -> Vec<FlowMatch> {
    let model = values.model;
    let mut found = Vec::new();
    for node in model.nodes_of_kinds(&["for_statement", "for_in_clause"]) {
        let right = node.child_by_field_name("right");
        if !model.is_async(node)
            && model.is_in_coroutine(node)
            && right.is_some_and(|it| needs_async_iteration(values, it))
        {
            let end = right.map_or(node.end_byte(), |it| it.end_byte());
            found.push(FlowMatch::from_range(node.start_byte()..end));
        }
    }
    // Finds values that are awaited although they are not awaitable.
    for node in model.nodes_of_kinds(&["await"]) {
        let awaited = node.named_child(0).filter(|it| it.kind() == "call");
        let things = [
            LibraryObject::PageIterator,
            LibraryObject::Paginator,
            LibraryObject::Waiter,
            LibraryObject::ResourceCollection,
            LibraryObject::EventStream,
        ];
        let of_answer = node.named_child(0).filter(|it| it.kind() == "subscript");
        let is_stream = of_answer.is_some_and(|it| values.may_be_object(it, &[LibraryObject::EventStream]));
        if is_stream || awaited.is_some_and(|it| values.may_be_object(it, &things)) {
            found.push(FlowMatch::from_node(node));
        }
    }
    for call in model.nodes_of_kinds(&["call"]) {
        if model.is_in_coroutine(call) && iterates_synchronously(values, call) {
            found.push(FlowMatch::from_node(call));
        }
    }
    // Finds values in `async for` that are not asynchronous iterators, and asynchronous contexts in a plain
    // `with`.
    for node in model.nodes_of_kinds(&["for_statement", "for_in_clause"]) {
        let right = node.child_by_field_name("right").filter(|_| model.is_async(node));
        if let Some(right) = right.filter(|it| is_not_async_iterable(values, *it)) {
            found.push(FlowMatch::from_range(node.start_byte()..right.end_byte()));
        }
    }
    for node in model.nodes_of_kinds(&["with_statement"]) {
        let Some(clause) =
            node.named_child(0).filter(|_| !model.is_async(node) && model.is_in_coroutine(node))
        else {
            continue;
        };
        let entered = model.nodes_within(clause, &["with_item"]).into_iter().filter_map(|item| {
            let value = item.child_by_field_name("value")?;
            if value.kind() == "as_pattern" { value.named_child(0) } else { Some(value) }
        });
        let is_body = |value: Node<'_>| {
            let text = model.text(value);
            let is_named = ["['Body']", "[\"Body\"]", "['AudioStream']", "[\"AudioStream\"]"];
            !values.imports_sync_boto && is_named.iter().any(|end| text.ends_with(end))
        };
        let things = [LibraryObject::BodyStream, LibraryObject::AsyncLock];
        if entered.into_iter().any(|it| is_body(it) || values.may_be_object(it, &things)) {
            found.push(FlowMatch::from_node(clause));
        }
    }
    found
}

/// Returns true if the call passes a value that requires `async for` to a synchronous function, such as
/// `list`.
fn iterates_synchronously<'t>(values: &FlowValueResolver<'_, 't>, call: Node<'t>) -> bool {
    let Some(callee) = call.child_by_field_name("function").filter(|it| it.kind() == "identifier") else {
        return false;
    };
    let plain = ["list", "tuple", "set", "sorted", "enumerate", "iter", "next", "zip", "sum", "any", "all"];
    let is_plain = |value: &FlowValue<'t>| value.qualified_name().is_some_and(|path| plain.contains(&path));
    let arguments = call.child_by_field_name("arguments").map(named_children).unwrap_or_default();
    let things = [LibraryObject::PageIterator, LibraryObject::ResourceCollection, LibraryObject::EventStream];
    values.may_have_value(callee, is_plain)
        && arguments.into_iter().any(|it| values.may_be_object(it, &things))
}

/// Returns true if `async for` certainly cannot iterate over the value: the value is a coroutine of a client,
/// a paginator, a response, or a list in a response.
fn is_not_async_iterable<'t>(values: &FlowValueResolver<'_, 't>, node: Node<'t>) -> bool {
    let found = values.node_values(node);
    let of_client = |value: &FlowValue<'t>| {
        matches!(value.method(), Some((LibraryObject::Client | LibraryObject::ClientContext, _)))
    };
    let callee = node.child_by_field_name("function").filter(|_| node.kind() == "call");
    let is_coroutine = callee.is_some_and(|it| values.may_have_value(it, of_client))
        && found.iter().all(|it| matches!(it, FlowValue::Coroutine(_)));
    let is_thing = |value: &FlowValue<'t>| {
        matches!(
            value,
            FlowValue::KnownObject(
                LibraryObject::Paginator | LibraryObject::Response | LibraryObject::StreamingResponse(_)
            )
        )
    };
    !found.is_empty() && (is_coroutine || found.iter().all(is_thing))
}

/// Returns true if the value supports only `async for`, such as pages, a resource's collection, or a stream
/// of events.
fn needs_async_iteration<'t>(values: &FlowValueResolver<'_, 't>, node: Node<'t>) -> bool {
    if values.may_be_object(
        node,
        &[LibraryObject::PageIterator, LibraryObject::ResourceCollection, LibraryObject::EventStream],
    ) {
        return true;
    }
    // The item `Body` is treated as a stream only if the operation is known to return a stream. Otherwise, it
    // may be text.
    let answer = node.child_by_field_name("value").filter(|_| node.kind() == "subscript");
    let is_streamed =
        |value: &FlowValue<'t>| matches!(value, FlowValue::KnownObject(LibraryObject::StreamingResponse(_)));
    if answer.is_some_and(|it| values.may_have_value(it, is_streamed))
        && values.may_be_object(node, &[LibraryObject::BodyStream])
    {
        return true;
    }
    if let Some(class) = values.model.class_of_self(node) {
        return values.inherits_coroutine(class, "__anext__");
    }
    let callee = node.child_by_field_name("function").filter(|_| node.kind() == "call");
    let is_generator = |value: &FlowValue<'t>| {
        let FlowValue::Function(function) = value else { return false };
        let model = values.model;
        model.is_async(*function)
            && !model.yield_expressions(*function).is_empty()
            && model.decorators(*function).is_empty()
    };
    if callee.is_some_and(|it| values.may_have_value(it, is_generator)) {
        return true;
    }
    callee.is_some_and(|callee| {
        values.may_have_value(callee, |value| {
            matches!(
                value,
                FlowValue::Method(LibraryObject::BodyStream, "iter_chunks" | "iter_lines" | "iterlines")
            )
        })
    })
}
