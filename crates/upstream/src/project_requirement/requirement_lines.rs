//! Requirements in a list with one requirement per line, as in `requirements.txt`. A line that ends in `\`
//! continues on the next line.

use std::ops::Range as Span;

use super::pep508;
use super::requirement::{RequirementNotation, RequirementText};
use super::toml::normalise_package_name;

/// Options of a requirement that do not change which release pip installs.
pub(super) const BUILD_OPTIONS: [&str; 4] =
    ["--config-settings", "--config-setting", "--global-option", "--install-option"];
const HASH_OPTION: &str = "--hash";

/// Finds the requirements of a package.
pub(super) fn find_requirements(text: &str, package: &str) -> Vec<RequirementText> {
    let wanted = normalise_package_name(package);
    let mut found = Vec::new();
    for span in logical_lines(text) {
        let whole_line = text.get(span.clone()).unwrap_or_default();
        // pip ignores a byte order mark.
        let line = whole_line.trim_start_matches('\u{feff}').trim_start();
        let start = span.start + whole_line.len() - line.len();
        if let Some(list) = list_beside_key(line) {
            let position = start + line.len() - list.len();
            found.extend(requirements_beside_key(list, position, &wanted));
            continue;
        }
        if line.starts_with(['#', '-']) || pep508::package_name(line).is_none_or(|name| name != wanted) {
            continue;
        }
        found.push(requirement_at(line, start));
    }
    found
}

/// Returns the value that `setup.cfg` has on the line of the key `install_requires`.
fn list_beside_key(line: &str) -> Option<&str> {
    let value = ["install_requires", "install-requires"].iter().find_map(|key| line.strip_prefix(key))?;
    value.trim_start().strip_prefix(['=', ':']).map(str::trim_start)
}

/// Returns the requirements of a package on the line of a key. Setuptools separates such requirements by
/// semicolons, which also begin a marker, so only a single requirement is understood.
fn requirements_beside_key(list: &str, start: usize, wanted: &str) -> Vec<RequirementText> {
    let is_wanted = |item: &str| pep508::package_name(item).is_some_and(|name| name == wanted);
    if !list.split([';', ',']).any(is_wanted) {
        return Vec::new();
    }
    if is_wanted(list) && !list.contains(';') {
        return vec![requirement_at(list, start)];
    }
    let doubt = "write each requirement on a line of its own".to_owned();
    vec![RequirementText::not_understood(list.trim().to_owned(), doubt)]
}

/// Returns the positions of lines, each with the lines that continue it.
fn logical_lines(text: &str) -> Vec<Span<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        end += line.len();
        let content = line.trim_end_matches(['\n', '\r']);
        if !content.ends_with('\\') {
            lines.push(start..end);
            start = end;
        }
    }
    if start < end {
        lines.push(start..end);
    }
    lines
}

/// Reads one requirement with its options.
fn requirement_at(line: &str, start: usize) -> RequirementText {
    let comment = [" #", "\t#"].into_iter().filter_map(|mark| line.find(mark)).min();
    let line = line.get(..comment.unwrap_or(line.len())).unwrap_or(line);
    let options_start = [" --", "\t--", "\\\n--"].into_iter().filter_map(|mark| line.find(mark)).min();
    let (head, options) = line.split_at(options_start.unwrap_or(line.len()));
    let requirement = head.trim_end_matches(|letter: char| letter == '\\' || letter.is_whitespace());
    let span = start..start + requirement.len();
    let mut found = RequirementText::new(span, requirement.to_owned(), RequirementNotation::Pep508);
    if requirement.contains('\\') {
        found.doubt = Some("it continues on another line".to_owned());
    }
    let mut position = head.len();
    for word in options.split_inclusive(|letter: char| letter.is_whitespace() || letter == '\\') {
        let option = word.trim_matches(|letter: char| letter == '\\' || letter.is_whitespace());
        let option_start = start + position + word.find(option).unwrap_or_default();
        position += word.len();
        let name = option.split('=').next().unwrap_or_default();
        if option == HASH_OPTION {
            found.doubt = Some(format!("write `{HASH_OPTION}=ALGORITHM:DIGEST`"));
        } else if name == HASH_OPTION {
            let end = option_start + option.len();
            found.hashes = Some(found.hashes.map_or(option_start, |hashes| hashes.start)..end);
        } else if option.starts_with('-') && !BUILD_OPTIONS.contains(&name) {
            found.doubt = Some(format!("the option `{option}` is not understood"));
        }
    }
    found
}

/// Returns the options `--hash` for new digests, with the separator between the old options.
pub(super) fn hash_options(old_options: &str, digests: &[String]) -> String {
    let is_end = |letter: char| letter.is_whitespace() || letter == '\\';
    let first_end = old_options.find(is_end).unwrap_or(old_options.len());
    let rest = old_options.get(first_end..).unwrap_or_default();
    let separator = rest.find(HASH_OPTION).and_then(|next| rest.get(..next)).unwrap_or(" \\\n    ");
    let options: Vec<String> = digests.iter().map(|digest| format!("{HASH_OPTION}={digest}")).collect();
    options.join(separator)
}
