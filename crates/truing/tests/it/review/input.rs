//! Tests of invalid, unusual or hostile input. Each error message names the problem and a solution, and the
//! command changes nothing.

use serde_json::json;

use crate::review::place::{Place, Ran, STOPS, fake_key, field_of_findings};

/// Checks that the command fails with exit code 2, this message and this hint, and that it records no review.
#[track_caller]
fn assert_usage_error(place: &Place, arguments: &[&str], message: &str, hint: &str) {
    assert_failure(place, arguments, 2, message, hint);
}

#[track_caller]
fn assert_failure(place: &Place, arguments: &[&str], exit: i32, message: &str, hint: &str) {
    let ran = place.review(&[arguments, &["--format", "json"]].concat());
    assert_eq!(
        (ran.exit, ran.json()["error"]["message"].as_str().unwrap()),
        (exit, message),
        "{arguments:?}"
    );
    assert!(ran.json()["error"]["hint"].as_str().unwrap().contains(hint), "{}", ran.err);
    assert!(ran.err.starts_with(&format!("error: {message}\nhint: ")), "{}", ran.err);
    assert!(!place.store().exists());
}

#[test]
fn a_path_that_is_no_repository() {
    let place = Place::new();
    let home = place.home().display().to_string();
    let hint = "specify a folder inside a git repository";
    assert_usage_error(&place, &[&home], &format!("{home} is not in a git repository"), hint);
    assert_usage_error(&place, &["/no/such"], "no file or folder exists at /no/such", hint);
    assert_usage_error(&place, &["./nope"], &format!("no file or folder exists at {home}/r/./nope"), hint);
    let nothing = "`nope` is not a folder, a pull request or a commit of this repository";
    assert_usage_error(&place, &["nope"], nothing, "git branch --all");
    let alone = "`git diff HEAD -- a.py | truing review --diff -`";
    assert_usage_error(&place, &["a.py"], &format!("{home}/r/a.py is not a folder"), alone);
    place.git(["init", "--quiet", "--bare", "../bare"]);
    let bare = format!("{home}/bare");
    let message =
        |path: &str| format!("{path} has no working tree: it is a bare repository, or inside a git folder");
    assert_usage_error(&place, &[&bare], &message(&bare), "git worktree add");
    assert_usage_error(&place, &[".git"], &message(&format!("{home}/r/.git")), "git worktree add");
}

#[test]
fn a_branch_that_is_named_like_a_pull_request_is_reviewed() {
    let place = Place::new();
    place.git(["checkout", "--quiet", "-b", "origin/fix/12"]);
    place.write("b.py", STOPS);
    place.commit("fix");
    place.git(["branch", "7"]);
    place.git(["checkout", "--quiet", "main"]);
    for name in ["origin/fix/12", "refs/heads/7", "main..origin/fix/12"] {
        let ran = place.review(&[name, "--no-record", "--format", "json"]);
        assert_eq!((ran.exit, ran.json()["coverage"]["reviewed"][0].as_str()), (1, Some("b.py")), "{name}");
    }
    let origin = "`7`: a number without a repository name requires the remote `origin`, but this \
        repository has no such remote";
    assert_usage_error(
        &place,
        &["7"],
        origin,
        "to review a branch with this name, run `truing review refs/heads/7`",
    );
    let none = place.review(&["8"]);
    assert!(none.exit == 2 && !none.err.contains("refs/heads"), "{}", none.err);
}

#[test]
fn a_repository_without_commits() {
    let place = Place::empty();
    place.git(["init", "--quiet", "--initial-branch=main"]);
    place.write("b.py", STOPS);
    let message = format!("the repository at {} has no commit on its current branch", place.repo().display());
    assert_usage_error(&place, &[], &message, "create a commit first");
    place.commit("first");
    place.git(["checkout", "--quiet", "--orphan", "unborn"]);
    assert_usage_error(&place, &[], &message, "create a commit first");
}

#[test]
fn a_commit_that_is_not_there() {
    let place = Place::new();
    place.git(["branch", "feature/login"]);
    for flag in ["--base", "--head"] {
        assert_usage_error(
            &place,
            &[flag, "feature/logn"],
            "there is no commit named `feature/logn`",
            "did you mean `feature/login`?",
        );
        assert_usage_error(&place, &[flag, "zzz"], "there is no commit named `zzz`", "git branch --all");
        let option = format!("{flag}=--upload-pack=x");
        assert_usage_error(
            &place,
            &[&option],
            "`--upload-pack=x` cannot be the name of a commit",
            "specify a branch",
        );
        assert_usage_error(
            &place,
            &[&format!("{flag}=")],
            "`` cannot be the name of a commit",
            "specify a branch",
        );
        assert_usage_error(&place, &[flag, "main:a.py"], "there is no commit named `main:a.py`", "");
    }
    place.git(["branch", "-m", "trunk"]);
    assert_usage_error(
        &place,
        &[],
        "no default branch: there is no origin/HEAD, origin/main, origin/master, main or master",
        "specify the base with --base",
    );
}

#[test]
fn a_shallow_clone_says_what_to_fetch() {
    let place = Place::new();
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("b.py", STOPS);
    let head = place.commit("on feature");
    place.git(["checkout", "--quiet", "main"]);
    let main = place.commit("on main");
    let url = format!("file://{}", place.repo().display());
    place.git([
        "clone",
        "--quiet",
        "--depth=1",
        "--no-single-branch",
        "--branch=feature",
        &url,
        "../shallow",
    ]);
    let missing = format!("the merge base of {} and origin/main is not in this shallow clone", &head[..10]);
    assert_failure(&place, &["../shallow"], 3, &missing, "run `git fetch --unshallow origin`");
    let named = format!("{main}~1");
    assert_usage_error(
        &place,
        &["../shallow", "--base", &named],
        &format!("there is no commit named `{named}`"),
        "git fetch --unshallow origin",
    );
    place.git_in(&place.home().join("shallow"), ["fetch", "--quiet", "--unshallow", "origin"]);
    assert_eq!(field_of_findings(&place.report(&["../shallow"]), "path"), ["b.py"], "the command helps");
}

#[test]
fn a_partial_clone_says_so_and_what_to_fetch() {
    let place = Place::new();
    place.git(["config", "uploadpack.allowFilter", "true"]);
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("a.py", STOPS);
    place.commit("mine");
    let url = format!("file://{}", place.repo().display());
    for filter in ["tree:0", "blob:none"] {
        let _ = std::fs::remove_dir_all(place.home().join("partial"));
        let filter = format!("--filter={filter}");
        place.git(["clone", "--quiet", &filter, "--branch=feature", &url, "../partial"]);
        let ran = place.review(&["../partial"]);
        let lines = ran.err.lines().collect::<Vec<_>>();
        assert!(
            ran.exit == 3 && lines[0].starts_with("error: this is a partial clone, and git diff"),
            "{filter}: {}",
            ran.err
        );
        assert!(lines[1].contains("`git fetch --refetch --no-filter origin`"), "{}", ran.err);
    }
    let partial = place.home().join("partial");
    place.git_in(&partial, ["diff", "--stat", "origin/main", "HEAD"]);
    assert_eq!(field_of_findings(&place.report(&["../partial"]), "path"), ["a.py"], "the command helps");
}

#[test]
fn what_is_wrong_with_a_repository_is_told_by_what_git_says() {
    let place = Place::new();
    place.write("b.py", "import os\n");
    place.commit("second");
    let told = |arguments: &[&str], said: &str, hint: &str| {
        let ran = place.review(arguments);
        let (message, next) = ran.err.split_once("\nhint: ").unwrap();
        assert!(message.contains(said) && next.contains(hint), "{}", ran.err);
        assert!(ran.exit == 2 || ran.exit == 3, "{}", ran.exit);
    };
    let with = |file: &str, text: &[u8], check: &dyn Fn()| {
        let path = place.repo().join(file);
        let before = std::fs::read(&path).ok();
        place.write(file, text);
        check();
        match before {
            Some(before) => std::fs::write(path, before).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    };
    let config = std::fs::read(place.repo().join(".git/config")).unwrap();
    let config = |more: &str| [config.as_slice(), more.as_bytes()].concat();
    with(".git/config", &config("[core\n"), &|| told(&[], "bad config line", "fix the line that git names"));
    with(".git/config", &config("[core]\nrepositoryformatversion = 9\n"), &|| {
        told(&[], "found 9", "put a newer git in PATH");
    });
    with(".git/config", &config("[core]\nworktree = /nope\n"), &|| {
        told(&[], "is configured with the working tree /nope", "unset core.worktree");
    });
    for arguments in [&["--staged"][..], &[]] {
        with(".git/index", b"no index at all, but long enough to have a header", &|| {
            told(arguments, "index", "git's index is damaged");
        });
    }
    with(".gitattributes", b"*.txt working-tree-encoding=UTF-16\n", &|| {
        with("c.txt", b"no mark", &|| told(&[], "failed: fatal: BOM is required", ".gitattributes"));
    });
    let lost = place.git(["rev-parse", "HEAD~1:a.py"]);
    std::fs::remove_file(place.repo().join(".git/objects").join(&lost[..2]).join(&lost[2..])).unwrap();
    place.write("a.py", "import sys\n");
    told(&[], "unable to read", "`git fsck`");
}

#[test]
fn the_repositorys_own_file_is_not_taken_for_the_operators() {
    let place = Place::new();
    let hint = "replace the file with a regular file of UTF-8 text, of at most 128 KiB, or delete the file";
    let file = place.repo().join(".truing.toml");
    let message = |reason: &str| format!("configuration file {} cannot be read: {reason}", file.display());
    std::fs::create_dir(&file).unwrap();
    assert_usage_error(&place, &[], &message("it is not a regular file"), hint);
    std::fs::remove_dir(&file).unwrap();
    place.write(".truing.toml", "#".repeat((128 << 10) + 1));
    assert_usage_error(&place, &[], &message("it is longer than 128 KiB"), hint);
    // The braces are nested more deeply than the pattern compiler allows.
    place.write(".truing.toml", format!("[rules]\nignore = [\"{}\"]\n", "{".repeat(900)));
    let ran = place.review(&[]);
    assert!(ran.exit == 2 && ran.err.contains("a pattern may nest at most 16 braces"), "{}", ran.err);
    place.write(".truing.toml", b"\xff");
    assert_usage_error(&place, &[], &message("it is not UTF-8"), hint);
}

#[test]
fn a_file_that_is_too_large_is_told_with_the_limit_and_can_be_left_out() {
    let place = Place::new();
    place.write("data.csv", "1,2\n".repeat(6 << 18));
    for staged in [false, true] {
        if staged {
            place.git(["add", "--all"]);
        }
        let arguments: &[&str] = if staged { &["--staged"] } else { &[] };
        let ran = place.review(arguments);
        assert_eq!(ran.exit, 1, "{}", ran.out);
        let said = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let steps = "a file is too large (over 4 MiB) or too complex to parse: list the file under \
            rules.ignore in .truing.toml, or accept a partial review: --allow-partial";
        assert!(said.contains("not reviewed: data.csv (too large)") && said.contains(steps), "{said}");
        assert_eq!(place.review(&[arguments, &["--allow-partial"]].concat()).exit, 0);
        place.write(".truing.toml", "[rules]\nignore = [\"*.csv\"]\n");
        let ran = place.review(arguments);
        assert_eq!(ran.exit, 0, "{}", ran.out);
        assert!(ran.out.contains("data.csv (ignored)") && !ran.out.contains("too large"), "{}", ran.out);
        std::fs::remove_file(place.repo().join(".truing.toml")).unwrap();
    }
}

#[test]
fn a_file_with_more_findings_than_are_kept_is_reviewed_and_says_so() {
    let place = Place::new();
    place.write("a.test.js", "it.skip('t', () => {})\n".repeat(101));
    let report = place.report(&[]);
    assert_eq!(report["findings"].as_array().unwrap().len(), 100);
    assert_eq!(report["outcome"]["kind"], "reviewed");
    assert_eq!(report["coverage"]["reviewed"], json!(["a.test.js"]));
    assert_eq!(
        report["coverage"]["not_reviewed"],
        json!([{ "path": "a.test.js", "reason": "more_findings" }])
    );
    let ran = place.review(&[]);
    let said = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(": 1 file reviewed, in "), "{said}");
    assert!(
        said.contains("only the worst findings are shown for files with too many findings: a.test.js"),
        "{said}"
    );
    assert_eq!(place.review(&["--fail-on", "P0"]).exit, 0);
}

#[test]
fn of_a_bundled_program_of_others_rules_of_text_are_enough() {
    let place = Place::new();
    let code = "function f(a,b){var c=a+b;if(c>7){return g(c)}return [a,b,7]}\n".repeat(45_000);
    assert!(code.len() > 2 << 20);
    let secret = format!("const key = \"{}\";\n", fake_key());
    place.write(".yarn/releases/yarn-4.0.0.cjs", format!("{code}{secret}"));
    let report = place.report(&[]);
    assert_eq!(report["coverage"]["not_reviewed"], json!([]));
    assert_eq!(field_of_findings(&report, "path"), [".yarn/releases/yarn-4.0.0.cjs"]);
    place.write("src/own.cjs", &code);
    let report = place.report(&[]);
    assert_eq!(report["coverage"]["not_reviewed"], json!([{ "path": "src/own.cjs", "reason": "too_large" }]));
}

#[test]
fn wrong_arguments_have_a_next_step() {
    let place = Place::new();
    for arguments in [&["--format", "pdf"][..], &["--fail-on", "P9"], &["--pack="], &["--output="], &[""]] {
        let ran = place.review(arguments);
        assert!(
            ran.exit == 2 && ran.err.contains("\nhint: see the arguments of the command: `--help`\n"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn parts_that_are_not_built_are_not_accepted() {
    let place = Place::new();
    for (arguments, said) in [
        (&["--publish"][..], "--publish"),
        (&["--runtime", "fast"], "[possible values: rules, native, cli]"),
        (&["--format", "csv"], "this command has no csv output"),
        (&["--pack", ""], "--pack"),
        (&["--no-record", "a", "b"], "'b'"),
    ] {
        let ran = place.review(arguments);
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.starts_with("error: ") && ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn a_runtime_that_cannot_be_had_is_refused_wherever_it_is_named() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let run = |mode: &str, arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("RUNTIME_MODE", mode).env("ANTHROPIC_API_KEY", "key");
        Ran::from(command.output().unwrap())
    };
    let ran = run("fast", &["review"]);
    assert!(ran.exit == 2 && ran.err.contains("RUNTIME_MODE"), "{}", ran.err);
    assert_eq!(run("fast", &["review", "--runtime", "rules"]).exit, 1, "the flag counts");
    // `PATH` is empty, so the `claude` program is not found.
    let ran = run("cli", &["review"]);
    assert!(
        ran.exit == 2 && ran.err.contains("npm install --global @anthropic-ai/claude-code@"),
        "{}",
        ran.err
    );
}

#[test]
fn a_pack_that_is_not_there() {
    let place = Place::new();
    assert_pack_refused(&place, &["--pack", "cores"]);
    assert_pack_refused(&place, &["--pack", "core", "--pack", "cores"]);
    // The unknown pack is an error even if there is no change to review.
    assert_pack_refused(&place, &["--pack", "cores", "--base", "HEAD"]);
    place.write(".truing.toml", "rules.packs = [\"cores\"]\n");
    assert_pack_refused(&place, &[]);
}

#[track_caller]
fn assert_pack_refused(place: &Place, arguments: &[&str]) {
    let ran = place.review(&[arguments, &["--format", "json"]].concat());
    assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &serde_json::json!("unknown_pack")));
    assert!(
        ran.err.starts_with(
            "error: there is no rule pack `cores` (known: aiobotocore, code-rules, code-rules-strict, core"
        ),
        "{}",
        ran.err
    );
}

#[test]
fn a_key_that_is_not_there_is_told_with_its_line_and_the_nearest() {
    let place = Place::new();
    place.write(".truing.toml", "[rules]\n\nignor = []\n");
    let file = place.repo().join(".truing.toml");
    let unknown = |file: &str| format!("{file}:3: unknown key `rules.ignor`");
    assert_usage_error(&place, &[], &unknown(&file.display().to_string()), "did you mean `rules.ignore`?");
    let base = place.commit("wrong");
    std::fs::remove_file(&file).unwrap();
    place.commit("removed");
    let name = format!("{}:.truing.toml", &base[..10]);
    let commits = ["--head", "HEAD", "--base", "HEAD~1"];
    let ran = place.review(&commits);
    assert!(ran.exit == 2 && ran.err.contains(&unknown(&name)), "{}", ran.err);
    assert!(ran.err.contains("did you mean `rules.ignore`?"), "{}", ran.err);
    place.write("../op.toml", "[rules]\n\nignor = []\n");
    assert_usage_error(
        &place,
        &["--config", "../op.toml"],
        &unknown("../op.toml"),
        "did you mean `rules.ignore`?",
    );
    assert_eq!(place.review(&["--no-record"]).exit, 0);
    // A symbolic link as `.truing.toml` is refused, because it could point to any file of the machine.
    std::os::unix::fs::symlink("../op.toml", place.repo().join(".truing.toml")).unwrap();
    let ran = place.review(&["--no-record"]);
    assert!(ran.exit == 2 && ran.err.contains("it is not a regular file"), "{}", ran.err);
    place.commit("link");
    std::fs::remove_file(&file).unwrap();
    place.commit("no link");
    let ran = place.review(&["--no-record", "--head", "HEAD", "--base", "HEAD~1"]);
    assert!(ran.exit == 2 && ran.err.contains(".truing.toml cannot be read: symlink"), "{}", ran.err);
}

#[test]
fn variables_of_git_do_not_lead_astray() {
    let place = Place::new();
    place.write("b.py", STOPS);
    place.git(["init", "--quiet", "../other"]);
    let expected = place.report(&["--no-record"]);
    let mut command = place.command(&["review", "--quiet", "--no-record", "--format", "json"]);
    for (name, value) in [
        ("GIT_DIR", "../other/.git"),
        ("GIT_WORK_TREE", "../other"),
        ("GIT_INDEX_FILE", "/dev/null"),
        ("GIT_OBJECT_DIRECTORY", "../other/.git/objects"),
        ("GIT_CEILING_DIRECTORIES", "/"),
        ("GIT_EXTERNAL_DIFF", "false"),
        ("GIT_PAGER", "false"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "diff.noprefix"),
        ("GIT_CONFIG_VALUE_0", "true"),
        ("GIT_TRACE", "2"),
    ] {
        command.env(name, value);
    }
    let ran = Ran::from(command.output().unwrap());
    assert_eq!((ran.json(), ran.err.as_str()), (expected, ""));
}

/// Parsing this small file would use gigabytes of memory. A local review skips only this file, as the service
/// does.
#[test]
fn a_bomb_in_the_working_tree_is_named_and_the_file_beside_it_is_reviewed() {
    let place = Place::new();
    place.write("A.java", "List<".repeat(30_000));
    place.write("b.tsx", format!("class A {{ void f(){{ {}", "a= >".repeat(2_400)));
    place.write("pay.py", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> b\n");
    let ran = place.review(&["--format", "json"]);
    let told = ran.json();
    assert_eq!((ran.exit, told["outcome"]["kind"].as_str()), (1, Some("partial")), "{}", ran.err);
    assert_eq!(field_of_findings(&told, "path"), ["pay.py"]);
    let left: Vec<_> = told["coverage"]["not_reviewed"].as_array().unwrap().iter().collect();
    let reasons = left.iter().map(|gap| (gap["path"].as_str().unwrap(), gap["reason"].as_str().unwrap()));
    assert_eq!(reasons.collect::<Vec<_>>(), [("A.java", "too_complex"), ("b.tsx", "too_complex")]);
}

#[test]
fn a_commit_a_range_or_a_pull_request_is_named_without_a_flag() {
    let place = Place::new();
    place.write("b.py", STOPS);
    place.commit("second");
    let of = |arguments: &[&str]| {
        let ran = place.review(&[arguments, &["--format", "json", "--no-record"]].concat());
        let report = ran.json();
        (
            ran.exit,
            report["head"].clone(),
            report["base"].clone(),
            report["findings"].as_array().map(Vec::len),
        )
    };
    let head = of(&["--head", "HEAD", "--base", "HEAD~1"]);
    assert_eq!(of(&["HEAD", "--base", "HEAD~1"]), head);
    assert_eq!(of(&["HEAD~1..HEAD"]), head);
    assert_eq!(of(&["HEAD~1..."]), head);
    assert_usage_error(
        &place,
        &["HEAD~1..HEAD", "--base", "HEAD"],
        "`HEAD~1..HEAD` is a commit, which cannot be used with --base",
        "omit one",
    );
    assert_usage_error(
        &place,
        &["o/r#7", "--staged"],
        "`o/r#7` is a pull request, which cannot be used with --staged",
        "omit one",
    );
    let none = "`7`: a number without a repository name requires the remote `origin`, but this repository \
        has no such remote";
    assert_usage_error(&place, &["7"], none, "OWNER/NAME#NUMBER");
}
