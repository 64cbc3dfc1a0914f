//! Parses the requirements of a release from files in its archive: the metadata of a Python distribution,
//! `package.json`, or `Cargo.toml`.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::nesting::is_too_deep;
use truing_core::sync::METADATA;

/// Manifest of an npm package.
const NPM_MANIFEST: &str = "package.json";
/// Manifest of a Rust crate.
const CARGO: &str = "Cargo.toml";
/// First metadata version in which the metadata of a source archive lists all requirements (PEP 643).
const COMPLETE_METADATA_VERSION: (u32, u32) = (2, 2);

/// Returns the name under which a file with requirements is reported. Returns `None` for files without
/// requirements. The metadata of all Python distributions is reported under one name, because the name of its
/// folder contains the release.
pub(super) fn requirements_file_name(path: &str) -> Option<&'static str> {
    let of_wheel = path
        .split_once('/')
        .is_some_and(|(folder, file)| file == "METADATA" && folder.ends_with(".dist-info"));
    match path {
        _ if of_wheel => Some(METADATA),
        "PKG-INFO" => Some(METADATA),
        NPM_MANIFEST => Some(NPM_MANIFEST),
        CARGO => Some(CARGO),
        _ => None,
    }
}

/// Returns the paths of those files that contain requirements.
pub(super) fn requirements_files(files: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = String> {
    files.keys().filter(|path| requirements_file_name(path).is_some()).cloned()
}

/// Returns the requirements in each of these files. The key is the name under which the file is reported.
pub(super) fn parse_files<'a>(
    files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>,
) -> BTreeMap<String, FoundRequirements> {
    let mut requirements = BTreeMap::new();
    for (path, bytes) in files {
        let (Some(file), Ok(text)) = (requirements_file_name(path), std::str::from_utf8(bytes)) else {
            continue;
        };
        let found = match file {
            NPM_MANIFEST => npm_requirements(text),
            CARGO => cargo_requirements(text),
            _ => python_requirements(text, path == "PKG-INFO"),
        };
        requirements.extend(found.map(|found| (file.to_owned(), found)));
    }
    requirements
}

type FoundRequirements = BTreeMap<String, BTreeSet<String>>;

/// Parses the metadata of a Python distribution. Returns `None` for a source archive whose metadata does not
/// list the requirements.
fn python_requirements(text: &str, is_source_archive: bool) -> Option<FoundRequirements> {
    let mut found = FoundRequirements::new();
    let (mut version, mut is_dynamic) = ((0, 0), false);
    // The fields end at the first blank line, where the description begins.
    for line in text.lines().take_while(|line| !line.trim().is_empty()) {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match field.to_ascii_lowercase().as_str() {
            "metadata-version" => {
                let (major, minor) = value.split_once('.').unwrap_or((value, "0"));
                version = (major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
            }
            "dynamic" => is_dynamic |= value.eq_ignore_ascii_case("requires-dist"),
            "requires-dist" => {
                let (name, text) = parse_requirement(value);
                found.entry(name).or_default().insert(text);
            }
            "requires-python" => {
                found.entry("Python".to_owned()).or_default().insert(normalize_bounds(value));
            }
            _ => {}
        }
    }
    let says_all = !is_source_archive || (version >= COMPLETE_METADATA_VERSION && !is_dynamic);
    (says_all || found.keys().any(|name| name != "Python")).then_some(found)
}

/// Returns a requirement's name, and the whole requirement, both in a normalised spelling.
fn parse_requirement(text: &str) -> (String, String) {
    let (head, marker) = text.split_once(';').unwrap_or((text, ""));
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let end = head.find(|letter| !is_name(letter)).unwrap_or(head.len());
    let (name, rest) = head.split_at(end);
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let (bounds, marker) = (normalize_bounds(rest), normalize_marker(marker));
    let text = if marker.is_empty() { format!("{name}{bounds}") } else { format!("{name}{bounds};{marker}") };
    (name, text)
}

/// Returns a marker with blanks only between words: `python_version<'3.10' and extra=='a'`.
fn normalize_marker(marker: &str) -> String {
    let sign = |letter: char| matches!(letter, '<' | '>' | '=' | '!' | '~');
    let mut text = String::new();
    for word in marker.split_whitespace() {
        let touches =
            text.ends_with(sign) || text.ends_with('(') || word.starts_with(sign) || word.starts_with(')');
        if !text.is_empty() && !touches {
            text.push(' ');
        }
        text.push_str(word);
    }
    text.replace('"', "'")
}

/// Returns version bounds in a fixed order, without blanks and enclosing brackets.
fn normalize_bounds(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (extras, rest) = match text.split_once(']') {
        Some((extras, rest)) => (format!("{extras}]"), rest.to_owned()),
        None => (String::new(), text),
    };
    let rest = rest.trim_start_matches('(').trim_end_matches(')');
    let mut clauses: Vec<&str> = rest.split(',').filter(|clause| !clause.is_empty()).collect();
    clauses.sort_unstable();
    format!("{extras}{}", clauses.join(","))
}

fn npm_requirements(text: &str) -> Option<FoundRequirements> {
    let package: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut found = FoundRequirements::new();
    for section in ["dependencies", "peerDependencies", "optionalDependencies", "engines"] {
        for (name, range) in package.get(section).and_then(|of| of.as_object()).into_iter().flatten() {
            found.entry(name.clone()).or_default().insert(format!("{section} {range}"));
        }
    }
    Some(found)
}

fn cargo_requirements(text: &str) -> Option<FoundRequirements> {
    if is_too_deep(text) {
        return None;
    }
    let package: toml::Table = text.parse().ok()?;
    let mut found = FoundRequirements::new();
    let mut of = |target_prefix: &str, table: &toml::Table| {
        for section in ["dependencies", "build-dependencies"] {
            for (name, range) in table.get(section).and_then(toml::Value::as_table).into_iter().flatten() {
                found.entry(name.clone()).or_default().insert(format!("{target_prefix}{section} {range}"));
            }
        }
    };
    of("", &package);
    for (target, table) in package.get("target").and_then(toml::Value::as_table).into_iter().flatten() {
        if let Some(table) = table.as_table() {
            of(&format!("{target} "), table);
        }
    }
    let rust = package.get("package").and_then(|package| package.get("rust-version"));
    if let Some(rust) = rust {
        found.entry("Rust".to_owned()).or_default().insert(rust.to_string());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one_file(path: &str, text: &str) -> FoundRequirements {
        let (path, bytes) = (path.to_owned(), text.as_bytes().to_vec());
        parse_files([(&path, &bytes)].into_iter()).into_values().next().unwrap_or_default()
    }

    #[test]
    fn a_text_whose_parser_would_recurse_without_end_requires_nothing() {
        assert_eq!(
            parse_one_file("p-1/Cargo.toml", &"{a=|| [[a]]\n%==".repeat(5_000)),
            FoundRequirements::new()
        );
    }

    #[test]
    fn a_requirement_is_the_same_however_it_is_spelled() {
        let of = |line: &str| {
            parse_one_file(
                "p-1.dist-info/METADATA",
                &format!("Metadata-Version: 2.1\nRequires-Dist: {line}\n\nRequires-Dist: no\n"),
            )
        };
        let one = of("urllib3 (<1.27,>=1.25.4) ; python_version < \"3.10\"");
        assert_eq!(one, of("urllib3>=1.25.4, <1.27; python_version<'3.10'"));
        assert_eq!(one.keys().collect::<Vec<_>>(), ["urllib3"]);
        assert_ne!(one, of("urllib3>=1.25.4,<1.28; python_version<'3.10'"));
        let two = of("a; python_version<'3.10' and (extra=='b' or os_name == \"nt\")");
        assert_eq!(two, of("A ;python_version < '3.10'  and ( extra == 'b' or os_name=='nt' )"));
        assert_eq!(
            two["a"],
            BTreeSet::from(["a;python_version<'3.10' and (extra=='b' or os_name=='nt')".to_owned()])
        );
        assert_ne!(of("a[x]>=1"), of("a[y]>=1"));
        assert_ne!(of("a>=1; extra == 'b'"), of("a>=1"));
    }

    #[test]
    fn a_source_archive_that_does_not_say_what_is_required_says_nothing() {
        assert_eq!(parse_one_file("PKG-INFO", "Metadata-Version: 1.1\nRequires-Python: >=3\n").len(), 0);
        assert_eq!(parse_one_file("PKG-INFO", "Metadata-Version: 2.1\nRequires-Dist: a\n").len(), 1);
        assert_eq!(parse_one_file("PKG-INFO", "Metadata-Version: 2.2\nRequires-Python: >=3\n").len(), 1);
    }

    #[test]
    fn packages_of_npm_and_crates_say_it_in_their_own_files() {
        let npm =
            parse_one_file("package.json", r#"{"dependencies": {"a": "^1"}, "devDependencies": {"b": "1"}}"#);
        assert_eq!(npm.keys().collect::<Vec<_>>(), ["a"]);
        let cargo = parse_one_file(
            "Cargo.toml",
            "[dependencies.a]\nversion = \"1\"\n[target.x.dependencies]\nc = \"1\"\n[dev-dependencies]\nb \
             = \"1\"\n",
        );
        assert_eq!(cargo.keys().collect::<Vec<_>>(), ["a", "c"]);
    }
}
