//! Tests of a service that is restarted with another key for its markers, and of comments with markers of the
//! earlier key.

use truing_fakes::forge::PullView;

use super::*;

impl Site {
    /// Sets the key with which the next service signs markers, and the earlier keys that it still accepts.
    fn set_signing_key(&self, key: &str, former: &[&str]) {
        let file = |name: &str| format!("{{ file = {:?} }}", self.home.path().join(name));
        let path = self.home.path().join("truing.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = config.split_once("settle = \"300ms\"\n").unwrap();
        let (_, after) = rest.split_once("[review]").unwrap();
        let former: Vec<String> = former.iter().map(|name| file(name)).collect();
        let keys = format!("marker_key = {}\nprevious_marker_keys = [{}]\n", file(key), former.join(", "));
        let config = format!("{before}settle = \"300ms\"\n{keys}[review]{after}");
        std::fs::write(path, config).unwrap();
    }

    fn delete_records(&self) {
        let file = database(self.home.path());
        for end in ["", "-wal", "-shm"] {
            let mut path = file.clone().into_os_string();
            path.push(end);
            let _ = std::fs::remove_file(path);
        }
        assert!(!file.exists());
    }
}

/// Returns the id and the text of each comment, with the summary first.
fn comments_by_id(view: &PullView) -> Vec<(u64, String)> {
    let all = view.conversation_comments().chain(view.inline_comments());
    all.map(|comment| (comment.id, comment.body.clone())).collect()
}

/// Returns the id of the key that signed the marker in a text.
fn signing_key_id(text: &str) -> &str {
    text.rsplit_once(" key=").unwrap().1.split_once(' ').unwrap().0
}

/// Runs a service that reviews a pull request and signs with `a.key`. After another push, runs a second
/// service that signs with `b.key`. Returns the id of the first key, the comments after each service, and the
/// log of the second service.
async fn run_key_rotation(
    former: &[&str],
    is_forgotten: bool,
) -> (String, Vec<(u64, String)>, Vec<(u64, String)>, String) {
    let site = Site::new().await;
    site.set_signing_key("a.key", &[]);
    let server = site.serve();
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    let first = comments_by_id(&site.wait_until(number, "reviewed", is_reviewed).await);
    site.wait_until_slots("served", |slots| slots.iter().all(|slot| slot["state"] != "leased")).await;
    server.signal("-TERM");
    server.wait_for_end();
    if is_forgotten {
        site.delete_records();
    }
    site.set_signing_key("b.key", former);
    let server = site.serve();
    let more = CommitBuilder::new("more").write("a.py", "a = 1\nb = 2\nbreakpoint()\n");
    let head = site.repo.push("one", more).await.unwrap();
    assert_eq!(site.deliver().await, [202]);
    let told = |view: &PullView| view.head == head && view.statuses.contains_key(&head);
    site.wait_until(number, "reviewed again", told).await;
    site.wait_until_slots("processed again", |slots| {
        slots.iter().all(|slot| slot["state"] != "leased" && slot["state"] != "waiting")
    })
    .await;
    let last = comments_by_id(&site.repo.pull(number).await.unwrap());
    server.signal("-TERM");
    let (_, log) = server.wait_for_end();
    let key = signing_key_id(&first[0].1).to_owned();
    assert!(first.len() == 2 && first.iter().all(|(_, text)| signing_key_id(text) == key), "{first:#?}");
    (key, first, last, log)
}

fn comment_ids(comments: &[(u64, String)]) -> Vec<u64> {
    comments.iter().map(|(id, _)| *id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_key_that_is_listed_has_signed_is_adopted_and_brought_up_to_date() {
    // Without records, the service can identify its comments only by their markers.
    for is_forgotten in [true, false] {
        let (key, first, last, log) = run_key_rotation(&["a.key"], is_forgotten).await;
        assert_eq!(comment_ids(&last), comment_ids(&first), "no second comment: {last:#?}");
        assert_ne!(last[0].1, first[0].1, "it tells of the new head");
        assert_ne!(signing_key_id(&last[0].1), key, "what is written anew is signed with the new key");
        assert!(!log.contains("previous_marker_keys"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_records_know_is_kept_up_whatever_key_has_signed_it() {
    let (key, first, last, log) = run_key_rotation(&[], false).await;
    assert_eq!(comment_ids(&last), comment_ids(&first), "no second comment: {last:#?}");
    assert_ne!(last[0].1, first[0].1, "it tells of the new head");
    assert_ne!(signing_key_id(&last[0].1), key, "what is written anew is signed with the new key");
    assert!(!log.contains("previous_marker_keys"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_left_as_it_is_and_the_log_says_so() {
    let (_, first, last, log) = run_key_rotation(&[], true).await;
    assert_eq!(last, first, "neither said again nor changed");
    let told = "signed with a key that is not configured";
    assert!(log.contains(told) && log.contains("`previous_marker_keys`"), "{log}");
}
