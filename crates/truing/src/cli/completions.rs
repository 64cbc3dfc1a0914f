//! The command `truing completions`: prints a script that completes the arguments of this program in a shell.
//!
//! Clap's generator supports only fixed values. Values such as branches must be looked up when the user
//! requests a completion. For these values, the generator gets a placeholder. The placeholder is then
//! replaced by a call of a shell function in the script.

use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use truing_config::RulesConfig;

use super::error::{CliError, CommandExit};
use super::{CommandContext, visible_program};
use crate::wiring;

/// Print the completion script for a shell
#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// A placeholder for the values of an argument.
#[derive(Clone, Copy)]
enum CompletionSource {
    /// Branches and tags of the current repository.
    Refs,
    /// Branches, tags and folders.
    Targets,
    /// Jobs of the configuration.
    Jobs,
    /// Names of the built-in packs.
    Packs,
    /// Rules of the built-in packs.
    Rules,
}

/// Arguments whose values can be completed: the command, the argument and the source of its values.
const COMPLETABLE_ARGUMENTS: [(&[&str], &str, CompletionSource); 14] = [
    (&["review"], "base", CompletionSource::Refs),
    (&["review"], "head", CompletionSource::Refs),
    (&["review"], "target_argument", CompletionSource::Targets),
    (&["review"], "packs", CompletionSource::Packs),
    (&["rules", "check"], "packs", CompletionSource::Packs),
    (&["rules", "show"], "name", CompletionSource::Rules),
    (&["diff", "anchor"], "base", CompletionSource::Refs),
    (&["diff", "anchor"], "head", CompletionSource::Refs),
    (&["diff", "track"], "from", CompletionSource::Refs),
    (&["diff", "track"], "to", CompletionSource::Refs),
    (&["sync", "decide"], "job", CompletionSource::Jobs),
    (&["sync", "init"], "job", CompletionSource::Jobs),
    (&["sync", "run"], "job", CompletionSource::Jobs),
    (&["sync", "status"], "job", CompletionSource::Jobs),
];

/// Shell command that lists branches and tags. Names with special characters are omitted, because shells
/// expand these characters in a completion.
const LIST_REFS_COMMAND: &str = "git for-each-ref --format='%(refname:lstrip=2)' refs/heads refs/remotes \
    refs/tags \
     2>/dev/null | LC_ALL=C grep -E '^[A-Za-z0-9][A-Za-z0-9._/@+-]*$'";
/// Shell command that lists the jobs of the configuration.
const LIST_JOBS_COMMAND: &str =
    "truing config show 2>/dev/null | LC_ALL=C sed -n 's/^sync\\.\\([A-Za-z0-9-]*\\)\\..*/\\1/p' | sort -u";
/// Bash code that finds the value of `--config` among the earlier words. In these words, Bash treats `=` as a
/// separate word.
const BASH_FIND_CONFIG_SCRIPT: &str = r#"    local i at named=()
    for ((i = 1; i < COMP_CWORD - 1; i++)); do
        [[ ${COMP_WORDS[i]} == --config ]] || continue
        at=$((i + 1))
        [[ ${COMP_WORDS[at]} == = ]] && at=$((i + 2))
        named=(--config "${COMP_WORDS[at]/#\~/$HOME}")
    done
"#;

pub(crate) fn run(args: &CompletionsArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let mut command =
        COMPLETABLE_ARGUMENTS.iter().fold(visible_program(), |command, (words, argument, mark)| {
            add_value_placeholder(command, words, argument, *mark)
        });
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    context.output.print_data(fill_placeholders(args.shell, &String::from_utf8_lossy(&script))?)?;
    Ok(CommandExit::Success)
}

/// Returns the command with a placeholder for the values of an argument.
fn add_value_placeholder(
    command: clap::Command,
    subcommands: &[&str],
    argument: &str,
    source: CompletionSource,
) -> clap::Command {
    match subcommands.split_first() {
        Some((word, below)) => {
            command.mut_subcommand(word, |command| add_value_placeholder(command, below, argument, source))
        }
        None => command.mut_arg(argument, |argument| {
            argument.value_parser(PossibleValuesParser::new([source.placeholder()]))
        }),
    }
}

/// Replaces the placeholders in the script by the values, or by calls of the functions that find the values.
fn fill_placeholders(shell: Shell, script: &str) -> Result<String, CliError> {
    let packs = wiring::load_packs(&RulesConfig::default()).map_err(wiring::reader_error)?;
    let rules = packs.list_rules().map_err(|error| wiring::reader_error(error.into()))?;
    let rules = rules.iter().map(|rule| rule.name).collect::<Vec<_>>().join(" ");
    let packs = packs.pack_names().join(" ");
    let mut text = script.to_owned();
    for mark in CompletionSource::ALL {
        let word = mark.placeholder();
        let (found, fixed) = match mark {
            CompletionSource::Refs => ("refs", None),
            CompletionSource::Targets => ("targets", None),
            CompletionSource::Jobs => ("jobs", None),
            CompletionSource::Packs => ("", Some(&packs)),
            CompletionSource::Rules => ("", Some(&rules)),
        };
        text = match (shell, fixed) {
            (Shell::Bash, Some(fixed)) => text.replace(word, fixed),
            (Shell::Bash, None) => text.replace(word, &format!("$(_truing_{found})")),
            (Shell::Zsh, Some(fixed)) => text.replace(word, fixed),
            (Shell::Zsh, None) => text.replace(&format!("({word})"), &format!("_truing_{found}")),
            (Shell::Fish, Some(fixed)) => text.replace(&format!("{word}\\t''"), fixed),
            (Shell::Fish, None) => text.replace(&format!("{word}\\t''"), &format!("(__truing_{found})")),
            // The scripts for other shells do not complete values, so they contain no placeholder.
            (_, _) => text,
        };
    }
    Ok(match shell {
        Shell::Bash => {
            let jobs = LIST_JOBS_COMMAND.replacen("truing", "truing \"${named[@]}\"", 1);
            let text: String = text.split_inclusive('\n').map(move_flags_last).collect();
            format!(
                "_truing_refs() {{\n    {LIST_REFS_COMMAND}\n}}\n_truing_targets() {{\n    _truing_refs\n}}\n\
                 _truing_jobs() {{\n{BASH_FIND_CONFIG_SCRIPT}    {jobs}\n}}\n{text}"
            )
        }
        Shell::Zsh => {
            let list = |found: &str, lines: &str| {
                format!(
                    "_truing_{found}() {{\n    local -a \
                     found\n    found=(\"${{(@f)$({lines})}}\")\n    compadd -a found\n}}\n"
                )
            };
            let own = list("refs", LIST_REFS_COMMAND)
                + &list("jobs", LIST_JOBS_COMMAND)
                + "_truing_targets() {\n    _truing_refs\n    _files -/\n}\n";
            text.replacen("\n_truing() {", &format!("\n{own}\n_truing() {{"), 1)
        }
        Shell::Fish => {
            let list = |found: &str, lines: &str| format!("function __truing_{found}\n    {lines}\nend\n");
            let refs = list("refs", &LIST_REFS_COMMAND.replace("LC_ALL=C ", ""));
            refs + &list("jobs", &LIST_JOBS_COMMAND.replace("LC_ALL=C ", "")) + &text
        }
        Shell::Elvish | Shell::PowerShell | _ => text,
    })
}

/// Moves the flags in a line of the bash script after the commands and values, because bash offers words in
/// this order.
fn move_flags_last(line: &str) -> String {
    let words = line.trim().strip_prefix("opts=\"").and_then(|line| line.strip_suffix('"'));
    let Some(words) = words.filter(|words| !words.is_empty()) else { return line.to_owned() };
    let (flags, others): (Vec<&str>, Vec<&str>) = words.split(' ').partition(|word| word.starts_with('-'));
    let ordered: Vec<&str> = others.into_iter().chain(flags).collect();
    line.replacen(words, &ordered.join(" "), 1)
}

impl CompletionSource {
    const ALL: [Self; 5] = [Self::Refs, Self::Targets, Self::Jobs, Self::Packs, Self::Rules];

    fn placeholder(self) -> &'static str {
        match self {
            Self::Refs => "__REFS__",
            Self::Targets => "__TARGETS__",
            Self::Jobs => "__JOBS__",
            Self::Packs => "__PACKS__",
            Self::Rules => "__RULES__",
        }
    }
}
