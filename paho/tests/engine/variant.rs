//! Builds the driver with Paho's sources in other ways than the library: with a sanitizer, and with a fix left out.

use crate::fixes;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{Arc, Mutex, OnceLock},
    thread,
};

/// What the library's build compiles of Paho, and of ours.
pub const SOURCES: [&str; 14] = [
    "MQTTAsync",
    "MQTTAsyncUtils",
    "MQTTProtocolClient",
    "MQTTProtocolOut",
    "MQTTPacket",
    "MQTTPacketOut",
    "MQTTProperties",
    "MQTTReasonCodes",
    "MQTTTime",
    "Clients",
    "LinkedList",
    "Messages",
    "utf-8",
    "enos_link",
];

pub const DEFINED: [&str; 4] = ["-D_GNU_SOURCE", "-DHIGH_PERFORMANCE=1", "-DNO_PERSISTENCE", "-DPAHO_MQTT_STATIC=1"];

const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/c");

/// How the C code is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Memory errors, leaks and undefined behaviour end the driver with a report.
    Address,
    /// Data races end the driver with a report.
    Thread,
    /// As it is shipped.
    Plain,
}

impl Flavour {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Flavour::Address => &["-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"],
            Flavour::Thread => &["-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=thread"],
            Flavour::Plain => &["-O2"],
        }
    }
}

/// The driver with all fixes.
pub fn fixed(flavour: Flavour) -> PathBuf {
    build(flavour, &[])
}

/// The driver with all fixes but these.
pub fn without(fixes: &[&str], flavour: Flavour) -> PathBuf {
    build(flavour, fixes)
}

fn build(flavour: Flavour, left_out: &[&str]) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<PathBuf>>>> = Mutex::new(BTreeMap::new());
    let name = match left_out {
        [] => format!("{flavour:?}-fixed"),
        fixes => format!("{flavour:?}-without-{}", fixes.join("-")),
    };
    let slot = BUILT.lock().unwrap().entry(name.clone()).or_default().clone();
    slot.get_or_init(|| compile(flavour, left_out, &name)).clone()
}

/// Writes the mended sources below a directory.
pub fn mend(source: &Path, left_out: &[&str]) {
    fs::create_dir_all(source.join("src")).unwrap();
    for entry in fs::read_dir(Path::new(env!("PAHO_SHIPPED")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(source.join("src").join(path.file_name().unwrap()), fs::read(&path).unwrap()).unwrap();
        }
    }
    let all = fixes::read("fixes".as_ref()).unwrap();
    for name in left_out {
        assert!(all.iter().any(|fix| fix.name == *name), "there is no fix {name}");
    }
    fixes::apply(all.iter().filter(|fix| !left_out.contains(&fix.name.as_str())), source).unwrap();
    for name in ["enos_link.c", "enos_link.h"] {
        fs::copy(Path::new("c").join(name), source.join("src").join(name)).unwrap();
    }
    // What CMake makes of VersionInfo.h.in.
    let version = "#define BUILD_TIMESTAMP \"test\"\n#define CLIENT_VERSION \"1.3.16\"\n";
    fs::write(source.join("src/VersionInfo.h"), version).unwrap();
}

fn compile(flavour: Flavour, left_out: &[&str], name: &str) -> PathBuf {
    let source = kept(&format!("{name}-{}", process::id())); // this run's own, gone at the end
    mend(&source, left_out);

    let driver = Path::new(DRIVER);
    let files: Vec<PathBuf> = SOURCES
        .into_iter()
        .map(|name| source.join("src").join(name).with_extension("c"))
        .chain(["driver.c", "client.c", "process.c"].map(|name| driver.join(name)))
        .collect();
    let headers = [headers(&source.join("src")), headers(driver)].concat();
    // The files do not depend on one another: two at a time, which is what the smallest machine has.
    let objects: Vec<PathBuf> = thread::scope(|scope| {
        let halves = files.chunks(files.len().div_ceil(2));
        let workers: Vec<_> = halves
            .map(|half| {
                let (source, headers) = (&source, &headers);
                scope.spawn(move || half.iter().map(|file| object(file, source, headers, flavour)).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let names: Vec<u8> = objects.iter().flat_map(|object| object.as_os_str().as_bytes()).copied().collect();
    let link = link();
    let binary = kept(&format!("driver-{}", digest(&[&names, &fs::read(&link).unwrap()])));
    if !binary.exists() {
        let fresh = source.join("driver");
        gcc(Command::new(compiler())
            .args(flavour.flags())
            .args(&objects)
            // -z now, as Rust links: resolving a function at its first call puts vector registers, and what a copy has
            // left there, on the stack.
            .arg(&link)
            .args(["-Wl,--wrap=clock_gettime,--wrap=recv", "-Wl,-z,now"])
            .args(["-lssl", "-lcrypto", "-lgcc_s", "-lpthread", "-lm", "-ldl"])
            .arg("-o")
            .arg(&fresh));
        fs::rename(&fresh, &binary).unwrap();
    }
    fs::remove_dir_all(&source).unwrap();
    binary
}

/// The link as a library for C. It is Rust, so no sanitizer looks into it; what it allocates is seen, and what C does
/// with that.
fn link() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let target = kept("link");
        let status = Command::new(env!("CARGO"))
            .args(["rustc", "--quiet", "--offline", "--locked", "--release", "--lib", "--crate-type", "staticlib"])
            .args(["--features", "c,tls", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/link/Cargo.toml")])
            .arg("--target-dir")
            .arg(&target)
            .status()
            .unwrap();
        assert!(status.success(), "the link cannot be built");
        target.join("release/libpaho_link.a")
    });
    built.clone()
}

/// The object of one file. Kept under a digest of all that goes into it, so that variants share what they have in
/// common and a second run compiles nothing.
fn object(file: &Path, source: &Path, headers: &[u8], flavour: Flavour) -> PathBuf {
    let flags = flavour.flags().join(" ");
    let digest = digest(&[compiler().as_bytes(), flags.as_bytes(), headers, &fs::read(file).unwrap()]);
    let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
    let kept = kept(&format!("{stem}-{digest}.o"));
    if !kept.exists() {
        let fresh = source.join(format!("{stem}.o"));
        gcc(Command::new(compiler())
            .args(flavour.flags())
            .args(DEFINED)
            .args(["-fvisibility=hidden", "-I"])
            .arg(source.join("src"))
            .arg("-c")
            .arg(file)
            .arg("-o")
            .arg(&fresh));
        fs::rename(&fresh, &kept).unwrap(); // whole or not at all: another variant may look for it now
    }
    kept
}

pub fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine").join(name)
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn headers(directory: &Path) -> Vec<u8> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "h"));
    paths.sort();
    paths.iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

pub fn compiler() -> String {
    env::var("CC").unwrap_or_else(|_| "gcc".to_owned())
}

fn gcc(command: &mut Command) {
    let output = command.output().expect("the tests need gcc with libasan and libtsan");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
