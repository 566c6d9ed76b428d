//! The Debian packages: built, installed with dpkg below a root directory of the test, used from there, and removed.

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::PathBuf;
use std::process::Command;

use crate::installation::{build, configure, libdir, place, runs, sources, Consumer, ABI, VERSION};
use support::native::succeed;

struct Packages(PathBuf);

impl Packages {
    fn make() -> Packages {
        let (built, packages) = (place("packages-build"), place("packages"));
        let _ = fs::remove_dir_all(&packages);
        let mut command = configure(sources(), &built);
        succeed(command.args(["-DCMAKE_INSTALL_PREFIX=/usr", "-DENOS_BUILD_SIMULATOR=ON"]));
        build(&built);
        let mut pack = Command::new("cpack");
        succeed(pack.args(["-G", "DEB", "-B"]).arg(&packages).current_dir(built));
        Packages(packages)
    }

    fn file(&self, package: &str) -> PathBuf {
        let start = format!("{package}_{VERSION}_");
        let files = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap());
        let mut found = files.filter(|file| file.file_name().to_str().unwrap().starts_with(&start));
        found.next().unwrap_or_else(|| panic!("{start}*.deb was not made")).path()
    }

    fn field(&self, package: &str, name: &str) -> String {
        succeed(Command::new("dpkg-deb").arg("--field").arg(self.file(package)).arg(name)).trim().to_owned()
    }

    /// The names of the files in a package, without directories.
    fn files(&self, package: &str) -> Vec<String> {
        let list = succeed(Command::new("dpkg-deb").arg("--contents").arg(self.file(package)));
        let paths = list.lines().filter(|line| !line.starts_with('d')).map(|line| line.split(" ./").nth(1).unwrap());
        let names = paths.map(|path| path.split(" -> ").next().unwrap().rsplit('/').next().unwrap().to_owned());
        names.collect()
    }
}

/// A root for dpkg, where the packages of this machine count as installed.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Root {
        let root = tempfile::tempdir().unwrap();
        let database = root.path().join("var/lib/dpkg");
        for directory in ["info", "updates", "triggers"] {
            fs::create_dir_all(database.join(directory)).unwrap();
        }
        fs::copy("/var/lib/dpkg/status", database.join("status")).unwrap();
        // The scripts of the packages call it for the machine's own cache.
        fs::create_dir(root.path().join("tools")).unwrap();
        symlink("/bin/true", root.path().join("tools/ldconfig")).unwrap();
        Root(root)
    }

    fn dpkg(&self) -> Command {
        let root = self.0.path().metadata().unwrap().uid() == 0;
        let mut dpkg = Command::new(if root { "dpkg" } else { "unshare" });
        if !root {
            dpkg.args(["--map-root-user", "dpkg"]);
        }
        let path = std::env::var("PATH").unwrap();
        dpkg.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", self.0.path().join("tools").display()));
        dpkg.args(["--force-not-root", "--force-script-chrootless", "--root"]).arg(self.0.path());
        dpkg.arg("--log").arg(self.0.path().join("log"));
        dpkg
    }

    fn usr(&self) -> PathBuf {
        self.0.path().join("usr")
    }
}

#[test]
fn firmware_is_built_with_the_packages_alone() {
    let packages = Packages::make();
    let runtime = format!("libenos{ABI}");
    let debug = format!("{runtime}-dbgsym");
    let names = [runtime.as_str(), "libenos-dev", "enos-sim", &debug];

    // Each package has its files; only the run-time library can be installed in two versions at once.
    assert_eq!(packages.files(&runtime).iter().filter(|name| name.starts_with("libenos.so.")).count(), 2);
    assert!(!packages.files(&runtime).contains(&"libenos.so".to_owned()));
    for name in [
        "README.md",
        "libenos.so",
        "enos.h",
        "enos.pc",
        "enos-config.cmake",
        "enos-config-version.cmake",
        "flash_store.c",
        "valgrind.supp",
    ] {
        assert!(packages.files("libenos-dev").contains(&name.to_owned()), "{name}");
    }
    assert_eq!(packages.files("enos-sim"), ["enos-sim"]);
    assert_eq!(packages.files(&debug), [format!("libenos.so.{VERSION}.debug")]);
    for package in [&runtime, "enos-sim"] {
        let needs = packages.field(package, "Depends");
        for library in ["libc6 (", "libgcc-s1 (", "libssl3"] {
            assert!(needs.contains(library), "{package} depends on {needs}");
        }
    }
    assert_eq!(packages.field("libenos-dev", "Depends"), format!("{runtime} (= {VERSION})"));
    let shlibs = succeed(Command::new("dpkg-deb").arg("--info").arg(packages.file(&runtime)).arg("shlibs"));
    assert!(shlibs.starts_with(&format!("libenos {ABI} {runtime} (>= {VERSION})")), "{shlibs}");

    let root = Root::new();
    succeed(root.dpkg().arg("--install").args(names.map(|name| packages.file(name))));
    let libdir = libdir(&root.usr());
    let consumer = Consumer::new("find_package");
    runs(&consumer.find_in(&root.usr()), None);
    let consumer = Consumer::new("pkg_config");
    let program = consumer.make(|make| {
        make.env("PKG_CONFIG_PATH", libdir.join("pkgconfig"));
    });
    runs(&program, Some(&libdir));
    let help = succeed(Command::new(root.usr().join("bin/enos-sim")).arg("--help"));
    assert!(help.contains("--listen"), "{help}");

    succeed(root.dpkg().arg("--purge").args(names));
    assert!(!root.usr().exists(), "the packages left something behind");
}
