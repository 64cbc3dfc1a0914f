//! Finds programs by their names in `PATH`.

#[cfg(feature = "aws")]
use std::path::Path;

use truing_config::environment::Environment;
use truing_git::SearchPath;
#[cfg(feature = "aws")]
use truing_model::aws::CredentialPrograms;

/// The shell that starts the programs for AWS credentials.
#[cfg(feature = "aws")]
const SHELL: &str = "sh";

/// Returns the search path from `PATH`, without folders inside the repository of the current folder or of the
/// command's target.
pub(super) fn search_path(environment: &Environment) -> SearchPath {
    SearchPath::from_path_variable(
        environment.get("PATH").unwrap_or_default(),
        environment.reviewed_folders(),
    )
}

/// Returns the folders for programs that print AWS credentials. AWS's library finds `sh` through the `PATH`
/// of this process, so the first `sh` in this `PATH` must also be the first one in the search path.
#[cfg(feature = "aws")]
pub(super) fn credential_programs(environment: &Environment) -> CredentialPrograms {
    let folders = search_path(environment);
    let path = folders.path_variable().into_string().unwrap_or_default();
    let first_shell = std::env::split_paths(environment.get("PATH").unwrap_or_default())
        .map(|folder| folder.join(SHELL))
        .find(|file| file.is_file());
    CredentialPrograms {
        // A profile file cannot contain a line end in a value.
        path: if path.contains(char::is_control) { String::new() } else { path },
        is_shell_trusted: first_shell == folders.find(Path::new(SHELL)),
    }
}

#[cfg(all(test, feature = "aws"))]
mod tests {
    use super::*;

    #[test]
    fn a_shell_of_the_current_folder_starts_no_program_for_credentials() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        std::fs::write(folder.path().join(SHELL), "").unwrap();
        let programs =
            |path: &str| credential_programs(&Environment::new([("PATH", path)], folder.path().to_owned()));
        let own = folder.path().display();
        for (path, is_trusted) in [
            ("/bin", true),
            ("/bin:.", true),
            (&format!("{own}:/bin"), false),
            (&format!("/bin:{own}"), true),
        ] {
            let found = programs(path);
            assert_eq!((found.path.as_str(), found.is_shell_trusted), ("/bin", is_trusted), "{path}");
        }
    }
}
