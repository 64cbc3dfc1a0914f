//! The options and sources that a `requirements.txt` sets for all packages, as pip reads them: options may be
//! abbreviated, may stand behind one another, and may come from included files.

use std::path::{Path, PathBuf};

use super::files::{read_file_below, work_tree_root};
use super::package_sources::PackageSources;
use super::pep508;
use super::requirement::RequirementPlace;
use super::requirement_lines::BUILD_OPTIONS;
use super::toml::normalise_package_name;

/// Long options of a requirements file, which pip also accepts abbreviated.
const LONG_OPTIONS: [&str; 15] = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--no-index",
    "--requirement",
    "--constraint",
    "--editable",
    "--no-binary",
    "--only-binary",
    "--prefer-binary",
    "--require-hashes",
    "--pre",
    "--trusted-host",
    "--use-feature",
    "--hash",
];
/// Maximum number of files that are read because another file includes them. The limit bounds the time for
/// files that include themselves.
const MAX_INCLUDED_FILES: usize = 20;
/// Characters that end a line for pip. Few other programs split lines there.
const UNUSUAL_LINE_ENDS: [char; 8] =
    ['\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

/// An option of a line, with its value.
struct PipOption<'a> {
    /// The long name of the option.
    name: &'a str,
    value: &'a str,
}

/// The package whose sources are searched.
struct SearchedPackage {
    /// Name of the package, normalised as indexes do.
    name: String,
    /// The folder to which all reading is limited.
    root: PathBuf,
}

/// Adds the sources of a requirements file and of the files that it includes.
pub(super) fn add_sources(sources: &mut PackageSources, place: &RequirementPlace<'_>, text: &str) {
    let folder = place.file.parent().unwrap_or(Path::new(""));
    let package =
        SearchedPackage { name: normalise_package_name(place.package), root: work_tree_root(place.file) };
    let mut files_left = MAX_INCLUDED_FILES;
    add_sources_of_file(sources, folder, &package, text, &mut files_left);
}

fn add_sources_of_file(
    sources: &mut PackageSources,
    folder: &Path,
    package: &SearchedPackage,
    text: &str,
    files_left: &mut usize,
) {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if text.contains(UNUSUAL_LINE_ENDS) || text.contains('\r') {
        sources.add_doubt("the file has line ends that only pip knows".to_owned());
    }
    let has_coding = |line: &str| line.starts_with('#') && line.contains("coding") && !line.contains("utf-8");
    if text.lines().take(2).any(has_coding) {
        sources.add_doubt("the file declares another encoding".to_owned());
    }
    for line in text.replace("\\\n", "").lines() {
        let line = line.trim();
        let line = line.split(" #").next().unwrap_or(line);
        if line.starts_with('#') {
            continue;
        }
        if !line.starts_with('-') && is_path_or_address(line) && may_be_package(line, &package.name) {
            sources.add_doubt(format!("`{line}` may be the package, too"));
        }
        for option in options(line) {
            add_option(sources, folder, package, &option, files_left);
        }
    }
}

fn add_option(
    sources: &mut PackageSources,
    folder: &Path,
    package: &SearchedPackage,
    option: &PipOption<'_>,
    files_left: &mut usize,
) {
    let PipOption { name, value } = *option;
    match name {
        "--index-url" | "--extra-index-url" | "--find-links" => {
            sources.add_index(value, format!("the option {name}"));
        }
        "--no-index" => sources.add_doubt("the option --no-index forbids every index".to_owned()),
        "--editable" if may_be_package(value, &package.name) => {
            sources.add_doubt(format!("`{name} {value}` may be the package, too"));
        }
        "--requirement" | "--constraint" if *files_left == 0 || value.contains("://") => {
            sources.add_doubt(format!("the file of `{name} {value}` is not read"));
        }
        "--requirement" | "--constraint" => {
            *files_left -= 1;
            let path = folder.join(value);
            let text = match read_file_below(&package.root, &path) {
                Ok(text) => text,
                Err(reason) => {
                    sources.add_doubt(format!("the file of `{name} {value}` cannot be read: {reason}"));
                    return;
                }
            };
            let names_package =
                |line: &&str| pep508::package_name(line).is_some_and(|name| name == package.name);
            if let Some(line) = text.trim_start_matches('\u{feff}').lines().find(names_package) {
                sources.add_doubt(format!("{value} also requires it: `{}`", line.trim()));
            }
            add_sources_of_file(sources, path.parent().unwrap_or(folder), package, &text, files_left);
        }
        "" => sources.add_doubt(format!("the option `{value}` is not understood")),
        _ => {}
    }
}

/// Returns the options of a line. An option that pip does not know has an empty name, and its text as value.
fn options(line: &str) -> Vec<PipOption<'_>> {
    let mut found = Vec::new();
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word == "-" {
            continue;
        }
        let (name, mut value) = match word.strip_prefix("--") {
            Some(_) => {
                let (name, value) = word.split_once('=').unwrap_or((word, ""));
                (long_name(name), value)
            }
            None => {
                let end = word.char_indices().nth(2).map_or(word.len(), |(end, _)| end);
                let (letter, value) = word.split_at(end);
                (short_name(letter), value.trim_start_matches('='))
            }
        };
        let Some(name) = name else {
            found.push(PipOption { name: "", value: word });
            continue;
        };
        let has_value = !matches!(name, "--no-index" | "--prefer-binary" | "--require-hashes" | "--pre");
        if has_value && value.is_empty() {
            value = words.next().unwrap_or_default();
        }
        found.push(PipOption { name, value: value.trim_matches(['"', '\'']) });
    }
    found
}

fn long_name(written: &str) -> Option<&'static str> {
    let names = || LONG_OPTIONS.iter().chain(&BUILD_OPTIONS);
    names().find(|name| **name == written).or_else(|| names().find(|name| name.starts_with(written))).copied()
}

fn short_name(written: &str) -> Option<&'static str> {
    match written {
        "-i" => Some("--index-url"),
        "-f" => Some("--find-links"),
        "-r" => Some("--requirement"),
        "-c" => Some("--constraint"),
        "-e" => Some("--editable"),
        "-C" => Some("--config-settings"),
        _ => None,
    }
}

fn is_path_or_address(line: &str) -> bool {
    line.starts_with(['.', '/']) || line.contains("://") && !line.contains(" @ ") || line.starts_with("file:")
}

/// Returns true if the text of a path or an address contains the package's name.
fn may_be_package(text: &str, package: &str) -> bool {
    let separators = |letter: char| matches!(letter, '-' | '_' | '.');
    let normalised: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|letter| if separators(letter) { '-' } else { letter })
        .collect();
    normalised.contains(package) || matches!(text.trim_end_matches('/'), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use truing_core::registry::PackageRegistry;
    use truing_core::version::RangeStyle;

    fn sources_of(text: &str, others: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in others {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut sources = PackageSources::default();
        let place = RequirementPlace {
            file: &folder.path().join("requirements.txt"),
            key_path: "",
            package: "Kit_Py",
            registry: PackageRegistry::Pypi,
            style: RangeStyle::Keep,
        };
        add_sources(&mut sources, &place, text);
        (sources.indexes.into_iter().map(|index| index.address).collect(), sources.doubt)
    }

    #[test]
    fn reads_options_as_pip_does() {
        let url = "https://c.example/simple";
        for text in [
            format!("-i {url}\n"),
            format!("-i{url}"),
            format!("--index-url={url}"),
            format!("--index-u={url}"),
            format!("--extra-index \"{url}\""),
            format!("--pre -i {url}"),
            format!("--require-hashes --index-url {url}"),
            format!("\u{feff}--find-links {url}  # why"),
            format!("--index-url \\\n  {url}"),
            format!("--in\\\ndex-url {url}"),
        ] {
            assert_eq!(sources_of(&text, &[]), (vec![url.to_owned()], None), "{text}");
        }
        let base = format!("--index-url {url}\n");
        assert_eq!(sources_of("-r base.txt\n", &[("base.txt", &base)]).0, [url]);
        let plain =
            "# -i https://no\nother>=1\nkit-py>=1,<2 --hash=sha256:aa --config-settings=\"a=b\"\n--pre\n";
        assert_eq!(sources_of(plain, &[]), (vec![], None));
    }

    #[test]
    fn doubts_other_sources_of_the_package() {
        let many_includes = "-r a.txt\n".repeat(1000);
        for (text, others) in [
            ("-e ./vendor/kit_py", &[][..]),
            ("./vendor/kit.py", &[]),
            ("https://h.example/kit-py-1.0.tar.gz", &[]),
            ("--editable=git+https://h.example/x#egg=kit-py", &[]),
            (".", &[]),
            ("--no-index", &[]),
            ("--unknown", &[]),
            ("-c https://h.example/c.txt", &[]),
            ("-c absent.txt", &[]),
            ("-c c.txt", &[("c.txt", "kit.py<1.5\n")]),
            ("-r a.txt", &[("a.txt", "-r a.txt\n")]),
            ("-r a.txt", &[("a.txt", many_includes.as_str())]),
            ("x==1\u{b}--pre", &[]),
            ("# c\r-i https://h.example", &[]),
            ("# -*- coding: utf-7 -*-\n", &[]),
        ] {
            assert!(sources_of(text, others).1.is_some(), "{text}");
        }
        assert_eq!(sources_of("-e ./vendor/other\nhttps://h.example/other.whl\n", &[]).1, None);
    }
}
