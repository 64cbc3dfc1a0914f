//! Tests of `truing watch`, which starts one run on each open pull request of the given owners.

use serde_json::{Value, json};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind, NewPull};
use truing_fakes::model::ScriptedAnswer;
use truing_fakes::repo::CommitBuilder;

use crate::converge::place::Ran;
use crate::converge::pull::Site;
use crate::converge::scene::BUG;

/// Parses the output, which has one JSON value per line; the last one is the summary.
fn json_lines(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{ran:?}"))).collect()
}

/// Creates another repository of this owner with an open pull request, and returns its number.
async fn create_other_repository(site: &Site, owner: &str, name: &str) -> u64 {
    let begin = CommitBuilder::new("Begin").write("a.py", "");
    let repo = site.forge.create_repository(owner, name, begin).await.unwrap();
    repo.set_role("truing[bot]", "write").await.unwrap();
    repo.push("topic", CommitBuilder::new("Add totals").write("total.py", BUG)).await.unwrap();
    repo.open_pull(NewPull::from_branch("topic")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_open_that_is_said_and_no_model_is_asked() {
    let site = Site::new("", []).await;
    site.repo.close_pull(site.number).await.unwrap();
    let ran = site.run_command(site.other_command("watch", &["acme", "nobody"])).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(
        ran.out,
        "PRs discovered: 0\n  acme: 0 (1 repository)\n  nobody: 0 (the account cannot read any repository \
            of this owner)\nNo pull request is open: nothing to do.\n"
    );
    let ran = site.run_command(site.other_command("watch", &["--format", "json", "acme"])).await;
    assert_eq!((ran.exit, json_lines(&ran)[0]["discovered"].clone()), (0, json!(0)), "{ran:?}");
    assert_eq!(site.model.request_log().len(), 0);
    // The command fails if no owner is given or if the name of an owner is invalid.
    for wrong in [&[][..], &["acme/shop"]] {
        assert_eq!(site.run_command(site.other_command("watch", wrong)).await.exit, 2, "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_open_pull_request_of_the_owners_is_worked_on_whatever_others_have_its_number() {
    let site = Site::new("", ScriptedAnswer::for_auditors([])).await;
    let same = create_other_repository(&site, "ann", "shop").await;
    create_other_repository(&site, "ann", "private").await;
    create_other_repository(&site, "bob", "shop").await;
    let file = site.home.path().join("truing.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let wanted = config.replace("settle", "repositories = [\"acme/*\", \"ann/shop\", \"bob/*\"]\nsettle");
    std::fs::write(&file, wanted).unwrap();
    assert_eq!(same, site.number, "both have the same number");

    let ran =
        site.run_command(site.other_command("watch", &["--format", "json", "ANN", "acme", "ann"])).await;
    let mut told = json_lines(&ran);
    let summary = told.pop().unwrap();
    let ends: Vec<_> = told.iter().map(|line| (line["pr"].clone(), line["exit"].clone())).collect();
    let converged = |name: &str| (json!(name), json!("converged"));
    assert_eq!((ran.exit, ends), (0, vec![converged("ann/shop#1"), converged("acme/shop#1")]), "{ran:?}");
    assert_ne!(told[0]["run"], told[1]["run"]);
    let owners = json!([{ "owner": "ANN", "repositories": 1, "discovered": 1 },
        { "owner": "acme", "repositories": 1, "discovered": 1 }]);
    assert_eq!((&summary["discovered"], &summary["owners"]), (&json!(2), &owners));
    assert_eq!((&summary["converged"], &summary["errored"]), (&json!(2), &json!(0)), "{summary}");
    let other = site.forge.pull("bob", "shop", 1).await.unwrap();
    assert!(other.reviews.is_empty(), "nobody asked for it");
    for (owner, number) in [("acme", site.number), ("ann", same)] {
        let pull = site.forge.pull(owner, "shop", number).await.unwrap();
        assert_eq!((pull.reviews.len(), pull.open), (1, true), "{owner}: {pull:?}");
    }
    assert_eq!(site.forge.violations(), Vec::<String>::new());

    // If the pull requests of one repository cannot be listed, the other repositories are still processed.
    // The command returns the highest exit code.
    let forbidden = ForgeFault::on_call("GET", "/repos/ann/shop/pulls$", ForgeFaultKind::Status(403, None));
    site.forge.add_fault(forbidden);
    let ran = site.run_command(site.other_command("watch", &["ann", "acme"])).await;
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(ran.err.contains("error: ann/shop: "), "{ran:?}");
    let summary = ran.out.split_once("PRs discovered: ").unwrap().1;
    assert!(
        summary.starts_with("1\n  ann: 0 (1 repository)\n  acme: 1 (1 repository)\nPRs converged: 1\n"),
        "{ran:?}"
    );
    assert!(summary.contains("\nPRs errored: 1\n"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_a_list_are_read() {
    let site = Site::new("", []).await;
    for many in 0..120 {
        let branch = format!("other-{many}");
        let commit = CommitBuilder::new("Add a word").write(format!("word_{many}.py"), "WORD = 1\n");
        site.repo.push(&branch, commit).await.unwrap();
        site.repo.open_pull(NewPull::from_branch(&branch)).await.unwrap();
    }
    // With the kill switch on, no run starts, so the test is short.
    assert_eq!(site.run_command(site.other_command("kill", &["on"])).await.exit, 0);
    let ran = site.run_command(site.other_command("watch", &["acme", "--format", "json"])).await;
    let mut told = json_lines(&ran);
    let summary = told.pop().unwrap();
    assert_eq!((ran.exit, told.len()), (4, 121), "{ran:?}");
    assert_eq!((&summary["discovered"], &summary["refused"]), (&json!(121), &json!(121)));
    assert!(told.iter().all(|line| line["exit"] == "refused"));
    assert_eq!(site.model.request_log().len(), 0);
}
