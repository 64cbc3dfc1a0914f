//! A real Redis or Valkey, from the system's packages: one server for this program, which ends with it however it ends, and one
//! database a test.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The server, on loopback.
pub(crate) struct SlotServer {
    pub(crate) port: u16,
}

/// Runs the server until the pipe at its input ends, and leaves nothing behind.
const LIFE: &str = r#"
folder=$(mktemp -d /tmp/truing-server.XXXXXX) && cd "$folder" || exit 1
program=$(command -v valkey-server || command -v redis-server) || exit 1
"$program" --port "$1" --bind 127.0.0.1 --save '' --appendonly no --databases 4096 >server.log 2>&1 &
cat >/dev/null
kill $! && wait
rm -rf "$folder"
"#;

impl SlotServer {
    /// The server of this program.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<SlotServer> = OnceLock::new();
        // Its input stays open for as long as this program lives.
        SERVER.get_or_init(|| {
            let (server, process) = Self::start();
            std::mem::forget(process);
            server
        })
    }

    /// A server of one's own, which ends with the input of this process.
    pub(crate) fn start() -> (Self, Child) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("sh");
        command.args(["-c", LIFE, "sh", &port.to_string()]).stdin(Stdio::piped());
        let process = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "no Redis or Valkey: `apt-get install redis-server`, or run `cargo xtask test`"
            );
            std::thread::yield_now();
        }
        (Self { port }, process)
    }

    /// A database that nothing is in.
    pub(crate) fn new_database() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The address of a database, as it is configured.
    pub(crate) fn url(&self, database: u32) -> String {
        format!("valkey://127.0.0.1:{}/{database}", self.port)
    }

    /// Carries out a command by hand; its answer as text.
    pub(crate) fn by_hand(&self, database: u32, arguments: &[&str]) -> String {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/{database}", self.port)).unwrap();
        let (command, rest) = arguments.split_first().unwrap();
        let mut asked = redis::cmd(command);
        for argument in rest {
            asked.arg(*argument);
        }
        let answer: redis::Value = asked.query(&mut client.get_connection().unwrap()).unwrap();
        redis::from_redis_value_ref(&answer).unwrap_or_else(|_| format!("{answer:?}"))
    }
}
