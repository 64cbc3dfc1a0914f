//! The steps that a newcomer copies: README's "Serve", and the lines that an unknown forge shows.

use super::*;

/// The commands of the first block of a section of README.
fn steps(section: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let (_, section) = text.split_once(&format!("\n## {section}\n")).unwrap();
    let (_, block) = section.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_that_the_readme_shows_serve_a_pull_request() {
    let site = Site::new().await;
    let here = tempfile::tempdir().unwrap();
    // What a test must lead elsewhere; all else is as the steps leave it.
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
    for step in steps("Serve") {
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
                    let ran = Ran::of(command.output().unwrap());
                    assert_eq!(ran.exit, 0, "{step}: {ran:?}");
                }
            }
            _ => panic!("README shows a step that nobody knows: {step}"),
        }
    }
    let server = server.unwrap();
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.until(number, "reviewed", is_reviewed).await;
    server.signal("-TERM");
    let (status, log) = server.ended();
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
        Ran::of(command.output().unwrap())
    };
    let unknown = review(None);
    assert_eq!(unknown.exit, 2, "{unknown:?}");
    let hints: Vec<&str> = unknown.err.lines().filter(|line| line.starts_with("hint: ")).collect();
    let [hint] = hints.as_slice() else { panic!("{unknown:?}") };
    assert!(hint.contains("`truing --config truing.toml config show`"), "{hint}");
    let lines: Vec<&str> = unknown.err.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    // This forge has its API at its root.
    std::fs::write(&empty, lines.join("\n").replace("/api/v3", "")).unwrap();
    let token = hint.rsplit(' ').next().unwrap();
    let reviewed = review(Some(token));
    assert!(reviewed.exit == 1 && reviewed.out.contains("2 | breakpoint()"), "{reviewed:?}");
    let without = review(None);
    assert!(without.exit == 2 && without.err.contains(token), "{without:?}");
}
