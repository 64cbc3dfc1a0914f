//! What leaves for a model, in both runtimes: no credential of the operator's, and no place of this machine.

use serde_json::json;
use truing_fakes::model::Answer;

use crate::review::claude::claude;
use crate::review::model::{Scene, read, report};
use crate::review::place::Ran;

/// Credentials of the operator's, by value alone.
const GIVEN: [(&str, &str); 3] = [
    ("GITHUB_TOKEN", "canary forge word"),
    ("NPM_TOKEN", "canary-0f-npm-w0rd"),
    ("AWS_SESSION_TOKEN", "/canary/aws"),
];

#[test]
fn a_model_is_told_neither_the_operators_credentials_nor_where_the_repository_is() {
    for runtime in ["native", "cli"] {
        let Some(program) = (if runtime == "cli" { claude() } else { Some("claude".into()) }) else { return };
        let calls = [
            read("settings.py"),
            read("b.py"),
            read("../../etc/passwd"),
            Answer::tool("grep", json!({ "pattern": "canary" })).usage(100, 10),
            Answer::tool("diff", json!({ "path": "settings.py" })).usage(100, 10),
            Answer::tool("list", json!({ "path": "no/such" })).usage(100, 10),
        ];
        let scene = Scene::of(calls.into_iter().chain([report(&[])]))
            .with(&format!("[review]\nclaude = {:?}\n", program.display().to_string()))
            .by(runtime);
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
        let asked: Vec<String> = scene.model.log().into_iter().map(|asked| asked.body.to_string()).collect();
        assert_eq!(asked.len(), 7, "{runtime}");
        let all = asked.join("\n");
        let places = [home.display().to_string(), scene.place.home().display().to_string()];
        let given = GIVEN.map(|(_, value)| value.to_owned());
        for hidden in given.iter().chain(&places) {
            let around = all.find(hidden.as_str()).map(|at| all.get(at.saturating_sub(200)..at + 80));
            assert_eq!(around, None, "{runtime}: {hidden}");
        }
        // Code stays what it is.
        assert!(
            all.contains(r#"password = form[\\\"password\\\"]"#)
                || all.contains(r#"password = form[\"password\"]"#)
        );
    }
}
