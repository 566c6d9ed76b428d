//! The JSON reader of the examples, in C, which firmware copies.

use crate::input::Input;
use std::ffi::{c_char, c_int, CString};
use std::ptr::null;

extern "C" {
    fn json_member(json: *const c_char, len: usize, name: *const c_char, value: *mut *const c_char) -> usize;
    fn json_element(json: *const c_char, len: usize, place: usize, value: *mut *const c_char) -> usize;
    fn json_text(json: *const c_char, len: usize, name: *const c_char, out: *mut c_char, cap: usize) -> c_int;
}

pub fn json(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (name, place) = (input.chunk(), input.byte());
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let name = CString::new(&name[..end]).unwrap();
    // A copy of exact size, so that an access beyond it is found.
    let json = input.rest().to_vec();
    let (start, mut value, mut text) = (json.as_ptr().cast::<c_char>(), null(), [0; 32]);
    let inside = |value: *const c_char, len: usize| {
        let at = (value as usize).wrapping_sub(start as usize);
        assert!(len == 0 || at < json.len() && len <= json.len() - at, "{at} and {len} of {}", json.len());
    };
    // SAFETY: bytes with their length, a text, and places for what is found.
    unsafe {
        let len = json_member(start, json.len(), name.as_ptr(), &mut value);
        inside(value, len);
        // Both read the same from a valid text.
        if let Ok(serde_json::Value::Object(all)) = serde_json::from_slice(&json) {
            let plain = !json.contains(&b'\\');
            let known = name.to_str().ok().and_then(|name| all.get(name));
            if let Some(known) = known.filter(|_| plain && len > 0) {
                let found = std::slice::from_raw_parts(value.cast::<u8>(), len);
                let found: serde_json::Value = serde_json::from_slice(found).expect("a whole value");
                // They differ for a duplicate key.
                let twice =
                    json.windows(name.count_bytes() + 2).filter(|w| w[1..w.len() - 1] == *name.as_bytes()).count() > 1;
                assert!(twice || found == *known, "{found} and {known}");
            }
            assert!(known.is_none() || len > 0 || !plain, "{name:?} was not found");
        }
        let len = json_element(start, json.len(), place.into(), &mut value);
        inside(value, len);
        if json_text(start, json.len(), name.as_ptr(), text.as_mut_ptr(), text.len()) == 1 {
            assert!(text.contains(&0));
        }
    }
}
