//! Tests of the headers and hosts of MCP servers that files and variables configure.

use super::*;
use crate::Config;
use crate::environment::Environment;
use crate::layer::SourceFile;

const SERVER: &str = "[mcp.docs]\nurl = \"https://docs.example.org/mcp\"\ntools = [\"search\"]\n";
const VARIABLE: &str = "TRUING_MCP__DOCS__HEADERS";

fn resolved(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = SourceFile { name: "truing.toml".into(), folder: "/etc/truing".into(), text: text.into() };
    Config::resolve(&Environment::new(variables.iter().copied(), "/here"), Some(&file), &[])
}

/// Returns the headers of a server whose table contains these lines.
fn headers(more: &str, variables: &[(&str, &str)]) -> Vec<(String, SecretSource)> {
    let config = resolved(&format!("{SERVER}{more}"), variables).unwrap();
    match config.mcp["docs"].transport.clone() {
        McpTransport::Http { headers, .. } | McpTransport::Sse { headers, .. } => {
            headers.into_iter().collect()
        }
        way @ (McpTransport::Program { .. } | McpTransport::InProcessForge(_)) => panic!("{way:?}"),
    }
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    resolved(text, variables).unwrap_err().to_string()
}

#[test]
fn a_server_has_headers_whose_secrets_are_elsewhere() {
    let (key, team) = (SecretSource::Env("DOCS_KEY".into()), SecretSource::File("/etc/truing/team".into()));
    let both = [("X-API-Key".to_owned(), key.clone()), ("X-Team".to_owned(), team)];
    for table in [
        "headers = { \"X-API-Key\" = { env = \"DOCS_KEY\" }, X-Team = { file = \"team\" } }\n",
        "transport = \"sse\"\n[mcp.docs.headers]\nX-API-Key.env = \"DOCS_KEY\"\nX-Team = \
         { file = \"team\" }\n",
    ] {
        assert_eq!(headers(table, &[]), both, "{table}");
    }
    assert_eq!(headers("", &[]), []);
    assert_eq!(headers("headers = {}\n", &[]), []);

    // The variable replaces all headers that the file configures.
    let table = "headers = { X-Other = { env = \"OTHER\" } }\n";
    let one = [(VARIABLE, r#"{"X-API-Key": {"env": "DOCS_KEY"}}"#)];
    assert_eq!(headers(table, &one), [("X-API-Key".to_owned(), key)]);
    assert_eq!(headers(table, &[(VARIABLE, "")]), []);
}

#[test]
fn the_headers_are_shown_by_the_places_of_their_secrets() {
    let text =
        format!("{SERVER}headers = {{ X-Key = {{ env = \"KEY\" }}, X-Team = {{ file = \"team\" }} }}\n");
    let config = resolved(&text, &[("KEY", "hush")]).unwrap();
    let (_, setting) = config.settings().find(|(key, _)| *key == "mcp.docs.headers").unwrap();
    assert_eq!(
        setting.value.to_string(),
        "{ \"X-Key\" = { env = \"KEY\" }, \"X-Team\" = { file = \"/etc/truing/team\" } }"
    );
    let json = serde_json::json!({ "X-Key": { "env": "KEY" }, "X-Team": { "file": "/etc/truing/team" } });
    assert_eq!(setting.value.to_json(), json);
    assert_eq!(setting.value.secret_sources().len(), 2);
    // The displayed text of a setting can be parsed again, with the same result.
    let shown = format!("{SERVER}headers = {}\n", setting.value);
    assert_eq!(resolved(&shown, &[]).unwrap().mcp["docs"], config.mcp["docs"]);
}

#[test]
fn a_header_that_is_wrong_is_named_with_its_line_and_a_secret_is_not_shown() {
    let long = "x".repeat(101);
    for (headers, said) in [
        ("X-API-Key = \"hush\"", "mcp.docs.headers.\"X-API-Key\""),
        ("X-API-Key = 1", "must be { env"),
        ("X-API-Key = {}", "must be { env"),
        ("X-API-Key = { env = \"hush\" }", "of capital letters"),
        ("X-API-Key = { env = \"A\", file = \"a\" }", "not both"),
        ("X-API-Key = { evn = \"A\" }", "X-API-Key"),
        ("\"X API\" = { env = \"A\" }", "must have header names of letters"),
        ("\"\" = { env = \"A\" }", "must have header names of letters"),
        ("\"X\\r\\nY\" = { env = \"A\" }", "must have header names of letters"),
        (&format!("{long} = {{ env = \"A\" }}"), "must have header names of letters"),
        ("HOST = { env = \"A\" }", "must not set the header `HOST`"),
        ("Content-Length = { env = \"A\" }", "must not set"),
        ("Mcp-Session-Id = { env = \"A\" }", "must not set"),
        ("Proxy-Authorization = { env = \"A\" }", "must not set"),
        ("X-Key = { env = \"A\" }\nx-key = { env = \"B\" }", "only once: header names are case-insensitive"),
    ] {
        let told =
            refused(&format!("{SERVER}[mcp.docs.headers]\nX-Fine = {{ env = \"A\" }}\n{headers}\n"), &[]);
        let line = if headers.contains("\nx-key") { "truing.toml:7" } else { "truing.toml:6" };
        assert!(told.contains(said) && told.contains(line), "{headers}: {told}");
        assert!(!told.contains("hush") && !told.contains('\r'), "{headers}: {told}");
    }
    for wrong in [
        r#"{"X-API-Key": "hush"}"#,
        r#"{"X-API-Key": {"env": "hush"}}"#,
        r#"{"X-API-Key": {"env": "A", "file": "hush"}}"#,
        r#"{"Host": {"env": "A"}}"#,
        r#"{"X-Key": {"env": "A"}, "x-key": {"env": "B"}}"#,
        "X-API-Key=hush",
        "[]",
    ] {
        let told = refused(SERVER, &[(VARIABLE, wrong)]);
        assert!(told.contains(VARIABLE) && !told.contains("hush"), "{wrong}: {told}");
    }
    // A variable that ends with `__ENV` can set only a single secret, but `headers` is a table.
    let told = refused(SERVER, &[("TRUING_MCP__DOCS__HEADERS__ENV", "KEY")]);
    assert!(told.contains("TRUING_MCP__DOCS__HEADERS__ENV"), "{told}");
}

#[test]
fn headers_go_with_a_url_and_authorization_without_a_token() {
    let key = "headers = { X-API-Key = { env = \"A\" } }\n";
    for way in ["command = [\"docs\"]\n", "forge = \"hub\"\n"] {
        let told = refused(&format!("[mcp.docs]\ntools = [\"a\"]\n{way}{key}"), &[]);
        assert!(told.contains("`mcp.docs.headers` is valid only together with a `url`"), "{told}");
    }
    let basic = "headers = { authorization = { env = \"A\" } }\n";
    assert_eq!(headers(basic, &[]), [("authorization".to_owned(), SecretSource::Env("A".into()))]);
    let told = refused(&format!("{SERVER}{basic}token = {{ env = \"T\" }}\n"), &[]);
    assert!(told.contains("`mcp.docs.headers` must not set `Authorization`"), "{told}");
}

const PROGRAM: &str = "[mcp.docs]\ncommand = [\"docs\"]\ntools = [\"search\"]\n";

#[test]
fn a_program_has_no_hosts_but_those_that_are_listed() {
    let hosts = |more: &str, variables: &[(&str, &str)]| {
        let config = resolved(&format!("{PROGRAM}{more}"), variables).unwrap();
        let McpTransport::Program { hosts, .. } = config.mcp["docs"].transport.clone() else {
            panic!("no program")
        };
        hosts
    };
    let host = |name: &str, port| McpHost { name: name.into(), port };
    assert_eq!(hosts("", &[]), []);
    assert_eq!(
        hosts(
            "hosts = [\"api.example.org:443\", \"a_b.example.org:8443\", \"192.0.2.1:443\", \
                \"[2001:db8::1]:443\"]\n",
            &[]
        ),
        [
            host("api.example.org", 443),
            host("a_b.example.org", 8443),
            host("192.0.2.1", 443),
            host("[2001:db8::1]", 443)
        ]
    );
    let one = [("TRUING_MCP__DOCS__HOSTS", "api.example.org:443, files.example.org:443")];
    assert_eq!(hosts("", &one), [host("api.example.org", 443), host("files.example.org", 443)]);
}

#[test]
fn a_host_that_is_wrong_is_named_with_its_line() {
    for wrong in [
        "",
        "api.example.org",
        "api.example.org:",
        "api.example.org:0",
        "api.example.org:0443",
        "api.example.org:65536",
        "api.example.org:443/",
        "api.example.org:443?a",
        "api.example.org:443#a",
        "api.example.org.:443",
        "API.example.org:443",
        "api.example.org :443",
        "*.example.org:443",
        "*:443",
        ":443",
        "me@api.example.org:443",
        "me:hush@api.example.org:443",
        "https://api.example.org:443",
        "exämple.org:443",
        "127.1:443",
        "2001:db8::1:443",
    ] {
        let told = refused(&format!("{PROGRAM}hosts = [\"fine.example.org:443\", {wrong:?}]\n"), &[]);
        let said = "`mcp.docs.hosts` must contain only entries of the form `HOST:PORT`";
        assert!(told.contains(said) && told.contains("truing.toml:4"), "{wrong}: {told}");
        assert!(!told.contains("hush"), "{wrong}: {told}");
    }
    for own in ["localhost:443", "127.0.0.1:443", "[::1]:443"] {
        let told = refused(&format!("{PROGRAM}hosts = [{own:?}]\n"), &[]);
        assert!(told.contains("set `url` instead"), "{own}: {told}");
    }
    let many: Vec<String> = (0..33).map(|n| format!("host-{n}.example.org:443")).collect();
    let told = refused(&format!("{PROGRAM}hosts = {many:?}\n"), &[]);
    assert!(told.contains("at most 32 entries, not 33"), "{told}");
    assert!(resolved(&format!("{PROGRAM}hosts = {:?}\n", &many[1..]), &[]).is_ok());
    let told = refused(&format!("{PROGRAM}hosts = \"api.example.org:443\"\n"), &[]);
    assert!(told.contains("list of strings"), "{told}");
    let told = refused(&format!("{SERVER}hosts = [\"api.example.org:443\"]\n"), &[]);
    assert!(told.contains("`mcp.docs.hosts` is valid only together with a `command`"), "{told}");
}
