//! Rule files in TOML: text and secrets.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use toml::Spanned;
use truing_core::finding::{Category, Severity};
use truing_diff::RepoPath;

use super::error::{PackError, place};
use super::rule::{Check, Examples, Pattern, Rule, TextCheck};

/// The shortest keyword, in bytes: shorter ones occur everywhere and save nothing.
const MIN_KEYWORD_BYTES: usize = 3;

/// The kinds that are written in TOML.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Secret,
}

/// A rule file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    id: Spanned<String>,
    kind: Kind,
    severity: Severity,
    category: Category,
    title: Spanned<String>,
    body: Spanned<String>,
    keywords: Spanned<Vec<String>>,
    pattern: Spanned<String>,
    entropy: Option<Spanned<f64>>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    paths: Vec<Spanned<String>>,
    #[serde(default)]
    not_paths: Vec<Spanned<String>>,
    #[serde(default = "yes")]
    enabled: bool,
    valid: Spanned<Vec<String>>,
    invalid: Spanned<Vec<String>>,
    #[serde(default = "example_path")]
    example_path: String,
}

fn yes() -> bool {
    true
}

fn example_path() -> String {
    "example.txt".to_owned()
}

/// Where a file is and what its rule is called.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    name: &'a str,
}

impl Source<'_> {
    fn wrong(&self, field: &str, at: usize, message: &str) -> PackError {
        let (line, column) = place(self.text, at);
        let message = format!("rule `{}`: {field}: {message}", self.name);
        PackError::Wrong { file: self.file.to_owned(), line, column, message }
    }

    fn check(&self, right: bool, field: &str, at: usize, message: &str) -> Result<(), PackError> {
        if right { Ok(()) } else { Err(self.wrong(field, at, message)) }
    }

    fn pattern(&self, field: &str, value: &Spanned<String>) -> Result<Pattern, PackError> {
        Pattern::parse(value.get_ref()).map_err(|message| self.wrong(field, value.span().start, &message))
    }

    fn globs(&self, field: &str, values: &[Spanned<String>]) -> Result<GlobSet, PackError> {
        let mut globs = GlobSetBuilder::new();
        for value in values {
            let glob = GlobBuilder::new(value.get_ref()).literal_separator(true).build();
            globs.add(glob.map_err(|error| self.wrong(field, value.span().start, &error.to_string()))?);
        }
        globs.build().map_err(|error| self.wrong(field, 0, &error.to_string()))
    }
}

/// The rule `name` that a file holds; its `id` must be this one.
pub(super) fn parse(file: &str, text: &str, id: &str, name: &str) -> Result<Rule, PackError> {
    let source = Source { file, text, name };
    let raw: RuleFile = toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        PackError::Wrong { file: file.to_owned(), line, column, message: error.message().to_owned() }
    })?;

    source.check(
        raw.id.get_ref() == id,
        "id",
        raw.id.span().start,
        "it must be the file's name without its ending",
    )?;
    for (field, value, right) in
        [("title", &raw.title, !raw.title.get_ref().contains('\n')), ("body", &raw.body, true)]
    {
        let right = right && !value.get_ref().trim().is_empty();
        source.check(right, field, value.span().start, "it must not be empty, and a title has one line")?;
    }
    let keywords = raw.keywords.get_ref();
    let long_enough =
        !keywords.is_empty() && keywords.iter().all(|keyword| keyword.len() >= MIN_KEYWORD_BYTES);
    let message = format!("at least one is needed, each of {MIN_KEYWORD_BYTES} bytes or more");
    source.check(long_enough, "keywords", raw.keywords.span().start, &message)?;
    for (field, examples) in [("valid", &raw.valid), ("invalid", &raw.invalid)] {
        let start = examples.span().start;
        source.check(!examples.get_ref().is_empty(), field, start, "at least one example is needed")?;
    }
    if let Some(entropy) = &raw.entropy {
        source.check(raw.kind == Kind::Secret, "entropy", entropy.span().start, "it is for secrets only")?;
    }

    let text_check = TextCheck {
        pattern: source.pattern("pattern", &raw.pattern)?,
        allow: raw.allow.iter().map(|value| source.pattern("allow", value)).collect::<Result<_, _>>()?,
        entropy: raw.entropy.map(Spanned::into_inner),
        keywords: raw.keywords.into_inner(),
    };
    Ok(Rule {
        name: name.to_owned(),
        severity: raw.severity,
        category: raw.category,
        title: raw.title.into_inner(),
        body: raw.body.into_inner().trim().to_owned(),
        check: match raw.kind {
            Kind::Text => Check::Text(text_check),
            Kind::Secret => Check::Secret(text_check),
        },
        paths: if raw.paths.is_empty() { None } else { Some(source.globs("paths", &raw.paths)?) },
        not_paths: source.globs("not_paths", &raw.not_paths)?,
        enabled: raw.enabled,
        examples: Examples {
            valid: raw.valid.into_inner(),
            invalid: raw.invalid.into_inner(),
            path: RepoPath::from_text(&raw.example_path),
        },
    })
}
