//! The variables by which AWS's programs find credentials.

use std::collections::HashMap;

/// Variables of AWS, by name.
pub(super) struct AwsVariables(HashMap<String, String>);

impl From<HashMap<String, String>> for AwsVariables {
    fn from(all: HashMap<String, String>) -> Self {
        Self(all)
    }
}

impl AwsVariables {
    pub(super) fn all(&self) -> &HashMap<String, String> {
        &self.0
    }

    /// A variable that says something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn region(&self) -> Option<&str> {
        self.get("AWS_REGION").or_else(|| self.get("AWS_DEFAULT_REGION"))
    }

    pub(super) fn profile(&self) -> &str {
        self.get("AWS_PROFILE").unwrap_or("default")
    }

    /// The two files of profiles.
    pub(super) fn profile_files(&self) -> [&str; 2] {
        [
            self.get("AWS_CONFIG_FILE").unwrap_or("~/.aws/config"),
            self.get("AWS_SHARED_CREDENTIALS_FILE").unwrap_or("~/.aws/credentials"),
        ]
    }
}
