//! truing
fn main() {}
