//! libenos built and installed by CMake, and what uses it from there.
//!
//! Cargo builds it in a directory of its own, which is kept, so that only the first run takes its time; nothing is
//! fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::native::{root, succeed};
use tempfile::TempDir;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const ABI: &str = env!("ENOS_ABI_VERSION");

/// The command that configures a build of libenos, or of what has it as a part.
pub fn configure(sources: &Path, build: &Path) -> Command {
    let mut command = cmake();
    command.arg("-S").arg(sources).arg("-B").arg(build);
    command.arg("-DENOS_CARGO_PROFILE=dev").arg(format!("-DCARGO_EXECUTABLE={}", env!("CARGO")));
    command.arg(format!("-DENOS_CARGO_TARGET_DIR={}/cmake", env!("CARGO_TARGET_TMPDIR")));
    command
}

pub fn build(directory: &Path) {
    succeed(cmake().arg("--build").arg(directory));
}

/// CMake, without a network for Cargo.
pub fn cmake() -> Command {
    let mut command = Command::new("cmake");
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

/// Where the library lies below a prefix: lib, lib64 or lib/<triple>.
pub fn libdir(prefix: &Path) -> PathBuf {
    let find = succeed(Command::new("find").arg(prefix).args(["-name", "libenos.so"]));
    let found: Vec<_> = find.lines().collect();
    let [library] = found[..] else { panic!("not one libenos.so below {}: {found:?}", prefix.display()) };
    Path::new(library).parent().unwrap().to_owned()
}

/// A project of tests/consumers, copied, with the program beside it that all of them build.
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

    /// Another path to the same place, without a blank: make and pkg-config's output know of none.
    pub fn link_to(&self, place: &Path) -> PathBuf {
        let link = self.0.path().join(place.file_name().unwrap());
        std::os::unix::fs::symlink(place, &link).unwrap();
        link
    }

    /// Builds the one that asks find_package().
    pub fn find_in(&self, prefix: &Path) -> PathBuf {
        let build_directory = self.path().join("build");
        let mut command = cmake();
        command.arg("-S").arg(self.path()).arg("-B").arg(&build_directory);
        succeed(command.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
        build(&build_directory);
        build_directory.join("firmware")
    }

    /// Builds one that has a makefile.
    pub fn make(&self, set: impl FnOnce(&mut Command)) -> PathBuf {
        let mut make = Command::new("make");
        set(make.arg("-C").arg(self.path()));
        succeed(&mut make);
        self.path().join("firmware")
    }
}

/// Runs a consumer's program, with the libraries in `libdir` when it does not know by itself where they are.
#[track_caller]
pub fn runs(program: &Path, libdir: Option<&Path>) {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH"); // cargo test's
    command.envs(libdir.map(|directory| ("LD_LIBRARY_PATH", directory)));
    assert_eq!(succeed(&mut command).trim(), VERSION);
}
