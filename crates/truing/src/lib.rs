//! truing
