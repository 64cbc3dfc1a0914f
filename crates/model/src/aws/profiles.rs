//! Reads AWS's profile files: the region of a profile, and the programs that print credentials.
//!
//! AWS's library starts the program of `credential_process` in the current folder, with the `PATH` of this
//! process. The current folder may be another person's repository. The library therefore receives a copy of
//! the files in which each program starts in the root folder, with a `PATH` that contains no folder of the
//! repository.
#![expect(deprecated, reason = "the new names of these types are in a crate that is no dependency")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};

use super::variables::AwsVariables;

/// Key of a profile that names a program which prints credentials.
const PROGRAM_KEY: &str = "credential_process";
/// Key of a profile that names the region.
const REGION_KEY: &str = "region";
/// Folders for programs if the environment names no usable folder.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Error message for a program with a relative path. The message is a word of a shell command, so it contains
/// no quotes.
const RELATIVE_PROGRAM_MESSAGE: &str =
    "credential_process names its program by a relative path: write its absolute path";

/// The programs that may be started for AWS credentials.
#[derive(Clone, Debug)]
pub struct CredentialPrograms {
    /// Value of `PATH` for these programs. The value contains only absolute folders outside of reviewed
    /// repositories.
    pub path: String,
    /// True if AWS's library finds the system's own `sh` through the `PATH` of this process. The library
    /// starts each program through `sh`.
    pub is_shell_trusted: bool,
}

/// A profile names a program, and the `sh` that would start the program may belong to the repository.
pub(super) struct UntrustedShell;

/// The text of one profile file.
struct ProfileFile {
    kind: ProfileFileKind,
    text: String,
}

/// A property line of a profile file.
struct ProfileProperty<'t> {
    /// Section of the line, without brackets.
    section: &'t str,
    key: String,
    value: &'t str,
}

/// Returns the region of the selected profile. The environment variables `AWS_REGION` and
/// `AWS_DEFAULT_REGION` take precedence over this region, but the caller has to check them.
pub fn profile_region(variables: impl IntoIterator<Item = (String, String)>) -> Option<String> {
    let variables = AwsVariables::from(variables.into_iter().collect::<HashMap<_, _>>());
    let profile = variables.profile();
    // As in AWS's own programs, the file of credentials takes precedence.
    read_files(&variables).iter().rev().find_map(|file| {
        let property = properties(&file.text)
            .filter(|property| property.key == REGION_KEY && !property.value.is_empty())
            .filter(|property| file.is_section_of(property.section, profile))
            .last()?;
        Some(property.value.to_owned())
    })
}

/// Returns the profile files for AWS's library. Returns `None` if no profile names a program. In this case,
/// the library reads the files itself.
///
/// # Errors
/// [`UntrustedShell`]
pub(super) fn guarded_files(
    variables: &AwsVariables,
    programs: &CredentialPrograms,
) -> Result<Option<ProfileFiles>, UntrustedShell> {
    let files = read_files(variables);
    if !files.iter().any(|file| properties(&file.text).any(|property| property.key == PROGRAM_KEY)) {
        return Ok(None);
    }
    if !programs.is_shell_trusted {
        return Err(UntrustedShell);
    }
    let files = files.into_iter().fold(ProfileFiles::builder(), |files, ProfileFile { kind, text }| {
        files.with_contents(kind, guard_programs(&text, programs))
    });
    Ok(Some(files.build()))
}

impl ProfileFile {
    /// Returns true if a section of this file belongs to a profile.
    fn is_section_of(&self, section: &str, profile: &str) -> bool {
        let named =
            section.strip_prefix("profile").filter(|name| name.starts_with([' ', '\t'])).map(str::trim);
        match self.kind {
            ProfileFileKind::Credentials => section == profile,
            ProfileFileKind::Config => named == Some(profile) || (profile == "default" && section == profile),
        }
    }
}

/// Reads the two profile files. A file that does not exist or cannot be read counts as empty, as in AWS's
/// library.
fn read_files(variables: &AwsVariables) -> Vec<ProfileFile> {
    let [config, credentials] = variables.profile_files();
    let files = [(ProfileFileKind::Config, config), (ProfileFileKind::Credentials, credentials)];
    let read = |(kind, path): (ProfileFileKind, &str)| {
        let text = std::fs::read_to_string(expand_home(path, variables)).unwrap_or_default();
        ProfileFile { kind, text }
    };
    files.map(read).into()
}

fn expand_home(path: &str, variables: &AwsVariables) -> PathBuf {
    match path.strip_prefix("~/").zip(variables.get("HOME")) {
        Some((rest, home)) => Path::new(home).join(rest),
        None => PathBuf::from(path),
    }
}

/// Returns the property lines of a profile file. Lines that continue a property are left out.
fn properties(text: &str) -> impl Iterator<Item = ProfileProperty<'_>> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or_default().trim();
        }
        let (key, value) = split_property(line)?;
        Some(ProfileProperty { section, key: key.trim().to_ascii_lowercase(), value: without_comment(value) })
    })
}

/// Splits a property line at its first `=`. Returns `None` for other lines.
fn split_property(line: &str) -> Option<(&str, &str)> {
    line.split_once('=').filter(|_| !line.starts_with(['[', '#', ';', ' ', '\t']))
}

fn without_comment(value: &str) -> &str {
    let comment = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min();
    value.get(..comment.unwrap_or(value.len())).unwrap_or_default().trim()
}

/// Returns the text of a profile file in which each program starts in the root folder, with the `PATH` of
/// `programs`. A program with a relative path is replaced by an error message.
fn guard_programs(text: &str, programs: &CredentialPrograms) -> String {
    let path = if programs.path.is_empty() { DEFAULT_PATH } else { &programs.path };
    let path = path.replace('\'', r"'\''");
    let guard = |line: &str| match split_property(line) {
        Some((key, value)) if key.trim().eq_ignore_ascii_case(PROGRAM_KEY) => {
            if is_relative_path(value) {
                return format!("{PROGRAM_KEY} = echo '{RELATIVE_PROGRAM_MESSAGE}' >&2; exit 1");
            }
            // A semicolon after white space would begin a comment.
            format!("{PROGRAM_KEY} = PATH='{path}'; export PATH; cd /; {}", value.trim_start())
        }
        Some(_) | None => line.to_owned(),
    };
    text.lines().map(|line| guard(line) + "\n").collect()
}

/// Returns true if a command names its program by a path in the current folder.
fn is_relative_path(command: &str) -> bool {
    let command = command.trim_start();
    let (end, command) = match command.strip_prefix(['"', '\'']) {
        Some(quoted) => (['"', '\''], quoted),
        None => ([' ', '\t'], command),
    };
    let program = command.split(end).next().unwrap_or_default();
    program.contains('/') && !program.starts_with(['/', '~', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_current_folder_is_recognised() {
        for (command, expected) in [
            (" ./keys", true),
            ("tools/keys --json", true),
            ("'tools/my keys' x", true),
            ("../keys", true),
            (" /opt/keys ./x", false),
            ("\"/opt/my keys\"", false),
            ("~/bin/keys", false),
            ("$HOME/bin/keys", false),
            ("aws configure export-credentials --profile a/b", false),
        ] {
            assert_eq!(is_relative_path(command), expected, "{command}");
        }
    }

    #[test]
    fn a_section_belongs_to_its_profile_by_the_kind_of_the_file() {
        let file = |kind| ProfileFile { kind, text: String::new() };
        let config = file(ProfileFileKind::Config);
        let credentials = file(ProfileFileKind::Credentials);
        for (section, profile, in_config, in_credentials) in [
            ("default", "default", true, true),
            ("profile default", "default", true, false),
            ("profile  dev", "dev", true, false),
            ("dev", "dev", false, true),
            ("profiledev", "dev", false, false),
            ("sso-session dev", "dev", false, false),
        ] {
            assert_eq!(config.is_section_of(section, profile), in_config, "{section}");
            assert_eq!(credentials.is_section_of(section, profile), in_credentials, "{section}");
        }
    }
}
