//! Finds the index that this user's package managers use. On a machine that can reach only a mirror, the
//! settings of the package managers already name the mirror. The mirror therefore need not be configured for
//! Truing as well. Only the documented variables and the files in the user's home folder are read. Files of a
//! project are ignored, because otherwise the author of a change could choose the source of the project's
//! packages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use truing_core::nesting::{TOO_DEEP_REASON, is_too_deep};
use truing_core::secret::SecretString;

use truing_core::registry::PackageRegistry;

/// The largest settings file, in bytes.
const MAX_SETTINGS_FILE_BYTES: u64 = 256 << 10;
/// Variables that name an index of Python packages; the first variable that is set applies.
const PYTHON_INDEX_VARIABLES: [&str; 3] = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"];
const NPM_REGISTRY_VARIABLES: [&str; 2] = ["npm_config_registry", "NPM_CONFIG_REGISTRY"];
/// Maximum length of a chain of crate sources in which each source replaces the previous one.
const MAX_SOURCE_REPLACEMENTS: usize = 10;

/// An index from the user's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfiguredIndex {
    /// Address of the index, which may contain a login.
    pub address: String,
    /// The token that requests to the index must send.
    pub token: Option<SecretString>,
    /// The variable or file that configures the index; `None` for the public default.
    pub configured_by: Option<String>,
}

/// The reasons why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexConfigError {
    /// A settings file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    UnreadableFile {
        path: PathBuf,
        /// The problem with the file.
        reason: String,
    },
    /// The source that replaces crates.io is not a sparse index.
    #[error("{path} replaces crates.io by the source `{source_name}`, which does not define a sparse index")]
    UnsupportedSource {
        /// The file or the variable that configures the replacement.
        path: String,
        /// Name of the source that replaces crates.io.
        source_name: String,
    },
}

/// The user's settings: variables, and a home folder for files.
pub struct UserEnvironment<'a> {
    /// Returns the value of an environment variable.
    pub read_variable: &'a dyn Fn(&str) -> Option<String>,
    /// The user's home folder.
    pub home: Option<&'a Path>,
}

impl UserEnvironment<'_> {
    fn non_empty_variable(&self, name: &str) -> Option<String> {
        (self.read_variable)(name).filter(|value| !value.is_empty())
    }

    fn path_in_home(&self, path: &str) -> Option<PathBuf> {
        self.home.map(|home| home.join(path))
    }

    /// Finds the index that serves a package.
    ///
    /// # Errors
    /// [`IndexConfigError`] if the settings cannot be used.
    pub fn find_index(
        &self,
        registry: PackageRegistry,
        package: &str,
    ) -> Result<ConfiguredIndex, IndexConfigError> {
        let found = match registry {
            PackageRegistry::Pypi => self.python_index()?,
            PackageRegistry::Npm => self.npm_index(package)?,
            PackageRegistry::Crates => self.crates_index()?,
        };
        let default = match registry {
            PackageRegistry::Pypi => "https://pypi.org/simple/",
            PackageRegistry::Npm => "https://registry.npmjs.org/",
            PackageRegistry::Crates => "https://index.crates.io/",
        };
        Ok(found.unwrap_or_else(|| ConfiguredIndex {
            address: default.to_owned(),
            token: None,
            configured_by: None,
        }))
    }

    fn python_index(&self) -> Result<Option<ConfiguredIndex>, IndexConfigError> {
        let plain = |address: String, named_by: String| ConfiguredIndex {
            address,
            token: None,
            configured_by: Some(named_by),
        };
        for name in PYTHON_INDEX_VARIABLES {
            if let Some(address) = self.non_empty_variable(name) {
                return Ok(Some(plain(address, name.to_owned())));
            }
        }
        let config = self
            .non_empty_variable("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| self.path_in_home(".config"));
        let files = [
            self.non_empty_variable("PIP_CONFIG_FILE").map(PathBuf::from),
            config.map(|folder| folder.join("pip/pip.conf")),
            self.path_in_home(".pip/pip.conf"),
            Some(PathBuf::from("/etc/pip.conf")),
        ];
        for path in files.into_iter().flatten() {
            if let Some(text) = read_optional_file(&path)?
                && let Some(address) = parse_entries(&text).remove("global.index-url")
            {
                return Ok(Some(plain(address, path.display().to_string())));
            }
        }
        Ok(None)
    }

    fn npm_index(&self, package: &str) -> Result<Option<ConfiguredIndex>, IndexConfigError> {
        let path = self
            .non_empty_variable("NPM_CONFIG_USERCONFIG")
            .map(PathBuf::from)
            .or_else(|| self.path_in_home(".npmrc"));
        let text = path.as_deref().map(read_optional_file).transpose()?.flatten().unwrap_or_default();
        let mut entries = parse_entries(&text);
        for value in entries.values_mut() {
            *value = self.expand_variables(value);
        }
        let scope = package.split_once('/').map(|(scope, _)| scope).filter(|scope| scope.starts_with('@'));
        let of_scope = scope.and_then(|scope| entries.get(&format!("{scope}:registry")));
        let variable = NPM_REGISTRY_VARIABLES
            .into_iter()
            .find_map(|name| Some((self.non_empty_variable(name)?, name.to_owned())));
        let file = || path.as_ref().map_or(String::new(), |path| path.display().to_string());
        let named = of_scope
            .map(|address| (address.clone(), file()))
            .or(variable)
            .or_else(|| entries.get("registry").map(|address| (address.clone(), file())));
        let Some((address, named_by)) = named else { return Ok(None) };
        // A key `//HOST/PATH/:_authToken` applies if the address begins with `//HOST/PATH/`. Of several such
        // keys, the longest applies.
        let place = address.split_once(':').map_or("", |(_, place)| place);
        let tokens =
            entries.iter().filter_map(|(key, token)| Some((key.strip_suffix(":_authToken")?, token)));
        let token = tokens.filter(|(key, _)| has_url_prefix(place, key)).max_by_key(|(key, _)| key.len());
        let token = token.map(|(_, token)| SecretString::new(token.as_str()));
        Ok(Some(ConfiguredIndex { address, token, configured_by: Some(named_by) }))
    }

    /// Replaces each `${NAME}` in a value of npm's settings with the environment variable's value.
    fn expand_variables(&self, value: &str) -> String {
        let mut text = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            text.push_str(before);
            text.push_str(&self.non_empty_variable(name).unwrap_or_default());
            rest = after;
        }
        text + rest
    }

    fn crates_index(&self) -> Result<Option<ConfiguredIndex>, IndexConfigError> {
        let home =
            self.non_empty_variable("CARGO_HOME").map(PathBuf::from).or_else(|| self.path_in_home(".cargo"));
        let path = home.map(|home| home.join("config.toml"));
        let text = path.as_deref().map(read_optional_file).transpose()?.flatten().unwrap_or_default();
        let wrong = |reason: String| IndexConfigError::UnreadableFile {
            path: path.clone().unwrap_or_default(),
            reason,
        };
        if is_too_deep(&text) {
            return Err(wrong(TOO_DEEP_REASON.to_owned()));
        }
        let config: CargoConfig =
            toml_edit::de::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        let named_by = path.as_ref().map_or(String::new(), |path| path.display().to_string());
        let mut name = "crates-io".to_owned();
        for _ in 0..MAX_SOURCE_REPLACEMENTS {
            let of_source = |key: &str| {
                self.non_empty_variable(&format!("CARGO_SOURCE_{}_{key}", cargo_variable_name(&name)))
            };
            let source = config.source.get(&name);
            let next = of_source("REPLACE_WITH").or_else(|| source.and_then(|one| one.replace_with.clone()));
            if let Some(next) = next {
                name = next;
                continue;
            }
            if name == "crates-io" {
                return Ok(None);
            }
            let registry =
                || self.non_empty_variable(&format!("CARGO_REGISTRIES_{}_INDEX", cargo_variable_name(&name)));
            let index = of_source("REGISTRY")
                .or_else(|| source.and_then(|one| one.registry.clone()))
                .or_else(registry)
                .or_else(|| config.registries.get(&name).and_then(|one| one.index.clone()));
            let address = index.as_deref().and_then(|index| index.strip_prefix("sparse+"));
            return match address {
                Some(address) => Ok(Some(ConfiguredIndex {
                    address: address.to_owned(),
                    token: None,
                    configured_by: Some(named_by),
                })),
                None => Err(IndexConfigError::UnsupportedSource { path: named_by, source_name: name }),
            };
        }
        Err(IndexConfigError::UnsupportedSource { path: named_by, source_name: name })
    }
}

/// The keys of Cargo's settings that this module reads.
#[derive(Default, Deserialize)]
#[serde(default)]
struct CargoConfig {
    source: BTreeMap<String, CargoSourceConfig>,
    registries: BTreeMap<String, CargoRegistryConfig>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct CargoSourceConfig {
    replace_with: Option<String>,
    registry: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CargoRegistryConfig {
    index: Option<String>,
}

/// Returns the name of a registry or source as Cargo's environment variables spell it.
fn cargo_variable_name(name: &str) -> String {
    name.to_ascii_uppercase().replace(['-', '.'], "_")
}

/// Returns true if an address begins with this key and the key ends at the end of one of the address's path
/// segments.
fn has_url_prefix(address: &str, url_prefix: &str) -> bool {
    let key = url_prefix.trim_end_matches('/');
    address.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads a file's text; none if the file does not exist.
fn read_optional_file(path: &Path) -> Result<Option<String>, IndexConfigError> {
    let wrong = |reason: String| IndexConfigError::UnreadableFile { path: path.to_owned(), reason };
    match std::fs::metadata(path) {
        // Only regular files are read, because reading a pipe may never end.
        Ok(found) if !found.is_file() => Err(wrong("it is not a regular file".to_owned())),
        Ok(found) if found.len() > MAX_SETTINGS_FILE_BYTES => {
            Err(wrong(format!("it is longer than {} KiB", MAX_SETTINGS_FILE_BYTES >> 10)))
        }
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(|error| wrong(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Parses the lines `key = value` of pip's and npm's settings. A key within a section becomes `section.key`.
pub(crate) fn parse_entries(text: &str) -> BTreeMap<String, String> {
    let (mut section, mut entries) = (String::new(), BTreeMap::new());
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{}.", name.trim());
        } else if let Some((key, value)) = line.split_once('=') {
            let value = value.trim().trim_matches('"');
            entries.insert(format!("{section}{}", key.trim()), value.to_owned());
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds the index with these variables and files in a home folder.
    fn find_index_with(
        registry: PackageRegistry,
        package: &str,
        variables: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Result<ConfiguredIndex, IndexConfigError> {
        let home = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        UserEnvironment { read_variable: &variable, home: Some(home.path()) }.find_index(registry, package)
    }

    const NPMRC: &str = "registry=https://npm.example/all/\n@ours:registry = https://npm.example/ours/\n; \
        why\n//npm.example/:_authToken=one\n//npm.example/ours/:_authToken=${TOKEN}\n//npm.example/ourselves/:_authToken=no\n";

    #[test]
    fn the_index_is_the_one_that_the_package_manager_takes() {
        let cargo = format!(
            "[source.crates-io]\nreplace{}\n[registries.mirror]\nindex = \"sparse+{}\"\n",
            "-with = \"mirror\"", "https://crates.example/"
        );
        use PackageRegistry::{Crates, Npm, Pypi};
        for (registry, package, variables, files, address, token) in [
            (
                Pypi,
                "a",
                &[][..],
                &[(".config/pip/pip.conf", "[global]\nindex-url = https://pip.example/simple\n")][..],
                "https://pip.example/simple",
                None,
            ),
            (
                Pypi,
                "a",
                &[("UV_INDEX_URL", ""), ("PIP_INDEX_URL", "https://two.example")],
                &[(".pip/pip.conf", "[global]\nindex-url=x")],
                "https://two.example",
                None,
            ),
            (Npm, "a", &[], &[], "https://registry.npmjs.org/", None),
            (Npm, "a", &[], &[(".npmrc", NPMRC)], "https://npm.example/all/", Some("one")),
            (
                Npm,
                "@ours/a",
                &[("TOKEN", "two")],
                &[(".npmrc", NPMRC)],
                "https://npm.example/ours/",
                Some("two"),
            ),
            (
                Npm,
                "a",
                &[("npm_config_registry", "https://three.example/")],
                &[(".npmrc", NPMRC)],
                "https://three.example/",
                None,
            ),
            (Crates, "a", &[], &[], "https://index.crates.io/", None),
            (Crates, "a", &[], &[(".cargo/config.toml", cargo.as_str())], "https://crates.example/", None),
            (
                Crates,
                "a",
                &[
                    ("CARGO_SOURCE_CRATES_IO_REPLACE_WITH", "my-own"),
                    ("CARGO_REGISTRIES_MY_OWN_INDEX", "sparse\u{2b}https://own.example/"),
                ],
                &[],
                "https://own.example/",
                None,
            ),
        ] {
            let own = find_index_with(registry, package, variables, files).unwrap();
            let is = (own.address.as_str(), own.token.as_ref().map(SecretString::expose));
            assert_eq!(is, (address, token), "{registry:?} {variables:?} {files:?}");
        }
    }

    #[test]
    fn a_source_that_is_no_sparse_index_is_not_passed_over() {
        let replaced = |by: &str| format!("[source.crates-io]\nreplace{} = \"{by}\"\n", "-with");
        for config in [
            replaced("folder") + "[source.folder]\ndirectory = \"vendor\"\n",
            replaced("git") + "[source.git]\nregistry = \"https://git.example/index\"\n",
            replaced("crates-io"),
        ] {
            let error =
                find_index_with(PackageRegistry::Crates, "a", &[], &[(".cargo/config.toml", &config)])
                    .unwrap_err();
            assert!(error.to_string().contains("which does not define a sparse index"), "{error}");
        }
        let error =
            find_index_with(PackageRegistry::Crates, "a", &[], &[(".cargo/config.toml", "[")]).unwrap_err();
        assert!(matches!(error, IndexConfigError::UnreadableFile { .. }), "{error}");
        let deep = "[".repeat(101);
        let error =
            find_index_with(PackageRegistry::Crates, "a", &[], &[(".cargo/config.toml", &deep)]).unwrap_err();
        assert!(error.to_string().contains("more than 100 brackets are open at once"), "{error}");
    }

    #[test]
    fn settings_are_read_up_to_their_bound() {
        let most = usize::try_from(MAX_SETTINGS_FILE_BYTES).unwrap();
        let of = |bytes: usize| {
            find_index_with(
                PackageRegistry::Npm,
                "x",
                &[],
                &[(".npmrc", &format!("{NPMRC};{}", "x".repeat(bytes - NPMRC.len() - 1)))],
            )
        };
        assert_eq!(of(most).unwrap().address, "https://npm.example/all/");
        let told = of(most + 1).unwrap_err().to_string();
        assert!(told.contains(".npmrc") && told.contains("longer than 256 KiB"), "{told}");
    }
}
