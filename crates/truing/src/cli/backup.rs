//! The command `truing backup`: copies the database while it is in use.

use std::path::PathBuf;

use serde::Serialize;
use truing_store::BackupError;

use super::error::{CliError, CommandExit};
use super::{CliFormat, CommandContext, runtime};
use crate::wiring::MARKER_KEY_FILE_NAME;
use crate::wiring::store::StoreLocation;

/// Copy the database to a file, also while a service uses it
///
/// The copy is the whole store at one instant. FILE must not exist yet. Keep the file `marker.key`, which is
/// in the folder of the database, with the copy. Without that key, Truing does not recognise the comments
/// that it posted before.
#[derive(clap::Args, Debug)]
pub struct BackupArgs {
    /// The file to which the copy is written
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// The answer of the command as JSON.
#[derive(Serialize)]
struct BackupJson {
    file: String,
    bytes: u64,
    /// Path of the database's marker key. `None` if the database's folder does not contain this file.
    marker_key: Option<String>,
}

pub(crate) fn run(args: &BackupArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    runtime::start()?.block_on(async {
        let place = StoreLocation::from_config(&config, &context.environment)?;
        let Some(store) = place.open_existing().await? else {
            let path = &place;
            return Err(CliError::usage("no_store", format!("there is no database at {path}"))
                .hint("`truing config show` shows where `store.url` is set"));
        };
        store.backup(&args.file).await.map_err(|error| match error {
            BackupError::Exists { .. } | BackupError::PartialFileExists { .. } => {
                CliError::usage("exists", error.to_string())
            }
            BackupError::NoDatabaseFile => CliError::usage("no_file", error.to_string()),
            BackupError::Write { .. } | BackupError::Sqlite(_) => {
                CliError::failure("backup", error.to_string())
                    .hint("check that the folder of the copy exists, is writable, and has free space")
            }
        })?;
        let key =
            store.path().map(|path| path.with_file_name(MARKER_KEY_FILE_NAME)).filter(|key| key.exists());
        let answer = BackupJson {
            file: args.file.display().to_string(),
            bytes: std::fs::metadata(&args.file).map_or(0, |file| file.len()),
            marker_key: key.map(|key| key.display().to_string()),
        };
        match context.output.format() == CliFormat::Json {
            true => context.output.print_json(&answer)?,
            false => context.output.print_data(render_text(&answer))?,
        }
        Ok(CommandExit::Success)
    })
}

/// Text for a database without a marker key. The service then has another key, or has not made one yet.
const NO_MARKER_KEY_TEXT: &str = "there is no marker.key beside the database; if `forge.NAME.marker_key` is \
    set, keep that key with the copy\n";

fn render_text(answer: &BackupJson) -> String {
    let file = format!("{}: {}\n", answer.file, truing_core::line::format_count(answer.bytes, "byte"));
    let key = match &answer.marker_key {
        Some(key) => format!("keep this key with the copy: {key}\n"),
        None => NO_MARKER_KEY_TEXT.to_owned(),
    };
    file + &key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_marker_key_or_says_that_there_is_none() {
        let answer = |key: Option<&str>| {
            let (file, marker_key) = ("copy.db".to_owned(), key.map(str::to_owned));
            render_text(&BackupJson { file, bytes: 7, marker_key })
        };
        assert_eq!(
            answer(Some("state/marker.key")),
            "copy.db: 7 bytes\nkeep this key with the copy: state/marker.key\n"
        );
        assert_eq!(
            answer(None),
            "copy.db: 7 bytes\nthere is no marker.key beside the database; if `forge.NAME.marker_key` is \
             set, keep that key with the copy\n"
        );
    }
}
