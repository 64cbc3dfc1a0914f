//! Tests of a server that gets one or two signals, is killed, runs in a single role, or has a full or damaged
//! disk. The server must exit in time, and leave neither a child process nor a temporary folder. The next
//! process continues its work.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::visible::http_get;
use super::*;

/// Number of consecutive checks that must find no listening socket.
const QUIET_LOOKS: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_neither_the_service_nor_its_end() {
    let site = Site::new().await;
    let mut child = site.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("/healthz") {
        log.read_line(&mut told).unwrap();
    }
    let host = told.split_once("health and metrics: http://").unwrap().1.split_once('/').unwrap().0;
    // The log has a line per request. All lines together exceed the buffer of a pipe that is not read.
    for _ in 0..600 {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "POST /webhooks/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut status = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 404");
    }
    let mut server = Server::from_child(child);
    server.signal("-TERM");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it waits for somebody to read its log");
        tokio::task::yield_now().await;
    };
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_json_or_what_is_asked_for() {
    let site = Site::new().await;
    for (arguments, is_json) in [
        (&["serve"][..], true),
        (&["serve", "--log-format", "json"], true),
        (&["serve", "--log-format", "text"], false),
    ] {
        let child = site.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut server = Server::from_child(child);
        let mut log = BufReader::new(server.child.stderr.take().unwrap());
        let mut next = |wanted: &str| {
            let mut line = String::new();
            while !line.contains(wanted) {
                line.clear();
                assert!(log.read_line(&mut line).unwrap() > 0, "{arguments:?}");
            }
            line
        };
        let told = next("health and metrics: http://");
        let host = told.split_once("http://").unwrap().1.split_once('/').unwrap().0;
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "POST /webhooks/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let line = next("delivery not taken");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), is_json, "{line}");
        // A text line starts with the time.
        assert!(is_json || line.starts_with("20") && line.contains("Z  WARN "), "{line}");
        server.signal("-TERM");
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_that_hangs_at_the_start_keeps_nobody_from_stopping_the_server() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let script = "printf '#!/bin/sh\ntouch \"$0.began\"\nexec tail -f /dev/null\n' > git && chmod 700 git";
    assert!(Command::new("sh").args(["-c", script]).current_dir(folder.path()).status().unwrap().success());
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let child = site.command(&["serve"]).env("PATH", path).stderr(Stdio::null()).spawn().unwrap();
    let mut server = Server::from_child(child);
    let deadline = Instant::now() + PATIENCE;
    while !folder.path().join("git.began").exists() {
        assert!(Instant::now() < deadline, "git was not asked");
        tokio::task::yield_now().await;
    }
    server.signal("-INT");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it waits for git");
        tokio::task::yield_now().await;
    };
    assert_eq!(status.code(), Some(130));
}

/// A folder with a script `git` that hangs in each fetch while the file `hang` exists.
struct HangingGit(TempDir);

impl HangingGit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let real =
            std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
        let here = folder.path().display();
        // A separate process writes the script. If this process wrote it, a child of another test could
        // inherit the open file, and the script could not be executed.
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = fetch ] && [ -e {here}/hang ]; then\n  tail -f /dev/null &\n  \
             echo $! > {here}/part && mv {here}/part {here}/pid\n  wait\nfi\nexec {} \"$@\"\n",
            real.display()
        );
        let mut writer = Command::new("/bin/sh")
            .args(["-c", "cat > \"$1\" && chmod 700 \"$1\"", "sh"])
            .arg(folder.path().join("git"))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        let git = Self(folder);
        git.set_hanging(true);
        git
    }

    fn set_hanging(&self, hang: bool) {
        let file = self.0.path().join("hang");
        let _ = std::fs::remove_file(self.0.path().join("pid"));
        if hang { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    }

    /// Returns the present `PATH` with the folder in front.
    fn path(&self) -> std::ffi::OsString {
        let old = std::env::var_os("PATH").unwrap();
        let folders = std::iter::once(self.0.path().to_owned()).chain(std::env::split_paths(&old));
        std::env::join_paths(folders).unwrap()
    }

    /// Waits until git hangs, and returns the id of the child process that the script has started.
    async fn wait_for_child(&self) -> String {
        let mut pid = String::new();
        wait_until("git hangs", || {
            pid = std::fs::read_to_string(self.0.path().join("pid")).unwrap_or_default().trim().to_owned();
            !pid.is_empty()
        })
        .await;
        pid
    }
}

/// Ensures that child processes do not ignore SIGHUP, even if `nohup` started the tests. A child inherits an
/// ignored signal. With a handler in this process, the signal is not ignored in the child.
fn enable_sighup() {
    drop(signal(SignalKind::hangup()).unwrap());
}

/// Returns true if the process is running. A zombie does not count as running.
pub(crate) fn is_running(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

pub(crate) async fn wait_until(label: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {label}");
        look.tick().await;
    }
}

impl Site {
    /// Returns the paths in the server's temporary folder.
    fn temp_entries(&self) -> Vec<PathBuf> {
        let mut folder = database(self.home.path()).into_os_string();
        folder.push(".tmp");
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Returns a command that starts the server, which ignores this signal.
    fn serve_command_ignoring(&self, signal: &str) -> Command {
        let truing = self.command(&["serve"]);
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("trap '' {signal}; exec \"$0\" \"$@\""));
        shell.arg(truing.get_program()).args(truing.get_args());
        shell.env_clear().current_dir(self.home.path()).stdin(Stdio::null());
        for (name, value) in truing.get_envs() {
            shell.env(name, value.unwrap());
        }
        shell
    }

    fn start_server_with_git(&self, git: &HangingGit) -> Server {
        self.serve_by(self.command(&["serve"]).env("PATH", git.path()))
    }
}

impl Server {
    /// Returns true if the process has a listening socket. The port itself is not checked, because another
    /// test may use it after the server has closed it.
    pub(crate) fn is_listening(&self) -> bool {
        let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let listening = |line: &&str| line.split_whitespace().nth(3) == Some("0A");
        let inode = |line: &str| Some(format!("socket:[{}]", line.split_whitespace().nth(9)?));
        let sockets: Vec<String> = all.lines().filter(listening).filter_map(inode).collect();
        let files =
            std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    }

    /// Waits until the server has stopped listening, which shows that it has handled the first signal. If the
    /// second signal was sent earlier, the kernel could merge it with the first one.
    pub(crate) async fn wait_until_not_listening(&self) {
        // The kernel returns its table of sockets in several parts. While other sockets change, a read may
        // miss the server's socket.
        let mut quiet = 0;
        wait_until("nobody listens any more", || {
            quiet = if self.is_listening() { 0 } else { quiet + 1 };
            quiet == QUIET_LOOKS
        })
        .await;
    }

    /// Sends a signal to the server, and a second one while the server stops. Returns the exit status and the
    /// output.
    async fn signal_twice(self, first: &str, second: &str) -> (ExitStatus, String) {
        self.signal(first);
        self.wait_until_not_listening().await;
        self.signal(second);
        let (status, log) = self.wait_for_end();
        assert!(log.contains("stopping immediately"), "it waits for its runs: {log}");
        (status, log)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_gives_back_what_hangs_and_leaves_nothing_behind() {
    enable_sighup();
    let (site, git) = (Site::new().await, HangingGit::new());
    let number = site.open("one").await;
    for (first, second, code) in [("-TERM", "-TERM", 0), ("-INT", "-TERM", 130), ("-HUP", "-INT", 0)] {
        let server = site.start_server_with_git(&git);
        if first == "-TERM" {
            assert_eq!(site.deliver().await, [202]);
        } // Later servers continue with the returned leases.
        let child = git.wait_for_child().await;
        assert!(!site.temp_entries().is_empty(), "it has its own place for what it makes");
        let (status, log) = server.signal_twice(first, second).await;
        assert_eq!(status.code(), Some(code), "{log}");
        assert_eq!(site.temp_entries(), Vec::<PathBuf>::new(), "{first} {second}");
        wait_until("no child is left", || !is_running(&child)).await;
        let slots: Value =
            serde_json::from_str(&site.run(&["slots", "list", "--format", "json"]).out).unwrap();
        assert_eq!((&slots[0]["state"], &slots[0]["attempts"]), (&"waiting".into(), &0.into()), "{slots}");
        git.set_hanging(true);
    }
    git.set_hanging(false);
    let _server = site.start_server_with_git(&git);
    site.wait_until(number, "reviewed", is_reviewed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_while_the_forge_says_nothing_posts_everything_once_afterwards() {
    let site = Site::new().await;
    let server = site.serve();
    let silent = ForgeFaultKind::Delay(Duration::from_secs(300));
    site.forge.add_fault(ForgeFault::on_call("POST", "/repos/{owner}/{repo}/pulls/{number}/reviews", silent));
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    wait_until("the review is being posted", || {
        site.forge.call_counts().contains_key("POST /repos/{owner}/{repo}/pulls/{number}/reviews")
    })
    .await;
    let (status, log) = server.signal_twice("-TERM", "-TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(site.temp_entries(), Vec::<PathBuf>::new());
    site.forge.clear_faults();
    let _server = site.serve();
    let view = site.wait_until(number, "reviewed", is_reviewed).await;
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 1), "{view:#?}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_left_is_removed_by_the_next() {
    let (site, git) = (Site::new().await, HangingGit::new());
    let server = site.start_server_with_git(&git);
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    let orphan = git.wait_for_child().await;
    server.signal("-KILL");
    server.wait_for_end();
    let left = site.temp_entries();
    assert!(!left.is_empty(), "nobody could remove it");
    assert!(Command::new("kill").args(["-KILL", &orphan]).status().unwrap().success(), "this test's own");

    git.set_hanging(false);
    let server = site.start_server_with_git(&git);
    let still: Vec<_> = left.iter().filter(|path| path.exists()).collect();
    assert_eq!(still, Vec::<&PathBuf>::new());
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
    assert_eq!(site.temp_entries(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_to_outlive_its_terminal_does() {
    let site = Site::new().await;
    let server = site.serve_by(&mut site.serve_command_ignoring("HUP"));
    server.signal("-HUP");
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_does_its_part_and_keeps_the_other_for_later() {
    let site = Site::new().await;
    let ingress = site.serve_with(&["serve", "--role", "ingress"]);
    let second = site.run(&["serve", "--role", "worker"]);
    assert_eq!(second.exit, 4, "one process serves: {second:?}");
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    let waits = |slots: &[Value]| slots.iter().any(|slot| slot["state"] == "waiting");
    site.wait_until_slots("taken", waits).await;
    ingress.signal("-TERM");
    let (status, log) = ingress.wait_for_end();
    assert_eq!(status.code(), Some(0));
    assert!(!log.contains("leased"), "{log}");

    // The worker role accepts no webhooks, so it needs no webhook secret.
    let worker =
        site.serve_by(site.command(&["serve", "--role", "worker"]).env_remove("GITHUB_WEBHOOK_SECRET"));
    site.wait_until(number, "reviewed", is_reviewed).await;
    site.open("two").await;
    assert_eq!(site.deliver().await, [404]);
    worker.signal("-TERM");
    assert_eq!(worker.wait_for_end().0.code(), Some(0));

    let wrong = site.run(&["serve", "--role", "half"]);
    assert_eq!((wrong.exit, wrong.err.contains("ingress")), (2, true), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_refuses_webhooks_and_loses_none() {
    let site = Site::new().await;
    // If SIGXFSZ is ignored, a write beyond the limit of the file size returns an error, like a write to a
    // full disk.
    let server = site.serve_by(&mut site.serve_command_ignoring("XFSZ"));
    let pid = Pid::from_raw(i32::try_from(server.child.id()).unwrap());
    let before = getrlimit(Resource::Fsize);
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(4096), ..before }).unwrap();
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [503]);
    assert_eq!(http_get(&server.url, "/readyz").0, 503);
    assert!(site.run(&["slots", "list", "--format", "json"]).out == "[]\n", "nothing half written");

    prlimit(pid, Resource::Fsize, before).unwrap();
    site.repo.push("one", CommitBuilder::new("more").write("b.py", "b = 1\n")).await.unwrap();
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;
    wait_until("it is ready again", || http_get(&server.url, "/readyz").0 == 200).await;
    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{log}");
    let said = log.lines().find(|line| line.contains("not ready")).unwrap();
    assert!(said.contains("check the disk") || said.contains("disk is full"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_named_and_not_served_from() {
    let site = Site::new().await;
    let server = site.serve();
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
    let path = database(site.home.path());
    // A checkpoint moves all data from the log to the database file.
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let whole = std::fs::read(&path).unwrap();
    let page = 4096;
    // The first page with the schema is intact; all other pages are damaged.
    let mut damaged = whole.clone();
    damaged.iter_mut().skip(page).for_each(|byte| *byte = !*byte);
    std::fs::write(&path, &damaged).unwrap();
    let refused = site.run(&["serve"]);
    assert_eq!(refused.exit, 3, "{refused:?}");
    assert!(refused.err.contains("truing.db") && refused.err.contains("restore a backup"), "{}", refused.err);
    assert_eq!(std::fs::read(&path).unwrap(), damaged, "it is left for whoever looks into it");
    // A single page is damaged, which SQLite does not read when it opens the database.
    for at in [whole.len() / 2 / page, whole.len() / page - 1] {
        let mut damaged = whole.clone();
        damaged[at * page..(at + 1) * page].fill(0xa5);
        std::fs::write(&path, &damaged).unwrap();
        let refused = site.run(&["serve"]);
        assert_eq!(refused.exit, 3, "page {at}: {refused:?}");
        assert!(
            refused.err.contains("truing.db") && refused.err.contains("restore a backup"),
            "{}",
            refused.err
        );
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "it is left for whoever looks into it");
    }

    std::fs::write(&path, whole).unwrap();
    let number = site.open("one").await;
    let _server = site.serve();
    site.deliver().await;
    site.wait_until(number, "reviewed", is_reviewed).await;
}
