//! Tests of the sections of the configuration for the converge loop.

use super::super::layer::SourceFile;
use super::super::{Config, keys};
use super::*;

fn of(text: &str) -> Result<Config, ConfigError> {
    let file = SourceFile { name: "truing.toml".into(), folder: "/etc/truing".into(), text: text.into() };
    Config::resolve(&Environment::new([("HOME", "/home/me")], "/here"), Some(&file), &[])
}

fn told(text: &str) -> String {
    of(text).expect_err(text).to_string()
}

#[test]
fn without_anything_the_defaults_are_those_of_the_machine_and_nobody_else_reviews() {
    let converge = of("").unwrap().converge;
    assert_eq!(converge.limits, ConvergeLimits::default());
    assert_eq!(converge.reviewers, [ConfiguredReviewer::Internal]);
    assert_eq!((converge.audit_timeout, converge.fix_timeout), (minutes(30), minutes(45)));
    assert_eq!((converge.poll_interval, converge.first_poll_delay), (minutes(1), Duration::from_secs(270)));
    assert_eq!((converge.event, converge.max_inline_comment_checks), (ReviewEvent::Comment, 3));
    assert!(converge.resolve_threads && converge.mark_ready && converge.update_description);
    assert!(!converge.allows_base_merge && converge.gate.is_empty());
}

fn minutes(many: u64) -> Duration {
    Duration::from_secs(many * 60)
}

#[test]
fn known_reviewers_need_no_section_and_one_may_change_what_is_known() {
    let listed = "[converge]\nreviewers = [\"bugbot\", \"internal\", \"copilot\"]\n";
    let [
        ConfiguredReviewer::External(bugbot),
        ConfiguredReviewer::Internal,
        ConfiguredReviewer::External(copilot),
    ] = &of(listed).unwrap().converge.reviewers[..]
    else {
        panic!("in their order");
    };
    assert_eq!(bugbot.trigger, ReviewerTrigger::Comment("bugbot run".into()));
    assert_eq!((bugbot.logins[0].as_str(), bugbot.max_requests), ("cursor[bot]", 3));
    let says = Regex::new(bugbot.findings_pattern.as_deref().unwrap()).unwrap();
    assert!(says.is_match("Cursor Bugbot has reviewed your changes and found 2 potential issues."));
    assert_eq!((&copilot.trigger, &copilot.findings_pattern), (&ReviewerTrigger::Request, &None));
    assert!(copilot.logins.contains(&"Copilot".to_owned()) && copilot.required);

    let own = of(&format!(
        "{listed}[reviewer.bugbot]\nrequired = false\ndetector = \"check:Cursor Bugbot\"\nbudget = \"5m\"\n"
    ));
    let ConfiguredReviewer::External(bugbot) = &own.unwrap().converge.reviewers[0] else {
        panic!("it is not ours")
    };
    assert_eq!(bugbot.detector, ReviewerDetector::CheckRun("Cursor Bugbot".into()));
    assert_eq!((bugbot.required, bugbot.response_timeout), (false, minutes(5)));
    assert_eq!(bugbot.trigger, ReviewerTrigger::Comment("bugbot run".into()));
}

#[test]
fn a_reviewer_of_ones_own_needs_accounts_and_waits_by_default() {
    let listed = "[converge]\nreviewers = [\"internal\", \"helper\"]\n[reviewer.helper]\n";
    let config = of(&format!("{listed}logins = [\"helper[bot]\"]")).unwrap();
    let ConfiguredReviewer::External(helper) = &config.converge.reviewers[1] else {
        panic!("it is not ours")
    };
    assert_eq!((&helper.trigger, &helper.detector), (&ReviewerTrigger::Nothing, &ReviewerDetector::Review));
    assert_eq!(
        told(listed),
        "default: `reviewer.helper.logins` must list the accounts that the reviewer uses"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, wrong) in [
        (
            "reviewers = [\"nobody\"]",
            "truing.toml:2: `converge.reviewers` may contain only `internal`, `bugbot`, `copilot` and the \
                NAME of each `[reviewer.NAME]`, not `nobody`",
        ),
        ("reviewers = []", "truing.toml:2: `converge.reviewers` must list at least one reviewer"),
        (
            "max_audits = 0",
            "truing.toml:2: `converge.max_audits` must be a whole number from 1 to 1000, not `0`",
        ),
        ("auditors = 0", "truing.toml:2: `converge.auditors` must be a whole number from 1 to 16, not `0`"),
        (
            "event = \"APPROVE\"",
            "truing.toml:2: `converge.event` must be \"COMMENT\" or \"REQUEST_CHANGES\", not `APPROVE`",
        ),
        (
            "min_blocking_severity = \"P3\"",
            "truing.toml:2: `converge.min_blocking_severity` must be \"P0\" or \"P1\" or \"P2\", not `P3`",
        ),
        ("[reviewer.internal]", "truing.toml:2: `internal` cannot be a reviewer's name"),
        (
            "[reviewer.bugbot]\ndetector = \"check:\"",
            "truing.toml:3: `reviewer.bugbot.detector` must be `review`, `check:` and a check run's name, or \
             `text:` and a regular expression",
        ),
        (
            "[reviewer.bugbot]\ndirty = \"(\"",
            "truing.toml:3: `reviewer.bugbot.dirty` must be a regular expression: error: unclosed group",
        ),
    ] {
        assert_eq!(told(&format!("[converge]\n{text}")), wrong);
    }
}

#[test]
fn no_repository_says_how_it_is_converged() {
    for section in ["converge", "reviewer.NAME"] {
        assert!(keys::section_keys(section).count() > 0);
        assert!(
            keys::section_keys(section).all(|(_, key)| key.repository == keys::RepositoryOverride::Forbidden)
        );
    }
}

#[test]
fn variables_of_the_tool_before_count() {
    let of = |variables: &[(&str, &str)]| {
        BugteamVariables::from_environment(&Environment::new(variables.iter().copied(), "/"))
    };
    let nothing = BugteamVariables {
        workspace_ownership: None,
        team: None,
        skips_preflight: false,
        is_disabled: false,
    };
    assert_eq!(of(&[]).unwrap(), nothing);
    assert_eq!(of(&[("BUGTEAM_TEAM_LIFECYCLE", " "), ("BUGTEAM_PREFLIGHT_SKIP", "true")]).unwrap(), nothing);
    let all = of(&[
        ("BUGTEAM_TEAM_LIFECYCLE", " Attach "),
        ("BUGTEAM_TEAM_NAME", "bugteam-7"),
        ("BUGTEAM_PREFLIGHT_SKIP", "1"),
        ("CLAUDE_REVIEWS_DISABLED", "qbug, BugTeam"),
    ]);
    assert_eq!(
        all.unwrap(),
        BugteamVariables {
            workspace_ownership: Some(WorkspaceOwnership::Attach),
            team: Some("bugteam-7".into()),
            skips_preflight: true,
            is_disabled: true
        }
    );
    assert!(!of(&[("CLAUDE_REVIEWS_DISABLED", "bugteams")]).unwrap().is_disabled);
    assert_eq!(
        of(&[("BUGTEAM_TEAM_LIFECYCLE", "both")]).unwrap_err().to_string(),
        "variable BUGTEAM_TEAM_LIFECYCLE: `--lifecycle` must be \"owned\", \"attach\" or \"auto\", not `both`"
    );
}

#[test]
fn another_model_may_mend_and_the_keys_of_the_first_stay_what_they_are() {
    let one = "[model.mender]\nbase_url = \"https://other.example\"\napi_key = { env = \"OTHER\" }\nname \
         = \"m-1\"\n";
    let config = of(&format!("{one}[converge]\nfixer = \"mender\"\n")).unwrap();
    assert_eq!(config.converge.fixer_model.as_deref(), Some("mender"));
    let mender = config.models.get("mender").unwrap();
    assert_eq!((mender.name.as_str(), mender.base_url.as_deref()), ("m-1", Some("https://other.example")));
    assert_ne!(mender, &config.model);
    assert_eq!(of("[converge]\nfixer = \"\"\n").unwrap().converge.fixer_model, None);
    let roles = of(&format!(
        "{one}[converge]\nauditor = \"mender\"\n[review]\nmodel = \"mender\"\n[sync]\nmodel = \"mender\"\n"
    ));
    let roles = roles.unwrap().roles;
    for name in [roles.auditor, roles.reviewer, roles.sync_writer] {
        assert_eq!(name.as_deref(), Some("mender"));
    }
    // A named model can be configured only by variables, in addition to the variables for `[model]`.
    let given = [
        ("TRUING_MODEL__MENDER__NAME", "m-1"),
        ("TRUING_MODEL__MENDER__API_KEY__ENV", "OTHER"),
        ("TRUING_MODEL__BASE_URL", "https://first.example"),
        ("TRUING_MODEL__API_KEY__ENV", "FIRST"),
        ("TRUING_CONVERGE__FIXER", "mender"),
    ];
    let config = Config::resolve(&Environment::new(given, "/here"), None, &[]).unwrap();
    assert_eq!(config.model.base_url.as_deref(), Some("https://first.example"));
    assert_eq!(config.models.get("mender").map(|model| model.name.as_str()), Some("m-1"));

    for (text, words) in [
        ("[model]\nbase_ulr = \"https://x.example\"\n", "truing.toml:2: unknown key `model.base_ulr`"),
        ("[model.mender]\napi_key = { env = \"OTHER\" }\n", "`model.mender.name` must be set"),
        ("[model.mender]\nname = \"m-1\"\n", "`model.mender.api_key` must be set"),
        (
            "[model.mender]\n\nname = \"m-1\"\n",
            "truing.toml:3: `model.mender.api_key` must be set (`model.mender.name` is set)",
        ),
        ("[model.Mender]\nname = \"m-1\"\n", "`Mender` cannot be the name of a section of `model`"),
        ("[review]\nmodel = \"x\"\n", "must be the NAME of a `[model.NAME]`, not `x`: there is none"),
        ("[converge]\nfixer = \"x\"\n", "must be the NAME of a `[model.NAME]`, not `x`: there is none"),
        (&format!("{one}[converge]\nfixer = \"x\"\n"), "not `x`: there are `mender`"),
    ] {
        assert!(told(text).contains(words), "{text}: {}", told(text));
    }
}
