//! Rejects comments because of their file or lines. Contains the known error responses of each forge, and the
//! files for which a test requests rejections.

use serde_json::{Value, json};

use crate::forge::flavour::ForgeFlavour;
use crate::forge::http::call::{ApiCall, ApiResponse};

/// A forge's response that rejects the file or lines of a comment on a diff.
#[derive(Clone, Copy, Debug)]
pub struct CommentPlaceRefusal {
    /// Forge that sends this response.
    pub flavour: ForgeFlavour,
    /// Status of the response.
    pub status: u16,
    /// Reason in the response, in the forge's own words.
    pub message: &'static str,
    /// Source of this response, or the reason why the forge is expected to send it.
    pub evidence: &'static str,
}

/// Known responses that reject the file or lines of a comment.
pub const PLACE_REFUSALS: &[CommentPlaceRefusal] = &[
    CommentPlaceRefusal {
        flavour: ForgeFlavour::GitHub,
        status: 422,
        message: "Line could not be resolved",
        evidence: "reviews with a line outside the diff",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::GitHub,
        status: 422,
        message: "Pull request review thread line must be part of the diff and Pull request review thread \
             diff hunk can't be blank",
        evidence: "The-PR-Agent/pr-agent#592, parkerbxyz/suggest-changes#64",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::GitHub,
        status: 422,
        message: "path diff too large",
        evidence: "octokit/octokit.rb#1324",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::GitHub,
        status: 422,
        message: "Review comments is invalid and Review threads is invalid",
        evidence: "actions/github-script#318",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::Cloud,
        status: 400,
        message: "\"start_to\" must be less than or equal to \"to\"",
        evidence: "The-PR-Agent/pr-agent#3285",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::Cloud,
        status: 404,
        message: "Resource not found",
        evidence: "no document rules it out: a file that the shown diff no longer has",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::Cloud,
        status: 409,
        message: "Conflict",
        evidence: "no document rules it out: what a thread is refused with",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::DataCenter,
        status: 400,
        message: "The line is not in the diff",
        evidence: "the form of a validation error",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::DataCenter,
        status: 404,
        message: "The path does not exist at this revision",
        evidence: "the exception of a path that a commit does not have",
    },
    CommentPlaceRefusal {
        flavour: ForgeFlavour::DataCenter,
        status: 409,
        message: "The comment's anchor is not valid",
        evidence: "what a server was seen to answer to an anchor",
    },
];

impl CommentPlaceRefusal {
    /// Returns the body of the response. GitHub returns a list of strings for a review, and a list of objects
    /// for a single comment.
    fn error_body(&self, call: &ApiCall) -> Value {
        let Self { message: words, .. } = self;
        let (message, errors) = match self.flavour {
            ForgeFlavour::Cloud => return json!({ "type": "error", "error": { "message": words } }),
            ForgeFlavour::DataCenter => {
                let exception = "com.atlassian.bitbucket.validation.ArgumentValidationException";
                let error = json!({ "context": null, "message": words, "exceptionName": exception });
                return json!({ "errors": [error] });
            }
            ForgeFlavour::GitHub if call.path.ends_with("/reviews") => {
                ("Unprocessable Entity", json!([words]))
            }
            ForgeFlavour::GitHub => {
                let resource = "PullRequestReviewComment";
                let error =
                    json!({ "resource": resource, "code": "custom", "field": "path", "message": words });
                ("Validation Failed", json!([error]))
            }
        };
        let page = "https://docs.github.com/rest";
        json!({ "message": message, "errors": errors, "documentation_url": page, "status": "422" })
    }
}

/// The comments on a file that the forge rejects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedPlaces {
    /// Comments on lines of the file; a comment on the whole file is accepted.
    Lines,
    /// Comments on lines of the file, and comments on the whole file.
    LinesAndFile,
}

/// A file on which the forge rejects comments.
#[derive(Clone, Debug)]
pub(crate) struct RefusedFile {
    pub(crate) path: String,
    pub(crate) places: RefusedPlaces,
    pub(crate) refusal: CommentPlaceRefusal,
}

impl RefusedFile {
    /// Returns the response that rejects the call, if the call contains a comment on this file that must be
    /// rejected.
    pub(crate) fn refusal_response(&self, call: &ApiCall) -> Option<ApiResponse> {
        let body = &call.body;
        let several = body["comments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let all = several.iter().chain([body, &body["inline"], &body["anchor"]]);
        let is_refused = call.method == "POST" && all.into_iter().any(|place| self.matches_place(place));
        is_refused.then(|| ApiResponse::json(self.refusal.status, self.refusal.error_body(call)))
    }

    fn matches_place(&self, place: &Value) -> bool {
        let on_line = ["line", "to", "from"].iter().any(|name| place[name].is_u64());
        place["path"] == self.path.as_str() && (on_line || self.places == RefusedPlaces::LinesAndFile)
    }
}
