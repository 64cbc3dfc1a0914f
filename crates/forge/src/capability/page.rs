//! Generates the page about the capabilities and limits of each forge.

use super::*;

/// Statuses beside a commit, as `loops::desired` sets and tests them.
const STATUS: &str = "
## Beside the commit

| Review | Commit status | Check run |
|---|---|---|
| whole, \
    and nothing blocks | success | success |
| something blocks, whether the review is whole or partial | \
    failure | failure |
| nothing to review | success | neutral |
| partial and nothing blocks, deferred, \
    failed | pending | neutral |

GitHub counts a neutral check as passed where a check is required. So a \
    partial review that found something which
blocks is red, not neutral ([ADR \
    0020](../adr/0020-a-partial-review-with-a-blocking-finding-fails-the-check.md)); one that found \
    nothing of
the kind does not block the merge, and its summary says what was not read. A pending commit \
    status does block the merge.

## Changes that people make to our comments

A comment of ours that a \
    person rewrote gets our text back with the next review. One that a person deleted stays
deleted, and a \
    thread that a person resolved stays resolved. We read all comments right before we write the \
    first.
GitHub and Bitbucket Cloud have no conditional writes, so text that a person writes into one of \
    our comments after that
read is lost. Bitbucket Data Center refuses our write if the comment changed \
    after our last read. We never touch
answers: write there.

## Loops that work on a pull request

How \
    GitHub behaves in these loops, and what Truing does about it (`crates/forge/src/github/client.rs`):

| \
    GitHub | So |
|---|---|
| A review is posted whole or not at all; the refusal (422) does not say which \
    place is wrong | each finding is then posted by itself, and the review lists those that are refused \
    |
| The response to a review names no comments | Truing lists the comments and recognises its own by \
    their markers |
| Changes cannot be requested of one's own pull request \
    ([422](https://github.com/Dawn-Technology/aicelerate/issues/24)) | the review is posted as a comment \
    |
| Marking a pull request ready requires `contents: write` of an App's token, too \
    ([gh](https://github.com/cli/cli/issues/8910)) | that call has such a token, and so has the call of \
    the next row |
| A base is merged into a branch after the response (202), and only at the head that \
    the call names ([docs](https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request-branch)) | \
    Truing reads the pull request again until it has a new head, and then checks all of it again |
| A \
    review is requested from a bot by its name with `[bot]`; for `Copilot`, GitHub reports success and \
    nothing happens ([table](https://github.com/peters/horizon/pull/673)) | success proves nothing: Truing \
    waits for the review |
| Once a bot has begun, the list of requested reviewers is empty \
    ([issue](https://github.com/mfittko/dev-loops/issues/1980)) | an empty list proves nothing about a bot \
    |
| A bot starts by a comment that contains only its command | such a comment has no marker; Truing \
    recognises it by account, text and time |
| GitHub computes the result of a merge only on request | \
    after `UNKNOWN`, Truing asks again |
| A description is changed without a condition | Truing reads the \
    description directly before the change, and keeps its own marker in it |
";

/// Responses that reject the place of a comment on a diff (`http::classify`).
const REFUSALS: &str = "
## Refused places

A forge may refuse a comment on a place of the diff. This \
    affects only that comment: the other comments are posted, and the finding
is posted on its file, or, \
    if that is refused too, in the summary.

| Status of the refusal | Counts as |
|---|---|
| 422 \
    (GitHub, with a list of texts or of objects) | a refused place |
| 400 (both Bitbuckets), 404 and 409 \
    (Data Center) | a refused place |
| any other of 400 to 499 | a refused place, except for those below \
    |
| 401, 403, 451 | a login or a permission is missing |
| 402, 407, 408, 425, 429, and 403 with a \
    message about a limit | the call is made again later |
| 500 to 599 | the forge has failed: the \
    attempt is made again |
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
        MarkerForm::HtmlComment => "an HTML comment, the last line",
        MarkerForm::LinkReference => "a link reference that nothing refers to, the last line",
    };
    let lines = match forge.lines {
        CommentableLines::OneHunk => {
            "one or several, all in one hunk of the diff (added, removed, or around them)"
        }
        CommentableLines::OneLine => "one (added, removed, or around those); for several lines, the last",
    };
    let suggestions = if forge.suggestions {
        "a code block of the language `suggestion`, in comments on exactly the lines"
    } else {
        "none"
    };
    let names = if forge.unique_names {
        "each belongs to one account"
    } else {
        "freely chosen: the UUID identifies an account"
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
    let upserts = match forge.upserts {
        UpsertRule::ByPlace => "the same lines",
        UpsertRule::ByText => "the same lines with the same text, ignoring white space",
    };
    let anchored = match forge.anchored {
        AnchorCommit::Commit => "the commit that the call names",
        AnchorCommit::Head => "the head at that moment, which is read before and after",
    };
    let reviews = match forge.reviews {
        ReviewPosting::Object => "one object that contains its comments",
        ReviewPosting::Comment => "a comment, and separate comments on lines",
    };
    let permission = match forge.permission {
        LookupPermission::Write => "that of anybody who may write to the repository",
        LookupPermission::Admin => "that of an administrator of the repository",
        LookupPermission::User => "that of a user",
    };
    let refused = match forge.refusal_consequence {
        RefusalConsequence::DeliveryLost => "503: the delivery is lost, or sent again",
        RefusalConsequence::HookSuspended => {
            "202, and its slot stays due (a server stops calling a webhook that fails repeatedly)"
        }
    };
    let yes = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    let count = |count: usize| if count == 0 { "not published".to_owned() } else { count.to_string() };
    let annotations = match forge.report_annotations {
        0 => forge.annotations.to_string(),
        all => format!("{}, of a report {all}", forge.annotations),
    };
    let creations = forge.creations.iter().map(|(count, span)| format!("{count} in {} min", span.0 / 60_000));
    let creations = match creations.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "not published".to_owned(),
        creations => creations,
    };
    let calls = match forge.calls_an_hour {
        0 => "as many as the forge lets through".to_owned(),
        calls => {
            format!("{calls}; the forge does not report the remaining quota, so the sweep uses half at most")
        }
    };
    let diff = match (forge.diff_files, forge.diff_lines) {
        (0, 0) => "not published (we read it with git)".to_owned(),
        (files, lines) => format!("{files} files, {lines} lines (we read it with git)"),
    };
    vec![
        ("Names of the tools for agents", format!("begin with `{}`", forge.tool_prefix)),
        ("Without a key, an agent's comment replaces an earlier one on", upserts.to_owned()),
        ("Page of a pull request", format!("`{}`", forge.pages.url_pattern())),
        (
            "Longest comment",
            format!("{} characters, {} of them for the marker", forge.comment, forge.marker_room),
        ),
        ("Marker", marker.to_owned()),
        ("Lines of a comment", lines.to_owned()),
        ("A comment on lines is placed on", anchored.to_owned()),
        ("Comments in one call", forge.batch.to_string()),
        ("Suggestions", suggestions.to_owned()),
        ("Names of accounts", names.to_owned()),
        ("A review of a loop", reviews.to_owned()),
        ("Drafts", yes(forge.drafts)),
        ("Labels", yes(forge.labels)),
        ("Issues", yes(forge.issues)),
        ("Reactions that can be read", yes(forge.reactions)),
        ("Merges a base into a branch", yes(forge.update_branch)),
        ("The repository has the commits of pull requests from forks", yes(forge.fork_heads)),
        ("Whose token can find out who may write", permission.to_owned()),
        ("On the commit", statuses),
        ("Text of a status", format!("{} characters", forge.status_text)),
        ("Annotations in one call", annotations),
        ("Calls that create", creations),
        ("Calls an hour", calls),
        ("Items of a page", forge.page.to_string()),
        ("Files listed of a pull request", count(forge.files)),
        ("Diff in one answer", diff),
        (
            "Response to a delivery while the kill switch is on, unless `forge.NAME.halted` sets another",
            refused.to_owned(),
        ),
        ("A comment may stay unseen for", format!("{} s (`forge.NAME.settle`)", forge.settle.0 / 1_000)),
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
