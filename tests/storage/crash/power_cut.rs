//! A power cut after any system call, on a file system that guarantees only what was synced.
//!
//! The real system calls of a store are recorded, and replayed on a model of a disk: data that was not synced may be
//! there, or not, or partly. Every disk that a cut could leave is then built and opened.

use enos::storage::key_value::KeyValue;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use support::alone::alone;
use tempfile::TempDir;

use enos::storage::directory::directory;

use super::kill::store_or_erase;
use super::open;
use super::tracer::{trace, Stop};

/// The child's operations on the disk. A number identifies a file, whatever its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    MakeDirectory,
    Create(String, usize),
    Write(usize, Vec<u8>),
    Rename(String, String),
    Unlink(String),
    SyncFile(usize),
    SyncDirectory,
    SyncParent,
    /// The child has reported success.
    Acknowledge,
}

#[derive(Clone, Copy)]
enum Handle {
    Directory,
    Parent,
    File(usize),
}

/// Turns system calls into [`Op`]s; panics at an unknown one that may not be harmless.
pub struct Recorder {
    path: String,
    handles: HashMap<u64, Handle>,
    files: usize,
    pub ops: Vec<Op>,
}

impl Recorder {
    pub fn new(path: &Path) -> Recorder {
        let path = path.to_str().unwrap().to_owned();
        Recorder { path, handles: HashMap::new(), files: 0, ops: Vec::new() }
    }

    pub fn record(&mut self, stop: &Stop) {
        let Some(result @ 0..) = stop.result else { return };
        let [a, b, c, d, ..] = stop.args;
        match stop.number {
            libc::SYS_mkdirat => {
                assert_eq!(stop.text(b), self.path);
                self.ops.push(Op::MakeDirectory);
            }
            libc::SYS_openat => {
                let handle = self.opened(&stop.text(b), c as i32);
                self.handles.insert(result as u64, handle);
            }
            libc::SYS_write => {
                let Some(Handle::File(file)) = self.handles.get(&a) else { panic!("a write to {a}") };
                self.ops.push(Op::Write(*file, stop.bytes(b, result as usize)));
            }
            libc::SYS_renameat | libc::SYS_renameat2 => self.ops.push(Op::Rename(stop.text(b), stop.text(d))),
            libc::SYS_unlinkat => self.ops.push(Op::Unlink(stop.text(b))),
            libc::SYS_fsync => self.ops.push(match self.handles[&a] {
                Handle::Directory => Op::SyncDirectory,
                Handle::Parent => Op::SyncParent,
                Handle::File(file) => Op::SyncFile(file),
            }),
            libc::SYS_getppid => self.ops.push(Op::Acknowledge),
            libc::SYS_close => drop(self.handles.remove(&a)),
            libc::SYS_fstat | libc::SYS_newfstatat | libc::SYS_statx | libc::SYS_geteuid | libc::SYS_flock => {}
            libc::SYS_getdents64 | libc::SYS_fcntl | libc::SYS_read => {}
            libc::SYS_brk | libc::SYS_mmap | libc::SYS_munmap | libc::SYS_mremap | libc::SYS_mprotect => {}
            libc::SYS_madvise | libc::SYS_futex | libc::SYS_getrandom | libc::SYS_sigaltstack => {}
            other => panic!("the model does not know system call {other}"),
        }
    }

    fn opened(&mut self, name: &str, flags: i32) -> Handle {
        match name {
            _ if name == self.path => Handle::Directory,
            "." => Handle::Directory,
            ".." => Handle::Parent,
            _ if flags & libc::O_CREAT != 0 => {
                assert_ne!(flags & libc::O_EXCL, 0, "the model knows new files only");
                self.ops.push(Op::Create(name.to_owned(), self.files));
                self.files += 1;
                Handle::File(self.files - 1)
            }
            // Opened for reading: it does not change.
            _ => Handle::File(usize::MAX),
        }
    }
}

pub type Files = BTreeMap<String, Vec<u8>>;

/// A disk: the synced data, and the pending operations.
#[derive(Default)]
pub struct Disk {
    made: bool,
    made_synced: bool,
    names: BTreeMap<String, usize>,
    pending: Vec<NameOp>,
    contents: HashMap<usize, Content>,
    acknowledged: bool,
}

enum NameOp {
    Link(String, usize),
    Rename(String, String, usize),
    Unlink(String),
}

#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    written: Vec<u8>,
}

impl Disk {
    fn with(value: Option<&[u8]>) -> Disk {
        let Some(value) = value else { return Disk::default() };
        let content = Content { synced: value.to_vec(), written: value.to_vec() };
        Disk {
            made: true,
            made_synced: true,
            names: BTreeMap::from([("key.value".to_owned(), OLD)]),
            contents: HashMap::from([(OLD, content)]),
            ..Disk::default()
        }
    }

    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::MakeDirectory => self.made = true,
            Op::Create(name, file) => {
                self.contents.insert(*file, Content::default());
                self.pending.push(NameOp::Link(name.clone(), *file));
            }
            Op::Write(file, data) => self.contents.get_mut(file).unwrap().written.extend(data),
            Op::Rename(from, to) => {
                let file = self.names_with(usize::MAX)[from];
                self.pending.push(NameOp::Rename(from.clone(), to.clone(), file));
            }
            Op::Unlink(name) => self.pending.push(NameOp::Unlink(name.clone())),
            Op::SyncFile(file) => {
                let content = self.contents.get_mut(file).unwrap();
                content.synced = content.written.clone();
            }
            Op::SyncDirectory => {
                self.names = self.names_with(usize::MAX);
                self.pending.clear();
            }
            Op::SyncParent => self.made_synced = self.made,
            Op::Acknowledge => self.acknowledged = true,
        }
    }

    /// The directory after those pending operations whose bits are set.
    fn names_with(&self, bits: usize) -> BTreeMap<String, usize> {
        let mut names = self.names.clone();
        for (_, op) in self.pending.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1) {
            match op {
                NameOp::Link(name, file) => {
                    names.insert(name.clone(), *file);
                }
                NameOp::Rename(from, to, file) => {
                    names.remove(from);
                    names.insert(to.clone(), *file);
                }
                NameOp::Unlink(name) => {
                    names.remove(name);
                }
            }
        }
        names
    }

    /// Every directory that a power cut could leave now; `None`: there is no directory.
    pub fn after_cut(&self) -> HashSet<Option<Files>> {
        let mut disks = HashSet::new();
        if !self.made_synced {
            disks.insert(None);
        }
        if self.made {
            for bits in 0..1 << self.pending.len() {
                let mut variants = vec![Files::new()];
                for (name, file) in self.names_with(bits) {
                    let contents = self.contents[&file].after_cut();
                    let with = |files: &Files, content: &Vec<u8>| {
                        let mut files = files.clone();
                        files.insert(name.clone(), content.clone());
                        files
                    };
                    variants = variants.iter().flat_map(|files| contents.iter().map(|c| with(files, c))).collect();
                }
                disks.extend(variants.into_iter().map(Some));
            }
        }
        disks
    }
}

impl Content {
    /// The content as synced, as written, half of it, or its length filled with zeros.
    fn after_cut(&self) -> HashSet<Vec<u8>> {
        let half = self.written[..self.written.len() / 2].to_vec();
        let hollow = vec![0; self.written.len()];
        match self.synced == self.written {
            true => HashSet::from([self.synced.clone()]),
            false => HashSet::from([self.synced.clone(), self.written.clone(), half, hollow]),
        }
    }
}

/// The file that exists before the first recorded call.
const OLD: usize = usize::MAX - 1;

/// Cuts the power after each operation; returns what is wrong with a resulting disk.
fn cut_everywhere(ops: &[Op], before: Option<&[u8]>, after: Option<&[u8]>) -> Result<usize, String> {
    let mut disk = Disk::with(before);
    let mut checked = HashSet::new();
    for done in 0..=ops.len() {
        if let Some(last) = done.checked_sub(1) {
            disk.apply(&ops[last]);
        }
        for left in disk.after_cut() {
            if !checked.insert((left.clone(), disk.acknowledged)) {
                continue;
            }
            let value = value_on(left.as_ref());
            let value = value.as_deref();
            if value != after && (disk.acknowledged || value != before) {
                let value = value.map(|value| (value.len(), value.first()));
                return Err(format!("cut after {done} of {ops:?}: {value:?} is left (length, first byte)"));
            }
        }
    }
    Ok(checked.len())
}

/// Builds such a disk: the temporary folder, and the directory in it.
pub fn build(files: Option<&Files>) -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    if let Some(files) = files {
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        files.iter().for_each(|(name, content)| fs::write(path.join(name), content).unwrap());
    }
    (root, path)
}

/// Reads it with the library.
fn value_on(files: Option<&Files>) -> Option<Vec<u8>> {
    let (_root, path) = build(files);
    open(&path).load("key").unwrap().map(|value| value.to_vec())
}

impl Recorder {
    /// Records the operations of a child that runs to its end.
    pub fn follow(mut self, body: impl FnOnce()) -> Vec<Op> {
        assert!(trace(body, |stop| {
            self.record(stop);
            ControlFlow::Continue(())
        }));
        self.ops
    }
}

const OLD_VALUE: &[u8] = &[b'o'; 40];
const NEW_VALUE: &[u8] = &[b'n'; 50];

/// The operations of a real store (or erase), over a real old value.
fn recorded(before: Option<&[u8]>, after: Option<&[u8]>) -> Vec<Op> {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    if let Some(before) = before {
        open(&path).store("key", before).unwrap();
    }
    let ops = Recorder::new(&path).follow(|| store_or_erase(&path, after));
    assert_eq!(ops.last(), Some(&Op::Acknowledge));
    ops
}

/// A store that is killed right after its rename, and a process that then reads the new value and acts on it.
fn recorded_read_after_kill() -> Vec<Op> {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    open(&path).store("key", OLD_VALUE).unwrap();
    let mut recorder = Recorder::new(&path);
    let finished = trace(
        || store_or_erase(&path, Some(NEW_VALUE)),
        |stop| {
            recorder.record(stop);
            match recorder.ops.last() {
                Some(Op::Rename(..)) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        },
    );
    assert!(!finished);
    let read = || {
        let storage = directory(&path).unwrap();
        let (mut buf, mut len) = ([0; 64], 0);
        // SAFETY: the callbacks' own contract.
        unsafe {
            let loaded = storage.load.unwrap()(storage.ctx, c"key".as_ptr(), buf.as_mut_ptr(), buf.len(), &mut len);
            assert_eq!((loaded, &buf[..len]), (0, NEW_VALUE));
            libc::getppid();
        }
    };
    recorder.follow(read)
}

#[test]
fn after_a_power_cut_at_any_moment_the_value_is_the_old_or_the_new_one() {
    alone(|| {
        for (before, after) in [(None, Some(NEW_VALUE)), (Some(OLD_VALUE), Some(NEW_VALUE)), (Some(OLD_VALUE), None)] {
            let ops = recorded(before, after);
            let disks = cut_everywhere(&ops, before, after).unwrap();
            assert!(disks >= 3, "{disks} disks of {ops:?}");
        }
    });
}

#[test]
fn what_was_read_once_stays() {
    alone(|| {
        cut_everywhere(&recorded_read_after_kill(), Some(OLD_VALUE), Some(NEW_VALUE)).unwrap();
    });
}

/// A test of the model: if one step is removed or moved, the model must find the fault.
#[test]
fn each_sync_is_necessary_and_in_the_right_place() {
    alone(|| {
        let position = |ops: &[Op], wanted: fn(&Op) -> bool| ops.iter().rposition(wanted).unwrap();
        let sync_file: fn(&Op) -> bool = |op| matches!(op, Op::SyncFile(_));
        let sync_directory: fn(&Op) -> bool = |op| *op == Op::SyncDirectory;
        let sync_parent: fn(&Op) -> bool = |op| *op == Op::SyncParent;
        let rename: fn(&Op) -> bool = |op| matches!(op, Op::Rename(..));

        for before in [None, Some(OLD_VALUE)] {
            let ops = recorded(before, Some(NEW_VALUE));
            let at = |wanted| position(&ops, wanted);
            let harm = |ops: &[Op]| drop(cut_everywhere(ops, before, Some(NEW_VALUE)).unwrap_err());
            let without = |wanted| {
                let mut ops = ops.clone();
                ops.remove(position(&ops, wanted));
                ops
            };
            let swapped = |a, b| {
                let mut ops = ops.clone();
                ops.swap(a, b);
                ops
            };
            harm(&without(sync_file));
            harm(&without(sync_directory));
            harm(&swapped(at(sync_file), at(rename)));
            harm(&swapped(at(sync_directory), ops.len() - 1));
            if before.is_none() {
                harm(&without(sync_parent));
            }
        }
        let mut erase = recorded(Some(OLD_VALUE), None);
        erase.remove(position(&erase, sync_directory));
        cut_everywhere(&erase, Some(OLD_VALUE), None).unwrap_err();
        let mut read = recorded_read_after_kill();
        read.remove(position(&read, sync_directory));
        cut_everywhere(&read, Some(OLD_VALUE), Some(NEW_VALUE)).unwrap_err();
    });
}
