//! Starts real servers of Redis or Valkey, and Sentinels, from the system's packages. Most tests share one
//! server, with a separate database for each test; other tests start separate servers. Every server stops
//! when this program ends, even if the program is killed.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The slot server, which listens on loopback.
pub(crate) struct SlotServer {
    pub(crate) port: u16,
    /// The shell script that runs the server; it stops the server when its standard input is closed.
    life: Child,
}

/// Shell script that runs the server until the pipe at its standard input is closed, and then deletes the
/// server's files.
const LIFE: &str = r#"
folder=$(mktemp -d /tmp/truing-server.XXXXXX) && cd "$folder" || exit 1
program=$(command -v valkey-server || command -v redis-server) || exit 1
printf '%s\n' "$1" >server.conf
"$program" server.conf $2 >server.log 2>&1 &
cat >/dev/null
kill -9 $! 2>/dev/null && wait
rm -rf "$folder"
"#;

impl SlotServer {
    /// Returns the server that all tests of this program share.
    pub(crate) fn shared_server() -> &'static Self {
        static SERVER: OnceLock<SlotServer> = OnceLock::new();
        SERVER.get_or_init(Self::start_separate)
    }

    /// Starts a separate server.
    pub(crate) fn start_separate() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_with_settings(port, &format!("port {port}\nsave \"\"\nappendonly no\ndatabases 4096"), "")
    }

    /// Starts a server with these settings; `kind` is `--sentinel` for a Sentinel.
    pub(crate) fn start_with_settings(port: u16, settings: &str, kind: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", LIFE, "sh", &format!("bind 127.0.0.1\n{settings}"), kind]);
        let server = Self { port, life: command.stdin(Stdio::piped()).spawn().unwrap() };
        let deadline = Instant::now() + Duration::from_secs(120);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "no Redis or Valkey: `apt-get install redis-server`, or run `cargo xtask test`"
            );
            std::thread::yield_now();
        }
        server
    }

    /// Returns the number of an empty database.
    pub(crate) fn new_database() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the URL of a database, in the form of Truing's configuration.
    pub(crate) fn url(&self, database: u32) -> String {
        format!("valkey://127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for SlotServer {
    fn drop(&mut self) {
        drop(self.life.stdin.take());
        let _ = self.life.wait();
    }
}
