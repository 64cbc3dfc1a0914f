//! Threads with stacks that bounded recursion fits on, whatever the caller's thread has.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::{io, thread};

use crate::syntax::STACK_BYTES;

thread_local! {
    /// Is this a thread of [`on_large_stack`]?
    static IS_LARGE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread with a large stack and waits for it: here, if this is one. A second stack beside the first would
/// be more memory than the reading of one file may take.
///
/// # Errors
/// No thread can be started.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if IS_LARGE.get() {
        return Ok(work());
    }
    thread::scope(|scope| {
        let running = large_stack().spawn_scoped(scope, || {
            IS_LARGE.set(true);
            work()
        })?;
        Ok(running.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// A thread that is yet to be started.
pub(crate) fn large_stack() -> thread::Builder {
    thread::Builder::new().name("rules".to_owned()).stack_size(STACK_BYTES)
}
