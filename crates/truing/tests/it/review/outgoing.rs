//! Tests of the text that both runtimes send to a model. It contains no credential of the operator and no
//! path of this machine.

use serde_json::json;
use truing_fakes::model::ScriptedAnswer;

use crate::review::claude::find_claude;
use crate::review::model::{Scene, read_answer, report_answer};
use crate::review::place::Ran;

/// Credentials of the operator that do not match any known credential format.
const GIVEN: [(&str, &str); 3] = [
    ("GITHUB_TOKEN", "canary forge word"),
    ("NPM_TOKEN", "canary-0f-npm-w0rd"),
    ("AWS_SESSION_TOKEN", "/canary/aws"),
];

#[test]
fn a_model_is_told_neither_the_operators_credentials_nor_where_the_repository_is() {
    for runtime in ["native", "cli"] {
        let Some(program) = (if runtime == "cli" { find_claude() } else { Some("claude".into()) }) else {
            return;
        };
        let calls = [
            read_answer("settings.py"),
            read_answer("b.py"),
            read_answer("../../etc/passwd"),
            ScriptedAnswer::tool("grep", json!({ "pattern": "canary" })).usage(100, 10),
            ScriptedAnswer::tool("diff", json!({ "path": "settings.py" })).usage(100, 10),
            ScriptedAnswer::tool("list", json!({ "path": "no/such" })).usage(100, 10),
        ];
        let scene = Scene::from_answers(calls.into_iter().chain([report_answer(&[])]))
            .with_config(&format!("[review]\nclaude = {:?}\n", program.display().to_string()))
            .with_runtime(runtime);
        let text = format!(
            "password = form[\"password\"]\nport = \"5432\"\n{}",
            GIVEN.map(|(name, value)| format!("{name} = '{value}'\n")).concat(),
        );
        scene.place.write("settings.py", &text);
        let home = scene.place.home().canonicalize().unwrap();
        let temporary = home.join("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let mut command = scene.command(&["--format", "json"]);
        let ran = Ran::from(command.envs(GIVEN).env("TMPDIR", &temporary).output().unwrap());
        assert!(ran.exit < 2, "{runtime}: {}", ran.err);
        let asked: Vec<String> =
            scene.model.request_log().into_iter().map(|asked| asked.body.to_string()).collect();
        assert_eq!(asked.len(), 7, "{runtime}");
        let all = asked.join("\n");
        let places = [home.display().to_string(), scene.place.home().display().to_string()];
        let given = GIVEN.map(|(_, value)| value.to_owned());
        for hidden in given.iter().chain(&places) {
            let around = all.find(hidden.as_str()).map(|at| all.get(at.saturating_sub(200)..at + 80));
            assert_eq!(around, None, "{runtime}: {hidden}");
        }
        // A line that only mentions a password is sent unchanged.
        assert!(
            all.contains(r#"password = form[\\\"password\\\"]"#)
                || all.contains(r#"password = form[\"password\"]"#)
        );
    }
}

/// Returns a key whose format a rule recognises, and a private key of several lines.
fn secrets() -> [String; 2] {
    let line = ["MIIEpAIBAAKCAQEA7Q8zvT4mKx9Lw2", "PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn\n"].concat();
    let pem =
        ["-----BEGIN RSA PRIVATE", " KEY-----\n", &line.repeat(6), "-----END RSA PRIVATE", " KEY-----\n"];
    [["AKIA", "73U55XTPLPFT7V4S"].concat(), pem.concat()]
}

#[test]
fn secrets_of_the_tree_leave_for_no_model() {
    let [key, pem] = secrets();
    for (runtime, redact) in [("native", true), ("cli", true), ("native", false)] {
        let Some(program) = (if runtime == "cli" { find_claude() } else { Some("claude".into()) }) else {
            continue;
        };
        let mut quoting = crate::review::model::finding();
        quoting["path"] = json!("conf.py");
        (quoting["start_line"], quoting["end_line"]) = (json!(1), json!(1));
        quoting["excerpt"] =
            json!(if redact { "KEY = \"[secret cut]\"".to_owned() } else { format!("KEY = \"{key}\"") });
        quoting["replacement"] = json!("KEY = \"[secret cut]\"");
        let calls = [
            read_answer("conf.py"),
            ScriptedAnswer::tool("read", json!({ "path": "conf.py", "start_line": 4 })).usage(100, 10),
            ScriptedAnswer::tool("grep", json!({ "pattern": "KEY" })).usage(100, 10),
            ScriptedAnswer::tool("diff", json!({ "path": "conf.py" })).usage(100, 10),
        ];
        let scene = Scene::from_answers(calls.into_iter().chain([report_answer(&[quoting])]))
            .with_config(&format!(
                "[review]\nclaude = {:?}\nredact = {redact}\n",
                program.display().to_string()
            ))
            .with_runtime(runtime);
        scene.place.write("conf.py", format!("KEY = \"{key}\"\nCERT = \"\"\"\n{pem}\"\"\"\n"));
        scene.place.write("CLAUDE.md", format!("The staging key is {key}.\n"));
        let mut command = scene.command(&["--format", "json"]);
        let ran = Ran::from(command.output().unwrap());
        assert!(ran.exit < 2, "{runtime}: {}", ran.err);
        let log = scene.model.request_log();
        let asked: Vec<String> =
            log.iter().map(|asked| format!("{:?}{:?}{}", asked.headers, asked.query, asked.body)).collect();
        assert_eq!(asked.len(), 5, "{runtime}");
        let all = asked.join("\n");
        assert_eq!(all.contains(&key), !redact, "{runtime}");
        assert_eq!(all.contains("AKCAQEA7Q8z"), !redact, "{runtime}");
        assert_eq!(all.contains("cut from the text that you see"), redact, "{runtime}");
        let findings = ran.json()["findings"].clone();
        let found = findings
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["title"] == crate::review::model::finding()["title"]);
        let found = found.unwrap_or_else(|| panic!("{runtime}: {findings:#}"));
        assert!(found["suggestion"].is_null(), "a mask is applied by nobody: {found:#}");
        assert!(!ran.out.contains(&key), "{runtime}");
    }
}

/// Files that git ignores, each with the configuration file that makes git ignore it.
const IGNORED: [(&str, &str); 4] = [
    (".env", ".gitconfig"),
    ("notes-private.md", "included"),
    ("by-exclude.txt", ".git/info/exclude"),
    ("by-repository.txt", ".gitignore"),
];

#[test]
fn what_git_ignores_does_not_leave_for_a_model() {
    for runtime in ["native", "cli"] {
        let Some(program) = (if runtime == "cli" { find_claude() } else { Some("claude".into()) }) else {
            return;
        };
        let looks = IGNORED.iter().map(|(name, _)| read_answer(name));
        let others = [
            ScriptedAnswer::tool("grep", json!({ "pattern": "canary" })).usage(100, 10),
            ScriptedAnswer::tool("list", json!({ "path": "." })).usage(100, 10),
        ];
        let scene = Scene::from_answers(looks.chain(others).chain([report_answer(&[])]))
            .with_config(&format!("[review]\nclaude = {:?}\n", program.display().to_string()))
            .with_runtime(runtime);
        let home = scene.place.home();
        for (name, _) in IGNORED {
            scene.place.write(name, "canary-of-ignored\n");
        }
        scene.place.write(".git/info/exclude", "by-exclude.txt\n");
        scene.place.write(".gitignore", "by-repository.txt\n");
        std::fs::write(home.join("included"), "[core]\n\texcludesFile = ~/list\n").unwrap();
        std::fs::write(home.join("list"), ".env\nnotes-private.md\n").unwrap();
        std::fs::write(home.join(".gitconfig"), "[include]\n\tpath = included\n").unwrap();
        let ran = Ran::from(scene.command(&["--format", "json"]).output().unwrap());
        assert!(ran.exit < 2, "{runtime}: {}", ran.err);
        let asked: Vec<String> =
            scene.model.request_log().into_iter().map(|asked| asked.body.to_string()).collect();
        assert_eq!(asked.len(), IGNORED.len() + 3, "{runtime}");
        assert!(!asked.concat().contains("canary-of-ignored"), "{runtime}");
    }
}
