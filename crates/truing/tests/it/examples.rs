//! Tests of the commands in the examples' READMEs, with small packages. The packages have the version numbers
//! of the real releases, and changes of the same kinds. The module `online::examples` tests the same commands
//! with the real releases.

use crate::support::readme;
use crate::support::workflow::assert_pinned;
use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use truing_fakes::registry::{FakeRegistry, FakeRegistryKind};

use readme::{ReadmeCommand, repository_root};

/// Paths of files, each with the content.
type Files<'a> = &'a [(&'a str, &'a str)];

/// Runs a command from a README; the package is fetched from this fake registry.
fn run(registry: &FakeRegistry, home: &TempDir, arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
    command
        .env_clear()
        .env("HOME", home.path())
        .envs(registry.environment_variables())
        .current_dir(repository_root());
    command.args(arguments).output().unwrap()
}

/// Checks that each `decide` command in the README has the decision that the README shows.
async fn assert_readme_holds(
    example: &str,
    (kind, package): (FakeRegistryKind, &str),
    releases: &[(&str, Files<'_>)],
) {
    let (registry, home) = (FakeRegistry::start().await.unwrap(), tempfile::tempdir().unwrap());
    registry.set_releases(kind, package, releases).unwrap();
    let readme = format!("examples/{example}/README.md");
    let decisions = ReadmeCommand::find_commands(&readme, &["decide"]);
    let verdict = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let mut seen = Vec::new();
    for ReadmeCommand { arguments, output } in decisions {
        let ran = run(&registry, &home, &arguments);
        let (told, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(verdict(&told), verdict(&output), "{arguments:?}: {told}{err}");
        for range in output.lines().filter(|line| line.starts_with("range: ")) {
            assert!(told.lines().any(|line| line == range), "{range}: {told}");
        }
        seen.push(verdict(&told).split(':').next().unwrap_or_default().to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["bump", "relax"], "{readme} shows one of each");
}

/// Returns a package with a minimal definition of every symbol that the aiobotocore example pins. A symbol
/// that has changed in the real package returns `other`.
fn stub_package(other: &str) -> Vec<(String, String)> {
    let manifest = std::fs::read(repository_root().join("examples/aiobotocore/upstream.json")).unwrap();
    let manifest: BTreeMap<String, Value> = serde_json::from_slice(&manifest).unwrap();
    let mut modules: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for symbol in manifest.keys() {
        // `package:module.Class.method` stands for `Class.method` in `package.module`. The name of a class
        // starts with a capital letter, and the name of a module does not.
        let whole = symbol.trim_end_matches(".__wrapped__");
        let (mut module, mut name) = whole.split_once(':').unwrap();
        let dotted = whole.replace(':', ".");
        if let Some(inner) = name.split_once('.').filter(|_| name.starts_with(char::is_lowercase)) {
            (module, name) = (dotted.get(..=module.len() + inner.0.len()).unwrap(), inner.1);
        }
        let (first, method) = name.split_once('.').unwrap_or((name, ""));
        let methods = modules.entry(module.to_owned()).or_default().entry(first.to_owned()).or_default();
        methods.push(method.to_owned());
    }
    let packages = ["botocore/__init__.py", "botocore/retries/__init__.py"];
    let mut files: Vec<_> = packages.map(|path| (path.to_owned(), "# A package.\n".to_owned())).into();
    for (module, names) in modules {
        let mut text = String::new();
        for (name, methods) in names {
            if methods == [""] {
                text += &format!("def {name}():\n    return 1\n\n\n");
                continue;
            }
            text += &format!("class {name}:\n");
            for method in methods.iter().filter(|method| !method.is_empty()) {
                let is_other = name == "ContainerProvider"
                    && ["_create_fetcher", "_retrieve_or_fail"].contains(&method.as_str());
                let body = if is_other { other } else { "1" };
                text += &format!("    def {method}(self):\n        return {body}\n\n");
            }
        }
        files.push((format!("{}.py", module.replace('.', "/")), text));
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn botocore_is_followed_as_shown() {
    let (old, new) = (stub_package("1"), stub_package("2"));
    let commented = stub_package("1  # as before");
    let releases = [("1.34.34", &old), ("1.34.35", &commented), ("1.34.41", &new), ("1.34.51", &new)];
    let files: Vec<Vec<(&str, &str)>> = releases
        .iter()
        .map(|(_, files)| files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect())
        .collect();
    let releases: Vec<_> =
        releases.iter().zip(&files).map(|((version, _), files)| (*version, files.as_slice())).collect();
    assert_readme_holds("aiobotocore", (FakeRegistryKind::Pypi, "botocore"), &releases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_npm_is_followed_as_shown() {
    let releases: [(&str, Files<'_>); 3] = [
        ("2.1.1", &[("index.js", "module.exports = function (text) { return Number(text); };\n")]),
        ("2.1.2", &[("index.js", "module.exports = function (text) { return parseInt(text); };\n")]),
        (
            "2.1.3",
            &[("index.js", "// Whole ones.\nmodule.exports = function (text) { return parseInt(text); };\n")],
        ),
    ];
    assert_readme_holds("npm-ms", (FakeRegistryKind::Npm, "ms"), &releases).await;
}

/// This example pins one function and mirrors no file.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_alone_is_followed_as_shown() {
    let module = |body: &str| format!("def _multicall(hook_name):\n    return {body}\n");
    let modules = [module("1"), module("1  # as before"), module("2")];
    let files = modules.each_ref().map(|text| [("pluggy/_callers.py", text.as_str())]);
    let releases: [(&str, Files<'_>); 3] = [("1.4.0", &files[0]), ("1.5.0", &files[1]), ("1.6.0", &files[2])];
    assert_readme_holds("pluggy-pin", (FakeRegistryKind::Pypi, "pluggy"), &releases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crate_is_followed_as_shown() {
    let releases: [(&str, Files<'_>); 3] = [
        ("2.3.0", &[("src/lib.rs", "pub fn encode(byte: u8) -> u8 {\n    byte\n}\n")]),
        ("2.3.1", &[("src/lib.rs", "pub fn encode(byte: u8) -> u8 {\n    byte\n}\n")]),
        ("2.3.2", &[("src/lib.rs", "pub fn encode(byte: u8) -> u8 {\n    byte + 1\n}\n")]),
    ];
    assert_readme_holds("crates-percent-encoding", (FakeRegistryKind::Crates, "percent-encoding"), &releases)
        .await;
}

/// The reviewer of the aiobotocore example gets the general instructions, and additional ones about six
/// typical mistakes in that project.
#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_of_aiobotocore_is_told_what_goes_wrong_there() {
    let (registry, home) = (FakeRegistry::start().await.unwrap(), tempfile::tempdir().unwrap());
    let shown = ReadmeCommand::find_commands("examples/aiobotocore/README.md", &["render"]).remove(0);
    let told = String::from_utf8(run(&registry, &home, &shown.arguments).stdout).unwrap();
    let check = ["prompts", "check", "examples/aiobotocore/prompts"].map(str::to_owned);
    assert_eq!(run(&registry, &home, &check).status.code(), Some(0));
    for about in [
        "1. Missing `await`",
        "2. A plain `def` that should be `async def`",
        "3. The prefix `Aio`",
        "`resolve_awaitable()`",
        "`async with`",
        "`tests/test_patches.py`",
    ] {
        assert!(told.contains(about), "{about}: {told}");
    }
    // The prompt of the example contains every line of the built-in prompt.
    let built_in =
        ["prompts", "render", "review/system", "--set", "max_turns=25", "--set", "max_findings=50"];
    let built_in = run(&registry, &home, &built_in.map(str::to_owned)).stdout;
    let built_in = String::from_utf8(built_in).unwrap();
    assert!(built_in.lines().all(|line| told.lines().any(|has| has == line)));
}

#[test]
fn every_action_of_the_examples_is_pinned_and_no_checkout_keeps_the_token() {
    let folder = std::fs::read_dir(repository_root().join("examples/ci")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path()).chain([repository_root().join("docs/ci.md")]);
    for file in files {
        assert_pinned(&std::fs::read_to_string(file).unwrap());
    }
}

/// Runs the step of the example for Bitbucket Pipelines in a clone of the kind that Pipelines creates. Such a
/// clone contains only the branch of the pull request, into which the base was merged.
#[test]
fn the_pipeline_of_bitbucket_reviews_the_commit_of_the_pull_request() {
    let text =
        std::fs::read_to_string(repository_root().join("examples/ci/bitbucket-pipelines.yml")).unwrap();
    let pipeline: Value = serde_saphyr::from_str(&text).unwrap();
    let script = &pipeline["pipelines"]["pull-requests"]["**"][0]["step"]["script"];
    let script: Vec<&str> = script.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let home = tempfile::tempdir().unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_truing")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let run = |lines: &str, commit: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-euc", lines]).env_clear().env("PATH", &path).env("HOME", home.path());
        shell.env("BITBUCKET_PR_DESTINATION_BRANCH", "main").env("BITBUCKET_COMMIT", commit);
        shell.current_dir(home.path()).output().unwrap()
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let made = run(
        "git init -q -b main origin && cd origin && git config user.name a && git config user.email \
         a@b.example\necho 'a = 1' > a.py && git add . && git commit -qm one && git checkout -q -b \
         change\nprintf 'a = 1\\nbreakpoint()\\n' > a.py && git commit -qam two && git rev-parse HEAD\ngit \
         checkout -q main && echo 'b = 1' > b.py && git add . && git commit -qm three\ncd .. && git clone -q \
         --single-branch -b change origin clone && cd clone\ngit config user.name a && git config user.email \
         a@b.example\ngit fetch -q origin main && git merge -q --no-edit FETCH_HEAD",
        "",
    );
    assert!(made.status.success(), "{made:?}");
    let reviewed = run(&format!("cd clone\n{}", script.join("\n")), &text(&made));
    let out = text(&reviewed);
    assert_eq!(reviewed.status.code(), Some(1), "{reviewed:?}");
    assert!(out.contains("a.py:2") && out.contains("1 file reviewed"), "{out}");
}
