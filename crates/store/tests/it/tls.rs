//! Tests of TLS connections to both servers, with certificates of test CAs. Each connection is made in
//! another instance of the test binary, because the environment variable for trusted certificates applies to
//! the whole process.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use truing_core::port::{HaltPolicy, SlotDescription, SlotMark, SlotStore as _};
use truing_core::slot::{LoopKind, SlotLimits};

use super::*;

/// Returns a port without a listener.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a condition holds.
pub(crate) fn wait_until(condition: &str, predicate: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !predicate() {
        assert!(Instant::now() < deadline, "no {condition}");
        std::thread::yield_now();
    }
}

/// The environment variable with the URLs of both servers for a child process. Without this variable, the
/// test of the child does nothing.
const URLS: &str = "TRUING_TEST_TLS_URLS";

/// Connects to both servers, stores a slot, and prints the outcome.
#[tokio::test]
async fn connecting_child() {
    let Ok(urls) = std::env::var(URLS) else { return };
    let (slots, records) = urls.split_once('\n').unwrap();
    let said = match Store::connect(slots, records, Some(ManualWallClock::at(NOW))).await {
        Err(error) => error.to_string(),
        Ok(store) => {
            let (name, url) = ("acme/shop#7".into(), "https://example.com/7".into());
            let described = SlotDescription { name, url, head: Some(sha('a')) };
            let mark = SlotMark { key: key(), description: described, loop_kind: LoopKind::Review };
            store.mark_slots(&[mark], &SlotLimits::default(), HaltPolicy::Refuse).await.unwrap();
            let kept = store.load_slots(&[key()]).await.unwrap().remove(0);
            if kept.pending.review.is_some() { "kept".into() } else { "not kept".into() }
        }
    };
    println!("\nsaid: {said}");
}

/// Returns the output of a child process that trusts only the CAs in this file.
fn connect_with_trust(trusted: &Path, slots: &str, records: &str) -> String {
    let said = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::connecting_child", "--nocapture", "--test-threads=1"])
        .env(URLS, format!("{slots}\n{records}"))
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("said: ")).unwrap_or(&text).to_owned();
    assert!(!line.contains("hush"), "{line}");
    line
}

/// The certificates of two CAs, and two certificates that the first CA has signed: one for this machine and
/// one for another host.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn shared_certificates() -> &'static Self {
        static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
        CERTIFICATES.get_or_init(|| {
            let made = Self { folder: tempfile::tempdir().unwrap() };
            for ca in ["ca", "other"] {
                made.openssl(&format!(
                    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={ca} \
                     -keyout {ca}.key -out {ca}.pem"
                ));
            }
            for (name, hosts) in
                [("here", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.example")]
            {
                std::fs::write(made.path("extensions"), format!("subjectAltName={hosts}")).unwrap();
                made.openssl(&format!(
                    "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout \
                     {name}.key -out {name}.csr"
                ));
                made.openssl(&format!(
                    "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                     -extfile extensions -out {name}.pem"
                ));
            }
            made
        })
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let said = command.args(arguments.split(' ')).current_dir(self.folder.path()).output();
        let said = said.expect("tests need openssl: `apt-get install openssl`");
        assert!(said.status.success(), "{arguments}: {}", String::from_utf8_lossy(&said.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Returns the settings of a slot server that accepts only TLS connections.
    fn tls_server_settings(&self, port: u16, name: &str) -> String {
        let of = |file: String| self.path(&file).display().to_string();
        let (certificate, key, ca) =
            (of(format!("{name}.pem")), of(format!("{name}.key")), of("ca.pem".into()));
        format!(
            "port 0\ntls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file \
             {ca}\ntls-auth-clients no\ntls-replication yes"
        )
    }
}

#[test]
fn valkey_is_connected_to_with_tls_if_its_certificate_is_trusted_and_for_its_host() {
    let certificates = Certificates::shared_certificates();
    let (ca, other) = (certificates.path("ca.pem"), certificates.path("other.pem"));
    let missing = certificates.path("missing.pem");
    let server = |name: &str| {
        let port = free_port();
        let settings =
            format!("save \"\"\nrequirepass hush\n{}", certificates.tls_server_settings(port, name));
        SlotServer::start_with_settings(port, &settings, "")
    };
    let (here, elsewhere) = (server("here"), server("elsewhere"));
    let (port, plain, sentinel) = (here.port, SlotServer::shared_server().port, free_port());
    let watch = format!(
        "sentinel monitor reviews 127.0.0.1 {port} 1\n{}",
        certificates.tls_server_settings(sentinel, "here")
    );
    let _sentinel = SlotServer::start_with_settings(sentinel, &watch, "--sentinel");
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    for (trusted, url, part) in [
        (&ca, format!("valkeys://:hush@localhost:{port}/0"), "kept"),
        (&ca, format!("rediss://:hush@127.0.0.1:{port}/0"), "kept"),
        (&ca, format!("valkeys+sentinel://:hush@localhost:{sentinel}/reviews/0"), "kept"),
        (&other, format!("valkeys://:hush@localhost:{port}/0"), "is from a CA that is not trusted: add"),
        (
            &other,
            format!("rediss+sentinel://:hush@localhost:{sentinel}/reviews/0"),
            "is from a CA that is not trusted: add",
        ),
        (&missing, format!("valkeys://:hush@localhost:{port}/0"), "SSL_CERT_FILE"),
        (&ca, format!("valkeys://:hush@localhost:{}/0", elsewhere.port), "is not for this host"),
        (&ca, format!("valkey://:hush@localhost:{port}/0"), "begin the address with `valkeys` or `rediss`"),
        (&ca, format!("valkeys://:hush@localhost:{plain}/0"), "begin the address with `valkey` or `redis`"),
        (&ca, format!("rediss://:hush@localhost:{}/0#insecure", elsewhere.port), "insecure"),
    ] {
        let said = connect_with_trust(trusted, &url, &records);
        assert!(said.contains(part), "{url}: {said}");
        assert!(said == "kept" || said.contains("insecure") || said.contains("localhost"), "{url}: {said}");
    }
}

/// Starts a separate PostgreSQL that accepts TLS connections with this certificate.
fn start_tls_postgres(name: &str) -> (Server, String) {
    let (certificates, server) = (Certificates::shared_certificates(), Server::start());
    let mut write = String::new();
    for (file, text) in [
        ("server.crt", certificates.read(&format!("{name}.pem"))),
        ("server.key", certificates.read(&format!("{name}.key"))),
        (
            "pg_hba.conf",
            "hostnossl all guarded 127.0.0.1/32 reject\nhostssl all unguarded 127.0.0.1/32 reject\n\
             host all all 127.0.0.1/32 trust\nlocal all all trust"
                .to_owned(),
        ),
    ] {
        write!(
            write,
            "COPY (SELECT unnest(string_to_array('{text}', E'\\n'))) TO PROGRAM 'umask 077; cat >{file}';"
        )
        .unwrap();
    }
    let statements = [
        "CREATE ROLE guarded LOGIN SUPERUSER",
        "CREATE ROLE unguarded LOGIN SUPERUSER",
        &write,
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ];
    let (said, done) = server.psql("postgres", &statements);
    assert!(done, "{said}");
    wait_until("TLS of PostgreSQL", || server.psql("postgres", &["SHOW ssl"]).0.trim() == "on");
    let database = server.new_database();
    (server, database)
}

#[test]
fn postgresql_is_connected_to_with_tls_if_its_certificate_is_trusted_and_for_its_host() {
    let certificates = Certificates::shared_certificates();
    let (ca, other) = (certificates.path("ca.pem"), certificates.path("other.pem"));
    let missing = certificates.path("missing.pem");
    let ((here, database), (elsewhere, of_elsewhere)) =
        (start_tls_postgres("here"), start_tls_postgres("elsewhere"));
    let url = |user: &str, server: &Server, database: &str, mode: &str| {
        format!("postgres://{user}:hush@localhost:{}/{database}{mode}", server.port)
    };
    let plain = Server::shared_server().new_database();
    let of = |user: &str, mode: &str| url(user, &here, &database, mode);
    for (trusted, records, part) in [
        (&ca, of("guarded", "?sslmode=require"), "kept"),
        (&ca, of("guarded", "?sslmode=verify-full"), "kept"),
        (&ca, of("guarded", "?sslmode=verify-ca"), "kept"),
        (&ca, of("guarded", "?sslmode=prefer"), "kept"),
        (&ca, of("guarded", ""), "kept"),
        (&ca, of("unguarded", "?sslmode=disable"), "kept"),
        (&ca, of("guarded", "?sslmode=disable"), "pg_hba.conf"),
        (&ca, of("unguarded", "?sslmode=require"), "pg_hba.conf"),
        (&ca, of("guarded", "?sslmode=allow"), "sslmode"),
        (&ca, of("guarded", "?sslmode=require&sslrootcert=/ca.pem"), "SSL_CERT_FILE"),
        (&missing, of("guarded", "?sslmode=require"), "SSL_CERT_FILE"),
        (&other, of("guarded", "?sslmode=require"), "is from a CA that is not trusted: add"),
        (&other, of("guarded", "?sslmode=prefer"), "is from a CA that is not trusted: add"),
        (&ca, url("truing", &elsewhere, &of_elsewhere, "?sslmode=verify-full"), "is not for this host"),
        (&ca, url("truing", &elsewhere, &of_elsewhere, "?sslmode=verify-ca"), "is not for this host"),
        (&ca, url("truing", &elsewhere, &of_elsewhere, "?sslmode=require"), "is not for this host"),
        (&ca, url("truing", &elsewhere, &of_elsewhere, ""), "is not for this host"),
        (&ca, url("truing", Server::shared_server(), &plain, "?sslmode=require"), "the server offers no TLS"),
        (
            &ca,
            url("truing", Server::shared_server(), &plain, "?sslmode=verify-full"),
            "the server offers no TLS",
        ),
        (&ca, url("truing", Server::shared_server(), &plain, "?sslmode=prefer"), "kept"),
    ] {
        let slots = SlotServer::shared_server().url(SlotServer::new_database());
        let said = connect_with_trust(trusted, &slots, &records);
        assert!(said.contains(part), "{records}: {said}");
        assert!(
            said == "kept" || said.contains("store.records") || said.contains("localhost"),
            "{records}: {said}"
        );
    }
}
