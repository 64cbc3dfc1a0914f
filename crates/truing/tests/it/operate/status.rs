//! Tests of `truing status` while a server runs.

use super::*;

/// Repeats the command until its exit code is `exit` and its output contains this text.
pub(super) async fn wait_for_status(site: &Site, server: &Server, exit: i32, text: &str) -> Ran {
    let address = server.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        look.tick().await;
        let mut command = site.command(&["status"]);
        let ran = Ran::from(command.env("TRUING_SERVER__LISTEN", address).output().unwrap());
        if ran.exit == exit && ran.out.contains(text) {
            return ran;
        }
        assert!(Instant::now() < deadline, "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_what_it_sees_and_that_the_forge_refuses_its_token() {
    let site = Site::new().await.ignore_existing_pulls();
    site.open_clean("one").await;
    let server = site.serve();
    let ran = wait_for_status(&site, &server, 0, "github: 1 repository, 1 open pull request (counted").await;
    assert!(ran.out.contains("\nqueue: 0 waiting, 0 running\n"), "{ran:?}");
    assert!(ran.out.contains("opened before the first sweep are not reviewed"), "{ran:?}");
    let view = site.repo.pull(1).await.unwrap();
    assert!(view.comments.is_empty() && view.statuses.is_empty(), "it was open before the first contact");
    drop(server);

    site.forge.revoke_token(TOKEN);
    let server = site.serve();
    wait_for_status(&site, &server, 1, "github: refuses the token").await;
    // This command reads the address of the server from the server's lock file.
    for format in ["text", "json"] {
        let listed = site.run(&["queue", "list", "--format", format]);
        let told = "warning: github refuses the token: no sweep runs; ";
        assert!(listed.exit == 0 && listed.err.starts_with(told), "{listed:?}");
        assert!(!listed.out.contains("refuses"), "{listed:?}");
    }
    drop(server);
    assert_eq!(site.run(&["queue", "list"]).err, "", "nobody knows it without a server");
    let ran = site.run(&["status"]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(ran.err.contains("no server answers"), "{ran:?}");
}
