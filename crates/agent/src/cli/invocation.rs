//! The arguments and variables of the `claude` program: as little of it as can be. Measured with [`CLI_VERSION`](truing_core::agent::CLI_VERSION); without any one of
//! these it does something of its own.

use std::ffi::OsString;

use serde_json::json;

use crate::native::RunLimits;

/// The name of a run's server in the program's variables: its own name for the place of the provider.
pub(super) const ADDRESS: &str = "ANTHROPIC_BASE_URL";
/// What our server is called in the program: its tools have this before their names.
pub(super) const SERVER: &str = "truing";
/// The variables that the run's token is in: for the model, and for the tools. What opens the model the program keeps from
/// what it calls.
const TOKENS: [&str; 2] = ["ANTHROPIC_AUTH_TOKEN", "TRUING_RUN_TOKEN"];
/// How many more turns the program may count than the run: it is the second belt, and counts otherwise.
const MORE_TURNS: u32 = 4;
/// The families of models whose price the program knows; others it takes for its dearest.
const PRICED: &str = "claude-";

/// Variables of the program, each with why.
const VARIABLES: &[(&str, &str)] = &[
    // Everything that it says of itself to others.
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    // The way to the provider tries again; who tries twice pays twice.
    ("CLAUDE_CODE_MAX_RETRIES", "0"),
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    // It ends with its first result.
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("CLAUDE_CODE_DISABLE_CRON", "1"),
    // Every provider understands what it sends.
    ("CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS", "1"),
    ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0"),
    // The home folder is private, and in memory.
    ("CLAUDE_CONFIG_DIR", "/home/agent/.claude"),
    ("CLAUDE_CODE_TMPDIR", "/tmp"),
    // An answer comes whole, and may take its time; the run's own clock is the one that counts.
    ("API_TIMEOUT_MS", "3600000"),
    ("MCP_TOOL_TIMEOUT", "3600000"),
    ("MCP_TIMEOUT", "60000"),
    // A result is bounded by whoever gives it.
    ("MAX_MCP_OUTPUT_TOKENS", "1000000"),
];

/// The user's own switch for teams of agents: passed on, and without effect, as none of its tools is offered.
pub(super) const TEAMS: (&str, &str) = ("CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS", "1");

/// What it finds in its environment.
pub(super) fn variables(token: &str) -> impl Iterator<Item = (String, String)> {
    let all = VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    all.chain(TOKENS.map(|name| (name.to_owned(), token.to_owned())))
}

/// Its arguments.
pub(super) fn arguments(model: &str, limits: &RunLimits) -> Vec<OsString> {
    let [_, token] = TOKENS;
    let server = json!({"mcpServers": {SERVER: {
        "type": "http",
        "url": format!("${{{ADDRESS}}}/mcp"),
        "headers": {"Authorization": format!("Bearer ${{{token}}}")},
    }}});
    let turns = limits.turns.saturating_add(MORE_TURNS).to_string();
    let (server, allowed) = (server.to_string(), format!("mcp__{SERVER}"));
    let mut arguments = vec![
        "--print",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        // No settings, hooks, servers, commands or memory of any folder.
        "--restricted",
        "--setting-sources=",
        "--strict-mcp-config",
        "--mcp-config",
        &server,
        "--disable-slash-commands",
        // No tools but ours, and nobody who could be asked.
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
        // The true one is put in its place on the way.
        "--system-prompt",
        "-",
    ];
    let money = limits.money.filter(|_| model.starts_with(PRICED)).map(|money| money.to_string());
    if let Some(money) = &money {
        arguments.extend(["--max-budget-usd", money.trim_start_matches('$')]);
    }
    arguments.into_iter().map(OsString::from).collect()
}
