//! The environment variables by which AWS's tools and libraries find credentials.

use std::collections::HashMap;
use std::path::Path;

/// The variables that contain the paths of the profile files.
const PROFILE_FILE_VARIABLES: [&str; 2] = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
/// An empty file. It replaces a profile file for which the environment sets no absolute path.
const EMPTY_FILE_PATH: &str = "/dev/null";

/// The values of AWS's environment variables, by variable.
pub(super) struct AwsVariables(HashMap<String, String>);

impl From<HashMap<String, String>> for AwsVariables {
    /// Removes empty variables. Replaces relative paths of profile files by `/dev/null`, because the current
    /// folder may be another person's repository. Otherwise, the library would run programs that this
    /// person's profile names.
    fn from(mut variables: HashMap<String, String>) -> Self {
        variables.retain(|_, value| !value.trim().is_empty());
        let has_home = variables.get("HOME").is_some_and(|home| Path::new(home).is_absolute());
        if !has_home {
            variables.remove("HOME");
        }
        for name in PROFILE_FILE_VARIABLES {
            let is_whole =
                |file: &String| Path::new(file).is_absolute() || (has_home && file.starts_with("~/"));
            if !variables.get(name).map_or(has_home, is_whole) {
                variables.insert(name.to_owned(), EMPTY_FILE_PATH.to_owned());
            }
        }
        Self(variables)
    }
}

impl AwsVariables {
    pub(super) fn as_map(&self) -> &HashMap<String, String> {
        &self.0
    }

    /// Returns the value of a variable, if it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn region(&self) -> Option<&str> {
        self.get("AWS_REGION").or_else(|| self.get("AWS_DEFAULT_REGION"))
    }

    pub(super) fn profile(&self) -> &str {
        self.get("AWS_PROFILE").unwrap_or("default")
    }

    /// Returns the paths of the two profile files.
    pub(super) fn profile_files(&self) -> [&str; 2] {
        [
            self.get("AWS_CONFIG_FILE").unwrap_or("~/.aws/config"),
            self.get("AWS_SHARED_CREDENTIALS_FILE").unwrap_or("~/.aws/credentials"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_current_folder_has_profiles() {
        let of = |all: &[(&str, &str)]| {
            let all = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let variables = AwsVariables::from(all.collect::<HashMap<_, _>>());
            variables.profile_files().map(str::to_owned)
        };
        let none = [EMPTY_FILE_PATH, EMPTY_FILE_PATH];
        assert_eq!(of(&[("HOME", "/home/ann")]), ["~/.aws/config", "~/.aws/credentials"]);
        assert_eq!(of(&[("HOME", "/home/ann"), ("AWS_CONFIG_FILE", "/etc/aws")])[0], "/etc/aws");
        for wrong in [&[][..], &[("HOME", "")], &[("HOME", "here")]] {
            assert_eq!(of(wrong), none, "{wrong:?}");
        }
        let relative =
            [("HOME", "/home/ann"), ("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~")];
        assert_eq!(of(&relative), none);
    }
}
