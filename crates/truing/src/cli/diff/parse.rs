//! The command `truing diff parse`: prints one line for each file.

use std::fs::File;
use std::io::{ErrorKind, Read, stdin};
use std::path::Path;

use truing_diff::{DiffSpanReader, FileDiffSpans};

use super::malformed_diff_error;
use crate::cli::CommandContext;
use crate::cli::error::{CliError, CommandExit};

/// Number of bytes of a diff that are read at a time. A diff may have any size. [`DiffSpanReader`] documents
/// how much of the diff is kept in memory.
const PIECE_BYTES: usize = 64 << 10;

pub(super) fn run(file: Option<&Path>, context: &CommandContext) -> Result<CommandExit, CliError> {
    let DiffStream { name, source, .. } = open_diff(file, context.environment.directory())?;
    let mut reading = DiffReader {
        name,
        source,
        read_buffer: vec![0; PIECE_BYTES],
        outlines: DiffSpanReader::default(),
        read_result: None,
    };
    context.output.print_json_lines(&mut reading)?;
    match reading.read_result {
        Some(Err(error)) => Err(error),
        Some(Ok(())) | None => Ok(CommandExit::Success),
    }
}

/// Reads a diff in pieces, only as far as the caller requests files.
struct DiffReader {
    name: String,
    source: Box<dyn Read>,
    read_buffer: Vec<u8>,
    outlines: DiffSpanReader,
    /// Result of reading the input. The result is set at the end of the input, or at an error.
    read_result: Option<Result<(), CliError>>,
}

impl Iterator for DiffReader {
    type Item = FileDiffSpans;

    fn next(&mut self) -> Option<FileDiffSpans> {
        loop {
            match self.outlines.pop_file() {
                Some(Ok(file)) => return Some(file),
                Some(Err(error)) => self.read_result = Some(Err(malformed_diff_error(&self.name, &error))),
                None => {}
            }
            if self.read_result.is_some() {
                return None;
            }
            self.read();
        }
    }
}

impl DiffReader {
    /// Reads the next piece. If a part is unreadable, the files before that part are still returned.
    fn read(&mut self) {
        match self.source.read(&mut self.read_buffer) {
            Ok(0) => {
                self.outlines.finish();
                self.read_result = (!self.outlines.has_failed()).then_some(Ok(()));
            }
            Ok(bytes) => self.outlines.push_bytes(self.read_buffer.get(..bytes).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                self.read_result =
                    Some(Err(unreadable_error(&self.name, &error, error.kind() == ErrorKind::IsADirectory)));
            }
        }
    }
}

/// A file or standard input.
struct DiffStream {
    name: String,
    source: Box<dyn Read>,
    /// Approximate size in bytes; 0 for standard input.
    size_bytes: u64,
}

/// Opens a file. `None` and `-` mean standard input.
fn open_diff(file: Option<&Path>, folder: &Path) -> Result<DiffStream, CliError> {
    let name = input_name(file.unwrap_or(Path::new("-")));
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let opened =
                open_file(&folder.join(file)).map_err(|error| unreadable_error(&name, &error, true))?;
            let size = opened.metadata().map_or(0, |metadata| metadata.len());
            Ok(DiffStream { name, source: Box::new(opened), size_bytes: size })
        }
        None => Ok(DiffStream { name, source: Box::new(stdin()), size_bytes: 0 }),
    }
}

/// Returns the name and the bytes of a file. `None` and `-` mean standard input. An input of more than
/// `max_bytes` bytes is an error.
pub(in crate::cli) fn read_input(
    file: Option<&Path>,
    working_directory: &Path,
    max_bytes: u64,
) -> Result<(String, Vec<u8>), CliError> {
    let DiffStream { name, source, size_bytes: size } = open_diff(file, working_directory)?;
    let bytes = read_bounded(&name, source, size, max_bytes)?;
    Ok((name, bytes))
}

/// Returns the display name of an input.
pub(in crate::cli) fn input_name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

/// Opens a file. Returns an error for a folder, which would otherwise fail only at the first read.
fn open_file(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() { Err(ErrorKind::IsADirectory.into()) } else { Ok(file) }
}

/// Reads a source to its end. `expected_bytes` is the expected size in bytes.
fn read_bounded(
    name: &str,
    source: impl Read,
    expected_bytes: u64,
    max_bytes: u64,
) -> Result<Vec<u8>, CliError> {
    let mut bytes =
        Vec::with_capacity(usize::try_from(expected_bytes.min(max_bytes)).unwrap_or_default() + 1);
    source
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable_error(name, &error, error.kind() == ErrorKind::IsADirectory))?;
    if bytes.len() as u64 > max_bytes {
        return Err(CliError::usage("too_large", format!("{name} is larger than {} MiB", max_bytes >> 20))
            .hint("split the diff in two"));
    }
    Ok(bytes)
}

fn unreadable_error(name: &str, error: &std::io::Error, is_usage_error: bool) -> CliError {
    let message = format!("cannot read {name}: {error}");
    let cli_error = if is_usage_error {
        CliError::usage("unreadable", message)
    } else {
        CliError::failure("unreadable", message)
    };
    cli_error.hint(
        "specify a file that contains a diff, or `-` to read a diff from a pipe, such as the \
        output of `git diff`",
    )
}
