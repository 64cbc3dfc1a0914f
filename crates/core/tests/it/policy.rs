//! Tests the permissions of each profile, mainly that command lines are denied. Some of the lines were
//! written by an author who had not seen the grammars. No profile may run a hostile line; fixers may run
//! nearly all ordinary lines. With `-- --nocapture`, the tests print each line whose result is wrong.

use std::sync::{Arc, LazyLock};

use truing_core::policy::{AgentAction, AgentPolicy, PolicySet, PolicyVerdict, ProfileName};

const HOSTILE: &str = include_str!("../data/policy/hostile.txt");
const ORDINARY: &str = include_str!("../data/policy/ordinary.txt");
/// Hostile lines by the author of the grammars.
const OWN_HOSTILE: &str = include_str!("../data/policy/own/hostile.txt");
const OWN_ORDINARY: &str = include_str!("../data/policy/own/ordinary.txt");

/// Lines of the hostile list that are nevertheless allowed. A sync job has to name its package's version, and
/// the lock file is verified before the job proposes it.
const WANTED: &[&str] = &["uv lock --upgrade-package=requests==0.1"];

/// Minimum percentage of the ordinary lines that must be allowed.
const LEAST_ALLOWED: usize = 95;

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

fn is_allowed(policy: &AgentPolicy, words: &[String]) -> bool {
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    policy.judge(AgentAction::Run(&argv)).is_allowed()
}

#[test]
fn no_hostile_line_is_allowed_to_anybody() {
    let policies = ProfileName::ALL.map(policy);
    let (mut count, mut allowed) = (0, Vec::new());
    for line in lines(HOSTILE).chain(lines(OWN_HOSTILE)) {
        let (class, json) = line.split_once(' ').unwrap();
        let words = words(json);
        count += 1;
        if !WANTED.contains(&words.join(" ").as_str())
            && policies.iter().any(|policy| is_allowed(policy, &words))
        {
            allowed.push(format!("{class}: {}", words.join(" ")));
        }
    }
    println!("{count} hostile lines, {} allowed", allowed.len());
    assert!(count >= 1000 && allowed.is_empty(), "{}", allowed.join("\n"));
}

#[test]
fn nearly_all_ordinary_lines_are_allowed_to_those_who_fix_code() {
    let policies = [ProfileName::Fixer, ProfileName::Sync].map(policy);
    let all: Vec<Vec<String>> = lines(ORDINARY).map(words).collect();
    let denied: Vec<String> = all
        .iter()
        .filter(|words| !policies.iter().any(|policy| is_allowed(policy, words)))
        .map(|words| words.join(" "))
        .collect();
    println!("{} ordinary lines, denied: {}\n{}", all.len(), denied.len(), denied.join("\n"));
    assert!(
        all.len() >= 300 && denied.len() * 100 <= all.len() * (100 - LEAST_ALLOWED),
        "{}",
        denied.join("\n")
    );
}

#[test]
fn every_ordinary_line_of_build_tools_is_allowed_to_those_who_fix_code_and_to_no_one_else() {
    for line in lines(OWN_ORDINARY) {
        let words = words(line);
        let allowed = ProfileName::ALL.map(|name| is_allowed(&policy(name), &words));
        let is_lock = words.starts_with(&["uv".to_owned(), "lock".to_owned()]);
        assert_eq!(allowed, [false, false, !is_lock, true], "{line}");
    }
}

#[test]
fn what_runs_code_of_the_clone_is_said_to() {
    for (line, expected) in [
        ("ruff check .", true),
        (".venv/bin/ruff check .", true),
        ("cargo fmt --all", true),
        ("git log", false),
        ("rg x src", false),
        ("uv run ruff check", true),
        ("make", true),
    ] {
        let argv: Vec<&str> = line.split(' ').collect();
        match policy(ProfileName::Fixer).judge(AgentAction::Run(&argv)) {
            PolicyVerdict::Allow { runs_code, .. } => assert_eq!(runs_code, expected, "{line}"),
            PolicyVerdict::Deny { reason, .. } => panic!("{line}: {reason}"),
        }
    }
    for line in [
        "pytest -k @words",
        "pytest -m @words",
        "dotnet test --filter @words",
        "make @words",
        "uv lock -P six@git+ssh:host",
    ] {
        assert!(!is_run_allowed(ProfileName::Sync, line), "{line}");
    }
}

fn policy(name: ProfileName) -> Arc<AgentPolicy> {
    static SHIPPED: LazyLock<PolicySet> = LazyLock::new(|| PolicySet::load_shipped().unwrap());
    Arc::clone(SHIPPED.policy_for(name))
}

fn is_run_allowed(name: ProfileName, line: &str) -> bool {
    let argv: Vec<&str> = line.split(' ').collect();
    policy(name).judge(AgentAction::Run(&argv)).is_allowed()
}

#[test]
fn every_profile_can_be_read() {
    for name in ProfileName::ALL {
        assert!(is_run_allowed(name, "git log --oneline"), "{name:?}");
        assert!(policy(name).judge(AgentAction::Read("src/lib.rs")).is_allowed(), "{name:?}");
    }
}

#[test]
fn those_who_read_neither_run_nor_change_anything() {
    for name in [ProfileName::Reviewer, ProfileName::Auditor] {
        for line in ["cargo test", "pytest", "npm test", "uv run pytest", "git restore a", "ruff format ."] {
            assert!(!is_run_allowed(name, line), "{name:?}: {line}");
        }
        for action in [AgentAction::Edit("src/lib.rs"), AgentAction::Write("a.py")] {
            assert!(!policy(name).judge(action).is_allowed(), "{name:?}: {action:?}");
        }
    }
}

/// The sync job that follows botocore must be able to update its project's lock file and run the project's
/// tests and checks. The job may never commit or push.
#[test]
fn the_sync_profile_does_what_the_bot_needs_and_neither_commits_nor_pushes() {
    for line in [
        "uv lock --check",
        "uv lock -P botocore",
        "uv sync --frozen",
        "uv run pytest tests/test_patches.py -q",
        "uv run python -m pytest -k hash",
        "uv run ruff check --fix aiobotocore",
        "git diff --stat",
        "rg AioClient",
    ] {
        assert!(is_run_allowed(ProfileName::Sync, line), "{line}");
    }
    for line in [
        "git commit -m x",
        "git commit",
        "git -c a=b commit",
        "git push",
        "git push origin main",
        "git push --force",
        "git config core.hooksPath x",
        "git hook run x",
        "pre-commit install",
        "uv run pre-commit install",
        "uv run git push",
        "uv run sh -c id",
        "uv run uv run pytest",
        "uv run python -c 1",
        "uv run --with x pytest",
        "uv pip install x",
        "uv lock --index x",
        "git fetch",
        "git clone x",
        "curl x",
        "wget x",
        "gh pr create",
        "rg x /etc",
        "rg x ..",
        "git log --output=x",
        "npm install x",
    ] {
        assert!(!is_run_allowed(ProfileName::Sync, line), "{line}");
    }
    for path in ["pyproject.toml", "uv.lock", "CHANGES.rst", "aiobotocore/client.py", "tests/test_patches.py"]
    {
        assert!(policy(ProfileName::Sync).judge(AgentAction::Edit(path)).is_allowed(), "{path}");
    }
}

#[test]
fn nobody_changes_what_runs_elsewhere() {
    for name in ProfileName::ALL {
        let policy = policy(name);
        for path in [
            ".git/config",
            ".git/hooks/pre-commit",
            "sub/.git/config",
            ".GIT/config",
            ".git",
            "a/../.git/config",
            ".github/workflows/ci.yml",
            ".GitHub/Workflows/ci.yml",
            ".github/actions/a/action.yml",
            ".gitlab-ci.yml",
            ".circleci/config.yml",
            "azure-pipelines/build.yml",
            "templates/ci.gitlab-ci.yml",
            ".github/dependabot.yml",
            "renovate.json",
            "Jenkinsfile",
            "bitbucket-pipelines.yml",
            ".husky/pre-commit",
            ".githooks/pre-push",
            ".pre-commit-config.yaml",
            ".gitattributes",
            "sub/.gitattributes",
            ".gitmodules",
            ".claude/settings.json",
            "CLAUDE.md",
            ".mcp.json",
            ".truing.toml",
            ".vscode/tasks.json",
            ".envrc",
            "packages/a/.husky/pre-commit",
            "packages/a/.husky",
            ".claude",
            ".circleci",
            ".devcontainer.json",
            "sub/.devcontainer/devcontainer.json",
            ".forgejo/workflows/x.yml",
            ".gitea/workflows/x.yml",
            "sub/.github/workflows/x.yml",
            ".cursorrules",
            ".github/copilot-instructions.md",
            "codemagic.yaml",
            "sub/action.yml",
            "web/.yarnrc.yml",
            ".cargo/config.toml",
            "devbox.json",
            "sub/WARP.md",
            "sub/.bazelrc",
            ".gdbinit",
            "sub/.rprofile",
            ".dagger/main.go",
            "lefthook.toml",
            "web/lefthook-local.yml",
            ".pre-commit-config.yml",
            ".hu\u{17f}ky/pre-commit",
            ".husky./pre-commit",
            "a\\.husky\\pre-commit",
            "HUSKY~1/pre-commit",
            "LEFTHO~1.YML",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "",
            ".",
            "a//b",
            "a\0b",
            "a\nb",
        ] {
            for action in [AgentAction::Edit(path), AgentAction::Write(path)] {
                assert!(!policy.judge(action).is_allowed(), "{name:?}: {action:?}");
            }
        }
        for path in [".git/config", "/proc/self/environ", "../x", "a/../../x", "/etc/passwd"] {
            assert!(!policy.judge(AgentAction::Read(path)).is_allowed(), "{name:?}: {path}");
        }
    }
    // These names only resemble protected names.
    for path in
        [".github/labeler.yml", "src/husky.rs", "zuul.py", "root/.rooted", "docs/agents.rst", "a~1b.py"]
    {
        assert!(policy(ProfileName::Fixer).judge(AgentAction::Edit(path)).is_allowed(), "{path}");
    }
}

#[test]
fn operations_are_allowed_by_name_and_none_writes() {
    for name in ProfileName::ALL {
        let policy = policy(name);
        assert!(policy.judge(AgentAction::Mcp("truing/gh_get_pull_request_diff")).is_allowed());
        for operation in [
            "truing/gh_comment_pull_request",
            "truing/bb_upsert_inline_comment",
            "truing/gh_merge_pull_request",
            "other/gh_get_pull_request",
            "gh_get_pull_request",
            "truing/*",
            "",
        ] {
            assert!(!policy.judge(AgentAction::Mcp(operation)).is_allowed(), "{name:?}: {operation}");
        }
    }
}

#[test]
fn a_denial_names_the_rule_that_would_allow_it() {
    let rule = |name: ProfileName, action: AgentAction<'_>| match policy(name).judge(action) {
        PolicyVerdict::Deny { rule, .. } => rule.map(|rule| rule.text).unwrap_or_default(),
        PolicyVerdict::Allow { rules, .. } => panic!("allowed by {rules:?}"),
    };
    assert_eq!(
        rule(ProfileName::Reviewer, AgentAction::Run(&["git", "restore", "a"])),
        r#"reviewer: run "git restore""#
    );
    assert_eq!(
        rule(ProfileName::Reviewer, AgentAction::Run(&["cargo", "test"])),
        "",
        "it runs code: no rule can"
    );
    let outer = AgentAction::Run(&["uv", "run", "npm", "ci"]);
    assert_eq!(rule(ProfileName::Fixer, outer), r#"fixer: run "npm ci""#);
    assert_eq!(rule(ProfileName::Reviewer, AgentAction::Edit("a.py")), r#"reviewer: edit "a.py""#);
    assert_eq!(rule(ProfileName::Fixer, AgentAction::Edit(".github/workflows/ci.yml")), "", "no rule can");
    assert_eq!(rule(ProfileName::Fixer, AgentAction::Mcp("x/y")), r#"fixer: mcp "x/y""#);
    let push = rule(ProfileName::Fixer, AgentAction::Run(&["git", "push"]));
    assert_eq!(push, r#"grammar: command "git push""#);
    assert_eq!(rule(ProfileName::Fixer, AgentAction::Edit("../x")), "", "no rule can");
}
