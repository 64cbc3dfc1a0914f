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
    Forbidden,
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
    ("model", "The model that reviews, if `review.runtime` selects a review by a model."),
    (
        "model.NAME",
        "Another model, under a name of your choice: lower-case letters, digits and `-`. Such a model is \
            used where a key or a flag names it, such as `converge.fixer` or `model.fallback`.",
    ),
    ("review", "The review loop."),
    (
        "mcp.NAME",
        "One MCP server, under a name of your choice: lower-case letters, digits and `-`. In reviews and \
            audits, a model may call the server's tools besides its built-in ones. A server is a program \
            (`command`), an address (`url`), or Truing's own tools (`forge`). A program runs in the \
            sandbox, at `full`, and may connect only to `hosts`. Each review and audit starts the server. \
            If a server fails, the review says so, and is partial.",
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
        "A repository's own tests: the commands that set them up, and the checks themselves. `truing \
            verify` tries them. All commands run in the sandbox, at `full`, on a copy of the files, \
            without secrets. The set-up may connect only to registries, and checks have no network. A \
            command is a list of words: `[\"cargo\", \"test\"]`; no shell runs unless a command names one. \
            In a variable, the lists are JSON.",
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
        "The price, in US dollars per million tokens, of a model that Truing does not know, or that \
            another provider serves. NAME is the requested model name, in quotes. A model without a price \
            is not used. `truing budget prices` shows all.",
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
            Without an address here, `OTEL_EXPORTER_OTLP_ENDPOINT` (and `_HEADERS`) is used, else \
            `LANGFUSE_PUBLIC_KEY`, `LANGFUSE_SECRET_KEY` and `LANGFUSE_BASE_URL`. A failed export does not \
            affect the run.",
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
const RETENTION_TIME: ValueKind =
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The store. `sqlite:PATH`: a file, for one process (a relative path starts at the folder of \
            the file that names it). `valkey://host:port/db`, with TLS `valkeys://`: the Valkey or Redis \
            server that keeps the slots of many processes. \
            `valkey+sentinel://host:port,host:port/NAME/db`, with TLS `valkeys+sentinel://`: the Sentinels \
            that know this server. A server on another machine needs TLS unless `?tls=off` is set. With a \
            server, `store.records` is required.",
    },
    ConfigKey {
        path: "store.records",
        kind: ValueKind::Store(RECORDS),
        default: KeyDefault::Computed { words: "none", example: "{ env = \"TRUING_DATABASE\" }" },
        repository: RepositoryOverride::Forbidden,
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
            words: "none, or the password in the URL",
            example: "{ env = \"VALKEY_PASSWORD\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.2.0",
        doc: "The password of the server in `store.url`.",
    },
    ConfigKey {
        path: "store.records_password",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "none, or the password in the URL",
            example: "{ env = \"POSTGRES_PASSWORD\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.2.0",
        doc: "The password of the user in `store.records`.",
    },
    ConfigKey {
        path: "store.folder",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed {
            words: "the folder that contains the database file; with Valkey, the folder `truing` in the \
                user's state folder",
            example: "\"/var/lib/truing\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.2.0",
        doc: "The folder for the local data of a machine: copies of repositories, and files of one run. \
             Processes of one machine share it.",
    },
    ConfigKey {
        path: "server.listen",
        kind: ValueKind::Address,
        default: KeyDefault::Text("127.0.0.1:8080"),
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A separate address for `/metrics`, which `server.listen` then no longer serves; port 0 takes \
            any free port.",
    },
    ConfigKey {
        path: "server.concurrency",
        kind: ValueKind::Integer(1, 1024),
        default: KeyDefault::Text("4"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many leases a process holds at once.",
    },
    ConfigKey {
        path: "server.concurrency_per_owner",
        kind: ValueKind::Integer(0, 1024),
        default: KeyDefault::Text("0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many leases of a process may be for repositories of one owner (organisation or user), so \
            that a large owner leaves places for others. 0: no limit. Repositories take turns in any case.",
    },
    ConfigKey {
        path: "server.lease",
        kind: PERIOD,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A worker that does not renew its lease for this long loses it, and another worker may take it.",
    },
    ConfigKey {
        path: "server.heartbeat",
        kind: PERIOD,
        default: KeyDefault::Text("10s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How often a worker renews its lease. The value must be less than two thirds of \
            `server.lease`: a worker that has not renewed its lease for that long stops itself.",
    },
    ConfigKey {
        path: "server.poll",
        kind: PERIOD,
        default: KeyDefault::Text("2s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How often the scheduler looks for due slots.",
    },
    ConfigKey {
        path: "server.rate_limit",
        kind: ValueKind::Integer(0, 1_000_000),
        default: KeyDefault::Text("5000"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many webhooks a second are accepted from one source address, with bursts of twice as \
            many. Further webhooks are answered with 429. 0: any number.",
    },
    ConfigKey {
        path: "server.sweep",
        kind: PERIOD,
        default: KeyDefault::Text("5m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How often Truing asks the forges for open pull requests and comments, to make up for lost \
            webhooks. These requests use at most a tenth of each forge's rate limit, or half at Bitbucket \
            Cloud, which does not report the remaining calls.",
    },
    ConfigKey {
        path: "server.trusted_proxies",
        kind: ValueKind::Networks,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Proxies in front of the service. Truing trusts `X-Forwarded-For` or `Forwarded` only from \
            these proxies, and only up to the last address that is not one of these proxies.",
    },
    ConfigKey {
        path: "forge.NAME.kind",
        kind: ValueKind::Choice { supported: &["github", "bitbucket", "bitbucket-dc"], planned: &[] },
        default: KeyDefault::Computed { words: "the forge's name", example: "\"github\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What kind of forge it is.",
    },
    ConfigKey {
        path: "forge.NAME.api_url",
        kind: ValueKind::Url,
        default: KeyDefault::Computed {
            words: "`https://api.github.com`, or `https://api.bitbucket.org/2.0`; for `bitbucket-dc`, this \
                key is required",
            example: "\"https://api.github.com\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address of the forge's REST API. Bitbucket Cloud's ends in `/2.0`; for a Bitbucket Data \
            Center, it is the server's own address.",
    },
    ConfigKey {
        path: "forge.NAME.email",
        kind: ValueKind::Email,
        default: KeyDefault::Computed { words: "none: `token` is an access token", example: "\"\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The e-mail address of the account that owns the API token in `token`. Only for Bitbucket \
            Cloud; an access token of a repository, a project or a workspace needs none.",
    },
    ConfigKey {
        path: "forge.NAME.account",
        kind: ValueKind::AccountUuid,
        default: KeyDefault::Computed { words: "none: the forge is asked", example: "\"\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The account that `token` writes as, by its UUID (`{…}`). Needed for an access token of \
            Bitbucket Cloud, which may not request its own account. docs/bitbucket.md explains how to find \
            the UUID.",
    },
    ConfigKey {
        path: "forge.NAME.git_url",
        kind: ValueKind::Url,
        default: KeyDefault::Computed {
            words: "`https://github.com`, or `https://bitbucket.org`; for `bitbucket-dc`, the path `/scm` \
                of `api_url`",
            example: "\"https://github.com\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Where its repositories are fetched from.",
    },
    ConfigKey {
        path: "forge.NAME.token",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "`{ env = \"GITHUB_TOKEN\" }` (`GH_TOKEN` for github.com if only that variable is set); \
                for Bitbucket, `{ env = \"BITBUCKET_TOKEN\" }`",
            example: "{ env = \"GITHUB_TOKEN\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The token that reads pull requests and writes comments and statuses. Not with `app_id`.",
    },
    ConfigKey {
        path: "forge.NAME.app_id",
        kind: ValueKind::Integer(1, MAX_APP_ID),
        default: KeyDefault::Computed { words: "none: `token` is used", example: "123456" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The number of a GitHub App to log in as, instead of `token`. The App gets tokens that are \
            valid for one repository and one hour. Requires `private_key`.",
    },
    ConfigKey {
        path: "forge.NAME.private_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ file = \"/etc/truing/app.pem\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The private key of the GitHub App, in PEM format, as downloaded from the App's settings page.",
    },
    ConfigKey {
        path: "forge.NAME.accounts",
        kind: ValueKind::Accounts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Accounts that wrote Truing's earlier comments, by number, UUID (`{…}`) or name. An example \
            is the token's owner, after a change to an App. Truing neither repeats nor edits their \
            comments. A number is safer than a name, because no other account can take over a number. At \
            Bitbucket Cloud only the UUID is accepted, because any account can take over a name.",
    },
    ConfigKey {
        path: "forge.NAME.webhook_secret",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "`{ env = \"GITHUB_WEBHOOK_SECRET\" }`; for Bitbucket, `{ env = \
                \"BITBUCKET_WEBHOOK_SECRET\" }`",
            example: "{ env = \"GITHUB_WEBHOOK_SECRET\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The secret that the forge signs webhooks with.",
    },
    ConfigKey {
        path: "forge.NAME.halted",
        kind: ValueKind::Choice { supported: &["refuse", "mark"], planned: &[] },
        default: KeyDefault::Computed {
            words: "`refuse`; for `bitbucket-dc`, `mark`",
            example: "\"refuse\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The answer to a webhook while the kill switch is on. `refuse`: 503. The forge may send the \
            webhook again, and the sweep after the switch is turned off finds the event. `mark`: 202, and \
            the pull request waits until the switch is off. A Bitbucket Data Center stops calling a \
            webhook that is refused repeatedly.",
    },
    ConfigKey {
        path: "forge.NAME.marker_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "the file `marker.key` beside the database, made once",
            example: "{ file = \"/var/lib/truing/marker.key\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The key that signs the markers in comments. With them Truing finds its comments again if \
             records are lost.",
    },
    ConfigKey {
        path: "forge.NAME.previous_marker_keys",
        kind: ValueKind::Secrets,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Keys that signed markers before `marker_key` was changed. Comments with such markers are \
            still recognised as Truing's. Comments in the database are recognised without the old keys.",
    },
    ConfigKey {
        path: "forge.NAME.settle",
        kind: DELAY,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long Truing waits before it searches the forge for an object whose create request got no \
             answer.",
    },
    ConfigKey {
        path: "forge.NAME.repositories",
        kind: ValueKind::Repositories,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The repositories to review, such as `owner/*`; upper and lower case do not matter. If the \
            list is empty, Truing serves every repository that the token sees, and each one that sends \
            webhooks. A personal token sees every repository that its owner may see. An access token of \
            Bitbucket Cloud sees the repositories of the workspaces in this list.",
    },
    ConfigKey {
        path: "forge.NAME.config_branches",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Branches besides the default branch, such as `release/*`, whose `.truing.toml` configures \
            the reviews of pull requests into them. For a branch without that file, the file of the \
            default branch is used. Anyone who may push to such a branch controls what is reviewed.",
    },
    ConfigKey {
        path: "model.provider",
        kind: ValueKind::Choice { supported: PROVIDERS, planned: PLANNED_PROVIDERS },
        default: KeyDefault::Text("anthropic"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Who serves the model. `anthropic`: any server that speaks the Messages API. `openai`: any \
            server that speaks Chat Completions (OpenAI, Azure, OpenRouter, LiteLLM, vLLM, llama.cpp, \
            Ollama). `aws`: the server of the Messages API on AWS. `bedrock`: Amazon Bedrock. Requests to \
            `aws` and `bedrock` are signed with the AWS credentials in `AWS_ACCESS_KEY_ID`, \
            `AWS_SECRET_ACCESS_KEY` and, for temporary credentials, `AWS_SESSION_TOKEN`. If these are not \
            set, the credentials come from AWS's own chain (profiles, web identity, containers, \
            instances), and are renewed before they expire. Requests to Bedrock carry a bearer token \
            instead if `AWS_BEARER_TOKEN_BEDROCK` or `model.api_key` is set. Variable \
            `CLAUDE_CODE_USE_ANTHROPIC_AWS=1` means `aws`, `CLAUDE_CODE_USE_BEDROCK=1` means `bedrock`.",
    },
    ConfigKey {
        path: "model.region",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"eu-central-1\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The region of AWS, with the providers `aws` and `bedrock`. Variables `AWS_REGION`, \
             `AWS_DEFAULT_REGION`.",
    },
    ConfigKey {
        path: "model.workspace_id",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"wrkspc_01\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The workspace that pays, with the provider `aws`. Variable `ANTHROPIC_AWS_WORKSPACE_ID`.",
    },
    ConfigKey {
        path: "model.api_version",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"2024-10-21\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The version of Azure's API, with the provider `openai` and an address that ends with a \
             deployment. Addresses that end with `/openai/v1` need none.",
    },
    ConfigKey {
        path: "model.effort",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none: it is not sent", example: "\"none\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How much the model thinks, with the provider `openai`: `none`, `minimal`, `low`, `medium` or \
            `high`, if the model accepts that value. Some of OpenAI's models call tools only with `none`.",
    },
    ConfigKey {
        path: "model.base_url",
        kind: ValueKind::Url,
        default: KeyDefault::Text("https://api.anthropic.com"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address of the model's API. Variable `ANTHROPIC_BASE_URL`, which applies only to the \
            provider `anthropic`. With the providers `aws` and `bedrock`, the default is the region's own \
            address. With the provider `openai`, `/chat/completions` is appended to the address, and the \
            default is `https://api.openai.com/v1`.",
    },
    ConfigKey {
        path: "model.api_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Variable("ANTHROPIC_API_KEY"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The API key. With the provider `openai`, the API key is in `OPENAI_API_KEY` for OpenAI \
            itself and for servers on this machine; for another server, this setting is required. An API \
            key alone costs nothing: `review.runtime` decides whether a model is called.",
    },
    ConfigKey {
        path: "model.name",
        kind: ValueKind::Name,
        default: KeyDefault::Text("claude-sonnet-5-5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The model's id. A model without a known price is refused.",
    },
    ConfigKey {
        path: "model.model_ids",
        kind: ValueKind::Ids,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The ids that Amazon Bedrock has for models, by the requested model name: inference profiles, \
            also as ARNs. The ids of other models are in a built-in table, with the prefix of the region's \
            own geography.",
    },
    ConfigKey {
        path: "model.fallback",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that is called while this model's provider is unavailable, \
            or the provider's spending cap is reached. Both models use the same budgets, and the outcome \
            names the model that answered.",
    },
    ConfigKey {
        path: "model.NAME.provider",
        kind: ValueKind::Choice { supported: PROVIDERS, planned: PLANNED_PROVIDERS },
        default: KeyDefault::Text("anthropic"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Who serves the model, as in `model.provider`; variables of other programs are ignored.",
    },
    ConfigKey {
        path: "model.NAME.region",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"eu-central-1\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The region of AWS, with the providers `aws` and `bedrock`.",
    },
    ConfigKey {
        path: "model.NAME.workspace_id",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"wrkspc_01\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The workspace that pays, with the provider `aws`.",
    },
    ConfigKey {
        path: "model.NAME.api_version",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"2024-10-21\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The version of Azure's API, as `model.api_version`.",
    },
    ConfigKey {
        path: "model.NAME.effort",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none: it is not sent", example: "\"none\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How much the model thinks, as `model.effort`.",
    },
    ConfigKey {
        path: "model.NAME.base_url",
        kind: ValueKind::Url,
        default: KeyDefault::Text("https://api.anthropic.com"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address of the model's Messages API, or with the provider `openai` of its Chat \
            Completions. With the providers `aws` and `bedrock`, the default is the region's own address.",
    },
    ConfigKey {
        path: "model.NAME.api_key",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed {
            words: "none: required, so that each key is sent only to its own endpoint",
            example: "{ env = \"OTHER_API_KEY\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The API key. The provider `aws` does not use an API key; for `bedrock`, the API key is the \
            bearer token, if requests are not signed.",
    },
    ConfigKey {
        path: "model.NAME.name",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none: required", example: "\"other-model\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The model's id. A model without a known price is refused; `[price.\"ID\"]` sets a price.",
    },
    ConfigKey {
        path: "model.NAME.model_ids",
        kind: ValueKind::Ids,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The ids that Amazon Bedrock has for models, as `model.model_ids`.",
    },
    ConfigKey {
        path: "review.runtime",
        kind: ValueKind::Choice { supported: &["rules", "native", "sdk", "cli"], planned: &[] },
        default: KeyDefault::Text("rules"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What reviews. `rules`: only the rules, without a model and without costs. `native` (also \
            called `sdk`): besides the rules, a model that reads the repository and reports. `cli`: the \
            same, but through the `claude` program that `review.claude` names. Flag `--runtime`; variable \
            `RUNTIME_MODE`.",
    },
    ConfigKey {
        path: "review.model",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that reviews, if it is not `[model]`.",
    },
    ConfigKey {
        path: "review.claude",
        kind: ValueKind::Program,
        default: KeyDefault::Text("claude"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The program of Claude Code, for the runtime `cli`: a path or a name. A relative path starts \
            at the configuration file's folder; in a variable, the path must be absolute. A name is \
            searched on `PATH`, but not in a repository that the command runs in or names. The program \
            runs in the sandbox (`full` only), without tools, settings and files of its own.",
    },
    ConfigKey {
        path: "review.claude_version",
        kind: ValueKind::Name,
        default: KeyDefault::Text(truing_core::agent::CLI_VERSION),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The exact version that this program must have, because its behaviour may change between \
            versions. To allow another version, set that version here.",
    },
    ConfigKey {
        path: "review.claude_start",
        kind: CALL,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long this program may take to print its version, and how long each run may take until \
            its first request to the model. If the version is late, the program is refused. If the request \
            is late, the run ends, and the review consists of the rules' findings.",
    },
    ConfigKey {
        path: "review.max_turns",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("25"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many answers of a model one review may take. In the last one the model must report what it \
             has found; the review is then partial.",
    },
    ConfigKey {
        path: "review.specialists",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Let several reviewers check each change in parallel instead of one. They check security, \
            code quality, test coverage and architecture; the repository may add up to four of its own \
            (`.claude/agents/NAME.md` on the branch that configures the review). Each reviewer may cost \
            $0.50, and all together may cost as much as a review. See docs/specialists.md.",
    },
    ConfigKey {
        path: "review.redact",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Remove secrets of a known form (the rules of kind `secret`) from every text for a model, in \
            all loops. Prompts and results of tools show `[secret cut]` in place of each secret. An edit \
            by a fixer that would change such a place is refused. With `false`, models see files \
            unchanged, except for the credentials of this program.",
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A folder with skills of your own, `NAME/SKILL.md`. A model that reviews sees these skills as \
            `org:NAME`, besides the built-in ones (`shipped:NAME`) and the repository's (`repo:NAME`, from \
            `.claude/skills` on the branch that configures the review). Your skills are read when the \
            program starts. A folder that is set must exist; the default folder may be missing.",
    },
    ConfigKey {
        path: "review.debounce",
        kind: DELAY,
        default: KeyDefault::Text("15s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A review begins this long after the last event.",
    },
    ConfigKey {
        path: "review.max_wait",
        kind: DELAY,
        default: KeyDefault::Text("2m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A review begins at the latest this long after the first event.",
    },
    ConfigKey {
        path: "review.quiet",
        kind: DELAY,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A storm of events ends after this long without an event; then the last head is reviewed.",
    },
    ConfigKey {
        path: "review.storm_max",
        kind: DELAY,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A storm of events ends at the latest this long after its first event.",
    },
    ConfigKey {
        path: "review.backoff",
        kind: DELAY,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The wait before the first retry of a failed run; it doubles each time.",
    },
    ConfigKey {
        path: "review.backoff_max",
        kind: DELAY,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The longest wait between two tries.",
    },
    ConfigKey {
        path: "review.attempts",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "After this many failed tries in a row a pull request is parked until a person resumes it.",
    },
    ConfigKey {
        path: "review.max_inline",
        kind: ValueKind::Integer(0, 1000),
        default: KeyDefault::Text("30"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many inline comments a pull request gets at most; further findings are listed in the \
             summary.",
    },
    ConfigKey {
        path: "review.existing",
        kind: ValueKind::Choice { supported: &["leave", "review"], planned: &[] },
        default: KeyDefault::Text("leave"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How to treat pull requests that were open before the server first saw their repository: \
            `leave` records their heads and reviews them when they change or a person requests it; \
            `review` reviews them at once.",
    },
    ConfigKey {
        path: "review.tier",
        kind: ValueKind::Choice { supported: &["off", "rules", "once", "settled", "deep"], planned: &[] },
        default: KeyDefault::Computed {
            words: "`deep` with `review.specialists`, else `settled`",
            example: "\"settled\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The tier of a pull request to which no rule of `review.for` applies. `off`: no review. \
            `rules`: rules and linters, without a model. `once`: one review by a model, and another on \
            request (`/review`). `settled`: a review of each settled head. `deep`: the same by \
            specialists. See docs/tiers.md.",
    },
    ConfigKey {
        path: "review.most",
        kind: ValueKind::Choice { supported: &["off", "rules", "once", "settled", "deep"], planned: &[] },
        default: KeyDefault::Computed { words: "`review.tier`", example: "\"settled\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The highest tier that the repository's own rules may set if no rule of the operator applies.",
    },
    ConfigKey {
        path: "review.for",
        kind: ValueKind::Tiers,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Adds,
        since: "0.1.0",
        doc: "Rules for the tier, as `[[review.for]]` tables. The first rule whose conditions all hold \
            sets the tier. Conditions: `repos` (globs of `owner/name`), `paths` (a changed file matches), \
            `only_paths` (every changed file matches), `authors` (ids, or names where they are unique), \
            `labels`, `titles`, `bases` (globs), `lines_over`, `lines_up_to`, `files_over`. Each rule has \
            a `tier`, and may have `most` (the highest tier that the repository's own rules may set) and a \
            `reason`. Rules in the repository's own file come after these, without `repos` and `most`. The \
            repository's rules may lower the tier, or raise it up to `most`.",
    },
    ConfigKey {
        path: "review.instructions",
        kind: ValueKind::Instructions,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Adds,
        since: "0.1.0",
        doc: "Instructions for the model that reviews, as `[[review.instructions]]` tables. Each has a \
            `text` of at most 4 KiB, which applies if a changed file matches one of the globs in `paths`. \
            The operator's tables may also have `repos` (globs of `owner/name`). Each configuration file \
            may have at most 20 of these tables. The repository's own instructions come after the \
            operator's, and are shown to the model as data, like its `CLAUDE.md`.",
    },
    ConfigKey {
        path: "review.tools",
        kind: ValueKind::Choice { supported: &["off", "auto"], planned: &[] },
        default: KeyDefault::Text("off"),
        repository: RepositoryOverride::SetsIfAllowed,
        since: "0.1.0",
        doc: "Runs linters in each review, and reports their findings as Truing's own: `auto` runs the \
            known tools that the repository configures and that are installed, and every `[[tool]]`; `off` \
            runs none. Flag `--tools` is the same as `auto`.",
    },
    ConfigKey {
        path: "mcp.NAME.command",
        kind: ValueKind::Command,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The server's program, which communicates over its standard streams, and its arguments. A \
            program with a `/` is a path, relative to the folder of the file that names it. Arguments are \
            passed unchanged, so give files in them by full paths. The program runs in an empty folder, \
            and sees only the files of the system and of `read`.",
    },
    ConfigKey {
        path: "mcp.NAME.read",
        kind: ValueKind::Folders,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Folders, besides the system's, whose files the program may read and run. Programs are found \
            in these folders and in their `bin`.",
    },
    ConfigKey {
        path: "mcp.NAME.env",
        kind: ValueKind::Names,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Variables that are passed on to the program, which sees no other variables of this process. \
            A variable that holds one of Truing's credentials is refused.",
    },
    ConfigKey {
        path: "mcp.NAME.hosts",
        kind: ValueKind::Hosts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Hosts that the program may connect to, each with its port; if the list is empty, the program \
            has no network. `HTTPS_PROXY` names a proxy that connects only to these hosts, only by TLS for \
            the requested host, and only at public addresses. Truing does not see what the program sends \
            there. An attempt to reach another host makes the review partial. For a server on a machine of \
            your own, give its `url`.",
    },
    ConfigKey {
        path: "mcp.NAME.url",
        kind: ValueKind::Endpoint,
        default: KeyDefault::Computed { words: "none", example: "\"https://mcp.example.org/mcp\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The server's address, instead of `command`. The address is used exactly as written, \
            including a trailing slash and a query, so do not put secrets into it. The calls of a model \
            leave this machine; a call that contains what looks like a secret is denied.",
    },
    ConfigKey {
        path: "mcp.NAME.forge",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"hub\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of a `[forge.NAME]`, instead of `command` and `url`. Reviews of this forge's pull \
            requests then get the reading tools of `truing mcp serve`, in this process. Each review can \
            read only its own repository.",
    },
    ConfigKey {
        path: "mcp.NAME.transport",
        kind: ValueKind::Choice { supported: &["stdio", "http", "sse"], planned: &[] },
        default: KeyDefault::Computed {
            words: "`stdio` with `command`, `http` (streamable HTTP) with `url`",
            example: "\"sse\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The transport: `sse` is HTTP with events, as older servers use it.",
    },
    ConfigKey {
        path: "mcp.NAME.token",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ env = \"DOCS_TOKEN\" }" },
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Headers that are sent to `url` with every request, each with the place of its secret. They \
            are sent nowhere else. Headers that HTTP or the protocol itself sets are refused, and so is \
            `Authorization` if `token` is set.",
    },
    ConfigKey {
        path: "mcp.NAME.tools",
        kind: ValueKind::Names,
        default: KeyDefault::Computed { words: "none: required", example: "[\"search\"]" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The names of the server's tools that a model may call. A tool that declares that it does \
            more than read is left out.",
    },
    ConfigKey {
        path: "mcp.NAME.timeout",
        kind: CALL,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long the server may take to be ready, and how long one call may take, including the wait \
            for other calls in the same run. If the server itself takes longer, it is not called again in \
            that review.",
    },
    ConfigKey {
        path: "mcp.NAME.max_output",
        kind: ValueKind::Integer(256, MAX_OUTPUT),
        default: KeyDefault::Text("16384"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The maximum number of bytes of one answer that a model sees.",
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
        doc: "The program and its arguments. `{files}` stands for the changed files; a command without it \
            is run as it is. A program with a `/` is a path: in the operator's file, relative to that \
            file's folder; in a repository's own file, relative to the repository's root.",
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
        doc: "The reviews in which the tool runs. `changed`: those in which a changed file matches \
            `paths`. `always`: every review. `never`: none, which also disables a known tool.",
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
        doc: "Another severity for the findings of a rule of a pack or a linter, such as `{ \
            \"core/rust-dbg\" = \"P2\" }`. For some files only, give a list: `{ \"core/rust-dbg\" = [{ \
            paths = [\"tests/**\"], severity = \"P2\" }] }`. The first entry that has a glob for the file, \
            or no `paths`, applies. A repository can set severities for rules that the operator does not \
            set.",
    },
    ConfigKey {
        path: "rules.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/rules\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A folder with further rule packs, each a folder that holds a folder `rules`: \
             `PACK/rules/RULE.yml`. `rules.packs` says which are used.",
    },
    ConfigKey {
        path: "rules.time",
        kind: WORK,
        default: KeyDefault::Text("2m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long the files of one review may be read, small ones first. Files that were not read in \
            time are listed as not reviewed; the review is `partial`. One file may take 2 s of work, and \
            64 MiB of memory plus 20 times its size. A file that takes more is checked only as text, and \
            is listed, too.",
    },
    ConfigKey {
        path: "prompts.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/prompts\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A folder with prompts of your own, such as `review/role.md`. Each prompt replaces the \
            built-in prompt of the same name. Try them with `truing prompts check`.",
    },
    ConfigKey {
        path: "policy.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/policy\"" },
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
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
        doc: "The registries that the set-up may reach, over https. If the user's own settings name an \
            index, that index replaces the registry: `UV_DEFAULT_INDEX`, `UV_INDEX_URL`, `PIP_INDEX_URL` \
            or pip.conf; `npm_config_registry` or .npmrc; the replacement of crates.io in Cargo's \
            config.toml. `UV_INDEX`, `UV_EXTRA_INDEX_URL` and `PIP_EXTRA_INDEX_URL` name further indexes. \
            An index that requires a login is refused.",
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The time limit of each command; then it is stopped with all processes that it started.",
    },
    ConfigKey {
        path: "verify.programs",
        kind: ValueKind::Folders,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Folders with programs, such as a toolchain's, besides the system's. Commands may read and \
            run the files in these folders, and find programs in them and in their `bin`.",
    },
    ConfigKey {
        path: "verify.memory_mib",
        kind: ValueKind::Integer(64, 1 << 20),
        default: KeyDefault::Text("4096"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Memory of all processes of a command together, in MiB. Shared memory and files in memory \
             count.",
    },
    ConfigKey {
        path: "verify.disk_mib",
        kind: ValueKind::Integer(16, 1 << 30),
        default: KeyDefault::Text("10240"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What a set-up, or the checks of a tree, may write, in MiB.",
    },
    ConfigKey {
        path: "verify.cache_mib",
        kind: ValueKind::Integer(0, 1 << 30),
        default: KeyDefault::Text("20480"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The size limit of cached set-ups, in MiB, in `truing/verify` of the user's cache folder \
             (`$XDG_CACHE_HOME`, else `~/.cache`). The least recently used is removed first.",
    },
    ConfigKey {
        path: "verify.cache_age",
        kind: ValueKind::Duration(Duration::ZERO, Duration::from_secs(366 * 24 * 60 * 60)),
        default: KeyDefault::Text("7d"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long a cached set-up is kept.",
    },
    ConfigKey {
        path: "converge.enabled",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether a server begins converge runs and audits for comments and labels, and continues \
            those that are in progress. `truing converge` and `truing audit` on the command line always \
            run.",
    },
    ConfigKey {
        path: "converge.max_audits",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("10"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many audits a run makes at most; instead of a further audit, the run ends as \
            `cap-reached`.",
    },
    ConfigKey {
        path: "converge.gate_rounds",
        kind: ValueKind::Integer(0, 100),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many times the gate's violations are fixed before one audit; if the gate still blocks \
             then, the run ends with an error.",
    },
    ConfigKey {
        path: "converge.selfaudit_rounds",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many checks of a fix may find a problem before the run ends as stuck.",
    },
    ConfigKey {
        path: "converge.parallel_from",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("4"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The number of the first loop in which several auditors work.",
    },
    ConfigKey {
        path: "converge.auditors",
        kind: ValueKind::Integer(1, 16),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many auditors work in parallel from the loop `converge.parallel_from` on; their findings \
            are merged.",
    },
    ConfigKey {
        path: "converge.audit_timeout",
        kind: WORK,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long an auditor may take.",
    },
    ConfigKey {
        path: "converge.fix_timeout",
        kind: WORK,
        default: KeyDefault::Text("45m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long a fixer may take.",
    },
    ConfigKey {
        path: "converge.worker_attempts",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("2"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many times an auditor is asked before it counts as failed to answer.",
    },
    ConfigKey {
        path: "converge.hook_retry",
        kind: ValueKind::Integer(0, 100),
        default: KeyDefault::Text("1"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many times a fix is repeated because a hook of the repository blocks it.",
    },
    ConfigKey {
        path: "converge.poll",
        kind: PERIOD_OF_OTHERS,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How often reviewers, checks and the forge are asked for progress. A request that the forge \
            did not answer is repeated after this time at the latest, but not before `forge.NAME.settle` \
            has passed.",
    },
    ConfigKey {
        path: "converge.poll_after_trigger",
        kind: PERIOD_OF_OTHERS,
        default: KeyDefault::Text("270s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long after a request to a reviewer Truing first checks for its answer.",
    },
    ConfigKey {
        path: "converge.reviewers",
        kind: ValueKind::Names,
        default: KeyDefault::Text("internal"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The reviewers that must find nothing on the same commit, in this order: `internal` is Truing's \
             own auditor, others are `bugbot`, `copilot` and the NAMEs of `[reviewer.NAME]`. On a local \
             branch `internal` alone is asked.",
    },
    ConfigKey {
        path: "converge.inline_lag_max",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many times Truing checks again for comments that a reviewer's text announces. After \
            that, the text itself counts as the finding, or the run is blocked (`reviewer.NAME.dirty`).",
    },
    ConfigKey {
        path: "converge.min_blocking_severity",
        kind: ValueKind::Choice { supported: &["P0", "P1", "P2"], planned: &[] },
        default: KeyDefault::Text("P2"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The lowest severity that blocks. Findings below it are fixed once and may then stay.",
    },
    ConfigKey {
        path: "converge.event",
        kind: ValueKind::Choice { supported: &["COMMENT", "REQUEST_CHANGES"], planned: &[] },
        default: KeyDefault::Text("COMMENT"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The review event that a run sends to the forge if it found something. A forge refuses \
            `REQUEST_CHANGES` from a pull request's own author. Truing's reviews never approve. At \
            Bitbucket Cloud and Data Center, an audit that finds nothing withdraws an earlier request for \
            changes. At GitHub, the request stays until a person dismisses that review.",
    },
    ConfigKey {
        path: "converge.resolve_threads",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Resolve the threads of findings that are fixed.",
    },
    ConfigKey {
        path: "converge.mark_ready",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Mark a draft ready for review when it has converged.",
    },
    ConfigKey {
        path: "converge.update_description",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Rewrite the pull request's description at the end, so that it states what the change delivers.",
    },
    ConfigKey {
        path: "converge.allow_declined",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Let a run converge even if there are findings that its fixers declined to fix.",
    },
    ConfigKey {
        path: "converge.auto_rebase",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Have the forge merge the base branch into a pull request's branch that has fallen behind it, \
            and check everything again. Otherwise such a branch blocks the run; a conflict always blocks \
            the run.",
    },
    ConfigKey {
        path: "converge.final_fix",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Fix what the last audit found, though no audit of that fix follows.",
    },
    ConfigKey {
        path: "converge.label",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing:converge"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Setting this label on a pull request starts a run for it, like the comment `/converge`, if \
            the person may write to the repository. Only with a server. Empty: no label starts a run.",
    },
    ConfigKey {
        path: "converge.askers",
        kind: ValueKind::Accounts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The accounts whose `/converge`, `/audit` and label a server follows, if they may write to \
            the repository. Give names, numbers or UUIDs, as in `reviewer.NAME.logins`. Empty: all \
            accounts that may write.",
    },
    ConfigKey {
        path: "converge.gate",
        kind: ValueKind::Commands,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Commands of the gate, in order, such as `[[\"ruff\", \"check\"]]`; all must pass before each \
            audit. Exit code 0 means clean, 1 means findings, and any other code means that the command \
            could not run. The commands run like those of `verify.check`. Output lines of the form \
            `path:line: text` block if they are about changed lines; lines without a place always block. \
            The packs of `rules.packs` belong to the gate, too.",
    },
    ConfigKey {
        path: "converge.auditor",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that audits, in `truing converge` and `truing audit`, if it \
             is not `[model]`.",
    },
    ConfigKey {
        path: "converge.fixer",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that fixes what was found, if it is not `[model]`. Its cost \
            counts toward the budget of the run, `budget.converge_usd`. Flag `--fixer`.",
    },
    ConfigKey {
        path: "reviewer.NAME.logins",
        kind: ValueKind::Accounts,
        default: KeyDefault::Computed {
            words: "those of `bugbot` and `copilot`; required for others",
            example: "[\"helper[bot]\"]",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The accounts that the reviewer writes with, by name (upper and lower case do not matter), \
            number or UUID (`{…}`). At Bitbucket Cloud only a UUID identifies an account: anyone may take \
            a name there.",
    },
    ConfigKey {
        path: "reviewer.NAME.trigger",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "`bugbot run` for `bugbot`, `request` for `copilot`, else `none`",
            example: "\"bugbot run\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How a review is requested. `request`: Truing requests a review from the reviewer's first \
            login. `none`: Truing waits for a review that begins by itself. Any other value is the whole \
            text of a comment.",
    },
    ConfigKey {
        path: "reviewer.NAME.detector",
        kind: ValueKind::Text,
        default: KeyDefault::Text("review"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The sign that the reviewer has reviewed a commit: its own review (`review`), or a completed \
            check run (`check:NAME`). At Bitbucket Cloud an approval does not name its commit and \
            therefore does not count, so name a build status.",
    },
    ConfigKey {
        path: "reviewer.NAME.dirty",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "`found \\d+ potential issue` for `bugbot`, else none",
            example: "'found \\d+ potential issue'",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A regular expression that matches the text of a review that found something. Open comments \
            on the commit, and a review that requests changes, always count as findings. If no comments on \
            lines follow, the findings in the text itself are fixed, except for `bugbot`, whose text holds \
            only a number.",
    },
    ConfigKey {
        path: "reviewer.NAME.required",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether a run stops if the reviewer does not answer in time. Otherwise the run continues and \
            reports the missing answer.",
    },
    ConfigKey {
        path: "reviewer.NAME.budget",
        kind: PERIOD_OF_OTHERS,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long a run waits for the reviewer's answer after each request.",
    },
    ConfigKey {
        path: "reviewer.NAME.requests",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many times a review of one commit is requested before the reviewer counts as failed to \
            answer.",
    },
    ConfigKey {
        path: "budget.review_usd",
        kind: BUDGET,
        default: KeyDefault::Text("2.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "All attempts at reviewing one head of one pull request.",
    },
    ConfigKey {
        path: "budget.pr_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "All reviews, audits and converge runs of one pull request, as long as it exists. Above this \
            limit, reviews use only the rules, and converge runs end. 0: no limit.",
    },
    ConfigKey {
        path: "budget.pr_ask_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The amount above which a person must approve further costs. Models then wait, and one \
            comment on the pull request asks for approval. `/spend` by a person who may write to the \
            repository allows the same amount again, at most `budget.pr_usd` in all. 0: no one is asked.",
    },
    ConfigKey {
        path: "budget.repo_day_usd",
        kind: BUDGET,
        default: KeyDefault::Text("5.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "All reviews of a repository in a day (UTC). Above this limit, reviews use only the rules \
            until the next day. `repo.NAME.day_usd` sets another limit for one repository.",
    },
    ConfigKey {
        path: "budget.converge_usd",
        kind: BUDGET,
        default: KeyDefault::Text("10.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "One run of the converge loop on one branch or pull request. The monthly limit of the \
            repository's team applies, too.",
    },
    ConfigKey {
        path: "budget.converge_day_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "All converge runs and audits of a repository in a day (UTC). 0: no limit.",
    },
    ConfigKey {
        path: "budget.sync_usd",
        kind: BUDGET,
        default: KeyDefault::Text("5.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "One run of a job that follows a package. The monthly limit of the repository's team applies, \
            too.",
    },
    ConfigKey {
        path: "budget.sync_day_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "All runs of jobs that follow packages for a repository in a day (UTC). 0: no limit.",
    },
    ConfigKey {
        path: "budget.month_usd",
        kind: BUDGET,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Everything that this installation spends for repositories in a month (UTC), with or without \
            a team. Above this limit, reviews use only the rules. 0: no limit.",
    },
    ConfigKey {
        path: "budget.prices",
        kind: ValueKind::File,
        default: KeyDefault::Computed { words: "none", example: "\"/etc/truing/model_prices.json\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A file of models' prices in LiteLLM's format (`model_prices_and_context_window.json`). These \
            prices replace those that Truing knows; a `[price.NAME]` replaces both.",
    },
    ConfigKey {
        path: "team.NAME.repos",
        kind: ValueKind::Repositories,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The team's repositories, such as `owner/*`; upper and lower case do not matter. A repository \
            may belong to several teams and then uses the budget of each.",
    },
    ConfigKey {
        path: "team.NAME.month_usd",
        kind: BUDGET,
        default: KeyDefault::Computed { words: "none: any sum", example: "200.0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What the team may spend in a month (UTC). Above this limit, reviews use only the rules.",
    },
    ConfigKey {
        path: "repo.NAME.day_usd",
        kind: BUDGET,
        default: KeyDefault::Computed { words: "`budget.repo_day_usd`", example: "10.0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "All reviews of this repository in a day (UTC).",
    },
    ConfigKey {
        path: "price.NAME.input",
        kind: PRICE,
        default: KeyDefault::Computed { words: "none: required, even if 0", example: "0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The prompt.",
    },
    ConfigKey {
        path: "price.NAME.output",
        kind: PRICE,
        default: KeyDefault::Computed { words: "none: required, even if 0", example: "0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The answer, thinking included.",
    },
    ConfigKey {
        path: "price.NAME.cache_read",
        kind: PRICE,
        default: KeyDefault::Computed { words: "what the prompt costs", example: "0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What is read from a cache.",
    },
    ConfigKey {
        path: "price.NAME.cache_write_5m",
        kind: PRICE,
        default: KeyDefault::Computed { words: "what the prompt costs", example: "0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What is written to a cache for five minutes.",
    },
    ConfigKey {
        path: "price.NAME.cache_write_1h",
        kind: PRICE,
        default: KeyDefault::Computed { words: "what five minutes cost", example: "0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What is written to a cache for an hour.",
    },
    ConfigKey {
        path: "sync.model",
        kind: ValueKind::Model,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that writes code for the jobs and classifies changes, if it \
             is not `[model]`. No job may be called `model`.",
    },
    ConfigKey {
        path: "sync.NAME.registry",
        kind: ValueKind::Choice { supported: &["pypi", "npm", "crates"], planned: &[] },
        default: KeyDefault::Text("pypi"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Where the package is published. The index is the one that this user's package manager uses. \
            It is set by uv's or pip's variables, or `pip.conf`; by `npm_config_registry`, or `~/.npmrc`; \
            or by Cargo's replacement of crates-io, in variables or `$CARGO_HOME/config.toml`. Files of a \
            project are ignored. Without such a setting, the index is pypi.org, registry.npmjs.org or \
            index.crates.io.",
    },
    ConfigKey {
        path: "sync.NAME.package",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "the job's name", example: "\"botocore\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The package that is followed.",
    },
    ConfigKey {
        path: "sync.NAME.target",
        kind: ValueKind::Name,
        default: KeyDefault::Text("newest"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The release to follow. `newest`: the newest release, but never a pre-release or a withdrawn \
            one. `safe`: the newest release for which only the range must be widened; if there is none, \
            `newest`. `+3`: like `newest`, but at most three releases after the one that the project was \
            made for. A version: that release.",
    },
    ConfigKey {
        path: "sync.NAME.min_age",
        kind: ValueKind::Duration(Duration::ZERO, Duration::from_secs(366 * 24 * 60 * 60)),
        default: KeyDefault::Text("0s"),
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The list or table in that file: its keys, with dots between them. It must require the \
            package exactly once. With `vendored-version`, the keys lead to the version itself. A file \
            that is neither TOML nor JSON is used as a whole.",
    },
    ConfigKey {
        path: "sync.NAME.constraint.style",
        kind: ValueKind::Choice {
            supported: &["keep", "exclusive-upper-next-patch", "exact", "caret", "vendored-version"],
            planned: &[],
        },
        default: KeyDefault::Text("keep"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What a new range looks like. `keep`: its bounds have as many numbers as before, so \
            `>=0.27,<0.28` becomes `>=0.28,<0.29` for 0.28.1; a form that cannot be kept becomes \
            `exclusive-upper-next-patch`, which ends before the next patch after the release. `exact`: \
            only the release. `caret`: the release and all that promise to be compatible. \
            `vendored-version`: the version of a copy, not a range.",
    },
    ConfigKey {
        path: "sync.NAME.manifest",
        kind: ValueKind::Name,
        default: KeyDefault::Text("upstream.json"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The file that lists the pinned definitions, or whole files, of the package. Definitions are \
            named by module and name in Python, else by file and name (`src/a.rs:Type.method`). The list \
            is `{\"module:Class.method\": [\"SHA-1 of its lines\", …]}`, in JSON or TOML. The file may \
            also be a Python test with pairs of objects and digests (`.py`), which is read and never run. \
            `none`: the project overrides and copies nothing of the package, so its own checks \
            (`verify.check`) or people decide.",
    },
    ConfigKey {
        path: "sync.NAME.mirror",
        kind: ValueKind::Pairs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Folders or files of the package and their counterparts in the project, `UPSTREAM=OURS` such as \
             `botocore/=aiobotocore/`: changes in an upstream file that has a counterpart are checked, even \
             if they are not pinned. Empty: the files that something is pinned in.",
    },
    ConfigKey {
        path: "sync.NAME.companions",
        kind: ValueKind::Names,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Packages that must be updated together with this one, such as `boto3` with `botocore`. Their \
            names are for `relax.lock`, whose command determines which of their releases are compatible.",
    },
    ConfigKey {
        path: "sync.NAME.relax.lock",
        kind: ValueKind::Commands,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Commands that update the lock files after the range is written, in a port, too, such as \
            `[[\"uv\", \"lock\", \"--upgrade-package={{packages}}\"]]`. `{{package}}` and `{{version}}` \
            stand for the followed package and release; a word with `{{packages}}` is repeated for the \
            package and for each companion. They run as `verify.setup` does: in the sandbox, at `full`, on \
            a copy, with `verify.programs`, `verify.registries` and `verify.timeout`, and without secrets.",
    },
    ConfigKey {
        path: "sync.NAME.relax.lock_files",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(LOCK_FILES),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Globs of the files that lock commands may change; the job's change then includes these \
            files. A command that changes another file fails.",
    },
    ConfigKey {
        path: "sync.NAME.version_rule",
        kind: ValueKind::Choice { supported: &["none", "patch-on-relax-minor-on-bump"], planned: &[] },
        default: KeyDefault::Text("none"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How the project's own version is raised: not at all, or by a patch on a relax and by a minor \
            on a bump. The version is raised only once, until the repository has a tag of it (`1.2.3` or \
            `v1.2.3`). The version must be MAJOR.MINOR.PATCH.",
    },
    ConfigKey {
        path: "sync.NAME.version.file",
        kind: ValueKind::Name,
        default: KeyDefault::Computed {
            words: "`pyproject.toml`, `package.json` or `Cargo.toml`, by the registry",
            example: "\"pyproject.toml\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The file with the project's own version: TOML, JSON, a Python module, or a file that holds \
            only the version.",
    },
    ConfigKey {
        path: "sync.NAME.version.path",
        kind: ValueKind::Name,
        default: KeyDefault::Computed {
            words: "`project.version`, `version`, `package.version`, or `__version__` in a Python module",
            example: "\"project.version\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Where the version is in the file: its keys, with dots between them, or the name that a \
            Python module gives it on a line of its own. The file must contain the version exactly once.",
    },
    ConfigKey {
        path: "sync.NAME.changelog.file",
        kind: ValueKind::Name,
        default: KeyDefault::Computed { words: "none", example: "\"CHANGES.rst\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The project's changelog, in Markdown or reStructuredText, with versions in its headings. If \
            the version of an entry has no tag, its line is replaced, and its heading gets the version of \
            `version_rule`. If the version has a tag, a new entry of the same form is written above the \
            tagged one. A heading that says `Unreleased` stays.",
    },
    ConfigKey {
        path: "sync.NAME.changelog.entry",
        kind: ValueKind::Text,
        default: KeyDefault::Text("{{decision}} {{package}} dependency specification to {{range}}"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The line in the changelog: `{{decision}}`, `{{package}}`, `{{version}}` and `{{range}}` \
            stand for their values. A line that this template could have produced for another release is \
            replaced.",
    },
    ConfigKey {
        path: "sync.NAME.repo",
        kind: ValueKind::Repository,
        default: KeyDefault::Computed {
            words: "none: the job can decide, but not run",
            example: "\"owner/name\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The project's repository at the forge, `owner/name`: `truing sync run` brings its change \
             there.",
    },
    ConfigKey {
        path: "sync.NAME.forge",
        kind: ValueKind::Name,
        default: KeyDefault::Text("github"),
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The title of the job's pull request, and the first line of its commit. `{{package}}`, \
            `{{version}}` and `{{decision}}` (`relax` or `bump`) stand for their values.",
    },
    ConfigKey {
        path: "sync.NAME.body_template",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            words: "the repository's template for pull requests, and then a description of the change and \
                its reasons",
            example: "\"{{template}}\\n\\n## What it is\\n\\n{{text}}\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The text of the job's pull request, in Markdown: `{{template}}` stands for the repository's \
            own (`pull_request_template.md` of `.github`, the root or `docs`), `{{text}}` for a \
            description of the change and its reasons, and the placeholders of `title` for their values.",
    },
    ConfigKey {
        path: "sync.NAME.labels",
        kind: ValueKind::Names,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Labels of the job's pull request, as long as it is open; others stay. A label that the \
             repository does not have is created. A draft gets none.",
    },
    ConfigKey {
        path: "sync.NAME.author_name",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The author name of its commits.",
    },
    ConfigKey {
        path: "sync.NAME.author_email",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing@users.noreply.github.com"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The e-mail address in the job's commits. Commits with this address belong to the job, even \
            if a person rebased them.",
    },
    ConfigKey {
        path: "sync.NAME.question_label",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing-sync-feedback"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The label of the issue in which the job asks people.",
    },
    ConfigKey {
        path: "sync.NAME.cron",
        kind: ValueKind::Cron,
        default: KeyDefault::Computed { words: "none: it runs only on request", example: "\"0 10 * * MON\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "When `truing serve` runs the job: a cron pattern, in UTC. Runs that were missed while no \
             server was running are made up for once, at the next start.",
    },
    ConfigKey {
        path: "sync.NAME.mode",
        kind: ValueKind::Choice { supported: &["relax", "code"], planned: &[] },
        default: KeyDefault::Text("relax"),
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether a model is asked, within `budget.sync_usd`, about functions that changed in mirrored \
            files but are not pinned. If `false`, and where the model cannot decide, a person is asked.",
    },
    ConfigKey {
        path: "sync.NAME.bump.paths",
        kind: ValueKind::Globs,
        default: KeyDefault::Computed {
            words: "the project's side of `mirror`, and folders `tests` and `test`",
            example: "[\"aiobotocore/**\", \"tests/**\"]",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Globs of the files that a port may change. The file with the requirement, the manifest, lock \
             files, pipelines and hooks are never among them.",
    },
    ConfigKey {
        path: "sync.NAME.outcome.issue",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Report the last runs in one issue, which is edited in place. If the issue is deleted, no other \
             is opened until a run without this key resets it.",
    },
    ConfigKey {
        path: "sync.NAME.outcome.label",
        kind: ValueKind::Name,
        default: KeyDefault::Text("truing-sync-outcome"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The label of the issue that reports the last runs.",
    },
    ConfigKey {
        path: "sync.NAME.limits.turns",
        kind: ValueKind::Integer(2, 1000),
        default: KeyDefault::Text("50"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How many answers of the model one port may take. `budget.sync_usd` limits the cost of a port.",
    },
    ConfigKey {
        path: "sync.NAME.limits.wall",
        kind: ValueKind::Duration(Duration::from_secs(10), Duration::from_secs(24 * 60 * 60)),
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long the model may take for one port. The project's checks come after it.",
    },
    ConfigKey {
        path: "sync.NAME.breaker.failures",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "This many failures in a row with one release and manifest open the circuit breaker: no run \
             begins until a person answers, or there is another release.",
    },
    ConfigKey {
        path: "sync.NAME.breaker.streak",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "This many failures in a row, across all releases, open the circuit breaker until a person \
            answers.",
    },
    ConfigKey {
        path: "notify.webhook",
        kind: ValueKind::Sink(&["https"]),
        default: KeyDefault::Computed { words: "none", example: "{ env = \"NOTIFY_WEBHOOK\" }" },
        repository: RepositoryOverride::Forbidden,
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
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A mail server: `smtps://USER@HOST:PORT?to=A,B&from=C`, or `smtp://` with STARTTLS, which is \
             required except at a loopback address. Without `from` it is USER if that is an address, else \
             `truing@HOST`.",
    },
    ConfigKey {
        path: "notify.smtp_password",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ env = \"SMTP_PASSWORD\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The password of USER in `notify.smtp`.",
    },
    ConfigKey {
        path: "telemetry.otlp_endpoint",
        kind: ValueKind::Url,
        default: KeyDefault::Computed { words: "none", example: "\"http://127.0.0.1:4318\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The receiver's address; `/v1/traces` is added. Langfuse's ends with `/api/public/otel`.",
    },
    ConfigKey {
        path: "telemetry.headers",
        kind: ValueKind::Secret,
        default: KeyDefault::Computed { words: "none", example: "{ env = \"OTLP_HEADERS\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Additional headers: `NAME=VALUE`, separated by commas.",
    },
    ConfigKey {
        path: "telemetry.capture_content",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether traces contain texts: the questions to a model, its answers, and the texts that it \
            reads. Secrets of known forms are removed. If `false`, traces contain only hashes and sizes of \
            the texts.",
    },
    ConfigKey {
        path: "retention.runs",
        kind: RETENTION_TIME,
        default: KeyDefault::Text("90d"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How long ended runs and the history of `truing why` are kept. For each pull request, the \
            texts shown on it, its findings, and its last reviewed run are kept, however old.",
    },
    ConfigKey {
        path: "retention.audit",
        kind: RETENTION_TIME,
        default: KeyDefault::Text("400d"),
        repository: RepositoryOverride::Forbidden,
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
