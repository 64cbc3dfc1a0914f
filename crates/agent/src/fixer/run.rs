//! One command of a fixer in the sandbox, told with its end and what it printed.

use std::ffi::OsString;

use super::Workshop;
use crate::command::{self, Bounds, End, Ended, MAX_PRINTED, NotRun};
use crate::sandbox::{Job, Level, Run};

/// Runs a command that the policy allows. Letting go of the future ends it, with everything that it has started.
pub(super) async fn run(workshop: &Workshop, argv: &[String]) -> Result<String, NotRun> {
    let words = argv.iter().map(OsString::from).collect();
    let mut job = Job::new(Level::Full, &workshop.clone, Run::Program(words))?;
    (job.writable, job.sockets) = (true, true);
    workshop.programs.clone_into(&mut job.read);
    let ended = command::run(job, &Bounds { time: workshop.time, written: None, whole: false }).await?;
    Ok(told(workshop, &ended))
}

fn told(workshop: &Workshop, ended: &Ended) -> String {
    let mut text = match &ended.end {
        End::Exit(status) => match status.code() {
            Some(code) => format!("exit code {code}\n"),
            None => format!("ended by force ({status})\n"),
        },
        End::Time => format!("ended because it took longer than {} s\n", workshop.time.as_secs_f32()),
        End::Output => format!("ended because it printed more than {MAX_PRINTED} bytes\n"),
        End::Disk(_) => "ended because it wrote too much\n".to_owned(),
    };
    for (name, printed) in [("output", &ended.out), ("errors", &ended.err)] {
        if !printed.is_empty() {
            text += &format!("--- {name}\n{}", printed.text());
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
    }
    text
}
