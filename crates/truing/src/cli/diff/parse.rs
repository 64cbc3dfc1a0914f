//! `truing diff parse`: one line a file.

use std::fs::File;
use std::io::{ErrorKind, Read, stdin};
use std::path::Path;

use super::malformed;
use crate::cli::Context;
use crate::cli::error::{CliError, Exit};

/// How large a diff may be, in bytes. It is held in memory.
const MAX_DIFF_BYTES: u64 = 2 << 30;

pub(super) fn run(file: Option<&Path>, context: &Context) -> Result<Exit, CliError> {
    let (name, input) = input(file, context.environment.directory(), MAX_DIFF_BYTES)?;
    let mut error = None;
    let files = truing_diff::files(&input).map_while(|file| file.map_err(|wrong| error = Some(wrong)).ok());
    context.output.json_lines(files)?;
    match error {
        Some(error) => Err(malformed(&name, &error)),
        None => Ok(Exit::Done),
    }
}

/// The name and the bytes of a file, or of standard input (none, or `-`), which may have so many bytes.
pub(in crate::cli) fn input(
    file: Option<&Path>,
    folder: &Path,
    most: u64,
) -> Result<(String, Vec<u8>), CliError> {
    let name = name_of(file.unwrap_or(Path::new("-")));
    let bytes = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let opened = open(&folder.join(file)).map_err(|error| unreadable(&name, &error, true))?;
            let size = opened.metadata().map_or(0, |metadata| metadata.len());
            read(&name, opened, size, most)?
        }
        None => read(&name, stdin().lock(), 0, most)?,
    };
    Ok((name, bytes))
}

/// What people call an input.
pub(in crate::cli) fn name_of(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

/// Opens a file; a folder is an error now, not when it is read.
fn open(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() { Err(ErrorKind::IsADirectory.into()) } else { Ok(file) }
}

/// Everything from a source of about `size` bytes.
fn read(name: &str, source: impl Read, size: u64, most: u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(most)).unwrap_or_default() + 1);
    source
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error, error.kind() == ErrorKind::IsADirectory))?;
    if bytes.len() as u64 > most {
        return Err(CliError::usage("too_large", format!("{name} is larger than {} MiB", most >> 20))
            .hint("split the diff in two"));
    }
    Ok(bytes)
}

fn unreadable(name: &str, error: &std::io::Error, is_wrong_input: bool) -> CliError {
    let message = format!("cannot read {name}: {error}");
    let told = if is_wrong_input {
        CliError::usage("unreadable", message)
    } else {
        CliError::failed("unreadable", message)
    };
    told.hint("name a file with a diff, or `-` and pipe one in, such as `git diff`")
}
