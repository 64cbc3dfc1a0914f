//! Writes an answer to standard output, or to the file that `--output` names.

use std::borrow::Cow;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::ColorWhen;
use super::error::CliError;
use super::output::OutputPrinter;

/// Mode of a new file, before the user's umask is applied.
const NEW_FILE_MODE: u32 = 0o666;

/// Name that means standard output.
const STDOUT: &str = "-";

/// Maximum number of links that are followed to the target file. The system has the same limit.
const MAX_LINKS: u32 = 40;

/// The flag of commands whose answer can go to a file.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct OutputFileArgs {
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The destination of an answer.
enum OutputTarget {
    /// Standard output of the process.
    Stdout,
    /// Device or pipe. The answer is written to the existing device or pipe, which is not replaced.
    DeviceOrPipe(PathBuf),
    /// Regular file `path` in the folder `folder`. The file may not exist yet.
    File { folder: PathBuf, path: PathBuf },
}

impl OutputFileArgs {
    /// Returns an error if the destination cannot be written. The caller checks this before it computes the
    /// answer.
    pub(super) fn check_writable(&self, current_folder: &Path) -> Result<(), CliError> {
        self.resolve_target(current_folder).map(drop)
    }

    /// Prints the answer or writes it to the named file. In a file, text has no colour, unless the user
    /// requested colour.
    pub(super) fn write_answer(
        &self,
        answer: &str,
        current_folder: &Path,
        color: ColorWhen,
        output: OutputPrinter,
    ) -> Result<(), CliError> {
        let plain = || match color {
            ColorWhen::Always => Cow::Borrowed(answer),
            ColorWhen::Auto | ColorWhen::Never => anstream::adapter::strip_str(answer).to_string().into(),
        };
        let written = match self.resolve_target(current_folder)? {
            OutputTarget::Stdout => return output.print_data(answer),
            OutputTarget::DeviceOrPipe(path) => write_stream(&path, plain().as_bytes()),
            OutputTarget::File { folder, path } => write_file(&folder, &path, plain().as_bytes()),
        };
        let name = self.name();
        written.map_err(|error| {
            CliError::failure("write_failed", format!("cannot write {name}: {error}"))
                .hint("give a file in a writable folder: `--output FILE`")
        })?;
        output.print_note(format_args!("written to {name}"));
        Ok(())
    }

    /// Returns the name of the destination as the user gave it.
    fn name(&self) -> impl std::fmt::Display {
        self.output.as_deref().unwrap_or(Path::new(STDOUT)).display()
    }

    /// Resolves the name. A link is followed as in a shell, even if the target of the link does not exist
    /// yet. A link in a working tree is an error: the reviewed change can contain the link, so the link could
    /// lead to any file of the user.
    fn resolve_target(&self, current_folder: &Path) -> Result<OutputTarget, CliError> {
        let Some(path) = self.output.as_deref().filter(|path| path.as_os_str() != STDOUT) else {
            return Ok(OutputTarget::Stdout);
        };
        // `/dev/stdout` is not replaced like a file. The shell may append standard output to a file (`>>`),
        // and a replacement would lose that file's content.
        if path == Path::new("/dev/stdout") {
            return Ok(OutputTarget::Stdout);
        }
        let wrong = |code, reason: &str| {
            let message = format!("cannot write {}: {reason}", self.name());
            CliError::usage(code, message).hint("give a file in an existing folder: `--output FILE`")
        };
        // The current folder is canonical, so that a link that leads to the repository is not checked.
        let current_folder = current_folder.canonicalize().unwrap_or_else(|_| current_folder.to_owned());
        let path = current_folder.join(path);
        let target = follow_links(&path).map_err(|link| {
            let message =
                format!("cannot write {}: {} is a link in a repository", self.name(), link.display());
            CliError::usage("bad_output", message)
                .hint("remove the link, or give the file that it points to: `--output FILE`")
        })?;
        match path.metadata() {
            Ok(there) if there.is_dir() => return Err(wrong("bad_output", "it is a folder")),
            Ok(there) if !there.is_file() => return Ok(OutputTarget::DeviceOrPipe(path)),
            Ok(_) | Err(_) => {}
        }
        let path = target;
        let folder = path.parent().unwrap_or(Path::new("/")).canonicalize();
        let folder = folder.ok().filter(|folder| folder.is_dir());
        let folder = folder.ok_or_else(|| wrong("bad_output", "its folder does not exist"))?;
        if folder.ancestors().any(is_git_folder) {
            return Err(wrong("inside_git", "it is inside a git folder"));
        }
        Ok(OutputTarget::File { folder, path })
    }
}

/// Returns the path to which a chain of links leads. The target may not exist yet.
///
/// # Errors
/// The first link that is in a working tree of git, because a reviewed change can contain it.
pub(super) fn follow_links(path: &Path) -> Result<PathBuf, PathBuf> {
    let refuse_repository_link = |path: &Path| match find_link_in_working_tree(path) {
        Some(link) => Err(link.to_owned()),
        None => Ok(()),
    };
    let mut target = path.to_owned();
    refuse_repository_link(&target)?;
    for _ in 0..MAX_LINKS {
        let Ok(next) = target.read_link() else { break };
        target = target.parent().unwrap_or(Path::new("/")).join(next);
        refuse_repository_link(&target)?;
    }
    Ok(target)
}

/// Writes into an existing device or pipe, as a shell does. If the reader closes the pipe early, the rest is
/// discarded without an error.
fn write_stream(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = File::options().write(true).open(path)?.write_all(bytes);
    written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Writes a file atomically. A failure leaves an existing file unchanged.
fn write_file(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = Permissions::from_mode(NEW_FILE_MODE);
    let mut file = tempfile::Builder::new().permissions(new).tempfile_in(folder)?;
    // If a file is replaced, the new file gets the old file's permissions before it gets its content.
    if let Ok(there) = path.metadata() {
        file.as_file().set_permissions(there.permissions())?;
    }
    file.write_all(bytes).and_then(|()| file.as_file().sync_all())?;
    file.persist(path).map_err(|error| error.error).map(drop)
}

/// Returns the path itself, or a folder above it, if it is a link in a working tree of git.
fn find_link_in_working_tree(path: &Path) -> Option<&Path> {
    path.ancestors().find(|link| link.is_symlink() && link.parent().is_some_and(is_in_working_tree))
}

fn is_in_working_tree(folder: &Path) -> bool {
    let is_root = |folder: &Path| folder.join(".git").symlink_metadata().is_ok();
    folder.canonicalize().is_ok_and(|folder| folder.ancestors().any(is_root))
}

/// Returns true if the folder is a git folder, by its name or its contents.
fn is_git_folder(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.eq_ignore_ascii_case(".git"))
        || (folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir())
}
