//! SIGKILL before and after every system call: the next process finds the old value or the new one.

use enos::storage::key_value::KeyValue;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use support::alone::alone;

use enos::storage::directory::directory_create;

use super::open;
use super::tracer::trace;

const KEY: &CStr = c"key";

/// The values that the next process may find; only the last one after the child's call has succeeded.
struct Case {
    name: &'static str,
    before: Option<Vec<u8>>,
    /// `None`: erase.
    after: Option<Vec<u8>>,
}

fn cases() -> Vec<Case> {
    let (old, new) = (vec![b'o'; 60_000], vec![b'n'; 50_000]);
    vec![
        Case { name: "first", before: None, after: Some(new.clone()) },
        Case { name: "replace", before: Some(old.clone()), after: Some(new) },
        Case { name: "erase", before: Some(old), after: None },
    ]
}

/// The child: opens the directory, stores or erases, and reports that it is done by a system call that nothing else
/// makes.
pub fn store_or_erase(path: &Path, value: Option<&[u8]>) {
    let storage = directory_create(path).unwrap();
    // SAFETY: the callbacks' own contract.
    unsafe {
        let done = match value {
            Some(value) => storage.store.unwrap()(storage.ctx, KEY.as_ptr(), value.as_ptr(), value.len()),
            None => storage.erase.unwrap()(storage.ctx, KEY.as_ptr()),
        };
        assert_eq!(done, 0);
        libc::getppid();
    }
}

#[test]
fn killed_at_any_system_call_the_value_is_the_old_or_the_new_one() {
    alone(|| {
        let root = tempfile::tempdir().unwrap();
        for Case { name, before, after } in cases() {
            let mut found = BTreeSet::new();
            let mut stops = 0;
            for kill_at in 0.. {
                let path = root.path().join(format!("{name}-{kill_at}"));
                if let Some(before) = &before {
                    open(&path).store("key", before).unwrap();
                }
                let (mut stop, mut last, mut acknowledged) = (0, 0, false);
                let finished = trace(
                    || store_or_erase(&path, after.as_deref()),
                    |at| {
                        (last, acknowledged) = (at.number, acknowledged || at.number == libc::SYS_getppid);
                        stop += 1;
                        if stop > kill_at {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    },
                );
                let value = open(&path).load("key").unwrap().map(|value| value.to_vec());
                assert!(value == before || value == after, "{name}, stop {kill_at}, system call {last}: a mixture");
                assert!(!acknowledged || value == after, "{name}, stop {kill_at}: what was acknowledged is lost");
                let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
                assert_eq!(left.len(), usize::from(value.is_some()), "{name}, stop {kill_at}: {left:?}");
                found.insert(value == after);
                fs::remove_dir_all(&path).unwrap();
                if finished {
                    stops = kill_at;
                    break;
                }
            }
            assert!(stops > 20 && found.len() == 2, "{name}: {stops} stops, so the kill came too late or too early");
        }
    });
}
