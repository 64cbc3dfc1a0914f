//! The arguments and variables of the `claude` program, which disable as many of its features as possible.
//! Every setting is needed. Measurements with [`CLI_VERSION`](truing_core::agent::CLI_VERSION) showed that
//! the program does something unrequested if a setting is missing.

use std::ffi::OsString;

use serde_json::json;

use crate::native::RunLimits;

/// The variable from which the program reads the provider's address. Truing sets it to the address of the
/// run's server.
pub(super) const BASE_URL_VARIABLE: &str = "ANTHROPIC_BASE_URL";
/// Name of the run's MCP server. The program uses this name in the prefix of the tools' names.
pub(super) const MCP_SERVER_NAME: &str = "truing";
/// The variables that hold the run's token: the first for model requests, the second for tool calls. The
/// program hides the first variable from its own child processes.
const TOKEN_VARIABLES: [&str; 2] = ["ANTHROPIC_AUTH_TOKEN", "TRUING_RUN_TOKEN"];
/// The variable that removes the line about the program's version from its system prompt. Requests that a
/// subscription pays for keep this line.
pub(super) const ATTRIBUTION_VARIABLE: (&str, &str) = ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0");
/// A system prompt of the program that the run replaces in each request.
pub(super) const PLACEHOLDER_PROMPT: &str = "-";
/// The program's own turn limit is this much higher than the run's limit, because the program counts turns
/// differently. The program's limit is only a second safeguard.
const EXTRA_TURNS: u32 = 4;
/// Prefix of the models whose prices the program knows. The program prices any other model like the most
/// expensive model that it knows.
const PRICED_MODEL_PREFIX: &str = "claude-";

/// Fixed variables of the program, with the reason for each group.
const VARIABLES: &[(&str, &str)] = &[
    // Disables telemetry, error reports and updates.
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    // The gateway already retries requests. If the program also retried them, the cost would double.
    ("CLAUDE_CODE_MAX_RETRIES", "0"),
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    // With these settings the program exits after its first result.
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("CLAUDE_CODE_DISABLE_CRON", "1"),
    // These features are disabled, because not all providers accept requests that use them.
    ("CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS", "1"),
    ATTRIBUTION_VARIABLE,
    // A response arrives in one piece and may take a long time. The run's own time limit bounds this time.
    ("API_TIMEOUT_MS", "3600000"),
    ("MCP_TOOL_TIMEOUT", "3600000"),
    ("MCP_TIMEOUT", "60000"),
    // The run's tools already limit their results, so the program must not cut them.
    ("MAX_MCP_OUTPUT_TOKENS", "1000000"),
];

/// The variable with which a user enables teams of agents. Truing passes the variable on, but it has no
/// effect, because the run offers no tool for teams.
pub(super) const TEAMS_VARIABLE: (&str, &str) = ("CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS", "1");

/// Returns the environment variables of the program, including this token of the run.
pub(super) fn environment_variables(token: &str) -> impl Iterator<Item = (String, String)> {
    let all = VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    all.chain(TOKEN_VARIABLES.map(|name| (name.to_owned(), token.to_owned())))
}

/// Returns the command-line arguments of the program with this system prompt.
pub(super) fn program_arguments(model: &str, limits: &RunLimits, system_prompt: &str) -> Vec<OsString> {
    let [_, token] = TOKEN_VARIABLES;
    let server = json!({"mcpServers": {MCP_SERVER_NAME: {
        "type": "http",
        "url": format!("${{{BASE_URL_VARIABLE}}}/mcp"),
        "headers": {"Authorization": format!("Bearer ${{{token}}}")},
    }}});
    let turns = limits.turns.saturating_add(EXTRA_TURNS).to_string();
    let (server, allowed) = (server.to_string(), format!("mcp__{MCP_SERVER_NAME}"));
    let mut arguments = vec![
        "--print",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        // Disables settings, hooks, servers, commands and memory of every folder.
        "--restricted",
        "--setting-sources=",
        "--strict-mcp-config",
        "--mcp-config",
        &server,
        "--disable-slash-commands",
        // Allows only the tools of the run's server, and disables prompts for permission.
        "--tools",
        "",
        "--allowedTools",
        &allowed,
        "--disallowedTools",
        "Bash,Edit,Write,Read,Glob,Grep,WebFetch,WebSearch,Agent,Task,Skill,ScheduleWakeup",
        "--permission-mode",
        "dontAsk",
        "--permission-prompts",
        "none",
        "--no-session-persistence",
        "--max-turns",
        &turns,
        "--model",
        model,
        "--system-prompt",
        system_prompt,
    ];
    let money =
        limits.max_cost.filter(|_| model.starts_with(PRICED_MODEL_PREFIX)).map(|money| money.to_string());
    if let Some(money) = &money {
        arguments.extend(["--max-budget-usd", money.trim_start_matches('$')]);
    }
    arguments.into_iter().map(OsString::from).collect()
}
