//! Gives the shared library its name, by which programs find it. While the version is 0.x, each minor
//! version is an interface of its own.

fn main() {
    let [major, minor] = ["CARGO_PKG_VERSION_MAJOR", "CARGO_PKG_VERSION_MINOR"]
        .map(|name| std::env::var(name).unwrap_or_default());
    let soname = match major.as_str() {
        "0" => format!("libkaffic.so.0.{minor}"),
        major => format!("libkaffic.so.{major}"),
    };
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
        // Only what is in this crate is exported, and not what its dependencies export as they are built.
        println!("cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
