//! Kinds of configuration values.

use std::time::Duration;

/// The kind of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueKind {
    /// An address with one of these schemes: `sqlite:PATH`, or a server's URL. Instead of the address, the
    /// configuration may contain the location of a secret.
    StoreAddress(&'static [&'static str]),
    /// An IP address and port to listen on.
    ListenAddress,
    /// A whole number in this inclusive range.
    Integer(i64, i64),
    /// A length of time in this inclusive range.
    Duration(Duration, Duration),
    /// One word of `supported`. A word in `planned` causes a separate error, because the documentation
    /// already mentions it.
    Choice {
        /// Words that this version supports.
        supported: &'static [&'static str],
        /// Words that this version does not support yet.
        planned: &'static [&'static str],
    },
    /// A boolean, true or false.
    Flag,
    /// A URL: https, or http to a loopback address.
    Url,
    /// A URL that requests use unchanged, including its query and any slash at its end.
    VerbatimUrl,
    /// A name without blanks, such as the name of a model.
    UnspacedName,
    /// The UUID of an account, with its braces.
    AccountUuid,
    /// A program: a name to be found on `PATH`, or a path. A relative path starts at the folder of the
    /// configuration file.
    Program,
    /// The `NAME` of an existing section `[model.NAME]`, or an empty text.
    ModelSection,
    /// An e-mail address, or an empty text.
    Email,
    /// Any text, which may have several lines.
    Text,
    /// The location of a secret: `{ env = "VARIABLE" }` or `{ file = "PATH" }`, never the secret itself.
    SecretLocation,
    /// The locations of several secrets.
    SecretLocations,
    /// A table of HTTP headers, each with the location of its secret value.
    SecretHeaders,
    /// A URL with one of these schemes. The URL may be a secret, such as the URL of a webhook. The
    /// configuration contains either the URL itself or the location of a secret. A URL in the configuration
    /// must not contain a password, and Truing displays it without its path.
    SecretUrl(&'static [&'static str]),
    /// A schedule as a cron pattern, in UTC.
    Cron,
    /// A repository at a forge, `owner/name`.
    Repository,
    /// A branch, without `refs/heads/`.
    Branch,
    /// The path of a folder.
    Folder,
    /// The path of a file.
    File,
    /// Dollars from zero to this amount, with at most six digits after the point.
    Usd(u32),
    /// Globs of files or branches.
    Globs,
    /// Pairs of folders or files, `UPSTREAM=OURS`.
    PathPairs,
    /// Globs of repositories' names, `owner/name`.
    RepositoryGlobs,
    /// Names of rule packs.
    RulePacks,
    /// Names of rules, each `PACK/RULE`.
    Rules,
    /// A table from rule names to severities.
    RuleSeverities,
    /// Names that Truing does not define, such as names of packages.
    ExternalNames,
    /// Ids or names of forge accounts.
    Accounts,
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// Hosts with ports, `host:port`.
    HostPorts,
    /// A list of folders' paths.
    Folders,
    /// A program with its arguments, or an empty list.
    Command,
    /// Commands, each a program and its arguments, or one of these words.
    Commands(&'static [&'static str]),
    /// The name of a tool's output format.
    ToolFormat,
    /// Exit codes of a program, at least one.
    ExitCodes,
    /// A table from names to ids.
    IdsByName,
    /// Rules that select the tier of a review, as tables.
    TierRules,
    /// Instructions for reviews, as tables.
    Instructions,
    /// Networks: single addresses, or prefixes such as `10.0.0.0/8`.
    Networks,
}

impl ValueKind {
    /// Returns true if the configuration may contain the location of a secret instead of a value of this
    /// kind.
    pub(crate) fn accepts_secret_location(self) -> bool {
        matches!(self, Self::SecretLocation | Self::SecretUrl(_) | Self::StoreAddress(_))
    }

    /// Returns an example of this kind, for messages.
    pub(crate) fn sample(self) -> &'static str {
        match self {
            Self::StoreAddress(schemes) if schemes.contains(&"sqlite") => {
                "\"sqlite:/var/lib/truing/truing.db\""
            }
            Self::StoreAddress(_) => "\"postgres://truing@127.0.0.1/truing\"",
            Self::ListenAddress => "\"127.0.0.1:8080\"",
            Self::Integer(..) => "4",
            Self::Duration(..) => "\"15s\"",
            Self::Choice { .. } => "\"rules\"",
            Self::Flag => "true",
            Self::Url => "\"https://api.github.com\"",
            Self::VerbatimUrl => "\"https://mcp.example.org/mcp\"",
            Self::UnspacedName => "\"claude-sonnet-5-5\"",
            Self::Program => "\"/usr/local/bin/claude\"",
            Self::ModelSection => "\"other\"",
            Self::Email => "\"reviewer@example.com\"",
            Self::AccountUuid => "\"{0f3a9c56-0000-4000-8000-000000000001}\"",
            Self::Text => "\"Follow {{package}}\"",
            Self::Cron => "\"0 10 * * MON\"",
            Self::Repository => "\"acme/shop\"",
            Self::Branch => "\"truing/sync\"",
            Self::Folder => "\"/etc/truing/rules\"",
            Self::File => "\"/etc/truing/model_prices.json\"",
            Self::Usd(_) => "2.50",
            Self::SecretLocation => "{ env = \"VARIABLE\" }",
            Self::SecretLocations => "[{ env = \"VARIABLE\" }]",
            Self::SecretHeaders => "{ \"X-API-Key\" = { env = \"VARIABLE\" } }",
            Self::SecretUrl(_) => "\"https://hooks.example.org/…\" or { env = \"VARIABLE\" }",
            Self::Globs => "[\"vendor/**\"]",
            Self::PathPairs => "[\"botocore/=aiobotocore/\"]",
            Self::RepositoryGlobs => "[\"owner/*\"]",
            Self::RulePacks => "[\"core\"]",
            Self::Rules => "[\"core/rust-dbg\"]",
            Self::RuleSeverities => "{ \"core/rust-dbg\" = \"P2\" }",
            Self::ExternalNames => "[\"boto3\"]",
            Self::Accounts => "[\"583231\"]",
            Self::Networks => "[\"10.0.0.0/8\"]",
            Self::Choices(_) => "[\"pypi\"]",
            Self::HostPorts => "[\"api.example.org:443\"]",
            Self::Folders => "[\"/opt/toolchain\"]",
            Self::Command => "[\"docs-server\", \"--stdio\"]",
            Self::Commands(_) => "[[\"cargo\", \"test\"]]",
            Self::ToolFormat => "\"sarif\"",
            Self::ExitCodes => "[0, 1]",
            Self::TierRules => "[{ repos = [\"acme/*\"], tier = \"rules\" }]",
            Self::Instructions => "[{ paths = [\"src/db/**\"], text = \"Each query has a limit.\" }]",
            Self::IdsByName => "{ \"claude-sonnet-5-5\" = \"global.anthropic.claude-sonnet-5-5\" }",
        }
    }
}

/// Returns the text with which a store's address begins for this scheme.
pub(crate) fn scheme_prefix(scheme: &str) -> String {
    if scheme == "sqlite" { "sqlite:".to_owned() } else { format!("{scheme}://") }
}
