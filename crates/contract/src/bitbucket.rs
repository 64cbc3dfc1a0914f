//! What Atlassian publishes of both Bitbuckets, cut down to the calls that a reviewer makes: read from the folder
//! `../shared/data/openapi` beside the checkout, or the one that `TRUING_BITBUCKET_OPENAPI` names, and not part of the
//! repository. Where there is no such folder, nothing is checked.

use std::path::PathBuf;

use serde_json::Value;

use crate::holes::{Excused, Hole, UNNAMED};
use crate::openapi::{Document, fits};
use crate::{Contract, ContractError};

/// The variable of the environment that names the folder.
const FOLDER: &str = "TRUING_BITBUCKET_OPENAPI";

/// A call of a forge that the document does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Undescribed {
    method: &'static str,
    template: &'static str,
    /// Why it is made all the same.
    reason: &'static str,
}

impl Undescribed {
    /// Is it this call?
    pub(crate) fn is(&self, method: &str, target: &str) -> bool {
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        self.method == method && fits(self.template, path, false).is_some()
    }
}

/// Cloud's.
pub(crate) fn cloud() -> Result<Option<Contract>, ContractError> {
    read("bitbucket-cloud.json", "/2.0", CLOUD_HOLES, CLOUD_UNDESCRIBED)
}

/// Data Center's.
pub(crate) fn data_center() -> Result<Option<Contract>, ContractError> {
    read("bitbucket-dc.json", "/rest", DATA_CENTER_HOLES, DATA_CENTER_UNDESCRIBED)
}

fn read(
    name: &str,
    base: &'static str,
    holes: &'static [Hole],
    undescribed: &'static [Undescribed],
) -> Result<Option<Contract>, ContractError> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openapi");
    let path = std::env::var_os(FOLDER).map_or_else(beside, PathBuf::from).join(name);
    let failed = |why: String| ContractError::Beside { path: path.display().to_string(), why };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let document: Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let rest = Document::new(document, false)?;
    Ok(Some(Contract { base, rest, graphql: None, holes, undescribed }))
}

/// The words of a field that is not there.
const NO_TYPE: &str = "\"type\" is a required property";
/// The words of a field of a query too many.
const NO_FIELD: &str = "not among the query's fields";
/// Why a call is made that the document does not have.
const CUT: &str = "Atlassian describes it; the copy was cut down before it was needed";

const fn get(template: &'static str) -> Undescribed {
    Undescribed { method: "GET", template, reason: CUT }
}

/// Calls of Cloud that the document does not have.
const CLOUD_UNDESCRIBED: &[Undescribed] = &[
    get("/user/workspaces"),
    get("/user/workspaces/{workspace}/permissions/repositories"),
    get("/workspaces/{workspace}/permissions/repositories/{repo_slug}"),
    get("/users/{selected_user}"),
    get("/repositories/{workspace}"),
    get("/repositories/{workspace}/{repo_slug}/branch-restrictions"),
    get("/repositories/{workspace}/{repo_slug}/pullrequests/activity"),
    get("/repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/conflicts"),
    get("/repositories/{workspace}/{repo_slug}/file-conflicts/{spec}"),
    Undescribed {
        method: "GET",
        template: "/user/permissions/repositories",
        reason: "gone since April 2026, which a client has to be told",
    },
    Undescribed {
        method: "GET",
        template: "/user/permissions/workspaces",
        reason: "gone since April 2026, which a client has to be told",
    },
    Undescribed {
        method: "GET",
        template: "/repositories",
        reason: "gone since April 2026, which a client has to be told",
    },
];

/// Calls of Data Center that the document does not have.
const DATA_CENTER_UNDESCRIBED: &[Undescribed] = &[
    get("/api/latest/users"),
    get("/api/latest/users/{userSlug}"),
    get("/api/latest/repos"),
    get("/api/latest/projects/{projectKey}/repos/{repositorySlug}/default-branch"),
    get("/build-status/latest/commits/{commitId}"),
    get("/branch-permissions/latest/projects/{projectKey}/repos/{repositorySlug}/restrictions"),
    get(
        "/api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/{pullRequestId}/participants",
    ),
    Undescribed {
        method: "POST",
        template: "/api/latest/projects/{projectKey}/repos/{repositorySlug}/pull-requests/{pullRequestId}/participants",
        reason: CUT,
    },
];

/// A status that every call may have.
const fn any(
    status: u16,
    reason: &'static str,
    example: (&'static str, &'static str, u16, &'static str),
) -> Hole {
    Hole { operation: "", excused: Excused::Status(status), reason, example }
}

/// What Cloud does and its document does not say.
const CLOUD_HOLES: &[Hole] = &[
    Hole {
        operation: "",
        excused: Excused::Request(&[""], NO_TYPE),
        reason: "nobody sends the type of a body, and Cloud does not need it",
        example: (
            "POST",
            "/2.0/repositories/a/b/pullrequests/1/comments",
            201,
            r#"{"content": {"raw": "x"}}"#,
        ),
    },
    Hole {
        operation: "",
        excused: Excused::Request(&["?pagelen", "?page", "?q", "?sort", "?fields"], NO_FIELD),
        reason: "described once for all lists, and not with each call",
        example: ("GET", "/2.0/repositories/a/b/pullrequests?pagelen=50", 200, ""),
    },
    Hole {
        operation: "",
        excused: Excused::Request(&["/description"], UNNAMED),
        reason: "a pull request's description is sent and shown so; the document has `summary` alone",
        example: ("POST", "/2.0/repositories/a/b/pullrequests", 201, r#"{"type": "x", "description": "x"}"#),
    },
    any(
        401,
        "a login that does not hold is refused by every call",
        ("GET", "/2.0/repositories/a/b", 401, ""),
    ),
    any(403, "every call may be forbidden", ("GET", "/2.0/repositories/a/b/pullrequests/1", 403, "")),
    any(410, "an address that is gone", ("GET", "/2.0/repositories/a/b/issues", 410, "")),
];

/// What Data Center does and its document does not say.
const DATA_CENTER_HOLES: &[Hole] = &[];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holes::each_is_needed;

    fn both() -> Vec<Contract> {
        let all = [cloud().unwrap(), data_center().unwrap()];
        if all.iter().any(Option::is_none) {
            println!("not checked: there is no folder with what Atlassian publishes ({FOLDER} names one)");
        }
        all.into_iter().flatten().collect()
    }

    #[test]
    fn every_hole_is_one_and_is_excused_and_has_a_reason() {
        for contract in both() {
            each_is_needed(&contract, contract.holes);
        }
    }

    #[test]
    fn calls_that_are_not_described_are_not() {
        for contract in both() {
            for call in contract.undescribed {
                let name = format!("{} {}", call.method, call.template);
                assert!(contract.operations().all(|known| known != name), "{name} is described by now");
                assert!(!call.reason.is_empty());
            }
        }
    }
}
