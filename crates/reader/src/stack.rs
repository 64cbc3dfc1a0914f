//! Runs code on threads with a large stack. The stack is sufficient for bounded recursion, independently of
//! the caller's stack.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::{io, thread};

use crate::syntax::STACK_BYTES;

thread_local! {
    /// True on a thread that [`run_on_large_stack`] started.
    static HAS_LARGE_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread with a large stack, and waits for the result. If the current thread already has a
/// large stack, runs `work` on the current thread. A second large stack could exceed the memory limit for
/// reading one file.
///
/// # Errors
///
/// No thread can be started.
pub(crate) fn run_on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if HAS_LARGE_STACK.get() {
        return Ok(work());
    }
    thread::scope(|scope| {
        let running = large_stack_builder().spawn_scoped(scope, || {
            HAS_LARGE_STACK.set(true);
            work()
        })?;
        Ok(running.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Returns the builder of a thread with a large stack.
pub(crate) fn large_stack_builder() -> thread::Builder {
    thread::Builder::new().name("rules".to_owned()).stack_size(STACK_BYTES)
}
