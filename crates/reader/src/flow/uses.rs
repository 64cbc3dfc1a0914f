//! Follows a context through the uses of its value in a file. A context may be entered, used as if it had
//! been entered, or passed to code that may enter it.

use std::collections::BTreeSet;

use tree_sitter::Node;

use super::model::{FileBindings, FlowBinding, is_field, named_children};
use super::value::{FlowValue, FlowValueResolver, callee_name, outermost_equal_value};

/// Maximum number of names through which a context is followed.
const MAX_HOPS: u32 = 6;

/// All uses of a context, combined.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct ContextUses {
    /// True if the context is entered: by `async with`, by an exit stack, or by calling `__aenter__` in code
    /// that also exits the context.
    pub(super) is_entered: bool,
    /// True if the context is used as if it were already entered: it is awaited or called, or entered by
    /// `__aenter__` and never exited.
    pub(super) is_used_unentered: bool,
    /// True if the context is returned to a caller.
    pub(super) is_returned: bool,
    /// True if the context is passed to a function outside this file.
    pub(super) is_passed_on: bool,
    /// True if the context is stored in an attribute, an item or a module-level name.
    pub(super) is_stored: bool,
    /// True if `close()` or `aclose()` of the context is called.
    pub(super) is_closed: bool,
    /// True if the context is an expression statement, whose value is dropped.
    pub(super) is_discarded: bool,
}

impl ContextUses {
    fn merge(&mut self, other: Self) {
        self.is_entered |= other.is_entered;
        self.is_used_unentered |= other.is_used_unentered;
        self.is_returned |= other.is_returned;
        self.is_passed_on |= other.is_passed_on;
        self.is_stored |= other.is_stored;
        self.is_closed |= other.is_closed;
        self.is_discarded |= other.is_discarded;
    }
}

/// Follows one context through its uses.
pub(super) struct ContextTracker<'v, 'm, 't> {
    values: &'v FlowValueResolver<'m, 't>,
    model: &'m FileBindings<'t>,
    visited: BTreeSet<usize>,
}

impl<'v, 'm, 't> ContextTracker<'v, 'm, 't> {
    pub(super) fn new(values: &'v FlowValueResolver<'m, 't>) -> Self {
        Self { values, model: values.model, visited: BTreeSet::new() }
    }

    /// Returns the uses of the context that an expression creates.
    pub(super) fn track_uses(&mut self, expression: Node<'t>) -> ContextUses {
        self.uses_at(expression, MAX_HOPS)
    }

    fn uses_at(&mut self, node: Node<'t>, max_hops: u32) -> ContextUses {
        let mut fate = ContextUses::default();
        let Some(hops) = max_hops.checked_sub(1).filter(|_| self.model.spend_step()) else { return fate };
        if !self.visited.insert(node.id()) {
            return fate;
        }
        // Assignment expressions (`name := value`) that end with the value also bind the value to a name.
        for named in self.model.ancestors(node).take_while(|it| it.end_byte() == node.end_byte()) {
            if named.kind() == "named_expression"
                && let Some(name) = named.child_by_field_name("name")
            {
                fate.merge(self.uses_of_target(name, hops));
            }
        }
        let node = outermost_equal_value(self.model, node);
        let Some(parent) = self.model.parent(node) else { return fate };
        match parent.kind() {
            "with_item" => fate.merge(self.uses_in_with(parent)),
            "as_pattern" if is_first_child(parent, node) => match self.model.parent(parent) {
                Some(item) if item.kind() == "with_item" => fate.merge(self.uses_in_with(item)),
                _ => {}
            },
            "await" => fate.is_used_unentered = true,
            "expression_statement" => fate.is_discarded = true,
            "lambda" => fate.is_returned = true,
            "return_statement" => {
                fate.is_returned = true;
                fate.merge(self.uses_in_return(parent, hops));
            }
            "yield" => fate.merge(self.uses_in_yield(parent)),
            "attribute" if is_field(parent, "object", node) => {
                fate.merge(self.uses_in_attribute(parent, hops));
            }
            "argument_list" => fate.merge(self.uses_in_argument(parent, node, None, hops)),
            "keyword_argument" if is_field(parent, "value", node) => {
                let name = parent.child_by_field_name("name").map(|it| self.model.text(it));
                if let Some(arguments) = self.model.parent(parent) {
                    fate.merge(self.uses_in_argument(arguments, parent, name, hops));
                }
            }
            "assignment" if is_field(parent, "right", node) => {
                fate.merge(self.uses_in_assignment(parent, hops));
            }
            "default_parameter" | "typed_default_parameter" if is_field(parent, "value", node) => {
                fate.is_stored = true;
                if let Some(name) = parent.child_by_field_name("name") {
                    let function = self.model.parent(parent).and_then(|it| self.model.parent(it));
                    let scope = function.unwrap_or(name);
                    fate.merge(self.uses_of_name(self.model.text(name), scope, hops));
                }
            }
            // For an element of a list or tuple, the uses of the whole list or tuple are followed.
            "expression_list" => fate.merge(self.uses_of_part(parent, node, hops)),
            "list" | "tuple" | "set" | "dictionary" => fate.merge(self.uses_at(parent, hops)),
            "pair" => {
                if let Some(dictionary) = self.model.parent(parent) {
                    fate.merge(self.uses_at(dictionary, hops));
                }
            }
            "list_comprehension"
            | "set_comprehension"
            | "dictionary_comprehension"
            | "generator_expression" => fate.merge(self.uses_at(parent, hops)),
            "list_splat" | "dictionary_splat" => {
                if let Some(arguments) = self.model.parent(parent) {
                    fate.merge(self.uses_in_argument(arguments, parent, None, hops));
                }
            }
            "for_statement" | "for_in_clause" if is_field(parent, "right", node) => {
                if let Some(left) = parent.child_by_field_name("left") {
                    fate.merge(self.uses_of_target(left, hops));
                }
            }
            "subscript" if is_field(parent, "value", node) => fate.merge(self.uses_at(parent, hops)),
            _ => {}
        }
        fate
    }

    /// Follows one value of `a, b = one, two` to the corresponding target. In other statements, the whole
    /// list is followed as a tuple.
    fn uses_of_part(&mut self, list: Node<'t>, node: Node<'t>, max_hops: u32) -> ContextUses {
        let left = self.model.parent(list).filter(|it| it.kind() == "assignment");
        let left = left.and_then(|it| it.child_by_field_name("left"));
        let targets = left.filter(|it| it.kind() == "pattern_list").map(named_children).unwrap_or_default();
        let index = named_children(list).iter().position(|it| it.id() == node.id());
        match index.and_then(|index| targets.get(index)) {
            Some(target) if targets.len() == named_children(list).len() => {
                self.uses_of_target(*target, max_hops)
            }
            _ => self.uses_at(list, max_hops),
        }
    }

    fn uses_in_with(&self, item: Node<'t>) -> ContextUses {
        let statement = self.model.ancestors(item).find(|it| it.kind() == "with_statement");
        let is_async = statement.is_some_and(|it| self.model.is_async(it));
        ContextUses { is_entered: is_async, is_used_unentered: !is_async, ..ContextUses::default() }
    }

    /// Follows a returned value. A context that an async fixture returns counts as wrongly used, because
    /// tests do not enter it. For a property, the attributes that access the property are followed.
    fn uses_in_return(&mut self, statement: Node<'t>, max_hops: u32) -> ContextUses {
        let mut fate = ContextUses::default();
        let function = self.model.enclosing_function(statement);
        let decorators = self.model.decorators(function);
        if decorators.iter().any(|it| self.model.text(*it).contains("fixture")) {
            fate.is_used_unentered = self.model.is_async(function);
        }
        let name = function.child_by_field_name("name").filter(|_| self.values.is_property(function));
        if let (Some(name), Some(class)) = (name, self.model.enclosing_class(function)) {
            for node in self.model.identifier_nodes(self.model.text(name)).to_vec() {
                let used = self.model.parent(node).filter(|it| is_field(*it, "attribute", node));
                let is_inside = (class.start_byte()..class.end_byte()).contains(&node.start_byte());
                if let Some(used) = used.filter(|_| is_inside) {
                    fate.merge(self.uses_at(used, max_hops));
                }
            }
        }
        fate
    }

    fn uses_in_yield(&self, node: Node<'t>) -> ContextUses {
        let function = self.model.enclosing_function(node);
        let is_generator = self.model.is_async(function) && !self.values.is_context_manager(function);
        // An async generator without the decorator of a context manager, such as a fixture, yields the
        // context to code that does not enter it.
        ContextUses { is_returned: !is_generator, is_stored: is_generator, ..ContextUses::default() }
    }

    fn uses_in_attribute(&mut self, attribute: Node<'t>, max_hops: u32) -> ContextUses {
        let name = callee_name(self.model, attribute);
        let call = self.model.parent(attribute).filter(|it| is_field(*it, "function", attribute));
        let fate = ContextUses::default();
        match name {
            "__aenter__" => {
                let is_left = self.is_exited_explicitly(attribute);
                ContextUses { is_entered: is_left, is_used_unentered: !is_left, ..fate }
            }
            "__aexit__" | "__exit__" => ContextUses { is_entered: true, ..fate },
            "close" | "aclose" => ContextUses { is_closed: true, ..fate },
            "values" | "items" | "copy" | "get" | "pop" if call.is_some() => match call {
                Some(call)
                    if self
                        .values
                        .may_have_value(call, |value| matches!(value, FlowValue::Collection(_))) =>
                {
                    self.uses_at(call, max_hops)
                }
                Some(call) if name == "get" || name == "pop" => self.uses_at(call, max_hops),
                _ => ContextUses { is_used_unentered: true, ..fate },
            },
            // The arguments of these methods are followed separately, as items of the list.
            "append" | "extend" | "add" => fate,
            _ => ContextUses { is_used_unentered: true, ..fate },
        }
    }

    /// Returns true if code exits the context explicitly. If `__aenter__` is called in a class, only this
    /// class is searched; otherwise the whole file is searched.
    fn is_exited_explicitly(&self, enter_node: Node<'t>) -> bool {
        let around = self.model.enclosing_class(enter_node).unwrap_or(self.model.root());
        let within = |node: &&Node<'t>| (around.start_byte()..around.end_byte()).contains(&node.start_byte());
        let leaves = |node: &Node<'t>| {
            let parent = self.model.parent(*node);
            parent.is_some_and(|it| it.kind() == "attribute" && is_field(it, "attribute", *node))
        };
        let ways = ["__aexit__", "push_async_exit", "push_async_callback"];
        if self.is_closed_explicitly(enter_node) {
            return true;
        }
        ways.iter().any(|way| self.model.identifier_nodes(way).iter().filter(within).any(leaves))
    }

    /// Returns true if the file calls `close()` or `aclose()` of the variable that stores the entered value.
    fn is_closed_explicitly(&self, enter_node: Node<'t>) -> bool {
        let kept = self.model.ancestors(enter_node).find(|it| it.kind() == "assignment");
        let kept = kept.and_then(|it| it.child_by_field_name("left")).map(|it| self.model.text(it));
        let closes = |node: &Node<'t>| {
            let attribute = self.model.parent(*node).filter(|it| is_field(*it, "attribute", *node));
            let object = attribute.and_then(|it| it.child_by_field_name("object"));
            object.is_some_and(|it| Some(self.model.text(it)) == kept)
        };
        kept.is_some()
            && ["close", "aclose"].iter().any(|way| self.model.identifier_nodes(way).iter().any(closes))
    }

    fn uses_in_argument(
        &mut self,
        list: Node<'t>,
        argument: Node<'t>,
        name: Option<&str>,
        max_hops: u32,
    ) -> ContextUses {
        let fate = ContextUses::default();
        let Some(call) = self.model.parent(list).filter(|it| it.kind() == "call") else { return fate };
        let Some(callee) = call.child_by_field_name("function") else { return fate };
        let called = callee_name(self.model, callee);
        let lower = called.to_ascii_lowercase();
        let enters = ["enter", "context", "manager", "stack", "wrap", "push_async", "finalize"];
        let is_other = matches!(called, "nullcontext" | "enter_context");
        if enters.iter().any(|word| lower.contains(word)) && !is_other {
            return ContextUses { is_entered: true, ..fate };
        }
        match called {
            // These functions cannot enter an asynchronous context, so passing such a context to them is
            // wrong.
            "enter_context" | "closing" | "aclosing" => {
                return ContextUses { is_used_unentered: true, ..fate };
            }
            "gather" | "wait" | "wait_for" | "create_task" | "ensure_future" | "shield" => {
                return ContextUses { is_used_unentered: true, ..fate };
            }
            "nullcontext" | "list" | "tuple" | "dict" | "zip" | "enumerate" | "reversed" | "cast" => {
                return self.uses_at(call, max_hops);
            }
            "isinstance" | "repr" | "print" | "len" | "type" | "id" | "bool" | "hasattr" | "callable" => {
                return fate;
            }
            "append" | "add" | "insert" | "appendleft" | "setdefault" => {
                let object = callee.child_by_field_name("object");
                let kept = object.map(|it| self.uses_of_target(it, max_hops)).unwrap_or_default();
                return ContextUses { is_passed_on: true, ..kept };
            }
            _ => {}
        }
        let mut fate = ContextUses { is_passed_on: true, ..fate };
        for value in self.values.node_values(callee) {
            let (function, skipped) = match value {
                FlowValue::Function(function) => (function, self.binds_first_parameter(callee, function)),
                FlowValue::Class(class) => match self.find_constructor(class) {
                    Some(function) => (function, true),
                    None => continue,
                },
                FlowValue::QualifiedName(_)
                | FlowValue::Instance(_)
                | FlowValue::KnownObject(_)
                | FlowValue::Method(..)
                | FlowValue::Coroutine(_)
                | FlowValue::Context(_)
                | FlowValue::Factory(_)
                | FlowValue::Collection(_) => continue,
            };
            if let Some(parameter) = self.parameter_of_argument(function, list, argument, name, skipped) {
                fate.merge(self.uses_of_name(parameter, function, max_hops));
            }
        }
        fate
    }

    /// Returns true if the call passes the object before the dot as the method's first parameter (`self` or
    /// `cls`).
    fn binds_first_parameter(&self, callee: Node<'t>, function: Node<'t>) -> bool {
        let first = self.model.parameters(function).first().and_then(|it| self.model.parameter_name(*it));
        callee.kind() == "attribute" && matches!(first, Some("self" | "cls"))
    }

    fn find_constructor(&self, class: Node<'t>) -> Option<Node<'t>> {
        let mut made = self.model.member_bindings(class, "__init__");
        made.find_map(
            |bound| if let FlowBinding::Definition(function) = bound { Some(function) } else { None },
        )
    }

    /// Returns the parameter that an argument is passed to.
    fn parameter_of_argument(
        &self,
        function: Node<'t>,
        list: Node<'t>,
        argument: Node<'t>,
        name: Option<&str>,
        skips_receiver: bool,
    ) -> Option<&'t str> {
        let names = self.model.parameters(function).into_iter().map(|it| self.model.parameter_name(it));
        match name {
            Some(name) => names.flatten().find(|it| *it == name),
            None => {
                let index = named_children(list).iter().position(|it| it.id() == argument.id())?;
                names.skip(usize::from(skips_receiver)).nth(index).flatten()
            }
        }
    }

    fn uses_in_assignment(&mut self, assignment: Node<'t>, max_hops: u32) -> ContextUses {
        let mut fate = ContextUses::default();
        if let Some(left) = assignment.child_by_field_name("left") {
            fate.merge(self.uses_of_target(left, max_hops));
        }
        // In `a = b = …`, the syntax tree contains the assignment to `b` as the value of the assignment to
        // `a`.
        if let Some(outer) = self.model.parent(assignment).filter(|it| it.kind() == "assignment") {
            fate.merge(self.uses_in_assignment(outer, max_hops));
        }
        fate
    }

    /// Returns the uses of the value that is stored in an assignment target.
    fn uses_of_target(&mut self, target: Node<'t>, max_hops: u32) -> ContextUses {
        match target.kind() {
            "identifier" => {
                let name = self.model.text(target);
                let scope = self.model.find_bindings(name, target).map(|(_, scope)| scope);
                let scope = scope.unwrap_or(self.model.root());
                let mut fate = self.uses_of_name(name, scope, max_hops);
                fate.is_stored |= matches!(scope.kind(), "module" | "class_definition");
                fate
            }
            "attribute" => {
                let name = callee_name(self.model, target);
                let object = target.child_by_field_name("object");
                let class = object.and_then(|it| self.model.class_of_self(it));
                let within = class.unwrap_or(self.model.root());
                let mut fate = ContextUses { is_stored: true, ..ContextUses::default() };
                for node in self.model.identifier_nodes(name).to_vec() {
                    let used = self.model.parent(node).filter(|it| is_field(*it, "attribute", node));
                    let is_inside = (within.start_byte()..within.end_byte()).contains(&node.start_byte());
                    if let Some(used) = used.filter(|it| is_inside && !self.is_binding_target(*it)) {
                        fate.merge(self.uses_at(used, max_hops));
                    }
                }
                fate
            }
            "subscript" => {
                let key = target.child_by_field_name("subscript").map(|it| self.model.text(it));
                let object = target.child_by_field_name("value");
                let mut fate = ContextUses { is_stored: true, ..ContextUses::default() };
                for used in self.model.nodes_of_kinds(&["subscript"]) {
                    let its = used.child_by_field_name("subscript").map(|it| self.model.text(it));
                    if its == key && !self.is_binding_target(used) {
                        fate.merge(self.uses_at(used, max_hops));
                    }
                }
                if let Some(object) = object.filter(|it| it.kind() == "identifier") {
                    let elsewhere = self.uses_of_target(object, max_hops);
                    fate.is_entered |= elsewhere.is_entered;
                }
                fate
            }
            "pattern_list" | "tuple_pattern" | "list_pattern" | "tuple" | "parenthesized_expression" => {
                let mut fate = ContextUses::default();
                for part in named_children(target) {
                    fate.merge(self.uses_of_target(part, max_hops));
                }
                fate
            }
            _ => ContextUses::default(),
        }
    }

    /// Returns the uses of the value of `name`, which is bound in `scope`.
    fn uses_of_name(&mut self, name: &str, scope: Node<'t>, max_hops: u32) -> ContextUses {
        let mut fate = ContextUses::default();
        for used in self.model.identifier_nodes(name).to_vec() {
            let is_inside = (scope.start_byte()..scope.end_byte()).contains(&used.start_byte());
            let is_part = self.model.parent(used).is_some_and(|it| {
                is_field(it, "attribute", used)
                    || it.kind() == "keyword_argument" && is_field(it, "name", used)
            });
            // A name that is bound in a class body is also used as an attribute (`self.CLIENT`).
            let node = match self.model.parent(used) {
                Some(attribute) if is_part && scope.kind() == "class_definition" => attribute,
                _ if is_part => continue,
                _ => used,
            };
            if !is_inside || self.is_binding_target(node) {
                continue;
            }
            let is_own = node.kind() == "attribute"
                || self.model.find_bindings(name, node).is_some_and(|(_, found)| found.id() == scope.id());
            if is_own {
                fate.merge(self.uses_at(node, max_hops));
            }
        }
        fate
    }

    /// Returns true if the node assigns a value to a name instead of using its value.
    fn is_binding_target(&self, node: Node<'t>) -> bool {
        let mut at = node;
        for parent in self.model.ancestors(node) {
            match parent.kind() {
                "pattern_list" | "tuple_pattern" | "list_pattern" | "list_splat_pattern" => at = parent,
                "assignment" | "augmented_assignment" | "for_statement" | "for_in_clause" => {
                    return is_field(parent, "left", at);
                }
                "named_expression" => return is_field(parent, "name", at),
                "as_pattern_target" | "parameters" | "typed_parameter" | "aliased_import"
                | "lambda_parameters" => return true,
                "default_parameter"
                | "typed_default_parameter"
                | "function_definition"
                | "class_definition" => return is_field(parent, "name", at),
                _ => return false,
            }
        }
        false
    }
}

fn is_first_child(parent: Node<'_>, node: Node<'_>) -> bool {
    parent.named_child(0).is_some_and(|it| it.id() == node.id())
}

/// Returns the uses of a name within a function, after the place where the name is bound.
pub(super) fn name_uses_after<'t>(
    model: &FileBindings<'t>,
    name: Node<'t>,
    function: Node<'t>,
) -> Vec<Node<'t>> {
    let all = model.identifier_nodes(model.text(name)).iter().copied();
    all.filter(|it| it.start_byte() > name.end_byte() && it.start_byte() < function.end_byte()).collect()
}
