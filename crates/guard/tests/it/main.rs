//! Cases by somebody who had not seen the code, played against it: one program, so that it is linked once.

mod histories;
mod neutralised;
