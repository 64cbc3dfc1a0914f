//! Linters that a service runs: their findings are posted once, move, and are resolved; the pull request has no say in which
//! program looks.

use super::*;
use crate::support::linter::{RUFF, install};

impl Site {
    /// A service that runs linters, with one of its own.
    fn serve_linters(&self) -> Server {
        let file = self.home.path().join("truing.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace("[review]\n", "[review]\ntools = \"auto\"\n")).unwrap();
        let own = install(self.home.path(), "ruff", RUFF);
        let machine = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&machine))).unwrap();
        self.serve_by(self.command(&["serve"]).env("PATH", path))
    }

    async fn pushes(&self, commit: Commit) {
        self.repo.push("one", commit).await.unwrap();
        assert_eq!(self.deliver().await, [202]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_posted_once_moves_with_its_line_and_is_resolved() {
    let site = Site::new().await;
    let _server = site.serve_linters();
    let first = Commit::new("add").write("ruff.toml", "").write("a.py", "a = 1\nl = 2\n");
    site.repo.push("one", first).await.unwrap();
    let number = site.repo.open(NewPull::of("one")).await.unwrap();
    assert!(site.deliver().await.iter().all(|status| *status == 202));
    let view = site.until(number, "it is reviewed", is_reviewed).await;
    assert_eq!(view.inline().count(), 1, "{view:#?}");
    assert!(view.inline().all(|comment| comment.body.contains("Ambiguous variable name")), "{view:#?}");

    site.pushes(Commit::new("move").write("a.py", "a = 1\nb = 1\nl = 2\n")).await;
    let view = site.until(number, "it is reviewed again", is_reviewed).await;
    assert_eq!(view.inline().count(), 1, "{view:#?}");
    assert!(view.inline().all(|comment| !comment.resolved), "{view:#?}");

    site.pushes(Commit::new("fix").write("a.py", "a = 1\nb = 1\nlength = 2\n")).await;
    let resolved = |view: &PullView| is_reviewed(view) && view.inline().all(|comment| comment.resolved);
    let view = site.until(number, "it is resolved", resolved).await;
    assert_eq!(view.inline().count(), 1, "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_silenced_is_not_called_fixed() {
    let silenced = [
        ("a.py", "a = 1\nl = 2  # noqa: E741\n"),
        ("ruff.toml", "lint.ignore = [\"E741\"]\n"),
        ("ruff.toml", "exclude = [\"a.py\"]\n"),
    ];
    for (path, text) in silenced {
        let site = Site::new().await;
        let _server = site.serve_linters();
        let first = Commit::new("add").write("ruff.toml", "").write("a.py", "a = 1\nl = 2\n");
        site.repo.push("one", first).await.unwrap();
        let number = site.repo.open(NewPull::of("one")).await.unwrap();
        assert!(site.deliver().await.iter().all(|status| *status == 202));
        site.until(number, "it is reviewed", is_reviewed).await;
        site.pushes(Commit::new("silence").write(path, text)).await;
        let over = |view: &PullView| is_reviewed(view) && view.inline().all(|comment| comment.resolved);
        let view = site.until(number, "it is over", over).await;
        let said: String = view.comments.iter().map(|comment| comment.body.as_str()).collect();
        assert!(said.contains("**No longer reported, and not known to be fixed:**"), "{path}: {said}");
        assert!(!said.contains("Fixed in") && !said.contains("1 finding fixed"), "{path}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_brings_no_linter_along_and_configures_none_by_code() {
    let site = Site::new().await;
    let _server = site.serve_linters();
    let silent = "#!/bin/sh\necho '[]'\n";
    let hostile = Commit::new("add")
        .write("ruff.toml", "")
        .write(".venv/bin/ruff", silent)
        .write("eslint.config.js", "export default []\n")
        .write("mypy.ini", "[mypy]\n")
        .write("a.py", "a = 1\nl = 2\n");
    site.repo.push("one", hostile).await.unwrap();
    let number = site.repo.open(NewPull::of("one")).await.unwrap();
    assert!(site.deliver().await.iter().all(|status| *status == 202));
    let view = site.until(number, "it is reviewed", is_reviewed).await;
    assert_eq!(view.inline().count(), 1, "the service's own ruff has looked: {view:#?}");
    let summary = &view.summaries().next().unwrap().body;
    for told in [
        "eslint did not look: its configuration is code, and this change configures it",
        "mypy did not look: ",
    ] {
        assert!(summary.contains(told), "{told}: {summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_records_nothing_is_kept_of_what_linters_say_of_a_pull_request() {
    let site = Site::new().await;
    let change = Commit::new("add").write("ruff.toml", "").write("a.py", "a = 1\nl = 2\n");
    site.repo.push("one", change).await.unwrap();
    let number = site.repo.open(NewPull::of("one")).await.unwrap();
    let version = "[ \"$1\" = --version ] && { echo ruff-1; exit 0; }\n[ \"$1\" = check ] ||";
    let own = install(site.home.path(), "ruff", &RUFF.replace("[ \"$1\" = check ] ||", version));
    let machine = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&machine))).unwrap();
    let kept = database(site.home.path()).parent().unwrap().join("tools");
    let review = |more: &[&str]| {
        let page = site.page(number);
        let arguments = ["review", "--pr", &page, "--tools", "--format", "json"];
        let ran = Ran::of(site.command(&[&arguments, more].concat()).env("PATH", &path).output().unwrap());
        let told: Value = serde_json::from_str(&ran.out).expect(&ran.err);
        assert_eq!(told["findings"][0]["tool"], "ruff", "{told:#}");
    };
    review(&["--no-record"]);
    assert!(!kept.exists(), "{}", kept.display());
    review(&[]);
    assert!(kept.exists(), "with records it is kept there: {}", kept.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_configures_an_installed_linter_by_code_is_not_reviewed_as_a_whole() {
    let site = Site::new().await;
    let change = Commit::new("add").write(".flake8", "[flake8]\n").write("a.py", "a = 1\nl = 2\n");
    site.repo.push("one", change).await.unwrap();
    let number = site.repo.open(NewPull::of("one")).await.unwrap();
    let own = install(site.home.path(), "flake8", "#!/bin/sh\nexit 0\n");
    let machine = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&machine))).unwrap();
    let page = site.page(number);
    let mut command = site.command(&["review", "--pr", &page, "--tools", "--format", "json"]);
    let ran = Ran::of(command.env("PATH", &path).output().unwrap());
    let told: Value = serde_json::from_str(&ran.out).expect(&ran.err);
    assert_eq!((&told["outcome"]["kind"], ran.exit), (&Value::from("partial"), 1), "{told:#}");
    let reason = told["outcome"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("flake8: its configuration is code, and this change configures it: .flake8"),
        "{reason}"
    );
}
