//! The facts known of libraries: their things, the calls that make them, and the values that these give.

use super::model::Statement;
use super::streams::{self, Stream};
use super::value::Value;

/// Things of libraries, by what they can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Thing {
    /// A session of aiobotocore.
    AioSession,
    /// A session of aioboto3.
    Aio3Session,
    /// A session of botocore or boto3.
    Session,
    /// What `create_client()` of aiobotocore gives: to be entered.
    ClientContext,
    /// The same of aioboto3's `resource()`.
    ResourceContext,
    /// An asynchronous client.
    Client,
    /// An asynchronous resource, or one of its parts.
    Resource,
    /// All of a kind that a resource has.
    Collection,
    Paginator,
    Pages,
    Waiter,
    /// What an operation answers.
    Answer,
    /// The same, of an operation whose answer has a stream.
    Streamed(&'static str),
    /// What it streams.
    Body,
    /// The same, if it is events.
    Events,
    AioCredentials,
    /// A client or resource of boto3 or botocore.
    SyncClient,
    SyncResource,
    /// An HTTP client that is asynchronous.
    HttpSession,
    /// An HTTP client that is not.
    SyncHttp,
    /// An open file.
    File,
    /// A `pathlib.Path`.
    FilePath,
    ThreadLock,
    AsyncLock,
    ThreadEvent,
    Thread,
    ThreadQueue,
    Process,
    Executor,
    /// What an executor gives.
    Future,
    Loop,
    /// A connection of `socket`, `smtplib`, `ftplib` and the like.
    Connection,
}

/// Is a part of a resource all of a kind that it has?
pub(super) fn is_collection(name: &str) -> bool {
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

/// Is a part of a resource read from the service when it is asked for, so that it is a coroutine? What the resource was
/// made with, as its name or key, is not among these.
pub(super) fn is_loaded(name: &str) -> bool {
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

/// The answer of an operation.
pub(super) fn answer(operation: &str) -> Thing {
    streams::operation(operation).map_or(Thing::Answer, Thing::Streamed)
}

/// The values that awaiting gives.
pub(super) fn awaited(values: Vec<Value<'_>>) -> Vec<Value<'_>> {
    let one = |value| match value {
        Value::Coroutine(given) => given,
        // It fails, but what it is meant to be is seen.
        Value::Thing(Thing::ClientContext) => vec![Value::Thing(Thing::Client)],
        Value::Thing(Thing::ResourceContext) => vec![Value::Thing(Thing::Resource)],
        Value::Path(_)
        | Value::Function(_)
        | Value::Class(_)
        | Value::Object(_)
        | Value::Thing(_)
        | Value::Method(..)
        | Value::Context(_)
        | Value::Maker(_)
        | Value::Many(_) => Vec::new(),
    };
    values.into_iter().flat_map(one).collect()
}

/// The values that entering gives.
pub(super) fn entered(values: Vec<Value<'_>>, how: Statement) -> Vec<Value<'_>> {
    let one = |value| match (value, how) {
        (Value::Context(given), _) => given,
        (Value::Thing(Thing::ClientContext), _) => vec![Value::Thing(Thing::Client)],
        (Value::Thing(Thing::ResourceContext), _) => vec![Value::Thing(Thing::Resource)],
        (value @ (Value::Thing(_) | Value::Object(_)), _) => vec![value],
        (
            Value::Path(_)
            | Value::Function(_)
            | Value::Class(_)
            | Value::Method(..)
            | Value::Coroutine(_)
            | Value::Maker(_)
            | Value::Many(_),
            _,
        ) => Vec::new(),
    };
    values.into_iter().flat_map(one).collect()
}

/// The parts of a value, if it is taken apart.
pub(super) fn part(value: Value<'_>) -> Vec<Value<'_>> {
    match value {
        Value::Many(given) => given,
        Value::Thing(Thing::Pages) => vec![Value::Thing(Thing::Answer)],
        Value::Thing(Thing::Collection) => vec![Value::Thing(Thing::Resource)],
        Value::Thing(Thing::Answer | Thing::Streamed(_)) => vec![Value::Thing(Thing::Answer)],
        Value::Path(_)
        | Value::Function(_)
        | Value::Class(_)
        | Value::Object(_)
        | Value::Thing(_)
        | Value::Method(..)
        | Value::Coroutine(_)
        | Value::Context(_)
        | Value::Maker(_) => Vec::new(),
    }
}

/// The values of `value[key]`.
pub(super) fn item<'t>(value: Value<'t>, key: &str) -> Vec<Value<'t>> {
    let key = key.trim_matches(['"', '\'']);
    if let Value::Thing(Thing::Streamed(operation)) = value {
        return match streams::of(operation, key) {
            Some(Stream::Events) => vec![Value::Thing(Thing::Events)],
            Some(Stream::Body) => vec![Value::Thing(Thing::Body)],
            None => part(value),
        };
    }
    let is_stream = matches!(key, "Body" | "AudioStream" | "Payload");
    if is_stream && value == Value::Thing(Thing::Answer) {
        return vec![Value::Thing(Thing::Body)];
    }
    part(value)
}

/// `clients.values()`, of which `.values` is asked here.
pub(super) fn elements_by<'t>(name: &str, inner: Vec<Value<'t>>) -> Vec<Value<'t>> {
    match name {
        "values" | "items" | "copy" => vec![Value::Maker(vec![Value::Many(inner)])],
        "get" | "pop" | "setdefault" => vec![Value::Maker(inner)],
        _ => Vec::new(),
    }
}

/// The thing that an object of a type is.
pub(super) fn of_type(path: &str) -> Option<Thing> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let of_types = path.starts_with("types_aiobotocore") || path.starts_with("types_aioboto3");
    let of_sync_types = path.starts_with("mypy_boto3");
    let of_resources = of_types && path.contains(".service_resource.");
    Some(match path {
        "aiobotocore.session.AioSession" | "aiobotocore.AioSession" => Thing::AioSession,
        "aioboto3.Session" | "aioboto3.session.Session" => Thing::Aio3Session,
        "boto3.Session" | "boto3.session.Session" | "botocore.session.Session" => Thing::Session,
        "aiobotocore.client.AioBaseClient" => Thing::Client,
        "aiobotocore.session.ClientCreatorContext" => Thing::ClientContext,
        "botocore.client.BaseClient" => Thing::SyncClient,
        "requests.Session" | "requests.sessions.Session" | "httpx.Client" => Thing::SyncHttp,
        "pathlib.Path" => Thing::FilePath,
        "aiohttp.ClientSession" | "httpx.AsyncClient" => Thing::HttpSession,
        _ if of_types && last.ends_with("ServiceResource") => Thing::Resource,
        _ if of_resources && last.ends_with("Collection") => Thing::Collection,
        _ if of_resources => Thing::Resource,
        _ if of_types && last.ends_with("Client") => Thing::Client,
        _ if of_sync_types && last.ends_with("ServiceResource") => Thing::SyncResource,
        _ if of_sync_types && last.ends_with("Client") => Thing::SyncClient,
        _ => return None,
    })
}

/// The values that a call of something imported gives.
pub(super) fn made_by<'t>(path: &str) -> Vec<Value<'t>> {
    let one = |thing| vec![Value::Thing(thing)];
    match path {
        "aiobotocore.session.get_session" | "aiobotocore.get_session" => one(Thing::AioSession),
        "aioboto3.client" => one(Thing::ClientContext),
        "aioboto3.resource" => one(Thing::ResourceContext),
        "botocore.session.get_session" => one(Thing::Session),
        "boto3.client" => one(Thing::SyncClient),
        "boto3.resource" => one(Thing::SyncResource),
        "requests.session" => one(Thing::SyncHttp),
        "urllib3.PoolManager" | "http.client.HTTPConnection" | "http.client.HTTPSConnection" => {
            one(Thing::SyncHttp)
        }
        "aiobotocore.httpsession.AIOHTTPSession"
        | "aiobotocore.httpxsession.HttpxSession"
        | "AIOHTTPSession"
        | "HttpxSession" => one(Thing::HttpSession),
        "aiobotocore.utils.create_nested_client" => one(Thing::ClientContext),
        "open" | "io.open" | "gzip.open" | "tempfile.NamedTemporaryFile" => one(Thing::File),
        "threading.Lock"
        | "threading.RLock"
        | "threading.Semaphore"
        | "threading.BoundedSemaphore"
        | "threading.Condition"
        | "multiprocessing.Lock" => one(Thing::ThreadLock),
        "asyncio.Lock" | "asyncio.Semaphore" | "asyncio.BoundedSemaphore" | "asyncio.Condition" => {
            one(Thing::AsyncLock)
        }
        "threading.Event" | "threading.Barrier" => one(Thing::ThreadEvent),
        "threading.Thread" | "multiprocessing.Process" => one(Thing::Thread),
        "queue.Queue" | "queue.LifoQueue" | "queue.PriorityQueue" | "queue.SimpleQueue" => {
            one(Thing::ThreadQueue)
        }
        "subprocess.Popen" => one(Thing::Process),
        "concurrent.futures.ThreadPoolExecutor"
        | "concurrent.futures.ProcessPoolExecutor"
        | "multiprocessing.Pool" => one(Thing::Executor),
        "asyncio.run_coroutine_threadsafe" => one(Thing::Future),
        "asyncio.get_event_loop" | "asyncio.get_running_loop" | "asyncio.new_event_loop" => one(Thing::Loop),
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
        | "paramiko.SSHClient" => one(Thing::Connection),
        path => of_type(path).map(|thing| vec![Value::Thing(thing)]).unwrap_or_default(),
    }
}

/// The values that a call of a method gives.
pub(super) fn of_method<'t>(thing: Thing, name: &str) -> Vec<Value<'t>> {
    let one = |thing| vec![Value::Thing(thing)];
    let later = |thing| vec![Value::Coroutine(vec![Value::Thing(thing)])];
    let is_type = name.starts_with(char::is_uppercase);
    match (thing, name) {
        (Thing::AioSession, "create_client") | (Thing::Aio3Session, "client") => one(Thing::ClientContext),
        // What `create_client()` makes a context of.
        (Thing::AioSession, "_create_client") => later(Thing::ClientContext),
        (Thing::Aio3Session, "resource") => one(Thing::ResourceContext),
        (Thing::AioSession | Thing::Aio3Session, "get_credentials") => later(Thing::AioCredentials),
        (Thing::AioSession, "get_available_regions" | "get_service_model" | "get_service_data") => {
            vec![Value::Coroutine(Vec::new())]
        }
        (Thing::AioCredentials, "get_frozen_credentials") => vec![Value::Coroutine(Vec::new())],
        (Thing::Session, "create_client" | "client") => one(Thing::SyncClient),
        (Thing::Session, "resource") => one(Thing::SyncResource),
        (Thing::Client | Thing::ClientContext, "get_paginator") => one(Thing::Paginator),
        (Thing::Client | Thing::ClientContext, "get_waiter") => one(Thing::Waiter),
        (Thing::Client | Thing::ClientContext, "can_paginate" | "__aexit__") => Vec::new(),
        (Thing::Client | Thing::ClientContext, _) if !is_type && !name.starts_with('_') => {
            later(answer(name))
        }
        (Thing::Paginator, "paginate") => one(Thing::Pages),
        (Thing::Pages, "build_full_result") | (Thing::Waiter, "wait") => later(Thing::Answer),
        (Thing::Pages, "search") => one(Thing::Pages),
        (Thing::Body, "read" | "readinto" | "readlines") => vec![Value::Coroutine(Vec::new())],
        (Thing::Answer | Thing::Streamed(_), "get" | "pop") => one(Thing::Answer),
        (Thing::Resource, "batch_writer") => vec![Value::Context(vec![Value::Thing(Thing::Resource)])],
        (Thing::Resource, _) if is_type => later(Thing::Resource),
        (Thing::Resource, "get_available_subresources") => Vec::new(),
        (Thing::Resource, "receive_messages") => {
            vec![Value::Coroutine(vec![Value::Many(one(Thing::Resource))])]
        }
        (Thing::Resource, "create_bucket" | "create_table" | "create_queue" | "create_topic") => {
            later(Thing::Resource)
        }
        (Thing::Resource, "get_queue_by_name") => later(Thing::Resource),
        (Thing::Resource, _) if !name.starts_with('_') => later(Thing::Answer),
        (Thing::Collection, "all" | "filter" | "limit" | "page_size" | "pages") => one(Thing::Collection),
        (Thing::Collection, "delete") => later(Thing::Answer),
        (Thing::SyncResource, _) if is_type => one(Thing::SyncResource),
        (Thing::Executor, "submit") => one(Thing::Future),
        (Thing::Connection, "cursor" | "open_sftp") => one(Thing::Connection),
        (Thing::FilePath, "open") => one(Thing::File),
        (
            Thing::FilePath,
            "joinpath" | "resolve" | "absolute" | "with_suffix" | "with_name" | "expanduser",
        ) => one(Thing::FilePath),
        _ => Vec::new(),
    }
}
