//! Prints include/kaffic.h, which is made from the code: see scripts/header.

fn main() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| match std::fs::read_to_string(here.join(name)) {
        Ok(text) => text,
        Err(error) => panic!("{name}: {error}"),
    };
    let config = match cbindgen::Config::from_file(here.join("cbindgen.toml")) {
        Ok(config) => config,
        Err(error) => panic!("cbindgen.toml: {error}"),
    };
    let sources = read("src/lib.rs");
    let modules = sources.lines().filter_map(|line| {
        line.strip_suffix(';')?.split("mod ").nth(1).map(|name| format!("src/{name}.rs"))
    });
    let mut builder =
        cbindgen::Builder::new().with_config(config).with_header(read("header.txt").trim());
    for module in modules {
        builder = builder.with_src(here.join(module));
    }
    match builder.generate() {
        Ok(bindings) => bindings.write(std::io::stdout().lock()),
        Err(error) => panic!("the header can't be made: {error}"),
    }
}
