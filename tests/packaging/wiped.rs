//! No byte of a secret stays in memory: every writable byte of the process is searched. Compiler optimisations must not
//! remove the wiping, so the library of this test run and the one that ships are both tested.

use std::ffi::{c_char, c_void, CString};
use std::hint::black_box;
use std::mem::transmute_copy;
use std::path::PathBuf;
use std::ptr::{null, null_mut};

use enos::ffi::activation::enos_activation;
use enos::ffi::config::enos_config;
use enos::ffi::sign::enos_sign_params;
use support::alone::alone_with;
use support::memory::{Runs, PADS};
use support::native;
use zeroize::Zeroizing;

use crate::installation::library;

/// A random text of `length` bytes.
fn text(length: usize, random: &mut fastrand::Rng) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    (0..length).for_each(|_| text.push(random.u8(b'#'..=b'Z')));
    text
}

/// Passes a secret to `usage`, and searches for it when `usage` has returned and the test's own copy is wiped.
fn assert_wiped(what: &str, length: usize, random: &mut fastrand::Rng, usage: impl FnOnce(&[u8])) {
    let secret = text(length, random);
    let runs = Runs::of(&secret, random);
    far_below(|| usage(&secret));
    drop(secret);
    assert_eq!(runs.search("self"), [], "{what}, {length} bytes");
}

/// Calls `usage` deep enough in the stack that the frames of the search do not overwrite its traces.
#[inline(never)]
fn far_below(usage: impl FnOnce()) {
    let room = black_box([0u8; 1 << 18]);
    usage();
    black_box(&room);
}

/// An activation message in which this many characters of the secret are escaped, in a buffer that is wiped.
fn activation_message(secret: &[u8], escaped: usize, device_key: &str) -> Zeroizing<Vec<u8>> {
    let mut payload = Zeroizing::new(Vec::with_capacity(300 + secret.len() * 6));
    payload
        .extend_from_slice(br#"{"id":"1","method":"thing.activate.info","params":{"productKey":"pk","deviceSecret":""#);
    for (at, byte) in secret.iter().enumerate() {
        if at % secret.len() < escaped {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            payload.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        } else {
            payload.push(*byte);
        }
    }
    payload.extend_from_slice(br#"","deviceKey":""#);
    payload.extend_from_slice(device_key.as_bytes());
    payload.extend_from_slice(br#""}}"#);
    payload
}

/// The functions of a loaded library that take secrets.
struct Api {
    config_new: unsafe extern "C" fn(*mut *mut enos_config) -> i32,
    config_free: unsafe extern "C" fn(*mut enos_config),
    set_device_secret: unsafe extern "C" fn(*mut enos_config, *const u8, usize) -> i32,
    sign_password: unsafe extern "C" fn(*const enos_sign_params, *mut u8, usize, *mut usize) -> i32,
    parse: ParseActivation,
    reply: ReplyToActivation,
    free: unsafe extern "C" fn(*mut enos_activation),
}

type ParseActivation = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const u8,
    usize,
    *const u8,
    usize,
    *mut *mut enos_activation,
) -> i32;
type ReplyToActivation =
    unsafe extern "C" fn(*const enos_activation, *mut u8, usize, *mut usize, *mut u8, usize, *mut usize) -> i32;

impl Api {
    fn load(library: &str) -> Api {
        let path = CString::new(library).unwrap();
        // SAFETY: the library is libenos, whose initialisers do nothing that harms.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{library} cannot be loaded");
        // SAFETY: the functions have these types in enos.h.
        unsafe {
            Api {
                config_new: function(handle, "enos_config_new"),
                config_free: function(handle, "enos_config_free"),
                set_device_secret: function(handle, "enos_config_set_device_secret"),
                sign_password: function(handle, "enos_sign_password"),
                parse: function(handle, "enos_activation_parse"),
                reply: function(handle, "enos_activation_reply"),
                free: function(handle, "enos_activation_free"),
            }
        }
    }

    /// Passes the secret to a configuration.
    fn keep(&self, secret: &[u8]) {
        let mut config = null_mut();
        // SAFETY: a place for the handle, and a secret with its length.
        unsafe {
            assert_eq!((self.config_new)(&mut config), 0);
            assert_eq!((self.set_device_secret)(config, secret.as_ptr(), secret.len()), 0);
            (self.config_free)(config);
        }
    }

    fn sign(&self, secret: &[u8], method: i32) {
        let params = enos_sign_params {
            struct_size: size_of::<enos_sign_params>(),
            client_id: null(),
            product_key: c"pk".as_ptr(),
            device_key: c"dk".as_ptr(),
            secret: secret.as_ptr().cast(),
            secret_len: secret.len(),
            secure_mode: 2,
            sign_method: method,
            timestamp_ms: 1,
        };
        let (mut out, mut length) = ([0; 65], 0);
        // SAFETY: the texts live across the call, and the buffer has the size that is said.
        assert_eq!(unsafe { (self.sign_password)(&params, out.as_mut_ptr(), out.len(), &mut length) }, 0);
        assert!(length >= 40);
    }

    /// Parses an activation, answers it, and frees it; returns whether it was for this device.
    fn activate(&self, payload: &[u8]) -> bool {
        let topic = b"/ext/session/pk/dk/thing/activate/info";
        let mut activation = null_mut();
        let (pk, dk) = (c"pk".as_ptr(), c"dk".as_ptr());
        // SAFETY: texts and buffers with their lengths, and a place for the handle, which is freed once.
        unsafe {
            let (topic, length) = (topic.as_ptr(), topic.len());
            if (self.parse)(pk, dk, topic, length, payload.as_ptr(), payload.len(), &mut activation) != 0 {
                return false;
            }
            let (mut topic, mut reply, mut lengths) = ([0; 256], [0; 256], [0; 2]);
            let [topic_length, reply_length] = &mut lengths;
            let (topic, reply) = (topic.as_mut_ptr(), reply.as_mut_ptr());
            assert_eq!((self.reply)(activation, topic, 256, topic_length, reply, 256, reply_length), 0);
            (self.free)(activation);
        }
        true
    }
}

/// # Safety
/// The library's function of this name has the type `F`.
unsafe fn function<F: Copy>(library: *mut c_void, name: &str) -> F {
    let symbol = CString::new(name).unwrap();
    // SAFETY: a library that is loaded, and a C string.
    let address = unsafe { libc::dlsym(library, symbol.as_ptr()) };
    assert!(!address.is_null(), "{name}");
    // SAFETY: the caller's promise; a function pointer is as large as a pointer.
    unsafe { transmute_copy(&address) }
}

/// The search finds a secret in each of its forms.
fn assert_search_finds(random: &mut fastrand::Rng) {
    for pad in PADS {
        for turned in [0, 3] {
            let secret = text(64, random);
            let runs = Runs::of(&secret, random);
            assert_eq!(runs.search("self").len(), 1, "the test's own copy");
            let mut leftover = Zeroizing::new(vec![0; 64]);
            (0..64).for_each(|at| leftover[at] = secret[at ^ turned] ^ pad);
            drop(secret);
            assert_eq!(runs.search("self").len(), 1, "a leftover, {pad:02x}, {turned}");
            drop(leftover);
            assert_eq!(runs.search("self"), []);
        }
    }
}

fn assert_all_wiped(api: &Api) {
    let random = &mut fastrand::Rng::new();
    assert_search_finds(random);
    // Lengths below and above a block of the hash, the rest of a block after the content, and two blocks.
    for length in [8, 20, 55, 64, 65, 100, 128, 1024] {
        assert_wiped("kept", length, random, |secret| api.keep(secret));
        for method in 1..=3 {
            assert_wiped(&format!("sign method {method}"), length, random, |secret| api.sign(secret, method));
        }
        for escaped in [0, 1, length / 2, length] {
            assert_wiped("an activation", length, random, |secret| {
                assert!(api.activate(&activation_message(secret, escaped, "dk")));
            });
            assert_wiped("another device's activation", length, random, |secret| {
                assert!(!api.activate(&activation_message(secret, escaped, "other")));
            });
            assert_wiped("a broken activation", length, random, |secret| {
                let mut payload = activation_message(secret, escaped, "dk");
                payload.pop();
                assert!(!api.activate(&payload));
            });
        }
    }
}

/// Tells the test's own process which library to load.
const LIBRARY: &str = "ENOS_TEST_LIBRARY";

fn library_to_load(library: impl FnOnce() -> PathBuf) -> String {
    std::env::var(LIBRARY).unwrap_or_else(|_| library().into_os_string().into_string().unwrap())
}

#[test]
fn nothing_of_a_secret_stays_in_memory() {
    let library = library_to_load(native::library);
    alone_with(&[(LIBRARY, &library)], || assert_all_wiped(&Api::load(&library)));
}

#[test]
fn nothing_of_a_secret_stays_in_memory_with_the_library_that_ships() {
    let library = library_to_load(library);
    alone_with(&[(LIBRARY, &library)], || assert_all_wiped(&Api::load(&library)));
}
