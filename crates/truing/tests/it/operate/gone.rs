//! Tests of a server whose database is deleted or renamed while it runs, and of commands without a database.

use std::path::PathBuf;

use super::visible::http_get;
use super::*;

impl Site {
    /// Runs a command that must fail. Returns the exit code, and the text on standard error joined into one
    /// line.
    fn run_refused(&self, arguments: &[&str]) -> (i32, String) {
        let ran = self.run(arguments);
        assert_ne!(ran.exit, 0, "{arguments:?} {ran:?}");
        (ran.exit, ran.err.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A bind mount of one file over another file, which is removed when the value is dropped.
struct Mount(PathBuf);

impl Mount {
    fn bind(file: &Path, mount_point: &Path) -> Option<Self> {
        std::fs::write(mount_point, "").unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.arg("--bind").args([file, mount_point]).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(mount_point.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_under_the_server_is_told_at_once_and_not_made_anew() {
    let site = Site::new().await;
    let server = site.serve();
    let (path, aside) = (database(site.home.path()), site.home.path().join("aside.db"));
    assert_eq!(http_get(&server.url, "/readyz").0, 200);
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(http_get(&server.url, "/readyz").0, 503, "an answer of before is none now");
    let served = format!("served by process {}, listening on 127.0.0.1:", server.child.id());
    for command in [&["queue", "list"][..], &["kill", "on"], &["kill", "status"], &["report"], &["serve"]] {
        let (exit, told) = site.run_refused(command);
        assert!(exit == 3 && told.contains("was deleted") && told.contains(&served), "{command:?} {told}");
        assert_eq!(command == ["kill", "on"], told.contains("send SIGTERM to `truing"), "{told}");
    }
    assert!(!path.exists(), "a new one would be read by nobody");
    std::fs::write(&path, "").unwrap();
    let (exit, told) = site.run_refused(&["kill", "on"]);
    assert!(exit == 3 && told.contains("replaced a database") && told.contains(&served), "{told}");
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(http_get(&server.url, "/readyz").0, 200);
    assert_eq!(site.run(&["kill", "on"]).exit, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_told_where_the_first_one_really_listens() {
    let site = Site::new().await;
    let server = site.serve();
    let address = server.url.strip_prefix("http://").unwrap();
    let (exit, told) = site.run_refused(&["serve"]);
    assert!(exit == 4 && told.contains(&format!("listening on {address};")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_database_that_is_said_and_only_the_switch_makes_one() {
    let site = Site::new().await;
    let path = database(site.home.path());
    let absent = "there is no database at ";
    for command in [&["queue", "list"][..], &["kill", "status"], &["kill", "off"], &["log"], &["report"]] {
        let ran = site.run(command);
        let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.exit == 0 && told.contains(absent), "{command:?} {ran:?}");
        assert!(!path.exists(), "{command:?}");
    }
    let on = site.run(&["kill", "on"]);
    let told = on.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        on.exit == 0
            && told.contains("there was no database at ")
            && told.contains("the command created the database"),
        "{on:?}"
    );
    let again = site.run(&["kill", "on"]);
    assert!(again.exit == 0 && !again.err.contains("database"), "{again:?}");
    assert!(!site.run(&["queue", "list"]).err.contains(absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_database_is_opened_by_no_command_that_has_another_name_of_it() {
    let site = Site::new().await;
    let server = site.serve();
    let (path, other) = (database(site.home.path()), site.home.path().join("other.db"));
    let Some(_mount) = Mount::bind(&path, &other) else {
        eprintln!("skipped: this process may not mount");
        return;
    };
    let file = site.home.path().join("truing.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("[store]\nurl = \"sqlite:{}\"\n{config}", other.display())).unwrap();
    for command in [&["kill", "on"][..], &["queue", "list"], &["serve"]] {
        let (exit, told) = site.run_refused(command);
        let words = "is already served under another name";
        assert!(exit == if command == ["serve"] { 4 } else { 3 }, "{command:?} {told}");
        assert!(told.contains(words), "{command:?} {told}");
        assert!(!site.home.path().join("other.db-wal").exists(), "{command:?}: it was opened");
    }
    std::fs::write(&file, config).unwrap();
    assert!(site.run(&["kill", "status"]).out.starts_with("The kill switch is off"));
    drop(server);
}
