//! Threads of ours on a pull request: a finding has one that is open, however often it is found, and none when an audit
//! does not find it any more.

use serde_json::json;
use truing_fakes::model::{Answer, Script};
use truing_fakes::repo::Commit;

use crate::pull::{Site, loops_of, two_loops};
use crate::scene::{BUG, BUG_ID, RIGHT, WRONG, clean, dirty, edit, mended};

const KEPT_OPEN: &str = "[converge]\nresolve_threads = false\n";

/// A fix that does not mend it, and then one that does.
fn found_twice() -> Vec<Answer> {
    let first =
        [dirty(), edit("total.py", "    s = 0\n", "    s = 0.0\n"), mended(&[(BUG_ID, None)]), clean()];
    first.into_iter().chain(two_loops()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_again_has_one_comment_and_is_answered_when_an_audit_has_seen_its_fix() {
    for more in ["", KEPT_OPEN] {
        let site = Site::new(more, found_twice()).await;
        let (told, exit) = site.run(&[]).await;
        assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(3)), "{told}");
        let pull = site.pull().await;
        let inline: Vec<_> = pull.inline().collect();
        assert_eq!(inline.len(), 2, "a finding and its answer: {inline:#?}");
        assert_eq!(inline[0].resolved, more.is_empty());
        let fixed = format!("Fixed in {}", &pull.head[..7]);
        assert!(inline[1].body.starts_with(&fixed), "by the second fix alone: {inline:#?}");
        let named = |review: &str| review.contains("### Findings already on this pull request");
        let reviews: Vec<_> = pull.reviews.iter().filter(|review| named(&review.body)).collect();
        assert_eq!(reviews.len(), 1, "{:#?}", pull.reviews);
        for review in reviews {
            assert!(
                review.body.starts_with("## converge: loop 2 audit: 0P0 / 1P1 / 0P2\n"),
                "{}",
                review.body
            );
            assert!(review.body.contains(&format!("#discussion_r{}", inline[0].id)), "{}", review.body);
        }
        assert_eq!(loops_of(&pull).len(), 3);
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

/// A finding that no fix was made for, and that somebody has mended since.
async fn mended_by_hand(more: &str) -> Site {
    let site = Site::new(more, [dirty()]).await;
    let (told, _) = site.run(&["--max-audits", "1"]).await;
    assert_eq!(told["code"], "max_audits", "{told}");
    assert!(site.pull().await.inline().all(|comment| !comment.resolved));
    let by_hand = Commit::new("Count all").write("total.py", BUG.replace(WRONG, RIGHT));
    site.repo.push("topic", by_hand).await.unwrap();
    site.model.play(Script::of([Answer::describes("Adds up orders."), clean()]));
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_of_an_earlier_run_is_over_when_an_audit_does_not_find_it_any_more() {
    for more in ["", KEPT_OPEN] {
        let site = mended_by_hand(more).await;
        let (told, exit) = site.run(&[]).await;
        assert_eq!((exit, &told["exit"], &told["code"]), (0, &json!("converged"), &json!("clean")), "{told}");
        let pull = site.pull().await;
        assert!(!pull.draft);
        assert!(pull.inline().all(|comment| comment.resolved == more.is_empty()), "{:#?}", pull.comments);
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_in_which_a_person_has_the_last_word_stays_open() {
    let site = mended_by_hand("").await;
    let thread = site.pull().await.inline().next().unwrap().id;
    site.repo.reply(site.number, "ann", thread, "Is it so for none, too?").await.unwrap();
    let (told, exit) = site.run(&[]).await;
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("blocked"), &json!("threads")), "{told}");
    assert!(site.pull().await.inline().all(|comment| !comment.resolved));
}
