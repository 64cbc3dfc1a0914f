//! Provides a repository in a home folder. The commands that the repository configures run in the sandbox.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::home::Home;

/// Returns true if this machine allows the creation of namespaces.
pub(crate) fn has_namespaces() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "true"]);
    unshare.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Returns true if this machine has a sandbox for code of a repository.
pub(crate) fn has_sandbox() -> bool {
    let home = Home::empty();
    home.command(&["sandbox", "run", "--", "true"]).output().is_ok_and(|output| output.status.success())
}

/// A home folder with a repository in `repository`, an operator's file, and an environment variable with a
/// secret.
pub(crate) struct CheckedRepository(Home);

impl CheckedRepository {
    /// Creates a repository without a commit, and an operator's file with this configuration.
    pub(crate) fn without_commit(configuration: &str) -> Self {
        let home = Home::empty()
            .with_variable("PATH", "/usr/local/bin:/usr/bin:/bin")
            .with_variable("SECRET", "canary");
        home.write("truing.toml", configuration);
        std::fs::create_dir(home.file("repository")).unwrap();
        let file = home.file("truing.toml").canonicalize().unwrap();
        let workspace = Self(home.with_variable("TRUING_CONFIG", file));
        workspace.git(&["init", "--quiet", "--initial-branch=main"]);
        workspace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let mut git = truing_fakes::repo::git_command(&self.path("repository"));
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.org"]).args(arguments);
        assert!(git.status().unwrap().success());
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "x"]);
    }

    /// Returns the `truing` command with these arguments, to be run in the repository.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.command(arguments);
        command.current_dir(self.path("repository"));
        command
    }
}
