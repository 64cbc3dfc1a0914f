//! The process's environment as a value: its variables and its current folder. Truing reads the environment
//! once and passes it as an argument. Tests and `truing demo` can therefore replace it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The variables and the current folder.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    directory: PathBuf,
    /// Folders from the command line that the command reviews.
    named_folders: Vec<PathBuf>,
}

/// Prints the names of the variables without their values, because values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("directory", &self.directory)
            .finish()
    }
}

impl Environment {
    /// Reads the process's environment; no other code reads it. Variables whose names are not UTF-8 are left
    /// out, because the names of Truing's variables are UTF-8. If the current folder no longer exists, `.` is
    /// used instead.
    pub fn read_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            named_folders: Vec::new(),
        }
    }

    /// Creates an environment with these variables and the current folder `directory`.
    pub fn new<K: Into<String>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (K, V)>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        Self {
            variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            directory: directory.into(),
            named_folders: Vec::new(),
        }
    }

    /// Returns the environment for a command that reviews these paths, which are relative to the current
    /// folder. The repositories at these paths must not decide which programs run.
    #[must_use]
    pub fn with_reviewed_paths(self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let folders = paths.into_iter().map(|path| self.directory.join(path));
        let named = folders.filter(|path| path.is_dir()).collect();
        Self { named_folders: named, ..self }
    }

    /// Returns the current folder and the folders that the command reviews.
    pub fn reviewed_folders(&self) -> impl Iterator<Item = &Path> {
        self.named_folders.iter().chain([&self.directory]).map(PathBuf::as_path)
    }

    /// Returns the environment with these additional variables and the current folder `directory`.
    #[must_use]
    pub fn with_variables<K: Into<String>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        self.variables.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        Self { directory: directory.into(), ..self }
    }

    /// Returns a variable's unchanged value.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str)
    }

    /// Returns every variable whose name begins with `prefix`, in the order of the names.
    pub fn variables_with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a OsStr)> {
        self.variables
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_os_str()))
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns a folder of the user by the XDG base directory rules: the value of `variable`, or
    /// `path_in_home` in the home folder. By these rules, a value that is not an absolute path is ignored.
    pub fn user_folder(&self, variable: &str, path_in_home: &str) -> Option<PathBuf> {
        let absolute = |name| self.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute(variable).or_else(|| Some(absolute("HOME")?.join(path_in_home)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_folder_is_the_variable_else_below_home_and_relative_ones_do_not_count() {
        let of = |variables: &[(&str, &str)]| {
            Environment::new(variables.iter().copied(), "/").user_folder("XDG_STATE_HOME", ".local/state")
        };
        assert_eq!(of(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]), Some(PathBuf::from("/s")));
        assert_eq!(of(&[("XDG_STATE_HOME", "s"), ("HOME", "/h")]), Some(PathBuf::from("/h/.local/state")));
        assert_eq!(of(&[("HOME", "")]), None);
    }

    #[test]
    fn debug_output_shows_no_value() {
        let environment = Environment::new([("GITHUB_TOKEN", "hush")], "/");
        assert!(!format!("{environment:?}").contains("hush"));
    }
}
