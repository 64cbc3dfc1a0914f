//! Tests of the service as forges and people see it: webhooks arrive and comments appear, even if the forge
//! fails or the service restarts. All parts except the forge are real; the limits are short.

mod app;
mod checks;
mod clock;
mod companions;
mod fairness;
mod faults;
mod hanging;
mod health;
mod keeping;
mod permissions;
mod pushes;
mod scopes;
mod stopping;
mod switch;
mod tiers;

use crate::support::{change, ports, site};

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use truing_core::id::TimeSpan;
use truing_core::slot::SlotLimits;
use truing_fakes::forge::{NewPull, UnreliableNetwork, sign_sha256};
use truing_fakes::repo::CommitBuilder;
use truing_store::Store;

use change::{FIXED, FOUND, NEW, ReviewPicture, STAY};
use ports::{FaultyStore, Script};
use site::{FORGE, SECRET, Site, limits};

/// Maximum size of a webhook delivery, which GitHub also enforces.
const MAX_BODY: usize = 25 * 1024 * 1024;

const REVIEWS: &str = "/repos/{owner}/{repo}/pulls/{number}/reviews$";

/// Checks that the pull request shows the complete first review exactly once.
fn first_of(picture: &ReviewPicture) -> Result<(), String> {
    let told = |summary: &str| {
        summary.contains("Reviewed commit `FIRST` against `BASE`.")
            && summary.contains(&format!("## Truing: {FOUND} findings"))
    };
    let right = matches!(picture.summaries.as_slice(), [summary] if told(summary))
        && (picture.comments.len(), picture.open(), picture.deleted) == (FOUND, FOUND, 0)
        && picture.comments.iter().all(|comment| comment.line.is_some())
        && picture.status == Some(("failure".to_owned(), format!("{FOUND} findings")));
    if right { Ok(()) } else { Err(format!("{picture:#?}")) }
}

#[track_caller]
fn assert_first(picture: &ReviewPicture) {
    if let Err(shown) = first_of(picture) {
        panic!("not the first review: {shown}");
    }
}

/// Checks that the pull request shows the complete second review exactly once.
#[track_caller]
fn assert_second(picture: &ReviewPicture) {
    assert_second_with(picture, FIXED);
}

/// Checks that the pull request shows the complete second review exactly once, with this number of resolved
/// threads.
#[track_caller]
fn assert_second_with(picture: &ReviewPicture, resolved: usize) {
    let [summary] = picture.summaries.as_slice() else { panic!("{:#?}", picture.summaries) };
    assert!(summary.contains("Reviewed commit `SECOND` against `BASE`."), "{summary}");
    let counts = (picture.comments.len(), picture.open(), picture.deleted);
    assert_eq!(counts, (FOUND + NEW, FOUND + NEW - resolved, 0), "{picture:#?}");
    let fixed = picture.comments.iter().filter(|comment| comment.body.contains("**Fixed in `SECOND`.**"));
    assert_eq!(fixed.clone().count(), FIXED, "{picture:#?}");
    assert_eq!(fixed.filter(|comment| comment.resolved).count(), resolved, "{picture:#?}");
    assert_eq!(picture.status, Some(("failure".to_owned(), format!("{} findings", STAY + NEW))));
}

fn no_violations(site: &Site) {
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

/// Sends a POST request over a new connection, and returns the status code of the response.
async fn post(url: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let address = url.strip_prefix("http://").unwrap();
    let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    head.push_str(&format!("content-length: {}\r\n", body.len()));
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    let sent = [head.as_bytes(), body].concat();
    // A server that rejects the request early may close the connection before it has read the body.
    let sending = tokio::spawn(async move {
        let _ = to.write_all(&sent).await;
        to
    });
    let mut answer = [0; 12];
    from.read_exact(&mut answer).await.unwrap();
    drop(sending.await.unwrap());
    std::str::from_utf8(&answer).unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_becomes_comments_once() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    let delivery = site.deliver().await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);

    // A person replies to a comment. Then the forge repeats the first delivery.
    let talked = site.view(&opened).await.inline_comments().next().unwrap().id;
    let reply = site.repo.reply(opened.number, "author", talked, "Why?").await.unwrap();
    let calls = site.forge.call_counts();
    assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 202);
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    let writes = |calls: std::collections::BTreeMap<String, u64>| -> u64 {
        calls.iter().filter(|(route, _)| !route.starts_with("GET")).map(|(_, count)| count).sum()
    };
    assert_eq!(writes(calls), writes(site.forge.call_counts()), "what was reviewed is not reviewed again");

    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second(&site.picture(&opened).await);
    let view = site.view(&opened).await;
    assert!(
        view.inline_comments().any(|comment| comment.id == reply && comment.body == "Why?"),
        "people's words stay"
    );
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_and_readable_deliveries_are_taken() {
    let site = Site::new().await;
    let service = site.serve().await;
    site.open("change").await;
    let delivery = site.forge.take_deliveries().remove(0);
    let body = delivery.body.as_ref();
    let right = format!("sha256={}", sign_sha256(SECRET, body));
    let other = format!("sha256={}", sign_sha256("another secret", body));
    let headers = delivery.headers(SECRET);
    let sha1 = headers.iter().find(|(name, _)| *name == "x-hub-signature").unwrap().1.as_str();
    let path = format!("/webhooks/{FORGE}");
    let event = ("x-github-event", "pull_request");
    let signed = |body: &[u8]| format!("sha256={}", sign_sha256(SECRET, body));
    let signature = "x-hub-signature-256";

    for (what, status, headers, body) in [
        ("no signature", 401, vec![event], body),
        ("the old signature alone", 401, vec![event, ("x-hub-signature", sha1)], body),
        ("the old signature in the new header", 401, vec![event, (signature, sha1)], body),
        ("another secret", 401, vec![event, (signature, &other)], body),
        ("another body", 401, vec![event, (signature, &right)], &body[1..]),
        ("no JSON", 400, vec![event, (signature, &signed(b"{]"))], b"{]"),
        ("no pull request", 400, vec![event, (signature, &signed(b"{}"))], b"{}"),
        ("a ping", 202, vec![("x-github-event", "ping"), (signature, &signed(b"{}"))], b"{}"),
        ("an unknown event", 202, vec![("x-github-event", "gollum"), (signature, &signed(b"[]"))], b"[]"),
        ("no event", 202, vec![(signature, &signed(b"{}"))], b"{}"),
    ] {
        assert_eq!(post(&service.url, &path, &headers, body).await, status, "{what}");
    }
    let unknown = post(&service.url, "/webhooks/other", &[event, (signature, &right)], body).await;
    assert_eq!(unknown, 404, "a forge that is not configured");
    let mut large = vec![b' '; MAX_BODY];
    assert_eq!(post(&service.url, &path, &[event, (signature, &right)], &large).await, 401, "it is read");
    large.push(b' ');
    assert_eq!(post(&service.url, &path, &[event, (signature, &right)], &large).await, 413);
    assert_eq!(service.store.list_slots().await.unwrap(), [], "none of them has marked anything");

    assert_eq!(post(&service.url, &path, &[event, (signature, &right)], body).await, 202);
    service.rest(&site.clock).await;
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_not_taken_while_the_store_is_down() {
    let site = Site::new().await;
    let inner = Store::open(&site.database(), Arc::new(site.clock.clone())).unwrap();
    let script = Script::new(None);
    let store = FaultyStore { inner: inner.clone(), script: script.clone() };
    let service = site.serve_from(store, inner, limits()).await;
    let opened = site.open("change").await;
    let delivery = site.forge.take_deliveries().remove(0);
    script.set_dead(true);
    assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 503);
    script.set_dead(false);
    assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 202);
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_lost_repeated_and_late_events_is_reviewed_twice_at_most() {
    let site = Site::new().await;
    // The quiet period is so long that all events belong to one storm, even on a very slow machine.
    // Afterwards, the test clock skips the rest of the period.
    let (quiet, storm_max) = (TimeSpan::seconds(30 * 60), TimeSpan::seconds(2 * 60 * 60));
    let service = site
        .serve_with(SlotLimits { storm_quiet_time: quiet, max_storm_duration: storm_max, ..limits() })
        .await;
    let mut opened = [site.open("one").await, site.open("two").await, site.open("three").await];
    site.deliver().await;
    for round in 0..12 {
        for pull in &opened {
            let commit = change::first().write("note.txt", format!("{} {round}", pull.branch));
            site.repo.push(&pull.branch, commit).await.unwrap();
        }
        if round == 11 {
            for pull in &mut opened {
                site.push_second(pull).await;
            }
        }
        site.deliver_through(UnreliableNetwork {
            seed: round,
            lost_percent: 30,
            repeated_percent: 30,
            max_delay_positions: 4,
        })
        .await;
    }
    // The last event of a pull request may be lost, so the forge sends one more event for each.
    for pull in &opened {
        site.repo.retarget(pull.number, "main").await.unwrap();
    }
    site.deliver().await;
    service.rest(&site.clock).await;
    for pull in &opened {
        assert_second_alone(&site.picture(pull).await);
        let computed = service.history(&site.key(pull.number).await).await;
        let computed = computed.iter().filter(|line| line.starts_with("computed: ")).count();
        assert!((1..=2).contains(&computed), "{computed} reviews");
    }
    no_violations(&site);
    service.stop().await;
}

/// Checks that the pull request shows the review of the second head. It does not matter whether the review of
/// the first head was ever shown.
#[track_caller]
fn assert_second_alone(picture: &ReviewPicture) {
    let [summary] = picture.summaries.as_slice() else { panic!("{:#?}", picture.summaries) };
    assert!(summary.contains("Reviewed commit `SECOND` against `BASE`."), "{summary}");
    assert_eq!((picture.open(), picture.deleted), (STAY + NEW, 0), "{picture:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_lost_is_made_up_for_by_any_later_one() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    let first = site.deliver().await;
    service.rest(&site.clock).await;
    site.push_second(&mut opened).await;
    assert_eq!(site.forge.take_deliveries().len(), 1, "lost");
    assert_eq!(site.forge.deliver(&first).await.unwrap(), 202, "sent again by hand, though it is old");
    service.rest(&site.clock).await;
    assert_second(&site.picture(&opened).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_and_closed_pull_requests_are_left_alone_until_they_are_open() {
    let site = Site::new().await;
    let service = site.serve().await;
    let draft = site.open_as(NewPull { draft: true, ..NewPull::from_branch("draft") }).await;
    let closed = site.open("closed").await;
    site.repo.close_pull(closed.number).await.unwrap();
    site.deliver().await;
    service.state(&site.key(draft.number).await, "held (draft)").await;
    service.state(&site.key(closed.number).await, "held (cancelled)").await;
    for pull in [&draft, &closed] {
        assert_eq!(site.view(pull).await.comments, [], "nothing is said about what is not open");
    }
    let history = service.history(&site.key(draft.number).await).await;
    assert_eq!(history.last().map(String::as_str), Some("held (draft)"), "{history:?}");
    site.repo.set_draft(draft.number, false).await.unwrap();
    site.repo.reopen_pull(closed.number).await.unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    for pull in [&draft, &closed] {
        assert_first(&site.picture(pull).await);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_base_is_another_review() {
    let site = Site::new().await;
    let service = site.serve().await;
    let opened = site.open("change").await;
    // The new base branch already contains one of the three files.
    let other = site
        .repo
        .push("other", CommitBuilder::new("Part of it").write("src/lib.rs", change::LIB))
        .await
        .unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    site.repo.retarget(opened.number, "other").await.unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    let picture = site.picture(&opened).await;
    assert!(picture.summaries[0].contains("Reviewed commit `FIRST`"), "{picture:#?}");
    assert_eq!(picture.comments.len(), FOUND, "{picture:#?}");
    assert_eq!(service.published(&site.key(opened.number).await).await, 2);
    let pull = site.view(&opened).await;
    assert_eq!(pull.base, other);
    no_violations(&site);
    service.stop().await;
}
