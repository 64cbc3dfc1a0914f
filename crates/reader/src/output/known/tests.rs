//! Tests that the table of tools is complete and consistent.

use std::collections::BTreeSet;

use truing_core::finding::{DefectCategory, Severity};
use truing_core::linter::{ALIASES, FORMATS, LINTERS, is_known, linter_output_format};

use crate::output::diagnostic::DiagnosticLevel;
use crate::output::format::OutputFormat;
use crate::output::known::arguments;
use crate::output::known::sign::{ToolSign, compile_glob};
use crate::output::known::tool::{
    FILES_PLACEHOLDER, KnownTool, RULE_PLACEHOLDER, SIGN_PLACEHOLDER, fill_arguments,
};
use crate::output::known::tool_table::TOOLS_TOML;
use crate::output::known::{NAMED_FORMATS, find_tool, known_tools, parse_tools};
use crate::output::patterns::table;

fn files(tool: &KnownTool) -> bool {
    tool.command.iter().any(|part| part == FILES_PLACEHOLDER)
}

#[test]
fn the_table_is_read() {
    let tools = parse_tools(TOOLS_TOML).unwrap();
    assert!(tools.len() >= 30, "{}", tools.len());
    assert_eq!(tools.len(), known_tools().len());
    assert!(tools.is_sorted_by(|one, two| one.name < two.name));
}

#[test]
fn each_tool_is_whole() {
    for tool in known_tools() {
        let name = &tool.name;
        assert!(OutputFormat::parse(&tool.format).is_some(), "{name}: {}", tool.format);
        assert_eq!(tool.per_file, files(tool), "{name}");
        assert!(
            !tool.recognised.is_empty() && !tool.program.is_empty() && !tool.version.is_empty(),
            "{name}"
        );
        assert!(tool.exit.contains(&0), "{name}");
        assert!(
            !tool.languages.is_empty() && !tool.paths.is_empty() && !tool.ignore_comment.is_empty(),
            "{name}"
        );
        for glob in
            tool.paths.iter().map(String::as_str).chain(tool.recognised.iter().filter_map(|sign| sign.glob()))
        {
            assert!(compile_glob(glob).is_some(), "{name}: {glob}");
        }
        for path in &tool.installed {
            assert!(!path.starts_with('/') && path.ends_with(&tool.program), "{name}: {path}");
        }
        assert!(tool.category.contains_key(""), "{name}: a category for every rule");
        for page in tool.page.values() {
            assert!(page.starts_with("https://"), "{name}: {page}");
        }
        // If the command contains the placeholder `SIGN_PLACEHOLDER`, each sign that identifies the tool must
        // be a file or a folder, and a command is none.
        assert!(
            tool.needs_configuration || !tool.command.iter().any(|part| part == SIGN_PLACEHOLDER),
            "{name}"
        );
        if tool.command.iter().any(|part| part == SIGN_PLACEHOLDER) {
            let is_place = |sign: &ToolSign| matches!(sign, ToolSign::File(_) | ToolSign::Folder(_));
            assert!(tool.recognised.iter().all(is_place), "{name}");
        }
    }
}

#[test]
fn no_option_of_a_hook_changes_files_prints_otherwise_or_loads_code() {
    let never = [
        "--fix",
        "--write-changes",
        "-w",
        "--format",
        "--output-format",
        "--output",
        "--plugin",
        "--load-plugins",
        "--init-hook",
        "--rulesdir",
        "--require",
        "--parser",
        "--custom-syntax",
        "--custom-typeshed-dir",
        "--library-path",
        "--addon",
        "--extra-arg",
        "--load",
        "-load",
        "--ruleset",
    ];
    for tool in known_tools() {
        let name = &tool.name;
        assert!(tool.keeps.is_empty() || !tool.hook_ids().is_empty(), "{name}: no hook gives it options");
        for keep in &tool.keeps {
            let option = keep.strip_suffix('=').unwrap_or(keep);
            assert!(
                option.starts_with('-') && option.len() > 1 && !option.contains([' ', '=']),
                "{name}: {keep}"
            );
            assert!(!never.contains(&option), "{name}: {keep}");
            // flake8 then reports syntax errors as the hook selects them. pylint enables the rules of both.
            let may_override =
                [("flake8", "--extend-select"), ("pylint", "--enable")].contains(&(name.as_str(), option));
            let is_given = tool.command.iter().any(|word| word == option);
            assert!(!is_given || may_override, "{name} has {keep} already");
        }
    }
}

#[test]
fn a_configuration_that_chooses_files_is_told_of_none() {
    for tool in known_tools() {
        let name = &tool.name;
        assert_eq!(tool.selects.is_empty(), tool.project_command.is_empty(), "{name}");
        assert!(!tool.project_command.iter().any(|word| word == FILES_PLACEHOLDER), "{name}");
        for chooses in &tool.selects {
            let shows = tool.recognised.iter().any(|sign| sign.glob() == chooses.glob());
            assert!(shows, "{name} is not recognised by {chooses:?}");
        }
    }
}

#[test]
fn options_for_a_file_are_those_that_a_hook_may_give() {
    for tool in known_tools() {
        for given in &tool.options {
            let args = fill_arguments(&given.args, &[], &[], "a");
            assert_eq!(arguments::filter_args(&tool.keeps, &args), args, "{}", tool.name);
            assert!(tool.recognised.contains(&given.sign), "{}: {:?}", tool.name, given.sign);
        }
    }
}

#[test]
fn findings_are_kept_of_tools_that_are_told_of_files() {
    for tool in known_tools().iter().filter(|tool| !tool.config_file_names.is_empty()) {
        let name = &tool.name;
        assert!(tool.per_file && !tool.needs_setup && !tool.network && tool.starts.is_empty(), "{name}");
        assert!(
            !tool.command.iter().any(|part| part == SIGN_PLACEHOLDER),
            "{name}: what a sign names may be a folder"
        );
        let mut names = tool.config_file_names.iter().chain(&tool.related_folders);
        assert!(names.all(|name| !name.contains(['/', '*', '{'])), "{name}");
        let own = tool.recognised.iter().filter(|sign| sign.hook().is_none());
        for file in own.filter_map(ToolSign::configuration_glob) {
            let is_known =
                tool.config_file_names.iter().any(|name| compile_glob(file).unwrap().is_match(name));
            assert!(is_known, "{name}: {file}");
        }
    }
    for tool in known_tools() {
        let together = tool.together.as_deref().unwrap_or_default();
        assert!(regex::Regex::new(together).is_ok(), "{}: {together}", tool.name);
        assert!(tool.together.is_none() || !tool.config_file_names.is_empty(), "{}", tool.name);
        assert!(tool.related_folders.is_empty() || !tool.config_file_names.is_empty(), "{}", tool.name);
    }
}

#[test]
fn rules_of_two_tools_that_mean_the_same_have_one_name() {
    let meaning = |tool: &str, rule: &str| find_tool(tool).unwrap().canonical_rule(rule);
    assert_eq!(meaning("pylint", "W0611"), meaning("ruff", "F401"));
    assert_eq!(meaning("flake8", "F401"), "F401");
    assert_eq!(meaning("bandit", "B602"), meaning("ruff", "S602"));
    assert_eq!(meaning("oxlint", "eslint-no-debugger"), meaning("eslint", "no-debugger"));
    assert_eq!(meaning("ruff", "B006"), "B006", "bandit's names are not ruff's");
}

#[test]
fn rules_that_a_tool_replaces_are_there() {
    let packs = crate::pack::RulePacks::load_embedded().unwrap();
    let listed = packs.list_rules().unwrap();
    let names: BTreeSet<&str> = listed.iter().map(|rule| rule.name).collect();
    for tool in known_tools() {
        for rule in tool.replaces.keys() {
            assert!(names.contains(rule.as_str()), "{}: {rule}", tool.name);
        }
    }
}

#[test]
fn options_of_a_hook_come_before_the_files() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let line = |template: &str| fill_arguments(&words(template), &words("-L te"), &["a.py"], "s").join(" ");
    assert_eq!(line("check --config {sign} {files} -q"), "check --config s -L te a.py -q");
    assert_eq!(line("check -- {files}"), "check -L te -- a.py");
    assert_eq!(line("vet ./..."), "vet ./... -L te");
}

#[test]
fn a_configuration_knows_each_format_and_tool_by_its_name() {
    assert!(OutputFormat::all_formats().map(OutputFormat::as_str).eq(FORMATS.iter().copied()));
    assert!(known_tools().iter().map(|tool| tool.name.as_str()).eq(LINTERS.iter().copied()));
    assert!(known_tools().iter().flat_map(|tool| &tool.aliases).eq(ALIASES));
    for format in OutputFormat::all_formats() {
        assert_eq!(linter_output_format(&format.as_str().to_uppercase()), Some(format.as_str()));
    }
    assert!(is_known(" Ruff ") && is_known("semgrep oss") && !is_known("mine"));
}

#[test]
fn formats_have_names_of_their_own() {
    let names: BTreeSet<&str> = NAMED_FORMATS.iter().map(|named| named.name).collect();
    assert_eq!(names.len(), NAMED_FORMATS.len());
    for named in NAMED_FORMATS {
        assert!(
            named.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        );
        assert!(OutputFormat::TOOL_INDEPENDENT_FORMATS.iter().all(|own| own.as_str() != named.name));
    }
}

#[test]
fn every_pattern_is_a_format_and_compiles() {
    for row in table::LINE_PATTERNS {
        let named = NAMED_FORMATS.iter().find(|named| named.name == row.name).unwrap();
        assert_eq!(named.tool, row.tool, "{}", row.name);
        assert_eq!(row.compile_line_expressions().len(), row.line_expressions.len(), "{}", row.name);
        assert_eq!(
            row.failure_expression().is_none(),
            row.failure_line_expression.is_empty(),
            "{}",
            row.name
        );
        for expression in row.compile_line_expressions() {
            let groups: Vec<&str> = expression.capture_names().flatten().collect();
            assert!(groups.contains(&"path") && groups.contains(&"message"), "{}", row.name);
        }
    }
}

#[test]
fn a_repository_shows_its_tools() {
    let tracked =
        ["src/a.py", "pyproject.toml", ".pre-commit-config.yaml", "Cargo.toml", ".github/workflows/ci.yml"];
    let read = |path: &str| {
        let text = match path {
            "pyproject.toml" => "[tool.ruff.lint]\nselect = [\"E\"]\n",
            ".pre-commit-config.yaml" => "repos:\n  - repo: x\n    hooks:\n      - id: mypy\n",
            _ => return None,
        };
        Some(text.as_bytes().to_vec())
    };
    let shown = |name: &str| {
        find_tool(name).unwrap().find_sign(&tracked, &read).map(|(_, path)| path).unwrap_or_default()
    };
    assert_eq!(shown("ruff"), "pyproject.toml");
    assert_eq!(shown("mypy"), ".pre-commit-config.yaml");
    assert_eq!(shown("clippy"), "Cargo.toml");
    assert_eq!(shown("actionlint"), ".github/workflows/ci.yml");
    assert_eq!(shown("eslint"), "");
    assert_eq!(shown("Flake8"), "");
}

#[test]
fn commands_take_files_and_signs() {
    let run = |name: &str, files: &[&str], sign: &str| {
        fill_arguments(&find_tool(name).unwrap().command, &[], files, sign)
    };
    let semgrep = run("semgrep", &["a.py", "-b.py"], ".semgrep");
    assert_eq!(semgrep.get(1..3).unwrap(), ["--config", ".semgrep"]);
    assert_eq!(semgrep.get(semgrep.len() - 2..).unwrap(), ["a.py", "./-b.py"]);
    let clippy = run("clippy", &["a.rs"], "");
    assert!(!clippy.iter().any(|part| part == "a.rs"));
}

#[test]
fn rules_have_a_severity_a_category_and_a_page() {
    let ruff = find_tool("ruff").unwrap();
    assert_eq!(ruff.severity(Some("F821"), DiagnosticLevel::Error), Severity::P1);
    assert_eq!(ruff.severity(Some("S101"), DiagnosticLevel::Error), Severity::P2);
    assert_eq!(ruff.severity(Some("E501"), DiagnosticLevel::Error), Severity::P2);
    assert_eq!(ruff.category(Some("F401")), DefectCategory::E);
    assert_eq!(ruff.category(Some("S602")), DefectCategory::H);
    assert_eq!(ruff.category(None), DefectCategory::J);
    let phpstan = find_tool("phpstan").unwrap();
    assert_eq!(
        phpstan.rule_page_url("argument.type").as_deref(),
        Some("https://phpstan.org/error-identifiers/argument.type")
    );
    assert_eq!(phpstan.rule_page_url("no such rule"), None);
    let clippy = find_tool("clippy").unwrap().rule_page_url("clippy::len_zero");
    assert_eq!(clippy.as_deref(), Some("https://rust-lang.github.io/rust-clippy/stable/index.html#len_zero"));
    assert_eq!(find_tool("clippy").unwrap().rule_page_url("unused_variables"), None);
    assert!(!find_tool("eslint").unwrap().page.values().any(|page| page.contains(RULE_PLACEHOLDER)));
}
