//! Starts the database servers for slots and records that a measurement uses. The servers come from the
//! system's packages, and write to the disk as in a real deployment.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::process::{ChildProcess, free_port, wait_until};
use crate::workspace;

/// Starts Redis, or Valkey, with its data in a folder. The server confirms a write only after the write is on
/// the disk.
pub(super) fn start_redis(program: &Path, folder: &Path) -> Result<(ChildProcess, u16)> {
    let port = free_port()?;
    let mut process = ChildProcess::start(
        "redis",
        Command::new(program).current_dir(folder).args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--maxmemory-policy",
            "noeviction",
        ]),
    )?;
    wait_until(&mut process, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok((process, port))
}

/// The shell script that runs PostgreSQL. It creates the server's folder, runs the server until the script's
/// input ends, and removes the folder. The folder is below `/var/tmp`, which is on a disk and writable for
/// every user.
const POSTGRES_SCRIPT: &str = r#"
folder=$(mktemp -d /var/tmp/truing-bench.XXXXXX) && cd "$folder" || exit 1
"$1/initdb" -D data -U truing -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1 ||
    { cat initdb.log >&2; rm -rf "$folder"; exit 1; }
"$1/postgres" -D data -k "$folder" -p "$2" -c listen_addresses=127.0.0.1 -c max_connections=400 >server.log 2>&1 &
echo $!
cat >/dev/null
kill -INT $! && wait
cd / && rm -rf "$folder"
"#;

/// Starts PostgreSQL with an empty database. Returns the database's address in the format of the
/// configuration. The settings are PostgreSQL's defaults, except for a higher limit of connections, because
/// each process of a service opens up to 16.
pub(super) fn start_postgres() -> Result<(ChildProcess, String)> {
    let (bin, port) = (find_postgres_programs()?, free_port()?);
    // PostgreSQL refuses to run as root, so root starts it as another user.
    let is_root = workspace::command_output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = Command::new(if is_root { "runuser" } else { "sh" });
    if is_root {
        command.args(["-u", "postgres", "--", "sh"]);
    }
    command.args(["-c", POSTGRES_SCRIPT, "sh"]).arg(&bin).arg(port.to_string()).current_dir("/");
    // The shell gets its own process group. An interrupt at the terminal therefore does not stop the shell
    // before it has cleaned up.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let output = child.stdout.take().context("there is no standard output")?;
    let mut id = String::new();
    BufReader::new(output).read_line(&mut id)?;
    let Ok(id) = id.trim().parse() else {
        bail!("PostgreSQL did not start ({})", child.wait()?);
    };
    let mut process = ChildProcess::from_child("postgres", child, id);
    let address = port.to_string();
    wait_until(&mut process, || {
        let mut ask = Command::new(bin.join("pg_isready"));
        ask.args(["-q", "-h", "127.0.0.1", "-p", &address]).stdin(Stdio::null());
        ask.status().is_ok_and(|status| status.success())
    })?;
    Ok((process, format!("postgres://truing@127.0.0.1:{port}/postgres?sslmode=disable")))
}

/// Returns the folder with the programs of the newest installed PostgreSQL version.
pub(super) fn find_postgres_programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let bin = entry.path().join("bin");
        bin.join("initdb").is_file().then_some((version, bin))
    });
    if let Some((_, bin)) = programs.max() {
        return Ok(bin);
    }
    let bin_dir = workspace::command_output(Command::new("pg_config").arg("--bindir"));
    let bin_dir = bin_dir.context("PostgreSQL is needed: Debian's package postgresql has it")?;
    Ok(PathBuf::from(bin_dir.trim()))
}

/// The database servers that all processes of a deployment share.
pub(super) struct StoreServers {
    pub(super) processes: [ChildProcess; 2],
    /// Address of the slots; the next field is the address of the records.
    pub(super) slots_address: String,
    pub(super) records_address: String,
    /// A configuration's section `[store]` for these servers, without the key for the local folder.
    pub(super) store_section: String,
    /// The line for the forge's section of such a configuration. The next field is the environment variable
    /// to which this line refers.
    pub(super) marker_key_line: &'static str,
    pub(super) marker_key_variable: (&'static str, &'static str),
}

/// Starts both servers. Redis stores its data in `folder`.
pub(super) fn start_servers(program: &Path, folder: &Path) -> Result<StoreServers> {
    let (slots, port) = start_redis(program, folder)?;
    let (records, address) = start_postgres()?;
    let url = format!("valkey://127.0.0.1:{port}/0");
    Ok(StoreServers {
        processes: [slots, records],
        store_section: format!("[store]\nurl = \"{url}\"\nrecords = \"{address}\"\n"),
        slots_address: url,
        records_address: address,
        marker_key_line: "marker_key = { env = \"BENCH_MARKER_KEY\" }\n",
        marker_key_variable: ("BENCH_MARKER_KEY", "a key of the bench"),
    })
}

/// The size of a database, and its transactions so far.
pub(super) struct DatabaseStats {
    /// Number of rows of all our tables.
    pub(super) rows: u64,
    /// Size in bytes on the disk.
    pub(super) bytes: u64,
    /// Number of committed transactions; the next field is the number of rolled-back ones. Most rollbacks are
    /// caused by a conflict with another transaction.
    pub(super) commits: u64,
    pub(super) rollbacks: u64,
}

/// Reads the statistics of one of our databases.
pub(super) fn read_database_stats(records_address: &str) -> Result<DatabaseStats> {
    let sql = "SELECT sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM truing.%I', \
         tablename), false, true, '')))[1]::text::bigint), pg_database_size(current_database()), (SELECT \
         xact_commit FROM pg_stat_database WHERE datname = current_database()), (SELECT xact_rollback FROM \
         pg_stat_database WHERE datname = current_database()) FROM pg_tables WHERE schemaname = 'truing'";
    let mut ask = Command::new(find_postgres_programs()?.join("psql"));
    ask.args(["-X", "-q", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", records_address]);
    let stats_text = workspace::command_output(&mut ask)?;
    let numbers: Vec<u64> = stats_text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [rows, bytes, commits, rollbacks] = numbers[..] else {
        bail!("PostgreSQL returned no size, but {stats_text:?}");
    };
    Ok(DatabaseStats { rows, bytes, commits, rollbacks })
}
