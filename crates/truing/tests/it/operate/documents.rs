//! Runs the commands in the documentation literally. Also tests the configuration lines that Truing suggests
//! for an unknown forge.

use super::*;

/// Returns the commands in the first console block of a document.
fn first_block_commands(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(crate::support::readme::repository_root().join(document)).unwrap();
    let (_, block) = text.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_that_the_documentation_shows_serve_a_pull_request() {
    let site = Site::new().await;
    let here = tempfile::tempdir().unwrap();
    // These variables make the commands use the fake forge and short times; all else is as in the document.
    let url = site.forge.base_url().to_owned();
    let mut variables = vec![
        ("HOME".to_owned(), here.path().display().to_string()),
        ("PATH".to_owned(), std::env::var("PATH").unwrap()),
        ("TRUING_FORGE__GITHUB__API_URL".to_owned(), url.clone()),
        ("TRUING_FORGE__GITHUB__GIT_URL".to_owned(), url),
        ("TRUING_SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("TRUING_SERVER__POLL".to_owned(), "50ms".to_owned()),
        ("TRUING_REVIEW__DEBOUNCE".to_owned(), "100ms".to_owned()),
    ];
    let mut server = None;
    for step in first_block_commands("docs/serve.md") {
        let step = step.split("  #").next().unwrap().trim().to_owned();
        match step.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["export", set @ ..] => variables.extend(set.iter().map(|one| {
                let name = one.split_once('=').unwrap().0;
                let value = if name.contains("SECRET") { SECRET } else { TOKEN };
                (name.to_owned(), value.to_owned())
            })),
            ["truing", arguments @ ..] => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
                command.args(arguments).env_clear().envs(variables.clone()).current_dir(here.path());
                command.stdin(Stdio::null());
                if arguments.last() == Some(&"serve") {
                    server = Some(site.serve_by(&mut command));
                } else {
                    let ran = Ran::from(command.output().unwrap());
                    assert_eq!(ran.exit, 0, "{step}: {ran:?}");
                }
            }
            _ => panic!("the documentation shows a step that this test does not know: {step}"),
        }
    }
    let server = server.unwrap();
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_an_unknown_forge_shows_lead_to_a_review() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let empty = site.home.path().join("truing.toml");
    std::fs::write(&empty, "").unwrap();
    let page = site.page(number);
    let review = |token: Option<&str>| {
        let mut command = site.command(&["review", "--pr", &page]);
        command.env_remove("GITHUB_TOKEN").envs(token.map(|name| (name, TOKEN)));
        Ran::from(command.output().unwrap())
    };
    let unknown = review(None);
    assert_eq!(unknown.exit, 2, "{unknown:?}");
    let hints: Vec<&str> = unknown.err.lines().filter(|line| line.starts_with("hint: ")).collect();
    let [hint] = hints.as_slice() else { panic!("{unknown:?}") };
    assert!(hint.contains("`truing --config truing.toml config show`"), "{hint}");
    let lines: Vec<&str> = unknown.err.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    // The API of the fake forge is at the root of its address, not at `/api/v3`.
    std::fs::write(&empty, lines.join("\n").replace("/api/v3", "")).unwrap();
    let token = hint.rsplit(' ').next().unwrap();
    let reviewed = review(Some(token));
    assert!(reviewed.exit == 1 && reviewed.out.contains("2 | breakpoint()"), "{reviewed:?}");
    let without = review(None);
    assert!(without.exit == 2 && without.err.contains(token), "{without:?}");
}

/// Documented commands that this test does not run. Each entry consists of the beginning of the command, and
/// of the test that runs it or the reason why no test can.
const ELSEWHERE: [(&str, &str); 21] = [
    ("claude mcp", "the program `claude` asks for an account"),
    ("truing --config examples/aiobotocore/truing.toml sync decide", "online::examples, and examples"),
    ("truing --config truing.toml mcp serve", "operate::mcp"),
    ("truing --config truing.toml serve", "the_steps_that_the_documentation_shows_serve_a_pull_request"),
    ("truing completions", "command_line"),
    ("truing converge", "converge"),
    ("truing demo", "demo"),
    ("truing init", "the_steps_that_the_documentation_shows_serve_a_pull_request"),
    ("truing man", "command_line"),
    ("truing preflight", "converge::preflight"),
    ("truing queue drop", "operate::again"),
    ("truing review --fix", "review::fix"),
    ("truing review --from ruff.sarif", "review::from"),
    ("truing retract", "operate::retract"),
    ("truing review --pr", "operate::pull and operate::from"),
    ("truing review 7", "operate::pull"),
    ("truing review main..topic", "review::input"),
    ("truing review https:", "operate::pull"),
    ("truing rules test", "rules"),
    ("truing sync", "sync and sync_run"),
    ("truing verify", "verify"),
];

/// Returns all commands in the console blocks of a document, in order.
fn documented_commands(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap();
    let blocks =
        text.split("\n```console\n").skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned());
    let lines: Vec<String> = blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let shown = lines.iter().filter_map(|line| line.strip_prefix("$ "));
    shown.map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documents_runs_or_has_its_reason() {
    let top = crate::support::readme::repository_root();
    let mut documents = vec![top.join("README.md")];
    for folder in ["docs", "docs/runbooks", "docs/rules"] {
        let files = std::fs::read_dir(top.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        documents.extend(files.filter(|file| file.extension().is_some_and(|ending| ending == "md")));
    }
    documents.sort();
    let site = Site::new().await;
    let server = site.serve();
    let number = site.open("one").await;
    site.deliver().await;
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.signal("-TERM");
    server.wait_for_end();
    let git = "git init -q -b main . && git config user.name a && git config user.email a@b.example && \
               for each in $(seq 22); do git commit -q --allow-empty -m \"$each\"; done";
    let mut shell = Command::new("sh");
    assert!(shell.args(["-c", git]).current_dir(site.home.path()).status().unwrap().success());
    let (mut ran, mut used) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for document in &documents {
        for command in documented_commands(document) {
            if let Some((beginning, _)) =
                ELSEWHERE.iter().find(|(beginning, _)| command.starts_with(beginning))
            {
                used.insert(*beginning);
                continue;
            }
            let Some(arguments) = command.strip_prefix("truing ") else { continue };
            if !ran.insert(command.clone()) {
                continue;
            }
            let line = arguments
                .replace("--config truing.toml ", "")
                .replace("owner/name#7", &format!("o/r#{number}"));
            let program = site.command(&[]);
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("exec \"$0\" --config truing.toml {line}"));
            shell.arg(program.get_program()).env_clear().current_dir(site.home.path()).stdin(Stdio::null());
            shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let ended = Ran::from(shell.output().unwrap());
            assert!(ended.exit <= 1, "{}: {command}: {ended:?}", document.display());
        }
    }
    let unused: Vec<&str> = ELSEWHERE
        .iter()
        .map(|(beginning, _)| *beginning)
        .filter(|beginning| !used.contains(beginning))
        .collect();
    assert!(unused.is_empty() && ran.len() > 20, "no document shows {unused:?}; {ran:?}");
}
