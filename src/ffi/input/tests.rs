use std::ptr;

use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
struct Ours {
    struct_size: usize,
    first: u64,
    later: u64,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for Ours {
    const NAME: &'static str = "ours";
    const V0_1: usize = size_of::<[usize; 1]>() + size_of::<u64>();
}

/// A caller's struct of whatever size, on the heap at its exact size, so that a read beyond it is a fault.
fn theirs(size: usize, fill: u8) -> Vec<u64> {
    assert_eq!(size % 8, 0);
    let mut words = vec![u64::from_ne_bytes([fill; 8]); size / 8];
    words[0] = size as u64;
    words
}

fn read(words: &[u64]) -> Result<Ours> {
    // SAFETY: `words` has as many bytes as its first word says.
    unsafe { versioned(words.as_ptr().cast::<Ours>(), "it") }
}

#[test]
fn an_older_struct_is_filled_up_with_zeros() {
    let ours = read(&theirs(Ours::V0_1, 7)).unwrap();
    assert_eq!((ours.struct_size, ours.first, ours.later), (16, 0x0707_0707_0707_0707, 0));
}

#[test]
fn the_struct_of_today_is_copied_whole() {
    let ours = read(&theirs(size_of::<Ours>(), 7)).unwrap();
    assert_eq!(ours.later, 0x0707_0707_0707_0707);
}

#[test]
fn a_newer_struct_is_taken_when_its_new_fields_are_not_used() {
    let mut newer = theirs(size_of::<Ours>() + 16, 0);
    newer[1] = 5;
    assert_eq!(read(&newer).unwrap().first, 5);
    *newer.last_mut().unwrap() = 1 << 56;
    let error = read(&newer).err().unwrap();
    assert_eq!(error.status, Status::ENOS_ERR_STRUCT_SIZE);
    assert!(error.message.contains("it has fields set"), "{}", error.message);
}

#[test]
fn sizes_that_no_version_has_are_refused_before_more_is_read() {
    for size in [0, 1, Ours::V0_1 - 1, MAX_STRUCT_SIZE + 1, usize::MAX] {
        let only_the_size = [size];
        // SAFETY: the struct is refused by its size alone, which is there.
        let error = unsafe { versioned(only_the_size.as_ptr().cast::<Ours>(), "it") }.err().unwrap();
        assert_eq!(error.status, Status::ENOS_ERR_STRUCT_SIZE, "{size}");
        assert!(error.message.contains("ENOS_INIT(it)"), "{}", error.message);
    }
}

#[test]
fn a_struct_may_lie_anywhere() {
    let mut bytes = vec![0u8; size_of::<Ours>() + 1];
    bytes[1..9].copy_from_slice(&size_of::<Ours>().to_ne_bytes());
    bytes[9] = 3;
    // SAFETY: from the second byte on there are as many bytes as the struct has.
    let ours = unsafe { versioned(bytes.as_ptr().add(1).cast::<Ours>(), "it") }.unwrap();
    assert_eq!(ours.first, u64::from_ne_bytes([3, 0, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn texts_are_utf8() {
    // SAFETY: both are NUL-terminated.
    unsafe {
        assert_eq!(text(c"grün".as_ptr(), "it").unwrap(), "grün");
        let error = text(c"ab\xFFc".as_ptr(), "it").unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
        assert_eq!(error.message, "it is not UTF-8 (its byte 2 begins no character)");
        assert_eq!(text(ptr::null(), "it").unwrap_err().message, "it is NULL");
        assert_eq!(optional_text(ptr::null(), "it").unwrap(), None);
    }
}
