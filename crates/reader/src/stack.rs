//! Threads with stacks that bounded recursion fits on, whatever the caller's thread has.

use std::panic::resume_unwind;
use std::{io, thread};

use crate::syntax::STACK_BYTES;

/// Runs `work` on a thread with a large stack and waits for it.
///
/// # Errors
/// No thread can be started.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let running = large_stack().spawn_scoped(scope, work)?;
        Ok(running.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// A thread that is yet to be started.
pub(crate) fn large_stack() -> thread::Builder {
    thread::Builder::new().name("rules".to_owned()).stack_size(STACK_BYTES)
}
