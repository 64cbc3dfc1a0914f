//! Finds coroutines that are never awaited. The coroutines are created by clients, by values that clients
//! return, or by functions and methods of the same file.

use tree_sitter::Node;

use super::FlowMatch;
use super::library_objects::is_loaded_on_access;
use super::model::{FileBindings, FlowBinding, is_field, named_children};
use super::value::{FlowValue, FlowValueResolver, LibraryObject, callee_name, outermost_equal_value};
use crate::fix::ByteReplacement;

/// Functions that use their arguments as plain values and never await them.
const NON_AWAITING_FUNCTIONS: &[&str] = &[
    "abs",
    "all",
    "any",
    "bool",
    "bytes",
    "bytearray",
    "dict",
    "dumps",
    "enumerate",
    "float",
    "frozenset",
    "int",
    "isinstance",
    "iter",
    "len",
    "list",
    "load",
    "loads",
    "max",
    "min",
    "next",
    "print",
    "repr",
    "reversed",
    "round",
    "set",
    "sorted",
    "str",
    "sum",
    "tuple",
    "zip",
    "hasattr",
    "getattr",
    "BytesIO",
    "StringIO",
];
/// Names of functions and methods that await coroutines in their arguments.
const GATHERING_FUNCTIONS: &[&str] = &[
    "gather",
    "wait",
    "as_completed",
    "create_task",
    "ensure_future",
    "start_soon",
    "wait_for",
    "shield",
    "spawn",
    "run_until_complete",
    "run",
    "resolve_awaitable",
    "run_coroutine_threadsafe",
    "TaskGroup",
    "create_task_group",
    "amap",
];
/// Words in names of variables. A variable whose name contains such a word may hold a value that is awaited
/// later.
const AWAITABLE_NAME_WORDS: &[&str] = &[
    "coro", "task", "fut", "job", "await", "pending", "promise", "todo", "call", "work", "later", "op",
    "send",
];

/// Finds each coroutine that is never awaited.
pub(super) fn find_lost_coroutines(values: &FlowValueResolver<'_, '_>) -> Vec<FlowMatch> {
    let model = values.model;
    let look = LostCoroutineFinder { values, model };
    let calls = model.nodes_of_kinds(&["call"]).into_iter();
    let lost = calls.filter(|call| {
        look.creates_checked_coroutine(*call) && look.is_never_awaited(*call)
            || look.is_gather_unawaited(*call)
            || look.passes_operation_to_thread(*call)
            || look.is_in_loop_callback(*call)
    });
    let parts = model.nodes_of_kinds(&["attribute"]).into_iter();
    let parts = parts.filter(|part| look.is_lazy_attribute(*part) && look.is_never_awaited(*part));
    lost.chain(parts)
        .map(|node| FlowMatch { fix: look.await_fix(node), ..FlowMatch::from_node(node) })
        .collect()
}

struct LostCoroutineFinder<'v, 'm, 't> {
    values: &'v FlowValueResolver<'m, 't>,
    model: &'m FileBindings<'t>,
}

impl<'t> LostCoroutineFinder<'_, '_, 't> {
    fn creates_checked_coroutine(&self, call: Node<'t>) -> bool {
        let Some(callee) = call.child_by_field_name("function") else { return false };
        let name = callee_name(self.model, callee);
        if matches!(name, "__aenter__" | "__aexit__") {
            let is_super = self.model.text(callee).starts_with("super(");
            return self.model.is_in_coroutine(call) && callee.kind() == "attribute" && !is_super;
        }
        let hands_on =
            ["wait_for", "shield", "create_task", "ensure_future", "enter_async_context", "gather"];
        if hands_on.contains(&name) {
            return false;
        }
        if !self.model.is_in_coroutine(call) && !self.is_certainly_dropped(call, callee) {
            return false;
        }
        if name == "build_full_result" && !self.values.imports_sync_boto {
            return true;
        }
        if !self.values.may_have_value(call, |value| matches!(value, FlowValue::Coroutine(_))) {
            return false;
        }
        let functions: Vec<Node<'t>> = self.called_functions(callee);
        if functions.is_empty() && self.is_self_call_in_async_named_class(callee) {
            return false;
        }
        functions.is_empty() || functions.into_iter().all(|it| self.is_checked_function(callee, it))
    }

    /// Returns true if accessing this attribute of a resource loads data from the service.
    fn is_lazy_attribute(&self, attribute: Node<'t>) -> bool {
        let parent = self.model.parent(attribute);
        let is_called = parent.is_some_and(|it| is_field(it, "function", attribute));
        is_loaded_on_access(callee_name(self.model, attribute))
            && !is_called
            && self.model.is_in_coroutine(attribute)
            && self.values.may_have_value(attribute, |value| {
                matches!(value, FlowValue::Method(LibraryObject::Resource, _))
            })
    }

    /// Returns true if the result of `asyncio.gather()` is neither awaited nor used.
    fn is_gather_unawaited(&self, call: Node<'t>) -> bool {
        let is_statement = self.model.parent(call).is_some_and(|it| it.kind() == "expression_statement");
        let callee =
            call.child_by_field_name("function").filter(|_| is_statement && self.model.is_in_coroutine(call));
        let gathers = |value: &FlowValue<'t>| {
            let FlowValue::QualifiedName(path) = value else { return false };
            path == "asyncio.gather"
        };
        callee.is_some_and(|it| self.values.may_have_value(it, gathers))
    }

    /// Returns true if the call passes a client operation to a thread. In the thread, the operation only
    /// creates a coroutine, which is never awaited.
    fn passes_operation_to_thread(&self, call: Node<'t>) -> bool {
        let Some(callee) = call.child_by_field_name("function") else { return false };
        let index = match callee_name(self.model, callee) {
            "to_thread" | "run_sync" | "submit" => 0,
            "run_in_executor" => 1,
            _ => return false,
        };
        let arguments = call.child_by_field_name("arguments").map(named_children).unwrap_or_default();
        let is_operation =
            |value: &FlowValue<'t>| matches!(value, FlowValue::Method(LibraryObject::Client, _));
        arguments
            .get(index)
            .is_some_and(|it| it.kind() == "attribute" && self.values.may_have_value(*it, is_operation))
    }

    /// Returns true if a coroutine of a known client is dropped in a plain function. In other cases, the
    /// caller may await the coroutine.
    fn is_certainly_dropped(&self, call: Node<'t>, callee: Node<'t>) -> bool {
        let is_statement = self.model.parent(call).is_some_and(|it| it.kind() == "expression_statement");
        let of_client = |value: &FlowValue<'t>| matches!(value, FlowValue::Method(LibraryObject::Client, _));
        let function = self.model.enclosing_function(call).kind() == "function_definition";
        is_statement && function && self.values.is_aio_file && self.values.may_have_value(callee, of_client)
    }

    /// Returns true if the call is a method call on `self` in a class whose name begins like the name of an
    /// override, such as `Aio`. The rule `missing-await` already reports such calls.
    fn is_self_call_in_async_named_class(&self, callee: Node<'t>) -> bool {
        let object = callee.child_by_field_name("object").map(|it| self.model.text(it));
        object == Some("self") && self.is_in_async_named_class(callee)
    }

    fn is_in_async_named_class(&self, node: Node<'t>) -> bool {
        let class = self.model.enclosing_class(node).and_then(|it| it.child_by_field_name("name"));
        let class = class.map(|it| self.model.text(it).trim_start_matches('_')).unwrap_or_default();
        ["Aio", "AIO", "Anyio", "Async", "Httpx"].iter().any(|it| class.starts_with(it))
    }

    /// Returns true if the call creates a coroutine and is the body of a lambda that is passed to the event
    /// loop as a callback. The event loop drops the coroutine that the lambda returns.
    fn is_in_loop_callback(&self, call: Node<'t>) -> bool {
        let lambda = self.model.parent(call).filter(|it| it.kind() == "lambda");
        let list = lambda.and_then(|it| self.model.parent(it)).filter(|it| it.kind() == "argument_list");
        let callee =
            list.and_then(|it| self.model.parent(it)).and_then(|it| it.child_by_field_name("function"));
        let is_callback = callee.is_some_and(|it| {
            let names = ["add_done_callback", "call_later", "call_soon", "call_at", "add_signal_handler"];
            names.contains(&callee_name(self.model, it))
        });
        is_callback && self.values.may_have_value(call, |value| matches!(value, FlowValue::Coroutine(_)))
    }

    fn called_functions(&self, callee: Node<'t>) -> Vec<Node<'t>> {
        let function = |value| if let FlowValue::Function(node) = value { Some(node) } else { None };
        self.values.node_values(callee).into_iter().filter_map(function).collect()
    }

    /// Returns true if this rule checks calls of a function in this file. Calls are not checked if a
    /// decorator may replace the function, or if the rule `missing-await` already reports the call.
    fn is_checked_function(&self, callee: Node<'t>, function: Node<'t>) -> bool {
        let is_async = function.kind() == "function_definition" && self.model.is_async(function);
        let plain = ["staticmethod", "classmethod", "abstractmethod", "override", "with_current_context"];
        let is_plain = |decorator: &Node<'t>| {
            let text = self.model.text(*decorator);
            plain.iter().any(|name| text.ends_with(name))
        };
        if !self.model.decorators(function).iter().all(is_plain) {
            return false;
        }
        let in_aio_class = self.is_in_async_named_class(callee);
        let is_own = self.model.text(callee).starts_with("self.");
        let call = self.model.parent(callee);
        // The rule `missing-await` does not cover calls whose results are values in a dictionary display.
        let in_pair = call.and_then(|it| self.model.parent(it)).is_some_and(|it| it.kind() == "pair");
        !(is_async && !in_pair && (callee.kind() == "identifier" || in_aio_class && is_own))
    }

    /// Returns true if the result of the call is never awaited.
    fn is_never_awaited(&self, call: Node<'t>) -> bool {
        let node = outermost_equal_value(self.model, call);
        self.is_never_awaited_at(node, node, 3)
    }

    /// Returns true if the value at `node` is never awaited. The value is a coroutine or a collection of
    /// coroutines. `expression` is the complete expression that creates the coroutine.
    fn is_never_awaited_at(&self, node: Node<'t>, expression: Node<'t>, max_hops: u32) -> bool {
        let Some(hops) = max_hops.checked_sub(1).filter(|_| self.model.spend_step()) else { return false };
        let node = outermost_equal_value(self.model, node);
        let Some(parent) = self.model.parent(node) else { return false };
        let is_many = node.id() != expression.id();
        match parent.kind() {
            "expression_statement" => !is_many || expression.kind() != "call",
            "attribute" => {
                let name = callee_name(self.model, parent);
                !is_many && !matches!(name, "__await__" | "send" | "throw" | "close" | "add_done_callback")
            }
            "subscript" => !is_many && is_field(parent, "value", node),
            "interpolation"
            | "comparison_operator"
            | "not_operator"
            | "unary_operator"
            | "binary_operator"
            | "augmented_assignment"
            | "assert_statement" => !is_many,
            "if_statement" | "while_statement" | "elif_clause" | "if_clause" => !is_many,
            "for_statement" | "for_in_clause" => {
                !is_many && !self.model.is_async(parent) && self.is_certainly_coroutine(expression)
            }
            "return_statement" => {
                self.model.is_in_coroutine(parent)
                    && (!is_many || !self.enclosing_function_gathers(expression))
                    && node.kind() != "list"
                    && node.kind() != "generator_expression"
                    && !self.has_double_await()
            }
            "pair" => {
                let dictionary = self.model.parent(parent);
                dictionary.is_some_and(|it| self.is_dictionary_part_unawaited(it, expression))
            }
            "list_comprehension" | "dictionary_comprehension" => {
                self.is_comprehension_unawaited(parent, expression, hops)
            }
            "generator_expression" => {
                let call = self.model.parent(parent).filter(|it| it.kind() == "call");
                let callee = call.and_then(|it| it.child_by_field_name("function"));
                callee.is_some_and(|it| {
                    matches!(callee_name(self.model, it), "all" | "any" | "max" | "min" | "sorted" | "sum")
                })
            }
            "expression_list" => self.is_returned_in_tuple(parent, expression),
            "list" | "tuple" | "set" => false,
            "argument_list" => self.is_argument_unawaited(parent, is_many),
            "keyword_argument" => {
                let list = self.model.parent(parent);
                list.is_some_and(|it| self.is_argument_unawaited(it, is_many))
            }
            "assignment" if is_field(parent, "right", node) => {
                let left = parent.child_by_field_name("left");
                left.is_some_and(|left| self.is_stored_unawaited(left, parent, is_many, expression))
            }
            _ => false,
        }
    }

    /// Returns true if the coroutine is an item of a returned tuple (`return one, other`).
    fn is_returned_in_tuple(&self, list: Node<'t>, expression: Node<'t>) -> bool {
        let statement = self.model.parent(list).filter(|it| it.kind() == "return_statement");
        statement.is_some_and(|it| self.model.is_in_coroutine(it))
            && self.is_certainly_coroutine(expression)
            && !self.enclosing_function_gathers(expression)
            && !self.has_double_await()
    }

    /// Returns true if the file awaits a value that is itself the result of an `await`. In such a file, a
    /// coroutine may return a coroutine.
    fn has_double_await(&self) -> bool {
        self.model.nodes_of_kinds(&["await"]).into_iter().any(|it| {
            let Some(awaited) = it.named_child(0) else { return false };
            let is_coroutine = |value: &FlowValue<'t>| matches!(value, FlowValue::Coroutine(_));
            self.is_await_result(awaited, 3) && self.values.may_have_value(awaited, is_coroutine)
        })
    }

    fn is_await_result(&self, node: Node<'t>, max_hops: u32) -> bool {
        let Some(hops) = max_hops.checked_sub(1) else { return false };
        match node.kind() {
            "await" => true,
            "parenthesized_expression" => {
                node.named_child(0).is_some_and(|it| self.is_await_result(it, hops))
            }
            "subscript" => node.child_by_field_name("value").is_some_and(|it| self.is_await_result(it, hops)),
            "identifier" => {
                let bound = self.model.find_bindings(self.model.text(node), node);
                bound.is_some_and(|(bound, _)| {
                    bound.iter().any(|it| match it {
                        FlowBinding::Value(value) | FlowBinding::ValuePart(value) => {
                            self.is_await_result(*value, hops)
                        }
                        FlowBinding::EnteredContext(..)
                        | FlowBinding::Parameter(_)
                        | FlowBinding::Definition(_)
                        | FlowBinding::Import(..)
                        | FlowBinding::Unknown => false,
                    })
                })
            }
            _ => false,
        }
    }

    /// Returns true if the value is certainly a coroutine. A value that is only assumed from the name of the
    /// called function may also be an asynchronous iterator.
    fn is_certainly_coroutine(&self, expression: Node<'t>) -> bool {
        let callee = expression.child_by_field_name("function");
        callee
            .is_some_and(|it| self.values.may_have_value(it, |value| matches!(value, FlowValue::Method(..))))
    }

    /// Returns true if a coroutine that is a value in a dictionary is never awaited.
    fn is_dictionary_part_unawaited(&self, dictionary: Node<'t>, expression: Node<'t>) -> bool {
        let parent = self.model.parent(dictionary);
        let is_end = parent.is_some_and(|it| matches!(it.kind(), "return_statement" | "assignment"));
        is_end && !self.enclosing_function_gathers(expression)
    }

    fn is_comprehension_unawaited(
        &self,
        comprehension: Node<'t>,
        expression: Node<'t>,
        max_hops: u32,
    ) -> bool {
        match self.model.parent(comprehension).map(|it| it.kind()) {
            Some("return_statement") => {
                self.model.is_in_coroutine(expression) && !self.enclosing_function_gathers(expression)
            }
            Some("assignment" | "expression_statement") => {
                self.is_never_awaited_at(comprehension, expression, max_hops)
                    && !self.enclosing_function_gathers(expression)
            }
            _ => false,
        }
    }

    /// Returns true if the function around this node calls a function that awaits its arguments.
    fn enclosing_function_gathers(&self, node: Node<'t>) -> bool {
        let function = self.model.enclosing_function(node);
        let calls = self.model.nodes_within(function, &["call"]);
        let mut names = calls.iter().filter_map(|it| it.child_by_field_name("function"));
        names.any(|callee| {
            let name = callee_name(self.model, callee);
            let object = callee.child_by_field_name("object").map(|it| self.model.text(it));
            // Only asyncio's `wait` and `run` await coroutines; the `wait` of a client's waiter does not.
            let is_other = matches!(name, "wait" | "run") && object.is_some_and(|it| it != "asyncio");
            GATHERING_FUNCTIONS.contains(&name) && !is_other
        })
    }

    fn is_argument_unawaited(&self, list: Node<'t>, is_collection: bool) -> bool {
        let call = self.model.parent(list).filter(|it| it.kind() == "call");
        let Some(callee) = call.and_then(|it| it.child_by_field_name("function")) else { return false };
        let name = callee_name(self.model, callee);
        let object = callee.child_by_field_name("object").map(|it| self.model.text(it)).unwrap_or_default();
        let logs = matches!(name, "debug" | "info" | "warning" | "error" | "exception" | "critical")
            && object.rsplit('.').next().is_some_and(|it| it.to_ascii_lowercase().contains("log"));
        !is_collection && (logs || NON_AWAITING_FUNCTIONS.contains(&name))
    }

    /// Returns true if the coroutine is assigned to a name or an attribute, and is never awaited through that
    /// name or attribute.
    fn is_stored_unawaited(
        &self,
        target: Node<'t>,
        assignment: Node<'t>,
        is_collection: bool,
        expression: Node<'t>,
    ) -> bool {
        let (name, within) = match target.kind() {
            "identifier" => {
                let scope = self.model.find_bindings(self.model.text(target), target).map(|(_, scope)| scope);
                (self.model.text(target), scope.unwrap_or(self.model.root()))
            }
            "attribute" => {
                let class = target.child_by_field_name("object").and_then(|it| self.model.class_of_self(it));
                let Some(class) = class else { return false };
                (callee_name(self.model, target), class)
            }
            "pattern_list" | "tuple_pattern" | "list_pattern" => return !is_collection,
            _ => return false,
        };
        let is_name = target.kind() == "identifier";
        if is_name && !matches!(within.kind(), "function_definition") {
            return false;
        }
        let end = if is_name { self.next_binding_offset(name, assignment) } else { within.end_byte() };
        let is_looped = self.model.ancestors(assignment).any(|it| {
            matches!(it.kind(), "for_statement" | "while_statement") && it.start_byte() > within.start_byte()
        });
        let uses = self.model.identifier_nodes(name).iter().copied().filter(|use_node| {
            let is_after = use_node.start_byte() >= assignment.end_byte() && use_node.start_byte() < end;
            let is_inside = (within.start_byte()..within.end_byte()).contains(&use_node.start_byte());
            let is_itself =
                use_node.start_byte() >= target.start_byte() && use_node.end_byte() <= target.end_byte();
            is_inside && !is_itself && (is_after || !is_name || is_looped && end == usize::MAX)
        });
        let whole = uses.filter_map(|use_node| {
            let parent = self.model.parent(use_node)?;
            match (is_name, is_field(parent, "attribute", use_node)) {
                (true, false) => Some(use_node),
                (false, true) => Some(parent),
                _ => None,
            }
        });
        let whole: Vec<Node<'t>> = whole.collect();
        let is_meant = AWAITABLE_NAME_WORDS.iter().any(|word| name.to_ascii_lowercase().contains(word))
            && !self.is_certainly_coroutine(expression);
        // Callers await the enclosing coroutine and use its result as a plain value. A coroutine that is this
        // result is never awaited, even if it is also stored elsewhere.
        let is_answer =
            !is_collection && !is_meant && whole.iter().any(|use_node| self.is_returned(*use_node));
        let is_kept = |use_node: Node<'t>| {
            self.model
                .parent(use_node)
                .is_some_and(|it| it.kind() == "assignment" && is_field(it, "right", use_node))
        };
        !whole.into_iter().any(|use_node| {
            self.may_await(use_node, is_collection, is_meant) && !(is_answer && is_kept(use_node))
        })
    }

    /// Returns true if a coroutine returns exactly this node.
    fn is_returned(&self, node: Node<'t>) -> bool {
        let statement = self.model.parent(node).filter(|it| it.kind() == "return_statement");
        statement.is_some_and(|it| self.model.is_in_coroutine(it)) && !self.has_double_await()
    }

    /// Returns the offset after which the name has another value, because a later statement of the same block
    /// assigns it again. Without such a statement, returns the largest possible offset.
    fn next_binding_offset(&self, name: &str, assignment: Node<'t>) -> usize {
        let statement = self.model.parent(assignment);
        let block = statement.and_then(|it| self.model.parent(it));
        let (Some(statement), Some(block)) = (statement, block) else { return usize::MAX };
        let later = named_children(block).into_iter().filter(|it| it.start_byte() > statement.start_byte());
        let binds = |statement: &Node<'t>| {
            let assignment = statement.named_child(0).filter(|it| it.kind() == "assignment");
            let left = assignment.and_then(|it| it.child_by_field_name("left"));
            left.is_some_and(|left| self.model.text(left) == name)
        };
        later.into_iter().find(binds).map_or(usize::MAX, |it| it.end_byte())
    }

    /// Returns true if this use of a name may await the name's value: a coroutine or a collection of
    /// coroutines.
    fn may_await(&self, use_node: Node<'t>, is_collection: bool, is_likely_awaitable: bool) -> bool {
        let use_node = outermost_equal_value(self.model, use_node);
        let Some(parent) = self.model.parent(use_node) else { return false };
        match parent.kind() {
            "await" | "yield" | "list_splat" | "dictionary_splat" | "lambda" => true,
            "list" | "tuple" | "set" | "pair" | "expression_list" => {
                is_collection || is_likely_awaitable || self.enclosing_function_gathers(use_node)
            }
            "return_statement" => is_collection || !self.model.is_in_coroutine(parent) || is_likely_awaitable,
            "assignment" => is_field(parent, "right", use_node),
            "argument_list" | "keyword_argument" => {
                let list =
                    if parent.kind() == "argument_list" { Some(parent) } else { self.model.parent(parent) };
                let call = list.and_then(|it| self.model.parent(it));
                let Some(callee) = call.and_then(|it| it.child_by_field_name("function")) else {
                    return true;
                };
                let name = callee_name(self.model, callee);
                let is_class = name.starts_with(char::is_uppercase);
                let collects = ["append", "add", "put", "push", "insert", "extend", "await", "iscoroutine"];
                let takes =
                    GATHERING_FUNCTIONS.contains(&name) || collects.iter().any(|word| name.contains(word));
                takes
                    || (is_collection || is_likely_awaitable)
                        && !NON_AWAITING_FUNCTIONS.contains(&name)
                        && !is_class
            }
            "for_statement" | "for_in_clause" => is_collection && self.may_await_items(parent),
            "subscript" => is_collection,
            "attribute" => {
                is_collection || matches!(callee_name(self.model, parent), "__await__" | "send" | "close")
            }
            _ => false,
        }
    }

    /// Returns true if the body of a loop may await the items of the loop.
    fn may_await_items(&self, for_clause: Node<'t>) -> bool {
        let Some(target) = for_clause.child_by_field_name("left").filter(|it| it.kind() == "identifier")
        else {
            return true;
        };
        let Some(body) = (if for_clause.kind() == "for_statement" {
            Some(for_clause)
        } else {
            self.model.parent(for_clause)
        }) else {
            return true;
        };
        let uses = self.model.identifier_nodes(self.model.text(target)).iter().copied();
        let mut uses = uses.filter(|it| {
            (body.start_byte()..body.end_byte()).contains(&it.start_byte()) && it.id() != target.id()
        });
        uses.any(|used| {
            let list = self.model.parent(used).filter(|it| it.kind() == "argument_list");
            let callee =
                list.and_then(|it| self.model.parent(it)).and_then(|it| it.child_by_field_name("function"));
            let is_handed_on =
                callee.is_some_and(|it| !NON_AWAITING_FUNCTIONS.contains(&callee_name(self.model, it)));
            let is_body = self.model.parent(used).is_some_and(|it| is_field(it, "body", used));
            is_handed_on || is_body || self.may_await(used, false, true)
        })
    }

    /// Returns a fix that inserts `await` before the call. Returns the fix only if the file shows that the
    /// result is used directly or is not used; otherwise `None`.
    fn await_fix(&self, call: Node<'t>) -> Option<ByteReplacement> {
        if !self.model.is_in_coroutine(call) || self.passes_operation_to_thread(call) {
            return None;
        }
        let parent = self.model.parent(call)?;
        let text = self.model.text(call);
        let awaited = match parent.kind() {
            "expression_statement" | "return_statement" | "argument_list" | "list_comprehension" => {
                format!("await {text}")
            }
            "attribute" | "subscript" if !self.model.ancestors(call).any(|it| it.kind() == "await") => {
                format!("(await {text})")
            }
            "assignment" if self.has_member_access(parent) => format!("await {text}"),
            _ => return None,
        };
        Some(ByteReplacement { range: call.byte_range(), replacement: awaited })
    }

    /// Returns true if later code accesses attributes or items of the assigned value. A coroutine has no such
    /// attributes or items, so the code expects the result of an `await`.
    fn has_member_access(&self, assignment: Node<'t>) -> bool {
        let Some(left) = assignment.child_by_field_name("left").filter(|it| it.kind() == "identifier") else {
            return false;
        };
        let function = self.model.enclosing_function(assignment);
        let bound = self.model.find_bindings(self.model.text(left), left);
        let is_once = bound.is_some_and(|(bound, _)| matches!(bound, [FlowBinding::Value(_)]));
        let mut uses = self.model.identifier_nodes(self.model.text(left)).iter();
        is_once
            && uses.any(|used| {
                let is_inside = (function.start_byte()..function.end_byte()).contains(&used.start_byte());
                let parent = self.model.parent(*used);
                is_inside
                    && parent.is_some_and(|it| is_field(it, "object", *used) || is_field(it, "value", *used))
                    && parent.is_some_and(|it| matches!(it.kind(), "attribute" | "subscript"))
            })
    }
}
