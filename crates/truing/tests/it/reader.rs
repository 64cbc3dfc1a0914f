//! Tests of the parent process of readers. The children, all real processes, answer, answer wrongly, crash,
//! hang, or send too much.

mod bombs;
mod files;
mod tools;

use crate::support::bomb;
use crate::support::terminal::Terminal;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use truing_core::port::{ChangedFile, ReadRequest, ReaderError, RepositoryReader};
use truing_core::sandbox::SandboxLevel;
use truing_diff::RepoPath;
use truing_loops::reader::ChildProcessReader;
use truing_reader::protocol::{MAX_HELLO_BYTES, ReaderHello};

use files::READY;

use crate::support::threaded::ThreadedReader;

const TRUING: &str = env!("CARGO_BIN_EXE_truing");
/// Maximum wait in these tests, which is long enough for a busy machine.
const PATIENCE: Duration = crate::support::HANGS;

/// A tree with a finding in `a.py`, and a path for scripts that replace the reader.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(stage.path("tree")).unwrap();
        stage.write("a.py", b"<<<<<<< HEAD\none\n=======\ntwo\n>>>>>>> b\n");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path("tree").join(name), bytes).unwrap();
    }

    fn request(&self, names: &[&str]) -> ReadRequest {
        let file = |name: &&str| ChangedFile {
            path: (*name).into(),
            old_path: None,
            added_lines: vec![(1, 99)],
            secrets_only: false,
        };
        ReadRequest {
            tree: self.path("tree"),
            files: names.iter().map(file).collect(),
            also_changed: vec![],
            packs: vec!["core".to_owned()],
            disabled_rules: Vec::new(),
        }
    }

    /// Writes a shell script that replaces the reader's program, and returns its path. In the script, `say`
    /// prints a line, and `hello` prints the greeting of a real reader; `$0` is the path of the script. A
    /// separate process writes the file. If this process wrote the file, a child of another test could
    /// inherit the open file, and the script could not be executed.
    fn write_impostor(&self, body: &str) -> PathBuf {
        let path = self.path("impostor");
        let mut writer = Command::new("/bin/sh")
            .args(["-c", "cat > \"$1\" && chmod 700 \"$1\"", "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let script = format!(
            "#!/bin/sh\nsay() {{ printf '%s\\n' \"$1\"; }}\nhello() {{ say '{}'; }}\n{body}\n",
            hello_message()
        );
        writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        path
    }

    /// Returns a reader whose child process runs this script.
    fn reader_with_script(&self, body: &str) -> ChildProcessReader {
        ChildProcessReader::new(self.write_impostor(body)).with_task_time_limit(PATIENCE)
    }

    /// Waits until the script has written a process id to the file `$0.NAME`, and returns the id.
    async fn impostor_pid(&self, name: &str) -> Pid {
        let path = self.path(&format!("impostor.{name}"));
        let mut found = None;
        wait_until("the child has told its id", || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            found = text.strip_suffix('\n').map(|id| id.parse().unwrap());
            found.is_some()
        })
        .await;
        Pid::from_raw(found.unwrap()).unwrap()
    }
}

fn hello_message() -> String {
    hello_with_sandbox(SandboxLevel::Landlock)
}

fn hello_with_sandbox(sandbox: SandboxLevel) -> String {
    let hello = ReaderHello::for_this_build(sandbox);
    let line = truing_reader::protocol::encode_line("hello", &hello, MAX_HELLO_BYTES).unwrap();
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

async fn wait_until(label: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(2));
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {label}");
        look.tick().await;
    }
}

/// Returns the state of a process: `T` for stopped, `Z` for a zombie, or `None` if there is no such process.
fn process_state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn is_dead(pid: Pid) -> bool {
    matches!(process_state(pid), None | Some('Z' | 'X'))
}

async fn read_failure(reader: &ChildProcessReader, request: &ReadRequest) -> String {
    match reader.read(request).await {
        Err(ReaderError::Failed(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn companions_are_known_without_a_child() {
    let reader = ChildProcessReader::new("/no/such/program");
    let file = ChangedFile {
        path: "aiobotocore/x.py".into(),
        old_path: None,
        added_lines: vec![(1, 9)],
        secrets_only: false,
    };
    let packs = ["aiobotocore".to_owned()];
    let known = reader.companion_paths(&packs, std::slice::from_ref(&file)).await.unwrap();
    assert_eq!(known, ["aiobotocore/tests/test_patches.py".into(), RepoPath::from("tests/test_patches.py")]);
    let unknown = reader.companion_paths(&["nope".to_owned()], &[file]).await;
    assert!(matches!(unknown, Err(ReaderError::UnknownPack { .. })), "{unknown:?}");
}

#[tokio::test]
async fn a_child_reports_what_this_process_would() {
    let stage = Stage::new();
    stage.write("binary", b"\0");
    let mut request = stage.request(&["a.py", "binary", "gone.py"]);
    let odd = RepoPath::from_bytes(b"caf\xe9 \"x\".py".to_vec());
    request.files.push(ChangedFile { path: odd, old_path: None, added_lines: vec![], secrets_only: false });
    let here = ThreadedReader::new().unwrap().read(&request).await.unwrap();
    assert_eq!((here.findings.len(), here.not_reviewed.len()), (1, 3));
    let child = ChildProcessReader::new(TRUING);
    assert_eq!(child.read(&request).await.unwrap(), here);

    let unknown = ReadRequest { packs: vec!["nope".into()], ..request.clone() };
    let error = child.read(&unknown).await.unwrap_err();
    assert_eq!(error, ThreadedReader::new().unwrap().read(&unknown).await.unwrap_err());
    std::fs::create_dir_all(stage.path("rules/house/rules")).unwrap();
    let rule = "id = \"one\"\nkind = \"text\"\nseverity = \"P2\"\ncategory = \"J\"\ntitle = \"One\"\nbody \
         = \"Why one?\"\nkeywords = [\"one\"]\npattern = \"one\"\nvalid = [\"two\"]\ninvalid = [\"one\"]\n";
    std::fs::write(stage.path("rules/house/rules/one.toml"), rule).unwrap();
    let house = ReadRequest { packs: vec!["house".into()], ..request.clone() };
    let found = child.clone().with_rules(Some(stage.path("rules"))).read(&house).await.unwrap();
    assert_eq!(found.findings.iter().map(|found| found.rule.as_str()).collect::<Vec<_>>(), ["house/one"]);

    let off = ReadRequest { disabled_rules: vec![here.findings[0].rule.clone()], ..request.clone() };
    let report = child.read(&off).await.unwrap();
    assert_eq!((report.findings.len(), report.rules.len() + 1), (0, here.rules.len()));

    let nowhere = ReadRequest { tree: "/nowhere".into(), ..request };
    assert!(read_failure(&child, &nowhere).await.contains("/nowhere"));
}

#[tokio::test]
async fn a_child_that_does_not_answer_well_fails_its_run_and_is_told_by_what_it_did() {
    let stage = Stage::new();
    let request = stage.request(&["a.py"]);
    for (body, told) in [
        ("exit 0", "exited before it answered (exit status: 0)"),
        ("echo 'no room' >&2; exit 3", "(exit status: 3); its output: no room"),
        ("kill -SEGV $$", "exited before it answered (signal: 11"),
        ("hello; read -r request; exit 1", "exited before it answered (exit status: 1)"),
        ("echo Welcome; exec cat", "its hello cannot be parsed"),
        (r#"say '{"protocol":2,"version":"0.0.0","sandbox":"full"}'; exec cat"#, "restart the service"),
        ("exec cat /dev/zero", "its hello is too long"),
        ("hello; exec cat /dev/zero", "its answer is too long"),
        (r#"hello; printf '{"Ok":['"#, "exited before it answered (exit status: 0)"),
        ("hello; echo nonsense", "its answer cannot be parsed"),
        (r#"hello; say '{"Ok":{"findings":[],"reviewed":[]}}'"#, "its answer cannot be parsed"),
        ("hello; hello; hello", "its answer cannot be parsed"),
        (r#"hello; say '{"Err":{"Failed":"no \u001b[2J\nroom"}}'"#, "no [2J; room"),
        // The child sends its greeting and accepts the request, and then fails at the first file.
        ("READY; exit 7", "exited before it answered (exit status: 7)"),
        ("READY; say nonsense; exec cat", "its reply about a file cannot be parsed"),
        ("READY; exec cat /dev/zero", "its reply about a file is too long"),
        (
            r#"READY; say '{"Ok":{"findings":[],"reviewed":["b.py"],"not_reviewed":[]}}'; exec cat"#,
            "the answer is about b.py, which was not requested",
        ),
        (r#"READY; say '{"Err":{"BadPack":"x \u001b[2J"}}'; exec cat"#, "rule pack x [2J"),
    ] {
        let body = body.replace("READY", READY);
        let error = stage.reader_with_script(&body).read(&request).await.unwrap_err().to_string();
        assert!(error.contains(told), "{body}: {error}");
    }
    let what = read_failure(&ChildProcessReader::new(stage.path("nothing")), &request).await;
    assert!(what.contains("nothing cannot be started"), "{what}");
    let what = read_failure(&ChildProcessReader::new("/bin/cat"), &request).await;
    assert!(what.contains("exited before it answered (exit status: 1); its output: "), "{what}");
}

#[tokio::test]
async fn a_child_that_floods_its_error_stream_is_heard_and_its_last_words_are_kept() {
    let stage = Stage::new();
    let body = "hello; head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo 'the end' >&2; exit 1";
    let what = read_failure(&stage.reader_with_script(body), &stage.request(&["a.py"])).await;
    assert!(what.contains("(exit status: 1); its output: xxx") && what.len() < 1000, "{what}");
}

#[tokio::test]
async fn a_child_that_does_not_listen_cannot_hold_up_the_server() {
    let stage = Stage::new();
    // The request is larger than the buffer of a pipe, and the child does not read it.
    let many: Vec<String> = (0..20_000).map(|n| format!("file-{n}.py")).collect();
    let request = stage.request(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let what = read_failure(&stage.reader_with_script("hello; exec <&-; echo rubbish"), &request).await;
    assert!(what.contains("its answer cannot be parsed"), "{what}");
}

#[tokio::test]
async fn a_child_that_is_killed_in_the_middle_fails_its_run_and_the_next_one_gets_a_new_child() {
    let stage = Stage::new();
    let request = stage.request(&["a.py"]);
    let body = format!(
        "[ -e $0.pid ] && exec {TRUING} \"$@\"\n\
         hello; read -r request; echo $$ > $0.pid; kill -STOP $$"
    );
    let reader = stage.reader_with_script(&body);
    let (what, ()) = tokio::join!(read_failure(&reader, &request), async {
        let pid = stage.impostor_pid("pid").await;
        wait_until("the child has stopped", || process_state(pid) == Some('T')).await;
        kill_process(pid, Signal::KILL).unwrap();
    });
    assert!(what.contains("exited before it answered (signal: 9"), "{what}");
    assert_eq!(reader.read(&request).await.unwrap().findings.len(), 1);
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_in_time_with_everything_it_has_started() {
    let stage = Stage::new();
    let body = "hello; echo 'about to hang' >&2; sleep 99 & echo $! > $0.other; echo $$ > $0.pid
                kill -STOP $$";
    // On a busy machine, the time limit may expire before the child hangs. The test then repeats the read
    // with twice the limit.
    let mut time = Duration::from_millis(500);
    let what = loop {
        let what = read_failure(
            &stage.reader_with_script(body).with_task_time_limit(time),
            &stage.request(&["a.py"]),
        )
        .await;
        if stage.path("impostor.pid").exists() {
            break what;
        }
        time *= 2;
        assert!(time < PATIENCE, "it never hung: {what}");
    };
    let told =
        format!("did not answer within {} s and was killed; its output: about to hang", time.as_secs_f32());
    assert!(what.contains(&told), "{what}");
    for name in ["pid", "other"] {
        let pid = stage.impostor_pid(name).await;
        wait_until("it is dead", || is_dead(pid)).await;
    }

    let silent = stage.reader_with_script("hello; exec >&-; kill -STOP $$");
    let what = read_failure(&silent, &stage.request(&["a.py"])).await;
    assert!(what.contains("did not answer within 1 s and was killed"), "{what}");
}

#[tokio::test]
async fn a_child_that_is_stopped_and_goes_on_answers() {
    let stage = Stage::new();
    let reader = stage.reader_with_script(&format!("echo $$ > $0.pid; kill -STOP $$; exec {TRUING} \"$@\""));
    let request = stage.request(&["a.py"]);
    let (report, ()) = tokio::join!(reader.read(&request), async {
        let pid = stage.impostor_pid("pid").await;
        wait_until("the child has stopped", || process_state(pid) == Some('T')).await;
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap();
        assert_eq!(String::from_utf8_lossy(&environment), "", "a child gets no environment");
        kill_process(pid, Signal::CONT).unwrap();
    });
    assert_eq!(report.unwrap().findings.len(), 1);
}

#[tokio::test]
async fn a_run_that_is_given_up_leaves_no_process_behind() {
    let stage = Stage::new();
    let body = "hello; sleep 99 & echo $! > $0.other; echo $$ > $0.pid; kill -STOP $$";
    let (reader, request) = (stage.reader_with_script(body), stage.request(&["a.py"]));
    let pids = tokio::select! {
        read = reader.read(&request) => panic!("{read:?}"),
        pids = async { [stage.impostor_pid("pid").await, stage.impostor_pid("other").await] } => pids,
    };
    for pid in pids {
        wait_until("it is dead", || is_dead(pid)).await;
    }
}

#[tokio::test]
async fn a_child_that_is_confined_too_little_is_told_nothing() {
    let stage = Stage::new();
    let (request, hello) = (stage.request(&["a.py"]), hello_with_sandbox(SandboxLevel::None));
    let body =
        format!("say '{hello}'; read -r request && touch $0.asked\nsay '{{\"Err\":{{\"Failed\":\"no\"}}}}'");
    let weak = stage.reader_with_script(&body);
    let what = read_failure(&weak, &request).await;
    assert!(
        what.contains("the reader's sandbox has the level `none`, but at least `landlock` is required"),
        "{what}"
    );
    assert!(!stage.path("impostor.asked").exists());
    assert_eq!(read_failure(&weak.with_min_sandbox(SandboxLevel::None), &request).await, "no");
    assert!(stage.path("impostor.asked").exists());
    // The reader does not need namespaces, so it also runs if the full sandbox is required.
    let strict = ChildProcessReader::new(TRUING).with_min_sandbox(SandboxLevel::Full);
    assert_eq!(strict.read(&request).await.unwrap().findings.len(), 1);
}

/// For every request, the kernel restricts a reader to the tree in its arguments, even if the request names
/// another tree.
#[test]
fn a_child_opens_its_tree_and_nothing_else() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.path("other/.git")).unwrap();
    for file in ["other/a.py", "other/.git/config"] {
        std::fs::write(stage.path(file), "<<<<<<< HEAD\none\n=======\ntwo\n>>>>>>> b\n").unwrap();
    }
    let answered = |tree: &str, asked: &str, file: &str| {
        let request = ReadRequest { tree: stage.path(asked), ..stage.request(&[file]) };
        let mut child = Command::new(TRUING)
            .args(["reader", "--tree"])
            .arg(stage.path(tree))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, mut output) =
            (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), hello_message());
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"), "{status}");
        serde_json::to_writer(&mut input, &request).unwrap();
        input.write_all(b"\n").unwrap();
        line.clear();
        output.read_line(&mut line).unwrap();
        if line.starts_with("{\"Ok\"") {
            input.write_all(b"{\"files\":[0]}\n").unwrap();
            line.clear();
            output.read_line(&mut line).unwrap();
        }
        drop(input);
        child.wait().unwrap();
        line
    };
    let found = |answer: String| {
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        !answer["Ok"]["findings"].as_array().unwrap().is_empty()
    };
    assert!(found(answered("tree", "tree", "a.py")));
    assert!(found(answered("other", "other", "a.py")));
    let refused = answered("tree", "other", "a.py");
    assert!(refused.contains("cannot be opened") && refused.contains("Permission denied"), "{refused}");
    assert!(!found(answered("other", "other", ".git/config")));
    // In contrast, the reader can read the files of a git folder if this folder is its tree.
    assert!(found(answered("other/.git", "other/.git", "config")));
}

/// Tests that a child is killed when its server is killed. The test keeps the child's input open and stops
/// the child with SIGSTOP, so the child cannot exit on its own.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_dies_with_its_server() {
    let mut server = Command::new("/bin/sh")
        .args(["-c", "exec 3<&0; \"$0\" reader --tree / <&3 & echo $! >&2; wait", TRUING])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    BufReader::new(server.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
    let child = Pid::from_raw(told.trim().parse().unwrap()).unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), hello_message());
    kill_process(child, Signal::STOP).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    wait_until("the child is dead", || is_dead(child)).await;
}

#[test]
fn a_child_ends_in_the_middle_of_its_work_when_nobody_waits_for_it() {
    let stage = Stage::new();
    stage.write("a.py", "return 1 if AKIA else 2\n".repeat(40_000).as_bytes());
    let request = stage.request(&["a.py"]);
    let mut child = Command::new(TRUING)
        .args(["reader", "--tree"])
        .arg(stage.path("tree"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    serde_json::to_writer(&mut input, &request).unwrap();
    // The child needs much longer for these files than the parent needs to close the pipe.
    writeln!(input, "\n{{\"files\":[{}0]}}", "0,".repeat(400)).unwrap();
    drop(input);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.starts_with(&hello_message()) && said.lines().count() < 400, "{}", said.lines().count());
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn to_people_the_command_says_what_it_is_for_and_help_does_not_name_it() {
    let run = |command: &mut Command| {
        let ran = command.output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    let (_, help, _) = run(Command::new(TRUING).arg("--help"));
    assert!(help.contains("serve") && !help.contains("reader"), "{help}");

    let hint =
        "hint: `truing serve` starts `truing reader` to read repository files, and exchanges JSON with it\n";
    let (exit, out, err) = run(Command::new(TRUING).arg("reader").stdin(open_terminal()));
    assert_eq!((exit, out.as_str()), (Some(2), ""));
    assert!(err.ends_with(hint), "{err}");
    let (exit, out, err) = run(Command::new(TRUING).args(["reader", "--tree", "/"]).stdin(Stdio::null()));
    assert_eq!((exit, out.trim_end()), (Some(3), hello_message().as_str()));
    assert!(err.ends_with(hint), "{err}");
}

/// Returns a terminal as standard input; nothing is typed there.
fn open_terminal() -> Stdio {
    let Terminal { screen, line } = Terminal::open(80);
    std::mem::forget(screen); // the terminal must not hang up
    line.into()
}
