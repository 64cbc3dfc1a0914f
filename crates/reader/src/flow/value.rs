//! Determines the possible values of an expression from the code of its file. Follows imports, and follows
//! values that are called, awaited or entered. If the file does not determine a value, the expression has no
//! values.

// long: one evaluator of expressions, with a function for each kind of node.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use tree_sitter::Node;

pub(super) use super::library_objects::LibraryObject;
use super::library_objects::{
    await_values, collection_method_values, enter_values, import_call_values, is_resource_collection,
    item_values, method_call_values, object_of_type, unpack_value,
};
use super::model::{FileBindings, FlowBinding, WithKind, is_field, named_children};
use super::operation_names;
use super::table;

/// Maximum number of names and calls through which one value is followed.
const MAX_DEPTH: u32 = 14;
/// Maximum number of values of one expression.
const MAX_VALUES: usize = 12;

/// Possible value of an expression.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum FlowValue<'t> {
    /// Imported or built-in object, by its full name.
    QualifiedName(String),
    /// Function or lambda of this file.
    Function(Node<'t>),
    Class(Node<'t>),
    /// Instance of a class of this file.
    Instance(Node<'t>),
    /// Known object of a library.
    KnownObject(LibraryObject),
    /// Method of a known object.
    Method(LibraryObject, &'t str),
    /// Coroutine that returns these values.
    Coroutine(Vec<FlowValue<'t>>),
    /// Context that returns these values when code enters it.
    Context(Vec<FlowValue<'t>>),
    /// Function that returns these values when code calls it.
    Factory(Vec<FlowValue<'t>>),
    /// Collection of these values.
    Collection(Vec<FlowValue<'t>>),
}

impl<'t> FlowValue<'t> {
    /// Returns the full name of an imported or built-in object.
    pub(super) fn qualified_name(&self) -> Option<&str> {
        if let Self::QualifiedName(path) = self { Some(path) } else { None }
    }

    /// Returns the node of the class, if the value is a class of this file.
    pub(super) fn class(&self) -> Option<Node<'t>> {
        if let Self::Class(class) = self { Some(*class) } else { None }
    }

    /// Returns the library object and the name of its method, if the value is a method.
    pub(super) fn method(&self) -> Option<(LibraryObject, &'t str)> {
        if let Self::Method(thing, name) = self { Some((*thing, *name)) } else { None }
    }
}

/// Determines the values of a file's expressions, and caches them.
pub(super) struct FlowValueResolver<'m, 't> {
    pub(super) model: &'m FileBindings<'t>,
    /// True if the file imports aiobotocore, aioboto3 or their types, belongs to aiobotocore, or defines a
    /// class whose name begins like an override's name.
    pub(super) is_aio_file: bool,
    /// True if the file imports boto3 or botocore's session.
    pub(super) imports_sync_boto: bool,
    /// Cached values by node. Each entry also contains the depth that remained when the values were resolved.
    cache: RefCell<HashMap<usize, (u32, Vec<FlowValue<'t>>)>>,
    /// Nodes whose values are being resolved.
    active_nodes: RefCell<HashSet<usize>>,
}

impl<'m, 't> FlowValueResolver<'m, 't> {
    /// Creates a resolver for the values of a file. `is_aiobotocore_file` is true for a file of aiobotocore.
    pub(super) fn new(model: &'m FileBindings<'t>, is_aiobotocore_file: bool) -> Self {
        let (mut is_aio, mut is_sync) = (is_aiobotocore_file, false);
        for node in model.nodes_of_kinds(&["import_statement", "import_from_statement"]) {
            let from = node.child_by_field_name("module_name").map(|it| model.text(it));
            let mut cursor = node.walk();
            let named = node.children_by_field_name("name", &mut cursor).map(|it| model.text(it));
            let names: Vec<&str> = from.map_or_else(|| named.collect(), |from| vec![from]);
            for name in names {
                let head = name.split(['.', ' ']).next().unwrap_or_default();
                is_aio |= matches!(head, "aiobotocore" | "aioboto3" | "types_aiobotocore" | "types_aioboto3")
                    || head.starts_with("types_aiobotocore_");
                let is_session = name.starts_with("botocore.session") || from.is_none() && name == "botocore";
                is_sync |= head == "boto3" || is_session;
            }
        }
        let is_override = |class: &Node<'t>| {
            let name = class.child_by_field_name("name").map(|it| model.text(it).trim_start_matches('_'));
            name.is_some_and(|name| ["Aio", "AIO", "Anyio"].iter().any(|it| name.starts_with(it)))
        };
        is_aio |= model.nodes_of_kinds(&["class_definition"]).iter().any(is_override);
        let (cache, active) = (RefCell::default(), RefCell::default());
        Self { model, is_aio_file: is_aio, imports_sync_boto: is_sync, cache, active_nodes: active }
    }

    /// Returns the values that an expression may have.
    pub(super) fn node_values(&self, node: Node<'t>) -> Vec<FlowValue<'t>> {
        self.resolve_values(node, MAX_DEPTH)
    }

    /// Returns true if `predicate` is true for a value that the expression may have.
    pub(super) fn may_have_value(&self, node: Node<'t>, predicate: impl Fn(&FlowValue<'t>) -> bool) -> bool {
        self.node_values(node).iter().any(predicate)
    }

    /// Returns true if an expression may be one of these library objects.
    pub(super) fn may_be_object(&self, node: Node<'t>, objects: &[LibraryObject]) -> bool {
        self.may_have_value(
            node,
            |value| matches!(value, FlowValue::KnownObject(thing) if objects.contains(thing)),
        )
    }

    fn resolve_values(&self, node: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        if let Some((known, values)) = self.cache.borrow().get(&node.id())
            && *known >= depth
        {
            return values.clone();
        }
        // The values of this node depend on themselves, so the recursion ends here without values.
        if !self.active_nodes.borrow_mut().insert(node.id()) {
            return Vec::new();
        }
        let values = self.compute_values(node, depth);
        self.active_nodes.borrow_mut().remove(&node.id());
        self.cache.borrow_mut().insert(node.id(), (depth, values.clone()));
        values
    }

    fn compute_values(&self, node: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        let Some(depth) = depth.checked_sub(1).filter(|_| self.model.spend_step()) else { return Vec::new() };
        let field = |name: &str| node.child_by_field_name(name);
        let of =
            |node: Option<Node<'t>>| node.map(|node| self.resolve_values(node, depth)).unwrap_or_default();
        let mut values = match node.kind() {
            "identifier" => self.name_values(node, depth),
            "attribute" => self.attribute_values(node, depth),
            "call" => self.call_expression_values(node, depth),
            "await" => await_values(of(node.named_child(0))),
            "parenthesized_expression" | "expression_list" => of(named_children(node).first().copied()),
            "named_expression" => of(field("value")),
            "lambda" => vec![FlowValue::Function(node)],
            "conditional_expression" => {
                let parts = named_children(node);
                let ends = parts.first().into_iter().chain(parts.get(2));
                ends.flat_map(|it| self.resolve_values(*it, depth)).collect()
            }
            "boolean_operator" => {
                let sides = field("left").into_iter().chain(field("right"));
                sides.flat_map(|it| self.resolve_values(it, depth)).collect()
            }
            "list" | "tuple" | "set" => {
                let parts = named_children(node);
                vec![FlowValue::Collection(
                    parts.into_iter().flat_map(|it| self.resolve_values(it, depth)).collect(),
                )]
            }
            "dictionary" => {
                let pairs = named_children(node).into_iter().filter_map(|it| it.child_by_field_name("value"));
                vec![FlowValue::Collection(pairs.flat_map(|it| self.resolve_values(it, depth)).collect())]
            }
            "list_comprehension" | "set_comprehension" | "generator_expression" => {
                vec![FlowValue::Collection(of(field("body")))]
            }
            "dictionary_comprehension" => {
                vec![FlowValue::Collection(of(field("body").and_then(|it| it.child_by_field_name("value"))))]
            }
            "subscript" => {
                let key = field("subscript").map(|it| self.model.text(it)).unwrap_or_default();
                of(field("value")).into_iter().flat_map(|value| item_values(value, key)).collect()
            }
            _ => Vec::new(),
        };
        values.truncate(MAX_VALUES);
        values
    }

    fn name_values(&self, node: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        let name = self.model.text(node);
        let Some((bound, _)) = self.model.find_bindings(name, node) else {
            return vec![FlowValue::QualifiedName(name.to_owned())];
        };
        if let Some(class) = self.model.class_of_self(node) {
            return vec![if name == "cls" { FlowValue::Class(class) } else { FlowValue::Instance(class) }];
        }
        bound.iter().flat_map(|bound| self.binding_values(*bound, depth)).collect()
    }

    /// Returns the values that a name with this binding may have.
    pub(super) fn binding_values(&self, binding: FlowBinding<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        match binding {
            FlowBinding::Value(node) => self.resolve_values(node, depth),
            FlowBinding::ValuePart(node) => {
                self.resolve_values(node, depth).into_iter().flat_map(unpack_value).collect()
            }
            FlowBinding::EnteredContext(node, how) => {
                let given = self.resolve_values(node, depth);
                if given.is_empty()
                    && how == WithKind::Async
                    && self.is_aio_file
                    && self.is_client_by_name(node)
                {
                    return vec![FlowValue::KnownObject(LibraryObject::Client)];
                }
                enter_values(given, how)
            }
            FlowBinding::Parameter(node) => {
                let annotated =
                    node.child_by_field_name("type").map(|it| self.annotation_values(it)).unwrap_or_default();
                let default = node.child_by_field_name("value").map(|it| self.resolve_values(it, depth));
                let given: Vec<FlowValue<'t>> =
                    annotated.into_iter().chain(default.unwrap_or_default()).collect();
                if given.is_empty() { self.argument_values(node, depth) } else { given }
            }
            FlowBinding::Definition(node) if node.kind() == "class_definition" => {
                vec![FlowValue::Class(node)]
            }
            FlowBinding::Definition(node) => vec![FlowValue::Function(node)],
            FlowBinding::Import(name, from, is_head) => {
                vec![FlowValue::QualifiedName(self.imported_path(name, from, is_head))]
            }
            FlowBinding::Unknown => Vec::new(),
        }
    }

    /// Returns the values that calls in this file pass to a parameter.
    fn argument_values(&self, parameter: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        let model = self.model;
        let parameters = model.parent(parameter).filter(|it| it.kind() == "parameters");
        let function = parameters.and_then(|it| model.parent(it));
        let name =
            model.parameter_name(parameter).zip(function.and_then(|it| it.child_by_field_name("name")));
        let (Some((own, name)), Some(function)) = (name, function) else { return Vec::new() };
        let all = model.parameters(function);
        let is_method = all.first().is_some_and(|it| matches!(model.text(*it), "self" | "cls"));
        let Some(index) = all.iter().position(|it| it.id() == parameter.id()) else { return Vec::new() };
        let index = index.saturating_sub(usize::from(is_method));
        let called = match (model.text(name), model.enclosing_class(function)) {
            ("__init__", Some(class)) => class.child_by_field_name("name").map(|it| model.text(it)),
            (called, _) => Some(called),
        };
        let mut found = Vec::new();
        for mention in model.identifier_nodes(called.unwrap_or_default()).iter().take(MAX_VALUES) {
            let callee = match model.parent(*mention) {
                Some(attribute) if is_field(attribute, "attribute", *mention) => attribute,
                _ => *mention,
            };
            let call =
                model.parent(callee).filter(|it| it.kind() == "call" && is_field(*it, "function", callee));
            let arguments = call.and_then(|it| it.child_by_field_name("arguments")).map(named_children);
            let arguments = arguments.unwrap_or_default();
            let is_own = |it: &&Node<'t>| {
                it.kind() == "keyword_argument"
                    && it.child_by_field_name("name").is_some_and(|name| model.text(name) == own)
            };
            let named = arguments.iter().find(is_own).and_then(|it| it.child_by_field_name("value"));
            let is_plain =
                |it: &&Node<'t>| !matches!(it.kind(), "keyword_argument" | "list_splat" | "dictionary_splat");
            if let Some(argument) = named.or_else(|| arguments.get(index).filter(is_plain).copied()) {
                found.extend(self.resolve_values(argument, depth));
            }
        }
        found
    }

    fn imported_path(
        &self,
        name: Node<'t>,
        from_module: Option<Node<'t>>,
        binds_first_segment: bool,
    ) -> String {
        let name = self.model.text(name);
        match from_module {
            Some(from) => format!("{}.{name}", self.model.text(from)),
            None if binds_first_segment => name.split('.').next().unwrap_or(name).to_owned(),
            None => name.to_owned(),
        }
    }

    /// Returns the values that a variable with this annotation may have.
    fn annotation_values(&self, annotation: Node<'t>) -> Vec<FlowValue<'t>> {
        let mut found = Vec::new();
        let mut named = |path: &str| {
            if let Some(thing) = object_of_type(path) {
                found.push(FlowValue::KnownObject(thing));
            }
        };
        for name in self.model.nodes_within(annotation, &["identifier", "attribute"]) {
            for value in self.resolve_values(name, 3) {
                match value {
                    FlowValue::QualifiedName(path) => named(&path),
                    FlowValue::Class(class) => return vec![FlowValue::Instance(class)],
                    FlowValue::Function(_)
                    | FlowValue::Instance(_)
                    | FlowValue::KnownObject(_)
                    | FlowValue::Method(..)
                    | FlowValue::Coroutine(_)
                    | FlowValue::Context(_)
                    | FlowValue::Factory(_)
                    | FlowValue::Collection(_) => {}
                }
            }
        }
        // The annotation may contain the type as a string.
        for text in self.model.nodes_within(annotation, &["string_content"]) {
            for name in
                self.model.text(text).split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.')))
            {
                let known = self.model.find_bindings(name, self.model.root());
                let paths = known.into_iter().flat_map(|(bound, _)| bound.to_vec());
                for value in paths.flat_map(|bound| self.binding_values(bound, 2)) {
                    if let FlowValue::QualifiedName(path) = value {
                        named(&path);
                    }
                }
            }
        }
        found
    }

    fn attribute_values(&self, node: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        let Some((object, attribute)) =
            node.child_by_field_name("object").zip(node.child_by_field_name("attribute"))
        else {
            return Vec::new();
        };
        let name = self.model.text(attribute);
        let mut found = Vec::new();
        for value in self.resolve_values(object, depth) {
            match value {
                FlowValue::QualifiedName(path) => {
                    found.push(FlowValue::QualifiedName(format!("{path}.{name}")));
                }
                FlowValue::Instance(class) | FlowValue::Class(class) => {
                    found.extend(self.member_values(class, name, depth));
                }
                FlowValue::KnownObject(LibraryObject::Resource) if is_resource_collection(name) => {
                    found.push(FlowValue::KnownObject(LibraryObject::ResourceCollection));
                }
                FlowValue::KnownObject(thing) => found.push(FlowValue::Method(thing, name)),
                FlowValue::Method(LibraryObject::Resource, "meta") if name == "client" => {
                    found.push(FlowValue::KnownObject(LibraryObject::Client));
                }
                FlowValue::Collection(inner) => found.extend(collection_method_values(name, inner)),
                FlowValue::Method(..)
                | FlowValue::Function(_)
                | FlowValue::Coroutine(_)
                | FlowValue::Context(_)
                | FlowValue::Factory(_) => {}
            }
        }
        if found.is_empty() && self.is_client_by_name(object) {
            let is_one = self.is_aio_file && operation_names::is_operation_name(name);
            if is_one || operation_names::is_aws_only_operation(name) {
                found.push(FlowValue::Method(LibraryObject::Client, name));
            }
        }
        found
    }

    /// Returns true if the object has a name that is conventional for clients, and the file's clients are not
    /// synchronous.
    fn is_client_by_name(&self, object: Node<'t>) -> bool {
        let is_plain = matches!(object.kind(), "identifier" | "attribute");
        is_plain && !self.imports_sync_boto && operation_names::is_client_name(self.model.text(object))
    }

    /// Returns the values of a class member. Searches the class and those of its bases that this file
    /// defines.
    pub(super) fn member_values(&self, class: Node<'t>, name: &str, depth: u32) -> Vec<FlowValue<'t>> {
        let Some(depth) = depth.checked_sub(1).filter(|_| self.model.spend_step()) else { return Vec::new() };
        let own: Vec<FlowBinding<'t>> = self.model.member_bindings(class, name).collect();
        let mut found = Vec::new();
        for bound in &own {
            match bound {
                FlowBinding::Definition(method) if self.is_property(*method) => {
                    found.extend(self.function_return_values(*method, depth));
                }
                FlowBinding::Value(_)
                | FlowBinding::ValuePart(_)
                | FlowBinding::EnteredContext(..)
                | FlowBinding::Parameter(_)
                | FlowBinding::Definition(_)
                | FlowBinding::Import(..)
                | FlowBinding::Unknown => found.extend(self.binding_values(*bound, depth)),
            }
        }
        if own.is_empty() {
            for base in self.base_classes(class) {
                for value in self.resolve_values(base, depth) {
                    match value {
                        FlowValue::Class(base) if base.id() != class.id() => {
                            found.extend(self.member_values(base, name, depth));
                        }
                        FlowValue::QualifiedName(path) => {
                            found.extend(
                                object_of_type(&path)
                                    .map(|thing| FlowValue::Method(thing, intern_name(name, self.model))),
                            );
                        }
                        FlowValue::Class(_)
                        | FlowValue::Function(_)
                        | FlowValue::Instance(_)
                        | FlowValue::KnownObject(_)
                        | FlowValue::Method(..)
                        | FlowValue::Coroutine(_)
                        | FlowValue::Context(_)
                        | FlowValue::Factory(_)
                        | FlowValue::Collection(_) => {}
                    }
                }
            }
        }
        found
    }

    /// Returns the nodes of a class's base classes.
    pub(super) fn base_classes(&self, class: Node<'t>) -> Vec<Node<'t>> {
        let all = class.child_by_field_name("superclasses").map(named_children).unwrap_or_default();
        all.into_iter().filter(|it| it.kind() != "keyword_argument").collect()
    }

    fn is_decorated(&self, function: Node<'t>, names: &[&str]) -> bool {
        let ends_so = |decorator: &Node<'t>| {
            let text = self.model.text(*decorator).trim_start_matches('@').trim();
            let text = text.split('(').next().unwrap_or(text);
            names.contains(&text.rsplit('.').next().unwrap_or(text))
        };
        self.model.decorators(function).iter().any(ends_so)
    }

    /// Returns true if a method is a property, which is accessed like an attribute.
    pub(super) fn is_property(&self, method: Node<'t>) -> bool {
        self.is_decorated(method, &["property", "cached_property"])
    }

    /// Returns true if a decorator turns a generator function into a context manager. Entering the context
    /// manager returns the value that the function yields.
    pub(super) fn is_context_manager(&self, function: Node<'t>) -> bool {
        self.is_decorated(function, &["contextmanager", "asynccontextmanager"])
    }

    /// Returns the results of calling a function of this file.
    fn function_return_values(&self, function: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        let yields = self.model.yield_expressions(function);
        if !yields.is_empty() {
            let given = yields.into_iter().filter_map(|it| it.named_child(0));
            let given: Vec<FlowValue<'t>> = given.flat_map(|it| self.resolve_values(it, depth)).collect();
            let is_context = self.is_context_manager(function);
            return vec![if is_context { FlowValue::Context(given) } else { FlowValue::Collection(given) }];
        }
        let returned = self.model.returned_values(function);
        let given: Vec<FlowValue<'t>> =
            returned.into_iter().flat_map(|it| self.resolve_values(it, depth)).collect();
        if function.kind() == "function_definition" && self.model.is_async(function) {
            return vec![FlowValue::Coroutine(given)];
        }
        given
    }

    fn call_expression_values(&self, node: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        let Some(callee) = node.child_by_field_name("function") else { return Vec::new() };
        let arguments = node.child_by_field_name("arguments").map(named_children).unwrap_or_default();
        let first = || arguments.first().map(|it| self.resolve_values(*it, depth)).unwrap_or_default();
        let name = callee_name(self.model, callee);
        match name {
            "enter_async_context" => {
                return vec![FlowValue::Coroutine(enter_values(first(), WithKind::Async))];
            }
            "enter_context" => return enter_values(first(), WithKind::Sync),
            "__aenter__" => {
                let object = callee.child_by_field_name("object");
                let given = object.map(|it| enter_values(self.resolve_values(it, depth), WithKind::Async));
                return vec![FlowValue::Coroutine(given.unwrap_or_default())];
            }
            "get" | "pop" if callee.kind() == "attribute" => {
                let object = callee.child_by_field_name("object");
                let key = arguments.first().filter(|it| it.kind() == "string");
                let of_answer = |(object, key): (Node<'t>, &Node<'t>)| {
                    let answers = self.resolve_values(object, depth).into_iter();
                    let answers = answers.filter(|it| {
                        matches!(
                            it,
                            FlowValue::KnownObject(
                                LibraryObject::Response | LibraryObject::StreamingResponse(_)
                            )
                        )
                    });
                    answers.flat_map(|it| item_values(it, self.model.text(*key))).collect::<Vec<_>>()
                };
                let given = object.zip(key).map(of_answer).unwrap_or_default();
                if !given.is_empty() {
                    return given;
                }
            }
            _ => {}
        }
        if self.is_inherited_from_aio(callee, name) {
            return vec![FlowValue::Coroutine(Vec::new())];
        }
        let callees = self.resolve_values(callee, depth);
        let is_known = callees.iter().any(|it| matches!(it, FlowValue::Method(..) | FlowValue::Class(_)));
        let mut found = Vec::new();
        for value in callees {
            let FlowValue::QualifiedName(path) = value else {
                found.extend(self.call_values(value, depth));
                continue;
            };
            match path.as_str() {
                "contextlib.nullcontext" | "contextlib.closing" | "contextlib.aclosing" => {
                    found.push(FlowValue::Context(first()));
                }
                "functools.partial" => {
                    let made = first().into_iter().flat_map(|it| self.call_values(it, depth));
                    found.push(FlowValue::Factory(made.collect()));
                }
                "asyncio.wait_for" | "asyncio.shield" => found.extend(first()),
                "asyncio.gather" => {
                    let each = arguments.iter().flat_map(|it| match it.kind() {
                        "list_splat" => self.splat_values(*it, depth),
                        _ => self.resolve_values(*it, depth),
                    });
                    found.push(FlowValue::Coroutine(vec![FlowValue::Collection(await_values(
                        each.collect(),
                    ))]));
                }
                "map" => {
                    let made = first().into_iter().flat_map(|it| self.call_values(it, depth));
                    found.push(FlowValue::Collection(made.collect()));
                }
                "list" | "tuple" | "sorted" | "reversed" | "iter" => found.extend(first()),
                "typing.cast" | "cast" => {
                    let given = arguments.get(1).map(|it| self.resolve_values(*it, depth));
                    found.extend(given.unwrap_or_default());
                }
                path => found.extend(import_call_values(path)),
            }
        }
        if found.is_empty() && !is_known {
            return self.guess_values(callee, name, &arguments);
        }
        found
    }

    /// Returns the values of `*many`.
    fn splat_values(&self, node: Node<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        let many = node.named_child(0).map(|it| self.resolve_values(it, depth)).unwrap_or_default();
        many.into_iter().flat_map(unpack_value).collect()
    }

    /// Returns true if a base of the class is an aiobotocore class with a coroutine of this name.
    pub(super) fn inherits_coroutine(&self, class: Node<'t>, name: &str) -> bool {
        self.base_classes(class).into_iter().any(|base| {
            let base = self.model.text(base);
            table::has_coroutine(base.rsplit('.').next().unwrap_or(base), name)
        })
    }

    /// Returns true if the called method is a coroutine that the enclosing class inherits from aiobotocore
    /// and does not override.
    fn is_inherited_from_aio(&self, callee: Node<'t>, name: &str) -> bool {
        let object = callee.child_by_field_name("object").filter(|_| callee.kind() == "attribute");
        let Some(object) = object.map(|it| self.model.text(it)) else { return false };
        let Some(class) = self.model.enclosing_class(callee) else { return false };
        let is_own = object == "self" && self.model.member_bindings(class, name).next().is_none();
        (is_own || object == "super()") && self.inherits_coroutine(class, name)
    }

    /// Returns the results of calling a value.
    fn call_values(&self, value: FlowValue<'t>, depth: u32) -> Vec<FlowValue<'t>> {
        match value {
            FlowValue::QualifiedName(path) => import_call_values(&path),
            FlowValue::Function(function) => self.function_return_values(function, depth),
            FlowValue::Class(class) => vec![FlowValue::Instance(class)],
            FlowValue::Method(thing, name) => method_call_values(thing, name),
            FlowValue::Factory(values) => values,
            FlowValue::Instance(_)
            | FlowValue::KnownObject(_)
            | FlowValue::Coroutine(_)
            | FlowValue::Context(_)
            | FlowValue::Collection(_) => Vec::new(),
        }
    }
}

/// Returns a text that equals `name` and lives as long as the text of the file.
fn intern_name<'t>(name: &str, model: &FileBindings<'t>) -> &'t str {
    model.identifier_nodes(name).first().map(|it| model.text(*it)).unwrap_or_default()
}

/// Returns the last name of a called expression, such as `get` for `a.b.get`.
pub(super) fn callee_name<'t>(model: &FileBindings<'t>, callee: Node<'t>) -> &'t str {
    match callee.kind() {
        "attribute" => callee.child_by_field_name("attribute").map(|it| model.text(it)).unwrap_or_default(),
        "identifier" => model.text(callee),
        _ => "",
    }
}

/// Returns the outermost expression whose value may be this node's value. Parentheses, `or`, `if … else` and
/// assignment expressions are such expressions.
pub(super) fn outermost_equal_value<'t>(model: &FileBindings<'t>, node: Node<'t>) -> Node<'t> {
    let mut at = node;
    while let Some(parent) = model.parent(at) {
        let carries = match parent.kind() {
            "parenthesized_expression" | "boolean_operator" => true,
            "conditional_expression" => named_children(parent).get(1).map(|it| it.id()) != Some(at.id()),
            "named_expression" => is_field(parent, "value", at),
            _ => false,
        };
        if !carries {
            return at;
        }
        at = parent;
    }
    at
}
