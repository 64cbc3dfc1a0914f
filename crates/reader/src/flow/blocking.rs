//! Finds calls in coroutines that block the event loop: calls of blocking functions of libraries, of
//! synchronous clients, and of blocking functions in the same file.

use tree_sitter::Node;

use super::FlowMatch;
use super::model::{FileBindings, FlowBinding};
use super::operation_names;
use super::uses::name_uses_after;
use super::value::{FlowValue, FlowValueResolver, LibraryObject, callee_name};

/// Maximum depth to which calls within the file are followed.
const MAX_CALL_DEPTH: u32 = 3;

/// Full names of the functions that block.
const BLOCKING_FUNCTIONS: &[&str] = &[
    "asyncio.run",
    "boto3.Session",
    "boto3.client",
    "boto3.resource",
    "boto3.session.Session",
    "botocore.session.Session",
    "botocore.session.get_session",
    "concurrent.futures.as_completed",
    "concurrent.futures.wait",
    "fcntl.flock",
    "fcntl.lockf",
    "ftplib.FTP",
    "getpass.getpass",
    "input",
    "mysql.connector.connect",
    "os.popen",
    "os.system",
    "os.wait",
    "os.waitpid",
    "psycopg2.connect",
    "pymysql.connect",
    "select.select",
    "signal.pause",
    "signal.sigwait",
    "smtplib.SMTP",
    "smtplib.SMTP_SSL",
    "socket.create_connection",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "subprocess.run",
    "time.sleep",
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
    "urllib3.request",
];
/// Modules whose functions for HTTP requests block.
const HTTP_MODULES: &[&str] = &["requests", "httpx", "requests.api"];
const HTTP_REQUEST_FUNCTIONS: &[&str] =
    &["delete", "get", "head", "options", "patch", "post", "put", "request", "send", "stream", "urlopen"];

/// Methods of an `ssl.SSLContext` that read files. Only this class has methods with these names.
const CERTIFICATE_FILE_METHODS: &[&str] = &["load_cert_chain", "load_default_certs", "load_verify_locations"];

/// Finds each blocking call.
pub(super) fn find_blocking_calls(values: &FlowValueResolver<'_, '_>) -> Vec<FlowMatch> {
    let model = values.model;
    let look = BlockingFinder { values, model };
    let calls = model.nodes_of_kinds(&["call"]).into_iter();
    let mut found: Vec<FlowMatch> = calls
        .filter(|call| model.is_in_coroutine(*call) && look.is_blocking_call(*call))
        .map(FlowMatch::from_node)
        .collect();
    for node in model.nodes_of_kinds(&["with_statement"]) {
        if !model.is_async(node) && model.is_in_coroutine(node) && look.holds_lock_across_await(node) {
            found.extend(node.named_child(0).map(FlowMatch::from_node));
        }
    }
    found
}

struct BlockingFinder<'v, 'm, 't> {
    values: &'v FlowValueResolver<'m, 't>,
    model: &'m FileBindings<'t>,
}

impl<'t> BlockingFinder<'_, '_, 't> {
    fn is_blocking_call(&self, call: Node<'t>) -> bool {
        self.is_directly_blocking(call)
            || self.reads_file_to_send(call)
            || self.calls_blocking_function(call, MAX_CALL_DEPTH)
    }

    fn is_directly_blocking(&self, call: Node<'t>) -> bool {
        let Some(callee) = call.child_by_field_name("function") else { return false };
        if callee.kind() == "attribute" && CERTIFICATE_FILE_METHODS.contains(&callee_name(self.model, callee))
        {
            return !self.passes_only(call, "cadata");
        }
        self.values.may_have_value(callee, |value| {
            let Some((thing, name)) = value.method() else {
                return value.qualified_name().is_some_and(is_blocking_function) && !self.is_zero_sleep(call);
            };
            let is_of_boto = matches!(
                thing,
                LibraryObject::SyncClient | LibraryObject::SyncResource | LibraryObject::SyncSession
            );
            let object = callee.child_by_field_name("object");
            let is_told_elsewhere = || {
                object.is_some_and(|it| self.is_created_in_coroutine(it, MAX_CALL_DEPTH))
                    || self.is_used_as_async(call)
            };
            is_blocking_method(thing, name) && !(is_of_boto && is_told_elsewhere())
        })
    }

    /// Returns true if the client was created in the same coroutine. The call that creates the client is
    /// reported instead, because it is the first call that blocks.
    fn is_created_in_coroutine(&self, object: Node<'t>, max_hops: u32) -> bool {
        let Some(hops) = max_hops.checked_sub(1) else { return false };
        let mut root = object;
        loop {
            if root.kind() == "call" {
                let callee = root.child_by_field_name("function");
                let makes = |value: &FlowValue<'t>| {
                    value.qualified_name().is_some_and(is_blocking_function)
                        || matches!(value, FlowValue::Method(LibraryObject::SyncSession, _))
                };
                if callee.is_some_and(|it| self.values.may_have_value(it, makes)) {
                    return true;
                }
            }
            let inner =
                ["object", "function", "value"].iter().find_map(|field| root.child_by_field_name(field));
            match inner.or_else(|| root.named_child(0).filter(|_| root.kind() == "await")) {
                Some(inner) => root = inner,
                None => break,
            }
        }
        let function = self.model.enclosing_function(object);
        let bound = self
            .model
            .find_bindings(self.model.text(root), root)
            .filter(|(_, scope)| scope.id() == function.id());
        bound.is_some_and(|(bound, _)| {
            bound.iter().any(|bound| match bound {
                FlowBinding::Value(value)
                | FlowBinding::ValuePart(value)
                | FlowBinding::EnteredContext(value, _) => self.is_created_in_coroutine(*value, hops),
                FlowBinding::Parameter(_)
                | FlowBinding::Definition(_)
                | FlowBinding::Import(..)
                | FlowBinding::Unknown => false,
            })
        })
    }

    /// Returns true if the call is awaited or entered with `async with`. Another rule reports such code,
    /// because it wrongly expects an asynchronous client.
    fn is_used_as_async(&self, call: Node<'t>) -> bool {
        let mut above = self.model.ancestors(call);
        above.next().is_some_and(|it| {
            matches!(it.kind(), "await" | "with_item" | "as_pattern")
                && (it.kind() == "await"
                    || self
                        .model
                        .ancestors(it)
                        .find(|with| with.kind() == "with_statement")
                        .is_some_and(|with| self.model.is_async(with)))
        })
    }

    /// Returns true for `time.sleep(0)`, which does not wait.
    fn is_zero_sleep(&self, call: Node<'t>) -> bool {
        call.child_by_field_name("arguments").is_some_and(|it| self.model.text(it) == "(0)")
    }

    /// Returns true if the call has one argument, and the argument has this name. `load_verify_locations`
    /// reads no file for `cadata`.
    fn passes_only(&self, call: Node<'t>, name: &str) -> bool {
        let Some(arguments) = call.child_by_field_name("arguments") else { return false };
        let argument = arguments.named_child(0).filter(|_| arguments.named_child_count() == 1);
        let argument_name = argument.and_then(|argument| argument.child_by_field_name("name"));
        argument_name.is_some_and(|argument_name| self.model.text(argument_name) == name)
    }

    /// Returns true if the same coroutine also passes the function to another call, as to
    /// `asyncio.to_thread`. The author has then considered where the function runs: the direct call is for
    /// the case in which it does not wait.
    fn is_also_passed(&self, callee: Node<'t>) -> bool {
        let name = self.model.text(callee);
        let coroutine = self.model.enclosing_function(callee);
        self.model.nodes_within(coroutine, &["argument_list"]).into_iter().any(|arguments| {
            let mut cursor = arguments.walk();
            arguments.named_children(&mut cursor).any(|argument| self.model.text(argument) == name)
        })
    }

    /// Returns true if the call runs a function of this file that blocks.
    fn calls_blocking_function(&self, call: Node<'t>, max_calls: u32) -> bool {
        let Some(left) = max_calls.checked_sub(1).filter(|_| self.model.spend_step()) else { return false };
        let Some(callee) = call.child_by_field_name("function") else { return false };
        if max_calls == MAX_CALL_DEPTH && self.is_also_passed(callee) {
            return false;
        }
        let values = self.values.node_values(callee);
        values.iter().any(|value| {
            let FlowValue::Function(function) = value else { return false };
            let runs = !self.model.is_async(*function)
                && self.model.yield_expressions(*function).is_empty()
                && self.model.decorators(*function).is_empty();
            runs && self.model.nodes_within(*function, &["call"]).into_iter().any(|inner| {
                self.model.enclosing_function(inner).id() == function.id()
                    && (self.waits_for_io(inner) || self.calls_blocking_function(inner, left))
            })
        })
    }

    /// Returns true if the call blocks while it waits for something outside of the process. Calls that create
    /// a client do not count, because the calls of the client's operations are reported.
    fn waits_for_io(&self, call: Node<'t>) -> bool {
        let Some(callee) = call.child_by_field_name("function") else { return false };
        let makes = |value: &FlowValue<'t>| {
            value.qualified_name().is_some_and(|path| path.starts_with("boto") || path == "asyncio.run")
                || value.method().is_some_and(|(thing, _)| {
                    matches!(
                        thing,
                        LibraryObject::SyncSession
                            | LibraryObject::ThreadLock
                            | LibraryObject::EventLoop
                            | LibraryObject::BlockingConnection
                    )
                })
        };
        self.is_directly_blocking(call) && !self.values.may_have_value(callee, makes)
    }

    /// Returns true if the call reads a whole file whose content a client operation then sends.
    fn reads_file_to_send(&self, call: Node<'t>) -> bool {
        let Some(callee) = call.child_by_field_name("function") else { return false };
        let reads = self.values.may_have_value(callee, |value| {
            matches!(
                value,
                FlowValue::Method(LibraryObject::File, "read")
                    | FlowValue::Method(LibraryObject::FilePath, "read_bytes" | "read_text")
            )
        });
        let is_whole = call.child_by_field_name("arguments").is_some_and(|it| self.model.text(it) == "()");
        reads && is_whole && self.is_sent_by_operation(call)
    }

    fn is_sent_by_operation(&self, read: Node<'t>) -> bool {
        let is_operation_s = |node: Node<'t>| {
            let argument = self.model.parent(node).filter(|it| it.kind() == "keyword_argument");
            let name = argument.and_then(|it| it.child_by_field_name("name"));
            name.is_some_and(|name| operation_names::is_operation_argument(self.model.text(name)))
        };
        let kept = self.model.parent(read).filter(|it| it.kind() == "assignment");
        let name = kept.and_then(|it| it.child_by_field_name("left")).filter(|it| it.kind() == "identifier");
        is_operation_s(read)
            || name.is_some_and(|name| {
                name_uses_after(self.model, name, self.model.enclosing_function(read))
                    .into_iter()
                    .any(is_operation_s)
            })
    }

    /// Returns true if the `with_statement` holds a lock of the module `threading` during an `await`.
    fn holds_lock_across_await(&self, with_statement: Node<'t>) -> bool {
        let awaits = self.model.nodes_within(with_statement, &["await"]);
        let function = self.model.enclosing_function(with_statement);
        if !awaits.into_iter().any(|it| self.model.enclosing_function(it).id() == function.id()) {
            return false;
        }
        let Some(clause) = with_statement.named_child(0) else { return false };
        let items = self.model.nodes_within(clause, &["with_item"]);
        items.into_iter().filter_map(|it| it.child_by_field_name("value")).any(|value| {
            let value = if value.kind() == "as_pattern" { value.named_child(0) } else { Some(value) };
            value.is_some_and(|it| self.values.may_be_object(it, &[LibraryObject::ThreadLock]))
        })
    }
}

fn is_blocking_function(path: &str) -> bool {
    let of_http = path.rsplit_once('.').is_some_and(|(module, name)| {
        HTTP_MODULES.contains(&module) && HTTP_REQUEST_FUNCTIONS.contains(&name)
    });
    of_http || BLOCKING_FUNCTIONS.contains(&path)
}

fn is_blocking_method(object: LibraryObject, name: &str) -> bool {
    let is_type = name.starts_with(char::is_uppercase) || name.starts_with('_');
    match object {
        LibraryObject::SyncClient => {
            let is_plain = matches!(
                name,
                "get_paginator"
                    | "get_waiter"
                    | "can_paginate"
                    | "generate_presigned_url"
                    | "generate_presigned_post"
                    | "close"
                    | "meta"
                    | "exceptions"
            );
            !is_plain && !is_type
        }
        LibraryObject::SyncResource => {
            !is_type && !matches!(name, "batch_writer" | "get_available_subresources")
        }
        LibraryObject::SyncSession => {
            matches!(name, "client" | "resource" | "create_client" | "get_credentials")
        }
        LibraryObject::SyncHttpClient => HTTP_REQUEST_FUNCTIONS.contains(&name),
        LibraryObject::ThreadLock => name == "acquire",
        LibraryObject::ThreadEvent => name == "wait",
        LibraryObject::Thread => name == "join",
        LibraryObject::ThreadQueue => matches!(name, "get" | "join"),
        LibraryObject::Process => matches!(name, "wait" | "communicate"),
        LibraryObject::Future => matches!(name, "result" | "exception"),
        LibraryObject::EventLoop => matches!(name, "run_until_complete" | "run_forever"),
        LibraryObject::BlockingConnection => matches!(
            name,
            "connect"
                | "recv"
                | "accept"
                | "sendall"
                | "login"
                | "sendmail"
                | "send_message"
                | "retrbinary"
                | "storbinary"
                | "execute"
                | "executemany"
                | "executescript"
                | "commit"
                | "fetchall"
                | "fetchone"
                | "blpop"
                | "brpop"
                | "hget"
                | "hset"
                | "get"
                | "set"
                | "publish"
                | "ping"
                | "exec_command"
        ),
        LibraryObject::AioSession
        | LibraryObject::Aio3Session
        | LibraryObject::ClientContext
        | LibraryObject::ResourceContext
        | LibraryObject::Client
        | LibraryObject::Resource
        | LibraryObject::ResourceCollection
        | LibraryObject::Paginator
        | LibraryObject::PageIterator
        | LibraryObject::Waiter
        | LibraryObject::Response
        | LibraryObject::StreamingResponse(_)
        | LibraryObject::BodyStream
        | LibraryObject::EventStream
        | LibraryObject::AioCredentials
        | LibraryObject::AsyncHttpClient
        | LibraryObject::File
        | LibraryObject::FilePath
        | LibraryObject::AsyncLock => false,
        LibraryObject::Executor => matches!(name, "map" | "starmap" | "apply"),
    }
}
