//! Finds uses of botocore classes and functions for which aiobotocore has an asynchronous version.

use tree_sitter::Node;

use super::FlowMatch;
use super::model::{FileBindings, is_field, named_children};
use super::table::{BOTOCORE_ITEMS, BotocoreItem};
use super::uses::name_uses_after;
use super::value::{FlowValue, FlowValueResolver, LibraryObject, callee_name, outermost_equal_value};

/// Classes that are often used only as containers of values.
const VALUE_CONTAINER_CLASSES: &[&str] =
    &["botocore.credentials.Credentials", "botocore.hooks.HierarchicalEmitter"];
/// Session classes. In coroutines, this rule does not report session classes, because the rule
/// `blocking-call` already reports their creation.
const SESSION_CLASSES: &[&str] = &[
    "boto3.Session",
    "boto3.client",
    "boto3.resource",
    "boto3.session.Session",
    "botocore.session.Session",
    "botocore.session.get_session",
];
/// Types of thread locks, which botocore's classes use and which aiobotocore replaces by the locks of
/// `asyncio`.
const THREAD_LOCK_TYPES: &[&str] = &[
    "threading.BoundedSemaphore",
    "threading.Condition",
    "threading.Event",
    "threading.Lock",
    "threading.RLock",
    "threading.Semaphore",
];
/// Arguments that only aiobotocore's configuration class accepts.
const AIO_CONFIG_OPTIONS: &[&str] = &["connector_args", "http_session_cls"];

/// Maximum number of levels of base classes that are followed.
const MAX_BASE_CLASS_DEPTH: u32 = 5;

/// Finds each use of a botocore class or function where aiobotocore's version is required.
/// `is_aiobotocore_file` is true for a file of aiobotocore itself.
pub(super) fn find_botocore_uses(
    values: &FlowValueResolver<'_, '_>,
    is_aiobotocore_file: bool,
) -> Vec<FlowMatch> {
    let model = values.model;
    let look = BotocoreItemFinder { values, model, is_aiobotocore_file };
    let calls = model.nodes_of_kinds(&["call"]).into_iter().filter(|call| look.is_wrong_call(*call));
    let mut found: Vec<FlowMatch> = calls.map(FlowMatch::from_node).collect();
    let names = model.nodes_of_kinds(&["identifier", "attribute"]).into_iter();
    found.extend(names.filter(|it| look.is_passed_uncalled(*it)).map(FlowMatch::from_node));
    found
}

struct BotocoreItemFinder<'v, 'm, 't> {
    values: &'v FlowValueResolver<'m, 't>,
    model: &'m FileBindings<'t>,
    is_aiobotocore_file: bool,
}

impl<'t> BotocoreItemFinder<'_, '_, 't> {
    /// Returns the table's entry for a class or a function. Returns the entry of the class for a method.
    fn find_botocore_item(&self, node: Node<'t>) -> Option<(&'static str, &'static BotocoreItem)> {
        let known = |value: &FlowValue<'t>| {
            let FlowValue::QualifiedName(path) = value else { return None };
            let class = path.rsplit_once('.').map(|(class, _)| class);
            let found = BOTOCORE_ITEMS.get_key_value(path.as_str());
            found.or_else(|| BOTOCORE_ITEMS.get_key_value(class?)).map(|(name, piece)| (*name, piece))
        };
        self.values.node_values(node).iter().find_map(known)
    }

    fn is_wrong_call(&self, call: Node<'t>) -> bool {
        let Some(callee) = call.child_by_field_name("function") else { return false };
        if self.is_wrong_config(call, callee) {
            return true;
        }
        let of_threads = |value: &FlowValue<'t>| {
            value.qualified_name().is_some_and(|path| THREAD_LOCK_TYPES.contains(&path))
        };
        if self.values.may_have_value(callee, of_threads) {
            // A lock is reported here only if it is returned. For a stored lock, the rule `blocking-call`
            // reports the coroutine that holds the lock.
            let is_given = self.model.parent(call).is_some_and(|it| it.kind() == "return_statement");
            return is_given
                && self.values.is_aio_file
                && (self.is_aiobotocore_file || self.is_in_aio_class(call));
        }
        let Some((name, piece)) = self.find_botocore_item(callee) else { return false };
        if SESSION_CLASSES.contains(&name) {
            return !self.model.is_in_coroutine(call) && self.is_used_by_aio(call, 3);
        }
        let is_as_written = self.has_original_name(callee, name);
        let is_function = name.rsplit('.').next().is_some_and(|it| it.starts_with(char::is_lowercase));
        if self.is_aiobotocore_file {
            return is_as_written;
        }
        let is_value = VALUE_CONTAINER_CLASSES.contains(&name);
        let works = !is_value && (piece.is_async || is_function);
        let in_aio_class = self.values.is_aio_file && self.is_in_aio_class(call) && !is_value;
        let in_coroutine = self.model.is_in_coroutine(call) && works && !self.values.imports_sync_boto;
        in_aio_class || in_coroutine || self.is_used_by_aio(call, 3)
    }

    /// Returns true if the call creates botocore's configuration class with an option that only aiobotocore's
    /// class accepts.
    fn is_wrong_config(&self, call: Node<'t>, callee: Node<'t>) -> bool {
        let is_config = |value: &FlowValue<'t>| {
            let FlowValue::QualifiedName(path) = value else { return false };
            path == "botocore.config.Config" || path == "botocore.client.Config"
        };
        let arguments = call.child_by_field_name("arguments").map(named_children).unwrap_or_default();
        let mut names = arguments.iter().filter_map(|it| it.child_by_field_name("name"));
        names.any(|name| AIO_CONFIG_OPTIONS.contains(&self.model.text(name)))
            && self.values.may_have_value(callee, is_config)
    }

    /// Returns true if the node wrongly uses a botocore class or function as a value, without calling it.
    /// Such a class or function is stored, used as a default, passed as an argument, or returned.
    fn is_passed_uncalled(&self, node: Node<'t>) -> bool {
        let Some(parent) = self.model.parent(node) else { return false };
        let place = match parent.kind() {
            "assignment" if is_field(parent, "right", node) => {
                let left = parent.child_by_field_name("left");
                let in_class = self.model.enclosing_scope(parent).kind() == "class_definition";
                let is_kept = left.is_some_and(|it| matches!(it.kind(), "subscript" | "attribute"));
                if is_kept || in_class { parent } else { return false }
            }
            "default_parameter" | "typed_default_parameter" if is_field(parent, "value", node) => parent,
            "pair" if is_field(parent, "value", node) => parent,
            "list" | "tuple" | "return_statement" | "expression_list" => parent,
            "conditional_expression" | "boolean_operator" => parent,
            "keyword_argument" if is_field(parent, "value", node) => {
                match self.model.parent(parent).filter(|it| it.kind() == "argument_list") {
                    Some(list) => list,
                    None => return false,
                }
            }
            "argument_list" => parent,
            _ => return false,
        };
        let Some((name, piece)) =
            self.find_botocore_item(node).filter(|(name, _)| self.refers_to_item_itself(node, name))
        else {
            return false;
        };
        if place.kind() == "argument_list"
            && (!self.is_argument_list(place) || SESSION_CLASSES.contains(&name))
        {
            return false;
        }
        if self.is_only_compared(node) {
            return false;
        }
        if self.is_aiobotocore_file {
            return self.has_original_name(node, name);
        }
        let to_aio = place.kind() == "argument_list" && self.is_aio_argument_list(place);
        let in_class = self.values.is_aio_file && piece.is_async && self.is_in_aio_class(node);
        !VALUE_CONTAINER_CLASSES.contains(&name) && (to_aio || in_class)
    }

    /// Returns true if the code refers to the class or function by its own name or by aiobotocore's name. An
    /// override imports the botocore class that it replaces under a different name.
    fn has_original_name(&self, node: Node<'t>, name: &str) -> bool {
        let text = self.model.text(node);
        text.ends_with(name.rsplit('.').next().unwrap_or(name)) || text.starts_with("Aio")
    }

    /// Returns true if the node refers to the class or function `name` itself, and not to one of its methods.
    fn refers_to_item_itself(&self, node: Node<'t>, name: &str) -> bool {
        self.values.may_have_value(node, |value| value.qualified_name() == Some(name))
    }

    /// Returns true if the list contains the arguments of a call, and false if it contains the bases of a
    /// class.
    fn is_argument_list(&self, list: Node<'t>) -> bool {
        self.model.parent(list).is_some_and(|it| it.kind() == "call")
    }

    /// Returns true if the class is only compared, used as a type, or passed to a function such as
    /// `isinstance`.
    fn is_only_compared(&self, node: Node<'t>) -> bool {
        let calls = self.model.ancestors(node).take_while(|it| !it.kind().ends_with("statement"));
        let asks = |call: Node<'t>| {
            let callee = call.child_by_field_name("function").map(|it| callee_name(self.model, it));
            let names = [
                "isinstance",
                "issubclass",
                "super",
                "cast",
                "TypeVar",
                "patch",
                "getsource",
                "hasattr",
                "getattr",
                "spec",
                "Mock",
                "MagicMock",
            ];
            callee.is_some_and(|it| names.contains(&it))
        };
        calls.into_iter().any(|it| {
            it.kind() == "comparison_operator" || it.kind() == "type" || it.kind() == "call" && asks(it)
        })
    }

    /// Returns true if the node is in a class that derives from a class of aiobotocore.
    fn is_in_aio_class(&self, node: Node<'t>) -> bool {
        self.model.enclosing_class(node).is_some_and(|class| self.is_aio_class(class))
    }

    fn is_aio_class(&self, class: Node<'t>) -> bool {
        self.is_aio_class_within(class, MAX_BASE_CLASS_DEPTH)
    }

    fn is_aio_class_within(&self, class: Node<'t>, max_bases: u32) -> bool {
        let Some(left) = max_bases.checked_sub(1) else { return false };
        self.values.base_classes(class).into_iter().any(|base| {
            self.values.may_have_value(base, |value| {
                value.qualified_name().is_some_and(is_aio_path)
                    || value.class().is_some_and(|other| self.is_aio_class_within(other, left))
            })
        })
    }

    /// Returns true if a value is passed to aiobotocore, or code awaits the value's methods.
    fn is_used_by_aio(&self, node: Node<'t>, max_hops: u32) -> bool {
        let Some(max_hops) = max_hops.checked_sub(1).filter(|_| self.model.spend_step()) else {
            return false;
        };
        let node = outermost_equal_value(self.model, node);
        let Some(parent) = self.model.parent(node) else { return false };
        match parent.kind() {
            "attribute" if is_field(parent, "object", node) => self.is_awaited(parent),
            "list" | "tuple" => self.is_used_by_aio(parent, max_hops),
            "argument_list" => self.is_aio_argument_list(parent),
            "keyword_argument" => self.model.parent(parent).is_some_and(|it| self.is_aio_argument_list(it)),
            "assignment" if is_field(parent, "right", node) => {
                let Some(left) = parent.child_by_field_name("left") else { return false };
                match left.kind() {
                    "identifier" => {
                        let scope = self.model.enclosing_function(left);
                        let uses = name_uses_after(self.model, left, scope);
                        uses.into_iter().any(|it| self.is_used_by_aio(it, max_hops))
                    }
                    "attribute" => self.is_stored_for_aio(left, max_hops),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    fn is_stored_for_aio(&self, target: Node<'t>, hops: u32) -> bool {
        let (Some(object), Some(name)) =
            (target.child_by_field_name("object"), target.child_by_field_name("attribute"))
        else {
            return false;
        };
        let is_credentials = self.values.is_aio_file
            && self.model.text(name) == "_credentials"
            && self.model.text(object).to_ascii_lowercase().ends_with("session");
        let of_session = is_credentials
            || self.values.may_be_object(object, &[LibraryObject::AioSession, LibraryObject::Aio3Session]);
        if of_session || self.model.class_of_self(object).is_some_and(|it| self.is_aio_class(it)) {
            return true;
        }
        let within = self.model.class_of_self(object).unwrap_or(self.model.root());
        let uses = self.model.identifier_nodes(self.model.text(name)).iter().copied();
        let mut inside = uses.filter(|it| {
            (within.start_byte()..within.end_byte()).contains(&it.start_byte()) && it.id() != name.id()
        });
        inside.any(|it| {
            let used = self.model.parent(it).filter(|parent| is_field(*parent, "attribute", it));
            used.is_some_and(|used| self.is_used_by_aio(used, hops))
        })
    }

    /// Returns true if the attribute is called, and the result is awaited, entered by `async with`, or
    /// iterated by `async for`.
    fn is_awaited(&self, attribute: Node<'t>) -> bool {
        let call = self.model.parent(attribute).filter(|it| is_field(*it, "function", attribute));
        let Some(call) = call else { return false };
        let node = outermost_equal_value(self.model, call);
        let mut above = self.model.ancestors(node);
        match above.next() {
            Some(parent) if parent.kind() == "await" => true,
            Some(parent) if matches!(parent.kind(), "for_statement" | "for_in_clause") => {
                self.model.is_async(parent)
            }
            Some(parent) if matches!(parent.kind(), "with_item" | "as_pattern") => {
                let with = self.model.ancestors(parent).find(|it| it.kind() == "with_statement");
                with.is_some_and(|it| self.model.is_async(it))
            }
            Some(parent) if parent.kind() == "argument_list" => {
                let call = self.model.parent(parent);
                let callee = call.and_then(|it| it.child_by_field_name("function"));
                callee.is_some_and(|it| self.model.text(it).ends_with("enter_async_context"))
            }
            _ => false,
        }
    }

    /// Returns true if the list contains arguments of a call to aiobotocore.
    fn is_aio_argument_list(&self, list: Node<'t>) -> bool {
        let call = self.model.parent(list).filter(|it| it.kind() == "call");
        let Some(callee) = call.and_then(|it| it.child_by_field_name("function")) else { return false };
        if self.values.is_aio_file && self.model.text(callee).ends_with(".register_component") {
            return !self.values.imports_sync_boto;
        }
        self.values.may_have_value(callee, |value| {
            value.qualified_name().is_some_and(is_aio_path)
                || value.class().is_some_and(|class| self.is_aio_class(class))
                || matches!(
                    value,
                    FlowValue::Method(LibraryObject::AioSession | LibraryObject::Aio3Session, _)
                )
        })
    }
}

fn is_aio_path(path: &str) -> bool {
    path.starts_with("aiobotocore.")
        || path.starts_with("aioboto3.")
        || path.rsplit('.').next().is_some_and(|it| it.starts_with("Aio") && it.len() > 3)
}
