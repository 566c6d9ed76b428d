//! The flash store of the examples, in C, which firmware copies. Its driver here is an image in memory.

use crate::input::Input;
use enos::storage::vtable::enos_storage;
use std::cell::RefCell;
use std::ffi::{c_char, c_int, CStr, CString};
use std::mem::MaybeUninit;

/// The values with which build.rs compiles the C code.
const SECTOR: usize = 4096;
const SECTORS: usize = 4;
const UNIT: usize = 16;
const KEYS: [&CStr; 4] = [c"secret.1", c"index.0.1", c"out.1.1", c"a"];

thread_local! {
    static IMAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

extern "C" {
    fn flash_store_open(path: *const c_char, storage: *mut enos_storage) -> c_int;
}

#[no_mangle]
extern "C" fn flash_open(_path: *const c_char, flash: *mut c_int) -> c_int {
    // SAFETY: the store's own variable.
    unsafe { *flash = 7 };
    0
}

#[no_mangle]
extern "C" fn flash_close(_flash: c_int) {}

#[no_mangle]
extern "C" fn flash_sync(_flash: c_int) -> c_int {
    0
}

#[no_mangle]
extern "C" fn flash_read(_flash: c_int, at: u32, data: *mut u8, len: usize) -> c_int {
    IMAGE.with_borrow(|image| {
        let from = image.get(at as usize..at as usize + len).expect("a read inside the partition");
        // SAFETY: the store's buffer of this length.
        unsafe { std::slice::from_raw_parts_mut(data, len) }.copy_from_slice(from);
    });
    0
}

#[no_mangle]
extern "C" fn flash_program(_flash: c_int, at: u32, data: *const u8, len: usize) -> c_int {
    IMAGE.with_borrow_mut(|image| {
        let to = image.get_mut(at as usize..at as usize + len).expect("a write inside the partition");
        assert!(to.iter().all(|byte| *byte == 0xff), "what is programmed is erased");
        // SAFETY: the store's buffer of this length.
        to.copy_from_slice(unsafe { std::slice::from_raw_parts(data, len) });
    });
    0
}

#[no_mangle]
extern "C" fn flash_erase(_flash: c_int, at: u32, len: usize) -> c_int {
    assert!(at as usize % SECTOR == 0 && len % SECTOR == 0);
    IMAGE.with_borrow_mut(|image| image[at as usize..at as usize + len].fill(0xff));
    0
}

/// With a right checksum, and sometimes without.
fn record(input: &mut Input) -> Vec<u8> {
    let flags = input.byte();
    let key = match input.byte() {
        0 => input.chunk(),
        n => KEYS[usize::from(n) % KEYS.len()].to_bytes(),
    };
    let value = input.chunk();
    let mut rest = vec![key.len() as u8, 0];
    rest.extend_from_slice(&(value.len() as u16 + u16::from(flags & 2)).to_le_bytes());
    rest.extend([key, value].concat());
    let crc = crc32fast::hash(&rest) ^ u32::from(flags & 1);
    let mut record = [&crc.to_le_bytes()[..], &rest].concat();
    record.resize(record.len().next_multiple_of(UNIT), 0xff);
    record
}

fn image(input: &mut Input) -> Vec<u8> {
    let mut image = vec![0xff; SECTORS * SECTOR];
    for sector in image.chunks_mut(SECTOR) {
        let kind = input.byte();
        let mut content = Vec::new();
        if kind & 1 != 0 {
            content.extend_from_slice(b"EFS2");
            content.extend_from_slice(&(input.byte() as i8 as u32).to_le_bytes());
            content.extend_from_slice(&u32::from(input.u16()).to_le_bytes());
            content.extend(crc32fast::hash(&content).to_le_bytes());
        }
        for _ in 0..kind >> 1 & 7 {
            content.extend(record(input));
        }
        if kind & 0x10 != 0 {
            content.extend_from_slice(input.chunk());
        }
        content.truncate(SECTOR);
        sector[..content.len()].copy_from_slice(&content);
    }
    image
}

/// The store, if it accepts the flash.
fn open() -> Option<enos_storage> {
    let mut storage = MaybeUninit::uninit();
    // SAFETY: a path, and a place for the storage, which is there when it returns 0.
    unsafe { (flash_store_open(c"flash".as_ptr(), storage.as_mut_ptr()) == 0).then(|| storage.assume_init()) }
}

fn load(storage: &enos_storage, key: &CStr) -> Option<Vec<u8>> {
    let (mut value, mut len) = (vec![0; SECTOR], 0);
    // SAFETY: the storage is open, and gets a key, a buffer with its size, and a place for the length.
    match unsafe { storage.load.unwrap()(storage.ctx, key.as_ptr(), value.as_mut_ptr(), value.len(), &mut len) } {
        0 => value.truncate(len),
        _ => return None,
    }
    Some(value)
}

/// With any content of the flash, the store refuses it, or works and keeps the stored values.
pub fn store(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    IMAGE.set(image(&mut input));
    let Some(mut storage) = open() else { return };
    let mut expected = KEYS.map(|key| load(&storage, key));
    for _ in 0..8 {
        let which = usize::from(input.byte()) % KEYS.len();
        let (key, value) = (CString::from(KEYS[which]), input.chunk());
        // SAFETY: the storage is open, and gets a key, and bytes with their length.
        let result = unsafe {
            match input.byte() % 4 {
                0 => storage.erase.unwrap()(storage.ctx, key.as_ptr()),
                _ => storage.store.unwrap()(storage.ctx, key.as_ptr(), value.as_ptr(), value.len()),
            }
        };
        if result == 0 {
            expected[which] = load(&storage, &key);
            assert!(expected[which].as_ref().is_none_or(|read| read == value));
        }
        if input.is_empty() {
            break;
        }
    }
    // SAFETY: once, and nothing is called after it.
    unsafe { storage.release.unwrap()(storage.ctx) };
    storage = open().expect("what it has written itself it takes for its own");
    assert_eq!(KEYS.map(|key| load(&storage, key)), expected);
    // SAFETY: as above.
    unsafe { storage.release.unwrap()(storage.ctx) };
}
