//! Tests, on each kind of forge, of comments for which the forge rejects the position. A rejection must
//! affect only that comment.

use truing_fakes::forge::{CommentPlaceRefusal, PLACE_REFUSALS, RefusedPlaces};

use super::*;

/// Files of the commit, each with a finding. The forge rejects comments on `b.py`.
const FILES: [&str; 3] = ["a.py", "b.py", "c.py"];

/// Statuses that no forge documents for a rejected position of a comment. GitHub documents all statuses that
/// it returns.
const OTHERS: [u16; 8] = [405, 406, 410, 412, 413, 415, 423, 424];

/// Publishes a review while the forge rejects these positions in `b.py`. For each inline comment, returns the
/// path and true if the comment is on a line. Also returns the summary.
async fn review_with_refused_places(
    refusal: CommentPlaceRefusal,
    places: RefusedPlaces,
) -> (Vec<(String, bool)>, String) {
    let site = Site::new(refusal.flavour).await;
    let commit = FILES.iter().fold(CommitBuilder::new("debug"), |commit, file| commit.write(*file, FIRST));
    site.repo.push("one", commit).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("one")).await.unwrap();
    site.forge.refuse_comment_places("b.py", places, refusal);
    let page = site.page(number);
    let mut command = site.command(&["review", "--pr", &page, "--publish"]);
    let Output { status, stdout, stderr } = command.env("GITHUB_TOKEN", TOKEN).output().unwrap();
    let said =
        format!("{refusal:?}\n{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(1), "{said}");
    let view = site.repo.pull(number).await.unwrap();
    assert_eq!(view.statuses[&view.head].last().unwrap().state, "failure", "{said}");
    assert_eq!(site.forge.violations(), Vec::<String>::new(), "{said}");
    site.forge.assert_calls_in_runs();
    let inline = view.inline_comments().map(|comment| {
        let place = comment.place.as_ref().unwrap();
        (place.path.clone(), place.line.is_some())
    });
    let mut inline: Vec<_> = inline.collect();
    inline.sort();
    let [summary] = view.conversation_comments().collect::<Vec<_>>()[..] else { panic!("{said}{view:#?}") };
    (inline, summary.body.clone())
}

async fn assert_costs_one_place(refusal: CommentPlaceRefusal) {
    let (inline, summary) = review_with_refused_places(refusal, RefusedPlaces::Lines).await;
    let expected =
        [("a.py", true), ("b.py", false), ("c.py", true)].map(|(file, line)| (file.to_owned(), line));
    assert_eq!(inline, expected, "{refusal:?}: on its file\n{summary}");
    let (inline, summary) = review_with_refused_places(refusal, RefusedPlaces::LinesAndFile).await;
    let expected = ["a.py", "c.py"].map(|file| (file.to_owned(), true));
    assert_eq!(inline, expected, "{refusal:?}: in the summary\n{summary}");
    assert!(summary.contains("b.py"), "{refusal:?}\n{summary}");
}

async fn test_known_refusals(flavour: ForgeFlavour) {
    for refusal in PLACE_REFUSALS.iter().filter(|refusal| refusal.flavour == flavour) {
        assert_costs_one_place(*refusal).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_github_refuses_costs_one_place() {
    test_known_refusals(ForgeFlavour::GitHub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cloud_refuses_costs_one_place() {
    test_known_refusals(ForgeFlavour::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_a_data_center_refuses_costs_one_place() {
    test_known_refusals(ForgeFlavour::DataCenter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_refused_by_another_status_costs_one_place() {
    for (status, flavour) in
        OTHERS.into_iter().zip([ForgeFlavour::Cloud, ForgeFlavour::DataCenter].into_iter().cycle())
    {
        let like = PLACE_REFUSALS.iter().find(|refusal| refusal.flavour == flavour).unwrap();
        assert_costs_one_place(CommentPlaceRefusal { status, evidence: "none", ..*like }).await;
    }
}
