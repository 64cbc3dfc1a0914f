//! Tests of reviews of a pull request on the command line, without a server.

use super::*;

impl Site {
    /// Returns the URL of a pull request.
    pub(super) fn page(&self, number: u64) -> String {
        format!("{}/o/r/pull/{number}", self.forge.base_url())
    }

    /// Reviews the pull request, and returns the JSON output.
    fn review_pull(&self, number: u64) -> Value {
        let ran = self.run(&["review", "--pr", &self.page(number), "--format", "json"]);
        assert!(ran.exit < 2, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }
}

fn finding_paths(review: &Value) -> Vec<&str> {
    review["findings"].as_array().unwrap().iter().map(|found| found["path"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_reviewed_like_a_local_change_and_nobody_is_told() {
    let site = Site::new().await;
    let number = site.open("one").await;
    for target in [site.page(number), format!("{}/files?w=1", site.page(number)), "o/r#1".to_owned()] {
        let ran = site.run(&["review", "--pr", &target, "--color", "never"]);
        assert_eq!(ran.exit, 1, "a P1 finding blocks: {ran:?}");
        assert!(ran.out.contains("2 | breakpoint()") && ran.out.contains("(o/r#1)"), "{}", ran.out);
        assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
        assert!(!format!("{ran:?}").contains(TOKEN));
    }
    let page = site.page(number);
    for (arguments, exit) in [(["--fail-on", "P0"], 0), (["--fail-on", "never"], 0)] {
        assert_eq!(site.run(&[&["review", "--pr", page.as_str()], &arguments[..]].concat()).exit, exit);
    }

    let view = site.repo.pull(number).await.unwrap();
    assert!(view.comments.is_empty() && view.statuses.is_empty(), "{view:#?}");
    let (first, second) = (site.review_pull(number), site.review_pull(number));
    assert_eq!(first["head"], view.head.as_str());
    assert_eq!(first["base"], site.repo.tip("main").await.unwrap().as_str());
    assert_eq!(first["outcome"]["kind"], "reviewed");
    assert_eq!(first["findings"][0]["id"], second["findings"][0]["id"]);
    let markdown = site.run(&["review", "--pr", &page, "--format", "markdown"]).out;
    assert!(markdown.contains("## Truing: 1 finding (1 P1)"), "{markdown}");
    let sarif: Value =
        serde_json::from_str(&site.run(&["review", "--pr", &page, "--format", "sarif"]).out).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1);
    // The command stores no slot.
    assert_eq!(site.run(&["slots", "list", "--format", "json"]).out, "[]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_configures_it_is_the_default_branch_and_never_the_pull_request() {
    let site = Site::new().await;
    let hides_all = "[rules]\nignore = [\"**\"]\n";
    let change =
        CommitBuilder::new("debug").write("a.py", "a = 1\nbreakpoint()\n").write("b.py", "breakpoint()\n");
    site.repo.push("one", change.write(".truing.toml", hides_all)).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("one")).await.unwrap();
    assert_eq!(finding_paths(&site.review_pull(number)), ["a.py", "b.py"]);

    let own = "[rules]\nignore = [\"b.py\"]\n[verify]\ncheck = [[\"true\"]]\n";
    let own = CommitBuilder::new("configure").write(".truing.toml", own);
    let tip = site.repo.push("main", own).await.unwrap();
    assert_eq!(finding_paths(&site.review_pull(number)), ["a.py"]);
    let ran = site.run(&["review", "--pr", "o/r#1"]);
    let denied = "`verify.check` of the repository's own file is not used";
    assert_eq!(ran.err.matches(denied).count(), 1, "{}", ran.err);
    let said = ran.out;
    let told = format!("configured by .truing.toml from the default branch, commit {}\n", &tip[..10]);
    assert!(said.contains(&told), "{said}");

    site.repo
        .push("main", CommitBuilder::new("break").write(".truing.toml", "[rules]\nignored = []\n"))
        .await
        .unwrap();
    let wrong = site.run(&["review", "--pr", "o/r#1"]);
    assert_eq!(wrong.exit, 2, "{wrong:?}");
    assert!(wrong.err.contains(":.truing.toml") && wrong.err.contains("rules.ignore"), "{}", wrong.err);
    // A service reports the invalid configuration on the pull request.
    let server = site.serve();
    site.forge.clear_faults();
    assert!(site.deliver().await.iter().all(|status| *status == 202));
    site.wait_until_slots("parked", |slots| slots.iter().any(|slot| slot["why"] == "parked")).await;
    let said = site.repo.pull(number).await.unwrap();
    let told = "the repository's own configuration (.truing.toml) is wrong";
    assert!(said.conversation_comments().any(|summary| summary.body.contains(told)), "{said:#?}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_branch_configures_if_the_operator_lists_it_and_it_has_a_file() {
    let site = Site::new().await;
    let ignoring = |path| {
        CommitBuilder::new("configure").write(".truing.toml", format!("[rules]\nignore = [\"{path}\"]\n"))
    };
    let main = site.repo.push("main", ignoring("a.py")).await.unwrap();
    let release = site.repo.force_push("release/1", &main, ignoring("b.py")).await.unwrap();
    let change =
        CommitBuilder::new("debug").write("a.py", "a = 1\nbreakpoint()\n").write("b.py", "breakpoint()\n");
    let change = change.write(".truing.toml", "[rules]\nignore = [\"**\"]\n");
    site.repo.force_push("one", &release, change).await.unwrap();
    let number = site
        .repo
        .open_pull(NewPull { base: "release/1".into(), ..NewPull::from_branch("one") })
        .await
        .unwrap();

    let page = site.page(number);
    let reviewed = |listed: &str| {
        let mut command = site.command(&["review", "--pr", &page, "--color", "never"]);
        Ran::from(command.env("TRUING_FORGE__GITHUB__CONFIG_BRANCHES", listed).output().unwrap()).out
    };
    for (listed, found, told) in [
        ("", "b.py:1", format!("the default branch, commit {}", &main[..10])),
        ("release", "b.py:1", format!("the default branch, commit {}", &main[..10])),
        ("release/*", "a.py:2", format!("the base branch, commit {}", &release[..10])),
    ] {
        let said = reviewed(listed);
        assert!(said.contains(found) && said.contains(&told), "{listed}: {said}");
        let other = if found == "a.py:2" { "b.py:1" } else { "a.py:2" };
        assert!(!said.contains(other), "{listed}: {said}");
    }
    // If the base branch has no `.truing.toml`, the file of the default branch is used.
    site.repo.push("release/1", CommitBuilder::new("leave it").delete(".truing.toml")).await.unwrap();
    let said = reviewed("release/*");
    assert!(said.contains("b.py:1") && said.contains("the default branch, commit"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_together_is_refused_and_so_is_everything_while_the_switch_is_on() {
    let site = Site::new().await;
    site.open("one").await;
    for more in [&["--fix"][..], &["--staged"], &["--diff", "x"], &["--head", "x"], &["--base", "x"], &["."]]
    {
        let ran = site.run(&[&["review", "--pr", "o/r#1"], more].concat());
        assert!(ran.exit == 2 && ran.err.contains("--pr"), "{more:?}: {ran:?}");
    }
    assert!(!database(site.home.path()).exists());
    assert_eq!(site.run(&["kill", "on", "--reason", "a storm"]).exit, 0);
    for more in [&[][..], &["--no-record"]] {
        let ran = site.run(&[&["review", "--pr", "o/r#1"], more].concat());
        assert!(
            ran.exit == 4
                && ran.err.contains("a storm")
                && ran.err.contains("truing --config truing.toml kill off"),
            "{ran:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reviewed_is_told_with_what_to_do() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let page = site.page(number);
    let unset =
        Ran::from(site.command(&["review", "--pr", &page]).env_remove("GITHUB_TOKEN").output().unwrap());
    assert!(unset.exit == 2 && unset.err.contains("GITHUB_TOKEN"), "{unset:?}");
    let wrong =
        site.command(&["review", "--pr", &page]).env("GITHUB_TOKEN", "wrong-canary").output().unwrap();
    let wrong = Ran::from(wrong);
    assert!(wrong.exit == 3 && wrong.err.contains("(401)") && !wrong.err.contains("canary"), "{wrong:?}");
    for target in ["o/r#9", "o/none#1", "/#1"] {
        let ran = site.run(&["review", "--pr", target]);
        assert!(matches!(ran.exit, 2 | 3) && ran.err.contains("hint: "), "{target}: {ran:?}");
    }
    // After the repository is renamed, the old address no longer works.
    site.repo.rename("o", "s").await.unwrap();
    let moved = site.run(&["review", "--pr", &page]);
    assert!(moved.exit == 3 && moved.err.contains("another address"), "{moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_clone_a_pull_request_is_named_by_its_number_and_the_token_of_gh_is_not_for_this_forge() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let origin = format!("git init -q -b main . && git remote add origin {}/o/r.git", site.forge.base_url());
    assert!(
        Command::new("sh").args(["-c", &origin]).current_dir(site.home.path()).status().unwrap().success()
    );
    for name in [number.to_string(), format!("#{number}"), site.page(number)] {
        let ran = site.run(&["review", &name]);
        assert!(ran.exit == 1 && ran.out.contains(&format!("(o/r#{number})")), "{name}: {ran:?}");
    }
    // The forge is not github.com, so Truing does not send it a token from `GH_TOKEN`.
    let mut command = site.command(&["review", &number.to_string()]);
    let ran = Ran::from(command.env_remove("GITHUB_TOKEN").env("GH_TOKEN", TOKEN).output().unwrap());
    assert!(ran.exit == 2 && ran.err.contains("gh auth token"), "{ran:?}");
}
