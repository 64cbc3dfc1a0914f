//! The table of all configuration keys. Parsing, errors, `config show`, the JSON Schema, the commented file
//! of `truing init` and docs/reference/config.md derive from this table.
// long: one table, in the order in which all these outputs show the keys.

use std::time::Duration;

use truing_core::linter::LINTERS;

pub use super::kind::ValueKind;

/// A configuration key and its rules.
#[derive(Debug)]
pub struct ConfigKey {
    /// Dotted path of the key. `NAME` stands for the name of a forge, a team, a repository, a model, a job,
    /// a reviewer, a server or a tool.
    pub path: &'static str,
    /// Kind of its values.
    pub kind: ValueKind,
    /// Value if no source sets the key.
    pub default: KeyDefault,
    /// Permission of a repository's own file for this key.
    pub repository: RepositoryOverride,
    /// Version that introduced the key.
    pub since: &'static str,
    /// Purpose of the key, in one or two sentences.
    pub doc: &'static str,
}

/// The default of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyDefault {
    /// A text, parsed like a variable's value.
    Text(&'static str),
    /// The secret in this variable.
    Variable(&'static str),
    /// A value that depends on the environment.
    Computed {
        /// Description of the value.
        words: &'static str,
        /// Example in TOML for the commented file.
        example: &'static str,
    },
}

/// The permission of a repository's own file (`.truing.toml`) for a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RepositoryOverride {
    /// The file must not set the key, which is reserved to the operator.
    No,
    /// The file may set the key if the operator does not.
    Sets,
    /// The file may set the key if the operator does not and `verify.from_repository` is true.
    SetsIfAllowed,
    /// The file may add to the operator's list.
    Adds,
}

/// Name of Truing's own auditor among the reviewers.
pub const INTERNAL: &str = "internal";

/// Key by which an operator permits repositories to set the commands that Truing runs for these repositories.
pub(crate) const ALLOWS_COMMANDS: &str = "verify.from_repository";

/// Sections of the table in display order, each with its description.
pub const SECTIONS: &[(&str, &str)] = &[
    ("store", "Where all persistent data is stored."),
    ("server", "The service: `truing serve`."),
    (
        "forge.NAME",
        "One forge, under a name of your choice: lower-case letters, digits and `-`. Its webhooks arrive at \
         `/webhooks/NAME`.",
    ),
    ("model", "The model that reviews, if `review.runtime` says that one does."),
    (
        "model.NAME",
        "Another model, under a name of your choice: lower-case letters, digits and `-`. It is asked where a \
         key or a flag names it, such as `converge.fixer` or `model.fallback`.",
    ),
    ("review", "The review loop."),
    (
        "mcp.NAME",
        "One MCP server whose tools a model may call in reviews and audits, besides its own, under a name of \
         your choice: lower-case letters, digits and `-`. A server is a program (`command`), which runs in \
         the sandbox, at `full`, without a network but `hosts`; or an address (`url`); or the tools are \
         Truing's own (`forge`). It is started with each of them; a review without one that fails says so, \
         and is partial.",
    ),
    (
        "tool.NAME",
        "One linter for reviews, where `review.tools` is `auto`. Under the name of a known tool (`ruff`, \
         `eslint`, `\"go vet\"`) set only what differs from its defaults; under another name of your choice \
         (lower-case letters, digits and `-`) `command` and `format` are required. `[[tool]]` with a `name` \
         means the same as `[tool.NAME]`: a file has one form for all of its tools.",
    ),
    ("rules", "What the rules check."),
    ("prompts", "The prompts for models. `truing prompts list` shows them."),
    ("policy", "What agents may do: commands, files, tools of servers. `truing policy show` shows it."),
    ("sandbox", "Where commands of agents run, and repository files are read."),
    (
        "verify",
        "A repository's own tests: what sets them up, and what they are. `truing verify` tries them. All \
         commands run in the sandbox, at `full`, on a copy of the files, without secrets; the set-up reaches \
         registries alone, and checks reach nothing. A command is a list of words: `[\"cargo\", \"test\"]`; \
         there is no shell but one that is named. A variable has the lists as JSON.",
    ),
    (
        "converge",
        "The converge loop: audit and fix a branch or a pull request until a fresh audit finds nothing, or \
         there is a reason to stop.",
    ),
    (
        "reviewer.NAME",
        "One reviewer besides Truing's own auditor (`internal`), under a name of your choice: lower-case \
         letters, digits and `-`. `bugbot` (Cursor) and `copilot` (GitHub) are known and need no settings.",
    ),
    (
        "budget",
        "What reviews by a model may cost, in US dollars. A request that could exceed a limit is not sent.",
    ),
    (
        "team.NAME",
        "One team, under a name of your choice: lower-case letters, digits and `-`. What its repositories \
         spend in a month is counted together.",
    ),
    ("repo.NAME", "One repository, by its name in quotes: `[repo.\"owner/name\"]`."),
    (
        "price.NAME",
        "The price of a model that Truing does not know, or of another provider, in US dollars per million \
         tokens; by the name that is asked for, in quotes. A model without a price is not used. `truing \
         budget prices` shows all.",
    ),
    ("sync", "The model that works for the jobs below."),
    (
        "sync.NAME",
        "One job that follows an upstream package, under a name of your choice: lower-case letters, digits \
         and `-`. Paths begin in the project's folder.",
    ),
    (
        "notify",
        "Who is notified when the kill switch changes, a pull request is parked, or half, 80 % or all of a \
         budget is spent. Each notice is sent once.",
    ),
    (
        "telemetry",
        "Traces of the runs of every loop, over OTLP (HTTP, protobuf), in the form that Langfuse reads. \
         Without an address here, `OTEL_EXPORTER_OTLP_ENDPOINT` (and `_HEADERS`) counts, else \
         `LANGFUSE_PUBLIC_KEY`, `LANGFUSE_SECRET_KEY` and `LANGFUSE_BASE_URL`. An export that fails changes \
         nothing.",
    ),
    ("retention", "How long old records are kept."),
];

/// Providers of models in this build.
#[cfg(feature = "aws")]
const PROVIDERS: &[&str] = &["anthropic", "openai", "aws", "bedrock"];
#[cfg(not(feature = "aws"))]
const PROVIDERS: &[&str] = &["anthropic", "openai"];
/// Providers that a later version or another build supports.
#[cfg(feature = "aws")]
const PLANNED_PROVIDERS: &[&str] = &[];
#[cfg(not(feature = "aws"))]
const PLANNED_PROVIDERS: &[&str] = &["aws", "bedrock"];
/// Greatest id of a GitHub App: the largest integer that JSON numbers represent exactly.
const MAX_APP_ID: i64 = (1 << 53) - 1;
/// Range of retention times.
const KEPT: ValueKind =
    ValueKind::Duration(Duration::from_secs(24 * 60 * 60), Duration::from_secs(10 * 366 * 24 * 60 * 60));
/// Range of prices per million tokens.
const PRICE: ValueKind = ValueKind::Usd(truing_core::price::MAX_USD_PER_MILLION);
/// Range of budgets in dollars.
const BUDGET: ValueKind = ValueKind::Usd(1_000_000);
/// Range of delays, which may be zero.
const DELAY: ValueKind = ValueKind::Duration(Duration::ZERO, Duration::from_secs(24 * 60 * 60));
/// Range of polling periods. With a period below the minimum, a process would run in a busy loop.
const PERIOD: ValueKind = ValueKind::Duration(Duration::from_millis(10), Duration::from_secs(60 * 60));

/// Range of timeouts for programs and servers that a model depends on.
const CALL: ValueKind = ValueKind::Duration(Duration::from_millis(10), Duration::from_secs(10 * 60));
/// Maximum number of bytes of one output that a model receives.
const MAX_OUTPUT: i64 = truing_core::agent::MAX_OUTPUT_BYTES as i64;

/// Range of timeouts for one piece of an agent's work.
const WORK: ValueKind = ValueKind::Duration(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
/// Range of intervals and timeouts for other reviewers.
const PERIOD_OF_OTHERS: ValueKind =
    ValueKind::Duration(Duration::from_millis(10), Duration::from_secs(7 * 24 * 60 * 60));

/// Schemes of stores, and of servers that keep slots. An `s` at the end or before the `+` means TLS.
pub const SLOTS: &[&str] = &[
    "sqlite",
    "valkey",
    "valkeys",
    "valkey+sentinel",
    "valkeys+sentinel",
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
];
/// Schemes of servers that keep records.
pub const RECORDS: &[&str] = &["postgres", "postgresql"];

/// All keys, section by section.
pub const KEYS: &[ConfigKey] = &[
    ConfigKey {
        path: "store.url",
        kind: ValueKind::Store(SLOTS),
        default: KeyDefault::Computed {
            words: "`truing/truing.db` in the user's state folder (`$XDG_STATE_HOME`, else `~/.local/state`)",
            example: "\"sqlite:/var/lib/truing/truing.db\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The store: `sqlite:PATH`, a file that one process serves from (a relative path starts at the \
             folder of the file that names it); or the URL of the Valkey or Redis that keeps the slots of \
             many processes, `valkey://host:port/db`, with TLS `valkeys://`; or that of the Sentinels that \
             know it, `valkey+sentinel://host:port,host:port/NAME/db`, with TLS `valkeys+sentinel://`. A \
             server on another machine needs TLS unless `?tls=off` is set. `store.records` is then \
             required.",
    },
    ConfigKey {
        path: "store.records",
        kind: ValueKind::Store(RECORDS),
        default: KeyDefault::Computed { words: "none", example: "{ env = \"TRUING_DATABASE\" }" },
        repository: RepositoryOverride::No,
        since: "0.2.0",
        doc: "Only with Valkey in `store.url`: the PostgreSQL database that keeps the records of many \
             processes, `postgres://user@host:port/database`. A server on another machine must offer TLS \
             unless `?sslmode=disable` is set. Every process signs with the same key: \
             `forge.NAME.marker_key` is required.",
    },
    ConfigKey {
        path: "store.password",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "none, or that of the URL",
            example: "{ env = \"VALKEY_PASSWORD\" }",
        },
        repository: RepositoryOverride::No,
        since: "0.2.0",
        doc: "The password of the server in `store.url`.",
    },
    ConfigKey {
        path: "store.records_password",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "none, or that of the URL",
            example: "{ env = \"POSTGRES_PASSWORD\" }",
        },
        repository: RepositoryOverride::No,
        since: "0.2.0",
        doc: "The password of the user in `store.records`.",
    },
    ConfigKey {
        path: "store.folder",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed {
            words: "the folder of the database's file; with Valkey `truing` in the user's state folder",
            example: "\"/var/lib/truing\"",
        },
        repository: RepositoryOverride::No,
        since: "0.2.0",
        doc: "The folder for the local data of a machine: copies of repositories, and files of one run. \
             Processes of one machine share it.",
    },
    ConfigKey {
        path: "server.listen",
        kind: ValueKind::Address,
        default: KeyDefault::Text("127.0.0.1:8080"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The address that the service listens on; port 0 takes any free one.",
    },
    ConfigKey {
        path: "server.metrics_listen",
        kind: ValueKind::Address,
        default: KeyDefault::Computed {
            words: "none: `/metrics` is on `server.listen`",
            example: "\"127.0.0.1:9090\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "An address for `/metrics` alone, which is then not on `server.listen` any more; port 0 takes \
             any free one.",
    },
    ConfigKey {
        path: "server.concurrency",
        kind: ValueKind::Integer(1, 1024),
        default: KeyDefault::Text("4"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many leases a process holds at once.",
    },
    ConfigKey {
        path: "server.concurrency_per_owner",
        kind: ValueKind::Integer(0, 1024),
        default: KeyDefault::Text("0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many of them may be for repositories of one owner (organisation or user), so that a large \
             one leaves places to the others. 0: as many as there are. Repositories take turns in any case.",
    },
    ConfigKey {
        path: "server.lease",
        kind: PERIOD,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A worker that does not renew its lease for this long loses it, and another worker may take it.",
    },
    ConfigKey {
        path: "server.heartbeat",
        kind: PERIOD,
        default: KeyDefault::Text("10s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How often a worker renews its lease: less than two thirds of `server.lease`, at which it would \
             stop itself.",
    },
    ConfigKey {
        path: "server.poll",
        kind: PERIOD,
        default: KeyDefault::Text("2s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How often the scheduler looks for due slots.",
    },
    ConfigKey {
        path: "server.rate_limit",
        kind: ValueKind::Integer(0, 1_000_000),
        default: KeyDefault::Text("5000"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many webhooks a second are taken from one source address, with bursts of twice as many; \
             further ones are answered 429. 0: any number.",
    },
    ConfigKey {
        path: "server.sweep",
        kind: PERIOD,
        default: KeyDefault::Text("5m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How often the forges are asked for open pull requests and comments, to make up for webhooks \
             that were lost; with at most a tenth of each forge's rate limit, and half of Bitbucket Cloud's, \
             which does not report the remaining calls.",
    },
    ConfigKey {
        path: "server.trusted_proxies",
        kind: ValueKind::Networks,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Proxies in front of the service: from these alone `X-Forwarded-For` or `Forwarded` is \
             believed, and only as far as the last address that is not one of them.",
    },
    ConfigKey {
        path: "forge.NAME.kind",
        kind: ValueKind::Choice { supported: &["github", "bitbucket", "bitbucket-dc"], planned: &[] },
        default: KeyDefault::Computed { words: "the forge's name", example: "\"github\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What kind of forge it is.",
    },
    ConfigKey {
        path: "forge.NAME.api_url",
        kind: ValueKind::Url,
        default: KeyDefault::Computed {
            words: "`https://api.github.com`, or `https://api.bitbucket.org/2.0`; a `bitbucket-dc` needs one",
            example: "\"https://api.github.com\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Where its REST API is. Bitbucket Cloud's ends in `/2.0`; of a Bitbucket Data Center it is the \
             server's own address.",
    },
    ConfigKey {
        path: "forge.NAME.email",
        kind: ValueKind::Email,
        default: KeyDefault::Computed { words: "none: an access token", example: "\"\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The e-mail address of the account whose API token `token` is. Only for Bitbucket Cloud; an \
             access token of a repository, a project or a workspace needs none.",
    },
    ConfigKey {
        path: "forge.NAME.account",
        kind: ValueKind::AccountUuid,
        default: KeyDefault::Computed { words: "none: the forge is asked", example: "\"\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The account that `token` writes as, by its UUID (`{…}`). For an access token of Bitbucket \
             Cloud, which may not ask: docs/bitbucket.md says how to find it.",
    },
    ConfigKey {
        path: "forge.NAME.git_url",
        kind: ValueKind::Url,
        default: KeyDefault::Computed {
            words: "`https://github.com`, or `https://bitbucket.org`; of a `bitbucket-dc` the path `/scm` of \
                 `api_url`",
            example: "\"https://github.com\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Where its repositories are fetched from.",
    },
    ConfigKey {
        path: "forge.NAME.token",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "`{ env = \"GITHUB_TOKEN\" }` (`GH_TOKEN` for github.com where only that is set), of a \
                 Bitbucket `{ env = \"BITBUCKET_TOKEN\" }`",
            example: "{ env = \"GITHUB_TOKEN\" }",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The token that reads pull requests and writes comments and statuses. Not with `app_id`.",
    },
    ConfigKey {
        path: "forge.NAME.app_id",
        kind: ValueKind::Integer(1, MAX_APP_ID),
        default: KeyDefault::Computed { words: "none: `token` is used", example: "123456" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The number of a GitHub App to log in as, instead of `token`: it gets tokens for one repository \
             and one hour at a time. With `private_key`.",
    },
    ConfigKey {
        path: "forge.NAME.private_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ file = \"/etc/truing/app.pem\" }" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The private key of the GitHub App, as its settings page gives it out (PEM).",
    },
    ConfigKey {
        path: "forge.NAME.accounts",
        kind: ValueKind::Accounts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Accounts that wrote Truing's earlier comments, by number, UUID (`{…}`) or name; such as the \
             token's owner, after a change to an App. Their comments count as written already and are not \
             edited. A number is safer: no one else can take it over. At Bitbucket Cloud only the UUID is \
             accepted: anyone may take a name there.",
    },
    ConfigKey {
        path: "forge.NAME.webhook_secret",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "`{ env = \"GITHUB_WEBHOOK_SECRET\" }`, of a Bitbucket \
                 `{ env = \"BITBUCKET_WEBHOOK_SECRET\" }`",
            example: "{ env = \"GITHUB_WEBHOOK_SECRET\" }",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The secret that the forge signs webhooks with.",
    },
    ConfigKey {
        path: "forge.NAME.halted",
        kind: ValueKind::Choice { supported: &["refuse", "mark"], planned: &[] },
        default: KeyDefault::Computed {
            words: "`refuse`, of a `bitbucket-dc` `mark`",
            example: "\"refuse\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The answer to a webhook while the kill switch is on. `refuse`: 503, so the forge may send it \
             again, and the sweep when the switch turns off finds the event. `mark`: 202, and the pull \
             request waits until the switch is off. A Bitbucket Data Center stops calling a webhook that is \
             refused repeatedly.",
    },
    ConfigKey {
        path: "forge.NAME.marker_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "the file `marker.key` beside the database, made once",
            example: "{ file = \"/var/lib/truing/marker.key\" }",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The key that signs the markers in comments. With them Truing finds its comments again if \
             records are lost.",
    },
    ConfigKey {
        path: "forge.NAME.previous_marker_keys",
        kind: ValueKind::Secrets,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Keys that signed markers before `marker_key` was changed: comments with their markers are \
             still known as ours. Comments in the database are recognised without the old key.",
    },
    ConfigKey {
        path: "forge.NAME.settle",
        kind: DELAY,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long Truing waits before it searches the forge for an object whose create request got no \
             answer.",
    },
    ConfigKey {
        path: "forge.NAME.repositories",
        kind: ValueKind::Repositories,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The repositories to review, such as `owner/*`, in any case; if empty, Truing serves every \
             repository that the token sees, and each one that sends webhooks. A personal token sees every \
             repository that its owner may see; an access token of Bitbucket Cloud sees those of the \
             workspaces that are named here.",
    },
    ConfigKey {
        path: "forge.NAME.config_branches",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Branches besides the default branch whose `.truing.toml` configures the reviews of pull \
             requests into them, such as `release/*`; one without that file leaves it to the default \
             branch's. Anyone who may push to such a branch controls what is reviewed.",
    },
    ConfigKey {
        path: "model.provider",
        kind: ValueKind::Choice { supported: PROVIDERS, planned: PLANNED_PROVIDERS },
        default: KeyDefault::Text("anthropic"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Who serves the model: `anthropic` is every server that speaks the Messages API; `openai` is \
             every server that speaks Chat Completions (OpenAI, Azure, OpenRouter, LiteLLM, vLLM, llama.cpp, \
             Ollama); `aws` is the one on AWS, `bedrock` is Amazon Bedrock. Requests to `aws` and `bedrock` \
             are signed by the key in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is a temporary \
             one, `AWS_SESSION_TOKEN`; without these, by keys of AWS's own chain (profiles, web identity, \
             containers, instances), which are renewed before they end; those to Bedrock have a bearer token \
             instead where `AWS_BEARER_TOKEN_BEDROCK` or `model.api_key` is set. Variable \
             `CLAUDE_CODE_USE_ANTHROPIC_AWS=1` means `aws`, `CLAUDE_CODE_USE_BEDROCK=1` means `bedrock`.",
    },
    ConfigKey {
        path: "model.region",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"eu-central-1\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The region of AWS, with the providers `aws` and `bedrock`. Variables `AWS_REGION`, \
             `AWS_DEFAULT_REGION`.",
    },
    ConfigKey {
        path: "model.workspace_id",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"wrkspc_01\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The workspace that pays, with the provider `aws`. Variable `ANTHROPIC_AWS_WORKSPACE_ID`.",
    },
    ConfigKey {
        path: "model.api_version",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"2024-10-21\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The version of Azure's API, with the provider `openai` and an address that ends with a \
             deployment. Addresses that end with `/openai/v1` need none.",
    },
    ConfigKey {
        path: "model.effort",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none: it is not sent", example: "\"none\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How much the model thinks, with the provider `openai`: `none`, `minimal`, `low`, `medium`, \
             `high`, as the model takes it. Some of OpenAI's models call tools only with `none`.",
    },
    ConfigKey {
        path: "model.base_url",
        kind: ValueKind::Url,
        default: KeyDefault::Text("https://api.anthropic.com"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Where the Messages API is. Variable `ANTHROPIC_BASE_URL`, which counts for the provider \
             `anthropic` alone. With the providers `aws` and `bedrock` it is the region's own, unless this \
             key is set. With the provider `openai` it is what `/chat/completions` is added to, and \
             `https://api.openai.com/v1` unless this key is set.",
    },
    ConfigKey {
        path: "model.api_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Variable("ANTHROPIC_API_KEY"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The key that opens it; with the provider `openai` it is in `OPENAI_API_KEY` for OpenAI itself \
             and for this machine; for another server this key is required. A key alone costs nothing: \
             `review.runtime` decides whether a model is called.",
    },
    ConfigKey {
        path: "model.name",
        kind: ValueKind::Name,
        default: KeyDefault::Text("claude-sonnet-5-5"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The model's id. A model without a known price is refused.",
    },
    ConfigKey {
        path: "model.model_ids",
        kind: ValueKind::Ids,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The ids that Amazon Bedrock has for models, by the name that is asked for: inference profiles, \
             also as ARNs. The built-in table names all others, with the prefix of the region's own \
             geography.",
    },
    ConfigKey {
        path: "model.fallback",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that is called while this one's provider is unavailable, or \
             its spending cap is reached. Both use the same budgets, and the outcome names the model that \
             answered.",
    },
    ConfigKey {
        path: "model.NAME.provider",
        kind: ValueKind::Choice { supported: PROVIDERS, planned: PLANNED_PROVIDERS },
        default: KeyDefault::Text("anthropic"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Who serves it, as `model.provider`; variables of other programs are ignored.",
    },
    ConfigKey {
        path: "model.NAME.region",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"eu-central-1\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The region of AWS, with the providers `aws` and `bedrock`.",
    },
    ConfigKey {
        path: "model.NAME.workspace_id",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"wrkspc_01\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The workspace that pays, with the provider `aws`.",
    },
    ConfigKey {
        path: "model.NAME.api_version",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"2024-10-21\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The version of Azure's API, as `model.api_version`.",
    },
    ConfigKey {
        path: "model.NAME.effort",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none: it is not sent", example: "\"none\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How much the model thinks, as `model.effort`.",
    },
    ConfigKey {
        path: "model.NAME.base_url",
        kind: ValueKind::Url,
        default: KeyDefault::Text("https://api.anthropic.com"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Where its Messages API is, or with the provider `openai` its Chat Completions. With the \
             providers `aws` and `bedrock` it is the region's own, unless this key is set.",
    },
    ConfigKey {
        path: "model.NAME.api_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "none: required, so that no key goes to an endpoint other than its own",
            example: "{ env = \"OTHER_API_KEY\" }",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The key that opens it. With the provider `aws` it is not used; of `bedrock` it is the bearer \
             token, if requests are not signed.",
    },
    ConfigKey {
        path: "model.NAME.name",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none: required", example: "\"other-model\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The model's id. A model without a known price is refused: `[price.\"ID\"]` says it.",
    },
    ConfigKey {
        path: "model.NAME.model_ids",
        kind: ValueKind::Ids,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The ids that Amazon Bedrock has for models, as `model.model_ids`.",
    },
    ConfigKey {
        path: "review.runtime",
        kind: ValueKind::Choice { supported: &["rules", "native", "sdk", "cli"], planned: &[] },
        default: KeyDefault::Text("rules"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What reviews: `rules` asks no model and costs nothing; `native` (also called `sdk`) lets a \
             model look around and report, beside the rules; `cli` does the same with the `claude` program \
             in between, as `review.claude` names it. Flag `--runtime`; variable `RUNTIME_MODE`.",
    },
    ConfigKey {
        path: "review.model",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that reviews, if it is not `[model]`.",
    },
    ConfigKey {
        path: "review.claude",
        kind: ValueKind::Program,
        default: KeyDefault::Text("claude"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The program of Claude Code, for the runtime `cli`: a path (from the file's folder; whole in a \
             variable), or a name that is looked for on `PATH`, but not in a repository that the command \
             stands in or names. It runs in the sandbox (`full` only), without tools, settings and files of \
             its own.",
    },
    ConfigKey {
        path: "review.claude_version",
        kind: ValueKind::Name,
        default: KeyDefault::Text(truing_core::agent::CLI_VERSION),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The version that this program must have, exactly: its behaviour may change between versions. \
             To allow another one, name it.",
    },
    ConfigKey {
        path: "review.claude_start",
        kind: CALL,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long this program may take to print its version, and in each run until its first request \
             to the model. A program that does not print its version by then is refused; a run without a \
             request by then ends, and the review consists of what the rules found.",
    },
    ConfigKey {
        path: "review.max_turns",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("25"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many answers of a model one review may take. In the last one the model must report what it \
             has found; the review is then partial.",
    },
    ConfigKey {
        path: "review.specialists",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Let several reviewers check each change in parallel instead of one: security, code quality, \
             test coverage, architecture, and up to four of the repository's own (`.claude/agents/NAME.md` \
             of the branch that configures). Each may cost $0.50, and all together what a review may. See \
             docs/specialists.md.",
    },
    ConfigKey {
        path: "review.redact",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Cut secrets of a known form (the rules of kind `secret`) out of every text for a model, in all \
             loops: `[secret cut]` stands for each, in prompts and in the answers of tools. An edit of a \
             fixer that would touch such a place is refused. With `false` models see files unchanged, except \
             for the credentials of this program.",
    },
    ConfigKey {
        path: "review.walkthrough",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Sets,
        since: "0.1.0",
        doc: "Ask the model that reviews for a walkthrough, too: at most eight lines in the summary on what \
             the change does and where to look first, by file. It is part of the same run, within the same \
             budget, and contains no verdict.",
    },
    ConfigKey {
        path: "review.skills_dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Text("/etc/reviewer/skills"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A folder with skills of your own, `NAME/SKILL.md`: a model that reviews is shown them as \
             `org:NAME`, beside the built-in ones (`shipped:NAME`) and the repository's (`repo:NAME`, from \
             `.claude/skills` of the branch that configures). They are read when the program starts. A \
             folder that is set must exist; the default may be missing.",
    },
    ConfigKey {
        path: "review.debounce",
        kind: DELAY,
        default: KeyDefault::Text("15s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A review begins this long after the last event.",
    },
    ConfigKey {
        path: "review.max_wait",
        kind: DELAY,
        default: KeyDefault::Text("2m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "But at the latest this long after the first.",
    },
    ConfigKey {
        path: "review.quiet",
        kind: DELAY,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A storm of events ends after this long without one; then its last head is reviewed.",
    },
    ConfigKey {
        path: "review.storm_max",
        kind: DELAY,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "But at the latest this long after its first event.",
    },
    ConfigKey {
        path: "review.backoff",
        kind: DELAY,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The wait before the first retry of a failed run; it doubles each time.",
    },
    ConfigKey {
        path: "review.backoff_max",
        kind: DELAY,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The longest wait between two tries.",
    },
    ConfigKey {
        path: "review.attempts",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "After this many failed tries in a row a pull request is parked until a person resumes it.",
    },
    ConfigKey {
        path: "review.max_inline",
        kind: ValueKind::Integer(0, 1000),
        default: KeyDefault::Text("30"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many inline comments a pull request gets at most; further findings are listed in the \
             summary.",
    },
    ConfigKey {
        path: "review.existing",
        kind: ValueKind::Choice { supported: &["leave", "review"], planned: &[] },
        default: KeyDefault::Text("leave"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Pull requests that were open before the server first met their repository: `leave` records \
             their heads and reviews them when they change or a person requests it; `review` reviews them at \
             once.",
    },
    ConfigKey {
        path: "review.tier",
        kind: ValueKind::Choice { supported: &["off", "rules", "once", "settled", "deep"], planned: &[] },
        default: KeyDefault::Computed {
            words: "`deep` with `review.specialists`, else `settled`",
            example: "\"settled\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The tier of a pull request for which no rule of `review.for` holds: `off`, no review; `rules`, \
             rules and linters without a model; `once`, one review by a model, and another on request \
             (`/review`); `settled`, a review of each settled head; `deep`, the same by specialists. See \
             docs/tiers.md.",
    },
    ConfigKey {
        path: "review.most",
        kind: ValueKind::Choice { supported: &["off", "rules", "once", "settled", "deep"], planned: &[] },
        default: KeyDefault::Computed { words: "`review.tier`", example: "\"settled\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The highest tier that the repository's own rules may give where no rule of the operator's \
             holds.",
    },
    ConfigKey {
        path: "review.for",
        kind: ValueKind::Tiers,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Adds,
        since: "0.1.0",
        doc: "Rules for the tier, as `[[review.for]]` tables: the first whose conditions all hold decides. \
             Conditions: `repos` (globs of `owner/name`), `paths` (a changed file matches), `only_paths` \
             (every changed file matches), `authors` (ids, or names where they are unique), `labels`, \
             `titles`, `bases` (globs), `lines_over`, `lines_up_to`, `files_over`. Each has a `tier`, and \
             may have `most` (the highest that the repository's own rules may give) and a `reason`. Rules of \
             the repository's own file come after, without `repos` and `most`. They may lower the tier, and \
             may raise it up to `most`.",
    },
    ConfigKey {
        path: "review.instructions",
        kind: ValueKind::Instructions,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Adds,
        since: "0.1.0",
        doc: "Instructions for the model that reviews, as `[[review.instructions]]` tables: a `text` of at \
             most 4 KiB that counts where a changed file matches one of the globs in `paths`, of the \
             operator also `repos` (globs of `owner/name`). At most 20 of each file. The repository's own \
             come after the operator's, and are shown to the model as data, as its `CLAUDE.md` is.",
    },
    ConfigKey {
        path: "review.tools",
        kind: ValueKind::Choice { supported: &["off", "auto"], planned: &[] },
        default: KeyDefault::Text("off"),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "Runs linters in each review, whose findings become Truing's own: `auto` runs the known tools \
             that the repository configures and that are installed, and every `[[tool]]`; `off` runs none. \
             Flag `--tools` is the same as `auto`.",
    },
    ConfigKey {
        path: "mcp.NAME.command",
        kind: ValueKind::Command,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The program that is the server, over its standard streams, and its arguments. With a `/` the \
             program is a path, from the folder of the file that names it; its arguments are as they are, so \
             give files among them with full paths. It runs in an empty folder, and sees no file but those \
             of the system and of `read`.",
    },
    ConfigKey {
        path: "mcp.NAME.read",
        kind: ValueKind::Folders,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Folders that the program may read and run programs from, besides the system's; it finds \
             programs in them and in their `bin`.",
    },
    ConfigKey {
        path: "mcp.NAME.env",
        kind: ValueKind::Names,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Variables that are handed on to the program; it finds no others of this process. One that \
             holds a credential of Truing's is refused.",
    },
    ConfigKey {
        path: "mcp.NAME.hosts",
        kind: ValueKind::Hosts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Hosts that the program may connect to, each with its port; without them it has no network. \
             `HTTPS_PROXY` names a proxy that reaches only these hosts, only by TLS for that host, and only \
             at public addresses. Truing does not see what the program sends there. An attempt to reach \
             another host makes the review partial. For a server on a machine of your own, give its `url`.",
    },
    ConfigKey {
        path: "mcp.NAME.url",
        kind: ValueKind::Endpoint,
        default: KeyDefault::Computed { words: "none", example: "\"https://mcp.example.org/mcp\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The server's address, in place of `command`: as it is written here, a slash at its end and a \
             query too, so nothing secret belongs in it. What a model asks it leaves this machine; a call \
             that holds what looks like a secret is denied.",
    },
    ConfigKey {
        path: "mcp.NAME.forge",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"hub\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The `NAME` of a `[forge.NAME]`, in place of `command` and `url`: the reading tools of `truing \
             mcp serve`, in this process, for reviews of its pull requests, each about its own repository \
             only.",
    },
    ConfigKey {
        path: "mcp.NAME.transport",
        kind: ValueKind::Choice { supported: &["stdio", "http", "sse"], planned: &[] },
        default: KeyDefault::Computed {
            words: "`stdio` with `command`, `http` (streamable HTTP) with `url`",
            example: "\"sse\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The transport: `sse` is HTTP with events, as older servers use it.",
    },
    ConfigKey {
        path: "mcp.NAME.token",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ env = \"DOCS_TOKEN\" }" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The token that is sent to `url` as `Authorization: Bearer`.",
    },
    ConfigKey {
        path: "mcp.NAME.headers",
        kind: ValueKind::Headers,
        default: KeyDefault::Computed {
            words: "none",
            example: "{ \"X-API-Key\" = { env = \"DOCS_KEY\" } }",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Headers that are sent to `url` with every request, each with the place of its secret. They are \
             sent nowhere else. Those that HTTP or the protocol sets itself are refused, and so is \
             `Authorization` beside `token`.",
    },
    ConfigKey {
        path: "mcp.NAME.tools",
        kind: ValueKind::Names,
        default: KeyDefault::Computed { words: "has to be said", example: "[\"search\"]" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The names of its tools that a model may call. A tool that declares that it does not only read \
             is left out.",
    },
    ConfigKey {
        path: "mcp.NAME.timeout",
        kind: CALL,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long it may take to be ready, and for one call, with the wait for calls of others in the \
             same run. A server that takes longer by itself is not called again in that review.",
    },
    ConfigKey {
        path: "mcp.NAME.max_output",
        kind: ValueKind::Integer(256, MAX_OUTPUT),
        default: KeyDefault::Text("16384"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The most bytes of one answer that a model is shown.",
    },
    ConfigKey {
        path: "tool.NAME.command",
        kind: ValueKind::Command,
        default: KeyDefault::Computed {
            words: "that of the known tool of this name",
            example: "[\"ruff\", \"check\", \"--output-format\", \"json\", \"{files}\"]",
        },
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "The program and its arguments. `{files}` stands for the changed files; a command without it is \
             run as it is. With a `/` the program is a path: from the folder of the operator's file, in a \
             repository's own file from its root.",
    },
    ConfigKey {
        path: "tool.NAME.format",
        kind: ValueKind::Format,
        default: KeyDefault::Computed {
            words: "that of the known tool of this name",
            example: "\"ruff-json\"",
        },
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "The format of what it prints: `sarif`, `rdjson`, `rdjsonl`, `checkstyle`, `gitlab`, `junit`, \
             or one of a single tool, such as `ruff-json`.",
    },
    ConfigKey {
        path: "tool.NAME.paths",
        kind: ValueKind::Globs,
        default: KeyDefault::Computed {
            words: "those of the known tool of this name, else all files",
            example: "[\"**/*.py\"]",
        },
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "Globs of the files that it checks; `*` stays within a folder, `**` does not.",
    },
    ConfigKey {
        path: "tool.NAME.when",
        kind: ValueKind::Choice { supported: &["changed", "always", "never"], planned: &[] },
        default: KeyDefault::Text("changed"),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "The reviews in which it runs: `changed` are those in which a changed file matches `paths`, \
             `always` is each one, and `never` switches it off, a known tool too.",
    },
    ConfigKey {
        path: "tool.NAME.exit",
        kind: ValueKind::Codes,
        default: KeyDefault::Computed {
            words: "those of the known tool of this name, else `[0, 1]`",
            example: "[0, 1]",
        },
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "Exit codes of a successful run, with or without findings. With any other code the tool has \
             failed.",
    },
    ConfigKey {
        path: "tool.NAME.timeout",
        kind: ValueKind::Duration(Duration::from_secs(1), Duration::from_secs(60 * 60)),
        default: KeyDefault::Text("5m"),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "The time limit of a run; then Truing stops it.",
    },
    ConfigKey {
        path: "tool.NAME.scope",
        kind: ValueKind::Choice { supported: &["lines", "files"], planned: &[] },
        default: KeyDefault::Text("lines"),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "Findings that are reported: only those on changed `lines`, or those anywhere in changed \
             `files`.",
    },
    ConfigKey {
        path: "rules.ignore",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Sets,
        since: "0.1.0",
        doc: "Path globs of files that are not reviewed; `*` stays within a folder, `**` does not.",
    },
    ConfigKey {
        path: "rules.packs",
        kind: ValueKind::Packs,
        default: KeyDefault::Text("core"),
        repository: RepositoryOverride::Adds,
        since: "0.1.0",
        doc: "The rule packs to use. Flag `--pack`.",
    },
    ConfigKey {
        path: "rules.off",
        kind: ValueKind::Rules,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Adds,
        since: "0.1.0",
        doc: "Rules that are off, by the names that findings show: of a pack (`core/rust-dbg`), or of a \
             linter (`ruff/E501`). Their earlier findings are no longer part of a review and are not \
             reported as fixed.",
    },
    ConfigKey {
        path: "rules.severity",
        kind: ValueKind::Severities,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Adds,
        since: "0.1.0",
        doc: "Another severity for the findings of a rule of a pack or a linter, such as \
             `{ \"core/rust-dbg\" = \"P2\" }`. In some files: \
             `{ \"core/rust-dbg\" = [{ paths = [\"tests/**\"], severity = \"P2\" }] }`, a list; the first \
             entry that has a glob for the file, or no `paths`, applies. A repository can set it for rules \
             that the operator does not set.",
    },
    ConfigKey {
        path: "rules.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/rules\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A folder with further rule packs, each a folder that holds a folder `rules`: \
             `PACK/rules/RULE.yml`. `rules.packs` says which are used.",
    },
    ConfigKey {
        path: "rules.time",
        kind: WORK,
        default: KeyDefault::Text("2m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long the files of one review may be read, small ones first. Files that were not read in \
             time are listed as not reviewed; the review is `partial`. One file may take 2 s of work, and 64 \
             MiB of memory and 20 times its size: a file that takes more is checked as text only, and is \
             listed too.",
    },
    ConfigKey {
        path: "prompts.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/prompts\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A folder with prompts of your own, `review/role.md` and the like: one replaces the built-in \
             one of its name. Try them with `truing prompts check`.",
    },
    ConfigKey {
        path: "policy.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/policy\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A folder with lists of your own of what agents may do: `profiles/fixer.toml` and the like \
             replace the built-in ones, `grammar/PROGRAM.toml` adds commands, `never.toml` adds paths that \
             no agent changes. `truing policy show` prints the built-in ones as a start; `truing policy \
             check` tries one.",
    },
    ConfigKey {
        path: "sandbox.level",
        kind: ValueKind::Choice { supported: &["full", "landlock", "none"], planned: &[] },
        default: KeyDefault::Text("full"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The weakest sandbox that is accepted: `full` has namespaces, Landlock and seccomp, `landlock` \
             no namespaces, `none` no isolation at all. The strongest that the machine allows is used. The \
             process that reads repository files for the service needs no namespaces: at most `landlock` is \
             required of it, and a kernel without Landlock (before 5.13) needs `none`. See `truing sandbox \
             check`.",
    },
    ConfigKey {
        path: "verify.from_repository",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "May a repository's own file, as it is on the default branch, set `verify.setup`, \
             `verify.registries`, `verify.check`, `review.tools` and keys of tools (`[[tool]]`) where the \
             operator does not? Otherwise those keys are ignored.",
    },
    ConfigKey {
        path: "verify.setup",
        kind: ValueKind::Commands,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "Commands that make the checks work, in order, such as `[[\"uv\", \"sync\"]]`. Their results \
             (new files of the tree, the home folder) are cached and used for trees with the same lock \
             files.",
    },
    ConfigKey {
        path: "verify.registries",
        kind: ValueKind::Words(&["pypi", "npm", "crates"]),
        default: KeyDefault::Text("pypi,npm,crates"),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "The registries that the set-up may reach, over https, and in its place the index that the \
             user's own settings name: `UV_DEFAULT_INDEX`, `UV_INDEX_URL`, `PIP_INDEX_URL` or pip.conf; \
             `npm_config_registry` or .npmrc; what Cargo's config.toml has for crates.io. `UV_INDEX`, \
             `UV_EXTRA_INDEX_URL` and `PIP_EXTRA_INDEX_URL` name further ones. An index that wants a login \
             is refused.",
    },
    ConfigKey {
        path: "verify.check",
        kind: ValueKind::Commands,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "The checks, in order: each passes if it ends with 0. A check that fails, but passed before the \
             change, is retried once.",
    },
    ConfigKey {
        path: "verify.timeout",
        kind: ValueKind::Duration(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60)),
        default: KeyDefault::Text("20m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The time limit of each command; then it is stopped with all processes that it started.",
    },
    ConfigKey {
        path: "verify.programs",
        kind: ValueKind::Folders,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Folders with programs besides the system's, such as a toolchain's: commands may read and run \
             what they hold, and find programs in them and in their `bin`.",
    },
    ConfigKey {
        path: "verify.memory_mib",
        kind: ValueKind::Integer(64, 1 << 20),
        default: KeyDefault::Text("4096"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Memory of all processes of a command together, in MiB. Shared memory and files in memory \
             count.",
    },
    ConfigKey {
        path: "verify.disk_mib",
        kind: ValueKind::Integer(16, 1 << 30),
        default: KeyDefault::Text("10240"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What a set-up, or the checks of a tree, may write, in MiB.",
    },
    ConfigKey {
        path: "verify.cache_mib",
        kind: ValueKind::Integer(0, 1 << 30),
        default: KeyDefault::Text("20480"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The size limit of cached set-ups, in MiB, in `truing/verify` of the user's cache folder \
             (`$XDG_CACHE_HOME`, else `~/.cache`). The least recently used is removed first.",
    },
    ConfigKey {
        path: "verify.cache_age",
        kind: ValueKind::Duration(Duration::ZERO, Duration::from_secs(366 * 24 * 60 * 60)),
        default: KeyDefault::Text("7d"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long it is kept.",
    },
    ConfigKey {
        path: "converge.enabled",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Does a server begin converge runs and audits for comments and labels, and continue those under \
             way? `truing converge` and `truing audit` on the command line always do.",
    },
    ConfigKey {
        path: "converge.max_audits",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("10"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many audits a run makes at most; the next would end it as `cap-reached`.",
    },
    ConfigKey {
        path: "converge.gate_rounds",
        kind: ValueKind::Integer(0, 100),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many times the gate's violations are fixed before one audit; if the gate still blocks \
             then, the run ends with an error.",
    },
    ConfigKey {
        path: "converge.selfaudit_rounds",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many checks of a fix may find a problem; then the run is stuck.",
    },
    ConfigKey {
        path: "converge.parallel_from",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("4"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The first loop with several auditors.",
    },
    ConfigKey {
        path: "converge.auditors",
        kind: ValueKind::Integer(1, 16),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many auditors work in parallel from then on; their findings are merged.",
    },
    ConfigKey {
        path: "converge.audit_timeout",
        kind: WORK,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long an auditor may take.",
    },
    ConfigKey {
        path: "converge.fix_timeout",
        kind: WORK,
        default: KeyDefault::Text("45m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long a fixer may take.",
    },
    ConfigKey {
        path: "converge.worker_attempts",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("2"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many times an auditor is asked before it counts as failed to answer.",
    },
    ConfigKey {
        path: "converge.hook_retry",
        kind: ValueKind::Integer(0, 100),
        default: KeyDefault::Text("1"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many times a fix is repeated because a hook of the repository blocks it.",
    },
    ConfigKey {
        path: "converge.poll",
        kind: PERIOD_OF_OTHERS,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How often reviewers, checks and the forge are asked for progress. What the forge did not \
             answer is tried again after this time at the latest, though not before `forge.NAME.settle`.",
    },
    ConfigKey {
        path: "converge.poll_after_trigger",
        kind: PERIOD_OF_OTHERS,
        default: KeyDefault::Text("270s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long after a request to a reviewer Truing first checks for its answer.",
    },
    ConfigKey {
        path: "converge.reviewers",
        kind: ValueKind::Names,
        default: KeyDefault::Text("internal"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The reviewers that must find nothing on the same commit, in this order: `internal` is Truing's \
             own auditor, others are `bugbot`, `copilot` and the NAMEs of `[reviewer.NAME]`. On a local \
             branch `internal` alone is asked.",
    },
    ConfigKey {
        path: "converge.inline_lag_max",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many times Truing checks again for the comments of a reviewer whose text announces some; \
             then that text is what it found, or the run is blocked (`reviewer.NAME.dirty`).",
    },
    ConfigKey {
        path: "converge.min_blocking_severity",
        kind: ValueKind::Choice { supported: &["P0", "P1", "P2"], planned: &[] },
        default: KeyDefault::Text("P2"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The lowest severity that blocks. Findings below it are fixed once and may then stay.",
    },
    ConfigKey {
        path: "converge.event",
        kind: ValueKind::Choice { supported: &["COMMENT", "REQUEST_CHANGES"], planned: &[] },
        default: KeyDefault::Text("COMMENT"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The event, at the forge, of the reviews of a run that found something. A forge refuses \
             `REQUEST_CHANGES` of a pull request's own author. No review approves. At either Bitbucket an \
             audit that finds nothing takes back the request for changes of an earlier one; at GitHub it \
             stays until a person dismisses that review.",
    },
    ConfigKey {
        path: "converge.resolve_threads",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Resolve the threads of findings that are fixed.",
    },
    ConfigKey {
        path: "converge.mark_ready",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Mark a draft ready for review when it has converged.",
    },
    ConfigKey {
        path: "converge.update_description",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Rewrite the pull request's description at the end, so that it states what the change delivers.",
    },
    ConfigKey {
        path: "converge.allow_declined",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Let a run converge while findings stand that its fixers declined.",
    },
    ConfigKey {
        path: "converge.auto_rebase",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Have the forge merge the base branch into a pull request's branch that has fallen behind it, \
             and check everything again. Otherwise that blocks the run; a conflict always does.",
    },
    ConfigKey {
        path: "converge.final_fix",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Fix what the last audit found, though no audit of that fix follows.",
    },
    ConfigKey {
        path: "converge.label",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing:converge"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Setting this label on a pull request starts a run there, as the comment `/converge` does, if \
             the person who sets it may write to the repository. Only with a server; empty: no label does.",
    },
    ConfigKey {
        path: "converge.askers",
        kind: ValueKind::Accounts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The only accounts whose `/converge`, `/audit` and label a server follows, among those that may \
             write to the repository; by name, number or UUID, as `reviewer.NAME.logins`. Empty: all who may \
             write.",
    },
    ConfigKey {
        path: "converge.gate",
        kind: ValueKind::Commands,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Commands of the gate, which must pass before each audit, in order, such as \
             `[[\"ruff\", \"check\"]]`: 0 is clean, 1 means findings, and anything else that it could not \
             run. They run as `verify.check` does. Of lines `path:line: text` those on changed lines block; \
             lines without a place always do. The packs of `rules.packs` belong to the gate, too.",
    },
    ConfigKey {
        path: "converge.auditor",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that audits, in `truing converge` and `truing audit`, if it \
             is not `[model]`.",
    },
    ConfigKey {
        path: "converge.fixer",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that fixes what was found, if it is not `[model]`. Its cost \
             counts in the same run, `budget.converge_usd`. Flag `--fixer`.",
    },
    ConfigKey {
        path: "reviewer.NAME.logins",
        kind: ValueKind::Accounts,
        default: KeyDefault::Computed {
            words: "those of `bugbot` and `copilot`; required for others",
            example: "[\"helper[bot]\"]",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The accounts that it writes with, by name in any case, or by number or UUID (`{…}`). At \
             Bitbucket Cloud only a UUID identifies an account: anyone may take a name there.",
    },
    ConfigKey {
        path: "reviewer.NAME.trigger",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "`bugbot run` of `bugbot`, `request` of `copilot`, else `none`",
            example: "\"bugbot run\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How it is asked: `request` requests a review of its first login, `none` waits until it comes \
             by itself, and anything else is the whole text of a comment.",
    },
    ConfigKey {
        path: "reviewer.NAME.detector",
        kind: ValueKind::Text,
        default: KeyDefault::Text("review"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The sign that it has reviewed a commit: a review of its own (`review`), or an ended check run \
             (`check:NAME`). At Bitbucket Cloud an approval does not name its commit, and therefore counts \
             for none: name a build status there.",
    },
    ConfigKey {
        path: "reviewer.NAME.dirty",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "`found \\d+ potential issue` of `bugbot`, else none",
            example: "'found \\d+ potential issue'",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A regular expression for the text of those of its reviews that found something. Open comments \
             on the commit, and a review that requests changes, count in any case. If no comments on lines \
             follow, what the text itself says is fixed; except `bugbot`'s own, which holds only a number.",
    },
    ConfigKey {
        path: "reviewer.NAME.required",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Does a run stop if it gets no answer in time? Otherwise it continues and reports that.",
    },
    ConfigKey {
        path: "reviewer.NAME.budget",
        kind: PERIOD_OF_OTHERS,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long a run waits for its answer after each request.",
    },
    ConfigKey {
        path: "reviewer.NAME.requests",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How many times it is asked on one commit before it counts as failed to answer.",
    },
    ConfigKey {
        path: "budget.review_usd",
        kind: BUDGET,
        default: KeyDefault::Text("2.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "All attempts at reviewing one head of one pull request.",
    },
    ConfigKey {
        path: "budget.pr_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "All reviews, audits and converge runs of one pull request, as long as it lives; above it only \
             the rules review, and converge runs end. 0: no limit.",
    },
    ConfigKey {
        path: "budget.pr_ask_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The amount after which a person is asked: above it models wait, and one comment on the pull \
             request asks. `/spend` by a person who may write to the repository allows the same amount \
             again, at most `budget.pr_usd` in all. 0: no one is asked.",
    },
    ConfigKey {
        path: "budget.repo_day_usd",
        kind: BUDGET,
        default: KeyDefault::Text("5.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "All reviews of a repository in a day (UTC); above it only the rules review, and a model \
             reviews again on the next day. `repo.NAME.day_usd` is another repository's own.",
    },
    ConfigKey {
        path: "budget.converge_usd",
        kind: BUDGET,
        default: KeyDefault::Text("10.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "One run of the converge loop on one branch or pull request. What its team may spend in the \
             month counts, too.",
    },
    ConfigKey {
        path: "budget.converge_day_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "All converge runs and audits of a repository in a day (UTC). 0: no limit.",
    },
    ConfigKey {
        path: "budget.sync_usd",
        kind: BUDGET,
        default: KeyDefault::Text("5.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "One run of a job that follows a package. What its team may spend in the month counts, too.",
    },
    ConfigKey {
        path: "budget.sync_day_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "All runs of jobs that follow packages for a repository in a day (UTC). 0: no limit.",
    },
    ConfigKey {
        path: "budget.month_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Everything that this installation spends for repositories in a month (UTC), with or without a \
             team; above it only the rules review. 0: no limit.",
    },
    ConfigKey {
        path: "budget.prices",
        kind: ValueKind::File,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/model_prices.json\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A file of models' prices in LiteLLM's format (`model_prices_and_context_window.json`). They \
             count instead of those that Truing knows; a `[price.NAME]` counts instead of both.",
    },
    ConfigKey {
        path: "team.NAME.repos",
        kind: ValueKind::Repositories,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The team's repositories, such as `owner/*`, in any case. A repository may belong to several \
             teams and then uses the budget of each.",
    },
    ConfigKey {
        path: "team.NAME.month_usd",
        kind: BUDGET,
        default: KeyDefault::Computed { words: "none: any sum", example: "200.0" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What the team may spend in a month (UTC); above it only the rules review.",
    },
    ConfigKey {
        path: "repo.NAME.day_usd",
        kind: BUDGET,
        default: KeyDefault::Computed { words: "`budget.repo_day_usd`", example: "10.0" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "All reviews of this repository in a day (UTC).",
    },
    ConfigKey {
        path: "price.NAME.input",
        kind: PRICE,
        default: KeyDefault::Computed { words: "none: required, even if 0", example: "0" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The prompt.",
    },
    ConfigKey {
        path: "price.NAME.output",
        kind: PRICE,
        default: KeyDefault::Computed { words: "none: required, even if 0", example: "0" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The answer, thinking included.",
    },
    ConfigKey {
        path: "price.NAME.cache_read",
        kind: PRICE,
        default: KeyDefault::Computed { words: "what the prompt costs", example: "0" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What is read from a cache.",
    },
    ConfigKey {
        path: "price.NAME.cache_write_5m",
        kind: PRICE,
        default: KeyDefault::Computed { words: "what the prompt costs", example: "0" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What is written to a cache for five minutes.",
    },
    ConfigKey {
        path: "price.NAME.cache_write_1h",
        kind: PRICE,
        default: KeyDefault::Computed { words: "what five minutes cost", example: "0" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What is written to a cache for an hour.",
    },
    ConfigKey {
        path: "sync.model",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that writes code for the jobs and classifies changes, if it \
             is not `[model]`. No job may be called `model`.",
    },
    ConfigKey {
        path: "sync.NAME.registry",
        kind: ValueKind::Choice { supported: &["pypi", "npm", "crates"], planned: &[] },
        default: KeyDefault::Text("pypi"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Where the package is published. The index is the one that this user's package manager takes: \
             uv's or pip's variables, or `pip.conf`; `npm_config_registry`, or `~/.npmrc`; Cargo's \
             replacement of crates-io, in variables or `$CARGO_HOME/config.toml`. Files of a project are not \
             asked. Else it is pypi.org, registry.npmjs.org or index.crates.io.",
    },
    ConfigKey {
        path: "sync.NAME.package",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "the job's name", example: "\"botocore\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The package that is followed.",
    },
    ConfigKey {
        path: "sync.NAME.target",
        kind: ValueKind::Name,
        default: KeyDefault::Text("newest"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The release to follow: `newest`, which is never a pre-release or a withdrawn release; `safe`, \
             which is the newest release that requires no more than a wider range, and `newest` once there \
             is none; `+3`, which is `newest`, but at most three releases after the one that the project was \
             made for; or a version.",
    },
    ConfigKey {
        path: "sync.NAME.min_age",
        kind: ValueKind::Duration(Duration::ZERO, Duration::from_secs(366 * 24 * 60 * 60)),
        default: KeyDefault::Text("0s"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long ago the newest release must have been published to be followed. It needs an index \
             with publication dates.",
    },
    ConfigKey {
        path: "sync.NAME.constraint.file",
        kind: ValueKind::Name,
        default: KeyDefault::Computed {
            words: "`pyproject.toml`, `package.json` or `Cargo.toml`, by the registry",
            example: "\"pyproject.toml\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The file with the requirement that defines which releases the project admits: TOML, JSON, or \
             one that holds nothing but the version of a copy.",
    },
    ConfigKey {
        path: "sync.NAME.constraint.path",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "`project.dependencies`, or `dependencies` for npm and crates",
            example: "\"project.dependencies\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The list or table in that file: its keys, with dots between them. It must require the package \
             exactly once. With `vendored-version`: the version itself. A file that is neither TOML nor JSON \
             is taken whole.",
    },
    ConfigKey {
        path: "sync.NAME.constraint.style",
        kind: ValueKind::Choice {
            supported: &["keep", "exclusive-upper-next-patch", "exact", "caret", "vendored-version"],
            planned: &[],
        },
        default: KeyDefault::Text("keep"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What a new range looks like. `keep`: its bounds have as many numbers as before, so \
             `>=0.27,<0.28` becomes `>=0.28,<0.29` for 0.28.1; a form that it cannot keep becomes \
             `exclusive-upper-next-patch`, which ends before the patch after the release. `exact`: the \
             release alone. `caret`: the release and what promises to be compatible. `vendored-version`: no \
             range but the version of a copy.",
    },
    ConfigKey {
        path: "sync.NAME.manifest",
        kind: ValueKind::Name,
        default: KeyDefault::Text("upstream.json"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The file that lists the pinned definitions of the package, by module and name in Python, else \
             by file and name (`src/a.rs:Type.method`), or whole files: \
             `{\"module:Class.method\": [\"SHA-1 of its lines\", …]}`, JSON or TOML; or a Python test with \
             pairs of objects and digests (`.py`), which is read and never run. `none`: the project \
             overrides and copies nothing of the package; then its own checks (`verify.check`) decide, or \
             people do.",
    },
    ConfigKey {
        path: "sync.NAME.mirror",
        kind: ValueKind::Pairs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Folders or files of the package and their counterparts in the project, `UPSTREAM=OURS` such as \
             `botocore/=aiobotocore/`: changes in an upstream file that has a counterpart are checked, even \
             if they are not pinned. Empty: the files that something is pinned in.",
    },
    ConfigKey {
        path: "sync.NAME.companions",
        kind: ValueKind::Names,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Packages that have to move together with it, such as `boto3` with `botocore`: names for \
             `relax.lock`, whose command determines which of their releases are compatible.",
    },
    ConfigKey {
        path: "sync.NAME.relax.lock",
        kind: ValueKind::Commands,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Commands that bring the lock files up to date once the range is written, of a port too, such \
             as `[[\"uv\", \"lock\", \"--upgrade-package={{packages}}\"]]`. `{{package}}` and `{{version}}` \
             stand for the followed package and release; a word with `{{packages}}` is repeated for the \
             package and for each companion. They run as `verify.setup` does: in the sandbox, at `full`, on \
             a copy, with `verify.programs`, `verify.registries` and `verify.timeout`, and without secrets.",
    },
    ConfigKey {
        path: "sync.NAME.relax.lock_files",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(LOCK_FILES),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Globs of the files that lock commands may change, and which the change then has. One that \
             changes another file fails.",
    },
    ConfigKey {
        path: "sync.NAME.version_rule",
        kind: ValueKind::Choice { supported: &["none", "patch-on-relax-minor-on-bump"], planned: &[] },
        default: KeyDefault::Text("none"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How the project's own version is counted: not at all, or up by a patch on a relax and by a \
             minor on a bump, once until the repository has a tag of it (`1.2.3` or `v1.2.3`). It must be \
             MAJOR.MINOR.PATCH.",
    },
    ConfigKey {
        path: "sync.NAME.version.file",
        kind: ValueKind::Name,
        default: KeyDefault::Computed {
            words: "`pyproject.toml`, `package.json` or `Cargo.toml`, by the registry",
            example: "\"pyproject.toml\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The file with that version: TOML, JSON, a Python module, or one that holds nothing else.",
    },
    ConfigKey {
        path: "sync.NAME.version.path",
        kind: ValueKind::Name,
        default: KeyDefault::Computed {
            words: "`project.version`, `version`, `package.version`, or `__version__` in a Python module",
            example: "\"project.version\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Where it is in the file: its keys, with dots between them, or the name that a Python module \
             gives it on a line of its own. It must be there exactly once.",
    },
    ConfigKey {
        path: "sync.NAME.changelog.file",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"CHANGES.rst\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The project's changelog, in Markdown or reStructuredText, with versions in its headings. A \
             line of an entry without a tag is replaced, and its heading moved to the version of \
             `version_rule`; above an entry with a tag a new one is written like it. A heading that says \
             `Unreleased` stays.",
    },
    ConfigKey {
        path: "sync.NAME.changelog.entry",
        kind: ValueKind::Text,
        default: KeyDefault::Text("{{decision}} {{package}} dependency specification to {{range}}"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The line in the changelog: `{{decision}}`, `{{package}}`, `{{version}}` and `{{range}}` stand \
             for what they are. A line that it could have made for another release is replaced.",
    },
    ConfigKey {
        path: "sync.NAME.repo",
        kind: ValueKind::Repository,
        default: KeyDefault::Computed {
            words: "none: the job can decide, but not run",
            example: "\"owner/name\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The project's repository at the forge, `owner/name`: `truing sync run` brings its change \
             there.",
    },
    ConfigKey {
        path: "sync.NAME.forge",
        kind: ValueKind::Name,
        default: KeyDefault::Text("github"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The forge that the repository is at: the NAME of `[forge.NAME]`.",
    },
    ConfigKey {
        path: "sync.NAME.branch",
        kind: ValueKind::Branch,
        default: KeyDefault::Computed {
            words: "`truing/sync-` and the job's name",
            example: "\"truing/sync-botocore\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The branch that the job's pull request comes from. Only the job may use it: Truing rewrites it \
             unless a person works on it.",
    },
    ConfigKey {
        path: "sync.NAME.title",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "`Admit {{package}} up to {{version}}`, or `Follow {{package}} to {{version}}` for a port",
            example: "\"Bump {{package}} dependency specification\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The title of the job's pull request, and the first line of its commit. `{{package}}`, \
             `{{version}}` and `{{decision}}` (`relax` or `bump`) stand for what they are.",
    },
    ConfigKey {
        path: "sync.NAME.body_template",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "the template that the repository has for pull requests, and then what was done and why",
            example: "\"{{template}}\\n\\n## What it is\\n\\n{{text}}\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The text of the job's pull request, in Markdown: `{{template}}` stands for the repository's \
             own (`pull_request_template.md` of `.github`, the root or `docs`), `{{text}}` for what was done \
             and why, and the places of `title` for what they are.",
    },
    ConfigKey {
        path: "sync.NAME.labels",
        kind: ValueKind::Names,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Labels of the job's pull request, as long as it is open; others stay. A label that the \
             repository does not have is created. A draft gets none.",
    },
    ConfigKey {
        path: "sync.NAME.author_name",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The author name of its commits.",
    },
    ConfigKey {
        path: "sync.NAME.author_email",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing@users.noreply.github.com"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The address in its commits. Commits with it belong to the job, even if a person rebased them.",
    },
    ConfigKey {
        path: "sync.NAME.question_label",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing-sync-feedback"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The label of the issue in which the job asks people.",
    },
    ConfigKey {
        path: "sync.NAME.cron",
        kind: ValueKind::Cron,
        default: KeyDefault::Computed { words: "none: it runs only on request", example: "\"0 10 * * MON\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "When `truing serve` runs the job: a cron pattern, in UTC. Runs that were missed while no \
             server was running are made up for once, at the next start.",
    },
    ConfigKey {
        path: "sync.NAME.mode",
        kind: ValueKind::Choice { supported: &["relax", "code"], planned: &[] },
        default: KeyDefault::Text("relax"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "What a run may do by itself: `relax` widens the range and changes no code unless a person has \
             decided on `bump`; `code` lets a model port the code where a release asks for it.",
    },
    ConfigKey {
        path: "sync.NAME.classify",
        kind: ValueKind::Flag,
        default: KeyDefault::Computed {
            words: "true if a key of `[model]` is set, in a file or by a variable of Truing's own, or with \
                 `mode = \"code\"`",
            example: "true",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "May a model be asked, within `budget.sync_usd`, about functions that changed in mirrored files \
             beside what is pinned? Without it, and where the model cannot decide, a person is asked.",
    },
    ConfigKey {
        path: "sync.NAME.bump.paths",
        kind: ValueKind::Globs,
        default: KeyDefault::Computed {
            words: "the project's side of `mirror`, and folders `tests` and `test`",
            example: "[\"aiobotocore/**\", \"tests/**\"]",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Globs of the files that a port may change. The file with the requirement, the manifest, lock \
             files, pipelines and hooks are never among them.",
    },
    ConfigKey {
        path: "sync.NAME.outcome.issue",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Report the last runs in one issue, which is edited in place. If the issue is deleted, no other \
             is opened until a run without this key resets it.",
    },
    ConfigKey {
        path: "sync.NAME.outcome.label",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing-sync-outcome"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The label of that issue.",
    },
    ConfigKey {
        path: "sync.NAME.limits.turns",
        kind: ValueKind::Integer(2, 1000),
        default: KeyDefault::Text("50"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Answers of the model in one port. What one costs at most is `budget.sync_usd`.",
    },
    ConfigKey {
        path: "sync.NAME.limits.wall",
        kind: ValueKind::Duration(Duration::from_secs(10), Duration::from_secs(24 * 60 * 60)),
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long the model may take for one port. The project's checks come after it.",
    },
    ConfigKey {
        path: "sync.NAME.breaker.failures",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "This many failures in a row with one release and manifest open the circuit breaker: no run \
             begins until a person answers, or there is another release.",
    },
    ConfigKey {
        path: "sync.NAME.breaker.streak",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "This many failures in a row, across all releases, open it until a person answers.",
    },
    ConfigKey {
        path: "notify.webhook",
        kind: ValueKind::Sink(&["https"]),
        default: KeyDefault::Computed { words: "none", example: "{ env = \"NOTIFY_WEBHOOK\" }" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A webhook that takes `{\"text\": …}`, as Slack's do (http to a loopback address is allowed). \
             Anyone who knows such a URL can post with it: store it as a secret. If it is written out, \
             `config show` hides its path.",
    },
    ConfigKey {
        path: "notify.smtp",
        kind: ValueKind::Sink(&["smtps", "smtp"]),
        default: KeyDefault::Computed {
            words: "none",
            example: "\"smtps://USER@mail.example.org?to=oncall@example.org\"",
        },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "A mail server: `smtps://USER@HOST:PORT?to=A,B&from=C`, or `smtp://` with STARTTLS, which is \
             required except at a loopback address. Without `from` it is USER if that is an address, else \
             `truing@HOST`.",
    },
    ConfigKey {
        path: "notify.smtp_password",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ env = \"SMTP_PASSWORD\" }" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The password of USER in `notify.smtp`.",
    },
    ConfigKey {
        path: "telemetry.otlp_endpoint",
        kind: ValueKind::Url,
        default: KeyDefault::Computed { words: "none", example: "\"http://127.0.0.1:4318\"" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "The receiver's address; `/v1/traces` is added. Langfuse's ends with `/api/public/otel`.",
    },
    ConfigKey {
        path: "telemetry.headers",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ env = \"OTLP_HEADERS\" }" },
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Additional headers: `NAME=VALUE`, separated by commas.",
    },
    ConfigKey {
        path: "telemetry.capture_content",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "Are texts in traces: what a model is asked, answers, and reads? Secrets of known forms are \
             cut. Without it there are their hashes and sizes.",
    },
    ConfigKey {
        path: "retention.runs",
        kind: KEPT,
        default: KeyDefault::Text("90d"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long ended runs and the history of `truing why` are kept. Kept however old: of each pull \
             request what is shown on it, its findings, and its last reviewed run.",
    },
    ConfigKey {
        path: "retention.audit",
        kind: KEPT,
        default: KeyDefault::Text("400d"),
        repository: RepositoryOverride::No,
        since: "0.1.0",
        doc: "How long the audit log (`truing log`) and sent notices are kept.",
    },
];

/// A place in the tree of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyNode {
    /// A key, with its table entry.
    Key(&'static ConfigKey),
    /// A table that contains keys or tables.
    Section,
}

/// Returns a section's keys, each with its name in the section.
pub(crate) fn section_keys(section: &str) -> impl Iterator<Item = (&'static str, &'static ConfigKey)> {
    let all =
        KEYS.iter().filter_map(move |key| Some((key.path.strip_prefix(section)?.strip_prefix('.')?, key)));
    // Keys of a subsection such as `model.NAME` are left out.
    all.filter(|(name, _)| !name.starts_with("NAME."))
}

/// Files in which package managers record the selected versions.
const LOCK_FILES: &str = "**/Cargo.lock,**/package-lock.json,**/npm-shrinkwrap.json,**/yarn.lock,\
    **/pnpm-lock.yaml,**/bun.lock,**/bun.lockb,\
    **/uv.lock,**/poetry.lock,**/pdm.lock,**/Pipfile.lock,**/pylock.toml";

/// Returns the key or section at a path, if there is one.
pub(crate) fn find_node(path: &[&str]) -> Option<KeyNode> {
    let fits =
        |key: &ConfigKey| key.path.split('.').zip(path).all(|(part, given)| part == "NAME" || part == *given);
    let key = KEYS.iter().find(|key| fits(key) && key.path.split('.').count() >= path.len())?;
    Some(if key.path.split('.').count() == path.len() { KeyNode::Key(key) } else { KeyNode::Section })
}

/// Returns the table entry of a key that the program itself names, such as `server.lease`.
pub(crate) fn find_key(path: &str) -> Option<&'static ConfigKey> {
    let parts: Vec<&str> = path.split('.').collect();
    match find_node(&parts)? {
        KeyNode::Key(key) => Some(key),
        KeyNode::Section => None,
    }
}

/// Returns the known key or section nearest to an unknown path. A known key with the same last name counts as
/// very near, because the user may have set it in the wrong section.
pub(crate) fn nearest_key(path: &[&str]) -> String {
    let given = path.join(".");
    let name = match path {
        [section, name, _, ..] if NamedSection::from_word(section).is_some() => name,
        _ => "NAME",
    };
    let sections = SECTIONS.iter().filter_map(|(section, _)| section.split('.').next());
    let named = KEYS.iter().map(|key| key.path.replace("NAME", name)).chain(sections.map(str::to_owned));
    let score = |candidate: &str| {
        // An unknown path most likely means a known path with the same number of parts.
        let same_depth = if candidate.split('.').count() == path.len() { SAME_DEPTH } else { 0.0 };
        let last = candidate.rsplit('.').next();
        let misplaced = if last == path.last().copied() { SAME_NAME } else { 0.0 };
        same_depth + strsim::normalized_damerau_levenshtein(&given, candidate).max(misplaced)
    };
    named.max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or_default()
}

/// Similarity, from 0 to 1, of a key with the same last name.
const SAME_NAME: f64 = 0.9;
/// Bonus of a candidate with the same number of parts.
const SAME_DEPTH: f64 = 0.2;

/// The sections whose path contains `NAME`, which stands for a name that users choose or know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NamedSection {
    Forge,
    Team,
    Repo,
    Price,
    Sync,
    Reviewer,
    Model,
    Mcp,
    /// Section `tool.NAME`, or `[[tool]]` with a `name`.
    Tool,
}

impl NamedSection {
    /// Returns the named section that begins with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::Forge,
            Self::Team,
            Self::Repo,
            Self::Price,
            Self::Sync,
            Self::Reviewer,
            Self::Model,
            Self::Mcp,
            Self::Tool,
        ];
        all.into_iter().find(|named| named.as_str() == word)
    }

    /// Returns the first word of the paths of these sections.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Forge => "forge",
            Self::Team => "team",
            Self::Repo => "repo",
            Self::Price => "price",
            Self::Sync => "sync",
            Self::Reviewer => "reviewer",
            Self::Model => "model",
            Self::Mcp => "mcp",
            Self::Tool => "tool",
        }
    }

    /// Returns true if the name is valid for a section of this kind.
    pub(crate) fn may_be(self, name: &str) -> bool {
        let visible = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
        match self {
            Self::Forge | Self::Team | Self::Sync | Self::Model | Self::Mcp => super::value::is_name(name),
            Self::Reviewer => super::value::is_name(name) && name != INTERNAL,
            Self::Tool => super::value::is_name(name) || LINTERS.contains(&name),
            Self::Repo => {
                visible
                    && name.split('/').filter(|part| !part.is_empty()).count() == 2
                    && name.matches('/').count() == 1
            }
            Self::Price => visible,
        }
    }

    /// Returns the regular expression of valid names.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Self::Forge | Self::Team | Self::Sync | Self::Reviewer | Self::Model | Self::Mcp => {
                super::value::NAME_PATTERN
            }
            Self::Repo => "^[^/\\s]+/[^/\\s]+$",
            Self::Price => "^\\S+$",
            Self::Tool => TOOL_PATTERN,
        }
    }

    /// Returns a name for examples, as TOML writes it.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Forge => "github",
            Self::Team => "web",
            Self::Repo => "\"owner/name\"",
            Self::Price => "\"my-model\"",
            Self::Sync => "botocore",
            Self::Reviewer => "helper",
            Self::Model => "other",
            Self::Mcp => "docs",
            Self::Tool => "ruff",
        }
    }

    /// Returns true if the name of a variable can contain the names of these sections. Names of repositories
    /// and priced models contain dots and slashes, so variables cannot contain them.
    pub(crate) fn has_variables(self) -> bool {
        match self {
            Self::Forge | Self::Team | Self::Sync | Self::Reviewer | Self::Model | Self::Mcp | Self::Tool => {
                true
            }
            Self::Repo | Self::Price => false,
        }
    }

    /// Converts a name from its form in a variable: each `_` becomes `-`, or a blank if the result is a known
    /// tool's name with a blank.
    pub(crate) fn name_from_variable(self, text: &str) -> String {
        let name = text.replace('_', "-");
        let has_blank = |known: &&&str| known.contains(' ') && known.replace(' ', "-") == name;
        match LINTERS.iter().find(has_blank) {
            Some(known) if self == Self::Tool => (*known).to_owned(),
            Some(_) | None => name,
        }
    }
}

/// Regular expression for names of tools: a name that the operator chooses, or the name of a known tool.
const TOOL_PATTERN: &str = "^([a-z][a-z0-9-]*|go vet)$";

/// Returns the variable that sets a key; `None` if no variable can set the key.
pub(crate) fn key_variable(path: &str) -> Option<String> {
    let named = path.split('.').next().and_then(NamedSection::from_word);
    named.is_none_or(NamedSection::has_variables).then(|| variable_name(path))
}

/// Returns the variable that sets a key: `TRUING_` and the path in capitals, with `__` between its parts,
/// and `_` for `-` and for a blank.
pub fn variable_name(path: &str) -> String {
    format!("{VARIABLES}{}", path.to_uppercase().replace(['-', ' '], "_").replace('.', "__"))
}

/// Prefix of all our variables.
pub(crate) const VARIABLES: &str = "TRUING_";
