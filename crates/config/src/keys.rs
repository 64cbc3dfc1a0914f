//! The table of all configuration keys. Parsing, errors, `config show`, the JSON Schema, the commented file
//! of `truing init` and docs/reference/config.md derive from this table.
// long: one table, in the order in which all these outputs show the keys.

use std::time::Duration;

use truing_core::linter::LINTERS;

pub use super::value_kind::ValueKind;

/// A configuration key and its rules.
#[derive(Debug)]
pub struct ConfigKey {
    /// Dotted path of the key. `NAME` is a placeholder for the name of a forge, a team, a repository, a
    /// model, a job, a reviewer, a server or a tool.
    pub path: &'static str,
    /// Kind of the key's values.
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
    /// A text that is parsed like the value of an environment variable.
    Text(&'static str),
    /// The secret in this environment variable.
    SecretVariable(&'static str),
    /// A value that is computed from the environment or other settings.
    Computed {
        /// Description of the value.
        description: &'static str,
        /// Example in TOML for the commented file.
        example: &'static str,
    },
}

/// The permission of a repository's own file (`.truing.toml`) for a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RepositoryOverride {
    /// The file must not set the key, which is reserved to the operator.
    Forbidden,
    /// The file may set the key if the operator does not set it.
    MaySet,
    /// The file may set the key if the operator does not set it and `verify.from_repository` is true.
    MaySetIfAllowed,
    /// The file may add elements to the operator's value.
    MayAdd,
}

/// Name of Truing's own auditor in the list of reviewers.
pub const INTERNAL_REVIEWER: &str = "internal";

/// The word in `converge.gate` for a run of the repository's pre-commit hooks.
pub const PRE_COMMIT_PROGRAM: &str = "pre-commit";

/// Key with which the operator permits a repository to choose the commands that Truing runs for it.
pub(crate) const COMMANDS_PERMISSION_KEY: &str = "verify.from_repository";

/// Sections of the table in display order, each with its description.
pub const SECTIONS: &[(&str, &str)] = &[
    ("store", "Where all persistent data is stored."),
    ("server", "The service: `truing serve`."),
    (
        "forge.NAME",
        "One forge, under a name of your choice: lower-case letters, digits and `-`. Its webhooks arrive at \
         `/webhooks/NAME`.",
    ),
    ("model", "The model that reviews changes, if `review.runtime` selects a review by a model."),
    (
        "model.NAME",
        "Another model, under a name of your choice: lower-case letters, digits and `-`. Truing uses this \
            model where a key or a flag contains its name. Examples of such keys are `converge.fixer` and \
            `model.fallback`.",
    ),
    ("review", "The review loop."),
    (
        "mcp.NAME",
        "One MCP server, under a name of your choice: lower-case letters, digits and `-`. In reviews and \
            audits, a model may call the server's tools in addition to the built-in tools. A server is a \
            program (`command`), an address (`url`), or Truing's own tools (`forge`). A program runs in \
            the sandbox, and may connect only to `hosts`. Each review and each audit \
            starts the server. If a server fails, the review reports the failure and is partial.",
    ),
    (
        "tool.NAME",
        "One linter that reviews run if `review.tools` is `auto`. Under the name of a known tool (`ruff`, \
            `eslint`, `\"go vet\"`), set only the keys whose values differ from the tool's defaults. Under \
            another name of your choice (lower-case letters, digits and `-`), `command` and `format` are \
            required. `[[tool]]` with a `name` means the same as `[tool.NAME]`. A file must use one of \
            these two forms for all of its tools.",
    ),
    ("rules", "What the rules check."),
    ("prompts", "The prompts for models. `truing prompts list` shows them."),
    (
        "policy",
        "The policy for agents: the commands that agents may run, the files that they may change, \
        and the tools of servers that they may call. `truing policy show` prints the policy.",
    ),
    ("sandbox", "The sandbox in which commands of agents run and repository files are read."),
    (
        "verify",
        "A repository's own tests: the commands that set them up, and the checks themselves. `truing \
            verify` runs the set-up and the checks. All these commands run in the sandbox, \
            on a copy of the files, without secrets. The set-up may connect only to registries, and the \
            checks have no network. A command is a list of words, such as `[\"cargo\", \"test\"]`. Truing \
            runs no shell unless a command names a shell. In a variable, write the lists as JSON.",
    ),
    (
        "converge",
        "The converge loop. Truing audits and fixes a branch or a pull request until a new audit finds \
            nothing, or until Truing has another reason to stop.",
    ),
    (
        "reviewer.NAME",
        "One reviewer in addition to Truing's own auditor (`internal`), under a name of your choice: \
            lower-case letters, digits and `-`. Truing knows the reviewers `bugbot` (Cursor) and `copilot` \
            (GitHub), which need no settings.",
    ),
    (
        "budget",
        "Maximum costs of the work of models, in US dollars. Truing sends no request that could exceed a \
            limit.",
    ),
    (
        "team.NAME",
        "One team, under a name of your choice: lower-case letters, digits and `-`. The costs of all \
            repositories of the team in a month count against one limit.",
    ),
    ("repo.NAME", "One repository, by its name in quotes: `[repo.\"owner/name\"]`."),
    (
        "price.NAME",
        "Prices of one model, in US dollars per million tokens. Set the prices of a model that Truing does \
            not know, or that another provider serves. NAME is the requested model name, in quotes. Truing \
            does not use a model without a price. `truing budget prices` prints all prices.",
    ),
    ("sync", "The model for the jobs in the sections `[sync.NAME]`."),
    (
        "sync.NAME",
        "One job that follows an upstream package, under a name of your choice: lower-case letters, digits \
            and `-`. Paths are relative to the project's folder.",
    ),
    (
        "notify",
        "The recipients of notices. Truing sends a notice when the kill switch changes, when a pull \
            request is parked, and when half, 80 % or all of a budget is spent. Truing sends each notice \
            once.",
    ),
    (
        "telemetry",
        "Traces of the runs of every loop, which Truing sends over OTLP (HTTP, protobuf) in the format \
            that Langfuse reads. If `telemetry.otlp_endpoint` is not set, Truing uses the variables \
            `OTEL_EXPORTER_OTLP_ENDPOINT` (and `_HEADERS`). If these variables are not set either, Truing \
            uses `LANGFUSE_PUBLIC_KEY`, `LANGFUSE_SECRET_KEY` and `LANGFUSE_BASE_URL`. A failed export \
            does not affect the run.",
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
/// Values of `forge.NAME.commits`.
const COMMIT_METHODS: &[&str] = &["push", COMMITS_BY_API];
pub(crate) const COMMITS_BY_API: &str = "api";

const MAX_APP_ID: i64 = (1 << 53) - 1;
/// Range of retention times.
const RETENTION_RANGE: ValueKind =
    ValueKind::Duration(Duration::from_secs(24 * 60 * 60), Duration::from_secs(10 * 366 * 24 * 60 * 60));
/// Range of prices per million tokens.
const PRICE_RANGE: ValueKind = ValueKind::Usd(truing_core::price::MAX_USD_PER_MILLION);
/// Range of budgets in dollars.
const BUDGET_RANGE: ValueKind = ValueKind::Usd(1_000_000);
/// Range of delays, which may be zero.
const DELAY_RANGE: ValueKind = ValueKind::Duration(Duration::ZERO, Duration::from_secs(24 * 60 * 60));
/// Range of polling periods. A shorter period would make a process run in a busy loop.
const POLL_INTERVAL_RANGE: ValueKind =
    ValueKind::Duration(Duration::from_millis(10), Duration::from_secs(60 * 60));

/// Range of timeouts for programs and servers that a model depends on.
const CALL_TIMEOUT_RANGE: ValueKind =
    ValueKind::Duration(Duration::from_millis(10), Duration::from_secs(10 * 60));
/// Maximum number of bytes of a tool's output that a model receives.
const MAX_TOOL_OUTPUT_BYTES: i64 = truing_core::agent::MAX_OUTPUT_BYTES as i64;

/// Range of timeouts for one task of an agent.
const AGENT_TIMEOUT_RANGE: ValueKind =
    ValueKind::Duration(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
/// Range of intervals and timeouts for external reviewers.
const EXTERNAL_REVIEWER_TIME_RANGE: ValueKind =
    ValueKind::Duration(Duration::from_millis(10), Duration::from_secs(7 * 24 * 60 * 60));

/// URL schemes of a store in a file, and of servers that store slots. A scheme with an additional `s`, such
/// as `valkeys` or `rediss+sentinel`, means TLS.
pub const SLOT_STORE_SCHEMES: &[&str] = &[
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
pub const RECORD_STORE_SCHEMES: &[&str] = &["postgres", "postgresql"];

/// All keys, section by section.
pub const KEYS: &[ConfigKey] = &[
    ConfigKey {
        path: "store.url",
        kind: ValueKind::StoreAddress(SLOT_STORE_SCHEMES),
        default: KeyDefault::Computed {
            description: "`truing/truing.db` in the user's state folder (`$XDG_STATE_HOME`, else \
                `~/.local/state`)",
            example: "\"sqlite:/var/lib/truing/truing.db\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address of the store. `sqlite:PATH`: one file, for one process. A relative PATH starts \
            at the folder of the configuration file. `valkey://host:port/db`: the Valkey or Redis server \
            that keeps the slots of many processes. `valkey+sentinel://host:port,host:port/NAME/db`: the \
            Sentinels that know this server under the name NAME. `valkeys://` and `valkeys+sentinel://`: \
            the same addresses with TLS. A server on another machine needs TLS, unless the address \
            contains `?tls=off`. If the store is a server, `store.records` is required.",
    },
    ConfigKey {
        path: "store.records",
        kind: ValueKind::StoreAddress(RECORD_STORE_SCHEMES),
        default: KeyDefault::Computed { description: "none", example: "{ env = \"TRUING_DATABASE\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.2.0",
        doc: "The PostgreSQL database that keeps the records of many processes: \
            `postgres://user@host:port/database`. Set this key only if `store.url` is the address of a \
            Valkey or Redis server. A database server on another machine must offer TLS, unless the \
            address contains `?sslmode=disable`. All processes must sign with the same key, so \
            `forge.NAME.marker_key` is required.",
    },
    ConfigKey {
        path: "store.password",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed {
            description: "none, or the password in the URL",
            example: "{ env = \"VALKEY_PASSWORD\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.2.0",
        doc: "The password of the server in `store.url`.",
    },
    ConfigKey {
        path: "store.records_password",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed {
            description: "none, or the password in the URL",
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
            description: "the folder that contains the database file; with Valkey, the folder `truing` in \
                the \
                user's state folder",
            example: "\"/var/lib/truing\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.2.0",
        doc: "The folder for the local data of one machine: copies of repositories, and temporary files of \
            runs. All processes on the machine share this folder.",
    },
    ConfigKey {
        path: "server.listen",
        kind: ValueKind::ListenAddress,
        default: KeyDefault::Text("127.0.0.1:8080"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The IP address and port that the service listens on. With port 0, the system chooses a free \
            port.",
    },
    ConfigKey {
        path: "server.metrics_listen",
        kind: ValueKind::ListenAddress,
        default: KeyDefault::Computed {
            description: "none: `server.listen` also serves `/metrics`",
            example: "\"127.0.0.1:9090\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A separate IP address and port for `/metrics`. If this key is set, `server.listen` no longer \
            serves `/metrics`. With port 0, the system chooses a free port.",
    },
    ConfigKey {
        path: "server.concurrency",
        kind: ValueKind::Integer(1, 1024),
        default: KeyDefault::Text("4"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of leases that one process holds at the same time. Each run in progress needs \
            one lease.",
    },
    ConfigKey {
        path: "server.concurrency_per_owner",
        kind: ValueKind::Integer(0, 1024),
        default: KeyDefault::Text("0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of leases of one process for the repositories of one owner (organisation or \
            user). 0 means that there is no limit. With a limit, a large owner leaves some of the leases \
            (`server.concurrency`) for other owners. Repositories take turns even without a limit.",
    },
    ConfigKey {
        path: "server.lease",
        kind: POLL_INTERVAL_RANGE,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Time after which a worker loses a lease that it has not renewed. Another worker may then \
            take the lease.",
    },
    ConfigKey {
        path: "server.heartbeat",
        kind: POLL_INTERVAL_RANGE,
        default: KeyDefault::Text("10s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Interval at which a worker renews its lease. The interval must be less than two thirds of \
            `server.lease`. A worker that has not renewed its lease for two thirds of `server.lease` stops \
            itself.",
    },
    ConfigKey {
        path: "server.poll",
        kind: POLL_INTERVAL_RANGE,
        default: KeyDefault::Text("2s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Interval at which the scheduler searches for slots that are due.",
    },
    ConfigKey {
        path: "server.rate_limit",
        kind: ValueKind::Integer(0, 1_000_000),
        default: KeyDefault::Text("5000"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of webhooks per second that Truing accepts from one source address. 0 means \
            that there is no limit. A burst may have twice as many webhooks. Truing answers all further \
            webhooks with status 429.",
    },
    ConfigKey {
        path: "server.sweep",
        kind: POLL_INTERVAL_RANGE,
        default: KeyDefault::Text("5m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Interval at which Truing sweeps the forges. A sweep requests open pull requests and \
            comments, and so finds the changes whose webhooks were lost. The sweep uses no more than a \
            tenth of each forge's rate limit. At Bitbucket Cloud, which does not report the remaining \
            calls, the sweep uses no more than half of the rate limit.",
    },
    ConfigKey {
        path: "server.trusted_proxies",
        kind: ValueKind::Networks,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Addresses and networks of the proxies in front of the service. Truing reads \
            `X-Forwarded-For` or `Forwarded` only in requests from these proxies. The source address of \
            the request is the last address in the header that does not belong to one of these proxies. \
            Truing ignores all addresses before this address.",
    },
    ConfigKey {
        path: "forge.NAME.kind",
        kind: ValueKind::Choice { supported: &["github", "bitbucket", "bitbucket-dc"], planned: &[] },
        default: KeyDefault::Computed { description: "the forge's name", example: "\"github\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The kind of the forge. `github`: GitHub. `bitbucket`: Bitbucket Cloud. `bitbucket-dc`: \
            Bitbucket Data Center.",
    },
    ConfigKey {
        path: "forge.NAME.api_url",
        kind: ValueKind::Url,
        default: KeyDefault::Computed {
            description: "for `github`, `https://api.github.com`; for `bitbucket`, \
                `https://api.bitbucket.org/2.0`; for `bitbucket-dc`, this key is required",
            example: "\"https://api.github.com\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address of the forge's REST API. For Bitbucket Cloud, the address ends with `/2.0`. For \
            Bitbucket Data Center, set the server's own address.",
    },
    ConfigKey {
        path: "forge.NAME.email",
        kind: ValueKind::Email,
        default: KeyDefault::Computed { description: "none: `token` is an access token", example: "\"\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The e-mail address of the account that owns the API token in `token`. Set this key only for \
            an API token of Bitbucket Cloud. An access token of a repository, a project or a workspace \
            needs no e-mail address.",
    },
    ConfigKey {
        path: "forge.NAME.account",
        kind: ValueKind::AccountUuid,
        default: KeyDefault::Computed {
            description: "none: Truing requests the account from the forge",
            example: "\"\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The UUID (`{…}`) of the account under which Truing writes when it uses `token`. This key is \
            required for an access token of Bitbucket Cloud, because such a token may not request its own \
            account. docs/bitbucket.md explains how to find the UUID.",
    },
    ConfigKey {
        path: "forge.NAME.git_url",
        kind: ValueKind::Url,
        default: KeyDefault::Computed {
            description: "for `github`, `https://github.com`; for `bitbucket`, `https://bitbucket.org`; for \
                `bitbucket-dc`, the path `/scm` below `api_url`",
            example: "\"https://github.com\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address from which Truing fetches the forge's repositories.",
    },
    ConfigKey {
        path: "forge.NAME.token",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed {
            description: "for GitHub, `{ env = \"GITHUB_TOKEN\" }`, or `GH_TOKEN` for github.com if only \
                `GH_TOKEN` is set; for Bitbucket, `{ env = \"BITBUCKET_TOKEN\" }`",
            example: "{ env = \"GITHUB_TOKEN\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The token with which Truing reads pull requests, and writes comments and statuses. Do not \
            set this key together with `app_id`.",
    },
    ConfigKey {
        path: "forge.NAME.app_id",
        kind: ValueKind::Integer(1, MAX_APP_ID),
        default: KeyDefault::Computed { description: "none: `token` is used", example: "123456" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The number of the GitHub App. If this key is set, Truing logs in as this App instead of \
            with `token`, and `private_key` is required. Each token of the App is valid for one \
            repository and one hour.",
    },
    ConfigKey {
        path: "forge.NAME.private_key",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed { description: "none", example: "{ file = \"/etc/truing/app.pem\" }" },
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
        doc: "Accounts that wrote Truing's earlier comments, each by its number, UUID (`{…}`) or name. For \
            example, after a change from a token to an App, list the token's owner. Truing neither repeats \
            nor edits the comments of these accounts. A number is safer than a name, because no other \
            account can take over a number. At Bitbucket Cloud only the UUID is accepted, because any \
            account can take over a name.",
    },
    ConfigKey {
        path: "forge.NAME.may_command",
        kind: ValueKind::Accounts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.2.0",
        doc: "Accounts whose commands in comments count if the forge does not let the token read who may \
            write to a repository (status 403). Name each by its UUID (`{…}`) at Bitbucket Cloud, and by \
            its number at the other forges. A renamed account keeps the right, and an account that takes \
            over the name does not get it. Remove an account that leaves: Truing cannot see that it has \
            left. If the token may read who may write, only the forge's answer counts.",
    },
    ConfigKey {
        path: "forge.NAME.webhook_secret",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed {
            description: "for GitHub, `{ env = \"GITHUB_WEBHOOK_SECRET\" }`; for Bitbucket, `{ env = \
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
            description: "`refuse`; for `bitbucket-dc`, `mark`",
            example: "\"refuse\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The answer to a webhook while the kill switch is on. `refuse`: Truing answers with status \
            503. The forge may send the webhook again. Once the kill switch is off, the next sweep finds \
            the event in any case. `mark`: Truing answers with status 202, and the pull request waits \
            until the kill switch is off. A Bitbucket Data Center stops calling a webhook after repeated \
            refusals.",
    },
    ConfigKey {
        path: "forge.NAME.marker_key",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed {
            description: "the file `marker.key` beside the database; Truing creates this file once",
            example: "{ file = \"/var/lib/truing/marker.key\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The key that signs the markers in Truing's comments. By these markers, Truing recognises its \
            comments even if its records are lost.",
    },
    ConfigKey {
        path: "forge.NAME.previous_marker_keys",
        kind: ValueKind::SecretLocations,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Keys that signed markers before `marker_key` was changed. Truing still recognises comments \
            with such markers as its own. For comments that are recorded in the database, Truing does not \
            need the old keys.",
    },
    ConfigKey {
        path: "forge.NAME.settle",
        kind: DELAY_RANGE,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Time that Truing waits after a request to create an object got no answer. Truing then \
            searches the forge for the object.",
    },
    ConfigKey {
        path: "forge.NAME.repositories",
        kind: ValueKind::RepositoryGlobs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The repositories that Truing reviews, as globs such as `owner/*`. Upper and lower case do \
            not matter. If the list is empty, Truing serves every repository that the token sees, and \
            every repository that sends webhooks. A personal token sees every repository that its owner \
            may see. An access token of Bitbucket Cloud sees the repositories of the workspaces in this \
            list.",
    },
    ConfigKey {
        path: "forge.NAME.config_branches",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Globs of branches in addition to the default branch, such as `release/*`. The `.truing.toml` \
            of such a branch configures the reviews of pull requests into the branch. If the branch has no \
            `.truing.toml`, Truing uses the file of the default branch. Anyone who may push to such a \
            branch controls what Truing reviews.",
    },
    ConfigKey {
        path: "forge.NAME.commits",
        kind: ValueKind::Choice { supported: COMMIT_METHODS, planned: &[] },
        default: KeyDefault::Text("push"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The way in which commits get to the forge. `push`: git pushes them. `api`, only at GitHub: \
            GitHub creates each commit, by `createCommitOnBranch`, and shows it as verified; its author \
            is the account of the token or App. The API cannot create executable files, links, changes \
            of a file's mode, merges, and commits above 20 MiB. Git pushes such commits, and the run says \
            so.",
    },
    ConfigKey {
        path: "forge.NAME.sign.ssh_key",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed {
            description: "none; commits are not signed",
            example: "{ file = \"/etc/truing/signing_key\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The private SSH key, without a passphrase, that signs the commits that git pushes. The \
            program `ssh-keygen` must be installed. Register the public key at the forge as a signing key \
            of Truing's account. Use an Ed25519 or RSA key: the signatures of other keys differ at each \
            attempt.",
    },
    ConfigKey {
        path: "model.provider",
        kind: ValueKind::Choice { supported: PROVIDERS, planned: PLANNED_PROVIDERS },
        default: KeyDefault::Text("anthropic"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The provider that serves the model. `anthropic`: any server with the Messages API. `openai`: \
            any server with Chat Completions (OpenAI, Azure, OpenRouter, LiteLLM, vLLM, llama.cpp, \
            Ollama). `aws`: the server of the Messages API on AWS. `bedrock`: Amazon Bedrock. For `aws` \
            and `bedrock`, Truing signs requests with the AWS credentials in `AWS_ACCESS_KEY_ID`, \
            `AWS_SECRET_ACCESS_KEY` and, for temporary credentials, `AWS_SESSION_TOKEN`. If these \
            variables are not set, Truing searches AWS's own sources of credentials: profiles, web \
            identity, containers and instances. Truing renews credentials from these sources before they \
            expire. If `AWS_BEARER_TOKEN_BEDROCK` or `model.api_key` is set, requests to Bedrock carry a \
            bearer token instead of a signature. The variable `CLAUDE_CODE_USE_ANTHROPIC_AWS=1` selects \
            `aws`, and `CLAUDE_CODE_USE_BEDROCK=1` selects `bedrock`.",
    },
    ConfigKey {
        path: "model.region",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"eu-central-1\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The AWS region, for the providers `aws` and `bedrock`. The variables `AWS_REGION` and \
            `AWS_DEFAULT_REGION` also set this key.",
    },
    ConfigKey {
        path: "model.workspace_id",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"wrkspc_01\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The workspace that is charged, for the provider `aws`. The variable \
            `ANTHROPIC_AWS_WORKSPACE_ID` also sets this key.",
    },
    ConfigKey {
        path: "model.api_version",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"2024-10-21\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The version of Azure's API, for the provider `openai` and an address that ends with the name \
            of a deployment. An address that ends with `/openai/v1` needs no version.",
    },
    ConfigKey {
        path: "model.effort",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none: Truing sends no effort", example: "\"none\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How much the model thinks before it answers, for the provider `openai`. The values are \
            `none`, `minimal`, `low`, `medium` and `high`; a model may accept only some of these values. \
            Some of OpenAI's models can call tools only if the value is `none`.",
    },
    ConfigKey {
        path: "model.base_url",
        kind: ValueKind::Url,
        default: KeyDefault::Text("https://api.anthropic.com"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address of the model's API. For the provider `anthropic`, the variable \
            `ANTHROPIC_BASE_URL` also sets this key. For the providers `aws` and `bedrock`, the default is \
            the address of the region. For the provider `openai`, the default is \
            `https://api.openai.com/v1`, and Truing appends `/chat/completions` to the address.",
    },
    ConfigKey {
        path: "model.api_key",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::SecretVariable("ANTHROPIC_API_KEY"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The API key for the model. For the provider `openai`, the default is the variable \
            `OPENAI_API_KEY`, but only for OpenAI itself and for servers on this machine. For any other \
            server of this provider, `model.api_key` is required. An API key alone causes no cost, because \
            `review.runtime` decides whether a model is called.",
    },
    ConfigKey {
        path: "model.oauth_token",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::SecretVariable("CLAUDE_CODE_OAUTH_TOKEN"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The token of a subscription to Claude, which `claude setup-token` creates. Truing uses it only \
            with the runtime `cli` and the provider `anthropic`, and only if `model.api_key` is not set.",
    },
    ConfigKey {
        path: "model.claude_config_dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { description: "none", example: "\"/home/ada/.claude\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The configuration folder of a `claude` that is logged in to a subscription. Truing reads the \
            token in its file `.credentials.json` for each request, and never changes the file. If \
            `model.oauth_token` is set too, Truing uses that token instead.",
    },
    ConfigKey {
        path: "model.name",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("claude-sonnet-5-5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The model's id. Truing refuses a model without a known price.",
    },
    ConfigKey {
        path: "model.model_ids",
        kind: ValueKind::IdsByName,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The ids that models have at Amazon Bedrock, by the requested model name. An id is an \
            inference profile, which may be given as an ARN. For a model that is not listed here, Truing \
            uses a built-in table of ids, with the prefix of the region's own geography.",
    },
    ConfigKey {
        path: "model.fallback",
        kind: ValueKind::ModelSection,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that Truing calls while this model's provider is \
            unavailable or has reached its spending cap. Both models use the same budgets. The outcome of \
            a run names the model that answered.",
    },
    ConfigKey {
        path: "model.NAME.provider",
        kind: ValueKind::Choice { supported: PROVIDERS, planned: PLANNED_PROVIDERS },
        default: KeyDefault::Text("anthropic"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The provider that serves the model, as in `model.provider`. Variables of other programs do \
            not set this key.",
    },
    ConfigKey {
        path: "model.NAME.region",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"eu-central-1\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The AWS region, for the providers `aws` and `bedrock`.",
    },
    ConfigKey {
        path: "model.NAME.workspace_id",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"wrkspc_01\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The workspace that is charged, for the provider `aws`.",
    },
    ConfigKey {
        path: "model.NAME.api_version",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"2024-10-21\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The version of Azure's API, as in `model.api_version`.",
    },
    ConfigKey {
        path: "model.NAME.effort",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none: Truing sends no effort", example: "\"none\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How much the model thinks before it answers, as in `model.effort`.",
    },
    ConfigKey {
        path: "model.NAME.base_url",
        kind: ValueKind::Url,
        default: KeyDefault::Text("https://api.anthropic.com"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The address of the model's API: the Messages API or, for the provider `openai`, Chat \
            Completions. For the providers `aws` and `bedrock`, the default is the address of the region.",
    },
    ConfigKey {
        path: "model.NAME.api_key",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed {
            description: "none: this key is required, so that Truing sends each API key only to its own \
                endpoint",
            example: "{ env = \"OTHER_API_KEY\" }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The API key for the model. The provider `aws` uses no API key. For the provider `bedrock`, \
            the API key is the bearer token that requests carry instead of a signature.",
    },
    ConfigKey {
        path: "model.NAME.name",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none: required", example: "\"other-model\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The model's id. Truing refuses a model without a known price. Set the price in \
            `[price.\"ID\"]`.",
    },
    ConfigKey {
        path: "model.NAME.model_ids",
        kind: ValueKind::IdsByName,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The ids that models have at Amazon Bedrock, as in `model.model_ids`.",
    },
    ConfigKey {
        path: "review.runtime",
        kind: ValueKind::Choice { supported: &["rules", "native", "sdk", "cli"], planned: &[] },
        default: KeyDefault::Text("rules"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What reviews a change: only the rules, or also a model. `rules`: only the rules review the \
            change, without a model and without costs. `native` (also called `sdk`): in addition to the \
            rules, a model reads the repository and reports findings. `cli`: the same as `native`, but the \
            `claude` program that `review.claude` names holds the conversation with the model. The flag \
            `--runtime` and the variable `RUNTIME_MODE` also set this key.",
    },
    ConfigKey {
        path: "review.model",
        kind: ValueKind::ModelSection,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that reviews changes. If this key is empty, the model in \
            `[model]` reviews them.",
    },
    ConfigKey {
        path: "review.claude",
        kind: ValueKind::Program,
        default: KeyDefault::Text("claude"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The program of Claude Code for the runtime `cli`: a path or a name. A relative path starts \
            at the folder of the configuration file; in a variable, the path must be absolute. If the \
            value is a name, Truing searches for the program in the folders of `PATH`, except folders \
            inside the repository of the current folder or of the command's target. The program runs only \
            in the sandbox, without tools, settings and files of its own.",
    },
    ConfigKey {
        path: "review.claude_version",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text(truing_core::agent::CLI_VERSION),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The exact version that the program in `review.claude` must have. To allow another version, \
            set that version here. Truing requires an exact version, because the program's behaviour may \
            change between versions.",
    },
    ConfigKey {
        path: "review.claude_start",
        kind: CALL_TIMEOUT_RANGE,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum time for the program in `review.claude` to print its version, and for each run to \
            send its first request to the model. If the version is late, Truing refuses the program. If \
            the first request is late, the run ends, and the review consists of the rules' findings.",
    },
    ConfigKey {
        path: "review.max_turns",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("25"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of turns (responses of the model) in one review. In the last turn, the model \
            must report what it has found so far. A review that reaches its last turn is partial.",
    },
    ConfigKey {
        path: "review.specialists",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "If `true`, several reviewers check each change in parallel, instead of one reviewer. The \
            built-in reviewers check security, code quality, test coverage and architecture. The \
            repository may add up to four reviewers of its own, in `.claude/agents/NAME.md` on the branch \
            that configures the review. Each reviewer may cost $0.50, and all reviewers together may cost \
            as much as one review. See docs/specialists.md.",
    },
    ConfigKey {
        path: "review.redact",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "If `true`, Truing removes secrets of a known form (the rules of kind `secret`) from every \
            text for a model, in all loops. Prompts and results of tools show `[secret cut]` in place of \
            each secret. Truing refuses an edit by a fixer that would change one of these secrets. If \
            `false`, models see files unchanged, except that Truing still removes its own credentials.",
    },
    ConfigKey {
        path: "review.walkthrough",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::MaySet,
        since: "0.1.0",
        doc: "If `true`, the model that reviews also writes a walkthrough: up to eight lines in the \
            summary, one per file. The lines describe what the change does and where to look first. The \
            walkthrough contains no verdict. The model writes the walkthrough in the same run, within the \
            same budget.",
    },
    ConfigKey {
        path: "review.skills_dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Text("/etc/reviewer/skills"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "A folder with skills of your own, each in a file `NAME/SKILL.md`. A model that reviews sees \
            these skills as `org:NAME`. The model also sees the built-in skills (`shipped:NAME`) and the \
            repository's skills (`repo:NAME`). The repository's skills are in `.claude/skills` on the \
            branch that configures the review. Truing reads your skills when the program starts. A folder \
            that you set here must exist; the default folder may be missing.",
    },
    ConfigKey {
        path: "review.debounce",
        kind: DELAY_RANGE,
        default: KeyDefault::Text("15s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Delay from the last event of a pull request to the start of its review. Each further event \
            restarts the delay.",
    },
    ConfigKey {
        path: "review.max_wait",
        kind: DELAY_RANGE,
        default: KeyDefault::Text("2m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum delay from the first event of a pull request to the start of its review, even if \
            further events follow.",
    },
    ConfigKey {
        path: "review.quiet",
        kind: DELAY_RANGE,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Time without an event after which a storm of events on a pull request ends. Truing then \
            reviews the last head.",
    },
    ConfigKey {
        path: "review.storm_max",
        kind: DELAY_RANGE,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum duration of a storm of events on a pull request, counted from the first event of the \
            storm.",
    },
    ConfigKey {
        path: "review.backoff",
        kind: DELAY_RANGE,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Wait before the first retry of a failed run. The wait doubles after each further failed \
            attempt.",
    },
    ConfigKey {
        path: "review.backoff_max",
        kind: DELAY_RANGE,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum wait between two attempts of a run.",
    },
    ConfigKey {
        path: "review.attempts",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Number of consecutive failed attempts after which Truing parks a pull request. Truing \
            reviews a parked pull request again only after a push, or after a person resumes the pull \
            request.",
    },
    ConfigKey {
        path: "review.max_inline",
        kind: ValueKind::Integer(0, 1000),
        default: KeyDefault::Text("30"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of inline comments on one pull request. Truing lists further findings in the \
            summary.",
    },
    ConfigKey {
        path: "review.existing",
        kind: ValueKind::Choice { supported: &["leave", "review"], planned: &[] },
        default: KeyDefault::Text("leave"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How Truing treats pull requests that were open before the server first saw their repository. \
            `leave`: Truing records the head of each of these pull requests, and reviews the pull request \
            when it changes or a person requests a review. `review`: Truing reviews these pull requests \
            immediately.",
    },
    ConfigKey {
        path: "review.tier",
        kind: ValueKind::Choice { supported: &["off", "rules", "once", "settled", "deep"], planned: &[] },
        default: KeyDefault::Computed {
            description: "`deep` if `review.specialists` is true, else `settled`",
            example: "\"settled\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The tier of a pull request to which no rule of `review.for` applies. `off`: Truing does not \
            review the pull request. `rules`: rules and linters check the pull request, without a model. \
            `once`: a model reviews the pull request once, and again only on request (`/review`). \
            `settled`: a model reviews each settled head. `deep`: several specialists review each settled \
            head. See docs/tiers.md.",
    },
    ConfigKey {
        path: "review.most",
        kind: ValueKind::Choice { supported: &["off", "rules", "once", "settled", "deep"], planned: &[] },
        default: KeyDefault::Computed { description: "`review.tier`", example: "\"settled\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The highest tier that the repository's own rules may set for a pull request to which no rule \
            of the operator applies.",
    },
    ConfigKey {
        path: "review.for",
        kind: ValueKind::TierRules,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::MayAdd,
        since: "0.1.0",
        doc: "Rules that set the tier of a pull request, as `[[review.for]]` tables. The first rule whose \
            conditions all hold sets the tier. `repos`: one of the globs matches `owner/name`. `paths`: a \
            changed file matches one of the globs. `only_paths`: every changed file matches one of the \
            globs. `authors`: the account that opened the pull request is in the list, by id, or by name \
            where names are unique. `labels`, `titles` and `bases`: one of the globs matches a label, the \
            title or the target branch. `lines_over`: the number of added and removed lines is greater \
            than this number. `lines_up_to`: the number of lines is not greater than this number. \
            `files_over`: the number of changed files is greater than this number. Each rule must have a \
            `tier`. A rule may also have a `reason`, and `most`, the highest tier that the repository's \
            own rules may set. Rules in the repository's own file come after the operator's rules, and \
            have no `repos` and no `most`. The repository's rules may lower the tier, or raise the tier up \
            to `most`.",
    },
    ConfigKey {
        path: "review.instructions",
        kind: ValueKind::Instructions,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::MayAdd,
        since: "0.1.0",
        doc: "Instructions for the model that reviews, as `[[review.instructions]]` tables. The `text` of \
            a table may have up to 4 KiB, and applies if a changed file matches one of the globs in \
            `paths`. A table of the operator may also have `repos` (globs of `owner/name`). Each \
            configuration file may have up to 20 of these tables. The model receives the repository's own \
            instructions after the operator's instructions, as data, in the same way as the repository's \
            `CLAUDE.md`.",
    },
    ConfigKey {
        path: "review.tools",
        kind: ValueKind::Choice { supported: &["off", "auto", "suggested"], planned: &[] },
        default: KeyDefault::Text("off"),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "Whether each review also runs linters. `auto`: the review runs every `[[tool]]`, and each \
            known tool that the repository configures and that is installed. Truing reports the findings \
            of these linters as its own. `suggested`: as `auto`, and for kinds of files that no linter of \
            the repository checks, installed known linters with rules that most teams accept. Their \
            findings are suggestions of severity P2. `off`: the review runs no linters. The flag `--tools` \
            sets `auto`.",
    },
    ConfigKey {
        path: "review.tool_fetch",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "If `true`, Truing fetches a linter in the version that the repository pins, if this version \
            is not installed: with `uv` from PyPI, or with `npm`. Truing fetches no other version and no \
            plugins, and never a linter that needs the project's dependencies. No code of a package runs \
            during the installation. If a linter cannot be fetched within 120 seconds, the installed \
            version runs, and the review names the reason. See docs/tools.md.",
    },
    ConfigKey {
        path: "mcp.NAME.command",
        kind: ValueKind::Command,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The server's program and its arguments, as a list of words. The program communicates over \
            its standard streams. A program with a `/` is a path, relative to the folder of the \
            configuration file. Truing passes arguments unchanged, so write each file in the arguments as \
            a full path. The program runs in an empty folder, and sees only the system's files and the \
            files in the folders of `read`.",
    },
    ConfigKey {
        path: "mcp.NAME.read",
        kind: ValueKind::Folders,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Folders, in addition to the system's folders, whose files the program may read and run. The \
            program's `PATH` contains each of these folders and its folder `bin`.",
    },
    ConfigKey {
        path: "mcp.NAME.env",
        kind: ValueKind::ExternalNames,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Names of the environment variables that Truing passes on to the program. The program sees no \
            other variables of Truing's process. Truing refuses a variable that holds one of Truing's \
            credentials.",
    },
    ConfigKey {
        path: "mcp.NAME.hosts",
        kind: ValueKind::HostPorts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Hosts that the program may connect to, each with its port. If the list is empty, the program \
            has no network. Truing passes the program a proxy in `HTTPS_PROXY`. The proxy connects only to \
            the hosts in this list, only by TLS for the requested host, and only at public addresses. \
            Truing does not see what the program sends to these hosts. If the program tries to reach \
            another host, the review is partial. For a server on a machine of your own, set the server's \
            `url` instead of `command`.",
    },
    ConfigKey {
        path: "mcp.NAME.url",
        kind: ValueKind::VerbatimUrl,
        default: KeyDefault::Computed { description: "none", example: "\"https://mcp.example.org/mcp\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The server's address, which you set instead of `command`. Truing uses the address exactly as \
            written, including a trailing slash and a query. Do not put secrets into the address. The \
            calls of a model leave this machine, so Truing denies a call that seems to contain a secret.",
    },
    ConfigKey {
        path: "mcp.NAME.forge",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"hub\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of a `[forge.NAME]`, which you set instead of `command` and `url`. In reviews of \
            this forge's pull requests, the model then gets the reading tools of `truing mcp serve`, in \
            Truing's own process. Each review can read only its own repository.",
    },
    ConfigKey {
        path: "mcp.NAME.transport",
        kind: ValueKind::Choice { supported: &["stdio", "http", "sse"], planned: &[] },
        default: KeyDefault::Computed {
            description: "`stdio` with `command`, `http` (streamable HTTP) with `url`",
            example: "\"sse\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How Truing communicates with the server. `stdio`: over the standard streams of the program \
            in `command`. `http`: over streamable HTTP. `sse`: over HTTP with events, as older servers do.",
    },
    ConfigKey {
        path: "mcp.NAME.token",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed { description: "none", example: "{ env = \"DOCS_TOKEN\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The token that is sent to `url` as `Authorization: Bearer`.",
    },
    ConfigKey {
        path: "mcp.NAME.headers",
        kind: ValueKind::SecretHeaders,
        default: KeyDefault::Computed {
            description: "none",
            example: "{ \"X-API-Key\" = { env = \"DOCS_KEY\" } }",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "HTTP headers that Truing sends with every request to `url`, and nowhere else. The value of \
            each header is a reference to a secret: an environment variable or a file. Truing refuses \
            headers that HTTP or the protocol itself sets. If `token` is set, Truing also refuses the \
            header `Authorization`.",
    },
    ConfigKey {
        path: "mcp.NAME.tools",
        kind: ValueKind::ExternalNames,
        default: KeyDefault::Computed { description: "none: required", example: "[\"search\"]" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The names of the server's tools that a model may call. Truing leaves out a tool if the \
            server declares that the tool is not read-only.",
    },
    ConfigKey {
        path: "mcp.NAME.timeout",
        kind: CALL_TIMEOUT_RANGE,
        default: KeyDefault::Text("30s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum time for the server to become ready, and for each call. The time of a call includes \
            the wait for other calls in the same run. If the server itself takes longer, Truing does not \
            call the server again in that review.",
    },
    ConfigKey {
        path: "mcp.NAME.max_output",
        kind: ValueKind::Integer(256, MAX_TOOL_OUTPUT_BYTES),
        default: KeyDefault::Text("16384"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum size, in bytes, of one answer that a model sees. Truing cuts longer answers.",
    },
    ConfigKey {
        path: "tool.NAME.command",
        kind: ValueKind::Command,
        default: KeyDefault::Computed {
            description: "the command of the known tool with this name",
            example: "[\"ruff\", \"check\", \"--output-format\", \"json\", \"{files}\"]",
        },
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "The linter's program and its arguments, as a list of words. `{files}` is a placeholder for \
            the changed files. Truing runs a command without `{files}` unchanged. A program with a `/` is \
            a path. In the operator's file, the path is relative to the folder of that file. In a \
            repository's own file, the path is relative to the root of the repository.",
    },
    ConfigKey {
        path: "tool.NAME.format",
        kind: ValueKind::ToolFormat,
        default: KeyDefault::Computed {
            description: "the command of the known tool with this name",
            example: "\"ruff-json\"",
        },
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "The format of the tool's output. The value is `sarif`, `rdjson`, `rdjsonl`, `checkstyle`, \
            `gitlab`, `junit`, or the format of a single tool, such as `ruff-json`.",
    },
    ConfigKey {
        path: "tool.NAME.paths",
        kind: ValueKind::Globs,
        default: KeyDefault::Computed {
            description: "the globs of the known tool with this name, else all files",
            example: "[\"**/*.py\"]",
        },
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "Globs of the files that the tool checks. In a glob, `*` matches names within one folder, and \
            `**` matches across folders.",
    },
    ConfigKey {
        path: "tool.NAME.when",
        kind: ValueKind::Choice { supported: &["changed", "always", "never"], planned: &[] },
        default: KeyDefault::Text("changed"),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "The reviews that run the tool. `changed`: a review runs the tool if a changed file matches \
            `paths`. `always`: every review runs the tool. `never`: no review runs the tool. With `never`, \
            you can disable a known tool.",
    },
    ConfigKey {
        path: "tool.NAME.exit",
        kind: ValueKind::ExitCodes,
        default: KeyDefault::Computed {
            description: "the exit codes of the known tool with this name, else `[0, 1]`",
            example: "[0, 1]",
        },
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "Exit codes of a successful run, with or without findings. If the tool exits with any other \
            code, the tool has failed.",
    },
    ConfigKey {
        path: "tool.NAME.timeout",
        kind: ValueKind::Duration(Duration::from_secs(1), Duration::from_secs(60 * 60)),
        default: KeyDefault::Text("5m"),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "Maximum time of one run of the tool. Truing stops a run that takes longer.",
    },
    ConfigKey {
        path: "tool.NAME.scope",
        kind: ValueKind::Choice { supported: &["lines", "files"], planned: &[] },
        default: KeyDefault::Text("lines"),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "The findings that Truing reports. `lines`: Truing reports only findings on changed lines. \
            `files`: Truing reports findings anywhere in changed files.",
    },
    ConfigKey {
        path: "rules.ignore",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::MaySet,
        since: "0.1.0",
        doc: "Globs of files that are not reviewed. In a glob, `*` matches names within one folder, and \
            `**` matches across folders.",
    },
    ConfigKey {
        path: "rules.packs",
        kind: ValueKind::RulePacks,
        default: KeyDefault::Text("core"),
        repository: RepositoryOverride::MayAdd,
        since: "0.1.0",
        doc: "The rule packs that Truing uses. A list replaces the default, so it should also contain \
            `core`, which finds secrets. The flag `--pack` replaces the list.",
    },
    ConfigKey {
        path: "rules.off",
        kind: ValueKind::Rules,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::MayAdd,
        since: "0.1.0",
        doc: "Names of the rules that are turned off. A finding shows the name of its rule, such as \
            `core/rust-dbg` (a rule of a pack) or `ruff/E501` (a rule of a linter). Earlier findings of \
            these rules are no longer part of a review, and Truing does not report them as fixed.",
    },
    ConfigKey {
        path: "rules.severity",
        kind: ValueKind::RuleSeverities,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::MayAdd,
        since: "0.1.0",
        doc: "Severities for the findings of single rules of a pack or a linter, such as `{ \
            \"core/rust-dbg\" = \"P2\" }`. To change the severity only in some files, give the rule a list \
            of entries, such as `[{paths=[\"tests/**\"],severity=\"P2\"}]`. An entry applies to a file \
            that matches one of its `paths`; an entry without `paths` applies to every file. Truing uses \
            the first entry that applies to the file. A repository can set severities only for rules whose \
            severity the operator does not set.",
    },
    ConfigKey {
        path: "rules.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { description: "none", example: "\"/etc/truing/rules\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Path of a folder with further rule packs. Each pack is a folder with its rules in a folder \
            `rules`: `PACK/rules/RULE.yml`. Truing uses only the packs that `rules.packs` lists.",
    },
    ConfigKey {
        path: "rules.time",
        kind: AGENT_TIMEOUT_RANGE,
        default: KeyDefault::Text("2m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum time for reading the files of one review. Truing reads small files first. If files \
            remain when the time is over, the review lists these files as not reviewed and is `partial`. \
            Each file may use 2 s of processor time, and 64 MiB of memory plus 20 times the size of the \
            file. If a file needs more, Truing checks the file only as text, and the review lists the \
            file, too.",
    },
    ConfigKey {
        path: "prompts.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { description: "none", example: "\"/etc/truing/prompts\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Path of a folder with your own prompts, such as `review/role.md`. Each prompt replaces the \
            built-in prompt of the same name. `truing prompts check` tests your prompts.",
    },
    ConfigKey {
        path: "policy.dir",
        kind: ValueKind::Folder,
        default: KeyDefault::Computed { description: "none", example: "\"/etc/truing/policy\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Path of a folder with your own lists of what agents may do. A file such as \
            `profiles/fixer.toml` replaces the built-in profile of the same name. A file \
            `grammar/PROGRAM.toml` adds commands. The file `never.toml` adds paths that no agent changes. \
            `truing policy show` prints the built-in lists, which you can copy and change. `truing policy \
            check` shows whether the policy allows a command.",
    },
    ConfigKey {
        path: "sandbox.level",
        kind: ValueKind::Choice { supported: &["full", "landlock", "none"], planned: &[] },
        default: KeyDefault::Text("full"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The weakest sandbox that Truing accepts. `full` and `landlock` demand the same four \
            properties: no network, only the files of the job, no other process, and limits on all \
            resources. `full` enforces them with namespaces, and `landlock` with Landlock, seccomp and a \
            process outside of the sandbox. Truing uses the strongest sandbox that the machine allows. \
            `none` accepts a machine without a sandbox for commands that a person starts and for the process \
            that reads repository files; code of a repository never runs there. `truing sandbox check` tests \
            the sandbox.",
    },
    ConfigKey {
        path: "verify.from_repository",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether a repository's own file may set `verify.setup`, `verify.registries`, `verify.check`, \
            `review.tools`, `review.tool_fetch` and keys of tools (`[[tool]]`). Truing reads the file from \
            the default branch, and uses only keys that the operator does not set. If `false`, Truing \
            ignores all these keys in the file.",
    },
    ConfigKey {
        path: "verify.setup",
        kind: ValueKind::Commands(&[]),
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "Commands that prepare a tree for the checks, in order, such as `[[\"uv\", \"sync\"]]`. \
            Truing caches the results of the commands: new files in the tree and in the home folder. Trees \
            with the same lock files share the cached results.",
    },
    ConfigKey {
        path: "verify.registries",
        kind: ValueKind::Choices(&["pypi", "npm", "crates"]),
        default: KeyDefault::Text("pypi,npm,crates"),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "Package registries that the set-up may reach, over https. If the user's own settings name an \
            index, that index replaces the registry. For `pypi`, these settings are `UV_DEFAULT_INDEX`, \
            `UV_INDEX_URL`, `PIP_INDEX_URL` and pip.conf. `UV_INDEX`, `UV_EXTRA_INDEX_URL` and \
            `PIP_EXTRA_INDEX_URL` name further indexes. For `npm`, the settings are `npm_config_registry` \
            and .npmrc. For `crates`, the setting is the replacement of crates.io in Cargo's config.toml. \
            Truing refuses an index that requires a login.",
    },
    ConfigKey {
        path: "verify.check",
        kind: ValueKind::Commands(&[]),
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::MaySetIfAllowed,
        since: "0.1.0",
        doc: "Commands that check a tree, in order. A check passes if its command exits with status 0. If \
            a check fails that passed before the change, Truing runs this check once more.",
    },
    ConfigKey {
        path: "verify.timeout",
        kind: ValueKind::Duration(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60)),
        default: KeyDefault::Text("20m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum duration of each command. After this time, Truing stops the command and all \
            processes that the command started.",
    },
    ConfigKey {
        path: "verify.programs",
        kind: ValueKind::Folders,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Paths of folders with programs, such as a toolchain, in addition to the system's folders. \
            Commands may read and run the files in these folders. Commands also find programs in these \
            folders, and in the folder `bin` of each. The sandbox hides the machine's folders `/tmp`, \
            `/work` and `/home/agent`, so no folder may be below these.",
    },
    ConfigKey {
        path: "verify.memory_mib",
        kind: ValueKind::Integer(64, 1 << 20),
        default: KeyDefault::Text("4096"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum memory, in MiB, of all processes of one command together. Shared memory and files in \
            memory count toward this limit.",
    },
    ConfigKey {
        path: "verify.disk_mib",
        kind: ValueKind::Integer(16, 1 << 30),
        default: KeyDefault::Text("10240"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum amount of data, in MiB, that a set-up may write. The same limit applies separately \
            to the checks of a tree.",
    },
    ConfigKey {
        path: "verify.cache_mib",
        kind: ValueKind::Integer(0, 1 << 30),
        default: KeyDefault::Text("20480"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum total size of the cached set-ups, in MiB. The cache is the folder `truing/verify` in \
            the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`). If the cache becomes too large, \
            Truing removes the least recently used set-ups first.",
    },
    ConfigKey {
        path: "verify.cache_age",
        kind: ValueKind::Duration(Duration::ZERO, Duration::from_secs(366 * 24 * 60 * 60)),
        default: KeyDefault::Text("7d"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum age of a cached set-up. Truing does not use an older set-up.",
    },
    ConfigKey {
        path: "converge.enabled",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether a server starts converge runs and audits for comments and labels, and continues \
            unfinished runs and audits. The commands `truing converge` and `truing audit` work even if \
            this key is `false`.",
    },
    ConfigKey {
        path: "converge.max_audits",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("10"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of audits in one run. If a further audit is needed, the run ends as \
            `cap-reached`.",
    },
    ConfigKey {
        path: "converge.gate_rounds",
        kind: ValueKind::Integer(0, 100),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of times that Truing fixes violations of the gate before one audit. If the \
            gate still blocks after these fixes, the run ends with an error.",
    },
    ConfigKey {
        path: "converge.selfaudit_rounds",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of failed checks of one fix. When this number is reached, Truing discards \
            the fix. If a blocking finding then remains, the run ends as `stuck`.",
    },
    ConfigKey {
        path: "converge.parallel_from",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("4"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "In each run, number of the first audit with several parallel auditors. Each earlier audit \
            has only one auditor.",
    },
    ConfigKey {
        path: "converge.auditors",
        kind: ValueKind::Integer(1, 16),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Number of parallel auditors in each audit from number `converge.parallel_from` on. Truing \
            merges the findings of all auditors.",
    },
    ConfigKey {
        path: "converge.audit_timeout",
        kind: AGENT_TIMEOUT_RANGE,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum time that one auditor may take for one audit.",
    },
    ConfigKey {
        path: "converge.fix_timeout",
        kind: AGENT_TIMEOUT_RANGE,
        default: KeyDefault::Text("45m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum time that one fixer may take for one fix.",
    },
    ConfigKey {
        path: "converge.worker_attempts",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("2"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of attempts to get a valid answer from an auditor or a fixer. If no attempt \
            succeeds, Truing counts the auditor or the fixer as failed.",
    },
    ConfigKey {
        path: "converge.hook_retry",
        kind: ValueKind::Integer(0, 100),
        default: KeyDefault::Text("1"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of times that Truing repeats a fix after a hook of the repository has blocked \
            the fix.",
    },
    ConfigKey {
        path: "converge.poll",
        kind: EXTERNAL_REVIEWER_TIME_RANGE,
        default: KeyDefault::Text("60s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Interval at which Truing requests the progress of reviewers, checks and the forge. If the \
            forge does not answer a request, Truing repeats the request within this interval. \
            `forge.NAME.settle` is the minimum time before the repetition.",
    },
    ConfigKey {
        path: "converge.poll_after_trigger",
        kind: EXTERNAL_REVIEWER_TIME_RANGE,
        default: KeyDefault::Text("270s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Time between a request to a reviewer and Truing's first check for the reviewer's answer.",
    },
    ConfigKey {
        path: "converge.reviewers",
        kind: ValueKind::ExternalNames,
        default: KeyDefault::Text("internal"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Names of the reviewers that must find nothing on the same commit, in the order in which \
            Truing asks them. `internal`: Truing's own auditor. `bugbot` and `copilot`: reviewers that \
            Truing knows. Any other name: the `NAME` of a `[reviewer.NAME]`. On a local branch, Truing \
            asks only `internal`.",
    },
    ConfigKey {
        path: "converge.inline_lag_max",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of times that Truing checks again for comments that a reviewer's text \
            announces. If no comments appear, Truing treats the text itself as the finding, or the run \
            ends as `blocked`. The description of `reviewer.NAME.dirty` states when Truing uses the text.",
    },
    ConfigKey {
        path: "converge.min_blocking_severity",
        kind: ValueKind::Choice { supported: &["P0", "P1", "P2"], planned: &[] },
        default: KeyDefault::Text("P2"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Lowest severity of a finding that blocks. Truing tries once to fix less severe findings, \
            which never block.",
    },
    ConfigKey {
        path: "converge.event",
        kind: ValueKind::Choice { supported: &["COMMENT", "REQUEST_CHANGES"], planned: &[] },
        default: KeyDefault::Text("COMMENT"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Kind of the review that a run sends to the forge after an audit with findings. `COMMENT`: \
            the review only comments. `REQUEST_CHANGES`: the review requests changes. A forge refuses \
            `REQUEST_CHANGES` from the author of the pull request. Truing's reviews never approve. At \
            Bitbucket Cloud and Data Center, an audit that finds nothing withdraws an earlier request for \
            changes. At GitHub, the request stays until a person dismisses that review.",
    },
    ConfigKey {
        path: "converge.resolve_threads",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether Truing resolves the threads of findings that are fixed.",
    },
    ConfigKey {
        path: "converge.mark_ready",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether Truing marks a draft as ready for review when the run on this draft has converged.",
    },
    ConfigKey {
        path: "converge.update_description",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether Truing rewrites the pull request's description at the end of a run. The new \
            description states what the change delivers.",
    },
    ConfigKey {
        path: "converge.allow_declined",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether a run may converge although its fixers declined to fix some findings.",
    },
    ConfigKey {
        path: "converge.auto_rebase",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether Truing lets the forge merge the base branch into a pull request's branch that is \
            behind the base branch. After the merge, Truing checks everything again. If `false`, a branch \
            that is behind the base branch blocks the run. A conflict always blocks the run.",
    },
    ConfigKey {
        path: "converge.final_fix",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether Truing also fixes the findings of the last audit. No audit checks this last fix.",
    },
    ConfigKey {
        path: "converge.label",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("truing:converge"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Name of the label that starts a run on a pull request, like the comment `/converge`. The \
            person who sets the label must have write access to the repository. Only a server reacts to \
            the label. Empty: no label starts a run.",
    },
    ConfigKey {
        path: "converge.askers",
        kind: ValueKind::Accounts,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Accounts that may use `/converge`, `/audit` or the label `converge.label` to start work on a \
            server. Each account also needs write access to the repository. Give names, numbers or UUIDs, \
            as in `reviewer.NAME.logins`. Empty: all accounts with write access.",
    },
    ConfigKey {
        path: "converge.gate",
        kind: ValueKind::Commands(&[PRE_COMMIT_PROGRAM]),
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Commands of the gate, in order, such as `[[\"ruff\", \"check\"]]`. All commands must pass \
            before each audit. Exit code 0: the command found nothing. Exit code 1: the command has \
            findings. Any other exit code: the command could not run. Truing runs these commands like \
            those of `verify.check`. An output line of the form `path:line: text` blocks only if the named \
            line has changed. An output line without a path and a line number always blocks. The packs of \
            `rules.packs` are part of the gate, too. `[\"pre-commit\"]` runs the hooks of \
            `.pre-commit-config.yaml` on the changed files. A failed hook blocks, and a hook that edits \
            files fails.",
    },
    ConfigKey {
        path: "converge.auditor",
        kind: ValueKind::ModelSection,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that audits in `truing converge` and `truing audit`. Empty: \
            `[model]` audits.",
    },
    ConfigKey {
        path: "converge.fixer",
        kind: ValueKind::ModelSection,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that fixes findings. Empty: `[model]` fixes findings. The \
            cost of fixes counts toward the budget of the run, `budget.converge_usd`. Flag `--fixer`.",
    },
    ConfigKey {
        path: "reviewer.NAME.logins",
        kind: ValueKind::Accounts,
        default: KeyDefault::Computed {
            description: "the known accounts of `bugbot` and `copilot`; for other reviewers, this key is \
                required",
            example: "[\"helper[bot]\"]",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Accounts that the reviewer uses. Give the name, the number or the UUID (`{…}`) of each \
            account. Names are case-insensitive. At Bitbucket Cloud, only a UUID identifies an account, \
            because anyone may choose the name of another account.",
    },
    ConfigKey {
        path: "reviewer.NAME.trigger",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            description: "`bugbot run` for `bugbot`, `request` for `copilot`, else `none`",
            example: "\"bugbot run\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How Truing requests a review. `request`: Truing requests a review from the first account in \
            `reviewer.NAME.logins`. `none`: Truing waits for a review that starts without a request. Any \
            other value: Truing posts a comment that consists of this value.",
    },
    ConfigKey {
        path: "reviewer.NAME.detector",
        kind: ValueKind::Text,
        default: KeyDefault::Text("review"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How Truing recognises that the reviewer has read a commit. `review`: the reviewer has posted \
            a review after Truing requested it for the commit. The commit that the forge reports is no \
            proof, because GitHub reports the head at the time of submission. `text:PATTERN`: the text of \
            the review names the commit; the regular expression's first group matches the commit's id. \
            Truing knows the texts of `bugbot`. `check:NAME`: the reviewer's own check run `NAME` on the \
            commit is complete. A review without proof never makes a pull request ready; Truing reports it \
            as not proven. At Bitbucket Cloud, an approval does not count, because an approval does not \
            name a commit. Use `check:NAME` with the name of a build status instead.",
    },
    ConfigKey {
        path: "reviewer.NAME.dirty",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            description: "`found \\d+ potential issue` for `bugbot`, else none",
            example: "'found \\d+ potential issue'",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Regular expression that matches the text of a review with findings. Open comments on the \
            commit always count as findings, and so does a review that requests changes. If the text \
            matches but no comments on lines follow, Truing fixes the findings in the text itself. Truing \
            does not do this for `bugbot`, because the text of `bugbot` contains only the number of \
            findings.",
    },
    ConfigKey {
        path: "reviewer.NAME.required",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("true"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether a run stops if the reviewer does not answer in time. If `false`, the run continues \
            and reports the missing answer.",
    },
    ConfigKey {
        path: "reviewer.NAME.budget",
        kind: EXTERNAL_REVIEWER_TIME_RANGE,
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum time that a run waits for the reviewer's answer after each request.",
    },
    ConfigKey {
        path: "reviewer.NAME.requests",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum number of times that Truing requests a review of the same commit. If the reviewer \
            answers no request in time, the reviewer counts as failed, and `reviewer.NAME.required` \
            applies.",
    },
    ConfigKey {
        path: "budget.review_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("2.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of all attempts to review one head of one pull request.",
    },
    ConfigKey {
        path: "budget.pr_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of all reviews, audits and converge runs of one pull request, \
            over all pushes. When this limit is reached, reviews use only the rules, and converge runs \
            end. 0: no limit.",
    },
    ConfigKey {
        path: "budget.pr_ask_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost of one pull request, in US dollars, until a person approves further costs. When \
            this limit is reached, Truing stops using models, and asks for approval in one comment on the \
            pull request. The comment `/spend` by a person with write access to the repository allows the \
            same amount again. If `budget.pr_usd` is set, the total cost cannot exceed that limit. 0: \
            Truing does not ask.",
    },
    ConfigKey {
        path: "budget.repo_day_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("5.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of all reviews of a repository in one day (UTC). When this \
            limit is reached, reviews use only the rules until the next day. `repo.NAME.day_usd` sets \
            another limit for one repository.",
    },
    ConfigKey {
        path: "budget.converge_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("10.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of one converge run or audit of a branch or a pull request. The \
            monthly limit of the repository's team applies, too.",
    },
    ConfigKey {
        path: "budget.converge_day_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of all converge runs and audits of a repository in one day \
            (UTC). 0: no limit.",
    },
    ConfigKey {
        path: "budget.sync_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("5.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of one run of a job that follows a package. The monthly limit \
            of the repository's team applies, too.",
    },
    ConfigKey {
        path: "budget.sync_day_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of all runs of the jobs of a repository in one day (UTC). These \
            are the jobs that follow packages (`[sync.NAME]`). 0: no limit.",
    },
    ConfigKey {
        path: "budget.month_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Text("0.0"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of all work of this installation for repositories in one month \
            (UTC). Repositories with and without a team count toward this limit. When this limit is \
            reached, reviews use only the rules. 0: no limit.",
    },
    ConfigKey {
        path: "budget.prices",
        kind: ValueKind::File,
        default: KeyDefault::Computed { description: "none", example: "\"/etc/truing/model_prices.json\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Path of a file with prices of models, in LiteLLM's format \
            (`model_prices_and_context_window.json`). A price in this file replaces Truing's built-in \
            price of the model. A `[price.NAME]` replaces both.",
    },
    ConfigKey {
        path: "team.NAME.repos",
        kind: ValueKind::RepositoryGlobs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The team's repositories, as globs such as `owner/*`. The globs are case-insensitive. If a \
            repository belongs to several teams, its cost counts toward the budget of each of these teams.",
    },
    ConfigKey {
        path: "team.NAME.month_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Computed { description: "none: no limit", example: "200.0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of the work for the team's repositories in one month (UTC). \
            When this limit is reached, reviews use only the rules.",
    },
    ConfigKey {
        path: "repo.NAME.day_usd",
        kind: BUDGET_RANGE,
        default: KeyDefault::Computed { description: "`budget.repo_day_usd`", example: "10.0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum cost, in US dollars, of all reviews of this repository in one day (UTC).",
    },
    ConfigKey {
        path: "price.NAME.input",
        kind: PRICE_RANGE,
        default: KeyDefault::Computed {
            description: "none: this key is required, even if the price is \
            0",
            example: "0",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Price of the prompt, in US dollars per million tokens.",
    },
    ConfigKey {
        path: "price.NAME.output",
        kind: PRICE_RANGE,
        default: KeyDefault::Computed {
            description: "none: this key is required, even if the price is \
            0",
            example: "0",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Price of the answer, including the thinking, in US dollars per million tokens.",
    },
    ConfigKey {
        path: "price.NAME.cache_read",
        kind: PRICE_RANGE,
        default: KeyDefault::Computed { description: "the price in `price.NAME.input`", example: "0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Price of input that the provider reads from its cache, in US dollars per million tokens.",
    },
    ConfigKey {
        path: "price.NAME.cache_write_5m",
        kind: PRICE_RANGE,
        default: KeyDefault::Computed { description: "the price in `price.NAME.input`", example: "0" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Price of input that the provider caches for five minutes, in US dollars per million tokens.",
    },
    ConfigKey {
        path: "price.NAME.cache_write_1h",
        kind: PRICE_RANGE,
        default: KeyDefault::Computed {
            description: "the price in `price.NAME.cache_write_5m`",
            example: "0",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Price of input that the provider caches for one hour, in US dollars per million tokens.",
    },
    ConfigKey {
        path: "sync.model",
        kind: ValueKind::ModelSection,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The `NAME` of the `[model.NAME]` that writes code for the jobs and classifies changes. \
            Empty: `[model]` does this work. Because of this key, no job may have the name `model`.",
    },
    ConfigKey {
        path: "sync.NAME.registry",
        kind: ValueKind::Choice { supported: &["pypi", "npm", "crates"], planned: &[] },
        default: KeyDefault::Text("pypi"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Registry that publishes the package. Truing uses the same index as this user's package \
            manager. For `pypi`, a variable of uv or pip or the file `pip.conf` sets the index. For `npm`, \
            `npm_config_registry` or `~/.npmrc` sets the index. For `crates`, Cargo's replacement of \
            crates-io sets the index, in variables or in `$CARGO_HOME/config.toml`. Truing ignores such \
            settings in the files of a project. Without any setting, the index is pypi.org, \
            registry.npmjs.org or index.crates.io.",
    },
    ConfigKey {
        path: "sync.NAME.package",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "the job's name", example: "\"botocore\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Name of the package that the job follows.",
    },
    ConfigKey {
        path: "sync.NAME.target",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("newest"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Release that the job follows. `newest`: the newest release, except pre-releases and \
            withdrawn releases. `safe`: the newest release for which only the version range must be \
            widened. If no release is safe in this sense, `safe` means the same as `newest`. `+3`: like \
            `newest`, but no more than three releases after the release that the project was made for. A \
            version: the release with this version.",
    },
    ConfigKey {
        path: "sync.NAME.min_age",
        kind: ValueKind::Duration(Duration::ZERO, Duration::from_secs(366 * 24 * 60 * 60)),
        default: KeyDefault::Text("0s"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Minimum age of the newest release that the job follows. Truing ignores releases that were \
            published later. The index must state publication dates.",
    },
    ConfigKey {
        path: "sync.NAME.constraint.file",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed {
            description: "`pyproject.toml`, `package.json` or `Cargo.toml`, according to the registry",
            example: "\"pyproject.toml\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "File with the project's requirement, which defines the releases that the project admits. The \
            file is TOML or JSON, or contains only the version of a copy.",
    },
    ConfigKey {
        path: "sync.NAME.constraint.path",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            description: "`project.dependencies`, or `dependencies` for npm and crates",
            example: "\"project.dependencies\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Path of the list or table in `sync.NAME.constraint.file` that contains the requirement: the \
            keys, separated by dots. The list or table must require the package exactly once. With the \
            style `vendored-version`, the path leads to the version itself. If the file is neither TOML \
            nor JSON, Truing uses the whole file.",
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
        doc: "Form of the new version range. `keep`: the bounds have as many numbers as before. For \
            example, the port to 0.28.1 turns `>=0.27,<0.28` into `>=0.28,<0.29`. If a form cannot be \
            kept, `keep` means the same as `exclusive-upper-next-patch`. `exclusive-upper-next-patch`: the \
            range ends before the next patch after the release. `exact`: the range contains only the \
            release. `caret`: the range contains the release and all releases that promise to be \
            compatible. `vendored-version`: the version of a copy replaces the range.",
    },
    ConfigKey {
        path: "sync.NAME.manifest",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("upstream.json"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "File that lists the pinned definitions and pinned files of the package. In Python, a \
            definition is named by its module and its name. In other languages, a definition is named by \
            its file and its name (`src/a.rs:Type.method`). The list has the form \
            `{\"module:Class.method\": [\"SHA-1 of its lines\", …]}`, in JSON or TOML. The file may also \
            be a Python test (`.py`) with pairs of objects and digests. Truing reads this test and never \
            runs the test. `none`: the project overrides and copies nothing of the package. In this case, \
            the checks of the project (`verify.check`) or people decide.",
    },
    ConfigKey {
        path: "sync.NAME.mirror",
        kind: ValueKind::PathPairs,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Pairs `UPSTREAM=OURS` of a folder or file of the package and its counterpart in the project, \
            such as `botocore/=aiobotocore/`. If an upstream file has a counterpart, Truing checks every \
            change in this file, even in code that is not pinned. Empty: Truing checks the files that \
            contain pinned definitions.",
    },
    ConfigKey {
        path: "sync.NAME.companions",
        kind: ValueKind::ExternalNames,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Names of packages that must be updated together with the followed package, such as `boto3` \
            with `botocore`. The commands of `relax.lock` receive these names, and determine which \
            releases of the packages are compatible.",
    },
    ConfigKey {
        path: "sync.NAME.relax.lock",
        kind: ValueKind::Commands(&[]),
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Commands that update the lock files after Truing has written the new range, also for a port. \
            Example: `[[\"uv\", \"lock\", \"--upgrade-package={{packages}}\"]]`. `{{package}}` and \
            `{{version}}` stand for the followed package and release. A word with `{{packages}}` is \
            repeated for the package and for each companion. The commands run like those of \
            `verify.setup`: in the sandbox, on a copy, and without secrets. `verify.programs`, \
            `verify.registries` and `verify.timeout` apply.",
    },
    ConfigKey {
        path: "sync.NAME.relax.lock_files",
        kind: ValueKind::Globs,
        default: KeyDefault::Text(LOCK_FILE_GLOBS),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Globs of the files that the commands of `relax.lock` may change. The job's change includes \
            the files that these commands have changed. A command that changes another file fails.",
    },
    ConfigKey {
        path: "sync.NAME.version_rule",
        kind: ValueKind::Choice { supported: &["none", "patch-on-relax-minor-on-bump"], planned: &[] },
        default: KeyDefault::Text("none"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "How Truing raises the project's own version, which must have the form MAJOR.MINOR.PATCH. \
            `none`: the version stays. `patch-on-relax-minor-on-bump`: a relax raises the patch number, \
            and a bump raises the minor number. Truing does not raise the version again until the \
            repository has a tag of the version (`1.2.3` or `v1.2.3`).",
    },
    ConfigKey {
        path: "sync.NAME.version.file",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed {
            description: "`pyproject.toml`, `package.json` or `Cargo.toml`, according to the registry",
            example: "\"pyproject.toml\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "File with the project's own version. The file is TOML, JSON or a Python module, or contains \
            only the version.",
    },
    ConfigKey {
        path: "sync.NAME.version.path",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed {
            description: "`project.version`, `version`, `package.version`, or `__version__` in a Python \
                module",
            example: "\"project.version\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Position of the version in `sync.NAME.version.file`. In TOML and JSON: the keys that lead \
            to the version, separated by dots. In a Python module: the name of the variable that contains \
            the version; a separate line must assign the version to this variable. The file must contain \
            the version exactly once.",
    },
    ConfigKey {
        path: "sync.NAME.changelog.file",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Computed { description: "none", example: "\"CHANGES.rst\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The project's changelog, in Markdown or reStructuredText, with versions in its headings. \
            Truing writes a line into the newest entry. If the version of this entry has no tag, the line \
            replaces the earlier line of the job, and the heading gets the version that `version_rule` \
            determines. If the version has a tag, Truing writes a new entry of the same form above the \
            tagged entry. A heading that says `Unreleased` stays.",
    },
    ConfigKey {
        path: "sync.NAME.changelog.entry",
        kind: ValueKind::Text,
        default: KeyDefault::Text("{{decision}} {{package}} dependency specification to {{range}}"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Template of the line in the changelog. `{{decision}}`, `{{package}}`, `{{version}}` and \
            `{{range}}` stand for their values. Truing replaces a line that this template could have \
            produced for another release.",
    },
    ConfigKey {
        path: "sync.NAME.repo",
        kind: ValueKind::Repository,
        default: KeyDefault::Computed {
            description: "none: `truing sync decide` works, but `truing sync run` does not",
            example: "\"owner/name\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The project's repository at the forge, `owner/name`. `truing sync run` opens the job's pull \
            request in this repository.",
    },
    ConfigKey {
        path: "sync.NAME.forge",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("github"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Forge of the repository: the NAME of a `[forge.NAME]`.",
    },
    ConfigKey {
        path: "sync.NAME.branch",
        kind: ValueKind::Branch,
        default: KeyDefault::Computed {
            description: "`truing/sync-` and the job's name",
            example: "\"truing/sync-botocore\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Branch of the job's pull request. Only the job may use this branch. Truing rewrites the \
            branch unless a person works on this branch.",
    },
    ConfigKey {
        path: "sync.NAME.title",
        kind: ValueKind::Text,
        default: KeyDefault::Computed {
            description: "`Admit {{package}} up to {{version}}`, or `Follow {{package}} to {{version}}` \
                for a port",
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
            description: "the repository's template for pull requests, and then a description of the \
                change and \
                its reasons",
            example: "\"{{template}}\\n\\n## What it is\\n\\n{{text}}\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Template of the text of the job's pull request, in Markdown. `{{template}}` stands for the \
            repository's own template (`pull_request_template.md` in `.github`, the root or `docs`). \
            `{{text}}` stands for a description of the change and its reasons. The placeholders of `title` \
            stand for their values here, too.",
    },
    ConfigKey {
        path: "sync.NAME.labels",
        kind: ValueKind::ExternalNames,
        default: KeyDefault::Text(""),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Labels that Truing sets on the job's pull request while the pull request is open. Other \
            labels stay. A label that the repository does not have is created. A draft gets no labels.",
    },
    ConfigKey {
        path: "sync.NAME.author_name",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("truing"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Name of the author of the job's commits.",
    },
    ConfigKey {
        path: "sync.NAME.author_email",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("truing@users.noreply.github.com"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "E-mail address of the author of the job's commits. Commits with this address belong to the \
            job, even if a person rebased the commits.",
    },
    ConfigKey {
        path: "sync.NAME.question_label",
        kind: ValueKind::UnspacedName,
        default: KeyDefault::Text("truing-sync-feedback"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Label of the issue in which the job asks people for a decision.",
    },
    ConfigKey {
        path: "sync.NAME.cron",
        kind: ValueKind::Cron,
        default: KeyDefault::Computed {
            description: "none: the job runs only on request",
            example: "\"0 10 * * MON\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Times at which `truing serve` runs the job, as a cron pattern in UTC. If the job missed runs \
            because no server was running, the job runs once at the next start of a server.",
    },
    ConfigKey {
        path: "sync.NAME.mode",
        kind: ValueKind::Choice { supported: &["relax", "code"], planned: &[] },
        default: KeyDefault::Text("relax"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "What a run may do without a person's decision. `relax`: the run only widens the range, and \
            changes code only after a person has decided on `bump`. `code`: a model may port the code if a \
            release requires a port.",
    },
    ConfigKey {
        path: "sync.NAME.classify",
        kind: ValueKind::Flag,
        default: KeyDefault::Computed {
            description: "true with `mode = \"code\"`, or if a configuration file or a variable \
                `TRUING_MODEL__…` sets a key of `[model]`; else false",
            example: "true",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether Truing asks a model about functions that changed in mirrored files but are not \
            pinned. `budget.sync_usd` limits the cost. If `false`, or if the model cannot decide, Truing \
            asks a person.",
    },
    ConfigKey {
        path: "sync.NAME.bump.paths",
        kind: ValueKind::Globs,
        default: KeyDefault::Computed {
            description: "the project's paths in `mirror`, and the folders `tests` and `test`",
            example: "[\"aiobotocore/**\", \"tests/**\"]",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Globs of the files that a port may change. A port never changes the file with the \
            requirement, the manifest, lock files, pipelines and hooks, even if a glob matches.",
    },
    ConfigKey {
        path: "sync.NAME.outcome.issue",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether Truing reports the last runs in one issue, which Truing edits after each run. If a \
            person deletes the issue, Truing opens no other issue. To get a new issue, first run the job \
            once without this key.",
    },
    ConfigKey {
        path: "sync.NAME.outcome.label",
        kind: ValueKind::UnspacedName,
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
        doc: "Maximum number of the model's answers in one port. `budget.sync_usd` limits the cost of a \
            port.",
    },
    ConfigKey {
        path: "sync.NAME.limits.wall",
        kind: ValueKind::Duration(Duration::from_secs(10), Duration::from_secs(24 * 60 * 60)),
        default: KeyDefault::Text("30m"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Maximum time that the model may take for one port. The time of the project's checks does not \
            count, because the checks run after the model.",
    },
    ConfigKey {
        path: "sync.NAME.breaker.failures",
        kind: ValueKind::Integer(1, 100),
        default: KeyDefault::Text("3"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Number of consecutive failures with the same release and manifest that opens the circuit \
            breaker. No further run starts until a person answers, or until the release or the manifest \
            changes.",
    },
    ConfigKey {
        path: "sync.NAME.breaker.streak",
        kind: ValueKind::Integer(1, 1000),
        default: KeyDefault::Text("5"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Number of consecutive failures, across all releases, that opens the circuit breaker. No \
            further run starts until a person answers.",
    },
    ConfigKey {
        path: "notify.webhook",
        kind: ValueKind::SecretUrl(&["https"]),
        default: KeyDefault::Computed { description: "none", example: "{ env = \"NOTIFY_WEBHOOK\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "URL of a webhook that accepts `{\"text\": …}`, as Slack's webhooks do. http is allowed only \
            for a loopback address. Anyone who knows the URL can post messages, so store the URL as a \
            secret. If the URL itself is in the configuration, `config show` hides the path of the URL.",
    },
    ConfigKey {
        path: "notify.smtp",
        kind: ValueKind::SecretUrl(&["smtps", "smtp"]),
        default: KeyDefault::Computed {
            description: "none",
            example: "\"smtps://USER@mail.example.org?to=oncall@example.org\"",
        },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "URL of a mail server: `smtps://USER@HOST:PORT?to=A,B&from=C`, or `smtp://` with STARTTLS. \
            STARTTLS is required except at a loopback address. If `from` is missing, the sender is USER if \
            USER is an e-mail address, else `truing@HOST`.",
    },
    ConfigKey {
        path: "notify.smtp_password",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed { description: "none", example: "{ env = \"SMTP_PASSWORD\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "The password of USER in `notify.smtp`.",
    },
    ConfigKey {
        path: "telemetry.otlp_endpoint",
        kind: ValueKind::Url,
        default: KeyDefault::Computed { description: "none", example: "\"http://127.0.0.1:4318\"" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Address of the receiver of the traces. Truing adds `/v1/traces` to the address. The address \
            of Langfuse ends with `/api/public/otel`.",
    },
    ConfigKey {
        path: "telemetry.headers",
        kind: ValueKind::SecretLocation,
        default: KeyDefault::Computed { description: "none", example: "{ env = \"OTLP_HEADERS\" }" },
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Additional headers of the requests to the receiver: `NAME=VALUE`, separated by commas.",
    },
    ConfigKey {
        path: "telemetry.capture_content",
        kind: ValueKind::Flag,
        default: KeyDefault::Text("false"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Whether traces contain texts: the questions to a model, the answers of the model, and the \
            texts that the model reads. Truing removes secrets of known forms from these texts. If \
            `false`, traces contain only hashes and sizes of the texts.",
    },
    ConfigKey {
        path: "retention.runs",
        kind: RETENTION_RANGE,
        default: KeyDefault::Text("90d"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Time for which Truing keeps ended runs and the history of `truing why`. Truing keeps some \
            records of each pull request regardless of their age: the texts shown on the pull request, its \
            findings, and its last reviewed run.",
    },
    ConfigKey {
        path: "retention.audit",
        kind: RETENTION_RANGE,
        default: KeyDefault::Text("400d"),
        repository: RepositoryOverride::Forbidden,
        since: "0.1.0",
        doc: "Time for which Truing keeps the audit log (`truing log`) and sent notices.",
    },
];

/// A node in the tree of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyNode {
    /// A key, with its entry in the table of keys.
    Key(&'static ConfigKey),
    /// A table that contains keys or tables.
    Section,
}

/// Returns all keys of a section. Each key's name is relative to the section.
pub(crate) fn section_keys(section: &str) -> impl Iterator<Item = (&'static str, &'static ConfigKey)> {
    let all =
        KEYS.iter().filter_map(move |key| Some((key.path.strip_prefix(section)?.strip_prefix('.')?, key)));
    // Keys of a subsection such as `model.NAME` are left out.
    all.filter(|(name, _)| !name.starts_with("NAME."))
}

/// Globs of files in which package managers record the selected versions.
const LOCK_FILE_GLOBS: &str = "**/Cargo.lock,**/package-lock.json,**/npm-shrinkwrap.json,**/yarn.lock,\
    **/pnpm-lock.yaml,**/bun.lock,**/bun.lockb,\
    **/uv.lock,**/poetry.lock,**/pdm.lock,**/Pipfile.lock,**/pylock.toml";

/// Returns the key or section at a path, if there is one.
pub(crate) fn find_node(path: &[&str]) -> Option<KeyNode> {
    let fits =
        |key: &ConfigKey| key.path.split('.').zip(path).all(|(part, given)| part == "NAME" || part == *given);
    let key = KEYS.iter().find(|key| fits(key) && key.path.split('.').count() >= path.len())?;
    Some(if key.path.split('.').count() == path.len() { KeyNode::Key(key) } else { KeyNode::Section })
}

/// Returns the table entry of a key whose path is fixed in the code, such as `server.lease`.
pub(crate) fn find_key(path: &str) -> Option<&'static ConfigKey> {
    let parts: Vec<&str> = path.split('.').collect();
    match find_node(&parts)? {
        KeyNode::Key(key) => Some(key),
        KeyNode::Section => None,
    }
}

/// Returns the known key or section nearest to an unknown path. A key with the same last part counts as very
/// near, because the user may have set it in the wrong section.
pub(crate) fn nearest_key(path: &[&str]) -> String {
    let given = path.join(".");
    let name = match path {
        [section, name, _, ..] if NamedSection::from_word(section).is_some() => name,
        _ => "NAME",
    };
    let sections = SECTIONS.iter().filter_map(|(section, _)| section.split('.').next());
    let named = KEYS.iter().map(|key| key.path.replace("NAME", name)).chain(sections.map(str::to_owned));
    let score = |candidate: &str| {
        // A key with the same number of parts gets a bonus, because an unknown path is most likely a
        // misspelled path of the same length.
        let same_depth = if candidate.split('.').count() == path.len() { SAME_DEPTH_BONUS } else { 0.0 };
        let last = candidate.rsplit('.').next();
        let misplaced = if last == path.last().copied() { SAME_NAME_SIMILARITY } else { 0.0 };
        same_depth + strsim::normalized_damerau_levenshtein(&given, candidate).max(misplaced)
    };
    named.max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or_default()
}

/// Minimum similarity, from 0 to 1, of a known key whose last part equals the last part of the unknown path.
const SAME_NAME_SIMILARITY: f64 = 0.9;
/// Bonus of a known path that has as many parts as the unknown path.
const SAME_DEPTH_BONUS: f64 = 0.2;

/// The sections whose path contains `NAME`. `NAME` is a placeholder for a user-defined name, or for a name
/// that exists elsewhere, such as a repository's.
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
    /// Returns the named section whose path has this first part.
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

    /// Returns the first part of the section's path.
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
    pub(crate) fn is_valid_name(self, name: &str) -> bool {
        let visible = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
        match self {
            Self::Forge | Self::Team | Self::Sync | Self::Model | Self::Mcp => super::value::is_name(name),
            Self::Reviewer => super::value::is_name(name) && name != INTERNAL_REVIEWER,
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

    /// Returns an example of a section's name, in TOML syntax.
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

    /// Returns true if an environment variable can set the keys of these sections. Names of repositories and
    /// priced models contain dots and slashes, which a variable's name cannot contain.
    pub(crate) fn has_environment_variables(self) -> bool {
        match self {
            Self::Forge | Self::Team | Self::Sync | Self::Reviewer | Self::Model | Self::Mcp | Self::Tool => {
                true
            }
            Self::Repo | Self::Price => false,
        }
    }

    /// Converts the name in a variable to a section's name: each `_` becomes `-`. For a known tool whose name
    /// contains a blank, such as `go vet`, `_` becomes a blank.
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

/// Returns the environment variable that sets a key. Returns `None` if no variable can set the key.
pub(crate) fn key_variable(path: &str) -> Option<String> {
    let named = path.split('.').next().and_then(NamedSection::from_word);
    named.is_none_or(NamedSection::has_environment_variables).then(|| variable_name(path))
}

/// Returns the environment variable that sets a key: `TRUING_` and the key's path in capitals. Each dot
/// becomes `__`; each `-` and each blank becomes `_`.
pub fn variable_name(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.to_uppercase().replace(['-', ' '], "_").replace('.', "__"))
}

/// Prefix of all of Truing's environment variables.
pub(crate) const VARIABLE_PREFIX: &str = "TRUING_";
