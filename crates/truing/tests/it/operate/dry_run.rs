//! Tests of `truing serve --dry-run`, which shows what the service would do, and writes nothing.

use std::collections::BTreeMap;

use super::*;

/// Returns the path and the content of every file below a folder.
fn read_all_files(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                found.insert(path, content);
            }
        }
    }
    found
}

/// Runs `truing serve --dry-run` with these environment variables, and checks the exit code.
fn dry_run(site: &Site, variables: &[(&str, &str)], exit: i32) -> Ran {
    let mut command = site.command(&["serve", "--dry-run"]);
    let ran = Ran::from(command.envs(variables.iter().copied()).output().unwrap());
    assert_eq!(ran.exit, exit, "{ran:?}");
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
    ran
}

/// Creates a site with two repositories, each with two open pull requests.
async fn create_two_repositories() -> (Site, FakeRepo) {
    let site = Site::new().await.ignore_existing_pulls();
    let other = site.forge.create_repository("ada", "own", CommitBuilder::new("Begin")).await.unwrap();
    for repo in [&site.repo, &other] {
        for branch in ["one", "two"] {
            repo.push(branch, CommitBuilder::new("Work").write("b.py", "b = 1\n")).await.unwrap();
            repo.open_pull(NewPull::from_branch(branch)).await.unwrap();
        }
    }
    (site, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_start_would_do_and_writes_nothing() {
    let (site, other) = create_two_repositories().await;
    let before = read_all_files(site.home.path());
    let ran = dry_run(&site, &[], 0);
    let said = unwrap_lines(&ran.out);
    let all = "github: 2 repositories, 4 open pull requests, 4 not reviewed until they change or a review \
        is requested ";
    for part in [
        all,
        " o/r: 2 open pull requests, 2 not reviewed until they change or a review is requested ",
        " ada/own: 2 open pull requests, ",
        " webhooks: /webhooks/github ",
        " `forge.github.repositories` is not set: every repository that the token sees is served ",
        "/truing.db, which a start creates ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let ran = dry_run(&site, &[("TRUING_REVIEW__EXISTING", "review")], 0);
    assert!(
        ran.out.contains("github: 2 repositories, 4 open pull requests, 4 will be reviewed\n"),
        "{ran:?}"
    );
    let ran = dry_run(&site, &[("TRUING_FORGE__GITHUB__REPOSITORIES", "ADA/*")], 0);
    let said = unwrap_lines(&ran.out);
    assert!(said.contains("github: 1 repository, 2 open pull requests, 2 not reviewed until"), "{said}");
    assert!(
        said.contains("`forge.github.repositories` does not list 1 repository that the token sees"),
        "{said}"
    );

    let json = site.run(&["serve", "--dry-run", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    let forge = &json["forges"][0];
    let count = |name: &str| forge[name].as_u64().unwrap();
    assert_eq!((&forge["name"], &forge["state"]), (&"github".into(), &"up".into()), "{json}");
    let counts = ["open_pull_requests", "left_until_changed", "will_be_reviewed", "already_known"].map(count);
    assert_eq!((counts, forge["repositories"].as_array().unwrap().len()), ([4, 4, 0, 0], 2), "{json}");
    assert_eq!((&forge["webhooks"], &json["store"]["form"]), (&"/webhooks/github".into(), &Value::Null));

    assert_eq!(read_all_files(site.home.path()), before);
    for repo in [&site.repo, &other] {
        let view = repo.pull(1).await.unwrap();
        assert!(view.comments.is_empty() && view.statuses.is_empty(), "{view:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_the_records_know_also_beside_a_server() {
    let (site, _other) = create_two_repositories().await;
    let server = site.serve();
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let (known, said) = loop {
        look.tick().await;
        let said = unwrap_lines(&dry_run(&site, &[], 4).out);
        let known = said.contains("4 open pull requests, 4 known already");
        if known || Instant::now() > deadline {
            break (known, said);
        }
    };
    assert!(known, "{said}");
    let pid = server.child.id();
    assert!(
        said.contains(&format!("process {pid} is using the store: a start is refused until that")),
        "{said}"
    );
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));

    site.repo.push("one", CommitBuilder::new("More").write("c.py", "c = 1\n")).await.unwrap();
    let before = read_all_files(site.home.path());
    let said = unwrap_lines(&dry_run(&site, &[], 0).out);
    assert!(said.contains("4 open pull requests, 1 will be reviewed, 3 known already"), "{said}");
    assert_eq!(read_all_files(site.home.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_fails_where_a_start_would_fail() {
    let site = Site::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for variable in ["TRUING_SERVER__LISTEN", "TRUING_SERVER__METRICS_LISTEN"] {
        let ran = dry_run(&site, &[(variable, &address)], 3);
        assert!(ran.err.contains(&format!("cannot listen on {address}")), "{ran:?}");
    }
    let ran = dry_run(&site, &[("TRUING_STORE__URL", "sqlite:truing.toml/truing.db")], 3);
    assert!(ran.err.contains("truing.toml/truing.db: Not a directory"), "{ran:?}");
    let lock = format!("{}.lock", database(site.home.path()).display());
    std::fs::create_dir_all(lock).unwrap();
    for command in [&["serve", "--dry-run"][..], &["serve"]] {
        let ran = site.run(command);
        assert!(ran.exit == 3 && ran.err.contains("cannot lock "), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_of_the_model_the_hint_names_a_key_that_a_server_has() {
    let site = Site::new().await;
    for arguments in [&["serve", "--dry-run"][..], &["serve"]] {
        let mut command = site.command(arguments);
        let ran = Ran::from(command.env("TRUING_REVIEW__RUNTIME", "native").output().unwrap());
        assert!(ran.exit == 2 && ran.err.contains("`review.runtime = \"rules\"`"), "{ran:?}");
        assert!(!ran.err.contains("--runtime"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_ends_with_1_where_a_forge_refuses_or_is_away() {
    let site = Site::new().await;
    let away = [("TRUING_FORGE__GITHUB__API_URL", "http://127.0.0.1:9")];
    let ran = dry_run(&site, &away, 1);
    assert!(ran.out.starts_with("github: does not answer\n"), "{ran:?}");
    site.forge.revoke_token(TOKEN);
    let ran = dry_run(&site, &[], 1);
    assert!(ran.out.starts_with("github: refuses the token: replace the token\n"), "{ran:?}");
    let json = site.run(&["serve", "--dry-run", "--format", "json"]);
    let found: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.exit, &found["forges"][0]["state"]), (1, &"token_refused".into()));
    // A dry run refuses the same configurations as a start.
    let mut command = site.command(&["serve", "--dry-run"]);
    command.env_remove("GITHUB_WEBHOOK_SECRET").env_remove("GITHUB_TOKEN");
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.exit, 2, "{ran:?}");
    let all = ["GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET"].map(|name| format!("variable {name} is not set"));
    assert!(all.iter().all(|missing| ran.err.contains(missing)), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_twenty_repositories_and_counts_the_rest() {
    let site = Site::new().await;
    for number in 0..22 {
        site.forge
            .create_repository("ada", &format!("r{number}"), CommitBuilder::new("Begin"))
            .await
            .unwrap();
    }
    let ran = dry_run(&site, &[], 0);
    assert!(ran.out.contains("github: 23 repositories, 0 open pull requests"), "{ran:?}");
    assert!(ran.out.contains("\n  and 3 more\n"), "{ran:?}");
    assert_eq!(ran.out.matches("open pull requests").count(), 21, "{ran:?}");
}
