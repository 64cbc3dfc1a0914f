//! The roles of a process in a deployment.

/// The part of the server's work that one process does. On SQLite, only one process may serve, so no process
/// does the work outside of that process's role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessRole {
    /// Does all of the work.
    All,
    /// Receives webhooks; leases no slots and does not sweep.
    Ingress,
    /// Leases slots, reviews and sweeps; receives no webhooks.
    Worker,
    /// Sweeps, runs commands from comments, sends notices and deletes old rows; receives no webhooks and
    /// leases no slots.
    Sweep,
}

impl ProcessRole {
    /// Returns the name of the role on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingress => "ingress",
            Self::Worker => "worker",
            Self::Sweep => "sweep",
        }
    }

    /// Returns true if the process receives webhooks.
    pub fn takes_webhooks(self) -> bool {
        match self {
            Self::All | Self::Ingress => true,
            Self::Worker | Self::Sweep => false,
        }
    }

    /// Returns true if the process leases slots.
    pub fn leases_slots(self) -> bool {
        match self {
            Self::All | Self::Worker => true,
            Self::Ingress | Self::Sweep => false,
        }
    }

    /// Returns true if the process may hold the lease on the duties of [`crate::duty_lease`].
    pub fn runs_sole_duties(self) -> bool {
        match self {
            Self::All | Self::Worker | Self::Sweep => true,
            Self::Ingress => false,
        }
    }
}
