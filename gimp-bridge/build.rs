//! On macOS, GIMP's libraries find each other through the run path of the program that loads them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("macos") {
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,/Applications/GIMP.app/Contents/Resources/lib");
    }
}
