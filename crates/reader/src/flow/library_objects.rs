//! Contains facts about libraries: their objects, the calls that create these objects, and the values that
//! methods return.

use super::model::WithKind;
use super::streams::{self, StreamKind};
use super::value::FlowValue;

/// Kinds of library objects, distinguished by their methods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LibraryObject {
    /// A session of aiobotocore.
    AioSession,
    /// A session of aioboto3.
    Aio3Session,
    /// A session of botocore or boto3.
    SyncSession,
    /// Result of aiobotocore's `create_client()`: a context that must be entered.
    ClientContext,
    /// Result of aioboto3's `resource()`: a context that must be entered.
    ResourceContext,
    /// Asynchronous client of a service.
    Client,
    /// Asynchronous resource, or a part of a resource.
    Resource,
    /// Collection of all parts of a resource that are of the same kind, such as a bucket's objects.
    ResourceCollection,
    Paginator,
    PageIterator,
    Waiter,
    /// Response of an operation.
    Response,
    /// Response of an operation that contains a stream.
    StreamingResponse(&'static str),
    /// Byte stream of a response.
    BodyStream,
    /// Event stream of a response.
    EventStream,
    AioCredentials,
    /// A client or resource of boto3 or botocore.
    SyncClient,
    SyncResource,
    /// An HTTP client that is asynchronous.
    AsyncHttpClient,
    /// Synchronous client for HTTP requests.
    SyncHttpClient,
    File,
    FilePath,
    ThreadLock,
    AsyncLock,
    ThreadEvent,
    Thread,
    ThreadQueue,
    Process,
    Executor,
    /// Result of submitting work to an executor.
    Future,
    EventLoop,
    /// A connection that blocks, such as a connection of `socket`, `smtplib` or `ftplib`.
    BlockingConnection,
}

/// Returns true if the part of a resource with this name is a collection.
pub(super) fn is_resource_collection(name: &str) -> bool {
    matches!(
        name,
        "objects"
            | "object_versions"
            | "multipart_uploads"
            | "buckets"
            | "tables"
            | "queues"
            | "topics"
            | "subscriptions"
            | "instances"
            | "images"
            | "volumes"
            | "users"
            | "roles"
            | "stacks"
            | "parts"
            | "snapshots"
            | "security_groups"
            | "vpcs"
            | "subnets"
            | "groups"
            | "policies"
            | "events"
    )
}

/// Returns true if accessing this part of a resource loads data from the service. The access then returns a
/// coroutine. Identifiers of a resource, such as its name or key, are not loaded.
pub(super) fn is_loaded_on_access(name: &str) -> bool {
    matches!(
        name,
        "accept_ranges"
            | "archive_status"
            | "attribute_definitions"
            | "attributes"
            | "body"
            | "cache_control"
            | "content_disposition"
            | "content_encoding"
            | "content_language"
            | "content_length"
            | "content_type"
            | "creation_date"
            | "creation_date_time"
            | "delete_marker"
            | "e_tag"
            | "expiration"
            | "global_secondary_indexes"
            | "image_id"
            | "instance_type"
            | "item_count"
            | "key_schema"
            | "last_modified"
            | "latest_stream_arn"
            | "launch_time"
            | "local_secondary_indexes"
            | "message_attributes"
            | "metadata"
            | "missing_meta"
            | "parts_count"
            | "private_ip_address"
            | "provisioned_throughput"
            | "public_dns_name"
            | "public_ip_address"
            | "replication_status"
            | "server_side_encryption"
            | "size"
            | "stack_status"
            | "state"
            | "storage_class"
            | "stream_specification"
            | "subnet_id"
            | "table_arn"
            | "table_size_bytes"
            | "table_status"
            | "vpc_id"
            | "website_redirect_location"
    )
}

/// Returns the kind of response of an operation.
pub(super) fn operation_response(operation: &str) -> LibraryObject {
    streams::streaming_operation(operation).map_or(LibraryObject::Response, LibraryObject::StreamingResponse)
}

/// Returns the values that result from awaiting these values.
pub(super) fn await_values(values: Vec<FlowValue<'_>>) -> Vec<FlowValue<'_>> {
    let one = |value| match value {
        FlowValue::Coroutine(given) => given,
        // Awaiting a client's context is an error, but the author intended to get the client, so the client
        // is returned.
        FlowValue::KnownObject(LibraryObject::ClientContext) => {
            vec![FlowValue::KnownObject(LibraryObject::Client)]
        }
        FlowValue::KnownObject(LibraryObject::ResourceContext) => {
            vec![FlowValue::KnownObject(LibraryObject::Resource)]
        }
        FlowValue::QualifiedName(_)
        | FlowValue::Function(_)
        | FlowValue::Class(_)
        | FlowValue::Instance(_)
        | FlowValue::KnownObject(_)
        | FlowValue::Method(..)
        | FlowValue::Context(_)
        | FlowValue::Factory(_)
        | FlowValue::Collection(_) => Vec::new(),
    };
    values.into_iter().flat_map(one).collect()
}

/// Returns the values that `with` or `async with` binds for these values.
pub(super) fn enter_values(values: Vec<FlowValue<'_>>, with_kind: WithKind) -> Vec<FlowValue<'_>> {
    let one = |value| match (value, with_kind) {
        (FlowValue::Context(given), _) => given,
        (FlowValue::KnownObject(LibraryObject::ClientContext), _) => {
            vec![FlowValue::KnownObject(LibraryObject::Client)]
        }
        (FlowValue::KnownObject(LibraryObject::ResourceContext), _) => {
            vec![FlowValue::KnownObject(LibraryObject::Resource)]
        }
        (value @ (FlowValue::KnownObject(_) | FlowValue::Instance(_)), _) => vec![value],
        (
            FlowValue::QualifiedName(_)
            | FlowValue::Function(_)
            | FlowValue::Class(_)
            | FlowValue::Method(..)
            | FlowValue::Coroutine(_)
            | FlowValue::Factory(_)
            | FlowValue::Collection(_),
            _,
        ) => Vec::new(),
    };
    values.into_iter().flat_map(one).collect()
}

/// Returns the values that the items of `value` may have.
pub(super) fn unpack_value(value: FlowValue<'_>) -> Vec<FlowValue<'_>> {
    match value {
        FlowValue::Collection(given) => given,
        FlowValue::KnownObject(LibraryObject::PageIterator) => {
            vec![FlowValue::KnownObject(LibraryObject::Response)]
        }
        FlowValue::KnownObject(LibraryObject::ResourceCollection) => {
            vec![FlowValue::KnownObject(LibraryObject::Resource)]
        }
        FlowValue::KnownObject(LibraryObject::Response | LibraryObject::StreamingResponse(_)) => {
            vec![FlowValue::KnownObject(LibraryObject::Response)]
        }
        FlowValue::QualifiedName(_)
        | FlowValue::Function(_)
        | FlowValue::Class(_)
        | FlowValue::Instance(_)
        | FlowValue::KnownObject(_)
        | FlowValue::Method(..)
        | FlowValue::Coroutine(_)
        | FlowValue::Context(_)
        | FlowValue::Factory(_) => Vec::new(),
    }
}

/// Returns the possible values of `value[key]`.
pub(super) fn item_values<'t>(value: FlowValue<'t>, key: &str) -> Vec<FlowValue<'t>> {
    let key = key.trim_matches(['"', '\'']);
    if let FlowValue::KnownObject(LibraryObject::StreamingResponse(operation)) = value {
        return match streams::stream_kind(operation, key) {
            Some(StreamKind::Events) => vec![FlowValue::KnownObject(LibraryObject::EventStream)],
            Some(StreamKind::Body) => vec![FlowValue::KnownObject(LibraryObject::BodyStream)],
            None => unpack_value(value),
        };
    }
    let is_stream = matches!(key, "Body" | "AudioStream" | "Payload");
    if is_stream && value == FlowValue::KnownObject(LibraryObject::Response) {
        return vec![FlowValue::KnownObject(LibraryObject::BodyStream)];
    }
    unpack_value(value)
}

/// Returns the value of the method `name` of a collection, such as `clients.values`. A call of this method
/// returns items or a collection. `name` is the method's name.
pub(super) fn collection_method_values<'t>(name: &str, inner: Vec<FlowValue<'t>>) -> Vec<FlowValue<'t>> {
    match name {
        "values" | "items" | "copy" => vec![FlowValue::Factory(vec![FlowValue::Collection(inner)])],
        "get" | "pop" | "setdefault" => vec![FlowValue::Factory(inner)],
        _ => Vec::new(),
    }
}

/// Returns the kind of the library objects that are instances of the type with this full name.
pub(super) fn object_of_type(path: &str) -> Option<LibraryObject> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let of_types = path.starts_with("types_aiobotocore") || path.starts_with("types_aioboto3");
    let of_sync_types = path.starts_with("mypy_boto3");
    let of_resources = of_types && path.contains(".service_resource.");
    Some(match path {
        "aiobotocore.session.AioSession" | "aiobotocore.AioSession" => LibraryObject::AioSession,
        "aioboto3.Session" | "aioboto3.session.Session" => LibraryObject::Aio3Session,
        "boto3.Session" | "boto3.session.Session" | "botocore.session.Session" => LibraryObject::SyncSession,
        "aiobotocore.client.AioBaseClient" => LibraryObject::Client,
        "aiobotocore.session.ClientCreatorContext" => LibraryObject::ClientContext,
        "botocore.client.BaseClient" => LibraryObject::SyncClient,
        "requests.Session" | "requests.sessions.Session" | "httpx.Client" => LibraryObject::SyncHttpClient,
        "pathlib.Path" => LibraryObject::FilePath,
        "aiohttp.ClientSession" | "httpx.AsyncClient" => LibraryObject::AsyncHttpClient,
        _ if of_types && last.ends_with("ServiceResource") => LibraryObject::Resource,
        _ if of_resources && last.ends_with("Collection") => LibraryObject::ResourceCollection,
        _ if of_resources => LibraryObject::Resource,
        _ if of_types && last.ends_with("Client") => LibraryObject::Client,
        _ if of_sync_types && last.ends_with("ServiceResource") => LibraryObject::SyncResource,
        _ if of_sync_types && last.ends_with("Client") => LibraryObject::SyncClient,
        _ => return None,
    })
}

/// Returns the values that a call of this imported function or class returns. `path` is its full name.
pub(super) fn import_call_values<'t>(path: &str) -> Vec<FlowValue<'t>> {
    let one = |thing| vec![FlowValue::KnownObject(thing)];
    match path {
        "aiobotocore.session.get_session" | "aiobotocore.get_session" => one(LibraryObject::AioSession),
        "aioboto3.client" => one(LibraryObject::ClientContext),
        "aioboto3.resource" => one(LibraryObject::ResourceContext),
        "botocore.session.get_session" => one(LibraryObject::SyncSession),
        "boto3.client" => one(LibraryObject::SyncClient),
        "boto3.resource" => one(LibraryObject::SyncResource),
        "requests.session" => one(LibraryObject::SyncHttpClient),
        "urllib3.PoolManager" | "http.client.HTTPConnection" | "http.client.HTTPSConnection" => {
            one(LibraryObject::SyncHttpClient)
        }
        "aiobotocore.httpsession.AIOHTTPSession"
        | "aiobotocore.httpxsession.HttpxSession"
        | "AIOHTTPSession"
        | "HttpxSession" => one(LibraryObject::AsyncHttpClient),
        "aiobotocore.utils.create_nested_client" => one(LibraryObject::ClientContext),
        "open" | "io.open" | "gzip.open" | "tempfile.NamedTemporaryFile" => one(LibraryObject::File),
        "threading.Lock"
        | "threading.RLock"
        | "threading.Semaphore"
        | "threading.BoundedSemaphore"
        | "threading.Condition"
        | "multiprocessing.Lock" => one(LibraryObject::ThreadLock),
        "asyncio.Lock" | "asyncio.Semaphore" | "asyncio.BoundedSemaphore" | "asyncio.Condition" => {
            one(LibraryObject::AsyncLock)
        }
        "threading.Event" | "threading.Barrier" => one(LibraryObject::ThreadEvent),
        "threading.Thread" | "multiprocessing.Process" => one(LibraryObject::Thread),
        "queue.Queue" | "queue.LifoQueue" | "queue.PriorityQueue" | "queue.SimpleQueue" => {
            one(LibraryObject::ThreadQueue)
        }
        "subprocess.Popen" => one(LibraryObject::Process),
        "concurrent.futures.ThreadPoolExecutor"
        | "concurrent.futures.ProcessPoolExecutor"
        | "multiprocessing.Pool" => one(LibraryObject::Executor),
        "asyncio.run_coroutine_threadsafe" => one(LibraryObject::Future),
        "asyncio.get_event_loop" | "asyncio.get_running_loop" | "asyncio.new_event_loop" => {
            one(LibraryObject::EventLoop)
        }
        "socket.socket"
        | "socket.create_connection"
        | "smtplib.SMTP"
        | "smtplib.SMTP_SSL"
        | "ftplib.FTP"
        | "psycopg2.connect"
        | "pymysql.connect"
        | "sqlite3.connect"
        | "mysql.connector.connect"
        | "redis.Redis"
        | "redis.StrictRedis"
        | "redis.from_url"
        | "redis.Redis.from_url"
        | "paramiko.SSHClient" => one(LibraryObject::BlockingConnection),
        path => object_of_type(path).map(|thing| vec![FlowValue::KnownObject(thing)]).unwrap_or_default(),
    }
}

/// Returns the results of calling a method of a library object.
pub(super) fn method_call_values<'t>(object: LibraryObject, name: &str) -> Vec<FlowValue<'t>> {
    let one = |object| vec![FlowValue::KnownObject(object)];
    let later = |object| vec![FlowValue::Coroutine(vec![FlowValue::KnownObject(object)])];
    let is_type = name.starts_with(char::is_uppercase);
    match (object, name) {
        (LibraryObject::AioSession, "create_client") | (LibraryObject::Aio3Session, "client") => {
            one(LibraryObject::ClientContext)
        }
        // aiobotocore's `create_client()` wraps the coroutine `_create_client()` in a context.
        (LibraryObject::AioSession, "_create_client") => later(LibraryObject::ClientContext),
        (LibraryObject::Aio3Session, "resource") => one(LibraryObject::ResourceContext),
        (LibraryObject::AioSession | LibraryObject::Aio3Session, "get_credentials") => {
            later(LibraryObject::AioCredentials)
        }
        (LibraryObject::AioSession, "get_available_regions" | "get_service_model" | "get_service_data") => {
            vec![FlowValue::Coroutine(Vec::new())]
        }
        (LibraryObject::AioCredentials, "get_frozen_credentials") => vec![FlowValue::Coroutine(Vec::new())],
        (LibraryObject::SyncSession, "create_client" | "client") => one(LibraryObject::SyncClient),
        (LibraryObject::SyncSession, "resource") => one(LibraryObject::SyncResource),
        (LibraryObject::Client | LibraryObject::ClientContext, "get_paginator") => {
            one(LibraryObject::Paginator)
        }
        (LibraryObject::Client | LibraryObject::ClientContext, "get_waiter") => one(LibraryObject::Waiter),
        (LibraryObject::Client | LibraryObject::ClientContext, "can_paginate" | "__aexit__") => Vec::new(),
        (LibraryObject::Client | LibraryObject::ClientContext, _) if !is_type && !name.starts_with('_') => {
            later(operation_response(name))
        }
        (LibraryObject::Paginator, "paginate") => one(LibraryObject::PageIterator),
        (LibraryObject::PageIterator, "build_full_result") | (LibraryObject::Waiter, "wait") => {
            later(LibraryObject::Response)
        }
        (LibraryObject::PageIterator, "search") => one(LibraryObject::PageIterator),
        (LibraryObject::BodyStream, "read" | "readinto" | "readlines") => {
            vec![FlowValue::Coroutine(Vec::new())]
        }
        (LibraryObject::Response | LibraryObject::StreamingResponse(_), "get" | "pop") => {
            one(LibraryObject::Response)
        }
        (LibraryObject::Resource, "batch_writer") => {
            vec![FlowValue::Context(vec![FlowValue::KnownObject(LibraryObject::Resource)])]
        }
        (LibraryObject::Resource, _) if is_type => later(LibraryObject::Resource),
        (LibraryObject::Resource, "get_available_subresources") => Vec::new(),
        (LibraryObject::Resource, "receive_messages") => {
            vec![FlowValue::Coroutine(vec![FlowValue::Collection(one(LibraryObject::Resource))])]
        }
        (LibraryObject::Resource, "create_bucket" | "create_table" | "create_queue" | "create_topic") => {
            later(LibraryObject::Resource)
        }
        (LibraryObject::Resource, "get_queue_by_name") => later(LibraryObject::Resource),
        (LibraryObject::Resource, _) if !name.starts_with('_') => later(LibraryObject::Response),
        (LibraryObject::ResourceCollection, "all" | "filter" | "limit" | "page_size" | "pages") => {
            one(LibraryObject::ResourceCollection)
        }
        (LibraryObject::ResourceCollection, "delete") => later(LibraryObject::Response),
        (LibraryObject::SyncResource, _) if is_type => one(LibraryObject::SyncResource),
        (LibraryObject::Executor, "submit") => one(LibraryObject::Future),
        (LibraryObject::BlockingConnection, "cursor" | "open_sftp") => one(LibraryObject::BlockingConnection),
        (LibraryObject::FilePath, "open") => one(LibraryObject::File),
        (
            LibraryObject::FilePath,
            "joinpath" | "resolve" | "absolute" | "with_suffix" | "with_name" | "expanduser",
        ) => one(LibraryObject::FilePath),
        _ => Vec::new(),
    }
}
