//! Installing into the profiles of GIMP.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use semsynth::Model;

use crate::classes::palette_name;

/// Name of the program and of its folder, which GIMP demands to be equal.
const NAME: &str = "plug-in-semsynth";
/// The profile that is created where GIMP has not run yet.
const FIRST: &str = "3.0";

/// The folder of help pages, beside the program.
pub(crate) const HELP: &str = "help";

/// What lies beside the program: translations, made by `msgfmt` from the files beside them, and pages for GIMP's help.
const FILES: [(&str, &[u8]); 17] = [
    ("locale/de/LC_MESSAGES/plug-in-semsynth.mo", include_bytes!("../i18n/de.mo")),
    ("locale/fr/LC_MESSAGES/plug-in-semsynth.mo", include_bytes!("../i18n/fr.mo")),
    ("help/en/style.css", include_bytes!("../help/en/style.css")),
    ("help/en/gimp-help.xml", include_bytes!("../help/en/gimp-help.xml")),
    ("help/en/synthesize.html", include_bytes!("../help/en/synthesize.html")),
    ("help/en/snap.html", include_bytes!("../help/en/snap.html")),
    ("help/en/label-palette.html", include_bytes!("../help/en/label-palette.html")),
    ("help/de/style.css", include_bytes!("../help/en/style.css")),
    ("help/de/gimp-help.xml", include_bytes!("../help/de/gimp-help.xml")),
    ("help/de/synthesize.html", include_bytes!("../help/de/synthesize.html")),
    ("help/de/snap.html", include_bytes!("../help/de/snap.html")),
    ("help/de/label-palette.html", include_bytes!("../help/de/label-palette.html")),
    ("help/fr/style.css", include_bytes!("../help/en/style.css")),
    ("help/fr/gimp-help.xml", include_bytes!("../help/fr/gimp-help.xml")),
    ("help/fr/synthesize.html", include_bytes!("../help/fr/synthesize.html")),
    ("help/fr/snap.html", include_bytes!("../help/fr/snap.html")),
    ("help/fr/label-palette.html", include_bytes!("../help/fr/label-palette.html")),
];

/// The operating systems, and where GIMP has its profiles on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Linux,
    Windows,
    MacOs,
}

impl System {
    pub(crate) const fn current() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Linux
        }
    }

    fn program(self) -> String {
        if self == Self::Windows { format!("{NAME}.exe") } else { NAME.into() }
    }
}

/// The file of this program. GIMP starts it with its full path; the operating system may not say (Linux without /proc).
pub(crate) fn own_program() -> Option<PathBuf> {
    let started_as = || std::env::args_os().next().map(PathBuf::from).filter(|path| path.is_file());
    std::env::current_exe().ok().or_else(started_as)
}

/// What the user's environment says.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) system: System,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Environment {
    pub(crate) fn current() -> Self {
        let names = ["HOME", "XDG_CONFIG_HOME", "APPDATA", "GIMP3_DIRECTORY"];
        let value = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| (name, value.into()));
        Self { system: System::current(), variables: names.into_iter().filter_map(value).collect() }
    }

    fn get(&self, name: &str) -> Option<&Path> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_path())
    }

    /// Folders that hold profiles, each named after a version of GIMP; the main one first.
    fn roots(&self) -> Vec<PathBuf> {
        let home = self.get("HOME");
        match self.system {
            System::Windows => self.get("APPDATA").map(|folder| folder.join("GIMP")).into_iter().collect(),
            System::MacOs => home.map(|home| home.join("Library/Application Support/GIMP")).into_iter().collect(),
            System::Linux => {
                let usual = self.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".config")));
                let in_home = |path: &str| home.map(|home| home.join(path));
                // GIMP in Flatpak uses the usual folder, unless an override keeps it in its own; Snap has its own.
                [
                    usual.map(|folder| folder.join("GIMP")),
                    in_home(".var/app/org.gimp.GIMP/config/GIMP"),
                    in_home("snap/gimp/current/.config/GIMP"),
                ]
                .into_iter()
                .flatten()
                .collect()
            }
        }
    }

    /// Profiles of GIMP 3 that are there.
    pub(crate) fn profiles(&self) -> Vec<PathBuf> {
        // Where this variable is set, GIMP uses that folder and no other.
        if let Some(folder) = self.get("GIMP3_DIRECTORY") {
            return vec![folder.into()];
        }
        let mut found: Vec<PathBuf> = Vec::new();
        for root in self.roots() {
            let Ok(entries) = fs::read_dir(root) else { continue };
            let versions = entries.flatten().map(|entry| entry.path());
            found.extend(versions.filter(|path| is_version(path) && path.is_dir()));
        }
        found.sort();
        found.dedup();
        found
    }

    /// The profiles to install into: those that are there, or else the one that GIMP will use.
    fn targets(&self) -> Result<Vec<PathBuf>, String> {
        let found = self.profiles();
        if !found.is_empty() {
            return Ok(found);
        }
        let first = self.roots().into_iter().next().map(|root| vec![root.join(FIRST)]);
        first.ok_or_else(|| "there is no home folder: set HOME (on Windows, APPDATA)".into())
    }
}

/// Whether a folder is a profile of GIMP 3, such as `3.0`.
fn is_version(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("3.").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// The palettes of the built-in models: file name and content.
fn palettes() -> Result<Vec<(String, String)>, String> {
    let palette = |name| {
        let model = Model::builtin(name).map_err(|error| error.to_string())?;
        Ok((format!("semsynth-{name}.gpl"), model.classes().to_gpl_string(&palette_name(name))))
    };
    Model::builtins().map(palette).collect()
}

/// Copies `program`, palettes, translations and help into every profile, and says what it did.
///
/// # Errors
///
/// What could not be written, and where.
pub(crate) fn install(environment: &Environment, program: &Path) -> Result<String, String> {
    let mut said = Vec::new();
    for profile in environment.targets()? {
        let folder = profile.join("plug-ins").join(NAME);
        let target = folder.join(environment.system.program());
        create(&folder)?;
        let same = |a: &Path, b: &Path| a.canonicalize().ok().is_some_and(|a| Some(a) == b.canonicalize().ok());
        if !same(program, &target) {
            // A new file and a rename: the old program may be running, and its file must not change then.
            let new = folder.join("new");
            fs::copy(program, &new).map_err(failed("copy the program to", &new))?;
            make_executable(&new)?;
            fs::rename(&new, &target).or_else(|_| replace(&new, &target)).map_err(failed("write", &target))?;
        }
        make_executable(&target)?;
        for (name, content) in FILES {
            let path = folder.join(name);
            create(path.parent().unwrap_or(&folder))?;
            write(&path, content)?;
        }
        create(&profile.join("palettes"))?;
        said.push(format!("installed {}", target.display()));
        for (name, content) in palettes()? {
            let path = profile.join("palettes").join(name);
            write(&path, content.as_bytes())?;
            said.push(format!("installed {}", path.display()));
        }
    }
    said.push("Restart GIMP: the filter is Filters > Render > Synthesize from Labels.\n".into());
    Ok(said.join("\n"))
}

/// Windows does not rename over a file: the old one goes first.
fn replace(new: &Path, target: &Path) -> std::io::Result<()> {
    fs::remove_file(target)?;
    fs::rename(new, target)
}

/// Removes what [`install`] has written, and says what it did.
///
/// # Errors
///
/// What could not be removed.
pub(crate) fn uninstall(environment: &Environment) -> Result<String, String> {
    let mut said = Vec::new();
    for profile in environment.profiles() {
        let folder = profile.join("plug-ins").join(NAME);
        let files = palettes()?.into_iter().map(|(name, _)| profile.join("palettes").join(name));
        for path in files.filter(|path| path.is_file()) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            said.push(format!("removed {}", path.display()));
        }
        if folder.is_dir() {
            remove_own(&folder, environment.system)?;
            said.push(format!("removed {}", folder.display()));
            if folder.is_dir() {
                said.push("  (it still holds files that are not part of the plug-in)".into());
            }
        }
    }
    if said.is_empty() {
        said.push("nothing is installed".into());
    }
    Ok(said.join("\n") + "\n")
}

/// Removes our files from a folder, and the folder if nothing else is in it.
fn remove_own(folder: &Path, system: System) -> Result<(), String> {
    let mut files = vec![folder.join(system.program())];
    files.extend(FILES.map(|(name, _)| folder.join(name)));
    // Inner folders come first.
    let within = |path: &&Path| path.starts_with(folder);
    let mut folders: Vec<PathBuf> =
        files.iter().flat_map(|file| file.ancestors().skip(1).take_while(within)).map(PathBuf::from).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
    folders.dedup();
    for path in files {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
            _ => {}
        }
    }
    // Folders with other files stay.
    for folder in folders {
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

/// What is installed, one line per profile.
pub(crate) fn installed(environment: &Environment) -> Vec<String> {
    let line = |profile: PathBuf| {
        let folder = profile.join("plug-ins").join(NAME);
        let program = folder.join(environment.system.program());
        let shown = profile.display();
        if !program.is_file() {
            return format!("{shown}: not installed (run with --install)");
        }
        if !is_executable(&program) {
            return format!("{shown}: the program is not executable, so GIMP ignores it (run with --install again)");
        }
        format!("{shown}: installed")
    };
    environment.profiles().into_iter().map(line).collect()
}

fn failed<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> String + 'a {
    move |error| format!("cannot {what} {}: {error}", path.display())
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(failed("create the folder", folder))
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    fs::write(path, content).map_err(failed("write", path))
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed("make executable", path))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
fn make_executable(_: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home {
        folder: tempfile::TempDir,
        environment: Environment,
    }

    /// A home folder with these profiles.
    fn home(system: System, profiles: &[&str]) -> Home {
        let folder = tempfile::tempdir().unwrap();
        for profile in profiles {
            fs::create_dir_all(folder.path().join(profile)).unwrap();
        }
        let variables = match system {
            System::Windows => vec![("APPDATA", folder.path().join("AppData/Roaming"))],
            _ => vec![("HOME", folder.path().to_owned())],
        };
        let environment = Environment { system, variables };
        Home { folder, environment }
    }

    impl Home {
        /// All files below it, sorted.
        fn files(&self) -> Vec<String> {
            fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() { walk(&path, files) } else { files.push(path) }
                }
            }
            let mut files = Vec::new();
            walk(self.folder.path(), &mut files);
            let relative = |path: &PathBuf| path.strip_prefix(self.folder.path()).unwrap().display().to_string();
            let mut names: Vec<String> = files.iter().map(relative).filter(|name| name != "program").collect();
            names.sort();
            names
        }

        fn program(&self) -> PathBuf {
            let path = self.folder.path().join("program");
            fs::write(&path, b"a program").unwrap();
            path
        }
    }

    fn expected(profile: &str, program: &str) -> Vec<String> {
        let inside = |path: &str| format!("{profile}/{path}");
        let mut files: Vec<String> =
            Model::builtins().map(|name| inside(&format!("palettes/semsynth-{name}.gpl"))).collect();
        files.extend(FILES.map(|(name, _)| inside(&format!("plug-ins/plug-in-semsynth/{name}"))));
        files.push(inside(&format!("plug-ins/plug-in-semsynth/{program}")));
        files
    }

    #[test]
    fn every_profile_of_every_system_gets_the_plug_in() {
        let cases: [(System, &[&str], &str); 5] = [
            (System::Linux, &[".config/GIMP/3.0"], "plug-in-semsynth"),
            (System::Linux, &[".config/GIMP/3.0", ".config/GIMP/3.2"], "plug-in-semsynth"),
            (System::Linux, &[".var/app/org.gimp.GIMP/config/GIMP/3.0"], "plug-in-semsynth"),
            (System::Windows, &["AppData/Roaming/GIMP/3.0"], "plug-in-semsynth.exe"),
            (System::MacOs, &["Library/Application Support/GIMP/3.2"], "plug-in-semsynth"),
        ];
        for (system, profiles, program) in cases {
            let home = home(system, profiles);
            let said = install(&home.environment, &home.program()).unwrap();
            let mut files: Vec<String> = profiles.iter().flat_map(|profile| expected(profile, program)).collect();
            files.sort();
            assert_eq!(home.files(), files);
            assert_eq!(said.matches(&format!("/{program}\n")).count(), profiles.len(), "{said}");
            assert!(installed(&home.environment).iter().all(|line| line.ends_with(": installed")));
            // Again, as an update.
            install(&home.environment, &home.program()).unwrap();
            assert_eq!(home.files(), files);
            let said = uninstall(&home.environment).unwrap();
            assert!(home.files().is_empty(), "{:?}", home.files());
            assert!(said.contains("removed"), "{said}");
            assert_eq!(uninstall(&home.environment).unwrap(), "nothing is installed\n");
        }
    }

    #[test]
    fn other_versions_and_files_are_left_alone() {
        let home = home(System::Linux, &[".config/GIMP/2.10", ".config/GIMP/3.0/plug-ins/plug-in-semsynth"]);
        let own = ".config/GIMP/3.0/plug-ins/plug-in-semsynth/my-model.safetensors";
        fs::write(home.folder.path().join(own), b"mine").unwrap();
        install(&home.environment, &home.program()).unwrap();
        assert!(home.files().iter().all(|file| !file.contains("2.10")));
        let said = uninstall(&home.environment).unwrap();
        assert!(said.contains("still holds files"), "{said}");
        assert_eq!(home.files(), [own]);
    }

    #[test]
    fn a_profile_is_created_where_gimp_has_not_run_yet() {
        let home = home(System::Linux, &[]);
        assert!(installed(&home.environment).is_empty());
        install(&home.environment, &home.program()).unwrap();
        let mut files = expected(".config/GIMP/3.0", "plug-in-semsynth");
        files.sort();
        assert_eq!(home.files(), files);
    }

    /// GIMP's help knows pages by the names of procedures, and looks in the folder of its language first.
    #[test]
    fn every_procedure_has_a_help_page_in_every_language() {
        for language in ["en", "de", "fr"] {
            let text = |name: &str| {
                let file = FILES.iter().find(|(known, _)| *known == format!("help/{language}/{name}"));
                String::from_utf8(file.unwrap_or_else(|| panic!("there is no {language}/{name}")).1.to_vec()).unwrap()
            };
            let index = text("gimp-help.xml");
            for procedure in crate::plugin::PROCEDURES {
                let id = format!("id=\"{}\" ref=\"", procedure.to_str().unwrap());
                let (_, rest) = index.split_once(&id).unwrap_or_else(|| panic!("no {id}"));
                assert!(text(rest.split_once('"').unwrap().0).contains(procedure.to_str().unwrap()));
            }
            // Links lead to pages that are there.
            for name in ["synthesize.html", "snap.html", "label-palette.html"] {
                let page = text(name);
                assert!(page.contains(&format!("<html lang=\"{language}\">")));
                for link in page.split("href=\"").skip(1) {
                    text(link.split_once('"').unwrap().0);
                }
            }
        }
    }

    #[test]
    fn variables_come_first() {
        let mut with_xdg = home(System::Linux, &[".config/GIMP/3.0", "xdg/GIMP/3.2"]);
        let root = with_xdg.folder.path().to_owned();
        with_xdg.environment.variables.push(("XDG_CONFIG_HOME", root.join("xdg")));
        assert_eq!(with_xdg.environment.profiles(), [root.join("xdg/GIMP/3.2")]);
        with_xdg.environment.variables.push(("GIMP3_DIRECTORY", root.join("own")));
        assert_eq!(with_xdg.environment.profiles(), [root.join("own")]);
        let nothing = Environment { system: System::Linux, variables: Vec::new() };
        assert!(install(&nothing, Path::new("x")).unwrap_err().contains("HOME"));
    }

    #[test]
    fn folders_that_cannot_be_written_are_named() {
        let home = home(System::Linux, &[".config/GIMP/3.0"]);
        fs::write(home.folder.path().join(".config/GIMP/3.0/plug-ins"), b"a file").unwrap();
        let error = install(&home.environment, &home.program()).unwrap_err();
        assert!(error.contains("cannot create the folder") && error.contains("plug-in-semsynth"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_program_is_executable_and_lost_bits_are_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = home(System::Linux, &[".config/GIMP/3.0"]);
        install(&home.environment, &home.program()).unwrap();
        let program = home.folder.path().join(".config/GIMP/3.0/plug-ins/plug-in-semsynth/plug-in-semsynth");
        assert!(is_executable(&program));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(installed(&home.environment)[0].contains("not executable"));
        install(&home.environment, &home.program()).unwrap();
        assert!(is_executable(&program));
    }
}
