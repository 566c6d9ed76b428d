//! docs/quick-start.md: the test writes its files, runs its commands, and compares the output.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{symlink, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::installation::{cargo_home, library, sources, target};
use enos_sim::{Cloud, Config, Product};

const PAGE: &str = include_str!("../../docs/quick-start.md");
const README: &str = include_str!("../../README.md");

/// The blocks of this language under a heading.
fn blocks(heading: &str, language: &str) -> Vec<String> {
    let chapter = PAGE.split("\n## ").find(|chapter| chapter.starts_with(&format!("{heading}\n"))).expect(heading);
    let opening = format!("\n```{language}\n");
    let blocks = chapter.split(&opening).skip(1);
    blocks.map(|rest| format!("{}\n", rest.split_once("\n```").unwrap().0)).collect()
}

struct Desk {
    work: tempfile::TempDir,
    cloud: Cloud,
}

impl Desk {
    /// The sources beside the firmware, and a cmake that builds nothing twice and fetches nothing.
    fn new() -> Desk {
        let work = tempfile::tempdir().unwrap();
        symlink(sources(), work.path().join("libenos")).unwrap();
        let options = format!(
            "-DENOS_CARGO_ARGS='--locked;--offline' -DCARGO_EXECUTABLE='{}' -DENOS_CARGO_TARGET_DIR='{}'",
            env!("CARGO"),
            target().display()
        );
        let bin = work.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let real = Command::new("sh").args(["-c", "command -v cmake"]).output().unwrap().stdout;
        let real = String::from_utf8(real).unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" != -S ] || exec {real} \"$@\" {options}\nexec {real} \"$@\"\n",
            real = real.trim()
        );
        fs::write(bin.join("cmake"), script).unwrap();
        fs::set_permissions(bin.join("cmake"), fs::Permissions::from_mode(0o755)).unwrap();
        let products = vec![Product { product_key: "demo".into(), product_secret: "demo-product-secret".into() }];
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), products, ..Config::default() };
        Desk { work, cloud: Cloud::start(config, |_| ()).unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn shell(&self, commands: &str) -> Command {
        let mut shell = Command::new("sh");
        let path = format!("{}:{}", self.file("bin").display(), std::env::var("PATH").unwrap());
        shell
            .args(["-ec", commands])
            .current_dir(self.work.path())
            .env("PATH", path)
            .env("CARGO_HOME", cargo_home())
            .stdin(Stdio::null());
        shell
    }

    fn run(&self, commands: &str) {
        let output = self.shell(commands).output().unwrap();
        let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{commands}\n{words}");
    }

    /// Runs the firmware until a report was acknowledged, ends it like Ctrl-C, and returns its output.
    fn run_firmware(&self, commands: &str) -> String {
        assert!(commands.contains("tcp://127.0.0.1:11883"));
        let address = self.cloud.address().to_string();
        let mut shell = self.shell(&commands.replace("127.0.0.1:11883", &address));
        let mut child = shell.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            printed += &format!("{line}\n");
            if line.contains(" REPLY: ") {
                let group = format!("-{}", child.id());
                assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
            }
        }
        child.wait().unwrap();
        printed
    }
}

#[test]
fn it_leads_to_a_firmware_that_reports() {
    let desk = Desk::new();
    let [cmake] = &blocks("The firmware, with CMake", "cmake")[..] else { panic!() };
    let [build] = &blocks("The firmware, with CMake", "sh")[..] else { panic!() };
    fs::write(desk.file("CMakeLists.txt"), cmake).unwrap();
    desk.run(build);
    // These sources are behind a symbolic link, which makes no difference.
    let ours = fs::read(desk.file("build/libenos").join(library().file_name().unwrap())).unwrap();
    assert!(ours == fs::read(library()).unwrap(), "the library depends on the path to its sources");

    let [first] = &blocks("The first run", "sh")[..] else { panic!() };
    let [shown] = &blocks("The first run", "text")[..] else { panic!() };
    let printed = desk.run_firmware(first);
    assert!(printed.starts_with(shown.as_str()), "{printed}");
    assert!(printed.contains("DISCONNECTED: success"), "{printed}");
    let again = desk.run_firmware(first);
    assert!(again.contains("CONNECTED: success") && !again.contains("ACTIVATED"), "{again}");

    let [makefile] = &blocks("With a Makefile", "make")[..] else { panic!() };
    let [install, make] = &blocks("With a Makefile", "sh")[..] else { panic!() };
    fs::write(desk.file("Makefile"), makefile).unwrap();
    desk.run(install);
    let (make, run) = make.split_once('\n').unwrap();
    desk.run(make);
    // The first device has used up its CONNECTs for two minutes.
    let printed = desk.run_firmware(&run.replace(" my-device ", " another-device "));
    assert!(printed.contains("another-device ACTIVATED: success"), "{printed}");
}

/// The four lines of the README are those that build this page's firmware.
#[test]
fn the_readme_has_the_same_lines() {
    let (_, rest) = README.split_once("\n```cmake\n").unwrap();
    let lines = rest.split_once("\n```").unwrap().0.lines().map(|line| line.split('#').next().unwrap().trim_end());
    let lines: Vec<_> = lines.map(|line| line.replace("main.c", "03_poll_loop.c example.c")).collect();
    let [cmake] = &blocks("The firmware, with CMake", "cmake")[..] else { panic!() };
    assert_eq!(lines.len(), 4);
    assert_eq!(cmake.lines().skip(1).collect::<Vec<_>>(), lines);
}
