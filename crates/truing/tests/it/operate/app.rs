//! Tests of the program as a GitHub App: its configuration, and secrets that must not occur in any output.

use truing_fakes::forge::{ForgeFault, ForgeFaultKind};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_configured_by_its_number_and_its_key_and_neither_key_nor_token_is_seen() {
    let site = Site::new().await;
    site.forge.revoke_token(TOKEN);
    let app = site.forge.register_app("truing").unwrap();
    site.forge.install(&app, "o");
    let file = site.home.path().join("truing.toml");
    let login = format!("app_id = {}\nprivate_key = {{ file = \"app.pem\" }}\n", app.id);
    let config = std::fs::read_to_string(&file).unwrap().replace("settle =", &format!("{login}settle ="));
    std::fs::write(&file, &config).unwrap();

    let missing = site.run(&["serve"]);
    assert_eq!(missing.exit, 2, "{missing:?}");
    assert!(
        missing.err.contains("forge.github.private_key: file ")
            && missing.err.contains("hint: use the private key")
    );
    let half = app.private_key.lines().take(9).collect::<Vec<_>>().join("\n");
    std::fs::write(site.home.path().join("app.pem"), half).unwrap();
    let broken = site.run(&["serve"]);
    assert_eq!(
        (broken.exit, broken.err.contains("not a complete private key in PEM form")),
        (2, true),
        "{broken:?}"
    );
    std::fs::write(site.home.path().join("app.pem"), &app.private_key).unwrap();
    let shown = site.run(&["config", "show"]);
    assert!(shown.out.contains(&app.id.to_string()), "{}", shown.out);

    let server = site.serve();
    for (name, kind) in [
        ("one", ForgeFaultKind::Status(401, None)),
        ("two", ForgeFaultKind::Status(403, None)),
        ("three", ForgeFaultKind::Truncated),
    ] {
        let change = CommitBuilder::new("debug").write("a.py", "a = 1\nbreakpoint()\n");
        site.repo.push(name, change).await.unwrap();
        let number = site.repo.open_pull(NewPull::from_branch(name)).await.unwrap();
        site.forge.add_fault(ForgeFault::on_call("GET", &format!("/repos/o/r/pulls/{number}$"), kind));
        assert_eq!(site.deliver().await, [202]);
        let view = site.wait_until(number, "reviewed", is_reviewed).await;
        assert!(view.comments.iter().all(|comment| comment.author == "truing[bot]"), "{view:#?}");
    }
    let page = format!("{}/o/r/pull/2", site.forge.base_url());
    let reason = site.run(&["why", &page]);
    let told = unwrap_lines(&reason.out);
    assert!(
        told.contains(
            "the token has no permission for this request (403): Forbidden (hint: give the \
        token permission to read"
        ),
        "{told}"
    );
    let reviewed = site.run(&["review", "--pr", &page, "--no-record"]);
    assert_eq!(reviewed.exit, 1, "{reviewed:?}");

    server.signal("-TERM");
    let (_, log) = server.wait_for_end();
    let kept = std::fs::read(database(site.home.path())).unwrap();
    let all = format!("{log} {reason:?} {reviewed:?} {shown:?} {missing:?} {broken:?}");
    let tokens = site.forge.issued_tokens();
    assert!(tokens.len() >= 2, "the server's and the command's");
    let line = app.private_key.lines().nth(3).unwrap();
    for secret in tokens.iter().map(String::as_str).chain([line, SECRET]) {
        assert!(!all.contains(secret), "{all}");
        assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
}
