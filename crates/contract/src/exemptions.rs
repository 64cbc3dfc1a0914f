//! Exemptions for behaviour of GitHub that its documents do not describe. Each exemption has a reason and an
//! example. A test fails if the documents no longer need an exemption.

use crate::{ContractViolation, ExchangePart};

/// An exemption from the contract: a deviation from the document that is permitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ContractExemption {
    /// The operation's name in the document, such as `GET /user`; empty for every operation.
    pub(crate) operation: &'static str,
    /// The part of the exchange that may deviate.
    pub(crate) exempt_part: ExemptPart,
    /// The reason why the deviation is permitted.
    pub(crate) reason: &'static str,
    /// An exchange that deviates: method, path, status, and JSON. The JSON is the body of the response or, if
    /// a part of the request is exempt, the body of the request.
    pub(crate) example: (&'static str, &'static str, u16, &'static str),
}

/// The part of an exchange that is exempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExemptPart {
    /// The status code of a response.
    Status(u16),
    /// A field of a response. A violation is exempt if its location ends with one of the listed texts and its
    /// message begins with the other text.
    ResponseField(&'static [&'static str], &'static str),
    /// A field of a request. A violation is exempt if its location ends with one of the listed texts and its
    /// message begins with the other text. The location of a query parameter begins with `?`.
    RequestField(&'static [&'static str], &'static str),
}

impl ContractExemption {
    pub(crate) fn covers(&self, violation: &ContractViolation) -> bool {
        let field = |ends: &[&str], words: &str| {
            ends.iter().any(|end| violation.location.ends_with(end))
                && violation.description.starts_with(words)
        };
        (self.operation.is_empty() || self.operation == violation.operation)
            && match (self.exempt_part, violation.part) {
                (ExemptPart::Status(known), ExchangePart::Status(status)) => known == status,
                (ExemptPart::ResponseField(ends, words), ExchangePart::ResponseBody(_)) => field(ends, words),
                (ExemptPart::RequestField(ends, words), ExchangePart::Request) => field(ends, words),
                (ExemptPart::Status(_) | ExemptPart::ResponseField(..) | ExemptPart::RequestField(..), _) => {
                    false
                }
            }
    }
}

/// The beginning of the message about a value of a wrong type.
pub(crate) const WRONG_TYPE_MESSAGE: &str = "value is not of type";
/// The message about a field that the schema does not describe.
pub(crate) const UNDESCRIBED_FIELD_MESSAGE: &str = "a field that the schema does not name";

/// The exemptions from GitHub's documents.
pub(crate) const GITHUB_EXEMPTIONS: &[ContractExemption] = &[
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::Status(301),
        reason: "a repository's former name redirects every call; described for some",
        example: ("GET", "/repos/a/b/pulls", 301, ""),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::Status(304),
        reason: "every read answers so to an ETag that still holds; described for some",
        example: ("GET", "/repos/a/b/issues/comments", 304, ""),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::Status(401),
        reason: "a token that does not hold is refused by every call; described for some",
        example: ("GET", "/repos/a/b/pulls", 401, ""),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::Status(403),
        reason: "every call may be forbidden, or above a rate limit; described for some",
        example: ("GET", "/repos/a/b/pulls", 403, ""),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::Status(404),
        reason: "what is not there, or not for this token, is so for every call; described for some",
        example: ("GET", "/repos/a/b/pulls", 404, ""),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::Status(451),
        reason: "a repository that is blocked answers so to every call",
        example: ("GET", "/repos/a/b/pulls", 451, ""),
    },
    ContractExemption {
        operation: "POST /repos/{owner}/{repo}/statuses/{sha}",
        exempt_part: ExemptPart::Status(422),
        reason: "a commit that is not there; the document knows no refusal of this call",
        example: ("POST", "/repos/a/b/statuses/c", 422, ""),
    },
    ContractExemption {
        operation: "POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
        exempt_part: ExemptPart::ResponseField(&[""], "there should be no JSON"),
        reason: "who cannot review is refused with words, as elsewhere; the document has the status alone",
        example: ("POST", "/repos/a/b/pulls/1/requested_reviewers", 422, "{}"),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::ResponseField(
            &["/line", "/original_line", "/position", "/original_position"],
            WRONG_TYPE_MESSAGE,
        ),
        reason: "comments on files have no line, outdated ones none any more: null, which the schema forbids",
        example: ("GET", "/repos/a/b/pulls/1/comments", 200, r#"[{"line": null}]"#),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::ResponseField(&["/head/repo"], WRONG_TYPE_MESSAGE),
        reason: "a fork that was deleted is null",
        example: ("GET", "/repos/a/b/pulls/1", 200, r#"{"head": {"repo": null}}"#),
    },
    ContractExemption {
        operation: "",
        exempt_part: ExemptPart::ResponseField(&["/status"], UNDESCRIBED_FIELD_MESSAGE),
        reason: "the status is in the body of every error, and not in the schema of a failed validation",
        example: ("POST", "/repos/a/b/pulls/1/reviews", 422, r#"{"status": "422"}"#),
    },
    ContractExemption {
        operation: "GET /repos/{owner}/{repo}/pulls",
        exempt_part: ExemptPart::ResponseField(&["/labels/*/description"], WRONG_TYPE_MESSAGE),
        reason: "a label without a description has null, as the labels of one pull request may, and those of \
             a list not",
        example: ("GET", "/repos/a/b/pulls", 200, r#"[{"labels": [{"description": null}]}]"#),
    },
    ContractExemption {
        operation: "GET /app/installations",
        exempt_part: ExemptPart::ResponseField(&["/account", "/account/user_view_type"], ""),
        reason: "the document wants an account to be a user and an enterprise at once",
        example: ("GET", "/app/installations", 200, r#"[{"account": {"login": "a"}}]"#),
    },
];

/// Asserts for each exemption that the document does not allow the exemption's example, that the exemption
/// permits the example, and that the exemption has a reason.
#[cfg(test)]
pub(crate) fn assert_exemptions_needed(contract: &crate::ForgeContract, exemptions: &[ContractExemption]) {
    for exemption in exemptions {
        let (method, target, status, text) = exemption.example;
        let json: Option<serde_json::Value> = (!text.is_empty()).then(|| serde_json::from_str(text).unwrap());
        let (request, answer) = match exemption.exempt_part {
            ExemptPart::RequestField(..) => (json.as_ref(), None),
            ExemptPart::Status(_) | ExemptPart::ResponseField(..) => (None, json.as_ref()),
        };
        let answer = Some((status, answer));
        let exchange = crate::WireExchange { method, target, request_body: request, response: answer };
        let raw = contract.unfiltered_violations(&exchange);
        assert!(
            raw.iter().any(|violation| exemption.covers(violation)),
            "not needed: {exemption:?}, of {raw:?}"
        );
        let left = contract.check(&exchange);
        assert!(!left.iter().any(|violation| exemption.covers(violation)), "{left:?}");
        assert!(!exemption.reason.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForgeContract;

    #[test]
    fn every_exemption_is_needed_and_has_a_reason() {
        assert_exemptions_needed(&ForgeContract::github().unwrap(), GITHUB_EXEMPTIONS);
    }
}
