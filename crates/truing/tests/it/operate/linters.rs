//! Tests of linters that the service runs. Their findings are posted once, move with their lines, and are
//! resolved. A pull request cannot choose the linter's program.

use super::*;
use crate::support::linter::{RUFF, install};

impl Site {
    /// Starts a service that runs the linters of a repository, with a fake Ruff at the front of `PATH`.
    fn serve_linters(&self) -> Server {
        self.serve_linter(RUFF)
    }

    fn serve_linter(&self, ruff: &str) -> Server {
        let file = self.home.path().join("truing.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace("[review]\n", "[review]\ntools = \"auto\"\n")).unwrap();
        let own = install(self.home.path(), "ruff", ruff);
        let machine = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&machine))).unwrap();
        self.serve_by(self.command(&["serve"]).env("PATH", path))
    }

    /// Pushes `base` to the default branch and `first` to a new branch, and opens a pull request for the new
    /// branch.
    async fn open_with_linters(&self, base: CommitBuilder, first: CommitBuilder) -> u64 {
        self.repo.push("main", base).await.unwrap();
        self.repo.push("one", first).await.unwrap();
        let number = self.repo.open_pull(NewPull::from_branch("one")).await.unwrap();
        assert!(self.deliver().await.iter().all(|status| *status == 202));
        number
    }

    async fn push_commit(&self, commit: CommitBuilder) {
        self.repo.push("one", commit).await.unwrap();
        assert_eq!(self.deliver().await, [202]);
    }
}

fn ruff_config_commit() -> CommitBuilder {
    CommitBuilder::new("lint").write("ruff.toml", "")
}

fn first_commit() -> CommitBuilder {
    CommitBuilder::new("add").write("a.py", "a = 1\nl = 2\n")
}

/// Returns true if the head is reviewed and the pull request has this number of inline comments.
fn has_findings(view: &PullView, count: usize) -> bool {
    let is_told = view.statuses.contains_key(&view.head);
    is_told && view.conversation_comments().count() == 1 && view.inline_comments().count() == count
}

const REMARK: &str = "uff ran with the configuration of the base, because this change modifies";

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_posted_once_moves_with_its_line_and_is_resolved() {
    let site = Site::new().await;
    let _server = site.serve_linters();
    let number = site.open_with_linters(ruff_config_commit(), first_commit()).await;
    let view = site.wait_until(number, "it is reviewed", is_reviewed).await;
    assert_eq!(view.inline_comments().count(), 1, "{view:#?}");
    assert!(
        view.inline_comments().all(|comment| comment.body.contains("Ambiguous variable name")),
        "{view:#?}"
    );

    site.push_commit(CommitBuilder::new("move").write("a.py", "a = 1\nb = 1\nl = 2\n")).await;
    let view = site.wait_until(number, "it is reviewed again", is_reviewed).await;
    assert_eq!(view.inline_comments().count(), 1, "{view:#?}");
    assert!(view.inline_comments().all(|comment| !comment.resolved), "{view:#?}");

    site.push_commit(CommitBuilder::new("fix").write("a.py", "a = 1\nb = 1\nlength = 2\n")).await;
    let resolved =
        |view: &PullView| is_reviewed(view) && view.inline_comments().all(|comment| comment.resolved);
    let view = site.wait_until(number, "it is resolved", resolved).await;
    assert_eq!(view.inline_comments().count(), 1, "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_silenced_is_not_called_fixed() {
    let site = Site::new().await;
    let _server = site.serve_linters();
    let number = site.open_with_linters(ruff_config_commit(), first_commit()).await;
    site.wait_until(number, "it is reviewed", is_reviewed).await;
    site.push_commit(CommitBuilder::new("silence").write("a.py", "a = 1\nl = 2  # noqa: E741\n")).await;
    let over = |view: &PullView| is_reviewed(view) && view.inline_comments().all(|comment| comment.resolved);
    let view = site.wait_until(number, "it is over", over).await;
    let said: String = view.comments.iter().map(|comment| comment.body.as_str()).collect();
    assert!(said.contains("**No longer reported, but not confirmed as fixed:**"), "{said}");
    assert!(!said.contains("Fixed in") && !said.contains("1 finding fixed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_has_no_say_in_what_a_linter_finds_of_it() {
    let hook = |more: &str| format!("repos:\n- repo: x\n  hooks:\n  - id: ruff\n{more}");
    let own = "while ((getline line < \"ruff.toml\") > 0) if (line ~ /E741|exclude/) quiet = 1";
    let ruff = RUFF.replace(own, &format!("{own}\n    {}", own.replace("ruff.toml", "lint/base.toml")));
    let silencing = [
        CommitBuilder::new("ignore").write("ruff.toml", "lint.ignore = [\"E741\"]\n"),
        CommitBuilder::new("exclude").write("ruff.toml", "exclude = [\"a.py\"]\n"),
        CommitBuilder::new("delete").delete("ruff.toml").delete(".pre-commit-config.yaml"),
        CommitBuilder::new("named").write("lint/base.toml", "ignore = [\"E741\"]\n"),
        CommitBuilder::new("hook").write(".pre-commit-config.yaml", hook("    exclude: py$\n")),
    ];
    for silence in silencing {
        let site = Site::new().await;
        let _server = site.serve_linter(&ruff);
        let base = CommitBuilder::new("lint")
            .write("ruff.toml", "extend = \"lint/base.toml\"\n")
            .write("lint/base.toml", "")
            .write(".pre-commit-config.yaml", hook(""));
        let number = site.open_with_linters(base, first_commit()).await;
        site.wait_until(number, "it is reviewed", is_reviewed).await;
        let what = format!("{silence:?}");
        site.push_commit(silence.write("b.py", "l = 3\n")).await;
        let again = |view: &PullView| has_findings(view, 2);
        let view = site.wait_until(number, "the new one is posted, too", again).await;
        assert!(view.inline_comments().all(|comment| !comment.resolved), "{what}: {view:#?}");
        let summary = &view.conversation_comments().next().unwrap().body;
        assert_eq!(summary.matches(REMARK).count(), 1, "{what}: {summary}");
        assert!(!summary.contains("partial"), "{what}: {summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linter_that_only_the_change_configures_does_not_look_and_is_named() {
    let site = Site::new().await;
    let _server = site.serve_linters();
    let number = site
        .open_with_linters(
            CommitBuilder::new("other").write("c.py", ""),
            first_commit().write("ruff.toml", ""),
        )
        .await;
    let view = site.wait_until(number, "it is reviewed", |view: &PullView| has_findings(view, 0)).await;
    let summary = &view.conversation_comments().next().unwrap().body;
    assert!(
        summary.contains("uff did not run: the base does not use this linter: this change adds"),
        "{summary}"
    );
    assert!(!summary.contains(REMARK), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_of_a_file_of_configuration_is_nothing_to_speak_of() {
    let site = Site::new().await;
    let own = RUFF.replace("\"ruff.toml\"", "\"pyproject.toml\"");
    let _server = site.serve_linter(&own);
    let project = |name: &str, more: &str| format!("[project]\nname = \"{name}\"\n[tool.ruff.lint]\n{more}");
    let base = CommitBuilder::new("lint").write("pyproject.toml", project("a", ""));
    let number = site.open_with_linters(base, first_commit().write("pyproject.toml", project("b", ""))).await;
    let view = site.wait_until(number, "it is reviewed", is_reviewed).await;
    assert_eq!(view.inline_comments().count(), 1, "{view:#?}");
    let summary = &view.conversation_comments().next().unwrap().body;
    assert!(!summary.contains(REMARK), "{summary}");
    let silence = CommitBuilder::new("ignore").write("pyproject.toml", project("b", "ignore = [\"E741\"]\n"));
    site.push_commit(silence.write("b.py", "l = 3\n")).await;
    let again = |view: &PullView| has_findings(view, 2);
    let view = site.wait_until(number, "the new one is posted, too", again).await;
    assert!(view.inline_comments().all(|comment| !comment.resolved), "{view:#?}");
    assert!(view.conversation_comments().next().unwrap().body.contains(REMARK), "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_brings_no_linter_along_and_configures_none_by_code() {
    let site = Site::new().await;
    let _server = site.serve_linters();
    let silent = "#!/bin/sh\necho '[]'\n";
    site.repo.push("main", ruff_config_commit()).await.unwrap();
    let hostile = CommitBuilder::new("add")
        .write(".venv/bin/ruff", silent)
        .write("eslint.config.js", "export default []\n")
        .write("mypy.ini", "[mypy]\n")
        .write("a.py", "a = 1\nl = 2\n");
    site.repo.push("one", hostile).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("one")).await.unwrap();
    assert!(site.deliver().await.iter().all(|status| *status == 202));
    let view = site.wait_until(number, "it is reviewed", is_reviewed).await;
    assert_eq!(view.inline_comments().count(), 1, "the service's own ruff has looked: {view:#?}");
    let summary = &view.conversation_comments().next().unwrap().body;
    for told in
        ["eslint did not run: its configuration is code that this change modifies", "mypy did not run: "]
    {
        assert!(summary.contains(told), "{told}: {summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_records_nothing_is_kept_of_what_linters_say_of_a_pull_request() {
    let site = Site::new().await;
    site.repo.push("main", ruff_config_commit()).await.unwrap();
    site.repo.push("one", first_commit()).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("one")).await.unwrap();
    let version = "[ \"$1\" = --version ] && { echo ruff-1; exit 0; }\n[ \"$1\" = check ] ||";
    let own = install(site.home.path(), "ruff", &RUFF.replace("[ \"$1\" = check ] ||", version));
    let machine = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&machine))).unwrap();
    let kept = database(site.home.path()).parent().unwrap().join("tools");
    let review = |more: &[&str]| {
        let page = site.page(number);
        let arguments = ["review", "--pr", &page, "--tools", "--format", "json"];
        let ran = Ran::from(site.command(&[&arguments, more].concat()).env("PATH", &path).output().unwrap());
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
    let change = CommitBuilder::new("add").write(".flake8", "[flake8]\n").write("a.py", "a = 1\nl = 2\n");
    site.repo.push("one", change).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("one")).await.unwrap();
    let own = install(site.home.path(), "flake8", "#!/bin/sh\nexit 0\n");
    let machine = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&machine))).unwrap();
    let page = site.page(number);
    let mut command = site.command(&["review", "--pr", &page, "--tools", "--format", "json"]);
    let ran = Ran::from(command.env("PATH", &path).output().unwrap());
    let told: Value = serde_json::from_str(&ran.out).expect(&ran.err);
    assert_eq!((&told["outcome"]["kind"], ran.exit), (&Value::from("partial"), 1), "{told:#}");
    let reason = told["outcome"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("flake8: its configuration is code that this change modifies: .flake8"),
        "{reason}"
    );
}
