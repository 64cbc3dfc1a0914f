//! The parts of the work that one process does.

/// The parts of the work that one process does. On SQLite one process serves: the other parts then rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessRole {
    /// Everything.
    All,
    /// Take webhooks; lease nothing and do not sweep.
    Ingress,
    /// Lease, review and sweep; take no webhooks.
    Worker,
    /// Sweep, serve comments, tell and forget; take no webhooks and lease nothing.
    Sweep,
}

impl ProcessRole {
    /// As it is written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingress => "ingress",
            Self::Worker => "worker",
            Self::Sweep => "sweep",
        }
    }

    /// Does it take webhooks?
    pub fn takes_webhooks(self) -> bool {
        match self {
            Self::All | Self::Ingress => true,
            Self::Worker | Self::Sweep => false,
        }
    }

    /// Does it lease?
    pub fn works(self) -> bool {
        match self {
            Self::All | Self::Worker => true,
            Self::Ingress | Self::Sweep => false,
        }
    }

    /// True if it does what one process does at a time ([`crate::sole`]), where no other process does.
    pub fn sweeps(self) -> bool {
        match self {
            Self::All | Self::Worker | Self::Sweep => true,
            Self::Ingress => false,
        }
    }
}
