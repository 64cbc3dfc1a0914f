//! Tests of tools that files, variables and repositories configure.

use truing_core::linter::{FORMATS, LINTERS};

use super::*;
use crate::environment::Environment;
use crate::keys::{NamedSection, RepositoryOverride};
use crate::layer::{KeyFlag, SourceFile};
use crate::{Config, generate, keys};

/// A tool with all settings.
const RUFF: &str = "[[tool]]\nname = \"ruff\"\ncommand = \
     [\"ruff\", \"check\", \"--output-format\", \"json\", \"{files}\"]\nformat = \"ruff-json\"\npaths = \
     [\"**/*.py\"]\nwhen = \"changed\"\n";

fn operator(text: &str) -> Result<Config, ConfigError> {
    let file = SourceFile { name: "truing.toml".into(), folder: "/etc/truing".into(), text: text.into() };
    Config::resolve(&Environment::default(), Some(&file), &[])
}

fn repository(operators: &str, text: &str) -> Result<Config, ConfigError> {
    let file = SourceFile { name: ".truing.toml".into(), folder: "/repo".into(), text: text.into() };
    operator(operators).unwrap().with_repository(&file)
}

/// Renders every problem and the problem's hint, one problem per line.
fn told(result: Result<Config, ConfigError>) -> String {
    let error = result.expect_err("it should be refused");
    error.problems().map(|problem| format!("error: {problem}\nhint: {}\n", problem.hint())).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// A tool without any settings.
fn plain(name: &str) -> ToolConfig {
    ToolConfig {
        name: name.to_owned(),
        command: None,
        format: None,
        paths: None,
        condition: ToolCondition::FilesChanged,
        success_exit_codes: None,
        timeout: Duration::from_secs(300),
        scope: ToolScope::Lines,
    }
}

#[test]
fn no_tool_runs_unless_somebody_says_so() {
    let config = operator("").unwrap();
    assert_eq!((config.review.linters, config.linters.as_slice()), (ToolSelection::Off, &[][..]));
    assert_eq!(operator("[review]\ntools = \"auto\"").unwrap().review.linters, ToolSelection::Auto);
    let flag = KeyFlag { name: "--tools", key: "review.tools", values: vec!["auto".into()] };
    let config = Config::resolve(&Environment::default(), None, &[flag]).unwrap();
    assert_eq!(config.review.linters, ToolSelection::Auto);
}

#[test]
fn a_tool_is_one_of_a_list_or_a_section_of_its_name() {
    let whole = ToolConfig {
        command: Some(words("ruff check --output-format json {files}")),
        format: Some("ruff-json".to_owned()),
        paths: Some(vec!["**/*.py".to_owned()]),
        ..plain("ruff")
    };
    let listed = operator(RUFF).unwrap();
    assert_eq!(listed.linters, [whole]);
    let by_name = RUFF.replace("[[tool]]\nname = \"ruff\"", "[tool.ruff]");
    assert_eq!(operator(&by_name).unwrap().linters, listed.linters);
    let origin = |config: &Config, key: &str| {
        config.settings().find(|(path, _)| path == key).map(|(_, setting)| setting.origin.to_string())
    };
    assert_eq!(origin(&listed, "tool.ruff.format").as_deref(), Some("truing.toml:4"));
    let inline = operator("tool = [{ name = \"mypy\", when = \"never\" }, { name = \"eslint\" }]").unwrap();
    assert_eq!(
        inline.linters,
        [plain("eslint"), ToolConfig { condition: ToolCondition::Never, ..plain("mypy") }]
    );
}

#[test]
fn of_a_known_tool_nothing_has_to_be_said_and_all_may_be() {
    assert_eq!(operator("[tool.ruff]\n[tool.\"go vet\"]").unwrap().linters, [plain("go vet"), plain("ruff")]);
    let text = "[[tool]]\nname = \"golangci-lint\"\nwhen = \"always\"\nexit = [0, 1, 0x1, 7]\ntimeout \
         = \"1h\"\nscope = \"files\"\n";
    let own = ToolConfig {
        condition: ToolCondition::Always,
        success_exit_codes: Some(vec![0, 1, 7]),
        timeout: Duration::from_secs(3600),
        scope: ToolScope::Files,
        ..plain("golangci-lint")
    };
    assert_eq!(operator(text).unwrap().linters, [own]);
    assert_eq!(operator("tool.ruff.format = \"SARIF\"").unwrap().linters[0].format.as_deref(), Some("sarif"));
}

#[test]
fn variables_configure_tools_by_their_names() {
    let given = [
        ("TRUING_REVIEW__TOOLS", "auto"),
        ("TRUING_TOOL__GO_VET__EXIT", "0, 2"),
        ("TRUING_TOOL__GOLANGCI_LINT__WHEN", "never"),
        ("TRUING_TOOL__RUFF__COMMAND", "[\"/opt/ruff\", \"{files}\"]"),
    ];
    let config = Config::resolve(&Environment::new(given, "/here"), None, &[]).unwrap();
    assert_eq!(config.review.linters, ToolSelection::Auto);
    let expected = [
        ToolConfig { success_exit_codes: Some(vec![0, 2]), ..plain("go vet") },
        ToolConfig { condition: ToolCondition::Never, ..plain("golangci-lint") },
        ToolConfig { command: Some(words("/opt/ruff {files}")), ..plain("ruff") },
    ];
    assert_eq!(config.linters, expected);
    let (_, exit) = config.settings().find(|(path, _)| path == "tool.go vet.exit").unwrap();
    assert_eq!((exit.value.to_string(), exit.value.to_json()), ("[0, 2]".into(), serde_json::json!([0, 2])));
}

#[test]
fn a_list_of_tools_that_is_wrong_is_told_with_its_lines() {
    let text = "[[tool]]\nwhen = \"never\"\n\n[[tool]]\nname = \"ruff\"\nexit = [256]\n\n[[tool]]\nname \
         = \"ruff\"\n\n[[tool]]\nname = \"Ruff\"\n\n[[tool]]\nname = \"go lint\"\n\n[[tool]]\nname = \
         3\n\n[[tool]]\nname = \"mypy\"\ncomand = []\nformat = \"xml\"\npaths = [\"a[\"]\ntimeout \
         = \"2h\"\nscope = \"all\"\nexit = []\n\n[tool.eslint]\nwhen = \"never\"\n";
    let wrong = told(operator(text));
    let wrong = wrong.replace(&FORMATS.join("`, `"), "sarif`, `…");
    insta::assert_snapshot!(wrong, @r#"
    error: truing.toml:1: a `[[tool]]` has no `name`
    hint: add the name of the tool, such as `name = "ruff"`
    error: truing.toml:6: `tool.ruff.exit` must be a list of exit codes from 0 to 255, such as [0, 1]
    hint: see `tool.ruff.exit` in `truing config schema`
    error: truing.toml:9: the tool `ruff` is already defined (truing.toml:5)
    hint: merge the two tools, or rename one of them
    error: truing.toml:12: `Ruff` cannot be a tool's name
    hint: use lower-case letters, digits and `-`, and begin with a letter; or use the exact name of a known tool, such as "go vet" in quotes
    error: truing.toml:15: `go lint` cannot be a tool's name
    hint: use lower-case letters, digits and `-`, and begin with a letter; or use the exact name of a known tool, such as "go vet" in quotes
    error: truing.toml:18: `tool.name` must be a string; it is of type integer
    hint: see `tool.name` in `truing config schema`
    error: truing.toml:22: unknown key `tool.mypy.comand`
    hint: did you mean `tool.mypy.command`? All keys: `truing config schema`
    error: truing.toml:23: `tool.mypy.format` must be a known format, not `xml`; the known formats are `sarif`, `…`
    hint: see `tool.mypy.format` in `truing config schema`
    error: truing.toml:24: `tool.mypy.paths` must contain valid globs: error parsing glob 'a[': unclosed character class; missing ']'
    hint: see `tool.mypy.paths` in `truing config schema`
    error: truing.toml:25: `tool.mypy.timeout` must be from 1s to 1h, not 2h
    hint: see `tool.mypy.timeout` in `truing config schema`
    error: truing.toml:26: `tool.mypy.scope` must be "lines" or "files", not `all`
    hint: see `tool.mypy.scope` in `truing config schema`
    error: truing.toml:27: `tool.mypy.exit` must be a list of exit codes from 0 to 255, such as [0, 1]
    hint: see `tool.mypy.exit` in `truing config schema`
    error: truing.toml:29: `tool.eslint` belongs to the last `[[tool]]` in TOML: write all tools of a file as `[[tool]]`, or all as `[tool.NAME]`
    hint: see `tool.eslint` in `truing config schema`
    "#);
    insta::assert_snapshot!(told(operator("tool = [1]\n")), @r#"
    error: truing.toml:1: `tool` must contain only tables; one entry is of type integer
    hint: see `tool` in `truing config schema`
    "#);
    insta::assert_snapshot!(told(operator("tool = 1\n")), @r#"
    error: truing.toml:1: `tool` must be a table, as `[[tool]]` or `[tool.NAME]`; it is of type integer
    hint: see `tool` in `truing config schema`
    "#);
    insta::assert_snapshot!(told(operator("[tool]\nname = \"ruff\"\n\n[tool.mypy]\nname = \"mypy\"\n")), @r#"
    error: truing.toml:2: `tool.name` must be a table, as `[[tool]]` or `[tool.NAME]`; it is of type string
    hint: see `tool.name` in `truing config schema`
    error: truing.toml:5: `tool.mypy.name` must not be set: the header `[tool.NAME]` gives the name; only a `[[tool]]` has the key `name`
    hint: see `tool.mypy.name` in `truing config schema`
    "#);
}

#[test]
fn a_tool_that_is_not_known_says_its_command_and_its_format() {
    let told_of = |text: &str| told(operator(text)).replace(&LINTERS.join("`, `"), "actionlint`, `…");
    let some = [
        "[[tool]]\nname = \"mine\"\n",
        "[[tool]]\nname = \"mine\"\nwhen = \"never\"\ncommand = [\"mine\"]\n",
        "[tool.mine]\nformat = \"sarif\"\ncommand = []\n",
    ];
    insta::assert_snapshot!(some.map(told_of).join(""), @r#"
    error: `tool.mine` needs a `command` and a `format`: no tool of this name is known
    hint: set `command` and `format`, such as `command = ["lint", "{files}"]` and `format = "sarif"`; only these known tools need neither key: `actionlint`, `…`
    error: truing.toml:3: `tool.mine` needs a `format`: no tool of this name is known
    hint: set `command` and `format`, such as `command = ["lint", "{files}"]` and `format = "sarif"`; only these known tools need neither key: `actionlint`, `…`
    error: truing.toml:2: `tool.mine` needs a `command`: no tool of this name is known
    hint: set `command` and `format`, such as `command = ["lint", "{files}"]` and `format = "sarif"`; only these known tools need neither key: `actionlint`, `…`
    "#);
    let whole = "[[tool]]\nname = \"mine\"\ncommand = [\"bin/mine\", \"bin/x\"]\nformat = \"sarif\"\n";
    let mine = &operator(whole).unwrap().linters[0];
    assert_eq!(mine.command, Some(words("/etc/truing/bin/mine bin/x")));
    let empty = told(operator("[tool.ruff]\npaths = []"));
    assert!(empty.contains("truing.toml:2: `tool.ruff.paths` must contain at least one glob"), "{empty}");
}

#[test]
fn a_repository_configures_tools_where_the_operator_allows_it() {
    let own = format!("{RUFF}\n[[tool]]\nname = \"mypy\"\n\n[review]\ntools = \"auto\"\n");
    let refused = repository("[tool.ruff]\nscope = \"files\"", &own).unwrap();
    assert_eq!(refused.review.linters, ToolSelection::Off);
    assert_eq!(refused.linters, [ToolConfig { scope: ToolScope::Files, ..plain("ruff") }]);
    let not_used = [
        "review.tools",
        "tool.mypy",
        "tool.ruff.command",
        "tool.ruff.format",
        "tool.ruff.paths",
        "tool.ruff.when",
    ];
    assert_eq!(refused.denied_repository_keys(), not_used);
    let allowing = "[verify]\nfrom_repository = true\n[tool.ruff]\nwhen = \"never\"\n";
    let allowed = repository(allowing, &own).unwrap();
    assert!(allowed.denied_repository_keys().is_empty());
    assert_eq!(allowed.review.linters, ToolSelection::Auto);
    let [mypy, ruff] = allowed.linters.as_slice() else { panic!("{:?}", allowed.linters) };
    assert_eq!((mypy, ruff.condition), (&plain("mypy"), ToolCondition::Never));
    assert_eq!((ruff.format.as_deref(), ruff.scope), (Some("ruff-json"), ToolScope::Lines));
    let shown = allowed.settings().filter(|(path, _)| path.starts_with("tool.")).count();
    assert_eq!(shown, 2 * keys::section_keys("tool.NAME").count());
}

#[test]
fn repository_fetches_linters_only_if_operator_allows_it() {
    let own = "[review]\ntool_fetch = true\n";
    let refused = repository("", own).unwrap();
    assert!(!refused.review.fetches_tools);
    assert_eq!(refused.denied_repository_keys(), ["review.tool_fetch"]);
    assert!(repository("[verify]\nfrom_repository = true\n", own).unwrap().review.fetches_tools);
    assert!(repository("[review]\ntool_fetch = true\n", "").unwrap().review.fetches_tools);
}

#[test]
fn what_a_repository_says_of_tools_is_checked_and_its_programs_are_in_its_tree() {
    let allowing = "[verify]\nfrom_repository = true\n";
    let eslint = "[tool.eslint]\ncommand = [\"node_modules/.bin/eslint\", \"{files}\"]\n";
    let command = repository(allowing, eslint).unwrap().linters[0].command.clone();
    assert_eq!(command, Some(words("node_modules/.bin/eslint {files}")));
    let text = "[[tool]]\nname = \"Mine\"\n[[tool]]\ncommand = [\"x\"]\n";
    let told_of = told(repository("", text));
    assert!(told_of.contains(".truing.toml:2: `Mine` cannot be a tool's name"), "{told_of}");
    assert!(told_of.contains(".truing.toml:3: a `[[tool]]` has no `name`"), "{told_of}");
    let mine = "[[tool]]\nname = \"mine\"\nformat = \"sarif\"\n";
    let lacks = told(repository(allowing, mine));
    assert!(lacks.contains(".truing.toml:3: `tool.mine` needs a `command`"), "{lacks}");
    assert_eq!(repository("", mine).unwrap().denied_repository_keys(), ["tool.mine.format"]);
}

#[test]
fn the_schema_takes_both_forms() {
    let schema = generate::schema();
    let forms = schema["properties"]["tool"]["anyOf"].as_array().unwrap();
    let (by_name, listed) = (&forms[0]["additionalProperties"], &forms[1]["items"]);
    assert_eq!((&forms[0]["type"], &forms[1]["type"]), (&"object".into(), &"array".into()));
    assert_eq!(listed["required"], serde_json::json!(["name"]));
    let mut keys = listed["properties"].as_object().unwrap().clone();
    assert_eq!(keys.remove("name").unwrap()["pattern"], NamedSection::Tool.pattern());
    assert_eq!(Some(&keys), by_name["properties"].as_object());
    assert!(keys["format"]["enum"].as_array().unwrap().contains(&"ruff-json".into()));
    for (name, key) in keys::section_keys("tool.NAME") {
        assert_eq!(key.repository, RepositoryOverride::MaySetIfAllowed, "{name}");
    }
}

#[test]
fn every_known_tool_can_be_named() {
    let pattern = regex::Regex::new(NamedSection::Tool.pattern()).unwrap();
    for name in LINTERS {
        assert!(NamedSection::Tool.is_valid_name(name) && pattern.is_match(name), "{name}");
        let variable = format!("{}__WHEN", keys::variable_name(&format!("tool.{name}")));
        let given = Environment::new([(variable, "never")], "/");
        assert_eq!(Config::resolve(&given, None, &[]).unwrap().linters[0].name, *name);
    }
    for wrong in ["", "Ruff", "go lint", "-x", "a.b", "a/b", "1a"] {
        assert!(!NamedSection::Tool.is_valid_name(wrong) && !pattern.is_match(wrong), "{wrong}");
    }
}

/// Checks that a repository's file with thousands of tools, about as many as its maximum size allows, is
/// parsed like a file with few tools.
#[test]
fn many_tools_of_a_repository_are_read_as_a_few_are() {
    let text: String = (0..5000).map(|n| format!("[[tool]]\nname = \"t{n}\"\n")).collect();
    assert_eq!(repository("", &text).unwrap().denied_repository_keys().len(), 5000);
    let error = repository("[verify]\nfrom_repository = true\n", &text).unwrap_err().to_string();
    assert!(error.starts_with("`tool.t0` needs"), "{error}");
}
