//! Prints docs/configuration.md, which is made from the table of settings:
//! `cargo run -p kaffic-bindings --example configuration >docs/configuration.md`

fn main() {
    print!("{}", kaffic_bindings::settings::page());
}
