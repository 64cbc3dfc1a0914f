//! Values of npm's lists of dependencies: a range, or an alias of another package (`npm:NAME@RANGE`).

/// A value of a list of dependencies.
#[derive(Debug)]
pub(super) struct NpmValue<'a> {
    /// The package that an alias names; `None` if the entry's key is the name.
    pub(super) package: Option<&'a str>,
    /// `None` for an alias without a range.
    pub(super) range: Option<&'a str>,
}

/// Prefixes of sources that are no registry, with the name of the source.
const OTHER_SOURCES: [(&str, &str); 16] = [
    ("git", "a git repository"),
    ("github:", "a git repository"),
    ("gitlab:", "a git repository"),
    ("bitbucket:", "a git repository"),
    ("gist:", "a git repository"),
    ("http:", "an address"),
    ("https:", "an address"),
    ("file:", "a folder or file"),
    ("link:", "a folder"),
    ("portal:", "a folder"),
    ("exec:", "a program"),
    ("patch:", "a patched package"),
    ("workspace:", "this repository's workspace"),
    ("catalog:", "a catalog of another file"),
    ("jsr:", "the registry JSR"),
    ("bun:", "a program"),
];

/// Takes a value apart.
///
/// # Errors
/// The reason why the value names no version of a registry's package.
pub(super) fn parse(value: &str) -> Result<NpmValue<'_>, String> {
    if let Some(alias) = value.strip_prefix("npm:") {
        // The first letter may be the `@` of a scope.
        let scope_letter = alias.chars().next().map_or(0, char::len_utf8);
        let separator = alias.get(scope_letter..).and_then(|rest| rest.find('@')).map(|at| at + scope_letter);
        let (package, range) =
            separator.map_or((alias, None), |at| (alias.get(..at).unwrap_or_default(), alias.get(at + 1..)));
        return Ok(NpmValue { package: Some(package), range });
    }
    let source =
        OTHER_SOURCES.iter().find(|(prefix, _)| value.starts_with(prefix)).map(|(_, source)| *source);
    let is_archive = [".tgz", ".tar.gz", ".tar"].iter().any(|end| value.to_ascii_lowercase().ends_with(end));
    match source.or(is_archive.then_some("a folder or file")) {
        Some(source) => Err(format!("it takes the package from {source}")),
        None => Ok(NpmValue { package: None, range: Some(value) }),
    }
}
