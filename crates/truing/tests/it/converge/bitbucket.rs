//! Tests of pull requests on Bitbucket Cloud and Data Center, which differ from GitHub in the capabilities of
//! the forge.

use serde_json::json;
use truing_fakes::forge::{
    FakeDiffSide, FakeForgeOptions, FakeReviewVerdict, ForgeFlavour, MergeState, PullView,
};
use truing_fakes::model::{ModelScript, ScriptedAnswer, ScriptedFix, ScriptedToolCall};
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::{BOT, Site, two_loop_answers};
use crate::converge::scene::{BUG_ID, clean_audit_answer, fix_report_answer, planted_bug_answer};
use crate::converge::served::{NATIVE, report_comment};

const BOTH: [ForgeFlavour; 2] = [ForgeFlavour::Cloud, ForgeFlavour::DataCenter];

async fn site(flavour: ForgeFlavour, more: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Site {
    let answers = [ScriptedAnswer::for_describer("Adds up orders.")].into_iter().chain(answers);
    Site::with_flavour(flavour, FakeForgeOptions::default(), more, answers).await
}

/// Returns the first lines of Truing's audit reviews, which are posted as comments on Bitbucket.
fn audit_review_headlines(pull: &PullView) -> Vec<String> {
    let first = pull.conversation_comments().filter_map(|comment| comment.body.lines().next());
    first.filter(|line| line.starts_with("## converge: loop")).map(str::to_owned).collect()
}

/// Checks that Truing made no call that merges, approves or rebases.
fn assert_never_merges(site: &Site) {
    let merges =
        |path: &str| path.ends_with("/merge") || path.ends_with("/approve") || path.ends_with("/rebase");
    let log = site.forge.request_log();
    let wrong: Vec<_> = log.iter().filter(|call| call.method != "GET" && merges(&call.path)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_audit_is_a_comment_and_each_finding_is_answered_and_resolved() {
    for flavour in BOTH {
        let site = site(flavour, "", two_loop_answers()).await;
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
        let unchecked = "`verify.check` is not set; only the audit and the gate check fixes";
        assert_eq!(told["warnings"], json!([unchecked]), "{flavour:?}");
        let pull = site.pull_view().await;
        let commits = told["commits"].as_array().unwrap();
        assert_eq!((commits.len(), commits[0].as_str().unwrap()), (1, pull.head.as_str()));
        assert_eq!(
            audit_review_headlines(&pull),
            [
                "## converge: loop 1 audit: 0P0 / 1P1 / 0P2",
                "## converge: loop 2 audit: 0P0 / 0P1 / 0P2 → clean"
            ]
        );
        let inline: Vec<_> = pull.inline_comments().collect();
        assert_eq!(inline.len(), 2, "a finding and its answer: {inline:#?}");
        assert!(inline[0].body.starts_with("**[P1] The last element is left out**"), "{}", inline[0].body);
        assert_eq!(inline[1].in_reply_to, Some(inline[0].id));
        assert!(inline[1].body.starts_with(&format!("Fixed in {}", &pull.head[..7])), "{}", inline[1].body);
        assert!(inline[0].resolved);
        assert!(pull.comments.iter().all(|comment| comment.author == BOT), "{:#?}", pull.comments);
        assert!(!pull.draft && pull.open, "it is ready");
        assert!(pull.body.contains("Adds up orders."), "{}", pull.body);
        assert_eq!(site.forge.violations(), Vec::<String>::new());
        assert_eq!(site.model.violations(), Vec::<String>::new());
        site.forge.assert_calls_in_runs();

        // A second run posts nothing twice.
        let before = pull.comments.len();
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["code"]), (0, &json!("already_clean")), "{told}");
        assert_eq!(site.pull_view().await.comments.len(), before);
        assert_never_merges(&site);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_changes_ends_with_the_audit_that_finds_nothing() {
    for flavour in BOTH {
        let site = site(flavour, "[converge]\nevent = \"REQUEST_CHANGES\"\n", two_loop_answers()).await;
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
        let pull = site.pull_view().await;
        let stands = pull.reviews.iter().any(|review| review.verdict == FakeReviewVerdict::ChangesRequested);
        assert!(!stands, "{flavour:?}: {:#?}", pull.reviews);
        let log = site.forge.request_log();
        let is_verdict = |path: &str| path.ends_with("/request-changes") || path.contains("/participants/");
        let given = log.iter().filter(|call| call.method != "GET" && is_verdict(&call.path));
        let given: Vec<_> = given.map(|call| call.method.as_str()).collect();
        let expected = if flavour == ForgeFlavour::Cloud { ["POST", "DELETE"] } else { ["PUT", "PUT"] };
        assert_eq!(given, expected, "{flavour:?}");
        assert_never_merges(&site);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_forge_merges_no_base_into_a_branch_git_does_and_the_new_head_is_audited() {
    for flavour in BOTH {
        let site =
            site(flavour, "[converge]\nauto_rebase = true\n", [clean_audit_answer(), clean_audit_answer()])
                .await;
        let before = site.pull_view().await.head;
        let base =
            site.repo.push("main", CommitBuilder::new("Sell").write("sold.py", "x = 1\n")).await.unwrap();
        // For the first two reads, before and after Truing's own audit, the forge reports a conflict with the
        // old base.
        let states = [MergeState::Dirty, MergeState::Dirty, MergeState::Clean];
        site.repo.set_merge_states(site.number, &states).await.unwrap();
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
        let head = site.pull_view().await.head;
        assert_eq!((&told["head"], &told["base"]), (&json!(head), &json!(base)));
        assert_eq!(told["commits"], json!([]), "no fix was made");
        let parents = site.git(&["rev-list", "--parents", "-n", "1", &head]).await;
        assert_eq!(parents, format!("{head} {before} {base}"), "{flavour:?}");
        assert_eq!(site.git(&["show", &format!("{head}:sold.py")]).await, "x = 1");
        assert_eq!(site.repo.tip("main").await.unwrap(), base);
        assert_never_merges(&site);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_cannot_merge_holds_it_back_and_nothing_is_pushed() {
    for flavour in BOTH {
        let site = site(flavour, "[converge]\nauto_rebase = true\n", [clean_audit_answer()]).await;
        let head = site.pull_view().await.head;
        site.repo.push("main", CommitBuilder::new("Total").write("total.py", "total = sum\n")).await.unwrap();
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!(
            (exit, &told["exit"], &told["code"]),
            (1, &json!("blocked"), &json!("mergeability")),
            "{told}"
        );
        assert!(told["reason"].as_str().unwrap().contains("total.py"), "{told}");
        assert_eq!(site.pull_view().await.head, head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_in_comments_are_followed_where_their_author_may_write() {
    for flavour in BOTH {
        let nothing = fix_report_answer(&[(BUG_ID, Some("nobody knows how"))]);
        let site = site(flavour, NATIVE, [planted_bug_answer(), nothing]).await;
        let name = site.forge.forge_name();
        let _server = site.serve();
        site.request_only_run("eve").await;
        site.repo.comment(site.number, "ann", "please `/converge`").await.unwrap();
        site.deliver().await;
        site.request_only_run("ann").await;
        let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
        assert!(report_comment(&pull).unwrap().starts_with("## /converge: stuck\n"), "{pull:#?}");
        let reason = site.run_why().await;
        assert!(
            reason.contains(&format!("`/converge` by ann@{name}")) && !reason.contains("eve@"),
            "{reason}"
        );

        // In the thread of the finding, the service executes the command by `ann`, but not the command by
        // `eve`.
        let first = pull.inline_comments().find(|comment| comment.in_reply_to.is_none()).unwrap().id;
        site.forge.take_deliveries();
        site.repo.reply(site.number, "eve", first, "/dismiss because").await.unwrap();
        site.repo.reply(site.number, "ann", first, "/dismiss the callers rely on it").await.unwrap();
        site.deliver().await;
        let told = format!("`/dismiss 26045536a5-1` by ann@{name}: the callers rely on it");
        let reason = site.wait_until_why(&told).await;
        assert!(!reason.contains("eve@"), "{reason}");
        site.model.set_script(ModelScript::from_answers([
            ScriptedAnswer::for_describer("Adds up orders."),
            planted_bug_answer(),
        ]));
        site.request_only_run("ann").await;
        let converged = |pull: &PullView| {
            report_comment(pull).is_some_and(|told| told.contains("/converge: converged\n"))
        };
        site.wait_until("the second report", converged).await;
        assert_never_merges(&site);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_cloud_a_reviewer_is_known_by_its_uuid_and_whoever_takes_its_name_is_not_heard() {
    let rounds = "The sum is never rounded.";
    for by_name in [true, false] {
        let calls = vec![ScriptedToolCall::edit("total.py", "    return s\n", "    return round(s, 2)\n")];
        let mend = ScriptedFix { title: Some(rounds.to_owned()), calls, declined: None };
        let answers = ScriptedAnswer::for_auditors([]).into_iter().chain([ScriptedAnswer::for_fixer([mend])]);
        let site = site(ForgeFlavour::Cloud, "", answers).await;
        let uuid = site.forge.account_id("helper");
        let called = if by_name { "helper" } else { uuid.as_str() };
        let path = site.home.path().join("truing.toml");
        let operator = std::fs::read_to_string(&path).unwrap();
        let more = format!(
            "[converge]\nreviewers = [\"internal\", \"helper\"]\npoll = \"1s\"\npoll_after_trigger = \"1s\"\n\
             [reviewer.helper]\nlogins = [\"{called}\"]\nbudget = \"2s\"\nrequired = false\n"
        );
        std::fs::write(&path, operator + &more).unwrap();
        site.repo
            .comment_on_line(site.number, "helper", "total.py", (FakeDiffSide::Right, 5), rounds)
            .await
            .unwrap();
        let (told, exit) = site.run_json(&[]).await;
        let fixes = told["commits"].as_array().unwrap().len();
        if by_name {
            assert_eq!((exit, &told["code"], fixes), (1, &json!("threads"), 0), "{told}");
        } else {
            assert_eq!((exit, &told["exit"], fixes), (0, &json!("converged"), 1), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_center_before_drafts_and_long_comments_shows_the_same() {
    let site = site(ForgeFlavour::DataCenter, "", two_loop_answers()).await;
    site.repo.set_draft(site.number, false).await.unwrap();
    site.forge.set_version("7.21.0");
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    let pull = site.pull_view().await;
    assert_eq!(audit_review_headlines(&pull).len(), 2);
    assert!(pull.inline_comments().next().unwrap().resolved && !pull.draft, "{pull:#?}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    assert_never_merges(&site);
}
