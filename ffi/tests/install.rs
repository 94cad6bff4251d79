//! The installed package: the examples are built and run against a fresh prefix, which is moved before.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{have, library, root, run, sanitizers, without_drivers};

/// Installs what was built into a folder, then moves it. Nothing may depend on where it was.
fn installed(folder: &Path) -> Option<PathBuf> {
    let library = library()?;
    let (first, prefix) = (folder.join("first"), folder.join("prefix"));
    run(Command::new("sh").arg(root().join("ffi/install.sh")).arg("--prefix").arg(&first).arg("--built").arg(library));
    fs::rename(first, &prefix).unwrap();
    Some(prefix)
}

/// Width, height and bytes of a binary PPM.
fn picture(path: &Path) -> (usize, usize, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let mut at = 0;
    let mut word = || {
        let start = at + bytes[at..].iter().position(|byte| !byte.is_ascii_whitespace()).unwrap();
        at = start + bytes[start..].iter().position(u8::is_ascii_whitespace).unwrap();
        String::from_utf8(bytes[start..at].to_vec()).unwrap()
    };
    assert_eq!(word(), "P6");
    let [width, height, most] = [(); 3].map(|()| word().parse::<usize>().unwrap());
    assert_eq!(most, 255);
    let pixels = bytes[at + 1..].to_vec();
    assert_eq!(pixels.len(), 3 * width * height);
    let mut values = pixels.clone();
    values.sort_unstable();
    assert!(values[values.len() * 9 / 10] - values[values.len() / 10] > 40, "{} is flat", path.display());
    (width, height, pixels)
}

#[test]
fn examples_are_built_against_the_installed_package() {
    let folder = tempfile::tempdir().unwrap();
    let Some(prefix) = installed(folder.path()) else { return };
    let lib = prefix.join("lib");
    let path = |name: &str| folder.path().join(name);
    let with_library = |program: &Path| {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &lib);
        command
    };

    let flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
    if have("cc") && have("pkg-config") {
        let pkg = |more: &[&str]| {
            let mut command = Command::new("pkg-config");
            let said = run(command.env("PKG_CONFIG_PATH", lib.join("pkgconfig")).args(more).arg("semsynth"));
            said.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(pkg(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
        let source = root().join("examples/c/synthesize.c");
        let build = |extra: &[String], output: &Path| {
            run(Command::new("cc").args(flags).arg(&source).args(extra).arg("-o").arg(output));
        };
        build(&pkg(&["--cflags", "--libs"]), &path("shared"));
        let (ppm, again) = (path("c.ppm"), path("c2.ppm"));
        run(with_library(&path("shared")).arg(&ppm));
        assert_eq!(picture(&ppm).0, 256);
        // Labels as colours from a file, and a file that is none.
        let labels = path("labels.ppm");
        let color: Vec<u8> = (0..64 * 48).flat_map(|i| if i % 64 < 20 { [0, 48, 255] } else { [0, 0, 222] }).collect();
        fs::write(&labels, [b"P6\n64 48\n255\n".as_slice(), &color].concat()).unwrap();
        run(with_library(&path("shared")).arg(&again).arg(&labels));
        assert_eq!(picture(&again).1, 48);
        fs::write(&labels, [b"P6\n64 48\n255\n".as_slice(), &vec![9; 3 * 64 * 48]].concat()).unwrap();
        let refused = with_library(&path("shared")).arg(&again).arg(&labels).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && said.contains("UNKNOWN_COLORS"), "{said}");
        // The static library gives the same picture.
        let libs: Vec<String> = pkg(&["--cflags", "--static", "--libs"]);
        let fixed: Vec<String> = libs
            .into_iter()
            .map(|flag| if flag == "-lsemsynth" { lib.join("libsemsynth.a").display().to_string() } else { flag })
            .collect();
        build(&fixed, &path("static"));
        run(Command::new(path("static")).arg(&again));
        assert_eq!(picture(&again), picture(&ppm));
    } else {
        println!("skipped: the example in C: no cc or pkg-config");
    }

    if have("cmake") && have("c++") {
        let strict = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror";
        let cmake = |project: &Path, build: &Path, flags: &str| {
            run(Command::new("cmake")
                .arg("-S")
                .arg(project)
                .arg("-B")
                .arg(build)
                .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()))
                .arg(format!("-DCMAKE_CXX_FLAGS={flags}")));
            run(Command::new("cmake").arg("--build").arg(build));
        };
        for example in ["cpp", "cpp-live"] {
            cmake(&root().join("examples").join(example), &path(example), strict);
        }
        // The same program with the static library: it needs no other file.
        let project = path("static-project");
        fs::create_dir(&project).unwrap();
        fs::copy(root().join("examples/cpp/main.cpp"), project.join("main.cpp")).unwrap();
        let lists = fs::read_to_string(root().join("examples/cpp/CMakeLists.txt")).unwrap();
        let target = "PRIVATE semsynth::semsynth";
        assert!(lists.contains(target), "{lists}");
        fs::write(project.join("CMakeLists.txt"), lists.replace(target, "PRIVATE semsynth::static")).unwrap();
        cmake(&project, &path("static-cpp"), strict);
        run(Command::new(path("static-cpp/facade")).arg(path("static.ppm")));
        if have("readelf") {
            let needed = |program: &str| run(Command::new("readelf").arg("-d").arg(path(program)));
            assert!(needed("cpp/facade").contains("[libsemsynth.so.0.1]"));
            assert!(!needed("static-cpp/facade").contains("libsemsynth"));
        }
        painter_with_a_window(&path("cpp-live"));
        // With sanitizers, leaks included; nothing is reported unless a program fails.
        if sanitizers("c++", folder.path()) {
            let flags = format!("{strict} -g -fsanitize=address,undefined -fno-sanitize-recover=all");
            fs::create_dir(path("frames-asan")).unwrap();
            let arguments = [vec![path("asan.ppm")], vec!["--frames".into(), path("frames-asan")]];
            for ((example, program), arguments) in [("cpp", "facade"), ("cpp-live", "paint")].into_iter().zip(arguments)
            {
                let build = path(&format!("{example}-asan"));
                cmake(&root().join("examples").join(example), &build, &flags);
                run(without_drivers(&mut Command::new(build.join(program))).args(arguments));
            }
        }
        // The program of the README.
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let program = readme.split("```cpp\n").nth(1).unwrap().split("```").next().unwrap();
        fs::write(path("readme.cpp"), program).unwrap();
        let include = format!("-I{}", prefix.join("include").display());
        let mut build = Command::new("c++");
        build.args(["-std=c++17", "-Wall", "-Wextra", "-Werror"]).arg(include).arg(path("readme.cpp"));
        run(build.arg("-L").arg(&lib).arg("-lsemsynth").arg("-o").arg(path("readme")));
        run(&mut with_library(&path("readme")));

        let said = run(Command::new(path("cpp/facade")).arg(path("cpp.ppm")));
        assert!(said.contains("progress ended at 1\n") && said.contains("cancelled\n"), "{said}");
        assert!(said.contains("there is no built-in model \"castles\"; there is: facades"), "{said}");
        assert!(said.contains("preset brick: "), "{said}");
        assert_eq!(picture(&path("cpp.ppm")).0, 384);
        assert_eq!(picture(&path("static.ppm")), picture(&path("cpp.ppm")));
        fs::create_dir(path("frames")).unwrap();
        let said = run(Command::new(path("cpp-live/paint")).arg("--frames").arg(path("frames")));
        println!("{}", said.trim());
        let [start, preview, settled] =
            ["start", "preview", "settled"].map(|name| picture(&path("frames").join(name).with_extension("ppm")));
        let differ = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > 40).count();
        // The brush is seen at once, and close to what it settles to.
        assert!(differ(&start.2, &preview.2) > 1000);
        assert!(differ(&preview.2, &settled.2) < differ(&start.2, &settled.2));
    } else {
        println!("skipped: the examples in C++: no cmake or c++");
    }

    if have("python3") {
        let script = root().join("examples/python/synthesize.py");
        run(with_library(Path::new("python3")).arg(script).arg(path("py.ppm")));
        assert_eq!(picture(&path("py.ppm")).0, 256);
    } else {
        println!("skipped: the example in Python: no python3");
    }
}

/// The window of the painter, without a screen: it opens, and an interrupt closes it as its button would.
fn painter_with_a_window(build: &Path) {
    let cache = fs::read_to_string(build.join("CMakeCache.txt")).unwrap();
    let found = cache.lines().any(|line| line.starts_with("SDL2_DIR:") && !line.ends_with("NOTFOUND"));
    if !found || !have("timeout") {
        println!("skipped: the window of the painter: no SDL2 (Debian: libsdl2-dev) or no timeout");
        return;
    }
    let mut command = Command::new("timeout");
    // SDL makes a request to quit of an interrupt.
    command.args(["--preserve-status", "--signal=INT", "3"]).arg(build.join("paint"));
    run(command.env("SDL_VIDEODRIVER", "dummy"));
    println!("the painter was built with SDL2, and its window opened and closed");
}

#[test]
fn packagers_choose_folders() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = library() else { return };
    let script = root().join("ffi/install.sh");
    let install = |arguments: &[&str]| {
        Command::new("sh").arg(&script).arg("--built").arg(&library).args(arguments).output().unwrap()
    };
    let root = folder.path().join("package");
    let done = install(&["--destdir", root.to_str().unwrap(), "--prefix", "/usr", "--libdir", "lib/x86_64-linux-gnu"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let lib = root.join("usr/lib/x86_64-linux-gnu");
    assert!(lib.join("libsemsynth.so.0.1").exists() && root.join("usr/include/semsynth.hpp").exists());
    let pc = fs::read_to_string(lib.join("pkgconfig/semsynth.pc")).unwrap();
    assert!(pc.contains("prefix=${pcfiledir}/../../..\n") && !pc.contains('@') && !pc.contains("package"), "{pc}");
    for (arguments, reason) in
        [(&["--prefx", "x"], "no option --prefx"), (&["--libdir", "/usr/lib"], "within the prefix")]
    {
        let refused = install(arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && said.contains(reason), "{said}");
    }
}
