//! Tests of the configuration: its layers, their precedence, and its errors.

// long: one short test for each rule; the tests share configuration files.

use super::keys::KEYS;
use super::login::ForgeLogin;
use super::mcp::McpTransport;
use super::problem::MAX_PROBLEMS;
use super::*;
use std::path::Path;

use truing_core::finding::Severity;
use truing_core::id::AccountId;
use truing_core::severity::RuleSeverity;
use truing_core::tier::{RuleOwner, Tier};

fn operator(text: &str) -> SourceFile {
    SourceFile { name: "truing.toml".into(), folder: "/etc/truing".into(), text: text.into() }
}

fn repository(text: &str) -> SourceFile {
    SourceFile { name: ".truing.toml".into(), folder: "/repo".into(), text: text.into() }
}

fn variables(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().copied().chain([("HOME", "/home/me")]), "/here")
}

fn flag(name: &'static str, key: &'static str, values: &[&str]) -> KeyFlag {
    KeyFlag { name, key, values: values.iter().map(|value| (*value).to_owned()).collect() }
}

fn of_file(text: &str) -> Result<Config, ConfigError> {
    Config::resolve(&variables(&[]), Some(&operator(text)), &[])
}

/// Returns every problem of an invalid configuration, each with the problem's hint.
fn told(result: Result<Config, ConfigError>) -> String {
    let error = result.expect_err("it should be refused");
    error.problems().map(|problem| format!("error: {problem}\nhint: {}\n", problem.hint())).collect()
}

fn told_of(text: &str) -> String {
    told(of_file(text))
}

fn told_of_variables(given: &[(&str, &str)]) -> String {
    told(Config::resolve(&variables(given), None, &[]))
}

#[test]
fn without_anything_the_defaults_hold() {
    let config = Config::resolve(&variables(&[]), None, &[]).unwrap();
    assert_eq!(
        *config.store.location().unwrap(),
        StoreLocationConfig::File("/home/me/.local/state/truing/truing.db".into())
    );
    assert_eq!(config.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!((config.server.concurrency, config.server.concurrency_per_owner), (4, 0));
    assert_eq!(
        (config.server.lease_duration, config.server.heartbeat_interval),
        (Duration::from_secs(60), Duration::from_secs(10))
    );
    assert_eq!(config.server.slot_poll_interval, Duration::from_secs(2));
    assert_eq!(
        (config.review.debounce, config.review.max_debounce_delay),
        (Duration::from_secs(15), Duration::from_secs(120))
    );
    assert_eq!(
        (config.review.burst_quiet_period, config.review.max_burst_duration),
        (Duration::from_secs(60), Duration::from_secs(1800))
    );
    assert_eq!(
        (config.review.initial_backoff, config.review.backoff_max),
        (Duration::from_secs(30), Duration::from_secs(1800))
    );
    assert_eq!((config.review.max_attempts, config.review.max_inline_comments), (5, 30));
    assert_eq!(config.review.runtime, ReviewModelRuntime::RulesOnly);
    assert_eq!((config.rules.ignored_paths, config.rules.packs), (vec![], vec!["core".to_owned()]));
    assert!(config.forges.is_empty());
}

#[test]
fn every_key_of_the_table_has_a_typed_value() {
    // If a key had no typed value, parsing would fail with `ConfigProblem::Table`.
    of_file("[forge.github]\n[sync.botocore]").unwrap();
    for key in KEYS {
        let of = SECTIONS
            .iter()
            .filter(|(section, _)| keys::section_keys(section).any(|(_, own)| own.path == key.path));
        assert_eq!(of.count(), 1, "{}", key.path);
        assert!(key.doc.ends_with('.'), "{}", key.path);
    }
}

#[test]
fn the_stronger_source_wins_and_every_value_knows_who_set_it() {
    let file = operator(
        "[review]\nattempts = 2\nruntime = \"rules\"\n\n[server]\nconcurrency = 2\nlisten = \"127.0.0.1:2\"",
    );
    let given = variables(&[
        ("TRUING_SERVER__CONCURRENCY", "3"),
        ("TRUING_SERVER__LISTEN", "127.0.0.1:3"),
        ("RUNTIME_MODE", "rules"),
    ]);
    let config =
        Config::resolve(&given, Some(&file), &[flag("--listen", "server.listen", &["127.0.0.1:4"])]).unwrap();
    let origins: BTreeMap<String, String> =
        config.settings().map(|(path, setting)| (path, setting.origin.to_string())).collect();
    assert_eq!(
        (config.server.listen, origins["server.listen"].as_str()),
        ("127.0.0.1:4".parse().unwrap(), "flag --listen")
    );
    assert_eq!(
        (config.server.concurrency, origins["server.concurrency"].as_str()),
        (3, "variable TRUING_SERVER__CONCURRENCY")
    );
    assert_eq!((config.review.max_attempts, origins["review.attempts"].as_str()), (2, "truing.toml:2"));
    assert_eq!(origins["review.runtime"], "variable RUNTIME_MODE");
    assert_eq!(origins["review.quiet"], "default");
}

#[test]
fn a_repository_sets_what_the_operator_leaves_open_and_adds_packs() {
    let own = repository("[rules]\nignore = [\"vendor/**\"]\npacks = [\"aiobotocore\", \"core\"]\n");
    let open = of_file("").unwrap().with_repository(&own).unwrap();
    assert_eq!(open.rules.ignored_paths, ["vendor/**"]);
    assert_eq!(open.rules.packs, ["core", "aiobotocore"]);
    let (_, packs) = open.settings().find(|(path, _)| path == "rules.packs").unwrap();
    assert_eq!(packs.addition_origin.as_ref().unwrap().to_string(), ".truing.toml:3");

    let closed = of_file("[rules]\nignore = []\npacks = []").unwrap().with_repository(&own).unwrap();
    assert!(closed.rules.ignored_paths.is_empty());
    assert_eq!(closed.rules.packs, ["aiobotocore", "core"]);
}

#[test]
fn rules_for_tiers_are_read_in_order_and_a_repository_adds_its_own() {
    let file = "review.tier = \"once\"\n[[review.for]]\nrepos = [\"acme/*\"]\ntier = \"off\"\nmost \
         = \"rules\"\n\n[[review.for]]\nlabels = [\"big\"]\nlines_over = 5_000\ntier = \"deep\"\nreason \
         = \"large\"\n";
    let config = of_file(file).unwrap();
    let tiers = &config.review.tiers;
    assert_eq!(
        (tiers.default_tier, tiers.config_key.as_str(), tiers.max_tier),
        (Tier::Once, "review.tier", None)
    );
    let rules: Vec<_> =
        tiers.rules.iter().map(|rule| (rule.origin.as_str(), rule.tier, rule.max_tier)).collect();
    assert_eq!(rules, [("truing.toml:2", Tier::Off, Some(Tier::Rules)), ("truing.toml:7", Tier::Deep, None)]);
    assert_eq!(tiers.rules[1].condition.lines_over, Some(5000));
    let own = repository("[[review.for]]\npaths = [\"docs/**\"]\ntier = \"rules\"\n");
    let both = config.with_repository(&own).unwrap();
    assert_eq!(both.review.tiers.rules.len(), 3);
    assert_eq!(both.review.tiers.rules[2].origin, ".truing.toml:1");
    let given = variables(&[("TRUING_REVIEW__FOR", r#"[{"repos": ["a/*"], "tier": "off"}]"#)]);
    assert_eq!(Config::resolve(&given, None, &[]).unwrap().review.tiers.rules.len(), 1);
    assert_eq!(of_file("review.specialists = true").unwrap().review.tiers.default_tier, Tier::Deep);
    assert_eq!(of_file("").unwrap().review.tiers.default_tier, Tier::Settled);
    // The displayed text of a setting can be parsed again, with the same result.
    let (_, shown) = config.settings().find(|(path, _)| path == "review.for").unwrap();
    let again = of_file(&format!("review.for = {}", shown.value)).unwrap();
    assert_eq!(again.review.tiers.rules.len(), 2);
}

#[test]
fn rules_for_tiers_of_another_shape_are_told_with_their_line() {
    insta::assert_snapshot!(told_of(
        "[[review.for]]\nrepos = [\"acme/*\"]\n[[review.for]]\ntier = \"x\"\npath = [\"a\"]\nlabels \
         = \"a\"\npaths = [\"a[\"]\nlines_over = -1\n"
    ), @r#"
    error: truing.toml:1: `review.for` must have a `tier`: off, rules, once, settled, deep
    hint: see `review.for` in `truing config schema`
    error: truing.toml:4: `review.for.tier` must be one of off, rules, once, settled, deep
    hint: see `review.for.tier` in `truing config schema`
    error: truing.toml:5: `review.for.path` must not be set; the conditions of a rule are repos, paths, only_paths, authors, labels, titles, bases, lines_over, lines_up_to, files_over
    hint: see `review.for.path` in `truing config schema`
    error: truing.toml:6: `review.for.labels` must have a value of the correct type: invalid type: string "a", expected a sequence
    hint: see `review.for.labels` in `truing config schema`
    error: truing.toml:7: `review.for.paths` must contain valid globs: error parsing glob 'a[': unclosed character class; missing ']'
    hint: see `review.for.paths` in `truing config schema`
    error: truing.toml:8: `review.for.lines_over` must have a value of the correct type: invalid value: integer `-1`, expected u64
    hint: see `review.for.lines_over` in `truing config schema`
    "#);
    let own = repository(
        "[review]\ntier = \"off\"\n[[review.for]]\nrepos = [\"a/b\"]\nmost = \"deep\"\ntier = \"deep\"\n",
    );
    let refused = told(of_file("").unwrap().with_repository(&own));
    for line in [
        ".truing.toml:2: `review.tier`",
        ".truing.toml:4: `review.for.repos` must not",
        ".truing.toml:5: `review.for.most` must not",
    ] {
        assert!(refused.contains(line), "{refused}");
    }
    assert!(
        told_of("review.for = [1]\n")
            .contains("truing.toml:1: `review.for` must be a list of tables such as")
    );
}

#[test]
fn instructions_are_read_in_order_and_a_repository_adds_its_own() {
    let file = "[[review.instructions]]\nrepos = [\"acme/*\"]\npaths = [\"src/db/**\"]\ntext = \"\"\"\nEach \
         query has a limit.\n\"\"\"\n";
    let config = of_file(file).unwrap();
    let own = repository("[[review.instructions]]\npaths = [\"docs/**\"]\ntext = \"British.\"\n");
    let both = config.with_repository(&own).unwrap();
    let all: Vec<_> = both
        .review
        .instructions
        .iter()
        .map(|found| (found.origin.as_str(), found.owner, found.text.as_str()))
        .collect();
    let operators = ("truing.toml:1", RuleOwner::Operator, "Each query has a limit.\n");
    assert_eq!(all, [operators, (".truing.toml:1", RuleOwner::Repository, "British.")]);
    let given = variables(&[("TRUING_REVIEW__INSTRUCTIONS", r#"[{"paths": ["a"], "text": "b"}]"#)]);
    assert_eq!(Config::resolve(&given, None, &[]).unwrap().review.instructions.len(), 1);
    // The displayed text of a setting can be parsed again, with the same result.
    let (_, shown) = config.settings().find(|(path, _)| path == "review.instructions").unwrap();
    let again = of_file(&format!("review.instructions = {}", shown.value)).unwrap();
    assert_eq!(again.review.instructions[0].text, "Each query has a limit.\n");
}

#[test]
fn instructions_of_another_shape_are_told_with_their_line() {
    let long = "a".repeat(4097);
    insta::assert_snapshot!(told_of(&format!(
        "[[review.instructions]]\ntext = \"a\"\n[[review.instructions]]\npaths = [\"a[\"]\ntext \
         = \"{long}\"\nrepo = 1\n[[review.instructions]]\npaths = \"a\"\ntext = \" \"\n"
    )), @r#"
    error: truing.toml:1: `review.instructions` must have `paths` and a `text`
    hint: see `review.instructions` in `truing config schema`
    error: truing.toml:4: `review.instructions.paths` must contain valid globs: error parsing glob 'a[': unclosed character class; missing ']'
    hint: see `review.instructions.paths` in `truing config schema`
    error: truing.toml:5: `review.instructions.text` must be a text of at most 4096 bytes
    hint: see `review.instructions.text` in `truing config schema`
    error: truing.toml:6: `review.instructions.repo` must not be set; an instruction has `paths`, `text` and, in the operator's file, `repos`
    hint: see `review.instructions.repo` in `truing config schema`
    error: truing.toml:8: `review.instructions.paths` must be a list of globs: invalid type: string "a", expected a sequence
    hint: see `review.instructions.paths` in `truing config schema`
    error: truing.toml:9: `review.instructions.text` must be a text of at most 4096 bytes
    hint: see `review.instructions.text` in `truing config schema`
    "#);
    let own = repository("[[review.instructions]]\nrepos = [\"a/b\"]\npaths = [\"a\"]\ntext = \"b\"\n");
    let refused = told(of_file("").unwrap().with_repository(&own));
    assert!(refused.contains(".truing.toml:2: `review.instructions.repos` must not"), "{refused}");
    let many = "[[review.instructions]]\npaths = [\"a\"]\ntext = \"b\"\n".repeat(21);
    let refused = told_of(&many);
    assert!(refused.contains("`review.instructions` must have at most 20 instructions, not 21"), "{refused}");
    assert!(of_file("review.instructions = []").unwrap().review.instructions.is_empty());
}

#[test]
fn rules_go_off_by_either_file_and_the_operators_severity_of_a_rule_stands() {
    let own = repository(
        "[rules]\noff = [\"core/rust-dbg\", \"ruff/E501\"]\n[rules.severity]\n\"core/x\" \
         = \"P2\"\n\"core/y\" = \"P0\"\n",
    );
    let severities = |all: &[(&str, Severity)]| {
        let of = |severity: Severity| vec![RuleSeverity { paths: Vec::new(), severity }];
        all.iter().map(|(rule, severity)| ((*rule).to_owned(), of(*severity))).collect::<BTreeMap<_, _>>()
    };
    let open = of_file("").unwrap();
    assert_eq!((open.rules.disabled_rules.len(), open.rules.severity_overrides.len()), (0, 0));
    let open = open.with_repository(&own).unwrap();
    assert_eq!(open.rules.disabled_rules, ["core/rust-dbg", "ruff/E501"]);
    assert_eq!(
        open.rules.severity_overrides,
        severities(&[("core/x", Severity::P2), ("core/y", Severity::P0)])
    );
    let (_, severity) = open.settings().find(|(path, _)| path == "rules.severity").unwrap();
    assert_eq!(severity.addition_origin.as_ref().unwrap().to_string(), ".truing.toml:3");

    let file = "rules.off = [\"core/z\"]\nrules.severity = { \"core/x\" = \"P1\" }";
    let set = of_file(file).unwrap().with_repository(&own).unwrap();
    assert_eq!(set.rules.disabled_rules, ["core/z", "core/rust-dbg", "ruff/E501"]);
    assert_eq!(
        set.rules.severity_overrides,
        severities(&[("core/x", Severity::P1), ("core/y", Severity::P0)])
    );
    let by_path = of_file(
        "[[rules.severity.\"core/x\"]]\npaths = [\"tests/**\"]\nseverity \
         = \"P2\"\n[[rules.severity.\"core/x\"]]\nseverity = \"P0\"\n",
    );
    let by_path = by_path.unwrap().rules.severity_overrides["core/x"].clone();
    let tests = RuleSeverity { paths: vec!["tests/**".to_owned()], severity: Severity::P2 };
    assert_eq!(by_path, [tests, RuleSeverity { paths: Vec::new(), severity: Severity::P0 }]);
    let given = variables(&[
        ("TRUING_RULES__OFF", "core/a,core/b"),
        ("TRUING_RULES__SEVERITY", r#"{"core/a": "P2"}"#),
    ]);
    let config = Config::resolve(&given, None, &[]).unwrap();
    assert_eq!(config.rules.disabled_rules, ["core/a", "core/b"]);
    assert_eq!(config.rules.severity_overrides, severities(&[("core/a", Severity::P2)]));
}

#[test]
fn rules_and_severities_of_another_shape_are_told_with_their_line() {
    insta::assert_snapshot!(told_of(
        "[rules]\noff = [\"core/x\", \"print\"]\n[rules.severity]\n\"core/x\" = \"P3\"\n\"core/y\" \
         = \"P2\"\nprint = \"P1\"\n\"core/z\" = 1\n"
    ), @r#"
    error: truing.toml:2: `rules.off` must contain names of rules, `PACK/RULE`, not `print`
    hint: see `rules.off` in `truing config schema`
    error: truing.toml:4: `rules.severity."core/x"` must be "P0", "P1" or "P2"
    hint: see `rules.severity."core/x"` in `truing config schema`
    error: truing.toml:6: `rules.severity."print"` must name a rule as `PACK/RULE`, as shown in findings
    hint: see `rules.severity."print"` in `truing config schema`
    error: truing.toml:7: `rules.severity."core/z"` must be "P0", "P1" or "P2", or a list of tables such as { paths = ["tests/**"], severity = "P2" }: invalid type: integer `1`, expected a sequence
    hint: see `rules.severity."core/z"` in `truing config schema`
    "#);
    insta::assert_snapshot!(told_of("rules.off = \"core/x\"\nrules.severity = [\"core/x\"]\n"), @r#"
    error: truing.toml:1: `rules.off` must be a list of strings, such as ["a", "b"]
    hint: see `rules.off` in `truing config schema`
    error: truing.toml:2: `rules.severity` must be a table of rules and severities, such as { "core/rust-dbg" = "P2" } (in a variable: a JSON object)
    hint: see `rules.severity` in `truing config schema`
    "#);
}

#[test]
fn what_is_run_for_a_repository_is_its_own_to_say_where_the_operator_allows_it() {
    let own = repository(
        "[verify]\nsetup = [[\"uv\", \"sync\"]]\ncheck = [[\"cargo\", \"test\"], [\"x\"]]\nregistries = \
         [\"pypi\"]\n",
    );
    let refused = of_file("").unwrap().with_repository(&own).unwrap();
    assert!(refused.verify.setup_commands.is_empty() && refused.verify.registries.len() == 3);
    assert_eq!(refused.denied_repository_keys(), ["verify.check", "verify.registries", "verify.setup"]);
    let allowed = of_file("[verify]\nfrom_repository = true").unwrap().with_repository(&own).unwrap();
    assert_eq!(allowed.verify.setup_commands, [["uv", "sync"]]);
    assert_eq!(allowed.verify.check_commands, [vec!["cargo", "test"], vec!["x"]]);
    assert!(allowed.verify.registries.len() == 1 && allowed.denied_repository_keys().is_empty());
    let set = of_file("[verify]\nfrom_repository = true\ncheck = [[\"true\"]]\n").unwrap();
    assert_eq!(set.with_repository(&own).unwrap().verify.check_commands, [["true"]]);
    // Only the operator may set `verify.from_repository`, so the key has no effect in a repository's file.
    let own = repository("[verify]\nfrom_repository = true\ntimeout = \"1d\"\n");
    insta::assert_snapshot!(told(of_file("").unwrap().with_repository(&own)), @r"
    error: .truing.toml:2: `verify.from_repository` cannot be set by a repository
    hint: move the key to the operator's file or the variable TRUING_VERIFY__FROM_REPOSITORY
    error: .truing.toml:3: `verify.timeout` cannot be set by a repository
    hint: move the key to the operator's file or the variable TRUING_VERIFY__TIMEOUT
    ");
}

#[test]
fn commands_are_lists_of_words() {
    let of = |text: &str| of_file(&format!("[verify]\n{text}"));
    assert_eq!(
        of("programs = [\"tools\", \"/opt\"]").unwrap().verify.program_folders,
        [Path::new("/etc/truing/tools"), Path::new("/opt")]
    );
    for wrong in [
        "check = [\"a\"]",
        "check = \"a\"",
        "check = [[]]",
        "check = [[\"\"]]",
        "check = [[1]]",
        "check = [[\"a\\u0000\"]]",
    ] {
        assert!(told(of(wrong)).contains("must be a list of commands, each a list of words"), "{wrong}");
    }
    assert!(
        told(of("registries = [\"go\"]"))
            .contains("must contain \"pypi\" or \"npm\" or \"crates\", not `go`")
    );
    let set =
        Config::resolve(&variables(&[("TRUING_VERIFY__CHECK", "[[\"a\",\"b c\"]]")]), None, &[]).unwrap();
    assert_eq!(set.verify.check_commands, [["a", "b c"]]);
    // Only the gate knows a command that is a word alone.
    let in_file = of_file("[converge]\ngate = [\"pre-commit\", [\"a\"]]\n");
    assert_eq!(in_file.unwrap().converge.gate, [["pre-commit"], ["a"]]);
    let gate = |text| Config::resolve(&variables(&[("TRUING_CONVERGE__GATE", text)]), None, &[]);
    assert_eq!(gate("[\"pre-commit\"]").unwrap().converge.gate, [["pre-commit"]]);
    let wrong = gate("[\"ruff\"]").unwrap_err().to_string();
    assert!(wrong.contains("each a list of words or `\"pre-commit\"`"), "{wrong}");
    assert!(told(of("check = [\"pre-commit\"]")).contains("each a list of words, such as"));
    let (_, shown) = set.settings().find(|(path, _)| path == "verify.check").unwrap();
    assert_eq!(
        (shown.value.to_string().as_str(), shown.value.to_json()),
        ("[[\"a\", \"b c\"]]", serde_json::json!([["a", "b c"]]))
    );
    assert!(told_of_variables(&[("TRUING_VERIFY__CHECK", "a b")]).contains("must be a list of commands"));
}

#[test]
fn a_repository_cannot_set_the_operators_keys() {
    let own = repository(
        "store.url = \"sqlite:/tmp/x\"\n[rules]\nignored = []\n[forge.evil]\napi_url = \"https://evil\"\n",
    );
    insta::assert_snapshot!(told(of_file("").unwrap().with_repository(&own)), @r#"
    error: .truing.toml:1: `store.url` cannot be set by a repository
    hint: move the key to the operator's file or the variable TRUING_STORE__URL
    error: .truing.toml:3: unknown key `rules.ignored`
    hint: did you mean `rules.ignore`? All keys: `truing config schema`
    error: .truing.toml:5: `forge.evil.api_url` cannot be set by a repository
    hint: move the key to the operator's file or the variable TRUING_FORGE__EVIL__API_URL
    "#);
}

#[test]
fn every_problem_of_a_file_is_told_with_its_line_and_the_nearest_key() {
    insta::assert_snapshot!(told_of(r#"
[review]
max_inlin = 3
debounce = 15
attempts = 0
runtime = "fast"
webhook_secret = "x"

[servr]
listen = "localhost"

[server]
listen = "localhost"
poll = "0s"

[model]
provider = "anthropic"

[forge.GitHub]
token = "hush"

[forge.github]
tokn = { env = "X" }
kind = "gitlab"
api_url = "http://api.github.com"
token = "hush"
webhook_secret = { evn = "X" }
marker_key = { env = "A", file = "b" }

[forge]
github2 = 1
"#), @r#"
    error: truing.toml:3: unknown key `review.max_inlin`
    hint: did you mean `review.max_inline`? All keys: `truing config schema`
    error: truing.toml:4: `review.debounce` must be a string such as "15s"; it is of type integer
    hint: see `review.debounce` in `truing config schema`
    error: truing.toml:5: `review.attempts` must be a whole number from 1 to 100, not `0`
    hint: see `review.attempts` in `truing config schema`
    error: truing.toml:6: `review.runtime` must be "rules" or "native" or "sdk" or "cli", not `fast`
    hint: see `review.runtime` in `truing config schema`
    error: truing.toml:7: unknown key `review.webhook_secret`
    hint: did you mean `forge.NAME.webhook_secret`? All keys: `truing config schema`
    error: truing.toml:9: unknown key `servr`
    hint: did you mean `server`? All keys: `truing config schema`
    error: truing.toml:13: `server.listen` must be an IP address and a port such as "127.0.0.1:8080", not `localhost`
    hint: see `server.listen` in `truing config schema`
    error: truing.toml:14: `server.poll` must be from 10ms to 1h, not 0s
    hint: see `server.poll` in `truing config schema`
    error: truing.toml:19: `GitHub` cannot be a forge's name
    hint: use lower-case letters, digits and `-`, and begin with a letter
    error: truing.toml:23: unknown key `forge.github.tokn`
    hint: did you mean `forge.github.token`? All keys: `truing config schema`
    error: truing.toml:24: `forge.github.kind` must be "github" or "bitbucket" or "bitbucket-dc", not `gitlab`
    hint: see `forge.github.kind` in `truing config schema`
    error: truing.toml:25: `forge.github.api_url` must be an https URL: http is allowed for loopback addresses only
    hint: see `forge.github.api_url` in `truing config schema`
    error: truing.toml:26: `forge.github.token` contains the secret itself (not shown)
    hint: specify where the secret is stored: forge.github.token = { env = "VARIABLE" } or { file = "PATH" }, or set the variable TRUING_FORGE__GITHUB__TOKEN__ENV; replace the secret if this file was shared
    error: truing.toml:27: unknown key `forge.github.webhook_secret.evn`
    hint: did you mean `forge.github.webhook_secret.env`? All keys: `truing config schema`
    error: truing.toml:28: `forge.github.marker_key` must have either `env` or `file`, not both
    hint: see `forge.github.marker_key` in `truing config schema`
    error: truing.toml:31: `forge.github2` must be a table; it is of type integer
    hint: see `forge.github2` in `truing config schema`
    "#);
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_lines() {
    insta::assert_snapshot!(told_of("[review]\nattempts = = 3\n[review]\n"), @r#"
    error: truing.toml:2: extra `=`, expected nothing
    hint: the file must be TOML (https://toml.io)
    error: truing.toml:2: unexpected key or value, expected newline, `#`
    hint: the file must be TOML (https://toml.io)
    error: truing.toml:3: duplicate key `review`
    hint: define each key and each table only once
    "#);
}

#[test]
fn variables_are_keys_and_unknown_ones_are_refused() {
    insta::assert_snapshot!(told_of_variables(&[
        ("TRUING_REVIEW__DEBOUNC", "15s"),
        ("TRUING_STORE_URL", "sqlite:/a"),
        ("TRUING_review__quiet", "1s"),
        ("TRUING_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("TRUING_FORGE__GITHUB__TOKEN", "hush"),
        ("TRUING_FORGE__GITHUB__WEBHOOK_SECRET__ENV", "ghp_hush"),
        ("TRUING_FORGE__GITHUB__SETTLE__ENV", "X"),
        ("TRUING_FORGE__GITHUB__MARKER_KEY__ENV", "A"),
        ("TRUING_FORGE__GITHUB__MARKER_KEY__FILE", "b"),
        ("TRUING_CONFIG", "not a key"),
        ("TRUING", "none of ours"),
    ]), @r#"
    error: variable TRUING_FORGE__GITHUB__MARKER_KEY__FILE: `forge.github.marker_key` must be set by only one variable, with the suffix __ENV or __FILE
    hint: see `forge.github.marker_key` in `truing config schema`
    error: unknown variable TRUING_FORGE__GITHUB__SETTLE__ENV
    hint: did you mean TRUING_FORGE__GITHUB__SETTLE? All keys: `truing config schema`
    error: variable TRUING_FORGE__GITHUB__TOKEN: `forge.github.token` contains the secret itself (not shown)
    hint: specify where the secret is stored: forge.github.token = { env = "VARIABLE" } or { file = "PATH" }, or set the variable TRUING_FORGE__GITHUB__TOKEN__ENV; replace the secret if this file was shared
    error: variable TRUING_FORGE__GITHUB__WEBHOOK_SECRET__ENV: `forge.github.webhook_secret` must be a variable name of capital letters, digits and `_`, such as GITHUB_TOKEN
    hint: see `forge.github.webhook_secret` in `truing config schema`
    error: unknown variable TRUING_PORT_8080_TCP_ADDR
    hint: the variable looks like Kubernetes' link to a service named `truing`: set `enableServiceLinks: false` for the pod, or rename the service
    error: unknown variable TRUING_REVIEW__DEBOUNC
    hint: did you mean TRUING_REVIEW__DEBOUNCE? All keys: `truing config schema`
    error: unknown variable TRUING_STORE_URL
    hint: did you mean TRUING_STORE__URL? All keys: `truing config schema`
    error: unknown variable TRUING_review__quiet
    hint: did you mean TRUING_REVIEW__QUIET? All keys: `truing config schema`
    "#);
}

#[test]
fn variables_alone_configure_a_forge() {
    let config = Config::resolve(
        &variables(&[
            ("TRUING_FORGE__MY_WORK__KIND", "github"),
            ("TRUING_FORGE__MY_WORK__API_URL", "http://127.0.0.1:9/api/"),
            ("TRUING_FORGE__MY_WORK__TOKEN__ENV", "WORK_TOKEN"),
            ("TRUING_FORGE__MY_WORK__WEBHOOK_SECRET__FILE", "secret"),
            ("TRUING_RULES__PACKS", "core,aiobotocore"),
        ]),
        None,
        &[],
    )
    .unwrap();
    let forge = &config.forges["my-work"];
    assert_eq!(forge.kind, ForgeKind::Github);
    assert_eq!(forge.api_url, "http://127.0.0.1:9/api");
    assert_eq!(forge.git_url, "https://github.com");
    assert_eq!(forge.login, ForgeLogin::Token(SecretSource::Env("WORK_TOKEN".into())));
    assert_eq!(forge.webhook_secret, SecretSource::File("/here/secret".into()));
    assert_eq!(forge.marker_key, None);
    assert_eq!(config.rules.packs, ["core", "aiobotocore"]);
}

#[test]
fn a_variable_overrides_a_files_secret_as_a_whole() {
    let former = "[forge.github]\nprevious_marker_keys = [{ env = \"OLD_KEY\" }, { file = \"old.key\" }]\n";
    let config = Config::resolve(&variables(&[]), Some(&operator(former)), &[]).unwrap();
    let former = [SecretSource::Env("OLD_KEY".into()), SecretSource::File("/etc/truing/old.key".into())];
    assert_eq!(config.forges["github"].previous_marker_keys, former);
    let name = "TRUING_FORGE__GITHUB__PREVIOUS_MARKER_KEYS";
    let config = Config::resolve(&variables(&[(name, "[{\"env\": \"OLD_KEY\"}]")]), None, &[]).unwrap();
    assert_eq!(config.forges["github"].previous_marker_keys, [SecretSource::Env("OLD_KEY".into())]);
    let written_out = operator("[forge.github]\nprevious_marker_keys = [\"hush\"]\n");
    let error = Config::resolve(&variables(&[]), Some(&written_out), &[]).unwrap_err().to_string();
    assert!(error.contains("previous_marker_keys") && !error.contains("hush"), "{error}");
    let file = operator("[forge.github]\ntoken = { file = \"token\" }\nmarker_key = { file = \"key\" }");
    let config =
        Config::resolve(&variables(&[("TRUING_FORGE__GITHUB__TOKEN__ENV", "T")]), Some(&file), &[]).unwrap();
    assert_eq!(config.forges["github"].login, ForgeLogin::Token(SecretSource::Env("T".into())));
    assert_eq!(config.forges["github"].marker_key, Some(SecretSource::File("/etc/truing/key".into())));
}

#[test]
fn an_app_password_is_told_what_takes_its_place() {
    let error = Config::resolve(&variables(&[("BITBUCKET_APP_PASSWORD", "hush")]), None, &[]).unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("BITBUCKET_APP_PASSWORD") && !told.contains("hush"), "{told}");
    assert!(Config::resolve(&variables(&[("BITBUCKET_APP_PASSWORD", "")]), None, &[]).is_ok());
}

#[test]
fn a_forge_has_one_login_and_all_of_it() {
    let app = of_file("[forge.github]\napp_id = 7\nprivate_key = { file = \"app.pem\" }").unwrap();
    let key = SecretSource::File("/etc/truing/app.pem".into());
    assert_eq!(app.forges["github"].login, ForgeLogin::App { id: 7, key });
    let told = [
        "app_id = 7",
        "private_key = { env = \"KEY\" }",
        "app_id = 7\nprivate_key = { env = \"KEY\" }\ntoken = { env = \"T\" }",
        "app_id = 0",
    ]
    .map(|keys| told_of(&format!("[forge.github]\n{keys}")));
    insta::assert_snapshot!(told.join(""), @r"
    error: `forge.github` has an `app_id`, but no `private_key`
    hint: in [forge.github] give either `token`, or `app_id` and `private_key` of a GitHub App
    error: `forge.github` has a `private_key`, but no `app_id`
    hint: in [forge.github] give either `token`, or `app_id` and `private_key` of a GitHub App
    error: `forge.github` has two logins: a token and a GitHub App
    hint: in [forge.github] give either `token`, or `app_id` and `private_key` of a GitHub App
    error: truing.toml:2: `forge.github.app_id` must be a whole number from 1 to 9007199254740991, not `0`
    hint: see `forge.github.app_id` in `truing config schema`
    ");
}

#[test]
fn a_forge_exists_once_it_is_named_and_its_name_is_its_kind() {
    let config = of_file("[forge.github]").unwrap();
    assert_eq!(config.forges["github"].login, ForgeLogin::Token(SecretSource::Env("GITHUB_TOKEN".into())));
    insta::assert_snapshot!(told_of("[forge.work]"), @r#"
    error: `forge.work` has no `kind`, and its name "work" is not a kind of forge
    hint: add `kind = "github"` to [forge.work]
    "#);
}

#[test]
fn the_token_of_gh_is_for_github_com_alone_and_only_in_the_place_of_another() {
    let login = |variables: &[(&str, &str)], keys: &str| {
        let file = operator(&format!("[forge.github]\n{keys}"));
        let environment = self::variables(variables);
        let config = Config::resolve(&environment, Some(&file), &[]).unwrap();
        config.forges["github"].login.clone()
    };
    let of = |name: &str| ForgeLogin::Token(SecretSource::Env(name.into()));
    let both = [("GH_TOKEN", "a"), ("GITHUB_TOKEN", "b")];
    assert_eq!(login(&both[..1], ""), of("GH_TOKEN"));
    assert_eq!(login(&[("GH_TOKEN", "a"), ("GITHUB_TOKEN", "")], ""), of("GH_TOKEN"));
    assert_eq!(login(&both, ""), of("GITHUB_TOKEN"));
    assert_eq!(login(&[("GH_TOKEN", "")], ""), of("GITHUB_TOKEN"));
    assert_eq!(login(&both[..1], "git_url = \"https://git.example.com\""), of("GITHUB_TOKEN"));
    assert_eq!(login(&both[..1], "token = { env = \"OTHER\" }"), of("OTHER"));
}

#[test]
fn runtime_mode_is_judged_only_where_nothing_stronger_decides() {
    insta::assert_snapshot!(told_of_variables(&[("RUNTIME_MODE", "fast")]), @r#"
    error: variable RUNTIME_MODE: `review.runtime` must be "rules" or "native" or "sdk" or "cli", not `fast`
    hint: see `review.runtime` in `truing config schema`
    "#);
    let given = variables(&[("RUNTIME_MODE", "fast")]);
    Config::resolve(&given, None, &[flag("--runtime", "review.runtime", &["rules"])]).unwrap();
    Config::resolve(&variables(&[("RUNTIME_MODE", "fast"), ("TRUING_REVIEW__RUNTIME", "rules")]), None, &[])
        .unwrap();
    Config::resolve(&variables(&[("RUNTIME_MODE", "")]), None, &[]).unwrap();
}

#[test]
fn variables_of_others_choose_the_runtime_and_where_the_model_is() {
    let mode = |word: &str| {
        Config::resolve(&variables(&[("RUNTIME_MODE", word)]), None, &[]).unwrap().review.runtime
    };
    assert_eq!(
        [mode("rules"), mode("native"), mode("sdk"), mode("cli")],
        [
            ReviewModelRuntime::RulesOnly,
            ReviewModelRuntime::NativeToolLoop,
            ReviewModelRuntime::NativeToolLoop,
            ReviewModelRuntime::ClaudeCli
        ]
    );
    let at = |own: &[(&str, &str)]| {
        let given = [&[("ANTHROPIC_BASE_URL", "http://127.0.0.1:7")], own].concat();
        Config::resolve(&variables(&given), None, &[]).unwrap().model.base_url
    };
    assert_eq!(at(&[]).as_deref(), Some("http://127.0.0.1:7"));
    assert_eq!(
        at(&[("TRUING_MODEL__BASE_URL", "https://gateway.example")]).as_deref(),
        Some("https://gateway.example")
    );
    // The address is checked only when a model is called, because most runs do not call a model.
    let wrong = Config::resolve(&variables(&[("ANTHROPIC_BASE_URL", "nowhere")]), None, &[]).unwrap();
    assert_eq!(
        (wrong.model.base_url.as_deref(), wrong.review.runtime),
        (Some("https://api.anthropic.com"), ReviewModelRuntime::RulesOnly)
    );
}

#[test]
fn the_address_of_the_messages_api_is_not_another_providers() {
    let foreign = [("ANTHROPIC_BASE_URL", "https://gateway.example")];
    let model = |text: &str, given: &[(&str, &str)]| {
        let file = operator(text);
        Config::resolve(&variables(given), Some(&file), &[]).unwrap().model.base_url
    };
    let ours = "[model]\nprovider = \"openai\"\nbase_url = \"https://ours.example/v1\"\n";
    assert_eq!(model(ours, &foreign).as_deref(), Some("https://ours.example/v1"));
    assert_eq!(
        model("[model]\nprovider = \"openai\"\n", &foreign).as_deref(),
        Some("https://api.openai.com/v1")
    );
    let by_variable = [foreign[0], ("TRUING_MODEL__PROVIDER", "openai")];
    assert_eq!(
        model("model.base_url = \"https://ours.example/v1\"\n", &by_variable).as_deref(),
        Some("https://ours.example/v1")
    );
    let back = [foreign[0], ("TRUING_MODEL__PROVIDER", "anthropic")];
    assert_eq!(model(ours, &back).as_deref(), Some("https://gateway.example"));
}

#[cfg(feature = "aws")]
#[test]
fn the_api_on_aws_is_chosen_by_the_variables_of_others_and_has_an_address_of_its_own() {
    use super::model::ProviderKind;
    let model = |given: &[(&str, &str)]| Config::resolve(&variables(given), None, &[]).unwrap().model;
    let aws = model(&[
        ("CLAUDE_CODE_USE_ANTHROPIC_AWS", "1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_REGION", "eu-central-1"),
        ("ANTHROPIC_AWS_WORKSPACE_ID", "wrkspc_1"),
        ("ANTHROPIC_BASE_URL", "https://gateway.example"),
    ]);
    assert_eq!((aws.provider, aws.base_url), (ProviderKind::Aws, None));
    assert_eq!(
        (aws.region.as_deref(), aws.workspace_id.as_deref()),
        (Some("eu-central-1"), Some("wrkspc_1"))
    );
    let own =
        model(&[("TRUING_MODEL__PROVIDER", "aws"), ("TRUING_MODEL__BASE_URL", "https://gateway.example")]);
    assert_eq!((own.provider, own.base_url.as_deref()), (ProviderKind::Aws, Some("https://gateway.example")));
    let first = [("CLAUDE_CODE_USE_ANTHROPIC_AWS", "1"), ("TRUING_MODEL__PROVIDER", "anthropic")];
    assert_eq!(model(&first).provider, ProviderKind::Anthropic);
    assert_eq!(model(&[("CLAUDE_CODE_USE_ANTHROPIC_AWS", "0")]).provider, ProviderKind::Anthropic);
    // Variables of AWS's programs are checked only when a model is called.
    assert_eq!(model(&[("AWS_REGION", "eu central")]).region, None);
}

#[cfg(feature = "aws")]
#[test]
fn bedrock_has_no_key_of_the_first_party_and_ids_by_name() {
    use super::model::{BEDROCK_TOKEN_VARIABLE, ProviderKind};
    use super::secret::SecretSource;
    let model = |given: &[(&str, &str)]| Config::resolve(&variables(given), None, &[]).unwrap().model;
    let bedrock = model(&[
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("ANTHROPIC_BASE_URL", "https://gateway.example"),
        ("TRUING_MODEL__MODEL_IDS", r#"{"claude-x": "eu.anthropic.claude-x"}"#),
    ]);
    assert_eq!((bedrock.provider, bedrock.base_url), (ProviderKind::Bedrock, None));
    assert_eq!(bedrock.api_key, SecretSource::Env(BEDROCK_TOKEN_VARIABLE.to_owned()));
    assert_eq!(bedrock.model_ids["claude-x"], "eu.anthropic.claude-x");
    let own = [("TRUING_MODEL__PROVIDER", "bedrock"), ("TRUING_MODEL__API_KEY__ENV", "OTHER_KEY")];
    assert_eq!(model(&own).api_key, SecretSource::Env("OTHER_KEY".to_owned()));
}

#[test]
fn values_that_do_not_go_together_are_refused_with_both_places() {
    insta::assert_snapshot!(told_of("[server]\nlease = \"15s\"\n[review]\ndebounce = \"5m\"\nbackoff \
         = \"1h\"\nquiet = \"1h\""), @r#"
    error: `server.heartbeat = "10s"` (default) must be less than two thirds of `server.lease = "15s"` (truing.toml:2)
    hint: change one of the two values
    error: `review.debounce = "5m"` (truing.toml:4) must be at most `review.max_wait = "2m"` (default)
    hint: change one of the two values
    error: `review.quiet = "1h"` (truing.toml:6) must be at most `review.storm_max = "30m"` (default)
    hint: change one of the two values
    error: `review.backoff = "1h"` (truing.toml:5) must be at most `review.backoff_max = "30m"` (default)
    hint: change one of the two values
    "#);
    of_file("[server]\nlease = \"16s\"").unwrap();
    insta::assert_snapshot!(told_of("[budget]\npr_ask_usd = 2\npr_usd = 2"), @r#"
    error: `budget.pr_ask_usd = 2` (truing.toml:2) must be less than `budget.pr_usd = 2` (truing.toml:3)
    hint: change one of the two values
    "#);
    of_file("[budget]\npr_ask_usd = 2").unwrap();
}

#[test]
fn a_folder_of_its_own_is_beside_the_database_in_what_is_shown_too() {
    let config = of_file("store.url = \"sqlite:/srv/t.db\"\n").unwrap();
    let shown = config.settings().find(|(key, _)| key == "store.folder").unwrap().1.value.to_string();
    assert_eq!((config.store.local_data_folder().unwrap(), shown.as_str()), (Path::new("/srv"), "\"/srv\""));
}

#[test]
fn servers_come_in_pairs_and_with_a_key_for_all_processes() {
    let told = |file: &str| of_file(file).unwrap_err().to_string();
    let (slots, records) = ("store.url = \"valkey://h/0\"\n", "store.records = \"postgres://u:hush@h/d\"\n");
    assert_eq!(
        told(slots),
        "truing.toml:1: `store.records` must be set to a URL such as \"postgres://…\", because the server \
            in `store.url` stores only slots"
    );
    assert_eq!(
        told(records),
        "truing.toml:1: `store.records` is valid only if `store.url` is the URL of a Valkey server; a \
            SQLite file needs no such setting"
    );
    let forge = "forge.github.kind = \"github\"\n";
    assert_eq!(
        told(&format!("{slots}{records}{forge}")),
        "truing.toml:1: `forge.github.marker_key` must be set, because all processes that share a store \
            must sign with the same key"
    );
    let key = "forge.github.marker_key = { env = \"KEY\" }\n";
    let config = of_file(&format!("{slots}{records}{key}store.folder = \"own\"\n")).unwrap();
    assert!(matches!(config.store.location().unwrap(), StoreLocationConfig::Servers { .. }));
    assert_eq!(config.store.local_data_folder().unwrap(), Path::new("/etc/truing/own"));
    let shown: String = config.settings().map(|(_, setting)| setting.value.to_string()).collect();
    assert!(shown.contains("postgres://u@h/d") && !shown.contains("hush"), "{shown}");
    let secret = of_file(&format!("{slots}{key}store.records = {{ env = \"RECORDS\" }}\n")).unwrap();
    assert!(matches!(secret.store.location().unwrap(), StoreLocationConfig::Servers { .. }));
}

#[test]
fn without_a_home_only_what_needs_the_database_fails() {
    let config = Config::resolve(&Environment::new::<&str, &str>([], "/"), None, &[]).unwrap();
    assert_eq!(config.store.location().unwrap_err().first_problem.code(), "no_store");
    let relative = of_file("store.url = \"sqlite:data/t.db\"").unwrap();
    assert_eq!(
        *relative.store.location().unwrap(),
        StoreLocationConfig::File("/etc/truing/data/t.db".into())
    );
    let error = of_file("store.url = \"sqlite:~/t.db\"").unwrap_err().to_string();
    assert!(error.contains("followed by the path of a file"), "{error}");
}

#[test]
fn of_very_many_problems_the_first_are_told_and_the_others_counted() {
    let file: String = (0..3000).map(|n| format!("x{n} = 1\n")).collect();
    let error = of_file(&file).unwrap_err();
    assert_eq!(error.problems().count(), MAX_PROBLEMS);
    assert_eq!(error.omitted_count, 3000 - MAX_PROBLEMS);
    assert!(error.to_string().ends_with("\nand 2980 more"), "{error}");
}

/// Checks that files with very many errors are parsed fast, even though each error needs a line number and a
/// suggested key.
#[test]
fn a_file_of_mistakes_alone_is_told_of_as_any_other() {
    let names: String = (0..60_000).map(|n| format!("[a{n}.b]\n")).collect();
    assert_eq!(of_file(&names).unwrap_err().omitted_count, 60_000 - MAX_PROBLEMS);
    assert_eq!(of_file(&"[a]\n".repeat(200_000)).unwrap_err().omitted_count, 199_999 - MAX_PROBLEMS);
    let long = format!("{} = 1\n", "x".repeat(900_000));
    let told = told_of(&long);
    assert!(
        told.len() < 300 && told.contains(&format!("unknown key `{}`", "x".repeat(60))),
        "{}",
        told.len()
    );
}

#[test]
fn what_is_no_plain_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    for path in [fifo.as_path(), Path::new("/dev/zero"), folder.path()] {
        let error = read_named_file(path, path).unwrap_err().to_string();
        assert!(error.ends_with("cannot be read: it is not a regular file"), "{error}");
    }
}

/// A program's relative path is resolved from the folder of the operator's file. It is not resolved from the
/// current folder, which may be another author's repository.
#[test]
fn a_program_starts_at_the_operators_file_and_never_at_the_current_folder() {
    let claude = |config: Config| config.review.claude_program;
    assert_eq!(claude(of_file("review.claude = \"bin/claude\"").unwrap()), "/etc/truing/bin/claude");
    assert_eq!(claude(of_file("review.claude = \"claude-2\"").unwrap()), "claude-2");
    let by_variable =
        |value: &str| Config::resolve(&variables(&[("TRUING_REVIEW__CLAUDE", value)]), None, &[]).map(claude);
    assert_eq!(by_variable("/opt/claude").unwrap(), "/opt/claude");
    let told = told_of_variables(&[("TRUING_REVIEW__CLAUDE", "bin/claude")]);
    assert!(told.contains("must be the absolute path or the name of a program"), "{told}");
    // The relative path of an MCP server's program is resolved in the same way; the program's arguments are
    // not interpreted as paths.
    let server = |command: &str| format!("[mcp.docs]\ntools = [\"a\"]\ncommand = {command}\n");
    let words = |text: &str| {
        let way = of_file(&server(text)).unwrap().mcp["docs"].transport.clone();
        let McpTransport::Program { command, .. } = way else { panic!("{way:?}") };
        command.join(" ")
    };
    assert_eq!(words(r#"["./bin/x", "tools/x.py"]"#), "/etc/truing/./bin/x tools/x.py");
    assert_eq!(words(r#"["python", "tools/x.py"]"#), "python tools/x.py");
    let told = told_of_variables(&[("TRUING_MCP__DOCS__COMMAND", r#"["./bin/x"]"#)]);
    assert!(told.contains("must be the absolute path or the name of a program"), "{told}");
}

#[test]
fn no_secret_is_in_any_message_or_debug_output() {
    let file = "[forge.github]\ntoken = \"hush\"\nwebhook_secret = { env = \"hush\" }\napi_url \
         = \"https://u:hush@h\"\n[store]\nurl = \"postgres://u:hush@h/d\"";
    let error = of_file(file).unwrap_err();
    assert_eq!(error.problems().count(), 4);
    assert!(!format!("{error} {error:?}").contains("hush"));
}

#[test]
fn the_operators_file_is_the_flags_then_the_variables_then_the_users_own() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("# {name}")).unwrap();
        path
    };
    let of = |config: Option<&str>, given: Option<&str>| {
        let variables = config.map(|path| ("TRUING_CONFIG", path.to_owned()));
        let home = ("HOME", home.path().display().to_string());
        let environment = Environment::new(variables.into_iter().chain([home.clone()]), &home.1);
        read_operator_file(&environment, given.map(Path::new)).map(|file| file.map(|file| file.text))
    };
    at("truing.toml");
    assert_eq!(of(None, None), Ok(None), "a truing.toml that lies about is not the operator's");
    at(".config/truing/truing.toml");
    at("variable.toml");
    at("flag.toml");
    assert_eq!(of(None, None), Ok(Some("# .config/truing/truing.toml".into())));
    assert_eq!(of(Some(""), None), Ok(Some("# .config/truing/truing.toml".into())));
    assert_eq!(of(Some("variable.toml"), None), Ok(Some("# variable.toml".into())));
    assert_eq!(of(Some("variable.toml"), Some("flag.toml")), Ok(Some("# flag.toml".into())));
    assert_eq!(of(None, Some("gone.toml")).unwrap_err().first_problem.code(), "config_unreadable");
}

#[test]
fn a_repositorys_file_must_be_a_plain_file() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(read_repository_file(root.path()), Ok(None));
    std::os::unix::fs::symlink("/dev/zero", root.path().join(REPOSITORY_FILE)).unwrap();
    assert_eq!(read_repository_file(root.path()).unwrap_err().first_problem.code(), "config_unreadable");
}

/// Returns the commented-out keys of the generated file, one line each, without the `#`.
fn commented_keys(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', '`'])))
}

#[test]
fn the_commented_file_serves_github_and_is_valid_with_all_of_its_keys() {
    let text = generate::commented_file(&generate::StarterForge::default());
    let forge = of_file("forge.github.kind = \"github\"\n").unwrap();
    assert_eq!(of_file(&text).unwrap().forges, forge.forges);
    let keys: Vec<&str> = commented_keys(&text).collect();
    assert_eq!(keys.len(), KEYS.len() - 1, "every key but the one that is set");
    // Some keys exclude each other. An MCP server has an address or a forge's tools, a store is a file or two
    // servers, and a forge has one of two logins. `others` contains keys that are always left out. Each pass
    // of the loop leaves out one of the two logins.
    let others = ["mcp.docs.forge =", "store.records ="];
    let keys = || keys.iter().filter(|key| !others.iter().any(|other| key.starts_with(other)));
    for out in [["forge.github.token =", ""], ["forge.github.app_id =", "forge.github.private_key ="]] {
        let is_out = |key: &str| out.iter().any(|out| !out.is_empty() && key.starts_with(out));
        let kept: String = keys().filter(|key| !is_out(key)).map(|key| format!("{key}\n")).collect();
        let set = kept.lines().count() + 1;
        let config = of_file(&format!("{text}{kept}")).unwrap();
        let found = config.settings().filter(|(_, setting)| setting.origin != ValueOrigin::Default).count();
        assert_eq!(found, set);
    }
}

/// Keys that are valid only together with other keys. Each key, or prefix of keys, is followed by the keys
/// that must also be set.
const NEEDED: [(&str, &[&str]); 7] = [
    ("forge.github.app_id", &["forge.github.private_key"]),
    ("forge.github.private_key", &["forge.github.app_id"]),
    ("model.other.", &["model.other.api_key", "model.other.name"]),
    ("mcp.docs.forge", &["mcp.docs.tools"]),
    ("mcp.docs.", &["mcp.docs.url", "mcp.docs.tools"]),
    ("reviewer.helper.", &["reviewer.helper.logins"]),
    ("price.", &["price.\"my-model\".input", "price.\"my-model\".output"]),
];

#[test]
fn each_commented_key_can_be_enabled_by_itself() {
    let text = generate::commented_file(&generate::StarterForge::default());
    let enabled = |text: &str, line: &str| text.replacen(&format!("\n# {line}\n"), &format!("\n{line}\n"), 1);
    // `store.records` cannot be enabled alone, because the default store is a file, which contains the
    // records.
    for line in commented_keys(&text).filter(|line| !line.starts_with("store.records =")) {
        let mut file = enabled(&text, line);
        assert_ne!(file, text, "{line}");
        let needed =
            NEEDED.iter().find(|(key, _)| line.starts_with(key)).map_or(&[][..], |(_, needed)| needed);
        for key in needed {
            let wanted = commented_keys(&text).find(|line| line.starts_with(&format!("{key} ="))).unwrap();
            file = enabled(&file, wanted);
        }
        assert_eq!(of_file(&file).err().map(|error| error.to_string()), None, "{line}");
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
    let now = generate::reference_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "{} is out of date: write it anew with UPDATE_DOCS=1 cargo test -p truing-config",
        path.display()
    );
}

#[test]
fn each_kind_of_forge_has_its_own_addresses_and_variables() {
    let cloud = &of_file("[forge.bitbucket]").unwrap().forges["bitbucket"];
    assert_eq!(cloud.kind, ForgeKind::Bitbucket);
    assert_eq!(
        (cloud.api_url.as_str(), cloud.git_url.as_str()),
        ("https://api.bitbucket.org/2.0", "https://bitbucket.org")
    );
    assert_eq!(cloud.login, ForgeLogin::Token(SecretSource::Env("BITBUCKET_TOKEN".into())));
    assert_eq!(cloud.webhook_secret, SecretSource::Env("BITBUCKET_WEBHOOK_SECRET".into()));
    assert_eq!(cloud.email, None);
    let with =
        |email: &str| of_file(&format!("[forge.work]\nkind = \"bitbucket\"\nemail = \"{email}\"")).unwrap();
    assert_eq!(with("me@example.com").forges["work"].email.as_deref(), Some("me@example.com"));
    assert_eq!(with("").forges["work"].email, None);
    let center =
        "[forge.bitbucket-dc]\napi_url = \"https://git.example.com/bitbucket/\"\naccounts = [\"101\"]";
    let center = &of_file(center).unwrap().forges["bitbucket-dc"];
    assert_eq!(center.kind, ForgeKind::BitbucketDc);
    assert_eq!(center.git_url, "https://git.example.com/bitbucket/scm");
    let uuid = "{0f3a9c56-0000-4000-8000-000000000001}";
    let own = of_file(&format!("[forge.bitbucket]\naccount = \"{uuid}\"")).unwrap();
    assert_eq!(own.forges["bitbucket"].account.as_deref(), Some(uuid));
    let former = of_file(&format!("[forge.bitbucket]\naccounts = [\"{uuid}\"]")).unwrap();
    assert_eq!(former.forges["bitbucket"].previous_accounts, [uuid]);
    let names = of_file("[forge.bitbucket-dc]\napi_url = \"https://git.example.com\"\naccounts = [\"bot\"]");
    assert_eq!(names.unwrap().forges["bitbucket-dc"].previous_accounts, ["bot"]);
}

#[test]
fn webhooks_are_refused_or_marked_while_the_kill_switch_is_on_as_an_operator_says() {
    use truing_core::port::HaltPolicy;
    let of = |key: &str| {
        let config = of_file(&format!("[forge.bitbucket]\n{key}")).unwrap();
        config.forges["bitbucket"].halt_policy
    };
    assert_eq!(of(""), None, "by its kind");
    assert_eq!(of("halted = \"refuse\""), Some(HaltPolicy::Refuse));
    assert_eq!(of("halted = \"mark\""), Some(HaltPolicy::Mark));
    let told = told_of("[forge.bitbucket]\nhalted = \"drop\"");
    assert!(told.contains("`forge.bitbucket.halted` must be \"refuse\" or \"mark\", not `drop`"), "{told}");
}

#[test]
fn accounts_that_may_command_are_ids() {
    let uuid = "{0f3a9c56-0000-4000-8000-000000000001}";
    let center = "kind = \"bitbucket-dc\"\napi_url = \"https://git.example.com\"";
    for (kind, accepted, rejected) in [
        ("kind = \"bitbucket\"", uuid, "ada"),
        ("kind = \"bitbucket\"", uuid, "583231"),
        ("kind = \"github\"", "583231", "ada"),
        (center, "101", uuid),
    ] {
        let of = |account: &str| format!("[forge.work]\n{kind}\nmay_command = [\"{account}\"]");
        let config = of_file(&of(accepted)).unwrap();
        assert_eq!(config.forges["work"].command_accounts, [AccountId::new(accepted)]);
        let told = told_of(&of(rejected));
        let expected = format!("not `{rejected}`: another account may take over a name");
        assert!(told.contains("`forge.work.may_command` must contain") && told.contains(&expected), "{told}");
    }
}

#[test]
fn a_forge_is_told_what_its_kind_does_not_have() {
    let told = [
        "[forge.bitbucket-dc]",
        "[forge.github]\nemail = \"me@example.com\"",
        "[forge.bitbucket]\napp_id = 7\nprivate_key = { env = \"KEY\" }",
        "[forge.bitbucket]\nemail = \"nobody\"",
        "[forge.bitbucket]\naccount = \"truing\"",
        "[forge.github]\naccount = \"{0f3a9c56-0000-4000-8000-000000000001}\"",
        "[forge.work]\nkind = \"bitbucket\"\naccounts = \
         [\"{0f3a9c56-0000-4000-8000-000000000001}\", \"review-bot\"]",
    ]
    .map(told_of)
    .join("");
    for expected in [
        "`forge.bitbucket-dc` needs an `api_url`",
        "`forge.github` has an `email`, which only an API token of Bitbucket Cloud needs",
        "`forge.bitbucket` has an `app_id`, but only GitHub has Apps",
        "must be an e-mail address",
        "must be a UUID with its braces",
        "`forge.github` has an `account`, which only an access token of Bitbucket Cloud needs",
        "`forge.work.accounts` must contain UUIDs with their braces, such as `{0f3a9c56-…}`, not \
            `review-bot`",
    ] {
        assert!(told.contains(expected), "{told}");
    }
}
