//! Refusals of places: in which words each forge refuses a comment on a diff, and places that it always refuses.

use serde_json::Value;

use crate::forge::flavour::Flavour;
use crate::forge::http::call::{Call, Reply};

/// One way of a forge to refuse a comment on a place of a diff.
#[derive(Clone, Copy, Debug)]
pub struct PlaceRefusal {
    /// The forge that refuses so.
    pub flavour: Flavour,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer, which is JSON.
    pub body: &'static str,
    /// The place where it was seen, or the reason to expect it.
    pub source: &'static str,
}

/// The known refusals of places.
pub const PLACE_REFUSALS: &[PlaceRefusal] = &[
    PlaceRefusal {
        flavour: Flavour::GitHub,
        status: 422,
        body: r#"{"message":"Unprocessable Entity","errors":["Line could not be resolved"],"documentation_url":"https://docs.github.com/rest","status":"422"}"#,
        source: "reviews with a line outside the diff",
    },
    PlaceRefusal {
        flavour: Flavour::GitHub,
        status: 422,
        body: r#"{"message":"Unprocessable Entity","errors":["Pull request review thread line must be part of the diff and Pull request review thread diff hunk can't be blank"],"documentation_url":"https://docs.github.com/rest","status":"422"}"#,
        source: "The-PR-Agent/pr-agent#592, parkerbxyz/suggest-changes#64",
    },
    PlaceRefusal {
        flavour: Flavour::GitHub,
        status: 422,
        body: r#"{"message":"Validation Failed","errors":[{"resource":"PullRequestReviewComment","code":"custom","field":"path","message":"path diff too large"}],"documentation_url":"https://docs.github.com/rest","status":"422"}"#,
        source: "octokit/octokit.rb#1324",
    },
    PlaceRefusal {
        flavour: Flavour::GitHub,
        status: 422,
        body: r#"{"message":"Unprocessable Entity","errors":["Review comments is invalid and Review threads is invalid"],"documentation_url":"https://docs.github.com/rest","status":"422"}"#,
        source: "actions/github-script#318",
    },
    PlaceRefusal {
        flavour: Flavour::Cloud,
        status: 400,
        body: r#"{"type":"error","error":{"message":"Bad request","fields":{"inline":["\"start_to\" must be less than or equal to \"to\""]}}}"#,
        source: "The-PR-Agent/pr-agent#3285",
    },
    PlaceRefusal {
        flavour: Flavour::Cloud,
        status: 404,
        body: r#"{"type":"error","error":{"message":"Resource not found"}}"#,
        source: "no document rules it out: a file that the shown diff no longer has",
    },
    PlaceRefusal {
        flavour: Flavour::Cloud,
        status: 409,
        body: r#"{"type":"error","error":{"message":"Conflict"}}"#,
        source: "no document rules it out: what a thread is refused with",
    },
    PlaceRefusal {
        flavour: Flavour::DataCenter,
        status: 400,
        body: r#"{"errors":[{"context":"anchor.line","message":"The line is not in the diff","exceptionName":null}]}"#,
        source: "the form of a validation error",
    },
    PlaceRefusal {
        flavour: Flavour::DataCenter,
        status: 404,
        body: r#"{"errors":[{"context":null,"message":"The path does not exist at this revision","exceptionName":"com.atlassian.bitbucket.content.NoSuchPathException"}]}"#,
        source: "the exception of a path that a commit does not have",
    },
    PlaceRefusal {
        flavour: Flavour::DataCenter,
        status: 409,
        body: r#"{"errors":[{"context":null,"message":"The comment's anchor is not valid","exceptionName":"com.atlassian.bitbucket.comment.InvalidCommentAnchorException"}]}"#,
        source: "what a server was seen to answer to an anchor",
    },
];

/// The places of a file that are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedPlaces {
    /// Its lines; a comment on the whole file is taken.
    Lines,
    /// Its lines, and the whole file.
    All,
}

/// A file whose places are refused from now on.
#[derive(Clone, Debug)]
pub(crate) struct RefusedFile {
    pub(crate) path: String,
    pub(crate) places: RefusedPlaces,
    pub(crate) by: PlaceRefusal,
}

impl RefusedFile {
    /// The refusal, if the call comments on such a place.
    pub(crate) fn answer(&self, call: &Call) -> Option<Reply> {
        let body = &call.body;
        let several = body["comments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let all = several.iter().chain([body, &body["inline"], &body["anchor"]]);
        let is_refused = call.method == "POST" && all.into_iter().any(|place| self.has(place));
        let body = serde_json::from_str(self.by.body).unwrap_or_default();
        is_refused.then(|| Reply::json(self.by.status, body))
    }

    fn has(&self, place: &Value) -> bool {
        let on_line = ["line", "to", "from"].iter().any(|name| place[name].is_u64());
        place["path"] == self.path.as_str() && (on_line || self.places == RefusedPlaces::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_body_is_json() {
        for refusal in PLACE_REFUSALS {
            assert!(serde_json::from_str::<Value>(refusal.body).is_ok(), "{refusal:?}");
        }
    }
}
