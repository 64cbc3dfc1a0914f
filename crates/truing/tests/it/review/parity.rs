//! Generates a documentation page with the options of the Claude Agent SDK and their equivalents in both
//! runtimes.
//!
//! `UPDATE_DOCS=1` writes the page. The test fails if a listed configuration key does not exist, or
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
}

const ROWS: &[Row] = &[
    Row {
        options: "abortController",
        here: "A signal, a lost lease, the time limit or the kill switch ends a run at once",
        cli: "The program's PID namespace ends, so no process of the program remains",
        keys: "",
    },
    Row {
        options: "cwd additionalDirectories projectConfigRoot",
        here: "Tools read an exported tree of the exact head. The configuration comes from the operator \
            and from the default branch",
        cli: "The program itself sees no file of the repository",
        keys: "forge.NAME.config_branches",
    },
    Row {
        options: "env executable extraArgs pathToClaudeCodeExecutable spawnClaudeCodeProcess",
        here: "No other process is needed",
        cli: "The configuration sets the program and its exact version. Truing sets all its variables and \
            arguments, so the program gets none from the machine",
        keys: "review.claude review.claude_version",
    },
    Row {
        options: "model",
        here: "One model for each provider; a run cannot use another model",
        cli: "Truing refuses a request for another model",
        keys: "model.name",
    },
    Row {
        options: "fallbackModel betas effort thinking maxThinkingTokens",
        here: "Not offered. If a provider fails, Truing retries a limited number of times. If the \
            provider still fails, Truing reviews only with rules",
        cli: "The program's own fallbacks and retries are disabled",
        keys: "",
    },
    Row {
        options: "systemPrompt",
        here: "Prompts are modules with declared variables. The operator can replace any module with a \
            file in a folder",
        cli: "The program's own system prompt never reaches the provider",
        keys: "prompts.dir",
    },
    Row {
        options: "tools allowedTools disallowedTools toolAliases",
        here: "A reviewer can list, read and search files, and report findings. A fixer can edit files \
            and run commands in the sandbox. Truing denies and counts calls of other tools; too many such \
            calls end the run",
        cli: "The program's own tools are disabled, and also denied by name",
        keys: "",
    },
    Row {
        options: "permissionMode permissionPrompts permissionPromptToolName canUseTool \
             allowDangerouslySkipPermissions",
        here: "A run never asks for permission. Its permissions are fixed before it begins, and no option \
            bypasses them",
        cli: "The mode `dontAsk`, without permission prompts",
        keys: "sandbox.level",
    },
    Row {
        options: "hooks",
        here: "No hooks. Metrics, traces and the run's record show what a run does. Truing runs no hook \
            of a repository",
        cli: "",
        keys: "telemetry.otlp_endpoint",
    },
    Row {
        options: "mcpServers strictMcpConfig mcpServersDelivery",
        here: "Only the operator configures servers, each with a list of permitted tools. A repository \
            cannot add a server",
        cli: "The program knows only one server: the server of the run",
        keys: "mcp.NAME.tools",
    },
    Row {
        options: "agents agent",
        here: "One reviewer, or several in parallel, including those in the repository's \
            `.claude/agents`. In converge, several auditors work in parallel from the fourth loop on. A \
            model cannot start another model",
        cli: "One program for each reviewer or auditor. Truing refuses and counts requests of subagents",
        keys: "review.specialists",
    },
    Row {
        options: "maxTurns",
        here: "Truing counts the model's responses. At the limit, it asks the model once to report its \
            findings so far",
        cli: "The program's own limit is a few turns higher",
        keys: "review.max_turns",
    },
    Row {
        options: "maxBudgetUsd taskBudget",
        here: "Truing reserves money before each call, and settles the cost after the call. Budgets apply \
            to a review, to a repository and day, and to a team and month. No budget limits the number of \
            tokens",
        cli: "As a second safeguard, the program has its own cost limit, which it computes with its own \
            prices",
        keys: "budget.review_usd budget.repo_day_usd team.NAME.month_usd",
    },
    Row {
        options: "outputFormat",
        here: "The input of the tool `report` has a schema. If a report does not match the schema, the \
            model can correct it once. After a second such report, the run is partial",
        cli: "",
        keys: "",
    },
    Row {
        options: "includePartialMessages includeHookEvents forwardSubagentText stderr debug debugFile \
             promptSuggestions onElicitation",
        here: "A run has no live output. Its record and its trace show what happened; the operator can \
            also record its requests and responses",
        cli: "Of the program's output, Truing uses only the result",
        keys: "telemetry.capture_content",
    },
    Row {
        options: "persistSession sessionId resume continue forkSession resumeSessionAt sessionStore",
        here: "Truing never resumes a conversation. It resumes loops from their records",
        cli: "The program stores nothing",
        keys: "",
    },
    Row {
        options: "settingSources settings managedSettings",
        here: "The operator's configuration file. A repository's `.truing.toml` on the default branch can \
            set the keys that this file allows",
        cli: "The program reads no settings files",
        keys: "forge.NAME.config_branches",
    },
    Row {
        options: "sandbox",
        here: "The process that reads a change, and every command of a fixer, run in the sandbox",
        cli: "The program also runs in the sandbox, and only where the sandbox enforces all its properties",
        keys: "sandbox.level",
    },
    Row {
        options: "skills plugins",
        here: "Built-in skills, the operator's skills, and the skills on the repository's default branch. \
            The prompt contains only their names and descriptions; the model requests the text of a \
            skill. Truing loads no plugins",
        cli: "The program's own skills and plugins are disabled",
        keys: "",
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
        "# Options of the Agent SDK\n\n<!-- Generated by crates/truing/tests/it/review/parity.rs. To \
        update it: UPDATE_DOCS=1 cargo test -p truing --test it review::parity:: -->\n\nThe table shows, \
        for each option of the Claude Agent SDK {SDK}, how Truing supports it. Both runtimes have \
        the\nsame limits, tools, reports and ends. The third column shows what the runtime `cli` \
        adds.\n\n| Option | Here | With the `claude` program | Keys |\n|---|---|---|---|\n"
    );
    for Row { options, here, cli, keys: of } in ROWS {
        let code = |words: &str| {
            words.split_whitespace().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        };
        for key in of.split_whitespace() {
            assert!(keys.contains(&format!("`{key}`")), "{key} is no key");
        }
        writeln!(page, "| {} | {here} | {cli} | {} |", code(options), code(of)).unwrap();
    }
    let file = root.join("docs/reference/agent-sdk.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), page, "UPDATE_DOCS=1 writes it anew");
}
