//! What `truing status` says of a running server.

use super::*;

/// Asks the server until it ends with this exit code.
async fn status(site: &Site, server: &Server, exit: i32) -> Ran {
    let address = server.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        look.tick().await;
        let mut command = site.command(&["status"]);
        let ran = Ran::of(command.env("TRUING_SERVER__LISTEN", address).output().unwrap());
        if ran.exit == exit && !ran.out.contains("not asked") && !ran.out.contains("not looked at yet") {
            return ran;
        }
        assert!(Instant::now() < deadline, "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_what_it_sees_and_that_the_forge_refuses_its_token() {
    let site = Site::new().await;
    let file = site.home.path().join("truing.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("existing = \"review\"\n", "")).unwrap();
    site.open_clean("one").await;
    let server = site.serve();
    let ran = status(&site, &server, 0).await;
    assert!(ran.out.contains("github: 1 repository, 1 open pull request\n"), "{ran:?}");
    assert!(ran.out.contains("before the first contact are left"), "{ran:?}");
    let view = site.repo.pull(1).await.unwrap();
    assert!(view.comments.is_empty() && view.statuses.is_empty(), "it was open before the first contact");
    drop(server);

    site.forge.revoke(TOKEN);
    let server = site.serve();
    let ran = status(&site, &server, 1).await;
    assert!(ran.out.contains("github: refuses the token"), "{ran:?}");
    drop(server);
    let ran = site.run(&["status"]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(ran.err.contains("no server answers"), "{ran:?}");
}
