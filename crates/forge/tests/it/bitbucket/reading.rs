//! Tests of reading one pull request and its repository at both kinds of Bitbucket.

use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::effect::Effect;
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{FindingId, Sha};
use truing_core::port::{
    CheckState, CommitCheck, ForgeError, ForgeRead as _, ForgeWrite as _, InlineDraft, PrState, ReviewState,
};
use truing_core::publish::{
    CheckConclusion, CheckContent, CommentRights, CommentSubject, DesiredStatus, StatusState, ThreadState,
};
use truing_diff::RepoPath;
use truing_fakes::forge::{FakeDiffSide as Where, FakeReviewVerdict, NewPull};
use truing_fakes::repo::CommitBuilder;
use truing_forge::RepositoryClient;

use crate::repository::site::{BOT, Calls as _, Site};

pub(super) fn finding(id: &str, line: u32) -> InlineDraft {
    let path = RepoPath::from_bytes("a.txt");
    let place = CodeLocation { path, side: DiffSide::New, start_line: line, end_line: line };
    InlineDraft {
        location: place,
        item: CommentSubject::Finding(FindingId::new(id)),
        body: format!("Finding {id}."),
    }
}

pub(super) async fn tip(site: &Site) -> Sha {
    Sha::parse(&site.shop.tip("feature").await.unwrap()).unwrap()
}

pub(super) async fn make(open: &RepositoryClient, effect: Effect) {
    open.make(&effect).await.unwrap();
}

#[tokio::test]
async fn a_pull_request_is_read_with_whole_hashes() {
    for (site, number, open) in Site::bitbuckets().await {
        let request = open.pull_request().await.unwrap();
        let main = site.shop.tip("main").await.unwrap();
        assert_eq!(request.revision.head, tip(&site).await);
        assert_eq!(request.revision.base.as_str(), main);
        assert_eq!((request.state, request.base_branch.as_str()), (PrState::Open, "main"));
        assert_eq!((request.branch.as_str(), request.title.as_str()), ("feature", "Change feature"));
        assert_eq!(
            (request.name, request.description.as_str()),
            (format!("acme/shop#{number}"), "What it does.")
        );
        let author = request.author.unwrap();
        assert_eq!((author.login.as_str(), author.is_person, request.labels), ("author", true, None));
        let now = open.pull_details().await.unwrap();
        assert!(now.url.ends_with(&format!("/pull-requests/{number}")), "{}", now.url);
        assert_eq!(now.head.can_push, Some(true));
        assert_eq!((now.labels.len(), now.requested_reviewers.len()), (0, 0));
        assert!(now.author.is_some_and(|author| author.is_person && !author.is_own_account));
        site.shop.set_role(BOT, "read").await.unwrap();
        assert_eq!(open.pull_details().await.unwrap().head.can_push, Some(false));
        site.shop.close_pull(number).await.unwrap();
        assert_eq!(open.pull_request().await.unwrap().state, PrState::Closed);
        assert_eq!(open.labels().await, Ok(Vec::new()));
        assert_eq!(open.issues("truing").await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn a_fork_is_named_where_nothing_else_has_the_head() {
    for (site, _, open) in Site::bitbuckets().await {
        assert_eq!(open.pull_request().await.unwrap().head_repository, None);
        site.shop.push("someone:fix", CommitBuilder::new("Fix").write("b.txt", "1")).await.unwrap();
        let number = site.shop.open_pull(NewPull::from_branch("someone:fix")).await.unwrap();
        let client = site.conversation(number);
        let told = client.pull_details().await.unwrap().head.repository.unwrap();
        assert_eq!((told.name.as_str(), told.is_target_repository), ("someone/shop", false));
        assert_eq!(told.is_only_source, site.is_cloud());
        let named = client.pull_request().await.unwrap().head_repository;
        assert_eq!(named, site.is_cloud().then_some(told));
        site.shop.delete_fork("someone").await.unwrap();
        assert_eq!(client.pull_request().await.unwrap().head_repository, None);
    }
}

#[tokio::test]
async fn a_repository_alone_has_no_pull_request_and_no_call_is_made() {
    for (site, ..) in Site::bitbuckets().await {
        let calls = site.forge.request_log().len();
        assert!(matches!(site.hub.pull_request().await, Err(ForgeError::Rejected { .. })));
        assert!(matches!(site.hub.producer_comments(&[]).await, Err(ForgeError::Rejected { .. })));
        assert_eq!(site.forge.request_log().len(), calls);
        let repository = site.hub.repository().await.unwrap();
        assert_eq!((repository.name.as_str(), repository.default_branch.as_str()), ("acme/shop", "main"));
        assert!(
            !repository.is_fork
                && !repository.write_access.has_issues_enabled
                && !repository.write_access.archived
        );
        assert_eq!(repository.write_access.can_push, Some(true));
        let from = site.hub.pulls_from_branch("feature").await.unwrap();
        assert_eq!(from.len(), 1);
        assert_eq!(site.hub.pulls_from_branch("main").await.unwrap(), []);
    }
}

#[tokio::test]
async fn comments_of_ours_are_those_with_our_marker() {
    for (site, number, open) in Site::bitbuckets().await {
        let commit = tip(&site).await;
        make(&open, Effect::Summary { body: "One finding.".into() }).await;
        make(&open, Effect::Findings { commit: commit.clone(), comments: vec![finding("a", 3)] }).await;
        make(&open, Effect::FileFinding { commit, comment: finding("b", 5) }).await;
        let view = site.shop.pull(number).await.unwrap();
        let marked = view.conversation_comments().next().unwrap().body.clone();
        assert!(marked.contains("[//]: # ("), "{marked}");
        // A person posts a comment with a copy of Truing's marker, and replies to a finding.
        site.shop.comment(number, "ann", &marked).await.unwrap();
        let first = view.inline_comments().next().unwrap().id;
        site.shop.reply(number, "ann", first, "Why?").await.unwrap();
        site.shop.resolve_thread(number, first, "ann").await.unwrap();
        let seen = open.producer_comments(&[]).await.unwrap();
        let told: Vec<_> =
            seen.iter().map(|one| (one.subject.as_str(), one.rights, one.has_replies)).collect();
        let summary = CommentSubject::Summary;
        let [a, b] = ["a", "b"].map(|id| CommentSubject::Finding(FindingId::new(id)));
        assert_eq!(
            told,
            [
                (summary.as_str(), CommentRights::CurrentAccount, false),
                (a.as_str(), CommentRights::CurrentAccount, true),
                (b.as_str(), CommentRights::CurrentAccount, false),
            ]
        );
        assert_eq!(seen[1].thread.as_ref().map(|thread| thread.state), Some(ThreadState::ResolvedByOthers));
        assert_eq!(seen[2].thread.as_ref().map(|thread| thread.state), Some(ThreadState::Open));
        assert!(seen[0].thread.is_none() && seen[0].body == "One finding.");
        let threads = open.threads().await.unwrap();
        let sizes: Vec<_> =
            threads.iter().map(|thread| (thread.path.as_str(), thread.comments.len())).collect();
        assert_eq!(sizes, [("a.txt", 2), ("a.txt", 1)]);
        assert_eq!((threads[0].comments[0].line, threads[1].comments[0].line), (Some(3), None));
        // If a person deletes a comment by Truing, the list no longer contains the comment.
        site.shop.delete_comment(number, view.conversation_comments().next().unwrap().id).await.unwrap();
        let known = [(summary.clone(), seen[0].id.clone())];
        assert_eq!(open.producer_comments(&known).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    for (site, number, open) in Site::bitbuckets().await {
        for at in 0..120 {
            site.shop.comment(number, "ann", &format!("{at}")).await.unwrap();
        }
        let replies = site.hub.replies(number, None).await.unwrap();
        let said: Vec<_> = replies.iter().map(|reply| reply.body.clone()).collect();
        assert_eq!(said, (0..120).map(|at| at.to_string()).collect::<Vec<_>>());
        let late = site.hub.replies(number, Some(&replies[117].id)).await.unwrap();
        assert_eq!(late.len(), 2);
        assert_eq!(open.matching_comments("119").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_comment_stays_with_its_lines_or_is_outdated() {
    for (site, _, open) in Site::bitbuckets().await {
        let commit = tip(&site).await;
        for (id, line) in [("a", 3), ("b", 30)] {
            make(&open, Effect::Findings { commit: commit.clone(), comments: vec![finding(id, line)] }).await;
        }
        // The push removes a line above the second comment, and changes the line of the first comment.
        let lines: String = (1..=40)
            .filter(|line| *line != 20)
            .map(|line| if line == 3 { "other\n".to_owned() } else { format!("line {line}\n") })
            .collect();
        site.shop.push("feature", CommitBuilder::new("More").write("a.txt", lines)).await.unwrap();
        let threads = open.threads().await.unwrap();
        let told: Vec<_> = threads.iter().map(|thread| (thread.outdated, thread.comments[0].line)).collect();
        assert_eq!(told, [(true, None), (false, Some(29))]);
    }
}

#[tokio::test]
async fn verdicts_of_people_are_reviews() {
    for (site, number, open) in Site::bitbuckets().await {
        site.shop.set_role("ann", "write").await.unwrap();
        site.shop.review(number, "ann", FakeReviewVerdict::ChangesRequested, "").await.unwrap();
        let reviews = open.reviews().await.unwrap();
        let told: Vec<_> = reviews.iter().map(|review| review.state).collect();
        assert_eq!(told, [ReviewState::ChangesRequested]);
        // Cloud does not report the commit to which a verdict applies, so the review has no commit.
        let head = if site.is_cloud() { None } else { Some(tip(&site).await) };
        assert_eq!(reviews[0].commit, head);
        let activity = site.hub.activity(number).await.unwrap();
        assert_eq!((activity.commits.len(), activity.reviews.len()), (1, 1));
        assert_eq!(activity.commits[0].sha, tip(&site).await);
        assert_eq!(activity.reviews[0].commit, head);
        // The account has requested changes, and has commented after the head was committed. The account's
        // verdict therefore applies to the head.
        site.shop.comment(number, "ann", "See above.").await.unwrap();
        site.shop.comment_on_line(number, "ann", "a.txt", (Where::Right, 2), "Why?").await.unwrap();
        let activity = site.hub.activity(number).await.unwrap();
        assert_eq!(activity.reviews[0].commit, Some(tip(&site).await));
        let on: Vec<_> = activity.comments.iter().map(|remark| remark.commit.clone()).collect();
        assert_eq!(on, [None, Some(tip(&site).await)], "one in the conversation is of no commit");
    }
}

#[tokio::test]
async fn a_status_is_a_check_of_its_commit_with_a_report_beside_it() {
    for (site, number, open) in Site::bitbuckets().await {
        let sha = tip(&site).await;
        assert_eq!(open.checks(&sha).await, Ok(Vec::new()));
        let mut status = DesiredStatus {
            sha: sha.clone(),
            state: StatusState::Failure,
            description: "2 findings".into(),
            check: CheckContent::default(),
        };
        for state in [CheckState::Failed, CheckState::Passed] {
            make(&open, Effect::Status(status.clone())).await;
            assert!(open.find_effect(&Effect::Status(status.clone())).await.unwrap().is_some());
            let check = CommitCheck { name: "truing/review".into(), app: None, state };
            assert_eq!(open.checks(&sha).await, Ok(vec![check]));
            status.state = StatusState::Success;
        }
        assert_eq!(site.shop.pull(number).await.unwrap().reports.len(), 1);
    }
}

/// Two pull requests have the same head and different base branches. The report of the head shows the worse
/// of the two results, in either order of the reports.
#[tokio::test]
async fn a_report_at_a_data_center_is_as_bad_as_the_worst_pull_request_of_its_commit() {
    use CheckConclusion::{Failure, Neutral, Success};
    let [_, (site, number, first)] = Site::bitbuckets().await;
    site.shop.push("release", CommitBuilder::new("Release").write("r.txt", "r\n")).await.unwrap();
    let other = site
        .shop
        .open_pull(NewPull { base: "release".into(), ..NewPull::from_branch("feature") })
        .await
        .unwrap();
    let second = site.conversation(other);
    for (open, conclusion, expected) in [
        (&first, Failure, Some("FAIL")),
        (&second, Success, Some("FAIL")),
        (&first, Success, Some("PASS")),
        (&second, Neutral, None),
        (&first, Success, None),
        (&second, Failure, Some("FAIL")),
        (&first, Success, Some("FAIL")),
    ] {
        let state = match conclusion {
            Success => StatusState::Success,
            Failure => StatusState::Failure,
            Neutral => StatusState::Pending,
        };
        let check = CheckContent { conclusion, ..CheckContent::default() };
        let status = DesiredStatus { sha: tip(&site).await, state, description: "x".into(), check };
        make(open, Effect::Status(status)).await;
        let view = site.shop.pull(number).await.unwrap();
        let [report] = view.reports.as_slice() else { panic!("{:#?}", view.reports) };
        assert_eq!((report.key.as_str(), report.fields["result"].as_str()), ("truing-review", expected));
        let builds = &view.statuses[&view.head];
        assert!(
            builds.iter().all(|build| build.parent_key.as_deref() == Some("truing-review")),
            "{builds:#?}"
        );
    }
}

#[tokio::test]
async fn a_merge_that_conflicts_is_told() {
    for (site, number, open) in Site::bitbuckets().await {
        let clean = open.merge_state().await.unwrap();
        assert_eq!((clean.has_conflicts, clean.state), (Some(false), Mergeable::Clean));
        site.shop.set_draft(number, true).await.unwrap();
        assert_eq!(open.merge_state().await.unwrap().state, Mergeable::Draft);
        site.shop.set_draft(number, false).await.unwrap();
        site.shop.push("main", CommitBuilder::new("Else").write("a.txt", "else\n")).await.unwrap();
        let conflict = open.merge_state().await.unwrap();
        assert_eq!((conflict.has_conflicts, conflict.state), (Some(true), Mergeable::Dirty));
    }
}

#[tokio::test]
async fn what_is_outside_the_diff_is_refused_where_the_forge_looks() {
    for (site, number, open) in Site::bitbuckets().await {
        site.shop.comment_on_line(number, "ann", "a.txt", (Where::Right, 2), "Hm.").await.unwrap();
        let commit = tip(&site).await;
        let refused = open.make(&Effect::Findings { commit, comments: vec![finding("a", 4000)] }).await;
        // Cloud does not check the line, accepts the comment and shows it as outdated.
        assert_eq!(refused.is_ok(), site.is_cloud(), "{refused:?}");
        let stale = Sha::parse(&site.shop.tip("main").await.unwrap()).unwrap();
        let moved = open.make(&Effect::Findings { commit: stale, comments: vec![finding("b", 3)] }).await;
        // Cloud places comments on the current head.
        assert_eq!(moved.is_ok(), site.is_cloud(), "{moved:?}");
    }
}

#[tokio::test]
async fn comments_on_a_renamed_file_are_on_lines_that_changed_and_on_those_around_them() {
    for (site, ..) in Site::bitbuckets().await {
        let lines = |changed: &str| -> String {
            (1..=40).map(|n| if n == 20 { format!("{changed}\n") } else { format!("line {n}\n") }).collect()
        };
        site.shop.push("main", CommitBuilder::new("Long").write("long.txt", lines("line 20"))).await.unwrap();
        let moved = CommitBuilder::new("Move").delete("long.txt").write("src/moved.txt", lines("changed"));
        let head = Sha::parse(&site.shop.push("moved", moved).await.unwrap()).unwrap();
        let number = site.shop.open_pull(NewPull::from_branch("moved")).await.unwrap();
        let open = site.conversation(number);
        let comment = |id: &str, line: u32| {
            let mut comment = finding(id, line);
            comment.location.path = RepoPath::from_bytes("src/moved.txt");
            comment
        };
        for (id, line) in [("a", 20), ("b", 18)] {
            let comments = vec![comment(id, line)];
            make(&open, Effect::Findings { commit: head.clone(), comments }).await;
        }
        make(&open, Effect::FileFinding { commit: head.clone(), comment: comment("c", 1) }).await;
        let shown = site.shop.pull(number).await.unwrap();
        let lines: Vec<_> = shown.inline_comments().map(|comment| comment.line).collect();
        assert_eq!(lines, [Some(20), Some(18), None], "{:?}", site.forge.flavour());
    }
}
