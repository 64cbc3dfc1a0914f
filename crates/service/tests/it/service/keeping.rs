//! Tests that a finding never gets a second comment, despite fixes and regressions, acts of people, lost and
//! restored records, and changed keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use truing_core::id::{FencingToken, PrId, RunId};
use truing_core::port::{Clock, EffectOwner, PullRevision, RunReference, RunStore as _, WriteGate};
use truing_core::publish::{CheckContent, CommentProducer, DesiredStatus, StatusState};
use truing_core::switch::RepositoryRef;
use truing_fakes::forge::NewPull;
use truing_forge::effects::EffectExecutor;
use truing_forge::marker::MarkerKeys;
use truing_forge::publisher::{CommentPublisher, PublishError};

use crate::service::change::{self, FIXED, FORTY, FOUND, NEW, STAY};
use crate::service::site::{KEY, Site, limits};
use crate::service::{assert_first, assert_second, no_violations};

/// Returns the calls that write comments or reviews, with the number of each.
fn writes(site: &Site) -> BTreeMap<String, u64> {
    let mut calls = site.forge.call_counts();
    calls.retain(|route, _| {
        !["/statuses/", "/graphql", "/git-upload-pack"].iter().any(|other| route.contains(other))
            && !route.starts_with("GET")
    });
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_newer_one_has_overtaken_changes_nothing_more() {
    let site = Site::new().await;
    let service = site.serve().await;
    let opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    service.stop().await;
    let (store, key) = (site.store(), site.key(opened.number).await);
    let of = |id: &str, token: FencingToken| RunReference { id: RunId::new(id), key: key.clone(), token };
    let revision = {
        let record = store.last_review_record(&key).await.unwrap().unwrap();
        PullRevision { head: record.detail.head.unwrap(), base: record.detail.base }
    };
    // The old run stores a new summary and a status that it still has to write. Then a newer run begins.
    let old = of("old", store.fresh_token().await.unwrap());
    store.begin_run(&old, &revision, Clock::now(&site.clock)).await.unwrap();
    let status = DesiredStatus {
        sha: revision.head.clone(),
        state: StatusState::Success,
        description: "fine".into(),
        check: CheckContent::default(),
    };
    store.store_summary_and_status(&old, CommentProducer::Review, "another summary", &status).await.unwrap();
    let new = of("new", store.fresh_token().await.unwrap());
    store.begin_run(&new, &revision, Clock::now(&site.clock)).await.unwrap();
    let context = site.context(store, site.forges(), limits());
    let gate: Arc<dyn WriteGate> = Arc::new(context.gate(RepositoryRef::from_key(&key)));
    let id = PrId::from_key(&key).unwrap();
    let forge = context.forges.pull_client(&new.id, &id, "acme/shop", CommentProducer::Review).unwrap();
    let before = site.view(&opened).await;
    for (run, stale) in [(&old, true), (&new, false)] {
        let writer =
            EffectOwner { key: key.clone(), producer: CommentProducer::Review, token: Some(run.token) };
        let (log, clock) = (&*context.store, &*context.clock);
        let effects = EffectExecutor {
            forge: &*forge,
            log,
            gate: &gate,
            clock,
            owner: writer,
            monitor: &context.write_monitor,
        };
        let publisher = CommentPublisher {
            effects,
            forge: &*forge,
            records: &*context.store,
            run,
            head: &revision.head,
            may_create: true,
        };
        let ended = publisher.reconcile().await;
        let fenced = matches!(&ended, Err(PublishError::Halted(halt)) if halt.superseding_token().is_some());
        let view = site.view(&opened).await;
        let untouched = view.comments == before.comments && view.statuses == before.statuses;
        assert_eq!((fenced, untouched), (stale, stale), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regression_reopens_the_thread_that_we_resolved_and_no_other() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    // A person resolves two threads: one of a finding that the next push fixes, and one of a finding that the
    // push keeps.
    let view = site.view(&opened).await;
    let on = |line: u32| {
        let at = |comment: &&truing_fakes::forge::CommentView| {
            comment.place.as_ref().is_some_and(|place| place.path == "src/app.py")
                && comment.line == Some(line)
        };
        view.inline_comments().find(at).unwrap().id
    };
    let (mended, stays) = (on(11), on(10));
    for comment in [mended, stays] {
        site.repo.resolve_thread(opened.number, comment, "ada").await.unwrap();
    }

    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let picture = site.picture(&opened).await;
    assert_eq!((picture.comments.len(), picture.open()), (FOUND + NEW, STAY + NEW - 1), "{picture:#?}");

    // This push restores all findings of the first review.
    let again = change::first().write("note.txt", "again");
    site.repo.push(&opened.branch, again).await.unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    let view = site.view(&opened).await;
    let resolved = |id: u64| view.comments.iter().find(|comment| comment.id == id).unwrap().resolved;
    assert!(resolved(mended) && resolved(stays), "a person's word stands");
    assert!(
        view.inline_comments().all(|comment| !comment.body.contains("Fixed in")),
        "nothing is fixed any more"
    );
    let picture = site.picture(&opened).await;
    assert_eq!((picture.comments.len(), picture.open(), picture.deleted), (FOUND + NEW, FOUND + NEW - 2, 0));

    // Another run does not resolve or reopen any of these threads.
    let before = site.forge.call_counts();
    service.retry(&site.key(opened.number).await).await;
    service.rest(&site.clock).await;
    assert_eq!(before.get("POST /graphql").copied(), site.forge.call_counts().get("POST /graphql").copied());
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_a_person_deleted_is_neither_posted_again_nor_rewritten() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let gone = site.view(&opened).await.inline_comments().next().unwrap().id;
    site.repo.delete_comment(opened.number, gone).await.unwrap();
    let before = site.forge.request_log().len();

    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let picture = site.picture(&opened).await;
    assert_eq!((picture.comments.len(), picture.deleted), (FOUND + NEW - 1, 1), "{picture:#?}");
    let touched = |call: &&truing_fakes::forge::LoggedCall| {
        call.path.ends_with(&gone.to_string()) && call.method != "GET"
    };
    let log = site.forge.request_log();
    assert_eq!(log.iter().skip(before).filter(touched).count(), 0);
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_whose_marker_a_person_edited_away_is_still_known_and_mended() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let view = site.view(&opened).await;
    for comment in view.inline_comments() {
        site.repo.edit_comment(opened.number, comment.id, "Edited by somebody.").await.unwrap();
    }
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second(&site.picture(&opened).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_records_come_back_by_the_markers_and_nothing_is_posted_again() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    let delivery = site.deliver().await;
    service.rest(&site.clock).await;
    service.stop().await;

    site.forget();
    let service = site.serve().await;
    let before = writes(&site);
    assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 202);
    service.rest(&site.clock).await;
    assert_eq!(service.published(&site.key(opened.number).await).await, 1, "it was reviewed anew");
    assert_eq!(writes(&site), before, "everything was adopted");
    assert_first(&site.picture(&opened).await);

    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second(&site.picture(&opened).await);
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_from_an_old_backup_adopt_what_they_never_knew() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    service.stop().await;
    let backup = site.back_up();

    let service = site.serve().await;
    site.push_second(&mut opened).await;
    let delivery = site.deliver().await;
    service.rest(&site.clock).await;
    assert_second(&site.picture(&opened).await);
    service.stop().await;

    site.restore(&backup);
    let service = site.serve().await;
    let before = writes(&site);
    assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 202);
    service.rest(&site.clock).await;
    assert_eq!(service.published(&site.key(opened.number).await).await, 2, "it was reviewed anew");
    assert_eq!(writes(&site), before, "everything was adopted");
    assert_second(&site.picture(&opened).await);
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_recognises_what_the_former_one_signed() {
    let mut site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    service.stop().await;

    site.forget();
    site.sign_with(MarkerKeys::new(b"a new key", &[KEY]));
    let service = site.serve().await;
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    // The service has lost the records of the first review. It adopts the existing comments of findings that
    // are still there.
    let picture = site.picture(&opened).await;
    assert_eq!((picture.summaries.len(), picture.comments.len(), picture.deleted), (1, FOUND + NEW, 0));
    assert!(picture.summaries[0].contains("Reviewed commit `SECOND`"), "{picture:#?}");
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_unknown_key_signed_is_left_as_it_is_and_not_posted_again() {
    let mut site = Site::new().await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    service.stop().await;
    let before = site.view(&opened).await;

    // The service loses its records, and no longer knows the key that signed its markers.
    site.forget();
    site.sign_with(MarkerKeys::new(b"a new key", &[]));
    let service = site.serve().await;
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let after = site.view(&opened).await;
    for comment in &before.comments {
        let now = after.comments.iter().find(|now| now.id == comment.id).unwrap();
        assert_eq!((&now.body, now.deleted), (&comment.body, false));
    }
    let made: Vec<_> =
        after.comments.iter().filter(|now| before.comments.iter().all(|was| was.id != now.id)).collect();
    assert_eq!(made.len(), NEW, "what was never said is said: {made:#?}");

    // The push fixes findings with new comments and findings with comments that the lost key signed. The new
    // comments say that the finding is fixed. The threads of all these comments are resolved.
    let third =
        change::second().write("src/fresh.py", "def fresh():\n    pass\n").write("src/lib.rs", "fn a() {}\n");
    site.repo.push(&opened.branch, third).await.unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    let view = site.view(&opened).await;
    let resolved = view.inline_comments().filter(|comment| comment.resolved);
    let (ours, former): (Vec<_>, Vec<_>) =
        resolved.partition(|comment| made.iter().any(|made| made.id == comment.id));
    assert_eq!((ours.len(), former.len()), (NEW, 3), "{:#?}", site.picture(&opened).await);
    assert!(ours.iter().all(|comment| comment.body.contains("**Fixed in `")));
    assert!(former.iter().all(|comment| !comment.body.contains("**Fixed in `")));
    assert_eq!(FIXED, FOUND - STAY);
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_findings_are_inline_as_far_as_allowed_and_keep_their_comments_through_moves() {
    const MAX_INLINE: usize = 30;
    let site = Site::new().await;
    let service = site.serve().await;
    site.repo.push("forty", change::forty(0)).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("forty")).await.unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    let shown = async || {
        let view = site.repo.pull(number).await.unwrap();
        let summary = view.conversation_comments().next().unwrap().body.clone();
        let list = summary.split("### Findings without a comment of their own").nth(1).unwrap_or_default();
        let comments: Vec<(u64, Option<u32>)> = view
            .inline_comments()
            .map(|comment| {
                (comment.id, comment.place.as_ref().and_then(|place| place.line).map(|(_, line)| line))
            })
            .collect();
        (comments, list.matches("\n- **P").count(), view)
    };
    let (first, folded, _) = shown().await;
    let inline = first.iter().filter(|(_, line)| line.is_some()).count();
    assert_eq!((inline, first.len(), folded), (MAX_INLINE, MAX_INLINE, FORTY - MAX_INLINE));

    let mut kept = 0;
    for above in [3, 0, 7] {
        site.repo.push("forty", change::forty(above)).await.unwrap();
        site.deliver().await;
        service.rest(&site.clock).await;
        let (now, still, view) = shown().await;
        assert_eq!((&now, still), (&first, folded), "the same comments, and no others");
        assert!(view.comments.iter().all(|comment| !comment.deleted && !comment.resolved));
        kept += now.len();
    }
    println!(
        "{FORTY} findings inside hunks: {inline} of {MAX_INLINE} inline, {folded} folded, 0 lost; \
         after 3 pushes that move them {kept} of {} kept their one comment",
        3 * inline
    );
    no_violations(&site);
    service.stop().await;
}
