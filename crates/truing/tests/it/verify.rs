//! Tests of `truing verify` with real git, the sandbox, and a package index on this machine.

#![cfg(target_os = "linux")]
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::workspace::{CheckedRepository, has_sandbox};

/// Maximum wait for an event that should happen immediately.
const SOON: Duration = crate::support::HANGS;
/// Script that sends a request for the index through the proxy, as a package installer does. The address of
/// the index is an argument or in `PIP_INDEX_URL`.
const FETCH: &str = r#"
proxy=${http_proxy#http://}
exec 3<>/dev/tcp/${proxy%:*}/${proxy#*:}
printf 'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' "${1:-$PIP_INDEX_URL}" >&3
cat <&3 | tee answer
head -1 answer | grep -q ' 200 '
"#;

/// Starts an index. Returns its address and a counter of the requests that it has received.
fn start_index() -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, asked) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicUsize::new(0)));
    let (address, counter) = (listener.local_addr().unwrap(), asked.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut part, mut said) = (stream.unwrap(), [0; 4096], Vec::new());
            while !said.ends_with(b"\r\n\r\n") {
                match stream.read(&mut part).unwrap_or(0) {
                    0 => break,
                    count => said.extend_from_slice(&part[..count]),
                }
            }
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na package");
        }
    });
    (address, asked)
}

/// A repository that has a commit.
struct Site(CheckedRepository);

impl Deref for Site {
    type Target = CheckedRepository;

    fn deref(&self) -> &CheckedRepository {
        &self.0
    }
}

impl Site {
    fn new(configuration: &str) -> Self {
        let site = Self(CheckedRepository::without_commit(configuration));
        site.write("repository/src", "good\n");
        site.write("repository/uv.lock", "1\n");
        site.write("repository/.gitignore", "answer\n");
        site.write("repository/fetch.sh", FETCH);
        site.commit();
        site
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.0.command(&[&["verify"], arguments].concat())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run_json(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        parse_answer(self.command(arguments).args(["--format", "json"]).output().unwrap())
    }

    /// Returns the paths and contents of all files of the repository, including the files in `.git`.
    fn read_all_files(&self) -> Vec<(String, Vec<u8>)> {
        let (mut all, mut folders) = (Vec::new(), vec![self.path("repository")]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => all.push((path.display().to_string(), std::fs::read(&path).unwrap())),
                }
            }
        }
        all.sort();
        all
    }
}

fn parse_answer(output: Output) -> (Value, Option<i32>) {
    (serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}")), output.status.code())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Returns the value of one field for each check.
fn check_fields(answer: &Value, field: &str) -> Vec<Value> {
    answer["checks"].as_array().unwrap().iter().map(|check| check[field].clone()).collect()
}

#[test]
fn checks_run_on_a_copy_of_the_working_tree_after_a_set_up_that_is_done_once() {
    if !has_sandbox() {
        return;
    }
    let site = Site::new(
        r#"[verify]
setup = [["bash", "fetch.sh"]]
check = [["sh", "-c", "grep -q package answer && grep -qx new src extra && test ! -e gone && git log -1 --format=%s"],
         ["sh", "-c", "env; cat /proc/*/environ; echo changed > src; rm -rf answer ~/*"]]
"#,
    );
    site.write("repository/gone", "");
    site.commit();
    // The command verifies the working tree with its uncommitted changes.
    std::fs::remove_file(site.path("repository/gone")).unwrap();
    site.write("repository/src", "new\n");
    site.write("repository/extra", "new\n");
    let before = site.read_all_files();
    let (index, asked) = start_index();
    for found in [false, true] {
        let mut command = site.command(&["--format", "json"]);
        let (answer, code) =
            parse_answer(command.env("PIP_INDEX_URL", format!("http://{index}/simple")).output().unwrap());
        assert_eq!((code, &answer["ok"]), (Some(0), &json!(true)), "{answer:#}");
        assert_eq!(answer["schema"], "truing.verify/1");
        assert_eq!(check_fields(&answer, "verdict"), ["passed", "passed"]);
        assert_eq!(answer["set_up"]["found"], found);
        let reached = &answer["set_up"]["reached"][0];
        assert_eq!((&reached["host"], &reached["refused"]), (&json!("127.0.0.1"), &Value::Null));
        assert_eq!(answer["checks"][0]["output"], "x\n");
        let seen = answer["checks"][1]["output"].as_str().unwrap();
        assert!(!seen.contains("canary") && seen.contains("PIP_NO_INDEX=1"), "{seen}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the index was asked once");
    }
    assert_eq!(site.read_all_files(), before, "nothing of the repository is changed");
    assert_eq!(std::fs::read_dir(site.path(".cache/truing/verify")).unwrap().count(), 1);
    // Without `PIP_INDEX_URL`, the index differs, so the set-up commands run again, and fail.
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("set-up FAILS") && said.ends_with("the checks were not run: the setup failed\n"));
}

#[test]
fn what_failed_before_does_not_count_and_what_newly_fails_does() {
    if !has_sandbox() {
        return;
    }
    let site = Site::new(
        "[verify]\ncheck = [[\"grep\", \"-qx\", \"good\", \"src\"], [\"sh\", \"-c\", \"echo why >&2; exit \
         7\"]]\n",
    );
    let (answer, code) = site.run_json(&[]);
    assert_eq!((code, check_fields(&answer, "verdict")), (Some(1), vec![json!("passed"), json!("failed")]));
    assert_eq!(
        (&answer["checks"][1]["exit_code"], &answer["checks"][1]["errors"]),
        (&json!(7), &json!("why\n"))
    );
    assert_eq!(answer["checks"][1]["again"]["exit_code"], 7);
    let (answer, code) = site.run_json(&["--base", "HEAD"]);
    assert_eq!(
        (code, check_fields(&answer, "verdict")),
        (Some(0), vec![json!("passed"), json!("failed_before")])
    );
    assert_eq!(answer["base"]["checks"][1]["ok"], false);

    site.write("repository/src", "bad\n");
    let output = site.run(&["--base", "HEAD"]);
    assert_eq!(output.status.code(), Some(1));
    let said: Vec<&str> = text(&output.stdout).lines().map(|line| line.split(" (").next().unwrap()).collect();
    let expected = [
        "base: check ok",
        "base: check FAILS, exit code 7",
        "check FAILS, exit code 1",
        "check fails, as before, exit code 7",
    ];
    assert_eq!(said, expected);
    // With `--head`, the command verifies a commit and ignores the working tree.
    assert_eq!(site.run(&["--head", "HEAD", "--base", "HEAD"]).status.code(), Some(0));
}

#[test]
fn cargo_is_told_of_the_users_own_index() {
    if !has_sandbox() {
        return;
    }
    let site = Site::new(
        "[verify]\nsetup = [[\"true\"]]\ncheck = [[\"sh\", \"-c\", \"cat ~/.cargo/config.toml\"]]\n",
    );
    let replaced = format!("[source.crates-io]\nreplace{}\n", "-with = \"mirror\"");
    let index = format!("sparse{}", "+https://crates.example.org/index/");
    site.write(".cargo/config.toml", &format!("{replaced}[registries.mirror]\nindex = \"{index}\"\n"));
    let (answer, code) = site.run_json(&[]);
    let told = answer["checks"][0]["output"].as_str().unwrap();
    assert!(code == Some(0) && told.contains(&format!("registry = \"{index}\"")), "{answer:#}");
}

#[test]
fn a_host_that_is_no_registry_is_refused_and_told() {
    if !has_sandbox() {
        return;
    }
    let site = Site::new("[verify]\nsetup = [[\"bash\", \"fetch.sh\", \"http://example.org/\"]]\n");
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = text(&output.stdout);
    assert!(
        said.contains("REFUSED example.org:80, 1 time: it is not listed in `verify.registries`"),
        "{said}"
    );
}

#[test]
fn what_is_configured_wrongly_is_told_before_anything_is_run() {
    let check = "[verify]\ncheck = [[\"true\"]]\n";
    let site = Site::new("");
    let refused = |site: &Site, code: i32, what: &str| {
        let output = site.run(&[]);
        let said = text(&output.stderr).to_owned();
        assert!(output.status.code() == Some(code) && said.contains(what), "{what}: {output:?}");
        said
    };
    refused(&site, 2, "no check is configured");
    // The checks in a repository's own file are used only if the operator allows this. Otherwise, the error
    // message says that they are not used.
    site.write("repository/.truing.toml", check);
    let said = refused(&site, 2, "`verify.check` of the repository's own file is not used");
    assert!(said.contains("from_repository = true"), "{said}");
    site.write("repository/.truing.toml", &format!("{check}setup = [[\"true\"]]\n"));
    let mut command = site.command(&[]);
    command
        .env("TRUING_VERIFY__FROM_REPOSITORY", "true")
        .env("PIP_INDEX_URL", "https://me:hush@example.org/x");
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("PIP_INDEX_URL names an index whose URL contains a user name or a password")
            && !said.contains("hush"),
        "{said}"
    );
    // `.npmrc` also contains an access token.
    let npmrc = "registry=https://npm.example.org/\n//npm.example.org/:_authToken=hush\n";
    site.write(".npmrc", npmrc);
    let output = site.command(&[]).env("TRUING_VERIFY__FROM_REPOSITORY", "true").output().unwrap();
    let said = text(&output.stderr);
    assert!(
        said.contains(".npmrc names an index whose URL contains a user name or a password")
            && !said.contains("hush"),
        "{said}"
    );
    // Without set-up commands, no process needs the index, so the token in `.npmrc` is no obstacle.
    site.write("repository/.truing.toml", check);
    if has_sandbox() {
        let mut command = site.command(&[]);
        let output = command.env("TRUING_VERIFY__FROM_REPOSITORY", "true").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).starts_with("check passes ("), "{output:?}");
    }
    for folder in ["rel", "~/x", "/nonexistent"] {
        let programs = format!("[\"{folder}\"]");
        let output = site
            .command(&[])
            .env("TRUING_VERIFY__FROM_REPOSITORY", "true")
            .env("TRUING_VERIFY__PROGRAMS", programs)
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(2)
                && said.contains("verify.programs: ")
                && said.contains("is not the full path of an existing folder"),
            "{said}"
        );
    }
}

/// The sandbox mounts its own folders at some paths, so a folder of the machine below them is invisible.
#[test]
fn a_folder_of_programs_that_the_sandbox_hides_is_named_with_the_mount() {
    let programs = tempfile::tempdir_in("/tmp").unwrap();
    let folder = programs.path().display().to_string();
    let site = Site::new(&format!("[verify]\nprograms = [{folder:?}]\ncheck = [[\"true\"]]\n"));
    let expected = format!("verify.programs: `{folder}` is hidden in the sandbox, which mounts");
    let told = |arguments: &[&str]| {
        let output = site.0.command(arguments).output().unwrap();
        let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        (output.status.code(), said)
    };
    let (code, said) = told(&["config", "check"]);
    assert!(code == Some(0) && said.contains(&expected), "{said}");
    // A weaker sandbox has no file system of its own.
    let level = site.0.command(&["sandbox", "check"]).output().unwrap();
    if text(&level.stdout).starts_with("level: full\n") {
        let (code, said) = told(&["verify"]);
        assert!(code == Some(2) && said.contains(&expected) && said.contains("move the folder"), "{said}");
    }
}

/// Returns the number of processes that have this word as an argument.
fn count_processes_with(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())).count()
}

fn wait_until(label: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "{label}");
    }
}

#[test]
fn an_interrupted_run_leaves_no_process_and_no_folder() {
    if !has_sandbox() {
        return;
    }
    let word = format!("7{:08}", std::process::id());
    let site = Site::new(&format!("[verify]\ncheck = [[\"sleep\", \"{word}\"]]\n"));
    std::fs::create_dir(site.path("tmp")).unwrap();
    let mut command = site.command(&[]);
    let child =
        command.env("TMPDIR", site.path("tmp")).process_group(0).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it does not begin", || count_processes_with(&word) > 0);
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    wait_until("something is left", || count_processes_with(&word) == 0);
    for folder in ["tmp", ".cache/truing/verify"] {
        wait_until(folder, || std::fs::read_dir(site.path(folder)).unwrap().count() == 0);
    }
}
