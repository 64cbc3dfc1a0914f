//! Locates and opens the configured store: a SQLite file, or two database servers.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Access;
use rustix::io::Errno;
use tokio::runtime::Handle;
use truing_config::environment::Environment;
use truing_config::secret::{SecretSource, SecretText};
use truing_config::{Config, StoreLocationConfig};
use truing_loops::machine::SystemClock;
use truing_store::{
    PostgresConnectError, SchemaVersions, SqliteOpenError, Store, is_out_of_space, serving_process,
};

use crate::cli::error::CliError;

/// The location of a store, with the credentials to open it.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// Store in a SQLite file.
    File(PathBuf),
    /// Store on two database servers.
    Servers {
        /// URL of the server that stores slots.
        slots_url: SecretText,
        /// URL of the server that stores records.
        records_url: SecretText,
    },
}

/// An existing store that is opened only for reading.
pub struct StoreView {
    /// Store of the records: a copy of the file, or the database servers. None if there is no store, or if
    /// the records on the servers have an older schema.
    pub record_store: Option<Store>,
    /// Schema versions; none if there is no store.
    pub schema_versions: Option<SchemaVersions>,
}

impl StoreLocation {
    /// Returns the configured location.
    ///
    /// # Errors
    /// Returns exit 2 if no store is configured, or a secret cannot be read.
    pub fn from_config(config: &Config, environment: &Environment) -> Result<Self, CliError> {
        let read = |key: &str, secret: &SecretSource| {
            secret.read(environment).map_err(|error| {
                CliError::usage("no_store", format!("{key}: {error}"))
                    .hint("set the configured variable or file to the server's URL")
            })
        };
        match config.store.location()? {
            StoreLocationConfig::File(path) => Ok(Self::File(path.clone())),
            StoreLocationConfig::Servers {
                slots_url: slots,
                records_url: records,
                passwords: [of_slots, of_records],
            } => {
                let url =
                    |key: &str, url: &SecretSource, password_key: &str, password: &Option<SecretSource>| {
                        let url = read(key, url)?;
                        register_passwords(url.expose());
                        let password =
                            password.as_ref().map(|password| read(password_key, password)).transpose()?;
                        Ok::<_, CliError>(
                            password.map_or(url.clone(), |password| insert_password(&url, &password)),
                        )
                    };
                Ok(Self::Servers {
                    slots_url: url("store.url", slots, "store.password", of_slots)?,
                    records_url: url("store.records", records, "store.records_password", of_records)?,
                })
            }
        }
    }

    /// Parses the location that the user names: `sqlite:PATH`, or the URLs of two servers, separated by a
    /// comma. Relative paths start at `folder`.
    ///
    /// # Errors
    /// Returns exit 2 if the text is invalid. The message does not repeat the text, since the text may
    /// contain passwords.
    pub fn parse(url: &str, folder: &Path) -> Result<Self, CliError> {
        let wrong = || {
            CliError::usage(
                "bad_value",
                "the store must be `sqlite:PATH`, or `valkey://HOST:PORT/DB,postgres://USER@HOST/DATABASE`",
            )
            .hint("for servers, specify both URLs, separated by a comma")
        };
        if let Some(path) =
            url.strip_prefix("sqlite:").filter(|path| !path.is_empty() && !path.starts_with(':'))
        {
            return Ok(Self::File(folder.join(path)));
        }
        // The host lists in the URLs may also contain commas, so the second URL is found by its scheme.
        let begins = truing_config::keys::RECORD_STORE_SCHEMES.iter().map(|scheme| format!(",{scheme}://"));
        let at = begins.filter_map(|begins| url.find(&begins)).min().ok_or_else(wrong)?;
        let (slots, records) = (url.get(..at).unwrap_or_default(), url.get(at + 1..).unwrap_or_default());
        let is_of = |url: &str, schemes: &[&str]| {
            url.split_once("://").is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty())
        };
        if !is_of(slots, truing_config::keys::SLOT_STORE_SCHEMES)
            || !is_of(records, truing_config::keys::RECORD_STORE_SCHEMES)
        {
            return Err(wrong());
        }
        [slots, records].into_iter().for_each(register_passwords);
        Ok(Self::Servers { slots_url: SecretText::new(slots), records_url: SecretText::new(records) })
    }

    /// Opens the store to begin or resume a transfer of records into the store.
    ///
    /// # Errors
    /// Returns exit 3 if it cannot be opened.
    pub async fn open_for_transfer(&self) -> Result<Store, CliError> {
        match self {
            Self::File(path) => Store::open_for_transfer(path, Arc::new(SystemClock))
                .map_err(|error| store_open_error(path, error)),
            Self::Servers { slots_url: slots, records_url: records } => {
                let connecting = Store::connect_for_transfer(slots.expose(), records.expose(), None);
                Box::pin(connecting).await.map_err(|error| connection_error(&error))
            }
        }
    }

    /// Opens the store. If the store is a file that does not exist, creates the file.
    ///
    /// # Errors
    /// Returns exit 3 if it cannot be opened.
    pub async fn open(&self) -> Result<Store, CliError> {
        match self {
            Self::File(path) => open_file(path),
            Self::Servers { slots_url: slots, records_url: records } => {
                let connecting = Store::connect(slots.expose(), records.expose(), None);
                Box::pin(connecting).await.map_err(|error| connection_error(&error))
            }
        }
    }

    /// Opens the store, as `StoreLocation::open` does, but blocks the current thread until the store is open.
    ///
    /// # Errors
    /// Returns the same errors as [`StoreLocation::open`].
    pub fn open_blocking(&self) -> Result<Store, CliError> {
        match self {
            Self::File(path) => open_file(path),
            Self::Servers { .. } => Handle::current().block_on(self.open()),
        }
    }

    /// Opens the store. If the store is a file that does not exist, returns none and does not create the
    /// file. Returns an error if the file was deleted while a server uses it.
    ///
    /// # Errors
    /// Returns the same errors as [`StoreLocation::open`].
    pub async fn open_existing(&self) -> Result<Option<Store>, CliError> {
        if self.exists()? { self.open().await.map(Some) } else { Ok(None) }
    }

    /// Opens the store without changing it. If the store is a file, copies the file to `folder` and opens the
    /// copy.
    ///
    /// # Errors
    /// Returns the same errors as [`StoreLocation::open`].
    pub async fn open_view(&self, folder: &Path) -> Result<StoreView, CliError> {
        match self {
            Self::File(path) if !file_exists(path, path.try_exists())? => match serving_process(path) {
                Some(server) => {
                    Err(store_open_error(path, SqliteOpenError::Deleted { path: path.clone(), server }))
                }
                None => Ok(StoreView { record_store: None, schema_versions: None }),
            },
            Self::File(path) => {
                let (from, to) = (path.clone(), folder.join("records.db"));
                let copy = move || Store::open_copy(&from, &to, Arc::new(SystemClock));
                let copied = tokio::task::spawn_blocking(copy).await;
                let copied = copied.map_err(|stopped| CliError::failure("store", stopped.to_string()))?;
                let (store, form) = copied.map_err(|error| store_open_error(path, error))?;
                Ok(StoreView { record_store: Some(store), schema_versions: Some(form) })
            }
            Self::Servers { slots_url: slots, records_url: records } => {
                let looking = Store::connect_read_only(slots.expose(), records.expose());
                let (store, form) = Box::pin(looking).await.map_err(|error| connection_error(&error))?;
                Ok(StoreView {
                    record_store: Some(store).filter(|_| !form.is_outdated()),
                    schema_versions: Some(form),
                })
            }
        }
    }

    /// Returns true if the store exists, or if a server still uses a file that was deleted.
    ///
    /// # Errors
    /// Returns exit 3 if this user cannot find out whether the file exists.
    pub fn exists(&self) -> Result<bool, CliError> {
        match self {
            Self::File(path) => Ok(file_exists(path, path.try_exists())? || serving_process(path).is_some()),
            Self::Servers { .. } => Ok(true),
        }
    }

    /// Returns true if the store is an empty file, in which no database was created yet.
    pub fn is_empty_file(&self) -> bool {
        self.file_path().is_some_and(|path| std::fs::metadata(path).is_ok_and(|file| file.len() == 0))
    }

    /// Returns the path of the store if it is a file.
    pub fn file_path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Servers { .. } => None,
        }
    }
}

/// Displays the location without passwords.
impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Servers { .. } => f.write_str("Valkey and PostgreSQL"),
        }
    }
}

/// Registers the passwords in a URL; all output hides registered passwords.
fn register_passwords(url: &str) {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (place, query) = rest.rsplit_once('?').unwrap_or((rest, ""));
    let login = place.rsplit_once('@').and_then(|(login, _)| login.split_once(':'));
    let options = query.split('&').filter_map(|option| option.split_once("password="));
    login
        .into_iter()
        .chain(options)
        .for_each(|(_, password)| truing_core::given_secrets::register_secret(password));
}

/// Inserts a password into a server's URL.
fn insert_password(url: &SecretText, password: &SecretText) -> SecretText {
    let Some((scheme, rest)) = url.expose().split_once("://") else { return url.clone() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, place) = rest.split_at(end);
    let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = login.split(':').next().unwrap_or_default();
    let password: String = url::form_urlencoded::byte_serialize(password.expose().as_bytes()).collect();
    // Form encoding writes a space as `+`. In the password of a URL, a space must be `%20`.
    let password = password.replace('+', "%20");
    SecretText::new(format!("{scheme}://{user}:{password}@{host}{place}"))
}

/// Opens the configured store, and creates it if there is none.
///
/// # Errors
/// Returns exit 2 if no location is configured, and exit 3 if it cannot be opened.
pub async fn open_store(config: &Config, environment: &Environment) -> Result<Store, CliError> {
    StoreLocation::from_config(config, environment)?.open().await
}

/// Opens the database in a file, and creates it if there is none.
///
/// # Errors
/// Returns exit 3 if it cannot be opened.
pub fn open_file(path: &Path) -> Result<Store, CliError> {
    Store::open(path, Arc::new(SystemClock)).map_err(|error| store_open_error(path, error))
}

/// Prepares a database file without opening the database; creates the file if it does not exist.
///
/// # Errors
/// Returns exit 3 if the file cannot be a store.
pub fn prepare_file(path: &Path) -> Result<(), CliError> {
    Store::prepare_database_file(path).map_err(|error| store_open_error(path, error))
}

/// Checks that a server could use the database file, and changes nothing.
///
/// # Errors
/// Returns exit 3 if the file cannot be a store, or if this user may not write to the file or its folder.
pub fn check_file(path: &Path) -> Result<(), CliError> {
    if file_exists(path, path.try_exists())? {
        Store::check_database_file(path).map_err(|error| store_open_error(path, error))?;
        for suffix in ["", "-wal", "-shm"] {
            let mut file = path.as_os_str().to_owned();
            file.push(suffix);
            check_access(Path::new(&file), Access::READ_OK | Access::WRITE_OK)?;
        }
    }
    // SQLite keeps its log beside the file, and a server its lock and temporary files.
    path.parent().map_or(Ok(()), check_folder)
}

/// Checks that this user may create files in a folder, or may create the folder. Changes nothing.
///
/// # Errors
/// Returns exit 3 if the user may not.
pub fn check_folder(folder: &Path) -> Result<(), CliError> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let nearest = folder.ancestors().find(|folder| !matches!(folder.try_exists(), Ok(false)));
    let Some(nearest) = nearest else { return Ok(()) };
    if nearest.is_file() {
        return Err(access_error(nearest, &io::ErrorKind::NotADirectory.into()));
    }
    check_access(nearest, Access::WRITE_OK | Access::EXEC_OK)
}

/// Returns an error if this user has no such access to the path. A missing file is no error.
fn check_access(path: &Path, access: Access) -> Result<(), CliError> {
    match rustix::fs::access(path, access) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(access_error(path, &error.into())),
    }
}

fn access_error(path: &Path, error: &io::Error) -> CliError {
    let hint = match error.kind() == io::ErrorKind::PermissionDenied {
        true => SERVICE_USER_HINT,
        false => FOLDER_HINT,
    };
    CliError::failure("store", format!("cannot write to {}: {error}", path.display())).hint(hint)
}

/// Converts a connection error. The error's text already contains the solution, so no hint is added.
fn connection_error(error: &PostgresConnectError) -> CliError {
    CliError::failure("store", error.to_string())
}

/// Returns whether the database file exists, according to the system's answer `found`. A file in a folder
/// that this user may not enter is not a missing file: without records, a command would report that nothing
/// is queued and that no kill switch is on.
fn file_exists(path: &Path, found: io::Result<bool>) -> Result<bool, CliError> {
    found.map_err(|source| store_open_error(path, SqliteOpenError::File { path: path.into(), source }))
}

/// Hint for a user who has no permission to use the database.
const SERVICE_USER_HINT: &str = "run the command as the service's user";

/// Converts an error of the database file at `path`. Most texts already contain the solution, so no hint is
/// added.
fn store_open_error(path: &Path, error: SqliteOpenError) -> CliError {
    let cli_error = CliError::failure("store", error.to_string());
    match error {
        SqliteOpenError::Folder { source, .. } | SqliteOpenError::File { source, .. } => {
            match source.kind() == io::ErrorKind::PermissionDenied {
                true => cli_error.hint(SERVICE_USER_HINT),
                false if is_out_of_space(&source) => cli_error,
                false => cli_error.hint(FOLDER_HINT),
            }
        }
        SqliteOpenError::Sqlite(_) if is_access_denied(path) => cli_error.hint(SERVICE_USER_HINT),
        SqliteOpenError::StartWriterThread { .. } => {
            cli_error.hint("try again, or raise the limit of processes and threads of this user")
        }
        // The text of each of these errors already names the solution.
        SqliteOpenError::ReadOnly { .. }
        | SqliteOpenError::IsAFolder { .. }
        | SqliteOpenError::ForeignDatabase { .. }
        | SqliteOpenError::Newer { .. }
        | SqliteOpenError::SchemaMismatch { .. }
        | SqliteOpenError::NoWal { .. }
        | SqliteOpenError::ServedByOtherName { .. }
        | SqliteOpenError::Deleted { .. }
        | SqliteOpenError::FileReplaced { .. }
        | SqliteOpenError::Emptied { .. }
        | SqliteOpenError::UnfinishedCopy { .. }
        | SqliteOpenError::HasHardLinks { .. }
        | SqliteOpenError::Sqlite(_) => cli_error,
    }
}

/// Hint for a file that cannot be opened or written.
const FOLDER_HINT: &str = "check that the folder exists and is writable, or set store.url to another file";

/// Returns true if this user may not read or write the file. The text of SQLite's error does not state this
/// reason.
fn is_access_denied(path: &Path) -> bool {
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK) == Err(Errno::ACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_this_user_may_not_look_at_is_no_missing_file() {
        let path = Path::new("/var/lib/truing/truing.db");
        assert_eq!(file_exists(path, Ok(false)), Ok(false));
        assert_eq!(file_exists(path, Ok(true)), Ok(true));
        let denied = file_exists(path, Err(io::ErrorKind::PermissionDenied.into())).unwrap_err();
        assert_eq!((denied.exit.code(), denied.code), (3, "store"));
        assert!(denied.message.contains("/var/lib/truing/truing.db"), "{denied:?}");
        assert_eq!(denied.hints, [SERVICE_USER_HINT]);
    }

    #[test]
    fn a_file_that_a_server_could_not_use_is_told_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/state/truing.db");
        check_file(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = check_file(folder.path()).unwrap_err();
        assert!(error.exit.code() == 3 && error.message.contains("is a folder"), "{error:?}");
        let denied = access_error(&path, &io::ErrorKind::PermissionDenied.into());
        assert_eq!((denied.exit.code(), denied.code), (3, "store"));
        assert_eq!(denied.hints, [SERVICE_USER_HINT]);
        let read_only = access_error(&path, &io::ErrorKind::ReadOnlyFilesystem.into());
        assert_eq!(read_only.hints, [FOLDER_HINT]);
    }

    #[test]
    fn a_hint_is_given_only_where_it_fits() {
        let path = Path::new("/nowhere/truing.db");
        let hints = |error: SqliteOpenError| store_open_error(path, error).hints;
        let folder = |kind: io::ErrorKind| SqliteOpenError::Folder { path: path.into(), source: kind.into() };
        assert_eq!(hints(folder(io::ErrorKind::PermissionDenied)), [SERVICE_USER_HINT]);
        assert_eq!(hints(folder(io::ErrorKind::NotADirectory)), [FOLDER_HINT]);
        for error in [
            folder(io::ErrorKind::StorageFull),
            SqliteOpenError::Newer { path: path.into(), found_version: 99 },
            SqliteOpenError::Sqlite("truing.db: the database is damaged: restore a backup".to_owned()),
            SqliteOpenError::IsAFolder { path: path.into() },
            SqliteOpenError::ReadOnly { path: path.into() },
        ] {
            let text = error.to_string();
            assert_eq!(hints(error), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn two_servers_are_told_apart_and_no_password_of_theirs_is_shown() {
        let slots =
            "valkey+sentinel://:hush-slots@a:1,postgres-1:2/reviews/0?sentinel_password=hush-sentinel";
        let records = "postgresql://u:hush-records@b,c/d?sslmode=require";
        let place = StoreLocation::parse(&format!("{slots},{records}"), Path::new(".")).unwrap();
        let StoreLocation::Servers { slots_url: first, records_url: second } = &place else {
            panic!("{place:?}")
        };
        assert_eq!((first.expose(), second.expose()), (slots, records));
        for said in ["hush-slots", "hush-sentinel", "hush-records"] {
            assert!(!truing_reader::redact::redact_credentials(said).contains(said), "{said}");
        }
    }

    #[test]
    fn a_password_of_its_own_goes_into_the_url() {
        for (url, whole) in [
            ("valkey://h:6379/0", "valkey://:a%2Fb%20%40@h:6379/0"),
            ("valkey+sentinel://a,b:1/reviews/0", "valkey+sentinel://:a%2Fb%20%40@a,b:1/reviews/0"),
            ("postgres://u@a,b/d?sslmode=require", "postgres://u:a%2Fb%20%40@a,b/d?sslmode=require"),
            ("postgres://u:old@h", "postgres://u:a%2Fb%20%40@h"),
        ] {
            let made = insert_password(&SecretText::new(url), &SecretText::new("a/b @"));
            assert_eq!(made.expose(), whole);
        }
    }
}
