//! Creates stores with many records, and runs the program's commands on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::fill::{self, StoreSize};
use super::{BenchPrograms, run_with_input};
use crate::bench::stores::{self, StoreServers};
use crate::workspace;

/// Tables whose rows are counted as records.
const TABLES: [&str; 16] = [
    "run",
    "finding",
    "desired",
    "status",
    "effect",
    "described",
    "event",
    "repository",
    "comment_seen",
    "dismissal",
    "audit",
    "notice",
    "level",
    "reservation",
    "draw",
    "job",
];

/// The database or databases that contain a store.
enum StoreBackend {
    File(PathBuf),
    Servers(Box<StoreServers>),
}

/// A store that is measured, with the program and its configuration.
pub(super) struct MeasuredStore {
    backing: StoreBackend,
    config: PathBuf,
    program: PathBuf,
    /// The home folder of the program, which also contains its local files.
    home: PathBuf,
}

impl MeasuredStore {
    /// Creates a store file with slots. If `size` is given, the file also gets records. The folder must not
    /// contain a store file yet.
    pub(super) fn create_file_store(
        tools: &BenchPrograms<'_>,
        folder: &Path,
        size: Option<&StoreSize>,
        slots: u64,
    ) -> Result<Self> {
        let file = folder.join("truing.db");
        let section = format!("[store]\nurl = \"sqlite:{}\"\n", file.display());
        let served = Self::new(tools, folder, "sqlite.toml", &section, StoreBackend::File(file))?;
        served.create_empty_store()?;
        // The file is filled without a journal, because a file that could not be filled is not used.
        let mut sql = String::from(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; BEGIN;\n",
        );
        if let Some(size) = size {
            sql += &fill::fill_statements(size)?;
        }
        sql += &fill::slot_statements(slots, tools.now)?;
        sql += "COMMIT; PRAGMA journal_mode = WAL;\n";
        served.fill(&sql)?;
        Ok(served)
    }

    /// Starts servers with records and slots. The program itself copies the slots from a store file, so the
    /// slots have the format that the program writes.
    pub(super) fn start_server_store(
        tools: &BenchPrograms<'_>,
        folder: &Path,
        size: &StoreSize,
        slots: u64,
    ) -> Result<Self> {
        let file = Self::create_file_store(tools, folder, None, slots)?;
        let served = Self::start_empty_servers(tools, folder)?;
        let (from, to) = (file.url(), served.url());
        workspace::command_output(&mut served.command(&["store", "migrate", "--from", &from, "--to", &to]))?;
        // For speed, foreign keys are not checked for each row. The statistics are updated explicitly at the
        // end, because the server would update them only later.
        let mut sql = String::from(
            "SET search_path = truing; SET synchronous_commit = off; SET session_replication_role = \
             replica;\n",
        );
        sql += &fill::fill_statements(size)?;
        sql += "VACUUM ANALYZE;\n";
        served.fill(&sql)?;
        Ok(served)
    }

    /// Starts servers without data.
    pub(super) fn start_empty_servers(tools: &BenchPrograms<'_>, folder: &Path) -> Result<Self> {
        let servers = stores::start_servers(tools.redis, folder)?;
        let section = format!("{}[forge.github]\n{}", servers.store_section, servers.marker_key_line);
        Self::new(tools, folder, "servers.toml", &section, StoreBackend::Servers(Box::new(servers)))
    }

    fn new(
        tools: &BenchPrograms<'_>,
        folder: &Path,
        config: &str,
        section: &str,
        backing: StoreBackend,
    ) -> Result<Self> {
        let config = folder.join(config);
        std::fs::write(&config, section).context("cannot write the configuration")?;
        let home = folder.join("home");
        std::fs::create_dir_all(&home)?;
        Ok(Self { backing, config, program: tools.program.clone(), home })
    }

    /// Runs commands of the program that create an empty store.
    fn create_empty_store(&self) -> Result<()> {
        for turn in ["on", "off"] {
            workspace::command_output(&mut self.command(&["kill", turn]))?;
        }
        Ok(())
    }

    /// Returns a command that runs the program on this store.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--quiet").args(arguments).arg("--config").arg(&self.config);
        command.env("HOME", &self.home).env("TRUING_STORE__FOLDER", &self.home).current_dir(&self.home);
        if let StoreBackend::Servers(servers) = &self.backing {
            command.env(servers.marker_key_variable.0, servers.marker_key_variable.1);
        }
        command
    }

    pub(super) fn name(&self) -> &'static str {
        match self.backing {
            StoreBackend::File(_) => "SQLite",
            StoreBackend::Servers(_) => "Redis and PostgreSQL",
        }
    }

    /// Returns the address of the store, as `truing store` accepts it.
    pub(super) fn url(&self) -> String {
        match &self.backing {
            StoreBackend::File(file) => format!("sqlite:{}", file.display()),
            StoreBackend::Servers(servers) => {
                format!("{},{}", servers.slots_address, servers.records_address)
            }
        }
    }

    /// Returns the file, or the addresses of both servers.
    pub(super) fn addresses(&self) -> Vec<String> {
        match &self.backing {
            StoreBackend::File(file) => vec![file.display().to_string()],
            StoreBackend::Servers(servers) => {
                vec![servers.slots_address.clone(), servers.records_address.clone()]
            }
        }
    }

    /// Returns the engine's command-line client, which reads SQL statements from its input.
    fn client_command(&self) -> Result<Command> {
        Ok(match &self.backing {
            StoreBackend::File(file) => {
                let mut client = Command::new("sqlite3");
                client.args(["-batch", "-bail"]).arg(file);
                client
            }
            StoreBackend::Servers(servers) => {
                let mut client = Command::new(stores::find_postgres_programs()?.join("psql"));
                client.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &servers.records_address]);
                client
            }
        })
    }

    fn fill(&self, sql: &str) -> Result<()> {
        run_with_input(&mut self.client_command()?, sql)
            .context("the store cannot be filled (SQLite: Debian's package sqlite3)")
    }

    fn query(&self, sql: &str) -> Result<String> {
        let mut client = self.client_command()?;
        match &self.backing {
            StoreBackend::File(_) => client.arg(sql),
            StoreBackend::Servers(_) => client.args(["-c", sql]),
        };
        workspace::command_output(&mut client)
    }

    /// Returns the names of all tables that have rows, each with the number of its rows.
    pub(super) fn table_counts(&self) -> Result<Vec<(&'static str, u64)>> {
        let schema = match self.backing {
            StoreBackend::File(_) => "",
            StoreBackend::Servers(_) => "truing.",
        };
        let count = |table: &'static str| -> Result<(&'static str, u64)> {
            let count_text = self.query(&format!("SELECT count(*) FROM {schema}{table}"))?;
            Ok((table, count_text.trim().parse().with_context(|| format!("{table}: {count_text}"))?))
        };
        let counts: Vec<(&'static str, u64)> = TABLES.into_iter().map(count).collect::<Result<_>>()?;
        Ok(counts.into_iter().filter(|(_, rows)| *rows > 0).collect())
    }

    /// Returns the number of bytes on the disk that the records use, including their indexes.
    pub(super) fn disk_bytes(&self) -> Result<u64> {
        match &self.backing {
            StoreBackend::File(file) => Ok(std::fs::metadata(file)?.len()),
            StoreBackend::Servers(_) => {
                let size_text = self.query("SELECT pg_database_size(current_database())")?;
                size_text.trim().parse().with_context(|| format!("no size: {size_text}"))
            }
        }
    }
}
