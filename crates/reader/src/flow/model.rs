//! Name resolution for a Python file: the file's scopes, the bindings of names and attributes, and the uses
//! of both.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use tree_sitter::{Node, Tree};

use crate::syntax::MAX_TREE_DEPTH;

/// Maximum number of steps for all queries about one file. After this number of steps, queries return no
/// results.
const MAX_STEPS: usize = 20_000_000;
/// Number of steps between two checks of the time limit.
const STEPS_PER_TIME_CHECK: usize = 10_000;

/// Kinds of nodes that create a scope.
const FUNCTION_NODE_KIND: &str = "function_definition";
const LAMBDA_NODE_KIND: &str = "lambda";
const CLASS_NODE_KIND: &str = "class_definition";

/// One binding of a name or an attribute. A name or an attribute may have several bindings.
#[derive(Clone, Copy, Debug)]
pub(super) enum FlowBinding<'t> {
    /// The value of an expression is bound.
    Value(Node<'t>),
    /// An element of an expression's value is bound, as in `for item in value`.
    ValuePart(Node<'t>),
    /// The result of entering a context is bound, as in `with context as name`.
    EnteredContext(Node<'t>, WithKind),
    /// A parameter of a function.
    Parameter(Node<'t>),
    /// A function or a class.
    Definition(Node<'t>),
    /// An imported name: the node of its dotted name, the module after `from` if there is one, and whether
    /// only the first part is bound.
    Import(Node<'t>, Option<Node<'t>>, bool),
    /// A value that cannot be determined.
    Unknown,
}

/// The statements `with` and `async with`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WithKind {
    Sync,
    Async,
}

/// Scope of a module, a class, a function or a lambda.
pub(super) struct FlowScope<'t> {
    pub(super) node: Node<'t>,
    names: BTreeMap<&'t str, Vec<FlowBinding<'t>>>,
    /// Values that a class's methods assign to attributes of `self`.
    attributes: BTreeMap<&'t str, Vec<FlowBinding<'t>>>,
}

/// The names of one file, with their bindings and uses.
pub(super) struct FileBindings<'t> {
    text: &'t str,
    root: Node<'t>,
    scopes: HashMap<usize, FlowScope<'t>>,
    parents: HashMap<usize, Node<'t>>,
    /// Nodes by kind, in the order of the text.
    nodes_by_kind: HashMap<&'t str, Vec<Node<'t>>>,
    /// All nodes with the text of an identifier: names, and attribute names after a dot.
    identifier_nodes: HashMap<&'t str, Vec<Node<'t>>>,
    steps: Cell<usize>,
    has_time: &'t dyn Fn() -> bool,
}

impl<'t> FileBindings<'t> {
    /// Builds the model of a file. Returns `None` if the syntax tree is too deep.
    pub(super) fn from_tree(tree: &'t Tree, text: &'t str, has_time: &'t dyn Fn() -> bool) -> Option<Self> {
        let root = tree.root_node();
        let mut model = Self {
            text,
            root,
            scopes: HashMap::new(),
            parents: HashMap::new(),
            nodes_by_kind: HashMap::new(),
            identifier_nodes: HashMap::new(),
            steps: Cell::new(MAX_STEPS),
            has_time,
        };
        model.index_nodes_and_scopes()?;
        for node in model.nodes_of_kinds(&[
            "assignment",
            "named_expression",
            "with_item",
            "for_statement",
            "for_in_clause",
            "except_clause",
            FUNCTION_NODE_KIND,
            LAMBDA_NODE_KIND,
            CLASS_NODE_KIND,
            "import_statement",
            "import_from_statement",
            "augmented_assignment",
        ]) {
            model.record_bindings(node);
        }
        Some(model)
    }

    fn index_nodes_and_scopes(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        let root: Node<'t> = self.root;
        let mut cursor = root.walk();
        self.add_scope(root);
        loop {
            let node = cursor.node();
            if node.is_named() {
                self.nodes_by_kind.entry(node.kind()).or_default().push(node);
                match node.kind() {
                    FUNCTION_NODE_KIND | LAMBDA_NODE_KIND | CLASS_NODE_KIND => self.add_scope(node),
                    "identifier" => {
                        let name = self.text(node);
                        self.identifier_nodes.entry(name).or_default().push(node);
                    }
                    _ => {}
                }
            }
            if cursor.goto_first_child() {
                self.parents.insert(cursor.node().id(), node);
                depth += 1;
                if depth > MAX_TREE_DEPTH {
                    return None;
                }
                continue;
            }
            loop {
                let above = self.parents.get(&cursor.node().id()).copied();
                if cursor.goto_next_sibling() {
                    if let Some(above) = above {
                        self.parents.insert(cursor.node().id(), above);
                    }
                    break;
                }
                if !cursor.goto_parent() {
                    return Some(());
                }
                depth = depth.saturating_sub(1);
            }
        }
    }

    fn add_scope(&mut self, node: Node<'t>) {
        let scope = FlowScope { node, names: BTreeMap::new(), attributes: BTreeMap::new() };
        self.scopes.insert(node.id(), scope);
    }

    /// Records the names that a node binds.
    fn record_bindings(&mut self, node: Node<'t>) {
        match node.kind() {
            "assignment" => {
                let (left, right) = (node.child_by_field_name("left"), node.child_by_field_name("right"));
                match (left, right) {
                    (Some(left), Some(right)) => self.bind_target(left, FlowBinding::Value(right)),
                    // The statement declares the type of a name without a value. Such a name is handled like
                    // a parameter.
                    (Some(left), None) => self.bind_target(left, FlowBinding::Parameter(node)),
                    (None, _) => {}
                }
            }
            "augmented_assignment" => {
                if let Some(left) = node.child_by_field_name("left") {
                    self.bind_target(left, FlowBinding::Unknown);
                }
            }
            "named_expression" => {
                if let Some((name, value)) =
                    node.child_by_field_name("name").zip(node.child_by_field_name("value"))
                {
                    self.bind_target(name, FlowBinding::Value(value));
                }
            }
            "with_item" => {
                let pattern = node.child_by_field_name("value").filter(|it| it.kind() == "as_pattern");
                if let Some(pattern) = pattern
                    && let Some((value, alias)) =
                        pattern.named_child(0).zip(pattern.child_by_field_name("alias"))
                {
                    let how = self.with_kind(node);
                    let target = alias.named_child(0).unwrap_or(alias);
                    self.bind_target(target, FlowBinding::EnteredContext(value, how));
                }
            }
            "for_statement" | "for_in_clause" => {
                if let Some((left, right)) =
                    node.child_by_field_name("left").zip(node.child_by_field_name("right"))
                {
                    self.bind_target(left, FlowBinding::ValuePart(right));
                }
            }
            "except_clause" => {
                let pattern = node.named_child(0).filter(|it| it.kind() == "as_pattern");
                if let Some(alias) = pattern.and_then(|it| it.child_by_field_name("alias")) {
                    self.bind_target(alias.named_child(0).unwrap_or(alias), FlowBinding::Unknown);
                }
            }
            FUNCTION_NODE_KIND | CLASS_NODE_KIND => {
                if let Some(name) = node.child_by_field_name("name") {
                    self.bind_target(name, FlowBinding::Definition(node));
                }
                self.bind_parameters(node);
            }
            LAMBDA_NODE_KIND => self.bind_parameters(node),
            "import_statement" | "import_from_statement" => self.bind_import(node),
            _ => {}
        }
    }

    fn bind_parameters(&mut self, function: Node<'t>) {
        for parameter in self.parameters(function) {
            if let Some(name) = self.parameter_name(parameter) {
                self.insert_binding(function.id(), name, FlowBinding::Parameter(parameter));
            }
        }
    }

    fn bind_import(&mut self, node: Node<'t>) {
        let from = node.child_by_field_name("module_name");
        let mut cursor = node.walk();
        let names: Vec<Node<'t>> = node.children_by_field_name("name", &mut cursor).collect();
        let scope = self.enclosing_scope(node).id();
        for imported in names {
            let (name, alias) = match imported.kind() {
                "aliased_import" => {
                    (imported.child_by_field_name("name"), imported.child_by_field_name("alias"))
                }
                _ => (Some(imported), None),
            };
            let Some(name) = name else { continue };
            let whole = self.text(name);
            let bound = match (alias, from) {
                (Some(alias), _) => self.text(alias),
                (None, Some(_)) => whole,
                (None, None) => whole.split('.').next().unwrap_or(whole),
            };
            // `import a.b` binds `a`.
            let is_head = alias.is_none() && from.is_none();
            self.insert_binding(scope, bound, FlowBinding::Import(name, from, is_head));
        }
    }

    fn bind_target(&mut self, target: Node<'t>, binding: FlowBinding<'t>) {
        match target.kind() {
            "identifier" => {
                let mut scope = self.enclosing_scope(target);
                // The name of a definition belongs to the scope around the definition. Comprehensions belong
                // to the scope of their function.
                if matches!(binding, FlowBinding::Definition(node) if node.id() == scope.id()) {
                    scope = self.enclosing_scope(scope);
                }
                self.insert_binding(scope.id(), self.text(target), binding);
            }
            "attribute" => {
                let (Some(object), Some(name)) =
                    (target.child_by_field_name("object"), target.child_by_field_name("attribute"))
                else {
                    return;
                };
                if let Some(class) = self.class_of_self(object)
                    && let Some(scope) = self.scopes.get_mut(&class.id())
                {
                    let name = self.text.get(name.byte_range()).unwrap_or_default();
                    scope.attributes.entry(name).or_default().push(binding);
                }
            }
            "pattern_list"
            | "tuple_pattern"
            | "list_pattern"
            | "tuple"
            | "list"
            | "parenthesized_expression"
            | "list_splat_pattern" => self.bind_unpacked_targets(target, binding),
            _ => {}
        }
    }

    /// Binds each target of `a, b = …` to the corresponding expression. This requires that the right side is
    /// a list or tuple with an expression for each target.
    fn bind_unpacked_targets(&mut self, target: Node<'t>, binding: FlowBinding<'t>) {
        let targets = named_children(target);
        let values = match binding {
            FlowBinding::Value(value) if matches!(value.kind(), "expression_list" | "tuple" | "list") => {
                named_children(value)
            }
            FlowBinding::Value(_)
            | FlowBinding::ValuePart(_)
            | FlowBinding::EnteredContext(..)
            | FlowBinding::Parameter(_)
            | FlowBinding::Definition(_)
            | FlowBinding::Import(..)
            | FlowBinding::Unknown => Vec::new(),
        };
        let is_matched = values.len() == targets.len();
        for (index, target) in targets.into_iter().enumerate() {
            let part = match (values.get(index).filter(|_| is_matched), binding) {
                (Some(value), _) => FlowBinding::Value(*value),
                (None, FlowBinding::Value(value) | FlowBinding::ValuePart(value)) => {
                    FlowBinding::ValuePart(value)
                }
                (
                    None,
                    FlowBinding::EnteredContext(..)
                    | FlowBinding::Parameter(_)
                    | FlowBinding::Definition(_)
                    | FlowBinding::Import(..)
                    | FlowBinding::Unknown,
                ) => FlowBinding::Unknown,
            };
            self.bind_target(target, part);
        }
    }

    fn insert_binding(&mut self, scope: usize, name: &'t str, binding: FlowBinding<'t>) {
        if let Some(scope) = self.scopes.get_mut(&scope) {
            scope.names.entry(name).or_default().push(binding);
        }
    }

    /// Counts a step. Returns false once the limit of steps or of time is reached.
    pub(super) fn spend_step(&self) -> bool {
        self.spend_steps(1)
    }

    /// Returns true if a limit was reached, and results are therefore incomplete.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps.get() == 0
    }

    fn spend_steps(&self, steps: usize) -> bool {
        let before = self.steps.get();
        let mut left = before.saturating_sub(steps);
        if left / STEPS_PER_TIME_CHECK != before / STEPS_PER_TIME_CHECK && !(self.has_time)() {
            left = 0;
        }
        self.steps.set(left);
        left > 0
    }

    pub(super) fn root(&self) -> Node<'t> {
        self.root
    }

    pub(super) fn text(&self, node: Node<'_>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    pub(super) fn parent(&self, node: Node<'t>) -> Option<Node<'t>> {
        self.parents.get(&node.id()).copied().filter(|_| self.spend_steps(1))
    }

    /// Returns the ancestors of a node, innermost first.
    pub(super) fn ancestors(&self, node: Node<'t>) -> impl Iterator<Item = Node<'t>> {
        std::iter::successors(self.parent(node), |at| self.parent(*at))
    }

    /// Returns all nodes of these kinds, in the order of the text.
    pub(super) fn nodes_of_kinds(&self, kinds: &[&str]) -> Vec<Node<'t>> {
        let mut nodes: Vec<Node<'t>> =
            kinds.iter().filter_map(|kind| self.nodes_by_kind.get(*kind)).flatten().copied().collect();
        nodes.sort_by_key(|node| (node.start_byte(), std::cmp::Reverse(node.end_byte())));
        nodes.truncate(if self.spend_steps(nodes.len()) { nodes.len() } else { 0 });
        nodes
    }

    /// Returns all nodes of these kinds within a node.
    pub(super) fn nodes_within(&self, node: Node<'t>, kinds: &[&str]) -> Vec<Node<'t>> {
        let mut found = Vec::new();
        for all in kinds.iter().filter_map(|kind| self.nodes_by_kind.get(*kind)) {
            let first = all.partition_point(|it| it.start_byte() < node.start_byte());
            let within = all.iter().skip(first).take_while(|it| it.start_byte() < node.end_byte());
            found.extend(within.copied());
        }
        found.sort_by_key(Node::start_byte);
        found.truncate(if self.spend_steps(found.len()) { found.len() } else { 0 });
        found
    }

    /// Returns all nodes with the text `name` that are a name or the attribute name after a dot.
    pub(super) fn identifier_nodes(&self, name: &str) -> &[Node<'t>] {
        let all = self.identifier_nodes.get(name).map(Vec::as_slice).unwrap_or_default();
        if self.spend_steps(all.len()) { all } else { &[] }
    }

    /// Returns the innermost scope that contains a node. The default values, decorators and annotations of a
    /// function are outside of the function's scope.
    pub(super) fn enclosing_scope(&self, node: Node<'t>) -> Node<'t> {
        let mut inner = node;
        for outer in self.ancestors(node) {
            let is_inside = match outer.kind() {
                FUNCTION_NODE_KIND | LAMBDA_NODE_KIND => {
                    let body = outer.child_by_field_name("body").map(|it| it.id());
                    Some(inner.id()) == body
                }
                CLASS_NODE_KIND => outer.child_by_field_name("body").map(|it| it.id()) == Some(inner.id()),
                _ => false,
            };
            if is_inside {
                return outer;
            }
            inner = outer;
        }
        self.root
    }

    /// Returns the innermost function, lambda or module around a node.
    pub(super) fn enclosing_function(&self, node: Node<'t>) -> Node<'t> {
        let mut scope = self.enclosing_scope(node);
        while scope.kind() == CLASS_NODE_KIND {
            scope = self.enclosing_scope(scope);
        }
        scope
    }

    /// Returns the innermost class around a node. The node may be in a method or in a function within a
    /// method.
    pub(super) fn enclosing_class(&self, node: Node<'t>) -> Option<Node<'t>> {
        self.ancestors(node).find(|it| it.kind() == CLASS_NODE_KIND)
    }

    /// Returns the class that `self` or `cls` refers to, if the node is one of these names.
    pub(super) fn class_of_self(&self, object: Node<'t>) -> Option<Node<'t>> {
        let is_self = object.kind() == "identifier" && matches!(self.text(object), "self" | "cls");
        if is_self { self.enclosing_class(object) } else { None }
    }

    /// Returns the bindings of a name that is visible at this node, and the scope of these bindings. `None`
    /// if no visible scope of the file binds the name.
    pub(super) fn find_bindings(&self, name: &str, node: Node<'t>) -> Option<(&[FlowBinding<'t>], Node<'t>)> {
        let mut scope = self.enclosing_scope(node);
        let mut is_first = true;
        loop {
            if let Some(known) = self.scopes.get(&scope.id())
                && (is_first || scope.kind() != CLASS_NODE_KIND)
                && let Some(bound) = known.names.get(name)
            {
                return Some((bound, known.node));
            }
            if scope.id() == self.root.id() {
                return None;
            }
            is_first = false;
            scope = self.enclosing_scope(scope);
        }
    }

    /// Returns the bindings of a class's member: in the class body, and as an attribute of `self` in methods.
    pub(super) fn member_bindings(
        &self,
        class: Node<'t>,
        name: &str,
    ) -> impl Iterator<Item = FlowBinding<'t>> {
        let scope = self.scopes.get(&class.id());
        let in_body = scope.and_then(|scope| scope.names.get(name));
        let of_self = scope.and_then(|scope| scope.attributes.get(name));
        in_body.into_iter().chain(of_self).flatten().copied()
    }

    /// Returns true if the function or statement begins with `async`.
    pub(super) fn is_async(&self, node: Node<'t>) -> bool {
        node.child(0).is_some_and(|first| first.kind() == "async")
    }

    /// Returns true if a node runs as part of a coroutine. A node in a plain function or lambda that is
    /// nested in a coroutine does not run as part of the coroutine.
    pub(super) fn is_in_coroutine(&self, node: Node<'t>) -> bool {
        let function = self.enclosing_function(node);
        function.kind() == FUNCTION_NODE_KIND && self.is_async(function)
    }

    fn with_kind(&self, item: Node<'t>) -> WithKind {
        let statement = self.ancestors(item).find(|it| it.kind() == "with_statement");
        if statement.is_some_and(|it| self.is_async(it)) { WithKind::Async } else { WithKind::Sync }
    }

    pub(super) fn parameters(&self, function: Node<'t>) -> Vec<Node<'t>> {
        function.child_by_field_name("parameters").map(named_children).unwrap_or_default()
    }

    pub(super) fn parameter_name(&self, parameter: Node<'t>) -> Option<&'t str> {
        let name = match parameter.kind() {
            "identifier" => Some(parameter),
            "typed_parameter" => parameter.named_child(0).filter(|it| it.kind() == "identifier"),
            "default_parameter" | "typed_default_parameter" => parameter.child_by_field_name("name"),
            _ => None,
        };
        name.map(|name| self.text(name))
    }

    pub(super) fn decorators(&self, definition: Node<'t>) -> Vec<Node<'t>> {
        let decorated = self.parent(definition).filter(|it| it.kind() == "decorated_definition");
        let all = decorated.map(named_children).unwrap_or_default();
        all.into_iter().filter(|it| it.kind() == "decorator").collect()
    }

    /// Returns the values that a function returns, or the value of a lambda. Values that nested functions
    /// return are not included.
    pub(super) fn returned_values(&self, function: Node<'t>) -> Vec<Node<'t>> {
        if function.kind() == LAMBDA_NODE_KIND {
            return function.child_by_field_name("body").into_iter().collect();
        }
        let all = self.nodes_within(function, &["return_statement"]);
        let own = all.into_iter().filter(|it| self.enclosing_function(*it).id() == function.id());
        own.filter_map(|it| it.named_child(0)).collect()
    }

    /// Returns the values that a function yields.
    pub(super) fn yield_expressions(&self, function: Node<'t>) -> Vec<Node<'t>> {
        let all = self.nodes_within(function, &["yield"]);
        all.into_iter().filter(|it| self.enclosing_function(*it).id() == function.id()).collect()
    }
}

/// Returns a node's named children without comments.
pub(super) fn named_children(node: Node<'_>) -> Vec<Node<'_>> {
    node.named_children(&mut node.walk()).filter(|it| it.kind() != "comment").collect()
}

/// Returns true if the node is the parent's field with this name.
pub(super) fn is_field(parent: Node<'_>, field: &str, node: Node<'_>) -> bool {
    parent.child_by_field_name(field).is_some_and(|it| it.id() == node.id())
}
