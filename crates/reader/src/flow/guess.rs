//! Assumes the result of a call from the name of the called function or method.

use tree_sitter::Node;

use super::library_objects::operation_response;
use super::model::FlowBinding;
use super::operation_names;
use super::value::{FlowValue, FlowValueResolver, LibraryObject};

impl<'t> FlowValueResolver<'_, 't> {
    /// Returns the values that a call is assumed to return, judging by the called name. Some names are
    /// trusted only in files that use aiobotocore.
    pub(super) fn guess_values(
        &self,
        callee: Node<'t>,
        name: &str,
        arguments: &[Node<'t>],
    ) -> Vec<FlowValue<'t>> {
        let object = match callee.kind() {
            "attribute" => callee.child_by_field_name("object").map(|it| self.model.text(it)),
            _ => None,
        };
        if name == "_client_creator" && object == Some("self") && self.is_aio_file && !arguments.is_empty() {
            return vec![FlowValue::KnownObject(LibraryObject::ClientContext)];
        }
        let Some(object) = object else { return Vec::new() };
        let is_module = self.is_module_function(callee);
        let is_super = object.starts_with("super(");
        let is_creator = object.ends_with("creator");
        let names_session = object.to_ascii_lowercase().contains("session");
        let is_believed = self.is_aio_file
            || names_session && self.model.is_in_coroutine(callee) && !self.imports_sync_boto;
        let is_one = is_believed && !is_super && !is_module && !arguments.is_empty();
        match name {
            "create_client" if is_creator => {
                vec![FlowValue::Coroutine(vec![FlowValue::KnownObject(LibraryObject::Client)])]
            }
            "create_client" if is_one => vec![FlowValue::KnownObject(LibraryObject::ClientContext)],
            "_create_client" if is_one && names_session => {
                vec![FlowValue::Coroutine(vec![FlowValue::KnownObject(LibraryObject::ClientContext)])]
            }
            "client" | "resource" if self.is_aio_file && self.is_service_request(object, arguments) => {
                let is_client = name == "client";
                vec![FlowValue::KnownObject(if is_client {
                    LibraryObject::ClientContext
                } else {
                    LibraryObject::ResourceContext
                })]
            }
            _ if self.has_operation_argument(arguments) && operation_names::may_be_operation_name(name) => {
                let is_sure = !self.imports_sync_boto && !is_module && !is_super;
                if is_sure {
                    vec![FlowValue::Coroutine(vec![FlowValue::KnownObject(operation_response(name))])]
                } else {
                    Vec::new()
                }
            }
            "read" | "readinto" | "readlines"
                if !self.imports_sync_boto && operation_names::is_stream_key(object) =>
            {
                vec![FlowValue::Coroutine(Vec::new())]
            }
            "get_credentials" if names_session && !self.imports_sync_boto => {
                vec![FlowValue::Coroutine(vec![FlowValue::KnownObject(LibraryObject::AioCredentials)])]
            }
            "get_paginator" if !self.imports_sync_boto => {
                vec![FlowValue::KnownObject(LibraryObject::Paginator)]
            }
            "get_waiter" if !self.imports_sync_boto => vec![FlowValue::KnownObject(LibraryObject::Waiter)],
            "paginate" if !self.imports_sync_boto && self.has_operation_argument(arguments) => {
                vec![FlowValue::KnownObject(LibraryObject::PageIterator)]
            }
            "get_event_loop" | "get_running_loop" => vec![FlowValue::KnownObject(LibraryObject::EventLoop)],
            _ => Vec::new(),
        }
    }

    fn has_operation_argument(&self, arguments: &[Node<'t>]) -> bool {
        let named = arguments.iter().filter(|it| it.kind() == "keyword_argument");
        let mut names = named.filter_map(|it| it.child_by_field_name("name"));
        names.any(|name| operation_names::is_operation_argument(self.model.text(name)))
    }

    /// Returns true if the called function belongs to an imported module.
    fn is_module_function(&self, callee: Node<'t>) -> bool {
        let object = callee.child_by_field_name("object").filter(|it| it.kind() == "identifier");
        let Some(name) = object.map(|it| self.model.text(it)) else { return false };
        let bound = object.and_then(|it| self.model.find_bindings(name, it));
        let is_meant = operation_names::is_client_name(name) || name.ends_with("session");
        bound.is_some_and(|(bound, _)| {
            bound
                .iter()
                .any(|it| matches!(it, FlowBinding::Import(_, from, _) if from.is_none() || !is_meant))
        })
    }

    /// Returns true if the call requests a client or resource from a session. The name of the object must end
    /// with `session`, because objects of other types may also have a `client()` method.
    fn is_service_request(&self, object: &str, arguments: &[Node<'t>]) -> bool {
        let first = arguments.first().is_some_and(|it| it.kind() == "string");
        let object = object.trim_end_matches("()").to_ascii_lowercase();
        first && object.ends_with("session")
    }
}
