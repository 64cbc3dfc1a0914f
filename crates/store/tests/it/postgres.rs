//! Runs a real PostgreSQL from the system's packages. All tests of this program share one server, with a
//! separate database for each test. The server stops when the program exits, even if the program is killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The server, which listens on a socket in a temporary folder and on loopback.
pub(crate) struct Server {
    folder: PathBuf,
    bin: PathBuf,
    /// The TCP port of the server on loopback.
    pub(crate) port: u16,
}

/// Shell script that creates the server's folder, runs the server until its standard input is closed, and
/// deletes the folder.
const LIFE: &str = r#"
folder=$(mktemp -d /tmp/truing-server.XXXXXX) && cd "$folder" || exit 1
"$1/initdb" -D data -U truing -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
printf '%s\n' 'host all guarded 127.0.0.1/32 scram-sha-256' 'host all all 127.0.0.1/32 trust' 'local all all trust' >data/pg_hba.conf
"$1/postgres" -D data -k "$folder" -c fsync=off -c full_page_writes=off \
    -p "$2" -c listen_addresses=127.0.0.1 -c max_connections=400 -c max_pred_locks_per_transaction=256 >server.log 2>&1 &
echo "$folder"
cat >/dev/null
kill -INT $! && wait
rm -rf "$folder"
"#;

impl Server {
    /// Returns the server that all tests of this program share.
    pub(crate) fn shared_server() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// Starts a separate server.
    pub(crate) fn start() -> Self {
        let bin = programs_folder();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // PostgreSQL refuses to run as root, so root runs the script as the user `postgres`.
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n");
        let mut command = if is_root { Command::new("runuser") } else { Command::new("sh") };
        if is_root {
            command.args(["-u", "postgres", "--", "sh"]);
        }
        command.args(["-c", LIFE, "sh"]).arg(&bin).arg(port.to_string());
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut folder = String::new();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut said, &mut folder).unwrap();
        // The standard input of the script stays open until this program exits.
        std::mem::forget(child);
        let server = Self { folder: PathBuf::from(folder.trim()), bin, port };
        assert!(server.folder.is_dir(), "PostgreSQL did not start: {folder:?}");
        let deadline = Instant::now() + Duration::from_secs(120);
        while !server.psql("postgres", &["SELECT 1"]).1 {
            assert!(Instant::now() < deadline, "PostgreSQL does not answer");
            std::thread::yield_now();
        }
        server
    }

    /// Creates a database and returns its name.
    pub(crate) fn new_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (said, done) = self.psql("postgres", &[&format!("CREATE DATABASE {name}")]);
        assert!(done, "{said}");
        name
    }

    /// Returns the URL of a database, in the form of Truing's configuration.
    pub(crate) fn url(&self, database: &str) -> String {
        let host = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://truing@{host}:{}/{database}?sslmode=disable", self.port)
    }

    /// Executes statements one by one. Returns their output, and true if all succeeded.
    pub(crate) fn psql(&self, database: &str, statements: &[&str]) -> (String, bool) {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "truing", "-d", database, "-h"]);
        command
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()])
            .env("PGOPTIONS", "-c search_path=truing,public");
        for statement in statements {
            command.args(["-c", statement]);
        }
        let said = command.output().unwrap();
        let text = [said.stdout, said.stderr].concat();
        (String::from_utf8(text).unwrap(), said.status.success())
    }
}

/// Returns the folder with the programs of the newest installed version.
fn programs_folder() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter(|entry| entry.path().join("bin/initdb").is_file()).max_by_key(|entry| {
        entry.file_name().to_str().and_then(|version| version.parse::<u32>().ok()).unwrap_or(0)
    });
    match newest {
        Some(version) => version.path().join("bin"),
        None => {
            let found = Command::new("pg_config").arg("--bindir").output();
            let found = found
                .expect("tests need PostgreSQL: `apt-get install postgresql`, or run `cargo xtask test`");
            Path::new(String::from_utf8(found.stdout).unwrap().trim()).to_owned()
        }
    }
}
