//! Where an answer goes: to standard output, or to the file that `--output` names.

use std::borrow::Cow;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::ColorWhen;
use super::error::CliError;
use super::output::Output;

/// The rights of a new file, of which the user's mask takes some, as of all new files.
const NEW_FILE_MODE: u32 = 0o666;

/// The flag of commands whose answer can go to a file.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Destination {
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Destination {
    /// Prints the answer, or writes it to the file that was named; without colour, unless it was asked for.
    pub(super) fn deliver(
        &self,
        answer: &str,
        here: &Path,
        color: ColorWhen,
        output: Output,
    ) -> Result<(), CliError> {
        let Some(path) = self.output.as_deref().filter(|path| path.as_os_str() != "-") else {
            return output.data(answer);
        };
        let text = match color {
            ColorWhen::Always => Cow::Borrowed(answer),
            ColorWhen::Auto | ColorWhen::Never => anstream::adapter::strip_str(answer).to_string().into(),
        };
        write(&here.join(path), text.as_bytes())?;
        output.say(format_args!("written to {}", path.display()));
        Ok(())
    }
}

/// Writes a file, whole or not at all. What a link names is written, as a shell would.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |error: io::Error| {
        CliError::failed("write_failed", format!("cannot write {}: {error}", path.display()))
            .hint("name a file in a folder that you may write to: `--output FILE`")
    };
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(failed(error)),
    };
    let there = target.metadata().ok();
    // Renaming over a device or a pipe would replace it.
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return Err(failed(io::Error::other("it is there and is not a plain file")));
    }
    let folder = target.parent().unwrap_or(Path::new("/")).canonicalize().map_err(failed)?;
    if folder.ancestors().any(is_git_folder) {
        return Err(CliError::usage("inside_git", format!("{} is inside a git folder", path.display()))
            .hint("name a file outside of it"));
    }
    let new = Permissions::from_mode(NEW_FILE_MODE);
    let file = tempfile::Builder::new().permissions(new).tempfile_in(&folder);
    let mut file = file.map_err(failed)?;
    // Who may read a file that is written again stays as it was, before there is something to read.
    there.map_or(Ok(()), |there| file.as_file().set_permissions(there.permissions())).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error)).map(drop)
}

/// Does git keep its own things here, whatever the folder is called?
fn is_git_folder(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.eq_ignore_ascii_case(".git"))
        || (folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir())
}
