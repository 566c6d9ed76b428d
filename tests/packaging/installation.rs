//! libenos as it ships: built by CMake in the release profile from vendored crates, as in docs/offline-build.md, and
//! installed; and its users. This program builds it only once, and fetches nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use support::native::{root, succeed};
use tempfile::TempDir;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const ABI: &str = env!("ENOS_ABI_VERSION");

/// A directory that is kept between runs. Its path has a blank, which must work.
pub fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("the shipped").join(name)
}

/// The commands of a section of docs/offline-build.md.
fn commands(heading: &str) -> String {
    let page = fs::read_to_string(root().join("docs/offline-build.md")).unwrap();
    let chapter = page.split("\n## ").find_map(|chapter| chapter.strip_prefix(heading)).expect(heading);
    let (_, block) = chapter.split_once("\n```sh\n").expect(heading);
    block.split_once("\n```").unwrap().0.to_owned()
}

/// The command that runs them unchanged.
fn run(commands: &str, directory: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).current_dir(directory);
    shell
}

/// The sources with the vendored crates.
pub fn sources() -> &'static Path {
    static SOURCES: OnceLock<PathBuf> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let sources = place("sources");
        let _ = fs::remove_dir_all(&sources);
        fs::create_dir_all(&sources).unwrap();
        // The files keep their time stamps, so that Cargo compiles only what has changed since the last run.
        let copy = "tar -c --exclude=./target --exclude=./build --exclude=./.git . | tar -x -C \"$TO\"";
        succeed(run(copy, &root()).env("TO", &sources));
        succeed(&mut run(&commands("With a network, once"), &sources));
        sources
    })
}

/// Where the library was built.
pub fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let commands = commands("Without a network");
        assert_eq!(commands.matches(" -B build ").count(), 1);
        let kept = format!(" -B build -DENOS_CARGO_TARGET_DIR='{}' ", target().display());
        let mut build = run(&commands.replace(" -B build ", &kept), sources());
        succeed(build.env("CARGO_HOME", cargo_home()));
        sources().join("build")
    })
}

/// Where the library was installed.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let _ = fs::remove_dir_all(place("first"));
        let _ = fs::remove_dir_all(place("prefix"));
        succeed(cmake().arg("--install").arg(built()).arg("--prefix").arg(place("first")));
        // An installed tree can be moved.
        fs::rename(place("first"), place("prefix")).unwrap();
        place("prefix")
    })
}

/// The library that was installed.
pub fn library() -> PathBuf {
    libdir(prefix()).join(format!("libenos.so.{VERSION}"))
}

/// Where Cargo builds.
pub fn target() -> PathBuf {
    place("target")
}

/// An empty Cargo home.
pub fn cargo_home() -> PathBuf {
    place("cargo-home")
}

/// The command that configures a build of libenos, or of a project that contains it.
pub fn configure(sources: &Path, build: &Path) -> Command {
    let mut command = cmake();
    command.arg("-S").arg(sources).arg("-B").arg(build);
    command.arg("-DENOS_CARGO_ARGS=--locked;--offline").arg(format!("-DCARGO_EXECUTABLE={}", env!("CARGO")));
    command.arg(format!("-DENOS_CARGO_TARGET_DIR={}", target().display()));
    command
}

pub fn build(directory: &Path) {
    succeed(cmake().arg("--build").arg(directory));
}

/// CMake, without a registry for Cargo.
pub fn cmake() -> Command {
    let mut command = Command::new("cmake");
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_HOME", cargo_home());
    command
}

/// The directory of the library below a prefix: lib, lib64 or lib/<triple>.
pub fn libdir(prefix: &Path) -> PathBuf {
    let find = succeed(Command::new("find").arg(prefix).args(["-name", "libenos.so"]));
    let found: Vec<_> = find.lines().collect();
    let [library] = found[..] else { panic!("not one libenos.so below {}: {found:?}", prefix.display()) };
    Path::new(library).parent().unwrap().to_owned()
}

/// A copy of a project of tests/consumers, with the program that all of them build.
pub struct Consumer(TempDir, &'static str);

impl Consumer {
    pub fn new(name: &'static str) -> Consumer {
        let work = tempfile::tempdir().unwrap();
        let from = root().join("tests/consumers");
        fs::copy(from.join("firmware.c"), work.path().join("firmware.c")).unwrap();
        succeed(Command::new("cp").arg("-r").arg(from.join(name)).arg(work.path()));
        Consumer(work, name)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join(self.1)
    }

    /// Another path to the same directory without a blank, because make and the output of pkg-config cannot have
    /// blanks.
    pub fn link_to(&self, place: &Path) -> PathBuf {
        let link = self.0.path().join(place.file_name().unwrap());
        std::os::unix::fs::symlink(place, &link).unwrap();
        link
    }

    /// Builds the project that uses find_package().
    pub fn find_in(&self, prefix: &Path) -> PathBuf {
        let build_directory = self.path().join("build");
        let mut command = cmake();
        command.arg("-S").arg(self.path()).arg("-B").arg(&build_directory);
        succeed(command.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
        build(&build_directory);
        build_directory.join("firmware")
    }

    /// Builds a project with a makefile.
    pub fn make(&self, set: impl FnOnce(&mut Command)) -> PathBuf {
        let mut make = Command::new("make");
        set(make.arg("-C").arg(self.path()));
        succeed(&mut make);
        self.path().join("firmware")
    }
}

/// Runs a consumer's program, with the libraries in `libdir` if it has no path to them.
#[track_caller]
pub fn runs(program: &Path, libdir: Option<&Path>) {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH"); // cargo test's
    command.envs(libdir.map(|directory| ("LD_LIBRARY_PATH", directory)));
    assert_eq!(succeed(&mut command).trim(), VERSION);
}
