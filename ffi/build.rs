//! Gives the shared library its name in programs that link it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let part = |name: &str| std::env::var(format!("CARGO_PKG_VERSION_{name}")).unwrap_or_default();
    // Until 1.0 a minor version may change the interface, so it is part of the name; afterwards only the major one is.
    let version = match part("MAJOR").as_str() {
        "0" => format!("0.{}", part("MINOR")),
        major => major.to_string(),
    };
    match std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default().as_str() {
        "linux" | "freebsd" | "netbsd" | "openbsd" | "android" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libsemsynth.so.{version}");
            // Bounds of sections, which the linker would export.
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,start-stop-visibility=hidden");
        }
        "macos" => println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libsemsynth.{version}.dylib"),
        _ => {}
    }
}
