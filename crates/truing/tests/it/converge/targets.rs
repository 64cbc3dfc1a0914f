//! Tests of commands without a target, or with only a number as the target.

use std::path::PathBuf;

use serde_json::{Value, json};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind, NewPull};
use truing_fakes::model::{ModelScript, ScriptedAnswer};
use truing_fakes::repo::CommitBuilder;

use crate::converge::place::Ran;
use crate::converge::pull::Site;

/// Creates a repository with a changed branch, and with this URL as the remote `origin`.
fn create_clone(site: &Site, branch: &str, origin: &str) -> PathBuf {
    let folder = site.home.path().join(branch);
    std::fs::create_dir(&folder).unwrap();
    let git = |arguments: &[&str]| {
        let mut git = truing_fakes::repo::git_command(&folder);
        git.args(["-c", "user.name=s", "-c", "user.email=s@example.org"]).args(arguments);
        assert!(git.output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["commit", "--quiet", "--allow-empty", "--message=begin"]);
    git(&["checkout", "--quiet", "-b", branch]);
    std::fs::write(folder.join("word.py"), "WORD = 1\n").unwrap();
    git(&["add", "word.py"]);
    git(&["commit", "--quiet", "--message=add"]);
    git(&["remote", "add", "origin", origin]);
    folder
}

async fn run_in_folder(site: &Site, folder: &PathBuf, arguments: &[&str]) -> Ran {
    let mut command = site.command(arguments);
    command.current_dir(folder);
    site.run_command(command).await
}

fn parse_answer(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_target_it_is_the_pull_request_of_the_branch() {
    let site = Site::new("", ScriptedAnswer::for_auditors([])).await;
    let folder = create_clone(&site, "topic", site.repo.clone_url());
    let ran = run_in_folder(&site, &folder, &["--format", "json"]).await;
    let told = parse_answer(&ran);
    assert_eq!(
        (ran.exit, &told["pr"], &told["exit"]),
        (0, &json!("acme/shop#1"), &json!("converged")),
        "{ran:?}"
    );
    let config = site.home.path().join("truing.toml");
    let said = format!(
        "using the pull request acme/shop#1 of branch topic (the pull request's head is not the commit \
            that is checked out here); to use the local branch: `truing --config {} converge .`\n",
        config.display()
    );
    assert!(ran.err.contains(&said), "{ran:?}");

    // With a folder as the target, Truing uses the local branch and sends no request to the forge.
    let calls = site.forge.call_counts();
    let ran = run_in_folder(&site, &folder, &["--format", "json", "--dry-run", "."]).await;
    let told = parse_answer(&ran);
    assert_eq!((ran.exit, &told["pr"], &told["exit"]), (0, &json!("topic"), &Value::Null), "{ran:?}");
    assert_eq!(told["reason"], json!("a dry run: nothing was done"));
    assert_eq!(site.forge.call_counts(), calls);
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_pull_request_or_nobody_to_ask_it_is_the_local_branch_and_that_is_said() {
    let site = Site::new("", []).await;
    let folder = create_clone(&site, "other", site.repo.clone_url());
    let ran = run_in_folder(&site, &folder, &["--dry-run"]).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        ran.err.contains("using the local branch other: acme/shop has no open pull request of this branch\n"),
        "{ran:?}"
    );
    assert!(ran.out.starts_with("a dry run: nothing was done\nBranch: other\n"), "{ran:?}");
    assert!(ran.out.contains("\nChange: 1 file, +1/-0\n"), "{ran:?}");

    // This branch also has a pull request. Without a token, Truing cannot query the forge, so it uses the
    // local branch.
    let folder = create_clone(&site, "topic", site.repo.clone_url());
    let mut command = site.command(&["--dry-run"]);
    command.current_dir(&folder).env_remove("GITHUB_TOKEN");
    let ran = site.run_command(command).await;
    let said = "using the local branch topic: no token is set for [forge.github], so no forge was asked \
        for a pull request\n";
    assert!(ran.exit == 0 && ran.err.contains(said), "{ran:?}");

    let folder = create_clone(&site, "else", "https://git.example.com/acme/shop.git");
    let ran = run_in_folder(&site, &folder, &["--dry-run"]).await;
    assert!(
        ran.exit == 0
            && ran.err.contains("using the local branch else: `origin` is not at a configured forge\n"),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_cannot_be_asked_is_an_error_that_says_how_to_do_without() {
    let site = Site::new("", []).await;
    let folder = create_clone(&site, "topic", site.repo.clone_url());
    site.forge.add_fault(ForgeFault::on_call(
        "GET",
        "/repos/acme/shop/pulls$",
        ForgeFaultKind::Status(403, None),
    ));
    let ran = run_in_folder(&site, &folder, &["--format", "json"]).await;
    let told = parse_answer(&ran);
    assert_eq!((ran.exit, &told["pr"], &told["exit"]), (3, &json!("."), &json!("error")), "{ran:?}");
    assert!(
        ran.err.contains("hint: or work on the local branch without asking a forge: `truing --config ")
            && ran.err.contains(" converge .`\n"),
        "{ran:?}"
    );
    assert_eq!(site.model.request_log().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_alone_is_one_of_the_forge_that_was_cloned_from() {
    let second = "[forge.work]\nkind = \"github\"\napi_url = \"https://git.example.com/api/v3\"\n\
                  git_url = \"https://git.example.com\"\n";
    let site = Site::new(second, ScriptedAnswer::for_auditors([])).await;
    let folder = create_clone(&site, "any", site.repo.clone_url());
    let ran = run_in_folder(&site, &folder, &["--format", "json", "1"]).await;
    let told = parse_answer(&ran);
    assert_eq!(
        (ran.exit, &told["pr"], &told["exit"]),
        (0, &json!("acme/shop#1"), &json!("converged")),
        "{ran:?}"
    );

    let folder = create_clone(&site, "else", "https://gitlab.example.com/acme/shop.git");
    let ran = run_in_folder(&site, &folder, &["1"]).await;
    let said = "error: `1`: the remote `origin` of this repository is not at a configured forge\n";
    assert!(ran.exit == 2 && ran.err.contains(said), "{ran:?}");
    assert!(ran.err.contains("hint: GitLab is not supported"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_and_preflights_are_of_a_page_a_number_and_of_several_at_once() {
    let site = Site::new("", []).await;
    let page = format!("{}/acme/shop/pull/1", site.forge.base_url());
    let folder = create_clone(&site, "any", site.repo.clone_url());
    site.repo.push("other", CommitBuilder::new("More").write("more.py", "MORE = 1\n")).await.unwrap();
    let other = site.repo.open_pull(NewPull::from_branch("other")).await.unwrap();
    let heads = [site.pull_view().await.head, site.repo.pull(other).await.unwrap().head];
    let ran = async |name: &str, targets: &[&str]| {
        site.model.set_script(ModelScript::from_answers(ScriptedAnswer::for_auditors([])));
        let mut command = site.other_command(name, &[&["--format", "json"], targets].concat());
        command.current_dir(&folder);
        site.run_command(command).await
    };
    for target in [page.as_str(), "1", "acme/shop#1"] {
        let audit = ran("audit", &[target]).await;
        let told = parse_answer(&audit);
        assert_eq!(
            (audit.exit, &told["pr"], &told["head"]),
            (0, &json!("acme/shop#1"), &json!(heads[0])),
            "{target}: {audit:?}"
        );
        let preflight = ran("preflight", &[target]).await;
        let checks = parse_answer(&preflight)["checks"].clone();
        let of = |name: &str| checks.as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        let pull = of("pull request").unwrap_or_else(|| panic!("{target}: {preflight:?}"));
        assert_eq!((preflight.exit, &pull["ok"]), (0, &json!(true)), "{target}: {preflight:?}");
        assert!(pull["text"].as_str().unwrap().contains("acme/shop#1"), "{target}: {pull}");
    }

    // Each target has a separate result. The exit code of the command is the highest one of all targets.
    let both = [page.as_str(), &other.to_string()];
    let audits = ran("audit", &both).await;
    let told: Vec<Value> =
        serde_json::Deserializer::from_str(&audits.out).into_iter().map(Result::unwrap).collect();
    let heads_told: Vec<&Value> = told.iter().map(|one| &one["head"]).collect();
    assert_eq!((audits.exit, heads_told), (0, vec![&json!(heads[0]), &json!(heads[1])]), "{audits:?}");
    site.repo.close_pull(other).await.unwrap();
    assert_eq!(ran("audit", &both).await.exit, 2);
}
