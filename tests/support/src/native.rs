//! Builds and runs C and C++ programs with the libenos.so of this test run.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use enos::ffi::status::enos_abi_version;
use tempfile::TempDir;

pub const C_STANDARDS: [&str; 3] = ["c99", "c11", "c17"];
pub const CPP_STANDARDS: [&str; 2] = ["c++11", "c++17"];
/// Valgrind's exit status when it has found an error.
pub const FOUND: i32 = 99;
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The shared library that Cargo made together with the rlib of this test. It is in the same directory as the test, so
/// it is never an older one, whatever the profile or the target directory.
pub fn library() -> PathBuf {
    let beside = env::current_exe().unwrap().with_file_name("libenos.so");
    assert!(beside.exists(), "{} is missing", beside.display());
    beside
}

/// The installed compilers of this kind.
pub fn compilers(names: &[&'static str]) -> Vec<&'static str> {
    let installed = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
    let found: Vec<_> = names.iter().copied().filter(installed).collect();
    assert!(!found.is_empty(), "none of {names:?} is installed");
    found
}

pub fn c_compilers() -> Vec<&'static str> {
    compilers(&["gcc", "clang"])
}

pub fn cpp_compilers() -> Vec<&'static str> {
    compilers(&["g++", "clang++"])
}

/// The output of a command, which must succeed.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The output of a program with this input, which must succeed and print nothing on stderr.
#[track_caller]
pub fn quiet(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && stderr.is_empty(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A source of tests/c.
pub fn test_source(name: &str) -> PathBuf {
    root().join("tests/c").join(name)
}

/// The output of a program of tests/c: every line of TAP must be an `ok`, and there must be as many as planned.
#[track_caller]
pub fn passed(tap: &str) {
    let failed: Vec<_> = tap.lines().filter(|line| line.starts_with("not ok") || line.starts_with('#')).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let ok = tap.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(ok > 0 && tap.lines().any(|line| line == format!("1..{ok}")), "{tap}");
}

/// Valgrind's options to report definitely lost blocks of a test. Blocks of the threads that run the test may seem
/// possibly lost.
pub const LEAKS: [&str; 4] = [
    "--leak-check=full",
    "--num-callers=40",
    "--errors-for-leak-kinds=definite,indirect",
    "--show-leak-kinds=definite,indirect",
];

/// Valgrind's options to report memory that threads share without a lock; tests/c/drd.supp has the exceptions, with
/// reasons.
pub const RACES: [&str; 4] = [
    "--tool=drd",
    // Without inlined frames, a suppression cannot match the function.
    "--read-inline-info=no",
    "--num-callers=20",
    concat!("--suppressions=", env!("CARGO_MANIFEST_DIR"), "/../c/drd.supp"),
];

/// A program under valgrind, which exits with FOUND if it has found an error. None, with a message, if valgrind is not
/// installed.
pub fn valgrind_command(options: &[&str], program: &Path) -> Option<Command> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: nothing was tested");
        return None;
    }
    let mut command = Command::new("valgrind");
    command.arg("--quiet").args(options).arg(format!("--error-exitcode={FOUND}")).arg(program);
    Some(command)
}

/// A directory with the library under the names for the linker and the loader.
pub struct Workshop(TempDir);

impl Workshop {
    pub fn new() -> Workshop {
        Workshop::with(&library())
    }

    /// With another build of the library.
    pub fn with(library: &Path) -> Workshop {
        let dir = tempfile::tempdir().unwrap();
        for name in ["libenos.so", &format!("libenos.so.{}", enos_abi_version())] {
            symlink(library, dir.path().join(name)).unwrap();
        }
        Workshop(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a source file.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Compiles without linking, with every warning an error.
    #[track_caller]
    pub fn check(&self, compiler: &str, standard: &str, source: &Path) {
        self.check_all(compiler, standard, &[source]);
    }

    #[track_caller]
    pub fn check_all(&self, compiler: &str, standard: &str, sources: &[impl AsRef<Path>]) {
        let sources = sources.iter().map(AsRef::as_ref);
        succeed(self.compiler(compiler, standard).arg("-fsyntax-only").args(sources));
    }

    /// Compiles and links, with every warning an error.
    #[track_caller]
    pub fn build(&self, compiler: &str, standard: &str, source: &Path) -> PathBuf {
        self.build_all(compiler, standard, &[source])
    }

    /// The same with several sources; the program is named after the first.
    #[track_caller]
    pub fn build_all(&self, compiler: &str, standard: &str, sources: &[impl AsRef<Path>]) -> PathBuf {
        self.build_with(compiler, standard, &[], sources)
    }

    /// The same with additional options.
    #[track_caller]
    pub fn build_with(
        &self,
        compiler: &str,
        standard: &str,
        options: &[&str],
        sources: &[impl AsRef<Path>],
    ) -> PathBuf {
        let sources = sources.iter().map(AsRef::as_ref);
        let stem = sources.clone().next().and_then(Path::file_stem).unwrap().to_str().unwrap();
        let program = self.path().join(format!("{stem}-{compiler}-{standard}"));
        let mut command = self.compiler(compiler, standard);
        command.args(["-g", "-O1", "-pthread"]).args(options).arg("-o").arg(&program).args(sources);
        command.arg("-L").arg(self.path()).arg("-lenos");
        succeed(&mut command);
        program
    }

    /// A command that finds the library.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("LD_LIBRARY_PATH", self.path()).current_dir(self.path());
        command
    }

    /// The same under valgrind, which exits with FOUND if there is a memory error, or a definitely or possibly lost
    /// block, except for those in the installed suppression file. None, with a message, if valgrind is not installed.
    pub fn valgrind(&self, program: impl AsRef<Path>) -> Option<Command> {
        let suppressions = format!("--suppressions={}", root().join("cmake/valgrind.supp").display());
        self.valgrind_with(&["--leak-check=full", "--num-callers=40", &suppressions], program)
    }

    /// With additional options.
    pub fn valgrind_with(&self, options: &[&str], program: impl AsRef<Path>) -> Option<Command> {
        let mut command = valgrind_command(options, program.as_ref())?;
        command.env("LD_LIBRARY_PATH", self.path()).current_dir(self.path());
        Some(command)
    }

    fn compiler(&self, compiler: &str, standard: &str) -> Command {
        let mut command = Command::new(compiler);
        command.arg(format!("-std={standard}")).args(STRICT).arg("-I").arg(root().join("include"));
        command
    }
}

/// include/enos.h.
pub fn header() -> String {
    fs::read_to_string(root().join("include/enos.h")).unwrap()
}

/// C without its comments, preprocessor lines and string literals.
pub fn code(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("/*") {
        out += before;
        rest = after.split_once("*/").expect("a comment is never closed").1;
    }
    out += rest;
    out.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// The comments of C.
pub fn comments(source: &str) -> Vec<&str> {
    source.split("/*").skip(1).filter_map(|after| after.split_once("*/")).map(|(comment, _)| comment).collect()
}

/// The identifiers of a text, in order.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The functions that the header declares: name and parameters.
pub fn functions(header: &str) -> Vec<(String, Vec<String>)> {
    let code = code(header);
    let declarations = code.split(';').map(str::trim).filter(|d| d.ends_with(')') && !d.contains("typedef"));
    declarations
        .map(|declaration| {
            let (head, parameters) = declaration.split_once('(').unwrap();
            let name = words(head).last().unwrap().to_owned();
            let last_word = |parameter: &str| words(parameter).last().unwrap().to_owned();
            let parameters = parameters.trim_end_matches(')').split(',').map(last_word);
            (name, parameters.filter(|parameter| parameter != "void").collect())
        })
        // The rest is function pointers in structs.
        .filter(|(name, _): &(String, Vec<String>)| name.starts_with("enos_"))
        .collect()
}
