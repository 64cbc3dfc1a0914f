//! The command `truing config`: shows the configured values with their origins, checks a file, and prints the
//! schema.

mod live;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use truing_config::environment::Environment;
use truing_config::problem::{ConfigError, ConfigProblem, ValueOrigin};
use truing_config::secret::SecretError;
use truing_config::value::ConfigValue;
use truing_config::{Config, EffectiveSetting, REPOSITORY_FILE, RulesConfig};
use truing_loops::telemetry::{ForeignEndpoint, endpoint_of_variables};
use truing_reader::RulePacks;
use unicode_width::UnicodeWidthStr as _;

use super::CommandContext;
use super::columns::{MIN_TERMINAL_COLUMNS, fold_line};
use super::error::{CliError, CommandExit};
use super::init::DEFAULT_OUTPUT_FILE;
use super::output::OutputPrinter;
use super::review::denied_key_names;
use super::runtime;
use super::tiers::RepositoryTiers;
use crate::wiring;

/// Show or check the configuration
#[derive(clap::Args, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print every effective value and its origin
    Show {
        /// Print the review tiers of this repository, with the price of a review in each tier, instead of the
        /// values
        #[arg(long = "for", value_name = "OWNER/NAME")]
        repository: Option<String>,
    },
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Check a single configuration file, without environment variables. A file with the name .truing.toml is
    /// checked as a repository's own file
    Check {
        /// The file [default: the operator's file, named by `--config` or TRUING_CONFIG; else truing.toml in
        /// the current folder]
        file: Option<PathBuf>,
        /// Also check the environment variables, and ask each configured model for one word; costs at most
        /// $0.05 per model
        #[arg(long, conflicts_with = "file")]
        live: bool,
    },
}

pub(crate) fn run(args: &ConfigArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.command {
        ConfigCommand::Show { repository: None } => show_config(context)?,
        ConfigCommand::Show { repository: Some(repository) } => show_tiers(repository, context)?,
        ConfigCommand::Schema => {
            context.output.print_data(format_args!("{:#}\n", truing_config::generate::schema()))?;
        }
        ConfigCommand::Check { live: true, .. } => return live::check_models(&context.config(&[])?, context),
        ConfigCommand::Check { file, live: false } => check_config(file.as_deref(), context)?,
    }
    Ok(CommandExit::Success)
}

fn show_config(context: &CommandContext) -> Result<(), CliError> {
    let mut config = context.config(&[])?;
    print_config_path(context)?;
    if let Some(root) = find_working_tree(context.environment.directory())
        && let Some(file) = truing_config::read_repository_file(root)?
    {
        config = config.with_repository(&file)?;
        context
            .output
            .print_note(format_args!("{} is read from the working tree, as in a local review", file.name));
    }
    let mut settings: Vec<(String, &EffectiveSetting)> = config.settings().collect();
    let foreign = foreign_endpoint_setting(&context.environment);
    for (key, setting) in &mut settings {
        if let (OTLP_ENDPOINT_KEY, ConfigValue::Unset, Some(foreign)) =
            (key.as_str(), &setting.value, &foreign)
        {
            *setting = foreign;
        }
    }
    if context.output.is_json() {
        let rows: Vec<_> = settings.iter().map(|(key, setting)| setting_row(key, setting)).collect();
        return context.output.print_json(&rows);
    }
    print_table(&settings, context.output)
}

/// Key of the receiver of traces.
const OTLP_ENDPOINT_KEY: &str = "telemetry.otlp_endpoint";

/// Returns the receiver of traces that variables of other programs set. Returns `None` for an address with a
/// login, because the address would be shown.
fn foreign_endpoint_setting(environment: &Environment) -> Option<EffectiveSetting> {
    let ForeignEndpoint { variable, address, .. } = endpoint_of_variables(environment)?;
    let origin = ValueOrigin::ForeignVariable(variable.to_owned());
    let value = Some(address).filter(|address| !address.contains('@')).map(ConfigValue::Url)?;
    Some(EffectiveSetting { value, origin, addition_origin: None })
}

/// Prints the tiers of a repository's reviews, according to the operator's file.
fn show_tiers(repository: &str, context: &CommandContext) -> Result<(), CliError> {
    let config = context.config(&[])?;
    print_config_path(context)?;
    let tiers = RepositoryTiers::load(repository, &config, &context.environment);
    let tiers = runtime::start()?.block_on(tiers)?;
    context.output.print_answer(&tiers, || tiers.text())
}

/// Prints the path of the operator's file, or the default path if there is no file.
fn print_config_path(context: &CommandContext) -> Result<(), CliError> {
    let named = context.globals.config.as_deref();
    match truing_config::read_operator_file(&context.environment, named)? {
        Some(file) => context.output.print_note(format_args!("configuration file: {}", file.name)),
        None => {
            if let Some(path) = truing_config::operator_file_path(&context.environment) {
                context.output.print_note(format_args!(
                    "configuration file: none; default location: {}",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

fn print_table(settings: &[(String, &EffectiveSetting)], output: OutputPrinter) -> Result<(), CliError> {
    let lines: Vec<(String, String)> = settings
        .iter()
        .map(|(key, setting)| {
            (format!("{key} = {}", shown_value(key, &setting.value.to_string())), render_origin(setting))
        })
        .collect();
    output.print_data(align_origins(&lines))
}

/// Appends the origin to each line. The origins are aligned in one column, as far as the terminal's width
/// permits. If a line and its origin do not fit in one terminal line, the origin is in the next line.
fn align_origins(lines: &[(String, String)]) -> String {
    let whole = |(line, origin): &(String, String)| line.width() + ORIGIN_SEPARATOR.width() + origin.width();
    let width =
        lines.iter().filter(|line| whole(line) <= MIN_TERMINAL_COLUMNS).map(|(line, _)| line.width()).max();
    let width = width.unwrap_or_default();
    let text = |(line, origin): &(String, String)| {
        if whole(&(line.clone(), origin.clone())) <= MIN_TERMINAL_COLUMNS {
            let room = MIN_TERMINAL_COLUMNS.saturating_sub(ORIGIN_SEPARATOR.width() + origin.width());
            let filled = " ".repeat(width.min(room).saturating_sub(line.width()));
            return format!("{line}{filled}{ORIGIN_SEPARATOR}{origin}\n");
        }
        let (key, value) = line.split_once(" = ").unwrap_or((line, ""));
        let value = if line.width() <= MIN_TERMINAL_COLUMNS {
            format!("{line}\n")
        } else {
            fold_line(&format!("{key} = "), value)
        };
        value + &fold_line(&format!("   {ORIGIN_SEPARATOR}"), origin)
    };
    lines.iter().map(text).collect()
}

/// Separator before the origin of a value.
const ORIGIN_SEPARATOR: &str = "  # ";

fn shown_value<'a>(key: &str, value: &'a str) -> &'a str {
    match (value.is_empty(), key.starts_with("model.") && key.ends_with(".base_url")) {
        (false, _) => value,
        (true, true) => "(the provider's address in the region)",
        (true, false) => "(not set)",
    }
}

fn render_origin(setting: &EffectiveSetting) -> String {
    let added = setting.addition_origin.as_ref().map_or_else(String::new, |added| format!(" and {added}"));
    format!("{}{added}", setting.origin)
}

fn setting_row(key: &str, setting: &EffectiveSetting) -> serde_json::Value {
    json!({ "key": key, "value": setting.value.to_json(), "origin": render_origin(setting),
        "layer": setting.origin.layer_name() })
}

/// Returns the root of the working tree that contains a folder.
fn find_working_tree(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join(".git").exists())
}

fn check_config(path: Option<&Path>, context: &CommandContext) -> Result<(), CliError> {
    let here = context.environment.directory();
    let source = match path {
        Some(file) => truing_config::read_named_file(file, &here.join(file))?,
        None => {
            match truing_config::read_operator_file(&context.environment, context.globals.config.as_deref())?
            {
                Some(file) => file,
                // This file is only checked. Other commands use a file in the current folder only if
                // `--config` names that file.
                None if here.join(DEFAULT_OUTPUT_FILE).exists() => {
                    let file = truing_config::read_named_file(
                        Path::new(DEFAULT_OUTPUT_FILE),
                        &here.join(DEFAULT_OUTPUT_FILE),
                    )?;
                    context
                        .output
                        .print_note(format_args!("to use this file: `--config {DEFAULT_OUTPUT_FILE}`"));
                    file
                }
                None => return Err(no_config_file_error()),
            }
        }
    };
    let nobody = Environment::new::<String, String>([], here);
    if Path::new(&source.name).file_name().is_some_and(|name| name == REPOSITORY_FILE) {
        let config = Config::resolve(&nobody, None, &[])?.with_repository(&source)?;
        if let Ok(packs) = wiring::load_packs(&config.rules) {
            warn_of_unknown_rules(&config, &packs, &context.output);
        }
        if let Some(keys) = denied_key_names(config.denied_repository_keys()) {
            context.output.print_note(format_args!(
                "{keys}: used only if the operator's file sets `verify.from_repository = true`"
            ));
        }
    } else {
        let config = Config::resolve(&nobody, Some(&source), &[])?;
        // The existence of packs is checked only for an operator's file. A repository's file may refer to
        // packs in the operator's folder, and this command does not know that folder. Packs in a folder on
        // another machine cannot be checked either.
        if let Ok(packs) = wiring::load_packs(&config.rules) {
            packs.check_packs_exist(&config.rules.packs).map_err(wiring::reader_error)?;
            warn_of_unknown_rules(&config, &packs, &context.output);
        }
        if let Some(message) = wiring::verify::hidden_folder_message(&config.verify) {
            context.output.warn(message);
            context.output.print_note(wiring::verify::HIDDEN_FOLDER_HINT);
        }
        match wiring::policy::load_policies(&config) {
            Err(error) if error.code == wiring::policy::BAD_POLICY_CODE => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    context
        .output
        .print_answer(&json!({ "file": source.name, "ok": true }), || format!("{}: fine\n", source.name))
}

/// Prints warnings about configured rules that their packs do not contain. Settings for such rules have no
/// effect. Rules of linters, and rules in packs on another machine, are not checked.
fn warn_of_unknown_rules(config: &Config, packs: &RulePacks, output: &OutputPrinter) {
    let RulesConfig { disabled_rules: off, severity_overrides: severity, .. } = &config.rules;
    let named = off.iter().map(|rule| ("rules.off", rule));
    for (key, rule) in named.chain(severity.keys().map(|rule| ("rules.severity", rule))) {
        let pack = rule.split_once('/').map_or(rule.as_str(), |(pack, _)| pack);
        if packs.pack_names().contains(&pack) && matches!(packs.find_rule(rule), Ok(None)) {
            output
                .warn(format_args!("{key}: there is no rule `{rule}` (`truing rules list` shows all rules)"));
        }
    }
}

/// Returns the error for a call without a file, if the user has no configuration file.
fn no_config_file_error() -> CliError {
    CliError::usage("no_file", "there is no configuration file to check")
        .hint("specify a file: `truing config check FILE`; `truing init` writes a configuration file")
}

/// Converts an invalid configuration to a usage error. The error lists the problems up to a limit, and counts
/// the others.
impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let problem_error =
            |problem: &ConfigProblem| Self::usage(problem.code(), problem.to_string()).hint(problem.hint());
        let mut other_errors: Vec<Self> = error.other_problems.iter().map(problem_error).collect();
        if let Some(last) = other_errors.last_mut().filter(|_| error.omitted_count > 0) {
            last.hints.push(format!(
                "and {} more problems that are not shown: fix the problems above first",
                error.omitted_count
            ));
        }
        Self { other_errors, ..problem_error(&error.first_problem) }
    }
}

/// A missing secret is a usage error, like an invalid configuration.
impl From<SecretError> for CliError {
    fn from(error: SecretError) -> Self {
        Self::usage("missing_secret", error.to_string()).hint(
            "set the configured variable or create the configured file, or configure another \
                variable or file",
        )
    }
}

#[cfg(test)]
mod tests {
    use truing_config::layer::SourceFile;
    use truing_config::problem::MAX_PROBLEMS;

    use super::*;

    #[test]
    fn of_very_many_problems_the_last_that_is_shown_counts_the_others() {
        let text = (0..3000).map(|n| format!("x{n} = 1\n")).collect();
        let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text };
        let error = Config::resolve(&Environment::default(), Some(&file), &[]).unwrap_err();
        let told = CliError::from(error);
        assert_eq!(told.other_errors.len(), MAX_PROBLEMS - 1);
        assert_eq!(
            told.other_errors.last().unwrap().hints.last().unwrap(),
            "and 2980 more problems that are not shown: fix the problems above first"
        );
    }

    #[test]
    fn a_long_value_widens_no_other_line() {
        let long =
            format!("sync.demo.mirror = [{}]", ["\"demo/a_module.py=ours/a_module.py\""; 5].join(", "));
        let lines = [
            ("review.runtime = rules".to_owned(), "default".to_owned()),
            (long.clone(), "truing.toml:3".to_owned()),
            (format!("a = {}", "x".repeat(70)), "default".to_owned()),
        ];
        let text = align_origins(&lines);
        assert!(text.lines().all(|line| line.width() <= MIN_TERMINAL_COLUMNS), "{text}");
        assert!(text.starts_with("review.runtime = rules  # default\n"), "{text}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains(&words(&format!("{long} # truing.toml:3"))), "{text}");
        assert!(text.ends_with(&format!("{}\n     # default\n", "x".repeat(70))), "{text}");
    }
}
