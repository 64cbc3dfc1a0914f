//! Generates a documentation page with the options of the Claude Agent SDK and their equivalents in both
//! runtimes.
//!
//! `UPDATE_DOCS=1` writes the page. The test fails if a listed configuration key or test does not exist, or
//! if an option is missing or listed twice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Version of the SDK from which [`OPTIONS`] was taken.
const SDK: &str = "0.3.328";

/// All options of the SDK's function `query`, according to the SDK's type definitions.
const OPTIONS: &str = "abortController additionalDirectories agent agents allowDangerouslySkipPermissions \
     allowedTools betas canUseTool continue cwd debug debugFile disallowedTools effort env executable \
     extraArgs fallbackModel forkSession forwardSubagentText hooks includeHookEvents includePartialMessages \
     managedSettings maxBudgetUsd maxThinkingTokens maxTurns mcpServers mcpServersDelivery model \
     onElicitation outputFormat pathToClaudeCodeExecutable permissionMode permissionPromptToolName \
     permissionPrompts persistSession plugins projectConfigRoot promptSuggestions resume resumeSessionAt \
     sandbox sessionId sessionStore settingSources settings skills spawnClaudeCodeProcess stderr \
     strictMcpConfig systemPrompt taskBudget thinking toolAliases tools";

struct Row {
    /// Names of the SDK's options in this row, separated by spaces.
    options: &'static str,
    here: &'static str,
    /// Additional support in the runtime `cli`; empty if there is none.
    cli: &'static str,
    /// Configuration keys of the equivalent, separated by spaces.
    keys: &'static str,
    /// File and function name of a test of the equivalent.
    test: Option<(&'static str, &'static str)>,
}

const ADVERSE: &str = "crates/truing/tests/it/review/adverse.rs";
const CLI: &str = "crates/truing/tests/it/review/cli.rs";
const KILLED: &str = "crates/truing/tests/it/review/killed.rs";
const MODEL: &str = "crates/truing/tests/it/review/model.rs";
const SPECIALISTS: &str = "crates/truing/tests/it/review/specialists.rs";

const ROWS: &[Row] = &[
    Row {
        options: "abortController",
        here: "A run ends at once when what runs it lets go: a signal, a lost lease, its time, the kill \
             switch",
        cli: "The program ends with its namespace of processes, and nothing of it is left",
        keys: "",
        test: Some((KILLED, "of_a_review_that_is_killed_nothing_is_left")),
    },
    Row {
        options: "cwd additionalDirectories projectConfigRoot",
        here: "Tools read an exported tree of the exact head; configuration is the operator's and the \
             default branch's",
        cli: "The program sees no file of the repository",
        keys: "forge.NAME.config_branches",
        test: None,
    },
    Row {
        options: "env executable extraArgs pathToClaudeCodeExecutable spawnClaudeCodeProcess",
        here: "No other process is needed",
        cli: "The program and its exact version are configured; its variables and arguments are fixed, so \
             that nothing of the machine's reaches it",
        keys: "review.claude review.claude_version",
        test: Some((CLI, "what_the_program_cannot_be_is_refused_before_anything_is_asked")),
    },
    Row {
        options: "model",
        here: "One model for each provider; no run may use another",
        cli: "A request for another one is refused",
        keys: "model.name",
        test: None,
    },
    Row {
        options: "fallbackModel betas effort thinking maxThinkingTokens",
        here: "Not offered: a provider that fails is asked again within bounds, and then the rules have \
             reviewed alone",
        cli: "The program's own fallbacks and retries are off",
        keys: "",
        test: Some((ADVERSE, "each_misbehaviour_comes_to_the_same_with_the_program_in_between")),
    },
    Row {
        options: "systemPrompt",
        here: "Prompts are modules with declared variables; a folder of the operator's replaces any of them",
        cli: "What the program would say of itself never reaches the provider",
        keys: "prompts.dir",
        test: Some((CLI, "the_same_script_comes_to_the_same_in_both_runtimes")),
    },
    Row {
        options: "tools allowedTools disallowedTools toolAliases",
        here: "A reviewer lists, reads and searches, and reports; a fixer edits and runs in the sandbox. \
             What is not offered is denied, counted, and ends a run that insists",
        cli: "The program's own tools are off, and denied by name as well",
        keys: "",
        test: Some((ADVERSE, "each_misbehaviour_of_a_model_has_one_outcome_and_its_money")),
    },
    Row {
        options: "permissionMode permissionPrompts permissionPromptToolName canUseTool \
             allowDangerouslySkipPermissions",
        here: "Nobody is asked in mid-run: what a run may do is settled before it, and nothing skips that",
        cli: "`dontAsk`, and no prompts",
        keys: "sandbox.level",
        test: None,
    },
    Row {
        options: "hooks",
        here: "None: what a run does is told by metrics, traces and its record. No hook of a repository is \
             run",
        cli: "",
        keys: "telemetry.otlp_endpoint",
        test: None,
    },
    Row {
        options: "mcpServers strictMcpConfig mcpServersDelivery",
        here: "Servers of the operator's, each with the tools that may be called; nothing of a repository \
             names one",
        cli: "The program knows one server, which is the run",
        keys: "mcp.NAME.tools",
        test: None,
    },
    Row {
        options: "agents agent",
        here: "One reviewer, or several that look side by side, among them those of the repository's \
             `.claude/agents`; converge has several auditors from its fourth loop on. No model starts \
             another",
        cli: "A program for each; a request of another agent is refused and counted",
        keys: "review.specialists",
        test: Some((SPECIALISTS, "four_programs_side_by_side_come_to_the_same")),
    },
    Row {
        options: "maxTurns",
        here: "Answers of the model are counted; at the limit it is asked once for what it has",
        cli: "The program's own limit stands a few turns behind it",
        keys: "review.max_turns",
        test: Some((MODEL, "runaway_turns_end_at_the_limit_with_what_there_is")),
    },
    Row {
        options: "maxBudgetUsd taskBudget",
        here: "Money is set aside before each call and settled after it: by review, by repository and day, \
             by team and month. There is no budget in tokens",
        cli: "The program's own cap, by its own prices, is a second belt",
        keys: "budget.review_usd budget.repo_day_usd team.NAME.month_usd",
        test: Some((CLI, "the_programs_own_cap_is_a_second_belt")),
    },
    Row {
        options: "outputFormat",
        here: "The tool `report`, whose input has a schema; what does not fit is told once, and then the run \
             is partial",
        cli: "",
        keys: "",
        test: Some((ADVERSE, "each_misbehaviour_of_a_model_has_one_outcome_and_its_money")),
    },
    Row {
        options: "includePartialMessages includeHookEvents forwardSubagentText stderr debug debugFile \
             promptSuggestions onElicitation",
        here: "A run has no spectators: its record, its trace and, if the operator wants it, a cassette tell \
             of it",
        cli: "Of what the program prints its result alone is believed",
        keys: "telemetry.capture_content",
        test: Some((CLI, "a_program_that_fails_leaves_a_review_by_the_rules_that_says_so")),
    },
    Row {
        options: "persistSession sessionId resume continue forkSession resumeSessionAt sessionStore",
        here: "A conversation is never gone on with: loops are, from their records",
        cli: "The program keeps nothing",
        keys: "",
        test: None,
    },
    Row {
        options: "settingSources settings managedSettings",
        here: "One file of the operator's, and what it lets a repository's own `.truing.toml` add, as that \
             is on the default branch",
        cli: "No settings are read",
        keys: "forge.NAME.config_branches",
        test: None,
    },
    Row {
        options: "sandbox",
        here: "The reader of a change and every command of a fixer are in the sandbox",
        cli: "The program is, too, at level `full` alone",
        keys: "sandbox.level",
        test: None,
    },
    Row {
        options: "skills plugins",
        here: "Skills that are shipped, the operator's and the repository's as its default branch has them: \
             named at first, read when asked for. No plugin is loaded",
        cli: "The program's own are off",
        keys: "",
        test: None,
    },
];

#[test]
fn each_option_has_its_place_and_what_is_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named: Vec<&str> = ROWS.iter().flat_map(|row| row.options.split_whitespace()).collect();
    let all: BTreeSet<&str> = OPTIONS.split_whitespace().collect();
    assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), all);
    assert_eq!(named.len(), all.len(), "one is named twice");

    let keys = std::fs::read_to_string(root.join("docs/reference/config.md")).unwrap();
    let mut page = format!(
        "# Options of the Agent SDK\n\n<!-- Generated by crates/truing/tests/it/review/parity.rs. To update \
         it: UPDATE_DOCS=1 cargo test -p truing --test it review::parity:: -->\n\nWhat the options of the \
         Claude Agent SDK {SDK} are here. Both runtimes have the same limits, tools, reports and\nends; the \
         third column is what `cli` adds.\n\n| Option | Here | With the `claude` program | Keys | Shown by \
         |\n|---|---|---|---|---|\n"
    );
    for Row { options, here, cli, keys: of, test } in ROWS {
        let code = |words: &str| {
            words.split_whitespace().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        };
        for key in of.split_whitespace() {
            assert!(keys.contains(&format!("`{key}`")), "{key} is no key");
        }
        let shown = test.map_or(String::new(), |(file, function)| {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            assert!(text.contains(&format!("#[test]\nfn {function}()")), "{function} is no test in {file}");
            format!("[`{function}`](../../{file})")
        });
        writeln!(page, "| {} | {here} | {cli} | {} | {shown} |", code(options), code(of)).unwrap();
    }
    let file = root.join("docs/reference/agent-sdk.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), page, "UPDATE_DOCS=1 writes it anew");
}
