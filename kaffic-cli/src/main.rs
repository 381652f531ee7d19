//! The `kaffic` command.
fn main() {}
