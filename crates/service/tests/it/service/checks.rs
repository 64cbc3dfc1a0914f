//! Tests of the check run of a GitHub App: it contains every finding on its lines, even after lost calls.

use truing_core::port::SweepStore as _;
use truing_fakes::forge::{FakeCheckRun, ForgeFault, ForgeFaultKind, NewPull, PullView, RerunButton};
use truing_fakes::repo::CommitBuilder;

use crate::service::site::{FORGE, Opened, Running, Site, limits};

const CREATE: (&str, &str) = ("POST", "/repos/{owner}/{repo}/check-runs$");
const APPEND: (&str, &str) = ("PATCH", "/repos/{owner}/{repo}/check-runs/{id}");
/// Number of findings in each of two files. Two calls are not enough to send all of them.
const MANY: usize = 60;

/// Returns a commit with two files with this number of findings each; `first` makes the contents of two
/// commits differ.
fn file(first: &str, count: usize) -> CommitBuilder {
    let text = format!("{first} = 1\n{}", "breakpoint()\n".repeat(count));
    CommitBuilder::new(first).write("many.py", text.as_str()).write("more.py", text)
}

async fn opened(site: &Site, count: usize) -> Opened {
    let first = site.repo.push("many", file("a", count)).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("many")).await.unwrap();
    Opened { number, branch: "many".into(), first, second: None }
}

async fn reviewed(site: &Site, service: &Running, opened: &Opened) -> PullView {
    site.deliver().await;
    service.rest(&site.clock).await;
    site.view(opened).await
}

/// Returns the only check run of the head.
fn only(view: &PullView) -> &FakeCheckRun {
    let runs: Vec<&FakeCheckRun> = view.checks.iter().filter(|run| run.sha == view.head).collect();
    let told = |run: &&FakeCheckRun| (run.external_id.clone(), run.title.clone(), run.annotations.len());
    assert_eq!(runs.len(), 1, "{:#?}", runs.iter().map(told).collect::<Vec<_>>());
    runs[0]
}

fn lines(run: &FakeCheckRun) -> Vec<u64> {
    run.annotations.iter().map(|one| one["start_line"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_finding_is_on_its_lines_once_whatever_answer_is_lost() {
    let mut site = Site::new().await;
    site.log_in_as_app("truing");
    let service = site.serve_with(limits()).await;
    let opened = opened(&site, MANY).await;
    let each = 2..=MANY as u64 + 1;
    let all: Vec<u64> = each.clone().chain(each).collect();
    for (at, ((method, route), nth)) in [(CREATE, 1), (APPEND, 1), (APPEND, 2)].into_iter().enumerate() {
        for kind in [ForgeFaultKind::LostResponse, ForgeFaultKind::DropConnection] {
            let name = format!(
                "change_{at}_{}",
                if kind == ForgeFaultKind::DropConnection { "drop" } else { "lost" }
            );
            site.repo.push("many", file(&name, MANY)).await.unwrap();
            site.forge.add_fault(ForgeFault::on_call(method, route, kind).nth(nth));
            let view = reviewed(&site, &service, &opened).await;
            let run = only(&view);
            assert_eq!(lines(run), all, "{name}");
            assert_eq!((run.status.as_str(), run.conclusion.as_deref()), ("completed", Some("failure")));
            site.forge.clear_faults();
        }
    }
    let view = site.view(&opened).await;
    assert!(view.statuses.is_empty(), "a check run instead");
    let run = only(&view);
    let first = &run.annotations[0];
    assert_eq!((&first["path"], &first["annotation_level"]), (&"many.py".into(), &"failure".into()));
    assert!(first["title"].as_str().unwrap().contains("core/python-debugger"), "{first}");
    assert_eq!(run.name, "truing/review");
    assert_eq!(run.title.as_deref(), Some("120 findings"));
    assert!(run.summary.as_ref().unwrap().starts_with("## Truing: 120 findings"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_blocks_is_green_and_nothing_to_review_is_grey() {
    let mut site = Site::new().await;
    site.log_in_as_app("truing");
    let service = site.serve_with(limits()).await;
    let opened = opened(&site, 0).await;
    let view = reviewed(&site, &service, &opened).await;
    assert_eq!(only(&view).conclusion.as_deref(), Some("success"));

    site.repo.push("many", CommitBuilder::new("back").delete("many.py").delete("more.py")).await.unwrap();
    let view = reviewed(&site, &service, &opened).await;
    assert_eq!(only(&view).conclusion.as_deref(), Some("neutral"), "{view:#?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_failure_is_never_red_and_becomes_what_was_found() {
    let mut site = Site::new().await;
    site.log_in_as_app("truing");
    let service = site.serve_with(limits()).await;
    let opened = opened(&site, 1).await;
    let fetch = ForgeFault::on_call("GET", "/{owner}/{repo}/info/refs", ForgeFaultKind::Status(500, None));
    site.forge.add_fault(fetch.times(1000));
    site.deliver().await;
    let key = site.key(opened.number).await;
    service.state(&key, "held (parked)").await;
    let view = site.view(&opened).await;
    let (conclusion, title) = (&only(&view).conclusion, only(&view).title.as_ref().unwrap());
    assert_eq!(conclusion.as_deref(), Some("neutral"));
    assert!(title.starts_with("review temporarily unavailable: "), "{title}");
    site.forge.clear_faults();
    service.retry(&key).await;
    service.rest(&site.clock).await;
    let view = site.view(&opened).await;
    let run = only(&view);
    assert_eq!((run.conclusion.as_deref(), run.annotations.len()), (Some("failure"), 2));
    service.stop().await;
}

/// Presses a button of the check run on the head, and delivers the resulting event to the service.
async fn press(site: &Site, opened: &Opened, by: &str, again: RerunButton) {
    let view = site.view(opened).await;
    site.repo.request_rerun(only(&view).id, by, again).await.unwrap();
    site.deliver().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buttons_of_our_check_review_again_for_those_who_may_write() {
    let mut site = Site::new().await;
    let (app, _) = site.log_in_as_app("truing");
    let service = site.serve_with(limits()).await;
    site.repo.set_role("ada", "write").await.unwrap();
    site.repo.set_role("rea", "read").await.unwrap();
    let opened = opened(&site, 1).await;
    let key = site.key(opened.number).await;
    reviewed(&site, &service, &opened).await;
    let acts = async || service.store.audit_entries(9).await.unwrap();
    let served = async || {
        crate::service::site::until("all are served", async || {
            service.store.unserved_requests(FORGE, 9).await.unwrap().is_empty()
        })
        .await;
    };

    for (times, again) in [(2, RerunButton::Run), (3, RerunButton::Suite)] {
        press(&site, &opened, "ada", again).await;
        crate::service::site::until("it is reviewed again", async || service.published(&key).await == times)
            .await;
        service.rest(&site.clock).await;
        let view = site.view(&opened).await;
        assert_eq!(
            (only(&view).is_rerun_requested, lines(only(&view))),
            (false, vec![2, 2]),
            "{again:?} has ended"
        );
        assert_eq!(acts().await.len(), times - 1);
    }
    assert_eq!(acts().await[0].action.actor, format!("ada@{FORGE}"));
    let history = service.history(&key).await;
    assert!(history.iter().any(|told| told.starts_with("`re-run` by ada@fake")), "{history:#?}");

    // No review starts if the user lacks write permission, if the check belongs to another App, or if the
    // pull request is closed.
    press(&site, &opened, "rea", RerunButton::Run).await;
    served().await;
    site.repo.request_rerun(only(&site.view(&opened).await).id, "ada", RerunButton::Suite).await.unwrap();
    let mut other = site.forge.take_deliveries().remove(0);
    let body = std::str::from_utf8(&other.body).unwrap();
    let own = format!("\"id\":{},", app.id);
    assert!(body.contains(&own), "{body}");
    other.body = body.replace(&own, "\"id\":1,").into_bytes().into();
    assert_eq!(site.forge.deliver(&other).await.unwrap(), 202);
    assert!(service.store.unserved_requests(FORGE, 9).await.unwrap().is_empty(), "not even looked at");
    site.repo.close_pull(opened.number).await.unwrap();
    press(&site, &opened, "ada", RerunButton::Run).await;
    served().await;
    service.rest_as_it_is().await;
    assert_eq!((acts().await.len(), service.published(&key).await), (2, 3));
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    service.stop().await;
}
