//! Tests of reviews with the real `claude` program and a scripted model.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use serde_json::{Value, json};
use truing_fakes::model::{ModelScript, ScriptedAnswer};

use crate::review::claude::find_claude;
use crate::review::model::{Scene, finding, read_answer, report_answer};
use crate::review::place::{Ran, STOPS};

/// Returns a scene with these model answers and the `claude` program, or `None` if the program is not
/// installed.
fn scene(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Option<Scene> {
    Some(with_program(Scene::new(ModelScript::from_answers(answers)), &find_claude()?.display().to_string()))
}

pub(crate) fn with_program(scene: Scene, program: &str) -> Scene {
    scene.with_config(&format!("[review]\nclaude = {program:?}\n")).with_runtime("cli")
}

/// Returns the JSON output without ids, times and the name of the runtime.
pub(crate) fn parse_stable_result(ran: &Ran) -> Value {
    let mut told = ran.json();
    for field in ["run", "review_id", "ms", "started", "ended"] {
        told.as_object_mut().unwrap().remove(field);
    }
    told["outcome"]["runtime"].take();
    told
}

#[test]
fn the_same_script_comes_to_the_same_in_both_runtimes() {
    let malformed = || ScriptedAnswer::tool("report", json!({ "findings": "none" })).usage(4, 4);
    // Each case consists of the model's answers and the expected outcome.
    let scripts: [(Vec<ScriptedAnswer>, &str); 4] = [
        (
            vec![
                ScriptedAnswer::tool("list", json!({})).usage(900, 50),
                ScriptedAnswer::tool("skill", json!({ "name": "shipped:dead-code" })).usage(200, 9),
                ScriptedAnswer::text("Let me see.").usage(500, 20),
                ScriptedAnswer::tool("shell", json!({ "command": "id" })).usage(10, 2),
                ScriptedAnswer::tool("grep", json!({ "pattern": "charge" })).usage(300, 7),
                read_answer("pay.py"),
                report_answer(&[finding()]),
            ],
            "reviewed",
        ),
        (vec![malformed(), report_answer(&[finding()])], "reviewed"),
        (vec![malformed(), malformed()], "partial"),
        (vec![ScriptedAnswer::text("No."), ScriptedAnswer::text("No.")], "partial"),
    ];
    for (script, kind) in scripts {
        let Some(scene) = scene(script.clone().into_iter().chain(script)) else { return };
        let scene = scene.with_runtime("native");
        let one = scene.review(&["--no-record"]);
        let half = scene.model.request_log().len();
        let scene = scene.with_runtime("cli");
        let other = scene.review(&["--no-record"]);
        assert_eq!(one.json()["outcome"]["kind"], kind, "{}", one.err);
        assert_eq!(other.json()["outcome"]["runtime"], json!("cli"));
        assert_eq!((parse_stable_result(&other), other.exit), (parse_stable_result(&one), one.exit));
        // The scripted model numbers its tool calls over all requests. The test renumbers the calls of the
        // second review.
        let asked = scene.model.request_log().into_iter().enumerate().map(|(at, call)| {
            let number = |at: usize| format!("toolu_{at:06}_");
            let renumbered = (1..=at).filter(|of| at >= half && *of > half);
            let body = renumbered
                .fold(call.body.to_string(), |body, of| body.replace(&number(of), &number(of - half)));
            serde_json::from_str(&body).unwrap()
        });
        let asked: Vec<Value> = asked.collect();
        let (native, cli) = asked.split_at(half);
        for (cli, native) in cli.iter().zip(native) {
            let said = |body: &Value| body["messages"].as_array().unwrap().clone();
            for (cli, native) in said(cli).iter().zip(said(native)) {
                assert_eq!(*cli, native);
            }
            assert_eq!(cli, native);
        }
        assert_eq!(cli.len(), native.len());
    }
}

#[test]
fn what_the_program_cannot_be_is_refused_before_anything_is_asked() {
    let script = "#!/bin/sh\necho";
    for (name, text, hint) in [
        ("missing", None, "npm install --global"),
        ("other", Some(format!("{script} '2.0.1 (Claude Code)'\n")), "claude_version = \"2.0.1\""),
        ("rubbish", Some(format!("{script} hello\n")), "not a script that starts it"),
        ("crash", Some("#!/bin/sh\nkill -SEGV $$\n".to_owned()), "not a script that starts it"),
        ("fails", Some(format!("{script} {}\nexit 7\n", truing_core::agent::CLI_VERSION)), "exit status: 7"),
        ("floods", Some("#!/bin/sh\nexec cat /dev/zero\n".to_owned()), "more than 65536 bytes"),
        ("shouts", Some("#!/bin/sh\nexec cat /dev/zero >&2\n".to_owned()), "did not end within 3 s"),
        ("waits", Some("#!/bin/sh\nexec tail -f /dev/null\n".to_owned()), "did not end within 3 s"),
    ] {
        let scene = Scene::from_answers([]);
        let program = scene.place.home().join(name);
        if let Some(text) = text {
            std::fs::write(&program, text).unwrap();
            assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
        }
        let start = if hint.ends_with("within 3 s") { "3s" } else { "300s" };
        let config = format!("[review]\nclaude = {program:?}\nclaude_start = \"{start}\"\n");
        let scene = scene.with_config(&config).with_runtime("cli");
        let ran = scene.review(&[]);
        assert!(ran.exit == 2 && ran.err.contains(hint), "{name}: {}", ran.err);
        assert_eq!(scene.model.request_log().len(), 0, "{name}");
    }
}

/// According to the operator's prices, the run is free, so the budget does not stop it. The `claude` program
/// has its own prices, and stops the run at its limit.
#[test]
fn the_programs_own_cap_is_a_second_belt() {
    let Some(program) = find_claude() else { return };
    let free = "[price.\"claude-sonnet-5-5\"]\ninput = 0\noutput = 0\n[budget]\nreview_usd = 0.001\n";
    let config = format!("{free}[review]\nclaude = {:?}\n", program.display().to_string());
    let scene = Scene::from_answers([read_answer("pay.py"), report_answer(&[finding()])])
        .with_config(&config)
        .with_runtime("cli");
    let ran = scene.review(&[]);
    let told = ran.json();
    assert_eq!((&told["outcome"]["kind"], &told["turns"]), (&json!("partial"), &json!(1)), "{}", ran.err);
    assert!(told["outcome"]["reason"].as_str().unwrap().starts_with("budget: "), "{told}");
}

/// In these cases, a script stands in for the `claude` program. Each script prints the expected version, and
/// then fails in its own way.
#[test]
fn a_program_that_fails_leaves_a_review_by_the_rules_that_says_so() {
    let result = |rest: &str| format!("echo '{{\"type\":\"result\",{rest}}}'");
    let over = result(r#""subtype":"error_max_turns","is_error":true,"terminal_reason":"max_turns""#);
    let completed = result(r#""subtype":"success","is_error":false,"terminal_reason":"completed""#);
    for (name, does, reason) in [
        ("nothing", "exit 0".to_owned(), "without a result"),
        ("crash", "kill -KILL $$".to_owned(), "without a result"),
        ("rubbish", "head -c 100000 /dev/urandom; echo; echo '[]'".to_owned(), "without a result"),
        ("words", "echo 'out of luck' >&2; exit 3".to_owned(), "out of luck"),
        ("cut", "printf '{\"type\":\"result\",\"is_err'".to_owned(), "without a result"),
        ("turns", over, "turn limit"),
        ("done", completed.clone(), "before the model sent its report"),
        ("two", format!("{completed}\n{completed}"), "before the model sent its report"),
        ("unread", format!("exec 0<&-\n{completed}"), "before the model sent its report"),
    ] {
        let scene = Scene::from_answers([]);
        scene.place.write("b.py", STOPS);
        let program = scene.place.home().join(name);
        let version = truing_core::agent::CLI_VERSION;
        let text = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo {version}; exit; fi\n{does}\n");
        std::fs::write(&program, text).unwrap();
        assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
        let scene = with_program(scene, &program.display().to_string());
        let ran = scene.review(&[]);
        let told = ran.json();
        assert_eq!(told["outcome"]["kind"], "partial", "{name}: {}", ran.err);
        let why = told["outcome"]["reason"].as_str().unwrap();
        assert!(why.contains(reason), "{name}: {why}");
        assert_eq!(told["findings"].as_array().unwrap().len(), 1, "{name}: the rules have reviewed");
    }
}

/// If the program sends no request to the model, the review stops it after a short time. The limit of twenty
/// minutes applies only to a program that makes requests.
#[test]
fn a_program_that_never_asks_the_model_is_ended() {
    // This program reads its input, and then does nothing and keeps its streams open.
    let scene = Scene::from_answers([]);
    scene.place.write("b.py", STOPS);
    let program = scene.place.home().join("sleeps");
    let version = truing_core::agent::CLI_VERSION;
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo {version}; exit; fi\ncat; tail -f /dev/null\n"
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    // On a busy machine, the program may not print its version within the time limit. The test then repeats
    // the review with a longer limit.
    let (mut scene, mut seconds) = (scene.with_runtime("cli"), 5);
    let ran = loop {
        scene =
            scene.with_config(&format!("[review]\nclaude = {program:?}\nclaude_start = \"{seconds}s\"\n"));
        let ran = scene.review(&[]);
        if ran.exit != 2 {
            break ran;
        }
        seconds *= 4;
        assert!(seconds < 400, "{}", ran.err);
    };
    let told = ran.json();
    assert_eq!(told["outcome"]["kind"], "partial", "{}", ran.err);
    let reason = told["outcome"]["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("sent no model request within {seconds} s")), "{reason}");
    assert_eq!(told["findings"].as_array().unwrap().len(), 1, "the rules have reviewed");
}

/// The review is started outside of the repository, in it, and for a linked working tree. `PATH` contains
/// folders of the repository in every form.
#[test]
fn no_program_of_the_repository_is_run_from_wherever_it_is_reviewed() {
    let scene = Scene::from_answers([]);
    let (home, repo) = (scene.place.home().canonicalize().unwrap(), scene.place.repo());
    let canary = home.join("canary");
    let script = format!("#!/bin/sh\necho \"$0\" >> {}\nexit 1\n", canary.display());
    for name in ["git", "claude", "gpg", "rg", "ssh"] {
        scene.place.write(format!("bin/{name}"), &script);
        let file = repo.join("bin").join(name);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    scene.place.commit_unchecked("programs");
    scene.place.git(["worktree", "add", "--quiet", "../linked"]);
    // One folder in `PATH` is a symbolic link to a folder of the repository. Another folder contains symbolic
    // links to the repository's programs.
    symlink(repo.join("bin"), home.join("whole")).unwrap();
    std::fs::create_dir(home.join("each")).unwrap();
    for name in ["git", "claude", "gpg", "rg", "ssh"] {
        symlink(repo.join("bin").join(name), home.join("each").join(name)).unwrap();
    }
    let system = std::env::var_os("PATH").unwrap();
    let ours = [home.join("whole"), home.join("each"), repo.join("bin"), home.join("linked/bin")]
        .into_iter()
        .chain(["", ".", "bin", "r/bin"].map(Into::into))
        .chain(std::env::split_paths(&system).filter(|folder| !folder.join("claude").exists()));
    let path = std::env::join_paths(ours).unwrap();
    let reviews: [(&str, &[&str]); 4] = [("", &["r"]), ("r", &[]), ("linked", &[]), ("", &["linked"])];
    for (here, target) in reviews {
        for runtime in ["rules", "cli"] {
            let fixed = ["review", "--runtime", runtime, "--base", "HEAD~1", "--fail-on", "never"];
            let mut command = scene.place.command(&[&fixed[..], target].concat());
            command.current_dir(home.join(here)).env("PATH", &path).env("ANTHROPIC_API_KEY", "key");
            let ran = Ran::from(command.output().unwrap());
            let when = format!("{runtime} {target:?} in {here:?}");
            let said = std::fs::read_to_string(&canary).unwrap_or_default();
            assert_eq!(said, "", "{when}: {ran:?}");
            let exit = if runtime == "rules" { 0 } else { 2 };
            assert_eq!(ran.exit, exit, "{when}: {ran:?}");
            if runtime == "cli" {
                assert!(ran.err.contains("folders inside the reviewed repository"), "{when}: {}", ran.err);
            }
        }
    }
}
