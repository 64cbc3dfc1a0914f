//! Tests of runs that a comment or a label requests from the service. The service executes them step by step,
//! and resumes them after a kill.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use truing_fakes::forge::{FakeReviewVerdict, ForgeFault, ForgeFaultKind, PullView, UnreliableNetwork};
use truing_fakes::model::{ModelScript, ScriptedAnswer};

use crate::converge::pull::{Site, two_loop_answers};
use crate::converge::scene::{clean_audit_answer, fix_report_answer, planted_bug_answer, write};
use crate::support::home::{Ran, Server};

const SECRET: &str = "served-secret-canary";
pub(crate) const NATIVE: &str = "[review]\nexisting = \"review\"\nruntime = \"native\"\nbackoff \
     = \"50ms\"\nbackoff_max = \"100ms\"\nattempts = 2\n";
/// Configuration with a model and a short debounce time, so that reviews start immediately.
pub(crate) const HASTY: &str = "[review]\nexisting = \"review\"\nruntime = \"native\"\nbackoff \
     = \"50ms\"\nbackoff_max = \"100ms\"\nattempts = 2\ndebounce = \"50ms\"\n";
/// Maximum wait for a condition on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the number of ended runs of this loop with this outcome, from the server's metrics.
pub(crate) fn count_runs(server: &Server, loop_name: &str, outcome: &str) -> u64 {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut metrics = String::new();
    stream.read_to_string(&mut metrics).unwrap();
    let name = format!("truing_runs_total{{loop=\"{loop_name}\",outcome=\"{outcome}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
    count.unwrap_or_else(|| panic!("{name}: {metrics}"))
}

impl Site {
    /// Starts the service, and makes the forge send its webhooks to the service.
    pub(crate) fn serve(&self) -> Server {
        let mut command = self.other_command("serve", &[]);
        self.home.serve_by(command.env(self.forge.secret_variables()[1], SECRET), &self.forge, SECRET)
    }

    pub(crate) async fn wait_until(&self, label: &str, condition: impl Fn(&PullView) -> bool) -> PullView {
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            let pull = self.pull_view().await;
            if condition(&pull) {
                return pull;
            }
            assert!(Instant::now() < deadline, "{label}: {pull:#?}\n{}", self.run_why().await);
        }
    }

    pub(crate) async fn deliver(&self) {
        let answers = self.forge.deliver_all(UnreliableNetwork::default()).await.unwrap();
        assert!(answers.iter().all(|status| *status == 202), "{answers:?}");
    }

    /// Requests a run with a comment. Discards the pending webhooks, so the service has no other work.
    pub(crate) async fn request_only_run(&self, author: &str) {
        self.comment_as(author, "/converge").await;
    }

    pub(crate) async fn comment_as(&self, author: &str, text: &str) {
        self.forge.take_deliveries();
        self.repo.comment(self.number, author, text).await.unwrap();
        self.deliver().await;
    }

    pub(crate) async fn run_why(&self) -> String {
        let ran =
            Ran::run_on_blocking_thread(self.other_command("why", &[&format!("acme/shop#{}", self.number)]))
                .await;
        // Exit code 2 is also accepted, because the server may not know the pull request yet.
        assert!(matches!(ran.exit, 0 | 2), "{ran:?}");
        // Joins the lines, because the output is wrapped for a terminal.
        ran.out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until the output of `truing why` contains this text.
    pub(crate) async fn wait_until_why(&self, text: &str) -> String {
        self.wait_until_why_repeats(text, 1).await
    }

    /// Waits until the output of `truing why` contains this text at least `count` times.
    async fn wait_until_why_repeats(&self, text: &str, count: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reason = self.run_why().await;
            if reason.matches(text).count() >= count {
                return reason;
            }
            assert!(Instant::now() < deadline, "{text} is not in {reason}");
        }
    }
}

pub(crate) fn report_comment(pull: &PullView) -> Option<&str> {
    let mut reports = pull.comments.iter().map(|comment| comment.body.as_str());
    reports.find(|body| body.starts_with("## /converge: "))
}

fn audit_review_headlines(pull: &PullView) -> Vec<&str> {
    let first = |body: &str| body.starts_with("## converge: loop");
    pull.reviews.iter().filter_map(|review| review.body.lines().next()).filter(|line| first(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_of_whoever_may_write_starts_a_run_and_a_strangers_does_not() {
    let site = Site::new(NATIVE, two_loop_answers()).await;
    let _server = site.serve();
    site.request_only_run("eve").await;
    site.repo.comment(site.number, "ann", "please `/converge`").await.unwrap();
    site.deliver().await;
    assert!(site.model.request_log().is_empty());
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let told = report_comment(&pull).unwrap();
    assert!(told.starts_with("## /converge: converged\n") && told.contains("Loops: 2\n"), "{told}");
    assert!(!pull.draft, "it is marked ready");
    assert_eq!(
        audit_review_headlines(&pull),
        ["## converge: loop 1 audit: 0P0 / 1P1 / 0P2", "## converge: loop 2 audit: 0P0 / 0P1 / 0P2 → clean"]
    );
    let reason = site.wait_until_why("converge: converged").await;
    for line in
        ["`/converge` by ann@github", "converge: Loop 1 audit: 0P0 / 1P1 / 0P2", "continues later (step)"]
    {
        assert!(reason.contains(line), "{line} is not in {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_says_that_no_test_stood_behind_a_run_that_changed_tests() {
    let test = "from total import total\n\n\ndef test_all():\n    assert total([1, 2]) == 3\n";
    for (check, says_so) in [("", true), ("[verify]\ncheck = [[\"true\"]]\n", false)] {
        let mut answers = two_loop_answers().to_vec();
        answers.insert(2, write("tests/test_total.py", test));
        let site = Site::new(&format!("{NATIVE}{check}"), answers).await;
        let _server = site.serve();
        site.request_only_run("ann").await;
        let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
        let told = report_comment(&pull).unwrap();
        assert!(told.starts_with("## /converge: converged\n"), "{told}");
        assert_eq!(told.contains("no test confirms this run: "), says_so, "{check}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_a_run_has_just_audited_clean_is_reviewed_without_a_model() {
    let site = Site::new(HASTY, two_loop_answers()).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let asked = site.model.request_log().len();
    // The webhooks for the push of the fix and for the end of the draft state are delivered only now.
    site.deliver().await;
    let summary = |pull: &PullView| {
        let mut said = pull.conversation_comments().map(|comment| comment.body.clone());
        said.find(|body| body.starts_with("## Truing: "))
    };
    let pull = site.wait_until("the summary", |pull| summary(pull).is_some()).await;
    let told = summary(&pull).unwrap();
    assert!(
        told.contains("has audited this commit and found nothing, so no other model was asked"),
        "{told}"
    );
    assert!(told.contains("Rules only: no model was called"), "{told}");
    assert_eq!(site.model.request_log().len(), asked, "it was paid for twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_of_a_run_is_dismissed_in_its_thread_and_no_run_finds_it_again() {
    let nothing = fix_report_answer(&[(crate::converge::scene::BUG_ID, Some("nobody knows how"))]);
    let site = Site::new(NATIVE, [planted_bug_answer(), nothing]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: stuck\n"), "{pull:#?}");
    let first = pull.inline_comments().find(|comment| comment.in_reply_to.is_none()).unwrap().id;
    site.forge.take_deliveries();
    site.repo.reply(site.number, "ann", first, "/dismiss the callers rely on it").await.unwrap();
    site.deliver().await;
    site.wait_until_why("`/dismiss 26045536a5-1` by ann@github: the callers rely on it").await;
    site.model.set_script(ModelScript::from_answers([
        ScriptedAnswer::for_describer("Adds up orders."),
        planted_bug_answer(),
    ]));
    site.request_only_run("ann").await;
    let converged =
        |pull: &PullView| report_comment(pull).is_some_and(|told| told.contains("/converge: converged\n"));
    site.wait_until("the second report", converged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_starts_a_run_if_whoever_set_it_may_write() {
    let site = Site::new(NATIVE, [clean_audit_answer()]).await;
    let _server = site.serve();
    site.forge.take_deliveries();
    site.repo.set_label(site.number, "truing:converge", true, "eve").await.unwrap();
    site.repo.set_label(site.number, "bug", true, "ann").await.unwrap();
    site.deliver().await;
    site.repo.set_label(site.number, "truing:converge", false, "ann").await.unwrap();
    site.deliver().await;
    assert!(site.model.request_log().is_empty());
    site.repo.set_label(site.number, "truing:converge", true, "ann").await.unwrap();
    site.deliver().await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: converged\n"));
    let reason = site.run_why().await;
    assert!(reason.contains("`/converge` by ann@github") && !reason.contains("eve@github"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_may_write_only_the_configured_askers_start_a_run() {
    let site = Site::new(
        &format!("{NATIVE}[converge]\naskers = [\"bob\"]\n"),
        [clean_audit_answer(), clean_audit_answer()],
    )
    .await;
    let _server = site.serve();
    site.repo.set_role("bob", "write").await.unwrap();
    site.request_only_run("ann").await;
    site.comment_as("ann", "/audit").await;
    site.repo.set_label(site.number, "truing:converge", true, "ann").await.unwrap();
    site.deliver().await;
    let declined = "`/converge` by ann@github was not run: ann is not in `converge.askers`";
    let reason = site.wait_until_why(declined).await;
    assert!(!reason.contains("converge: ") && site.model.request_log().is_empty(), "{reason}");
    // The label has no effect if it is removed before the server has read it.
    site.wait_until_why_repeats("not in `converge.askers`", 3).await;
    site.repo.set_label(site.number, "truing:converge", false, "ann").await.unwrap();
    site.comment_as("ann", "/review").await;
    let reason = site.wait_until_why("`/review` by ann@github").await;
    assert_eq!(reason.matches("not in `converge.askers`").count(), 3, "{reason}");
    site.comment_as("ann", "/help").await;
    let help = |pull: &PullView| {
        let mut comments = pull.comments.iter().map(|comment| &comment.body);
        comments.any(|text| text.contains("| `/converge stop` |") && !text.contains("| `/converge` |"))
    };
    site.wait_until("the answer to /help", help).await;
    site.request_only_run("bob").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: converged\n"), "{pull:#?}");
    let reason = site.run_why().await;
    assert!(
        reason.contains("`/converge` by bob@github") && !reason.contains("`/converge` by ann@github:"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_no_model_says_so() {
    let site = Site::new("", [clean_audit_answer()]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    let reason = site.wait_until_why("was not run: this server uses no model").await;
    assert!(reason.contains("`/converge` by ann@github"), "{reason}");
    assert!(site.model.request_log().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_converge_says_so_and_reviews() {
    let site = Site::new(&format!("{NATIVE}[converge]\nenabled = false\n"), [clean_audit_answer()]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    let off = "converge runs are disabled on this server (`converge.enabled` is false)";
    let reason = site.wait_until_why(&format!("was not run: {off}")).await;
    assert!(reason.contains("`/converge` by ann@github"), "{reason}");
    site.forge.take_deliveries();
    site.repo.set_label(site.number, "truing:converge", true, "ann").await.unwrap();
    site.repo.comment(site.number, "ann", "/help").await.unwrap();
    site.deliver().await;
    let help = |pull: &PullView| {
        let mut comments = pull.comments.iter();
        comments.any(|comment| {
            comment.body.contains("not available here: converge runs are disabled on this server")
        })
    };
    let pull = site.wait_until("the answer to /help", help).await;
    assert_eq!(report_comment(&pull), None, "{pull:#?}");
    assert!(!site.run_why().await.contains("converge: "), "a run has begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_at_what_its_pull_request_may_cost_and_names_the_key() {
    let site = Site::new(&format!("{NATIVE}[budget]\npr_usd = 0.001\n"), [clean_audit_answer()]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let told = report_comment(&pull).unwrap();
    assert!(told.starts_with("## /converge: error\n") && told.contains("`budget.pr_usd`"), "{told}");
    assert!(told.contains("To continue: raise the limit"), "{told}");
    assert!(site.model.bills().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_reviewer_is_waited_for_nobody_has_a_lease_and_its_answer_is_seen() {
    let others = "[converge]\nreviewers = [\"internal\", \"helper\"]\npoll = \"1s\"\npoll_after_trigger = \"1s\"\n\
        [reviewer.helper]\nlogins = [\"helper[bot]\"]\ntrigger = \"helper look\"\nbudget = \"1h\"\n";
    let site = Site::new(&format!("{NATIVE}{others}"), [clean_audit_answer()]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    site.wait_until_why("continues later (reviewer)").await;
    // The run checks once a second whether the reviewer has answered. During the waits in between, it has no
    // lease.
    site.wait_until_why("state waiting").await;
    // The reviewer's answer arrives while the run waits. The next check finds it.
    site.repo.review(site.number, "helper[bot]", FakeReviewVerdict::Approved, "fine").await.unwrap();
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: converged\n"), "{pull:#?}");
    assert_eq!(audit_review_headlines(&pull).len(), 1, "it is audited once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_a_run_that_the_next_one_goes_on_with() {
    let site = Site::new(NATIVE, two_loop_answers()).await;
    let server = site.serve();
    site.request_only_run("ann").await;
    site.wait_until("the first review", |pull| !audit_review_headlines(pull).is_empty()).await;
    drop(server);
    let _server = site.serve();
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: converged\n"), "{pull:#?}");
    assert_eq!(audit_review_headlines(&pull).len(), 2, "{pull:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stuck_says_why_at_the_pull_request() {
    let nothing = fix_report_answer(&[(crate::converge::scene::BUG_ID, Some("nobody knows how"))]);
    let site = Site::new(NATIVE, [planted_bug_answer(), nothing]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let told = report_comment(&pull).unwrap();
    assert!(told.starts_with("## /converge: stuck\n") && told.contains("write `/converge`"), "{told}");
    assert!(pull.draft);
    // The next command continues the run from its recorded state.
    let fixed = [ScriptedAnswer::for_describer("Adds up orders.")]
        .into_iter()
        .chain(two_loop_answers().into_iter().skip(1));
    site.model.set_script(ModelScript::from_answers(fixed));
    site.request_only_run("ann").await;
    let converged =
        |pull: &PullView| report_comment(pull).is_some_and(|told| told.contains("/converge: converged\n"));
    let pull = site.wait_until("the second report", converged).await;
    assert_eq!(
        audit_review_headlines(&pull).len(),
        2,
        "nothing was new, so nothing was audited twice: {pull:#?}"
    );
    assert_eq!(pull.comments.iter().filter(|comment| comment.body.contains("## /converge: ")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_posted_is_posted_later_and_nothing_is_audited_again() {
    let site = Site::new(NATIVE, [clean_audit_answer()]).await;
    let _server = site.serve();
    let comments = "/repos/{owner}/{repo}/issues/{number}/comments$";
    site.forge.add_fault(ForgeFault::on_call("POST", comments, ForgeFaultKind::SecondaryLimit(Some(1))));
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let told = report_comment(&pull).unwrap();
    assert!(told.starts_with("## /converge: converged\n") && told.contains("Loops: 1\n"), "{told}");
    assert_eq!(audit_review_headlines(&pull).len(), 1, "{pull:#?}");
    assert!(site.run_why().await.contains("continues later (rate_limit)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_there_ends_the_run_and_the_pull_request_is_told() {
    let site = Site::new(NATIVE, vec![ScriptedAnswer::status(401); 8]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: error\n"), "{pull:#?}");
    let reason = site.wait_until_why("converge: given up: ").await;
    assert!(!reason.contains("parked"), "reviews go on: {reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_is_asked_for_is_one_review_and_a_run_goes_on_from_what_it_found() {
    let site = Site::new(NATIVE, two_loop_answers()).await;
    let _server = site.serve();
    let head = site.pull_view().await.head;
    site.comment_as("ann", "/audit").await;
    let pull = site.wait_until("the review", |pull| !audit_review_headlines(pull).is_empty()).await;
    assert_eq!(audit_review_headlines(&pull), ["## converge: loop 1 audit: 0P0 / 1P1 / 0P2"]);
    site.wait_until_why("the audit found 0 P0, 1 P1 and 0 P2").await;
    let pull = site.pull_view().await;
    assert_eq!(
        (&pull.head, pull.draft, report_comment(&pull), site.model.request_log().len()),
        (&head, true, None, 1)
    );

    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: converged\n"), "{pull:#?}");
    assert_eq!(
        audit_review_headlines(&pull),
        ["## converge: loop 1 audit: 0P0 / 1P1 / 0P2", "## converge: loop 2 audit: 0P0 / 0P1 / 0P2 → clean"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_audit_marks_nothing_ready_and_a_stranger_gets_none() {
    let site = Site::new(NATIVE, [clean_audit_answer()]).await;
    let _server = site.serve();
    site.comment_as("eve", "/audit").await;
    assert!(site.model.request_log().is_empty());
    site.comment_as("ann", "/audit").await;
    let pull = site.wait_until("the review", |pull| !audit_review_headlines(pull).is_empty()).await;
    assert_eq!(audit_review_headlines(&pull), ["## converge: loop 1 audit: 0P0 / 0P1 / 0P2 → clean"]);
    site.wait_until_why("the audit found nothing at").await;
    let pull = site.pull_view().await;
    assert!(pull.draft && report_comment(&pull).is_none(), "{pull:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_with_a_silent_auditor_is_not_clean_says_so_and_is_made_anew_when_asked_again() {
    // One of two auditors finds nothing. The other one answers with prose in two attempts, in each attempt
    // also after the request for a report.
    let answers = [clean_audit_answer(), ScriptedAnswer::text("Looks good to me.").usage(100, 10).times(4)];
    let site = Site::new(&format!("{NATIVE}[converge]\nparallel_from = 1\nauditors = 2\n"), answers).await;
    let _server = site.serve();
    site.comment_as("ann", "/audit").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let told = report_comment(&pull).unwrap();
    assert!(told.starts_with("## /converge: error\n"), "{told}");
    assert!(told.contains("an auditor gave no valid answer at"), "{told}");
    assert_eq!(audit_review_headlines(&pull).len(), 1, "{pull:#?}");
    assert_eq!(site.model.request_log().len(), 5, "who was asked twice is not asked by another attempt");

    site.model.set_script(ModelScript::from_answers(vec![clean_audit_answer(); 2]));
    site.comment_as("ann", "/audit").await;
    site.wait_until_why("the audit found nothing at").await;
    assert_eq!(site.model.request_log().len(), 7, "both are asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_person_stops_says_so_and_is_resumed() {
    let others = "[converge]\nreviewers = [\"internal\", \"helper\"]\npoll = \"30s\"\n\
        [reviewer.helper]\nlogins = [\"helper[bot]\"]\ntrigger = \"helper look\"\nbudget = \"2h\"\n";
    let site = Site::new(&format!("{NATIVE}{others}"), [clean_audit_answer()]).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    site.wait_until_why("continues later (reviewer)").await;
    site.comment_as("eve", "/converge stop").await;
    site.comment_as("ann", "/converge stop").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: interrupted\n"), "{pull:#?}");
    let reason = site.wait_until_why("converge: interrupted: stopped by `/converge stop`").await;
    assert!(reason.contains("`/converge stop` by ann@github") && !reason.contains("eve@github"), "{reason}");

    site.repo.review(site.number, "helper[bot]", FakeReviewVerdict::Approved, "fine").await.unwrap();
    site.request_only_run("ann").await;
    let converged = |pull: &PullView| {
        report_comment(pull).is_some_and(|told| told.starts_with("## /converge: converged\n"))
    };
    let pull = site.wait_until("the second report", converged).await;
    assert_eq!(audit_review_headlines(&pull).len(), 1, "it is audited once: {pull:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_given_up_before_its_commits_are_known_is_told_by_the_report_and_hides_no_other() {
    let site = Site::new(NATIVE, [clean_audit_answer()]).await;
    let server = site.serve();
    assert_eq!((count_runs(&server, "converge", "done"), count_runs(&server, "converge", "failed")), (0, 0));
    let git = ForgeFault::on_call("GET", "/{owner}/{repo}/info/refs", ForgeFaultKind::Status(500, None));
    site.forge.add_fault(git.times(u32::MAX));
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: error\n"), "{pull:#?}");
    site.wait_until_why("converge: given up: ").await;
    let outcomes = async || {
        let ran =
            site.run_command(site.other_command("report", &["--loop", "converge", "--format", "json"])).await;
        let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let all = told["outcomes"].as_array().unwrap();
        all.iter().map(|one| (one["kind"].clone(), one["evidence"]["head"].is_null())).collect::<Vec<_>>()
    };
    assert_eq!(outcomes().await, [(serde_json::json!("failed"), true)]);
    assert!(site.model.request_log().is_empty());

    // The failed run has recorded no state, so this command starts a new run.
    site.forge.clear_faults();
    site.request_only_run("ann").await;
    let converged =
        |pull: &PullView| report_comment(pull).is_some_and(|told| told.contains("/converge: converged\n"));
    site.wait_until("the second report", converged).await;
    assert_eq!(outcomes().await, [(serde_json::json!("done"), false), (serde_json::json!("failed"), true)]);
}
