//! Tests of sync jobs on Bitbucket Cloud and Data Center, which differ from GitHub in the capabilities of the
//! forge.

use truing_fakes::forge::{FakeDiffSide, ForgeFlavour};
use truing_fakes::repo::CommitBuilder;

use super::expected_result;
use super::site::{BOT, BRANCH, Site};

const BOTH: [ForgeFlavour; 2] = [ForgeFlavour::Cloud, ForgeFlavour::DataCenter];

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_changes_nothing_widens_the_range_in_one_pull_request() {
    for flavour in BOTH {
        let site = Site::with_flavour(flavour, "labels = [\"dependencies\"]\n").await;
        site.publish_release("1.0.1");
        let ran = site.run(&["sync", "run", "demo"]).await;
        assert_eq!((ran.exit, ran.json["result"].as_str()), (0, Some("relaxed")), "{ran:?}");
        let reason = ran.json["exit_reason"].as_str().unwrap();
        assert!(reason.contains("has no labels"), "{reason}");
        let pulls = site.pulls().await;
        let [(number, pull)] = pulls.as_slice() else { panic!("{pulls:?}") };
        assert_eq!((pull.title.as_str(), pull.open, pull.draft), ("Admit demo up to 1.0.1", true, false));
        let url = ran.json["pr"]["url"].as_str().unwrap();
        assert!(url.contains(&format!("/pull-requests/{number}")), "{url}");
        assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.2"));
        assert_eq!(site.commits_ahead(BRANCH).await, "1");

        // For the same release, a second run writes nothing.
        let before = site.write_count();
        assert_eq!(site.run_job().await, expected_result("covered", 0));
        assert_eq!(site.write_count(), before);

        // For the next release, the run updates the same pull request.
        site.publish_release("1.0.2");
        assert_eq!(site.run_job().await, expected_result("relaxed", 0));
        let pulls = site.pulls().await;
        assert_eq!((pulls.len(), pulls[0].1.title.as_str()), (1, "Admit demo up to 1.0.2"));
        site.forge.assert_calls_in_runs();
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comments_on_the_newest_commit_keeps_the_branch() {
    for flavour in BOTH {
        let site = Site::with_flavour(flavour, "").await;
        site.publish_release("1.0.1");
        assert_eq!(site.run_job().await, expected_result("relaxed", 0));
        let (number, before) = site.pulls().await.remove(0);
        site.repo
            .comment_on_line(number, "ann", "pyproject.toml", (FakeDiffSide::Right, 4), "Why?")
            .await
            .unwrap();
        site.repo.push("main", CommitBuilder::new("Else").write("b.txt", "b\n")).await.unwrap();
        site.publish_release("1.0.2");
        assert_eq!(site.run_job().await, expected_result("relaxed", 0), "{flavour:?}: in place");
        assert_eq!(site.commits_ahead(BRANCH).await, "2", "{flavour:?}");
        let (_, after) = site.pulls().await.remove(0);
        assert_ne!(after.head, before.head, "{flavour:?}");
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

/// Returns the open pull requests that serve as questions, with their numbers. Also returns the number of all
/// pull requests, open or closed.
async fn issue_pull_requests(site: &Site) -> (Vec<(u64, truing_fakes::forge::PullView)>, usize) {
    let all = site.pulls().await;
    let count = all.len();
    (all.into_iter().filter(|(_, pull)| pull.open && pull.title.contains("feedback needed")).collect(), count)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_issues_a_question_is_a_draft_that_changes_nothing_and_is_answered_in_its_comments() {
    for flavour in BOTH {
        let site = Site::with_flavour(flavour, "").await;
        site.publish_release("1.0.3");
        for _ in 0..2 {
            assert_eq!(site.run_job().await, expected_result("asked", 1));
        }
        let (asked, count) = issue_pull_requests(&site).await;
        let [(number, question)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!(
            (question.title.as_str(), question.draft, count),
            ("demo sync: feedback needed for 1.0.3", true, 1)
        );
        assert!(
            question.body.contains("`relax`") && question.body.contains("changes nothing"),
            "{question:?}"
        );
        assert_eq!(question.comments.len(), 0);
        let end = format!("{BRANCH}-question");
        assert_eq!(site.file(&end, "pyproject.toml").await, site.file("main", "pyproject.toml").await);
        for (who, says) in [("eve", "relax"), (BOT, "relax"), ("ann", "let me think")] {
            site.repo.comment(*number, who, says).await.unwrap();
            assert_eq!(site.run_job().await, expected_result("asked", 1), "{who}: {says}");
        }
        site.repo.comment(*number, "ann", "Relax: we do not use it").await.unwrap();
        assert_eq!(site.run_job().await, expected_result("relaxed", 0));
        assert_eq!(issue_pull_requests(&site).await.0.len(), 0, "it is answered");
        let pulls = site.pulls().await;
        assert!(pulls.iter().any(|(_, pull)| pull.open && pull.body.contains("ann decided")), "{pulls:?}");
        assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.4"));

        // The question about the next release is a new pull request. If a user declines it without a comment,
        // the question is not asked again.
        site.publish_release("2.0.0");
        assert_eq!(site.run_job().await, expected_result("asked", 1));
        let (asked, _) = issue_pull_requests(&site).await;
        let [(number, _)] = asked.as_slice() else { panic!("{asked:?}") };
        site.repo.close_pull(*number).await.unwrap();
        let before = site.write_count();
        assert_eq!(site.run_job().await, expected_result("asked", 1));
        assert_eq!(
            (issue_pull_requests(&site).await.0.len(), site.write_count()),
            (0, before),
            "{flavour:?}"
        );
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_issues_what_the_runs_came_to_is_told_in_one_draft() {
    for flavour in BOTH {
        let site = Site::with_flavour(flavour, "outcome.issue = true\n").await;
        for _ in 0..2 {
            assert_eq!(site.run_job().await, expected_result("up_to_date", 0));
        }
        let pulls = site.pulls().await;
        let [(_, told)] = pulls.as_slice() else { panic!("{pulls:?}") };
        assert!(told.open && told.draft && told.body.matches("up to date").count() >= 2, "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_no_drafts_a_question_is_a_pull_request_that_changes_nothing() {
    let site = Site::with_flavour(ForgeFlavour::DataCenter, "").await;
    site.forge.set_version("7.21.0");
    site.publish_release("1.0.3");
    for _ in 0..2 {
        assert_eq!(site.run_job().await, expected_result("asked", 1));
    }
    let (asked, count) = issue_pull_requests(&site).await;
    let [(number, question)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((question.draft, count), (false, 1), "{question:?}");
    site.repo.comment(*number, "ann", "Relax: we do not use it").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}
