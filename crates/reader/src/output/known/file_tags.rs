//! The kinds of files by which hooks of pre-commit select files, as far as hooks of known tools use them.

/// A kind of files.
struct FileTag {
    name: &'static str,
    /// Extensions of file names, in small letters.
    extensions: &'static [&'static str],
    /// File names, which may have an extension.
    names: &'static [&'static str],
    /// Interpreters that a file without an extension names in its first line.
    interpreters: &'static [&'static str],
}

const fn by_extension(name: &'static str, extensions: &'static [&'static str]) -> FileTag {
    FileTag { name, extensions, names: &[], interpreters: &[] }
}

/// Tags as pre-commit's own library assigns them.
const TAGS: &[FileTag] = &[
    by_extension("astro", &["astro"]),
    FileTag {
        name: "bash",
        extensions: &["bash"],
        names: &[".bashrc", ".bash_profile"],
        interpreters: &["bash"],
    },
    FileTag { name: "bats", extensions: &["bats"], names: &[], interpreters: &["bats"] },
    by_extension("c", &["c"]),
    by_extension("c++", &["cc", "cpp", "cxx", "c++", "hpp", "hxx"]),
    by_extension("css", &["css"]),
    FileTag {
        name: "dockerfile",
        extensions: &["dockerfile"],
        names: &["Dockerfile", "Containerfile"],
        interpreters: &[],
    },
    by_extension("go", &["go"]),
    by_extension("graphql", &["graphql"]),
    by_extension("header", &["h", "hh", "hpp", "hxx"]),
    by_extension("html", &["html", "htm"]),
    FileTag { name: "javascript", extensions: &["js", "mjs", "cjs"], names: &[], interpreters: &["node"] },
    by_extension("json", &["json", "ipynb", "geojson", "jsonld"]),
    by_extension("jsx", &["jsx"]),
    by_extension("jupyter", &["ipynb"]),
    by_extension("kotlin", &["kt", "kts"]),
    by_extension("less", &["less"]),
    by_extension("markdown", &["md", "markdown", "mkd"]),
    FileTag { name: "php", extensions: &["php", "phtml"], names: &[], interpreters: &["php"] },
    by_extension("pyi", &["pyi"]),
    FileTag { name: "python", extensions: &["py", "pyw", "wsgi"], names: &[], interpreters: &["python"] },
    FileTag {
        name: "ruby",
        extensions: &["rb", "gemspec", "rake", "ru"],
        names: &["Gemfile", "Rakefile"],
        interpreters: &["ruby"],
    },
    by_extension("rust", &["rs"]),
    by_extension("sass", &["sass"]),
    by_extension("scss", &["scss"]),
    FileTag { name: "sh", extensions: &["sh"], names: &[], interpreters: &["sh"] },
    FileTag {
        name: "shell",
        extensions: &["bash", "bats", "ksh", "sh", "zsh"],
        names: &[".bashrc", ".bash_profile", ".profile", ".zshrc"],
        interpreters: &["ash", "bash", "bats", "dash", "ksh", "sh", "zsh"],
    },
    by_extension("sql", &["sql"]),
    by_extension("svelte", &["svelte"]),
    by_extension("swift", &["swift"]),
    by_extension("terraform", &["tf"]),
    by_extension("toml", &["toml"]),
    by_extension("ts", &["ts", "mts", "cts"]),
    by_extension("tsx", &["tsx"]),
    by_extension("vue", &["vue"]),
    FileTag {
        name: "yaml",
        extensions: &["yaml", "yml"],
        names: &[".yamllint", ".clang-tidy"],
        interpreters: &[],
    },
];
/// Tags that every file has that a linter checks.
const COMMON_TAGS: [&str; 2] = ["file", "text"];

/// Returns true if the file has the tag. `interpreter` is the interpreter that the first line of a file
/// without an extension names. `None` if the tag is not known.
pub(super) fn has_tag(tag: &str, path: &str, interpreter: Option<&str>) -> Option<bool> {
    if COMMON_TAGS.contains(&tag) {
        return Some(true);
    }
    let tag = TAGS.iter().find(|row| row.name == tag)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    let has_name = tag.names.contains(&name) || name.split('.').any(|part| tag.names.contains(&part));
    Some(
        has_name
            || extension.is_some_and(|extension| tag.extensions.contains(&extension.as_str()))
            || interpreter.is_some_and(|interpreter| tag.interpreters.contains(&interpreter)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assigns_tags_by_name_and_interpreter() {
        for (tag, path, interpreter) in [
            ("python", "src/a.py", None),
            ("python", "bin/a", Some("python")),
            ("shell", "a.SH", None),
            ("shell", "bin/a", Some("dash")),
            ("dockerfile", "web/Dockerfile.dev", None),
            ("yaml", ".yamllint", None),
            ("text", "anything", None),
        ] {
            assert_eq!(has_tag(tag, path, interpreter), Some(true), "{tag} {path}");
        }
        for (tag, path) in [("python", "a.pyi"), ("javascript", "a.ts"), ("bash", "a.sh"), ("go", "go")] {
            assert_eq!(has_tag(tag, path, None), Some(false), "{tag} {path}");
        }
        assert_eq!(has_tag("executable", "a.sh", None), None);
    }

    #[test]
    fn lists_tags_in_order_once() {
        assert!(TAGS.is_sorted_by(|first, second| first.name < second.name));
    }
}
