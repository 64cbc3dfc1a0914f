//! Where an answer goes: to standard output, or to the file that `--output` names.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::ColorWhen;
use super::error::CliError;
use super::output::Output;

/// The flag of commands whose answer can go to a file.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Destination {
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Destination {
    /// Prints the answer, or writes it to the file that was named; without colour, unless it was asked for.
    pub(super) fn take(
        &self,
        answer: &str,
        here: &Path,
        color: ColorWhen,
        output: Output,
    ) -> Result<(), CliError> {
        let Some(path) = self.output.as_deref().filter(|path| path.as_os_str() != "-") else {
            return output.data(answer);
        };
        match color {
            ColorWhen::Always => write(&here.join(path), answer.as_bytes())?,
            ColorWhen::Auto | ColorWhen::Never => {
                let plain = anstream::adapter::strip_str(answer).to_string();
                write(&here.join(path), plain.as_bytes())?;
            }
        }
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
    // Renaming over a device or a pipe would replace it.
    if target.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(failed(io::Error::other("it is there and is not a plain file")));
    }
    let folder = target.parent().unwrap_or(Path::new("/")).canonicalize().map_err(failed)?;
    if folder.ancestors().any(is_git_folder) {
        return Err(CliError::usage("inside_git", format!("{} is inside a git folder", path.display()))
            .hint("name a file outside of it"));
    }
    let mut file = tempfile::Builder::new();
    let mut file = readable(&mut file).tempfile_in(&folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error)).map(drop)
}

/// With the rights of other new files: all that the user's mask leaves.
fn readable<'a, 'b>(file: &'a mut tempfile::Builder<'b, 'static>) -> &'a mut tempfile::Builder<'b, 'static> {
    use std::os::unix::fs::PermissionsExt as _;
    file.permissions(std::fs::Permissions::from_mode(0o666))
}

/// Does git keep its own things here, whatever the folder is called?
fn is_git_folder(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.eq_ignore_ascii_case(".git"))
        || (folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir())
}
