//! Generates the page about the capabilities and limits of each forge.

use super::*;

/// Text about the statuses on a commit. The module `loops::desired_state` chooses these statuses, and its
/// tests check them.
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
    0020](../adr/0020-a-partial-review-with-a-blocking-finding-fails-the-check.md)). \
    If Truing creates a check run, a \
    partial review without a blocking finding does not block the merge. The summary of such a check \
    run names the parts that were not reviewed. A pending commit status blocks the merge.

## Changes that people make to our comments

If a person edits one of \
    our comments, the next review restores our text. A comment that a person deletes stays
deleted, and a \
    thread that a person resolves stays resolved. We read all comments directly before our first write. \
    GitHub and Bitbucket Cloud have no conditional writes. If a person edits one of our comments between \
    this read and our write, the edit is lost. Bitbucket Data Center refuses our write if the comment \
    changed \
    after our last read. To add text, write a reply: we never change replies.

## Comments that people edit

| Forge | Who can edit the text of a comment | A command in an edited comment |
|---|---|---|
| GitHub | its author, and every account with write access | Truing asks the GraphQL API who edited the \
    comment last (`editor`). The command counts if this is the author. The times of the REST API do not show \
    the editor |
| Bitbucket Cloud and Data Center | its author | counts |

## Loops that work on a pull \
    request

This table shows how GitHub behaves when Truing audits, fixes or updates a pull request, and how Truing \
        reacts (`crates/forge/src/github/client.rs`):

| Behaviour of GitHub | Reaction of Truing |
|---|---|
| \
    GitHub posts a review completely or not at all. If GitHub refuses a review (422), the \
    response does not name the comment that caused the refusal | \
    Truing then posts each finding separately, and the review lists the \
    refused findings |
| When Truing creates a review, GitHub's response does not contain the ids of the comments | Truing lists \
        the comments, and recognises its own comments by \
    their markers |
| An account cannot request changes on its own pull request \
    ([422](https://github.com/Dawn-Technology/aicelerate/issues/24)) | Truing posts the review as a \
    comment |
| To mark a pull request as ready, the token of an App also needs `contents: write` \
    ([gh](https://github.com/cli/cli/issues/8910)) | Truing uses a token with this permission for this \
    call, and for the call in the next row |
| GitHub sends the response (202) before it merges a base into a branch. \
    It merges only if the branch still has the head that the \
    call names ([docs](https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request-branch)) | \
    Truing reads the pull request repeatedly until it has a new head, and then repeats all checks |
| GitHub records the head at the time of submission as the commit of a review, even if the reviewer read an \
    older commit ([example](https://github.com/Team-Commonly/commonly/pull/1401)). It has been seen to move \
    this commit to a later merge of the base | Truing does not rely on this commit. A review counts if its \
    text or the reviewer's own check run names the head, or if Truing had requested it for the head. \
    Otherwise \
    Truing reports it as not proven |
| To request a review from a bot, \
    the call must contain the bot's \
    name with `[bot]`. If the call contains the name `Copilot`, GitHub reports success, but \
    requests no review ([table](https://github.com/peters/horizon/pull/673)) | Truing does not rely \
    on the reported \
    success, and waits for the review |
| After a bot has begun its review, the list of requested \
    reviewers is empty ([issue](https://github.com/mfittko/dev-loops/issues/1980)) | \
    If the list is empty, Truing draws no conclusion about a bot |
| Some bots start a review only after a comment that contains nothing but the bot's command | Truing \
        posts this comment without a marker, and recognises the comment by \
    account, text and time |
| GitHub computes whether a pull request can be merged only when a \
    client requests this result | if the result is `UNKNOWN`, \
        Truing requests it again |
| GitHub has no conditional writes for descriptions | Truing reads the description immediately \
    before the change, and keeps its own marker in the description |
";

/// Text about responses that reject the position of a comment on a diff (`http::classify`).
const REFUSALS: &str = "
## Refused places

A forge may refuse a comment on some lines of the diff. Truing then posts all other comments, and posts \
        this finding as a comment on its file. If the forge also refuses the \
    comment on the file, the summary contains the finding.

| Status of the response | Meaning \
    |
|---|---|
| 422 (GitHub, with a list of texts or of objects) | a refused place |
| 400 (both \
    Bitbuckets), 404 and 409 (Data Center) | a refused place |
| any status from 400 to 499 that is not in this table | a refused place |
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
        these limits. If a comment cannot be placed on a finding's lines, Truing\nputs the comment on the \
        file, or else into the summary. Truing cuts a text that is too long at a safe place, and adds \
        a\nnote.\n",
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
    let marker = match forge.marker_syntax {
        MarkerSyntax::HtmlComment => "an HTML comment on the last line",
        MarkerSyntax::LinkReference => "an unused link reference on the last line",
    };
    let lines = match forge.commentable_lines {
        CommentableLines::OneHunk => "one or more lines of one hunk: added, removed or context lines",
        CommentableLines::OneLine => {
            "one added, removed or context line; if a finding has several lines, its last line"
        }
    };
    let suggestions = if forge.suggestions {
        "a code block of the language `suggestion`, in a comment on exactly the replaced lines"
    } else {
        "none"
    };
    let names = if forge.has_unique_account_names {
        "each name belongs to one account"
    } else {
        "users can choose any name; only the UUID identifies an account"
    };
    let status = |status: &StatusKind| match status {
        StatusKind::CheckRun => "a check run (Apps)",
        StatusKind::CommitStatus => "a commit status",
        StatusKind::Report => "a report",
        StatusKind::BuildStatus => "a build status",
    };
    let statuses: Vec<&str> = forge.status_kinds.iter().map(status).collect();
    // A check run replaces a commit status; a report is set in addition to a build status.
    let statuses =
        statuses.join(if forge.status_kinds.contains(&StatusKind::Report) { " and " } else { ", else " });
    let upserts = match forge.upsert_rule {
        UpsertRule::ByLocation => "the same lines",
        UpsertRule::ByLocationAndText => "the same lines with the same text, ignoring white space",
    };
    let anchored = match forge.anchor_commit {
        AnchorCommit::NamedCommit => "the commit that the call specifies",
        AnchorCommit::Head => {
            "the head at the time of the call; Truing therefore reads the head before and after the call"
        }
    };
    let reviews = match forge.review_posting {
        ReviewPosting::ReviewObject => "one object that contains all comments of the review",
        ReviewPosting::Comment => "a comment, and separate comments on lines",
    };
    let permission = match forge.writer_lookup_permission {
        WriterLookupPermission::Write => "the token of any account with write access to the repository",
        WriterLookupPermission::Admin => "the token of an administrator of the repository",
        WriterLookupPermission::AnyUserLogin => "the token of a user",
    };
    let refused = match forge.rejected_delivery_consequence {
        RejectedDeliveryConsequence::DeliveryLost => {
            "503; the forge then drops the delivery, or sends it again"
        }
        RejectedDeliveryConsequence::HookSuspended => {
            "202, and the review of the pull request stays due. If Truing answers with an error status \
            several times, the forge suspends the webhook"
        }
    };
    let yes = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    let count = |count: usize| if count == 0 { "not published".to_owned() } else { count.to_string() };
    let annotations = match forge.max_annotations_per_report {
        0 => forge.max_annotations_per_call.to_string(),
        all => format!("{}; at most {all} in one report", forge.max_annotations_per_call),
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
        ("Prefix of the tool names for agents", format!("`{}`", forge.tool_prefix)),
        ("If an agent posts a comment without a key, it replaces the earlier comment on", upserts.to_owned()),
        ("Address of a pull request's page", format!("`{}`", forge.page_urls.url_pattern())),
        (
            "Maximum length of a comment",
            format!(
                "{} characters, {} of them for the marker",
                forge.max_comment_length, forge.reserved_marker_length
            ),
        ),
        ("Marker", marker.to_owned()),
        ("Lines that one comment may cover", lines.to_owned()),
        ("Commit to which the forge attaches a comment on lines", anchored.to_owned()),
        ("Maximum number of comments in one call", forge.max_comments_per_call.to_string()),
        ("Suggestions", suggestions.to_owned()),
        ("Names of accounts", names.to_owned()),
        ("Format in which a loop posts a review", reviews.to_owned()),
        ("Drafts", yes(forge.drafts)),
        ("Labels", yes(forge.labels)),
        ("Issues", yes(forge.issues)),
        ("Reactions to comments can be read", yes(forge.reactions)),
        ("The forge can merge a base into a branch", yes(forge.can_update_branch)),
        (
            "Commits of pull requests from forks can be fetched from the base repository",
            yes(forge.can_fetch_fork_heads),
        ),
        ("Token needed to read which accounts have write access", permission.to_owned()),
        ("Status on the commit", statuses),
        ("Maximum length of a status text", format!("{} characters", forge.max_status_description_chars)),
        ("Maximum number of annotations in one call", annotations),
        ("Maximum number of create calls", creations),
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
            "Maximum time until a new comment is visible",
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
