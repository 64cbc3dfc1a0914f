use std::time::Duration;

use super::*;

const ANY: ValueKind = ValueKind::Duration(Duration::ZERO, Duration::from_secs(86_400));

fn parse(kind: ValueKind, text: &str) -> Result<ConfigValue, ConfigValueError> {
    ConfigValue::from_text(kind, text, Path::new("/folder"))
}

#[test]
fn lengths_of_time_have_units_greatest_first_and_are_shown_as_written() {
    for (text, milliseconds) in
        [("15s", 15_000), ("2m", 120_000), ("1h30m", 5_400_000), ("500ms", 500), ("1d", 86_400_000)]
    {
        let length = Duration::from_millis(milliseconds);
        assert_eq!(parse(ANY, text), Ok(ConfigValue::Duration(length, text.to_owned())));
        assert_eq!(FormattedDuration(length).to_string(), text);
    }
    assert_eq!(parse(ANY, "0s"), Ok(ConfigValue::Duration(Duration::ZERO, "0s".to_owned())));
    assert_eq!(parse(ANY, "90s").map(|value| value.to_string()), Ok("\"90s\"".to_owned()), "as written");
    for wrong in [
        "",
        "15",
        "s",
        "15 s",
        "-1s",
        "1.5s",
        "30m1h",
        "1m1m",
        "15x",
        "2d",
        "99999999999999999999s",
        "9999999999999999999d",
        "١s",
    ] {
        assert!(parse(ANY, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn http_is_for_loopback_and_urls_carry_no_secrets() {
    for (text, url) in [
        ("https://ghe.example/api/v3/", "https://ghe.example/api/v3"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("http://localhost", "http://localhost"),
    ] {
        assert_eq!(parse(ValueKind::Url, text), Ok(ConfigValue::Url(url.to_owned())));
    }
    for wrong in [
        "http://api.github.com",
        "http://localhost.example",
        "ftp://x",
        "file:///x",
        "api.github.com",
        "https://x?y",
        "https://x#y",
    ] {
        assert!(parse(ValueKind::Url, wrong).is_err(), "{wrong}");
    }
    for (text, url) in [
        ("https://mcp.example/mcp/", "https://mcp.example/mcp/"),
        ("https://mcp.example/mcp?tools=read&v=2", "https://mcp.example/mcp?tools=read&v=2"),
        ("https://mcp.example", "https://mcp.example/"),
    ] {
        assert_eq!(parse(ValueKind::VerbatimUrl, text), Ok(ConfigValue::Url(url.to_owned())));
    }
    for wrong in [
        "http://mcp.example/mcp",
        "https://mcp.example/mcp#part",
        "https://me:hush@mcp.example",
        "mcp.example",
    ] {
        assert!(parse(ValueKind::VerbatimUrl, wrong).is_err(), "{wrong}");
    }
    let said = format!("{:?}", parse(ValueKind::Url, "https://me:hush@example.org"));
    assert!(said.contains("without user") && !said.contains("hush"), "{said}");
}

#[test]
fn a_sink_is_written_out_without_a_password_and_shown_without_its_path() {
    let web = |text| parse(ValueKind::SecretUrl(&["https"]), text);
    let mail = |text| parse(ValueKind::SecretUrl(&["smtps", "smtp"]), text);
    let shown = |value: Result<ConfigValue, ConfigValueError>| {
        value.map(|value| (value.to_string(), value.to_json()))
    };
    let hidden = "https://hooks.example.org:444/…";
    let secret = web("https://hooks.example.org:444/services/hush?x");
    assert!(!format!("{secret:?}").contains("hush"), "{secret:?}");
    assert_eq!(shown(secret), Ok((format!("\"{hidden}\""), json!(hidden))));
    assert!(web("http://127.0.0.1:9/x").is_ok());
    assert!(mail("smtp://me@127.0.0.1:25?to=a@b").is_ok() && mail("smtps://h?to=a@b").is_ok());
    for wrong in ["http://example.org/hush", "smtp://h/hush", "hush", "https://me:hush@example.org"] {
        let said = format!("{:?}", web(wrong).unwrap_err());
        assert!(!said.contains("hush"), "{said}");
    }
    for wrong in ["https://h", "smtp:hush", "smtp://me:hush@h", "smtp://"] {
        let said = format!("{:?}", mail(wrong).unwrap_err());
        assert!(!said.contains("hush"), "{said}");
    }
}

#[test]
fn a_store_is_a_file_or_a_server_whose_password_is_not_shown() {
    let (slots, records) = (
        ValueKind::StoreAddress(crate::keys::SLOT_STORE_SCHEMES),
        ValueKind::StoreAddress(crate::keys::RECORD_STORE_SCHEMES),
    );
    assert_eq!(parse(slots, "sqlite:/a.db"), Ok(ConfigValue::DatabasePath("/a.db".into())));
    assert_eq!(parse(slots, "sqlite:a.db"), Ok(ConfigValue::DatabasePath("/folder/a.db".into())));
    assert_eq!(parse(records, ""), Ok(ConfigValue::Unset));
    for (kind, wrong) in [
        (slots, "sqlite:"),
        (slots, "sqlite::memory:"),
        (slots, "sqlite://a.db"),
        (slots, "a.db"),
        (slots, "postgres://u:hush@h/db"),
        (slots, "valkey:u:hush@h"),
        (slots, "redis://u:hush@"),
        (slots, "valkey-sentinel://u:hush@h/reviews"),
        (slots, "valkey+sentinel://u:hush@/reviews"),
        (records, "sqlite:/a.db"),
        (records, "valkey://u:hush@h/0"),
        (records, "postgres:///db"),
    ] {
        let said = format!("{:?}", parse(kind, wrong).unwrap_err());
        assert!(!said.contains("hush"), "{said}");
    }
    for (kind, url, shown) in [
        (slots, "valkey://:hush@h:6379/0", "valkey://h:6379/0"),
        (slots, "rediss://u:hush@h/1", "rediss://u@h/1"),
        (slots, "valkey://h/0?protocol=resp3&password=hush", "valkey://h/0?protocol=resp3"),
        (
            slots,
            "valkeys+sentinel://:hush@a:1,b:2/reviews/0?sentinel_password=hush",
            "valkeys+sentinel://a:1,b:2/reviews/0",
        ),
        (records, "postgres://u:hush@a:1,b:2/db?sslmode=require", "postgres://u@a:1,b:2/db?sslmode=require"),
        (records, "postgresql:///db?host=/run/pg&password=hush", "postgresql:///db?host=/run/pg"),
        (records, "postgres://u:hu@sh/x@h/db", "postgres://u@h/db"),
    ] {
        assert_eq!(parse(kind, url).unwrap().to_json(), serde_json::json!(shown), "{url}");
    }
}

#[test]
fn lists_are_separated_by_commas_and_checked() {
    let packs = |text| parse(ValueKind::RulePacks, text);
    assert_eq!(
        packs("core, aiobotocore,core"),
        Ok(ConfigValue::StringList(vec!["core".into(), "aiobotocore".into()]))
    );
    assert_eq!(packs(""), Ok(ConfigValue::StringList(vec![])));
    assert!(packs("../x").is_err());
    let networks = |text| parse(ValueKind::Networks, text);
    let two = vec!["10.0.0.0/8".into(), "2001:db8::1".into()];
    assert_eq!(networks("10.0.0.0/8, 2001:db8::1"), Ok(ConfigValue::StringList(two)));
    for wrong in ["10.0.0.0/33", "10.0.0", "localhost", "*"] {
        assert!(networks(wrong).is_err(), "{wrong}");
    }
    assert!(parse(ValueKind::Globs, "a[").is_err());
    let wrong = parse(ValueKind::RepositoryGlobs, "acme").unwrap_err();
    assert!(
        matches!(wrong, ConfigValueError::UnmetRequirement(why) if why.contains("`owner/*`") && why.contains("not `acme`"))
    );
    assert!(
        parse(ValueKind::RepositoryGlobs, "a/b/c").is_err()
            && parse(ValueKind::RepositoryGlobs, "a/[").is_err()
    );
    let names = compile_repository_globs(&["Acme/*".into(), "ada/tool".into()]).unwrap();
    let among = |name: &str| names.is_match(name);
    assert!(among("acme/shop") && among("Ada/Tool") && !among("ada/tools") && !among("acmes/shop"));
    assert!(parse(ValueKind::Accounts, "583231,octo-cat,truing[bot],name_corp").is_ok());
    for wrong in ["a b", "[bot]", "@octo", "o/x"] {
        assert!(parse(ValueKind::Accounts, wrong).is_err(), "{wrong}");
    }
    let globs = compile_globs(&["vendor/*".into(), "**/x".into()]).unwrap();
    assert!(globs.is_match("vendor/a") && globs.is_match("a/b/x") && !globs.is_match("vendor/a/b"));
}

#[test]
fn a_variable_for_a_secret_is_in_capitals_and_another_word_is_not_shown() {
    assert_eq!(secret_variable("MY_TOKEN_2"), Ok(SecretSource::Env("MY_TOKEN_2".into())));
    for wrong in ["ghp_hush", "", "2X", "A B"] {
        assert!(!format!("{:?}", secret_variable(wrong).unwrap_err()).contains("hush"));
    }
}
