//! Names with a conventional meaning, which is assumed if the file does not determine the name's value. Most
//! meanings are assumed only in files that do not use boto3.

/// Names of AWS services, which are common names of clients.
const AWS_SERVICE_NAMES: &[&str] = &[
    "athena",
    "aws",
    "boto",
    "cloudwatch",
    "cognito",
    "cw",
    "ddb",
    "dynamo",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "eks",
    "events",
    "firehose",
    "glue",
    "iam",
    "kinesis",
    "kms",
    "lambda",
    "lambda_",
    "logs",
    "polly",
    "rds",
    "s3",
    "secretsmanager",
    "ses",
    "sesv2",
    "sfn",
    "sns",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
    "textract",
];

/// Verbs with which the names of client operations begin.
const OPERATION_NAME_PREFIXES: &[&str] = &[
    "abort_",
    "assume_",
    "batch_",
    "change_message_",
    "complete_multipart_",
    "copy_",
    "create_",
    "delete_",
    "describe_",
    "download_file",
    "filter_log_",
    "generate_presigned_",
    "get_",
    "head_",
    "list_",
    "purge_queue",
    "put_",
    "receive_",
    "send_",
    "start_",
    "stop_",
    "tag_",
    "transact_",
    "untag_",
    "update_",
    "upload_file",
    "upload_part",
];
/// Names of operations that consist of one word.
const SINGLE_WORD_OPERATIONS: &[&str] =
    &["close", "decrypt", "encrypt", "invoke", "publish", "query", "scan"];
/// Methods of an asynchronous client that do not return a coroutine.
const SYNC_CLIENT_METHODS: &[&str] = &["can_paginate", "get_paginator", "get_waiter"];

/// Returns true if the expression `object` ends with a common name of a client.
pub(super) fn is_client_name(object: &str) -> bool {
    let last = object.rsplit('.').next().unwrap_or(object).trim_start_matches('_');
    let service = last.strip_suffix("_client").or_else(|| last.strip_prefix("client_")).unwrap_or(last);
    last == "client" || AWS_SERVICE_NAMES.contains(&service)
}

/// Returns true if the name of a client's method is the name of an operation.
pub(super) fn is_operation_name(name: &str) -> bool {
    let begins = OPERATION_NAME_PREFIXES.iter().any(|verb| name.starts_with(verb));
    (begins || SINGLE_WORD_OPERATIONS.contains(&name)) && !SYNC_CLIENT_METHODS.contains(&name)
}

/// Returns true for the name of an operation that only AWS clients have. A method with this name on a client
/// is treated as an operation, even in files that do not use aiobotocore.
pub(super) fn is_aws_only_operation(name: &str) -> bool {
    matches!(name, "generate_presigned_url" | "generate_presigned_post")
}

/// Returns true if a method with this name can be an operation. The caller has checked that the call has an
/// argument like `Bucket=`.
pub(super) fn may_be_operation_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_other = matches!(
        name,
        "paginate"
            | "wait"
            | "filter"
            | "all"
            | "limit"
            | "page_size"
            | "batch_writer"
            | "create_client"
            | "client"
            | "resource"
            | "format"
            | "update"
            | "add_response"
            | "add_client_error"
            | "assert_called_with"
            | "assert_called_once_with"
            | "assert_awaited_with"
            | "assert_awaited_once_with"
            | "assert_any_call"
            | "assert_any_await"
            | "replace"
            | "build"
            | "bind"
            | "info"
            | "debug"
            | "warning"
            | "error"
            | "filters"
    );
    begins
        && !is_other
        && !SYNC_CLIENT_METHODS.contains(&name)
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns true for an argument name that only operations have, such as `Bucket` or `TableName`.
pub(super) fn is_operation_argument(name: &str) -> bool {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_uppercase());
    begins && letters.next().is_some_and(|c| c.is_ascii_lowercase())
}

/// Returns true if the expression ends with a key of operations' responses that contains a stream, such as
/// `['Body']`.
pub(super) fn is_stream_key(object: &str) -> bool {
    let keys = ["'Body'", "\"Body\"", "'AudioStream'", "\"AudioStream\"", "'Payload'", "\"Payload\""];
    keys.iter().any(|key| object.strip_suffix(']').is_some_and(|it| it.ends_with(key)))
}
