use std::ffi::CStr;
use std::slice;

use super::*;
use crate::error::Status;

fn c_text<'a>(ptr: *const c_char) -> &'a CStr {
    assert!(!ptr.is_null());
    // SAFETY: every text of an event is NUL-terminated and outlives the closure that looks at it.
    unsafe { CStr::from_ptr(ptr) }
}

#[test]
fn every_field_reaches_c() {
    let mut event = Event::new(EventKind::Message, Status::ENOS_ERR_PARSE, "words").code(-5).token(1 << 40);
    event.qos = 1;
    event.retry_in_ms = 77;
    event.topic = b"a/\0b".to_vec();
    event.payload.extend_from_slice(b"\x00\xFF");
    (event.operation, event.retained, event.subdevice, event.user) = (10, true, 1 << 33, usize::MAX);
    let mut seen = false;
    with_c_event(&event, None, |c| {
        assert_eq!(c.struct_size, size_of::<enos_event>());
        assert_eq!(c.r#type, 5);
        assert_eq!(c.status, Status::ENOS_ERR_PARSE as i32);
        assert_eq!((c.detail_code, c.qos, c.token, c.retry_in_ms, c.reserved), (-5, 1, 1 << 40, 77, 0));
        assert_eq!(c_text(c.detail), c"words");
        // SAFETY: topic and payload have the lengths that stand beside them, the topic a NUL after that.
        unsafe {
            assert_eq!(slice::from_raw_parts(c.topic.cast::<u8>(), c.topic_len + 1), b"a/\0b\0");
            assert_eq!(slice::from_raw_parts(c.payload, c.payload_len), b"\x00\xFF");
        }
        assert!(c.activation.is_null() && c.command.is_null());
        assert_eq!((c.operation, c.retained, c.subdevice, c.user.addr()), (10, 1, 1 << 33, usize::MAX));
        assert!(c.data.text.is_null() && c.message.text.is_null(), "only a reply has parts");
        seen = true;
    });
    assert!(seen);
}

#[test]
fn a_reply_is_shown_in_parts() {
    let mut event = Event::new(EventKind::Reply, Status::ENOS_OK, "");
    event.payload.extend_from_slice(br#"{"id":"1","code":200,"data":[ 1 ],"message":"m"}"#);
    with_c_event(&event, None, |c| {
        for (value, text) in [(&c.data, "[ 1 ]"), (&c.message, "\"m\"")] {
            // SAFETY: the value points into the event's payload.
            assert_eq!(unsafe { slice::from_raw_parts(value.text.cast::<u8>(), value.len) }, text.as_bytes());
        }
    });
}

#[test]
fn what_is_not_there_is_empty_and_not_null() {
    with_c_event(&Event::new(EventKind::Connected, Status::ENOS_OK, "a\0b"), None, |c| {
        assert_eq!(c_text(c.detail), c"a?b", "a NUL does not cut the words");
        assert_eq!((c_text(c.topic), c.topic_len), (c"", 0));
        assert!(!c.payload.is_null());
        assert_eq!(c.payload_len, 0);
    });
}
