//! Tests of setups and checks, with the real sandbox and a registry on this machine. The tests attempt every
//! action that setups and checks must not be able to perform. This test program also runs inside the sandbox,
//! as a setup or a check.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests may fail them; what is inside prints"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use truing_agent::proxy::{AllowedHost, ConnectionRefusal};
use truing_agent::sandbox::{SandboxError, SandboxLevel};
use truing_agent::verify::{
    CacheRetention, CacheScope, PreparedTree, RegistryAccess, SetupCache, SetupResult, Verifier, VerifyError,
    VerifyPlan,
};
use truing_core::verification::{CheckVerdict, CommandEndReason, VerificationReport};

use crate::support::{SOON, Test, has_sandbox, sandbox_level, until, with_word};

/// Argument with which this program runs itself inside the sandbox.
pub(crate) const INSIDE: &str = "/inside";

/// Returns the path of this program inside the sandbox.
pub(crate) fn program_path() -> String {
    match sandbox_level() {
        SandboxLevel::Full => "/.truing".to_owned(),
        SandboxLevel::Landlock | SandboxLevel::None => std::env::current_exe().unwrap().display().to_string(),
    }
}

/// Returns the words of a shell command that runs this program inside the sandbox.
fn inside_command() -> String {
    format!("{} {INSIDE}", program_path())
}

/// Returns every test of this file.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("a_weaker_sandbox_is_refused", a_weaker_sandbox_is_refused),
        staged("a_set_up_fetches_through_the_proxy_once", a_set_up_fetches_through_the_proxy_once),
        staged(
            "what_no_registry_is_cannot_be_reached_and_is_told",
            what_no_registry_is_cannot_be_reached_and_is_told,
        ),
        staged("a_tunnel_is_for_tls_to_its_host", a_tunnel_is_for_tls_to_its_host),
        staged("there_is_no_way_but_the_proxy", there_is_no_way_but_the_proxy),
        staged("commands_see_nothing_of_this_process", commands_see_nothing_of_this_process),
        staged("checks_leave_what_was_set_up_as_it_is", checks_leave_what_was_set_up_as_it_is),
        staged("set_up_works_in_cache_behind_link", set_up_works_in_cache_behind_link),
        staged("a_set_up_that_fails_is_told_and_not_kept", a_set_up_that_fails_is_told_and_not_kept),
        staged(
            "a_command_ends_in_time_with_all_that_it_started",
            a_command_ends_in_time_with_all_that_it_started,
        ),
        staged("floods_of_output_and_files_end", floods_of_output_and_files_end),
        staged("ends_are_told_as_they_are", ends_are_told_as_they_are),
        staged(
            "what_failed_before_and_what_is_flaky_does_not_count",
            what_failed_before_and_what_is_flaky_does_not_count,
        ),
    ]
}

/// Returns a test that gets a new source tree, cache and registry.
fn staged(name: &'static str, test: fn(&Stage)) -> Test {
    Test::new(name, move || test(&Stage::new())).needs(has_sandbox)
}

/// Acts, inside the sandbox, as the client of a registry, or as a program that tries to escape.
pub(crate) fn inside(words: &[&str]) -> ExitCode {
    let done = match words {
        ["fetch", url] => asked(&format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")),
        ["post", url] => asked(&format!(
            "POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )),
        ["tunnel", host, say] => asked(&format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n{say}")),
        ["tcp", address] => TcpStream::connect_timeout(&address.parse().unwrap(), SOON).is_ok(),
        _ => false,
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sends a request to the proxy, and prints the response. Returns true if the status of the response is 200.
fn asked(request: &str) -> bool {
    let proxy = std::env::var("http_proxy").unwrap_or_default();
    let Ok(mut stream) = TcpStream::connect(proxy.trim_start_matches("http://")) else { return false };
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    println!("{answer}");
    answer.starts_with("HTTP/1.1 200")
}

fn a_weaker_sandbox_is_refused() {
    let cache = SetupCache::new(PathBuf::from("/nowhere"), CacheRetention { bytes: 0, age: Duration::ZERO });
    let refused = Verifier::new(VerifyPlan::default(), cache, SandboxLevel::None).map(drop);
    assert!(matches!(refused, Err(VerifyError::Sandbox(SandboxError::TooWeak { .. }))));
}

/// A registry on this machine that answers and records every request.
struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = site.asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut said) = (stream.unwrap(), Vec::new());
                let mut part = [0; 4096];
                while !said.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut part).unwrap_or(0) {
                        0 => break,
                        count => said.extend_from_slice(&part[..count]),
                    }
                }
                asked.lock().unwrap().push(String::from_utf8_lossy(&said).into_owned());
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na package");
            }
        });
        site
    }

    fn url(&self) -> String {
        format!("http://{}/package", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns the registry as an allowed host, as if the user had configured it as a package index.
    fn place(&self) -> AllowedHost {
        let host = self.address.ip().to_string();
        AllowedHost { host, port: self.address.port(), tls: false, allows_private: true }
    }
}

/// A source tree, a cache and a registry.
struct Stage {
    folder: TempDir,
    runtime: Runtime,
    site: Site,
}

impl Stage {
    fn new() -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            runtime: Runtime::new().unwrap(),
            site: Site::new(),
        };
        std::fs::create_dir_all(stage.tree().join("src")).unwrap();
        std::fs::write(stage.tree().join("src/main"), "source\n").unwrap();
        std::fs::write(stage.tree().join("uv.lock"), "1\n").unwrap();
        stage
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("tree")
    }

    /// Returns a plan with these shell scripts as commands. The setup may access the registry.
    fn plan(&self, setup: &[&str], check: &[&str]) -> VerifyPlan {
        let commands = |scripts: &[&str]| scripts.iter().map(|script| sh(script)).collect();
        let registries =
            RegistryAccess { allowed_hosts: vec![self.site.place()], ..RegistryAccess::default() };
        VerifyPlan { setup: commands(setup), check: commands(check), registries, ..VerifyPlan::default() }
    }

    fn verifier(&self, plan: VerifyPlan) -> Verifier {
        let kept = CacheRetention { bytes: 1 << 30, age: Duration::from_secs(3600) };
        Verifier::new(plan, SetupCache::new(self.folder.path().join("cache"), kept), sandbox_level()).unwrap()
    }

    fn set_up(&self, verifier: &Verifier) -> SetupResult {
        self.runtime.block_on(verifier.set_up(&self.tree(), &CacheScope::new("x"))).unwrap()
    }

    /// Runs the setup. Returns a new copy of the source tree that contains the setup's result.
    fn bench(&self, verifier: &Verifier) -> (PreparedTree, PathBuf) {
        let set_up = self.set_up(verifier);
        assert!(set_up.can_run_checks(), "{set_up:?}");
        let copy = tempfile::tempdir_in(&self.folder).unwrap().keep().canonicalize().unwrap();
        let copied =
            std::process::Command::new("cp").arg("-a").arg(self.tree().join(".")).arg(&copy).status();
        assert!(copied.unwrap().success());
        (self.runtime.block_on(verifier.prepare_tree(&set_up, &copy)).unwrap(), copy)
    }

    fn checks(&self, verifier: &Verifier, baseline: Option<&VerificationReport>) -> VerificationReport {
        let (bench, _) = self.bench(verifier);
        self.runtime.block_on(verifier.run_checks(&bench, baseline)).unwrap()
    }

    /// Runs one check from a plan that has no other commands.
    fn check(&self, script: &str) -> truing_core::verification::CommandRun {
        let mut checked = self.checks(&self.verifier(self.plan(&[], &[script])), None);
        checked.checks.remove(0).ran
    }

    fn cached(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.path().join("cache")).unwrap().flatten();
        entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with("held-")).count()
    }
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A home folder or a folder for caches can be a symbolic link to another disk.
fn set_up_works_in_cache_behind_link(stage: &Stage) {
    std::fs::create_dir(stage.folder.path().join("cache")).unwrap();
    symlink("cache", stage.folder.path().join("link")).unwrap();
    let kept = CacheRetention { bytes: 1 << 30, age: Duration::from_secs(3600) };
    let cache = SetupCache::new(stage.folder.path().join("link/set-ups"), kept);
    let plan =
        stage.plan(&["echo made > made; echo kept > ~/kept"], &["grep -q made made && grep -q kept ~/kept"]);
    let verifier = Verifier::new(plan, cache, sandbox_level()).unwrap();
    for is_cached in [false, true] {
        assert_eq!(stage.set_up(&verifier).is_cached, is_cached);
        let checked = stage.checks(&verifier, None);
        assert_eq!(checked.checks[0].ran.end, CommandEndReason::Exit { code: 0 }, "{checked:?}");
    }
}

fn a_set_up_fetches_through_the_proxy_once(stage: &Stage) {
    let here = inside_command();
    let fetch = format!(
        "mkdir -p .deps ~/.cache && {here} fetch {} > .deps/package && echo $PWD > ~/.cache/where && echo \
         changed > src/main",
        stage.site.url()
    );
    let check =
        "grep -q 'a package' .deps/package && grep -qx \"$PWD\" ~/.cache/where && grep -qx source src/main";
    let verifier = stage.verifier(stage.plan(&[&fetch], &[check]));
    let first = stage.set_up(&verifier);
    assert!(first.can_run_checks() && !first.is_cached, "{first:?}");
    assert_eq!(first.contacted_hosts.len(), 1, "{first:?}");
    let reached = &first.contacted_hosts[0];
    assert_eq!((reached.host.as_str(), reached.refusal.as_ref(), reached.times), ("127.0.0.1", None, 1));
    assert!(reached.received > 9 && reached.sent > 9, "{reached:?}");
    let asked = stage.site.asked();
    assert!(asked.len() == 1 && asked[0].starts_with("GET /package HTTP/1.1\r\n"), "{asked:?}");
    assert!(
        asked[0].contains(&format!("{}\r\n", stage.site.address)) && !asked[0].contains("connection: close")
    );
    assert_eq!(files(&stage.tree()), ["src", "uv.lock"], "the tree is as it was");

    let now = stage.checks(&verifier, None);
    assert_eq!(VerificationReport::compare(None, &now), [CheckVerdict::Passed], "{now:?}");
    // The next setup removes the folder that a killed process left in the cache.
    let left = stage.folder.path().join("cache/held-by-nobody");
    std::fs::create_dir(&left).unwrap();
    assert!(stage.set_up(&verifier).is_cached);
    assert!(!left.exists());
    assert_eq!(stage.site.asked().len(), 1, "nobody asked again");

    std::fs::write(stage.tree().join("uv.lock"), "2\n").unwrap();
    assert!(!stage.set_up(&verifier).is_cached);
    assert_eq!((stage.site.asked().len(), stage.cached()), (2, 2));
}

fn what_no_registry_is_cannot_be_reached_and_is_told(stage: &Stage) {
    let here = inside_command();
    let other = Site::new();
    let script = format!(
        "{here} fetch {} ; {here} fetch http://LOCALHOST:{}/ ; {here} post {} ; {here} tunnel {} x ; {here} \
         fetch /x ;
         for n in $(seq 300); do {here} fetch http://host-$n.example.org/; done; exit 0",
        other.url(),
        stage.site.address.port(),
        stage.site.url(),
        stage.site.address,
    );
    let mut plan = stage.plan(&[&script], &[]);
    // The name of this allowed host resolves to this machine, so its address is not public.
    let place = AllowedHost { host: "localhost".to_owned(), allows_private: false, ..stage.site.place() };
    plan.registries.allowed_hosts.push(place);
    let set_up = stage.set_up(&stage.verifier(plan));
    let of = |host: &str, port: u16| {
        let told = set_up
            .contacted_hosts
            .iter()
            .filter(|reached| (reached.host.as_str(), reached.port) == (host, port));
        told.map(|reached| reached.refusal.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("127.0.0.1", other.address.port()), [Some(ConnectionRefusal::NotListed)]);
    assert_eq!(of("localhost", stage.site.address.port()), [Some(ConnectionRefusal::NotPublic)]);
    // Two connections to the registry's host were refused: a request that would change data, and a tunnel,
    // because the host is listed without TLS.
    let both = of("127.0.0.1", stage.site.address.port());
    assert!(
        both.contains(&Some(ConnectionRefusal::Method)) && both.contains(&Some(ConnectionRefusal::NotListed)),
        "{both:?}"
    );
    // The number of reported hosts is limited, even if a setup contacts more hosts.
    assert_eq!(of("host-1.example.org", 80), [Some(ConnectionRefusal::NotListed)]);
    let many = set_up.contacted_hosts.iter().find(|reached| reached.host == "…").unwrap();
    assert!(set_up.contacted_hosts.len() < 270 && many.times > 30, "{many:?}");
    let said = &set_up.commands[0].output;
    assert!(said.contains("HTTP/1.1 403") && said.contains("is not listed in `verify.registries`"), "{said}");
    assert!(said.contains("HTTP/1.1 405") && said.contains("HTTP/1.1 400"), "{said}");
    assert!(other.asked().is_empty() && stage.site.asked().is_empty());
}

fn a_tunnel_is_for_tls_to_its_host(stage: &Stage) {
    let here = inside_command();
    let script = format!("{here} tunnel {} 'GET / HTTP/1.1'", stage.site.address);
    let mut plan = stage.plan(&[&script], &[]);
    plan.registries.allowed_hosts = vec![AllowedHost { tls: true, ..stage.site.place() }];
    let set_up = stage.set_up(&stage.verifier(plan));
    assert!(set_up.commands[0].output.starts_with("HTTP/1.1 200"), "{set_up:?}");
    let refused: Vec<_> = set_up.contacted_hosts.iter().map(|reached| reached.refusal.clone()).collect();
    assert_eq!(refused, [None, Some(ConnectionRefusal::OtherHost)]);
    assert!(stage.site.asked().iter().all(String::is_empty), "{:?}", stage.site.asked());
}

fn there_is_no_way_but_the_proxy(stage: &Stage) {
    let here = inside_command();
    let direct = format!("{here} tcp {}", stage.site.address);
    let set_up = stage.set_up(&stage.verifier(stage.plan(&[&direct], &[])));
    assert!(!set_up.can_run_checks() && set_up.contacted_hosts.is_empty(), "{set_up:?}");
    // A check has access neither to the network nor to a proxy.
    for script in [direct, format!("{here} fetch {}", stage.site.url()), "env | grep -i _proxy=".to_owned()] {
        assert_eq!(stage.check(&script).end, CommandEndReason::Exit { code: 1 }, "{script}");
    }
    assert!(stage.site.asked().is_empty());
    // For comparison: outside the sandbox, the registry can be reached.
    assert!(TcpStream::connect(stage.site.address).is_ok());
}

fn commands_see_nothing_of_this_process(stage: &Stage) {
    // The environment of this process contains cargo's variables. Commands must not receive these variables.
    assert!(std::env::var("CARGO_PKG_NAME").is_ok());
    let look = "env; cat /proc/*/environ; echo; id -un; getent hosts localhost; ls /root /home; cat \
         ~/.cargo/config.toml";
    let mut plan = stage.plan(&[look], &[look]);
    plan.registries.environment = vec![("PIP_INDEX_URL".to_owned(), stage.site.url())];
    plan.registries.files = vec![(".cargo/config.toml", "a file for both\n".to_owned())];
    plan.setup[0][2].push_str("; exit 0");
    let verifier = stage.verifier(plan);
    let set_up = stage.set_up(&verifier).commands.remove(0).output;
    let check = stage.checks(&verifier, None).checks.remove(0).ran.output;
    for said in [&set_up, &check] {
        assert!(!said.contains("CARGO_PKG_NAME") && !said.contains("TERM="), "{said}");
        // Without namespaces, a command has the name of the real user.
        let is_renamed = sandbox_level() != SandboxLevel::Full || said.contains("\nagent\n");
        assert!(is_renamed && said.contains("localhost"), "{said}");
        assert!(said.contains("a file for both"), "{said}");
    }
    assert!(set_up.contains("PIP_INDEX_URL=http") && set_up.contains("https_proxy=http"), "{set_up}");
    assert!(!check.contains("PIP_INDEX_URL") && check.contains("PIP_NO_INDEX=1"), "{check}");
}

fn checks_leave_what_was_set_up_as_it_is(stage: &Stage) {
    let setup = "mkdir .deps ~/tools; echo kept > .deps/a; echo kept > ~/tools/b; ln .deps/a .deps/c; \
                 mkdir .deps/shut; echo x > .deps/shut/x; chmod 000 .deps/shut; ln -s /etc/passwd .deps/link";
    let check = "grep -qx kept .deps/a ~/tools/b .deps/c && echo spoilt > .deps/a && echo spoilt > ~/tools/b \
         && rm -rf .deps/shut && echo spoilt > src/main && chmod -w .deps && mkdir ~/shut && chmod 0 ~/shut";
    let verifier = stage.verifier(stage.plan(&[setup], &[check]));
    for _ in 0..2 {
        let now = stage.checks(&verifier, None);
        assert_eq!(VerificationReport::compare(None, &now), [CheckVerdict::Passed], "{now:?}");
    }
    assert_eq!(std::fs::read_to_string(stage.tree().join("src/main")).unwrap(), "source\n");
    let left = files(&stage.folder.path().join("cache"));
    assert_eq!(left.len(), 1, "what was used for a while is gone: {left:?}");
}

fn a_set_up_that_fails_is_told_and_not_kept(stage: &Stage) {
    let verifier = stage.verifier(stage.plan(&["echo one", "echo two >&2; exit 3", "echo three"], &[]));
    let set_up = stage.set_up(&verifier);
    assert!(!set_up.can_run_checks());
    let ends: Vec<CommandEndReason> = set_up.commands.iter().map(|ran| ran.end).collect();
    assert_eq!(ends, [CommandEndReason::Exit { code: 0 }, CommandEndReason::Exit { code: 3 }]);
    assert_eq!((set_up.commands[0].output.as_str(), set_up.commands[1].errors.as_str()), ("one\n", "two\n"));
    assert_eq!(stage.cached(), 0);
    assert!(matches!(
        stage.runtime.block_on(verifier.prepare_tree(&set_up, &stage.tree())),
        Err(VerifyError::Folder { .. })
    ));
}

fn a_command_ends_in_time_with_all_that_it_started(stage: &Stage) {
    let word = format!("8{:08}", std::process::id());
    let script = format!("setsid sleep {word} & echo begun; sleep {word}");
    // On a busy machine, the time limit may stop the command before its first output. The test then repeats
    // it with a longer limit.
    let tries = [1, 5, 20, 60].into_iter().map(|seconds| {
        let mut plan = stage.plan(&[], &[&script]);
        plan.command_time_limit = Duration::from_secs(seconds);
        (seconds, stage.checks(&stage.verifier(plan), None).checks.remove(0))
    });
    let (seconds, checked) = tries.into_iter().find(|(_, checked)| !checked.ran.output.is_empty()).unwrap();
    assert_eq!((checked.ran.end, checked.ran.output.as_str()), (CommandEndReason::Time, "begun\n"));
    assert!(checked.ran.ms >= seconds * 1000 && checked.retry.is_some(), "{checked:?}");
    until("something is left", || with_word(&word) == 0);
}

fn floods_of_output_and_files_end(stage: &Stage) {
    let flood = stage.check("yes");
    assert_eq!(flood.end, CommandEndReason::Output);
    assert!(
        flood.output.len() < 64 << 10 && flood.output.contains("bytes are left out"),
        "{}",
        flood.output.len()
    );
    for place in [".", "~", "$TMPDIR"] {
        let fill = format!(
            "n=0; while [ $n -lt 40 ]; do n=$((n+1)); head -c 8000000 /dev/zero > {place}/f$n || break; \
             done; sleep 1000"
        );
        let mut plan = stage.plan(&[], &[&fill]);
        plan.disk = 64 << 20;
        let checked = stage.checks(&stage.verifier(plan), None);
        assert_eq!(checked.checks[0].ran.end, CommandEndReason::Disk, "{place}: {checked:?}");
    }
    // The disk limit is also reported if the command exceeds the limit but exits before the first
    // measurement.
    let mut plan = stage.plan(&[], &["for n in 1 2 3; do head -c 30000000 /dev/zero > f$n; done"]);
    plan.disk = 64 << 20;
    assert_eq!(stage.checks(&stage.verifier(plan), None).checks.remove(0).ran.end, CommandEndReason::Disk);
    // If a single file exceeds the limit, the kernel stops the write. The disk limit is then not reported as
    // exceeded.
    let mut plan = stage.plan(&[], &["head -c 80000000 /dev/zero > one"]);
    plan.disk = 64 << 20;
    let ended = stage.checks(&stage.verifier(plan), None).checks.remove(0).ran.end;
    assert!(!ended.is_success() && ended != CommandEndReason::Disk, "{ended:?}");
}

fn ends_are_told_as_they_are(stage: &Stage) {
    for (script, end) in [
        ("exit 0", CommandEndReason::Exit { code: 0 }),
        ("exit 125", CommandEndReason::Exit { code: 125 }),
        ("exit 127", CommandEndReason::Exit { code: 127 }),
        ("kill -9 $$", CommandEndReason::Exit { code: 137 }),
        (
            "test \"$(cat src/main)\" = source && ! touch .git/x 2>/dev/null && touch made",
            CommandEndReason::Exit { code: 0 },
        ),
    ] {
        assert_eq!(stage.check(script).end, end, "{script}");
    }
    let mut plan = stage.plan(&[], &[]);
    plan.check = vec![vec!["no-such-program".to_owned()], vec!["./src/main".to_owned()]];
    let checked = stage.checks(&stage.verifier(plan), None);
    assert!(checked.checks.iter().all(|check| check.ran.end == CommandEndReason::NoProgram), "{checked:?}");
    let key = ["AKIA", "73U55XTPLPFT7V4S"].concat();
    let said = stage.check(&format!("echo {key}"));
    assert!(said.output.starts_with("AKIA") && !said.output.contains(&key), "{said:?}");
}

fn what_failed_before_and_what_is_flaky_does_not_count(stage: &Stage) {
    let (good, bad) = ("grep -qx source src/main", "echo tried >> ~/tries; exit 4");
    let shaky = "test -f .once || { touch .once; exit 1; }";
    let verifier = stage.verifier(stage.plan(&[], &[good, bad, shaky]));
    let base = stage.checks(&verifier, None);
    assert_eq!(
        VerificationReport::compare(None, &base),
        [CheckVerdict::Passed, CheckVerdict::Failed, CheckVerdict::Flaky]
    );
    std::fs::write(stage.tree().join("src/main"), "worse\n").unwrap();
    let now = stage.checks(&verifier, Some(&base));
    let verdicts = VerificationReport::compare(Some(&base), &now);
    assert_eq!(verdicts, [CheckVerdict::Failed, CheckVerdict::FailedBefore, CheckVerdict::Flaky]);
    assert!(now.checks[1].retry.is_none(), "what failed before is not tried again");
}
