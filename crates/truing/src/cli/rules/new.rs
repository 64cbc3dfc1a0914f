//! The command `truing rules new`: writes the file of a new rule into the folder of rule packs, and prints
//! the next steps.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use truing_config::RulesConfig;
use truing_reader::RulePacks;

use super::template::{self, RuleLanguage};
use crate::cli::CommandContext;
use crate::cli::error::{CliError, CommandExit};
use crate::cli::output::shell_quote;
use crate::wiring;

/// Pack of a new rule if the user names the rule without a pack.
const DEFAULT_PACK_NAME: &str = "house";

/// Name of the folder of rules in a pack.
const RULES_FOLDER_NAME: &str = "rules";

/// Possible extensions of a rule's file; the file of a new rule gets the first extension.
const RULE_FILE_EXTENSIONS: [&str; 3] = ["yml", "yaml", "toml"];

/// The arguments.
#[derive(clap::Args, Debug)]
pub(super) struct RulesNewArgs {
    /// The rule's name as PACK/RULE; RULE alone means a rule of the pack `house`
    name: String,
    /// The folder of packs, instead of `rules.dir`
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// The language that the rule is for
    #[arg(long, value_enum, default_value_t)]
    language: RuleLanguage,
}

/// The new rule in the JSON output.
#[derive(Serialize)]
struct RulesNewJson<'a> {
    rule: &'a str,
    path: &'a Path,
}

/// Writes the file. An existing file is not changed.
pub(super) fn run(args: &RulesNewArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let name = NewRuleName::parse(&args.name)?;
    let rules = context.config(&[])?.rules;
    let shown = args
        .dir
        .as_deref()
        .or(rules.pack_folder.as_deref())
        .ok_or_else(|| no_rules_folder_error(&name, context))?;
    let folder = context.environment.directory().join(shown);
    let whole = name.full_name();
    check_not_builtin(&whole)?;
    let file = |folder: &Path, ending: &str| {
        folder.join(name.pack).join(RULES_FOLDER_NAME).join(format!("{}.{ending}", name.rule))
    };
    for ending in RULE_FILE_EXTENSIONS {
        if file(&folder, ending).symlink_metadata().is_ok() {
            return Err(file_exists_error(&file(shown, ending)));
        }
    }
    let [ending, ..] = RULE_FILE_EXTENSIONS;
    let (path, shown_path) = (file(&folder, ending), file(shown, ending));
    let text = template::render_template(name.rule, args.language);
    // `AlreadyExists` can also mean that a file has the path of a folder to create. The code therefore checks
    // whether the rule's file itself exists.
    let is_there = || path.symlink_metadata().is_ok();
    create_file(&path, &text).map_err(|error| {
        match error.kind() == ErrorKind::AlreadyExists && is_there() {
            true => file_exists_error(&shown_path),
            false => {
                CliError::failure("write_failed", format!("cannot write {}: {error}", shown_path.display()))
                    .hint("give a writable folder: `truing rules new NAME --dir FOLDER`")
            }
        }
    })?;
    let answer = RulesNewJson { rule: &whole, path: &path };
    context.output.print_answer(&answer, || format!("{}\n", shown_path.display()))?;
    for line in next_steps(&name, folder.as_path(), shown, &rules, context) {
        context.output.print_note(line);
    }
    Ok(CommandExit::Success)
}

/// The pack and the name of a new rule.
struct NewRuleName<'a> {
    pack: &'a str,
    rule: &'a str,
}

impl<'a> NewRuleName<'a> {
    /// Parses `PACK/RULE` or `RULE`. Accepts only names that the configuration and the loader of
    /// rule packs accept.
    fn parse(text: &'a str) -> Result<Self, CliError> {
        let (pack, rule) = text.split_once('/').unwrap_or((DEFAULT_PACK_NAME, text));
        if is_valid_pack_name(pack) && is_valid_rule_name(rule) {
            return Ok(Self { pack, rule });
        }
        let wrong = if is_valid_pack_name(pack) {
            format!("`{rule}` cannot be a rule's name")
        } else {
            format!("`{pack}` cannot be a pack's name")
        };
        let error = CliError::usage("bad_name", wrong).hint(
            "a name consists of lower-case letters, digits and `-`; a pack's name begins with a letter, a \
            rule's name with a letter or a digit",
        );
        Err(match suggest_name(text) {
            Some(mended) => error.hint(format!("did you mean `{mended}`?")),
            None => error,
        })
    }

    /// Returns the name with its pack, `PACK/RULE`.
    fn full_name(&self) -> String {
        format!("{}/{}", self.pack, self.rule)
    }
}

/// Returns true if the pack's name is valid. The configuration accepts only such names.
fn is_valid_pack_name(name: &str) -> bool {
    is_valid_rule_name(name) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Returns true if the rule's name, without its pack, is valid.
fn is_valid_rule_name(name: &str) -> bool {
    let counts = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    name.starts_with(counts) && name.chars().all(|char| counts(char) || char == '-')
}

/// Returns the valid name that is closest to an invalid `text`, or none.
fn suggest_name(text: &str) -> Option<String> {
    let without = |ending: &&str| text.strip_suffix(*ending)?.strip_suffix('.');
    let text = RULE_FILE_EXTENSIONS.iter().find_map(without).unwrap_or(text);
    let part = |part: &str| -> String {
        let lower = part.to_ascii_lowercase();
        let plain = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
        lower.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
    };
    let mended = match text.split_once('/') {
        Some((pack, rule)) => (part(pack), part(rule)),
        None => (DEFAULT_PACK_NAME.to_owned(), part(text)),
    };
    let is_right = is_valid_pack_name(&mended.0) && is_valid_rule_name(&mended.1);
    is_right.then(|| if text.contains('/') { format!("{}/{}", mended.0, mended.1) } else { mended.1 })
}

/// Checks that no built-in rule has this name: a folder may add rules to a built-in pack, but may not replace
/// a built-in rule.
fn check_not_builtin(full_name: &str) -> Result<(), CliError> {
    let packs = RulePacks::load_embedded().map_err(wiring::reader_error)?;
    match packs.find_rule(full_name).map_err(|error| wiring::reader_error(error.into()))? {
        None => Ok(()),
        Some(_) => {
            Err(CliError::usage("rule_exists", format!("there is already a built-in rule `{full_name}`"))
                .hint(format!("choose another name; `truing rules show {full_name}` shows that rule")))
        }
    }
}

fn file_exists_error(path: &Path) -> CliError {
    CliError::usage("file_exists", format!("{} already exists and was not changed", path.display()))
        .hint("change that file, or choose another name for the new rule")
}

fn no_rules_folder_error(name: &NewRuleName<'_>, context: &CommandContext) -> CliError {
    let place = context.operator_file_text();
    CliError::usage(
        "no_folder",
        format!("no folder of packs is configured: `rules.dir` is not set in {place}"),
    )
    .hint(format!(
        "specify a folder, which is created if missing: `truing rules new {} --dir packs`",
        name.full_name()
    ))
}

/// Writes a new file and creates the folders above it.
fn create_file(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Returns the lines that explain how to test, enable and try the rule. `given_folder` is the folder as the
/// user named it.
fn next_steps(
    name: &NewRuleName<'_>,
    folder: &Path,
    given_folder: &Path,
    rules: &RulesConfig,
    context: &CommandContext,
) -> Vec<String> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = real(folder);
    let pack = name.pack;
    let configured = rules.pack_folder.as_deref().map(real);
    let is_configured = configured.as_ref() == Some(&folder);
    let tested = match is_configured {
        true => pack.to_owned(),
        false => shell_quote(&given_folder.join(pack).display().to_string()),
    };
    let mut lines = vec![format!("to test the rule: `truing rules test {tested}`")];
    let is_used = rules.packs.iter().any(|used| used == pack);
    if !is_configured || !is_used {
        lines.push(format!("to use the rule, add these lines to {}:", context.operator_file_text()));
        lines.push("  [rules]".to_owned());
    }
    if !is_configured {
        let instead =
            configured.map_or_else(String::new, |other| format!(" # instead of {}", other.display()));
        lines.push(format!("  dir = {:?}{instead}", folder.display().to_string()));
    }
    if !is_used {
        let packs: Vec<&str> = rules.packs.iter().map(String::as_str).chain([pack]).collect();
        lines.push(format!("  packs = {packs:?}"));
    }
    let then = if is_configured { "to try it" } else { "then, to try the rule" };
    lines.push(format!("{then}: `truing rules check . --pack {pack}`"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_the_configuration_and_the_loader_take() {
        for (text, whole) in [
            ("no-eval", "house/no-eval"),
            ("2nd", "house/2nd"),
            ("a/b", "a/b"),
            ("core/my-rule-2", "core/my-rule-2"),
        ] {
            assert_eq!(NewRuleName::parse(text).map(|name| name.full_name()), Ok(whole.to_owned()));
        }
        for (text, mended) in [
            ("", None),
            ("-", None),
            ("a/", None),
            ("/a", None),
            ("../a", None),
            ("2a/b", None),
            ("no_eval", Some("no-eval")),
            ("No eval!", Some("no-eval")),
            ("House/NoEval", Some("house/noeval")),
            ("no-eval.yml", Some("no-eval")),
            ("a/b/c", Some("a/b-c")),
        ] {
            let error = NewRuleName::parse(text).map(|name| name.full_name()).unwrap_err();
            assert_eq!((error.exit, error.code), (CommandExit::Usage, "bad_name"), "{text}");
            let hint = mended.map(|mended| format!("did you mean `{mended}`?"));
            assert_eq!(error.hints.get(1), hint.as_ref(), "{text}");
        }
    }
}
