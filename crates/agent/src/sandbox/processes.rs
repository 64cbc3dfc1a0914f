//! Reads the relations of processes from the kernel.

use rustix::process::Pid;

/// Index of a process's state among the fields of its `stat`, counted from the field after the program's
/// name. The next constants are the indexes of its parent and its group.
const STATE_FIELD: usize = 0;
const PARENT_FIELD: usize = 1;
const GROUP_FIELD: usize = 2;

/// Returns true if the process has not exited. A process that has exited remains until its parent has
/// collected its exit status.
pub(super) fn is_running(process: Pid) -> bool {
    let state = stat_field(process.as_raw_nonzero().get(), STATE_FIELD);
    state.is_some_and(|state| state != "Z" && state != "X")
}

/// Returns the parent of a process; `None` for a process whose parent is outside of this process namespace.
pub(super) fn parent_id(process_id: i32) -> Option<i32> {
    stat_field(process_id, PARENT_FIELD)?.parse().ok().filter(|parent| *parent > 0)
}

/// Returns the group of a process.
pub(super) fn process_group(process_id: i32) -> Option<i32> {
    stat_field(process_id, GROUP_FIELD)?.parse().ok()
}

/// Returns the children of all threads of a process.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let mut children = Vec::new();
    for thread in threads {
        let list = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
    }
    children
}

fn stat_field(process_id: i32, index: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // The name is in parentheses, and may contain any character.
    stat.rsplit_once(')')?.1.split_whitespace().nth(index).map(str::to_owned)
}
