//! Allows only one build at a time in a repository and all its work trees. The lock file is in the git folder
//! that the work trees share.
//!
//! The kernel releases the lock when the process that holds it exits. Commands that this process starts run
//! under the same lock.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{say, workspace};

/// The environment variable with which a process passes the path of its lock to its children.
const HELD_LOCK_VARIABLE: &str = "BUILD_LOCK_HELD";
/// Maximum time to wait for another build.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The options of `cargo xtask lock`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The command, with its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

/// The lock, which is released on drop.
pub(crate) struct BuildLock {
    path: PathBuf,
    /// The locked file; `None` if a parent process holds the lock.
    _file: Option<File>,
}

impl BuildLock {
    /// Acquires the lock of this repository. If another process holds the lock, prints which process, and
    /// waits.
    pub(crate) fn acquire(root: &Path) -> Result<Self> {
        let trust = format!("safe.directory={}", root.display());
        let mut git = Command::new("git");
        git.args(["-c", &trust, "rev-parse", "--path-format=absolute", "--git-common-dir"]).current_dir(root);
        // Outside a git repository, there is no shared git folder and no other work tree, so the lock file is
        // in the folder `target`.
        let folder = workspace::command_output(&mut git)
            .map_or_else(|_| root.join("target"), |path| path.trim_end().into());
        Self::acquire_file(
            folder.join("truing-build.lock"),
            std::env::var_os(HELD_LOCK_VARIABLE).map(PathBuf::from),
            LOCK_TIMEOUT,
        )
    }

    fn acquire_file(path: PathBuf, held_path: Option<PathBuf>, timeout: Duration) -> Result<Self> {
        if held_path.as_ref() == Some(&path) {
            return Ok(Self { path, _file: None });
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => file = wait_for_lock(file, &path, timeout)?,
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.rewind()?;
        file.set_len(0)?;
        let folder = std::env::current_dir().unwrap_or_default();
        writeln!(file, "process {} in {}", std::process::id(), folder.display())?;
        Ok(Self { path, _file: Some(file) })
    }

    /// Allows a command, and the processes that it starts, to run while this process holds the lock.
    fn pass_to(&self, command: &mut Command) {
        command.env(HELD_LOCK_VARIABLE, &self.path);
    }
}

/// Prints which process holds the lock, and waits until the file can be locked.
fn wait_for_lock(file: File, path: &Path, timeout: Duration) -> Result<File> {
    let holder = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let holder = holder.trim_end();
    say::print_problem(&format!("waiting for another build: {holder}"));
    let (sender, locked) = sync_channel(1);
    std::thread::spawn(move || sender.send(file.lock().map(|()| file)));
    match locked.recv_timeout(timeout) {
        Ok(locked) => locked.with_context(|| format!("cannot lock {}", path.display())),
        Err(_) => bail!("another build is still running after {} s: {holder}", timeout.as_secs()),
    }
}

/// Runs a command while holding the lock. Returns `false` if the command failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let lock = BuildLock::acquire(&workspace::workspace_root()?)?;
    let Some((program, arguments)) = options.command.split_first() else {
        bail!("there is no command to run")
    };
    let mut command = Command::new(program);
    lock.pass_to(command.args(arguments));
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_second_build_waits_and_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = BuildLock::acquire_file(path.clone(), None, Duration::ZERO).unwrap();
        let refused = BuildLock::acquire_file(path.clone(), None, Duration::ZERO).map(|_| ()).unwrap_err();
        let holder = format!("process {} in ", std::process::id());
        assert!(refused.to_string().contains(&holder), "{refused}");
        drop(first);
        // After the failed attempt, the attempt's waiting thread may still acquire the lock for a moment, so
        // this attempt must wait.
        assert!(BuildLock::acquire_file(path, None, LOCK_TIMEOUT).is_ok());
    }

    #[test]
    fn what_the_holder_starts_goes_on_under_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = BuildLock::acquire_file(path.clone(), None, Duration::ZERO).unwrap();
        let mut command = Command::new("true");
        first.pass_to(&mut command);
        let held =
            command.get_envs().find(|(name, _)| *name == HELD_LOCK_VARIABLE).and_then(|(_, value)| value);
        assert!(BuildLock::acquire_file(path.clone(), held.map(PathBuf::from), Duration::ZERO).is_ok());
        // If a parent process holds the lock of another repository, this repository's lock must still be
        // acquired.
        assert!(BuildLock::acquire_file(path, Some("/other".into()), Duration::ZERO).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_lock_is_free_when_its_holder_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut holder = Command::new("flock")
            .arg("--no-fork")
            .arg(&path)
            .args(["sh", "-c", "echo held; exec sleep 600"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = [0; 4];
        holder.stdout.take().unwrap().read_exact(&mut word).unwrap();
        assert!(BuildLock::acquire_file(path.clone(), None, Duration::ZERO).is_err());
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(BuildLock::acquire_file(path, None, Duration::from_secs(60)).is_ok());
    }
}
