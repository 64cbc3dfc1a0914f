//! Tests of the files in a request: what happens if a child exits during a file, and the limits for each
//! file.

use std::sync::mpsc::RecvTimeoutError;

use truing_core::outcome::SkipReason;
use truing_core::port::ReadReport;
use truing_loops::reader::{FILE_CPU_TIME_LIMIT, MAX_FAILED_CHILDREN};

use super::*;

/// Beginning of a script that replaces a reader: it sends the greeting, and waits for the first files.
pub(crate) const READY: &str = r#"hello; read -r request; say '{"Ok":[]}'; read -r turn"#;

fn skipped_files(report: &ReadReport) -> Vec<(String, SkipReason)> {
    report.not_reviewed.iter().map(|gap| (gap.path.to_string(), gap.reason)).collect()
}

#[tokio::test]
async fn a_child_that_does_not_read_a_file_well_costs_the_review_that_file_alone() {
    let stage = Stage::new();
    let names = ["a.txt", "b.txt", "c.txt", "d.txt"];
    for (at, name) in names.iter().enumerate() {
        let longer = "longer\n".repeat(at);
        stage.write(name, format!("<<<<<<< HEAD\none\n=======\ntwo\n>>>>>>> b\n{longer}").as_bytes());
    }
    let request = stage.request(&names);
    for (does, reason) in [
        ("kill -KILL $$", SkipReason::Unreadable),
        ("exit 0", SkipReason::Unreadable),
        ("say nonsense; exec cat", SkipReason::Unreadable),
        ("exec cat /dev/zero", SkipReason::Unreadable),
        ("kill -SEGV $$", SkipReason::TooComplex),
        ("kill -ABRT $$", SkipReason::TooComplex),
        // This child works without end, so it is killed.
        ("while :; do :; done", SkipReason::TooComplex),
    ] {
        // Each child fails at its first file, which is the smallest one. The file `impostor.dots` contains a
        // dot for each child that still has to fail.
        let body = format!(
            "read -r dots < $0.dots; [ $dots = no ] && exec {TRUING} \"$@\"\n\
             [ $dots = . ] && echo no > $0.dots || echo . > $0.dots\n{READY}; {does}"
        );
        std::fs::write(stage.path("impostor.dots"), "..\n").unwrap();
        let reader = stage.reader_with_script(&body);
        let report = reader.read(&request).await.unwrap();
        assert_eq!(skipped_files(&report), [("a.txt".to_owned(), reason)], "{does}");
        assert_eq!((report.reviewed.len(), report.findings.len()), (3, 3), "{does}");
        // Only one child fails at the file. The next one reads the file as text, without parsing it.
        std::fs::write(stage.path("impostor.dots"), ".\n").unwrap();
        let report = reader.read(&request).await.unwrap();
        assert_eq!((skipped_files(&report), report.findings.len()), (vec![], 4), "{does}");
    }
}

#[tokio::test]
async fn children_that_die_again_and_again_end_it_and_what_was_read_is_kept() {
    let stage = Stage::new();
    let names: Vec<String> = (0..MAX_FAILED_CHILDREN).map(|n| format!("{n:03}.py")).collect();
    for name in &names {
        stage.write(name, b"larger than the first, which is read\nanother line, and one more of it\n");
    }
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("a.py");
    let request = stage.request(&names);
    let read = r#"say '{"Ok":{"findings":[],"reviewed":["a.py"],"not_reviewed":[]}}'"#;
    let last = names.len() - 1;
    let body = format!("{READY}\ncase $turn in *'['{last}*) {read};; esac; kill -ABRT $$");
    let report = stage.reader_with_script(&body).read(&request).await.unwrap();
    assert_eq!(report.reviewed, ["a.py".into()]);
    let complex =
        skipped_files(&report).iter().filter(|(_, reason)| *reason == SkipReason::TooComplex).count();
    // Each of these files costs two children, so half of the allowed failures is the number of files.
    assert!((MAX_FAILED_CHILDREN / 2..MAX_FAILED_CHILDREN / 2 + 8).contains(&complex), "{complex}");
    assert_eq!(report.not_reviewed.len(), MAX_FAILED_CHILDREN);
}

#[tokio::test]
async fn what_has_no_turn_in_time_is_named_and_small_files_come_first() {
    let stage = Stage::new();
    stage.write("large.py", &b"x = 1\n".repeat(1000));
    let request = stage.request(&["a.py", "large.py"]);
    let read = r#"say '{"Ok":{"findings":[],"reviewed":["a.py"],"not_reviewed":[]}}'"#;
    let hangs = format!("{READY}; {read}; kill -STOP $$");
    // On a busy machine, the time may be over before the first file is read. The test then repeats the read
    // with twice the time.
    let mut time = Duration::from_secs(5);
    let report = loop {
        let report =
            stage.reader_with_script(&hangs).with_reading_time_limit(time).read(&request).await.unwrap();
        if !report.reviewed.is_empty() {
            break report;
        }
        time *= 2;
        assert!(time < PATIENCE, "no file has a turn: {report:?}");
    };
    assert_eq!(report.reviewed, ["a.py".into()]);
    assert_eq!(skipped_files(&report), [("large.py".to_owned(), SkipReason::OutOfTime)]);

    let none =
        ChildProcessReader::new(TRUING).with_reading_time_limit(Duration::ZERO).read(&request).await.unwrap();
    assert!(skipped_files(&none).iter().all(|(_, reason)| *reason == SkipReason::OutOfTime));
    assert_eq!(none.not_reviewed.len(), 2);
}

/// On these small texts, a parser works for a long time in a single step that cannot be interrupted.
#[tokio::test]
async fn a_bomb_costs_no_more_than_its_bounds_and_the_files_beside_it_are_read() {
    let stage = Stage::new();
    let bombs = [
        ("A.java", "List<".repeat(30_000)),
        ("B.java", "a<b<".repeat(4_000)),
        ("c.tsx", format!("class A {{ void f(){{ {}", "a= >".repeat(2_400))),
        ("d.js", "lambda a:".repeat(4_000)),
    ];
    for (name, text) in &bombs {
        stage.write(name, text.as_bytes());
    }
    // This bomb also contains conflict markers, which a rule finds without parsing.
    stage.write("B.java", format!("{}\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> b\n", bombs[1].1).as_bytes());
    let mut names: Vec<&str> = bombs.iter().map(|(name, _)| *name).collect();
    names.push("a.py");
    let request = stage.request(&names);
    let program = stage.write_impostor(&format!("echo $$ >> $0.pids; exec {TRUING} \"$@\""));
    let peak = PeakMeter::observe(stage.path("impostor.pids"));
    let report = ChildProcessReader::new(program).read(&request).await.unwrap();
    let (bytes, work) = peak.finish();
    let most = bytes >> 20;
    let found: Vec<_> = report.findings.iter().map(|found| found.location.path.to_string()).collect();
    assert_eq!(found, ["B.java", "a.py"], "the markers are found");
    assert_eq!(report.reviewed, ["a.py".into()]);
    assert_eq!(skipped_files(&report), bombs.map(|(name, _)| (name.to_owned(), SkipReason::TooComplex)));
    assert!(work < FILE_CPU_TIME_LIMIT + LATE, "{work:?}");
    // In a test build, a reader uses about 70 MB without a file; the largest bomb has 150 KB.
    assert!((70..70 + 64 + 20).contains(&most), "{most} MiB");
}

/// Tolerance for the CPU time of a reader, because on a busy machine the parent may kill the reader late.
pub(crate) const LATE: Duration = Duration::from_secs(60);

/// A thread that observes processes, and records the highest peak memory and the highest CPU time of a
/// process.
pub(crate) struct PeakMeter(std::thread::JoinHandle<(u64, Duration)>, std::sync::mpsc::Sender<()>);

impl PeakMeter {
    /// Starts to observe each process whose id is the last line of this file.
    pub(crate) fn observe(ids: PathBuf) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel();
        let look = move || {
            let mut most = (0, 0);
            while stopped.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
                let ids = std::fs::read_to_string(&ids).unwrap_or_default();
                let Some(id) = ids.lines().last() else { continue };
                let told =
                    |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
                let (status, stat) = (told("status"), told("stat"));
                let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
                let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
                let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
                most = (most.0.max(kib.unwrap_or_default() << 10), most.1.max(ticks));
            }
            (most.0, Duration::from_millis(most.1 * 1000 / rustix::param::clock_ticks_per_second()))
        };
        Self(std::thread::spawn(look), stop)
    }

    /// Returns the peak memory in bytes and the CPU time.
    pub(crate) fn finish(self) -> (u64, Duration) {
        drop(self.1);
        self.0.join().unwrap()
    }
}
