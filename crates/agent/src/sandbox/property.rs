//! The properties that the sandbox enforces at each level, and the attempts that test each property.

use serde::Serialize;

use super::EscapeCheck;

/// The attempts that try to reach something over the network.
const NETWORK_ATTEMPTS: &[&str] = &["netlink", "tcp", "tcp_fast_open", "udp"];
/// The attempts that try to reach files outside of the tree, or to change the tree.
const FILE_ATTEMPTS: &[&str] = &[
    "absolute_path",
    "git_folder",
    "git_fsmonitor",
    "git_hook",
    "git_output",
    "mode",
    "mode_outside",
    "mode_through_link",
    "parent_folder",
    "rg_preprocessor",
    "setxattr",
    "symbolic_link",
    "times_outside",
    "truncate",
    "truncate_on_open",
    "write_inside",
    "write_outside",
];
/// The attempts that try to reach other processes of the user.
const PROCESS_ATTEMPTS: &[&str] = &[
    "abstract_socket",
    "become",
    "datagram_pair",
    "environment",
    "environment_of_others",
    "priority",
    "signal",
    "start",
    "trace",
    "tree_socket",
    "unix_socket",
    "unshare",
];

/// A property that the sandbox enforces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxProperty {
    /// A job reaches no address outside of the job, except one server of Truing.
    NoNetwork,
    /// A job reaches only its tree, its private folders and the system's programs.
    OwnFiles,
    /// A job reaches no process outside of the job.
    NoOtherProcess,
    /// The resources of a job have limits.
    Bounded,
}

impl SandboxProperty {
    /// All properties that a loop needs before it runs foreign code.
    pub const ALL: [Self; 4] = [Self::NoNetwork, Self::OwnFiles, Self::NoOtherProcess, Self::Bounded];

    /// Returns the description of the property for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::NoNetwork => "no network",
            Self::OwnFiles => "only its tree",
            Self::NoOtherProcess => "no other process",
            Self::Bounded => "bounded",
        }
    }

    /// Returns true if each attempt against the property was stopped. Attempts that could not be made do not
    /// count.
    pub fn holds(self, checks: &[EscapeCheck]) -> bool {
        !checks.iter().any(|check| check.property() == self && check.has_escaped())
    }
}

impl EscapeCheck {
    /// Returns the property that the attempt tried to break.
    pub fn property(&self) -> SandboxProperty {
        let name = self.name.strip_prefix("reader_").unwrap_or(self.name);
        if NETWORK_ATTEMPTS.contains(&name) {
            SandboxProperty::NoNetwork
        } else if FILE_ATTEMPTS.contains(&name) {
            SandboxProperty::OwnFiles
        } else if PROCESS_ATTEMPTS.contains(&name) {
            SandboxProperty::NoOtherProcess
        } else {
            SandboxProperty::Bounded
        }
    }
}
