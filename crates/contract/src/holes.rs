//! What GitHub does and its documents do not say: violations that are right, each with the reason. Each has an
//! example, so that one that the documents do not need any more fails a test.

use crate::{Part, Violation};

/// One hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hole {
    /// The call, as the document writes it; empty: any.
    pub(crate) operation: &'static str,
    /// What is excused there.
    pub(crate) excused: Excused,
    /// Why it is right all the same.
    pub(crate) reason: &'static str,
    /// An exchange that needs it: method, path, status, and JSON of the answer, or of the request if that is excused.
    pub(crate) example: (&'static str, &'static str, u16, &'static str),
}

/// What a hole excuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Excused {
    /// A status.
    Status(u16),
    /// A field of an answer: the ends of its place, and the beginning of the violation's words.
    Answer(&'static [&'static str], &'static str),
    /// The same of a request; a field of the query begins with `?`.
    Request(&'static [&'static str], &'static str),
}

impl Hole {
    pub(crate) fn excuses(&self, violation: &Violation) -> bool {
        let field = |ends: &[&str], words: &str| {
            ends.iter().any(|end| violation.place.ends_with(end)) && violation.what.starts_with(words)
        };
        (self.operation.is_empty() || self.operation == violation.operation)
            && match (self.excused, violation.part) {
                (Excused::Status(known), Part::Status(status)) => known == status,
                (Excused::Answer(ends, words), Part::Answer(_)) => field(ends, words),
                (Excused::Request(ends, words), Part::Request) => field(ends, words),
                (Excused::Status(_) | Excused::Answer(..) | Excused::Request(..), _) => false,
            }
    }
}

/// The words of a value of another type.
pub(crate) const TYPE: &str = "value is not of type";
/// The words of a field too many.
pub(crate) const UNNAMED: &str = "a field that the schema does not name";

/// All of them.
pub(crate) const HOLES: &[Hole] = &[
    Hole {
        operation: "",
        excused: Excused::Status(301),
        reason: "a repository's former name redirects every call; described for some",
        example: ("GET", "/repos/a/b/pulls", 301, ""),
    },
    Hole {
        operation: "",
        excused: Excused::Status(304),
        reason: "every read answers so to an ETag that still holds; described for some",
        example: ("GET", "/repos/a/b/issues/comments", 304, ""),
    },
    Hole {
        operation: "",
        excused: Excused::Status(401),
        reason: "a token that does not hold is refused by every call; described for some",
        example: ("GET", "/repos/a/b/pulls", 401, ""),
    },
    Hole {
        operation: "",
        excused: Excused::Status(403),
        reason: "every call may be forbidden, or above a rate limit; described for some",
        example: ("GET", "/repos/a/b/pulls", 403, ""),
    },
    Hole {
        operation: "",
        excused: Excused::Status(404),
        reason: "what is not there, or not for this token, is so for every call; described for some",
        example: ("GET", "/repos/a/b/pulls", 404, ""),
    },
    Hole {
        operation: "",
        excused: Excused::Status(451),
        reason: "a repository that is blocked answers so to every call",
        example: ("GET", "/repos/a/b/pulls", 451, ""),
    },
    Hole {
        operation: "POST /repos/{owner}/{repo}/statuses/{sha}",
        excused: Excused::Status(422),
        reason: "a commit that is not there; the document knows no refusal of this call",
        example: ("POST", "/repos/a/b/statuses/c", 422, ""),
    },
    Hole {
        operation: "POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
        excused: Excused::Answer(&[""], "there should be no JSON"),
        reason: "who cannot review is refused with words, as elsewhere; the document has the status alone",
        example: ("POST", "/repos/a/b/pulls/1/requested_reviewers", 422, "{}"),
    },
    Hole {
        operation: "",
        excused: Excused::Answer(&["/line", "/original_line", "/position", "/original_position"], TYPE),
        reason: "comments on files have no line, outdated ones none any more: null, which the schema forbids",
        example: ("GET", "/repos/a/b/pulls/1/comments", 200, r#"[{"line": null}]"#),
    },
    Hole {
        operation: "",
        excused: Excused::Answer(&["/head/repo"], TYPE),
        reason: "a fork that was deleted is null",
        example: ("GET", "/repos/a/b/pulls/1", 200, r#"{"head": {"repo": null}}"#),
    },
    Hole {
        operation: "",
        excused: Excused::Answer(&["/status"], UNNAMED),
        reason: "the status is in the body of every error, and not in the schema of a failed validation",
        example: ("POST", "/repos/a/b/pulls/1/reviews", 422, r#"{"status": "422"}"#),
    },
    Hole {
        operation: "GET /repos/{owner}/{repo}/pulls",
        excused: Excused::Answer(&["/labels/*/description"], TYPE),
        reason: "a label without a description has null, as the labels of one pull request may, and those of a list not",
        example: ("GET", "/repos/a/b/pulls", 200, r#"[{"labels": [{"description": null}]}]"#),
    },
    Hole {
        operation: "GET /app/installations",
        excused: Excused::Answer(&["/account", "/account/user_view_type"], ""),
        reason: "the document wants an account to be a user and an enterprise at once",
        example: ("GET", "/app/installations", 200, r#"[{"account": {"login": "a"}}]"#),
    },
];

/// Looks at every hole of a list: whether it is one, is excused, and has a reason.
#[cfg(test)]
pub(crate) fn each_is_needed(contract: &crate::Contract, holes: &[Hole]) {
    for hole in holes {
        let (method, target, status, text) = hole.example;
        let json: Option<serde_json::Value> = (!text.is_empty()).then(|| serde_json::from_str(text).unwrap());
        let (request, answer) = match hole.excused {
            Excused::Request(..) => (json.as_ref(), None),
            Excused::Status(_) | Excused::Answer(..) => (None, json.as_ref()),
        };
        let answer = Some((status, answer));
        let exchange = crate::Exchange { method, target, request, answer };
        let raw = contract.violations(&exchange);
        assert!(raw.iter().any(|violation| hole.excuses(violation)), "not needed: {hole:?}, of {raw:?}");
        let left = contract.check(&exchange);
        assert!(!left.iter().any(|violation| hole.excuses(violation)), "{left:?}");
        assert!(!hole.reason.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Contract;

    #[test]
    fn every_hole_is_one_and_is_excused_and_has_a_reason() {
        each_is_needed(&Contract::github().unwrap(), HOLES);
    }
}
