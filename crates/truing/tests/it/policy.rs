//! Tests of `truing policy`: the operator's policy files, the output of the commands, and the decisions on
//! tool calls of Claude Code.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::home::{Home, Ran};

const PROFILE: &str = "run = [\"scons\", \"git log\", \"gh pr view\", \"gh api\", \"uv pip \
     install\"]\nread = [\"**\"]\nedit = [\"src/**\"]\nwrite = [\"src/**\"]\nmcp = [\"docs/search\"]\ntools = \
     [\"Skill/triage\", \"Task/Explore\"]\n";
const SCONS: &str = "programs = [\"scons\"]\nshort = \"bundled\"\nclass \
     = \"runs_code\"\n\n[[command]]\noperands = \"word\"\n";

/// Creates a home folder with a custom policy.
fn home() -> Home {
    let home = Home::empty();
    home.write("policy/profiles/fixer.toml", PROFILE);
    home.write("policy/grammar/scons.toml", SCONS);
    home.write("policy/README.md", "Ours.\n");
    home.write("truing.toml", "policy.dir = \"policy\"\n[verify]\ncheck = [[\"make\", \"-f\", \"ci.mk\"]]\n");
    home
}

#[test]
fn an_operators_files_count_and_their_errors_have_a_line() {
    let home = home();
    let check =
        |words: &[&str]| home.run(&[&["policy", "check", "--config", "truing.toml", "--"], words].concat());
    let allowed = check(&["scons", "test"]);
    assert!(allowed.exit == 0 && allowed.out.contains("policy/profiles/fixer.toml"), "{allowed:?}");
    assert_eq!(check(&["cargo", "test"]).exit, 1);
    assert_eq!(
        check(&["make", "-f", "ci.mk"]).out,
        "allow\nrule: verify.check: [\"make\", \"-f\", \"ci.mk\"]\nfile: the configuration\n"
    );

    home.write("policy/grammar/scons.toml", SCONS.replace("\"word\"", "\"text\""));
    home.write("policy/profiles/fixr.toml", "");
    for command in [&["policy", "check", "--", "rg", "x"][..], &["config", "check"], &["policy", "show"]] {
        let (first, rest) = command.split_at(2);
        let wrong = home.run(&[first, &["--config", "truing.toml"], rest].concat());
        assert_eq!(wrong.exit, 2, "{wrong:?}");
        assert!(
            wrong.err.contains("policy/grammar/scons.toml:6: a program may treat free text as a command"),
            "{}",
            wrong.err
        );
        assert!(
            wrong.err.contains("policy/profiles/fixr.toml: this is not the name of a policy file"),
            "{}",
            wrong.err
        );
    }
    home.write("truing.toml", "policy.dir = \"elsewhere\"\n");
    let gone = check(&["rg", "x"]);
    assert!(gone.exit == 2 && gone.err.contains("policy.dir: "), "{gone:?}");
}

#[test]
fn the_files_in_effect_are_shown() {
    let home = home();
    let show = |words: &[&str]| home.run(&[&["policy", "show", "--config", "truing.toml"], words].concat());
    let all = show(&[]);
    let line =
        |name: &str| all.out.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("profiles/fixer.toml").ends_with("policy/profiles/fixer.toml"), "{}", all.out);
    assert!(line("profiles/sync.toml").ends_with("truing's own profiles/sync.toml"), "{}", all.out);
    assert_eq!(show(&["fixer"]).out, PROFILE);
    let shipped = show(&["cargo"]).out;
    assert!(shipped.contains("programs = [\"cargo\"]"), "{shipped}");
    let rows = show(&["--format", "json"]).json();
    assert!(rows.as_array().unwrap().iter().any(|row| row["name"] == "grammar/scons.toml"), "{rows:#}");
    let unknown = show(&["fixr"]);
    assert!(unknown.exit == 2 && unknown.err.contains("did you mean `fixer`?"), "{unknown:?}");
}

/// Runs the hook for a tool call and returns its output.
fn run_hook(home: &Home, options: &[&str], call: &str) -> Ran {
    let mut command = home.command(&[&["policy", "hook", "--config", "truing.toml"], options].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(call.as_bytes()).unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

fn tool_call_json(home: &Home, tool: &str, input: &Value) -> String {
    json!({"hook_event_name": "PreToolUse", "cwd": home.path().join("repo"), "tool_name": tool, "tool_input": input, "session_id": "s"}).to_string()
}

#[test]
fn calls_of_tools_are_allowed_or_denied_with_the_reason() {
    let home = home();
    home.write("repo/.git/HEAD", "ref: refs/heads/main\n");
    home.write("repo/.git/config", "[remote]\n");
    home.write("repo/src/a.py", "x = 1\n");
    home.write("outside.txt", "secret\n");
    let repo = home.path().join("repo");
    symlink(home.path().join("outside.txt"), repo.join("src/link")).unwrap();
    symlink("nothing", repo.join("src/dangling")).unwrap();
    // This link leads to the parent folder. A path through the link and its real path can therefore end with
    // the same names.
    symlink("..", repo.join("src/up")).unwrap();
    symlink(".git", repo.join("gitlink")).unwrap();
    symlink(home.path(), repo.join("linkdir")).unwrap();
    std::fs::create_dir_all(repo.join("lib/.git")).unwrap();
    let file = |name: &str| json!({"file_path": repo.join(name)});
    let bash = |command: &str| json!({"command": command});
    let decision = |tool: &str, input: &Value| {
        let ran = run_hook(&home, &[], &tool_call_json(&home, tool, input));
        assert_eq!((ran.exit, ran.err.as_str()), (0, ""), "{tool} {input}: {ran:?}");
        let answer = ran.json()["hookSpecificOutput"].clone();
        assert_eq!(answer["hookEventName"], "PreToolUse", "{answer}");
        (
            answer["permissionDecision"].as_str().unwrap().to_owned(),
            answer["permissionDecisionReason"].as_str().unwrap().to_owned(),
        )
    };
    for (tool, input) in [
        ("Bash", bash("git log --oneline -n 5")),
        ("Read", file("src/a.py")),
        ("Read", json!({"file_path": "src/a.py"})),
        ("Edit", file("src/a.py")),
        ("MultiEdit", file("src/a.py")),
        ("Write", file("src/new/b.py")),
        ("NotebookEdit", json!({"notebook_path": repo.join("src/a.ipynb")})),
        ("Glob", json!({"pattern": "**/*.py"})),
        ("Glob", json!({"pattern": "src/**/*.py"})),
        ("Glob", json!({"pattern": "src/*.py", "path": repo})),
        ("Glob", json!({"pattern": "src/(app)/[a-z]*.@(py|pyi)"})),
        ("Glob", json!({"pattern": "src/?(test_)[a-z].py"})),
        ("Grep", json!({"pattern": "/etc/..", "path": "src", "glob": "*.py"})),
        ("LS", json!({"path": repo})),
        ("mcp__docs__search", json!({})),
        ("Bash", bash("gh pr view 7 --comments")),
        ("Bash", bash("gh api 'repos/{owner}/{repo}/pulls/7'")),
    ] {
        assert_eq!(decision(tool, &input).0, "allow", "{tool} {input}");
    }
    for (tool, input, reason) in [
        ("Bash", bash("git log; id"), "a shell may interpret ';'"),
        ("Bash", bash("git log && id"), "a shell may interpret '&'"),
        ("Bash", bash("git log $(id)"), "a shell may interpret"),
        ("Bash", bash("git log > f"), "a shell may interpret '>'"),
        ("Bash", bash("FOO=1 git log"), "a shell interprets \"FOO=1\""),
        (
            "Bash",
            bash("git push"),
            "the rule that would allow the call: grammar: command \"git push\" (truing's own \
                grammar/git.toml)",
        ),
        (
            "Bash",
            bash("scons test"),
            "the command runs code of the repository, and this hook cannot detect a sandbox",
        ),
        (
            "Bash",
            json!({"command": "git log", "dangerouslyDisableSandbox": true}),
            "no command may run outside the sandbox",
        ),
        (
            "Bash",
            json!({"command": "git log", "dangerouslyDisableSandbox": "true"}),
            "no command may run outside the sandbox",
        ),
        ("Bash", bash("git log src/link"), "is a path outside of the repository"),
        ("Write", file("src/up/src/a.py"), "contains a symbolic link"),
        ("Bash", json!({}), "the call has no `command`"),
        ("Write", json!({"file_path": "~/.bashrc"}), "begins with `~`, or begins or ends with white space"),
        (
            "Write",
            json!({"file_path": " .git/config"}),
            "begins with `~`, or begins or ends with white space",
        ),
        (
            "Read",
            json!({"file_path": "\u{feff}/etc/passwd"}),
            "begins with `~`, or begins or ends with white space",
        ),
        ("Grep", json!({"pattern": "x", "path": ["/etc"]}), "`path` of the call is not a string"),
        (
            "Grep",
            json!({"pattern": "x", "glob": "{a,../**}"}),
            "must not begin with `~`, begin or end with white space",
        ),
        ("Glob", json!({"pattern": ["/etc/*"]}), "`pattern` of the call is not a string"),
        ("Glob", json!({"pattern": "~/.ssh/*"}), "must not begin with `~`, begin or end with white space"),
        ("Read", json!({"file_path": "/etc/passwd"}), "is outside of the repository"),
        ("Read", file("src/link"), "is outside of the repository"),
        ("Write", file("src/dangling"), "contains a symbolic link"),
        ("Edit", file("../outside.txt"), "contains `..`"),
        ("Edit", file("README.md"), "`fixer` may not edit \"README.md\""),
        ("Write", file(".git/hooks/pre-commit"), "leads into the folder `.git`"),
        ("Read", file(".git/config"), "leads into the folder `.git`"),
        ("Read", file("gitlink/config"), "leads into the folder `.git`"),
        ("Read", file("src/.GIT/config"), "leads into the folder `.git`"),
        ("Grep", json!({"pattern": "x", "path": "gitlink"}), "leads into the folder `.git`"),
        ("Grep", json!({"pattern": "x", "path": ".git"}), "leads into the folder `.git`"),
        ("LS", json!({"path": repo.join("gitlink")}), "leads into the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": "**"}), "includes the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": "*"}), "includes the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": "**/*"}), "includes the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": ".[g]it"}), "includes the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": "?git", "path": "lib"}), "includes the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": ".git/config"}), "the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": ".GIT/**"}), "the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": "**/config"}), "includes the folder `.git`"),
        ("Grep", json!({"pattern": "x", "glob": ".g?t/config"}), "includes the folder `.git`"),
        ("Glob", json!({"pattern": "[.]git/*"}), "includes the folder `.git`"),
        ("Glob", json!({"pattern": ".g*/**"}), "includes the folder `.git`"),
        ("Glob", json!({"pattern": "gitlink/*"}), "the folder `.git`"),
        ("Glob", json!({"pattern": "src/up/*.py"}), "leads through a symbolic link"),
        ("Glob", json!({"pattern": "linkdir/*"}), "is outside of the repository"),
        ("Bash", bash("git log -- gitlink/config"), "in the folder `.git`"),
        ("Glob", json!({"pattern": "/etc/*"}), "is absolute or contains `..`"),
        ("Glob", json!({"pattern": "../*"}), "is absolute or contains `..`"),
        ("Glob", json!({"pattern": "[.][.]/*"}), "may match `..`"),
        ("Glob", json!({"pattern": ".[.]/*"}), "may match `..`"),
        ("Glob", json!({"pattern": "src/[^a].//*"}), "may match `..`"),
        ("Glob", json!({"pattern": "\\.\\./*"}), "may match `..`"),
        ("Glob", json!({"pattern": ".?/*"}), "may match `..`"),
        ("Glob", json!({"pattern": "@(..)/*"}), "may match `..`"),
        ("Glob", json!({"pattern": "+(.)/*"}), "may match `..`"),
        ("Glob", json!({"pattern": "?(a|.)./*"}), "may match `..`"),
        ("Glob", json!({"pattern": "*(x)..*(y)/*"}), "may match `..`"),
        ("Glob", json!({"pattern": "[a/*"}), "may match `..`"),
        ("Grep", json!({"pattern": "x", "glob": "[.-/][.]/**"}), "may match `..`"),
        ("Grep", json!({"pattern": "x", "path": "/etc"}), "is outside of the repository"),
        ("mcp__docs__delete", json!({}), "may not call \"docs/delete\""),
        ("mcp__docs__a__b", json!({}), "no rule can allow the tool"),
        ("WebFetch", json!({"url": "https://example.com"}), "no rule can allow the tool"),
        ("Task", json!({"prompt": "x"}), "the call has no `subagent_type`"),
        ("Agent", json!({"subagent_type": "evil"}), "`fixer` may not use \"Task/evil\""),
        ("Skill", json!({"skill": "evil"}), "`fixer` may not use \"Skill/evil\""),
        ("Skill", json!({"skill": "triage"}), "a skill or subagent may run code of the repository"),
        ("Bash", bash("gh pr view 7 | sh"), "a shell may interpret '|'"),
        ("Bash", bash("gh api -X POST repos/acme/shop/issues"), "-X"),
        ("Bash", bash("uv pip install attrs==25.1.0"), "the command runs code of the repository"),
    ] {
        let (decision, told) = decision(tool, &input);
        assert!(decision == "deny" && told.contains(reason), "{tool} {input}: {decision}: {told}");
    }
    for (line, program) in [("git log", "git"), ("gh pr view 7", "gh")] {
        let below = tool_call_json(&home, "Bash", &bash(line)).replace("/repo\"", "/repo/src\"");
        let below = run_hook(&home, &[], &below).json();
        let reason = below["hookSpecificOutput"]["permissionDecisionReason"].as_str().unwrap();
        assert!(reason.contains(&format!("{program} may run only in the root")), "{reason}");
    }
    for (tool, input) in [
        ("Bash", bash("scons test")),
        ("Bash", bash("uv pip install attrs==25.1.0")),
        ("Skill", json!({"skill": "triage", "args": "7"})),
        ("Agent", json!({"subagent_type": "Explore", "prompt": "x"})),
    ] {
        let sandboxed = run_hook(&home, &["--sandboxed"], &tool_call_json(&home, tool, &input)).json();
        assert_eq!(sandboxed["hookSpecificOutput"]["permissionDecision"], "allow", "{tool} {input}");
    }
    let outside = tool_call_json(&home, "Bash", &bash("git log")).replace("/repo\"", "\"");
    let outside = run_hook(&home, &["--root", "repo"], &outside).json();
    assert_eq!(outside["hookSpecificOutput"]["permissionDecision"], "deny");
    assert_eq!(run_hook(&home, &[], &tool_call_json(&home, "TodoWrite", &json!({}))).out, "{}\n");
}

/// The example and the documentation contain the same settings, and the hook in the settings answers a call.
#[test]
fn the_example_for_claude_codes_action_is_a_hook_that_answers() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let example = std::fs::read_to_string(root.join("examples/ci/claude-code-action.yml")).unwrap();
    let settings: Value = serde_json::from_str(example.split_once("settings: |\n").unwrap().1).unwrap();
    let page = std::fs::read_to_string(root.join("docs/policy.md")).unwrap();
    let shown: Value =
        serde_json::from_str(page.split_once("```json\n").unwrap().1.split_once("```").unwrap().0).unwrap();
    assert_eq!(settings, shown);
    let hook = &settings["hooks"]["PreToolUse"][0]["hooks"][0];
    assert_eq!(hook["onFailure"], "block");
    let words = hook["command"].as_str().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words[..3], ["/usr/local/bin/truing", "policy", "hook"]);

    let home = home();
    home.write("repo/.git/HEAD", "ref: refs/heads/main\n");
    let answer = run_hook(
        &home,
        &["--profile", "fixer"],
        &tool_call_json(&home, "Bash", &json!({"command": "git log"})),
    )
    .json();
    assert_eq!(answer["hookSpecificOutput"]["permissionDecision"], "allow");
}

/// The hook exits with code 2, which blocks the call. After any other failing exit code, Claude Code would
/// execute the call.
#[test]
fn a_call_that_cannot_be_judged_is_blocked() {
    let home = home();
    home.write("repo/.git/HEAD", "ref: refs/heads/main\n");
    let good = tool_call_json(&home, "Bash", &json!({"command": "git log"}));
    // The root folder is in no repository, even if the folder for temporary files is in one.
    let repo = home.path().join("repo").display().to_string();
    let no_root = good.replace(&repo, "/");
    for text in ["", "{", "[]", "{}", &good.replace("PreToolUse", "PostToolUse"), &no_root] {
        let ran = run_hook(&home, &[], text);
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{text}: {ran:?}");
        assert!(!ran.err.is_empty(), "{text}");
    }
    assert_eq!(run_hook(&home, &[], &good).exit, 0);
    home.write("policy/profiles/fixer.toml", "run = 1\n");
    let wrong = run_hook(&home, &[], &good);
    assert_eq!((wrong.exit, wrong.out.as_str()), (2, ""), "{wrong:?}");
    home.write("policy/profiles/fixer.toml", PROFILE);
    let mut nowhere = home.command(&["policy", "hook", "--config", "truing.toml"]);
    let mut child =
        nowhere.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(good.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "a closed standard output");
    // The hook cannot write its answer, because standard output is closed. It must then exit with code 2,
    // because Claude Code executes a call without an answer.
    let mut command = home.command(&["policy", "hook", "--config", "truing.toml"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(good.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
}
