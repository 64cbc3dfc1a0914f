//! Runs a real `PgBouncer` from the system's packages in front of the shared PostgreSQL. The pooler stops
//! when this program ends, even if the program is killed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Server;

/// A pooler, which listens on loopback.
pub(crate) struct Pooler {
    port: u16,
    /// The shell script that runs the pooler; it stops the pooler when its standard input is closed.
    life: Child,
}

/// Shell script that runs the pooler until the pipe at its standard input is closed, and then deletes the
/// pooler's files.
const LIFE: &str = r#"
PATH="$PATH:/usr/sbin"
folder=$(mktemp -d /tmp/truing-server.XXXXXX) && cd "$folder" || exit 1
printf '%s\n' "$1" >pgbouncer.ini
pgbouncer -q pgbouncer.ini >pooler.log 2>&1 &
cat >/dev/null
kill -9 $! 2>/dev/null && wait
rm -rf "$folder"
"#;

impl Pooler {
    /// Starts a pooler with these settings. Returns `None` if no `PgBouncer` is installed.
    pub(crate) fn start(settings: &str) -> Option<Self> {
        let installed =
            Command::new("sh").args(["-c", "PATH=\"$PATH:/usr/sbin\" command -v pgbouncer"]).output();
        if !installed.is_ok_and(|found| found.status.success()) {
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=truing\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\n{settings}",
            Server::shared_server().port
        );
        // PgBouncer refuses to run as root, so root runs the script as the user `postgres`.
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n");
        let mut command = if is_root { Command::new("runuser") } else { Command::new("sh") };
        if is_root {
            command.args(["-u", "postgres", "--", "sh"]);
        }
        command.args(["-c", LIFE, "sh", &configuration]).current_dir("/").stdin(Stdio::piped());
        let pooler = Self { port, life: command.spawn().unwrap() };
        let deadline = Instant::now() + Duration::from_secs(120);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "PgBouncer does not answer");
            std::thread::yield_now();
        }
        Some(pooler)
    }

    /// Returns the URL of a database behind the pooler.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://truing@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.life.stdin.take());
        let _ = self.life.wait();
    }
}
