//! Finds coroutines that swallow their own cancellation. They do so in an exception handler, with
//! `suppress()`, or with a `return`, `break` or `continue` in a `finally` block.

use tree_sitter::Node;

use super::FlowMatch;
use super::model::{FileBindings, FlowBinding, is_field, named_children};
use super::value::{FlowValue, FlowValueResolver, callee_name};

/// Exception classes that match a cancellation.
const CANCELLATION_CLASSES: &[&str] = &[
    "BaseException",
    "asyncio.CancelledError",
    "asyncio.exceptions.CancelledError",
    "CancelledError",
    "concurrent.futures.CancelledError",
    "trio.Cancelled",
    "builtins.BaseException",
];

/// Maximum number of names and tuples that are followed to find the exception classes of a handler.
const MAX_FOLLOWED_NAMES: u32 = 8;

/// Finds each handler, block or statement that swallows a cancellation.
pub(super) fn find_swallowed_cancellations(values: &FlowValueResolver<'_, '_>) -> Vec<FlowMatch> {
    let model = values.model;
    let look = CancellationFinder { values, model };
    let mut found = Vec::new();
    for statement in model.nodes_of_kinds(&["try_statement"]) {
        if let Some(body) = statement.child_by_field_name("body")
            && model.is_in_coroutine(statement)
            && look.contains_await(body)
        {
            found.extend(look.find_swallowing_handler(statement, body).map(FlowMatch::from_node));
            found.extend(look.find_exit_in_finally(statement).map(FlowMatch::from_node));
        }
    }
    for statement in model.nodes_of_kinds(&["return_statement"]) {
        if look.swallows_in_aexit(statement) {
            found.push(FlowMatch::from_node(statement));
        }
    }
    for statement in model.nodes_of_kinds(&["with_statement"]) {
        if let (Some(clause), Some(body)) = (statement.named_child(0), statement.child_by_field_name("body"))
            && model.is_in_coroutine(statement)
            && look.contains_await(body)
            && !look.awaits_only_cancelled_task(body)
            && look.suppresses_cancellation(clause)
        {
            found.push(FlowMatch::from_node(clause));
        }
    }
    found
}

struct CancellationFinder<'v, 'm, 't> {
    values: &'v FlowValueResolver<'m, 't>,
    model: &'m FileBindings<'t>,
}

impl<'t> CancellationFinder<'_, '_, 't> {
    /// Returns true if the block awaits something outside of nested functions.
    fn contains_await(&self, block: Node<'t>) -> bool {
        let function = self.model.enclosing_function(block).id();
        let mut nodes = self
            .model
            .nodes_within(block, &["await", "for_statement", "with_statement", "for_in_clause"])
            .into_iter();
        nodes.any(|it| {
            let waits = it.kind() == "await" || self.model.is_async(it);
            waits && self.model.enclosing_function(it).id() == function
        })
    }

    /// Returns true if the function requests or checks a task's cancellation. Also returns true if the block
    /// awaits only named values, and the file cancels a task anywhere.
    fn awaits_only_cancelled_task(&self, block: Node<'t>) -> bool {
        let asks = |name: &str, scope: Node<'t>| {
            let of = self.model.identifier_nodes(name).iter();
            let mut inside =
                of.filter(|it| (scope.start_byte()..scope.end_byte()).contains(&it.start_byte()));
            inside.any(|it| self.model.parent(*it).is_some_and(|parent| is_field(parent, "attribute", *it)))
        };
        let function = self.model.enclosing_function(block);
        let ways = ["cancel", "set_exception", "cancelled", "uncancel", "cancelling"];
        if ways.iter().any(|way| asks(way, function)) {
            return true;
        }
        // Another method of the file may have cancelled the task that the block awaits.
        let awaits = self.model.nodes_within(block, &["await"]);
        let only_names = awaits.iter().all(|it| {
            let awaited = it.named_child(0);
            awaited.is_some_and(|it| matches!(it.kind(), "identifier" | "attribute" | "subscript"))
        });
        only_names && !awaits.is_empty() && asks("cancel", self.model.root())
    }

    /// Returns the first handler that catches a cancellation. Returns `None` if this handler raises the
    /// cancellation again, or if only a task that the file cancels is awaited.
    fn find_swallowing_handler(&self, statement: Node<'t>, body: Node<'t>) -> Option<Node<'t>> {
        for clause in named_children(statement)
            .into_iter()
            .filter(|it| matches!(it.kind(), "except_clause" | "except_group_clause"))
        {
            let block = named_children(clause).into_iter().find(|it| it.kind() == "block")?;
            let caught = named_children(clause).into_iter().find(|it| it.kind() != "block");
            if !caught.is_none_or(|caught| self.includes_cancellation(caught)) {
                continue;
            }
            // A cancellation that this handler catches never reaches later handlers.
            let goes_on = self.reraises(clause, block) || self.reraises_later(clause, block);
            return (!goes_on && !self.awaits_only_cancelled_task(body)).then_some(clause);
        }
        None
    }

    /// Returns true if a handler catches a cancellation.
    fn includes_cancellation(&self, exception_classes: Node<'t>) -> bool {
        self.includes_cancellation_within(exception_classes, MAX_FOLLOWED_NAMES)
    }

    fn includes_cancellation_within(&self, exception_classes: Node<'t>, max_names: u32) -> bool {
        let Some(names) = max_names.checked_sub(1) else { return false };
        match exception_classes.kind() {
            "as_pattern" => exception_classes
                .named_child(0)
                .is_some_and(|it| self.includes_cancellation_within(it, names)),
            "tuple" | "parenthesized_expression" | "expression_list" => named_children(exception_classes)
                .into_iter()
                .any(|it| self.includes_cancellation_within(it, names)),
            "call" => {
                let callee = exception_classes.child_by_field_name("function");
                callee.is_some_and(|it| callee_name(self.model, it) == "get_cancelled_exc_class")
            }
            "identifier" => {
                match self.model.find_bindings(self.model.text(exception_classes), exception_classes) {
                    Some((bound, _)) => bound.iter().any(|bound| match bound {
                        FlowBinding::Value(value) => self.includes_cancellation_within(*value, names),
                        FlowBinding::Import(..) => self.is_cancellation_class(exception_classes),
                        FlowBinding::ValuePart(_)
                        | FlowBinding::EnteredContext(..)
                        | FlowBinding::Parameter(_)
                        | FlowBinding::Definition(_)
                        | FlowBinding::Unknown => false,
                    }),
                    None => self.is_cancellation_class(exception_classes),
                }
            }
            "attribute" => self.is_cancellation_class(exception_classes),
            _ => false,
        }
    }

    fn is_cancellation_class(&self, exception: Node<'t>) -> bool {
        let is_cancellation = |path: &str| CANCELLATION_CLASSES.contains(&path);
        self.values.may_have_value(
            exception,
            |value| matches!(value, FlowValue::QualifiedName(path) if is_cancellation(path)),
        )
    }

    /// Returns true if the handler's block raises an exception for a cancellation, or exits the process or
    /// the test.
    fn reraises(&self, clause: Node<'t>, block: Node<'t>) -> bool {
        let function = self.model.enclosing_function(block).id();
        let is_own = |node: &Node<'t>| self.model.enclosing_function(*node).id() == function;
        let raised = self.model.nodes_within(block, &["raise_statement"]);
        let raises = raised.iter().any(|it| is_own(it) && self.is_raise_reachable(*it, clause, block));
        let ends = |call: &Node<'t>| {
            let callee = call.child_by_field_name("function").map(|it| self.model.text(it));
            matches!(
                callee,
                Some("pytest.fail" | "pytest.skip" | "sys.exit" | "os._exit" | "exit" | "quit" | "self.fail")
            )
        };
        raises || self.model.nodes_within(block, &["call"]).iter().any(ends)
    }

    /// Returns true if a handler assigns the exception to a name, and the function raises the name's value
    /// after the handler.
    fn reraises_later(&self, clause: Node<'t>, block: Node<'t>) -> bool {
        let pattern = named_children(clause).into_iter().find(|it| it.kind() == "as_pattern");
        let Some(alias) = pattern.and_then(|it| it.child_by_field_name("alias")) else { return false };
        let keeps = |assignment: &Node<'t>| {
            let right = assignment.child_by_field_name("right").map(|it| self.model.text(it));
            right == Some(self.model.text(alias))
        };
        let kept = self.model.nodes_within(block, &["assignment"]).into_iter().filter(keeps);
        let kept: Vec<&str> =
            kept.filter_map(|it| it.child_by_field_name("left")).map(|it| self.model.text(it)).collect();
        let raised = self.model.nodes_within(self.model.enclosing_function(clause), &["raise_statement"]);
        let mut raised = raised.into_iter().filter(|it| it.start_byte() > clause.end_byte());
        raised.any(|it| it.named_child(0).is_some_and(|it| kept.contains(&self.model.text(it))))
    }

    /// Returns true if a `raise` statement in a handler may run when the handler has caught a cancellation.
    /// If the value of a condition is unknown, the condition is assumed to let the statement run.
    fn is_raise_reachable(&self, raise_statement: Node<'t>, clause: Node<'t>, block: Node<'t>) -> bool {
        let mut inner = raise_statement;
        for outer in self.model.ancestors(raise_statement).take_while(|it| it.id() != block.id()) {
            match outer.kind() {
                "if_statement" | "elif_clause" if is_field(outer, "consequence", inner) => {
                    let is_open = self.evaluate_if(outer, clause) != Some(false);
                    if !is_open {
                        return false;
                    }
                }
                // A branch of `else` or `elif` runs only if all earlier conditions are false.
                "if_statement" => {
                    let mut before = vec![outer];
                    before.extend(
                        named_children(outer)
                            .into_iter()
                            .filter(|it| it.kind() == "elif_clause" && it.end_byte() <= inner.start_byte()),
                    );
                    if before.into_iter().any(|it| self.evaluate_if(it, clause) == Some(true)) {
                        return false;
                    }
                }
                _ => {}
            }
            inner = outer;
        }
        // An earlier statement may leave the handler before the `raise`.
        let earlier =
            named_children(block).into_iter().take_while(|it| it.end_byte() <= raise_statement.start_byte());
        let leaves = |statement: Node<'t>| {
            let ends = ["return_statement", "continue_statement", "break_statement"];
            let body = statement.child_by_field_name("consequence");
            statement.kind() == "if_statement"
                && self.evaluate_if(statement, clause) == Some(true)
                && body.is_some_and(|it| named_children(it).iter().any(|it| ends.contains(&it.kind())))
        };
        !earlier.into_iter().any(leaves)
    }

    /// Returns the value that an `if` condition has when the caught exception is a cancellation, or `None` if
    /// the value is unknown.
    fn evaluate_if(&self, statement: Node<'t>, clause: Node<'t>) -> Option<bool> {
        self.evaluate_condition(statement.child_by_field_name("condition")?, clause, MAX_FOLLOWED_NAMES)
    }

    fn evaluate_condition(&self, condition: Node<'t>, clause: Node<'t>, depth: u32) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        let of = |node: Option<Node<'t>>| node.and_then(|it| self.evaluate_condition(it, clause, depth));
        match condition.kind() {
            "parenthesized_expression" => of(condition.named_child(0)),
            "not_operator" => of(condition.child_by_field_name("argument")).map(|it| !it),
            "boolean_operator" => {
                let sides =
                    (of(condition.child_by_field_name("left")), of(condition.child_by_field_name("right")));
                let is_and = condition.child_by_field_name("operator").is_some_and(|it| it.kind() == "and");
                match sides {
                    (Some(left), Some(right)) => Some(if is_and { left && right } else { left || right }),
                    (Some(one), None) | (None, Some(one)) if one != is_and => Some(one),
                    (Some(_), None) | (None, Some(_) | None) => None,
                }
            }
            "call" => self.evaluate_isinstance(condition, clause),
            // The condition counts attempts. As long as the limit is not reached, it is false and
            // cancellations are swallowed.
            "comparison_operator" if self.catches_all(clause) && self.counts_attempts(condition) => {
                Some(false)
            }
            // The condition compares a mode with one value. In other modes, it is false and cancellations are
            // swallowed.
            "comparison_operator"
                if self.catches_all(clause) && self.compares_mode_flag(condition, clause) =>
            {
                Some(false)
            }
            _ => None,
        }
    }

    /// Returns the value of `isinstance(exc, …)` when the caught exception is a cancellation, or `None` if
    /// the value is unknown.
    fn evaluate_isinstance(&self, call: Node<'t>, clause: Node<'t>) -> Option<bool> {
        let callee = call.child_by_field_name("function")?;
        let arguments = call.child_by_field_name("arguments").map(named_children)?;
        let [object, classes] = arguments.as_slice() else { return None };
        let pattern = named_children(clause).into_iter().find(|it| it.kind() == "as_pattern")?;
        let alias = pattern.child_by_field_name("alias")?;
        if self.model.text(callee) != "isinstance" || self.model.text(*object) != self.model.text(alias) {
            return None;
        }
        if self.includes_cancellation(*classes) {
            return Some(true);
        }
        self.excludes_cancellation(*classes, MAX_FOLLOWED_NAMES).then_some(false)
    }

    /// Returns true if a cancellation is certainly not an instance of these exception classes.
    fn excludes_cancellation(&self, class: Node<'t>, max_names: u32) -> bool {
        let Some(names) = max_names.checked_sub(1) else { return false };
        match class.kind() {
            "tuple" | "parenthesized_expression" => {
                named_children(class).into_iter().all(|it| self.excludes_cancellation(it, names))
            }
            "binary_operator" => {
                let sides = [class.child_by_field_name("left"), class.child_by_field_name("right")];
                sides.into_iter().all(|it| it.is_some_and(|it| self.excludes_cancellation(it, names)))
            }
            "identifier" | "attribute" => {
                if let Some((bound, _)) = self.model.find_bindings(self.model.text(class), class)
                    && class.kind() == "identifier"
                {
                    let of_bound = |it: &FlowBinding<'t>| match it {
                        FlowBinding::Value(value) => self.excludes_cancellation(*value, names),
                        FlowBinding::Import(..) => self.has_unrelated_name(class),
                        FlowBinding::Definition(class) => {
                            class.child_by_field_name("superclasses").map(named_children).is_some_and(
                                |bases| bases.into_iter().all(|it| self.excludes_cancellation(it, names)),
                            )
                        }
                        FlowBinding::ValuePart(_)
                        | FlowBinding::EnteredContext(..)
                        | FlowBinding::Parameter(_)
                        | FlowBinding::Unknown => false,
                    };
                    return bound.iter().all(of_bound);
                }
                self.has_unrelated_name(class)
            }
            _ => false,
        }
    }

    /// Returns true if the exception class has the typical name of an unrelated exception.
    fn has_unrelated_name(&self, class: Node<'t>) -> bool {
        let name = callee_name(self.model, class);
        let ends = ["Error", "Exception", "Exit", "Interrupt", "Timeout", "Warning", "Iteration"];
        ends.iter().any(|end| name.ends_with(end)) && !name.contains("Cancel") && name != "BaseException"
    }

    /// Returns true if a handler catches all exceptions: without a class, or with `BaseException`.
    fn catches_all(&self, clause: Node<'t>) -> bool {
        named_children(clause).into_iter().find(|it| it.kind() != "block").is_none_or(|it| {
            self.model
                .nodes_within(it, &["identifier"])
                .iter()
                .any(|it| self.model.text(*it) == "BaseException")
        })
    }

    /// Returns true if a comparison counts attempts or failures.
    fn counts_attempts(&self, comparison: Node<'t>) -> bool {
        let words = ["attempt", "retr", "tries", "fail", "errors"];
        let names = self.model.nodes_within(comparison, &["identifier"]);
        let is_count = |name: &Node<'t>| {
            let name = self.model.text(*name).to_ascii_lowercase();
            words.iter().any(|word| name.contains(word))
        };
        names.iter().any(is_count) && self.model.nodes_within(comparison, &["string", "none"]).is_empty()
    }

    /// Returns true for a comparison of a variable with a string (a mode), if the variable's name is
    /// unrelated to the exception.
    fn compares_mode_flag(&self, comparison: Node<'t>, clause: Node<'t>) -> bool {
        let sides = named_children(comparison);
        let [left, right] = sides.as_slice() else { return false };
        let is_equal = self.model.text(comparison).contains("==");
        let alias = named_children(clause).into_iter().find(|it| it.kind() == "as_pattern");
        let alias = alias.and_then(|it| it.child_by_field_name("alias")).map(|it| self.model.text(it));
        let words = ["cancel", "exc", "err", "state", "stop", "clos", "shut"];
        let names = self.model.nodes_within(*left, &["identifier"]);
        let is_of_raised = names.iter().map(|it| self.model.text(*it)).any(|name| {
            Some(name) == alias || words.iter().any(|word| name.to_ascii_lowercase().contains(word))
        });
        is_equal
            && right.kind() == "string"
            && matches!(left.kind(), "identifier" | "attribute")
            && !is_of_raised
    }

    /// Returns true if a `return` statement of an `__aexit__` swallows all exceptions or only cancellations.
    fn swallows_in_aexit(&self, statement: Node<'t>) -> bool {
        let function = self.model.enclosing_function(statement);
        let name = function.child_by_field_name("name").map(|it| self.model.text(it));
        let is_exit = name == Some("__aexit__") && self.model.is_async(function);
        let Some(given) = statement.named_child(0).filter(|_| is_exit) else { return false };
        let block = self.model.parent(statement);
        let is_last = block.and_then(|it| self.model.parent(it)).is_some_and(|it| it.id() == function.id());
        // If there are several `return` statements, an earlier one may handle cancellations.
        let is_only = is_last && self.model.returned_values(function).len() == 1;
        let text = self.model.text(given);
        let is_something = text.ends_with(" is not None") && given.kind() == "comparison_operator";
        is_only && (given.kind() == "true" || is_something) || self.tests_for_cancellation(given)
    }

    /// Returns true if an expression tests for a cancellation, such as `issubclass(exc_type, CancelledError)`
    /// or `exc_type is CancelledError`.
    fn tests_for_cancellation(&self, expression: Node<'t>) -> bool {
        let text = self.model.text(expression);
        let is_test =
            ["isinstance(", "issubclass(", " is ", " in ", " == "].iter().any(|it| text.contains(it));
        let is_denied = text.starts_with("not ") || text.contains(" not ") || text.contains("!=");
        let named = self.model.nodes_within(expression, &["identifier", "attribute"]);
        is_test && !is_denied && named.into_iter().any(|it| self.includes_cancellation(it))
    }

    /// Returns the statement in a `finally` block that leaves the block and so drops any raised exception
    /// (`finally: return …`).
    fn find_exit_in_finally(&self, statement: Node<'t>) -> Option<Node<'t>> {
        let clause = named_children(statement).into_iter().find(|it| it.kind() == "finally_clause")?;
        let function = self.model.enclosing_function(statement).id();
        let leaves =
            self.model.nodes_within(clause, &["return_statement", "break_statement", "continue_statement"]);
        leaves.into_iter().find(|it| {
            let is_own = self.model.enclosing_function(*it).id() == function;
            // A `break` or `continue` of a loop within the block does not leave the block.
            let in_loop = self
                .model
                .ancestors(*it)
                .take_while(|outer| outer.id() != clause.id())
                .any(|outer| matches!(outer.kind(), "for_statement" | "while_statement"));
            is_own && (it.kind() == "return_statement" || !in_loop)
        })
    }

    /// Returns true if a `with` statement suppresses cancellations, as in `with suppress(BaseException)`.
    fn suppresses_cancellation(&self, clause: Node<'t>) -> bool {
        let calls = self.model.nodes_within(clause, &["call"]).into_iter();
        let mut exceptions = calls.filter(|call| {
            let callee = call.child_by_field_name("function");
            callee.is_some_and(|it| {
                self.values.may_have_value(
                    it,
                    |value| matches!(value, FlowValue::QualifiedName(path) if path == "contextlib.suppress"),
                )
            })
        });
        exceptions.any(|call| {
            let arguments = call.child_by_field_name("arguments").map(named_children).unwrap_or_default();
            arguments.into_iter().any(|it| self.includes_cancellation(it))
        })
    }
}
