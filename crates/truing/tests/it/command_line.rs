//! Tests of the command line with the real program, in an empty environment with its own home folder.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::home::{Home, Ran};
use crate::support::terminal::{Terminal, read_screen};

#[test]
fn the_version_is_told() {
    let ran = Home::empty().run(&["--version"]);
    assert_eq!(
        (ran.exit, ran.out, ran.err),
        (0, format!("truing {}\n", env!("CARGO_PKG_VERSION")), String::new())
    );
}

#[test]
fn without_a_command_there_is_help_alone_and_exit_2() {
    for arguments in [&[][..], &["queue"], &["sync"], &["rules"]] {
        let ran = Home::empty().run(arguments);
        assert_eq!((ran.exit, ran.err.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.out.contains("\nUsage: truing") && ran.out.contains("\nExamples:\n"), "{}", ran.out);
    }
    let ran = Home::empty().run(&["queue", "--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &json!("usage")));
}

#[test]
fn errors_fit_the_terminal_and_commands_in_them_are_not_broken() {
    let home = Home::empty();
    home.write("truing.toml", "review.max_inlines = 3\n");
    let arguments = ["config", "check", "truing.toml", "--color", "never"];
    let Terminal { screen, line } = Terminal::open(40);
    let mut command = home.command(&arguments);
    let status = command.stderr(line).status().unwrap();
    drop(command);
    assert_eq!(status.code(), Some(2));
    assert_eq!(
        read_screen(screen),
        "error: truing.toml:1: unknown key\r\n       `review.max_inlines`\r\n\
         hint: did you mean `review.max_inline`?\r\n      All keys: `truing config schema`\r\n"
    );
    assert_eq!(home.run(&arguments).err.lines().count(), 2, "programs read whole lines");
}

#[test]
fn the_usage_of_a_check_of_the_policy_fits_80_columns() {
    let help = Home::empty().run(&["policy", "check", "--help"]).out;
    assert!(help.contains("\nUsage: truing policy check [OPTIONS] "), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    let ran = Home::empty().run(&["policy", "check"]);
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(ran.err.contains("<PATH>, or truing policy check [OPTIONS] --mcp"), "{ran:?}");
}

#[test]
fn an_unknown_flag_is_exit_2_with_a_hint() {
    let ran = Home::empty().run(&["config", "show", "--formt", "json"]);
    assert_eq!((ran.exit, ran.out.as_str()), (2, ""));
    assert!(ran.err.starts_with("error: unexpected argument '--formt' found\nhint: "), "{}", ran.err);
    assert!(ran.err.contains("'--format'"), "{}", ran.err);
}

#[test]
fn a_format_that_the_command_does_not_have_is_exit_2_before_anything_is_done() {
    let home = Home::empty();
    for arguments in [["init", "--format", "sarif"].as_slice(), &["rules", "list", "--format", "markdown"]] {
        let ran = home.run(arguments);
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{arguments:?}");
        let [wrong, hint] = ran.err.lines().collect::<Vec<_>>()[..] else { panic!("{}", ran.err) };
        assert_eq!(wrong, format!("error: this command has no {} output", arguments.last().unwrap()));
        assert_eq!(hint, "hint: use `--format text` or `--format json`");
    }
    let again = home.run(&["init"]);
    assert_eq!(again.exit, 0, "nothing was written: {}", again.err);
}

#[test]
fn help_lists_the_formats_that_the_command_prints_and_no_others() {
    let listed = |arguments: &[&str]| {
        let help = Home::empty().run(&[arguments, &["--help"]].concat()).out;
        let names = ["text", "json", "sarif", "markdown", "csv", "html"];
        names.into_iter().filter(|name| help.contains(&format!("- {name}:"))).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["review"]), ["text", "json", "sarif", "markdown"]);
    assert_eq!(listed(&["rules", "check"]), ["text", "json", "sarif", "markdown"]);
    assert_eq!(listed(&["rules", "list"]), ["text", "json"]);
    assert_eq!(listed(&["report"]), ["text", "json", "markdown", "csv", "html"]);
    assert_eq!(listed(&["why"]), ["text", "json"]);
    assert_eq!(listed(&["sandbox", "run"]), [""; 0]);
    // Every format in the help text is accepted before and after the command. The error for an unknown format
    // lists the same formats.
    for arguments in [["--format", "json", "config", "schema"], ["config", "schema", "--format", "json"]] {
        assert_eq!(Home::empty().run(&arguments).exit, 0);
    }
    let wrong = Home::empty().run(&["why", "x", "--format", "yaml"]);
    assert!(wrong.exit == 2 && wrong.err.contains("text, json") && !wrong.err.contains("sarif"), "{wrong:?}");
}

#[test]
fn help_shows_every_command_in_one_group_within_80_columns() {
    let short = Home::empty().run(&["--help"]).out;
    let help = Home::empty().run(&["help", "--all"]).out;
    let tasks = ["Review:", "Converge:", "Follow packages:", "Operate:", "Set up:", "Extend:"];
    for help in [&short, &help] {
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        assert!(tasks.iter().all(|group| help.lines().any(|line| line == *group)), "{help}");
    }
    let plumbing = |help: &str| help.lines().any(|line| line == "Plumbing:");
    assert!(plumbing(&help) && !plumbing(&short) && !short.contains("  findings "), "{short}");
    assert!(short.lines().last().unwrap().contains("`truing help --all`"), "{short}");
    let pages = Home::empty();
    assert_eq!(pages.run(&["man", "--output", "pages"]).exit, 0);
    for page in pages.path().join("pages").read_dir().unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".1");
        if let Some(command) = name.strip_prefix("truing-").filter(|command| !command.contains('-')) {
            let shown = help.lines().filter(|line| line.split_whitespace().next() == Some(command)).count();
            assert_eq!(shown, 1, "{command}: {help}");
        }
    }
}

#[test]
fn help_shows_the_page_of_any_command() {
    let home = Home::empty();
    for words in [&[][..], &["review"], &["sync", "run"], &["slots", "list"], &["diff", "parse"], &["help"]] {
        let page = home.run(&[words, &["--help"]].concat());
        assert_eq!(home.run(&[&["help"], words].concat()), page, "{words:?}");
        assert!(page.exit == 0 && page.out.contains("Examples:\n"), "{words:?}: {page:?}");
    }
    assert_eq!(home.run(&["help", "nonsense"]).exit, 2);
    assert_eq!(home.run(&["help", "review", "--all"]).exit, 2);
}

#[test]
fn hints_that_are_commands_repeat_the_operators_file() {
    let home = Home::empty();
    home.write("my file.toml", "");
    let ran = home.run(&["why", "o/r/7", "--config", "my file.toml", "--format", "json"]);
    assert_eq!(ran.exit, 2);
    let command = "`truing --config 'my file.toml' queue list`";
    assert!(ran.err.contains(command), "{}", ran.err);
    assert!(ran.json()["error"]["hint"].as_str().unwrap().contains(command));
    assert!(home.run(&["why", "o/r/7"]).err.contains("`truing queue list`"));
}

#[test]
fn the_queue_is_also_called_slots_and_spans_may_be_weeks() {
    let home = Home::empty();
    for name in ["queue", "slots"] {
        assert_eq!(home.run(&[name, "list", "--format", "json"]).out, "[]\n");
    }
    let since = |span: &str| home.run(&["report", "--since", span, "--format", "json"]);
    assert_eq!(since("1w").exit, 0);
    assert_eq!(since("1w2d").exit, 0);
    home.write("truing.toml", "[retention]\naudit = \"52w\"\n");
    assert_eq!(home.run(&["config", "check", "truing.toml"]).exit, 0);
}

#[test]
fn with_format_json_an_error_is_an_object_on_stdout_too() {
    for arguments in [
        ["config", "show", "--nope", "--format", "json"].as_slice(),
        &["--format=json", "config", "show", "--nope"],
        &["config", "--format", "json", "nope"],
    ] {
        let ran = Home::empty().run(arguments);
        assert_eq!(ran.exit, 2, "{arguments:?}");
        let error = &ran.json()["error"];
        assert_eq!(error["code"], "usage");
        assert!(ran.err.contains(error["message"].as_str().unwrap()));
        assert!(error["hint"].is_string());
    }
    assert_eq!(Home::empty().run(&["config", "show", "--nope", "--", "--format", "json"]).out, "");
}

#[test]
fn an_unknown_key_is_told_with_line_and_nearest_key() {
    let home = Home::empty();
    home.write("truing.toml", "[review]\n\nmax_inlines = 3\ndebounc = \"1s\"\n");
    let ran = home.run(&["--config", "truing.toml", "config", "show", "--format", "json"]);
    assert_eq!(ran.exit, 2);
    assert_eq!(
        ran.err,
        "error: truing.toml:3: unknown key `review.max_inlines`\n\
         hint: did you mean `review.max_inline`? All keys: `truing config schema`\n\
         error: truing.toml:4: unknown key `review.debounc`\n\
         hint: did you mean `review.debounce`? All keys: `truing config schema`\n"
    );
    assert_eq!(ran.json()["error"]["code"], "unknown_key");
    assert_eq!(ran.json()["more"][0]["message"], "truing.toml:4: unknown key `review.debounc`");
    assert_eq!(home.run(&["config", "check", "truing.toml"]).err, ran.err);
}

#[test]
fn show_tells_every_value_and_who_set_it() {
    let home = Home::empty();
    home.write(".config/truing/truing.toml", "[review]\nattempts = 2\n[forge.github]\n");
    home.write("repo/.git/HEAD", "");
    home.write("repo/.truing.toml", "rules.packs = [\"aiobotocore\"]\n");
    home.write("repo/truing.toml", "this is nobody's file");
    let mut command = home.command(&["config", "show", "--format", "json", "--quiet"]);
    command.current_dir(home.path().join("repo")).env("TRUING_REVIEW__QUIET", "90s");
    let ran = Ran::from(command.output().unwrap());
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let file = home.path().join(".config/truing/truing.toml");
    let own = home.path().join("repo/.truing.toml").canonicalize().unwrap();
    let rows = ran.json();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    let expect = |key: &str, value: Value, origin: &str, layer: &str| {
        assert_eq!(row(key), json!({ "key": key, "value": value, "origin": origin, "layer": layer }));
    };
    expect("review.attempts", json!(2), &format!("{}:2", file.display()), "operator");
    expect("review.quiet", json!("90s"), "variable TRUING_REVIEW__QUIET", "variable");
    expect("review.max_wait", json!("2m"), "default", "default");
    expect("forge.github.token", json!({ "env": "GITHUB_TOKEN" }), "default", "default");
    expect("forge.github.marker_key", json!(null), "default", "default");
    expect(
        "rules.packs",
        json!(["core", "aiobotocore"]),
        &format!("default and {}:1", own.display()),
        "default",
    );
}

#[test]
fn check_knows_a_repositorys_own_file_by_its_name() {
    let home = Home::empty();
    home.write(".truing.toml", "[server]\nlisten = \"127.0.0.1:1\"\n");
    let ran = home.run(&["config", "check", ".truing.toml", "--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &json!("not_for_repository")));
    home.write(".truing.toml", "[rules]\nignore = [\"vendor/**\"]\n");
    assert_eq!(home.run(&["config", "check", ".truing.toml", "--format", "json"]).json()["ok"], true);
}

#[test]
fn check_of_no_named_file_is_that_of_the_operators() {
    let home = Home::empty();
    let none = home.run(&["config", "check", "--format", "json"]);
    assert_eq!((none.exit, &none.json()["error"]["code"]), (2, &json!("no_file")));
    home.write("mine.toml", "");
    home.write("wrong.toml", "review.attempts = 0\n");
    let mine = ["config", "check", "--config", "mine.toml"];
    assert_eq!(home.run(&mine).out, "mine.toml: fine\n");
    let wrong = home.run(&["--config", "wrong.toml", "config", "check"]);
    assert!(wrong.exit == 2 && wrong.err.starts_with("error: wrong.toml:1: "), "{wrong:?}");
    let ran =
        Ran::from(home.command(&["config", "check"]).env("TRUING_CONFIG", "mine.toml").output().unwrap());
    assert_eq!(ran.out, "mine.toml: fine\n");
    assert_eq!(home.run(&["config", "check", "mine.toml", "--config", "wrong.toml"]).exit, 0);
}

#[test]
fn the_schema_accepts_the_commented_file_and_refuses_what_check_refuses() {
    let home = Home::empty();
    let schema = home.run(&["config", "schema"]).json();
    let commented = home.run(&["init", "--output", "-"]).out;
    let code = |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', '`']));
    let everything: String = commented
        .lines()
        .map(|line| line.strip_prefix("# ").filter(code).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    // The example file contains alternatives: an MCP server has either an address or a forge's tools, and a
    // store is either a file or two servers.
    let everything = everything.replace("mcp.docs.forge = \"hub\"\n", "");
    let everything = everything.replace("store.records = { env = \"TRUING_DATABASE\" }\n", "");
    // The example also contains both kinds of login, but a forge may have only one of them: a token, or the
    // two keys of an App.
    let without = |keys: &[&str]| -> String {
        let kept = everything.lines().filter(|line| !keys.iter().any(|key| line.starts_with(key)));
        kept.flat_map(|line| [line, "\n"]).collect()
    };
    for (file, fine) in [
        (commented.as_str(), true),
        (without(&["forge.github.app_id =", "forge.github.private_key ="]).as_str(), true),
        (without(&["forge.github.token ="]).as_str(), true),
        ("review.attempt = 1", false),
        ("review.attempts = 0", false),
        ("review.debounce = \"15\"", false),
        ("forge.github.token = \"hush\"", false),
        ("forge.github.token = { env = \"A\", file = \"b\" }", false),
        ("forge.GitHub.kind = \"github\"", false),
        ("rules.packs = [\"../x\"]", false),
        ("rules.off = [\"core/x\"]\nrules.severity = { \"ruff/E501\" = \"P2\" }", true),
        ("rules.off = [\"x\"]", false),
        ("rules.severity = { \"core/x\" = \"P3\" }", false),
        ("rules.severity = { x = \"P1\" }", false),
        ("store.url = \"postgres://h/d\"", false),
        ("store.url = \"valkey://h\"\nstore.records = \"postgres://h/d\"", true),
        ("notify.webhook = \"https://hooks.example.org/x\"", true),
        ("notify.webhook = { file = \"hook\" }", true),
        ("notify.smtp = \"https://mail.example.org\"", false),
        ("retention.audit = \"1\"", false),
        ("mcp.docs = { url = \"https://docs.example.org/mcp\", tools = [\"search\"] }", true),
        ("mcp.docs = { command = [\"docs\", \"--stdio\"], tools = [\"search\"] }", true),
        ("mcp.docs = { command = \"docs --stdio\", tools = [\"search\"] }", false),
        ("mcp.docs = { command = [\"docs\"], tools = [\"a\"], hosts = [\"api.example.org:443\"] }", true),
        ("mcp.docs = { command = [\"docs\"], tools = [\"a\"], hosts = [\"[2001:db8::1]:443\"] }", true),
        ("mcp.docs = { command = [\"docs\"], tools = [\"a\"], hosts = [\"api.example.org\"] }", false),
        ("mcp.docs = { command = [\"docs\"], tools = [\"a\"], hosts = [\"*.example.org:443\"] }", false),
        (
            "mcp.docs = { command = [\"docs\"], tools = [\"a\"], hosts = [\"https://api.example.org:443\"] }",
            false,
        ),
        (
            "mcp.docs = { url = \"https://docs.example.org/mcp\", tools = [\"a\"], headers = { \
                \"X-API-Key\" = { env = \"K\" } } }",
            true,
        ),
        (
            "mcp.docs = { url = \"https://docs.example.org/mcp\", tools = [\"a\"], headers = { \
                \"X-API-Key\" = \"hush\" } }",
            false,
        ),
        (
            "mcp.docs = { url = \"https://docs.example.org/mcp\", tools = [\"a\"], headers = { \"X API\" = \
                { env = \"K\" } } }",
            false,
        ),
        ("mcp.Docs = { forge = \"github\", tools = [\"gh_get_pull_request\"] }", false),
    ] {
        let instance = serde_json::to_value(toml::from_str::<toml::Table>(file).unwrap()).unwrap();
        assert_eq!(jsonschema::is_valid(&schema, &instance), fine, "{file}");
        home.write("file.toml", file);
        assert_eq!(home.run(&["config", "check", "file.toml"]).exit == 0, fine, "{file}");
    }
}

#[test]
fn a_rule_that_its_pack_does_not_have_is_told_when_the_file_is_checked() {
    let home = Home::empty();
    let text = "[rules]\noff = [\"core/rust-dgb\", \"core/rust-dbg\", \"ruff/E501\"]\nseverity = \
         { \"core/x\" = \"P2\" }\n";
    for file in ["truing.toml", ".truing.toml"] {
        home.write(file, text);
        let ran = home.run(&["config", "check", file]);
        assert_eq!((ran.exit, ran.out), (0, format!("{file}: fine\n")));
        let told: Vec<&str> = ran.err.lines().collect();
        let words = |key: &str, rule: &str| {
            format!("warning: {key}: there is no rule `{rule}` (`truing rules list` shows all rules)")
        };
        assert_eq!(told, [words("rules.off", "core/rust-dgb"), words("rules.severity", "core/x")]);
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = Ran::from(Home::empty().command(&["config", "schema"]).stdout(writer).output().unwrap());
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran::from(Home::empty().command(&["config", "schema"]).stdout(full).output().unwrap());
    assert_eq!(ran.exit, 3);
    assert!(ran.err.starts_with("error: cannot write to standard output: "), "{}", ran.err);
}

#[test]
fn colour_comes_only_when_asked_for_where_there_is_no_terminal() {
    let home = Home::empty();
    assert!(!home.run(&["nope"]).err.contains('\x1b'));
    assert!(home.run(&["nope", "--color", "always"]).err.contains("\x1b["));
    assert!(!home.run(&["config", "show", "--config", "gone\x1b[31m"]).err.contains('\x1b'));
}

#[test]
fn policy_check_allows_by_a_rule_and_denies_with_the_one_that_would_be_needed() {
    let check = |arguments: &[&str]| Home::empty().run(&[&["policy", "check"], arguments].concat());
    let allowed = check(&["--", "git", "log", "--oneline", "-n", "5"]);
    assert_eq!(
        (allowed.exit, allowed.out.as_str()),
        (0, "allow\nrule: fixer: run \"git log\"\nfile: truing's own profiles/fixer.toml\n")
    );
    let denied = check(&["--format", "json", "--", "git", "log", "--output=x"]);
    assert_eq!(denied.exit, 1);
    let rule = r#"grammar: command "git log", flag "--output""#;
    let reason = r#""--output" is not an allowed flag of `git log`"#;
    let file = "truing's own grammar/git.toml";
    let expected =
        json!({"decision": "deny", "profile": "fixer", "rule": rule, "file": file, "reason": reason});
    assert_eq!(denied.json(), expected);
    let denied = check(&["--profile", "reviewer", "--", "git", "restore", "a"]);
    assert_eq!((denied.exit, denied.out.lines().nth(1)), (1, Some("rule: reviewer: run \"git restore\"")));
    assert_eq!(check(&["--profile", "reviewer", "--read", "src/a.rs"]).exit, 0);
    assert_eq!(check(&["--profile", "sync", "--edit", ".github/workflows/ci.yml"]).exit, 1);
    assert_eq!(check(&["--profile", "sync", "--mcp", "truing/gh_get_pull_request"]).exit, 0);
}

#[test]
fn policy_check_of_nothing_two_things_or_an_unknown_profile_is_exit_2() {
    for arguments in [&[][..], &["--read", "a", "--", "rg", "x"], &["--profile", "root", "--", "rg", "x"]] {
        let ran = Home::empty().run(&[&["policy", "check"], arguments].concat());
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn words_that_are_not_text_are_denied() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::empty();
    let mut command = home.command(&["policy", "check", "--", "rg"]);
    let ran = Ran::from(command.arg(std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap());
    assert_eq!((ran.exit, ran.out.as_str()), (1, "deny: it is not UTF-8\n"));
}

#[test]
fn a_check_refuses_packs_that_are_not_there() {
    let home = Home::empty();
    home.write("truing.toml", "[rules]\npacks = [\"core\", \"nosuch\"]\n");
    let ran = home.run(&["config", "check", "truing.toml"]);
    assert!(ran.exit == 2 && ran.err.contains("nosuch"), "{ran:?}");
    home.write("house/nosuch/rules/a.yml", "");
    home.write(".truing.toml", "[rules]\npacks = [\"house\"]\n");
    assert_eq!(home.run(&["config", "check", ".truing.toml"]).exit, 0, "the operator may have it");
}

#[test]
fn a_check_of_a_repositorys_file_names_the_keys_that_the_operator_has_to_allow() {
    let home = Home::empty();
    home.write(".truing.toml", "[review]\ntools = \"auto\"\n");
    let ran = home.run(&["config", "check", ".truing.toml"]);
    let note = "`review.tools`: used only if the operator's file sets `verify.from_repository = true`";
    assert!(ran.exit == 0 && ran.err.contains(note), "{ran:?}");
    home.write(".truing.toml", "[rules]\noff = []\n");
    assert!(!home.run(&["config", "check", ".truing.toml"]).err.contains("used only"));
}

#[test]
fn a_database_that_is_not_there_is_told() {
    let home = Home::empty();
    home.write("here/file", "");
    for command in [
        &["queue", "list"][..],
        &["report"],
        &["log"],
        &["kill", "status"],
        &["kill", "off"],
        &["budget", "show"],
        &["retract", "--since", "1h", "--dry-run"],
        &["why", "o/r#7"],
    ] {
        for (file, exit, told) in [
            ("absent/truing.db", 2, "truing.toml:2: `store.url`: there is no folder "),
            ("here/truing.db", 2, "truing.toml:2: `store.url`: there is no database at "),
            ("here/file/truing.db", 3, "here/file/truing.db: Not a directory"),
        ] {
            home.write("truing.toml", format!("[store]\nurl = \"sqlite:{file}\"\n"));
            let ran = home.run(&[&["--config", "truing.toml"], command].concat());
            assert!(ran.exit == exit && ran.err.contains(told), "{command:?}: {ran:?}");
            assert!(ran.out.is_empty(), "{command:?}: {ran:?}");
        }
        let ran = home.run(command);
        let exit = if command[0] == "why" { 2 } else { 0 };
        assert_eq!(ran.exit, exit, "{command:?}: nobody named one");
        assert!(ran.err.contains("warning: there is no database at "), "{command:?}: {ran:?}");
    }
}

#[test]
fn a_local_review_cannot_be_published() {
    let home = Home::empty();
    for arguments in
        [&["."][..], &["--head", "HEAD"], &["--staged"], &["--diff", "-"], &[".", "--dry-run"], &[]]
    {
        let ran = home.run(&[&["review", "--publish"], arguments].concat());
        assert!(ran.exit == 2 && ran.err.contains("--pr <URL>"), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_number_outside_of_a_clone_is_to_be_named_with_its_repository() {
    let ran = Home::empty().run(&["why", "7"]);
    assert!(ran.exit == 2 && ran.err.contains("by its URL, OWNER/NAME#NUMBER"), "{ran:?}");
    assert!(!ran.err.contains("review --pr"), "{ran:?}");
}

#[test]
fn limits_are_shown_before_anything_is_spent() {
    let ran = Home::empty().run(&["budget", "show"]);
    assert!(ran.exit == 0 && ran.out.contains("$2.00  all reviews of one head"), "{ran:?}");
}

#[test]
fn a_time_that_no_calendar_has_is_refused() {
    for arguments in [
        &["report", "--since", "99999999d"][..],
        &["retract", "--since", "99999999d"],
        &["sandbox", "run", "--timeout", "99999999d", "--", "true"],
    ] {
        let ran = Home::empty().run(arguments);
        assert!(ran.exit == 2 && ran.err.contains("is longer than"), "{ran:?}");
    }
}

#[test]
fn the_documents_lines_of_completions_work_in_an_empty_home() {
    let document =
        std::fs::read_to_string(crate::support::readme::repository_root().join("docs/install.md")).unwrap();
    let (_, block) = document.split_once("## Completions and manual").unwrap();
    let lines: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(lines.len() > 3, "{lines:?}");
    let home = Home::empty();
    let program = Path::new(env!("CARGO_BIN_EXE_truing")).parent().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euc", &lines.join("\n")]).env_clear().env("HOME", home.path()).current_dir(home.path());
    let output = shell.env("PATH", format!("{}:/usr/bin:/bin", program.display())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(home.path().join(".zfunc/_truing").exists());
}

#[test]
fn an_empty_file_is_no_store_that_is_moved() {
    let home = Home::empty();
    home.write("empty.db", "");
    for verb in ["migrate", "check"] {
        let ran = home.run(&["store", verb, "--from", "sqlite:empty.db", "--to", "sqlite:new.db"]);
        assert_eq!(ran.exit, 2, "{ran:?}");
        assert!(ran.err.contains("empty.db is an empty file and contains no store"), "{ran:?}");
    }
    assert!(!home.path().join("new.db").exists());
    assert_eq!(std::fs::read(home.path().join("empty.db")).unwrap(), b"");
}
