//! Finds wrong calls of callbacks: calls that handle only a plain result, or only a coroutine, although the
//! callback may return the other kind.

use tree_sitter::Node;

use super::FlowMatch;
use super::callback_types;
use super::model::{FileBindings, FlowBinding, is_field, named_children};
use super::value::{FlowValueResolver, callee_name, outermost_equal_value};

/// Functions that handle a coroutine and a plain value correctly, and functions that pass a callback on.
const AWAITABLE_RESOLVERS: &[&str] = &[
    "async_any",
    "create_task",
    "ensure_future",
    "gather",
    "isawaitable",
    "iscoroutine",
    "iscoroutinefunction",
    "partial",
    "resolve_awaitable",
];
/// Functions that test whether a value must be awaited.
const AWAITABLE_TEST_FUNCTIONS: &[&str] = &["isawaitable", "iscoroutine", "iscoroutinefunction"];
/// First words in names of methods that only manage callbacks and do not call them.
const CALLBACK_MANAGEMENT_VERBS: &[&str] =
    &["add", "build", "create", "get", "make", "max_attempts", "new", "register", "set", "unregister"];
/// Names of callbacks that users or botocore register. Such a callback may be a plain function or a
/// coroutine.
const MAYBE_AWAITABLE_CALLBACK_NAMES: &[&str] = &["handler", "hook", "checker"];
/// Names of callbacks that may always be coroutines. A call of such a callback is correct if it is awaited.
const COROUTINE_CALLBACK_NAMES: &[&str] = &["callback", "cb", "refresh_using"];
/// Names of collections of callbacks.
const CALLBACK_COLLECTION_NAMES: &[&str] = &["handlers", "hooks", "checkers", "callbacks"];

/// Maximum number of names through which a callback is followed.
const MAX_FOLLOWED_NAMES: u32 = 4;

/// Finds each wrong call of a callback. `is_aiobotocore_file` is true for a file of aiobotocore itself.
pub(super) fn find_wrong_callback_calls(
    values: &FlowValueResolver<'_, '_>,
    is_aiobotocore_file: bool,
) -> Vec<FlowMatch> {
    let model = values.model;
    let look = CallbackFinder {
        values,
        model,
        is_aiobotocore_file,
        is_botocore_file: is_aiobotocore_file || imports_botocore(model),
    };
    let calls = model.nodes_of_kinds(&["call"]).into_iter();
    calls.filter(|call| look.is_wrong_callback_call(*call)).map(FlowMatch::from_node).collect()
}

fn imports_botocore(model: &FileBindings<'_>) -> bool {
    model.nodes_of_kinds(&["import_statement", "import_from_statement"]).into_iter().any(|it| {
        let text = model.text(it);
        let rest = text.strip_prefix("import ").or_else(|| text.strip_prefix("from "));
        rest.is_some_and(|rest| {
            let helper = rest.trim_start_matches('.');
            rest.starts_with("botocore")
                || rest.starts_with("aiobotocore")
                || helper.len() < rest.len() && helper.starts_with("_helpers")
        })
    })
}

/// The results that a callback may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallbackKind {
    /// The callback may return either a coroutine or a plain value. Without a test of the result, both
    /// `await` and a plain call are wrong.
    MaybeAwaitable,
    /// The callback returns a coroutine, which a plain call never awaits.
    Awaitable,
}

struct CallbackFinder<'v, 'm, 't> {
    values: &'v FlowValueResolver<'m, 't>,
    model: &'m FileBindings<'t>,
    is_aiobotocore_file: bool,
    is_botocore_file: bool,
}

impl<'t> CallbackFinder<'_, '_, 't> {
    fn is_wrong_callback_call(&self, call: Node<'t>) -> bool {
        let Some(callee) = call.child_by_field_name("function") else { return false };
        if !self.model.is_in_coroutine(call) || !(self.is_botocore_file || self.is_in_aio_class(call)) {
            return false;
        }
        let Some(kind) = self.callback_kind(callee) else { return false };
        let is_awaited =
            self.model.parent(outermost_equal_value(self.model, call)).is_some_and(|it| it.kind() == "await");
        let is_right = kind == CallbackKind::Awaitable && is_awaited
            || self.is_tested_for_awaitable(call)
            || self.is_passed_to_resolver(call);
        !is_right
    }

    fn callback_kind(&self, callee: Node<'t>) -> Option<CallbackKind> {
        if self.is_defined_in_file(callee) {
            return None;
        }
        let types = self.declared_types(callee, MAX_FOLLOWED_NAMES);
        if let Some(result) = types.iter().find_map(|it| callback_types::callback_result_kind(it)) {
            return match result {
                callback_types::CallbackResultKind::MaybeAwaitable => Some(CallbackKind::MaybeAwaitable),
                callback_types::CallbackResultKind::Awaitable => Some(CallbackKind::Awaitable),
                callback_types::CallbackResultKind::NotAwaitable => None,
            };
        }
        self.callback_kind_by_name(callee)
    }

    fn callback_kind_by_name(&self, callee: Node<'t>) -> Option<CallbackKind> {
        let text = self.model.text(callee);
        let is_own = |text: &str| text.split('.').count() == 2 && text.starts_with("self.");
        let name = callee_name(self.model, callee).trim_start_matches('_');
        if CALLBACK_MANAGEMENT_VERBS
            .iter()
            .any(|it| name.strip_prefix(it).is_some_and(|rest| rest.starts_with('_')))
        {
            return None;
        }
        let ends = |words: &[&str]| {
            words
                .iter()
                .any(|word| name.strip_suffix(word).is_some_and(|it| it.is_empty() || it.ends_with('_')))
        };
        let is_variable = callee.kind() == "identifier";
        if is_variable && (ends(MAYBE_AWAITABLE_CALLBACK_NAMES) || self.is_callback_item(callee))
            || is_own(text) && ends(&["checker"])
            || matches!(text, "self._raw.read" | "self._do_parse")
            || name == "is_retryable" && self.is_checker_method(callee)
            || text == "self._refresh_using" && self.is_in_credentials_class(callee)
        {
            return Some(CallbackKind::MaybeAwaitable);
        }
        // Only aiobotocore's callbacks are known to be coroutines. In other code, users decide whether their
        // callbacks are plain functions.
        let is_ours = self.is_aiobotocore_file || self.is_in_aio_class(callee);
        (is_ours && (is_variable || is_own(text)) && ends(COROUTINE_CALLBACK_NAMES))
            .then_some(CallbackKind::Awaitable)
    }

    /// Returns true if the file defines or imports the called function. The name of such a function does not
    /// show whether it is a callback.
    fn is_defined_in_file(&self, callee: Node<'t>) -> bool {
        let is_function =
            |bound: &FlowBinding<'t>| matches!(bound, FlowBinding::Definition(_) | FlowBinding::Import(..));
        match callee.kind() {
            "identifier" => {
                let bound = self.model.find_bindings(self.model.text(callee), callee);
                bound.is_some_and(|(bound, _)| bound.iter().all(is_function))
            }
            "attribute" => {
                let class = callee.child_by_field_name("object").and_then(|it| self.model.class_of_self(it));
                class.is_some_and(|class| {
                    self.model.member_bindings(class, callee_name(self.model, callee)).any(|it| {
                        matches!(it,
                            FlowBinding::Definition(method) if !self.values.is_property(method))
                    })
                })
            }
            _ => false,
        }
    }

    /// Returns true if the name is bound to an item of a collection of callbacks.
    fn is_callback_item(&self, name: Node<'t>) -> bool {
        let bound = self.model.find_bindings(self.model.text(name), name);
        bound.is_some_and(|(bound, _)| {
            let has_callbacks = |many| self.collection_name_ends_with(many, CALLBACK_COLLECTION_NAMES);
            bound.iter().any(|it| matches!(it, FlowBinding::ValuePart(many) if has_callbacks(*many)))
        })
    }

    fn collection_name_ends_with(&self, collection: Node<'t>, names: &[&str]) -> bool {
        let mut node = collection;
        while let Some(inner) = inner_expression(node, self.model) {
            node = inner;
        }
        let name = callee_name(self.model, node);
        names.iter().any(|it| name.ends_with(it))
    }

    /// Returns true if the callee is a method of a botocore checker, such as `checker.is_retryable`.
    fn is_checker_method(&self, callee: Node<'t>) -> bool {
        let Some(object) = callee.child_by_field_name("object") else { return false };
        let name = callee_name(self.model, object);
        // The checker that counts attempts always returns a plain value, so a plain call is correct.
        let is_counter = name.contains("max_attempts");
        let is_named = !is_counter && (name.ends_with("checker") || name.ends_with("checkers"));
        let bound = self
            .model
            .find_bindings(self.model.text(object), object)
            .filter(|_| object.kind() == "identifier");
        let is_part = bound.is_some_and(|(bound, _)| {
            bound.iter().any(|it| {
                matches!(it, FlowBinding::ValuePart(many)
                        if self.collection_name_ends_with(*many, &["checkers"]))
            })
        });
        is_named || is_part
    }

    fn is_in_aio_class(&self, node: Node<'t>) -> bool {
        let Some(class) = self.model.enclosing_class(node) else { return false };
        let is_one = |name: &str, prefixes: &[&str]| {
            let name = name.rsplit('.').next().unwrap_or(name).trim_start_matches('_');
            prefixes.iter().any(|it| name.starts_with(it))
        };
        let name = class.child_by_field_name("name").map(|it| self.model.text(it)).unwrap_or_default();
        is_one(name, &["Aio", "AIO", "Anyio", "Async", "Httpx"])
            || self
                .values
                .base_classes(class)
                .into_iter()
                .any(|it| is_one(self.model.text(it), &["Aio", "AIO", "Anyio"]))
    }

    fn is_in_credentials_class(&self, node: Node<'t>) -> bool {
        let class = self.model.enclosing_class(node).and_then(|it| it.child_by_field_name("name"));
        class.is_some_and(|it| self.model.text(it).ends_with("Credentials"))
    }

    /// Returns true if the enclosing function tests whether the callback or its result must be awaited.
    fn is_tested_for_awaitable(&self, call: Node<'t>) -> bool {
        let callee = call.child_by_field_name("function").map(|it| self.model.text(it));
        let kept = self.model.ancestors(call).find_map(|it| match it.kind() {
            "assignment" => it.child_by_field_name("left"),
            "named_expression" => it.child_by_field_name("name"),
            _ => None,
        });
        let kept = kept.map(|it| self.model.text(it));
        let function = self.model.enclosing_function(call);
        self.model.nodes_within(function, &["call"]).into_iter().any(|it| {
            let is_test = it
                .child_by_field_name("function")
                .is_some_and(|it| AWAITABLE_TEST_FUNCTIONS.contains(&callee_name(self.model, it)));
            let arguments = it.child_by_field_name("arguments").filter(|_| is_test);
            arguments.map(named_children).unwrap_or_default().into_iter().any(|asked| {
                let text = Some(self.model.text(asked));
                text == callee || text == kept || asked.kind() == "named_expression"
            })
        })
    }

    /// Returns true if the result of the call is passed to a function that handles coroutines and plain
    /// values.
    fn is_passed_to_resolver(&self, call: Node<'t>) -> bool {
        let mut node = call;
        while let Some(parent) = self.model.parent(node) {
            match parent.kind() {
                "parenthesized_expression"
                | "generator_expression"
                | "list_comprehension"
                | "list"
                | "tuple"
                | "list_splat" => node = parent,
                "lambda" => return true,
                "argument_list" => return self.are_resolver_arguments(parent),
                // A generator expression that is the only argument, as in `any(c.check() for c in …)`, takes
                // the place of the argument list in the syntax tree.
                "call" => return self.are_resolver_arguments(node),
                "assignment" => {
                    let left = parent.child_by_field_name("left").filter(|it| it.kind() == "identifier");
                    return left.is_some_and(|left| self.is_resolver_input_later(left));
                }
                _ => return false,
            }
        }
        false
    }

    fn is_resolver_input_later(&self, name: Node<'t>) -> bool {
        let function = self.model.enclosing_function(name);
        super::uses::name_uses_after(self.model, name, function).into_iter().any(|used| {
            let list = self.model.parent(used).filter(|it| it.kind() == "argument_list");
            list.is_some_and(|it| self.are_resolver_arguments(it))
        })
    }

    fn are_resolver_arguments(&self, list: Node<'t>) -> bool {
        let callee = self.model.parent(list).and_then(|it| it.child_by_field_name("function"));
        let Some(callee) = callee else { return false };
        match callee_name(self.model, callee) {
            // The result is added to a list. The call counts as correct if the enclosing function also calls
            // a resolver, which may get the list.
            "append" => {
                let calls = self.model.nodes_within(self.model.enclosing_function(list), &["call"]);
                let mut callees = calls.into_iter().filter_map(|it| it.child_by_field_name("function"));
                callees.any(|it| AWAITABLE_RESOLVERS.contains(&callee_name(self.model, it)))
            }
            name => AWAITABLE_RESOLVERS.contains(&name),
        }
    }

    /// Returns the types that the file declares for a callback, with aliases expanded.
    fn declared_types(&self, node: Node<'t>, max_names: u32) -> Vec<String> {
        let Some(left) = max_names.checked_sub(1) else { return Vec::new() };
        if let Some(inner) = inner_expression(node, self.model) {
            return self.declared_types(inner, left);
        }
        let bound: Vec<FlowBinding<'t>> = match node.kind() {
            "identifier" => {
                let bound = self.model.find_bindings(self.model.text(node), node);
                bound.map(|(binding, _)| binding.to_vec()).unwrap_or_default()
            }
            "attribute" => {
                let class = node.child_by_field_name("object").and_then(|it| self.model.class_of_self(it));
                let name = callee_name(self.model, node);
                class.map(|class| self.model.member_bindings(class, name).collect()).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        bound.into_iter().flat_map(|bound| self.binding_types(bound, left)).collect()
    }

    fn binding_types(&self, bound: FlowBinding<'t>, max_names: u32) -> Vec<String> {
        let written = |node: Node<'t>| {
            node.child_by_field_name("type")
                .map(|it| callback_types::expand_type(self.model, it, MAX_FOLLOWED_NAMES))
        };
        match bound {
            FlowBinding::Parameter(node) => written(node).into_iter().collect(),
            FlowBinding::Value(value) => {
                let assignment = self.model.parent(value).filter(|it| is_field(*it, "right", value));
                match assignment.and_then(written) {
                    Some(found) => vec![found],
                    None => self.declared_types(value, max_names),
                }
            }
            FlowBinding::ValuePart(value) => self.declared_types(value, max_names),
            FlowBinding::EnteredContext(..)
            | FlowBinding::Definition(_)
            | FlowBinding::Import(..)
            | FlowBinding::Unknown => Vec::new(),
        }
    }
}

/// Returns the expression for the collection or the callback: `hooks` in `hooks[name]`, `hooks.values()` and
/// `list(hooks)`, and `hook` in `hook or other`.
fn inner_expression<'t>(node: Node<'t>, model: &FileBindings<'t>) -> Option<Node<'t>> {
    match node.kind() {
        "subscript" => node.child_by_field_name("value"),
        "parenthesized_expression" => node.named_child(0),
        "boolean_operator" => node.child_by_field_name("left"),
        "call" => {
            let callee = node.child_by_field_name("function")?;
            let parts = ["values", "items", "get", "pop", "copy", "setdefault"];
            let wraps = ["list", "tuple", "reversed", "sorted", "enumerate", "iter"];
            let name = callee_name(model, callee);
            if callee.kind() == "attribute" && parts.contains(&name) {
                return callee.child_by_field_name("object");
            }
            let arguments = node.child_by_field_name("arguments").filter(|_| wraps.contains(&name))?;
            named_children(arguments).first().copied()
        }
        _ => None,
    }
}
