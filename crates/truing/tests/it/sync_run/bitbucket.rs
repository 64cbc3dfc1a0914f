//! A job at either Bitbucket, as one at GitHub: what differs is read from the row of the forge before it is asked.

use truing_fakes::forge::Flavour;

use super::result;
use super::site::{BOT, BRANCH, Site};

const BOTH: [Flavour; 2] = [Flavour::Cloud, Flavour::DataCenter];

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_changes_nothing_widens_the_range_in_one_pull_request() {
    for flavour in BOTH {
        let site = Site::at(flavour, "labels = [\"dependencies\"]\n").await;
        site.release("1.0.1");
        let ran = site.run(&["sync", "run", "demo"]).await;
        assert_eq!((ran.exit, ran.json["result"].as_str()), (0, Some("relaxed")), "{ran:?}");
        let why = ran.json["exit_reason"].as_str().unwrap();
        assert!(why.contains("has no labels"), "{why}");
        let pulls = site.pulls().await;
        let [(number, pull)] = pulls.as_slice() else { panic!("{pulls:?}") };
        assert_eq!((pull.title.as_str(), pull.open, pull.draft), ("Admit demo up to 1.0.1", true, false));
        let url = ran.json["pr"]["url"].as_str().unwrap();
        assert!(url.contains(&format!("/pull-requests/{number}")), "{url}");
        assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project(">= 0.9, < 1.0.2"));
        assert_eq!(site.ahead(BRANCH).await, "1");

        // Again, nothing is written.
        let before = site.writes();
        assert_eq!(site.sync().await, result("covered", 0));
        assert_eq!(site.writes(), before);

        // The next release is the same pull request's.
        site.release("1.0.2");
        assert_eq!(site.sync().await, result("relaxed", 0));
        let pulls = site.pulls().await;
        assert_eq!((pulls.len(), pulls[0].1.title.as_str()), (1, "Admit demo up to 1.0.2"));
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}
