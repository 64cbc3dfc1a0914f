//! Atlassian's published descriptions of Bitbucket Cloud and Bitbucket Data Center, reduced to the requests
//! that a reviewer makes. The repository does not contain the descriptions. They are read from the folder in
//! the variable `TRUING_BITBUCKET_OPENAPI`, or else from the folder `../shared/data/openapi` beside the
//! checkout. If the folder does not exist, nothing is checked.

use std::path::PathBuf;

use serde_json::Value;

use crate::exemptions::{ContractExemption, ExemptPart, UNDESCRIBED_FIELD_MESSAGE, WRONG_TYPE_MESSAGE};
use crate::openapi::{OpenapiDocument, count_matched_parameters};
use crate::{ContractLoadError, ForgeContract};

/// The environment variable that names the folder.
const OPENAPI_FOLDER_VARIABLE: &str = "TRUING_BITBUCKET_OPENAPI";

/// A request that the forge's document does not describe. Such a request is not checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UndescribedCall {
    method: &'static str,
    template: &'static str,
    /// The reason why the request is made although the document does not describe it.
    reason: &'static str,
}

impl UndescribedCall {
    /// Returns true if a request has the method and the path of this call.
    pub(crate) fn matches(&self, method: &str, target: &str) -> bool {
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        self.method == method && count_matched_parameters(self.template, path, false).is_some()
    }
}

/// Reads the contract of Bitbucket Cloud.
pub(crate) fn cloud_contract() -> Result<Option<ForgeContract>, ContractLoadError> {
    read_contract("bitbucket-cloud.json", "/2.0", CLOUD_EXEMPTIONS, CLOUD_UNDESCRIBED)
}

/// Reads the contract of Bitbucket Data Center.
pub(crate) fn data_center_contract() -> Result<Option<ForgeContract>, ContractLoadError> {
    read_contract("bitbucket-dc.json", "/rest", DATA_CENTER_EXEMPTIONS, DATA_CENTER_UNDESCRIBED)
}

fn read_contract(
    file_name: &str,
    base_path: &'static str,
    exemptions: &'static [ContractExemption],
    undescribed_calls: &'static [UndescribedCall],
) -> Result<Option<ForgeContract>, ContractLoadError> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openapi");
    let path = std::env::var_os(OPENAPI_FOLDER_VARIABLE).map_or_else(beside, PathBuf::from).join(file_name);
    let failed =
        |reason: String| ContractLoadError::LocalDocument { path: path.display().to_string(), reason };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let document: Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let rest = OpenapiDocument::new(document, false)?;
    Ok(Some(ForgeContract { path_prefix: base_path, rest, graphql: None, exemptions, undescribed_calls }))
}

/// The beginning of the message about a missing field `type`.
const MISSING_TYPE_MESSAGE: &str = "\"type\" is a required property";
/// The message about a query parameter that the document does not describe.
const UNDESCRIBED_QUERY_MESSAGE: &str = "not among the query's fields";
/// The reason for most undescribed requests: Atlassian describes the request, but the reduced copy of the
/// document does not include it.
const CUT_DOCUMENT_REASON: &str = "Atlassian describes it; the copy was cut down before it was needed";

const fn undescribed_get(template: &'static str) -> UndescribedCall {
    UndescribedCall { method: "GET", template, reason: CUT_DOCUMENT_REASON }
}

/// Requests to Bitbucket Cloud that its document does not describe.
const CLOUD_UNDESCRIBED: &[UndescribedCall] = &[
    undescribed_get("/user/workspaces"),
    undescribed_get("/user/workspaces/{workspace}/permissions/repositories"),
    undescribed_get("/workspaces/{workspace}/permissions/repositories/{repo_slug}"),
    undescribed_get("/workspaces/{workspace}/members/{member}"),
    undescribed_get("/users/{selected_user}"),
    undescribed_get("/repositories/{workspace}"),
    undescribed_get("/repositories/{workspace}/{repo_slug}/branch-restrictions"),
    undescribed_get("/repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/conflicts"),
    undescribed_get("/repositories/{workspace}/{repo_slug}/file-conflicts/{spec}"),
];

/// Requests to Bitbucket Data Center that its document does not describe.
const DATA_CENTER_UNDESCRIBED: &[UndescribedCall] = &[
    undescribed_get("/api/latest/users"),
    undescribed_get("/api/latest/users/{userSlug}"),
    undescribed_get("/api/latest/repos"),
    undescribed_get("/api/latest/projects/{projectKey}/repos/{repositorySlug}/default-branch"),
    undescribed_get("/build-status/latest/commits/{commitId}"),
    undescribed_get("/branch-permissions/latest/projects/{projectKey}/repos/{repositorySlug}/restrictions"),
    UndescribedCall {
        method: "GET",
        template: "/api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/\
                   {pullRequestId}/diff",
        reason: "Atlassian describes it with a path, whose pattern is `.*`: an empty one is of the whole \
             pull request",
    },
    UndescribedCall {
        method: "POST",
        template: "/api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/\
                   {pullRequestId}/participants",
        reason: CUT_DOCUMENT_REASON,
    },
];

/// An example of an exempt exchange: method, path, status and JSON.
type ExemptionExample = (&'static str, &'static str, u16, &'static str);

/// Creates an exemption for a status that every request may return.
const fn status_exemption(status: u16, reason: &'static str, example: ExemptionExample) -> ContractExemption {
    ContractExemption { operation: "", exempt_part: ExemptPart::Status(status), reason, example }
}

/// Creates an exemption for a field in the responses to all requests.
const fn response_field_exemption(
    location_suffixes: &'static [&'static str],
    message_prefix: &'static str,
    reason: &'static str,
    example: ExemptionExample,
) -> ContractExemption {
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::ResponseField(location_suffixes, message_prefix),
        reason,
        example,
    }
}

/// Creates an exemption for a field in the bodies of all requests.
const fn request_field_exemption(
    location_suffixes: &'static [&'static str],
    message_prefix: &'static str,
    reason: &'static str,
    example: ExemptionExample,
) -> ContractExemption {
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::RequestField(location_suffixes, message_prefix),
        reason,
        example,
    }
}

/// Paths that the examples of exemptions use.
const CLOUD_PULL_PATH: &str = "/2.0/repositories/a/b/pullrequests/1";
const CLOUD_COMMENT_PATH: &str = "/2.0/repositories/a/b/pullrequests/1/comments/2";
const CLOUD_REPORT_PATH: &str = "/2.0/repositories/a/b/commit/c/reports/d";
const DATA_CENTER_PULL_PATH: &str = "/rest/api/latest/projects/A/repos/b/pull-requests/1";
const DATA_CENTER_DIFF_PATH: &str = "/rest/api/latest/projects/A/repos/b/pull-requests/1/diff/c";
const DATA_CENTER_COMMENT_PATH: &str = "/rest/api/latest/projects/A/repos/b/pull-requests/1/comments/2";
const DATA_CENTER_COMMENTS_PATH: &str = "/rest/api/latest/projects/A/repos/b/pull-requests/1/comments";
const DATA_CENTER_REPORT_PATH: &str = "/rest/insights/latest/projects/A/repos/b/commits/c/reports/d";

/// The reason for exempting error responses to requests for reports: their form differs from the described
/// form.
const REPORT_ERROR_FORMAT_REASON: &str = "reports are refused in a form of their own (observed)";

/// Exemptions for behaviour of Bitbucket Cloud that its document does not describe.
const CLOUD_EXEMPTIONS: &[ContractExemption] = &[
    request_field_exemption(
        &[""],
        MISSING_TYPE_MESSAGE,
        "nobody sends the type of a body, and Cloud does not need it",
        ("POST", "/2.0/repositories/a/b/pullrequests/1/comments", 201, r#"{"content": {"raw": "x"}}"#),
    ),
    request_field_exemption(
        &["?pagelen", "?page", "?q", "?sort", "?fields"],
        UNDESCRIBED_QUERY_MESSAGE,
        "described once for all lists, and not with each call",
        ("GET", "/2.0/repositories/a/b/pullrequests?pagelen=50", 200, ""),
    ),
    request_field_exemption(
        &["/description"],
        UNDESCRIBED_FIELD_MESSAGE,
        "a pull request's description is sent and shown so; the document has `summary` alone",
        ("POST", "/2.0/repositories/a/b/pullrequests", 201, r#"{"type": "x", "description": "x"}"#),
    ),
    request_field_exemption(
        &["/data/*/value"],
        WRONG_TYPE_MESSAGE,
        "a report's values are numbers and texts; they are described as objects",
        ("PUT", CLOUD_REPORT_PATH, 200, r#"{"type": "x", "data": [{"value": 1}]}"#),
    ),
    response_field_exemption(
        &["/data/*/value"],
        WRONG_TYPE_MESSAGE,
        "the same in the answer",
        ("GET", CLOUD_REPORT_PATH, 200, r#"{"type": "x", "data": [{"value": 1}]}"#),
    ),
    response_field_exemption(
        &["/nickname", "/account_id"],
        UNDESCRIBED_FIELD_MESSAGE,
        "accounts are people's or tokens', which have names; the document refers to what all accounts have",
        ("GET", "/2.0/user", 200, r#"{"type": "user", "nickname": "n"}"#),
    ),
    response_field_exemption(
        &["/description"],
        UNDESCRIBED_FIELD_MESSAGE,
        "the same as in requests",
        ("GET", CLOUD_PULL_PATH, 200, r#"{"type": "x", "description": "x"}"#),
    ),
    response_field_exemption(
        &["/merge_commit", "/closed_by", "/source/repository", "/state", "/participated_on"],
        WRONG_TYPE_MESSAGE,
        "what is not there yet, or not any more, is null",
        ("GET", CLOUD_PULL_PATH, 200, r#"{"type": "x", "merge_commit": null}"#),
    ),
    response_field_exemption(
        &["/inline/from", "/inline/to", "/inline/start_from", "/inline/start_to"],
        WRONG_TYPE_MESSAGE,
        "a side, or a first line, that a comment does not have is null",
        ("GET", CLOUD_COMMENT_PATH, 200, r#"{"type": "x", "inline": {"path": "a", "from": null}}"#),
    ),
    response_field_exemption(
        &["/inline"],
        "Additional properties are not allowed ('outdated'",
        "clients read there that a line is gone; it is not described",
        ("GET", CLOUD_COMMENT_PATH, 200, r#"{"type": "x", "inline": {"path": "a", "outdated": true}}"#),
    ),
    response_field_exemption(
        &["/inline/outdated"],
        UNDESCRIBED_FIELD_MESSAGE,
        "clients read there that a line is gone; it is not described",
        ("GET", CLOUD_COMMENT_PATH, 200, r#"{"type": "x", "inline": {"path": "a", "outdated": true}}"#),
    ),
    response_field_exemption(
        &["/slug", "/workspace"],
        UNDESCRIBED_FIELD_MESSAGE,
        "a repository has both; the document leaves them out",
        ("GET", "/2.0/repositories/a/b", 200, r#"{"type": "x", "slug": "b"}"#),
    ),
    response_field_exemption(
        &["/refname", "/name", "/description"],
        WRONG_TYPE_MESSAGE,
        "what a status was not given is null",
        (
            "GET",
            "/2.0/repositories/a/b/commit/c/statuses/build/d",
            200,
            r#"{"type": "x", "key": "d", "state": "FAILED", "refname": null}"#,
        ),
    ),
    response_field_exemption(
        &["/error"],
        "Additional properties are not allowed ('fields'",
        "errors name the fields that are wrong (observed)",
        (
            "PUT",
            CLOUD_PULL_PATH,
            400,
            r#"{"type": "error", "error": {"message": "m", "fields": {"title": ["x"]}}}"#,
        ),
    ),
    response_field_exemption(
        &["/error/fields"],
        UNDESCRIBED_FIELD_MESSAGE,
        "errors name the fields that are wrong (observed)",
        (
            "PUT",
            CLOUD_PULL_PATH,
            400,
            r#"{"type": "error", "error": {"message": "m", "fields": {"title": ["x"]}}}"#,
        ),
    ),
    response_field_exemption(
        &["/code", "/message"],
        UNDESCRIBED_FIELD_MESSAGE,
        REPORT_ERROR_FORMAT_REASON,
        ("PUT", CLOUD_REPORT_PATH, 400, r#"{"code": 400, "message": "m"}"#),
    ),
    ContractExemption {
        operation: "PUT /repositories/{workspace}/{repo_slug}/commit/{commit}/reports/{reportId}",
        exempt_part: ExemptPart::ResponseField(&[""], MISSING_TYPE_MESSAGE),
        reason: REPORT_ERROR_FORMAT_REASON,
        example: ("PUT", CLOUD_REPORT_PATH, 400, r#"{"code": 400, "message": "m"}"#),
    },
    ContractExemption {
        operation: "GET /repositories/{workspace}/{repo_slug}/commit/{commit}/reports/{reportId}",
        exempt_part: ExemptPart::ResponseField(&[""], MISSING_TYPE_MESSAGE),
        reason: REPORT_ERROR_FORMAT_REASON,
        example: ("GET", CLOUD_REPORT_PATH, 404, r#"{"code": 400, "message": "m"}"#),
    },
    response_field_exemption(
        &[""],
        "there should be no JSON",
        "lists of commits, and refusals, have JSON that is not described",
        ("GET", "/2.0/repositories/a/b/pullrequests/1/commits", 200, r#"{}"#),
    ),
    status_exemption(
        401,
        "a login that does not hold is refused by every call",
        ("GET", "/2.0/repositories/a/b", 401, ""),
    ),
    status_exemption(403, "every call may be forbidden", ("GET", CLOUD_PULL_PATH, 403, "")),
];

/// Exemptions for behaviour of Bitbucket Data Center that its document does not describe.
const DATA_CENTER_EXEMPTIONS: &[ContractExemption] = &[
    request_field_exemption(
        &["/anchor/path", "/anchor/srcPath"],
        WRONG_TYPE_MESSAGE,
        "a path is sent as text; it is described as an object",
        ("POST", DATA_CENTER_COMMENTS_PATH, 201, r#"{"text": "x", "anchor": {"path": "a"}}"#),
    ),
    request_field_exemption(
        &["/anchor/multilineSpan"],
        UNDESCRIBED_FIELD_MESSAGE,
        "the span of a comment on several lines, from 9.3 on; the document is of 9.2",
        (
            "POST",
            DATA_CENTER_COMMENTS_PATH,
            201,
            r#"{"text": "x", "anchor": {"multilineSpan": {"dstSpanStart": 1}}}"#,
        ),
    ),
    ContractExemption {
        operation: "POST /api/latest/projects/{projectKey}/repos/{repositorySlug}/commits/{commitId}/builds",
        exempt_part: ExemptPart::RequestField(&[""], "the call takes no body"),
        reason: "its body is described, but not as JSON: as of any media type",
        example: ("POST", "/rest/api/latest/projects/A/repos/b/commits/c/builds", 204, "{}"),
    },
    request_field_exemption(
        &["/data/*/value"],
        WRONG_TYPE_MESSAGE,
        "a report's values are numbers and texts; they are described as objects",
        ("PUT", DATA_CENTER_REPORT_PATH, 200, r#"{"title": "t", "data": [{"value": 1}]}"#),
    ),
    response_field_exemption(
        &["/data/*/value"],
        WRONG_TYPE_MESSAGE,
        "the same in the answer",
        ("GET", DATA_CENTER_REPORT_PATH, 200, r#"{"data": [{"value": 1}]}"#),
    ),
    ContractExemption {
        operation: "GET /api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/\
                    {pullRequestId}/diff/{path}",
        exempt_part: ExemptPart::ResponseField(
            &["/contextLines", "/diffs", "/fromHash", "/toHash", "/whitespace"],
            UNDESCRIBED_FIELD_MESSAGE,
        ),
        reason: "the answer is a list of diffs between two commits; one diff of it is described",
        example: ("GET", DATA_CENTER_DIFF_PATH, 200, r#"{"diffs": []}"#),
    },
    response_field_exemption(
        &["/context", "/nextPageStart"],
        WRONG_TYPE_MESSAGE,
        "an error about no field, and the last page's next one, are null",
        ("GET", "/rest/api/latest/projects/A/repos/b", 404, r#"{"errors": [{"context": null}]}"#),
    ),
    response_field_exemption(
        &["/anchor/path", "/fromRef/repository"],
        WRONG_TYPE_MESSAGE,
        "a path is shown as text, and a fork that was deleted is null",
        ("GET", DATA_CENTER_COMMENT_PATH, 200, r#"{"anchor": {"path": "a"}}"#),
    ),
    response_field_exemption(
        &["/multilineSpan", "/orphaned"],
        UNDESCRIBED_FIELD_MESSAGE,
        "observed in anchors; the document has neither",
        ("GET", DATA_CENTER_COMMENT_PATH, 200, r#"{"anchor": {"orphaned": true}}"#),
    ),
    response_field_exemption(
        &["/links/self", "/links/clone"],
        UNDESCRIBED_FIELD_MESSAGE,
        "links are described as an object without fields",
        ("GET", DATA_CENTER_PULL_PATH, 200, r#"{"links": {"self": []}}"#),
    ),
    response_field_exemption(
        &["/author"],
        UNDESCRIBED_FIELD_MESSAGE,
        "a pull request has an author; the document leaves it out",
        ("GET", DATA_CENTER_PULL_PATH, 200, r#"{"author": {}}"#),
    ),
    response_field_exemption(
        &["/canMerge"],
        UNDESCRIBED_FIELD_MESSAGE,
        "whether it can be merged; the document leaves it out",
        ("GET", "/rest/api/latest/projects/A/repos/b/pull-requests/1/merge", 200, r#"{"canMerge": true}"#),
    ),
    response_field_exemption(
        &["/permittedOperations"],
        UNDESCRIBED_FIELD_MESSAGE,
        "what may be done to a comment; the document leaves it out",
        ("GET", DATA_CENTER_COMMENT_PATH, 200, r#"{"permittedOperations": {}}"#),
    ),
    response_field_exemption(
        &["/comment", "/commentAnchor", "/commentAction"],
        UNDESCRIBED_FIELD_MESSAGE,
        "the document has of an activity what all kinds have",
        (
            "GET",
            "/rest/api/latest/projects/A/repos/b/pull-requests/1/activities",
            200,
            r#"{"values": [{"comment": {}}]}"#,
        ),
    ),
    response_field_exemption(
        &["/currentVersion", "/expectedVersion", "/pullRequest", "/existingPullRequest"],
        UNDESCRIBED_FIELD_MESSAGE,
        "errors tell more about some conflicts (observed)",
        ("PUT", DATA_CENTER_PULL_PATH, 409, r#"{"errors": [{"currentVersion": 1}]}"#),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exemptions::assert_exemptions_needed;

    fn bitbucket_contracts() -> Vec<ForgeContract> {
        let all = [cloud_contract().unwrap(), data_center_contract().unwrap()];
        if all.iter().any(Option::is_none) {
            println!(
                "not checked: there is no folder with what Atlassian publishes ({OPENAPI_FOLDER_VARIABLE} \
                names one)"
            );
        }
        all.into_iter().flatten().collect()
    }

    #[test]
    fn every_exemption_is_needed_and_has_a_reason() {
        for contract in bitbucket_contracts() {
            assert_exemptions_needed(&contract, contract.exemptions);
        }
    }

    #[test]
    fn undescribed_calls_are_absent_from_the_document() {
        for contract in bitbucket_contracts() {
            for call in contract.undescribed_calls {
                let name = format!("{} {}", call.method, call.template);
                assert!(contract.operations().all(|known| known != name), "{name} is described by now");
                assert!(!call.reason.is_empty());
            }
        }
    }
}
