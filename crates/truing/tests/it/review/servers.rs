//! Tests of reviews in which the model may call the tools of an MCP server. They use the real program and
//! sandbox, and shell scripts as servers.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;
use truing_fakes::model::{DEFAULT_API_KEY, ScriptedAnswer};

use crate::review::claude::find_claude;
use crate::review::model::{Scene, finding, report_answer};
use crate::review::place::Ran;

/// Returns the script of an MCP server that runs the shell code `action` when its only tool is called.
fn server_script(action: &str) -> String {
    let begun = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"docs","version":"1"}}"#;
    let tools = r#"{"tools":[{"name":"search","description":"Finds words","inputSchema":{"type":"object","properties":{"words":{"type":"string"}},"required":["words"]}}]}"#;
    format!(
        r#"
say() {{ printf '{{"jsonrpc":"2.0","id":%s,"result":%s}}\n' "$id" "$1"; }}
text() {{ say "{{\"content\":[{{\"type\":\"text\",\"text\":\"$1\"}}]}}"; }}
while read -r line; do
  case $line in *'"id":'*) id=${{line#*'"id":'}}; id=${{id%%[,\}}]*}};; *) continue;; esac
  case $line in
    *'"initialize"'*) say '{begun}';;
    *'"tools/list"'*) say '{tools}';;
    *'"tools/call"'*) {action};;
  esac
done
"#
    )
}

/// Creates a scene whose model calls the server's tool and then reports. `more` contains further lines for
/// `[mcp.docs]`.
fn scene(action: &str, more: &str) -> Scene {
    let scene = Scene::from_answers([tool_call_answer(), report_answer(&[finding()])]);
    let folder = scene.place.home().join("servers");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("docs.sh"), server_script(action)).unwrap();
    let program = folder.join("docs.sh");
    scene.with_config(&format!(
        "[mcp.docs]\ncommand = [\"sh\", {program:?}]\nread = [{folder:?}]\ntools = [\"search\"]\n{more}"
    ))
}

fn tool_call_answer() -> ScriptedAnswer {
    ScriptedAnswer::tool("mcp__docs__search", json!({ "words": "charge" })).usage(500, 20)
}

/// Returns the tool result that the last request sent to the model.
fn received_tool_result(scene: &Scene) -> String {
    let log = scene.model.request_log();
    let result = log.last().unwrap().body["messages"].as_array().unwrap().iter().find_map(|message| {
        let content = message["content"].as_array()?;
        content.iter().find(|block| block["type"] == "tool_result")
    });
    let content = &result.unwrap()["content"];
    content.as_str().map_or_else(|| content.to_string(), str::to_owned)
}

/// Returns the running processes that have the path of the scene's home folder in their arguments.
fn remaining_processes(scene: &Scene) -> Vec<PathBuf> {
    let home = scene.place.home().display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let of_here = |process: &PathBuf| {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&home)
    };
    processes.filter(of_here).collect()
}

#[test]
fn a_model_calls_a_tool_of_a_server_in_both_runtimes() {
    let program =
        find_claude().map(|program| format!("[review]\nclaude = {:?}\n", program.display().to_string()));
    let runtimes = [("native", Some(String::new())), ("cli", program)];
    for (runtime, more) in runtimes.into_iter().filter_map(|(runtime, more)| Some((runtime, more?))) {
        let scene = scene("text 'charge takes cents'", &more).with_runtime(runtime);
        let ran = scene.review(&[]);
        let told = ran.json();
        assert_eq!(
            told["outcome"],
            json!({"kind": "reviewed", "reason": null, "until": null, "runtime": runtime})
        );
        let offered = scene.model.request_log()[0].body["tools"].as_array().unwrap().clone();
        let ours = offered.iter().find(|tool| tool["name"] == "mcp__docs__search").unwrap();
        assert_eq!(ours["input_schema"]["required"], json!(["words"]), "{runtime}");
        assert_eq!(received_tool_result(&scene), "charge takes cents", "{runtime}");
    }
}

#[test]
fn a_server_finds_no_network_no_repository_no_credential_and_leaves_nothing() {
    let tidy = r#"tr '\n"\\' '   '"#;
    let does = format!(
        "text \"[$(env | {tidy})] [$(tail -n +3 /proc/net/dev | cut -d: -f1 | {tidy})] [$(ls {{HOME}}/r 2>&1 \
         | {tidy})]\"; echo x > \"$HOME/kept\"; sleep 1000 & echo words >&2"
    );
    let scene = scene("text", "env = [\"DOCS_WORD\"]\n");
    let home = scene.place.home().display().to_string();
    std::fs::write(scene.place.home().join("servers/docs.sh"), server_script(&does.replace("{HOME}", &home)))
        .unwrap();
    let temporary = scene.place.home().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = scene.command(&["--format", "json"]);
    command.env("DOCS_WORD", "hello").env("OTHER_WORD", "unheard").env("TMPDIR", &temporary);
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.json()["outcome"]["kind"], "reviewed", "{}", ran.err);
    let heard = received_tool_result(&scene);
    assert!(heard.contains("DOCS_WORD=hello"), "{heard}");
    for hidden in ["unheard", "ANTHROPIC", DEFAULT_API_KEY] {
        assert!(!heard.contains(hidden), "{hidden}: {heard}");
    }
    assert!(heard.contains("] [    lo ] [") || heard.contains("] [ lo ] ["), "one device: {heard}");
    assert!(heard.contains("No such file") || heard.contains("cannot access"), "{heard}");
    let end = Instant::now() + crate::support::HANGS;
    while !remaining_processes(&scene).is_empty() {
        assert!(Instant::now() < end, "{:?}", remaining_processes(&scene));
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_server_that_fails_is_told_of_and_the_review_goes_on() {
    for (name, does, more, reason) in [
        ("crash", "kill -KILL $$", "", "`docs`: it ended"),
        ("leaves", "exit 3", "", "`docs`: it ended"),
        ("floods", "exec cat /dev/zero", "", "its output is too large"),
        ("another list", "", "", "it has no tool `other`"),
    ] {
        let scene = scene(does, more);
        let scene = match name {
            "another list" => {
                let config = "[mcp.docs]\ncommand = [\"sh\", \"{S}/docs.sh\"]\nread = [\"{S}\"]\ntools = \
                     [\"search\", \"other\"]\n";
                let folder = scene.place.home().join("servers").display().to_string();
                std::fs::write(scene.place.home().join("servers/docs.sh"), server_script("text found"))
                    .unwrap();
                scene.with_config(&config.replace("{S}", &folder))
            }
            _ => scene,
        };
        let why = partial_review_reason(&scene, name);
        assert!(why.contains(reason), "{name}: {why}");
    }
}

/// Runs a review that must be partial although the model reported a finding. Returns the reason for the
/// outcome.
fn partial_review_reason(scene: &Scene, name: &str) -> String {
    let ran = scene.review(&[]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("partial")), "{name}: {}", ran.err);
    let reason = told["outcome"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("mcp: "), "{name}: {reason}");
    let sources: Vec<_> = told["findings"].as_array().unwrap().iter().map(|one| &one["source"]).collect();
    assert_eq!(sources, ["rule", "agent"], "{name}: the model has reported");
    reason.to_owned()
}

#[test]
fn a_server_that_hangs_is_told_of_and_the_review_goes_on() {
    // On a busy machine, the server may start more slowly than the shorter timeouts allow. The test then
    // repeats the review with a longer timeout.
    for seconds in [1, 2, 4, 8, 16] {
        let scene = scene("while :; do sleep 1; done", &format!("timeout = \"{seconds}s\"\n"));
        let reason = partial_review_reason(&scene, "hangs");
        if !reason.contains("was not ready within") {
            let expected = format!("did not answer a call of `search` within {seconds} s");
            assert!(reason.contains(&expected), "{reason}");
            return;
        }
    }
    panic!("it never was ready");
}

#[test]
fn a_server_that_cannot_be_started_is_told_of_with_what_it_says_in_the_log_alone() {
    for (command, reason) in [
        (r#"["/no/such/server"]"#, "its connection closed before a session began"),
        (r#"["sh", "-c", "echo sesame >&2; exit 1"]"#, "its connection closed before a session began"),
    ] {
        let scene = Scene::from_answers([report_answer(&[finding()])])
            .with_config(&format!("[mcp.docs]\ncommand = {command}\ntools = [\"search\"]\n"));
        let ran = Ran::from(scene.command(&["--format", "json"]).output().unwrap());
        let told = ran.json();
        assert_eq!(told["outcome"]["kind"], "partial", "{}", ran.err);
        let why = told["outcome"]["reason"].as_str().unwrap();
        assert!(why.contains(reason) && !why.contains("sesame"), "{why}");
        let offered = scene.model.request_log()[0].body["tools"].to_string();
        assert!(!offered.contains("mcp__"), "{offered}");
    }
}

#[test]
fn servers_are_the_operators_and_what_cannot_be_is_refused_before_anything_is_asked() {
    let command = "command = [\"sh\"]\n";
    for (config, said) in [
        ("tools = [\"a\"]\n".to_owned(), "is required"),
        ("forge = \"github\"\ntools = [\"a\"]\n".to_owned(), "[forge.github] is not configured"),
        ("forge = \"github\"\nurl = \"https://example.org\"\ntools = [\"a\"]\n".into(), "mcp.docs.forge"),
        ("forge = \"github\"\ntoken = { env = \"A\" }\ntools = [\"a\"]\n".into(), "mcp.docs.token"),
        (command.to_owned(), "mcp.docs.tools"),
        (
            format!("{command}tools = [\"a\"]\nurl = \"https://example.org\"\n"),
            "cannot be combined with `command`",
        ),
        (format!("{command}tools = [\"a\"]\ntransport = \"http\"\n"), "mcp.docs.transport"),
        (
            "url = \"https://example.org\"\ntools = [\"a\"]\ntransport = \"stdio\"\n".into(),
            "mcp.docs.transport",
        ),
        ("url = \"http://example.org\"\ntools = [\"a\"]\n".to_owned(), "must be an https URL"),
        (
            format!("{command}tools = [\"a\"]\nenv = [\"ANTHROPIC_API_KEY\"]\n"),
            "which Truing passes to no MCP server",
        ),
        (
            format!("{command}tools = [\"a\"]\nenv = [\"GITHUB_TOKEN\"]\n"),
            "which Truing passes to no MCP server",
        ),
        (format!("{command}tools = [\"a\"]\nenv = [\"NOT_SET\"]\n"), "NOT_SET is not set"),
        (
            format!("{command}tools = [\"a\"]\nread = [\"/no/such/folder\"]\n"),
            "is not the full path of an existing folder",
        ),
        (format!("{command}tools = [\"a\"]\ntimeout = \"1d\"\n"), "mcp.docs.timeout"),
        (format!("{command}tools = [\"a\"]\nmax_output = 1000000\n"), "mcp.docs.max_output"),
        (
            "url = \"https://example.org\"\ntools = [\"a\"]\ntoken = { env = \"GONE\" }\n".into(),
            "variable GONE is not set",
        ),
        (
            "url = \"https://example.org\"\ntools = [\"a\"]\nheaders = { X-Key = { env = \"GONE\" } }\n"
                .into(),
            "mcp.docs.headers.\"X-Key\": variable GONE is not set",
        ),
        (
            format!(
                "{command}tools = [\"a\"]\nenv = [\"OLD\"]\n[forge.github]\nprevious_marker_keys = [{{ env \
                 = \"OLD\" }}]\n"
            ),
            "OLD contains a credential",
        ),
        (
            format!(
                "{command}tools = [\"a\"]\nenv = [\"KEY\"]\n[mcp.z]\nurl = \"https://example.org\"\ntools = \
                 [\"a\"]\nheaders = {{ X-Key = {{ env = \"KEY\" }} }}\n"
            ),
            "KEY contains a credential",
        ),
    ] {
        let scene = Scene::from_answers([]).with_config(&format!("[mcp.docs]\n{config}"));
        let ran = scene.review(&[]);
        assert!(ran.exit == 2 && ran.err.contains(said), "{config}: {} {}", ran.exit, ran.err);
        assert_eq!(scene.model.request_log().len(), 0, "{config}");
    }

    let scene = Scene::from_answers([]);
    scene.place.write(".truing.toml", "[mcp.docs]\ncommand = [\"sh\"]\ntools = [\"a\"]\n");
    scene.place.commit("configured");
    let ran = scene.review(&[]);
    assert!(ran.exit == 2 && ran.err.contains("operator"), "{} {}", ran.exit, ran.err);
}
