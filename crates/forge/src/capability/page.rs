//! Generates the page about the capabilities and limits of each forge.

use super::*;

/// Text about the statuses on a commit. The module `loops::desired` chooses these statuses, and its tests
/// check them.
const STATUS: &str = "
## Status of the commit

| Review | Commit status | Check run |
|---|---|---|
| \
    complete, without a blocking finding | success | success |
| complete or partial, with a blocking \
    finding | failure | failure |
| nothing to review | success | neutral |
| partial without a blocking \
    finding, deferred, or failed | pending | neutral |

If a check is required, GitHub counts a neutral \
    check as passed. A partial review with a blocking finding is
therefore red, not neutral ([ADR \
    0020](../adr/0020-a-partial-review-with-a-blocking-finding-fails-the-check.md)). A partial review \
    without a blocking
finding does not block the merge, and its summary says what was not read. A pending \
    commit status blocks the merge.

## Changes that people make to our comments

If a person edits one of \
    our comments, the next review restores our text. A comment that a person deletes stays
deleted, and a \
    thread that a person resolves stays resolved. We read all comments directly before our first \
    write.
GitHub and Bitbucket Cloud have no conditional writes, so an edit that a person makes to one of \
    our comments after that
read is lost. Bitbucket Data Center refuses our write if the comment changed \
    after our last read. We never change
replies, so write a reply instead.

## Loops that work on a pull \
    request

This table shows how GitHub behaves in these loops, and how Truing reacts \
    (`crates/forge/src/github/client.rs`):

| Behaviour of GitHub | Reaction of Truing |
|---|---|
| \
    GitHub posts a review completely or not at all; a refusal (422) does not name the wrong place | Truing \
    then posts each finding separately, and the review lists the refused findings |
| The response to a \
    new review does not name the comments | Truing lists the comments, and recognises its own comments by \
    their markers |
| An account cannot request changes on its own pull request \
    ([422](https://github.com/Dawn-Technology/aicelerate/issues/24)) | Truing posts the review as a \
    comment |
| To mark a pull request as ready, the token of an App also needs `contents: write` \
    ([gh](https://github.com/cli/cli/issues/8910)) | Truing uses such a token for this call and for the \
    call in the next row |
| GitHub merges a base into a branch after the response (202), and only if the \
    branch is still at the head that the call names \
    ([docs](https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request-branch)) | Truing reads the \
    pull request until the head is new, and then repeats all checks |
| To request a review from a bot, \
    the call must contain the bot's name with `[bot]`; for `Copilot`, GitHub reports success, but nothing \
    happens ([table](https://github.com/peters/horizon/pull/673)) | Truing does not rely on the reported \
    success, and waits for the review |
| After a bot has begun its review, the list of requested \
    reviewers is empty ([issue](https://github.com/mfittko/dev-loops/issues/1980)) | Truing draws no \
    conclusion about a bot from an empty list |
| A bot starts its review after a comment that contains \
    only the bot's command | Truing posts this comment without a marker, and recognises the comment by \
    account, text and time |
| GitHub computes the result of a merge only on request | after `UNKNOWN`, \
    Truing requests the result again |
| GitHub has no conditional change of a description | Truing reads \
    the description directly before the change, and keeps its own marker in the description |
";

/// Text about responses that reject the position of a comment on a diff (`http::classify`).
const REFUSALS: &str = "
## Refused places

A forge may refuse a comment on a place of the diff. Truing \
    then posts all other comments, and posts the finding
on its file. If the forge also refuses the \
    comment on the file, the summary contains the finding.

| Status of the response | Meaning \
    |
|---|---|
| 422 (GitHub, with a list of texts or of objects) | a refused place |
| 400 (both \
    Bitbuckets), 404 and 409 (Data Center) | a refused place |
| any other status from 400 to 499 | a \
    refused place, except for the statuses below |
| 401, 403, 451 | a login or a permission is missing \
    |
| 402, 407, 408, 425, 429, and 403 with a message about a limit | Truing repeats the call later |
| \
    500 to 599 | the forge has failed: Truing repeats the attempt |
";

/// Returns the text of docs/reference/forges.md.
fn render_page() -> String {
    let mut text = String::from(
        "# What each forge accepts\n\n<!-- Generated from crates/forge/src/capability.rs. To update it: \
            UPDATE_DOCS=1 cargo test -p truing-forge -->\n\nTruing fits its comments on pull requests to \
            these limits. A finding that cannot be placed on its lines goes to its\nfile, or else to the \
            summary. A text that is too long is cut at a safe place, with a note.\n",
    );
    text += REFUSALS;
    text += STATUS;
    for forge in CAPABILITY_TABLE {
        text += &format!("\n## {}\n\n| | |\n|---|---|\n", forge.name);
        for (what, value) in forge_rows(forge) {
            text += &format!("| {what} | {value} |\n");
        }
    }
    text
}

fn forge_rows(forge: &ForgeCapability) -> Vec<(&'static str, String)> {
    let marker = match forge.marker {
        MarkerForm::HtmlComment => "an HTML comment on the last line",
        MarkerForm::LinkReference => "a link reference on the last line, which no text uses",
    };
    let lines = match forge.commentable_lines {
        CommentableLines::OneHunk => "one or more lines of one hunk: added, removed or context lines",
        CommentableLines::OneLine => "one line: added, removed or context; for several lines, the last line",
    };
    let suggestions = if forge.suggestions {
        "a code block of the language `suggestion`, in a comment on exactly the replaced lines"
    } else {
        "none"
    };
    let names = if forge.unique_names {
        "each name belongs to one account"
    } else {
        "freely chosen; only the UUID identifies an account"
    };
    let status = |status: &StatusKind| match status {
        StatusKind::CheckRun => "a check run (Apps)",
        StatusKind::CommitStatus => "a commit status",
        StatusKind::Report => "a report",
        StatusKind::BuildStatus => "a build status",
    };
    let statuses: Vec<&str> = forge.statuses.iter().map(status).collect();
    // A check run replaces a commit status; a report is set in addition to a build status.
    let statuses =
        statuses.join(if forge.statuses.contains(&StatusKind::Report) { " and " } else { ", else " });
    let upserts = match forge.upsert_rule {
        UpsertRule::ByPlace => "the same lines",
        UpsertRule::ByText => "the same lines with the same text, ignoring white space",
    };
    let anchored = match forge.anchor_commit {
        AnchorCommit::NamedCommit => "the commit that the call names",
        AnchorCommit::Head => {
            "the head at the moment of the call; Truing reads the head before and after the call"
        }
    };
    let reviews = match forge.review_posting {
        ReviewPosting::Object => "one object that contains all comments of the review",
        ReviewPosting::Comment => "a comment, and separate comments on lines",
    };
    let permission = match forge.lookup_permission {
        LookupPermission::Write => "the token of any account with write access to the repository",
        LookupPermission::Admin => "the token of an administrator of the repository",
        LookupPermission::AnyUserLogin => "the token of a user",
    };
    let refused = match forge.refusal_consequence {
        RejectedDeliveryConsequence::DeliveryLost => {
            "503; the delivery is lost, or the forge sends the delivery again"
        }
        RejectedDeliveryConsequence::HookSuspended => {
            "202, and the pull request's slot stays due; after repeated failures, a server would stop \
                calling the webhook"
        }
    };
    let yes = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    let count = |count: usize| if count == 0 { "not published".to_owned() } else { count.to_string() };
    let annotations = match forge.max_annotations_per_report {
        0 => forge.max_annotations_per_call.to_string(),
        all => format!("{}; in one report {all}", forge.max_annotations_per_call),
    };
    let creations =
        forge.creation_limits.iter().map(|(count, span)| format!("{count} in {} min", span.0 / 60_000));
    let creations = match creations.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "not published".to_owned(),
        creations => creations,
    };
    let calls = match forge.max_calls_per_hour {
        0 => "as many as the forge allows".to_owned(),
        calls => {
            format!(
                "{calls}; the forge does not report the remaining quota, so the sweep uses at most \
                half of the limit"
            )
        }
    };
    let diff = match (forge.max_diff_files, forge.max_diff_lines) {
        (0, 0) => "not published (Truing reads the diff with git)".to_owned(),
        (files, lines) => format!("{files} files, {lines} lines (Truing reads the diff with git)"),
    };
    vec![
        ("Prefix of the names of the tools for agents", format!("`{}`", forge.tool_prefix)),
        ("An agent's comment without a key replaces the earlier comment on", upserts.to_owned()),
        ("Address of a pull request's page", format!("`{}`", forge.page_urls.url_pattern())),
        (
            "Maximum length of a comment",
            format!("{} characters, {} of them for the marker", forge.max_comment_length, forge.marker_room),
        ),
        ("Marker", marker.to_owned()),
        ("Lines that one comment may cover", lines.to_owned()),
        ("Commit on which a comment on lines is placed", anchored.to_owned()),
        ("Maximum number of comments in one call", forge.max_batch_size.to_string()),
        ("Suggestions", suggestions.to_owned()),
        ("Names of accounts", names.to_owned()),
        ("Form in which a loop posts a review", reviews.to_owned()),
        ("Drafts", yes(forge.drafts)),
        ("Labels", yes(forge.labels)),
        ("Issues", yes(forge.issues)),
        ("Reactions that can be read", yes(forge.reactions)),
        ("The forge can merge a base into a branch", yes(forge.can_update_branch)),
        ("The repository has the commits of pull requests from forks", yes(forge.fork_heads)),
        ("Token needed to look up who has write access", permission.to_owned()),
        ("Status on the commit", statuses),
        ("Maximum length of a status text", format!("{} characters", forge.max_status_length)),
        ("Maximum number of annotations in one call", annotations),
        ("Maximum number of calls that create something", creations),
        ("Maximum number of calls in an hour", calls),
        ("Maximum number of items on a page of a list", forge.max_page_size.to_string()),
        ("Maximum number of listed files of a pull request", count(forge.max_listed_files)),
        ("Maximum size of the diff in one response", diff),
        (
            "Response to a delivery while the kill switch is on (unless `forge.NAME.halted` sets another \
                response)",
            refused.to_owned(),
        ),
        (
            "Time for which a new comment may stay invisible",
            format!("{} s (`forge.NAME.settle`)", forge.settle_delay.0 / 1_000),
        ),
    ]
}

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/forges.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, render_page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, render_page(), "update it: UPDATE_DOCS=1 cargo test -p truing-forge");
}
