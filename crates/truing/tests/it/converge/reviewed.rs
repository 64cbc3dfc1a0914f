//! Tests of a head for which Truing's review on the pull request says that it is clean, while the store has
//! no record of that audit.

use serde_json::json;
use truing_fakes::forge::{FakeForgeOptions, FakeReviewVerdict, ForgeFlavour, PullView};
use truing_fakes::model::{ModelScript, ScriptedAnswer};

use crate::converge::pull::{BOT, Site};
use crate::converge::scene::clean_audit_answer;
use crate::converge::served::{NATIVE, report_comment};

const ALL: [ForgeFlavour; 3] = [ForgeFlavour::GitHub, ForgeFlavour::Cloud, ForgeFlavour::DataCenter];

/// Creates a pull request for which a run has posted a clean review, and deletes the records of the run.
async fn create_reviewed_site(flavour: ForgeFlavour, more: &str) -> Site {
    let site = Site::with_flavour(
        flavour,
        FakeForgeOptions::default(),
        more,
        [ScriptedAnswer::for_describer("Adds up orders."), clean_audit_answer()],
    )
    .await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["code"], &told["loops"]), (0, &json!("clean"), &json!(1)), "{told}");
    site.delete_records();
    site
}

impl Site {
    /// Deletes everything from the store's folder except the marker key.
    fn delete_records(&self) {
        let folder = self.home.path().join(".local/state/truing");
        let key = std::fs::read(folder.join("marker.key")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("marker.key"), key).unwrap();
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.join("marker.key"), owner).unwrap();
    }

    /// Checks that a run audits again and finds nothing.
    async fn assert_audits_again(&self, reason: &str) {
        let asked = self.model.request_log().len();
        self.model.set_script(ModelScript::from_answers([
            ScriptedAnswer::for_describer("Adds up orders."),
            clean_audit_answer(),
        ]));
        let (told, exit) = self.run_json(&[]).await;
        assert_eq!(
            (exit, &told["code"], &told["loops"]),
            (0, &json!("clean"), &json!(1)),
            "{reason}: {told}"
        );
        assert!(self.model.request_log().len() > asked, "{reason}: nobody audited it");
    }
}

/// Returns the number of audit reviews. Depending on the forge, they are posted as reviews or as comments.
fn count_audits(pull: &PullView) -> usize {
    let texts = pull.reviews.iter().map(|review| &review.body);
    let texts = texts.chain(pull.conversation_comments().map(|comment| &comment.body));
    texts.filter(|text| text.starts_with("## converge: loop")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_our_review_calls_clean_is_not_paid_for_again_by_another_store() {
    for flavour in ALL {
        let site = create_reviewed_site(flavour, "").await;
        assert_eq!(count_audits(&site.pull_view().await), 1, "{flavour:?}");
        let asked = site.model.request_log().len();
        let would = site.run_converge(&["--dry-run", &format!("acme/shop#{}", site.number)]).await;
        assert_eq!((would.exit, would.out.contains("already clean")), (0, true), "{would:?}");
        // The first call records the result of the review; the second one finds it in the records.
        for _ in 0..2 {
            let (told, exit) = site.run_json(&[]).await;
            assert_eq!(
                (exit, &told["exit"], &told["code"]),
                (0, &json!("converged"), &json!("already_clean")),
                "{told}"
            );
            assert_eq!((&told["loops"], &told["cost_micro_usd"]), (&json!(0), &json!(0)), "{told}");
        }
        assert_eq!(site.model.request_log().len(), asked, "{flavour:?}: a model was asked");
        assert_eq!(count_audits(&site.pull_view().await), 1, "{flavour:?}: a second review");
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_run_with_another_store_does_not_pay_for_it_again_either() {
    for flavour in [ForgeFlavour::GitHub, ForgeFlavour::DataCenter] {
        let site = create_reviewed_site(flavour, NATIVE).await;
        let _server = site.serve();
        site.request_only_run("ann").await;
        let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
        let told = report_comment(&pull).unwrap();
        let is_known = told.starts_with("## /converge: converged\n") && told.contains("was already clean");
        assert!(is_known, "{flavour:?}: {told}");
        assert_eq!(count_audits(&pull), 1, "{flavour:?}: a second review");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_another_key_or_of_another_gate_is_audited() {
    let site = create_reviewed_site(ForgeFlavour::GitHub, "").await;
    std::fs::remove_file(site.home.path().join(".local/state/truing/marker.key")).unwrap();
    site.assert_audits_again("another key").await;

    site.delete_records();
    let path = site.home.path().join("truing.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{before}[converge]\ngate = [[\"true\"]]\n")).unwrap();
    site.assert_audits_again("another gate").await;
    site.delete_records();
    std::fs::write(&path, before).unwrap();
    site.assert_audits_again("the newest review is of another gate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_words_that_are_copied_to_another_pull_request_or_head_make_nothing_clean() {
    for flavour in ALL {
        let mut site = create_reviewed_site(flavour, "").await;
        let pull = site.pull_view().await;
        let texts = pull.reviews.iter().map(|review| review.body.clone());
        let texts = texts.chain(pull.conversation_comments().map(|comment| comment.body.clone()));
        let text = texts.into_iter().find(|text| text.starts_with("## converge: loop")).unwrap();
        let first = site.number;
        // A user with access to the bot's account posts the review on another pull request with the same
        // head.
        site.repo.push("twin", truing_fakes::repo::CommitBuilder::new("x").write("x.py", "")).await.unwrap();
        site.repo.reset_branch("twin", &pull.head).await.unwrap();
        site.number = site.repo.open_pull(truing_fakes::forge::NewPull::from_branch("twin")).await.unwrap();
        site.comment_as_truing(flavour, &text).await;
        site.assert_audits_again("another pull request").await;

        site.number = first;
        site.delete_records();
        site.repo
            .push("topic", truing_fakes::repo::CommitBuilder::new("Say so").write("b.py", "x = 1\n"))
            .await
            .unwrap();
        site.comment_as_truing(flavour, &text).await;
        site.assert_audits_again("another head").await;
    }
}

impl Site {
    async fn comment_as_truing(&self, flavour: ForgeFlavour, text: &str) {
        match flavour {
            ForgeFlavour::GitHub => {
                self.repo.review(self.number, BOT, FakeReviewVerdict::Commented, text).await.unwrap();
            }
            ForgeFlavour::Cloud | ForgeFlavour::DataCenter => {
                self.repo.comment(self.number, BOT, text).await.unwrap();
            }
        }
    }
}
